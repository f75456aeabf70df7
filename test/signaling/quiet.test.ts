/** For how long the server says that nobody can be on the way back. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { beforeEach, describe, expect, test } from 'vitest'
import { createSignalingServer } from '../../signaling-server/index.ts'
import { Rooms, type RoomsOptions } from '../../signaling-server/rooms.ts'
import type { ClientFrame } from '../../src/adapters/signaling/protocol.ts'
import { hello, member, node, startServer } from './support.ts'

const LONG_AGO = 60_000

let now: number
let rooms: Rooms
let connections: number

const make = (options: Partial<RoomsOptions> = {}): void => {
  rooms = new Rooms({ rooms: 10, membersPerRoom: 100, random: () => 0.5, now: () => now, ...options })
}

beforeEach(() => {
  now = 5_000_000.75
  connections = 0
  make({ fresh: true })
})

interface Socket {
  /** What the welcome said. */
  readonly quietMs: number | undefined
  readonly resume: string
  ask(): number | undefined
  bye(): void
  lost(): void
}

/** Lets member `index` in on a socket of its own. */
function enter(index: number, more: Partial<Extract<ClientFrame, { t: 'hello' }>> = {}): Socket {
  const connection = ++connections
  const say = (frame: ClientFrame) => {
    const frames = rooms
      .handle({ type: 'frame', connection, frame })
      .flatMap((output) => (output.type === 'send' && output.connection === connection ? output.frame : []))
    return frames[0]
  }
  const welcome = say(hello(index, more))
  if (welcome?.t !== 'welcome') throw new Error(`no welcome but ${JSON.stringify(welcome)}`)
  return {
    quietMs: welcome.quietMs,
    resume: welcome.resume,
    ask() {
      const answer = say({ t: 'contacts' })
      if (answer?.t !== 'contacts') throw new Error(`no contacts but ${JSON.stringify(answer)}`)
      return answer.quietMs
    },
    bye: () => void say({ t: 'bye' }),
    lost: () => void rooms.handle({ type: 'ended', connection }),
  }
}

/** A socket of a room that ended without goodbye just now. */
const lostOne = (index: number, room = 'room'): void => enter(index, { room }).lost()

describe('a start', () => {
  test('counts: tabs may be coming back from before it', () => {
    make()
    now += 1_234.5
    const one = enter(1)
    expect(one.quietMs).toBe(1_234)
    now += 10_000
    expect(one.ask()).toBe(11_234)
    now += 3_600_000
    expect(one.ask()).toBe(LONG_AGO)
  })

  test('does not count where it is fresh', () => {
    expect(enter(1).quietMs).toBe(LONG_AGO)
    rooms.handle({ type: 'reachable' })
    expect(enter(1, { room: 'other' }).quietMs).toBe(LONG_AGO)
  })

  test('is not before clients can connect', () => {
    make()
    now += 30_000
    rooms.handle({ type: 'reachable' })
    now += 7
    expect(enter(1).quietMs).toBe(7)
  })
})

describe('an end', () => {
  test('without goodbye counts for those who are left, and for who comes later', () => {
    const one = enter(1)
    lostOne(2)
    now += 400
    expect(one.ask()).toBe(400)
    one.bye()
    now += 600
    expect(enter(3).quietMs).toBe(1_000)
  })

  test('with goodbye does not count', () => {
    const one = enter(1)
    enter(2).bye()
    now += 5
    expect(one.ask()).toBe(LONG_AGO)
    one.bye()
    expect(enter(3).quietMs).toBe(LONG_AGO)
  })

  test('forced by the server counts', () => {
    const connection = ++connections
    rooms.handle({ type: 'frame', connection, frame: hello(1) })
    rooms.handle({ type: 'frame', connection, frame: hello(1) })
    now += 20
    expect(enter(2).quietMs).toBe(20)
  })

  test('in another room does not count', () => {
    lostOne(2, 'other')
    now += 5
    expect(enter(1).quietMs).toBe(LONG_AGO)
  })

  test('is not taken back by the return and goodbye of its node', () => {
    lostOne(2)
    now += 100
    enter(2).bye()
    now += 100
    expect(enter(1).quietMs).toBe(200)
  })
})

