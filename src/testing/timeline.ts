/** Virtual time: what happens next, and when. The simulator's only queue. */
import { EventHeap } from './heap.ts'

/** Something that an event is for. `payload` is whatever was given with the event. */
export interface Target {
  fire(payload: unknown): void
}

interface Entry {
  time: number
  sequence: number
  target: Target
  payload: unknown
}

/**
 * All times are multiples of 1/64 ms: sums of them are exact in a double, so that a deadline and the wake-up for it
 * never differ by a rounding error.
 */
export const GRID_MS = 1 / 64

/** The first time on the grid that is not before `time`. */
export const onGrid = (time: number): number => Math.ceil(time * 64) / 64

/** A queue of events in virtual time. Entries are pooled: millions of messages leave no garbage. */
export class Timeline {
  readonly #heap = new EventHeap<Entry>()
  readonly #pool: Entry[] = []
  #now = 0
  #sequence = 0

  /** Virtual ms since the run began. */
  get now(): number {
    return this.#now
  }

  get pending(): number {
    return this.#heap.size
  }

  /** Fires `target` at `time` (or now, if that has passed), after everything already set for that moment. */
  at(time: number, target: Target, payload: unknown): void {
    const due = Math.max(onGrid(time), this.#now)
    const entry = this.#pool.pop()
    if (entry === undefined) {
      this.#heap.push({ time: due, sequence: this.#sequence++, target, payload })
      return
    }
    entry.time = due
    entry.sequence = this.#sequence++
    entry.target = target
    entry.payload = payload
    this.#heap.push(entry)
  }

  /** Calls `run` after `delayMs`. For what is rare; messages use `at`. */
  after(delayMs: number, run: () => void): void {
    this.at(this.#now + delayMs, CALL, run)
  }

  /** Runs everything up to and including `end`, which is then the time. Stops early if `stop` says so. */
  runUntil(end: number, stop?: () => boolean): void {
    for (let next = this.#heap.peek(); next !== undefined && next.time <= end; next = this.#heap.peek()) {
      if (stop?.()) return
      this.#heap.pop()
      const { target, payload } = next
      this.#now = next.time
      next.target = CALL
      next.payload = undefined
      this.#pool.push(next)
      target.fire(payload)
    }
    this.#now = Math.max(this.#now, end)
  }
}

const CALL: Target = {
  fire(payload) {
    ;(payload as (() => void) | undefined)?.()
  },
}
