/**
 * Runs what it is given, in order: at once, as long as that is little. Of much, the page's other tasks have their turn in
 * between: whoever has to draw or to answer a probe does not wait for hundreds of handlers.
 */
import type { Clock } from '../ports.ts'

/** So many are begun one right after the other; what they lead to is let through before the next ones. */
const MAX_BEGUN = 32
/** From here on it is found out whether a task has ended meanwhile, for which one has to be made. */
const COUNT_FROM = 8
/** A task goes on for this long, in ms: half of what a screen has for a frame. */
const SLICE_MS = 8
/** As many as the continuation of a few promises takes. */
const MICROTASK_ROUNDS = 8

export class SlicedRunner<T> {
  readonly #clock: Clock
  readonly #run: (item: T) => void
  #waiting: T[] = []
  /** Of those that wait, the first that has not been run. */
  #head = 0
  #isDraining = false
  /** In this task, about. */
  #begun = 0
  #isCounting = false
  #since = 0

  constructor(clock: Clock, run: (item: T) => void) {
    this.#clock = clock
    this.#run = run
  }

  push(item: T): void {
    if (this.#waiting.length === 0 && this.#begun < MAX_BEGUN) {
      if (++this.#begun === COUNT_FROM) this.#count()
      return this.#run(item)
    }
    this.#waiting.push(item)
    if (!this.#isDraining) void this.#drain()
  }

  /** A task begins: whatever was begun before was in others. Nobody need find out by one that is made for that. */
  newTask(): void {
    if (!this.#isCounting) this.#begun = 0
  }

  /** What has not been run never is. */
  clear(): void {
    this.#waiting = []
    this.#head = 0
  }

  async #drain(): Promise<void> {
    this.#isDraining = true
    while (this.#waiting.length > 0) {
      for (let round = 0; round < MICROTASK_ROUNDS; round++) await undefined
      if (this.#clock.now().mono - this.#since >= SLICE_MS) await this.#nextTask()
      for (let i = 0; i < MAX_BEGUN && this.#head < this.#waiting.length; i++)
        this.#run(this.#waiting[this.#head++]!)
      if (this.#head === this.#waiting.length) this.clear()
    }
    this.#isDraining = false
  }

  #count(): void {
    this.#isCounting = true
    this.#since = this.#clock.now().mono
    this.#clock.timer(0, () => {
      this.#isCounting = false
      this.#begun = 0
    })
  }

  #nextTask(): Promise<void> {
    return new Promise((resolve) => {
      this.#clock.timer(0, () => {
        this.#since = this.#clock.now().mono
        resolve()
      })
    })
  }
}
