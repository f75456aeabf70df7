/**
 * How many links are begun at once, and when. Where a crowd joins on a few machines, each link under way slows all
 * others. So the time that a link takes is the clock of the next ones (as acknowledgements clock TCP: Jacobson,
 * "Congestion Avoidance and Control", SIGCOMM 1988); and since the links of a room that is half known are mostly those
 * that nobody keeps, a newcomer goes in by one, which makes the crowd a tree, and where that was slow seeks the others
 * when it knows the room and the crowd is in. Where links are fast, none of this is noticed.
 */
import type { MeshLink } from './mesh-link.ts'

/** Links that take up to this many ms are fast: as many are begun at once as may be; of slower ones fewer. */
const FAST_MS = 250
/** A new value counts so much (RFC 6298's alpha is 1/8; links are few). */
const ALPHA = 1 / 4
/** A newcomer whose contact has not answered its offer for so long tries the next one beside it ... */
const HEDGE_MS = 1_000
/** ... or, where offers are slow to make, for so many times as long as its own took, and for no longer than this. */
const SLOW_OFFERS = 2
const MAX_HEDGE_MS = 3_000
/** A transport that has made no offer after this long is waited for no more. */
const NO_OFFER_MS = 5_000
/** A newcomer whose first link was not fast seeks the others when it knows the room, this much later at most. */
const MAX_REST_MS = 5_000
/** Where channels take longer than this, many join at once: the others wait until nobody has come or gone ... */
const CROWD_MS = 500
/** ... for as long as so many links take. */
const QUIET_LINKS = 2

export class DialPace {
  readonly #maxDials: number
  #usualMs = 0
  #isKnown = false
  #joinedAt: number | undefined
  #changedAt = -Infinity
  /** A contact has said nothing for as long as it was given. */
  #isImpatient = false
  readonly #leisure: number

  /**
   * @param maxDials attempts at once where links are fast
   * @param leisure from 1 to 2, another number for each member: those of a crowd that saw the same member come last do
   *   not all dial at the same moment
   */
  constructor(maxDials: number, leisure = 1) {
    this.#maxDials = maxDials
    this.#leisure = leisure
  }

  /** How long a link takes, smoothed, in ms; 0 where none was made yet. */
  get usualMs(): number {
    return this.#usualMs
  }

  /** Until `joined`. */
  get isNew(): boolean {
    return this.#joinedAt === undefined
  }

  /** A link was made, `ms` after its other end was first heard: a signal that was lost says nothing of the pace. */
  made(ms: number): void {
    this.#usualMs = this.#isKnown ? this.#usualMs + ALPHA * (ms - this.#usualMs) : ms
    this.#isKnown = true
  }

  /** This member knows the room, and the room knows it. */
  joined(now: number): void {
    this.#joinedAt = now
  }

  /** An attempt has said nothing for as long as it was given: the next ones are given less. */
  hedged(): void {
    this.#isImpatient = true
  }

  /** A member has come or gone. */
  changed(now: number): void {
    this.#changedAt = now
  }

  /** How many attempts may be under way. Whoever knows nothing of links yet begins with one. */
  get atOnce(): number {
    if (!this.#isKnown) return 1
    return Math.max(1, Math.min(this.#maxDials, Math.floor((this.#maxDials * FAST_MS) / this.#usualMs)))
  }

  /** From when on a member that is wanted since then may be dialled, beside a link that is there. */
  opensAt(wantedSince: number): number {
    if (this.#usualMs <= FAST_MS) return Math.max(wantedSince, this.#joinedAt ?? wantedSince)
    const joinedAt = this.#joinedAt ?? Infinity
    const isOfCrowd = this.#usualMs > CROWD_MS && wantedSince < joinedAt + MAX_REST_MS
    const quietAt = isOfCrowd ? this.#changedAt + QUIET_LINKS * this.#usualMs * this.#leisure : -Infinity
    return Math.max(wantedSince, Math.min(Math.max(joinedAt, quietAt), wantedSince + MAX_REST_MS))
  }

  /** When an attempt is no reason any more to wait with the next one: a handshake is none, but in a crowd. */
  hedgeAt({ seen, startedAt, offeredAt, openedAt }: MeshLink): number {
    if (openedAt !== undefined) {
      const tookMs = openedAt - startedAt
      return tookMs > CROWD_MS ? openedAt + Math.max(HEDGE_MS, tookMs) : openedAt
    }
    if (this.#isKnown || seen.size > 0) return Infinity
    if (this.#isImpatient) return (offeredAt ?? startedAt) + HEDGE_MS
    if (offeredAt === undefined) return startedAt + NO_OFFER_MS
    const patienceMs = Math.max(HEDGE_MS, SLOW_OFFERS * (offeredAt - startedAt))
    return offeredAt + Math.min(MAX_HEDGE_MS, patienceMs)
  }
}
