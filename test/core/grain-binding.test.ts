/** Grains on real cores: over links and signaling, through losses and rebirths. */
import { describe, expect, it } from 'vitest'
import type { ClusterEvent } from '../../src/core/events.ts'
import { parseNodeId } from '../../src/core/identity/node-id.ts'
import type { NodeCore } from '../../src/core/node.ts'
import { partitionOf, slotOf, SLOTS } from '../../src/core/partition/partition.ts'
import { COUNTER, GrainTabs } from './support/grain-tabs.ts'
import type { CoreOptions } from './support/nodes.ts'

function roomOf(count: number): GrainTabs {
  const room = new GrainTabs()
  for (let i = 0; i < count; i++) {
    room.join()
    room.room.run(100)
  }
  room.room.until(() => room.tabs.every(({ grains }) => grains.council.knows('counter')), 'all know the map')
  return room
}

/** A room in which a counter was called: its host, and one that does not host it. */
function counting(count: number): { room: GrainTabs; host: NodeCore; caller: NodeCore } {
  const room = roomOf(count)
  room.room.run(8_000)
  expect(room.ask(room.tabs.at(-1)!, 'likes').end).toMatchObject({ type: 'result' })
  const host = room.hostsOf('likes')[0]!
  return { room, host, caller: room.tabs.find((tab) => tab !== host)! }
}

/** How many partitions of the counters a process owns, as another knows it. */
function ownedBy({ process }: NodeCore, observer: NodeCore): number {
  const { council } = observer.grains
  const slots = Array.from({ length: SLOTS }, (_, slot) => council.entry('counter', slot))
  return slots.filter((entry) => entry?.owner === process).length
}

