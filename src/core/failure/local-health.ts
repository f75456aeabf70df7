/**
 * How much this member trusts its own judgement (Lifeguard's local health multiplier: Dadgar, Phillips and Currey,
 * 2018). 0 is healthy. Misses that others disprove and late wake-ups raise it, good rounds lower it; timeouts grow with it, so that a
 * slow tab is slow to accuse.
 */
export class LocalHealth {
  readonly #max: number
  #score = 0

  /** `max`: how much worse than healthy it can get; 0 is always healthy. */
  constructor(max: number) {
    this.#max = max
  }

  /** What timeouts are multiplied with: 1 for a healthy member, at most 1 + `max`. */
  get multiplier(): number {
    return this.#score + 1
  }

  /** A probe was answered in time. */
  good(): void {
    this.#score = Math.max(0, this.#score - 1)
  }

  /** A probe failed while others answered, this member was late, or it had to refute an accusation. */
  bad(): void {
    this.#score = Math.min(this.#max, this.#score + 1)
  }
}
