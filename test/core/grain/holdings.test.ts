/** The rules of `Holdings`, one by one. `holdings-story.test.ts` has them all at once. */
import { describe, expect, it } from 'vitest'
import { partitionId } from '../../../src/core/partition/partition.ts'
import { decodeHoldingMessage, encodeHoldingMessage } from '../../../src/core/grain/holding-codec.ts'
import type { HoldingTuning } from '../../../src/core/grain/holding-tuning.ts'
import { UNKNOWN } from '../../../src/core/grain/proposals.ts'
import type { HoldingMessage } from '../../../src/core/grain/messages.ts'
import { Bench, bytes, change, entryOf, GROUP, P } from './support/holding-bench.ts'

/** Owns P with these replicas, which have answered everything. */
function owner(...replicas: string[]): Bench {
  const bench = new Bench()
  bench.targets = ['me', ...replicas]
  bench.map(entryOf(1, 'me', ...replicas))
  bench.wake()
  for (const replica of replicas) {
    bench.stand(replica, 1)
    bench.answer(replica)
  }
  return bench
}

/** Replicates P of `boss`, to whom it has just answered a beacon. */
function replica(others: readonly string[] = [], tuning: Partial<HoldingTuning> = {}): Bench {
  const bench = new Bench('me', tuning)
  bench.map(entryOf(1, 'boss', 'me', ...others))
  bench.hear('boss', { type: 'beacon', id: 1, heard: 0, sole: false })
  return bench
}

const store = (number: number, text: string, { epoch = 1, acked = 0, key = 'k', tenure = 1 } = {}) =>
  ({
    type: 'store',
    items: [{ partition: P, epoch, tenure, number, acked, key, change: change(text) }],
  }) as const

const FIRST = [{ group: GROUP, epoch: 1, number: 0 }]

/** A replica that follows `boss`. */
function follower(others: readonly string[] = [], tuning: Partial<HoldingTuning> = {}): Bench {
  const bench = replica(others, tuning)
  bench.hear('boss', { type: 'claim', items: [{ partition: P, epoch: 1, forgotten: 0, tenures: FIRST }] })
  bench.hear('boss', {
    type: 'repair',
    items: [
      {
        partition: P,
        epoch: 1,
        tenure: 1,
        from: 0,
        number: 0,
        acked: 0,
        forgotten: 0,
        tenures: FIRST,
        entries: [],
      },
    ],
  })
  return bench
}

describe('lease', () => {
  it('needs an answer of every replica in sync', () => {
    const bench = new Bench()
    bench.map(entryOf(1, 'me', 'a', 'b'))
    bench.wake()
    bench.stand('a', 1)
    bench.stand('b', 1)
    bench.answer('a')
    expect(bench.mayRun).toBe(false)
    bench.answer('b')
    expect(bench.mayRun).toBe(true)
  })

  it('ages from the sending of the beacon, and ends at 0.8 L before anything else of an input', () => {
    const bench = new Bench()
    bench.map(entryOf(1, 'me', 'a'))
    bench.wake()
    bench.stand('a', 1)
    bench.mono += 300
    bench.wall += 300
    bench.answer('a')
    bench.mono += 2_899
    bench.wall += 2_899
    expect(bench.mayRun).toBe(true)
    bench.mono += 1
    expect(bench.mayRun).toBe(false)
    expect(bench.holdings.append(P, 'k', change('x'), bench.now)).toBe('no-right')
    expect(bench.told).toEqual(['began', 'ended'])
  })

  it('lapses under sleep, when only the wall clock goes on', () => {
    const bench = owner('a')
    bench.wall += 3_200
    expect(bench.mayRun).toBe(false)
  })

  it('is not saved from a sleep by a wall clock that was set back before', () => {
    const bench = owner('a')
    bench.wall -= 60_000
    bench.pass(10)
    expect(bench.mayRun).toBe(true)
    bench.wall += 30_000
    expect(bench.mayRun).toBe(false)
  })

  it('begins again at the same epoch when beacons are answered again', () => {
    const bench = owner('a')
    bench.pass(4_000)
    expect(bench.mayRun).toBe(false)
    bench.answer('a')
    expect(bench.mayRun).toBe(true)
    expect(bench.told).toEqual(['began', 'ended', 'began'])
  })

  it('does not count an answer for what is refused in it, and ends at once at a higher epoch', () => {
    const bench = owner('a')
    bench.pass(1_000)
    bench.answer('a', false, [{ partition: P, epoch: 1 }])
    expect(bench.mayRun).toBe(false)
    bench.pass(1_000)
    bench.answer('a')
    expect(bench.mayRun).toBe(true)
    bench.pass(1_000)
    bench.answer('a', false, [{ partition: P, epoch: 2 }])
    expect(bench.told.slice(-2)).toEqual([`ask ${P}`, 'ended'])
    bench.pass(1_000)
    bench.answer('a')
    expect(bench.mayRun).toBe(false)
  })

  it('needs whoever is being added from the proposal on, however late that is decided', () => {
    const bench = owner('a')
    bench.targets = ['me', 'a', 'b']
    bench.holdings.onTargets(bench.now)
    bench.pass(1)
    const [copy] = bench.last('copy', 'b')
    bench.hear('b', {
      type: 'copied',
      items: [{ partition: P, epoch: 1, attempt: copy!.attempt, index: 0, result: 'whole' }],
    })
    expect(bench.proposed).toEqual([])
    bench.answer('b')
    expect(bench.proposed.at(-1)).toMatchObject({ add: 'b', epochs: [1] })
    expect(bench.mayRun).toBe(true)
    expect(bench.append('k', 'x')).toBe(1)
    bench.stored('a', 1, 1, 1)
    expect(bench.told).not.toContain('stored 1')
    bench.stored('b', 1, 1, 1)
    expect(bench.told).toContain('stored 1')
    for (let i = 0; i < 4; i++) {
      bench.pass(1_000)
      bench.answer('a')
    }
    expect(bench.mayRun).toBe(false)
    bench.decide(false, UNKNOWN)
    expect(bench.mayRun).toBe(false)
    bench.pass(600)
    expect(bench.proposed.at(-1)).toMatchObject({ add: 'b', epochs: [1] })
    bench.decide(false, 'no')
    bench.answer('a')
    expect(bench.mayRun).toBe(true)
  })

  it('takes one message less a second of two who need each other: a beacon goes along with an answer', () => {
    const bench = new Bench()
    bench.map(entryOf(1, 'me', 'a'))
    bench.wake()
    bench.stand('a', 1)
    bench.answer('a')
    const beacons = (): number => bench.count('beacon', 'a')
    const hear = (id: number): void => bench.hear('a', { type: 'beacon', id, heard: 0, sole: false })
    // Its own was just answered.
    hear(1)
    expect(beacons()).toBe(1)
    bench.live(600)
    hear(2)
    expect(bench.sent.slice(-2).map(({ message }) => message.type)).toEqual(['beaconed', 'beacon'])
    // Unanswered: it is said again in time, and not for every one that comes.
    hear(3)
    expect(beacons()).toBe(2)
    bench.answer('a')
    bench.live(1_100)
    expect(beacons()).toBe(2)
    hear(4)
    expect(beacons()).toBe(3)
    bench.answer('a')
    // The other one has stopped.
    bench.live(1_300)
    expect(beacons()).toBe(4)
    bench.answer('a')
    bench.live(1_050)
    expect(beacons()).toBe(5)
  })

  it('of a sole owner comes from the leader', () => {
    const bench = new Bench()
    bench.leader = 'chief'
    bench.map(entryOf(1, 'me'))
    bench.wake()
    bench.answer('chief', false)
    expect(bench.mayRun).toBe(false)
    bench.pass(1_000)
    bench.answer('chief', true)
    expect(bench.mayRun).toBe(true)
    bench.leader = 'other'
    bench.pass(1)
    expect(bench.mayRun).toBe(false)
    bench.leader = 'me'
    bench.leaderHasLease = true
    bench.holdings.onLiveness('me', bench.now)
    bench.pass(1)
    expect(bench.mayRun).toBe(true)
    bench.leaderHasLease = false
    bench.pass(1)
    expect(bench.told.at(-1)).toBe('ended')
    bench.leaderHasLease = true
    bench.live(500)
    expect(bench.mayRun).toBe(true)
  })

  it('is granted to a sole owner by a leader with a lease, and not once that has begun to end it', () => {
    const bench = new Bench()
    const beacon = (id: number) => {
      bench.hear('lone', { type: 'beacon', id, heard: id - 1, sole: true })
      return bench.sent.at(-1)!.message
    }
    bench.map(entryOf(1, 'lone'))
    expect(beacon(1)).toMatchObject({ sole: false })
    bench.leader = 'me'
    bench.leaderHasLease = true
    expect(beacon(2)).toMatchObject({ sole: true, refused: [] })
    expect(bench.holdings.endSole(P, 'lone', 1, bench.now)).toBe(false)
    bench.pass(4_400)
    expect(bench.holdings.endSole(P, 'lone', 1, bench.now)).toBe(true)
    expect(beacon(3)).toMatchObject({ refused: [{ partition: P, epoch: 1 }] })
    expect(beacon(4)).toMatchObject({ refused: [{ partition: P, epoch: 1 }] })
    bench.map({ epoch: 2, owner: 'me', inSync: ['me'], born: 2 })
    expect(beacon(5)).toMatchObject({ refused: [{ partition: P, epoch: 2 }] })
    expect(beacon(6)).toMatchObject({ refused: [] })
  })

  it('is refused to a former owner until it knows, also where it was taken for gone and is back', () => {
    const bench = new Bench()
    bench.map(entryOf(1, 'boss', 'me'))
    bench.map(entryOf(2, 'me'))
    bench.over.add('boss')
    bench.holdings.onLiveness('boss', bench.now)
    bench.over.delete('boss')
    bench.hear('boss', { type: 'beacon', id: 1, heard: 0, sole: false })
    const told = bench.sent.findLast(({ to }) => to === 'boss')?.message
    expect(told).toMatchObject({ type: 'beaconed', refused: [{ partition: P, epoch: 2 }] })
  })
})

