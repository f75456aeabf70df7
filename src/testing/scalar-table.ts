/**
 * The table of the baseline: ONE scalar version over everything (DESIGN section 4, first paragraph). Merging two
 * entries is sound here; what is not is the gate in front of it, which drops whatever is not above the own version.
 */
import type { NodeId } from '../core/identity/node-id.ts'
import { compareLives, parseNodeId } from '../core/identity/node-id.ts'
import type { NodeStatus, Visibility } from '../core/membership/record.ts'

export interface ScalarEntry {
  readonly nodeId: NodeId
  readonly status: NodeStatus
  readonly incarnation: number
  /** Grows with each change by the owner. */
  readonly counter: number
  readonly meta: string
  readonly visibility: Visibility
  readonly peerState: Readonly<Record<string, string>>
}

/** All changes after `from`, up to `to`. */
export interface ScalarDelta {
  readonly from: number
  readonly to: number
  readonly changes: readonly ScalarEntry[]
}

/** What came of a delta: taken over, already known, or out of reach because something before it is missing. */
export type Applied = 'applied' | 'dropped' | 'missing'

interface Slot {
  entry: ScalarEntry
  /** The table's version when this entry last changed here. */
  changedAt: number
}

const RANK: Readonly<Record<NodeStatus, number>> = {
  joining: 0,
  up: 1,
  leaving: 2,
  unreachable: 3,
  removed: 4,
}

export class ScalarTable {
  readonly #slots = new Map<NodeId, Slot>()
  #version = 0
  #revision = 0

  get version(): number {
    return this.#version
  }

  get revision(): number {
    return this.#revision
  }

  entries(): ScalarEntry[] {
    return [...this.#slots.values()].map(({ entry }) => entry)
  }

  get(nodeId: NodeId): ScalarEntry | undefined {
    return this.#slots.get(nodeId)?.entry
  }

  /** A change made here: the version grows by one. Returns what the others are to be told. */
  change(entry: ScalarEntry): ScalarDelta {
    const from = this.#version++
    this.#set(entry, this.#version)
    this.#supersede(entry, this.#version)
    return { from, to: this.#version, changes: [entry] }
  }

  /** Everything that changed here after version `from`. */
  since(from: number): ScalarDelta {
    const changes: ScalarEntry[] = []
    for (const { entry, changedAt } of this.#slots.values()) if (changedAt > from) changes.push(entry)
    return { from, to: this.#version, changes }
  }

  /** The rule on trial: nothing that is not above the own version, nothing with a gap before it. */
  gate(from: number, to: number): Applied {
    if (to <= this.#version) return 'dropped'
    return from > this.#version ? 'missing' : 'applied'
  }

  apply({ from, to, changes }: ScalarDelta): Applied {
    const verdict = this.gate(from, to)
    if (verdict !== 'applied') return verdict
    for (const entry of changes) {
      const known = this.#slots.get(entry.nodeId)
      if (!known || newer(entry, known.entry)) this.#set(entry, to)
      else known.changedAt = to
      this.#supersede(entry, to)
    }
    this.#version = to
    return 'applied'
  }

  /** Everything that users would see, in one text: equal on members that agree. */
  content(): string {
    const shown = this.entries().filter(({ status }) => status !== 'removed')
    shown.sort((a, b) => (a.nodeId < b.nodeId ? -1 : 1))
    return JSON.stringify(
      shown.map(({ nodeId, status, meta, visibility, peerState }) => {
        const values = Object.entries(peerState).sort(([a], [b]) => (a < b ? -1 : 1))
        return [nodeId, status, meta, visibility, values]
      }),
    )
  }

  #set(entry: ScalarEntry, changedAt: number): void {
    this.#revision++
    this.#slots.set(entry.nodeId, { entry, changedAt })
  }

  /** A newer life of an authority ends the older ones. */
  #supersede({ nodeId, status }: ScalarEntry, changedAt: number): void {
    if (status === 'removed') return
    const life = parseNodeId(nodeId)!
    for (const { entry } of this.#slots.values()) {
      const other = parseNodeId(entry.nodeId)!
      if (entry.status === 'removed' || other.authority !== life.authority) continue
      const order = compareLives(other, life)
      if (order < 0) this.#set({ ...entry, status: 'removed' }, changedAt)
    }
  }
}

/** `removed` tops all; then incarnation; then the owner's counter; then the graver status. */
function newer(a: ScalarEntry, b: ScalarEntry): boolean {
  if (b.status === 'removed') return false
  if (a.status === 'removed') return true
  return (
    a.incarnation > b.incarnation ||
    (a.incarnation === b.incarnation &&
      (a.counter > b.counter || (a.counter === b.counter && RANK[a.status] > RANK[b.status])))
  )
}
