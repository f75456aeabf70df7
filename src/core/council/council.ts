/**
 * Council: this process and the group that agrees on the partition map. It may be one of its voters, and then runs Raft;
 * or it knows of the group by what voters publish, and asks them. Either way it knows the newest entries it has heard
 * of, and has changes decided by the leader, whoever that is.
 *
 * Messages may be lost. A proposal is repeated until it was decided: that is harmless, since a change names the epochs
 * that it is about.
 *
 * There may be several groups, after a partition: `lineage.ts` says which is followed. What a group that is given up has
 * decided stands until the other has said something later: it is asked to.
 */
import type { ProcessId } from '../identity/node-id.ts'
import { randomProcessId } from '../identity/node-id.ts'
import type { MapEntry } from '../partition/partition.ts'
import { SLOTS } from '../partition/partition.ts'
import type { Candidate } from '../partition/placement.ts'
import type { Now, Random } from '../time.ts'
import { Continuation } from './continuation.ts'
import type { CouncilMessage, SlotEntry } from './council-messages.ts'
import { Government } from './government.ts'
import type { KnownCouncil, Present } from './lineage.ts'
import { hasQuorum, isBetter, whyBetter } from './lineage.ts'
import { decodeCommand, decodeMap, encodeCommand, encodeMap } from './map-codec.ts'
import type { OnMoved } from './map-hints.ts'
import { MapHints } from './map-hints.ts'
import { isOver, MapQuestions } from './map-questions.ts'
import type { Command } from './partition-map.ts'
import { PartitionMap } from './partition-map.ts'
import { Proposals } from './proposals.ts'
import type { PublishedCouncil } from './published-council.ts'
import { formatCouncil, formatGroup, parseGroup } from './published-council.ts'
import type { Loss, RaftMessage, RaftOutput } from './raft-messages.ts'
import type { RaftOptions } from './raft.ts'
import { Raft } from './raft.ts'
import type { RaftTuning } from './raft-tuning.ts'
import type { Seat } from './voters.ts'

export interface CouncilOptions {
  readonly self: ProcessId
  readonly random: Random
  readonly tuning?: Partial<RaftTuning> | undefined
  /** Who is up and may sit on the council, this process among them while it is up. */
  readonly seats: () => readonly Seat[]
  /** Who may hold partitions of a kind. */
  readonly candidates: (kind: string) => readonly Candidate[]
  /** The process is gone for good. */
  readonly hasEnded: (process: ProcessId) => boolean
  /** For how long a process has been lost, in ms: `Infinity` once it is gone for good, 0 while it is not lost. */
  readonly lostFor: (process: ProcessId, now: Now) => number
  /** What it alone holds may begin anew: it is gone, and nobody runs it elsewhere. Default: `hasEnded`. */
  readonly mayGiveUp?: ((process: ProcessId) => boolean) | undefined
  /**
   * What becomes of a council that has lost its quorum for good: it is continued by those who are left, or decides
   * nothing any more. Default `available`.
   */
  readonly partition?: 'available' | 'majority' | undefined
  /** What was left to this process by owners that have gone, as if the council had decided it. */
  readonly inherited?: () => Iterable<readonly [kind: string, slot: number, entry: MapEntry]>
  /** What others publish, by process. */
  readonly published: () => ReadonlyMap<ProcessId, PublishedCouncil>
  /** Publishes for this process, under `COUNCIL_KEY`. */
  readonly publish: (text: string | undefined) => void
  /** Hands a message over; it may be lost. */
  readonly send: (to: ProcessId, message: CouncilMessage) => void
  /** Entries that are newer than what was told before. */
  readonly onEntries: (kind: string, entries: readonly SlotEntry[], now: Now) => void
  /**
   * Of the leader, before it gives a partition of a process that has ended to another: nothing more is granted to the
   * former owner.
   */
  readonly endSole?: (kind: string, slot: number, owner: ProcessId, epoch: number, now: Now) => boolean
  /** A partition has another owner; told once for each change that this process hears of. */
  readonly onMoved?: OnMoved
  /** The council began here, went on here, or another one is followed from now on: its group, and why. */
  readonly onChange?: (change: CouncilChange, group: string, reason: string) => void
  /** Another council is followed from now on; what it has to say comes as entries. */
  readonly onFollow?: (now: Now) => void
  /** A proposal of this process was decided; `ok` if what it asks for is so now. */
  readonly onDecided: (id: number, ok: boolean, now: Now) => void
}

