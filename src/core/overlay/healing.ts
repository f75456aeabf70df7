/**
 * Asks the signaling server for contacts now and then, so that partitions are found even where nobody remembers the
 * other side. Each member asks the more rarely the more there are, so that the room's total rate stays constant.
 */
import type { Outbox } from '../outbox.ts'
import type { Random } from '../time.ts'

/** A newcomer whose contacts are gone, or unanswered, asks for others this soon. */
const ASK_AGAIN_MS = 250

export class Healing {
  readonly #outbox: Outbox
  readonly #random: Random
  readonly #roomIntervalMs: number
  #askAt: number | undefined

  constructor(outbox: Outbox, random: Random, roomIntervalMs: number) {
    this.#outbox = outbox
    this.#random = random
    this.#roomIntervalMs = roomIntervalMs
  }

  /** The signaling server answers. */
  begin(now: number, members: number): void {
    this.#askAt ??= now + this.#interval(members)
  }

  end(): void {
    this.#askAt = undefined
  }

  askSoon(now: number): void {
    this.#askAt = Math.min(this.#askAt ?? Infinity, now + ASK_AGAIN_MS)
  }

  tick(now: number, members: number): void {
    if (this.#askAt === undefined || now < this.#askAt) return
    this.#askAt = now + this.#interval(members)
    this.#outbox.push({ type: 'signaling-contacts' })
  }

  nextDeadline(): number | undefined {
    return this.#askAt
  }

  #interval(members: number): number {
    return this.#roomIntervalMs * Math.max(1, members) * (0.5 + this.#random())
  }
}
