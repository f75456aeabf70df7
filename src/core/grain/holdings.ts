/**
 * Holdings: everything that one process owns or replicates. PacificA (Lin et al., 2008) for state, with leases between
 * pairs of processes (Gray & Cheriton, 1989) for the right to run, under a partition map that the council decides.
 *
 * Each input first ends what has expired, so a right is over before anything else of that input happens. What an input
 * leads to is decided in `settle`, which the caller runs once after the inputs of a turn: then many partitions share
 * messages and proposals. `beacons.ts` holds the leases, `owning.ts` and `replicating.ts` the two sides of a partition,
 * `inheriting.ts` copies that wait for the map, `strays.ts` and `visits.ts` the two sides of what other councils have
 * left.
 */
import { MAX_EPOCH } from '../council/partition-map.ts'
import type { ProcessId } from '../identity/node-id.ts'
import type { Now } from '../time.ts'
import { Beacons } from './beacons.ts'
import type { HeldPartition } from './held-partition.ts'
import type { HoldingTuning } from './holding-tuning.ts'
import { HOLDING_TUNING } from './holding-tuning.ts'
import type { HoldingMessage, ListMessage } from './messages.ts'
import { LANE_OF } from './messages.ts'
import type { Send } from './mail.ts'
import { Mail } from './mail.ts'
import { Owning } from './owning.ts'
import type { Part, Workshop } from './part.ts'
import { neededBy, newPart } from './part.ts'
import type { KeyChange } from './key-contents.ts'
import type { MapEntry, PartitionId } from '../partition/partition.ts'
import { parsePartition } from '../partition/partition.ts'
import type { Propose } from './proposals.ts'
import { Proposals } from './proposals.ts'
import { Replicating } from './replicating.ts'
import { Strays } from './strays.ts'
import type { VisitsOptions } from './visits.ts'
import { Visits } from './visits.ts'

export interface HoldingsOptions {
  readonly own: ProcessId
  readonly tuning?: Partial<HoldingTuning>
  readonly send: Send
  readonly propose: Propose
  /** The process has a life that is up. May be wrong: nothing that must be right rests on it. */
  readonly isLive: (process: ProcessId) => boolean
  /** What is said to it goes over one link. Default: to all. */
  readonly isLinked?: (process: ProcessId) => boolean
  /** It is proven that the process runs nothing any more. */
  readonly isOver: (process: ProcessId) => boolean
  /** Who leads the council, as far as is known. */
  readonly leader: () => ProcessId | undefined
  /**
   * This process leads, nobody else can, and `onMap` has told it everything that was decided under leaders before it.
   */
  readonly leaderHasLease: (now: Now) => boolean
  /** Who should hold the partition, its owner among them. */
  readonly targets: (partition: PartitionId) => readonly ProcessId[]
  /** This process can run the partition's kind. Default: any. */
  readonly mayOwn?: (partition: PartitionId) => boolean
  /** Processes that can. Default: nobody is known to. */
  readonly hosts?: (partition: PartitionId) => readonly ProcessId[]
  /** The newest entry of the partition is wanted. */
  readonly askMap: (partition: PartitionId) => void
  /** Every process in sync has stored all changes up to this number. */
  readonly onStored: (partition: PartitionId, number: number) => void
  readonly onRightBegan: (partition: PartitionId) => void
  readonly onRightEnded: (partition: PartitionId) => void
  /** Another owns it now, or it was born anew: of numbers that were not told stored nobody will ever tell. */
  readonly onDeposed: (partition: PartitionId) => void
  /** A grain of it is active here, so nothing but a call may change the key. Default: none is. */
  readonly isBusy?: (partition: PartitionId, key: string) => boolean
  /** That grain is to end, and `takeIn` to be called then. */
  readonly free?: (partition: PartitionId, key: string) => void
  /** What is kept of the key was changed for what another council has left. To be dealt with at once. */
  readonly onTaken?: (partition: PartitionId, key: string) => void
  /** There was no room to keep what this process had of it under a council that it has given up. */
  readonly onStrayDropped?: (partition: PartitionId) => void
  /** Everybody in sync has what was to be taken of a copy that this process kept. */
  readonly onStraySettled?: (copy: HeldPartition, partition: PartitionId, now: Now) => void
  /** See `VisitsOptions.onSource`. */
  readonly onSource?: VisitsOptions['onSource']
  /** This process may not run the kind yet, whatever it owns: it does not know what it has kept. Default: it may. */
  readonly isWaiting?: ((kind: string) => boolean) | undefined
  /** What is held of a partition may have changed. */
  readonly onLook?: ((part: Pick<Part, 'id' | 'kind'>) => void) | undefined
}

