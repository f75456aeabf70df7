/**
 * How long the main thread does not come to anything else: the longest time between two turns of a timer. A timer, and
 * not messages that a page sends to itself without a break: where several tabs do that, they take from each other the
 * cores that they measure. What else the machine does is in it too, so compare it with a quiet time.
 */

/** In ms. Chromium makes timers that set timers wait for 4. */
const EVERY_MS = 4

export class Ticker {
  #last = 0
  #longest = 0
  #timer: ReturnType<typeof setTimeout> | undefined

  start(): void {
    this.#last = performance.now()
    this.#longest = 0
    this.#timer ??= setTimeout(() => this.#tick(), EVERY_MS)
  }

  /** The longest gap since `start`, in ms. */
  stop(): number {
    clearTimeout(this.#timer)
    this.#timer = undefined
    return Math.max(this.#longest, performance.now() - this.#last)
  }

  #tick(): void {
    const now = performance.now()
    this.#longest = Math.max(this.#longest, now - this.#last)
    this.#last = now
    this.#timer = setTimeout(() => this.#tick(), EVERY_MS)
  }
}
