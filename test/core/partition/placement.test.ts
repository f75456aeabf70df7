/** Placement: published vectors, who moves when somebody joins, and copies on different browsers. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { murmur3 } from '../../../src/core/partition/murmur3.ts'
import type { Candidate } from '../../../src/core/partition/placement.ts'
import { SLOTS, slotOf } from '../../../src/core/partition/partition.ts'
import { place, rank, rankAmong, REPLICAS, scoreOf } from '../../../src/core/partition/placement.ts'
import { runs } from '../support/arbitraries.ts'

const text = (value: string): Uint8Array => new TextEncoder().encode(value)

const processOf = (i: number): string =>
  `process${'abcdefghijklmnopqrstuvwxyz'[i % 26]}${'abcdefghijklmnopqrstuvwxyz'[Math.floor(i / 26) % 26]}aaaaaaa`

const candidates = (
  count: number,
  browsers = count,
  isHost: (i: number) => boolean = () => true,
  standby: (i: number) => number = () => 0,
): Candidate[] =>
  Array.from({ length: count }, (_, i) => ({
    process: processOf(i),
    browser: `browser${i % browsers}`,
    isHost: isHost(i),
    standby: standby(i),
  }))

const slots = Array.from({ length: SLOTS }, (_, slot) => slot)

describe('MurmurHash3', () => {
  // From the reference implementation, as many other libraries test it.
  it.each([
    ['', 0, 0],
    ['', 1, 0x514e28b7],
    ['', 0xffffffff, 0x81f16f39],
    ['test', 0, 0xba6bd213],
    ['test', 0x9747b28c, 0x704b81dc],
    ['Hello, world!', 0, 0xc0363e43],
    ['Hello, world!', 0x9747b28c, 0x24884cba],
    ['The quick brown fox jumps over the lazy dog', 0x9747b28c, 0x2fa826cd],
  ])('of "%s" with seed %i', (value, seed, hash) => {
    expect(murmur3(text(value), seed)).toBe(hash)
  })
})

describe('a key', () => {
  it('is in the partition of the published vectors', () => {
    expect(VECTORS.map(([kind, key]) => slotOf(kind, key))).toEqual(VECTORS.map(([, , slot]) => slot))
  })

  it('does not run into its kind', () => {
    expect(slotOf('ab', 'c')).not.toBe(slotOf('a', 'bc'))
  })

  it('is in any partition as likely as in another', () => {
    const counts = slots.map(() => 0)
    for (let i = 0; i < 256 * 100; i++) counts[slotOf('counter', `key ${i}`)]!++
    // 100 expected, a standard deviation of 10
    expect(Math.min(...counts)).toBeGreaterThan(55)
    expect(Math.max(...counts)).toBeLessThan(145)
  })
})

describe('a place', () => {
  it('has the scores of the published vectors', () => {
    expect(SCORES.map(([kind, slot, process]) => scoreOf(kind, slot, process))).toEqual(
      SCORES.map(([, , , score]) => score),
    )
  })

  it('is with each of ten for about a tenth', () => {
    const all = candidates(10)
    const owned = all.map(
      ({ process }) => slots.filter((slot) => place('counter', slot, all)!.owner === process).length,
    )
    expect(owned.reduce((sum, count) => sum + count)).toBe(SLOTS)
    expect(Math.min(...owned)).toBeGreaterThan(10)
    expect(Math.max(...owned)).toBeLessThan(45)
  })

  it('moves only to a newcomer', () => {
    const [before, after] = [candidates(10), candidates(11)]
    const newcomer = after[10]!.process
    const moved = slots.filter(
      (slot) => place('counter', slot, after)!.owner !== place('counter', slot, before)!.owner,
    )
    for (const slot of moved) expect(place('counter', slot, after)!.owner).toBe(newcomer)
    expect(moved.length).toBeGreaterThan(8)
    expect(moved.length).toBeLessThan(45)
  })

  it('is the same whatever the order of the candidates', () => {
    fc.assert(
      fc.property(
        fc.shuffledSubarray(candidates(12, 4), { minLength: 12 }),
        fc.nat(SLOTS - 1),
        (shuffled, slot) => {
          expect(place('counter', slot, shuffled)).toEqual(place('counter', slot, candidates(12, 4)))
        },
      ),
      runs(100),
    )
  })

  it('has three copies in three browsers where there are three, and in two where there are two', () => {
    for (const [browsers, seen] of [
      [3, 3],
      [2, 2],
      [1, 1],
    ] as const) {
      const all = candidates(12, browsers)
      for (const slot of slots) {
        const { owner, inSync } = place('counter', slot, all)!
        expect(inSync[0]).toBe(owner)
        expect(new Set(inSync).size).toBe(REPLICAS)
        const of = inSync.map((process) => all.find((candidate) => candidate.process === process)!.browser)
        expect(new Set(of).size).toBe(seen)
      }
    }
  })

  it('is where the owner stays', () => {
    const all = candidates(5)
    for (const slot of slots)
      expect(place('counter', slot, all, all[4]!.process)!.owner).toBe(all[4]!.process)
    expect(place('counter', 0, all, processOf(99))).toBeUndefined()
  })

  it('is owned by those that host the kind, and held by any', () => {
    const all = candidates(3, 3, (i) => i === 1)
    for (const slot of slots) expect(place('counter', slot, all)!.owner).toBe(all[1]!.process)
    expect(place('counter', 0, all)!.inSync.length).toBe(3)
    expect(place('counter', 0, [all[0]!])).toBeUndefined()
  })

  it('ranks each where all ranked together have it', () => {
    const all = candidates(7)
    const names = all.map(({ process }) => process)
    for (const slot of slots) {
      const order = rank('counter', slot, all).map(({ process }) => process)
      expect(order.map((process) => rankAmong(`counter#${slot}`, process, names))).toEqual([
        0, 1, 2, 3, 4, 5, 6,
      ])
    }
  })

  it('is with those at hand before those on standby', () => {
    const standby = (i: number): number => (i === 2 ? 0 : i === 4 ? 2 : 1)
    const all = candidates(6, 6, () => true, standby)
    for (const slot of slots) {
      const order = rank('counter', slot, all).map(({ standby }) => standby)
      expect(order).toEqual([0, 1, 1, 1, 1, 2])
    }
  })
})

/** kind, key, slot. */
const VECTORS: readonly (readonly [string, string, number])[] = [
  ['counter', 'likes', 158],
  ['counter', '', 251],
  ['c', 'ounterlikes', 47],
  ['board.card', '42', 58],
  ['lock', 'Grüße, 世界 🌍', 82],
  ['a', 'x'.repeat(300), 103],
]

/** kind, slot, process, score. */
const SCORES: readonly (readonly [string, number, string, number])[] = [
  ['counter', 0, 'aaaaaaaaaaaaaaaa', 2512046020028260],
  ['counter', 255, 'aaaaaaaaaaaaaaaa', 3250758450625122],
  ['board.card', 128, 'z2b3c4d5e6f7abcd', 7422745117684071],
  ['lock', 7, '7777777777777777', 447816671318626],
]
