/** Digests find exactly the difference of two tables, and an exchange of what they ask for makes both equal. */
import { describe, expect, it } from 'vitest'
import { BUCKETS, bucketOf } from '../../../src/core/membership/content-hash.ts'
import {
  ALL_BUCKETS,
  chunkRanges,
  compareDigest,
  differingBuckets,
  digestOf,
  isEmptyMask,
  MAX_DIGEST_ENTRIES,
  rangeOf,
  removedRange,
  splitMask,
} from '../../../src/core/membership/digest.ts'
import { shortOf } from '../../../src/core/membership/hash.ts'
import type { MembershipTable } from '../../../src/core/membership/table.ts'
import { encodeFrame, MAX_FRAME, MAX_MESSAGE } from '../../../src/core/wire/codec.ts'
import type { BucketMask, OriginRange } from '../../../src/core/wire/frames.ts'
import type { Random } from '../../../src/core/time.ts'
import { below, seededRandom } from '../../../src/testing/random.ts'
import { nodeIdOf, tableOf, wholeOf } from '../support/names.ts'

const SEEDS = 60

/** Something that may have happened to a member, told to some of the tables. */
function happening(random: Random, at: number): OriginRange {
  const nodeId = nodeIdOf(10 + below(random, 60), 1 + below(random, 2))
  if (below(random, 12) === 0) return removedRange(nodeId)
  // What an owner says follows from its version: an honest one never says two things under the same.
  const counter = 1 + (at >> 3)
  const incarnation = counter >> 2
  const range = wholeOf(nodeId, { counter, incarnation, meta: `${counter}` })
  const rank = below(random, 2) ? 'suspect' : 'unreachable'
  const observers = [nodeIdOf(10 + below(random, 9))]
  return below(random, 4) === 0 ? { ...range, accusation: { rank, incarnation, observers } } : range
}

function differentTables(seed: number): [MembershipTable, MembershipTable] {
  const random = seededRandom(seed, 'digest')
  const tables: [MembershipTable, MembershipTable] = [tableOf(1), tableOf(2)]
  for (let i = 0; i < 150; i++) {
    const range = happening(random, i)
    for (const table of tables) if (random() < 0.9) table.apply(range, 1, i, 'test')
    if (below(random, 30) === 0) for (const table of tables) table.collect(i - 40)
  }
  return tables
}

/** One side shows its digest of the masked buckets; both give what the other lacks. Returns the ranges sent. */
function exchange(asker: MembershipTable, answerer: MembershipTable, mask: BucketMask): OriginRange[] {
  const { ranges, missing, ended } = compareDigest(answerer, mask, digestOf(asker, mask))
  for (const nodeId of ended) answerer.remove(nodeId, 0, 'test')
  for (const range of ranges) asker.apply(range, 1, 0, 'test')
  const asked = missing.map(({ nodeId, from }) => rangeOf(asker.get(nodeId)!, from))
  for (const range of asked) answerer.apply(range, 1, 0, 'test')
  return [...ranges, ...asked]
}

const differing = (a: MembershipTable, b: MembershipTable): BucketMask =>
  differingBuckets(a.hash.buckets, b.hash.buckets)

const bucketsIn = ({ low, high }: BucketMask): number[] =>
  Array.from({ length: BUCKETS }, (_, i) => i).filter((i) => ((i < 32 ? low : high) >>> (i & 31)) & 1)

