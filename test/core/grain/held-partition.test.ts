import { rankAmong } from '../../../src/core/partition/placement.ts'
import { describe, expect, it } from 'vitest'
import { CopyOut } from '../../../src/core/grain/copy-out.ts'
import { HeldPartition } from '../../../src/core/grain/held-partition.ts'
import type { CallerContents, KeyChange } from '../../../src/core/grain/key-contents.ts'
import { MAX_CALLERS, MAX_OUTCOMES } from '../../../src/core/grain/key-contents.ts'
import { isGrainKey, isKind, parsePartition, partitionOf } from '../../../src/core/partition/partition.ts'
import { bytes, change } from './support/holding-bench.ts'

const recorded = (text: string | undefined, sequence: number, first?: number): KeyChange => ({
  state: text === undefined ? null : bytes(text),
  records: [{ caller: 'c', sequence, outcome: { type: 'result', bytes: bytes(`r${sequence}`) }, keepMs: 0 }],
  drops: first === undefined ? [] : [{ caller: 'c', first }],
})
const DROP_ALL = [{ caller: 'c', first: Infinity }]

describe('a copy', () => {
  it('numbers changes, and remembers of each key the last', () => {
    const copy = new HeldPartition(1)
    copy.apply(3, 'a', change('1'))
    copy.apply(3, 'b', change('2'))
    copy.apply(4, 'a', change('3'))
    expect(copy.stampOf('a')).toEqual({ epoch: 4, number: 3 })
    expect(copy.changedAfter(2)).toEqual([{ key: 'a', epoch: 4, number: 3 }])
    expect(copy.stampOf('none')).toEqual({ epoch: 0, number: 0 })
  })

  it('keeps records from the first incomplete call on, and drops callers that are gone', () => {
    const copy = new HeldPartition(1)
    const caller = (): CallerContents | undefined => copy.contentsOf('a')?.callers.get('c')
    copy.apply(1, 'a', recorded('1', 1))
    copy.apply(1, 'a', recorded('2', 2))
    expect(caller()!.outcomes.get(1)).toEqual({ type: 'result', bytes: bytes('r1') })
    copy.apply(1, 'a', recorded('3', 3, 3))
    expect([caller()!.first, [...caller()!.outcomes.keys()]]).toEqual([3, [3]])
    copy.apply(1, 'a', recorded('4', 4, 2))
    expect(caller()!.first).toBe(3)
    copy.apply(1, 'a', { records: [], drops: DROP_ALL })
    expect(caller()).toBeUndefined()
    expect(copy.contentsOf('a')!.state).toEqual(bytes('4'))
  })

  it('weighs what it holds, as it foretold, and nothing when all is deleted and collected', () => {
    const copy = new HeldPartition(1)
    for (const text of ['1', '22', undefined, '333']) {
      const next = recorded(text, copy.number + 1)
      const before = copy.bytes
      const growth = copy.growthOf('a', next)
      copy.apply(1, 'a', next)
      expect(copy.bytes - before).toBe(growth)
    }
    copy.apply(1, 'a', { state: null, records: [], drops: DROP_ALL })
    expect([...copy.keys()]).toEqual([])
    copy.collect(4)
    expect(copy.isEmpty).toBe(false)
    copy.collect(5)
    expect([copy.isEmpty, copy.bytes]).toEqual([true, 0])
  })

  it('grows by one caller, however many of its calls are new', () => {
    const copy = new HeldPartition(1)
    const records = [1, 2, 3].flatMap((sequence) => recorded('', sequence).records)
    const next = {
      records,
      drops: [
        { caller: 'c', first: 2 },
        { caller: 'd', first: 1 },
      ],
    }
    const growth = copy.growthOf('a', { ...next, drops: next.drops.slice(1) })
    copy.apply(1, 'a', { ...next, drops: next.drops.slice(1) })
    expect(copy.bytes).toBe(growth)
  })

  it('has no room for more callers and outcomes of a key than it may have', () => {
    const copy = new HeldPartition(1)
    const many = (count: number, caller: (i: number) => string): KeyChange => ({
      records: Array.from({ length: count }, (_, i) => ({
        ...recorded('', i).records[0]!,
        caller: caller(i),
      })),
      drops: [],
    })
    copy.apply(
      1,
      'a',
      many(MAX_OUTCOMES, () => 'c'),
    )
    expect(copy.growthOf('a', recorded('1', MAX_OUTCOMES))).toBe(Infinity)
    expect(copy.growthOf('a', change('1'))).toBe(1)
    expect(
      copy.growthOf(
        'b',
        many(MAX_OUTCOMES, (i) => `c${i}`),
      ),
    ).toBeLessThan(Infinity)
    const settled = Array.from({ length: MAX_CALLERS }, (_, i) => ({ caller: `c${i}`, first: 2 }))
    copy.apply(1, 'b', { records: [], drops: settled })
    expect(copy.growthOf('b', recorded('1', 1))).toBe(Infinity)
    expect(copy.growthOf('b', { records: [], drops: settled })).toBe(0)
  })

  it('takes no change of a call with which its numbers would come to an end', () => {
    const copy = new HeldPartition(1)
    copy.standAt(2 ** 48 - 2 ** 24 - 1)
    expect(copy.growthOf('a', change('1'))).toBeLessThan(Infinity)
    copy.apply(1, 'a', change('1'))
    expect(copy.growthOf('a', change('1'))).toBe(Infinity)
    expect(copy.isCredible(copy.number + 1, [])).toBe(false)
  })

  it('takes keys of another, and their absence', () => {
    const one = new HeldPartition(1)
    const other = new HeldPartition(1)
    one.apply(1, 'a', recorded('1', 1))
    other.apply(1, 'b', change('2'))
    other.replace([one.contentOf('a'), one.contentOf('b')])
    expect(other.contentOf('a')).toEqual(one.contentOf('a'))
    expect([[...other.keys()], other.bytes]).toEqual([['a'], one.bytes])
  })
})