export type CouncilChange = 'founded' | 'continued' | 'followed'

/** Of the surveys of one process within this time one is answered, in ms: it asks every 500 ms. */
const SURVEY_MS = 300
/** Groups that are given up are few: one for each partition of the network. */
const MAX_PARKED = 16
/** A member that is to have a vote and takes nothing for this long, in ms, makes room for another. */
const CATCH_UP_PATIENCE_MS = 4_000
/**
 * A voter that is lost since less than this, in ms, may be there: where two sides of a partition meet, each hears of the
 * accusations of the other before their refutation. The council that is followed does not seem weaker for it yet.
 */
const DOUBT_MS = 1_000
/** Entries in the log before a snapshot takes their place. */
const COMPACT_ENTRIES = 256

export class Council {
  readonly #options: CouncilOptions
  readonly #hints = new MapHints()
  readonly #proposals: Proposals
  readonly #government: Government
  readonly #continuation: Continuation
  #raft: Raft | undefined
  /** As of what Raft has applied. */
  #map = new PartitionMap()
  /** Of groups that were given up, which may be followed again: a voter must not forget its vote. */
  readonly #parked = new Map<string, { readonly raft: Raft; readonly map: PartitionMap }>()
  readonly #outputs: RaftOutput[] = []
  /** Remote proposals under way, by the id that Raft knows. */
  readonly #served = new Map<number, { readonly from: ProcessId; readonly id: number }>()
  readonly #questions: MapQuestions
  /** What the newest publication says of the group's voters, also when whoever published it is gone. */
  #newest: KnownCouncil | undefined
  #publishedLeader: ProcessId | undefined
  #isDismissed = false
  /** Who was there when it was last looked, those in doubt among them. */
  #there: ReadonlySet<ProcessId> = new Set()
  /** Those in doubt, and since when they are missed. */
  #missed: ReadonlyMap<ProcessId, number> = new Map()
  /** When one of those in doubt is lost for long enough. */
  #lookAt = Infinity
  /** None of the voters is there, and this process knows what they have decided. */
  #isOrphaned = false
  /** Who was told the whole map, and until when they are not told again. */
  readonly #surveyors = new Set<ProcessId>()
  #surveyedUntil = -Infinity
  #raftIds = 0
  #publishedText: string | undefined
  #isLeaving = false

