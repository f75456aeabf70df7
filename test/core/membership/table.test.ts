/** MembershipTable: what one member takes over from others, what it refuses, and what follows from it. */
import { beforeEach, describe, expect, it } from 'vitest'
import { rangeOf, removedRange } from '../../../src/core/membership/digest.ts'
import { shortOf } from '../../../src/core/membership/hash.ts'
import { encodeLinks } from '../../../src/core/membership/published-links.ts'
import type { Accusation } from '../../../src/core/membership/record.ts'
import { LINKS_KEY } from '../../../src/core/membership/state-key.ts'
import { MembershipTable } from '../../../src/core/membership/table.ts'
import { DEFAULT_LIMITS } from '../../../src/core/tuning.ts'
import type { OriginRange } from '../../../src/core/wire/frames.ts'
import { authorityOf, nodeIdOf, selfOf, tableOf, wholeOf } from '../support/names.ts'

const LINK = 7
const OWN = nodeIdOf(1)
const OTHER = nodeIdOf(2)

let table: MembershipTable
/** The table of the other member, whose record this one receives. */
let origin: MembershipTable

beforeEach(() => {
  table = tableOf(1)
  origin = tableOf(2)
})

const said = (from = 0, owner = origin): OriginRange => rangeOf(owner.get(owner.own)!, from)
const apply = (range: OriginRange, now = 0) => table.apply(range, LINK, now, 'test')
const valueOf = (key: string, nodeId = OTHER) => table.get(nodeId)?.entries.get(key)?.value
const unreachable = (incarnation: number, ...observers: number[]): Accusation => ({
  incarnation,
  rank: 'unreachable',
  observers: observers.map((index) => nodeIdOf(index)),
})

describe('ranges', () => {
  it('bring a member with all it says of itself', () => {
    origin.writeOwnEntry('cursor', '[1,2]')
    expect(apply(said())).toEqual({})
    expect(table.status(OTHER)).toBe('up')
    expect(table.get(OTHER)).toMatchObject({ counter: 2, self: selfOf(2) })
    expect(valueOf('cursor')).toBe('[1,2]')
    expect(table.takeChanges().at(-1)).toMatchObject({ nodeId: OTHER, before: undefined, after: 'up' })
    expect(table.takeChanges()).toEqual([])
  })

  it('that start after what is known are a gap and tell from where to ask', () => {
    expect(apply({ ...said(), from: 3, to: 4, self: undefined })).toEqual({ missingFrom: 0 })
    expect(table.get(OTHER)).toBeUndefined()
    apply(said())
    origin.writeOwnEntry('a', '1')
    origin.writeOwnEntry('b', '2')
    expect(apply(said(2))).toEqual({ missingFrom: 1 })
    expect(valueOf('b')).toBeUndefined()
    expect(apply(said(1))).toEqual({})
    expect([valueOf('a'), valueOf('b')]).toEqual(['1', '2'])
  })

  it('with a gap still bring their accusation', () => {
    apply(said())
    const gap = { ...said(), from: 5, to: 6, self: undefined, accusation: unreachable(0, 3) }
    expect(apply(gap)).toEqual({ missingFrom: 1 })
    expect(table.status(OTHER)).toBe('unreachable')
  })

  it('that are known already change nothing', () => {
    apply(said())
    const { revision } = table.log
    table.takeChanges()
    expect(apply(said())).toEqual({})
    expect(table.log.revision).toBe(revision)
    expect(table.takeChanges()).toEqual([])
  })

  it('that overlap with what is known bring what is new', () => {
    apply(said())
    origin.writeOwnEntry('a', '1')
    apply(said())
    origin.writeOwnEntry('b', '2')
    apply(said(1))
    expect([valueOf('a'), valueOf('b')]).toEqual(['1', '2'])
    expect(table.get(OTHER)!.counter).toBe(3)
  })

  it('from 0 are the whole: what is not in them does not exist', () => {
    origin.writeOwnEntry('a', '1')
    apply(said())
    apply({ ...said(), to: 9, entries: [{ key: 'b', version: 9, value: '2' }] })
    expect(valueOf('a')).toBeUndefined()
    expect(valueOf('b')).toBe('2')
    expect(table.takeChanges().at(-1)!.keys).toEqual(['a', 'b'])
  })

  it('never take the place of a newer value', () => {
    origin.writeOwnEntry('a', '1')
    origin.writeOwnEntry('a', '2')
    apply(said())
    apply({ ...said(), from: 0, to: 4, entries: [{ key: 'a', version: 2, value: '1' }] })
    expect(valueOf('a')).toBe('2')
  })

  it('of the own record are never taken over, and only tell of accusations', () => {
    const own = table.get(OWN)!
    const before = { ...own }
    expect(apply(wholeOf(OWN, { meta: '"forged"', incarnation: 4 }))).toEqual({})
    expect(apply({ ...wholeOf(OWN), accusation: unreachable(0, 3) })).toEqual({ accused: unreachable(0, 3) })
    expect(apply(removedRange(OWN))).toMatchObject({ accused: { rank: 'removed' } })
    expect({ ...own }).toEqual(before)
  })

  it('of the own record that were never written tell that this life is lost', () => {
    const before = { ...table.get(OWN)! }
    expect(apply(wholeOf(OWN, { counter: 2 }))).toMatchObject({ accused: { rank: 'removed' } })
    expect({ ...table.get(OWN)! }).toEqual(before)
  })
})

