/**
 * Continuation: what is done when a council has lost its quorum, so that it will never decide anything again. Where
 * everybody who is missing is known to be lost, and for so long that no right is left of them, one survivor asks all
 * others what they know of the map, and founds a council anew that goes on from there, with one fork more. A partition
 * goes to those that still hold all of it; where there are none, it begins anew, and says so (`born`).
 *
 * A voter that is left does it. Where none is, members that came later may never have heard of the council, and the
 * first by name may be one of those: so whoever knows it publishes it, and the first of them does it in its place.
 *
 * Raft has no such step, since it gives up safety where both sides of a partition do it: each then goes on, and when
 * they meet, the council with fewer forks stays (see `lineage.ts`). It is the price of a room that goes on when the
 * window with most of its tabs is closed. `majority` does without: then nothing is decided any more.
 */
import type { ProcessId } from '../identity/node-id.ts'
import type { MapEntry } from '../partition/partition.ts'
import { SLOTS } from '../partition/partition.ts'
import type { Candidate } from '../partition/placement.ts'
import { place } from '../partition/placement.ts'
import type { Now } from '../time.ts'
import type { SlotEntry } from './council-messages.ts'
import { MAX_EPOCH, MAX_KINDS, PartitionMap } from './partition-map.ts'
import type { Seat } from './voters.ts'

/** What is known of the map, by kind and slot. */
export type KnownMap = ReadonlyMap<string, ReadonlyMap<number, MapEntry>>

/** The same, as it is told. */
export type KnownGrains = readonly (readonly [grain: string, entries: readonly SlotEntry[]])[]
type Answers = Map<ProcessId, KnownGrains>

export interface ContinuationOptions {
  readonly self: ProcessId
  readonly seats: () => readonly Seat[]
  readonly candidates: (kind: string) => readonly Candidate[]
  /** Voters of the council that is followed; `undefined` where none is known. */
  readonly voters: () => readonly ProcessId[] | undefined
  /** Who publishes the council that is followed, this process among them where it does. */
  readonly publishers: () => ReadonlySet<ProcessId>
  /** Somebody leads it, as far as is known: then it is for the leader to remove who is lost. */
  readonly isLed: () => boolean
  /** For how long a process has been lost, in ms: `Infinity` once it is gone for good, 0 while it is not lost. */
  readonly lostFor: (process: ProcessId, now: Now) => number
  readonly known: () => KnownMap
  readonly survey: (process: ProcessId) => void
  readonly found: (map: PartitionMap, now: Now) => void
}

/**
 * A voter that is unreachable for this long, in ms, was last heard of 1.1 L ago (4.4 s), since it takes 1.5 s at least
 * until somebody is unreachable: what it owned has ended, and what it led, too.
 */
export const FORCE_MS = 2_900
/** Who has not answered is asked again after this long, in ms. */
const ASK_MS = 500
/**
 * Who has not answered after this long, in ms, is gone without anybody's knowing yet. Should it be there after all, and
 * know of something later, then that is adopted.
 */
const PATIENCE_MS = 2_000
/** No voter is left for so long, in ms, until the first that publishes the council takes it that it has heard of all. */
const HEARD_MS = 1_500

export class Continuation {
  readonly #options: ContinuationOptions
  #isDirty = true
  #checkAt = Infinity
  #answers: Answers | undefined
  #askAt = 0
  #askedSince = 0
  /** Since when none of the voters is there. */
  #orphanedAt: number | undefined

  constructor(options: ContinuationOptions) {
    this.#options = options
  }

  /** Members, or the council, have changed. */
  notice(): void {
    this.#isDirty = true
  }

  /** Whether this process asks now. */
  get isUnderWay(): boolean {
    return this.#answers !== undefined
  }

  onSurveyed(from: ProcessId, grains: KnownGrains): void {
    this.#answers?.set(from, grains)
  }

