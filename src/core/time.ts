/**
 * One reading of both clocks of a process, in milliseconds.
 *
 * `mono` never steps and is what every deadline is measured in; it may stand still while the machine sleeps.
 * `wall` is the time of day; it may step, and is used for what people read and for what must survive sleep.
 */
export interface Now {
  readonly mono: number
  readonly wall: number
}

/**
 * How old rights get: between any two looks by whichever clock went further. So neither a machine that slept while one of
 * them stood still, nor a clock that was set back before that, makes one younger than it is.
 */
export class AgeClock {
  #age = 0
  #last: Now | undefined

  /** To be called at each input. */
  advance(now: Now): void {
    this.#age = this.at(now)
    this.#last = now
  }

  /** Of two of these the difference is how old the first is at the second, in ms. */
  at(now: Now): number {
    const last = this.#last ?? now
    return this.#age + Math.max(0, now.mono - last.mono, now.wall - last.wall)
  }
}

/** A uniform number in [0, 1). The core has no randomness of its own: the platform or the simulator gives it. */
export type Random = () => number