describe('compareDigest', () => {
  it('makes any two tables equal by one exchange, whatever they differ in', () => {
    for (let seed = 0; seed < SEEDS; seed++) {
      const [a, b] = differentTables(seed)
      expect(isEmptyMask(differing(a, b))).toBe(false)
      exchange(a, b, ALL_BUCKETS)
      // An accusation that both had different observers of is joined on one side first.
      exchange(b, a, ALL_BUCKETS)
      expect(a.hash.buckets, `seed ${seed}`).toEqual(b.hash.buckets)
      expect([a.hash.viewHi, a.hash.viewLo]).toEqual([b.hash.viewHi, b.hash.viewLo])
      expect(exchange(a, b, ALL_BUCKETS), `seed ${seed}`).toEqual([])
    }
  })

  it('needs no more than the buckets that differ', () => {
    for (let seed = 0; seed < SEEDS; seed++) {
      const [a, b] = differentTables(seed)
      let rounds = 0
      // Both sides ask in turn: what one has collected, only its own comparison finds.
      for (let mask = differing(a, b); !isEmptyMask(mask); mask = differing(a, b)) {
        if (rounds % 2 === 0) exchange(a, b, mask)
        else exchange(b, a, mask)
        expect(++rounds, `seed ${seed}`).toBeLessThanOrEqual(3)
      }
    }
  })

  it('sends nothing about what both know alike', () => {
    const [a, b] = differentTables(1)
    for (let round = 0; round < 2; round++) exchange(a, b, ALL_BUCKETS)
    a.writeOwnEntry('key', '1')
    b.apply(wholeOf(nodeIdOf(200)), 1, 0, 'test')
    const sent = exchange(a, b, ALL_BUCKETS)
    expect(sent.map(({ nodeId, from }) => [nodeId, from])).toEqual([
      [nodeIdOf(200), 0],
      [a.own, 1],
    ])
  })

  it('tells of collected lives that they are over', () => {
    const [a, b] = [tableOf(1), tableOf(2)]
    const life = nodeIdOf(10)
    for (const table of [a, b]) table.apply(wholeOf(life), 1, 0, 'test')
    b.remove(life, 0, 'test')
    b.collect(0)
    const { ranges, missing } = compareDigest(b, ALL_BUCKETS, digestOf(a, ALL_BUCKETS))
    expect(ranges).toContainEqual(removedRange(life))
    expect(missing).toEqual([{ nodeId: a.own, from: 0 }])
  })

  it('lists at most what fits into a message, even where all nodeIds fall into one bucket', () => {
    const [a, b] = [tableOf(1, { members: 20_000 }), tableOf(2, { members: 20_000 })]
    const crowded: string[] = []
    for (let i = 10; crowded.length < 1_500; i++) {
      if (bucketOf(shortOf(nodeIdOf(i))) === 5) crowded.push(nodeIdOf(i))
    }
    for (const nodeId of crowded) a.apply(wholeOf(nodeId), 1, 0, 'test')
    const mask = { low: 1 << 5, high: 0 }
    const entries = digestOf(a, mask)
    expect(entries).toHaveLength(MAX_DIGEST_ENTRIES)
    const longest = entries.map((entry) => ({
      ...entry,
      counter: 2 ** 48,
      accusation: { rank: 'suspect' as const, incarnation: 2 ** 48, observers: 0 },
    }))
    expect(encodeFrame({ kind: 'digest', mask, entries: longest }).length).toBeLessThan(MAX_MESSAGE - 3)
    expect(compareDigest(b, mask, entries).missing).toHaveLength(MAX_DIGEST_ENTRIES)
  })
})

describe('masks', () => {
  it('name the buckets that differ', () => {
    const mine = new Uint32Array(BUCKETS)
    const theirs = new Uint32Array(BUCKETS)
    expect(isEmptyMask(differingBuckets(mine, theirs))).toBe(true)
    for (const bucket of [0, 31, 32, 63]) theirs[bucket] = 1
    expect(differingBuckets(mine, theirs)).toEqual({ low: 0x80000001, high: 0x80000001 })
    for (const bucket of [0, 31, 32, 63]) mine[bucket] = 2
    expect(bucketsIn(differingBuckets(mine, theirs))).toEqual([0, 31, 32, 63])
  })

  it('are split into parts that cover the same buckets once each, with digests of the size asked for', () => {
    const table = tableOf(1)
    for (let i = 0; i < 1_000; i++) table.apply(wholeOf(nodeIdOf(10 + i)), 1, 0, 'test')
    for (const mask of [
      ALL_BUCKETS,
      { low: 0xf0f0f0f0, high: 0 },
      { low: 0, high: 1 },
      { low: 0, high: 0 },
    ]) {
      const parts = splitMask(table, mask, 200)
      expect(parts.flatMap(bucketsIn).sort((a, b) => a - b)).toEqual(bucketsIn(mask))
      for (const part of parts) expect(digestOf(table, part).length).toBeLessThan(300)
    }
    expect(splitMask(table, ALL_BUCKETS, 200)).toHaveLength(6)
    expect(splitMask(table, ALL_BUCKETS, 1)).toHaveLength(64)
    expect(splitMask(tableOf(1), ALL_BUCKETS, 200)).toHaveLength(1)
  })
})

describe('chunkRanges', () => {
  it('cuts ranges into frames below the limit, in order, none lost', () => {
    const ranges: OriginRange[] = []
    for (let i = 0; i < 120; i++) {
      const range = wholeOf(nodeIdOf(10 + i), { counter: 40, meta: '€'.repeat(i % 40) })
      const entries = Array.from({ length: i % 8 }, (_, k) => ({
        key: `k${k}`,
        version: 1,
        value: '€'.repeat(300),
      }))
      ranges.push({ ...range, entries })
    }
    const chunks = chunkRanges(ranges, 12 * 1024)
    expect(chunks.flat()).toEqual(ranges)
    expect(chunks.length).toBeGreaterThan(5)
    for (const chunk of chunks)
      expect(encodeFrame({ kind: 'delta', ranges: chunk }).length).toBeLessThan(MAX_FRAME)
    expect(chunkRanges([], 100)).toEqual([])
  })

  it('gives a range that is too large a frame of its own', () => {
    const [small, large] = [wholeOf(nodeIdOf(10)), wholeOf(nodeIdOf(11), { meta: 'x'.repeat(20_000) })]
    expect(chunkRanges([small, large, small], 12 * 1024)).toEqual([[small], [large], [small]])
  })
})