  settle(now: Now): void {
    if (this.#isDirty || now.mono >= this.#checkAt) this.#check(now)
    if (this.#answers) this.#ask(this.#answers, now)
  }

  nextDeadline(): number {
    if (!this.#answers) return this.#checkAt
    return Math.min(this.#checkAt, this.#askAt, this.#askedSince + PATIENCE_MS)
  }

  /** Is it time, and is it for this process to do? */
  #check(now: Now): void {
    this.#isDirty = false
    this.#checkAt = Infinity
    const waitMs = this.#waitMs(now)
    if (waitMs === undefined) this.#answers = undefined
    else if (waitMs > 0) {
      this.#answers = undefined
      this.#checkAt = now.mono + waitMs
    } else if (!this.#answers) {
      this.#answers = new Map()
      this.#askAt = now.mono
      this.#askedSince = now.mono
    }
  }

  /** How long until this process may go on without those who are lost; `undefined` where that is not for it to do. */
  #waitMs(now: Now): number | undefined {
    const { self, seats, voters: votersOf, isLed, lostFor } = this.#options
    const voters = votersOf()
    if (!voters || voters.length === 0) return undefined
    const live = seats().map(({ process }) => process)
    const sitting = voters.filter((process) => live.includes(process))
    this.#orphanedAt = sitting.length > 0 ? undefined : (this.#orphanedAt ?? now.mono)
    if (sitting.length > voters.length / 2 || isLed()) return undefined
    const heardMs = sitting.length > 0 ? 0 : this.#heardMs(live, now)
    if (heardMs === undefined || (sitting.length > 0 && sitting.toSorted()[0] !== self)) return undefined
    const lost = voters.filter((process) => !live.includes(process))
    return Math.max(heardMs, ...lost.map((process) => FORCE_MS - lostFor(process, now)))
  }

  /** Without a voter: how long until this process knows that it is the first of those who know the council. */
  #heardMs(live: readonly ProcessId[], now: Now): number | undefined {
    const publishers = this.#options.publishers()
    const knowing = live.filter((process) => publishers.has(process))
    const [first] = (knowing.length > 0 ? knowing : live).toSorted()
    if (first !== this.#options.self) return undefined
    // One that comes before all others need not hear of them.
    return live.every((process) => process >= first) ? 0 : this.#orphanedAt! + HEARD_MS - now.mono
  }

  #ask(answers: Answers, now: Now): void {
    const { self, seats, survey } = this.#options
    const missing = seats().filter(({ process }) => process !== self && !answers.has(process))
    if (missing.length === 0 || now.mono >= this.#askedSince + PATIENCE_MS) {
      this.#answers = undefined
      return this.#options.found(this.#mapOf(answers), now)
    }
    if (now.mono < this.#askAt) return
    this.#askAt = now.mono + ASK_MS
    for (const { process } of missing) survey(process)
  }

  #mapOf(answers: Answers): PartitionMap {
    const known = new Map<string, Map<number, MapEntry>>()
    for (const [kind, slots] of this.#options.known()) learn(known, kind, slots)
    for (const grains of answers.values()) for (const [kind, entries] of grains) learn(known, kind, entries)
    const live = new Set(this.#options.seats().map(({ process }) => process))
    const map = new PartitionMap()
    for (const [kind, slots] of known) {
      const newest = Math.max(...[...slots.values()].map(({ epoch }) => epoch))
      const entries: MapEntry[] = []
      for (let slot = 0; slot < SLOTS; slot++) {
        const entry = this.#entryOf(kind, slot, slots.get(slot), newest, live)
        if (entry) entries.push(entry)
      }
      // Where nobody can host the kind, it is born anew once somebody can.
      if (entries.length === SLOTS) map.set(kind, entries)
    }
    return map
  }

  #entryOf(
    kind: string,
    slot: number,
    before: MapEntry | undefined,
    newest: number,
    live: ReadonlySet<ProcessId>,
  ): MapEntry | undefined {
    const candidates = this.#options.candidates(kind)
    const epoch = Math.min((before?.epoch ?? newest) + 1, MAX_EPOCH)
    const inSync = before?.inSync.filter((process) => live.has(process)) ?? []
    if (!before || inSync.length === 0) {
      const owner = place(kind, slot, candidates)?.owner ?? before?.owner
      return owner === undefined ? undefined : { epoch, owner, inSync: [owner], born: epoch }
    }
    const holders = candidates.filter(({ process }) => inSync.includes(process))
    const owner = live.has(before.owner) ? before.owner : (place(kind, slot, holders)?.owner ?? inSync[0]!)
    return { epoch, owner, inSync, born: before.born }
  }
}

/** The newest of each slot counts. */
function learn(known: Map<string, Map<number, MapEntry>>, kind: string, entries: Iterable<SlotEntry>): void {
  if (!known.has(kind) && known.size >= MAX_KINDS) return
  const slots = known.get(kind) ?? new Map<number, MapEntry>()
  known.set(kind, slots)
  for (const [slot, entry] of entries) {
    const other = slots.get(slot)
    if (!other || other.epoch < entry.epoch) slots.set(slot, entry)
  }
}
