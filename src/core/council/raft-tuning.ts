import { RaftLimits } from './raft-codec.ts'

/** Timings and sizes of the council. Times in ms of the monotonic clock, sizes in bytes. */
export interface RaftTuning {
  /**
   * The leader says something to everybody this often. Timers of a hidden tab are aligned to a second, so that it may
   * become twice as long.
   */
  readonly heartbeatMs: number
  /**
   * Shortest election timeout. A follower stands by its leader this long whatever others say, so it is what a lease
   * is made of; four heartbeats, or two of a hidden leader, so that one may be lost.
   */
  readonly electionMinMs: number
  /**
   * Longest election timeout; twice the shortest (thesis 9.3: a spread of many round trips seldom splits the vote). A
   * leader that has not heard from a quorum for this long steps down.
   */
  readonly electionMaxMs: number
  /** Voters that are told of the loss of their leader start to ask within this time: several round trips. */
  readonly lostSpreadMs: number
  /**
   * A lease is this part of `electionMinMs`, from when the heartbeat was sent. The rest is for clocks that run at
   * different rates: with 0.8 one may run 11% too fast and the other 11% too slow.
   */
  readonly leaseFactor: number
  /** Entries or a part of a snapshot without an answer are sent again after this long. */
  readonly resendMs: number
  /** A wake-up that is later than this was not attended time. Above the second to which browsers align timers. */
  readonly lateMs: number
  /** What one message carries, so that a frame stays below 16 KiB; a larger command goes alone. */
  readonly batchBytes: number
  readonly batchEntries: number
  readonly chunkBytes: number
  /**
   * A proposed command must fit into one message. The largest there can be names 5 holders of each of 256 slots: 29 KiB.
   */
  readonly commandBytes: number
  /** Of entries that are not committed, beyond which a leader appends no command. A follower takes four times as much. */
  readonly uncommittedBytes: number
  /** Entries that stay in the log behind a snapshot, so that who lags a little need not take all of it. */
  readonly keptEntries: number
  /** 5, and one to come while one goes. */
  readonly maxVoters: number
  /** A new server has this many rounds until one is shorter than an election timeout (thesis 4.2.1 says 10). */
  readonly catchUpRounds: number
  /** ... and is given up when it has taken nothing for this long. */
  readonly catchUpPatienceMs: number
}

export const DEFAULT_RAFT_TUNING: RaftTuning = {
  heartbeatMs: 500,
  electionMinMs: 2_000,
  electionMaxMs: 4_000,
  lostSpreadMs: 150,
  leaseFactor: 0.8,
  resendMs: 1_000,
  lateMs: 1_500,
  batchBytes: 12 * 1024,
  batchEntries: 64,
  chunkBytes: 12 * 1024,
  commandBytes: RaftLimits.commandBytes,
  uncommittedBytes: 256 * 1024,
  keptEntries: 32,
  maxVoters: 6,
  catchUpRounds: 10,
  catchUpPatienceMs: 10_000,
}
