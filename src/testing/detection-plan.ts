/**
 * The plan of a detection run: a room that keeps its size while members crash at a steady, low rate, each followed by
 * a newcomer some seconds later. Nothing else fails. A pure function of its options, so that the core and plain SWIM
 * go through exactly the same.
 */
import { DEFAULT_FAULTS, withoutFaults } from './faults.ts'
import type { Faults } from './faults.ts'
import { between, exponential, pick, sample, seededRandom } from './random.ts'

/** Done at `at` ms after the measured time began. The list is not in that order. */
export type DetectionAction = { readonly at: number; readonly slot: number } &
  /** `silent`: its links die without a close; else they close at once, as after a killed renderer. */
  ({ readonly type: 'crash'; readonly silent: boolean } | { readonly type: 'join' })

export interface DetectionPlan {
  readonly actions: readonly DetectionAction[]
  /** These of the members that are there from the start are throttled all the time. */
  readonly throttled: ReadonlySet<number>
}

export interface DetectionPlanOptions {
  readonly seed: number
  readonly nodes: number
  /** Measured time. */
  readonly ms: number
  /** Share of the members that are throttled; newcomers too. */
  readonly throttledShare: number
}

/** 1% of packets are lost, a round trip takes 100 ms. */
export const DETECTION_FAULTS: Faults = {
  ...withoutFaults(DEFAULT_FAULTS),
  latencyMinMs: 45,
  latencyMaxMs: 55,
  lossRate: 0.01,
  // What WebRTC's SCTP waits at least before it sends again (dcsctp, `rto_min`).
  retransmitMs: 400,
  signalingMinMs: 20,
  signalingMaxMs: 60,
  // Half of the crashes take their machine along: the server does not see the socket end either.
  halfOpenRate: 0.5,
  halfOpenMs: 30_000,
}

/** Mean pause between two crashes in the room. */
const CRASH_EVERY_MS = 30_000
const SILENT_SHARE = 2 / 3
const NEWCOMER_MIN_MS = 5_000
const NEWCOMER_MAX_MS = 15_000
/** No crash in so much of the end: all are to be seen by all within the run. */
export const QUIET_END_MS = 60_000

export function planDetection({ seed, nodes, ms, throttledShare }: DetectionPlanOptions): DetectionPlan {
  const random = seededRandom(seed, 'detection')
  const present = Array.from({ length: nodes }, (_, slot) => slot)
  const throttled = new Set(sample(random, present, Math.round(nodes * throttledShare)))
  const actions: DetectionAction[] = []
  const arriving: { readonly at: number; readonly slot: number }[] = []
  let nextSlot = nodes
  let at = exponential(random, CRASH_EVERY_MS)
  while (at < ms - QUIET_END_MS) {
    for (let i = arriving.length - 1; i >= 0; i--) {
      if (arriving[i]!.at < at) present.push(...arriving.splice(i, 1).map(({ slot }) => slot))
    }
    const slot = pick(random, present)
    present.splice(present.indexOf(slot), 1)
    actions.push({ at, type: 'crash', slot, silent: random() < SILENT_SHARE })
    const newcomer = { at: at + between(random, NEWCOMER_MIN_MS, NEWCOMER_MAX_MS), slot: nextSlot++ }
    arriving.push(newcomer)
    actions.push({ ...newcomer, type: 'join' })
    if (random() < throttledShare) throttled.add(newcomer.slot)
    at += exponential(random, CRASH_EVERY_MS)
  }
  return { actions, throttled }
}
