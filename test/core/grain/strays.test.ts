/** What a council that was given up has of a partition, from who kept it to who owns it now. */
import { describe, expect, it } from 'vitest'
import { HeldPartition } from '../../../src/core/grain/held-partition.ts'
import type { KeyContents } from '../../../src/core/grain/key-contents.ts'
import type { StrayItem } from '../../../src/core/grain/messages.ts'
import { Bench, bytes, change, entryOf, P } from './support/holding-bench.ts'

const A = `${'a'.repeat(16)}.0`
const B = `${'b'.repeat(16)}.1`

function stray(count = 1, size = 1): HeldPartition {
  const copy = new HeldPartition(1)
  for (let i = 0; i < count; i++) copy.apply(2, `k${i}`, change('x'.repeat(size)))
  copy.forks = [
    { group: A, epoch: 0, number: 0 },
    { group: B, epoch: 2, number: 0 },
  ]
  return copy
}

/** Answers the newest part that went to a process. */
function strayed(bench: Bench, from: string, result: 'part' | 'whole' | 'again' | 'full'): void {
  const { attempt, index } = bench.last('stray', from)[0]!
  bench.hear(from, { type: 'strayed', items: [{ partition: P, epoch: 1, attempt, index, result }] })
}

describe('a stray', () => {
  it('is kept by the owner when another council is followed, and offered to the owner under that one', () => {
    const bench = new Bench()
    bench.leader = 'me'
    bench.leaderHasLease = true
    bench.map(entryOf(1, 'me'), P, A)
    bench.wake()
    bench.append('k', 'v')
    bench.map(entryOf(2, 'me'), P, B)
    bench.append('k', 'w')
    bench.holdings.disown(bench.now)
    bench.live(5_000)
    expect(bench.count('stray')).toBe(0)
    expect(bench.holdings.strays.size).toBe(1)
    bench.map(entryOf(3, 'you'), P, A)
    expect(bench.last('stray', 'you')).toMatchObject([
      {
        epoch: 3,
        born: 1,
        forks: [
          { group: A, epoch: 0, number: 0 },
          { group: B, epoch: 2, number: 1 },
        ],
        entries: [{ key: 'k', epoch: 2, number: 2, contents: { state: bytes('w') } }],
        isLast: true,
      },
    ])
    strayed(bench, 'you', 'whole')
    expect(bench.holdings.strays.size).toBe(0)
    expect(bench.holdings.strays.bytes).toBe(0)
  })

  it('is offered later by a replica, and not at all by who holds nothing, or nothing that counts', () => {
    const bench = new Bench('replica')
    bench.map(entryOf(1, 'boss', 'replica', 'another'), P, B)
    bench.hear('boss', { type: 'claim', items: [{ partition: P, epoch: 1 }] })
    bench.holdings.disown(bench.now)
    expect(bench.holdings.strays.size).toBe(0)
    const item = { partition: P, epoch: 1, tenure: 0, number: 1, acked: 0, key: 'k', change: change('v') }
    bench.hear('boss', { type: 'store', items: [item] })
    bench.holdings.disown(bench.now)
    expect(bench.holdings.strays.size).toBe(1)
    bench.map(entryOf(2, 'boss'), P, A)
    bench.live(5_900)
    expect(bench.count('stray')).toBe(0)
    bench.live(200)
    expect(bench.last('stray', 'boss')).toMatchObject([{ forks: [{ group: B }] }])
    bench.map(entryOf(3, 'boss'), P, A)
    bench.holdings.disown(bench.now)
    expect(bench.holdings.strays.size).toBe(1)
  })

  it('goes in parts, each when the one before is answered', () => {
    const bench = new Bench('me', { copyPartBytes: 1_000 })
    bench.map(entryOf(1, 'you'), P, A)
    bench.holdings.strays.keep(P, stray(10, 300), undefined, bench.now)
    const keys = new Set<string>()
    for (let i = 0; i < 20; i++) {
      bench.holdings.settle(bench.now)
      const [item] = bench.last('stray', 'you') as [StrayItem]
      expect(item).toMatchObject({ index: i, attempt: 1 })
      for (const { key } of item.entries) keys.add(key)
      strayed(bench, 'you', item.isLast ? 'whole' : 'part')
      if (item.isLast) break
    }
    expect(keys.size).toBe(10)
    expect(bench.count('stray')).toBe(4)
    expect(bench.holdings.strays.size).toBe(0)
    expect(bench.holdings.nextDeadline()).toBeUndefined()
  })

  it('is offered again, less and less often, and anew to who owns it next or has lost count', () => {
    const bench = new Bench('me', { copyPartBytes: 1_000 })
    bench.map(entryOf(1, 'you'), P, A)
    bench.holdings.strays.keep(P, stray(10, 300), undefined, bench.now)
    bench.live(60_000)
    expect(bench.count('stray', 'you')).toBe(9)
    expect(bench.told).toContain(`ask ${P}`)
    strayed(bench, 'you', 'part')
    expect(bench.last('stray', 'you')).toMatchObject([{ index: 1, attempt: 1 }])
    strayed(bench, 'you', 'again')
    expect(bench.last('stray', 'you')).toMatchObject([{ index: 0, attempt: 2 }])
    bench.map(entryOf(2, 'heir'), P, A)
    expect(bench.last('stray', 'heir')).toMatchObject([{ index: 0, attempt: 3, epoch: 2 }])
    strayed(bench, 'you', 'whole')
    expect(bench.holdings.strays.size).toBe(1)
    bench.gone.add('heir')
    const before = bench.count('stray')
    bench.live(60_000)
    expect(bench.count('stray')).toBe(before)
    bench.gone.delete('heir')
    bench.holdings.onLiveness('heir', bench.now)
    bench.holdings.settle(bench.now)
    expect(bench.count('stray')).toBe(before + 1)
  })

  it('has no more room than copies have, and only so many are offered at once', () => {
    const bench = new Bench('me', { stateBytes: 10_000 })
    for (let slot = 0; slot < 12; slot++) {
      bench.map(entryOf(1, 'you'), `counter#${slot}`, A)
      bench.holdings.strays.keep(`counter#${slot}`, stray(1, 900), undefined, bench.now)
    }
    expect(bench.holdings.strays.size).toBe(10)
    expect(bench.told.filter((what) => what.startsWith('dropped'))).toEqual([
      'dropped counter#10',
      'dropped counter#11',
    ])
    bench.holdings.settle(bench.now)
    const offered = bench.sent.flatMap(({ message }) => (message.type === 'stray' ? message.items : []))
    expect(offered).toHaveLength(8)
  })
})

