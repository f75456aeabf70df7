/**
 * The vocabulary of the council's Raft: what is in the log, what its processes send each other, and what the machine
 * tells its owner. After Ongaro, "Consensus: Bridging Theory and Practice" (2014); figure 3.1 has the summary.
 */
import type { ProcessId } from '../identity/node-id.ts'

/** One entry of the log. Its index is its place. */
export type Entry =
  | { readonly kind: 'command'; readonly term: number; readonly command: Uint8Array }
  /** The first entry of every term: once it is committed, so is all before it (thesis 6.4). */
  | { readonly kind: 'no-op'; readonly term: number }
  /** The voters from here on, counted by as soon as the entry is in the log (thesis 4.1). */
  | { readonly kind: 'voters'; readonly term: number; readonly voters: readonly ProcessId[] }

/** All that was applied up to `index`, in the owner's own encoding. */
export interface Snapshot {
  readonly index: number
  readonly term: number
  /** The voters as of `index`. */
  readonly voters: readonly ProcessId[]
  readonly bytes: Uint8Array
}

/** What every message carries. */
export interface RaftHeader {
  /** The council it belongs to; messages of another are ignored. */
  readonly group: string
  readonly from: ProcessId
  readonly to: ProcessId
  /** The sender's term; in a request for a pre-vote the term that it would begin. */
  readonly term: number
}

export type RaftBody =
  /** RequestVote. `pre`: would you (thesis 9.6)? `transfer`: the leader asked for this election (thesis 3.10). */
  | {
      readonly kind: 'vote'
      readonly pre: boolean
      readonly transfer: boolean
      readonly lastIndex: number
      readonly lastTerm: number
    }
  /**
   * The answer. `asked` is the term that was asked about. `waitMs`: so long the lease of a leader that this voter has
   * heard may still run; granted all the same, since it is said to be lost.
   */
  | {
      readonly kind: 'voted'
      readonly pre: boolean
      readonly asked: number
      readonly granted: boolean
      readonly waitMs: number
    }
  /** AppendEntries; without entries a heartbeat. `stamp` numbers what a leader sends in its term. */
  | {
      readonly kind: 'append'
      readonly stamp: number
      readonly previousIndex: number
      readonly previousTerm: number
      readonly commit: number
      readonly entries: readonly Entry[]
    }
  /** The log agrees with the leader's up to `match`. */
  | { readonly kind: 'appended'; readonly stamp: number; readonly match: number }
  /**
   * There is no such entry as `previousIndex` with its term. The log has `conflictTerm` there, from `conflictIndex`
   * on; or, where it ends before, `conflictTerm` is 0 and `conflictIndex` the first that is missing.
   */
  | {
      readonly kind: 'conflict'
      readonly stamp: number
      readonly previousIndex: number
      readonly conflictIndex: number
      readonly conflictTerm: number
    }
  /** InstallSnapshot: bytes of it from `offset` on. */
  | {
      readonly kind: 'install'
      readonly stamp: number
      readonly index: number
      readonly indexTerm: number
      readonly voters: readonly ProcessId[]
      readonly size: number
      readonly offset: number
      readonly bytes: Uint8Array
    }
  /** So many bytes of it are here without a gap. All of them: it is installed, or was not needed. */
  | {
      readonly kind: 'installed'
      readonly stamp: number
      readonly index: number
      readonly size: number
      readonly received: number
    }
  /** TimeoutNow: become leader. Void once anything with a higher stamp has come. */
  | { readonly kind: 'timeout-now'; readonly stamp: number }

export type RaftMessage = RaftHeader & RaftBody

/** A pre-candidate asks whether it would be elected; only a candidate has begun a term. */
export type RaftRole = 'follower' | 'pre-candidate' | 'candidate' | 'leader'

/**
 * What is known of a process that is lost. `unreachable`: it may live, and hold a lease. `ended`: it does nothing any
 * more, as after its goodbye; there is no lease to wait for.
 */
export type Loss = 'unreachable' | 'ended'

/** One server at a time (thesis 4.1). */
export type VoterChange = { readonly add: ProcessId } | { readonly remove: ProcessId }

/** Why something was not begun; nothing of it will ever happen. */
export interface Refusal {
  readonly reason:
    | 'not-leader'
    /** Leadership is being handed on. */
    | 'transferring'
    /** Another change of voters is catching up or not committed. */
    | 'change-pending'
    /** No entry of this term is committed yet, so two changes might overlap (Ongaro's correction of 2015). */
    | 'term-not-committed'
    | 'command-too-large'
    | 'too-much-uncommitted'
    | 'is-voter'
    | 'not-a-voter'
    | 'last-voter'
    | 'too-many-voters'
  /** Where to ask instead, as far as known. */
  readonly leader?: ProcessId | undefined
}

/**
 * Why a change of voters has ended without effect; after `unknown` it may still take effect, under another leader.
 * `lost`: the new voter was reported lost. `no-progress`: it took nothing for `catchUpPatienceMs`. `too-slow`: after
 * `catchUpRounds` rounds each still took longer than an election timeout (thesis 4.2.1).
 */
export type ChangeFailure = 'lost' | 'no-progress' | 'too-slow' | 'leadership-lost' | 'unknown'

/** Why a message had no effect. */
export type Ignored =
  | 'other-group'
  /** Not addressed to this process, or said to come from it. */
  | 'other-process'
  | 'old-term'
  /** From a process that is known as a voter neither by the log nor from elsewhere. */
  | 'no-voter'
  /** A leader was heard of within the shortest election timeout (thesis 4.2.3). */
  | 'has-leader'
  /** An answer that nobody waits for, or from a process that was not asked. */
  | 'not-asked'
  /** More entries that are not committed than any leader has. */
  | 'too-much-uncommitted'
  /** Contradicts what Raft guarantees: a second leader of a term, a term far ahead, or a change of what is committed. */
  | 'impossible'

export type RaftOutput =
  | { readonly type: 'send'; readonly message: RaftMessage }
  /** The next command. `id` where this process proposed it, and has led ever since. */
  | {
      readonly type: 'applied'
      readonly index: number
      readonly term: number
      readonly command: Uint8Array
      readonly id?: number
    }
  /** The state as of `index` in place of all that was applied before. */
  | { readonly type: 'restored'; readonly snapshot: Snapshot }
  /**
   * A proposal that was accepted ends here, and will not be reported as this process's own. `unknown`: leadership was
   * lost after the command was appended; it may still be applied later, once, or never.
   */
  | { readonly type: 'dropped'; readonly id: number; readonly reason: 'unknown' }
  | { readonly type: 'confirmed'; readonly id: number }
  | { readonly type: 'unconfirmed'; readonly id: number }
  | {
      readonly type: 'role'
      readonly role: RaftRole
      readonly term: number
      readonly leader: ProcessId | undefined
    }
  /** The voters to count by have changed; they may change back as long as the entry is not committed. */
  | { readonly type: 'voters'; readonly voters: readonly ProcessId[]; readonly index: number }
  | { readonly type: 'changed'; readonly id: number; readonly voters: readonly ProcessId[] }
  | { readonly type: 'change-failed'; readonly id: number; readonly reason: ChangeFailure }
  /** Leadership stays here. When the hand-over succeeds, a `role` tells so. */
  | { readonly type: 'transfer-failed'; readonly target: ProcessId; readonly reason: 'timeout' | 'lost' }
