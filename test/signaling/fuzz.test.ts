/**
 * 100,000 random and mutated frames into the signaling server: 94,000 through parser and rooms directly, where a
 * refused connection costs nothing to replace, and 6,000 over real sockets, where most frames end theirs.
 * `FUZZ_SEED=n` replays another run than the usual one.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { Rooms, type RoomsOutput } from '../../signaling-server/rooms.ts'
import {
  encodeClientFrame,
  encodeServerFrame,
  parseClientFrame,
  parseServerFrame,
  type ClientFrame,
} from '../../src/adapters/signaling/protocol.ts'
import { hello, member, node, rawClient, seeded, startServer, until } from './support.ts'

const SEED = Number(process.env['FUZZ_SEED'] ?? 20_261)
const DIRECT_FRAMES = 94_000
const SOCKET_FRAMES = 6_000
const ATTACKERS = 24

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

function heapBytes(): number {
  collectGarbage()
  return process.memoryUsage().heapUsed
}

/** Frames as an attacker would make them: some good, most a good one with something wrong about it. */
function frameSource(random: () => number) {
  const below = (n: number): number => Math.floor(random() * n)
  const pick = <T>(list: readonly T[]): T => list[below(list.length)]!
  const values: readonly (() => unknown)[] = [
    () => null,
    () => true,
    () => below(1e6) - 500_000,
    () => random() * 1e300,
    () => '',
    () => node(below(ATTACKERS + 4)),
    () => node(1).slice(0, below(40)),
    () => 'x'.repeat(below(200)),
    () => '\u{1f600}\u0000\u2028"\\'.repeat(below(20)),
    () => [],
    () => [node(1), [node(2)]],
    () => ({ t: 'hello', toString: 1 }),
    () => pick(['__proto__', 'constructor', 'hasOwnProperty', 'welcome', 'goaway', 'error']),
  ]
  const keys = [
    't',
    'v',
    'room',
    'node',
    'resume',
    'token',
    'to',
    'data',
    'from',
    'constructor',
    '__proto__',
    'x',
  ]

  const good = (): ClientFrame => {
    switch (below(7)) {
      case 0:
      case 1:
        return hello(3 + below(3 * ATTACKERS), { room: below(3) === 0 ? `side ${below(5)}` : 'room' })
      case 2:
        return { t: 'contacts' }
      case 3:
        return { t: 'bye' }
      case 4:
        return { t: 'relay', to: node(1 + below(ATTACKERS + 4)), data: 'dDd+'.repeat(below(20)) }
      default:
        return { t: 'signal', to: node(1 + below(ATTACKERS + 4)), data: 'd'.repeat(below(50)) }
    }
  }
  const withWrongFields = (): string => {
    const frame: Record<string, unknown> = { ...good() }
    for (let i = below(3); i >= 0; i--) {
      const key = pick(keys)
      if (below(4) === 0) delete frame[key]
      else Object.defineProperty(frame, key, { value: pick(values)(), enumerable: true, configurable: true })
    }
    return JSON.stringify(frame)
  }
  const withWrongText = (): string => {
    const text = encodeClientFrame(good())
    const at = below(text.length)
    switch (below(5)) {
      case 0:
        return text.slice(0, at)
      case 1:
        return text.slice(0, at) + String.fromCharCode(below(0xd7ff)) + text.slice(at + 1)
      case 2:
        return text.slice(0, at) + text
      case 3:
        return text.slice(0, at) + text.slice(at + 1 + below(5))
      default:
        return text.replace(
          '{',
          pick(['{"__proto__":{"t":"bye"},', '{"constructor":1,', '{"t":"bye",', '[{']),
        )
    }
  }
  const noise = (): string => {
    switch (below(40)) {
      case 0:
        return 'x'.repeat(65_000 + below(1_200))
      case 1:
        return '[{"t":'.repeat(below(8_000))
      case 2:
        return encodeClientFrame({
          t: 'signal',
          to: node(1 + below(4)),
          data: 'y'.repeat(48_900 + below(600)),
        })
      default:
        return Array.from({ length: below(60) }, () => String.fromCharCode(below(0xd7ff))).join('')
    }
  }
  return (): string => {
    const kind = below(10)
    return kind < 3
      ? encodeClientFrame(good())
      : kind < 6
        ? withWrongFields()
        : kind < 8
          ? withWrongText()
          : noise()
  }
}

