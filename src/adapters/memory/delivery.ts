import type { CancelTimer, Clock } from '../../ports.ts'

/** Runs what is handed to it later, in the order it was handed over, and never in the caller's turn. */
export type Deliver = (run: () => void) => void

/**
 * One line of delivery. Without a latency it takes a microtask; with one, a timer of `clock` or else of the platform,
 * and what was handed over first still runs first.
 */
export function createDelivery(latencyMs: number, clock: Clock | undefined): Deliver {
  if (latencyMs <= 0) return queueMicrotask
  const timer: Clock['timer'] = clock ? (delayMs, run) => clock.timer(delayMs, run) : platformTimer
  const waiting: (() => void)[] = []
  return (run) => {
    waiting.push(run)
    timer(latencyMs, () => waiting.shift()?.())
  }
}

function platformTimer(delayMs: number, callback: () => void): CancelTimer {
  const timer = setTimeout(callback, delayMs)
  return () => clearTimeout(timer)
}
