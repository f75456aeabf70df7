/**
 * Finding and sending exactly what another member lacks: ranges of one origin, digests of a set of buckets, and their
 * comparison. Cost follows the difference, not the size: only buckets whose hashes differ are ever listed.
 */
import type { NodeId } from '../identity/node-id.ts'
import { parseNodeId } from '../identity/node-id.ts'
import type { AccusationSummary, BucketMask, DigestEntry, MissingRange, OriginRange } from '../wire/frames.ts'
import { BUCKETS, bucketOf, observersHash } from './content-hash.ts'
import { shortOf } from './hash.ts'
import { REMOVED } from './record.ts'
import type { MembershipTable, NodeRecord } from './table.ts'

export const ALL_BUCKETS: BucketMask = { low: 0xffffffff, high: 0xffffffff }
export const NO_BUCKETS: BucketMask = { low: 0, high: 0 }
/**
 * So many entries fit into one message, however long they are. Buckets are filled by hash: only nodeIds that were made
 * for it bring one near this. Records left out of a digest are sent to us for nothing, no more.
 */
export const MAX_DIGEST_ENTRIES = 900
const NO_ENTRIES: OriginRange['entries'] = []

export const isEmptyMask = (mask: BucketMask): boolean => mask.low === 0 && mask.high === 0

export const joinBuckets = (a: BucketMask, b: BucketMask): BucketMask => ({
  low: (a.low | b.low) >>> 0,
  high: (a.high | b.high) >>> 0,
})

export const withoutBuckets = (mask: BucketMask, without: BucketMask): BucketMask => ({
  low: (mask.low & ~without.low) >>> 0,
  high: (mask.high & ~without.high) >>> 0,
})

/** Whether a bucket is in the mask. */
export const inMask = (mask: BucketMask, bucket: number): boolean =>
  (((bucket < 32 ? mask.low : mask.high) >>> (bucket & 31)) & 1) === 1

/** The buckets in which two tables differ. */
export function differingBuckets(mine: Uint32Array, theirs: Uint32Array): BucketMask {
  let low = 0
  let high = 0
  for (let i = 0; i < BUCKETS; i++) {
    if (mine[i] === theirs[i]) continue
    if (i < 32) low |= 1 << i
    else high |= 1 << (i & 31)
  }
  return { low: low >>> 0, high: high >>> 0 }
}

/** The buckets that are not in the mask. */
export const complement = ({ low, high }: BucketMask): BucketMask => ({
  low: ~low >>> 0,
  high: ~high >>> 0,
})

/** Everything alive in the masked buckets, whole. */
export function rangesIn(table: MembershipTable, mask: BucketMask, except: NodeId): OriginRange[] {
  const ranges: OriginRange[] = []
  for (const record of table.records()) {
    if (record.nodeId === except || record.status === 'removed' || !record.self) continue
    if (inMask(mask, bucketOf(record.short))) ranges.push(rangeOf(record, 0))
  }
  return ranges
}

/** Cuts a mask into masks whose digests have at most about `maxEntries` entries each. */
export function splitMask(table: MembershipTable, mask: BucketMask, maxEntries: number): BucketMask[] {
  const perBucket = Math.max(1, Math.ceil(table.size / BUCKETS))
  const bucketsEach = Math.max(1, Math.floor(maxEntries / perBucket))
  const parts: { low: number; high: number }[] = []
  let taken = 0
  for (let bucket = 0; bucket < BUCKETS; bucket++) {
    if (!inMask(mask, bucket)) continue
    if (taken++ % bucketsEach === 0) parts.push({ low: 0, high: 0 })
    const part = parts.at(-1)!
    if (bucket < 32) part.low = (part.low | (1 << bucket)) >>> 0
    else part.high = (part.high | (1 << (bucket & 31))) >>> 0
  }
  return parts
}

/** What this table knows in the masked buckets, removed lives included. */
export function digestOf(table: MembershipTable, mask: BucketMask): DigestEntry[] {
  const entries: DigestEntry[] = []
  for (const record of table.records()) {
    if (entries.length === MAX_DIGEST_ENTRIES) break
    if (inMask(mask, bucketOf(record.short)) && record.status !== undefined) entries.push(entryOf(record))
  }
  return entries
}

