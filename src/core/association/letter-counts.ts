/** What became of all messages: `accepted` = those that ended, and those that are pending. */
import type { Outcome } from '../events.ts'

export class LetterCounts {
  #accepted = 0
  #handedOn = 0
  readonly #ended = new Map<Outcome, number>()

  /** Accepted to be sent, since the life began. */
  get total(): number {
    return this.#accepted
  }

  /** Accepted, and without an outcome. */
  get pending(): number {
    let pending = this.#accepted - this.#handedOn
    for (const count of this.#ended.values()) pending -= count
    return pending
  }

  of(outcome: Outcome): number {
    return this.#ended.get(outcome) ?? 0
  }

  accepted(): void {
    this.#accepted++
  }

  /** Given to the next life, which accepts it anew. */
  handedOn(): void {
    this.#handedOn++
  }

  ended(outcome: Outcome): void {
    this.#ended.set(outcome, this.of(outcome) + 1)
  }
}
