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

/** A uniform number in [0, 1). The core has no randomness of its own: the platform or the simulator gives it. */
export type Random = () => number