/** One origin from `from` on; the whole where tombstones after `from` are forgotten. */
export function rangeOf(record: NodeRecord, from: number): OriginRange {
  const { nodeId, counter, floor, self, accusation } = record
  if (record.status === 'removed' || !self) return removedRange(nodeId)
  const start = from < floor ? 0 : Math.min(from, counter)
  return {
    nodeId,
    from: start,
    to: counter,
    floor,
    self: self.counter > start ? self : undefined,
    entries: start === counter ? NO_ENTRIES : [...record.entries.values()].filter((e) => e.version > start),
    accusation,
  }
}

/** Says that a life is over. */
export const removedRange = (nodeId: NodeId): OriginRange => ({
  nodeId,
  from: 0,
  to: 0,
  floor: 0,
  entries: NO_ENTRIES,
  accusation: REMOVED,
})

export interface Difference {
  /** What the other lacks. */
  readonly ranges: readonly OriginRange[]
  /** What this table lacks. */
  readonly missing: readonly MissingRange[]
  /** Lives that the other knows to be over, or holds a forged record of, and this table holds as alive. */
  readonly ended: readonly NodeId[]
}

/** Compares a table with what another member listed of the masked buckets. */
export function compareDigest(
  table: MembershipTable,
  mask: BucketMask,
  theirs: readonly DigestEntry[],
): Difference {
  const ranges: OriginRange[] = []
  const missing: MissingRange[] = []
  const ended: NodeId[] = []
  const listed = new Set<NodeId>()
  for (const entry of theirs) {
    // Nobody honest lists twice, or what the mask does not cover.
    if (listed.has(entry.nodeId) || !inMask(mask, bucketOf(shortOf(entry.nodeId)))) continue
    listed.add(entry.nodeId)
    const record = table.get(entry.nodeId)
    const over = entry.accusation?.rank === 'removed'
    if (!record) {
      if (over) continue
      if (table.admissible(parseNodeId(entry.nodeId)!)) missing.push({ nodeId: entry.nodeId, from: 0 })
      else ranges.push(removedRange(entry.nodeId))
    } else if (record.status === 'removed') {
      if (!over) ranges.push(removedRange(entry.nodeId))
    } else if (over || (entry.nodeId === table.own && entry.counter > record.counter)) {
      // A version of the own record that was never written is forged: the life is as good as over there.
      ended.push(entry.nodeId)
    } else {
      compareEntry(record, entry, ranges, missing)
    }
  }
  for (const record of table.records()) {
    if (listed.has(record.nodeId) || record.status === 'removed' || !record.self) continue
    if (inMask(mask, bucketOf(record.short))) ranges.push(rangeOf(record, 0))
  }
  return { ranges, missing, ended }
}

/** Cuts ranges into deltas of at most about `maxBytes` on the wire. */
export function chunkRanges(ranges: readonly OriginRange[], maxBytes: number): OriginRange[][] {
  const chunks: OriginRange[][] = []
  let room = 0
  for (const range of ranges) {
    const bytes = estimateBytes(range)
    if (chunks.length === 0 || bytes > room) {
      chunks.push([])
      room = maxBytes
    }
    room -= bytes
    chunks.at(-1)!.push(range)
  }
  return chunks
}

function compareEntry(
  record: NodeRecord,
  entry: DigestEntry,
  ranges: OriginRange[],
  missing: MissingRange[],
): void {
  const sameVoice = sameSummary(summaryOf(record), entry.accusation)
  if (record.counter > entry.counter || (!sameVoice && record.accusation)) {
    ranges.push(rangeOf(record, entry.counter))
  }
  if (record.counter < entry.counter || (!sameVoice && entry.accusation)) {
    missing.push({ nodeId: record.nodeId, from: record.counter })
  }
}

function entryOf(record: NodeRecord): DigestEntry {
  const accusation = summaryOf(record)
  const { nodeId, counter } = record
  return accusation ? { nodeId, counter, accusation } : { nodeId, counter }
}

function summaryOf({ accusation }: NodeRecord): AccusationSummary | undefined {
  if (!accusation) return undefined
  const { incarnation, rank } = accusation
  return { incarnation, rank, observers: observersHash(accusation) }
}

function sameSummary(a: AccusationSummary | undefined, b: AccusationSummary | undefined): boolean {
  if (!a || !b) return a === b
  return a.incarnation === b.incarnation && a.rank === b.rank && a.observers === b.observers
}

function estimateBytes(range: OriginRange): number {
  let bytes = 64 + (range.accusation ? 16 + range.accusation.observers.length * 40 : 0)
  if (range.self) bytes += 80 + range.self.meta.length * 3
  for (const { key, value } of range.entries) bytes += 12 + key.length + (value?.length ?? 0) * 3
  return bytes
}
