/**
 * RaftLeadership: what a leader does in one term, and all that ends with it. Replicates the log (thesis 3.5), decides
 * what is committed (3.6.2), changes voters one at a time (chapter 4), hands leadership on (3.10), and tells whether
 * it still holds a lease (6.4.1).
 *
 * The lease: whoever acknowledged a heartbeat votes for nobody else for the shortest election timeout from then on, so
 * while a quorum acknowledged what was *sent* less than `leaseFactor` of that ago there is no other leader. Two things
 * let voters forget that, and are paid for here: an election because the leader is said to be lost, whose winner has no
 * lease and commits nothing until that of the other must have ended (`leaseFrom`); and TimeoutNow, which ends the lease of the leader that sent it
 * until its receiver has acknowledged something newer in the same term, and so can no longer follow it.
 */
import type { ProcessId } from '../identity/node-id.ts'
import { AgeClock } from '../time.ts'
import type { Now, Random } from '../time.ts'
import { RaftChange } from './raft-change.ts'
import type { RaftLog } from './raft-log.ts'
import { quorumOf, sizeOf } from './raft-log.ts'
import type {
  ChangeFailure,
  Entry,
  Ignored,
  RaftBody,
  RaftMessage,
  RaftOutput,
  Refusal,
  VoterChange,
} from './raft-messages.ts'
import { RaftProgress } from './raft-progress.ts'
import type { RaftTuning } from './raft-tuning.ts'

/** What the parts of one Raft process share. */
export interface RaftContext {
  readonly self: ProcessId
  readonly log: RaftLog
  readonly tuning: RaftTuning
  readonly random: Random
  readonly emit: (output: RaftOutput) => void
  readonly send: (to: ProcessId, body: RaftBody) => void
}

/**
 * Why a leader is one no longer, by its own account: no answer from a quorum, no longer a voter, or its lease cannot be
 * had back in this term.
 */
export type End = 'no-quorum' | 'removed' | 'no-lease'

interface Transfer {
  readonly target: ProcessId
  until: number
  /** When TimeoutNow is sent next. */
  nextAt: number
}

/** A TimeoutNow that its receiver may still follow. */
interface Open {
  readonly target: ProcessId
  stamp: number
  /** The lease is not waited for any longer. */
  until: number
}

export class RaftLeadership {
  readonly term: number
  /** Set once this leader has to step down. */
  end: End | undefined
  readonly #context: RaftContext
  /** No lease and no commit before this time: an older leader may still have a lease. */
  readonly #leaseFrom: number
  #isWaiting: boolean
  /** The no-op that begins the term. */
  readonly #firstIndex: number
  readonly #age = new AgeClock()
  readonly #peers = new Map<ProcessId, RaftProgress>()
  /** Ids by index. */
  readonly #proposals = new Map<number, number>()
  #confirms: number[] = []
  #stamps = 0
  #heartbeatAt: number
  /** What was committed when everybody was last told. */
  #told = 0
  #change: RaftChange | undefined
  #transfer: Transfer | undefined
  #open: Open | undefined

  constructor(context: RaftContext, term: number, leaseFrom: number, now: Now) {
    this.#context = context
    this.term = term
    this.#leaseFrom = leaseFrom
    this.#isWaiting = now.mono < leaseFrom
    this.#heartbeatAt = now.mono
    const { log } = context
    this.#told = log.commit
    this.#enlist(now)
    this.#firstIndex = log.append({ kind: 'no-op', term })
  }

