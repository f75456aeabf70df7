/** The command behind `npm run sim`. Started as a worker, the same file runs the seeds that it is sent. */
import { availableParallelism } from 'node:os'
import process from 'node:process'
import { isMainThread, parentPort, workerData } from 'node:worker_threads'
import { HELP, parseSimOptions } from './options.ts'
import type { SimOptions } from './options.ts'
import { runSeeds } from './pool.ts'
import { report, violationLines } from './report.ts'
import { runSeed } from './run-seed.ts'
import type { SeedOutcome } from './run-seed.ts'

const PROGRESS_EVERY_MS = 5_000

async function main(): Promise<number> {
  const parsed = parseSimOptions(process.argv.slice(2), availableParallelism())
  if (parsed.kind === 'help') {
    process.stdout.write(HELP)
    return 0
  }
  if (parsed.kind === 'wrong') {
    process.stderr.write(`${parsed.problems.join('\n')}\nSee npm run sim -- --help\n`)
    return 2
  }
  const { options } = parsed
  const started = performance.now()
  const outcomes = options.seeds === 1 ? [runOne(options)] : await runMany(options, started)
  process.stdout.write(`${report(options, outcomes, performance.now() - started)}`)
  const violated = outcomes.some(({ violations }) => violations.length > 0)
  return violated && options.model === 'core' ? 1 : 0
}

function runOne(options: SimOptions): SeedOutcome {
  const print = (line: string): void => void process.stdout.write(`${line}\n`)
  const outcome = runSeed(options, options.firstSeed, options.trace ? print : undefined)
  if (options.trace) print('')
  return outcome
}

async function runMany(options: SimOptions, started: number): Promise<SeedOutcome[]> {
  const progress = new Progress(options, started)
  try {
    return await runSeeds(new URL(import.meta.url), options, (outcome) => progress.add(outcome))
  } finally {
    progress.end()
  }
}

/** One line that rewrites itself on a terminal, a new line now and then elsewhere. */
class Progress {
  readonly #options: SimOptions
  readonly #started: number
  readonly #live = process.stderr.isTTY
  #done = 0
  #failing = 0
  #shownAt = 0

  constructor(options: SimOptions, started: number) {
    this.#options = options
    this.#started = started
    this.#show(0)
  }

  add(outcome: SeedOutcome): void {
    this.#done++
    const failed = outcome.violations.length > 0 && this.#options.model === 'core'
    if (failed) {
      this.#failing++
      this.end()
      process.stderr.write(`${violationLines(this.#options, outcome)}\n`)
    }
    const now = performance.now()
    if (this.#live || now - this.#shownAt > PROGRESS_EVERY_MS) this.#show(now)
  }

  end(): void {
    if (this.#live) process.stderr.write('\r\u001b[K')
  }

  #show(now: number): void {
    this.#shownAt = now
    const { seeds, nodes, workers } = this.#options
    const left = this.#done > 0 ? ((now - this.#started) / this.#done) * (seeds - this.#done) : 0
    const rest = this.#done > 0 ? `, about ${Math.ceil(left / 1_000)} s left` : ` on ${workers} thread(s)`
    const trouble = this.#failing > 0 ? `, ${this.#failing} with violations` : ''
    const line = `${this.#done}/${seeds} seeds of ${nodes} nodes${trouble}${rest}`
    process.stderr.write(this.#live ? `\r\u001b[K${line}` : `${line}\n`)
  }
}

if (isMainThread) {
  process.exitCode = await main()
} else {
  const options = workerData as SimOptions
  parentPort?.on('message', (seed: number) => {
    parentPort?.postMessage(runSeed(options, seed))
  })
}