describe('takeover', () => {
  it('waits 1.1 L from the last answer, on the monotonic clock alone', () => {
    const bench = replica()
    bench.gone.add('boss')
    bench.holdings.onLiveness('boss', bench.now)
    bench.wall += 100_000
    bench.live(4_399)
    expect(bench.holdings.canTakeOver(P, bench.now)).toBe(false)
    expect(bench.proposed).toEqual([])
    bench.live(2)
    expect(bench.proposed).toEqual([
      { kind: 'counter', slots: [7], epochs: [1], owner: 'me', remove: 'boss' },
    ])
  })

  it('of an owner that released, or is over, needs no wait', () => {
    const released = replica()
    released.hear('boss', { type: 'released', items: [{ partition: P, epoch: 1, inUse: true }] })
    expect(released.proposed).toHaveLength(1)
    const other = replica()
    other.hear('boss', { type: 'released', items: [{ partition: P, epoch: 2, inUse: true }] })
    expect(other.proposed).toHaveLength(0)
    other.hear('nobody', { type: 'released', items: [{ partition: P, epoch: 1, inUse: true }] })
    expect(other.proposed).toHaveLength(0)
    const over = replica()
    over.over.add('boss')
    over.gone.add('boss')
    over.holdings.onLiveness('boss', over.now)
    over.pass(0)
    expect(over.proposed, 'nobody needs it, as far as is known').toHaveLength(0)
    over.pass(500)
    expect(over.proposed).toHaveLength(1)
  })

  it('of what is in use, or sought, goes before the rest', () => {
    const idle = replica()
    idle.hear('boss', { type: 'released', items: [{ partition: P, epoch: 1, inUse: false }] })
    expect(idle.proposed).toHaveLength(0)
    idle.pass(500)
    expect(idle.proposed).toHaveLength(1)
    const sought = replica()
    sought.over.add('boss')
    sought.gone.add('boss')
    sought.holdings.onLiveness('boss', sought.now)
    sought.holdings.seek(P, sought.now)
    sought.pass(0)
    expect(sought.proposed).toHaveLength(1)
  })

  it('of what was in use has its leases before the first call', () => {
    const taken = (inUse: boolean) => {
      const bench = replica()
      bench.hear('boss', { type: 'released', items: [{ partition: P, epoch: 1, inUse }] })
      bench.map(entryOf(2, 'me', 'a'))
      return bench
    }
    const idle = taken(false)
    expect(idle.count('beacon')).toBe(0)
    const bench = taken(true)
    expect(bench.last('claim', 'a')).toHaveLength(1)
    expect(bench.count('beacon', 'a')).toBe(1)
    bench.answer('a')
    bench.stand('a', 2)
    expect(bench.mayRun).toBe(true)
    bench.live(5_000)
    bench.sent.length = 0
    bench.live(5_000)
    expect(bench.sent, 'nobody calls it').toEqual([])
  })

  it('does not wait for a repair of what is the same', () => {
    const claimed = (common: number) => {
      const bench = follower(['a'])
      bench.hear('boss', store(1, 'first'))
      bench.map(entryOf(2, 'me', 'a'))
      bench.wake()
      bench.answer('a')
      const keys = common === 1 ? [] : [{ key: 'k', epoch: 1, number: 1 }]
      const item = { partition: P, epoch: 2, number: 1, common, since: common, keys }
      bench.hear('a', { type: 'standing', items: [item] })
      expect(bench.last('repair', 'a')).toMatchObject([{ tenure: 2, from: 1, number: 1 }])
      return bench
    }
    const same = claimed(1)
    expect(same.mayRun).toBe(true)
    same.append('k', 'next')
    expect(same.last('store', 'a')).toMatchObject([{ tenure: 2, number: 2 }])
    expect(same.told, 'the change that was there is acked').toContain('stored 1')
    expect(same.told).not.toContain('stored 2')
    same.stored('a', 2, 2, 2)
    expect(same.told).toContain('stored 2')
    const different = claimed(0)
    expect(different.mayRun).toBe(false)
    different.stored('a', 2, 2, 1)
    expect(different.mayRun).toBe(true)
  })

  it('refuses the owner what is sought until that is decided', () => {
    const bench = replica()
    bench.gone.add('boss')
    bench.holdings.onLiveness('boss', bench.now)
    bench.live(4_500)
    const refused = (id: number) => {
      bench.hear('boss', { type: 'beacon', id, heard: 0, sole: false })
      const { message } = bench.sent.at(-1)!
      return message.type === 'beaconed' ? message.refused : undefined
    }
    expect(refused(2)).toEqual([{ partition: P, epoch: 1 }])
    bench.decide(false, UNKNOWN)
    expect(refused(3)).toEqual([{ partition: P, epoch: 1 }])
    bench.gone.delete('boss')
    bench.live(1_000)
    bench.decide(false, 'no')
    expect(refused(4)).toEqual([])
  })

  it('refuses the former owner until it has heard, and answers no older beacon', () => {
    const bench = replica()
    bench.map(entryOf(2, 'me'))
    const refused = (id: number, heard: number) => {
      const before = bench.sent.length
      bench.hear('boss', { type: 'beacon', id, heard, sole: false })
      const message = bench.sent[before]?.message
      return message?.type === 'beaconed' ? message.refused.length : 'no answer'
    }
    expect(refused(5, 1)).toBe(1)
    expect(refused(4, 1)).toBe('no answer')
    expect(refused(6, 1)).toBe(1)
    expect(refused(7, 5)).toBe(0)
  })

  it('repairs a replica that is ahead of the new owner', () => {
    const bench = new Bench()
    bench.map(entryOf(1, 'me', 'a'))
    bench.wake()
    bench.hear('a', {
      type: 'standing',
      items: [
        { partition: P, epoch: 1, number: 3, common: 1, since: 1, keys: [{ key: 'k', epoch: 1, number: 3 }] },
      ],
    })
    expect(bench.last('repair', 'a')).toEqual([
      {
        partition: P,
        epoch: 1,
        tenure: 1,
        from: 3,
        number: 0,
        acked: 0,
        forgotten: 0,
        tenures: FIRST,
        entries: [{ key: 'k', epoch: 0, number: 0, contents: undefined }],
      },
    ])
    bench.answer('a')
    expect(bench.mayRun).toBe(false)
    bench.stored('a', 1, 0, 3)
    expect(bench.mayRun).toBe(false)
    bench.stored('a', 1, 1, 0)
    expect(bench.mayRun).toBe(true)
  })

  it('rolls back, as a replica, what the new owner does not have', () => {
    const bench = follower(['next'])
    bench.hear('boss', store(1, 'one'))
    bench.hear('boss', store(2, 'two', { acked: 1, key: 'other' }))
    bench.map(entryOf(2, 'next', 'me'))
    const tenures = [...FIRST, { group: GROUP, epoch: 2, number: 1 }]
    bench.hear('next', { type: 'claim', items: [{ partition: P, epoch: 2, forgotten: 0, tenures }] })
    expect(bench.last('standing', 'next')).toEqual([
      {
        partition: P,
        epoch: 2,
        number: 2,
        common: 1,
        since: 1,
        keys: [{ key: 'other', epoch: 1, number: 2 }],
      },
    ])
    bench.hear('next', {
      type: 'repair',
      items: [
        {
          partition: P,
          epoch: 2,
          tenure: 2,
          from: 2,
          number: 1,
          acked: 1,
          forgotten: 0,
          tenures,
          entries: [{ key: 'other', epoch: 0, number: 0, contents: undefined }],
        },
      ],
    })
    const copy = bench.holdings.copyOf(P)!
    expect([copy.number, copy.acked, [...copy.keys()]]).toEqual([1, 1, ['k']])
    expect(bench.last('stored', 'next')).toEqual([
      { partition: P, epoch: 2, tenure: 2, number: 1, wants: false },
    ])
  })

  it('takes for different what two councils have given the same epoch and number', () => {
    const bench = new Bench()
    bench.map(entryOf(1, 'me', 'a'))
    bench.wake()
    bench.stand('a', 1)
    bench.answer('a')
    for (const key of ['x', 'y', 'z']) bench.append(key, 'v')
    for (const number of [1, 2, 3]) bench.stored('a', 1, 1, number)
    bench.map(entryOf(3, 'me', 'a'))
    const keys = ['x', 'y', 'z'].map((key, i) => ({ key, epoch: 1, number: i + 1 }))
    bench.hear('a', {
      type: 'standing',
      items: [{ partition: P, epoch: 3, number: 3, common: 2, since: 0, keys }],
    })
    expect(bench.last('repair', 'a')[0]!.entries.map(({ key }) => key)).toEqual(['z'])
  })

  it('brings a replica that is behind up to date with the keys that it lacks', () => {
    const bench = owner('a')
    bench.append('x', '1')
    bench.append('y', '2')
    bench.append('x', '3')
    bench.stored('a', 1, 1, 1, true)
    const [repair] = bench.last('repair', 'a')
    expect(repair).toMatchObject({ from: 1, number: 3 })
    expect(repair!.entries.map(({ key }) => key).sort()).toEqual(['x', 'y'])
  })

  it('is done again where an epoch was skipped, since another may have owned', () => {
    const bench = owner('a')
    bench.map(entryOf(2, 'me', 'a'))
    expect(bench.mayRun).toBe(true)
    bench.map(entryOf(4, 'me', 'a'))
    expect(bench.mayRun).toBe(false)
    const tenures = [...FIRST, { group: GROUP, epoch: 4, number: 0 }]
    expect(bench.last('claim', 'a')).toEqual([{ partition: P, epoch: 4, forgotten: 0, tenures }])
  })

  it('takes nothing from whoever the map does not name', () => {
    const bench = follower()
    bench.hear('thief', store(1, 'x'))
    expect(bench.holdings.copyOf(P)!.number).toBe(0)
    bench.map(entryOf(2, 'me'))
    bench.hear('boss', store(1, 'x'))
    expect(bench.last('stale', 'boss')).toEqual([{ partition: P, epoch: 2 }])
  })

  it('asks for what came before the map told of its epoch', () => {
    const bench = follower()
    bench.hear('boss', store(1, 'x', { epoch: 2 }))
    expect(bench.told).toEqual([`ask ${P}`])
    bench.map(entryOf(2, 'boss', 'me'))
    expect(bench.last('stored', 'boss')).toEqual([
      { partition: P, epoch: 2, tenure: 1, number: 0, wants: true },
    ])
  })
})

