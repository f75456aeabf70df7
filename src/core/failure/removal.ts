/**
 * When an unreachable life is removed for good.
 *
 * Only by a side that still sees more than half of the members that were live when the loss began (of two exact
 * halves, the one with the lowest nodeId among them), or where the signaling server said that the socket is gone.
 * So a partition of a minute does not make both halves reborn.
 */
import type { NodeId } from '../identity/node-id.ts'
import { authorityOf } from '../identity/node-id.ts'
import type { MembershipTable, TableChange } from '../membership/table.ts'

/** How often a removal that was not allowed is looked at again. */
const RECHECK_MS = 5_000
/** The end of a socket belongs to a loss that is found this much later at most; after that it was another one. */
const GONE_COUNTS_MS = 30_000

export class Removal {
  readonly #table: MembershipTable
  readonly #removeAfterMs: number
  /** Due time of each unreachable member. */
  readonly #due = new Map<NodeId, number>()
  /** The earliest of them. */
  #next = Infinity
  /** Who was live when the present loss began, or was found lost in it. */
  #base = new Set<NodeId>()
  /** Who was live at the end of the last turn without a loss. */
  #steady: readonly NodeId[] = []
  #seenMembership = -1
  /** When the signaling server said so. */
  readonly #gone = new Map<NodeId, number>()

  constructor(table: MembershipTable, removeAfterMs: number) {
    this.#table = table
    this.#removeAfterMs = removeAfterMs
  }

  notice({ nodeId, before, after }: TableChange, now: number): void {
    if (after === 'unreachable' && before !== 'unreachable') {
      if (this.#due.size === 0) this.#base = new Set(this.#steady)
      // Who was lost before this member heard of it, was lost by those who are here.
      if (before === undefined) for (const here of this.#table.live()) this.#base.add(here)
      this.#base.add(nodeId)
      this.#put(nodeId, now + this.#removeAfterMs)
      if (now - (this.#gone.get(nodeId) ?? now) > GONE_COUNTS_MS) this.#gone.delete(nodeId)
    } else if (after === 'removed' || (before === 'unreachable' && after !== before)) {
      this.#drop(nodeId)
      this.#gone.delete(nodeId)
    }
  }

  /** The signaling server's word that this life's socket ended without goodbye. */
  gone(nodeId: NodeId, now: number): void {
    if (this.#table.status(nodeId) !== 'removed' && this.#table.get(nodeId)) this.#gone.set(nodeId, now)
  }

  /** Several may be lost in one turn: who was live is what was so before it. */
  settle(): void {
    if (this.#due.size > 0 || this.#seenMembership === this.#table.membershipRevision) return
    this.#seenMembership = this.#table.membershipRevision
    this.#steady = [...this.#table.live()]
  }

  /** Time in which this member did not attend counts for nothing. */
  shift(ms: number): void {
    for (const [nodeId, due] of this.#due) this.#due.set(nodeId, due + ms)
    this.#next += ms
  }

  tick(now: number): void {
    if (now < this.#next) return
    let seesMost: boolean | undefined
    for (const [nodeId, due] of this.#due) {
      if (now < due) continue
      if (this.#gone.has(nodeId) || (seesMost ??= this.#seesMost()))
        this.#table.remove(nodeId, now, 'unreachable for too long')
      else this.#put(nodeId, now + RECHECK_MS)
    }
    this.#findNext()
  }

  nextDeadline(): number | undefined {
    return this.#next === Infinity ? undefined : this.#next
  }

  #put(nodeId: NodeId, due: number): void {
    this.#due.set(nodeId, due)
    if (due < this.#next) this.#next = due
  }

  #drop(nodeId: NodeId): void {
    const due = this.#due.get(nodeId)
    if (this.#due.delete(nodeId) && due === this.#next) this.#findNext()
  }

  #findNext(): void {
    this.#next = Infinity
    for (const due of this.#due.values()) if (due < this.#next) this.#next = due
  }

  #seesMost(): boolean {
    let seen = 0
    let lowest: NodeId | undefined
    for (const nodeId of this.#base) {
      if (this.#isHere(nodeId)) seen++
      if (lowest === undefined || nodeId < lowest) lowest = nodeId
    }
    const half = this.#base.size / 2
    return seen > half || (seen === half && lowest !== undefined && this.#isHere(lowest))
  }

  /** Whoever was reloaded meanwhile is on this side all the same. */
  #isHere(nodeId: NodeId): boolean {
    const life = this.#table.currentLife(authorityOf(nodeId))
    return life !== undefined && this.#table.status(life) === 'up'
  }
}