describe('values', () => {
  it('that are cleared are told to those who knew them, also in a whole range', () => {
    origin.writeOwnEntry('a', '1')
    apply(said())
    origin.writeOwnEntry('a', undefined)
    expect(said(2).entries).toEqual([{ key: 'a', version: 3, value: undefined }])
    expect(said(0).entries).toEqual([{ key: 'a', version: 3, value: undefined }])
    apply(said(2))
    expect(valueOf('a')).toBeUndefined()
    expect(table.takeChanges().at(-1)!.keys).toEqual(['a'])
  })

  it('raise the version only if they change', () => {
    expect(origin.writeOwnEntry('a', undefined)).toBe(false)
    expect(origin.writeOwnEntry('a', '1')).toBe(true)
    expect(origin.writeOwnEntry('a', '1')).toBe(false)
    expect(origin.get(OTHER)!.counter).toBe(2)
  })

  it('that were cleared are forgotten in the end: whoever knows less gets the whole', () => {
    origin.writeOwnEntry('kept', 'k')
    apply(said())
    for (let i = 0; i < 33; i++) {
      origin.writeOwnEntry(`key${i}`, 'x')
      if (i === 0) apply(said(2))
      origin.writeOwnEntry(`key${i}`, undefined)
    }
    const { floor, counter, entries } = origin.get(OTHER)!
    expect(floor).toBe(counter)
    expect([...entries.keys()]).toEqual(['kept'])
    expect(valueOf('key0')).toBe('x')
    expect(said(3)).toMatchObject({ from: 0, to: counter, floor })
    // A range that an older build would cut short of the floor is a gap: the whole is asked for.
    expect(apply({ ...said(), from: 3, self: undefined, entries: [] })).toEqual({ missingFrom: 0 })
    apply(said(3))
    expect([...table.get(OTHER)!.entries.keys()]).toEqual(['kept'])
    expect(table.get(OTHER)!.floor).toBe(floor)
  })

  it('under the key of links are read as links', () => {
    const { short } = table.get(OWN)!
    origin.writeOwnEntry(LINKS_KEY, encodeLinks([short, 5]))
    apply(said())
    expect([...table.get(OTHER)!.links].sort()).toEqual([5, short].sort())
    origin.writeOwnEntry(LINKS_KEY, 'no links')
    apply(said(2))
    expect(table.get(OTHER)!.links.size).toBe(0)
  })

  it('are gone with their member', () => {
    origin.writeOwnEntry('a', '1')
    apply(said())
    table.takeChanges()
    table.remove(OTHER, 0, 'test')
    expect(table.get(OTHER)).toMatchObject({ entries: new Map(), self: undefined })
    expect(table.takeChanges()).toMatchObject([{ before: 'up', after: 'removed', keys: ['a'] }])
  })
})

