import type { CancelTimer, Clock, Now } from '../../ports.ts'
import { createAlarm, type Alarm } from './alarm.ts'
import { createNextTask } from './next-task.ts'

/** A clock that tells what its timers run on, for tests and diagnostics. */
export interface BrowserClock extends Clock {
  /** Whether a worker keeps the time now; otherwise the main thread does, late while the page is hidden. */
  readonly worker: boolean
  /** Timers of this page that are still to fire, those of every clock. */
  readonly pending: number
}

/**
 * The platform's clock: `mono` from `performance.now()`, `wall` from `Date.now()`. Works in Node, too. All clocks of
 * a page share one worker, started with the first timer and ended some seconds after the last. No callback runs
 * before `mono` has reached the time it was asked for. A timer without a delay asks neither: it is the next task, in
 * a hidden tab too.
 */
export function createBrowserClock(): BrowserClock {
  return {
    now,
    timer: (delayMs, callback) => timers().add(delayMs, callback),
    get worker() {
      return shared?.worker ?? false
    },
    get pending() {
      return shared?.pending ?? 0
    },
  }
}

function now(): Now {
  return { mono: performance.now(), wall: Date.now() }
}

let shared: TimerQueue | undefined

function timers(): TimerQueue {
  shared ??= new TimerQueue()
  return shared
}

interface Timer {
  readonly due: number
  readonly callback: () => void
}

/** Many timers on one alarm. */
class TimerQueue {
  readonly #timers = new Set<Timer>()
  /** Those without a delay. */
  readonly #soon = new Set<{ readonly callback: () => void }>()
  readonly #nextTask = createNextTask()
  readonly #alarm: Alarm = createAlarm(() => this.#wake())
  /** What the alarm is set for; a cancelled timer leaves it, so that moving a deadline later costs no message. */
  #armedFor: number | undefined

  get pending(): number {
    return this.#timers.size + this.#soon.size
  }

  get worker(): boolean {
    return this.#alarm.worker
  }

  add(delayMs: number, callback: () => void): CancelTimer {
    // not a number counts as no delay, as it does for setTimeout
    if (!(delayMs > 0)) return this.#addSoon(callback)
    const timer = { due: performance.now() + delayMs, callback }
    this.#timers.add(timer)
    this.#arm()
    return () => {
      if (this.#timers.delete(timer) && this.#timers.size === 0) this.#disarmSoon()
    }
  }

  #addSoon(callback: () => void): CancelTimer {
    const timer = { callback }
    this.#soon.add(timer)
    this.#nextTask(() => {
      if (this.#soon.delete(timer)) run(timer.callback)
    })
    return () => void this.#soon.delete(timer)
  }

  #wake(): void {
    this.#armedFor = undefined
    const time = performance.now()
    const due = [...this.#timers].filter((timer) => timer.due <= time).sort((a, b) => a.due - b.due)
    for (const timer of due) {
      // an earlier callback may have cancelled it
      if (this.#timers.delete(timer)) run(timer.callback)
    }
    if (this.#timers.size === 0) this.#disarm()
    else this.#arm()
  }

  #arm(): void {
    let next = Infinity
    for (const timer of this.#timers) next = Math.min(next, timer.due)
    if (this.#armedFor !== undefined && this.#armedFor <= next) return
    this.#armedFor = next
    this.#alarm.set(next - performance.now())
  }

  /** A timer is often cancelled to be set again at once. */
  #disarmSoon(): void {
    queueMicrotask(() => {
      if (this.#timers.size === 0) this.#disarm()
    })
  }

  #disarm(): void {
    this.#armedFor = undefined
    this.#alarm.clear()
  }
}

/** An error in one callback is the page's to see, and does not keep the others from running. */
function run(callback: () => void): void {
  try {
    callback()
  } catch (error) {
    queueMicrotask(() => {
      throw error
    })
  }
}