test(`${DIRECT_FRAMES} frames through parser and rooms (seed ${SEED})`, () => {
  const random = seeded(SEED)
  const nextFrame = frameSource(random)
  const relay = { bytesPerSecond: 1_000, burst: 1_000 }
  const rooms = new Rooms({ rooms: 100, membersPerRoom: 100, relay, random, now: () => 0 })
  const [ONE, TWO] = [1, 2]
  const admit = (connection: number, index: number) =>
    rooms.handle({ type: 'frame', connection, frame: hello(index) })
  admit(ONE, 1)
  admit(TWO, 2)

  let lastConnection = 2
  const greeted = new Set<number>()
  const someHello = (): ClientFrame => hello(3 + Math.floor(random() * 3 * ATTACKERS))
  const attackers = Array.from({ length: ATTACKERS }, () => ++lastConnection)
  const counts = { refused: 0, forwarded: 0, relayed: 0, admitted: 0, exchanged: 0 }

  const replace = (connection: number): void => {
    const slot = attackers.indexOf(connection)
    if (slot < 0) throw new Error(`closed a connection that is no attacker's: ${connection}`)
    attackers[slot] = ++lastConnection
    greeted.delete(connection)
    counts.refused++
  }
  /** Whatever an attacker does: the two get signals, pieces of links and `gone` only, and no connection but its own is closed. */
  const check = (sender: number, outputs: readonly RoomsOutput[]): void => {
    for (const output of outputs) {
      if (output.type === 'close') {
        if (output.connection !== sender) throw new Error(`${sender} closed ${output.connection}`)
        replace(sender)
        continue
      }
      const { t } = output.frame
      if (t === 'welcome') counts.admitted++
      if (t === 'signal') counts.forwarded++
      if (output.type === 'relay') {
        counts.relayed++
        if (output.sender !== sender) throw new Error(`${sender} relayed in the name of ${output.sender}`)
      }
      if (output.connection === ONE || output.connection === TWO) {
        if (t !== 'signal' && t !== 'relay' && t !== 'gone') throw new Error(`${t} for a bystander`)
      }
      const encoded = parseServerFrame(encodeServerFrame(output.frame))
      if (!encoded.ok) throw new Error(`sent a bad frame: ${encoded.reason}`)
    }
  }

  let warmHeap = 0
  for (let sent = 0; sent < DIRECT_FRAMES; sent++) {
    const slot = Math.floor(random() * ATTACKERS)
    const sender = attackers[slot]!
    // A newcomer often says hello first, or hardly any attack would reach what lies behind it.
    const isNew = !greeted.has(sender)
    greeted.add(sender)
    const parsed = parseClientFrame(isNew && random() < 0.7 ? encodeClientFrame(someHello()) : nextFrame())
    if (parsed.ok) {
      check(sender, rooms.handle({ type: 'frame', connection: sender, frame: parsed.frame }))
    } else {
      if (!/^\S+: ./.test(parsed.reason) || parsed.reason.length > 200)
        throw new Error(`bad reason: ${parsed.reason}`)
      check(sender, rooms.handle({ type: 'ended', connection: sender }))
      replace(sender)
    }
    if (sent % 100 === 0) {
      for (const [from, to, index] of [
        [ONE, TWO, 2],
        [TWO, ONE, 1],
      ] as const) {
        const data = `round ${sent}`
        const outputs = rooms.handle({
          type: 'frame',
          connection: from,
          frame: { t: 'signal', to: node(index), data },
        })
        expect(outputs).toEqual([
          { type: 'send', connection: to, frame: { t: 'signal', from: node(3 - index), data } },
        ])
        counts.exchanged++
      }
    }
    if (sent === 10_000) warmHeap = heapBytes()
  }

  expect(rooms.memberCount).toBeLessThanOrEqual(ATTACKERS + 2)
  expect(rooms.roomCount).toBeLessThanOrEqual(6 + ATTACKERS)
  expect(counts.exchanged).toBe((DIRECT_FRAMES / 100) * 2)
  // The fuzz must reach both the refusals and what lies behind the parser.
  expect(counts.refused).toBeGreaterThan(DIRECT_FRAMES / 3)
  expect(counts.admitted).toBeGreaterThan(1_000)
  expect(counts.forwarded).toBeGreaterThan(1_000)
  expect(counts.relayed).toBeGreaterThan(500)
  // What lives on is bounded by the 26 members, some KB in all; 2 MiB allows for compiled code and for the test's own
  // bookkeeping. One string of 20 bytes kept for each of the 84,000 frames since would already be over it.
  expect(heapBytes() - warmHeap).toBeLessThan(2 * 1024 * 1024)
})

