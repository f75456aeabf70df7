/** What became of calls, for metrics: `accepted` = those that ended, by how, and those that are open. */
import type { CallErrorCode } from './call.ts'

export class CallCounts {
  accepted = 0
  /** Messages that carried a call, the first of each and all that followed. */
  attempts = 0
  /** Attempts that had no answer in time. */
  timeouts = 0
  /** Attempts that were sent on to another. */
  redirects = 0
  readonly #ended = new Map<CallErrorCode | 'result', number>()

  of(end: CallErrorCode | 'result'): number {
    return this.#ended.get(end) ?? 0
  }

  /** Accepted, and without an end. */
  get open(): number {
    let open = this.accepted
    for (const count of this.#ended.values()) open -= count
    return open
  }

  ended(end: CallErrorCode | 'result'): void {
    this.#ended.set(end, this.of(end) + 1)
  }
}