describe('replicas', () => {
  it('are let go when they leave a change unanswered for a second, and then count no more', () => {
    const bench = owner('a', 'b')
    bench.append('k', 'x')
    bench.stored('a', 1, 1, 1)
    bench.live(990)
    expect(bench.proposed).toEqual([])
    bench.live(20)
    expect(bench.proposed).toEqual([{ kind: 'counter', slots: [7], epochs: [1], remove: 'b' }])
    expect(bench.told).not.toContain('stored 1')
    bench.map(entryOf(2, 'me', 'a'))
    expect(bench.told).toContain('stored 1')
  })

  it('are given the time that a large change takes on a slow way, while they answer beacons', () => {
    const bench = owner('a', 'b')
    const live = (ms: number) => {
      for (let left = ms; left > 0; left -= 200) {
        bench.live(Math.min(200, left))
        for (const process of ['a', 'b']) bench.answer(process)
      }
    }
    bench.append('k', 'x'.repeat(128 * 1024))
    bench.stored('a', 1, 1, 1)
    live(2_900)
    expect(bench.proposed).toEqual([])
    live(200)
    expect(bench.proposed).toMatchObject([{ remove: 'b' }])
    const mute = owner('a', 'b')
    mute.append('k', 'x'.repeat(1024 * 1024))
    mute.live(3_500)
    expect(mute.proposed, 'who answers no beacon is not').toMatchObject([{ remove: 'a' }])
  })

  it('are not accused by an owner that woke late itself', () => {
    const bench = owner('a')
    bench.append('k', 'x')
    bench.pass(30_000)
    expect(bench.proposed).toEqual([])
    bench.stored('a', 1, 1, 1)
    bench.live(1_000)
    expect(bench.proposed).toEqual([])
  })

  it('that were removed and come back are copied anew', () => {
    const bench = owner('a')
    bench.append('k', 'x')
    bench.gone.add('a')
    bench.holdings.onLiveness('a', bench.now)
    bench.pass(0)
    bench.map(entryOf(2, 'me'))
    bench.append('k', 'y')
    bench.gone.delete('a')
    bench.holdings.onLiveness('a', bench.now)
    bench.pass(0)
    expect(bench.last('copy', 'a')).toMatchObject([{ index: 0, entries: [{ key: 'k' }] }])
    bench.stored('a', 2, 1, 1)
    expect(bench.proposed).toHaveLength(1)
  })

  it('that are lost are made up for half a second later, and at once where the owner is alone', () => {
    const bench = owner('a', 'b')
    bench.append('k', 'x')
    bench.targets = ['me', 'a', 'c']
    bench.map(entryOf(2, 'me', 'a'))
    bench.holdings.onTargets(bench.now)
    bench.live(490)
    expect(bench.last('copy', 'c')).toEqual([])
    bench.live(20)
    expect(bench.last('copy', 'c')).toMatchObject([{ index: 0 }])

    const alone = owner('a')
    alone.append('k', 'x')
    alone.targets = ['me', 'c']
    alone.map(entryOf(2, 'me'))
    alone.holdings.onTargets(alone.now)
    alone.pass(0)
    expect(alone.last('copy', 'c')).toMatchObject([{ index: 0 }])
  })

  it('take no copy while they are in sync', () => {
    const bench = follower()
    bench.hear('boss', store(1, 'x'))
    bench.hear('boss', {
      type: 'copy',
      items: [
        {
          partition: P,
          epoch: 1,
          attempt: 1,
          index: 0,
          entries: [],
          end: { tenure: 1, number: 0, acked: 0, tenures: [] },
          handed: false,
        },
      ],
    })
    expect(bench.holdings.copyOf(P)!.number).toBe(1)
  })

  it('that are no targets go once all targets are in sync', () => {
    const bench = owner('a', 'b')
    bench.targets = ['me', 'a']
    bench.holdings.onTargets(bench.now)
    bench.pass(0)
    expect(bench.proposed).toMatchObject([{ remove: 'b' }])
  })

  it('keep a copy that an owner may count on, and give back one that nobody does', () => {
    const bench = follower()
    bench.hear('boss', store(1, 'x'))
    bench.map(entryOf(2, 'boss'))
    bench.live(59_000)
    expect(bench.holdings.copyOf(P)).toBeDefined()
    bench.live(2_000)
    expect(bench.holdings.copyOf(P)).toBeUndefined()
    expect(bench.holdings.bytes).toBe(0)

    const learner = new Bench()
    learner.map(entryOf(1, 'boss'))
    const end = { tenure: 1, number: 0, acked: 0, tenures: [] }
    const copy = { partition: P, epoch: 1, attempt: 1, index: 0, entries: [], end, handed: false }
    learner.hear('boss', { type: 'copy', items: [copy] })
    learner.live(200_000)
    expect(learner.holdings.copyOf(P)).toBeDefined()
    expect(learner.count('stored', 'boss')).toBe(3)
    learner.hear('boss', { type: 'drop', items: [{ partition: P, epoch: 1 }] })
    expect(learner.holdings.copyOf(P)).toBeUndefined()
  })

  it('start empty where the partition was born anew', () => {
    const bench = follower()
    bench.hear('boss', store(1, 'x'))
    bench.map({ epoch: 5, owner: 'boss', inSync: ['boss', 'me'], born: 4 })
    expect(bench.holdings.copyOf(P)!.isEmpty).toBe(true)
  })
})

