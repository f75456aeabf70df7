/**
 * Raft: one process of a council, after Ongaro, "Consensus: Bridging Theory and Practice" (2014). This file has the
 * follower and the candidate: terms and votes, elections with pre-vote (9.6), standing by a leader (4.2.3), and what
 * a follower takes from its leader; `raft-leadership.ts` has the leader.
 *
 * Nothing is on disk. A process id never comes back, so no vote can be forgotten: a page that reloads is another
 * voter. So there must be one `Raft` for each process and group, kept as long as the process lives.
 *
 * Every call first runs what is due. A wake-up that is `lateMs` later than asked for was not attended: this process
 * then gives its leader, or a leader its voters, a fresh election timeout. Its own lease is judged by true age.
 */
import type { ProcessId } from '../identity/node-id.ts'
import type { Now, Random } from '../time.ts'
import { RaftLimits } from './raft-codec.ts'
import { RaftInstall } from './raft-install.ts'
import type { RaftContext } from './raft-leadership.ts'
import { RaftLeadership } from './raft-leadership.ts'
import { quorumOf, RaftLog, sizeOf } from './raft-log.ts'
import type {
  Entry,
  Ignored,
  Loss,
  RaftBody,
  RaftMessage,
  RaftOutput,
  RaftRole,
  Refusal,
  VoterChange,
} from './raft-messages.ts'
import type { RaftTuning } from './raft-tuning.ts'
import { DEFAULT_RAFT_TUNING } from './raft-tuning.ts'

export interface RaftOptions {
  /** Names the council, so that messages of another one, or of a fork of it, are not taken for its own. */
  readonly group: string
  readonly self: ProcessId
  readonly random: Random
  /** Takes each output, in order, to be executed. It must not call this machine before the call that led to it ends. */
  readonly emit: (output: RaftOutput) => void
  /** Whether a process is said to be a voter by others than the log, which may be older. Default: none is. */
  readonly isVoter?: ((process: ProcessId) => boolean) | undefined
  readonly tuning?: Partial<RaftTuning> | undefined
}

type MessageOf<K extends RaftMessage['kind']> = Extract<RaftMessage, { kind: K }>

/** The state that a council is born with counts as its first entry, of its first term. */
const BIRTH = { index: 1, term: 1 } as const
/**
 * A message may be so many terms ahead: of elections without a pause that is more than a month. So no message takes a
 * council to the last term that can be written, after which it could elect nobody.
 */
const MAX_TERMS_AHEAD = 2 ** 20
/** What a process believes that knows of no term yet. */
const MAX_FIRST_TERM = 2 ** 47

export class Raft {
  readonly group: string
  readonly self: ProcessId
  readonly #log = new RaftLog()
  readonly #context: RaftContext
  readonly #install = new RaftInstall()
  readonly #isSaidToVote: (process: ProcessId) => boolean
  #term = 0
  #votedFor: ProcessId | undefined
  #role: RaftRole = 'follower'
  #leader: ProcessId | undefined
  #leadership: RaftLeadership | undefined
  /** Who was last heard of as a leader, and when: its lease may run. */
  #heardFrom: ProcessId | undefined
  #heardAt = -Infinity
  /** What was reported of it since. */
  #heardLoss: Loss | undefined
  /** Until then a leader before that one may have a lease. */
  #earlierUntil = -Infinity
  /** The highest stamp of this term's leader. */
  #stamp = 0
  #electionAt = Infinity
  #votes = new Set<ProcessId>()
  /** Until then an older leader may have a lease, even though this process is elected. */
  #waitUntil = -Infinity
  #isTransfer = false
  #askAgainAt = Infinity
  #applied = 0
  /** When the last call asked to be called again. */
  #askedFor = Infinity
  #told: { role: RaftRole; term: number; leader: ProcessId | undefined } | undefined

  private constructor(options: RaftOptions) {
    const { group, self, random, emit } = options
    const tuning = { ...DEFAULT_RAFT_TUNING, ...options.tuning }
    this.group = group
    this.self = self
    this.#isSaidToVote = options.isVoter ?? (() => false)
    const send = (to: ProcessId, body: RaftBody): void => this.#send(to, this.#term, body)
    this.#context = { self, log: this.#log, tuning, random, emit, send }
  }

  /** A council of one, born with this state; it leads from its first `tick` on. */
  static found(options: RaftOptions & { readonly snapshot: Uint8Array }, now: Now): Raft {
    const raft = new Raft(options)
    raft.#log.restore({ ...BIRTH, voters: [options.self], bytes: options.snapshot })
    raft.#applied = BIRTH.index
    raft.#term = BIRTH.term
    raft.#electionAt = now.mono
    raft.#askedFor = now.mono
    return raft
  }

