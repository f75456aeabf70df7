/**
 * GrainNews: what grains have to tell the user, in events that stay few. A room that loses a window moves hundreds of
 * partitions and activates as many grains in one go: what is alike then is one event with a count.
 */
import type { EventBody } from '../events.ts'

/** Events that may stand for several. */
export type CountedEvent = Extract<EventBody, { readonly count: number }>

/** One by one, up to so many in each `WINDOW_MS`. */
export const MAX_EVENTS = 20
const WINDOW_MS = 1_000

interface Group {
  readonly event: CountedEvent
  count: number
}

export class GrainNews {
  readonly #tell: (event: EventBody) => void
  readonly #groups = new Map<string, Group>()
  #left = MAX_EVENTS
  #windowEndsAt = -Infinity

  constructor(tell: (event: EventBody) => void) {
    this.#tell = tell
  }

  /** Told at once, or, when there were many, together with others of its group. */
  add(event: CountedEvent, group: string, now: number): void {
    this.#enter(now)
    if (this.#left > 0 && !this.#groups.has(group)) this.#spend(event, now)
    else this.gather(event, group)
  }

  /** Told with all others of its group that come before `settle`. */
  gather(event: CountedEvent, group: string): void {
    const known = this.#groups.get(group)
    if (known) known.count += event.count
    else this.#groups.set(group, { event, count: event.count })
  }

  /** To be called at the end of a turn. */
  settle(now: number): void {
    if (this.#groups.size === 0) return
    this.#enter(now)
    for (const [name, { event, count }] of this.#groups) {
      if (this.#left === 0) return
      this.#groups.delete(name)
      this.#spend({ ...event, count }, now)
    }
  }

  nextDeadline(): number {
    return this.#groups.size > 0 ? this.#windowEndsAt : Infinity
  }

  #enter(now: number): void {
    if (now >= this.#windowEndsAt) this.#left = MAX_EVENTS
  }

  #spend(event: CountedEvent, now: number): void {
    if (this.#left-- === MAX_EVENTS) this.#windowEndsAt = now + WINDOW_MS
    this.#tell(event)
  }
}
