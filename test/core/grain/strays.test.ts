/** What a council that was given up has of a partition, from who kept it to who owns it now. */
import { describe, expect, it } from 'vitest'
import type { TenureStart } from '../../../src/core/grain/fork.ts'
import { MAX_TENURES } from '../../../src/core/grain/fork.ts'
import { HeldPartition } from '../../../src/core/grain/held-partition.ts'
import type { KeyContents } from '../../../src/core/grain/key-contents.ts'
import type { HoldingMessage, StrayItem } from '../../../src/core/grain/messages.ts'
import { isKnownTo, isNewer, originsOf } from '../../../src/core/grain/stored-copy.ts'
import { slotOf } from '../../../src/core/partition/partition.ts'
import { Bench, bytes, change, entryOf, P } from './support/holding-bench.ts'

const A = `${'a'.repeat(16)}.0`
const B = `${'b'.repeat(16)}.1`
const ROOM_GROUP = `${'d'.repeat(16)}.0`

function stray(count = 1, size = 1): HeldPartition {
  const copy = new HeldPartition(1)
  for (let i = 0; i < count; i++) copy.apply(2, `k${i}`, change('x'.repeat(size)))
  copy.tenures = [
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

/** Alone in sync, with a right and a change. */
function ownerUnderA(): Bench {
  const bench = new Bench()
  bench.leader = 'me'
  bench.leaderHasLease = true
  bench.map(entryOf(1, 'me'), P, A)
  bench.wake()
  bench.append('k', 'v')
  return bench
}

describe('a stray', () => {
  it('is kept by the owner when another council is followed, and offered to the owner under that one', () => {
    const bench = ownerUnderA()
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
        tenures: [
          { group: A, epoch: 1, number: 0 },
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
    const tenures = [{ group: B, epoch: 1, number: 0 }]
    bench.hear('boss', { type: 'claim', items: [{ partition: P, epoch: 1, forgotten: 0, tenures }] })
    bench.holdings.disown(bench.now)
    expect(bench.holdings.strays.size).toBe(0)
    const at = { partition: P, epoch: 1, tenure: 1, acked: 0, forgotten: 0 }
    bench.hear('boss', { type: 'repair', items: [{ ...at, from: 0, number: 0, tenures, entries: [] }] })
    bench.hear('boss', { type: 'store', items: [{ ...at, number: 1, key: 'k', change: change('v') }] })
    bench.holdings.disown(bench.now)
    expect(bench.holdings.strays.size).toBe(1)
    bench.map(entryOf(2, 'boss'), P, A)
    bench.live(5_900)
    expect(bench.count('stray')).toBe(0)
    bench.live(200)
    expect(bench.last('stray', 'boss')).toMatchObject([{ tenures: [{ group: B }] }])
    bench.map(entryOf(3, 'boss'), P, A)
    bench.holdings.disown(bench.now)
    expect(bench.holdings.strays.size).toBe(1)
  })

  it('is the copy again of who is back under that council, in sync: it has all that was acknowledged there', () => {
    const bench = ownerUnderA()
    bench.holdings.disown(bench.now)
    bench.map({ ...entryOf(4, 'me'), born: 4 }, P, B)
    expect(bench.holdings.copyOf(P)).toMatchObject({ born: 4, number: 0 })
    bench.holdings.disown(bench.now)
    bench.map(entryOf(6, 'me'), P, A)
    expect(bench.holdings.copyOf(P)).toMatchObject({ born: 1, number: 1 })
    expect(bench.holdings.copyOf(P)!.contentsOf('k')?.state).toEqual(bytes('v'))
    // What another council has called its first birth is another one.
    bench.map(entryOf(9, 'me'), P, `${'c'.repeat(16)}.0`)
    bench.map({ ...entryOf(10, 'me'), born: 10 }, P, B)
    bench.map(entryOf(11, 'me'), P, `${'c'.repeat(16)}.0`)
    expect(bench.holdings.copyOf(P)).toMatchObject({ born: 1, number: 0 })
  })

  it('is so too where it has taken over meanwhile what the other council has of the same history', () => {
    const bench = ownerUnderA()
    bench.holdings.disown(bench.now)
    bench.map(entryOf(4, 'you'), P, B)
    const theirs = [{ key: 'k', epoch: 2, number: 7, contents: { state: bytes('w'), callers: new Map() } }]
    const end = { tenure: 2, number: 7, acked: 7, tenures: [] }
    const item = { partition: P, epoch: 4, attempt: 1, index: 0, handed: false, entries: theirs, end }
    bench.hear('you', { type: 'copy', items: [item] })
    expect(bench.holdings.copyOf(P)!.contentsOf('k')?.state).toEqual(bytes('w'))
    bench.holdings.disown(bench.now)
    bench.map(entryOf(6, 'me'), P, A)
    expect(bench.holdings.copyOf(P)).toMatchObject({ number: 1 })
    expect(bench.holdings.copyOf(P)!.contentsOf('k')?.state).toEqual(bytes('v'))
  })

  it('is told from what went on elsewhere under the same council', () => {
    // Under A `you` began at epoch 8, with nothing; `me`, who had not heard of that, had changed it, and goes on under B.
    const bench = ownerUnderA()
    bench.append(K, 'v')
    bench.map(entryOf(9, 'me'), P, B)
    bench.append(K, 'w')
    const tenures = [
      { group: A, epoch: 1, number: 0 },
      { group: A, epoch: 8, number: 0 },
    ]
    const entries = [{ key: K, epoch: 8, number: 1, contents: { state: bytes('x'), callers: new Map() } }]
    const at = { partition: P, epoch: 9, attempt: 1, index: 0 }
    bench.hear('you', { type: 'stray', items: [{ ...at, born: 1, tenures, entries, isLast: true }] })
    expect(bench.holdings.copyOf(P)!.contentsOf(K)).toMatchObject({
      state: bytes('w'),
      others: [{ group: A, epoch: 8, number: 1, state: bytes('x') }],
    })
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

/** Keys of that partition. */
const [OLD, GONE, K, LARGE] = ['old', 'gone', 'k', 'large'].map(keyOf) as [string, string, string, string]

function keyOf(name: string): string {
  for (let i = 0; ; i++) if (slotOf('counter', `${name}-${i}`) === 7) return `${name}-${i}`
}

describe('a copy that goes on under another council', () => {
  const FIRST = { group: A, epoch: 1, number: 0 }
  const at = { partition: P, epoch: 1, tenure: 1, acked: 0, forgotten: 0 }

  /** In sync under A, with two changes that all have; then under B, whose owner went on from the first one. */
  function underB(): Bench {
    const bench = new Bench()
    bench.map(entryOf(1, 'boss', 'me'), P, A)
    bench.hear('boss', { type: 'claim', items: [{ partition: P, epoch: 1, forgotten: 0, tenures: [FIRST] }] })
    bench.hear('boss', {
      type: 'repair',
      items: [{ ...at, from: 0, number: 0, tenures: [FIRST], entries: [] }],
    })
    for (const number of [1, 2, 3]) {
      const acked = Math.min(number, 2)
      bench.hear('boss', {
        type: 'store',
        items: [{ ...at, acked, number, key: `k${number}`, change: change('v') }],
      })
    }
    bench.map(entryOf(2, 'you', 'me'), P, B)
    return bench
  }

  it('is of no history until its owner has compared it', () => {
    const bench = underB()
    expect(bench.holdings.copyOf(P)).toMatchObject({ number: 3, acked: 0, tenure: 0 })
    bench.hear('you', { type: 'where', items: [{ partition: P, epoch: 2 }] })
    expect(bench.last('stored', 'you')).toMatchObject([{ tenure: 0, number: 3 }])
  })

  it('is compared from what both have in common on, whatever was acknowledged to either', () => {
    const bench = underB()
    const tenures = [FIRST, { group: B, epoch: 2, number: 1 }]
    bench.hear('you', { type: 'claim', items: [{ partition: P, epoch: 2, forgotten: 0, tenures }] })
    expect(bench.last('standing', 'you')).toMatchObject([
      { number: 3, common: 1, keys: [{ key: 'k2' }, { key: 'k3' }] },
    ])
    const entries = ['k2', 'k3'].map((key) => ({ key, epoch: 0, number: 0, contents: undefined }))
    const repair = {
      partition: P,
      epoch: 2,
      tenure: 2,
      from: 3,
      number: 1,
      acked: 1,
      forgotten: 0,
      tenures,
      entries,
    }
    bench.hear('you', { type: 'repair', items: [repair] })
    expect(bench.holdings.copyOf(P)).toMatchObject({ number: 1, acked: 1, tenure: 2, tenures })
    expect([...bench.holdings.copyOf(P)!.keys()]).toEqual(['k1'])
  })

  it('is compared as soon as the map has told who claims it', () => {
    const bench = underB()
    const tenures = [FIRST, { group: B, epoch: 2, number: 1 }, { group: B, epoch: 4, number: 2 }]
    bench.hear('next', { type: 'claim', items: [{ partition: P, epoch: 4, forgotten: 0, tenures }] })
    expect(bench.count('standing', 'next')).toBe(0)
    bench.map(entryOf(4, 'next', 'me'), P, B)
    expect(bench.last('standing', 'next')).toMatchObject([{ number: 3, common: 1 }])
  })

  it('is not compared with what another has claimed meanwhile', () => {
    const bench = underB()
    const tenures = [FIRST, { group: B, epoch: 2, number: 1 }, { group: B, epoch: 4, number: 2 }]
    bench.hear('next', { type: 'claim', items: [{ partition: P, epoch: 4, forgotten: 0, tenures }] })
    bench.map(entryOf(5, 'third', 'me'), P, B)
    expect(bench.count('standing', 'third')).toBe(0)
    const own = [FIRST, { group: B, epoch: 5, number: 0 }]
    bench.hear('third', { type: 'claim', items: [{ partition: P, epoch: 5, forgotten: 0, tenures: own }] })
    expect(bench.last('standing', 'third')).toMatchObject([{ common: 0 }])
  })

  it('is compared as a whole where the owner may have forgotten what it deleted since they parted', () => {
    const bench = underB()
    const tenures = [FIRST, { group: B, epoch: 2, number: 2 }]
    bench.hear('you', { type: 'claim', items: [{ partition: P, epoch: 2, forgotten: 4, tenures }] })
    expect(bench.last('standing', 'you')).toMatchObject([{ number: 3, common: 2, since: 0 }])
    expect(bench.last('standing', 'you')[0]!.keys.map(({ key }) => key)).toEqual(['k1', 'k2', 'k3'])
    bench.hear('you', { type: 'claim', items: [{ partition: P, epoch: 2, forgotten: 2, tenures }] })
    expect(bench.last('standing', 'you')).toMatchObject([{ common: 2, since: 2, keys: [{ key: 'k3' }] }])
  })

  it('is compared as a whole where it may have forgotten what it deleted since', () => {
    const bench = new Bench()
    const claim = (epoch: number, ...tenures: TenureStart[]): HoldingMessage => ({
      type: 'claim',
      items: [{ partition: P, epoch, forgotten: 0, tenures }],
    })
    const since = (): number | undefined => bench.last('standing', 'you')[0]?.since
    bench.map(entryOf(1, 'boss', 'me'), P, A)
    bench.hear('boss', claim(1, FIRST))
    bench.hear('boss', {
      type: 'repair',
      items: [{ ...at, from: 0, number: 0, tenures: [FIRST], entries: [] }],
    })
    for (const [i, text] of ['v', 'v', undefined, 'v'].entries()) {
      const item = { ...at, acked: i, number: i + 1, key: i === 2 ? 'k1' : `k${i + 1}`, change: change(text) }
      bench.hear('boss', { type: 'store', items: [item] })
    }
    // The third deleted a key, which everybody is known to have stored.
    expect(bench.holdings.copyOf(P)).toMatchObject({ number: 4, acked: 3, forgotten: 3 })
    bench.map(entryOf(2, 'you', 'me'), P, B)
    bench.hear('you', claim(2, FIRST, { group: B, epoch: 2, number: 3 }))
    expect(since()).toBe(3)
    bench.hear('you', claim(2, FIRST, { group: B, epoch: 2, number: 2 }))
    expect(since()).toBe(0)
  })

  it('is another tenure, also of the owner that it had', () => {
    const bench = ownerUnderA()
    bench.map(entryOf(2, 'me'), P, B)
    expect(bench.holdings.copyOf(P)).toMatchObject({
      tenure: 2,
      tenures: [FIRST, { group: B, epoch: 2, number: 1 }],
    })
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
    for (const key of [OLD, GONE]) bench.append(key, key === OLD ? 'old' : 'gone')
    bench.stored('a', 1, 1, 2)
    return bench
  }

  const item = (entries: StrayItem['entries'], more: Partial<StrayItem> = {}): StrayItem => ({
    partition: P,
    epoch: 1,
    attempt: 5,
    index: 0,
    born: 1,
    tenures: [
      { group: A, epoch: 1, number: 0 },
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
    bench.hear('kept', { type: 'stray', items: [item([content(OLD, 'new'), content(K, 'v', 4)])] })
    expect(state(bench, OLD)).toEqual(bytes('new'))
    expect(state(bench, K)).toEqual(bytes('v'))
    // it was common, and is not there
    expect(state(bench, GONE)).toBeUndefined()
    expect(bench.count('strayed')).toBe(0)
    bench.stored('a', 1, 1, 4)
    expect(bench.count('strayed')).toBe(0)
    bench.stored('a', 1, 1, 5)
    expect(bench.last('strayed', 'kept')).toMatchObject([{ attempt: 5, index: 0, result: 'whole' }])
    // again: answered, and nothing is changed
    bench.append(OLD, 'newer')
    bench.hear('other', { type: 'stray', items: [item([content(OLD, 'new'), content(K, 'v', 4)])] })
    expect(bench.last('strayed', 'other')).toMatchObject([{ result: 'whole' }])
    expect(state(bench, OLD)).toEqual(bytes('newer'))
  })

  it('keeps what both have changed beside its own', () => {
    const bench = owner()
    bench.append(OLD, 'mine')
    bench.hear('kept', { type: 'stray', items: [item([content(OLD, 'yours')], { isLast: false })] })
    expect(state(bench, OLD)).toEqual(bytes('mine'))
    expect(bench.holdings.copyOf(P)!.contentsOf(OLD)!.others).toEqual([
      { group: B, epoch: 2, number: 3, state: bytes('yours') },
    ])
    expect(bench.last('store', 'a').at(-1)).toMatchObject({ key: OLD, change: { others: [{ group: B }] } })
    bench.stored('a', 1, 1, 4)
    expect(bench.last('strayed', 'kept')).toMatchObject([{ result: 'part' }])
  })

  it('wakes for it, has the right before it takes anything, and rests after', () => {
    const bench = owner()
    bench.holdings.rest(P, bench.now)
    bench.live(10_000)
    bench.hear('kept', { type: 'stray', items: [item([content(OLD, 'new'), content(GONE, 'gone', 2)])] })
    expect(state(bench, OLD)).toEqual(bytes('old'))
    bench.answer('a')
    expect(state(bench, OLD)).toEqual(bytes('new'))
    bench.stored('a', 1, 1, 3)
    expect(bench.last('strayed', 'kept')).toMatchObject([{ result: 'whole' }])
    expect(bench.mayRun).toBe(true)
    bench.live(1_100)
    expect(bench.mayRun).toBe(false)
    expect(bench.holdings.nextDeadline()).toBeUndefined()
  })

  it('takes a key when its grain has ended', () => {
    const bench = owner()
    bench.busy.add(OLD)
    bench.hear('kept', { type: 'stray', items: [item([content(OLD, 'new'), content(GONE, 'back')])] })
    expect(state(bench, GONE)).toEqual(bytes('back'))
    expect(bench.told).toContain(`free ${OLD}`)
    bench.stored('a', 1, 1, 3)
    expect(bench.count('strayed')).toBe(0)
    // it changes it meanwhile: now both have
    bench.append(OLD, 'mine')
    bench.busy.delete(OLD)
    bench.holdings.takeIn(P, OLD, bench.now)
    bench.holdings.settle(bench.now)
    expect(bench.told).toContain(`taken ${OLD}`)
    expect(bench.holdings.copyOf(P)!.contentsOf(OLD)!.others).toMatchObject([{ state: bytes('new') }])
    bench.stored('a', 1, 1, 5)
    expect(bench.last('strayed', 'kept')).toMatchObject([{ result: 'whole' }])
  })

  it('takes a key also when nobody has told that its grain has ended', () => {
    const bench = owner()
    const stray = { type: 'stray', items: [item([content(OLD, 'new'), content(GONE, 'gone', 2)])] } as const
    bench.busy.add(OLD)
    bench.hear('kept', stray)
    bench.busy.delete(OLD)
    bench.hear('kept', stray)
    expect(state(bench, OLD)).toEqual(bytes('new'))
  })

  it('has no more room for parts that wait than for copies', () => {
    const bench = owner({ stateBytes: 3_000 })
    const part = (key: string): StrayItem[] => [item([content(key, 'x'.repeat(2_000))], { isLast: false })]
    bench.busy.add(OLD)
    bench.hear('kept', { type: 'stray', items: part(OLD) })
    bench.hear('another', { type: 'stray', items: part(OLD) })
    expect(bench.count('strayed', 'kept')).toBe(0)
    expect(bench.last('strayed', 'another')).toMatchObject([{ index: 0, result: 'full' }])
    // Where one gives up, the next one has its place.
    bench.live(21_000)
    bench.hear('another', { type: 'stray', items: part(OLD) })
    bench.hear('third', { type: 'stray', items: part(OLD) })
    expect(bench.count('strayed', 'another')).toBe(1)
    expect(bench.last('strayed', 'third')).toMatchObject([{ result: 'full' }])
    bench.map(entryOf(2, 'a'), P, A)
    bench.map(entryOf(3, 'me'), P, A)
    bench.hear('third', { type: 'stray', items: [{ ...part(OLD)[0]!, epoch: 3 }] })
    expect(bench.count('strayed', 'third')).toBe(1)
  })

  it('has no more room for keys that it is told of than for copies', () => {
    const bench = owner({ stateBytes: 3_000 })
    const names = Array.from({ length: 10_000 }, (_, i) => `${'n'.repeat(100)}-${i}`)
    const own = names.filter((name) => slotOf('counter', name) === 7)
    let index = 0
    for (; index < own.length && bench.count('strayed', 'kept') === index; index++) {
      const gone = { key: own[index]!, epoch: 2, number: 3, contents: undefined }
      bench.hear('kept', { type: 'stray', items: [item([gone], { index, isLast: false })] })
      if (bench.last('strayed', 'kept')[0]?.result === 'full') break
    }
    expect(index).toBeGreaterThan(5)
    expect(bench.last('strayed', 'kept')).toMatchObject([{ index, result: 'full' }])
    expect(own.length).toBeGreaterThan(index)
  })

  it('says that it is another, that a part is missing, or that there is no room', () => {
    const bench = owner({ stateBytes: 2_000 })
    bench.hear('kept', { type: 'stray', items: [item([content(OLD, 'new')], { index: 1 })] })
    expect(bench.last('strayed', 'kept')).toMatchObject([{ index: 1, result: 'again' }])
    const large = content(LARGE, 'x'.repeat(3_000))
    bench.hear('kept', { type: 'stray', items: [item([large], { isLast: false })] })
    expect(bench.last('strayed', 'kept')).toMatchObject([{ index: 0, result: 'full' }])
    bench.append(OLD, 'mine')
    const others = Array.from({ length: 8 }, (_, i) => ({
      group: `g${i}`,
      epoch: 1,
      number: i,
      state: bytes('x'),
    }))
    bench.holdings.append(P, OLD, { records: [], drops: [], others }, bench.now)
    bench.hear('another', { type: 'stray', items: [item([content(OLD, 'ninth')])] })
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

describe('a copy that was on disk', () => {
  const A2 = `${'c'.repeat(16)}.1`
  const TENURES = [{ group: A, epoch: 2, number: 0 }]

  /** Owns it alone in a room that was founded anew, unless there are others. */
  function room(tuning = {}, ...others: string[]): Bench {
    const bench = new Bench('me', { copyPartBytes: 1_000, ...tuning })
    bench.leader = 'me'
    bench.leaderHasLease = true
    bench.map(entryOf(1, 'me', ...others), P, ROOM_GROUP)
    for (const other of others) bench.stand(other, 1)
    return bench
  }

  function onDisk(states: Readonly<Record<string, string | undefined>>, tenures = TENURES): HeldPartition {
    const copy = new HeldPartition(1)
    for (const [key, state] of Object.entries(states)) copy.apply(2, key, change(state))
    copy.tenures = tenures
    copy.source = { epoch: 2, number: copy.number, taken: [], holders: [], back: [] }
    return copy
  }

  function keep(bench: Bench, copy: HeldPartition): void {
    bench.holdings.strays.keep(P, copy, undefined, bench.now)
    bench.holdings.settle(bench.now)
    bench.loop()
  }

  const textOf = (bench: Bench, key: string): string =>
    String.fromCharCode(...(bench.holdings.copyOf(P)!.contentsOf(key)?.state ?? []))

  it('is looked at before any handler, in parts, and settled', () => {
    const bench = room()
    bench.holdings.strays.keep(
      P,
      onDisk({ [OLD]: 'a'.repeat(900), [K]: 'b'.repeat(900) }),
      undefined,
      bench.now,
    )
    expect(bench.holdings.strays.isOwed(P)).toBe(true)
    bench.holdings.settle(bench.now)
    bench.loop()
    expect(bench.holdings.strays.isOwed(P)).toBe(false)
    expect([textOf(bench, OLD), textOf(bench, K)].map(({ length }) => length)).toEqual([900, 900])
    expect(bench.told.filter((what) => /^(began|settled|new source)/.test(what))).toEqual([
      'began',
      'began',
      'new source',
      'settled',
    ])
    expect(bench.holdings.strays.size).toBe(0)
  })

  it('holds up nothing once it was looked at, and is settled when all in sync have what was taken', () => {
    const bench = room({}, 'a')
    keep(bench, onDisk({ [OLD]: 'v' }))
    expect(bench.holdings.strays.isOwed(P)).toBe(true)
    bench.answer('a')
    bench.loop()
    expect(textOf(bench, OLD)).toBe('v')
    expect(bench.holdings.strays.isOwed(P)).toBe(false)
    // the key, but not that the copy was taken up
    bench.stored('a', 1, 1, 1)
    bench.loop()
    expect(bench.told).not.toContain('settled')
    bench.stored('a', 1, 1, 2)
    bench.loop()
    expect(bench.told).toContain('settled')
  })

  it('holds up nothing where there is no room for it, and is not settled', () => {
    const bench = room({ stateBytes: 500 })
    keep(bench, onDisk({ [OLD]: 'x'.repeat(600) }))
    expect(bench.holdings.strays.isOwed(P)).toBe(false)
    expect(bench.told).not.toContain('settled')
    expect(bench.holdings.strays.size).toBe(1)
  })

  it('is taken up once, also by way of what has taken it up before', () => {
    const bench = room()
    const copy = onDisk({ [OLD]: 'v' })
    keep(bench, copy)
    bench.append(OLD, undefined)
    const again = copy.split()
    again.source = copy.source
    keep(bench, again)
    expect(textOf(bench, OLD)).toBe('')
    const heir = onDisk({ [K]: 'w' }, [{ group: B, epoch: 0, number: 0 }])
    heir.source = { ...heir.source!, taken: [{ group: A2, born: 1, since: 1, epoch: 9, number: 9 }] }
    keep(bench, heir)
    expect(textOf(bench, K)).toBe('w')
    bench.append(K, undefined)
    keep(bench, onDisk({ [K]: 'w' }, [{ group: A2, epoch: 0, number: 0 }]))
    expect(textOf(bench, K)).toBe('')
    expect(bench.told.filter((what) => what.endsWith('source'))).toEqual([
      'new source',
      'known source',
      'new source',
      'known source',
    ])
  })

  it('is taken up once, however many owners the history has had', () => {
    const bench = room()
    const copy = new HeldPartition(1)
    for (let epoch = 1; epoch <= MAX_TENURES + 1; epoch++) {
      copy.begin(A, epoch)
      copy.apply(epoch, epoch === 1 ? OLD : K, change('v'))
    }
    copy.source = { epoch: copy.number, number: copy.number, taken: [], holders: [], back: [] }
    expect(copy.tenures[0]).toMatchObject({ epoch: 2 })
    const again = copy.split()
    again.source = copy.source
    keep(bench, copy)
    expect([OLD, K].map((key) => textOf(bench, key))).toEqual(['v', 'v'])
    bench.append(OLD, undefined)
    keep(bench, again)
    expect(textOf(bench, OLD)).toBe('')
  })

  it('gives way to what goes on from it, where nothing has changed since', () => {
    const bench = room()
    keep(bench, onDisk({ [OLD]: 'old', [K]: 'old', [GONE]: 'old', [LARGE]: 'old' }))
    bench.append(K, 'mine')
    const later = onDisk({ [OLD]: 'old', [K]: 'old', [GONE]: 'old', [LARGE]: 'old' })
    for (const key of [OLD, K]) later.apply(3, key, change('new'))
    later.apply(3, GONE, change(undefined))
    later.collect(later.number)
    later.tenures = [...TENURES, { group: A2, epoch: 3, number: 4 }]
    later.source = { epoch: 3, number: later.number, taken: [], holders: [], back: [] }
    keep(bench, later)
    expect([OLD, K, GONE, LARGE].map((key) => textOf(bench, key))).toEqual(['new', 'mine', '', 'old'])
    expect(bench.holdings.copyOf(P)!.contentsOf(K)!.others).toMatchObject([
      {},
      { group: A2, state: bytes('new') },
    ])
    // the older one again: it is known
    keep(bench, onDisk({ [OLD]: 'old', [K]: 'old', [GONE]: 'old' }))
    expect([OLD, K, GONE].map((key) => textOf(bench, key))).toEqual(['new', 'mine', ''])
  })

  it('deletes nothing that was made after its end, and tells of nothing new, where the room goes on from it', () => {
    const bench = new Bench('me')
    bench.leader = 'me'
    bench.leaderHasLease = true
    bench.map(entryOf(2, 'me'), P, A)
    bench.wake()
    for (const key of [OLD, K]) bench.append(key, 'v')
    bench.map(entryOf(3, 'me'), P, A2)
    keep(bench, onDisk({ [OLD]: 'v' }))
    expect(textOf(bench, K)).toBe('v')
    expect(bench.told).toContain('known source')
    expect(bench.holdings.copyOf(P)!.number).toBe(2)
  })

  it('has no say about keys of another partition', () => {
    const bench = room()
    const foreign = ['x', 'y'].find((key) => slotOf('counter', key) !== 7)!
    keep(bench, onDisk({ [foreign]: 'v', [K]: 'v' }))
    expect(textOf(bench, foreign)).toBe('')
    expect(textOf(bench, K)).toBe('v')
  })
})

describe('histories', () => {
  const origin = { group: A, born: 1, since: 2, epoch: 3, number: 50 }

  it('are known as far as they were taken up', () => {
    expect(isKnownTo([], origin)).toBe(false)
    expect(isKnownTo([origin], origin)).toBe(true)
    expect(isKnownTo([{ ...origin, number: 51 }], origin)).toBe(true)
    expect(isKnownTo([{ ...origin, epoch: 4 }], origin)).toBe(true)
    expect(isKnownTo([{ ...origin, number: 40 }], origin)).toBe(false)
    expect(isKnownTo([{ ...origin, epoch: 2 }], origin)).toBe(false)
    expect(isKnownTo([{ ...origin, born: 2 }], origin)).toBe(false)
    // Of another tenure, whose owner may have begun below.
    expect(isKnownTo([{ ...origin, since: 4, epoch: 9, number: 60 }], origin)).toBe(false)
    expect(isKnownTo([{ ...origin, group: B }], origin)).toBe(false)
  })

  const tenures = [
    { group: A, epoch: 1, number: 0 },
    { group: B, epoch: 4, number: 45 },
  ]

  it('go on where a council was continued by force, up to the turn', () => {
    const origins = originsOf(1, tenures, { epoch: 5, number: 60 })
    expect(origins).toEqual([
      { group: B, born: 1, since: 4, epoch: 5, number: 60 },
      { group: A, born: 1, since: 1, epoch: 3, number: 45 },
    ])
    expect(isKnownTo(origins, { ...origin, number: 45 })).toBe(true)
    // of another side of it
    expect(isKnownTo(origins, origin)).toBe(false)
  })

  it('that lack their oldest tenures count as known below the first, and no further', () => {
    const many = Array.from({ length: MAX_TENURES }, (_, i) => ({
      group: A,
      epoch: 40 + i,
      number: 20 + 980 * i,
    }))
    const origins = originsOf(1, many, { epoch: 90, number: 99_999 })
    const at = { group: A, born: 1, epoch: 5 }
    expect(isKnownTo(origins, { ...at, number: 20 })).toBe(true)
    expect(isKnownTo(origins, { ...at, number: 21 })).toBe(false)
    expect(isKnownTo(originsOf(1, many.slice(1), { epoch: 90, number: 99_999 }), { ...at, number: 20 })).toBe(
      false,
    )
  })

  it('are newer where they have taken up the other or go on from it, and else where they were written later', () => {
    const at = { partition: P, map: 1, acked: 0, inSync: [], keys: 0, at: 1_000, taken: [] }
    const head = { ...at, born: 1, epoch: 3, number: 50, tenures: tenures.slice(0, 1) }
    const other = { ...head, at: 1, tenures: [{ group: ROOM_GROUP, epoch: 0, number: 0 }], number: 3 }
    const heir = { ...other, taken: [origin] }
    expect(isNewer(heir, head)).toBe(true)
    expect(isNewer(head, heir)).toBe(false)
    expect(isNewer(head, other)).toBe(true)
    expect(isNewer({ ...head, at: 1 }, { ...head, number: 49 })).toBe(true)
    const heirByForce = { ...head, at: 1, tenures, epoch: 4, number: 46 }
    expect(isNewer(heirByForce, { ...head, number: 45 })).toBe(true)
  })
})
