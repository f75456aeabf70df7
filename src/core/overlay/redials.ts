/**
 * When whom to dial: pauses after failures, with jitter (Brooker, AWS Architecture Blog, 2015), and the turns of a
 * pair, whose lower nodeId dials first.
 */
import type { NodeId } from '../identity/node-id.ts'
import type { Random } from '../time.ts'
import type { Tuning } from '../tuning.ts'
import type { MeshLink } from './mesh-link.ts'

interface Redial {
  failures: number
  /** The newest attempts, in a row, to which nothing was answered. */
  unanswered: number
  notBefore: number
}

/** The higher nodeId of a pair leaves the dialling to the lower one for this long. */
export const PATIENCE_MS = 2_000
/** Whoever gave a link up is not asked for it again before. */
const RELEASED_MS = 5_000

export class Redials {
  readonly #random: Random
  readonly #tuning: Tuning
  readonly #redials = new Map<NodeId, Redial>()
  readonly #wantedSince = new Map<NodeId, number>()

  constructor(random: Random, tuning: Tuning) {
    this.#random = random
    this.#tuning = tuning
  }

  failuresOf(nodeId: NodeId): number {
    return this.#redials.get(nodeId)?.failures ?? 0
  }

  /** Attempts in a row to which a member answered nothing; a refusal is an answer. */
  unansweredBy(nodeId: NodeId): number {
    return this.#redials.get(nodeId)?.unanswered ?? 0
  }

  /** A link to it is wanted, and there is none. */
  wanted(nodeId: NodeId, now: number): void {
    if (!this.#wantedSince.has(nodeId)) this.#wantedSince.set(nodeId, now)
  }

  /** `isFirst`: this member need not wait for the other one to dial. */
  dueAt(nodeId: NodeId, isFirst: boolean): number {
    const patience = isFirst ? 0 : (this.#wantedSince.get(nodeId) ?? 0) + PATIENCE_MS
    return Math.max(this.#redials.get(nodeId)?.notBefore ?? 0, patience)
  }

  /** An established link has ended. */
  lost({ nodeId, released }: MeshLink, now: number): void {
    const pause = this.#random() * this.#tuning.redialMinMs + (released ? RELEASED_MS : 0)
    this.#redials.set(nodeId, { failures: 0, unanswered: 0, notBefore: now + pause })
    this.#wantedSince.delete(nodeId)
  }

  /** An attempt has failed. */
  failed({ nodeId, released, seen }: MeshLink, now: number): void {
    const failures = this.failuresOf(nodeId) + (released ? 0 : 1)
    const { redialMinMs, redialMaxMs } = this.#tuning
    const pause = Math.min(redialMaxMs, redialMinMs * 2 ** failures) * (0.5 + this.#random() / 2)
    const unanswered = seen.size > 0 ? 0 : this.unansweredBy(nodeId) + 1
    this.#redials.set(nodeId, { failures, unanswered, notBefore: now + pause })
  }

  /** There is no reason for a pause any more. */
  clear(nodeId: NodeId): void {
    this.#redials.delete(nodeId)
  }

  /** Nothing is kept of members that are nobody any more. */
  forget(isNobody: (nodeId: NodeId) => boolean): void {
    for (const known of [this.#redials, this.#wantedSince]) {
      for (const nodeId of known.keys()) if (isNobody(nodeId)) known.delete(nodeId)
    }
  }
}
