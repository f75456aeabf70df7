/** Runs one seed and keeps what the report needs: plain data, fit to cross between threads. */
import { createCoreNode } from '../core-node.ts'
import type { Violation } from '../invariants.ts'
import type { Measured } from '../measures.ts'
import { createScalarNode, divergence } from '../scalar-model.ts'
import type { Divergence } from '../scalar-model.ts'
import { simulate } from '../simulation.ts'
import type { SimOptions } from './options.ts'

export interface SeedOutcome {
  readonly seed: number
  readonly violations: readonly Violation[]
  readonly traceHash: string
  readonly measured: Measured
  /** Real time it took, in ms. */
  readonly tookMs: number
  /** Of the scalar model only. */
  readonly divergence?: Divergence
}

export function runSeed(options: SimOptions, seed: number, trace?: (line: string) => void): SeedOutcome {
  const { nodes, maxLinks, model } = options
  const started = performance.now()
  const create = model === 'core' ? createCoreNode : createScalarNode
  const result = simulate({ seed, nodes, maxLinks, create, ...(trace ? { trace } : {}) })
  const { violations, traceHash, measured, processes } = result
  const outcome = { seed, violations, traceHash, measured, tookMs: performance.now() - started }
  if (model === 'core') return outcome
  return { ...outcome, divergence: divergence(processes.map((process) => process.node)) }
}
