/** What a server relays, how much of it, and what it answers where it does not. */
import { get } from 'node:http'
import { afterEach, describe, expect, test } from 'vitest'
import type { SignalingServerOptions } from '../../signaling-server/index.ts'
import { runCommand } from '../../signaling-server/command.ts'
import { CloseCode, RELAY_FRAME_COST } from '../../src/adapters/signaling/protocol.ts'
import { member, node, rawClient, startServer, until } from './support.ts'

let running: Awaited<ReturnType<typeof startServer>>

const start = async (options: SignalingServerOptions = {}): Promise<string> => {
  running = await startServer(options)
  return running.url
}

afterEach(() => running.server.close())

const DATA = 'AAAA'

describe('a server that relays', () => {
  test('announces its rate and carries pieces in order, with the sender overwritten', async () => {
    const url = await start()
    const [one, two] = [await member(url, 1), await member(url, 2)]
    expect(one.welcome.relay).toEqual({ bytesPerSecond: 64 * 1024, burst: 256 * 1024 })
    for (let i = 0; i < 100; i++) {
      const data = Buffer.from([i, i, i]).toString('base64')
      one.send(JSON.stringify({ t: 'relay', to: node(2), from: node(7), data }))
    }
    const relayed = await two.take('relay', 100)
    expect(relayed.map(({ from }) => from)).toEqual(Array(100).fill(node(1)))
    expect(relayed.map(({ data }) => Buffer.from(data, 'base64')[0])).toEqual([...Array(100).keys()])
    expect(running.server.counts()).toMatchObject({ relayedFrames: 100, relayedBytes: 400, relayRefusals: 0 })
  })

  test('an addressee who is not here, or in another room, is gone', async () => {
    const url = await start()
    const one = await member(url, 1)
    await member(url, 2, { room: 'other' })
    one.send({ t: 'relay', to: node(2), data: DATA })
    one.send({ t: 'relay', to: node(9), data: DATA })
    expect(await one.take('gone', 2)).toEqual([
      { t: 'gone', node: node(2) },
      { t: 'gone', node: node(9) },
    ])
  })

  test('a piece of 48 KiB arrives whole', async () => {
    const url = await start()
    const [one, two] = [await member(url, 1), await member(url, 2)]
    const data = 'Abc+/123'.repeat(6 * 1024)
    one.send({ t: 'relay', to: node(2), data })
    expect((await two.take('relay'))[0]?.data).toBe(data)
  })

  test.each<[string, object]>([
    ['data: must be base64', { to: node(1), data: 'not base64!' }],
    ['data: must be base64', { to: node(1), data: 'AA==AA' }],
    ['data: over 49152 bytes', { to: node(1), data: 'A'.repeat(49_156) }],
    ['data: must be a string', { to: node(1), data: ['AAAA'] }],
    ['to: must be a nodeId', { to: 'everybody', data: DATA }],
  ])('%s ends its sender alone', async (reason, fields) => {
    const url = await start()
    const [one, bad] = [await member(url, 1), await member(url, 2)]
    bad.send(JSON.stringify({ t: 'relay', ...fields }))
    expect(await bad.closed).toEqual({ code: CloseCode.malformed, reason })
    expect(await one.take('gone')).toEqual([{ t: 'gone', node: node(2) }])
    expect(one.frames.map(({ t }) => t)).toEqual(['welcome', 'gone'])
  })

  test('before the hello, or while the hook thinks, nothing is relayed', async () => {
    const url = await start({ authenticate: () => new Promise(() => undefined) })
    const [early, waiting] = [rawClient(url), rawClient(url)]
    await Promise.all([early.opened, waiting.opened])
    early.send({ t: 'relay', to: node(1), data: DATA })
    waiting.send({ t: 'hello', v: 1, room: 'room', node: node(1) })
    waiting.send({ t: 'relay', to: node(1), data: DATA })
    expect((await early.closed).reason).toBe('t: the first frame must be a hello')
    expect((await waiting.closed).reason).toBe('t: relay before welcome')
  })
})

