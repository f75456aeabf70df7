import type { Rate } from './limits.ts'

/** Allows `burst` at once and `perSecond` in the long run. Times in ms of a clock that never steps. */
export class TokenBucket {
  private readonly rate: Rate
  private level: number
  private filledAt: number

  constructor(rate: Rate, now: number) {
    this.rate = rate
    this.level = rate.burst
    this.filledAt = now
  }

  /** Takes `cost` if that much is there. What is refused costs nothing. */
  take(cost: number, now: number): boolean {
    this.fill(now)
    if (this.level < cost) return false
    this.level -= cost
    return true
  }

  /** Whether nothing would be lost by forgetting this bucket and starting a new one. */
  isFull(now: number): boolean {
    this.fill(now)
    return this.level >= this.rate.burst
  }

  private fill(now: number): void {
    const elapsed = Math.max(0, now - this.filledAt)
    this.filledAt = now
    this.level = Math.min(this.rate.burst, this.level + (elapsed * this.rate.perSecond) / 1_000)
  }
}