  /** Knows nothing and votes for whom it must, until a leader takes it in. */
  static join(options: RaftOptions): Raft {
    return new Raft(options)
  }

  get role(): RaftRole {
    return this.#role
  }

  get term(): number {
    return this.#term
  }

  /** The leader of this term, as far as known; this process where it leads. */
  get leader(): ProcessId | undefined {
    return this.#leader
  }

  /** Whom this process counts by. Empty until a leader has told. */
  get voters(): readonly ProcessId[] {
    return this.#log.newest.voters
  }

  /** Up to here everything was put out as `applied` or `restored`. */
  get applied(): number {
    return this.#applied
  }

  /** For the owner to tell when to `compact`, and for tests. */
  get log(): Omit<RaftLog, 'append' | 'truncate' | 'compact' | 'restore'> {
    return this.#log
  }

  /** Has a command appended. It ends in `applied` with this id, or in `dropped`. */
  propose(id: number, command: Uint8Array, now: Now): Refusal | undefined {
    return this.#ask(now, (leadership) => leadership.propose(id, command))
  }

  /** Takes in a voter, or dismisses one. Ends in `changed` or `change-failed`. */
  change(id: number, change: VoterChange, now: Now): Refusal | undefined {
    return this.#ask(now, (leadership) => leadership.change(id, change, now))
  }

  /** Hands leadership to a voter; meanwhile nothing is accepted. */
  transfer(target: ProcessId, now: Now): Refusal | undefined {
    return this.#ask(now, (leadership) => leadership.transfer(target, now))
  }