describe('rates', () => {
  test('what is over the rate is refused, and signals are not touched by it', async () => {
    const burst = 10 * (4 + RELAY_FRAME_COST)
    const url = await start({ limits: { relayBytesPerConnection: { burst, perSecond: 1 } } })
    const [one, two] = [await member(url, 1), await member(url, 2)]
    expect(one.welcome.relay).toEqual({ bytesPerSecond: 1, burst })
    for (let i = 0; i < 15; i++) one.send({ t: 'relay', to: node(2), data: DATA })
    one.send({ t: 'signal', to: node(2), data: 'after' })
    await two.take('signal')
    expect(await two.take('relay')).toHaveLength(10)
    const reason = `too many bytes: over ${burst} at once or 1 a second relayed of one connection`
    expect(await one.take('relay-refused', 5)).toEqual(
      Array.from({ length: 5 }, () => ({ t: 'relay-refused', to: node(2), reason })),
    )
    expect(running.server.counts()).toMatchObject({ relayedFrames: 10, relayRefusals: 5, signals: 1 })
  })

  test('relayed bytes do not count among the others', async () => {
    const url = await start({
      limits: {
        bytesPerConnection: { burst: 2_000, perSecond: 1 },
        framesPerConnection: { burst: 10, perSecond: 1 },
      },
    })
    const [one, two] = [await member(url, 1), await member(url, 2)]
    for (let i = 0; i < 50; i++) one.send({ t: 'relay', to: node(2), data: 'A'.repeat(1_000) })
    await two.take('relay', 50)
    one.send({ t: 'signal', to: node(2), data: 'still here' })
    await two.take('signal')
  })

  test('whoever goes on against all refusals is ended', async () => {
    const url = await start({
      limits: {
        relayBytesPerConnection: { burst: 300, perSecond: 1 },
        framesPerConnection: { burst: 20, perSecond: 1 },
      },
    })
    const [one, two] = [await member(url, 1), await member(url, 2)]
    for (let i = 0; i < 30; i++) one.send({ t: 'relay', to: node(2), data: DATA })
    expect((await one.closed).code).toBe(CloseCode.rateLimited)
    expect(one.frames.filter(({ t }) => t === 'relay-refused')).toHaveLength(19)
    expect(await two.take('gone')).toEqual([{ t: 'gone', node: node(1) }])
  })

  test('all connections of one address share a rate', async () => {
    const burst = 3 * (4 + RELAY_FRAME_COST)
    const url = await start({ limits: { relayBytesPerAddress: { burst, perSecond: 0.001 } } })
    const [one, two] = [await member(url, 1), await member(url, 2)]
    for (let i = 0; i < 2; i++) {
      one.send({ t: 'relay', to: node(2), data: DATA })
      two.send({ t: 'relay', to: node(1), data: DATA })
    }
    await until(() => {
      const refused = [one, two].flatMap(({ frames }) => frames.filter(({ t }) => t === 'relay-refused'))
      expect(refused).toMatchObject([{ reason: expect.stringContaining('of one address') as string }])
    })
  })

  test('an addressee that does not read is refused, and lives', async () => {
    const many = { burst: 1e9, perSecond: 1e9 }
    const url = await start({
      limits: { bufferedBytes: 200_000, relayBytesPerConnection: many, relayBytesPerAddress: many },
    })
    const sender = await member(url, 1)
    const deaf = await member(url, 2)
    deaf.socket.pause()
    const data = 'A'.repeat(40_000)
    let sent = 0
    await until(() => {
      for (let i = 0; i < 20; i++, sent++) sender.send({ t: 'relay', to: node(2), data })
      expect(sender.frames.filter(({ t }) => t === 'relay-refused').length).toBeGreaterThan(10)
    })
    const refused = await sender.take('relay-refused')
    expect(refused[0]).toEqual({ t: 'relay-refused', to: node(2), reason: 'the addressee does not read' })
    deaf.socket.resume()
    sender.send({ t: 'signal', to: node(2), data: 'awake?' })
    await deaf.take('signal')
    expect(running.log).toEqual([])
    await until(() => {
      const { relayedFrames, relayRefusals } = running.server.counts()
      expect(relayedFrames + relayRefusals).toBe(sent)
      expect(deaf.frames.filter(({ t }) => t === 'relay')).toHaveLength(relayedFrames)
    })
  })
})

test.each([
  ['the option', async () => start({ relay: false })],
  [
    'the flag',
    async () => {
      await start()
      const command = await runCommand(['--port', '0', '--no-relay', '--quiet'], console_)
      if (typeof command === 'number') throw new Error('it does not run')
      const { close } = running.server
      running.server.close = async () => {
        await command.stop()
        await close.call(running.server)
      }
      return command.url
    },
  ],
])('%s turns it off: no rate is announced, and every piece is refused', async (_, open) => {
  const url = await open()
  const [one, two] = [await member(url, 1), await member(url, 2)]
  expect(one.welcome).not.toHaveProperty('relay')
  one.send({ t: 'relay', to: node(2), data: DATA })
  expect(await one.take('relay-refused')).toEqual([
    { t: 'relay-refused', to: node(2), reason: 'this server does not relay' },
  ])
  expect(two.frames.map(({ t }) => t)).toEqual(['welcome'])
})

const console_ = { out: () => undefined, err: () => undefined }

test('/metrics and /readyz', async () => {
  const url = await start()
  const [one, two] = [await member(url, 1), await member(url, 2)]
  one.send({ t: 'relay', to: node(2), data: DATA })
  one.send({ t: 'signal', to: node(2), data: 'x' })
  await two.take('signal')
  const read = (path: string) =>
    new Promise<{ status: number; type: string; body: string }>((resolve, reject) => {
      get(`${running.httpUrl}${path}`, (response) => {
        let body = ''
        response.on('data', (chunk: Buffer) => (body += chunk.toString()))
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, type: response.headers['content-type'] ?? '', body }),
        )
      }).on('error', reject)
    })
  const { status, type, body } = await read('/metrics')
  expect([status, type]).toEqual([200, 'text/plain; version=0.0.4'])
  const values = Object.fromEntries(
    body
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => line.replace('grainmesh_signaling_', '').split(' ')),
  ) as Record<string, string>
  const counts = running.server.counts()
  expect(values).toMatchObject({
    rooms: '1',
    members: '2',
    signals_total: '1',
    relayed_frames_total: '1',
    relayed_bytes_total: '4',
    relay_refusals_total: '0',
    received_frames_total: '4',
    received_bytes_total: String(counts.bytesReceived),
    sent_frames_total: String(counts.framesSent),
    sent_bytes_total: String(counts.bytesSent),
  })
  expect(counts.bytesReceived).toBeGreaterThan(200)
  expect(await read('/readyz')).toMatchObject({ status: 200, type: 'application/json' })
})
