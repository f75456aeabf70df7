/** What is to be done about a key that two sides have each held for their own. */
import { describe, expect, it } from 'vitest'
import type { TenureStart } from '../../../src/core/grain/fork.ts'
import {
  BEHIND,
  changeFor,
  commonUpTo,
  goesOn,
  isChanged,
  isDeletedThere,
  MAX_OTHERS,
  MAX_TENURES,
  relate,
} from '../../../src/core/grain/fork.ts'
import { HeldPartition } from '../../../src/core/grain/held-partition.ts'
import type { KeyContent } from '../../../src/core/grain/held-partition.ts'
import type { CallerContents, KeyContents } from '../../../src/core/grain/key-contents.ts'
import { MAX_CALLERS } from '../../../src/core/grain/key-contents.ts'
import { bytes, change } from './support/holding-bench.ts'

const tenure = (group: string, epoch = 0, number = 0): TenureStart => ({ group, epoch, number })
const root = tenure('a')

describe('two histories', () => {
  it('have in common what they went through together', () => {
    const b = tenure('b', 3, 7)
    expect(relate([root], [root, b])).toEqual({ ours: undefined, theirs: b })
    expect(relate([root, b], [root])).toEqual({ ours: b, theirs: undefined })
    const [c, d] = [tenure('c', 4, 9), tenure('d', 4, 8)]
    expect(relate([root, b, c], [root, b, d])).toEqual({ ours: c, theirs: d })
    expect(relate([root, b], [root, b])).toEqual({ ours: undefined, theirs: undefined })
  })

  it('have it also where one of them has forgotten how it began', () => {
    const [b, c] = [tenure('b', 3, 7), tenure('c', 4, 9)]
    expect(relate([b], [root, b, c])).toEqual({ ours: undefined, theirs: c })
    expect(relate([root, b, c], [b])).toEqual({ ours: c, theirs: undefined })
  })

  it('may have nothing in common, or nothing that is known', () => {
    expect(relate([root], [tenure('z')])).toBeUndefined()
    expect(relate([root], [])).toBeUndefined()
    expect(relate([], [])).toBeUndefined()
  })

  it('part also where one council has given it to two owners, of whom one did not know of the other', () => {
    const [one, other] = [tenure('a', 8, 6), tenure('b', 9, 11)]
    expect(relate([root, one], [root, other])).toEqual({ ours: one, theirs: other })
    // The same council, but not the same tenure.
    expect(relate([tenure('a', 2, 0)], [tenure('a', 3, 0)])).toBeUndefined()
  })

  it('are told by the tenures of a copy', () => {
    const copy = new HeldPartition(1)
    copy.begin('a', 1)
    copy.apply(1, 'k', change('v'))
    copy.begin('a', 2)
    copy.apply(2, 'k', change('w'))
    copy.begin('c', 4)
    expect(copy.tenures).toEqual([tenure('a', 1), tenure('a', 2, 1), tenure('c', 4, 2)])
    expect(copy.tenure).toBe(4)
    for (let i = 0; i < 50; i++) copy.begin(`g${i}`, 5 + i)
    expect(copy.tenures).toHaveLength(MAX_TENURES)
    expect(copy.tenures.at(-1)).toEqual(tenure('g49', 54, 2))
  })

  it('are the same up to where either left the last common tenure', () => {
    const copy = new HeldPartition(1)
    copy.begin('a', 0)
    for (let i = 0; i < 9; i++) copy.apply(1, 'k', change('v'))
    expect(commonUpTo(copy, [])).toBe(0)
    expect(commonUpTo(copy, [root])).toBe(9)
    expect(commonUpTo(copy, [root, tenure('a', 2, 6)])).toBe(6)
    expect(commonUpTo(copy, [root, tenure('a', 2, 12)])).toBe(9)
    copy.begin('b', 3)
    copy.apply(3, 'k', change('v'))
    expect(commonUpTo(copy, [root, tenure('a', 4, 12)])).toBe(9)
    expect(commonUpTo(copy, [root])).toBe(9)
  })
})

describe('a key was changed since', () => {
  const fork = tenure('b', 3, 7)
  const at = (epoch: number, number: number) => ({ epoch, number })

  it('on the side that forked if its epoch is not lower', () => {
    expect(isChanged(at(2, 7), fork, undefined)).toBe(false)
    expect(isChanged(at(3, 8), fork, undefined)).toBe(true)
  })

  it('on the other if its number is higher', () => {
    expect(isChanged(at(2, 7), undefined, fork)).toBe(false)
    expect(isChanged(at(2, 8), undefined, fork)).toBe(true)
  })

  it('where both forked, by either', () => {
    const early = tenure('c', 3, 5)
    expect(isChanged(at(2, 5), fork, early)).toBe(false)
    expect(isChanged(at(2, 6), fork, early)).toBe(true)
  })

  it('where an owner had gone on in a council that gave the partition to another meanwhile', () => {
    // Both began in `root` and had six; one council's next owner went on from there, the old one's five more led to `b`.
    const relation = relate([root, tenure('a', 8, 6)], [root, tenure('b', 9, 11)])!
    expect(isChanged(at(8, 9), relation.ours, relation.theirs)).toBe(true)
    expect(isChanged(at(7, 9), relation.theirs, relation.ours)).toBe(true)
    expect(isChanged(at(7, 6), relation.theirs, relation.ours)).toBe(false)
  })
})