  propose(id: number, command: Uint8Array): Refusal['reason'] | undefined {
    const { log, tuning } = this.#context
    if (this.#transfer) return 'transferring'
    if (command.length > tuning.commandBytes) return 'command-too-large'
    const entry: Entry = { kind: 'command', term: this.term, command }
    if (log.uncommittedBytes + sizeOf(entry) > tuning.uncommittedBytes) return 'too-much-uncommitted'
    this.#proposals.set(log.append(entry), id)
    return undefined
  }

  change(id: number, change: VoterChange, now: Now): Refusal['reason'] | undefined {
    const { log, tuning } = this.#context
    const { voters, index } = log.newest
    if (this.#transfer) return 'transferring'
    if (this.#change || index > log.commit) return 'change-pending'
    if (log.commit < this.#firstIndex) return 'term-not-committed'
    if ('add' in change) {
      if (voters.includes(change.add)) return 'is-voter'
      if (voters.length >= tuning.maxVoters) return 'too-many-voters'
    } else {
      if (!voters.includes(change.remove)) return 'not-a-voter'
      if (voters.length === 1) return 'last-voter'
    }
    this.#change = new RaftChange(id, change, log.lastIndex, now.mono, tuning)
    if ('add' in change) {
      this.#enlist(now)
      this.#heartbeat(change.add, this.#peers.get(change.add)!, now)
    } else this.#appendVoters(this.#change, now)
    return undefined
  }

  transfer(target: ProcessId, now: Now): Refusal['reason'] | undefined {
    const { log, self, tuning } = this.#context
    if (this.#transfer || this.#open) return 'transferring'
    if (this.#change) return 'change-pending'
    if (target === self || !log.newest.voters.includes(target)) return 'not-a-voter'
    this.#transfer = { target, until: now.mono + tuning.electionMaxMs, nextAt: now.mono }
    return undefined
  }

  confirm(id: number, now: Now): void {
    this.#confirms.push(id)
    // What was acknowledged so far may not be enough: ask now.
    if (!this.hasLease(now)) this.#heartbeatAt = now.mono
  }

  lost(process: ProcessId, now: Now): void {
    if (this.#change?.learner === process) this.#endChange('lost')
    if (this.#transfer?.target === process) this.#endTransfer('lost', now)
  }

  /** Whether anything is sent to that process. */
  follows(process: ProcessId): boolean {
    return this.#peers.has(process)
  }

  /** An answer, of this term, from one that is followed. */
  receive(message: RaftMessage, now: Now): Ignored | undefined {
    this.#age.advance(now)
    const peer = this.#peers.get(message.from)!
    const { log } = this.#context
    switch (message.kind) {
      case 'appended':
        if (message.match > log.lastIndex) return 'impossible'
        this.#answered(message.from, peer, message.stamp, now)
        peer.matched(message.match)
        return undefined
      case 'conflict': {
        // It has lost what it had acknowledged, and so is no voter to count on; to go back for it would never end.
        if (message.previousIndex <= peer.match) return 'not-asked'
        this.#answered(message.from, peer, message.stamp, now)
        if (message.previousIndex !== peer.next - 1) return undefined
        const shared = message.conflictTerm > 0 ? log.lastOfTerm(message.conflictTerm) : 0
        peer.backtrack(shared > 0 ? shared + 1 : message.conflictIndex)
        return undefined
      }
      case 'installed':
        this.#answered(message.from, peer, message.stamp, now)
        if (peer.snapshot?.index !== message.index || peer.snapshot.bytes.length !== message.size)
          return undefined
        peer.offset = Math.min(message.received, message.size)
        if (message.received >= message.size) peer.matched(message.index)
        return undefined
      default:
        return 'not-asked'
    }
  }

  /** Whatever is due. */
  tick(now: Now): void {
    this.#age.advance(now)
    const { tuning, self, log } = this.#context
    this.#isWaiting = now.mono < this.#leaseFrom
    if (this.#open && now.mono >= this.#open.until) this.end = 'no-lease'
    if (this.#transfer && now.mono >= this.#transfer.until) this.#endTransfer('timeout', now)
    if (now.mono < this.#heartbeatAt) return
    this.#heartbeatAt = now.mono + tuning.heartbeatMs
    const heard = log.newest.voters.filter(
      (voter) => voter === self || now.mono - this.#peers.get(voter)!.heardAt < tuning.electionMaxMs,
    )
    if (heard.length < quorumOf(log.newest.voters)) this.end = 'no-quorum'
    else for (const [process, peer] of this.#peers) this.#heartbeat(process, peer, now)
  }

  /** So much time was not attended: the others had no chance to be heard in it. */
  shift(ms: number): void {
    for (const peer of this.#peers.values()) peer.heardAt += ms
    this.#change?.shift(ms)
    if (this.#transfer) this.#transfer.until += ms
    if (this.#open) this.#open.until += ms
  }

  /** Commits what a quorum has, if that is of this term (thesis 3.6.2, figure 3.7). Returns whether anything is new. */
  advance(now: Now): boolean {
    if (now.mono < this.#leaseFrom) return false
    const { log, self } = this.#context
    const { voters } = log.newest
    const matches = voters.map((voter) =>
      voter === self ? log.lastIndex : (this.#peers.get(voter)?.match ?? 0),
    )
    matches.sort((a, b) => b - a)
    const index = matches[quorumOf(voters) - 1] ?? 0
    if (index <= log.commit || log.termAt(index) !== this.term) return false
    log.commitTo(index)
    return true
  }

  /** The id of the proposal that was just committed there. */
  committed(index: number): number | undefined {
    const id = this.#proposals.get(index)
    this.#proposals.delete(index)
    return id
  }

  /** Draws the consequences of what has happened, and sends what may be sent. */
  settle(now: Now): void {
    this.#age.advance(now)
    this.#settleChange(now)
    if (this.#confirms.length > 0 && this.#context.log.commit >= this.#firstIndex && this.hasLease(now)) {
      for (const id of this.#confirms) this.#context.emit({ type: 'confirmed', id })
      this.#confirms = []
    }
    const isNews = this.#context.log.commit > this.#told
    this.#told = this.#context.log.commit
    for (const [process, peer] of this.#peers) {
      if (!this.#replicate(process, peer, now) && isNews) this.#heartbeat(process, peer, now)
    }
    this.#dismiss(now)
    // Last, since whatever has a higher stamp makes a TimeoutNow void.
    this.#settleTransfer(now)
  }

  /** The term is over: nothing of it is known any more to come true. */
  close(): void {
    const { emit } = this.#context
    for (const id of this.#proposals.values()) emit({ type: 'dropped', id, reason: 'unknown' })
    this.#proposals.clear()
    for (const id of this.#confirms) emit({ type: 'unconfirmed', id })
    this.#confirms = []
    this.#endChange(this.#change?.learner === undefined ? 'unknown' : 'leadership-lost')
  }

  hasLease(now: Now): boolean {
    const { log, self, tuning } = this.#context
    if (this.#open || now.mono < this.#leaseFrom) return false
    const leaseMs = tuning.electionMinMs * tuning.leaseFactor
    const { voters } = log.newest
    const age = this.#age.at(now)
    let count = 0
    for (const voter of voters) {
      const sent = this.#peers.get(voter)?.acknowledged
      if (voter === self || (sent !== undefined && age - sent < leaseMs)) count++
    }
    return count >= quorumOf(voters)
  }

  /** Who should lead next: the voter that has most. */
  get successor(): ProcessId | undefined {
    let best: ProcessId | undefined
    for (const voter of this.#context.log.newest.voters) {
      const match = this.#peers.get(voter)?.match ?? -1
      if (match > (best === undefined ? -1 : this.#peers.get(best)!.match)) best = voter
    }
    return best
  }

  /** A last word to the successor of a leader that was removed, so that it need not find out. */
  passOn(now: Now): void {
    const { successor } = this
    // Where an older lease may run, the others have to stand by it.
    if (successor === undefined || now.mono < this.#leaseFrom) return
    this.#context.send(successor, { kind: 'timeout-now', stamp: ++this.#stamps })
  }

  nextDeadline(): number {
    let next = Math.min(this.#heartbeatAt, this.#change?.nextDeadline() ?? Infinity)
    if (this.#isWaiting) next = Math.min(next, this.#leaseFrom)
    if (this.#transfer) next = Math.min(next, this.#transfer.until)
    if (this.#open) next = Math.min(next, this.#open.until)
    for (const { resendAt } of this.#peers.values()) next = Math.min(next, resendAt)
    return next
  }

  #answered(from: ProcessId, peer: RaftProgress, stamp: number, now: Now): void {
    peer.answered(stamp, now)
    // It has seen something newer in this term, so it will not follow the TimeoutNow.
    const open = this.#open
    if (open && from === open.target && stamp > open.stamp && !this.#transfer) this.#open = undefined
  }

  /** Sends entries, or a part of a snapshot, where something is to be sent and nothing under way. */
  #replicate(to: ProcessId, peer: RaftProgress, now: Now): boolean {
    const { log, tuning, send } = this.#context
    if (!peer.isFree(now)) return false
    const previousIndex = peer.next - 1
    const previousTerm = log.termAt(previousIndex)
    const stamp = this.#stamps + 1
    if (peer.snapshot || previousTerm === undefined) {
      if (!peer.snapshot) {
        peer.snapshot = log.snapshot!
        peer.offset = 0
      }
      const { index, term, voters, bytes } = peer.snapshot
      const { offset } = peer
      const part = bytes.subarray(offset, offset + tuning.chunkBytes)
      const size = bytes.length
      send(to, { kind: 'install', stamp, index, indexTerm: term, voters, size, offset, bytes: part })
    } else {
      if (previousIndex >= log.lastIndex) return false
      const entries = log.slice(peer.next, tuning.batchEntries, tuning.batchBytes)
      send(to, { kind: 'append', stamp, previousIndex, previousTerm, commit: log.commit, entries })
    }
    this.#stamps = stamp
    peer.sent(stamp, this.#age.at(now), now.mono + tuning.resendMs)
    return true
  }

  #heartbeat(to: ProcessId, peer: RaftProgress, now: Now): void {
    const { log, send } = this.#context
    const term = peer.snapshot ? undefined : log.termAt(peer.next - 1)
    const stamp = ++this.#stamps
    // Whoever is behind the log is told of no entry: every log agrees on the one before the first.
    const [previousIndex, previousTerm] = term === undefined ? [0, 0] : [peer.next - 1, term]
    send(to, { kind: 'append', stamp, previousIndex, previousTerm, commit: log.commit, entries: [] })
    peer.sent(stamp, this.#age.at(now))
  }

  #settleChange(now: Now): void {
    const { log, emit, self } = this.#context
    const change = this.#change
    if (change?.learner !== undefined) {
      const caughtUp = change.follow(this.#peers.get(change.learner)!, log.lastIndex, now.mono)
      if (caughtUp === true) this.#appendVoters(change, now)
      else if (caughtUp !== false) this.#endChange(caughtUp)
    } else if (change && change.index <= log.commit) {
      this.#change = undefined
      emit({ type: 'changed', id: change.id, voters: log.newest.voters })
    }
    if (log.newest.index <= log.commit && !log.newest.voters.includes(self)) this.end ??= 'removed'
  }

  #appendVoters(change: RaftChange, now: Now): void {
    const { log, emit } = this.#context
    const voters = change.appliedTo(log.newest.voters)
    change.learner = undefined
    change.index = log.append({ kind: 'voters', term: this.term, voters })
    emit({ type: 'voters', voters, index: change.index })
    this.#enlist(now)
  }

  #endChange(reason: ChangeFailure): void {
    if (!this.#change) return
    this.#context.emit({ type: 'change-failed', id: this.#change.id, reason })
    this.#change = undefined
  }

  #settleTransfer(now: Now): void {
    const { log, tuning, send } = this.#context
    const transfer = this.#transfer
    if (!transfer || now.mono < transfer.nextAt) return
    const target = this.#peers.get(transfer.target)
    if (!target || target.match < log.lastIndex || now.mono < this.#leaseFrom) return
    transfer.nextAt = now.mono + tuning.heartbeatMs
    const stamp = ++this.#stamps
    this.#open = { target: transfer.target, stamp, until: Infinity }
    send(transfer.target, { kind: 'timeout-now', stamp })
  }

  #endTransfer(reason: 'timeout' | 'lost', now: Now): void {
    const { emit, tuning } = this.#context
    emit({ type: 'transfer-failed', target: this.#transfer!.target, reason })
    this.#transfer = undefined
    if (this.#open) this.#open.until = now.mono + tuning.electionMaxMs
  }

  /** Everybody that is to be sent to is followed. */
  #enlist(now: Now): void {
    for (const process of this.#audience()) {
      if (!this.#peers.has(process))
        this.#peers.set(process, new RaftProgress(this.#context.log.lastIndex + 1, now))
    }
  }

  /** Who is out of it is followed no longer, after a last word that tells of it. */
  #dismiss(now: Now): void {
    const audience = this.#audience()
    for (const [process, peer] of this.#peers) {
      if (audience.has(process)) continue
      peer.release()
      if (!this.#replicate(process, peer, now)) this.#heartbeat(process, peer, now)
      this.#peers.delete(process)
    }
  }

  /** Voters, those that are no longer once it is committed, and the server that catches up. */
  #audience(): Set<ProcessId> {
    const { log, self } = this.#context
    const audience = new Set([...log.newest.voters, ...log.previousVoters])
    if (this.#change?.learner !== undefined) audience.add(this.#change.learner)
    audience.delete(self)
    return audience
  }
}
