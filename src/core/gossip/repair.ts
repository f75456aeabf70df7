/**
 * Repair: finds and closes the gaps between two tables, as in Scuttlebutt (van Renesse et al., 2008). Bucket hashes
 * first, then the digest of the buckets that differ, then exactly the ranges that are missing. Answers are gathered
 * for a turn, so that one message never makes this member say more than its table.
 */
import type { NodeId } from '../identity/node-id.ts'
import { compareNodeIds } from '../identity/node-id.ts'
import {
  ALL_BUCKETS,
  chunkRanges,
  compareDigest,
  complement,
  differingBuckets,
  digestOf,
  isEmptyMask,
  joinBuckets,
  NO_BUCKETS,
  rangeOf,
  rangesIn,
  splitMask,
  withoutBuckets,
} from '../membership/digest.ts'
import type { Accusation } from '../membership/record.ts'
import { REMOVED } from '../membership/record.ts'
import type { MembershipTable } from '../membership/table.ts'
import type { Outbox } from '../outbox.ts'
import type { BucketMask, DigestEntry, Frame, MissingRange, OriginRange } from '../wire/frames.ts'
import type { Memory } from './memory.ts'
import type { Neighbour } from './neighbour.ts'

/** Deltas and digests are cut at about this many bytes, below one fragment. */
export const CHUNK_BYTES = 12 * 1024
const CHUNK_ENTRIES = 200
/** An unanswered question no longer counts as being repaired after this long. */
const PATIENCE_MS = 5_000

/** What a hello tells of its sender's table. */
export type Introduction = Pick<
  Extract<Frame, { kind: 'hello' }>,
  'own' | 'buckets' | 'digest' | 'remembered'
>

export interface RepairOptions {
  readonly table: MembershipTable
  readonly outbox: Outbox
  readonly memory: Memory
  /** Others say this about the member itself. */
  readonly onAccused: (accusation: Accusation, now: number) => void
  /** A repair has begun or ended. */
  readonly onChange: () => void
}

export class Repair {
  readonly #options: RepairOptions
  readonly #table: MembershipTable
  readonly #outbox: Outbox
  readonly #memory: Memory
  readonly #askers = new Set<Neighbour>()
  readonly #waiting = new Set<Neighbour>()
  #recalled = false

  constructor(options: RepairOptions) {
    this.#options = options
    this.#table = options.table
    this.#outbox = options.outbox
    this.#memory = options.memory
  }

  /** Whether an answer is awaited. */
  get isUnderWay(): boolean {
    return this.#waiting.size > 0
  }

  /** Whether a neighbour has confirmed something that an earlier life remembered. */
  get hasRecalled(): boolean {
    return this.#recalled
  }