describe('a copy on its way', () => {
  it('comes in parts, and ends as its original is then', () => {
    const original = new HeldPartition(1)
    for (let i = 0; i < 10; i++) original.apply(1, `key${i}`, change('x'))
    const out = new CopyOut(original, 1, 0)
    const staged = new HeldPartition(1)
    let parts = 0
    while (!out.isWhole) {
      const { part } = out.next(original, 150)
      expect(part.index).toBe(parts++)
      staged.replace(part.entries)
      if (part.end) staged.standAt(part.end.number)
      if (parts > 4) continue
      original.apply(1, 'key9', change(`later ${parts}`))
      original.apply(1, `new${parts}`, change('y'))
      original.apply(1, 'key0', change(undefined))
    }
    expect(staged.number).toBe(original.number)
    expect([...staged.keys()].sort()).toEqual([...original.keys()].sort())
    for (const key of original.keys()) expect(staged.contentOf(key)).toEqual(original.contentOf(key))
  })
})

describe('names', () => {
  it('of kinds, keys and partitions are checked', () => {
    expect(['a', 'counter', 'a.b-c_9'].every(isKind)).toBe(true)
    expect(['', 'A', '9a', 'a#', 'a'.repeat(65)].some(isKind)).toBe(false)
    expect(['k', 'ключ', 'é'.repeat(128), '\u{1f600}'].every(isGrainKey)).toBe(true)
    expect(['', 'é'.repeat(129), '\ud800'].some(isGrainKey)).toBe(false)
    expect(parsePartition('counter#255')).toEqual({ kind: 'counter', slot: 255 })
    expect(['counter#256', 'counter#01', 'counter', '#1', 'A#1'].map(parsePartition)).toEqual(
      Array.from({ length: 5 }),
    )
  })

  it('spread keys over the slots, and rank processes the same everywhere', () => {
    const slots = new Set(Array.from({ length: 4_000 }, (_, i) => partitionOf('counter', `key${i}`)))
    expect(slots.size).toBe(256)
    const processes = ['a', 'b', 'c', 'd']
    const firsts = new Set<string>()
    for (let slot = 0; slot < 64; slot++) {
      const ranks = processes.map((process) => rankAmong(`k#${slot}`, process, processes))
      expect([...ranks].sort()).toEqual([0, 1, 2, 3])
      firsts.add(processes[ranks.indexOf(0)]!)
    }
    expect(firsts.size).toBe(4)
  })
})