describe('accusations', () => {
  it('make a member unreachable until its owner raises the incarnation', () => {
    apply(said())
    expect(table.accuse(OTHER, 'unreachable', 'test')).toBe(true)
    expect(table.accuse(OTHER, 'unreachable', 'test')).toBe(false)
    expect(table.status(OTHER)).toBe('unreachable')
    expect(table.live()).toEqual([OWN])
    origin.writeOwn({ incarnation: 1 }, 'refuted')
    apply(said(1))
    expect(table.status(OTHER)).toBe('up')
    expect(table.get(OTHER)!.accusation).toBeUndefined()
    apply({ ...said(), accusation: unreachable(0, 3) })
    expect(table.status(OTHER)).toBe('up')
  })

  it('join their observers', () => {
    apply({ ...said(), accusation: unreachable(0, 4, 5) })
    table.accuse(OTHER, 'unreachable', 'test')
    expect(table.get(OTHER)!.accusation).toEqual(unreachable(0, 1, 4, 5))
  })

  it('cannot be made of oneself, of strangers or of the removed', () => {
    apply(said())
    table.remove(OTHER, 0, 'test')
    for (const nodeId of [OWN, OTHER, nodeIdOf(3)]) expect(table.accuse(nodeId, 'suspect', 'x')).toBe(false)
  })
})

describe('removal', () => {
  it('is final', () => {
    apply(said())
    apply(removedRange(OTHER), 50)
    expect(table.get(OTHER)).toMatchObject({ status: 'removed', removedAt: 50 })
    origin.writeOwn({ incarnation: 5, meta: '1' }, 'still here')
    apply(said())
    expect(table.status(OTHER)).toBe('removed')
    expect(table.live()).toEqual([OWN])
  })

  it('of a life that was never seen is remembered', () => {
    apply(removedRange(OTHER))
    apply(said())
    expect(table.status(OTHER)).toBe('removed')
  })

  it('leaves a tombstone, and after it a generation floor', () => {
    const [life, next] = [nodeIdOf(2, 5), nodeIdOf(2, 6)]
    apply(wholeOf(life))
    table.remove(life, 100, 'test')
    table.collect(99)
    expect(table.get(life)).toBeDefined()
    table.collect(100)
    expect(table.get(life)).toBeUndefined()
    for (const gone of [life, nodeIdOf(2, 5, 1), nodeIdOf(2, 4)]) {
      expect(apply(wholeOf(gone))).toEqual({})
      expect(table.get(gone)).toBeUndefined()
    }
    apply(wholeOf(next))
    expect(table.status(next)).toBe('up')
  })

  it('of the own life keeps its tombstone', () => {
    table.remove(OWN, 0, 'test')
    table.collect(1_000)
    expect(table.status(OWN)).toBe('removed')
    table.writeOwn({ meta: '1' }, 'too late')
    expect(table.writeOwnEntry('a', '1')).toBe(false)
    expect(table.status(OWN)).toBe('removed')
  })
})