describe('what got lost', () => {
  it('is missed by a replica, which applies nothing after a gap', () => {
    const bench = follower()
    bench.hear('boss', store(2, 'x'))
    expect(bench.holdings.copyOf(P)!.number).toBe(0)
    expect(bench.last('stored', 'boss')).toEqual([
      { partition: P, epoch: 1, tenure: 1, number: 0, wants: true },
    ])
  })

  it('is repaired only from where the replica is: a repair that comes twice changes nothing', () => {
    const bench = follower()
    bench.hear('boss', store(1, 'x'))
    const repair = {
      partition: P,
      epoch: 1,
      tenure: 1,
      from: 0,
      number: 0,
      acked: 0,
      forgotten: 0,
      tenures: [],
      entries: [],
    }
    bench.hear('boss', { type: 'repair', items: [repair] })
    expect(bench.holdings.copyOf(P)!.number).toBe(1)
  })

  it('is asked for by the owner', () => {
    const bench = owner('a')
    bench.append('k', 'x')
    expect(bench.count('where', 'a')).toBe(0)
    bench.live(450)
    expect(bench.last('where', 'a')).toEqual([{ partition: P, epoch: 1 }])
  })

  it('includes keys that were deleted', () => {
    const bench = owner('a', 'b')
    bench.append('k', 'x')
    bench.stored('a', 1, 1, 1)
    bench.stored('b', 1, 1, 1)
    bench.append('k', undefined)
    bench.stored('b', 1, 1, 2)
    bench.stored('a', 1, 1, 1, true)
    expect(bench.last('repair', 'a')[0]!.entries).toMatchObject([
      { key: 'k', number: 2, contents: undefined },
    ])
    bench.stored('a', 1, 1, 2)
    expect(bench.holdings.bytes).toBe(0)
  })

  it('by a replica of the former owner includes what the new one alone has', () => {
    const bench = owner('a')
    bench.append('k', 'x')
    bench.map(entryOf(3, 'me', 'a'))
    bench.hear('a', {
      type: 'standing',
      items: [{ partition: P, epoch: 3, number: 0, common: 0, since: 0, keys: [] }],
    })
    expect(bench.last('repair', 'a')).toMatchObject([{ from: 0, number: 1, entries: [{ key: 'k' }] }])
    bench.stored('a', 3, 3, 1)
    expect(bench.told).toContain('stored 1')
  })
})