describe('what another side has', () => {
  const relation = { ours: undefined, theirs: tenure('b', 3, 7) }
  const key = (
    epoch: number,
    number: number,
    state?: string,
    more: Partial<KeyContents> = {},
  ): KeyContent => ({
    key: 'k',
    epoch,
    number,
    contents: { state: state === undefined ? undefined : bytes(state), callers: new Map(), ...more },
  })
  const none: KeyContent = { key: 'k', epoch: 0, number: 0, contents: undefined }
  const outcome = { type: 'result', bytes: bytes('r') } as const
  const callers = new Map([['p', { first: 4, keepMs: 5, outcomes: new Map([[4, outcome]]) }]])
  const record = { caller: 'p', sequence: 4, outcome, keepMs: 5 }
  const ask = (ours: KeyContent, theirs: KeyContent, known: typeof relation | undefined = relation) =>
    changeFor(ours, theirs, known, tenure('b', 4))

  it('is taken where only it was changed, with what its callers were told', () => {
    const taken = ask(key(1, 3, 'old'), key(4, 9, 'new', { callers }))
    expect(taken).toEqual({
      state: bytes('new'),
      records: [record],
      drops: [{ caller: 'p', first: 4 }],
      others: [{ group: 'b', epoch: 4, number: 9 }],
    })
    expect(ask(none, key(4, 9, 'new'))).toMatchObject({ state: bytes('new') })
    expect(ask(key(1, 3, 'old'), key(4, 9))).toMatchObject({ state: null })
  })

  it('comes with so many outcomes that half of the room is left to calls, the newest of each caller', () => {
    const told = (caller: string, first: number, last: number): [string, CallerContents] => {
      const outcomes = Array.from({ length: last - first + 1 }, (_, i) => [last - i, outcome] as const)
      return [caller, { first, keepMs: 0, outcomes: new Map(outcomes) }]
    }
    const mine = new Map([told('c', 1, 1_000)])
    const yours = new Map([told('d', 1, 3_000), told('c', 1, 1_200), told('e', 7, 9)])
    const taken = ask(key(1, 3, 'old', { callers: mine }), key(4, 9, 'new', { callers: yours }))!
    const of = (caller: string): number[] =>
      taken.records.filter((record) => record.caller === caller).map(({ sequence }) => sequence)
    expect([of('d').length, of('c'), of('e')]).toEqual([
      3_000,
      Array.from({ length: 96 }, (_, i) => 1_105 + i),
      [],
    ])
    expect(taken.drops).toEqual([
      { caller: 'd', first: 1 },
      { caller: 'c', first: 1_105 },
      { caller: 'e', first: 7 },
    ])
    const many = new Map(Array.from({ length: MAX_CALLERS }, (_, i) => told(`c${i}`, 2, 1)))
    expect(ask(key(1, 3, 'old'), key(4, 9, 'new', { callers: many }))!.drops).toHaveLength(MAX_CALLERS / 2)
  })

  it('is nothing where only this side was changed, or neither', () => {
    expect(ask(key(2, 8, 'mine'), key(1, 3, 'old'))).toBeUndefined()
    expect(ask(key(1, 3, 'old'), key(1, 3, 'old'))).toBeUndefined()
  })

  it('waits for an activation where both were', () => {
    const waits = ask(key(2, 8, 'mine'), key(4, 9, 'yours', { callers }))
    expect(waits).toEqual({
      records: [record],
      drops: [{ caller: 'p', first: 4 }],
      others: [{ group: 'b', epoch: 4, number: 9, state: bytes('yours') }],
    })
  })

  it('is taken once, and nothing before it', () => {
    const others = [{ group: 'b', epoch: 4, number: 9 }]
    expect(ask(key(5, 12, 'mine', { others }), key(4, 9, 'yours'))).toBeUndefined()
    expect(ask(key(5, 12, 'mine', { others }), key(4, 8, 'older'))).toBeUndefined()
    // In another tenure a lower number says nothing.
    const elsewhere = changeFor(key(5, 12, 'mine', { others }), key(4, 8, 'yours'), relation, tenure('b', 3))
    expect(elsewhere?.others).toHaveLength(2)
    expect(ask(key(5, 12, 'mine', { others }), key(4, 10, 'newer'))?.others).toHaveLength(2)
  })

  it('is no conflict where both came to the same, or one has deleted it', () => {
    expect(ask(key(2, 8, 'same'), key(4, 9, 'same'))).toBeUndefined()
    expect(ask(key(2, 8, 'same'), key(4, 9, 'same', { callers }))).toMatchObject({ records: [record] })
    expect(ask(key(2, 8, 'mine'), key(4, 9))).toBeUndefined()
    expect(ask(key(2, 8), key(4, 9, 'yours'))).toMatchObject({ state: bytes('yours') })
  })

  it('counts by the last change of a state, not of what else is kept', () => {
    const copy = new HeldPartition(1)
    copy.apply(1, 'k', change('v'))
    copy.apply(4, 'k', { records: [], drops: [{ caller: 'p', first: Infinity }] })
    copy.apply(4, 'k', { records: [], drops: [] })
    expect(copy.contentOf('k')).toMatchObject({
      epoch: 4,
      number: 3,
      contents: { stated: { epoch: 1, number: 1 } },
    })
    expect(ask(key(2, 8, 'mine'), copy.contentOf('k'))).toBeUndefined()
    expect(
      changeFor(
        copy.contentOf('k'),
        key(2, 8, 'yours'),
        { ours: tenure('b', 3, 7), theirs: undefined },
        root,
      ),
    ).toMatchObject({
      state: bytes('yours'),
    })
    copy.apply(5, 'k', change('w'))
    expect(copy.contentOf('k').contents).not.toHaveProperty('stated')
  })

  it('is held against the state alone where nothing is known to be common', () => {
    expect(changeFor(key(1, 3, 'mine'), key(1, 3, 'yours'), undefined, tenure('z', 1))?.others).toHaveLength(
      1,
    )
    expect(changeFor(key(1, 3, 'same'), key(4, 9, 'same'), undefined, tenure('z', 1))).toBeUndefined()
    expect(changeFor(none, key(1, 3, 'yours'), undefined, tenure('z', 1))).toMatchObject({
      state: bytes('yours'),
    })
    // with what waited there
    const others = [
      { group: 'x', epoch: 1, number: 1 },
      { group: 'y', epoch: 1, number: 2, state: bytes('waits') },
    ]
    const more = changeFor(none, key(1, 3, 'yours', { others }), undefined, tenure('z', 1))
    expect(more?.others).toEqual([{ group: 'z', epoch: 1, number: 3 }, others[1]])
  })

  it('goes on from what was taken of it, or the other way round, or neither', () => {
    const apart = { ours: tenure('a', 3, 5), theirs: tenure('b', 3, 7) }
    expect(
      goesOn({ epoch: 1, number: 3 }, { epoch: 1, number: 2 }, { ours: undefined, theirs: undefined }),
    ).toBe(true)
    expect(
      goesOn({ epoch: 1, number: 3 }, { epoch: 1, number: 3 }, { ours: undefined, theirs: undefined }),
    ).toBe(false)
    expect(goesOn({ epoch: 3, number: 8 }, { epoch: 1, number: 2 }, relation)).toBe(true)
    expect(goesOn({ epoch: 2, number: 5 }, { epoch: 3, number: 6 }, apart)).toBe(false)
    expect(goesOn({ epoch: 3, number: 8 }, { epoch: 3, number: 6 }, apart)).toBeUndefined()
    // nothing of this side is its own
    expect(ask(key(9, 99, 'old'), key(1, 3, 'new'), BEHIND as typeof relation)).toMatchObject({
      state: bytes('new'),
    })
    expect(ask(key(9, 99, 'old'), key(1, 3), BEHIND as typeof relation)).toMatchObject({ state: null })
    expect(isDeletedThere(key(9, 99, 'old'), BEHIND)).toBe(true)
  })

  it('keeps what waits, and forgets the oldest that was taken', () => {
    const waits = (i: number) => ({ group: `g${i}`, epoch: 1, number: i, state: bytes('x') })
    const waiting = Array.from({ length: MAX_OTHERS }, (_, i) => waits(i))
    const others = waiting.with(1, { group: 'g1', epoch: 1, number: 1 } as (typeof waiting)[0])
    const more = ask(key(2, 8, 'mine', { others }), key(4, 9, 'yours'))
    expect(more?.others?.map(({ group }) => group)).toEqual(['g0', 'g2', 'g3', 'g4', 'g5', 'g6', 'g7', 'b'])
    const tooMany = ask(key(2, 8, 'mine', { others: waiting }), key(4, 9, 'yours'))
    expect(tooMany?.others).toHaveLength(MAX_OTHERS + 1)
  })

  it('was deleted there if it was common, and is not there', () => {
    expect(isDeletedThere(key(1, 3, 'old'), relation)).toBe(true)
    expect(isDeletedThere(key(2, 8, 'mine'), relation)).toBe(false)
    expect(isDeletedThere(key(1, 3), relation)).toBe(false)
    expect(isDeletedThere(key(1, 3, 'old'), undefined)).toBe(false)
    expect(isDeletedThere(key(1, 3, 'old'), { ours: undefined, theirs: undefined })).toBe(false)
  })
})