  /**
   * A neighbour introduced itself. Where it said all it knows, it gets exactly what it lacks; else the member with the
   * lower nodeId says what it has in the buckets that differ. Not to a newcomer, nor as one: with a memory on offer it
   * learns the table from whom it is offered to. `saidAll`: this member's own hello did.
   */
  begin(neighbour: Neighbour, hello: Introduction, saidAll: boolean, now: number): void {
    neighbour.isNewcomer = hello.own?.self?.status === 'joining'
    if (hello.remembered) this.#answerMemory(neighbour, hello.remembered)
    else if (hello.digest) this.#compare(neighbour, ALL_BUCKETS, hello.digest, this.#memory.isEmpty, now)
    else if (!saidAll && this.#memory.isEmpty && hello.own?.self?.status !== 'joining') {
      if (compareNodeIds(this.#table.own, neighbour.nodeId) < 0) this.onBuckets(neighbour, hello.buckets)
    }
  }

  end(neighbour: Neighbour): void {
    this.#askers.delete(neighbour)
    if (this.#waiting.delete(neighbour)) this.#options.onChange()
  }

  /** Compares tables with a neighbour, beginning with bucket hashes. */
  start(neighbour: Neighbour, now: number): void {
    this.#expect(neighbour, now + PATIENCE_MS)
    this.#outbox.frame(neighbour.linkId, { kind: 'buckets', buckets: this.#table.hash.buckets })
  }

  /** Asks for ranges that begin after what is known here. */
  ask(neighbour: Neighbour, missing: readonly MissingRange[], now: number): void {
    if (missing.length === 0) return
    this.#expect(neighbour, now + PATIENCE_MS)
    for (let i = 0; i < missing.length; i += CHUNK_ENTRIES) {
      this.#outbox.frame(neighbour.linkId, { kind: 'missing', ranges: missing.slice(i, i + CHUNK_ENTRIES) })
    }
  }

  /** The neighbour has answered. */
  answered(neighbour: Neighbour): void {
    this.#expect(neighbour, 0)
  }

  onBuckets(neighbour: Neighbour, buckets: Uint32Array): void {
    this.#askers.add(neighbour)
    neighbour.askedBuckets = buckets
  }

  onDigest(neighbour: Neighbour, mask: BucketMask, entries: readonly DigestEntry[], now: number): void {
    this.answered(neighbour)
    this.#compare(neighbour, mask, entries, true, now)
  }

  onMissing(neighbour: Neighbour, asked: readonly MissingRange[]): void {
    for (const { nodeId, from } of asked) {
      const record = this.#table.get(nodeId)
      if (record) this.#owe(neighbour, rangeOf(record, from))
    }
  }

  /** Returns whether the memory came to nothing, since nobody but a newcomer had an answer. */
  onRecall(neighbour: Neighbour, confirmed: BucketMask, now: number): boolean {
    const before = this.#memory.isEmpty
    const ranges = this.#memory.recall(neighbour.linkId, confirmed, neighbour.isNewcomer)
    if (ranges.length > 0) this.#recalled = true
    for (const range of ranges) this.#table.apply(range, neighbour.linkId, now, 'remembered')
    return neighbour.isNewcomer && !before && this.#memory.isEmpty
  }

  /** Gives every neighbour what it asked for in this turn. */
  settle(): void {
    // Asked first: few turns bring a question, and emptying a set makes a new table, even of an empty one.
    if (this.#askers.size === 0) return
    for (const neighbour of this.#askers) {
      const { askedBuckets, owed } = neighbour
      if (askedBuckets) this.#answerBuckets(neighbour, askedBuckets)
      this.#send(neighbour, [...owed.values()])
      neighbour.askedBuckets = undefined
      neighbour.listed = NO_BUCKETS
      owed.clear()
    }
    this.#askers.clear()
  }

  tick(now: number): void {
    for (const neighbour of this.#waiting) if (now >= neighbour.repairUntil) this.answered(neighbour)
  }

  nextDeadline(): number {
    let next = Infinity
    for (const { repairUntil } of this.#waiting) next = Math.min(next, repairUntil)
    return next
  }

  /** A member that was here before says what it remembers: it gets what is no longer so. */
  #answerMemory(neighbour: Neighbour, remembered: Uint32Array): void {
    const changed = differingBuckets(this.#table.hash.buckets, remembered)
    this.#outbox.frame(neighbour.linkId, { kind: 'recall', confirmed: complement(changed) })
    this.#send(neighbour, rangesIn(this.#table, changed, neighbour.nodeId))
  }

  #answerBuckets(neighbour: Neighbour, theirs: Uint32Array): void {
    const mask = differingBuckets(this.#table.hash.buckets, theirs)
    if (isEmptyMask(mask)) {
      this.#outbox.frame(neighbour.linkId, { kind: 'digest', mask, entries: [] })
      return
    }
    for (const part of splitMask(this.#table, mask, CHUNK_ENTRIES)) {
      const entries = digestOf(this.#table, part)
      this.#outbox.frame(neighbour.linkId, { kind: 'digest', mask: part, entries })
    }
  }

  /** `asks`: whether this member also asks for what it lacks, or will get it from elsewhere. */
  #compare(
    neighbour: Neighbour,
    all: BucketMask,
    entries: readonly DigestEntry[],
    asks: boolean,
    now: number,
  ): void {
    this.#askers.add(neighbour)
    const { listed } = neighbour
    const mask = withoutBuckets(all, listed)
    neighbour.listed = joinBuckets(all, listed)
    const { ranges, missing, ended } = compareDigest(this.#table, mask, entries)
    for (const nodeId of ended) this.#takeEnd(nodeId, now)
    for (const range of ranges) this.#owe(neighbour, range)
    if (asks) this.ask(neighbour, missing, now)
  }

  #takeEnd(nodeId: NodeId, now: number): void {
    if (nodeId === this.#table.own) this.#options.onAccused(REMOVED, now)
    else this.#table.remove(nodeId, now, 'its end was known to another member')
  }

  #owe(neighbour: Neighbour, range: OriginRange): void {
    this.#askers.add(neighbour)
    const owed = neighbour.owed.get(range.nodeId)
    if (!owed || range.from < owed.from) neighbour.owed.set(range.nodeId, range)
  }

  #send(neighbour: Neighbour, ranges: readonly OriginRange[]): void {
    for (const chunk of chunkRanges(ranges, CHUNK_BYTES)) {
      this.#outbox.frame(neighbour.linkId, { kind: 'delta', ranges: chunk })
    }
  }

  #expect(neighbour: Neighbour, until: number): void {
    if (neighbour.repairUntil === until) return
    neighbour.repairUntil = until
    if (until > 0) this.#waiting.add(neighbour)
    else this.#waiting.delete(neighbour)
    this.#options.onChange()
  }
}
