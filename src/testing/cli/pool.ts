/** Spreads jobs over worker threads. Every worker runs the same bundled file as the command itself. */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { SimOptions } from './options.ts'

/** Messages in flight outlive a small nursery: with a large one, collecting them costs half as much. */
const RESOURCES = { maxYoungGenerationSizeMb: 96, maxOldGenerationSizeMb: 8_192 }

/**
 * Runs every job under `options`; `onOutcome` hears of each as it ends, in any order. The result is in the order of
 * the jobs. Rejects if a worker dies: that is an error of the simulator, never of a node under test.
 */
export async function runJobs<Job, Outcome>(
  entry: URL,
  options: SimOptions,
  jobs: readonly Job[],
  onOutcome: (outcome: Outcome) => void,
): Promise<Outcome[]> {
  const queue = jobs.entries()
  const outcomes: Outcome[] = []
  const work = async (): Promise<void> => {
    const worker = new Worker(entry, { workerData: options, resourceLimits: RESOURCES })
    try {
      for (const [index, job] of queue) {
        worker.postMessage(job)
        const [outcome] = (await once(worker, 'message')) as [Outcome]
        outcomes[index] = outcome
        onOutcome(outcome)
      }
    } finally {
      await worker.terminate()
    }
  }
  await Promise.all(Array.from({ length: options.workers }, work))
  return outcomes
}
