/** What is to be done about a key that two sides have each held for their own. */
import { describe, expect, it } from 'vitest'
import type { Fork } from '../../../src/core/grain/fork.ts'
import {
  BEHIND,
  goesOn,
  changeFor,
  isChanged,
  isDeletedThere,
  MAX_OTHERS,
  relate,
} from '../../../src/core/grain/fork.ts'
import { HeldPartition } from '../../../src/core/grain/held-partition.ts'
import type { KeyContent } from '../../../src/core/grain/held-partition.ts'
import type { KeyContents } from '../../../src/core/grain/key-contents.ts'
import { bytes, change } from './support/holding-bench.ts'

const turn = (group: string, epoch = 0, number = 0): Fork => ({ group, epoch, number })
const root = turn('a')

describe('two histories', () => {
  it('have in common what they went through together', () => {
    const b = turn('b', 3, 7)
    expect(relate([root], [root, b])).toEqual({ ours: undefined, theirs: b })
    expect(relate([root, b], [root])).toEqual({ ours: b, theirs: undefined })
    const [c, d] = [turn('c', 4, 9), turn('d', 4, 8)]
    expect(relate([root, b, c], [root, b, d])).toEqual({ ours: c, theirs: d })
    expect(relate([root, b], [root, b])).toEqual({ ours: undefined, theirs: undefined })
  })

  it('have it also where one of them has forgotten how it began', () => {
    const [b, c] = [turn('b', 3, 7), turn('c', 4, 9)]
    expect(relate([b], [root, b, c])).toEqual({ ours: undefined, theirs: c })
    expect(relate([root, b, c], [b])).toEqual({ ours: c, theirs: undefined })
  })

  it('may have nothing in common, or nothing that is known', () => {
    expect(relate([root], [turn('z')])).toBeUndefined()
    expect(relate([root], [])).toBeUndefined()
    expect(relate([], [])).toBeUndefined()
  })

  it('are told by a copy that goes on under another council', () => {
    const copy = new HeldPartition(1)
    copy.apply(1, 'k', change('v'))
    copy.turn('a', 'b', 2)
    copy.apply(2, 'k', change('w'))
    copy.turn('b', 'b', 3)
    copy.turn('b', 'c', 4)
    expect(copy.forks).toEqual([root, turn('b', 2, 1), turn('c', 4, 2)])
    for (let i = 0; i < 30; i++) copy.turn('', `g${i}`, 5 + i)
    expect(copy.forks).toHaveLength(16)
    expect(copy.forks.at(-1)).toEqual(turn('g29', 34, 2))
  })
})

describe('a key was changed since', () => {
  const fork = turn('b', 3, 7)
  const at = (epoch: number, number: number) => ({ epoch, number })

  it('on the side that forked if its epoch is not lower', () => {
    expect(isChanged(at(2, 7), fork, undefined)).toBe(false)
    expect(isChanged(at(3, 8), fork, undefined)).toBe(true)
  })

  it('on the other if its number is higher, or its epoch not lower', () => {
    expect(isChanged(at(2, 7), undefined, fork)).toBe(false)
    expect(isChanged(at(2, 8), undefined, fork)).toBe(true)
    expect(isChanged(at(3, 6), undefined, fork)).toBe(true)
  })

  it('where both forked, by either', () => {
    const early = turn('c', 3, 5)
    expect(isChanged(at(2, 5), fork, early)).toBe(false)
    expect(isChanged(at(2, 6), fork, early)).toBe(true)
  })
})

describe('what another side has', () => {
  const relation = { ours: undefined, theirs: turn('b', 3, 7) }
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
  const callers = new Map([
    ['p', { first: 4, keepMs: 5, outcomes: new Map([[4, { type: 'result', bytes: bytes('r') } as const]]) }],
  ])
  const record = { caller: 'p', sequence: 4, outcome: { type: 'result', bytes: bytes('r') }, keepMs: 5 }
  const ask = (ours: KeyContent, theirs: KeyContent, known: typeof relation | undefined = relation) =>
    changeFor(ours, theirs, known, 'b')

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
    expect(ask(key(5, 12, 'mine', { others }), key(3, 8, 'older'))).toBeUndefined()
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
      changeFor(copy.contentOf('k'), key(2, 8, 'yours'), { ours: turn('b', 3, 7), theirs: undefined }, 'a'),
    ).toMatchObject({
      state: bytes('yours'),
    })
    copy.apply(5, 'k', change('w'))
    expect(copy.contentOf('k').contents).not.toHaveProperty('stated')
  })

  it('is held against the state alone where nothing is known to be common', () => {
    expect(changeFor(key(1, 3, 'mine'), key(1, 3, 'yours'), undefined, 'z')?.others).toHaveLength(1)
    expect(changeFor(key(1, 3, 'same'), key(4, 9, 'same'), undefined, 'z')).toBeUndefined()
    expect(changeFor(none, key(1, 3, 'yours'), undefined, 'z')).toMatchObject({ state: bytes('yours') })
    // with what waited there
    const others = [
      { group: 'x', epoch: 1, number: 1 },
      { group: 'y', epoch: 1, number: 2, state: bytes('waits') },
    ]
    const more = changeFor(none, key(1, 3, 'yours', { others }), undefined, 'z')
    expect(more?.others).toEqual([{ group: 'z', epoch: 1, number: 3 }, others[1]])
  })

  it('goes on from what was taken of it, or the other way round, or neither', () => {
    const apart = { ours: turn('a', 3, 5), theirs: turn('b', 3, 7) }
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
