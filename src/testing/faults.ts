/** Everything that may go wrong in a run, as one struct. */
import type { Random } from '../core/time.ts'
import { pick } from './random.ts'

/** What a schedule is made of: changes that users make, and faults. */
export type ActionKind =
  | 'meta'
  | 'peer-state'
  | 'visibility'
  | 'join'
  | 'mass-join'
  | 'leave'
  | 'crash'
  | 'window-crash'
  /** Half of the cluster at once. */
  | 'mass-crash'
  | 'reload'
  /** Many tabs together, several times. */
  | 'reload-storm'
  | 'cut'
  | 'blackhole'
  /** One link is cut or silent, again and again. */
  | 'flap'
  | 'partition'
  | 'outage'
  | 'freeze'
  /** Frozen while the monotonic clock stands still and the wall clock goes on. */
  | 'sleep'
  /** Timers fire once a second. */
  | 'throttle'
  /** Timers fire once a minute. */
  | 'throttle-minute'
  /** The whole process gets a turn once a second, messages included. */
  | 'slow'
  /** The monotonic clock jumps forward. */
  | 'clock-jump'
  | 'wall-step'

/** Rates are probabilities from 0 to 1, times are in ms of virtual time. */
export interface Faults {
  /** Time of one packet on a link, uniform between the two. */
  readonly latencyMinMs: number
  readonly latencyMaxMs: number
  /**
   * A lost packet is sent again by the link itself: it costs `retransmitMs`, and everything behind it waits
   * (head-of-line blocking). Nothing is dropped, doubled or reordered on an open link.
   */
  readonly lossRate: number
  readonly retransmitMs: number
  /** Time from answer to open, at each end by itself. */
  readonly setupMinMs: number
  readonly setupMaxMs: number
  /** An attempt that finds no way, and how long the transport takes to say so. */
  readonly setupFailRate: number
  readonly setupFailMs: number
  /** How long an end takes to notice that its link died in silence. Simple-peer: 6 to 16 s after the last packet. */
  readonly silenceMinMs: number
  readonly silenceMaxMs: number
  /** A close by one end does not arrive: the other end only finds out by silence, and what was in flight is lost. */
  readonly closeLossRate: number
  /** One way between a member and the signaling server. */
  readonly signalingMinMs: number
  readonly signalingMaxMs: number
  /** A message through the signaling server is lost, comes twice, or is held back by up to `reorderMs`. */
  readonly signalingDropRate: number
  readonly signalingDuplicateRate: number
  readonly signalingReorderRate: number
  readonly reorderMs: number
  /** A hint that a member's socket ended is not delivered. */
  readonly goneDropRate: number
  /** The signaling server takes up to `halfOpenMs` to see that a crashed member's socket is dead. */
  readonly halfOpenRate: number
  readonly halfOpenMs: number
  /** Mean pause between two actions of the schedule, for a room of 50; larger rooms act more often. */
  readonly actionEveryMs: number
  /** How often each kind of action comes, relative to the others. 0 is never. */
  readonly weights: Readonly<Record<ActionKind, number>>
}

/** A bad day, with everything that can happen in it. */
export const DEFAULT_FAULTS: Faults = {
  latencyMinMs: 1,
  latencyMaxMs: 60,
  lossRate: 0.01,
  retransmitMs: 200,
  setupMinMs: 20,
  setupMaxMs: 300,
  setupFailRate: 0.02,
  setupFailMs: 15_000,
  silenceMinMs: 6_000,
  silenceMaxMs: 16_000,
  closeLossRate: 0.1,
  signalingMinMs: 2,
  signalingMaxMs: 60,
  signalingDropRate: 0.02,
  signalingDuplicateRate: 0.02,
  signalingReorderRate: 0.05,
  reorderMs: 500,
  goneDropRate: 0.3,
  halfOpenRate: 0.2,
  halfOpenMs: 20_000,
  actionEveryMs: 250,
  weights: {
    meta: 30,
    'peer-state': 25,
    visibility: 8,
    join: 2,
    'mass-join': 0.5,
    leave: 2,
    crash: 2,
    'window-crash': 0.4,
    'mass-crash': 0.2,
    reload: 5,
    'reload-storm': 0.2,
    cut: 8,
    blackhole: 4,
    flap: 1,
    partition: 1,
    outage: 1,
    freeze: 2,
    sleep: 1.5,
    throttle: 2,
    'throttle-minute': 1,
    slow: 1,
    'clock-jump': 1,
    'wall-step': 1,
  },
}

/** The same network on a good day: it delays, and nothing else. What is left after healing. */
export function withoutFaults(faults: Faults): Faults {
  return {
    ...faults,
    lossRate: 0,
    setupFailRate: 0,
    closeLossRate: 0,
    signalingDropRate: 0,
    signalingDuplicateRate: 0,
    signalingReorderRate: 0,
    goneDropRate: 0,
    halfOpenRate: 0,
  }
}

/**
 * A bad day of its own for each seed: some faults absent, some frequent. Runs that have everything all the time hide
 * what only a rare mixture shows (Groce et al., Swarm Testing, 2012).
 */
export function drawFaults(random: Random, base: Faults = DEFAULT_FAULTS): Faults {
  const some = (rate: number): number => rate * pick(random, [0, 1, 1, 3])
  const weights = { ...base.weights }
  for (const kind of Object.keys(weights) as ActionKind[]) weights[kind] = some(weights[kind])
  weights.meta = base.weights.meta
  return {
    ...base,
    latencyMaxMs: base.latencyMinMs + (base.latencyMaxMs - base.latencyMinMs) * pick(random, [0.1, 1, 1, 4]),
    lossRate: some(base.lossRate),
    setupFailRate: some(base.setupFailRate),
    closeLossRate: some(base.closeLossRate),
    signalingDropRate: some(base.signalingDropRate),
    signalingDuplicateRate: some(base.signalingDuplicateRate),
    signalingReorderRate: some(base.signalingReorderRate),
    goneDropRate: pick(random, [0, base.goneDropRate, 1]),
    halfOpenRate: some(base.halfOpenRate),
    weights,
  }
}

/** The network as it is, but of all that the schedule may do only these, and what users change. */
export function onlyFaults(faults: Faults, kinds: readonly ActionKind[]): Faults {
  const weights = { ...faults.weights }
  for (const kind of Object.keys(weights) as ActionKind[]) {
    const { [kind]: usual } = DEFAULT_FAULTS.weights
    if (kinds.includes(kind)) weights[kind] = Math.max(usual, 10)
    else if (kind !== 'meta' && kind !== 'peer-state') weights[kind] = 0
  }
  return { ...faults, weights }
}
