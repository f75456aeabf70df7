/** A clock driven by hand, for tests of whatever takes the `Clock` port. */
import type { CancelTimer, Clock, Now } from '../ports.ts'
import { EventHeap } from './heap.ts'

interface Timer {
  time: number
  sequence: number
  callback: (() => void) | undefined
}

export interface FakeClockOptions {
  /** First reading of the monotonic clock, in ms. Default 0. */
  readonly mono?: number
  /** First reading of the wall clock, in ms since 1970. Default 2026-01-01T00:00:00Z. */
  readonly wall?: number
}

/** Time stands still until `advance` is called; timers fire in the order of their deadlines. */
export class FakeClock implements Clock {
  readonly #timers = new EventHeap<Timer>()
  #mono: number
  #wallOffset: number
  #sequence = 0
  #pending = 0

  constructor({ mono = 0, wall = Date.UTC(2026, 0, 1) }: FakeClockOptions = {}) {
    this.#mono = mono
    this.#wallOffset = wall - mono
  }

  now(): Now {
    return { mono: this.#mono, wall: this.#mono + this.#wallOffset }
  }

  timer(delayMs: number, callback: () => void): CancelTimer {
    const delay = Number.isFinite(delayMs) ? Math.max(0, delayMs) : 0
    const timer: Timer = { time: this.#mono + delay, sequence: this.#sequence++, callback }
    this.#timers.push(timer)
    this.#pending++
    return () => {
      if (timer.callback === undefined) return
      timer.callback = undefined
      this.#pending--
    }
  }

  /** Timers that are set and neither fired nor cancelled. */
  get pending(): number {
    return this.#pending
  }

  /** When the next timer is due on the monotonic clock; `undefined` if there is none. */
  get nextDeadline(): number | undefined {
    for (let next = this.#timers.peek(); next !== undefined; next = this.#timers.peek()) {
      if (next.callback) return next.time
      this.#timers.pop()
    }
    return undefined
  }

  /**
   * Lets `ms` pass. Every timer fires at its own time, also those set by others on the way.
   * @throws RangeError if `ms` is negative or no number: a monotonic clock never goes back.
   */
  advance(ms: number): void {
    if (!(ms >= 0)) throw new RangeError(`advance: ms must be 0 or more, got ${ms}`)
    const end = this.#mono + ms
    for (let due = this.nextDeadline; due !== undefined && due <= end; due = this.nextDeadline) {
      const timer = this.#timers.pop()!
      this.#mono = Math.max(this.#mono, due)
      const { callback } = timer
      timer.callback = undefined
      this.#pending--
      callback?.()
    }
    this.#mono = end
  }

  /** As `advance`, and after each timer lets promise reactions run. */
  async advanceAsync(ms: number): Promise<void> {
    if (!(ms >= 0)) throw new RangeError(`advanceAsync: ms must be 0 or more, got ${ms}`)
    const end = this.#mono + ms
    await settle()
    for (let due = this.nextDeadline; due !== undefined && due <= end; due = this.nextDeadline) {
      this.advance(Math.max(0, due - this.#mono))
      await settle()
    }
    this.#mono = end
  }

  /** Steps the wall clock, as when a person sets the time. Timers do not notice. */
  stepWall(ms: number): void {
    this.#wallOffset += ms
  }

  /** Lets the wall clock run while the monotonic one stands still, as some machines do in sleep. */
  sleep(ms: number): void {
    this.stepWall(ms)
  }
}

/** A few turns of the microtask queue: enough for an await of an await. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 8; turn++) await undefined
}
