/**
 * The table of the baseline: ONE scalar version over everything (DESIGN section 4, first paragraph). Merging two
 * values of a field is sound here; what is not is the gate in front of it, which drops whatever is not above the own
 * version.
 */
import type { NodeId } from '../core/identity/node-id.ts'
import { compareLives, parseNodeId } from '../core/identity/node-id.ts'
import type { NodeStatus, Visibility } from '../core/membership/record.ts'

/** One change of one field: `status`, `meta`, `visibility`, or `state:<key>`. */
export interface ScalarChange {
  readonly nodeId: NodeId
  readonly field: string
  /** `null` for a value that was cleared. */
  readonly value: string | null
  /** Of a status: the incarnation. Of anything else: the owner's count of its changes. */
  readonly stamp: number
}

/** All changes after `from`, up to `to`. */
export interface ScalarDelta {
  readonly from: number
  readonly to: number
  readonly changes: readonly ScalarChange[]
}

/** What the table says of one member. */
export interface ScalarEntry {
  readonly nodeId: NodeId
  readonly status: NodeStatus
  readonly incarnation: number
  readonly counter: number
  readonly meta: string
  readonly visibility: Visibility
  readonly peerState: ReadonlyMap<string, string>
}

/** What came of a delta: taken over, already known, or out of reach because something before it is missing. */
export type Applied = 'applied' | 'dropped' | 'missing'

interface Field {
  change: ScalarChange
  /** The table's version when this field last changed here. */
  changedAt: number
}

export const STATE_PREFIX = 'state:'

const RANK: Readonly<Record<string, number>> = { joining: 0, up: 1, leaving: 2, unreachable: 3, removed: 4 }

export class ScalarTable {
  readonly #members = new Map<NodeId, Map<string, Field>>()
  readonly #entries = new Map<NodeId, ScalarEntry>()
  #version = 0
  #revision = 0

  get version(): number {
    return this.#version
  }

  get revision(): number {
    return this.#revision
  }

  entries(): IterableIterator<ScalarEntry> {
    return this.#entries.values()
  }

  get(nodeId: NodeId): ScalarEntry | undefined {
    return this.#entries.get(nodeId)
  }

  /** Changes made here: the version grows by one. Returns what the others are to be told. */
  change(changes: readonly ScalarChange[]): ScalarDelta {
    const from = this.#version++
    for (const change of changes) this.#set(change, this.#version)
    return { from, to: this.#version, changes }
  }

  /** Everything that changed here after version `from`. */
  since(from: number): ScalarDelta {
    const changes: ScalarChange[] = []
    for (const fields of this.#members.values()) {
      for (const { change, changedAt } of fields.values()) if (changedAt > from) changes.push(change)
    }
    return { from, to: this.#version, changes }
  }

  /** All that is known of one member. */
  about(nodeId: NodeId): ScalarChange[] {
    return [...(this.#members.get(nodeId)?.values() ?? [])].map(({ change }) => change)
  }

  /** Those of `changes` that say more than this table knows. */
  news(changes: readonly ScalarChange[]): ScalarChange[] {
    return changes.filter((change) => {
      const known = this.#members.get(change.nodeId)?.get(change.field)
      return !known || newer(change, known.change)
    })
  }

  /** The rule on trial: nothing that is not above the own version, nothing with a gap before it. */
  gate(from: number, to: number): Applied {
    if (to <= this.#version) return 'dropped'
    return from > this.#version ? 'missing' : 'applied'
  }

  apply({ from, to, changes }: ScalarDelta): Applied {
    const verdict = this.gate(from, to)
    if (verdict !== 'applied') return verdict
    for (const change of this.news(changes)) this.#set(change, to)
    this.#version = to
    return 'applied'
  }

  /** Everything that users would see, in one text: equal on members that agree. */
  content(): string {
    const shown = [...this.#entries.values()].filter(({ status }) => status !== 'removed')
    shown.sort((a, b) => (a.nodeId < b.nodeId ? -1 : 1))
    return JSON.stringify(
      shown.map(({ nodeId, status, meta, visibility, peerState }) => {
        const values = [...peerState].sort(([a], [b]) => (a < b ? -1 : 1))
        return [nodeId, status, meta, visibility, values]
      }),
    )
  }

  #set(change: ScalarChange, changedAt: number): void {
    const { nodeId, field } = change
    const fields = this.#members.get(nodeId) ?? new Map<string, Field>()
    this.#members.set(nodeId, fields)
    const isNew = fields.size === 0
    fields.set(field, { change, changedAt })
    this.#entries.set(nodeId, entryOf(nodeId, fields))
    this.#revision++
    if (isNew) this.#supersede(nodeId, changedAt)
  }

  /** A newer life of an authority ends the older ones. */
  #supersede(nodeId: NodeId, changedAt: number): void {
    const life = parseNodeId(nodeId)!
    for (const { nodeId: other, status } of this.#entries.values()) {
      const parts = parseNodeId(other)!
      if (status === 'removed' || parts.authority !== life.authority) continue
      if (compareLives(parts, life) >= 0) continue
      this.#set({ nodeId: other, field: 'status', value: 'removed', stamp: 0 }, changedAt)
    }
  }
}

/** Status: `removed` tops all, then the incarnation, then the graver one. Anything else: the owner's later change. */
function newer(a: ScalarChange, b: ScalarChange): boolean {
  if (a.field !== 'status') return a.stamp > b.stamp
  if (b.value === 'removed') return false
  if (a.value === 'removed') return true
  return a.stamp > b.stamp || (a.stamp === b.stamp && RANK[a.value!]! > RANK[b.value!]!)
}

function entryOf(nodeId: NodeId, fields: ReadonlyMap<string, Field>): ScalarEntry {
  const value = (field: string): string | undefined => fields.get(field)?.change.value ?? undefined
  const peerState = new Map<string, string>()
  let counter = 0
  for (const { change } of fields.values()) {
    if (change.field === 'status') continue
    counter = Math.max(counter, change.stamp)
    if (change.field.startsWith(STATE_PREFIX) && change.value !== null) {
      peerState.set(change.field.slice(STATE_PREFIX.length), change.value)
    }
  }
  return {
    nodeId,
    status: (value('status') ?? 'joining') as NodeStatus,
    incarnation: fields.get('status')?.change.stamp ?? 0,
    counter,
    meta: value('meta') ?? '',
    visibility: (value('visibility') ?? 'visible') as Visibility,
    peerState,
  }
}