export type AppendRefusal = 'not-owner' | 'no-right' | 'state-limit'

/** Partitions that are only known because another has spoken of them. They may be made up: the oldest give way. */
const MAX_UNKNOWN = 16_384
/** So many of them are passed over in a row, for what is kept of them. */
const MAX_SPARED = 64
const ASK_MAP_MS = 500
/**
 * So many partitions are looked at in one turn, those of one kind, and the others in turns that follow at once: eight
 * kinds have 2,048, which took 60 to 100 ms, and a page does not paint meanwhile.
 */
const LOOKS_A_TURN = 256
/** Looking at one partition may call for a look at another, but not for ever. */
const MAX_LOOKS = 100_000

export class Holdings {
  /** What this process has of histories that are followed no more. */
  readonly strays: Strays
  readonly #options: HoldingsOptions
  readonly #tuning: HoldingTuning
  readonly #parts = new Map<PartitionId, Part>()
  readonly #mail: Mail
  readonly #proposals: Proposals
  readonly #beacons: Beacons
  readonly #owning: Owning
  readonly #replicating: Replicating
  readonly #visits: Visits
  readonly #touched = new Set<Part>()
  readonly #dueAt = new Map<Part, number>()
  /** Not later than the first of them; sometimes earlier. */
  #firstDueAt = Infinity
  /** When all partitions are looked at, for a change that may concern any of them. */
  #touchAllAt = Infinity
  /** When those are looked at that there were too many of. */
  #goOnAt = Infinity
  readonly #awake = new Set<Part>()
  /** Whom beacons go to, under that leader; `undefined` once it has to be found out again. */
  #wanted: ReadonlyMap<ProcessId, boolean> | undefined
  #wantedUnder: ProcessId | undefined
  readonly #running = new Set<Part>()
  readonly #proposed = new Set<Part>()
  readonly #ended = new Map<PartitionId, { readonly owner: ProcessId; readonly epoch: number }>()
  #hadSole = false
  #isLeaving = false
  /** Partitions that others have spoken of, and the map has not. */
  readonly #unknown = new Set<Part>()
  #bytes = 0
  /** The wake-up that was asked for last. */
  #asked = Infinity

