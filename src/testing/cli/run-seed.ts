/** Runs one job and keeps what the report needs: plain data, fit to cross between threads. */
import { createCoreNode } from '../core-node.ts'
import { PLAIN_SWIM, simulateDetection } from '../detection.ts'
import type { DetectionResult } from '../detection.ts'
import { drawFaults, onlyFaults } from '../faults.ts'
import type { Violation } from '../invariants.ts'
import { simulateOverlay } from '../overlay-scenario.ts'
import type { OverlayResult } from '../overlay-scenario.ts'
import type { OverlayKind } from '../overlay-plan.ts'
import { seededRandom } from '../random.ts'
import { createScalarNode, divergence } from '../scalar-model.ts'
import type { Divergence } from '../scalar-model.ts'
import { simulate } from '../simulation.ts'
import type { SimulationResult } from '../simulation.ts'
import type { DetectionModel, DetectionSimOptions, OverlaySimOptions, StormOptions } from './options.ts'

export interface SeedOutcome {
  readonly seed: number
  readonly violations: readonly Violation[]
  readonly traceHash: string
  readonly measured: SimulationResult['measured']
  readonly mail: SimulationResult['mail']
  readonly grains?: SimulationResult['grains']
  /** Real time it took, in ms. */
  readonly tookMs: number
  /** Of the scalar model only. */
  readonly divergence?: Divergence
}

/** One seed under one model. */
export interface DetectionJob {
  readonly seed: number
  readonly model: DetectionModel
}

export interface DetectionOutcome extends DetectionJob, DetectionResult {
  /** Real time it took, in ms. */
  readonly tookMs: number
}

/** One large room. */
export interface OverlayJob {
  readonly seed: number
  readonly kind: OverlayKind
}

export interface OverlayOutcome extends OverlayResult {
  /** Real time it took, in ms. */
  readonly tookMs: number
}

type Trace = (line: string) => void

const HOUR_MS = 3_600_000

export function runSeed(options: StormOptions, seed: number, trace?: Trace): SeedOutcome {
  const { nodes, maxLinks, model } = options
  const started = performance.now()
  const create = model === 'core' ? createCoreNode : createScalarNode
  const faults = options.faults.length > 0 ? { faults: faultsOf(options, seed) } : {}
  const { stormSeconds } = options
  const phases = stormSeconds === undefined ? {} : { stormMs: stormSeconds * 1_000, idleMs: 0, calmMs: 0 }
  const result = simulate({
    seed,
    nodes,
    maxLinks,
    create,
    mail: model === 'core' && options.grains === undefined,
    grains: model === 'core' ? options.grains : undefined,
    ...faults,
    ...phases,
    ...(trace ? { trace } : {}),
  })
  const { violations, traceHash, measured, mail, grains, processes } = result
  const outcome = {
    seed,
    violations,
    traceHash,
    measured,
    mail,
    ...(grains && { grains }),
    tookMs: performance.now() - started,
  }
  if (model === 'core') return outcome
  return { ...outcome, divergence: divergence(processes.map((process) => process.node)) }
}

export function runDetection(
  options: DetectionSimOptions,
  job: DetectionJob,
  trace?: Trace,
): DetectionOutcome {
  const { nodes, maxLinks, hoursEach, throttledShare, throttle } = options
  const started = performance.now()
  const result = simulateDetection({
    seed: job.seed,
    nodes,
    maxLinks,
    throttledShare,
    throttle,
    create: createCoreNode,
    ms: hoursEach * HOUR_MS,
    ...(job.model === 'plain-swim' ? { tuning: PLAIN_SWIM } : {}),
    ...(trace ? { trace } : {}),
  })
  return { ...result, model: job.model, tookMs: performance.now() - started }
}

export function runOverlay(options: OverlaySimOptions, job: OverlayJob, trace?: Trace): OverlayOutcome {
  const { nodes, maxLinks } = options
  const started = performance.now()
  const result = simulateOverlay({
    ...job,
    nodes,
    maxLinks,
    create: createCoreNode,
    ...(trace ? { trace } : {}),
  })
  return { ...result, tookMs: performance.now() - started }
}

/** The seed's own weather, with the named faults alone in it. */
const faultsOf = ({ faults }: StormOptions, seed: number) =>
  onlyFaults(drawFaults(seededRandom(seed, 'weather')), faults)
