/** Grains on real cores: over links and signaling, through losses and rebirths. */
import { describe, expect, it } from 'vitest'
import type { NodeCore } from '../../src/core/node.ts'
import { slotOf } from '../../src/core/partition/partition.ts'
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
    expect(caller.versionsOf('counter')).toEqual(new Set([1]))
    expect(caller.versionsOf('nothing')).toEqual(new Set())
    expect(room.ask(caller, 'likes').end).toMatchObject({ type: 'result' })
    expect(COUNTER.kinds!.size).toBe(1)
  })
})
