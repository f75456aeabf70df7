/** Members that this one exchanges user messages with, though no link of the overlay leads to them. */
import type { NodeId } from '../identity/node-id.ts'

/** A link is wished for this long after the last busy moment. */
const WISH_MS = 30_000
/** So many extra links at most, within what a member may have beyond its targets. */
const MAX_WISHES = 2

export class Wishes {
  readonly #until = new Map<NodeId, number>()

  /** Returns whether it is a new one. */
  add(nodeId: NodeId, now: number): boolean {
    const isNew = !this.#until.has(nodeId)
    if (isNew && this.#until.size >= MAX_WISHES) return false
    this.#until.set(nodeId, now + WISH_MS)
    return isNew
  }

  has(nodeId: NodeId): boolean {
    return this.#until.has(nodeId)
  }

  /** Those that still hold. */
  at(now: number): NodeId[] {
    for (const [nodeId, until] of this.#until) if (now >= until) this.#until.delete(nodeId)
    return [...this.#until.keys()]
  }

  nextDeadline(): number {
    let next = Infinity
    for (const until of this.#until.values()) next = Math.min(next, until)
    return next
  }
}
