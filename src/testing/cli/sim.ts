/** The command behind `npm run sim`. Started as a worker, the same file runs the jobs that it is sent. */
import { availableParallelism } from 'node:os'
import process from 'node:process'
import { isMainThread, parentPort, workerData } from 'node:worker_threads'
import { detectionReport, isFine, oddLines } from './detection-report.ts'
import { HELP } from './help.ts'
import { parseSimOptions } from './options.ts'
import type { DetectionSimOptions, OverlaySimOptions, SimOptions, StormOptions } from './options.ts'
import { isKept, overlayReport, overlayTrouble } from './overlay-report.ts'
import { runJobs } from './pool.ts'
import { Progress } from './progress.ts'
import { report, violationLines } from './report.ts'
import { runDetection, runOverlay, runSeed } from './run-seed.ts'
import type { DetectionJob, DetectionOutcome, OverlayJob, OverlayOutcome, SeedOutcome } from './run-seed.ts'

type Trace = (line: string) => void

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
  switch (options.scenario) {
    case 'storm':
      return runStorm(options)
    case 'detection':
      return runDetections(options)
    case 'overlay':
      return runOverlays(options)
  }
}

async function runStorm(options: StormOptions): Promise<number> {
  const seeds = Array.from({ length: options.seeds }, (_, i) => options.firstSeed + i)
  const started = performance.now()
  const perform = (seed: number, trace?: Trace) => runSeed(options, seed, trace)
  const trouble = (outcome: SeedOutcome): string =>
    options.model === 'core' && outcome.violations.length > 0 ? violationLines(options, outcome) : ''
  const outcomes = await run(options, seeds, 'seeds', perform, trouble)
  process.stdout.write(report(options, outcomes, performance.now() - started))
  const violated = outcomes.some(({ violations }) => violations.length > 0)
  return violated && options.model === 'core' ? 1 : 0
}

async function runDetections(options: DetectionSimOptions): Promise<number> {
  const jobs = detectionJobs(options)
  const started = performance.now()
  const perform = (job: DetectionJob, trace?: Trace) => runDetection(options, job, trace)
  const trouble = (outcome: DetectionOutcome): string => oddLines(options, outcome)
  const outcomes = await run(options, jobs, 'rooms', perform, trouble)
  process.stdout.write(detectionReport(options, outcomes, performance.now() - started))
  return isFine(options, outcomes) ? 0 : 1
}

async function runOverlays(options: OverlaySimOptions): Promise<number> {
  const jobs = overlayJobs(options)
  const started = performance.now()
  const perform = (job: OverlayJob, trace?: Trace) => runOverlay(options, job, trace)
  const trouble = (outcome: OverlayOutcome): string => overlayTrouble(options, outcome)
  const outcomes = await run(options, jobs, 'rooms', perform, trouble)
  process.stdout.write(overlayReport(options, outcomes, performance.now() - started))
  return isKept(outcomes) ? 0 : 1
}

/** Crowds first: they take longest. */
function overlayJobs({ seeds, joins, firstSeed }: OverlaySimOptions): OverlayJob[] {
  const jobs = (count: number, kind: OverlayJob['kind']): OverlayJob[] =>
    Array.from({ length: count }, (_, i) => ({ seed: firstSeed + i, kind }))
  return [...jobs(joins, 'join'), ...jobs(seeds, 'cluster')]
}

/** Every seed under every model, but the baseline only as often as it is asked for. */
function detectionJobs({ seeds, firstSeed, models, baselineSeeds }: DetectionSimOptions): DetectionJob[] {
  const jobs: DetectionJob[] = []
  for (let i = 0; i < seeds; i++) {
    for (const model of models) {
      if (model === 'core' || i < baselineSeeds) jobs.push({ seed: firstSeed + i, model })
    }
  }
  return jobs
}

/** A single job runs here, where it can print its trace; many on worker threads. */
async function run<Job, Outcome>(
  options: SimOptions,
  jobs: readonly Job[],
  what: string,
  perform: (job: Job, trace?: Trace) => Outcome,
  trouble: (outcome: Outcome) => string,
): Promise<Outcome[]> {
  if (options.trace || jobs.length === 1) {
    const print = (line: string): void => void process.stdout.write(`${line}\n`)
    const outcomes = jobs.map((job) => perform(job, options.trace ? print : undefined))
    if (options.trace) print('')
    return outcomes
  }
  const progress = new Progress(jobs.length, `${what} of ${options.nodes} nodes`, options.workers)
  try {
    return await runJobs<Job, Outcome>(new URL(import.meta.url), options, jobs, (outcome) => {
      progress.add(trouble(outcome))
    })
  } finally {
    progress.end()
  }
}

/** What a worker does with a job that it is sent. */
function perform(options: SimOptions, job: unknown): unknown {
  switch (options.scenario) {
    case 'storm':
      return runSeed(options, job as number)
    case 'detection':
      return runDetection(options, job as DetectionJob)
    case 'overlay':
      return runOverlay(options, job as OverlayJob)
  }
}

if (isMainThread) {
  process.exitCode = await main()
} else {
  const options = workerData as SimOptions
  parentPort?.on('message', (job: unknown) => {
    parentPort?.postMessage(perform(options, job))
  })
}