  constructor(options: HoldingsOptions) {
    this.#options = options
    this.#tuning = { ...HOLDING_TUNING, ...options.tuning }
    this.#mail = new Mail(options.send)
    this.#proposals = new Proposals((change) => options.propose(change))
    this.#beacons = new Beacons({
      tuning: this.#tuning,
      send: (to, message) => options.send(to, message, LANE_OF[message.type]),
      seeking: (owner) => this.#seeking(owner),
      grantsSole: (now) => options.leader() === options.own && options.leaderHasLease(now),
    })
    const workshop: Workshop = {
      own: options.own,
      tuning: this.#tuning,
      mail: this.#mail,
      proposals: this.#proposals,
      beacons: this.#beacons,
      isLive: options.isLive,
      isLinked: options.isLinked ?? (() => true),
      isOver: options.isOver,
      targets: options.targets,
      mayOwn: options.mayOwn ?? (() => true),
      hosts: options.hosts ?? (() => []),
      onStored: options.onStored,
      touch: (part) => this.#touched.add(part),
      touchSoon: (now) => this.#touchSoon(now),
      askMap: (part, now) => this.#askMap(part, now.mono),
      bytes: (part) => {
        this.#weigh(part)
        return this.#bytes
      },
      isLeaving: () => this.#isLeaving,
      kept: ({ id, entry, group }) => this.strays.latest(id, entry!.born, group),
    }
    this.#owning = new Owning(workshop)
    this.#replicating = new Replicating(workshop)
    this.#visits = new Visits(workshop, {
      append: (part, key, change, now) => this.#append(part, key, change, now),
      isBusy: (partition, key) => options.isBusy?.(partition, key) ?? false,
      free: (partition, key) => options.free?.(partition, key),
      onTaken: (partition, key) => options.onTaken?.(partition, key),
      onOwnSeen: (partition, attempt) => this.#onOwnSeen(partition, attempt),
      onSource: (partition, source, origins, isNew, now) =>
        options.onSource?.(partition, source, origins, isNew, now),
    })
    this.strays = new Strays({
      own: options.own,
      tuning: this.#tuning,
      mail: this.#mail,
      ownerOf: (partition) => this.#followedEntry(partition),
      isLive: options.isLive,
      askMap: (partition, now) => this.#askMapOf(partition, now.mono),
      onDropped: (partition) => options.onStrayDropped?.(partition),
      onSettled: (copy, partition, now) => options.onStraySettled?.(copy, partition, now),
    })
  }

  /** Bytes of all copies, about. */
  get bytes(): number {
    return this.#bytes
  }

  /** Changes of partitions that this process owns that not everybody in sync is known to have stored. */
  get unstored(): number {
    let count = 0
    for (const { tenure, copy } of this.#parts.values()) if (tenure && copy) count += copy.number - copy.acked
    return count
  }

  entryOf(partition: PartitionId): MapEntry | undefined {
    return this.#parts.get(partition)?.entry
  }

  /** What is held of the partition. Of an owner that may run: its present state, stored everywhere or not. */
  copyOf(partition: PartitionId): HeldPartition | undefined {
    return this.#parts.get(partition)?.copy
  }

  /** Handlers may run, at this very moment. */
  mayRun(partition: PartitionId, now: Now): boolean {
    const part = this.#parts.get(partition)
    return part !== undefined && part.hasRight && this.#computeRight(part, now)
  }

  canTakeOver(partition: PartitionId, now: Now): boolean {
    const part = this.#parts.get(partition)
    return part !== undefined && this.#replicating.canTakeOver(part, now)
  }

  /**
   * For the council's leader, before it proposes to end an owner that is alone in sync: whether that owner's right is
   * over. If so, this process grants that owner the partition no more, until the map has moved on from that epoch. A
   * leader that proposed without this would extend what it is about to end.
   */
  endSole(partition: PartitionId, owner: ProcessId, epoch: number, now: Now): boolean {
    this.#enter(now)
    if (!this.#options.isOver(owner) && now.mono < this.#beacons.patienceEndsAt(owner)) return false
    const known = this.#parts.get(partition)?.entry?.epoch ?? 0
    if (known <= epoch) this.#ended.set(partition, { owner, epoch })
    return true
  }

  /** Every process in sync holds all changes up to this number; 0 where nothing is held. */
  storedUpTo(partition: PartitionId): number {
    return this.#parts.get(partition)?.copy?.acked ?? 0
  }

  /** The next change of a partition that this process may run. Gives its number, or why it was not taken. */
  append(partition: PartitionId, key: string, change: KeyChange, now: Now): number | AppendRefusal {
    this.#enter(now)
    const part = this.#parts.get(partition)
    if (!part?.tenure) return 'not-owner'
    if (!part.hasRight) return 'no-right'
    const growth = part.copy!.growthOf(key, change)
    if (growth > 0 && this.#bytes + growth > this.#tuning.stateBytes) return 'state-limit'
    return this.#append(part, key, change, now)
  }

  /** The partition is in use: if this process owns it, leases are kept up. */
  wake(partition: PartitionId, now: Now): void {
    this.#enter(now)
    const part = this.#parts.get(partition) ?? this.#create(partition)
    if (!part) return
    part.isActive = true
    this.#wake(part)
  }

  /** It is not. The right to run it ends. */
  rest(partition: PartitionId, now: Now): void {
    this.#enter(now)
    const part = this.#parts.get(partition)
    if (!part?.isActive) return
    part.isActive = false
    // Whoever keeps the right from it is found out before it rests.
    if (part.tenure && !part.hasRight) this.#expect(part, now)
    this.#rest(part)
  }

  /** The grain of a key is active no more: what waits for that is taken. */
  takeIn(partition: PartitionId, key: string, now: Now): void {
    this.#enter(now)
    const part = this.#parts.get(partition)
    if (part?.hasRight) this.#visits.take(part, key, now)
  }

  /** Somebody needs the partition, and its owner seems gone. */
  seek(partition: PartitionId, now: Now): void {
    this.#enter(now)
    const part = this.#parts.get(partition)
    if (!part) return
    part.isSought = true
    this.#touched.add(part)
  }

  /** Hands the partition over to a process in sync. Handlers end at once. `false`: that cannot be. */
  moveTo(partition: PartitionId, to: ProcessId, now: Now): boolean {
    this.#enter(now)
    const part = this.#parts.get(partition)
    if (!part?.tenure || part.tenure.isReleased || to === this.#options.own) return false
    if (!part.entry!.inSync.includes(to)) return false
    part.tenure.movingTo = to
    this.#judge(part, now)
    this.#touched.add(part)
    return true
  }

  /** This process goes: whoever holds what it owns need not wait for leases, and what only it holds is handed on. */
  release(now: Now): void {
    this.#enter(now)
    this.#isLeaving = true
    for (const part of this.#parts.values()) {
      if (!part.tenure || part.tenure.isReleased) continue
      this.#owning.release(part, now)
      this.#judge(part, now)
    }
  }

  /** Whether this process owns it, nobody calls its grains, and nothing is under way about it. */
  isResting(partition: PartitionId): boolean {
    const part = this.#parts.get(partition)
    const tenure = part?.tenure
    if (!part || !tenure || part.isAwake || part.proposal) return false
    return !tenure.isTakingOver && !tenure.isReleased && tenure.movingTo === undefined
  }

  /** Partitions that this process owns. */
  *owned(): Iterable<PartitionId> {
    for (const part of this.#parts.values()) if (part.tenure) yield part.id
  }

  /** Partitions whose only copy was handed to this process by an owner that has left, with the entry that is of use. */
  *inherited(): Iterable<readonly [PartitionId, MapEntry]> {
    for (const { id, handed, entry, copy } of this.#parts.values()) {
      if (!handed || !copy || !entry || handed.epoch !== entry.epoch || handed.from !== entry.owner) continue
      // made up: it has no next one, and whoever was told so would be told something that is not valid
      if (entry.epoch >= MAX_EPOCH) continue
      yield [id, { ...entry, epoch: entry.epoch + 1, owner: this.#options.own, inSync: [this.#options.own] }]
    }
  }

  /**
   * Another council is followed from now on. Nothing that was decided before gives a right, until this one has said
   * something later. What the former one has of each partition is kept, for whoever owns it under this one.
   */
  disown(now: Now): void {
    this.#enter(now)
    for (const part of this.#parts.values()) {
      if (!part.entry) continue
      this.#keep(part, now)
      part.floor = Math.max(part.floor, part.entry.epoch + 1)
      this.#judge(part, now)
    }
  }

  /** It stays after all. What was released is owned again once the council has given it a new epoch. */
  resume(now: Now): void {
    this.#enter(now)
    this.#isLeaving = false
    this.#touchAll()
  }

  /** The newest entry that is known of a partition, and the council that has told it. */
  onMap(partition: PartitionId, entry: MapEntry, group: string, now: Now): void {
    this.#enter(now)
    const part = this.#parts.get(partition) ?? this.#create(partition)
    const before = part?.entry
    if (!part || (before && entry.epoch <= before.epoch)) return
    this.#unknown.delete(part)
    const isNeeded = isUrgent(part)
    // Given up while all who held it were gone, and this process is back. It was in sync at the very last, so it has
    // all that was acknowledged; of an earlier epoch others may have acknowledged more, and an old state is no state.
    const isGivenUp = before !== undefined && part.group === group && entry.born === before.epoch + 1
    const hadAll = before?.inSync.includes(this.#options.own) || part.handed?.epoch === before?.epoch
    if (isGivenUp && hadAll && part.copy?.born === before.born) this.#keep(part, now)
    part.entry = entry
    const turn = this.#turn(part, group)
    const isAnother = turn === 'back' || entry.born !== before?.born
    if (part.proposal && entry.epoch > part.proposal.epoch) part.proposal = undefined
    if (part.tenure && (entry.owner !== this.#options.own || isAnother)) {
      this.#endRight(part)
      this.#options.onDeposed(partition)
    }
    this.#replicating.onEntry(part, before, now)
    const ended = this.#ended.get(partition)
    if (ended && entry.epoch > ended.epoch) {
      this.#ended.delete(partition)
      this.#beacons.depose(ended.owner, partition, entry.epoch)
    }
    this.#owning.onEntry(part, turn ? undefined : before, now)
    if (part.tenure && isNeeded && before?.owner !== this.#options.own) this.#expect(part, now)
    if (!part.tenure || isAnother) {
      this.#visits.clear(part)
      part.taken.clear()
    }
    this.strays.onMap(partition, now)
    this.#weigh(part)
    this.#judge(part, now)
    this.#touched.add(part)
  }

  /** `reason` is `unknown` where the proposal may have taken effect, or still may. */
  onProposal(id: number, ok: boolean, reason: string | undefined, now: Now): void {
    this.#enter(now)
    for (const { part, isKnown } of this.#proposals.decided(id, ok, reason)) {
      const { wish } = part.proposal!
      part.proposeAt = now.mono + this.#tuning.proposeAgainMs
      if (isKnown) part.proposal = undefined
      else part.proposal!.isOpen = false
      if (isKnown && part.tenure && wish.owner === part.tenure.movingTo) part.tenure.movingTo = undefined
      this.#touched.add(part)
    }
  }

  /** Who is live, who is over or who leads has changed. */
  onLiveness(process: ProcessId, now: Now): void {
    this.#enter(now)
    if (this.#options.isOver(process)) this.#beacons.forget(process)
    this.strays.onLiveness(process, now)
    for (const part of this.#parts.values())
      if (isUrgent(part) && isAbout(part, process)) this.#touched.add(part)
    this.#touchSoon(now)
  }

  /** Who should hold what has changed, or who leads. */
  onTargets(now: Now): void {
    this.#enter(now)
    this.#touchSoon(now)
  }

  onMessage(from: ProcessId, message: HoldingMessage, now: Now): void {
    this.#enter(now)
    if (message.type === 'beacon') this.#beacons.onBeacon(from, message, now)
    else if (message.type === 'beaconed') {
      if (!this.#beacons.onBeaconed(from, message, now)) return
      for (const { partition, epoch } of message.refused) this.#refused(partition, epoch, now)
      for (const part of this.#running) this.#judge(part, now)
      for (const part of this.#awake) this.#touched.add(part)
    } else this.#onList(from, message, now)
  }

  /** What is due. */
  tick(now: Now): void {
    this.#enter(now)
  }

  /** Decides and says what the inputs of this turn lead to. */
  settle(now: Now): void {
    if (now.mono >= this.#touchAllAt) this.#touchAll()
    if (now.mono >= this.#firstDueAt) this.#touchDue(now)
    const isDue = this.#touched.size > 0 || this.#beacons.nextDeadline() <= now.mono
    let looks = 0
    for (const part of this.#touched) {
      // Whoever leaves has no further turn.
      if (looks++ >= (this.#isLeaving ? MAX_LOOKS : LOOKS_A_TURN)) break
      this.#touched.delete(part)
      this.#look(part, now)
    }
    this.#goOnAt = this.#touched.size > 0 ? now.mono : Infinity
    if (isDue) this.#beacons.keep(this.#wantedNow(), now)
    this.#proposals.flush()
    this.strays.settle(now)
    this.#mail.flush()
    this.#asked = this.nextDeadline() ?? Infinity
  }

  /** On `mono`; `undefined` while there is nothing to wait for. */
  nextDeadline(): number | undefined {
    const own = Math.min(this.#firstDueAt, this.#touchAllAt, this.#goOnAt)
    const next = Math.min(this.#beacons.nextDeadline(), own, this.strays.nextDeadline())
    return next === Infinity ? undefined : next
  }

  #touchDue(now: Now): void {
    this.#firstDueAt = Infinity
    for (const [part, due] of this.#dueAt) {
      if (due <= now.mono) this.#touched.add(part)
      else this.#firstDueAt = Math.min(this.#firstDueAt, due)
    }
  }

  /** Ends what has expired. */
  #enter(now: Now): void {
    const lateMs = now.mono - this.#asked
    if (lateMs > this.#tuning.lateMs) {
      this.#asked = Infinity
      this.#beacons.shift(lateMs)
      for (const part of this.#parts.values()) this.#owning.shift(part, lateMs)
    }
    const hasLapsed = this.#beacons.lapse(now)
    if (this.#running.size === 0) return
    const hasSole = this.#hasSole(now)
    if (!hasLapsed && hasSole === this.#hadSole) return
    this.#hadSole = hasSole
    for (const part of this.#running) this.#judge(part, now)
  }

  #look(part: Part, now: Now): void {
    const { entry, proposal } = part
    if (!entry) return this.#lookAgain(part, this.#replicating.look(part, now))
    let due = Infinity
    if (proposal && !proposal.isOpen) {
      if (now.mono >= part.proposeAt) this.#proposals.wish(part, proposal.wish)
      else due = part.proposeAt
    }
    due = Math.min(due, this.#replicating.look(part, now))
    if (part.tenure) due = Math.min(due, this.#owning.look(part, now))
    if (part.visits.size > 0) due = Math.min(due, this.#lookAtVisits(part, now))
    if (part.expectedUntil > -Infinity) due = Math.min(due, this.#lookAtExpected(part, now))
    if (part.proposal) this.#proposed.add(part)
    this.#weigh(part)
    this.#noteLessors(part)
    this.#judge(part, now)
    this.#options.onLook?.(part)
    // Nobody tells when a leader's lease begins.
    if (part.isAwake && part.tenure && !part.hasRight && entry.inSync.length === 1)
      due = Math.min(due, now.mono + this.#tuning.beaconAgainMs)
    this.#lookAgain(part, due)
  }

  #lookAgain(part: Part, due: number): void {
    if (due < Infinity) {
      this.#dueAt.set(part, due)
      this.#firstDueAt = Math.min(this.#firstDueAt, due)
    } else if (this.#dueAt.delete(part) && this.#dueAt.size === 0) this.#firstDueAt = Infinity
  }

  /** Begins or ends the right to run. */
  #judge(part: Part, now: Now): void {
    const right = part.tenure !== undefined && this.#computeRight(part, now)
    if (right === part.hasRight) return
    if (!right) return this.#endRight(part)
    part.hasRight = true
    this.#running.add(part)
    this.#hadSole = this.#hasSole(now)
    if (part.visits.size > 0) this.#touched.add(part)
    this.#options.onRightBegan(part.id)
  }

  #endRight(part: Part): void {
    if (!part.hasRight) return
    part.hasRight = false
    this.#visits.end(part)
    this.#running.delete(part)
    this.#touched.add(part)
    this.#options.onRightEnded(part.id)
  }

  #computeRight(part: Part, now: Now): boolean {
    if (!part.isAwake || !this.#owning.isReady(part) || this.#options.isWaiting?.(part.kind)) return false
    const leader = this.#options.leader()
    const at = { partition: part.id, epoch: part.entry!.epoch }
    if (part.entry!.inSync.length === 1) {
      if (!this.#hasSole(now) || (leader !== undefined && this.#beacons.isRefused(leader, at))) return false
    }
    return neededBy(part, this.#options.own).every((process) => this.#beacons.isHeld(process, at, now))
  }

  /** The lease of an owner that is alone in sync. */
  #hasSole(now: Now): boolean {
    const { leader, leaderHasLease, own } = this.#options
    const process = leader()
    if (process === undefined) return false
    return process === own ? leaderHasLease(now) : this.#beacons.isHeldByLeader(process, now)
  }

  /** After most turns the same as before: all that is in use is gone through only where that may have changed. */
  #wantedNow(): ReadonlyMap<ProcessId, boolean> {
    const leader = this.#options.leader()
    if (this.#wanted && leader === this.#wantedUnder) return this.#wanted
    const wanted = new Map<ProcessId, boolean>()
    for (const { lessors } of this.#awake) {
      for (const lessor of lessors) {
        if (lessor !== undefined) wanted.set(lessor, wanted.get(lessor) ?? false)
        else if (leader !== undefined && leader !== this.#options.own) wanted.set(leader, true)
      }
    }
    this.#wantedUnder = leader
    this.#wanted = wanted
    return wanted
  }

  #noteLessors(part: Part): void {
    const lessors = this.#owning.lessorsOf(part)
    const isSame =
      lessors.length === part.lessors.length && lessors.every((process, i) => process === part.lessors[i])
    if (isSame) return
    part.lessors = lessors
    this.#wanted = undefined
  }

  #append(part: Part, key: string, change: KeyChange, now: Now): number {
    const number = this.#owning.append(part, key, change, now)
    this.#weigh(part)
    return number
  }

  /** To be called whenever what is held of it has changed. */
  #weigh(part: Part): void {
    const { copy, staging } = part
    const bytes = (copy?.bytes ?? 0) + (staging?.held.bytes ?? 0)
    this.#bytes += bytes - part.bytes
    part.bytes = bytes
  }

  /** A replica does not speak for the partition; at a higher epoch it knows of another owner. */
  #refused(partition: PartitionId, epoch: number, now: Now): void {
    const part = this.#parts.get(partition)
    if (!part?.tenure || epoch <= part.entry!.epoch) return
    part.floor = Math.max(part.floor, epoch)
    this.#askMap(part, now.mono)
  }

  #seeking(owner: ProcessId): { partition: PartitionId; epoch: number }[] {
    const refused: { partition: PartitionId; epoch: number }[] = []
    for (const part of this.#proposed) {
      const { proposal, entry, id } = part
      if (!proposal) this.#proposed.delete(part)
      else if (proposal.wish.owner === this.#options.own && entry!.owner === owner)
        refused.push({ partition: id, epoch: entry!.epoch })
    }
    for (const [partition, ended] of this.#ended)
      if (ended.owner === owner) refused.push({ partition, epoch: ended.epoch })
    return refused
  }

  #onList(from: ProcessId, message: ListMessage, now: Now): void {
    for (const item of message.items) {
      const part = this.#parts.get(item.partition) ?? this.#hearOf(item.partition)
      if (!part) continue
      this.#dispatch(from, part, { type: message.type, item } as unknown as Addressed, now)
      this.#weigh(part)
    }
  }

  #dispatch(from: ProcessId, part: Part, { type, item }: Addressed, now: Now): void {
    switch (type) {
      case 'store':
        return this.#replicating.onStore(from, part, item, now)
      case 'where':
        return this.#replicating.onWhere(from, part, item, now)
      case 'claim':
        return this.#replicating.onClaim(from, part, item, now)
      case 'repair':
        return this.#replicating.onRepair(from, part, item, now)
      case 'copy':
        return this.#replicating.onCopy(from, part, item, now)
      case 'drop':
        return this.#replicating.onDrop(from, part, item, now)
      case 'released':
        return this.#replicating.onReleased(from, part, item, now)
      case 'stray':
        if (this.#visits.onStray(from, part, item, now)) this.#wake(part)
        return
      case 'strayed':
        return this.strays.onStrayed(from, item, now)
      case 'stale':
        if (item.epoch > (part.entry?.epoch ?? 0)) this.#askMap(part, now.mono)
        return
    }
    if (!part.tenure) return
    if (type === 'stored') this.#owning.onStored(from, part, item, now)
    else if (type === 'standing') this.#owning.onStanding(from, part, item, now)
    else this.#owning.onCopied(from, part, item, now)
  }

  #wake(part: Part): void {
    if (part.isAwake) return
    part.isAwake = true
    this.#awake.add(part)
    this.#wanted = undefined
    this.#touched.add(part)
  }

  /** So that leases are there when the first call is. */
  #expect(part: Part, now: Now): void {
    part.expectedUntil = now.mono + this.#tuning.expectMs
    this.#wake(part)
  }

  #rest(part: Part): void {
    if (part.isActive || part.visits.size > 0 || part.expectedUntil > -Infinity || !part.isAwake) return
    part.isAwake = false
    this.#awake.delete(part)
    this.#wanted = undefined
    this.#endRight(part)
    this.#touched.add(part)
  }

  /** Handlers have waited for that. */
  #onOwnSeen(partition: PartitionId, attempt: number): void {
    const wasOwed = this.strays.isOwed(partition)
    this.strays.onSeen(partition, attempt)
    if (wasOwed && !this.strays.isOwed(partition)) this.#options.onRightBegan(partition)
  }

  #lookAtVisits(part: Part, now: Now): number {
    const due = this.#visits.look(part, now)
    this.#rest(part)
    return due
  }

  #lookAtExpected(part: Part, now: Now): number {
    if (now.mono < part.expectedUntil) return part.expectedUntil
    part.expectedUntil = -Infinity
    this.#rest(part)
    return Infinity
  }

  /**
   * Whether the copy goes on under another council, or goes `back`: a council that is followed again goes on from what
   * its holders had when they gave it up, whatever they have taken over elsewhere meanwhile.
   */
  #turn(part: Part, group: string): 'on' | 'back' | undefined {
    const before = part.group
    part.group = group
    if (before === undefined || group === before) return undefined
    const { born, inSync } = part.entry!
    const kept = inSync.includes(this.#options.own) ? this.strays.latest(part.id, born, group) : undefined
    if (kept) part.copy = kept.split()
    else part.copy?.estrange()
    return kept ? 'back' : 'on'
  }

  /**
   * The owner's copy has all that was acknowledged, and is offered at once. So does that of whoever is in sync with it,
   * in case that the owner goes before it has done so; mostly there is nothing left to take then.
   */
  #keep({ id, copy, group, tenure, entry, handed }: Part, now: Now): void {
    const { own } = this.#options
    const { owner, inSync } = entry!
    if (!copy || copy.isEmpty || !(tenure || handed || inSync.includes(own))) return
    const others = inSync.filter((process) => process !== owner).toSorted()
    const turn = tenure ? 0 : others.indexOf(own) + 1
    this.strays.keep(id, copy.split(), group, now, turn * this.#tuning.strayTurnMs)
  }

  /** Of the council that is followed, and not of one before it. */
  #followedEntry(partition: PartitionId): MapEntry | undefined {
    const part = this.#parts.get(partition)
    return part?.entry && part.entry.epoch >= part.floor ? part.entry : undefined
  }

  #askMapOf(partition: PartitionId, mono: number): void {
    const part = this.#parts.get(partition) ?? this.#create(partition)
    if (part) this.#askMap(part, mono)
  }

  #askMap(part: Part, mono: number): void {
    if (mono < part.askedMapAt + ASK_MAP_MS) return
    part.askedMapAt = mono
    this.#options.askMap(part.id)
  }

  /** What is in use now; of the rest, which are hundreds, all that changes meanwhile is looked at in one go. */
  #touchSoon(now: Now): void {
    for (const part of this.#awake) this.#touched.add(part)
    this.#touchAllAt = Math.min(this.#touchAllAt, now.mono + this.#tuning.lookAllMs)
  }

  #touchAll(): void {
    this.#touchAllAt = Infinity
    for (const part of this.#parts.values()) this.#touched.add(part)
  }

  #hearOf(partition: PartitionId): Part | undefined {
    const part = this.#create(partition)
    if (part) this.#unknown.add(part)
    if (this.#unknown.size > MAX_UNKNOWN) this.#forgetOldest()
    return part
  }

  /** Those of which something is kept go to the end: what is kept is bounded, and goes soon. */
  #forgetOldest(): void {
    let tries = MAX_SPARED
    for (const oldest of this.#unknown) {
      this.#unknown.delete(oldest)
      if (tries-- > 0 && this.#replicating.isAwaited(oldest)) {
        this.#unknown.add(oldest)
        continue
      }
      this.#parts.delete(oldest.id)
      this.#bytes -= oldest.bytes
      return
    }
  }

  #create(partition: PartitionId): Part | undefined {
    const parsed = parsePartition(partition)
    if (!parsed) return undefined
    const part = newPart(partition, parsed.kind, parsed.slot)
    this.#parts.set(partition, part)
    return part
  }
}

/** Somebody waits for it, or soon will. */
const isUrgent = ({ isAwake, isSought, released, entry, tenure, copy }: Part): boolean =>
  isAwake ||
  isSought ||
  (released?.inUse === true && released.from === entry?.owner) ||
  (tenure !== undefined && (tenure.isTakingOver || copy!.acked < copy!.number))

/** Whether the process holds it, or is about to. */
const isAbout = ({ entry, tenure }: Part, process: ProcessId): boolean =>
  entry !== undefined && (entry.inSync.includes(process) || tenure?.peers.has(process) === true)

/** One item of a list. */
type Addressed = {
  [M in ListMessage as M['type']]: { readonly type: M['type']; readonly item: M['items'][number] }
}[ListMessage['type']]