test(`${SOCKET_FRAMES} frames over real sockets (seed ${SEED})`, async () => {
  const unlimited = { burst: 1e12, perSecond: 1e12 }
  const { server, url, log } = await startServer({
    limits: {
      // One address plays all attackers here; what a connection may do stays as it is by default.
      connectsPerAddress: unlimited,
      framesPerAddress: unlimited,
      bytesPerAddress: unlimited,
      connectionsPerAddress: 10_000,
    },
  })
  const [one, two] = [await member(url, 1), await member(url, 2)]
  let rounds = 0
  let running = true
  const bounce = (from: typeof one, to: typeof one): void => {
    to.socket.on('message', () => {
      const received = to.frames.at(-1)
      if (!running || received?.t !== 'signal' || received.from !== from.node || received.data !== 'ping')
        return
      rounds++
      // 20 ms apart, so that the two stay far within what one connection may send.
      setTimeout(() => to.send({ t: 'signal', to: from.node, data: 'ping' }), 20)
    })
  }
  bounce(one, two)
  bounce(two, one)
  one.send({ t: 'signal', to: two.node, data: 'ping' })

  let sent = 0
  let closedByServer = 0
  const attack = async (random: () => number, share: number): Promise<void> => {
    const nextFrame = frameSource(random)
    let mine = 0
    while (mine < share) {
      const attacker = rawClient(url)
      await attacker.opened
      if (random() < 0.5) attacker.send(hello(3 + Math.floor(random() * ATTACKERS)))
      for (let i = 0; i < 4 && mine < share && attacker.socket.readyState === WebSocket.OPEN; i++) {
        const text = nextFrame()
        attacker.send(random() < 0.05 ? Buffer.from(text) : text)
        mine++
        sent++
      }
      // Where all frames happened to be good, this one ends the connection.
      attacker.send('the end')
      const { code } = await attacker.closed
      if (code >= 4000) closedByServer++
    }
  }
  const wave = (base: number, frames: number) =>
    Promise.all(Array.from({ length: 20 }, (_, i) => attack(seeded(SEED + base + i), frames / 20)))

  await wave(0, SOCKET_FRAMES / 3)
  await until(() => expect(server.health().members).toBe(2))
  const forget = (): void => {
    log.length = 0
    one.frames.length = 0
    two.frames.length = 0
  }
  forget()
  const warmHeap = heapBytes()
  await wave(1_000, (SOCKET_FRAMES * 2) / 3)
  await until(() => expect(server.health().members).toBe(2))
  const harmless = new Set(['signal', 'relay', 'gone'])
  expect(one.frames.filter(({ t }) => !harmless.has(t))).toEqual([])
  expect(two.frames.filter(({ t }) => !harmless.has(t))).toEqual([])
  forget()
  // Closed sockets of both sides are garbage by now, or soon: polled, since their last events are still under way.
  // 1,000 and more connections came and went since `warmHeap`; one leaked with its buckets and listeners is over
  // 10 KB, so that leaking all of them would be over 10 MB. 4 MiB allows for what Node pools.
  await until(() => expect(heapBytes() - warmHeap).toBeLessThan(4 * 1024 * 1024))

  expect(sent).toBe(SOCKET_FRAMES)
  expect(closedByServer).toBeGreaterThan(1_000)
  const before = rounds
  await until(() => expect(rounds).toBeGreaterThan(before + 2))
  expect(rounds).toBeGreaterThan(10)
  running = false
  expect([one.socket.readyState, two.socket.readyState]).toEqual([WebSocket.OPEN, WebSocket.OPEN])
  await server.close()
})
