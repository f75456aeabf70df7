/** Tabs that were taken for gone, and come back: laptops that were closed for a while, and sides of a parted network. */
import { afterEach, describe, expect, it } from 'vitest'
import { Beacons } from '../../src/core/grain/beacons.ts'
import type { NodeCore } from '../../src/core/node.ts'
import { partitionOf } from '../../src/core/partition/partition.ts'
import { COUNTER, GrainTabs } from './support/grain-tabs.ts'

const { onBeacon } = Beacons.prototype

afterEach(() => {
  Beacons.prototype.onBeacon = onBeacon
})

/** All know the map, and partitions have gone where they belong. */
function roomOf(count: number, options: (i: number) => object = () => ({})): GrainTabs {
  const room = new GrainTabs()
  for (let i = 0; i < count; i++) {
    room.join({ ...COUNTER, ...options(i) })
    room.room.run(100)
  }
  room.room.until(() => room.tabs.every(({ grains }) => grains.council.knows('counter')), 'all know the map')
  room.room.run(60_000)
  return room
}

const entryOf = (tab: NodeCore, key: string) =>
  tab.grains.council.entry('counter', Number(partitionOf('counter', key).split('#')[1]))!

/** Nothing passes between these and the others. Returns the way to end that. */
function part({ room }: GrainTabs, side: readonly NodeCore[]): () => void {
  let isApart = true
  const isOfSide = (nodeId: string): boolean => side.some((tab) => tab.nodeId === nodeId)
  room.passes = room.connects = room.signals = (a, b) => !isApart || isOfSide(a) === isOfSide(b)
  return () => (isApart = false)
}

/** A key that three tabs hold, so that the others keep the council without them. */
function heldApart(room: GrainTabs): { key: string; holders: NodeCore[] } {
  const [first] = room.tabs
  const leader = room.tabs.find(({ grains, process }) => grains.council.leader === process)!
  for (let i = 0; ; i++) {
    const { inSync } = entryOf(first!, `k${i}`)
    const holders = room.tabs.filter(({ process }) => inSync.includes(process))
    const voters = holders.filter(({ grains }) => grains.council.isVoter)
    if (holders.length === 3 && !holders.includes(leader) && voters.length <= 2)
      return { key: `k${i}`, holders }
  }
}

describe('a tab that slept for longer than it takes to be removed', () => {
  it('holds up nobody when it is back, however long the room was in use before', () => {
    const room = roomOf(4)
    for (let i = 0; i < 60; i++) {
      for (const tab of room.tabs) room.call(tab, `busy${i % 7}`)
      room.room.run(5_000)
    }
    room.room.sleep(room.tabs[3]!, 80_000)
    room.room.run(280_000)
    for (let i = 0; i < 30; i++) {
      const { end, startedAt, endedAt } = room.ask(room.tabs[i % 3]!, `fresh${i}`)
      expect(end).toMatchObject({ type: 'result' })
      expect(endedAt - startedAt).toBeLessThan(1_000)
    }
  })

  it.each(['itself', 'another'])('runs nothing of what it owned before, asked by %s', (from) => {
    const room = roomOf(4)
    const [first, second, , slept] = room.tabs as [NodeCore, NodeCore, NodeCore, NodeCore]
    const all = Array.from({ length: 200 }, (_, i) => `k${i}`)
    const keys = all.filter((key) => entryOf(slept, key).owner === slept.process).slice(0, 6)
    for (const key of keys) room.ask(first, key)
    const meet = part(room, [slept])
    room.room.sleep(slept, 80_000)
    room.room.run(20_000)
    const acknowledged = keys.map((key) => room.ask(first, key).name)
    room.room.run(60_500)
    meet()
    room.room.until(() => slept.nodeId.split('.')[1] === '2', 'reborn', 120_000)
    const reads: { op: ReturnType<typeof room.call>; name: string }[] = []
    for (let i = 0; i < 400; i++) {
      for (const [k, key] of keys.entries()) {
        expect(room.hostsOf(key).length).toBeLessThanOrEqual(1)
        const caller = from === 'itself' ? slept : second
        if (i % 10 === 0) reads.push({ op: room.call(caller, key, 'read'), name: acknowledged[k]! })
        if (i % 20 === 0) room.call(first, key)
      }
      room.room.run(10)
    }
    room.room.run(15_000)
    for (const { op, name } of reads) {
      expect(op.end).toMatchObject({ type: 'result' })
      if (op.end?.type === 'result') expect(new TextDecoder().decode(op.end.bytes).split(' ')).toContain(name)
    }
    for (const key of keys) room.check(key)
  })

  it('brings back with others what they alone held', () => {
    const room = roomOf(12, (i) => ({ browser: `browser ${i}` }))
    const keys = Array.from({ length: 150 }, (_, i) => `k${i}`)
    for (const [i, key] of keys.entries()) room.ask(room.tabs[i % 12]!, key)
    const sleepers = [1, 3, 5, 8, 10].map((i) => room.tabs[i]!)
    const isAsleep = (process: string): boolean => sleepers.some((tab) => tab.process === process)
    const theirs = keys.filter((key) => entryOf(room.tabs[0]!, key).inSync.every(isAsleep))
    expect(theirs.length).toBeGreaterThan(0)
    for (const tab of sleepers) room.room.sleep(tab, 90_000)
    room.room.run(89_000)
    for (const key of theirs) expect(entryOf(room.tabs[0]!, key).born).toBeGreaterThan(1)
    room.room.run(182_000)
    for (const key of keys) {
      const { end } = room.ask(room.tabs[0]!, key, 'read')
      expect(end).toMatchObject({ type: 'result' })
      if (end?.type === 'result') expect(end.bytes.length).toBeGreaterThan(0)
      room.check(key)
    }
  })
})

