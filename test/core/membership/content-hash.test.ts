/** The table's hashes, kept up by XOR, equal those of the same content put together anew. */
import { describe, expect, it } from 'vitest'
import { BUCKETS, bucketOf, ContentHash } from '../../../src/core/membership/content-hash.ts'
import { formatHash, hash32, hex8, Mixer, shortOf } from '../../../src/core/membership/hash.ts'
import { removedRange } from '../../../src/core/membership/digest.ts'
import type { SelfRegister } from '../../../src/core/membership/record.ts'
import type { MembershipTable } from '../../../src/core/membership/table.ts'
import { below, pick, seededRandom } from '../../../src/testing/random.ts'
import { nodeIdOf, tableOf, wholeOf } from '../support/names.ts'

function fromScratch(table: MembershipTable): ContentHash {
  const hash = new ContentHash()
  for (const record of table.records()) hash.update(record)
  return hash
}

const words = ({ viewHi, viewLo, content, buckets }: ContentHash) => ({
  viewHi,
  viewLo,
  content,
  buckets: [...buckets],
})

/** What a change of one member does to both hashes. */
function effectOf(change: (table: MembershipTable) => void): { view: boolean; content: boolean } {
  const table = tableOf(1)
  table.apply(wholeOf(nodeIdOf(2)), 1, 0, 'test')
  table.apply(wholeOf(nodeIdOf(3)), 1, 0, 'test')
  const before = words(table.hash)
  change(table)
  const after = words(table.hash)
  return {
    view: before.viewHi !== after.viewHi || before.viewLo !== after.viewLo,
    content: before.content !== after.content,
  }
}

describe('content hash', () => {
  it('kept up incrementally equals the one computed from scratch', () => {
    const random = seededRandom(3, 'content-hash')
    const table = tableOf(1)
    const counters = new Map<number, number>()
    for (let i = 0; i < 2_000; i++) {
      const index = 2 + below(random, 40)
      const generation = 1 + below(random, 2)
      const nodeId = nodeIdOf(index, generation)
      const counter = (counters.get(index) ?? 0) + 1
      switch (below(random, 12)) {
        case 0:
          table.apply(removedRange(nodeId), 1, i, 'test')
          break
        case 1:
          table.accuse(nodeId, pick(random, ['suspect', 'unreachable'] as const), 'test')
          break
        case 2:
          table.writeOwn({ meta: `${i}`, incarnation: below(random, 2) + i }, 'test')
          break
        case 3:
          table.writeOwnEntry('key', `${i}`)
          break
        case 4:
          table.collect(i - 100)
          break
        default:
          counters.set(index, counter)
          table.apply(wholeOf(nodeId, { counter, meta: `${i % 3}`, incarnation: i % 5 }), 1, i, 'test')
      }
      if (i % 10 === 0) expect(words(table.hash)).toEqual(words(fromScratch(table)))
    }
    let folded = 0
    for (const bucket of table.hash.buckets) folded ^= bucket
    expect(folded >>> 0).toBe(table.hash.content)
  })

  it('is zero where nothing is', () => {
    expect(words(new ContentHash())).toEqual({
      viewHi: 0,
      viewLo: 0,
      content: 0,
      buckets: Array(BUCKETS).fill(0),
    })
  })

  it('covers in its view what members agree on, and in its content every version', () => {
    const other = nodeIdOf(2)
    const patched = (patch: Partial<SelfRegister>) => (table: MembershipTable) =>
      void table.apply(wholeOf(other, { counter: 2, ...patch }), 1, 0, 'test')
    const both = { view: true, content: true }
    const contentOnly = { view: false, content: true }
    expect(effectOf(patched({ meta: '1' }))).toEqual(both)
    expect(effectOf(patched({ status: 'leaving' }))).toEqual(both)
    expect(effectOf(patched({ incarnation: 1 }))).toEqual(both)
    expect(effectOf(patched({ visibility: 'hidden' }))).toEqual(contentOnly)
    expect(effectOf((table) => table.writeOwnEntry('key', '1'))).toEqual(contentOnly)
    expect(effectOf((table) => table.accuse(other, 'suspect', 'test'))).toEqual(contentOnly)
    expect(effectOf((table) => table.accuse(other, 'unreachable', 'test'))).toEqual(both)
    expect(effectOf((table) => table.remove(other, 0, 'test'))).toEqual(both)
    expect(effectOf((table) => table.apply(removedRange(nodeIdOf(9)), 1, 0, 'test'))).toEqual({
      view: false,
      content: false,
    })
  })

  it('does not cover who else observes an accusation in its view', () => {
    const table = tableOf(1)
    table.apply(wholeOf(nodeIdOf(2)), 1, 0, 'test')
    table.accuse(nodeIdOf(2), 'unreachable', 'test')
    const { viewHi, viewLo, content } = words(table.hash)
    const accusation = { incarnation: 0, rank: 'unreachable', observers: [nodeIdOf(7)] } as const
    table.apply({ ...wholeOf(nodeIdOf(2)), accusation }, 1, 0, 'test')
    expect(words(table.hash)).toMatchObject({ viewHi, viewLo })
    expect(table.hash.content).not.toBe(content)
  })
})

describe('hashes', () => {
  it('keep their values: other builds have to compute the same', () => {
    expect(hex8(hash32('grainmesh'))).toBe('40091892')
    const mixer = new Mixer()
      .reset()
      .text('a')
      .int(2 ** 40)
    expect(formatHash({ hi: mixer.hi, lo: mixer.lo })).toBe('3b434eb62de18ad4')
  })

  it('tell texts apart by where they end', () => {
    const of = (...texts: string[]): string => {
      const mixer = new Mixer().reset()
      for (const text of texts) mixer.text(text)
      return formatHash({ hi: mixer.hi, lo: mixer.lo })
    }
    expect(new Set([of('ab', 'c'), of('a', 'bc'), of('abc', ''), of('', 'abc'), of('abc')]).size).toBe(5)
  })

  it('spread nodeIds over all buckets', () => {
    const counts = Array<number>(BUCKETS).fill(0)
    for (let i = 0; i < 6_400; i++) counts[bucketOf(shortOf(nodeIdOf(i)))]!++
    expect(Math.min(...counts)).toBeGreaterThan(60)
    expect(Math.max(...counts)).toBeLessThan(150)
  })
})
