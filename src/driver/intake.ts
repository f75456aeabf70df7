/**
 * Intake: what comes over links, one after the other as long as that is little. Where one message comes right behind the
 * other, each would cost the other end an answer of its own, and the page would come to nothing else before all were
 * done: so the next ones wait for the task that follows, are handled together, and let the page have its turns.
 */
import type { Input } from '../core/events.ts'
import type { CancelTimer, Clock, Now } from '../ports.ts'

/** Messages between which the process had nothing to do for no longer than this, in ms, come right behind each other. */
const GAP_MS = 0.2
/** One call leads to fewer in a row: a reply, and what its replicas say. */
const MANY = 4
/**
 * Handled together up to so many messages and bytes: replies to all of them leave in one message, and the other end has
 * nothing to do until then. More than some thirty calls are slower again.
 */
const MOST = 16
const MOST_BYTES = 1_536
/** Then the page has its turn, in ms. */
const SLICE_MS = 4

export class Intake {
  readonly #clock: Clock
  readonly #feed: (inputs: Input | readonly Input[], now: Now) => void
  #waiting: Input[] = []
  #cancel: CancelTimer | undefined
  #endedAt = -Infinity
  #inRow = 0

  constructor(clock: Clock, feed: (inputs: Input | readonly Input[], now: Now) => void) {
    this.#clock = clock
    this.#feed = feed
  }

  take(input: Input): void {
    if (this.#cancel) return void this.#waiting.push(input)
    const now = this.#clock.now()
    this.#inRow = now.mono - this.#endedAt < GAP_MS ? this.#inRow + 1 : 0
    if (this.#inRow >= MANY) {
      this.#waiting.push(input)
      return this.#plan()
    }
    this.#feed(input, now)
    this.#endedAt = this.#clock.now().mono
  }

  stop(): void {
    this.#cancel?.()
    this.#waiting = []
  }

  #plan(): void {
    this.#cancel = this.#clock.timer(0, () => this.#goOn())
  }

  #goOn(): void {
    const waiting = this.#waiting
    let now = this.#clock.now()
    const end = now.mono + SLICE_MS
    let at = 0
    try {
      do {
        const from = at
        let bytes = 0
        do {
          const input = waiting[at++]!
          bytes += input.type === 'link-message' ? input.bytes.length : 0
        } while (at < waiting.length && at - from < MOST && bytes < MOST_BYTES)
        this.#feed(waiting.slice(from, at), now)
        now = this.#clock.now()
        this.#endedAt = now.mono
      } while (at < waiting.length && now.mono < end)
    } finally {
      // Also after a turn in which a listener threw: what else has come is not held up by it.
      this.#cancel = undefined
      this.#waiting = this.#waiting.slice(at)
      if (this.#waiting.length > 0) this.#plan()
    }
  }
}