  /**
   * Asks for proof that this process leads: `confirmed` means that when it was put out no other leader could have
   * committed anything, and that all that was committed before is applied here. Else `unconfirmed`.
   */
  confirm(id: number, now: Now): Refusal | undefined {
    return this.#ask(now, (leadership) => {
      leadership.confirm(id, now)
      leadership.tick(now)
      return undefined
    })
  }

  /**
   * A hint that this process is lost. Where it is the leader, an election begins now; whoever was told the same does
   * not stand by it. A leader that was wrongly said to have ended may believe in its lease while another commits.
   */
  lost(process: ProcessId, loss: Loss, now: Now): void {
    this.#enter(now)
    this.#leadership?.lost(process, now)
    if (process === this.#heardFrom) {
      if (this.#heardLoss !== 'ended') this.#heardLoss = loss
      const soon = now.mono + this.#context.random() * this.#context.tuning.lostSpreadMs
      if (process === this.#leader) this.#electionAt = Math.min(this.#electionAt, soon)
    }
    this.#exit(now)
  }

  /** Takes a message. Returns why it had no effect, where it had none. */
  receive(message: RaftMessage, now: Now): Ignored | undefined {
    this.#enter(now)
    const ignored = this.#receive(message, now)
    this.#exit(now)
    return ignored
  }

  /** Nothing has happened but time. */
  tick(now: Now): void {
    this.#enter(now)
    this.#exit(now)
  }

  /**
   * The owner's state as of `index` takes the place of the log up to it. Returns `false` where it does not: it is not
   * applied yet, or no longer the newest.
   */
  compact(index: number, snapshot: Uint8Array): boolean {
    return index <= this.#applied && this.#log.compact(index, snapshot, this.#context.tuning.keptEntries)
  }

  /** Whether nobody else can be leader at this moment. */
  hasLease(now: Now): boolean {
    return this.#leadership?.hasLease(now) ?? false
  }

  /** When to call at the latest, on the monotonic clock; Infinity for never. */
  nextDeadline(): number {
    return this.#askedFor
  }

  #enter(now: Now): void {
    const late = now.mono - this.#askedFor
    if (late > this.#context.tuning.lateMs) this.#wokeLate(late, now)
    this.#leadership?.tick(now)
    this.#stepDownIfOver(now)
    if (now.mono >= this.#electionAt) this.#seekOffice('pre-candidate', now)
    else if (now.mono >= this.#askAgainAt) this.#askForVotes(now)
  }

  #exit(now: Now): void {
    let isNews = true
    this.#leadership?.advance(now)
    while (isNews) {
      this.#apply()
      this.#leadership?.settle(now)
      isNews = this.#leadership?.advance(now) ?? false
    }
    this.#stepDownIfOver(now)
    if (this.#role === 'follower' && !this.#mayLead) this.#electionAt = Infinity
    this.#tell()
    this.#askedFor = Math.min(
      this.#electionAt,
      this.#askAgainAt,
      this.#leadership?.nextDeadline() ?? Infinity,
    )
  }

  #wokeLate(late: number, now: Now): void {
    this.#leadership?.shift(late)
    if (this.#electionAt < Infinity) this.#waitForElection(now)
  }

  #ask(now: Now, ask: (leadership: RaftLeadership) => Refusal['reason'] | undefined): Refusal | undefined {
    this.#enter(now)
    const reason = this.#leadership ? ask(this.#leadership) : 'not-leader'
    const leader = this.#leader
    this.#exit(now)
    return reason && { reason, leader }
  }

  #receive(message: RaftMessage, now: Now): Ignored | undefined {
    if (message.group !== this.group) return 'other-group'
    if (message.to !== this.self || message.from === this.self) return 'other-process'
    if (!this.#isNear(message.term)) return 'impossible'
    switch (message.kind) {
      case 'vote':
        return this.#onVote(message, now)
      case 'voted':
        return this.#onVoted(message, now)
      case 'append':
      case 'install':
      case 'timeout-now':
        return this.#onLeader(message, now)
      default:
        if (message.term < this.#term) return 'old-term'
        if (!this.#leadership?.follows(message.from)) return 'not-asked'
        if (message.term > this.#term) {
          this.#becomeFollower(message.term, now)
          return undefined
        }
        return this.#leadership.receive(message, now)
    }
  }

  // Elections

  #onVote(message: MessageOf<'vote'>, now: Now): Ignored | undefined {
    const { from, term, pre, lastIndex, lastTerm } = message
    if (!this.#isVoter(from)) return 'no-voter'
    const isTransfer = message.transfer && !pre
    const waitMs = isTransfer ? 0 : this.#leaseLeft(now)
    // A leader asking to be elected anew threatens no lease but its own.
    const standsBy = waitMs > 0 && from !== this.#heardFrom && !this.#heardLoss
    if ((this.#leadership && !isTransfer) || standsBy) return 'has-leader'
    if (!pre && term > this.#term) this.#becomeFollower(term, now)
    const isCurrent = pre ? term > this.#term : term === this.#term && (this.#votedFor ?? from) === from
    const granted = isCurrent && this.#log.isCoveredBy(lastIndex, lastTerm)
    if (granted && !pre) {
      this.#votedFor = from
      if (this.#electionAt < Infinity) this.#waitForElection(now)
    }
    this.#send(from, this.#term, { kind: 'voted', pre, asked: term, granted, waitMs: Math.ceil(waitMs) })
    return undefined
  }

  #onVoted(message: MessageOf<'voted'>, now: Now): Ignored | undefined {
    const { from, term, pre, asked, granted, waitMs } = message
    if (!this.voters.includes(from)) return 'not-asked'
    if (term > this.#term) {
      this.#becomeFollower(term, now)
      return undefined
    }
    const isAsked = pre
      ? this.#role === 'pre-candidate' && asked === this.#term + 1
      : this.#role === 'candidate' && asked === this.#term
    if (!isAsked) return 'not-asked'
    if (!granted) return undefined
    this.#votes.add(from)
    if (!pre) this.#waitFor(waitMs, now)
    this.#countVotes(now)
    return undefined
  }

  /** Asks to be elected, by pre-vote at first. */
  #seekOffice(role: 'pre-candidate' | 'candidate', now: Now, isTransfer = false): void {
    this.#leader = undefined
    if (!this.#mayLead) {
      this.#electionAt = Infinity
      this.#askAgainAt = Infinity
      this.#role = 'follower'
      return
    }
    this.#role = role
    this.#votes = new Set([this.self])
    this.#isTransfer = isTransfer
    if (role === 'candidate') {
      this.#beginTerm(this.#term + 1, now)
      this.#votedFor = this.self
      if (!isTransfer) this.#waitFor(this.#leaseLeft(now), now)
    }
    this.#waitForElection(now)
    this.#askForVotes(now)
    this.#countVotes(now)
  }

  /** Of those that have not given theirs. A request may be lost, or its receiver may not yet know of a loss. */
  #askForVotes(now: Now): void {
    const pre = this.#role === 'pre-candidate'
    const { lastIndex, lastTerm } = this.#log
    this.#askAgainAt = now.mono + this.#context.tuning.heartbeatMs
    for (const voter of this.voters) {
      if (this.#votes.has(voter)) continue
      this.#send(voter, this.#term + (pre ? 1 : 0), {
        kind: 'vote',
        pre,
        transfer: this.#isTransfer,
        lastIndex,
        lastTerm,
      })
    }
  }

  #countVotes(now: Now): void {
    const given = this.voters.filter((voter) => this.#votes.has(voter))
    if (given.length < quorumOf(this.voters)) return
    if (this.#role === 'pre-candidate') this.#seekOffice('candidate', now)
    else this.#takeOffice(now)
  }

  #takeOffice(now: Now): void {
    this.#role = 'leader'
    this.#leader = this.self
    this.#electionAt = Infinity
    this.#askAgainAt = Infinity
    this.#leadership = new RaftLeadership(this.#context, this.#term, this.#waitUntil, now)
    this.#leadership.tick(now)
  }

  /** A voter; or one whose dismissal is not committed, and may need its vote to be (thesis 4.2.2). */
  get #mayLead(): boolean {
    return this.voters.includes(this.self) || this.#log.previousVoters.includes(this.self)
  }

  #isVoter(process: ProcessId): boolean {
    const { newest, previousVoters } = this.#log
    const isInLog = newest.voters.includes(process) || previousVoters.includes(process)
    return isInLog || this.#isSaidToVote(process)
  }

  /** Whether a term is one that elections may have come to, and leaves room for more of them. */
  #isNear(term: number): boolean {
    if (this.#term === 0) return term <= MAX_FIRST_TERM
    return term <= this.#term + MAX_TERMS_AHEAD && term <= RaftLimits.counter - MAX_TERMS_AHEAD
  }

  /** So long the last leader may hold a lease to which this process has contributed. */
  #leaseLeft(now: Now): number {
    const until = this.#heardLoss === 'ended' ? this.#earlierUntil : this.#heardUntil
    return Math.max(0, until - now.mono)
  }

  get #heardUntil(): number {
    return this.#heardAt + this.#context.tuning.electionMinMs
  }

  #waitFor(ms: number, now: Now): void {
    this.#waitUntil = Math.max(this.#waitUntil, now.mono + Math.min(ms, this.#context.tuning.electionMinMs))
  }

  #waitForElection(now: Now): void {
    const { tuning, random } = this.#context
    const spread = tuning.electionMaxMs - tuning.electionMinMs
    this.#electionAt = now.mono + tuning.electionMinMs + random() * spread
  }

  #becomeFollower(term: number, now: Now): void {
    if (term > this.#term) this.#beginTerm(term, now)
    this.#leadership?.close()
    this.#leadership = undefined
    this.#role = 'follower'
    this.#askAgainAt = Infinity
    this.#waitOrRest(now)
  }

  #beginTerm(term: number, now: Now): void {
    this.#term = term
    this.#votedFor = undefined
    this.#leader = undefined
    this.#stamp = 0
    // No leader that keeps to its limit has said so much; and the next one needs room for what begins its term.
    const excess = this.#log.firstBeyond(RaftLimits.uncommittedBytes / 2)
    if (excess !== undefined) this.#changeVoters(() => this.#log.truncate(excess), now)
  }

  #waitOrRest(now: Now): void {
    if (this.#mayLead) this.#waitForElection(now)
    else this.#electionAt = Infinity
  }

  #stepDownIfOver(now: Now): void {
    const end = this.#leadership?.end
    if (!this.#leadership || !end) return
    const leadership = this.#leadership
    this.#leader = undefined
    this.#becomeFollower(this.#term, now)
    if (end === 'removed') leadership.passOn(now)
    // A new term makes the TimeoutNow void; the others grant it, since it is their own leader that asks.
    if (end === 'no-lease') this.#seekOffice('pre-candidate', now)
  }

  // What a leader says

  #onLeader(message: MessageOf<'append' | 'install' | 'timeout-now'>, now: Now): Ignored | undefined {
    const { from, term, stamp } = message
    if (term < this.#term) {
      // So that a leader that was deposed learns of it.
      if (message.kind === 'timeout-now') return 'old-term'
      this.#send(from, this.#term, conflict(stamp, 0, 0, 0))
      return 'old-term'
    }
    // Whoever has no voters yet is told of them by this.
    if (this.voters.length > 0 && !this.#isVoter(from)) return 'no-voter'
    if (term === this.#term && (this.#leadership || (this.#leader ?? from) !== from)) return 'impossible'
    if (message.kind === 'timeout-now') return this.#onTimeoutNow(message, now)
    this.#becomeFollower(term, now)
    this.#leader = from
    if (from !== this.#heardFrom && this.#heardLoss !== 'ended') this.#earlierUntil = this.#heardUntil
    this.#heardFrom = from
    this.#heardAt = now.mono
    this.#heardLoss = undefined
    this.#stamp = Math.max(this.#stamp, stamp)
    return message.kind === 'append' ? this.#onAppend(message, now) : this.#onInstall(message, now)
  }

  #onTimeoutNow({ term, stamp }: MessageOf<'timeout-now'>, now: Now): Ignored | undefined {
    if (term > this.#term || stamp <= this.#stamp || !this.#mayLead) return 'not-asked'
    this.#becomeFollower(term, now)
    this.#seekOffice('candidate', now, true)
    return undefined
  }

  #onAppend(message: MessageOf<'append'>, now: Now): Ignored | undefined {
    const { from, stamp, previousIndex, previousTerm, commit } = message
    const log = this.#log
    // What lies below the base is committed, so it agrees.
    const skipped = Math.max(0, log.base - previousIndex)
    const termHere = skipped > 0 ? previousTerm : log.termAt(previousIndex)
    if (termHere !== previousTerm) {
      const [index, conflictTerm] =
        termHere === undefined ? [log.lastIndex + 1, 0] : [log.firstOfTerm(previousIndex), termHere]
      this.#send(from, this.#term, conflict(stamp, previousIndex, index, conflictTerm))
      return undefined
    }
    let index = previousIndex + Math.min(skipped, message.entries.length)
    for (const entry of message.entries.slice(skipped)) {
      if (log.termAt(index + 1) !== entry.term) {
        if (index < log.commit) return 'impossible'
        if (index < log.lastIndex) this.#changeVoters(() => log.truncate(index + 1), now)
        if (index >= commit && !this.#hasRoomFor(entry)) break
        this.#changeVoters(() => log.append(entry), now)
      }
      index++
    }
    log.commitTo(Math.min(commit, index))
    // Its leader comes with it again, later where nothing is answered.
    if (index === previousIndex && message.entries.length > 0) return 'too-much-uncommitted'
    this.#send(from, this.#term, { kind: 'appended', stamp, match: index })
    return undefined
  }

  /** Leaders commit what they append, sooner or later: of what one does not there is so much at most. */
  #hasRoomFor(entry: Entry): boolean {
    return this.#log.uncommittedBytes + sizeOf(entry) <= RaftLimits.uncommittedBytes
  }

  #onInstall(message: MessageOf<'install'>, now: Now): Ignored | undefined {
    const { from, stamp, index, indexTerm, voters, size } = message
    const isNeeded = index > this.#log.commit
    const received = isNeeded ? this.#install.take(message) : size
    if (isNeeded && received === size) {
      const snapshot = { index, term: indexTerm, voters, bytes: this.#install.whole() }
      this.#changeVoters(() => this.#log.restore(snapshot), now)
      this.#applied = index
      this.#context.emit({ type: 'restored', snapshot })
    }
    if (received === size) this.#install.clear()
    this.#send(from, this.#term, { kind: 'installed', stamp, index, size, received })
    return undefined
  }

  /** The newest entry counts, committed or not: whoever has just become a voter may have to seek office. */
  #changeVoters(change: () => void, now: Now): void {
    const before = this.#log.newest
    change()
    const { voters, index } = this.#log.newest
    if (before.index === index && before.voters === voters) return
    this.#context.emit({ type: 'voters', voters, index })
    this.#waitOrRest(now)
  }

  #apply(): void {
    while (this.#applied < this.#log.commit) {
      const index = ++this.#applied
      const entry = this.#log.entryAt(index)!
      if (entry.kind !== 'command') continue
      const { term, command } = entry
      const id = this.#leadership?.committed(index)
      this.#context.emit({ type: 'applied', index, term, command, ...(id !== undefined && { id }) })
    }
  }

  #tell(): void {
    const [role, term, leader] = [this.#role, this.#term, this.#leader]
    const told = this.#told
    if (told?.role === role && told.term === term && told.leader === leader) return
    this.#told = { role, term, leader }
    this.#context.emit({ type: 'role', role, term, leader })
  }

  #send(to: ProcessId, term: number, body: RaftBody): void {
    this.#context.emit({ type: 'send', message: { group: this.group, from: this.self, to, term, ...body } })
  }
}

const conflict = (
  stamp: number,
  previousIndex: number,
  conflictIndex: number,
  conflictTerm: number,
): RaftBody => ({
  kind: 'conflict',
  stamp,
  previousIndex,
  conflictIndex,
  conflictTerm,
})
