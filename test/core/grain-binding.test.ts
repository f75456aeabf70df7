/** Grains on real cores: over links and signaling, through losses and rebirths. */
import { describe, expect, it } from 'vitest'
import type { ClusterEvent } from '../../src/core/events.ts'
import { parseNodeId } from '../../src/core/identity/node-id.ts'
import type { NodeCore } from '../../src/core/node.ts'
import { SLOTS } from '../../src/core/partition/partition.ts'
import { COUNTER, GrainTabs } from './support/grain-tabs.ts'

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
      expect(next.endedAt - next.startedAt).toBeLessThan(1_000)
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
    expect(caller.versionsOf('counter')).toEqual(new Set([1]))
    expect(caller.versionsOf('nothing')).toEqual(new Set())
    expect(room.ask(caller, 'likes').end).toMatchObject({ type: 'result' })
    expect(COUNTER.kinds!.size).toBe(1)
  })
})
