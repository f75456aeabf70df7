import type { NodeId } from '../api.ts'
import type { StateEntry } from '../core/wire/frames.ts'
import type { NodeCore } from '../core/node.ts'
import { decodeValue } from './values.ts'
import { Store } from './store.ts'

interface Decoded {
  readonly entry: StateEntry
  readonly value: unknown
}

/** What all members publish under one key, decoded once for each change. */
export class PeerStateView {
  readonly store: Store<ReadonlyMap<NodeId, unknown>>
  readonly #key: string
  #decoded = new Map<NodeId, Decoded>()
  #revision = 0

  /** `core` gives the running core, or `undefined` before there is one. */
  constructor(key: string, core: () => NodeCore | undefined) {
    this.#key = key
    this.store = new Store(
      () => this.#revision,
      (before) => this.#build(core(), before),
    )
  }

  /** Something under this key, or the set of members, has changed. */
  invalidate(): void {
    this.#revision++
  }

  /** The same map if nothing under this key has changed. */
  #build(
    core: NodeCore | undefined,
    before: ReadonlyMap<NodeId, unknown> | undefined,
  ): ReadonlyMap<NodeId, unknown> {
    const decoded = new Map<NodeId, Decoded>()
    const values = new Map<NodeId, unknown>()
    for (const record of core?.table.records() ?? []) {
      const entry = record.status === 'removed' ? undefined : record.entries.get(this.#key)
      if (entry?.value === undefined) continue
      const known = this.#decoded.get(record.nodeId)
      const value = known?.entry === entry ? known.value : decodeValue(entry.value)
      decoded.set(record.nodeId, { entry, value })
      if (value !== undefined) values.set(record.nodeId, value)
    }
    this.#decoded = decoded
    const isSame =
      before?.size === values.size &&
      [...values].every(([id, value]) => before.has(id) && before.get(id) === value)
    return isSame ? before : values
  }
}