describe('the owner', () => {
  /** Owns it with one replica, under A; knows of `mine`. */
  function owner(tuning = {}): Bench {
    const bench = new Bench('me', tuning)
    bench.map(entryOf(1, 'me', 'a'), P, A)
    bench.stand('a', 1)
    bench.wake()
    bench.answer('a')
    for (const key of ['old', 'gone']) bench.append(key, key)
    bench.stored('a', 1, 1, 2)
    return bench
  }

  const item = (entries: StrayItem['entries'], more: Partial<StrayItem> = {}): StrayItem => ({
    partition: P,
    epoch: 1,
    attempt: 5,
    index: 0,
    born: 1,
    forks: [
      { group: A, epoch: 0, number: 0 },
      { group: B, epoch: 2, number: 2 },
    ],
    entries,
    isLast: true,
    ...more,
  })
  const content = (key: string, state: string, number = 3) => ({
    key,
    epoch: 2,
    number,
    contents: { state: bytes(state), callers: new Map() } satisfies KeyContents,
  })
  const state = (bench: Bench, key: string) => bench.holdings.copyOf(P)!.contentsOf(key)?.state

  it('takes what only the other side has changed, and says so when all in sync have it', () => {
    const bench = owner()
    bench.hear('kept', { type: 'stray', items: [item([content('old', 'new'), content('k', 'v', 4)])] })
    expect(state(bench, 'old')).toEqual(bytes('new'))
    expect(state(bench, 'k')).toEqual(bytes('v'))
    // it was common, and is not there
    expect(state(bench, 'gone')).toBeUndefined()
    expect(bench.count('strayed')).toBe(0)
    bench.stored('a', 1, 1, 4)
    expect(bench.count('strayed')).toBe(0)
    bench.stored('a', 1, 1, 5)
    expect(bench.last('strayed', 'kept')).toMatchObject([{ attempt: 5, index: 0, result: 'whole' }])
    // again: answered, and nothing is changed
    bench.append('old', 'newer')
    bench.hear('other', { type: 'stray', items: [item([content('old', 'new'), content('k', 'v', 4)])] })
    expect(bench.last('strayed', 'other')).toMatchObject([{ result: 'whole' }])
    expect(state(bench, 'old')).toEqual(bytes('newer'))
  })

  it('keeps what both have changed beside its own', () => {
    const bench = owner()
    bench.append('old', 'mine')
    bench.hear('kept', { type: 'stray', items: [item([content('old', 'yours')], { isLast: false })] })
    expect(state(bench, 'old')).toEqual(bytes('mine'))
    expect(bench.holdings.copyOf(P)!.contentsOf('old')!.others).toEqual([
      { group: B, epoch: 2, number: 3, state: bytes('yours') },
    ])
    expect(bench.last('store', 'a').at(-1)).toMatchObject({ key: 'old', change: { others: [{ group: B }] } })
    bench.stored('a', 1, 1, 4)
    expect(bench.last('strayed', 'kept')).toMatchObject([{ result: 'part' }])
  })

  it('wakes for it, has the right before it takes anything, and rests after', () => {
    const bench = owner()
    bench.holdings.rest(P, bench.now)
    bench.live(10_000)
    bench.hear('kept', { type: 'stray', items: [item([content('old', 'new'), content('gone', 'gone', 2)])] })
    expect(state(bench, 'old')).toEqual(bytes('old'))
    bench.answer('a')
    expect(state(bench, 'old')).toEqual(bytes('new'))
    bench.stored('a', 1, 1, 3)
    expect(bench.last('strayed', 'kept')).toMatchObject([{ result: 'whole' }])
    expect(bench.mayRun).toBe(true)
    bench.live(1_100)
    expect(bench.mayRun).toBe(false)
    expect(bench.holdings.nextDeadline()).toBeUndefined()
  })

  it('takes a key when its grain has ended', () => {
    const bench = owner()
    bench.busy.add('old')
    bench.hear('kept', { type: 'stray', items: [item([content('old', 'new'), content('gone', 'back')])] })
    expect(state(bench, 'gone')).toEqual(bytes('back'))
    expect(bench.told).toContain('free old')
    bench.stored('a', 1, 1, 3)
    expect(bench.count('strayed')).toBe(0)
    // it changes it meanwhile: now both have
    bench.append('old', 'mine')
    bench.busy.delete('old')
    bench.holdings.takeIn(P, 'old', bench.now)
    bench.holdings.settle(bench.now)
    expect(bench.told).toContain('taken old')
    expect(bench.holdings.copyOf(P)!.contentsOf('old')!.others).toMatchObject([{ state: bytes('new') }])
    bench.stored('a', 1, 1, 5)
    expect(bench.last('strayed', 'kept')).toMatchObject([{ result: 'whole' }])
  })

  it('says that it is another, that a part is missing, or that there is no room', () => {
    const bench = owner({ stateBytes: 2_000 })
    bench.hear('kept', { type: 'stray', items: [item([content('old', 'new')], { index: 1 })] })
    expect(bench.last('strayed', 'kept')).toMatchObject([{ index: 1, result: 'again' }])
    const large = content('large', 'x'.repeat(3_000))
    bench.hear('kept', { type: 'stray', items: [item([large], { isLast: false })] })
    expect(bench.last('strayed', 'kept')).toMatchObject([{ index: 0, result: 'full' }])
    bench.append('old', 'mine')
    const others = Array.from({ length: 8 }, (_, i) => ({
      group: `g${i}`,
      epoch: 1,
      number: i,
      state: bytes('x'),
    }))
    bench.holdings.append(P, 'old', { records: [], drops: [], others }, bench.now)
    bench.hear('another', { type: 'stray', items: [item([content('old', 'ninth')])] })
    bench.stored('a', 1, 1, bench.holdings.copyOf(P)!.number)
    expect(bench.last('strayed', 'another')).toMatchObject([{ index: 0, result: 'full' }])
    const count = bench.count('strayed')
    bench.live(1_000)
    expect(bench.count('strayed')).toBe(count)
    bench.map(entryOf(2, 'a'), P, A)
    bench.hear('kept', { type: 'stray', items: [item([large])] })
    expect(bench.last('stale', 'kept')).toEqual([{ partition: P, epoch: 2 }])
    expect(bench.count('strayed')).toBe(count)
  })
})
