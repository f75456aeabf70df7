/**
 * When whom to dial: pauses after failures, with jitter (Brooker, AWS Architecture Blog, 2015), and the turns of a
 * pair, whose lower nodeId dials first. A member that has links enough is asked more and more rarely: it may never
 * want this one.
 */
import type { NodeId } from '../identity/node-id.ts'
import type { Random } from '../time.ts'
import type { Tuning } from '../tuning.ts'
import type { MeshLink } from './mesh-link.ts'

interface Redial {
  readonly failures: number
  /** The newest attempts, in a row, to which nothing was answered. */
  readonly unanswered: number
  /** Grows by 1 where it had no place for a link, and by 2 where it gave one up; a link that lasted ends the row. */
  readonly declined: number
  readonly notBefore: number
  /** The newest attempt at a direct link was answered, but came to nothing. */
  readonly blocked: boolean
}

/** The higher nodeId of a pair leaves the dialling to the lower one for this long. */
export const PATIENCE_MS = 2_000
/** Whoever gave a link up is not asked for it again before; for twice as long each further time, up to a limit. */
const RELEASED_MS = 5_000
const RELEASED_MAX_MS = 120_000
/** A link that lived so long was wanted. */
const LASTED_MS = 60_000
/** A member that could not be linked to so often, or declined so often, is hard to reach. */
const HARD_FAILURES = 2
const HARD_DECLINED = 4

export class Redials {
  readonly #random: Random
  readonly #tuning: Tuning
  readonly #redials = new Map<NodeId, Redial>()
  readonly #wantedSince = new Map<NodeId, number>()

  constructor(random: Random, tuning: Tuning) {
    this.#random = random
    this.#tuning = tuning
  }

  /** Whether anything is kept of it. */
  knows(nodeId: NodeId): boolean {
    return this.#redials.has(nodeId) || this.#wantedSince.has(nodeId)
  }

  failuresOf(nodeId: NodeId): number {
    return this.#redials.get(nodeId)?.failures ?? 0
  }

  /** Whether a link to it is so unlikely that another member should be linked to beside it. */
  isHard(nodeId: NodeId): boolean {
    const { failures, declined } = this.#redials.get(nodeId) ?? NEVER_TRIED
    return failures >= HARD_FAILURES || declined >= HARD_DECLINED
  }

  isBlocked(nodeId: NodeId): boolean {
    return this.#redials.get(nodeId)?.blocked ?? false
  }

  /** Whether a link to anybody is so unlikely. */
  get hasHard(): boolean {
    for (const nodeId of this.#redials.keys()) if (this.isHard(nodeId)) return true
    return false
  }

  /** Attempts in a row to which a member answered nothing; a refusal is an answer. */
  unansweredBy(nodeId: NodeId): number {
    return this.#redials.get(nodeId)?.unanswered ?? 0
  }

  /** A link to it is wanted, and there is none. */
  wanted(nodeId: NodeId, now: number): void {
    if (!this.#wantedSince.has(nodeId)) this.#wantedSince.set(nodeId, now)
  }

  /** When a link to it was first wanted that is not there yet; 0 where none is wanted. */
  wantedSince(nodeId: NodeId): number {
    return this.#wantedSince.get(nodeId) ?? 0
  }

  /** When to dial, where that may begin at `from`. `isFirst`: this member need not wait for the other one to dial. */
  dueAt(nodeId: NodeId, isFirst: boolean, from: number): number {
    return Math.max(this.#redials.get(nodeId)?.notBefore ?? 0, isFirst ? from : from + PATIENCE_MS)
  }

  /** An established link has ended. */
  lost({ nodeId, relay, released, startedAt }: MeshLink, now: number): void {
    const before = now - startedAt < LASTED_MS ? (this.#redials.get(nodeId)?.declined ?? 0) : 0
    const declined = before + (released ? 2 : 0)
    const rest = released ? Math.min(RELEASED_MAX_MS, RELEASED_MS * 2 ** (declined / 2 - 1)) : 0
    const notBefore = now + this.#random() * this.#tuning.redialMinMs + rest
    const blocked = relay && this.isBlocked(nodeId)
    this.#redials.set(nodeId, { failures: 0, unanswered: 0, declined, notBefore, blocked })
    this.#wantedSince.delete(nodeId)
  }

  /** An attempt has failed. */
  failed({ nodeId, relay, released, seen, phase }: MeshLink, now: number): void {
    const known = this.#redials.get(nodeId) ?? NEVER_TRIED
    const failures = known.failures + (released ? 0 : 1)
    const declined = known.declined + (released ? 1 : 0)
    const { redialMinMs, redialMaxMs } = this.#tuning
    const pause = Math.min(redialMaxMs, redialMinMs * 2 ** (failures + declined)) * (0.5 + this.#random() / 2)
    const unanswered = seen.size > 0 ? 0 : known.unanswered + 1
    // Where relaying fails as well, the two are tried in turn.
    // A channel that did open, and was refused then, is no sign that none can be had.
    const blocked = !relay && seen.size > 0 && !released && phase === 'connecting'
    this.#redials.set(nodeId, { failures, unanswered, declined, notBefore: now + pause, blocked })
  }

  /** There is no reason for a pause any more. */
  clear(nodeId: NodeId): void {
    const declined = this.#redials.get(nodeId)?.declined ?? 0
    if (declined > 0) this.#redials.set(nodeId, { ...NEVER_TRIED, declined })
    else this.#redials.delete(nodeId)
  }

  /** Nothing is kept of members that are nobody any more. */
  forget(isNobody: (nodeId: NodeId) => boolean): void {
    for (const known of [this.#redials, this.#wantedSince]) {
      for (const nodeId of known.keys()) if (isNobody(nodeId)) known.delete(nodeId)
    }
  }
}

const NEVER_TRIED: Redial = { failures: 0, unanswered: 0, declined: 0, notBefore: 0, blocked: false }
