import type { Clock } from '../../ports.ts'

/** Runs what is handed to it later, in the order it was handed over, and never in the caller's turn. */
export type Deliver = (run: () => void) => void

/**
 * One line of delivery. Without a latency it takes a microtask; with one, a timer of `clock`, and what was handed
 * over first still runs first.
 */
export function createDelivery(latencyMs: number, clock: Clock | undefined): Deliver {
  if (latencyMs <= 0 || !clock) return queueMicrotask
  const waiting: (() => void)[] = []
  return (run) => {
    waiting.push(run)
    clock.timer(latencyMs, () => waiting.shift()?.())
  }
}