  constructor(options: CouncilOptions) {
    this.#options = options
    this.#proposals = new Proposals({
      random: options.random,
      target: () => this.#target(),
      leader: () => this.leader,
      decideHere: (id, command, now) => this.#proposeHere(options.self, id, command, now),
      send: (to, id, command) => {
        const { group } = this
        if (group !== undefined) options.send(to, { kind: 'propose', group, id, command })
      },
      holds: (command) => this.#holds(command),
      onDecided: options.onDecided,
    })
    this.#questions = new MapQuestions({
      knows: (kind) => this.knows(kind),
      leads: () => this.#leads,
      ask: (kind) => this.#askFor(kind),
      answer: (kind, now) => this.#onTold(kind, this.#applied(kind), now),
      bear: (kind, now) => this.#bear(kind, now),
    })
    this.#government = new Government({
      ...options,
      map: () => this.#map,
      voters: () => this.#raft?.voters ?? [],
      change: (id, change, now) => this.#run(now, (raft) => raft.change(id, change, now)),
      propose: (command, now) => void this.propose(command, now),
    })
    this.#continuation = new Continuation({
      ...options,
      voters: () => this.#followed?.voters,
      publishers: () => this.#publishers(),
      isLed: () => this.#leads || this.#publishedLeader !== undefined,
      known: () => this.#knownMap(),
      survey: (process) => {
        const { group } = this
        if (group !== undefined) options.send(process, { kind: 'survey', group })
      },
      found: (map, now) => this.#continue(map, now),
    })
  }

  /** The group that this process follows; `undefined` while it knows of none. */
  get group(): string | undefined {
    return this.#raft?.group ?? this.#newest?.group
  }

  /** Whom this process takes for the leader. */
  get leader(): ProcessId | undefined {
    // A process that has no vote any more is told of no other leader.
    if (this.isVoter && this.#raft!.leader !== undefined) return this.#raft!.leader
    return this.#publishedLeader
  }

  /** Whether it has a vote: one that was dismissed while it heard nothing learns that from what others publish. */
  get isVoter(): boolean {
    return (this.#raft?.voters.includes(this.#options.self) ?? false) && !this.#isDismissed
  }

  /**
   * Whether this process leads, nobody else can at this moment, and all that was decided under leaders before it is
   * applied here: an entry of its own term is.
   */
  hasLease(now: Now): boolean {
    const raft = this.#raft
    return raft !== undefined && raft.hasLease(now) && raft.log.termAt(raft.applied) === raft.term
  }

  /** The newest that this process has heard of a partition. */
  entry(kind: string, slot: number): MapEntry | undefined {
    return this.#hints.get(kind, slot)
  }

  /** What whoever continues this council is told: the newest of each partition, with what may have been decided. */
  surveyed(): [string, SlotEntry[]][] {
    return [...this.#knownMap()].map(([kind, slots]): [string, SlotEntry[]] => [kind, [...slots]])
  }

  /** Whether the kind is known: then each of its partitions is. */
  knows(kind: string): boolean {
    return this.#hints.has(kind)
  }

  /** Founds a council of one. To be called only where it is certain that there is none. */
  found(now: Now): void {
    this.#look(now)
    if (this.group !== undefined) return
    this.#begin(0, now)
    this.#options.onChange?.('founded', this.group!, 'nobody here has a council')
    this.tick(now)
  }

  /** The kind is to be known from now on; `mustBeBorn` where this process hosts it. */
  want(kind: string, mustBeBorn: boolean, now: Now): void {
    this.#questions.want(kind, mustBeBorn, now)
    this.#settle(now)
  }

  /** What is known of the kind may be old: asks anew. */
  refresh(kind: string, now: Now): void {
    if (this.#leads) return
    this.#questions.refresh(kind)
    this.#settle(now)
  }

  /** Has a command decided; `onDecided` is called with the id that this returns, once, at once or later. */
  propose(command: Command, now: Now): number {
    const id = this.#proposals.add(command, now)
    this.#settle(now)
    return id
  }

  /** Members, or what they publish, have changed. */
  notice(now: Now): void {
    this.#government.notice()
    this.#continuation.notice()
    this.#look(now)
    this.#settle(now)
  }

  /** A process is lost: see `Raft.lost`. */
  lost(process: ProcessId, loss: Loss, now: Now): void {
    this.#run(now, (raft) => raft.lost(process, loss, now))
    this.#government.notice()
    this.#continuation.notice()
    this.#proposals.hurry(now)
    this.#settle(now)
  }

  receive(from: ProcessId, message: CouncilMessage, now: Now): void {
    if (message.kind === 'raft') this.#receiveRaft(from, message.message, now)
    else if (message.kind === 'survey') {
      this.#onSurvey(from, message.group, now)
    } else if (message.group === this.group) this.#receive(from, message, now)
    this.#settle(now)
  }

  /** This process is about to leave: leadership goes to another voter. */
  leave(now: Now): void {
    this.#isLeaving = true
    this.#government.rest()
    const raft = this.#raft
    if (raft?.role === 'leader') {
      const others = this.#options.seats().filter(({ process }) => process !== this.#options.self)
      const heir = others.find(({ process }) => raft.voters.includes(process))
      if (heir) this.#run(now, () => raft.transfer(heir.process, now))
    }
    this.#settle(now)
  }

  /** Asked before every input of grains, and mostly there is nothing to do: what happens is settled when it does. */
  tick(now: Now): void {
    if (now.mono < this.nextDeadline()) return
    if (now.mono >= this.#raftDeadline) this.#run(now, (raft) => raft.tick(now))
    if (now.mono >= this.#lookAt) this.#look(now)
    this.#settle(now)
  }

  nextDeadline(): number {
    let next = Math.min(this.#raftDeadline, this.#proposals.nextDeadline(), this.#lookAt)
    if (this.#leads) next = Math.min(next, this.#government.nextDeadline())
    if (this.#mayContinue) next = Math.min(next, this.#continuation.nextDeadline())
    return this.group === undefined ? next : Math.min(next, this.#questions.nextDeadline())
  }

  get #leads(): boolean {
    return this.#raft?.role === 'leader'
  }

  /** Whoever was dismissed asks for no votes any more. */
  get #raftDeadline(): number {
    return this.#raft && !this.#isDismissed ? this.#raft.nextDeadline() : Infinity
  }

  /** The group that this process follows, and its voters. */
  get #followed(): KnownCouncil | undefined {
    const [raft, newest] = [this.#raft, this.#newest]
    if (!raft) return newest
    // It was dismissed, or has not been told of itself yet.
    if (newest?.group === raft.group && newest.index > raft.log.newest.index) return newest
    return raftCouncil(raft)
  }

  get #mayContinue(): boolean {
    return this.#options.partition !== 'majority' && !this.#isLeaving
  }

  #begin(forks: number, now: Now): void {
    const group = formatGroup({ name: randomProcessId(this.#options.random), forks })
    this.#raft = Raft.found({ ...this.#raftOptions(group), snapshot: encodeMap(this.#map) }, now)
  }

  /** Founds a council that goes on where one without a quorum has stopped. */
  #continue(map: PartitionMap, now: Now): void {
    const former = this.group!
    const { forks } = parseGroup(former)!
    this.#retire()
    this.#map = map
    this.#begin(forks + 1, now)
    this.#options.onChange?.('continued', this.group!, `${former} has lost half of its voters, or more`)
    const { group } = this.#raft!
    const others = this.#options.seats().filter(({ process }) => process !== this.#options.self)
    for (const [kind] of map.kinds()) {
      const entries = this.#applied(kind)
      this.#learn(kind, entries, now)
      for (const { process } of others)
        this.#options.send(process, { kind: 'news', group, grain: kind, entries })
    }
    this.#proposals.hurry(now)
    this.#run(now, (raft) => raft.tick(now))
  }

  /** The group is followed no more; should it be again, this process still knows how it has voted. */
  #retire(): void {
    if (this.#raft) {
      this.#parked.set(this.#raft.group, { raft: this.#raft, map: this.#map })
      if (this.#parked.size > MAX_PARKED) this.#parked.delete(this.#parked.keys().next().value!)
    }
    this.#raft = undefined
    this.#newest = undefined
    this.#publishedLeader = undefined
    this.#isDismissed = false
    this.#isOrphaned = false
    this.#map = new PartitionMap()
    this.#outputs.length = 0
    this.#served.clear()
    this.#government.reset()
  }

  /** Another group is followed from now on: what it says of kinds that are known here has to be heard anew. */
  #follow(council: KnownCouncil, now: Now): void {
    this.#retire()
    this.#newest = council
    const parked = this.#parked.get(council.group)
    if (parked) {
      this.#parked.delete(council.group)
      this.#raft = parked.raft
      this.#map = parked.map
    }
    const kinds = [...this.#hints.kinds()]
    this.#questions.askAnew(
      kinds.map((kind) => [kind, this.#hints.entries(kind)] as const),
      now,
    )
    this.#proposals.hurry(now)
    this.#options.onFollow?.(now)
  }

  /** All that is known here, what was not committed yet included: it may have been, without this process's knowing. */
  #knownMap(): Map<string, Map<number, MapEntry>> {
    const known = new Map<string, Map<number, MapEntry>>()
    const map = this.#raft ? this.#mapToTheEnd(this.#raft) : new PartitionMap()
    for (const [kind, entries] of map.kinds()) known.set(kind, new Map(entries.entries()))
    for (const kind of this.#hints.kinds()) {
      const slots = known.get(kind) ?? new Map<number, MapEntry>()
      known.set(kind, slots)
      for (const [slot, entry] of this.#hints.entries(kind))
        if (entry.epoch > (slots.get(slot)?.epoch ?? 0)) slots.set(slot, entry)
    }
    for (const [kind, slot, entry] of this.#options.inherited?.() ?? [])
      if (entry.epoch > (known.get(kind)?.get(slot)?.epoch ?? Infinity)) known.get(kind)!.set(slot, entry)
    return known
  }

  #mapToTheEnd({ log, applied }: Raft): PartitionMap {
    if (applied === log.lastIndex) return this.#map
    const copy = decodeMap(encodeMap(this.#map))
    if (typeof copy === 'string') return this.#map
    for (let index = applied + 1; index <= log.lastIndex; index++) {
      const entry = log.entryAt(index)
      const command = entry?.kind === 'command' ? decodeCommand(entry.command) : ''
      if (typeof command !== 'string') copy.apply(command)
    }
    return copy
  }

  /** The whole map goes to those only who may have to continue this council, and no oftener than they ask. */
  #onSurvey(from: ProcessId, group: string, now: Now): void {
    if (!this.#isUp(from)) return
    if (now.mono >= this.#surveyedUntil) {
      this.#surveyedUntil = now.mono + SURVEY_MS
      this.#surveyors.clear()
    }
    if (this.#surveyors.has(from)) return
    this.#surveyors.add(from)
    const grains = group === this.group ? this.surveyed() : []
    this.#options.send(from, { kind: 'surveyed', group, grains })
  }

  #raftOptions(group: string): RaftOptions {
    const { self, random, tuning } = this.#options
    return {
      group,
      self,
      random,
      isVoter: (process) => this.#isSaidToVote(group, process),
      tuning: { catchUpPatienceMs: CATCH_UP_PATIENCE_MS, ...tuning },
      emit: (output) => this.#outputs.push(output),
    }
  }

  #receiveRaft(from: ProcessId, message: RaftMessage, now: Now): void {
    const { group } = message
    if (message.from !== from || message.to !== this.#options.self) return
    if (!this.#raft && (message.kind === 'append' || message.kind === 'install')) {
      if (this.group !== undefined && this.group !== group) return
      if (!parseGroup(group) || (this.#newest && !this.#isSaidToVote(group, from))) return
      this.#raft = Raft.join(this.#raftOptions(group))
    }
    this.#run(now, (raft) => raft.receive(message, now))
  }

  /** Whether anybody who is up publishes that this process votes there. */
  #isSaidToVote(group: string, process: ProcessId): boolean {
    for (const council of this.#options.published().values())
      if (council.group === group && council.voters.includes(process)) return true
    return false
  }

  #receive(from: ProcessId, message: Exclude<CouncilMessage, { kind: 'raft' }>, now: Now): void {
    const { group } = message
    const leader = this.leader
    switch (message.kind) {
      case 'ask': {
        const { grain } = message
        const entries = this.isVoter && this.#raft!.applied > 0 ? this.#applied(grain) : undefined
        return this.#options.send(from, { kind: 'told', group, grain, entries, leader })
      }
      case 'told':
        if (message.leader !== undefined) this.#proposals.named(message.leader, now)
        if (message.entries) this.#onTold(message.grain, message.entries, now)
        return undefined
      case 'propose': {
        const { id, command } = message
        const isTheirs = this.#mayPropose(from, command, now)
        if (isTheirs && this.#proposeHere(from, id, command, now)) return undefined
        // It changes nothing, and never will.
        if (!isTheirs && this.#leads && command.type === 'change')
          return this.#answer({ from, id }, command, now)
        const grain = command.kind
        return this.#options.send(from, { kind: 'proposed', group, id, grain, entries: undefined, leader })
      }
      case 'proposed': {
        const { id, grain, entries } = message
        if (entries) this.#learn(grain, entries, now)
        return entries
          ? this.#proposals.decided(id, now)
          : this.#proposals.refused(id, from, message.leader, now)
      }
      case 'survey':
        return undefined
      case 'surveyed':
        return this.#continuation.onSurveyed(from, message.grains)
      case 'adopt':
        return this.#isUp(from) ? this.#onAdopt(message.grain, message.entries, now) : undefined
      case 'news':
        return this.#learn(message.grain, message.entries, now)
    }
  }

  /** A voter has said what it knows of a kind: where it is none, it may be born now. */
  #onTold(kind: string, entries: readonly SlotEntry[], now: Now): void {
    const later = this.#questions.heard(kind, entries)
    if (entries.length > 0 ? later.length > 0 : later.length === SLOTS) {
      const { group } = this
      const to = this.#target()
      if (to !== undefined && group !== undefined)
        this.#options.send(to, { kind: 'adopt', group, grain: kind, entries: later })
    }
    this.#learn(kind, entries, now)
    if (entries.length === 0) this.#questions.bear(kind, now)
  }

  /** Somebody has given up another group, which has decided this. */
  #onAdopt(kind: string, entries: readonly SlotEntry[], now: Now): void {
    if (!this.#leads) return
    const isKnown = this.#map.has(kind)
    const later = entries.filter(([slot, entry]) => !isOver(entry, this.#map.get(kind, slot)))
    if (later.length === 0 || (!isKnown && later.length < SLOTS)) return
    const sorted = later.toSorted(([a], [b]) => a - b)
    const slots = sorted.map(([slot]) => slot)
    this.propose({ type: 'adopt', kind, slots, entries: sorted.map(([, entry]) => entry) }, now)
  }

  #bear(kind: string, now: Now): number | undefined {
    const births = this.#isLeaving ? undefined : this.#government.births(kind)
    return births && this.#proposals.add({ type: 'birth', kind, births }, now)
  }

  /** Returns whether this process leads, and so will answer. */
  #proposeHere(from: ProcessId, id: number, command: Command, now: Now): boolean {
    const raft = this.#raft
    if (raft?.role !== 'leader') return false
    const raftId = ++this.#raftIds
    this.#served.set(raftId, { from, id })
    const refusal = this.#run(now, () => raft.propose(raftId, encodeCommand(command), now))
    if (!refusal) return true
    this.#served.delete(raftId)
    // It would be the same again, for ever: its proposer learns that it changes nothing.
    if (refusal.reason !== 'command-too-large') return false
    this.#answer({ from, id }, command, now)
    return true
  }

  /**
   * What can be told by the map: only who holds a partition proposes that it changes, or, where its only holder has
   * ended, an heir to whom that one has handed it; and only where all who held it have ended it begins anew. Where
   * another epoch is the present one nothing is judged: nothing will change, or the log has more to say first.
   */
  #mayPropose(from: ProcessId, command: Command, now: Now): boolean {
    const { hasEnded, mayGiveUp = hasEnded, endSole } = this.#options
    if (command.type === 'birth') return true
    if (command.type === 'adopt') return this.#isUp(from)
    return command.slots.every((slot, i) => {
      const entry = this.#map.get(command.kind, slot)
      if (!entry || entry.epoch !== command.epochs[i]) return true
      const { owner, epoch, inSync } = entry
      if (command.type === 'change') {
        const isHeir = command.add === from && command.owner === from && command.remove === owner
        return inSync.includes(from) || (isHeir && inSync.every(hasEnded))
      }
      return inSync.every(mayGiveUp) && endSole?.(command.kind, slot, owner, epoch, now) !== false
    })
  }

  #isUp(process: ProcessId): boolean {
    return this.#options.seats().some((seat) => seat.process === process)
  }

  #run<T>(now: Now, act: (raft: Raft) => T): T | undefined {
    if (!this.#raft) return undefined
    const result = act(this.#raft)
    for (let output = this.#outputs.shift(); output; output = this.#outputs.shift())
      this.#execute(output, now)
    return result
  }

  #execute(output: RaftOutput, now: Now): void {
    switch (output.type) {
      case 'send':
        return this.#options.send(output.message.to, { kind: 'raft', message: output.message })
      case 'applied':
        return this.#onApplied(output, now)
      case 'restored': {
        const map = decodeMap(output.snapshot.bytes)
        if (typeof map === 'string') return
        this.#map = map
        for (const [kind] of map.kinds()) this.#learn(kind, this.#applied(kind), now)
        return
      }
      case 'dropped':
        this.#served.delete(output.id)
        return
      case 'changed':
      case 'change-failed':
        return this.#government.changed(output.id, output.type === 'changed', now)
      case 'role':
      case 'voters':
        this.#government.notice()
        if (output.type === 'role') this.#proposals.hurry(now)
        return
      case 'confirmed':
      case 'unconfirmed':
      case 'transfer-failed':
        return undefined
    }
  }

  #onApplied({ command: bytes, id, index }: Extract<RaftOutput, { type: 'applied' }>, now: Now): void {
    const raft = this.#raft!
    const command = decodeCommand(bytes)
    if (typeof command !== 'string') {
      const slots = command.type === 'birth' ? [] : command.slots
      const before = new Map(slots.map((slot) => [slot, this.#map.get(command.kind, slot)]))
      const changed = this.#map.apply(command)
      const entries = changed.map((slot): SlotEntry => [slot, this.#map.get(command.kind, slot)!])
      this.#learn(command.kind, entries, now)
      const served = id === undefined ? undefined : this.#served.get(id)
      if (raft.role === 'leader') this.#tellConcerned(command.kind, entries, before, served?.from)
      if (served) this.#answer(served, command, now)
    }
    if (id !== undefined) this.#served.delete(id)
    if (raft.log.lastIndex - raft.log.base > 2 * COMPACT_ENTRIES) raft.compact(index, encodeMap(this.#map))
  }

  #answer({ from, id }: { from: ProcessId; id: number }, command: Command, now: Now): void {
    if (from === this.#options.self) return this.#proposals.decided(id, now)
    const grain = command.kind
    const all = this.#applied(grain)
    const slots = command.type === 'birth' ? all : all.filter(([slot]) => command.slots.includes(slot))
    const { group } = this.#raft!
    this.#options.send(from, {
      kind: 'proposed',
      group,
      id,
      grain,
      entries: slots,
      leader: this.#options.self,
    })
  }

  /** Those who hold what has changed, or held it, need not wait until they ask. */
  #tellConcerned(
    grain: string,
    entries: readonly SlotEntry[],
    before: ReadonlyMap<number, MapEntry | undefined>,
    proposer: ProcessId | undefined,
  ): void {
    const concerned = new Map<ProcessId, SlotEntry[]>()
    const tell = (process: ProcessId, entry: SlotEntry): void => {
      if (process === this.#options.self || process === proposer) return
      const list = concerned.get(process)
      if (list && list.at(-1) !== entry) list.push(entry)
      else if (!list) concerned.set(process, [entry])
    }
    for (const entry of entries) {
      for (const process of entry[1].inSync) tell(process, entry)
      for (const process of before.get(entry[0])?.inSync ?? []) tell(process, entry)
    }
    const { group } = this.#raft!
    for (const [process, list] of concerned)
      this.#options.send(process, { kind: 'news', group, grain, entries: list })
  }

  #applied(kind: string): SlotEntry[] {
    for (const [name, entries] of this.#map.kinds())
      if (name === kind) return entries.map((entry, slot): SlotEntry => [slot, entry])
    return []
  }

  #learn(kind: string, entries: readonly SlotEntry[], now: Now): void {
    const news = this.#hints.learn(kind, entries, this.#options.onMoved)
    if (news.length > 0) this.#options.onEntries(kind, news, now)
  }

  /** Whether what a command asks for is so, as far as this process knows. */
  #holds(command: Command): boolean {
    if (command.type === 'birth') return this.#hints.has(command.kind)
    if (command.type === 'adopt') return this.#map.has(command.kind)
    return command.slots.every((slot, i) => {
      const entry = this.#hints.get(command.kind, slot)
      if (!entry) return false
      if (command.type === 'lose') return entry.born > command.epochs[i]!
      const { add, remove, owner } = command
      if (add !== undefined && !entry.inSync.includes(add)) return false
      if (remove !== undefined && entry.inSync.includes(remove)) return false
      return owner === undefined || entry.owner === owner
    })
  }

  #settle(now: Now): void {
    if (this.#leads && !this.#isLeaving) this.#government.settle(now)
    if (this.#mayContinue) this.#continuation.settle(now)
    if (this.group !== undefined) this.#questions.tick(now)
    this.#proposals.tick(now)
    this.#publish()
  }

  /** Whom to hand a proposal to: the leader, or else some voter, who may know. */
  #target(): ProcessId | undefined {
    if (this.group === undefined) return undefined
    return this.leader ?? this.#someVoter()
  }

  /** Returns whether there is anybody to ask. */
  #askFor(grain: string): boolean {
    const { group } = this
    const to = this.#someVoter()
    if (group === undefined || to === undefined) return false
    this.#options.send(to, { kind: 'ask', group, grain })
    return true
  }

  #someVoter(): ProcessId | undefined {
    const { self, random, seats } = this.#options
    const live = new Set(seats().map(({ process }) => process))
    const voters = this.#followed?.voters ?? []
    const others = voters.filter((process) => process !== self && live.has(process))
    return others[Math.floor(random() * others.length)]
  }

  /** Reads what others publish: which group is followed, who leads it, and whether this process still has a vote. */
  #look(now: Now): void {
    const { self, published, seats } = this.#options
    const known = published()
    const live = new Set(seats().map(({ process }) => process))
    const groups = new Map<string, PublishedCouncil>()
    for (const council of known.values()) {
      const other = groups.get(council.group)
      if (!other || council.index > other.index) groups.set(council.group, council)
    }
    const own = this.#followed
    if (own) {
      const heard = groups.get(own.group)
      if (!heard || heard.index < own.index) groups.set(own.group, { leads: 0, ...own })
    }
    const present = this.#inDoubt({ live, published: known }, own, now)
    let best: PublishedCouncil | undefined
    for (const council of groups.values()) if (!best || isBetter(council, best, present)) best = council
    this.#isOrphaned = false
    if (!best) return
    // Nobody is followed who can decide nothing, unless nobody else is known.
    if (own && best.group !== own.group) {
      if (!hasQuorum(best, present)) best = groups.get(own.group)!
      else {
        this.#follow(best, now)
        this.#options.onChange?.('followed', best.group, whyBetter(best, own, present))
      }
    }
    this.#newest = best
    this.#publishedLeader = leaderOf(best.group, known)
    const raft = this.#raft
    this.#isDismissed =
      raft !== undefined && best.index > raft.log.newest.index && !best.voters.includes(self)
    this.#isOrphaned =
      !this.#hints.isEmpty && live.size > 0 && !best.voters.some((process) => present.live.has(process))
  }

  /** The same with those voters of the council that is followed who were there a moment ago, and may still be. */
  #inDoubt(present: Present, own: KnownCouncil | undefined, now: Now): Present {
    this.#lookAt = Infinity
    const missed = new Map<ProcessId, number>()
    for (const voter of own?.voters ?? []) {
      if (present.live.has(voter) || !this.#there.has(voter)) continue
      // One that is neither up nor lost, as while it leaves, is in doubt for no longer.
      const since = this.#missed.get(voter) ?? now.mono
      const goneFor = Math.max(now.mono - since, this.#options.lostFor(voter, now))
      if (goneFor >= DOUBT_MS) continue
      missed.set(voter, since)
      this.#lookAt = Math.min(this.#lookAt, now.mono + DOUBT_MS - goneFor)
    }
    this.#missed = missed
    this.#there = missed.size === 0 ? present.live : new Set([...present.live, ...missed.keys()])
    if (missed.size === 0) return present
    return {
      live: this.#there,
      published: new Map([
        ...present.published,
        ...[...missed.keys()].map((voter) => [voter, own!] as const),
      ]),
    }
  }

  #publishers(): ReadonlySet<ProcessId> {
    const publishers = new Set<ProcessId>(this.#isOrphaned ? [this.#options.self] : [])
    for (const [process, { group }] of this.#options.published())
      if (group === this.group) publishers.add(process)
    return publishers
  }

  #publish(): void {
    const text = this.#isLeaving ? undefined : this.#publication()
    if (text === this.#publishedText) return
    this.#publishedText = text
    this.#options.publish(text)
  }

  /**
   * What a voter says: voters that are decided, since of others nobody may ever hear again. And where none is left to
   * say it, whoever knows does: newcomers would think that there is no council.
   */
  #publication(): string | undefined {
    const raft = this.#raft
    if (!raft || !this.isVoter)
      return this.#isOrphaned ? formatCouncil({ ...this.#followed!, leads: 0 }) : undefined
    const { voters, index } = raft.log.decided
    if (voters.length === 0) return undefined
    const leads = raft.role === 'leader' ? raft.term : 0
    return formatCouncil({ group: raft.group, index, leads, voters })
  }
}

const raftCouncil = ({ group, log }: Raft): KnownCouncil => ({ group, ...log.newest })

/** Who says that it leads, in the highest term. */
function leaderOf(group: string, known: ReadonlyMap<ProcessId, PublishedCouncil>): ProcessId | undefined {
  let [leader, term]: [ProcessId | undefined, number] = [undefined, 0]
  for (const [process, council] of known) {
    if (council.group !== group || council.leads <= term) continue
    leader = process
    term = council.leads
  }
  return leader
}
