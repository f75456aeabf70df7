/** What grains have to live through, by name (DESIGN.md section 17). What needs odd clocks is in test/simulation. */
import { describe, expect, it } from 'vitest'
import type { NodeCore } from '../../src/core/node.ts'
import { partitionOf, SLOTS } from '../../src/core/partition/partition.ts'
import { REPLICAS } from '../../src/core/partition/placement.ts'
import type { CallEnd } from '../../src/core/rpc/calls.ts'
import type { Op } from './support/grain-tabs.ts'
import { GrainTabs } from './support/grain-tabs.ts'

function roomOf(count: number): GrainTabs {
  const room = new GrainTabs()
  for (let i = 0; i < count; i++) {
    room.join()
    room.room.run(100)
  }
  room.room.until(() => room.tabs.every(({ grains }) => grains.council.knows('counter')), 'all know the map')
  room.room.run(8_000)
  return room
}

const leaderOf = (room: GrainTabs): NodeCore =>
  room.tabs.find(({ grains, process }) => grains.council.leader === process)!

const holdersOf = (room: GrainTabs, key: string): NodeCore[] =>
  room.tabs.filter(({ grains }) => grains.holdings.copyOf(partitionOf('counter', key)))

function add(room: GrainTabs, from: NodeCore, key = 'likes'): void {
  expect(room.ask(from, key, 'add', 12_000).end).toMatchObject({ type: 'result' })
}

function resultOf({ end }: Op): Extract<CallEnd, { type: 'result' }> {
  if (end?.type !== 'result') throw new Error(JSON.stringify(end))
  return end
}

