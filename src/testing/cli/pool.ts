/** Spreads seeds over worker threads. Every worker runs the same bundled file as the command itself. */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { SimOptions } from './options.ts'
import type { SeedOutcome } from './run-seed.ts'

/**
 * Runs every seed of `options`; `onOutcome` hears of each as it ends, in any order. The result is sorted by seed.
 * Rejects if a worker dies: that is an error of the simulator, never of a node under test.
 */
export async function runSeeds(
  entry: URL,
  options: SimOptions,
  onOutcome: (outcome: SeedOutcome) => void,
): Promise<SeedOutcome[]> {
  const seeds = Array.from({ length: options.seeds }, (_, i) => options.firstSeed + i)
  const queue = seeds.values()
  const outcomes: SeedOutcome[] = []
  const work = async (): Promise<void> => {
    const worker = new Worker(entry, { workerData: options })
    try {
      for (const seed of queue) {
        worker.postMessage(seed)
        const [outcome] = (await once(worker, 'message')) as [SeedOutcome]
        outcomes.push(outcome)
        onOutcome(outcome)
      }
    } finally {
      await worker.terminate()
    }
  }
  await Promise.all(Array.from({ length: options.workers }, work))
  return outcomes.sort((a, b) => a.seed - b.seed)
}