describe('a learner', () => {
  /** `b` has taken the whole copy, from before the change 1. */
  const learning = (isGranting = true): Bench => {
    const bench = owner('a')
    bench.targets = ['me', 'a', 'b']
    bench.holdings.onTargets(bench.now)
    bench.pass(1)
    const [copy] = bench.last('copy', 'b')
    bench.append('k', 'x')
    bench.stored('a', 1, 1, 1)
    const copied = { partition: P, epoch: 1, attempt: copy!.attempt, index: 0, result: 'whole' } as const
    bench.hear('b', { type: 'copied', items: [copied] })
    if (isGranting) bench.answer('b')
    return bench
  }

  it('is brought up to date before it is added', () => {
    const bench = learning()
    expect(bench.told).toContain('stored 1')
    expect(bench.last('repair', 'b')).toMatchObject([{ from: 0, number: 1 }])
    expect(bench.proposed).toEqual([])
    bench.stored('b', 1, 1, 1)
    expect(bench.proposed).toMatchObject([{ add: 'b' }])
  })

  it('must say at the present epoch that it keeps its copy', () => {
    const bench = learning(false)
    bench.stored('b', 1, 1, 1)
    bench.map(entryOf(2, 'me', 'a'))
    bench.answer('b')
    expect(bench.last('where', 'b')).toEqual([{ partition: P, epoch: 2 }])
    expect(bench.proposed).toEqual([])
    bench.stored('b', 2, 1, 1)
    expect(bench.proposed).toMatchObject([{ add: 'b', epochs: [2] }])
  })

  it('that has lost its copy gets another', () => {
    const bench = learning()
    const before = bench.count('copy', 'b')
    bench.stored('b', 1, 0, 0, true)
    expect(bench.proposed).toEqual([])
    expect(bench.count('copy', 'b')).toBe(before + 1)
  })
})