describe('grains', () => {
  for (const [from, to] of [
    [1, 5],
    [10, 40],
  ] as const)
    it(`stay where they are in a room that grows from ${from} to ${to}, and keep what they have`, () => {
      const room = roomOf(from)
      for (let i = 0; i < 5; i++) add(room, room.tabs[i % from]!)
      const [host] = room.hostsOf('likes')
      for (let i = from; i < to; i++) {
        room.join()
        room.room.run(200)
        add(room, room.tabs.at(-1)!)
      }
      room.room.run(8_000)
      add(room, room.tabs.at(-1)!)
      expect(room.hostsOf('likes')).toEqual([host])
      room.check('likes')
    })

  it('are held by three, whoever those are in the end, in a room that filled at once', () => {
    const room = roomOf(8)
    room.room.run(60_000)
    const holders = new Map<number, number>()
    for (let slot = 0; slot < SLOTS; slot++) {
      const { length } = room.tabs[0]!.grains.council.entry('counter', slot)!.inSync
      holders.set(length, (holders.get(length) ?? 0) + 1)
    }
    expect([...holders]).toEqual([[REPLICAS, SLOTS]])
  })

  it('go on where the leader of the council and their owner are lost together', () => {
    const room = roomOf(6)
    add(room, room.tabs[5]!)
    for (const lost of new Set([leaderOf(room), room.hostsOf('likes')[0]!])) room.kill(lost)
    add(room, room.tabs[0]!)
    room.check('likes')
  })

  it('are served again at once where their owner leaves, though it leads the council', () => {
    const room = roomOf(6)
    add(room, room.tabs[5]!)
    const [host] = room.hostsOf('likes')
    expect(host).toBe(leaderOf(room))
    const leftAt = room.room.now
    room.close(host!)
    const op = room.ask(room.tabs[0]!, 'likes')
    expect(op.end).toMatchObject({ type: 'result' })
    expect(op.endedAt - leftAt).toBeLessThan(50)
    room.check('likes')
  })

  it('whose only host is lost are run by the next one, with what those that only call have kept for it', () => {
    const room = new GrainTabs()
    const host = room.join()
    const callers = [room.join({}), room.join({})]
    room.room.until(() => callers.every(({ grains }) => grains.council.group !== undefined), 'one council')
    room.room.run(8_000)
    for (const caller of callers) add(room, caller)
    expect(holdersOf(room, 'likes')).toHaveLength(3)
    room.kill(host)
    room.room.run(20_000)
    const next = room.join()
    room.room.run(3_000)
    for (const caller of callers) add(room, caller)
    expect(room.hostsOf('likes')).toEqual([next])
    room.check('likes')
    expect(room.namesOf('likes')).toHaveLength(4)
  })

  it('outlive all tabs that were there, replaced one at a time', () => {
    const room = roomOf(3)
    add(room, room.tabs[0]!)
    for (const [i, old] of [...room.tabs].entries()) {
      room.join()
      room.room.run(6_000)
      if (i % 2 === 0) room.close(old)
      else room.kill(old)
      add(room, room.tabs.at(-1)!)
      room.room.run(6_000)
    }
    room.check('likes')
    expect(room.namesOf('likes')).toHaveLength(4)
  })

  it('outlive the reload of one, and then of the other, in a room of two', () => {
    const room = roomOf(2)
    add(room, room.tabs[0]!)
    const [first, second] = room.tabs
    for (const old of [first!, second!]) {
      room.close(old)
      room.join()
      room.room.run(1_000)
    }
    room.room.run(1_000)
    add(room, room.tabs[0]!)
    room.check('likes')
    expect(room.namesOf('likes')).toHaveLength(2)
  })

  it('take nothing from a voter and a replica that come back empty', () => {
    const room = roomOf(5)
    for (let i = 0; i < 10; i++) add(room, room.tabs[i % 5]!)
    const [host] = room.hostsOf('likes')
    const replica = holdersOf(room, 'likes').find((tab) => tab !== host)!
    room.kill(replica)
    room.join()
    add(room, room.tabs.at(-1)!)
    room.room.run(8_000)
    room.kill(host!)
    add(room, room.tabs.at(-1)!)
    room.check('likes')
    expect(room.namesOf('likes')).toHaveLength(12)
  })

  it('are given up by a host that thaws after a minute', () => {
    const room = roomOf(4)
    add(room, room.tabs[0]!)
    const [host] = room.hostsOf('likes')
    room.room.sleep(host!, 61_000)
    const other = room.tabs.find((tab) => tab !== host)!
    add(room, other)
    room.room.run(70_000)
    add(room, host!)
    expect(room.hostsOf('likes')).toHaveLength(1)
    room.check('likes')
  })

  it('stay with those who went on by force, when a leader that slept wakes to the voters it had', () => {
    const room = roomOf(6)
    const asleep = leaderOf(room)
    const voter = room.tabs.find((tab) => tab !== asleep && tab.grains.council.isVoter)
    const groupsOf = (tabs: readonly NodeCore[]) => [
      ...new Set(tabs.map(({ grains }) => grains.council.group)),
    ]
    const [group] = groupsOf(room.tabs)
    room.room.sleep(asleep, 25_000)
    room.kill(voter!)
    const others = room.tabs.filter((tab) => tab !== asleep)
    room.room.until(
      () => groupsOf(others).length === 1 && groupsOf(others)[0] !== group,
      'they go on',
      15_000,
    )
    const continued = groupsOf(others)
    for (const tab of others) add(room, tab)
    const names = room.namesOf('likes', others[0])
    room.room.run(25_000)
    expect(groupsOf(room.tabs)).toEqual(continued)
    for (const tab of room.tabs) add(room, tab)
    expect(room.namesOf('likes').slice(0, names.length)).toEqual(names)
    expect(room.merged).toEqual([])
    room.check('likes')
  })

  it('are one again after a minute in which the room was in two', () => {
    const room = roomOf(5)
    add(room, room.tabs[0]!)
    const side = new Set(room.tabs.slice(3).map(({ nodeId }) => nodeId))
    const isApart = (from: string, to: string): boolean => side.has(from) !== side.has(to)
    room.room.passes =
      room.room.connects =
      room.room.signals =
        (from: string, to: string) => !isApart(from, to)
    room.room.run(60_000)
    room.room.passes = room.room.connects = room.room.signals = () => true
    const groups = (): number => new Set(room.tabs.map(({ grains }) => grains.council.group)).size
    room.room.until(() => groups() === 1 && room.hostsOf('likes').length <= 1, 'there is one council', 60_000)
    for (const tab of room.tabs) add(room, tab)
    expect(room.hostsOf('likes')).toHaveLength(1)
  })

  /** Both sides of a room in two change what they have; then they meet. */
  function inTwo(room: GrainTabs, change: (larger: NodeCore, smaller: NodeCore) => void): void {
    const apart = new Set(room.tabs.slice(3).map(({ nodeId }) => nodeId))
    const passes = (from: string, to: string): boolean => apart.has(from) === apart.has(to)
    room.room.passes = room.room.connects = room.room.signals = passes
    room.room.run(20_000)
    change(room.tabs[0]!, room.tabs[4]!)
    room.room.run(2_000)
    room.room.passes = room.room.connects = room.room.signals = () => true
    const groups = (): number => new Set(room.tabs.map(({ grains }) => grains.council.group)).size
    room.room.until(() => groups() === 1, 'there is one council', 60_000)
    const strays = (): number => room.tabs.reduce((sum, { grains }) => sum + grains.holdings.strays.size, 0)
    room.room.until(() => strays() === 0, 'nothing is astray', 30_000)
  }

  it('have what either side of a partition has changed, and merge what both have', () => {
    const room = roomOf(5)
    const keys = ['both', 'mine', 'yours', 'none']
    for (const key of keys) add(room, room.tabs[0]!, key)
    inTwo(room, (larger, smaller) => {
      for (const key of ['both', 'mine']) add(room, larger, key)
      for (const key of ['both', 'yours', 'new']) add(room, smaller, key)
      for (const key of ['both', 'yours', 'new']) add(room, smaller, key)
    })
    const lengths = (): number[] => [...keys, 'new'].map((key) => room.namesOf(key).length)
    expect(lengths()).toEqual([4, 2, 3, 1, 2])
    for (const tab of room.tabs) for (const key of keys) add(room, tab, key)
    for (const key of [...keys, 'new']) room.check(key)
    expect(room.merged).toEqual(['both'])
    // also where all that was in memory is gone
    for (const host of room.hostsOf('yours')) room.kill(host)
    for (const key of [...keys, 'new']) room.check(key)
    expect(room.merged).toEqual(['both'])
  })

  it('have a side that is told, where nothing merges two', () => {
    const room = roomOf(5)
    room.merges = false
    add(room, room.tabs[0]!, 'both')
    inTwo(room, (larger, smaller) => {
      add(room, larger, 'both')
      add(room, smaller, 'both')
    })
    expect(room.namesOf('both')).toEqual(['add1', 'add2'])
    const conflicts = room.tabs.flatMap((tab) => room.room.events(tab, 'state-conflict'))
    const other = new TextEncoder().encode('add1 add3')
    expect(conflicts).toMatchObject([{ kind: 'counter', key: 'both', other }])
  })

  it('answer a retry of what the other side has acknowledged, and do not run it again', () => {
    const room = roomOf(5)
    add(room, room.tabs[0]!, 'yours')
    const caller = room.tabs[4]!.grains.council
    const { process } = room.tabs[4]!
    inTwo(room, (_, smaller) => add(room, smaller, 'yours'))
    const before = room.namesOf('yours')
    const [host] = room.hostsOf('yours')
    const epoch = caller.entry('counter', Number(partitionOf('counter', 'yours').split('#')[1]))!.epoch
    const args = new TextEncoder().encode('again')
    const call = {
      caller: process,
      sequence: 1,
      first: 1,
      previous: 0,
      attempt: 9,
      kind: 'counter',
      key: 'yours',
    }
    const rest = { method: 'add', args, remainingMs: 5_000, epoch, chain: [], keepMs: 0, hops: 0 }
    const now = { mono: room.room.now, wall: 1_000_000 + room.room.now }
    host!.grains.activations.onCall(process, { type: 'call', ...call, ...rest }, now)
    room.room.run(2_000)
    expect(room.namesOf('yours')).toEqual(before)
    expect(before).toEqual(['add1', 'add2'])
  })

  it('have a council where the signaling server is restarted as a newcomer arrives', () => {
    const room = roomOf(3)
    for (const tab of room.tabs) room.room.disconnectSignaling(tab)
    room.room.quietMs = 0
    const newcomer = room.join()
    room.room.run(5_000)
    expect(newcomer.grains.council.group).toBeUndefined()
    for (const tab of room.tabs) if (tab !== newcomer) room.room.connectSignaling(tab)
    room.room.until(() => newcomer.grains.council.group !== undefined, 'it has found the others', 30_000)
    expect(new Set(room.tabs.map(({ grains }) => grains.council.group)).size).toBe(1)
    add(room, newcomer)
  })

  it('spread over those that are there while nobody calls them, and keep what they have', () => {
    const room = roomOf(4)
    const ownedBy = ({ grains }: NodeCore): number => [...grains.holdings.owned()].length
    add(room, room.tabs[0]!)
    const [host] = room.hostsOf('likes')
    room.room.run(60_000)
    // What is in use stays.
    expect(room.hostsOf('likes')).toEqual([host])
    for (const tab of room.tabs) expect(ownedBy(tab)).toBeGreaterThan(30)
    room.room.run(120_000)
    add(room, room.tabs[1]!)
    room.check('likes')
    const owned = room.tabs.map(ownedBy)
    expect(owned.reduce((sum, count) => sum + count, 0)).toBe(SLOTS)
    room.room.run(30_000)
    expect(room.tabs.map(ownedBy)).toEqual(owned)
  })

  it('spread at a cost of less than 2 KB for each empty partition, all messages of a room of four counted', () => {
    const room = roomOf(4)
    const [founder] = room.tabs
    const owned = (): number => [...founder!.grains.holdings.owned()].length
    room.room.until(() => owned() < SLOTS, 'the first have moved')
    const before = owned()
    room.room.recording = true
    room.room.run(25_000)
    const bytes = room.room.sent.reduce((sum, frame) => sum + frame.bytes, 0)
    expect(before - owned()).toBeGreaterThan(150)
    expect(bytes / (before - owned())).toBeLessThan(2_000)
  })

  it('stay where they are whatever their users look at', () => {
    const room = roomOf(6)
    room.room.run(60_000)
    const ownersOf = (): (string | undefined)[] =>
      Array.from({ length: SLOTS }, (_, slot) => room.tabs[0]!.grains.council.entry('counter', slot)?.owner)
    const before = ownersOf()
    const looks = ['visible', 'hidden', 'frozen-soon'] as const
    for (let i = 0; i < 30; i++) {
      const tab = room.tabs[(i * 5) % 6]!
      room.room.feed(tab, { type: 'set-visibility', visibility: looks[(i + 1) % 3]! })
      room.room.run(i % 4 === 0 ? 15_000 : 2_000)
    }
    expect(ownersOf()).toEqual(before)
  })

  it('cost whoever calls first after a move one hop more, once, and no wait', () => {
    const room = roomOf(4)
    const caller = room.join({ kinds: new Map() })
    add(room, caller, 'another')
    room.room.run(45_000)
    const keys = Array.from({ length: 20 }, (_, i) => `key ${i}`)
    let redirects = 0
    for (const key of keys) {
      const [first, second] = [room.ask(caller, key), room.ask(caller, key)]
      const [one, two] = [resultOf(first), resultOf(second)]
      // As that of any grain at rest: leases take 2 ms, there and back, and its setup 1. A hop more is 2.
      expect(one.ms, `the first call of ${key}`).toBeLessThanOrEqual(two.ms + 3 + 2 * (one.attempts - 1))
      expect(one.attempts).toBeLessThanOrEqual(2)
      expect(two.attempts).toBe(1)
      redirects += one.attempts - 1
    }
    expect(redirects).toBeGreaterThan(5)
  })
})
