/** Times and sizes of `Holdings`, with what they depend on. */

export interface HoldingTuning {
  /** L, in ms. An owner's right lasts 0.8 L from the beacon that was answered, a replica's patience 1.1 L. */
  readonly leaseMs: number
  /** Between beacons that are answered: three may be lost before the right ends. */
  readonly beaconMs: number
  /** An unanswered beacon is repeated, since its lane loses. */
  readonly beaconAgainMs: number
  /** What was sent and not answered is asked for again: a new life of either end may have lost it. */
  readonly askAgainMs: number
  /** A replica that leaves a change unanswered for so long is dropped from those in sync. */
  readonly silenceMs: number
  /** Beside the time that what is under way to it takes at this rate, in bytes a second, but no longer than so many ms. */
  readonly slowestRate: number
  readonly slowestMs: number
  /** The same for beacons alone, which get lost. Below 0.8 L, so that the right often outlives the change. */
  readonly beaconSilenceMs: number
  /** So much later each next replica asks to take over: two at once are one proposal too many. */
  readonly takeoverSpreadMs: number
  /** After a refusal the same is not asked before. */
  readonly proposeAgainMs: number
  /** A copy that makes no progress for so long has failed. */
  readonly copySilenceMs: number
  /** First wait after a failed copy; doubles up to 64 times. */
  readonly copyAgainMs: number
  /** Bytes of one part of a copy, about. */
  readonly copyPartBytes: number
  /** Parts under way to one learner. */
  readonly copyWindow: number
  /** Partitions with content that are copied at once. */
  readonly copiesAtOnce: number
  /**
   * From when one that was in sync is missing until another is taken in, where others are left. A tab that goes leaves
   * hundreds of partitions behind: those that are called are to be served again before copies take the machine.
   */
  readonly takeInMs: number
  /**
   * From when members come or go, or another leads, until what that may mean for partitions that nobody calls is looked
   * at: a tab that goes makes several such changes, and those who take over have enough to do.
   */
  readonly lookAllMs: number
  /** A partition that was taken over while it was in use is kept ready for so long, for calls that are about to come. */
  readonly expectMs: number
  /** Between two rounds in which replicas that are no targets are let go. */
  readonly surplusMs: number
  /** A copy that nobody counts on is kept so long: it may be all that is left. */
  readonly staleMs: number
  /** So much later each next one in sync offers what a council that was given up has of a partition. */
  readonly strayTurnMs: number
  /** A wake-up later than this makes its delay count for nobody else's silence. */
  readonly lateMs: number
  /** All copies of this process together. */
  readonly stateBytes: number
}

export const HOLDING_TUNING: HoldingTuning = {
  leaseMs: 4_000,
  beaconMs: 1_000,
  beaconAgainMs: 400,
  askAgainMs: 400,
  silenceMs: 1_000,
  // a link that the signaling server relays has so much; within the time that callers wait by default
  slowestRate: 64 * 1024,
  slowestMs: 8_000,
  beaconSilenceMs: 2_000,
  takeoverSpreadMs: 150,
  proposeAgainMs: 500,
  copySilenceMs: 3_000,
  copyAgainMs: 1_000,
  copyPartBytes: 48 * 1024,
  copyWindow: 4,
  copiesAtOnce: 2,
  takeInMs: 500,
  lookAllMs: 500,
  expectMs: 2_000,
  surplusMs: 5_000,
  staleMs: 60_000,
  strayTurnMs: 3_000,
  lateMs: 500,
  stateBytes: 16 * 1024 * 1024,
}

/** Of L: how long an owner's right lasts from the sending of a beacon that was answered. */
export const RIGHT_SHARE = 0.8
/** Of L: how long a replica waits from its last answer. What lies between covers clocks that differ by a sixth each. */
export const PATIENCE_SHARE = 1.1
