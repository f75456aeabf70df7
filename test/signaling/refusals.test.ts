/** What a client must not do, or not so often: it costs that client its connection, and nobody else anything. */
import { connect } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import type { SignalingServerOptions } from '../../signaling-server/index.ts'
import { CloseCode } from '../../src/adapters/signaling/protocol.ts'
import { hello, member, node, rawClient, startServer, until, type RawClient } from './support.ts'

let running: Awaited<ReturnType<typeof startServer>>

const start = async (options: SignalingServerOptions = {}): Promise<string> => {
  running = await startServer(options)
  return running.url
}

afterEach(() => running.server.close())

/** The client was told why by an error frame, and closed with the same code and reason. */
async function expectRefused(client: RawClient, code: number, reason: string): Promise<void> {
  const closed = await client.closed
  expect(client.frames.filter(({ t }) => t === 'error')).toEqual([{ t: 'error', code, reason }])
  expect(closed).toEqual({ code, reason })
}

/** Two members that can still talk, and were told of nothing but the end of those named. */
async function expectUntouched(one: RawClient, two: RawClient, ended: readonly string[]): Promise<void> {
  one.send({ t: 'signal', to: node(2), data: 'to two' })
  two.send({ t: 'signal', to: node(1), data: 'to one' })
  expect(await two.take('signal')).toEqual([{ t: 'signal', from: node(1), data: 'to two' }])
  expect(await one.take('signal')).toEqual([{ t: 'signal', from: node(2), data: 'to one' }])
  for (const client of [one, two]) {
    // A frame that is refused below `ws` ends the member's seat a moment after its client was told.
    await until(() => {
      expect(client.frames.filter(({ t }) => t !== 'welcome' && t !== 'signal')).toEqual(
        ended.map((gone) => ({ t: 'gone', node: gone })),
      )
    })
  }
}

const signal = { t: 'signal', to: node(1), data: 'x' } as const
const badFrames: [string, boolean, string | Buffer, string][] = [
  ['text that is no JSON', true, '{"t":', 'frame: not JSON'],
  ['an unknown type', true, '{"t":"steal"}', 't: unknown frame type "steal"'],
  ['a wrong field', true, '{"t":"signal","to":"all","data":""}', 'to: must be a nodeId'],
  ['a prototype key', true, '{"t":"bye","__proto__":{}}', '__proto__: not allowed'],
  ['too much data', true, JSON.stringify({ ...signal, data: 'x'.repeat(49_153) }), 'data: over 49152 bytes'],
  ['too large a frame', true, 'x'.repeat(65_537), 'frame: too large'],
  ['a huge frame', true, 'x'.repeat(5_000_000), 'frame: too large'],
  ['binary', true, Buffer.from('{"t":"contacts"}'), 'frame: binary, must be JSON text'],
  ['a second hello', true, JSON.stringify(hello(3)), 't: a second hello on one connection'],
  ['a signal before hello', false, JSON.stringify(signal), 't: the first frame must be a hello'],
  ['bye before hello', false, '{"t":"bye"}', 't: the first frame must be a hello'],
  ['a bad hello', false, '{"t":"hello","v":1,"room":""}', 'room: must have 1 to 128 characters'],
  ['binary before hello', false, Buffer.alloc(3), 'frame: binary, must be JSON text'],
  ['too large a hello', false, 'x'.repeat(65_537), 'frame: too large'],
]

test.each(badFrames)('%s (admitted: %s)', async (_, admitted, frame, reason) => {
  const url = await start()
  const [one, two] = [await member(url, 1), await member(url, 2)]
  const bad = admitted ? await member(url, 3) : rawClient(url)
  await bad.opened
  bad.send(frame)
  bad.send('{"t":"contacts"}')
  await expectRefused(bad, CloseCode.malformed, reason)
  await expectUntouched(one, two, admitted ? [node(3)] : [])
})

test.each([
  ['text that is not UTF-8', [0x81, 0x82, 0, 0, 0, 0, 0xc3, 0x28], 'frame: text is not UTF-8'],
  ['a frame that is not masked', [0x81, 0x02, 0x7b, 0x7d], 'frame: not a WebSocket frame'],
  ['an unknown opcode', [0x8b, 0x80, 0, 0, 0, 0], 'frame: not a WebSocket frame'],
])('%s, below ws', async (_, bytes, reason) => {
  const url = await start()
  const [one, two] = [await member(url, 1), await member(url, 2)]
  const socket = connect(running.port, '127.0.0.1')
  let received = Buffer.alloc(0)
  socket.on('data', (chunk: Buffer) => (received = Buffer.concat([received, chunk])))
  const ended = new Promise((resolve) => socket.on('close', resolve))
  socket.write(
    'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
  )
  await until(() => expect(received.toString()).toContain('101 Switching Protocols'))
  socket.write(Buffer.from(bytes))
  await ended
  expect(received.toString('latin1')).toContain(`{"t":"error","code":4400,"reason":"${reason}"}`)
  await expectUntouched(one, two, [])
})