describe('leaving', () => {
  it('moves: handlers end, everything is stored, then the council is asked', () => {
    const bench = owner('a')
    bench.append('k', 'x')
    expect(bench.holdings.moveTo(P, 'stranger', bench.now)).toBe(false)
    expect(bench.holdings.moveTo(P, 'a', bench.now)).toBe(true)
    expect(bench.told.at(-1)).toBe('ended')
    bench.holdings.settle(bench.now)
    expect(bench.proposed).toEqual([])
    bench.stored('a', 1, 1, 1)
    expect(bench.proposed).toEqual([{ kind: 'counter', slots: [7], epochs: [1], owner: 'a' }])
    bench.decide(false, 'no')
    expect(bench.mayRun).toBe(true)
    bench.holdings.moveTo(P, 'a', bench.now)
    bench.live(600)
    bench.map({ epoch: 2, owner: 'a', inSync: ['me', 'a'], born: 1 })
    expect(bench.told.slice(-2)).toEqual(['ended', 'deposed'])
  })

  it('releases to replicas and hands on what it alone holds', () => {
    const bench = owner('a')
    bench.holdings.release(bench.now)
    bench.holdings.settle(bench.now)
    expect(bench.told.at(-1)).toBe('ended')
    expect(bench.last('released', 'a')).toEqual([{ partition: P, epoch: 1, inUse: true }])
    bench.map(entryOf(2, 'me', 'a'))
    expect(bench.last('released', 'a')).toEqual([{ partition: P, epoch: 2, inUse: true }])
    bench.answer('a')
    expect(bench.mayRun).toBe(false)

    const heir = new Bench('heir')
    heir.map(entryOf(1, 'boss'))
    const end = { tenure: 1, number: 0, acked: 0, tenures: [] }
    const copy = { partition: P, epoch: 1, attempt: 1, index: 0, entries: [], end, handed: true }
    heir.hear('boss', { type: 'copy', items: [copy] })
    expect(heir.proposed).toMatchObject([{ add: 'heir', owner: 'heir', remove: 'boss', epochs: [1] }])
  })

  it.each([
    ['nothing', undefined],
    ['an earlier epoch', 'boss'],
    ['an earlier owner', 'former'],
  ])('waits for the map where it has told %s before', (_, earlier) => {
    const heir = new Bench('heir')
    const content = { key: 'k', epoch: 1, number: 1, contents: { state: bytes('v'), callers: new Map() } }
    const end = { tenure: 1, number: 1, acked: 1, tenures: [] }
    const at = { partition: P, epoch: 2, attempt: 1, handed: true }
    const first = { ...at, index: 0, entries: [content] }
    const last = { ...at, index: 1, entries: [], end }
    // Nothing is known of the partition, and later only who owned it before.
    heir.hear('boss', { type: 'copy', items: [first, last] })
    if (earlier) heir.map(entryOf(1, earlier, 'me'))
    // It has its own room, and does not give way to what somebody else comes with.
    const stolen = {
      ...first,
      entries: [{ ...content, contents: { ...content.contents, state: bytes('w') } }],
    }
    heir.hear('thief', { type: 'copy', items: [stolen, last] })
    expect(heir.holdings.bytes).toBe(0)
    heir.live(2_000)
    expect(heir.told.filter((what) => what === `ask ${P}`).length).toBeGreaterThan(2)
    expect(heir.proposed).toEqual([])
    heir.map(entryOf(2, 'boss'))
    expect(heir.proposed).toMatchObject([{ add: 'heir', owner: 'heir', remove: 'boss', epochs: [2] }])
    expect(heir.holdings.copyOf(P)!.contentsOf('k')?.state).toEqual(bytes('v'))
    expect(heir.last('copied', 'boss').map(({ result }) => result)).toEqual(['part', 'whole'])
  })

  it('does not wait for a map that tells something else, nor for ever', () => {
    for (const isLate of [false, true]) {
      const heir = new Bench('heir')
      heir.map(entryOf(1, 'boss', 'me'))
      const content = { key: 'k', epoch: 1, number: 1, contents: { state: bytes('v'), callers: new Map() } }
      const item = { partition: P, epoch: 2, attempt: 1, index: 0, entries: [content], handed: true }
      heir.hear('boss', { type: 'copy', items: [item] })
      if (isLate) heir.live(11_000)
      else heir.map(entryOf(3, 'boss', 'me'))
      heir.told.length = 0
      heir.live(60_000)
      expect(heir.told).toEqual([])
      heir.map(entryOf(isLate ? 2 : 4, 'boss'))
      expect(heir.holdings.copyOf(P)).toBeUndefined()
    }
  })

  it('is nothing to who is in sync, and hinders nobody who comes to be', () => {
    const content = { key: 'k', epoch: 1, number: 1, contents: { state: bytes('v'), callers: new Map() } }
    const item = { partition: P, epoch: 2 ** 40, attempt: 1, index: 0, entries: [content], handed: true }
    const inSync = follower()
    inSync.hear('boss', { type: 'copy', items: [item] })
    inSync.gone.add('boss')
    inSync.holdings.onLiveness('boss', inSync.now)
    inSync.live(6_000)
    expect(inSync.proposed).toMatchObject([{ owner: 'me', remove: 'boss' }])
    // Kept, and never told of by the map.
    const later = new Bench()
    later.map(entryOf(1, 'boss', 'a'))
    later.hear('boss', { type: 'copy', items: [item] })
    later.map(entryOf(2, 'me'))
    later.wake()
    later.live(61_000)
    expect(later.holdings.copyOf(P)!.isEmpty).toBe(true)
  })

  describe('whatever others send:', () => {
    const content = { key: 'k', epoch: 1, number: 1, contents: { state: bytes('v'), callers: new Map() } }
    const end = { tenure: 1, number: 1, acked: 1, tenures: [] }
    const handed = { partition: P, epoch: 2, attempt: 1, index: 0, entries: [content], end, handed: true }
    const forged = { ...handed, epoch: 2 ** 40 }
    const expectTaken = (heir: Bench): void => {
      heir.map(entryOf(2, 'boss'))
      expect(heir.holdings.copyOf(P)?.contentsOf('k')?.state).toEqual(bytes('v'))
    }

    it('a copy of the same partition', () => {
      const heir = new Bench()
      heir.hear('evil', { type: 'copy', items: [forged] })
      heir.hear('boss', { type: 'copy', items: [handed] })
      heir.hear('evil', { type: 'copy', items: [forged] })
      expectTaken(heir)
    })

    it('so much that there is no room', () => {
      const heir = new Bench('me', { stateBytes: 10_000 })
      const contents = { state: new Uint8Array(9_700), callers: new Map() }
      const large = { ...forged, partition: 'counter#9', entries: [{ ...content, contents }] }
      heir.hear('evil', { type: 'copy', items: [large] })
      heir.hear('boss', { type: 'copy', items: [handed] })
      heir.hear('evil', { type: 'copy', items: [large] })
      expectTaken(heir)
    })

    it('what makes all be forgotten that the map has not told of', () => {
      const heir = new Bench()
      heir.hear('boss', { type: 'copy', items: [handed] })
      const items = Array.from({ length: 20_000 }, (_, i) => ({
        partition: `k${i >> 8}#${i & 255}`,
        epoch: 1,
      }))
      heir.hear('evil', { type: 'where', items })
      expectTaken(heir)
    })

    it('parts without an end', () => {
      const heir = new Bench('me', { stateBytes: 10_000 })
      const tenures = Array.from({ length: 32 }, (_, epoch) => ({ group: GROUP, epoch, number: 0 }))
      const part = { ...handed, entries: [], end: { ...end, tenures } }
      for (let index = 0; index < 10; index++)
        heir.hear('boss', { type: 'copy', items: [{ ...part, index }] })
      heir.map(entryOf(2, 'boss'))
      expect(heir.count('copied', 'boss'), 'nothing comes after an end').toBe(1)
    })
  })

  it('hands on what it holds with one that is gone, though the map does not say so yet', () => {
    const bench = owner('a')
    bench.append('k', 'v')
    bench.stored('a', 1, 1, 1)
    bench.gone.add('a')
    bench.over.add('a')
    bench.targets = ['me', 'heir']
    bench.hosts = ['me', 'heir']
    bench.holdings.release(bench.now)
    bench.holdings.settle(bench.now)
    expect(bench.last('copy', 'heir')).toMatchObject([{ handed: true, epoch: 1, end: { number: 1 } }])

    for (const isDropped of [false, true]) {
      const heir = new Bench('heir')
      heir.map(entryOf(1, 'boss', 'a'))
      const end = { tenure: 1, number: 0, acked: 0, tenures: [] }
      const copy = { partition: P, epoch: 1, attempt: 1, index: 0, entries: [], end, handed: true }
      heir.hear('boss', { type: 'copy', items: [copy] })
      heir.decide(false, 'no')
      // The one that is gone is let go meanwhile, or somebody else has come.
      heir.map(isDropped ? entryOf(2, 'boss') : entryOf(2, 'boss', 'b'))
      heir.live(1_000)
      expect(heir.proposed.map(({ epochs }) => epochs[0])).toEqual(isDropped ? [1, 2] : [1])
    }
  })

  it('waits with others for no more room than copies have', () => {
    const heir = new Bench('heir', { stateBytes: 3_000 })
    const contents = { state: bytes('x'.repeat(2_000)), callers: new Map() }
    const end = { tenure: 1, number: 1, acked: 1, tenures: [] }
    const handed = (slot: number) => ({
      partition: `counter#${slot}`,
      epoch: 2,
      attempt: 1,
      index: 0,
      entries: [{ key: 'k', epoch: 1, number: 1, contents }],
      end,
      handed: true,
    })
    heir.hear('boss', { type: 'copy', items: [handed(1), handed(2)] })
    for (const slot of [2, 1]) heir.map(entryOf(2, 'boss'), `counter#${slot}`)
    expect([1, 2].map((slot) => heir.holdings.copyOf(`counter#${slot}`)?.number)).toEqual([1, undefined])
    // What has gone from there makes room.
    heir.hear('boss', { type: 'copy', items: [handed(3)] })
    heir.map(entryOf(2, 'boss'), 'counter#3')
    expect(heir.last('copied', 'boss')).toMatchObject([{ partition: 'counter#3', result: 'full' }])
  })

  it('hands it to one that can run it, and is linked if there is one', () => {
    const heirOf = (setUp: (bench: Bench) => void): string | undefined => {
      const bench = new Bench()
      bench.map(entryOf(1, 'me'))
      bench.targets = ['me', 'keeper', 'far', 'near']
      bench.hosts = ['me', 'far', 'near', 'other']
      bench.distant.add('far')
      setUp(bench)
      bench.holdings.release(bench.now)
      bench.holdings.settle(bench.now)
      return bench.sent.find(({ message }) => message.type === 'copy')?.to
    }
    expect(heirOf(() => undefined)).toBe('near')
    expect(heirOf((bench) => bench.gone.add('near'))).toBe('other')
    expect(heirOf((bench) => ['near', 'other'].forEach((one) => bench.gone.add(one)))).toBe('far')
    expect(heirOf((bench) => (bench.hosts = []))).toBe('keeper')
  })

  it('and staying after all needs a new epoch', () => {
    const bench = owner('a')
    bench.holdings.release(bench.now)
    bench.holdings.settle(bench.now)
    bench.holdings.resume(bench.now)
    bench.holdings.settle(bench.now)
    expect(bench.proposed).toMatchObject([{ owner: 'me', epochs: [1] }])
    expect(bench.mayRun).toBe(false)
    bench.map(entryOf(2, 'me', 'a'))
    bench.stand('a', 2)
    bench.pass(1)
    bench.answer('a')
    expect(bench.mayRun).toBe(true)
  })
})