describe('lives of one authority', () => {
  const [first, second, third] = [nodeIdOf(2, 1), nodeIdOf(2, 2), nodeIdOf(2, 3)]

  it('end when a newer one appears', () => {
    apply(wholeOf(first))
    apply(wholeOf(second))
    expect([table.status(first), table.status(second)]).toEqual(['removed', 'up'])
    expect(table.currentLife(authorityOf(2))).toBe(second)
    const { nodeId, supersededBy } = table.takeChanges().find((change) => change.after === 'removed')!
    expect([nodeId, supersededBy]).toEqual([first, second])
  })

  it('are over if a newer one is here already', () => {
    apply(wholeOf(third))
    apply(wholeOf(first))
    expect([table.status(first), table.status(third)]).toEqual(['removed', 'up'])
  })

  it('are over if a newer one was here, even if only its end is known', () => {
    apply(removedRange(second))
    apply(wholeOf(first))
    expect(table.status(first)).toBe('removed')
  })

  it('end if the end of a newer one becomes known', () => {
    apply(wholeOf(first))
    apply(removedRange(second))
    expect(table.status(first)).toBe('removed')
    expect(table.currentLife(authorityOf(2))).toBeUndefined()
  })

  it('of one generation are ordered by their nonce, on every member alike', () => {
    const [low, high] = [nodeIdOf(2, 1, 3), nodeIdOf(2, 1, 4)]
    for (const order of [
      [low, high],
      [high, low],
    ]) {
      table = tableOf(1)
      for (const nodeId of order) apply(wholeOf(nodeId))
      expect([table.status(low), table.status(high)]).toEqual(['removed', 'up'])
    }
  })

  it('end the own one too', () => {
    const next = nodeIdOf(1, 2)
    table.takeChanges()
    apply(wholeOf(next))
    expect([table.status(OWN), table.status(next)]).toEqual(['removed', 'up'])
    expect(table.takeChanges().find(({ nodeId }) => nodeId === OWN)).toMatchObject({ supersededBy: next })
  })
})

describe('limits', () => {
  const fill = (count: number): void => {
    for (let i = 0; i < count; i++) apply(wholeOf(nodeIdOf(100 + i)))
  }

  it('refuse records past the table size, and say so', () => {
    table = new MembershipTable(OWN, selfOf(1), { ...DEFAULT_LIMITS, members: 4 })
    fill(3)
    expect(table.size).toBe(4)
    expect(apply(said())).toEqual({ refused: 'the table is full (4 records)' })
    apply(removedRange(OTHER))
    expect(table.size).toBe(4)
    table.remove(nodeIdOf(100), 0, 'test')
    table.collect(0)
    expect(apply(said())).toEqual({})
    expect(table.status(OTHER)).toBe('up')
  })

  it('refuse values past their size, with their member and size', () => {
    table = tableOf(1, { valueBytes: 1_100 })
    const long = 'é'.repeat(551)
    expect(apply({ ...said(), to: 2, entries: [{ key: 'a', version: 2, value: long }] })).toEqual({
      refused: `peer state "a" of ${OTHER} has 1102 bytes, over its limit of 1100`,
    })
    expect(apply(wholeOf(OTHER, { meta: long }))).toEqual({
      refused: `meta of ${OTHER} has 1102 bytes, over its limit of 1100`,
    })
    expect(table.get(OTHER)).toBeUndefined()
    expect(apply({ ...said(), to: 2, entries: [{ key: 'a', version: 2, value: long.slice(1) }] })).toEqual({})
    expect(valueOf('a')).toBe(long.slice(1))
  })

  it('hold back keys past their number, tombstones apart', () => {
    table = tableOf(1, { peerStateKeys: 2 })
    const entries = ['a', 'b', 'c', 'd'].map((key, i) => ({ key, version: i + 2, value: key }))
    apply({ ...said(), to: 5, entries })
    // One more than the limit: the protocol's own key.
    expect([...table.get(OTHER)!.entries.keys()]).toEqual(['a', 'b', 'c'])
    apply({
      ...said(),
      from: 5,
      to: 6,
      self: undefined,
      entries: [{ key: 'a', version: 6, value: undefined }],
    })
    apply({ ...said(), from: 6, to: 7, self: undefined, entries: [{ key: 'd', version: 7, value: 'd' }] })
    expect([valueOf('a'), valueOf('b'), valueOf('c'), valueOf('d')]).toEqual([undefined, 'b', 'c', 'd'])
  })

  it('keep the floors of collected authorities bounded', () => {
    table = tableOf(1, { members: 10 })
    for (let i = 0; i < 60; i++) {
      apply(wholeOf(nodeIdOf(100 + i)))
      table.remove(nodeIdOf(100 + i), i, 'test')
      table.collect(i)
    }
    const isBlocked = (index: number): boolean => (
      apply(wholeOf(nodeIdOf(index))),
      !table.get(nodeIdOf(index))
    )
    expect(isBlocked(159)).toBe(true)
    expect(isBlocked(100)).toBe(false)
  })
})