describe('rates', () => {
  test('too many frames of one connection, while its neighbour on the same address goes on', async () => {
    const url = await start({ limits: { framesPerConnection: { burst: 50, perSecond: 1 } } })
    const [one, two] = [await member(url, 1), await member(url, 2)]
    const flood = await member(url, 3)
    for (let i = 0; i < 60; i++) flood.send({ t: 'signal', to: node(9), data: '' })
    const reason = 'too many frames: over 50 at once or 1 a second on one connection'
    await expectRefused(flood, CloseCode.rateLimited, reason)
    expect(flood.frames.filter(({ t }) => t === 'gone')).toHaveLength(49)
    await expectUntouched(one, two, [node(3)])
  })

  test('too many bytes of one connection', async () => {
    const url = await start({ limits: { bytesPerConnection: { burst: 10_000, perSecond: 1 } } })
    const [one, two] = [await member(url, 1), await member(url, 2)]
    const flood = await member(url, 3)
    for (let i = 0; i < 4; i++) flood.send({ t: 'signal', to: node(9), data: 'x'.repeat(3_000) })
    const reason = 'too many bytes: over 10000 at once or 1 a second on one connection'
    await expectRefused(flood, CloseCode.rateLimited, reason)
    await expectUntouched(one, two, [node(3)])
  })

  test('WebSocket pings count as frames', async () => {
    const url = await start({ limits: { framesPerConnection: { burst: 20, perSecond: 1 } } })
    const [one, two] = [await member(url, 1), await member(url, 2)]
    const flood = await member(url, 3)
    for (let i = 0; i < 25; i++) flood.socket.ping()
    expect((await flood.closed).code).toBe(CloseCode.rateLimited)
    await expectUntouched(one, two, [node(3)])
  })

  test('an address that reconnects for a new burst runs out all the same', async () => {
    const url = await start({ limits: { framesPerAddress: { burst: 30, perSecond: 0.001 } } })
    const codes: number[] = []
    for (let index = 1; index <= 4; index++) {
      const client = await member(url, index).catch(() => undefined)
      if (!client) break
      for (let i = 0; i < 12; i++) client.send({ t: 'contacts' })
      client.send({ t: 'bye' })
      codes.push((await client.closed).code)
      if (codes.at(-1) === CloseCode.rateLimited) break
    }
    expect(codes).toEqual([1000, 1000, CloseCode.rateLimited])
  })

  test('too many new connections of one address', async () => {
    const url = await start({ limits: { connectsPerAddress: { burst: 2, perSecond: 0.001 } } })
    const [one, two] = [await member(url, 1), await member(url, 2)]
    await expectRefused(rawClient(url), CloseCode.rateLimited, 'too many new connections from one address')
    await expectUntouched(one, two, [])
  })

  test('too many open connections of one address; a place is free again when one ends', async () => {
    const url = await start({ limits: { connectionsPerAddress: 2 } })
    const [one, two] = [await member(url, 1), await member(url, 2)]
    const third = rawClient(url)
    await expectRefused(third, CloseCode.rateLimited, 'too many connections from one address: at most 2')
    await expectUntouched(one, two, [])
    two.send({ t: 'bye' })
    await two.closed
    await expect(member(url, 3)).resolves.toMatchObject({ welcome: { contacts: [node(1)] } })
  })

  test('far beyond the limit a connection is not even opened', async () => {
    const url = await start({ limits: { connectionsPerAddress: 1 } })
    await member(url, 1)
    const second = rawClient(url)
    await second.opened
    second.socket.pause()
    const third = rawClient(url)
    expect((await third.closed).code).toBe(1006)
    second.socket.terminate()
  })

  test('the address may be told by a proxy', async () => {
    const url = await start({
      address: (request) => String(request.headers['x-real-ip']),
      limits: { connectionsPerAddress: 1 },
    })
    for (const address of ['10.0.0.1', '10.0.0.2']) {
      const client = rawClient(url, { 'x-real-ip': address })
      await client.opened
      client.send(hello(address === '10.0.0.1' ? 1 : 2))
      await client.take('welcome')
    }
    expect((await rawClient(url, { 'x-real-ip': '10.0.0.2' }).closed).code).toBe(CloseCode.rateLimited)
  })
})

