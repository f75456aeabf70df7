/** Keeps all relayed links of a process below what the signaling server lets its connection relay. */
import type { CancelTimer, Clock, RelayRate } from '../../ports.ts'

/** A link that has something to send. */
export interface PacedSender {
  /** What its next piece costs, at most `largest`; 0 when it has nothing to send any more. */
  nextCost(largest: number): number
  /** Sends a piece that costs what `nextCost` has just said. */
  sendNext(largest: number): void
}

/**
 * Parts of the server's rate that are used. What was sent evenly arrives in bunches where the network was slow, and
 * what is over the rate there costs the link: half the burst allows for two seconds of that.
 */
const PART_OF_BURST = 0.5
const PART_OF_RATE = 0.9

/** A token bucket that waiting links draw from in turn. */
export class Pacer {
  readonly #clock: Clock
  /** In the order in which they get their turns. */
  readonly #waiting = new Set<PacedSender>()
  #rate: RelayRate | undefined
  #level = 0
  #filledAt = 0
  #cancelTimer: CancelTimer | undefined
  #running = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get rate(): RelayRate | undefined {
    return this.#rate
  }

  /** A new rate begins with a full bucket, as does the server's for the connection that it is of. */
  setRate(rate: RelayRate | undefined): void {
    this.#rate = rate && {
      bytesPerSecond: rate.bytesPerSecond * PART_OF_RATE,
      burst: Math.max(1, Math.floor(rate.burst * PART_OF_BURST)),
    }
    this.#level = this.#rate?.burst ?? 0
    this.#filledAt = this.#clock.now().mono
    this.#run()
  }

  /** Gives `sender` its turns, until it has nothing to send. */
  enter(sender: PacedSender): void {
    this.#waiting.add(sender)
    this.#run()
  }

  leave(sender: PacedSender): void {
    this.#waiting.delete(sender)
  }

  #run(): void {
    if (this.#running) return
    this.#running = true
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    for (let next = this.#first(); next && this.#rate; next = this.#first()) {
      const { burst, bytesPerSecond } = this.#rate
      this.#fill(burst, bytesPerSecond)
      this.#waiting.delete(next)
      const cost = next.nextCost(burst)
      if (cost === 0) continue
      if (cost > this.#level) {
        // At the front again, so that a large piece is not overtaken for ever.
        const others = [...this.#waiting]
        this.#waiting.clear()
        for (const sender of [next, ...others]) this.#waiting.add(sender)
        const pauseMs = Math.ceil(((cost - this.#level) * 1_000) / bytesPerSecond)
        this.#cancelTimer = this.#clock.timer(pauseMs, () => this.#run())
        break
      }
      this.#level -= cost
      this.#waiting.add(next)
      next.sendNext(burst)
    }
    this.#running = false
  }

  #first(): PacedSender | undefined {
    for (const sender of this.#waiting) return sender
    return undefined
  }

  #fill(burst: number, bytesPerSecond: number): void {
    const { mono } = this.#clock.now()
    const elapsed = Math.max(0, mono - this.#filledAt)
    this.#filledAt = mono
    this.#level = Math.min(burst, this.#level + (elapsed * bytesPerSecond) / 1_000)
  }
}