describe('a hostile member', () => {
  /** 16,640 partitions of 65 kinds that nobody has. */
  const madeUp = Array.from({ length: 65 * 256 }, (_, i) => ({
    partition: partitionId(`made-up-${i >> 8}`, i % 256),
    epoch: 1,
  }))

  it('that makes up partitions keeps none of the map out', () => {
    const bench = new Bench()
    bench.hear('evil', { type: 'where', items: madeUp })
    bench.map(entryOf(1, 'me'))
    expect(bench.holdings.entryOf(P)).toEqual(entryOf(1, 'me'))
  })

  it('that makes up partitions keeps nobody from being told of real ones before the map tells', () => {
    const bench = new Bench()
    bench.hear('evil', { type: 'where', items: madeUp })
    bench.hear('boss', { type: 'claim', items: [{ partition: P, epoch: 1, forgotten: 0, tenures: FIRST }] })
    expect(bench.told).toContain(`ask ${P}`)
    bench.map(entryOf(1, 'boss', 'me'))
    expect(bench.last('standing', 'boss')).toMatchObject([{ partition: P, number: 0 }])
  })

  it('that says one thing many times in a message is answered once', () => {
    const at = { partition: P, epoch: 1 }
    const bench = owner('a', 'b')
    bench.append('k', 'v')
    const wants = { ...at, tenure: 1, number: 0, wants: true }
    const repairs = bench.count('repair', 'a')
    bench.hear('a', { type: 'stored', items: Array.from({ length: 300 }, () => wants) })
    expect(bench.count('repair', 'a') - repairs).toBe(1)
    expect(bench.last('repair', 'a')).toMatchObject([{ from: 0, number: 1 }])

    const claiming = new Bench()
    claiming.map(entryOf(1, 'me', 'a'))
    const standing = { ...at, number: 0, common: 0, since: 0, keys: [] }
    claiming.hear('a', { type: 'standing', items: Array.from({ length: 300 }, () => standing) })
    expect(claiming.last('repair', 'a')).toHaveLength(1)

    const claimed = follower()
    const claim = { ...at, forgotten: 0, tenures: FIRST }
    const standings = claimed.count('standing')
    claimed.hear('boss', { type: 'claim', items: Array.from({ length: 300 }, () => claim) })
    expect(claimed.count('standing') - standings).toBe(1)
    expect(claimed.last('standing', 'boss')).toHaveLength(1)
  })

  describe('that owns a partition', () => {
    const contents = { state: bytes('x'), callers: new Map() }
    const repair = (from: number, number: number, stamp = number): HoldingMessage => {
      const at = { partition: P, epoch: 1, tenure: 1, acked: 0, forgotten: 0, tenures: FIRST }
      const entries = [{ key: 'k', epoch: 1, number: stamp, contents }]
      return { type: 'repair', items: [{ ...at, from, number, entries }] }
    }
    const copyOf = (number: number, stamp = number): HoldingMessage => {
      const end = { tenure: 1, number, acked: 0, tenures: FIRST }
      const entries = [{ key: 'k', epoch: 1, number: stamp, contents }]
      const item = { partition: P, epoch: 1, attempt: 1, index: 0, entries, end, handed: false }
      return { type: 'copy', items: [item] }
    }
    const ahead = 2 ** 24

    it.each<[string, readonly HoldingMessage[], number]>([
      ['no number from which it could not go on', [repair(0, 2 ** 48)], 0],
      ['one that leaves as many as it takes, where it holds nothing', [repair(0, 2 ** 47)], 2 ** 47],
      ['none far beyond what it holds', [repair(0, 3), repair(3, 4 + ahead)], 3],
      ['one that may be', [repair(0, 3), repair(3, 3 + ahead)], 3 + ahead],
      ['no key from beyond that', [repair(0, 3, 4)], 0],
    ])('takes a replica to %s', (_, messages, number) => {
      const bench = follower()
      for (const message of messages) bench.hear('boss', message)
      expect(bench.holdings.copyOf(P)!.number).toBe(number)
    })

    it('has no learner take such a number', () => {
      for (const message of [copyOf(2 ** 48), copyOf(3, 4)]) {
        const bench = new Bench()
        bench.map(entryOf(1, 'boss'))
        bench.hear('boss', message)
        expect(bench.last('copied', 'boss')).toMatchObject([{ result: 'full' }])
        expect(bench.holdings.copyOf(P)).toBeUndefined()
      }
    })

    it('leaves numbers to the next one, which appends what all can read', () => {
      const bench = follower()
      bench.hear('boss', repair(0, 2 ** 48))
      bench.hear('boss', repair(0, 2 ** 47))
      bench.targets = ['me', 'c']
      bench.map(entryOf(2, 'me', 'c'))
      bench.wake()
      bench.stand('c', 2, 0)
      bench.answer('c')
      expect(bench.append('k', 'x')).toBe(2 ** 47 + 1)
      const { message } = bench.sent.findLast((one) => one.message.type === 'store')!
      expect(decodeHoldingMessage(encodeHoldingMessage(message)).ok).toBe(true)
    })
  })

  it('that makes up partitions has so many remembered, the newest', () => {
    const bench = new Bench()
    bench.hear('evil', { type: 'where', items: madeUp })
    const asked = (): number => bench.told.filter((told) => told.startsWith('ask')).length
    const before = asked()
    // What is remembered is not asked for again so soon.
    bench.hear('evil', { type: 'where', items: madeUp.slice(256) })
    expect(asked()).toBe(before)
    bench.hear('evil', { type: 'where', items: madeUp.slice(0, 256) })
    expect(asked()).toBe(before + 256)
  })
})