describe('a network that falls apart for longer than it takes to be removed', () => {
  it.each(['available', 'majority'] as const)(
    'keeps what was acknowledged on the smaller side: %s',
    (partition) => {
      const room = roomOf(7, () => ({ partition }))
      const { key, holders } = heldApart(room)
      room.ask(holders[0]!, key)
      const meet = part(room, holders)
      for (let i = 0; i < 20; i++) {
        room.call(holders[i % 3]!, key)
        room.room.run(6_000)
      }
      meet()
      room.room.run(90_000)
      expect(room.ask(room.tabs[0]!, key, 'read').end).toMatchObject({ type: 'result' })
      room.check(key)
    },
  )

  it('has two hosts at no time with `majority`', () => {
    const room = roomOf(7, () => ({ partition: 'majority' }))
    const { key, holders } = heldApart(room)
    const other = room.tabs.find((tab) => !holders.includes(tab))!
    part(room, holders)
    let acknowledged = 0
    for (let i = 0; i < 24; i++) {
      const here = room.call(holders[0]!, key)
      room.call(other, key)
      for (let j = 0; j < 50; j++) {
        room.room.run(100)
        expect(room.hostsOf(key).length).toBeLessThanOrEqual(1)
      }
      if (here.end?.type === 'result') acknowledged++
    }
    expect(acknowledged, 'whose holders are all there goes on').toBe(24)
  })
})

it('a member that answers no beacons is in sync no more, though one tab alone calls', () => {
  const room = roomOf(4)
  const mute = room.tabs[3]!
  const isHeldByIt = (key: string): boolean => {
    const { owner, inSync } = entryOf(room.tabs[0]!, key)
    return owner !== mute.process && inSync.includes(mute.process)
  }
  const key = Array.from({ length: 100 }, (_, i) => `k${i}`).find(isHeldByIt)!
  let isMute = false
  Beacons.prototype.onBeacon = function (...given) {
    if (!isMute) onBeacon.apply(this, given)
  }
  const handle = mute.handle.bind(mute)
  mute.handle = (...given) => {
    isMute = true
    try {
      return handle(...given)
    } finally {
      isMute = false
    }
  }
  const ends = Array.from({ length: 8 }, () => {
    const op = room.call(room.tabs[0]!, key)
    room.room.until(() => op.end !== undefined, 'ends', 12_000)
    return op.end!.type
  })
  expect(ends.slice(2)).toEqual(Array.from({ length: 6 }, () => 'result'))
  expect(entryOf(room.tabs[0]!, key).inSync).not.toContain(mute.process)
})