describe('grains of cores', () => {
  it('count in a room of one', () => {
    const room = roomOf(1)
    expect(room.ask(room.tabs[0]!, 'likes').end).toMatchObject({ type: 'result', attempts: 1 })
    room.check('likes')
  })

  for (const count of [2, 3, 6]) {
    it(`count in a room of ${count}, where all add`, () => {
      const { room } = counting(count)
      const ops = room.tabs.flatMap((tab) => Array.from({ length: 10 }, () => room.call(tab, 'likes')))
      room.room.until(() => ops.every(({ end }) => end), 'all have ended', 5_000)
      expect(room.namesOf('likes')).toHaveLength(10 * count + 1)
      expect(room.hostsOf('likes')).toHaveLength(1)
    })
  }

  for (const count of [2, 3, 6]) {
    it(`go on in a room of ${count} where the host is closed`, () => {
      const { room, host, caller } = counting(count)
      room.close(host)
      const next = room.ask(caller, 'likes')
      expect(next.end).toMatchObject({ type: 'result' })
      expect(next.endedAt - next.startedAt).toBeLessThan(100)
      room.check('likes')
    })

    it(`go on in a room of ${count} where the host is killed`, () => {
      const { room, host, caller } = counting(count)
      room.kill(host)
      expect(room.ask(caller, 'likes').end).toMatchObject({ type: 'result' })
      room.check('likes')
    })
  }

  it('tell once that they moved, to all who know the map, with whom it concerns', () => {
    const { room, host, caller } = counting(3)
    const eventsOf = <K extends ClusterEvent['type']>(tab: NodeCore, type: K) => room.room.events(tab, type)
    expect(room.tabs.flatMap((tab) => eventsOf(tab, 'council'))).toMatchObject([{ change: 'founded' }])
    const before = room.tabs.map((tab) => eventsOf(tab, 'grain-moved').length)
    const owned = ownedBy(host, caller)
    room.close(host)
    room.room.run(6_000)
    for (const [i, tab] of room.tabs.entries()) {
      const moved = eventsOf(tab, 'grain-moved').slice(before[i])
      const { authority } = parseNodeId(host.nodeId)!
      const away = moved.filter(({ from }) => from === authority)
      expect(away.reduce((sum, { count }) => sum + count, 0)).toBe(owned)
      expect(away.length).toBeLessThan(10)
      const heirs = room.tabs.map(({ nodeId }) => parseNodeId(nodeId)!.authority)
      for (const { to } of away) expect(heirs).toContain(to)
    }
  })

  for (const count of [3, 6]) {
    it(`go on at once in a room of ${count} where a host is closed that leads the council, too`, () => {
      const { room, caller: asker } = counting(count)
      const leader = room.tabs.find(({ grains, process }) => grains.council.leader === process)!
      const key = Array.from({ length: 100 }, (_, i) => `likes-${i}`).find((name) => {
        room.ask(asker, name)
        return room.hostsOf(name)[0] === leader
      })!
      room.room.run(2_000)
      room.close(leader)
      const next = room.ask(
        room.tabs.find((tab) => tab !== leader)!,
        key,
      )
      expect(next.end).toMatchObject({ type: 'result' })
      expect(next.endedAt - next.startedAt).toBeLessThan(100)
      room.check(key)
    })
  }

  it('go on for those who neither vote nor hold anything of it as soon as for others', () => {
    const { room, host } = counting(10)
    room.room.run(8_000)
    const callers = room.tabs.filter((tab) => tab !== host)
    const { council } = host.grains
    const { inSync } = council.entry('counter', slotOf('counter', 'likes'))!
    const isStranger = ({ process, grains }: NodeCore) => !grains.council.isVoter && !inSync.includes(process)
    expect(callers.filter(isStranger).length).toBeGreaterThan(1)
    for (const tab of callers) room.ask(tab, 'likes')
    room.close(host)
    const ops = callers.map((tab) => room.call(tab, 'likes'))
    room.room.until(() => ops.every(({ end }) => end), 'all have ended', 5_000)
    const times = ops.map(({ startedAt, endedAt }) => endedAt - startedAt)
    expect(Math.max(...times) - Math.min(...times)).toBeLessThan(20)
    room.check('likes')
  })

  it('are whole again in a room of two where the host slept, and the other went on by force', () => {
    const { room, host, caller } = counting(2)
    room.room.sleep(host, 10_000)
    expect(room.ask(caller, 'likes').end).toMatchObject({ type: 'result' })
    const isWhole = (): boolean => {
      const entries = room.tabs.map(({ grains }) =>
        grains.council.entry('counter', slotOf('counter', 'likes')),
      )
      const groups = new Set(room.tabs.map(({ grains }) => grains.council.group))
      const isSpread = entries.every((entry) => entry?.inSync.length === 2)
      return groups.size === 1 && isSpread && room.tabs.every(({ grains }) => grains.council.isVoter)
    }
    room.room.run(11_000)
    room.room.until(isWhole, 'it is whole', 15_000)
    expect(room.ask(host, 'likes').end).toMatchObject({ type: 'result' })
    room.check('likes')
  })

  it('wait for a council until nobody can be coming back', () => {
    const room = new GrainTabs(0)
    const tab = room.join()
    const op = room.call(tab, 'likes')
    room.room.run(5_000)
    expect(tab.grains.council.group).toBeUndefined()
    room.room.quietMs = 13_000
    room.room.until(() => op.end !== undefined, 'it has ended', 12_000)
    expect(tab.grains.council.group).toBeDefined()
  })

  it('cost nothing where nobody has any', () => {
    const room = new GrainTabs()
    room.room.recording = true
    for (let i = 0; i < 3; i++) room.join({})
    room.room.run(30_000)
    expect(room.room.frames('datagram')).toEqual([])
    expect(room.tabs.every(({ grains }) => grains.council.group === undefined)).toBe(true)
  })

  it('are called by whoever hosts none', () => {
    const room = roomOf(2)
    const caller = room.join({})
    room.room.run(3_000)
    expect(caller.versionsOf('counter')).toEqual([{ version: 1, accepts: [1] }])
    expect(caller.versionsOf('nothing')).toEqual([])
    expect(room.ask(caller, 'likes').end).toMatchObject({ type: 'result' })
    expect(COUNTER.kinds!.size).toBe(1)
  })
})