describe('a replica without room', () => {
  const content = (text: string, key = 'k') => {
    const contents = { state: bytes(text), callers: new Map() }
    return { key, epoch: 1, number: 1, contents }
  }
  const repair = (...entries: ReturnType<typeof content>[]): HoldingMessage => {
    const at = { partition: P, epoch: 1, tenure: 1 }
    return {
      type: 'repair',
      items: [{ ...at, from: 0, number: 1, acked: 0, forgotten: 0, tenures: [], entries }],
    }
  }

  it('takes of its owner twice what an owner may have, and no more', () => {
    const bench = follower([], { stateBytes: 1_000 })
    bench.hear('boss', store(1, 'x'.repeat(1_800)))
    expect(bench.last('stored', 'boss')).toMatchObject([{ number: 1 }])
    bench.hear('boss', store(2, 'y'.repeat(200), { key: 'k2' }))
    expect(bench.holdings.copyOf(P)!.number).toBe(1)
    expect(bench.holdings.bytes).toBeLessThan(2_000)
    bench.hear('boss', store(2, 'y'))
    expect(bench.holdings.copyOf(P)!.number).toBe(2)
  })

  it('counts whom a change names as settled', () => {
    const bench = follower([], { stateBytes: 10_000 })
    const drops = Array.from({ length: 1_000 }, (_, i) => ({ caller: `c${i}`.padEnd(16, 'a'), first: 2 }))
    const at = { partition: P, epoch: 1, tenure: 1, number: 1, acked: 0 }
    bench.hear('boss', { type: 'store', items: [{ ...at, key: 'k', change: { records: [], drops } }] })
    expect(bench.holdings.bytes).toBe(0)
  })

  it('is silent, so that its owner goes on without it', () => {
    const bench = follower([], { stateBytes: 1_000 })
    const before = bench.sent.length
    bench.hear('boss', store(1, 'x'.repeat(3_000)))
    bench.hear('boss', { type: 'where', items: [{ partition: P, epoch: 1 }] })
    bench.hear('boss', { type: 'claim', items: [{ partition: P, epoch: 1, forgotten: 0, tenures: FIRST }] })
    expect(bench.sent).toHaveLength(before)
    bench.map(entryOf(2, 'boss'))
    bench.hear('boss', { type: 'where', items: [{ partition: P, epoch: 2 }] })
    expect(bench.last('stored', 'boss')).toMatchObject([{ epoch: 2, number: 0, wants: true }])
  })

  it('says how far it is once there is room', () => {
    const bench = follower([], { stateBytes: 1_000 })
    bench.map(entryOf(1, 'other', 'me'), 'counter#8')
    const at = {
      partition: 'counter#8',
      epoch: 1,
      tenure: 1,
      from: 0,
      number: 1,
      acked: 0,
      forgotten: 0,
      tenures: [],
    }
    bench.hear('other', { type: 'repair', items: [{ ...at, entries: [content('x'.repeat(1_500))] }] })
    bench.hear('boss', store(1, 'x'.repeat(500)))
    const where = { type: 'where', items: [{ partition: P, epoch: 1 }] } as const
    bench.hear('boss', where)
    expect(bench.last('stored', 'boss')).toMatchObject([{ number: 0, wants: false }])
    bench.map(entryOf(2, 'other'), 'counter#8')
    bench.hear('other', { type: 'drop', items: [{ partition: 'counter#8', epoch: 2 }] })
    bench.hear('boss', where)
    expect(bench.last('stored', 'boss')).toMatchObject([{ number: 0, wants: true }])
  })

  it('takes no repair that is too much, whatever it takes away', () => {
    const bench = follower([], { stateBytes: 1_000 })
    const { length } = bench.sent
    bench.hear('boss', repair(content('x'.repeat(3_000))))
    expect([bench.holdings.bytes, bench.sent.length]).toEqual([0, length])
    bench.hear('boss', store(1, 'x'.repeat(900)))
    const again = [content(''), content(''), content(''), content('x'.repeat(900))]
    const item = repair(...again, content('y'.repeat(1_500), 'k2'))
    if (item.type === 'repair')
      bench.hear('boss', { ...item, items: [{ ...item.items[0]!, from: 1, number: 2 }] })
    expect(bench.holdings.copyOf(P)!.number).toBe(1)
    expect(bench.holdings.bytes).toBeLessThan(1_000)
  })
})

describe('sizes', () => {
  it('refuse a change that is too much, and harm nothing', () => {
    const bench = new Bench('me', { stateBytes: 1_000 })
    bench.leader = 'me'
    bench.leaderHasLease = true
    bench.map(entryOf(1, 'me'))
    bench.wake()
    expect(bench.append('k', 'x'.repeat(700))).toBe(1)
    expect(bench.append('k2', 'x'.repeat(700))).toBe('state-limit')
    expect(bench.append('k', 'y'.repeat(700))).toBe(2)
    expect(bench.append('k', undefined)).toBe(3)
    expect(bench.append('k2', 'x'.repeat(700))).toBe(4)
    expect(bench.holdings.copyOf(P)!.contentsOf('k2')!.state).toEqual(bytes('x'.repeat(700)))
  })

  it('refuse a copy that is too much', () => {
    const bench = new Bench('me', { stateBytes: 1_000 })
    bench.map(entryOf(1, 'boss'))
    const content = {
      key: 'k',
      epoch: 1,
      number: 1,
      contents: { state: new Uint8Array(2_000), callers: new Map() },
    }
    const end = { tenure: 1, number: 1, acked: 1, tenures: [] }
    const copy = { partition: P, epoch: 1, attempt: 1, index: 0, entries: [content], end, handed: false }
    bench.hear('boss', { type: 'copy', items: [copy] })
    expect(bench.last('copied', 'boss')).toMatchObject([{ result: 'full' }])
    expect(bench.holdings.bytes).toBe(0)
  })

  it('of 256 empty partitions that change hands are a few messages and proposals', () => {
    const bench = new Bench()
    const at = Array.from({ length: 256 }, (_, slot) => ({
      partition: partitionId('counter', slot),
      epoch: 2,
    }))
    for (const { partition } of at) {
      bench.holdings.onMap(partition, entryOf(2, 'me', 'a', 'b'), GROUP, bench.now)
      bench.holdings.wake(partition, bench.now)
    }
    bench.holdings.settle(bench.now)
    for (const from of ['a', 'b']) {
      bench.hear(from, {
        type: 'standing',
        items: at.map(({ partition, epoch }) => ({
          partition,
          epoch,
          number: 0,
          common: 0,
          since: 0,
          keys: [],
        })),
      })
      const items = at.map(({ partition, epoch }) => ({
        partition,
        epoch,
        tenure: 2,
        number: 0,
        wants: false,
      }))
      bench.hear(from, { type: 'stored', items })
      bench.answer(from)
    }
    expect(bench.told.filter((told) => told === 'began')).toHaveLength(256)
    expect(bench.sent).toHaveLength(6)
    bench.gone.add('a')
    bench.holdings.onLiveness('a', bench.now)
    bench.targets = ['me', 'b', 'c']
    bench.holdings.settle(bench.now)
    expect(bench.proposed).toHaveLength(1)
    expect(bench.proposed[0]).toMatchObject({ remove: 'a' })
    expect(bench.proposed[0]!.slots).toHaveLength(256)
    expect(bench.count('copy', 'c')).toBe(1)
  })

  it('of more than a kind has are looked at in turns that follow at once, but all of them before this process goes', () => {
    const several = () => {
      const bench = new Bench()
      for (const kind of ['counter', 'lock', 'log'])
        for (let slot = 0; slot < 256; slot++)
          bench.holdings.onMap(partitionId(kind, slot), entryOf(2, 'me', 'a', 'b'), GROUP, bench.now)
      return bench
    }
    const asked = ({ sent }: Bench) =>
      sent.flatMap(({ to, message }) => (to === 'a' && 'items' in message ? message.items : [])).length
    const bench = several()
    for (const count of [256, 512, 768]) {
      bench.holdings.settle(bench.now)
      expect(asked(bench)).toBe(count)
      if (count < 768) expect(bench.holdings.nextDeadline()).toBe(bench.now.mono)
    }
    expect(bench.holdings.nextDeadline()).not.toBe(bench.now.mono)
    const leaving = several()
    leaving.holdings.release(leaving.now)
    leaving.holdings.settle(leaving.now)
    expect(leaving.holdings.nextDeadline()).not.toBe(leaving.now.mono)
  })

  it('and what is idle sends nothing and waits for nothing', () => {
    const bench = owner('a')
    bench.holdings.rest(P, bench.now)
    bench.holdings.settle(bench.now)
    const { length } = bench.sent
    expect(bench.holdings.nextDeadline()).toBeUndefined()
    bench.pass(100_000)
    expect(bench.sent).toHaveLength(length)
  })
})
