/** The plan of one large room: who comes when, whose change is timed, and the trouble it gets into. Drawn by the seed. */
import { DEFAULT_TUNING } from '../core/tuning.ts'
import { DEFAULT_FAULTS, drawFaults, onlyFaults, withoutFaults } from './faults.ts'
import type { ActionKind, Faults } from './faults.ts'
import { between, pick, sample, seededRandom } from './random.ts'
import { planSchedule } from './schedule.ts'
import type { Action } from './schedule.ts'

/** `cluster`: it has formed, and gets into trouble. `join`: a crowd joins an empty room, and nothing else happens. */
export type OverlayKind = 'cluster' | 'join'

export type Trouble =
  /** These are gone, all in one moment; `quick`: their links close at once, else in silence. */
  | {
      readonly kind: 'loss'
      readonly share: number
      readonly crashes: readonly { readonly slot: number; readonly quick: boolean }[]
    }
  /** Half of the room is cut off the other half; `signaling`: and still reaches the signaling server. */
  | {
      readonly kind: 'partition'
      readonly side: readonly number[]
      readonly ms: number
      readonly signaling: boolean
    }
  /** Some of everything that goes wrong with single members and links, over a bad network. */
  | {
      readonly kind: 'storm'
      readonly faults: Faults
      readonly actions: readonly Action[]
      readonly ms: number
    }

export interface OverlayPlan {
  readonly arrivals: readonly { readonly slot: number; readonly at: number }[]
  /** When the last one has come. */
  readonly arrivedMs: number
  /** Who changes something while all is quiet. */
  readonly changes: readonly number[]
  readonly trouble: Trouble
}

export interface OverlayPlanOptions {
  readonly seed: number
  readonly nodes: number
  readonly kind: OverlayKind
}

/** A plain network: a packet takes 10 to 40 ms, and none is lost. */
export const OVERLAY_FAULTS: Faults = {
  ...withoutFaults(DEFAULT_FAULTS),
  latencyMinMs: 10,
  latencyMaxMs: 40,
  // Of those that crash, some take their machine along: the server does not see the socket end either.
  halfOpenRate: 0.3,
  halfOpenMs: 20_000,
}

/** A crowd comes within this, each member at a moment of its own; a formed cluster finds its links as fast. */
const ARRIVE_MS = 5_000
const RETURN_MS = 1_000
const CHANGES = 3
const PARTITION_MS = 20_000
const STORM_MS = 10_000
/** Mean pause between two actions of a storm, in a room of 1,000. */
const STORM_EVERY_MS = 100
/** What a small storm has: what befalls one member or link. */
const SMALL: readonly ActionKind[] = [
  'visibility',
  'join',
  'leave',
  'crash',
  'reload',
  'cut',
  'blackhole',
  'flap',
  'freeze',
  'sleep',
  'throttle',
  'slow',
  'clock-jump',
  'wall-step',
]

export function planOverlay({ seed, nodes, kind }: OverlayPlanOptions): OverlayPlan {
  const random = seededRandom(seed, 'overlay')
  const arrivedMs = kind === 'join' ? ARRIVE_MS : RETURN_MS
  const slots = Array.from({ length: nodes }, (_, slot) => slot)
  return {
    arrivals: slots.map((slot) => ({ slot, at: between(random, 0, arrivedMs) })),
    arrivedMs,
    changes: sample(random, slots, CHANGES),
    trouble: planTrouble(seed, nodes),
  }
}

export function describeTrouble(trouble: Trouble): string {
  switch (trouble.kind) {
    case 'loss':
      return `losing ${trouble.share * 100}% of the members at once`
    case 'partition':
      return `a partition into halves for ${trouble.ms / 1_000} s`
    case 'storm':
      return `a small storm of ${trouble.ms / 1_000} s`
  }
}

/** Seeds take turns: a fourth each of them loses 30%, loses 60%, is cut in two, has a small storm. */
function planTrouble(seed: number, nodes: number): Trouble {
  const random = seededRandom(seed, 'trouble')
  const slots = Array.from({ length: nodes }, (_, slot) => slot)
  switch (seed % 4) {
    case 0:
    case 1: {
      const share = seed % 4 === 0 ? 0.3 : 0.6
      const lost = sample(random, slots, Math.floor(nodes * share))
      return { kind: 'loss', share, crashes: lost.map((slot) => ({ slot, quick: random() < 0.5 })) }
    }
    case 2: {
      const side = sample(random, slots, Math.floor(nodes / 2))
      return { kind: 'partition', side, ms: PARTITION_MS, signaling: pick(random, [true, false]) }
    }
    default:
      return planStorm(seed, nodes)
  }
}

function planStorm(seed: number, nodes: number): Trouble {
  const drawn = onlyFaults(drawFaults(seededRandom(seed, 'weather')), SMALL)
  // A schedule acts the more often, the larger the room.
  const faults = { ...drawn, actionEveryMs: (STORM_EVERY_MS * 1_000) / 50 }
  const { storm } = planSchedule({
    seed,
    nodes,
    faults,
    tuning: DEFAULT_TUNING,
    calmMs: 0,
    stormMs: STORM_MS,
  })
  return { kind: 'storm', faults, actions: storm, ms: STORM_MS }
}