describe('the own sockets', () => {
  test('do not count: lost and back, in a room that was empty or not', () => {
    lostOne(1)
    now += 50
    expect(enter(1).quietMs).toBe(LONG_AGO)
    expect(enter(2).quietMs).toBe(50)
  })

  test('do not count: taken over', () => {
    const { resume } = enter(1)
    now += 50
    expect(enter(1, { resume }).ask()).toBe(LONG_AGO)
  })

  test('do not hide an end of another before or between them', () => {
    lostOne(2)
    now += 100
    lostOne(1)
    now += 100
    lostOne(1)
    now += 100
    const one = enter(1)
    expect(one.quietMs).toBe(300)
    lostOne(2)
    now += 5
    lostOne(3)
    now += 7
    one.lost()
    expect(enter(1).quietMs).toBe(7)
  })

  test('count for another life of the same tab', () => {
    lostOne(1)
    now += 50
    expect(enter(1, { node: node(1, 2) }).quietMs).toBe(50)
  })
})

test('who is there makes no difference', () => {
  const one = enter(1)
  const two = enter(2)
  now += 1_000
  expect([two.quietMs, one.ask(), two.ask()]).toEqual([LONG_AGO, LONG_AGO, LONG_AGO])
})

describe('rooms with nobody', () => {
  test('are remembered for a minute, and only where that makes a difference', () => {
    enter(1, { room: 'polite' }).bye()
    expect(rooms.rememberedCount).toBe(0)
    lostOne(1)
    expect(rooms.rememberedCount).toBe(1)
    now += LONG_AGO - 1
    rooms.sweep()
    expect(rooms.rememberedCount).toBe(1)
    now += 1
    rooms.sweep()
    expect(rooms.rememberedCount).toBe(0)
    expect(enter(2).quietMs).toBe(LONG_AGO)
  })

  test('are remembered up to a bound; what was dropped counts for every room that is not known', () => {
    make({ fresh: true, rooms: 3 })
    const here = enter(9, { room: 'here' })
    for (let index = 0; index < 50; index++) {
      now += 10
      lostOne(1, `room ${index}`)
      expect(rooms.rememberedCount).toBeLessThanOrEqual(3)
    }
    now += 10
    expect(enter(2, { room: 'room 48' }).quietMs).toBe(20)
    // room 46, the last that was dropped
    expect(enter(2, { room: 'never seen' }).quietMs).toBe(40)
    expect(here.ask()).toBe(LONG_AGO)
  })

  test('never say longer than is true, whatever happens', () => {
    make({ fresh: true, rooms: 3 })
    let state = 1
    const below = (n: number): number => (state = (state * 48_271) % 2_147_483_647) % n
    const lastEnds = new Map<string, { index: number; at: number }[]>()
    for (let step = 0; step < 5_000; step++) {
      now += below(3_000)
      const room = `room ${below(12)}`
      const index = 1 + below(4)
      const ends = lastEnds.get(room) ?? []
      lastEnds.set(room, ends)
      const socket = enter(index, { room })
      const last = Math.max(-Infinity, ...ends.filter((end) => end.index !== index).map(({ at }) => at))
      expect(socket.quietMs).toBeLessThanOrEqual(now - last)
      if (below(2) === 0) socket.bye()
      else {
        socket.lost()
        ends.push({ index, at: now })
      }
    }
  })
})

describe('over sockets', () => {
  test('a server that starts is not quiet, one that starts afresh is', async () => {
    const [again, first] = [await startServer({ fresh: false }), await startServer({ fresh: true })]
    try {
      const [one, two] = [await member(again.url, 1), await member(first.url, 1)]
      expect(one.welcome.quietMs).toBeLessThan(10_000)
      expect(two.welcome.quietMs).toBe(LONG_AGO)
      ;(await member(first.url, 2)).socket.terminate()
      await two.take('gone')
      two.send({ t: 'contacts' })
      expect((await two.take('contacts'))[0]?.quietMs).toBeLessThan(10_000)
    } finally {
      await Promise.all([again.server.close(), first.server.close()])
    }
  })

  test('a server starts when the HTTP server that it is attached to listens', async () => {
    const http = createServer()
    const listeners = http.listenerCount('listening')
    const signaling = createSignalingServer({ server: http })
    await new Promise((resolve) => setTimeout(resolve, 300))
    const listening = performance.now()
    http.listen(0, '127.0.0.1')
    await once(http, 'listening')
    const { welcome } = await member(`ws://127.0.0.1:${(http.address() as AddressInfo).port}`, 1)
    expect(welcome.quietMs).toBeLessThanOrEqual(performance.now() - listening)
    await signaling.close()
    expect(http.listenerCount('listening')).toBe(listeners)
    http.close()
  })
})
