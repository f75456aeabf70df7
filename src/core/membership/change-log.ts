/** What changed lately in the table, in local order: what eager gossip forwards. Bounded; who falls behind it syncs. */
import type { LinkId } from '../events.ts'
import type { NodeId } from '../identity/node-id.ts'

/** No link: the change was made here. */
export const LOCAL: LinkId = 0

export interface LoggedChange {
  /** Local order only; means nothing to others. */
  readonly revision: number
  readonly nodeId: NodeId
  /** The origin's version before the change. */
  readonly from: number
  readonly via: LinkId
  /** The origin answers an accusation: by which links it reaches others is what is in doubt. */
  readonly isRefutation: boolean
  /** Other links that brought the same change before it was forwarded. */
  readonly alsoVia: ReadonlySet<LinkId>
}

const CAPACITY = 4_096
/** Most changes come once, or are forwarded before they come again: they share this. */
const NO_LINKS: ReadonlySet<LinkId> = new Set()

type Mutable = { -readonly [K in keyof LoggedChange]: LoggedChange[K] }

export class ChangeLog {
  #changes: Mutable[] = []
  #revision = 0
  /** Changes up to here are no longer held. */
  #forgotten = 0
  readonly #newest = new Map<NodeId, Mutable>()

  get revision(): number {
    return this.#revision
  }

  push(nodeId: NodeId, from: number, via: LinkId, isRefutation = false): void {
    const change: Mutable = { revision: ++this.#revision, nodeId, from, via, isRefutation, alsoVia: NO_LINKS }
    this.#changes.push(change)
    this.#newest.set(nodeId, change)
    if (this.#changes.length > CAPACITY) this.forget(this.#changes[CAPACITY / 2]!.revision)
  }

  /** `via` brought what the newest change of `nodeId` had brought already: it need not be told. */
  alsoFrom(nodeId: NodeId, via: LinkId): void {
    const change = this.#newest.get(nodeId)
    if (change && !change.alsoVia.has(via)) change.alsoVia = new Set([...change.alsoVia, via])
  }

  /** The changes after `revision`, oldest first, or `undefined` where some of them are forgotten. */
  since(revision: number): readonly LoggedChange[] | undefined {
    if (revision < this.#forgotten) return undefined
    if (revision >= this.#revision) return []
    return this.#changes.slice(revision - this.#forgotten)
  }

  /** Every link was told everything up to `revision`. */
  forget(revision: number): void {
    const count = Math.min(revision, this.#revision) - this.#forgotten
    if (count <= 0) return
    for (const change of this.#changes.splice(0, count)) {
      if (this.#newest.get(change.nodeId) === change) this.#newest.delete(change.nodeId)
    }
    this.#forgotten += count
  }
}