describe('time', () => {
  test('no hello in time, whatever else is going on', async () => {
    const url = await start({ limits: { helloMs: 60 } })
    const [one, two] = [await member(url, 1), await member(url, 2)]
    const silent = rawClient(url)
    const pinging = rawClient(url)
    await pinging.opened
    const timer = setInterval(() => pinging.socket.ping(), 10)
    for (const client of [silent, pinging]) {
      await expectRefused(client, CloseCode.helloTimeout, 'no hello within 60 ms')
    }
    clearInterval(timer)
    await expectUntouched(one, two, [])
  })

  test('a member that answers no ping is ended and gone; those that do stay', async () => {
    const url = await start({ limits: { pingMs: 40 } })
    const watcher = await member(url, 1)
    const dead = await member(url, 2)
    let pings = 0
    watcher.socket.on('ping', () => pings++)
    dead.socket.pause()
    expect(await watcher.take('gone')).toEqual([{ t: 'gone', node: node(2) }])
    await until(() => expect(pings).toBeGreaterThan(3))
    expect(running.server.health().members).toBe(1)
    dead.socket.terminate()
  })

  test('a receiver that does not read is ended, its sender is not', async () => {
    const url = await start({
      limits: {
        bufferedBytes: 100_000,
        bytesPerConnection: { burst: 1e9, perSecond: 1e9 },
        bytesPerAddress: { burst: 1e9, perSecond: 1e9 },
        framesPerConnection: { burst: 1e6, perSecond: 1e6 },
        framesPerAddress: { burst: 1e6, perSecond: 1e6 },
      },
    })
    const sender = await member(url, 1)
    const deaf = await member(url, 2)
    deaf.socket.pause()
    const data = 'x'.repeat(40_000)
    await until(() => {
      for (let i = 0; i < 20; i++) sender.send({ t: 'signal', to: node(2), data })
      expect(sender.frames.some((frame) => frame.t === 'gone' && frame.node === node(2))).toBe(true)
    })
    expect(running.log.filter((line) => line.includes('does not read'))).toHaveLength(1)
    expect(sender.socket.readyState).toBe(sender.socket.OPEN)
    deaf.socket.terminate()
  })
})

describe('who may enter', () => {
  test('a page of another origin is told so, as is a client without origin', async () => {
    const url = await start({ origins: ['https://app.example.com'] })
    const friend = rawClient(url, { origin: 'https://App.example.com' })
    await friend.opened
    friend.send(hello(1))
    await friend.take('welcome')
    const foe = rawClient(url, { origin: 'https://evil.example' })
    await expectRefused(foe, CloseCode.forbiddenOrigin, 'origin: "https://evil.example", not in the list')
    await expectRefused(rawClient(url), CloseCode.forbiddenOrigin, 'origin: missing, not in the list')
  })

  test('a full room and a full server', async () => {
    const url = await start({ limits: { membersPerRoom: 1, rooms: 1 } })
    await member(url, 1)
    const second = rawClient(url)
    await second.opened
    second.send(hello(2))
    await expectRefused(second, CloseCode.roomFull, 'the room is full: it has 1 members')
    const third = rawClient(url)
    await third.opened
    third.send(hello(3, { room: 'other' }))
    await expectRefused(third, CloseCode.unavailable, 'the server is full: it keeps at most 1 rooms')
  })

  test('the authenticate hook decides, with all that is known', async () => {
    const asked: unknown[] = []
    const url = await start({
      authenticate: async (request) => {
        asked.push(request)
        if (request.token === 'boom') throw new Error('database down')
        return request.token === 'secret' || 'ask for an invitation'
      },
    })
    const friend = await member(url, 1, { token: 'secret' })
    expect(asked).toEqual([
      { token: 'secret', room: 'room', node: node(1), origin: undefined, address: '127.0.0.1' },
    ])
    const enter = async (index: number, token: string) => {
      const client = rawClient(url)
      await client.opened
      client.send(hello(index, { token }))
      return client
    }
    await expectRefused(await enter(2, 'wrong'), CloseCode.unauthorized, 'token: ask for an invitation')
    await expectRefused(await enter(3, 'boom'), CloseCode.unavailable, 'authentication is not available')
    expect(running.log.join('\n')).toContain('authenticate failed: database down')
    expect(friend.frames.map(({ t }) => t)).toEqual(['welcome'])
  })

  test('while the hook thinks, only bye is accepted, and it may not think for ever', async () => {
    const url = await start({ authenticate: () => new Promise(() => undefined), limits: { helloMs: 80 } })
    const clients = [rawClient(url), rawClient(url), rawClient(url)] as const
    await Promise.all(clients.map((client) => client.opened))
    for (const client of clients) client.send(hello(1))
    const [leaving, eager, patient] = clients
    leaving.send({ t: 'bye' })
    eager.send({ t: 'contacts' })
    expect(await leaving.closed).toEqual({ code: 1000, reason: 'bye' })
    await expectRefused(eager, CloseCode.malformed, 't: contacts before welcome')
    await expectRefused(patient, CloseCode.unavailable, 'authentication took too long')
    expect(running.server.health().members).toBe(0)
  })

  test('a long reason is cut to what a close frame can carry, and whole in the error frame', async () => {
    const reason = 'ä'.repeat(200)
    const url = await start({ authenticate: () => reason })
    const client = rawClient(url)
    await client.opened
    client.send(hello(1))
    const closed = await client.closed
    expect(client.frames).toEqual([{ t: 'error', code: CloseCode.unauthorized, reason: `token: ${reason}` }])
    expect(closed.reason).toBe(`token: ${'ä'.repeat(56)}...`)
  })
})