describe('where the room falls apart', () => {
  /** Nothing passes between the two sides, not even by signaling, and links close. */
  function part(room: GrainTabs, side: readonly NodeCore[]): void {
    const names = new Set(side.map(({ nodeId }) => nodeId))
    const isApart = (from: string, to: string): boolean => names.has(from) !== names.has(to)
    room.room.passes = (from, to) => !isApart(from, to)
    room.room.connects = (from, to) => !isApart(from, to)
    room.room.signals = (from, to) => !isApart(from, to)
    room.room.contacts = (asker, others) => others.filter((other) => !isApart(asker, other))
    for (const one of side)
      for (const other of room.tabs) if (!side.includes(other)) room.room.cut(one, other)
  }

  function heal(room: GrainTabs): void {
    room.room.passes = () => true
    room.room.connects = () => true
    room.room.signals = () => true
    room.room.contacts = (_, others) => others
  }

  const groupsOf = (tabs: readonly NodeCore[]): Set<string | undefined> =>
    new Set(tabs.map(({ grains }) => grains.council.group))

  /** Of each partition, as the council has decided last. */
  const epochsOf = ({ tabs }: GrainTabs): number[] =>
    Array.from({ length: SLOTS }, (_, slot) =>
      Math.max(...tabs.map(({ grains }) => grains.council.entry('counter', slot)?.epoch ?? 0)),
    )

  function expectOne(room: GrainTabs): void {
    room.room.until(() => groupsOf(room.tabs).size === 1, 'there is one council', 60_000)
    for (const tab of room.tabs)
      expect(room.ask(tab, 'likes', 'add', 20_000).end).toMatchObject({ type: 'result' })
    room.room.until(() => room.hostsOf('likes').length === 1, 'one hosts it', 5_000)
    room.room.run(20_000)
    expect(groupsOf(room.tabs).size).toBe(1)
    // Partitions have found their places by then.
    room.room.run(50_000)
    const epochs = epochsOf(room)
    room.room.run(10_000)
    expect(epochsOf(room), 'nothing is left to decide').toEqual(epochs)
  }

  for (const [count, apart] of [
    [2, 1],
    [4, 2],
    [5, 2],
    [6, 3],
  ] as const) {
    it(`both sides go on, and one council is followed afterwards: ${apart} of ${count}`, () => {
      const { room } = counting(count)
      const side = room.tabs.slice(0, apart)
      const rest = room.tabs.slice(apart)
      part(room, side)
      room.room.run(12_000)
      for (const half of [side, rest]) {
        const op = room.ask(half[0]!, 'likes', 'add', 12_000)
        expect(op.end).toMatchObject({ type: 'result' })
      }
      heal(room)
      expectOne(room)
    })
  }

  it('the side with most of the voters keeps its council, and what it acknowledged', () => {
    const { room } = counting(6)
    const group = room.tabs[0]!.grains.council.group
    const voters = room.tabs.filter(({ grains }) => grains.council.isVoter)
    const other = room.tabs.find((tab) => !voters.includes(tab))!
    const side = [voters[0]!, other]
    const stays = voters[1]
    part(room, side)
    room.room.run(12_000)
    const kept = Array.from({ length: 5 }, () => room.ask(stays!, 'likes'))
    expect(stays!.grains.council.group).toBe(group)
    expect(side[0]!.grains.council.group).not.toBe(group)
    heal(room)
    expectOne(room)
    expect(groupsOf(room.tabs)).toEqual(new Set([group]))
    const names = room.namesOf('likes')
    for (const { name, end } of kept) {
      expect(end).toMatchObject({ type: 'result' })
      expect(names).toContain(name)
    }
  })

  it('nothing moves without most of the voters where that is asked for', () => {
    const room = new GrainTabs()
    const options: CoreOptions = { ...COUNTER, partition: 'majority' }
    for (let i = 0; i < 2; i++) {
      room.join(options)
      room.room.run(3_000)
    }
    room.room.run(8_000)
    expect(room.ask(room.tabs[1]!, 'likes').end).toMatchObject({ type: 'result' })
    const leader = room.tabs.find(({ grains, process }) => grains.council.leader === process)!
    const other = room.tabs.find((tab) => tab !== leader)!
    room.kill(leader)
    const op = room.call(other, 'likes')
    room.room.run(11_000)
    expect(op.end).toMatchObject({ type: 'error', code: 'deadline' })
  })
})

describe('when many are lost at once', () => {
  it('those who are left go on: a window with four of six tabs is closed', () => {
    const { room } = counting(6)
    for (const tab of room.tabs.slice(0, 4)) room.close(tab)
    const op = room.ask(room.tabs[0]!, 'likes')
    expect(op.end).toMatchObject({ type: 'result' })
    expect(op.endedAt - op.startedAt).toBeLessThan(2_000)
  })

  it('those who are left go on: four of six are killed', () => {
    const { room } = counting(6)
    const holders = room.tabs.filter(({ grains }) => grains.holdings.copyOf(partitionOf('counter', 'likes')))
    const stays = holders.find((tab) => tab !== room.hostsOf('likes')[0])!
    const other = room.tabs.find((tab) => tab !== stays)!
    for (const tab of room.tabs.filter((tab) => tab !== stays && tab !== other)) room.kill(tab)
    expect(room.ask(stays, 'likes').end).toMatchObject({ type: 'result' })
    room.check('likes')
  })
})