describe('live members', () => {
  it('are sorted and know their position', () => {
    for (const index of [9, 3, 5]) apply(wholeOf(nodeIdOf(index)))
    apply(wholeOf(nodeIdOf(4), { status: 'joining' }))
    apply(wholeOf(nodeIdOf(6), { status: 'leaving' }))
    const live = [1, 3, 5, 9].map((index) => nodeIdOf(index))
    expect(table.live()).toEqual(live)
    expect(live.map((nodeId) => table.liveIndex(nodeId))).toEqual([0, 1, 2, 3])
    expect([4, 6, 7, 10].map((index) => table.liveIndex(nodeIdOf(index)))).toEqual([-1, -1, -1, -1])
    table.accuse(nodeIdOf(3), 'suspect', 'test')
    expect(table.live()).toEqual(live)
    table.accuse(nodeIdOf(3), 'unreachable', 'test')
    expect(table.liveIndex(nodeIdOf(5))).toBe(1)
    apply({ ...wholeOf(nodeIdOf(5), { counter: 2, status: 'leaving' }) })
    expect(table.live()).toEqual([OWN, nodeIdOf(9)])
  })
})

describe('what was heard from whom', () => {
  it('is marked only where the neighbour sent all that is known here', () => {
    apply(said())
    origin.writeOwnEntry('a', '1')
    const older = said(1)
    origin.writeOwnEntry('a', '2')
    apply(said(1))
    const marks = () => [...table.log.since(0)!.at(-1)!.alsoVia]
    table.apply(older, 8, 0, 'late')
    expect(marks()).toEqual([])
    table.apply(said(1), 9, 0, 'same')
    expect(marks()).toEqual([9])
    table.accuse(OTHER, 'unreachable', 'test')
    table.apply(said(1), 9, 0, 'without the accusation')
    expect(marks()).toEqual([])
    table.apply({ ...said(1), accusation: unreachable(0, 1) }, 9, 0, 'with it')
    expect(marks()).toEqual([9])
  })
})

describe('a short name', () => {
  /** Two authorities of one short name. */
  const [bearer, namesake] = [nodeIdOf(516_378), 'zzaaaaaaaaaaaaaaan4r.1.aaaaaaaaaa']
  const short = shortOf(bearer)
  const REMOVED_AT = 1_000

  it('is that of the member that was heard of first, whoever else bears it', () => {
    expect(shortOf(namesake)).toBe(short)
    apply(wholeOf(bearer))
    apply(wholeOf(namesake))
    expect(table.byShort(short)).toBe(bearer)
    apply(removedRange(namesake), REMOVED_AT)
    expect(table.byShort(short)).toBe(bearer)
    table.collect(REMOVED_AT)
    expect(table.byShort(short)).toBe(bearer)
  })

  it('goes to the next one that is there, and back to the life that follows the first', () => {
    apply(wholeOf(bearer))
    apply(wholeOf(namesake))
    apply(removedRange(bearer), REMOVED_AT)
    expect(table.byShort(short)).toBe(namesake)
    const next = nodeIdOf(516_378, 2)
    apply(wholeOf(next))
    expect(table.byShort(short)).toBe(next)
    apply(removedRange(next), REMOVED_AT)
    table.collect(REMOVED_AT)
    expect(table.byShort(short)).toBe(namesake)
    apply(removedRange(namesake), REMOVED_AT)
    table.collect(REMOVED_AT)
    expect(table.byShort(short)).toBeUndefined()
  })
})
