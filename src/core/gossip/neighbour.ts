/** What gossip keeps of each neighbour: what it was told, what it said, and whether its table agrees with ours. */
import type { LinkId } from '../events.ts'
import type { NodeId } from '../identity/node-id.ts'
import { NO_BUCKETS } from '../membership/digest.ts'
import type { Tuning } from '../tuning.ts'
import type { BucketMask, Frame, OriginRange } from '../wire/frames.ts'
import type { Bitmap } from './bitmap.ts'
import type { Published } from './convergence.ts'

export type StatusFrame = Extract<Frame, { kind: 'status' }>

/** Where tables never come to rest, a mismatch this many status periods long is looked into all the same. */
const NOISY_PERIODS = 8

export interface Neighbour {
  readonly linkId: LinkId
  readonly nodeId: NodeId
  /** It was joining when it said hello. */
  isNewcomer: boolean
  /** It was told everything up to this revision of the log, or told where to find it. */
  told: number
  published: Published | undefined
  content: number
  /** What it was last sent. */
  sentEpoch: number
  sentBits: Bitmap | undefined
  /** When the mismatch began, and since when neither side has changed. */
  mismatchSince: number | undefined
  quietSince: number
  seenViewLo: number
  seenContent: number
  /** Until when an answer is awaited. */
  repairUntil: number
  /**
   * What it asked for in this turn, answered at its end. A message can ask for the same thing a thousand times; the
   * answer to one message is never more than the table.
   */
  readonly owed: Map<NodeId, OriginRange>
  askedBuckets: Uint32Array | undefined
  /** Buckets of which it listed what it knows in this turn. */
  listed: BucketMask
}

/** A neighbour that knows what this member held at `told`, by its hello. */
export const createNeighbour = (linkId: LinkId, nodeId: NodeId, told: number, now: number): Neighbour => ({
  linkId,
  nodeId,
  isNewcomer: false,
  told,
  published: undefined,
  content: 0,
  sentEpoch: -1,
  sentBits: undefined,
  mismatchSince: undefined,
  quietSince: now,
  seenViewLo: 0,
  seenContent: 0,
  repairUntil: 0,
  owed: new Map(),
  askedBuckets: undefined,
  listed: NO_BUCKETS,
})

/** The own hashes, to hold a status frame against. */
interface OwnHashes {
  readonly viewHi: number
  readonly viewLo: number
  readonly content: number
}

/** Notes since when the tables differ, and since when neither side has changed. */
export function trackMismatch(neighbour: Neighbour, status: StatusFrame, own: OwnHashes, now: number): void {
  const { viewHi, viewLo, content } = status
  if (viewHi === own.viewHi && viewLo === own.viewLo && content === own.content) {
    neighbour.mismatchSince = undefined
  } else {
    const theySame = neighbour.published?.viewLo === viewLo && neighbour.content === content
    const weSame = neighbour.seenViewLo === own.viewLo && neighbour.seenContent === own.content
    if (neighbour.mismatchSince === undefined || !theySame || !weSame) neighbour.quietSince = now
    neighbour.mismatchSince ??= now
  }
  neighbour.content = content
  neighbour.seenViewLo = own.viewLo
  neighbour.seenContent = own.content
}

/** Whether a mismatch has outlived enough quiet status periods, `turn` more of them for the side that comes second. */
export function callsForSync(
  { mismatchSince, quietSince }: Neighbour,
  { statusIntervalMs, quietPeriods }: Tuning,
  turn: number,
  now: number,
): boolean {
  if (mismatchSince === undefined) return false
  // A status may come a quarter of a period early.
  const periods = (since: number) => (now - since) / statusIntervalMs + 0.3 - turn
  return periods(quietSince) >= quietPeriods || periods(mismatchSince) >= NOISY_PERIODS
}
