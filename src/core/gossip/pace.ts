/**
 * How often changes are forwarded: a few at once, and then so many a second (a token bucket). A change now and then goes
 * on within milliseconds; where hundreds come each second, as when many members are lost or join together, they travel
 * in larger batches, and most have come by several ways before they are sent on by another one.
 */

/** Batches that go out at once. */
const BURST = 10
/** After those, the time from one to the next. */
const EVERY_MS = 50

export class Pace {
  #tokens = BURST
  #filledAt = 0

  /** When the next batch is due, if something has come now that is to be gathered for `debounceMs`. */
  next(now: number, debounceMs: number): number {
    this.#fill(now)
    return now + Math.max(debounceMs, (1 - this.#tokens) * EVERY_MS)
  }

  /** A batch is sent. */
  took(now: number): void {
    this.#fill(now)
    this.#tokens = Math.max(0, this.#tokens - 1)
  }

  #fill(now: number): void {
    this.#tokens = Math.min(BURST, this.#tokens + (now - this.#filledAt) / EVERY_MS)
    this.#filledAt = now
  }
}
