/** The client adapter over real sockets, against the real server. */
import { afterEach, describe, expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import type { SignalingServerOptions } from '../../signaling-server/index.ts'
import { createSignalingClient, type SignalingClientOptions } from '../../src/adapters/signaling/client.ts'
import type { RelayRate, SignalingSession } from '../../src/ports.ts'
import { member, node, realClock, startServer, until } from './support.ts'

const cleanups: (() => unknown)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function start(options: SignalingServerOptions = {}, port = 0) {
  const running = await startServer(options, port)
  cleanups.push(() => running.server.close())
  return running
}

/** A session that writes down what its handlers are told. */
function join(
  url: string | string[],
  index: number,
  more: Partial<SignalingClientOptions> = {},
  room = 'room',
) {
  const calls: string[] = []
  const rates: (RelayRate | undefined)[] = []
  const quiet: (number | undefined)[] = []
  const problems: string[] = []
  const sockets: WebSocket[] = []
  const signaling = createSignalingClient({
    urls: url,
    createSocket: (to) => {
      const socket = new WebSocket(to)
      sockets.push(socket)
      return socket
    },
    clock: realClock,
    random: Math.random,
    backoffMinMs: 5,
    backoffMaxMs: 40,
    onProtocolError: (reason) => problems.push(reason),
    ...more,
  })
  const session = signaling.open(room, node(index), {
    onUp: (contacts, rate, quietMs) => {
      calls.push(`up ${contacts.join(' ')}`.trim())
      rates.push(rate)
      quiet.push(quietMs)
    },
    onContacts: (contacts, quietMs) => {
      calls.push(`contacts ${contacts.join(' ')}`.trim())
      quiet.push(quietMs)
    },
    onMessage: (from, data) => calls.push(`message ${from} ${data}`),
    onRelay: (from, data) => calls.push(`relay ${from} ${data}`),
    onRelayRefused: (to, reason) => calls.push(`relay-refused ${to} ${reason}`),
    onGone: (nodeId) => calls.push(`gone ${nodeId}`),
    onDown: (reason) => calls.push(`down ${reason}`),
    onRefused: (reason) => calls.push(`refused ${reason}`),
  })
  cleanups.push(() => session.close())
  const told = (what: string, count = 1) =>
    until(() => expect(calls.filter((call) => call.startsWith(what)).length, calls.join('\n')).toBe(count))
  return { session, calls, rates, quiet, problems, sockets, told }
}

async function expectExchange(
  a: { session: SignalingSession; calls: string[] },
  b: { session: SignalingSession; calls: string[] },
  data: string,
): Promise<void> {
  a.session.send(node(2), data)
  b.session.send(node(1), data)
  await until(() => {
    expect(a.calls).toContain(`message ${node(2)} ${data}`)
    expect(b.calls).toContain(`message ${node(1)} ${data}`)
  })
}

describe('with a server', () => {
  test('joins, hears of contacts, exchanges signals, learns who is gone', async () => {
    const { url } = await start()
    const one = join(url, 1)
    expect(one.calls).toEqual([])
    await one.told('up')
    const two = join([url], 2)
    await two.told('up')
    expect([one.calls, two.calls]).toEqual([['up'], [`up ${node(1)}`]])
    await expectExchange(one, two, 'offer ä😀')
    one.session.askContacts()
    await one.told(`contacts ${node(2)}`)
    one.session.send(node(9), 'anybody?')
    await one.told(`gone ${node(9)}`)
    two.sockets[0]?.terminate()
    await one.told(`gone ${node(2)}`)
  })

  test('comes back by itself after its connection is cut', async () => {
    const { url } = await start()
    const [one, two] = [join(url, 1), join(url, 2)]
    await Promise.all([one.told('up'), two.told('up')])
    two.sockets[0]?.terminate()
    await two.told('up', 2)
    await two.told('down')
    await expectExchange(one, two, 'again')
  })

  test('goes on when the server is stopped and started again on the same port', async () => {
    const first = await start()
    const [one, two] = [join(first.url, 1), join(first.url, 2)]
    await Promise.all([one.told('up'), two.told('up')])
    await first.server.close()
    await Promise.all([one.told('down'), two.told('down')])
    // Several attempts fail meanwhile; only the outage itself is told.
    await until(() => expect(one.sockets.length).toBeGreaterThan(4))
    one.session.send(node(2), 'lost')
    await start({}, first.port)
    await Promise.all([one.told('up', 2), two.told('up', 2)])
    await expectExchange(one, two, 'after')
    expect(two.calls.join()).not.toContain('lost')
    expect(one.calls.filter((call) => call.startsWith('down'))).toHaveLength(1)
    expect(one.calls.filter((call) => call.startsWith('gone'))).toEqual([])
  })

  test('a drained server is left at its word and found again', async () => {
    const first = await start({ retryMs: 30 })
    const one = join(first.url, 1)
    await one.told('up')
    await first.server.close({ drain: 2_000 })
    await one.told('down the signaling server is about to stop')
    await start({}, first.port)
    await one.told('up', 2)
  })

  test('takes over its own half-open socket, which nobody notices', async () => {
    const { url } = await start()
    const watcher = await member(url, 1)
    // A network that swallows everything: the server's socket stays open, the client gives up on it.
    const two = join(url, 2, { connectTimeoutMs: 60 })
    await two.told('up')
    two.sockets[0]?.pause()
    two.session.askContacts()
    await two.told('down the signaling server does not answer')
    await two.told('up', 2)
    watcher.send({ t: 'signal', to: node(2), data: 'hello again' })
    await two.told(`message ${node(1)} hello again`)
    expect(watcher.frames.map(({ t }) => t)).toEqual(['welcome'])
    two.sockets[0]?.terminate()
  })

  test('relays where the server said so, in order, and is told what was not', async () => {
    const { url } = await start({ limits: { relayBytesPerConnection: { burst: 300, perSecond: 1 } } })
    const [one, two] = [join(url, 1), join(url, 2)]
    one.session.relay?.(node(2), 'dropped=')
    await Promise.all([one.told('up'), two.told('up')])
    expect(one.rates).toEqual([{ burst: 300, bytesPerSecond: 1 }])
    one.session.relay?.(node(2), 'AAAA')
    one.session.relay?.(node(2), 'BBBB')
    await two.told(`relay ${node(1)} AAAA`)
    await one.told(`relay-refused ${node(2)} too many bytes: over 300 at once`)
    expect(two.calls.filter((call) => call.startsWith('relay'))).toEqual([`relay ${node(1)} AAAA`])
    one.session.relay?.(node(2), 'A'.repeat(49_153))
    expect(one.problems).toEqual(['not relayed: 49153 characters are too many'])
  })

  test('relays nothing where the server did not say so, as an older one', async () => {
    const { url, server } = await start({ relay: false })
    const [one, two] = [join(url, 1), join(url, 2)]
    await Promise.all([one.told('up'), two.told('up')])
    expect(one.rates).toEqual([undefined])
    one.session.relay?.(node(2), 'AAAA')
    await expectExchange(one, two, 'after')
    expect(one.calls.join()).not.toContain('relay')
    expect(server.counts().relayRefusals).toBe(0)
  })

  test('hears for how long its room has been quiet, its own lost socket aside', async () => {
    const { url } = await start()
    const one = join(url, 1)
    await one.told('up')
    one.sockets[0]?.terminate()
    await one.told('up', 2)
    const two = join(url, 2)
    await two.told('up')
    expect(one.quiet).toEqual([60_000, 60_000])
    // The socket that was lost was another's.
    expect(two.quiet[0]).toBeLessThan(60_000)
    two.session.close()
    await one.told(`gone ${node(2)}`)
    one.session.askContacts()
    await one.told('contacts')
    expect(one.quiet[2]).toBeLessThan(60_000)
  })

  test('goodbye is received, and tells nobody that it is gone', async () => {
    const { url, server } = await start()
    const watcher = await member(url, 1)
    const two = join(url, 2)
    await two.told('up')
    two.session.send(node(1), 'last words')
    two.session.goodbye()
    await until(() => expect(server.health().members).toBe(1))
    // What comes to the watcher after this, comes after all that the goodbye has led to.
    const three = join(url, 3)
    await three.told('up')
    three.session.send(node(1), 'and later ones')
    await until(() => expect(watcher.frames).toHaveLength(3))
    expect(watcher.frames.map(({ t }) => t)).toEqual(['welcome', 'signal', 'signal'])
    expect(two.calls).toEqual([`up ${node(1)}`])
  })

  test('tries the URLs in turn', async () => {
    const { url } = await start()
    const one = join(['ws://127.0.0.1:1/', url], 1)
    await one.told('up')
    await one.told('down ws://127.0.0.1:1/ cannot be reached')
    expect(one.sockets.map((socket) => socket.url)).toEqual(['ws://127.0.0.1:1/', `${url}/`])
  })

  test('a token function is asked for every connection, and may fail', async () => {
    const tokens: (string | undefined)[] = []
    const { url } = await start({
      authenticate: ({ token }) => {
        tokens.push(token)
        return true
      },
    })
    let calls = 0
    const token = async () => {
      if (++calls === 1) throw new Error('offline')
      return `token ${calls}`
    }
    const one = join(url, 1, { token })
    await one.told('up')
    await one.told('down the token function failed: offline')
    one.sockets[0]?.terminate()
    await one.told('up', 2)
    expect(tokens).toEqual(['token 2', 'token 3'])
  })

  test('a token function that never answers is given up', async () => {
    const { url } = await start()
    let calls = 0
    const token = () => (++calls === 1 ? new Promise<string>(() => undefined) : 'second')
    const one = join(url, 1, { token, connectTimeoutMs: 30 })
    await one.told('up')
    expect(one.sockets).toHaveLength(1)
  })
})

describe('refusals', () => {
  async function expectStopped(one: ReturnType<typeof join>, reason: string): Promise<void> {
    await one.told('refused')
    expect(one.calls).toEqual([`refused ${reason}`])
    await until(() => expect(one.sockets.map((socket) => socket.readyState)).toEqual([WebSocket.CLOSED]))
    one.session.send(node(2), 'x')
    one.session.askContacts()
    one.session.goodbye()
    expect(one.calls).toHaveLength(1)
  }

  test('of a token', async () => {
    const { url } = await start({ authenticate: ({ token }) => token === 'yes' || 'not invited' })
    await expectStopped(join(url, 1, { token: 'no' }), 'token: not invited')
  })

  test('of an origin', async () => {
    const { url } = await start({ origins: ['https://app.example.com'] })
    await expectStopped(join(url, 1), 'origin: missing, not in the list')
  })

  test('of a full room', async () => {
    const { url } = await start({ limits: { membersPerRoom: 1 } })
    await member(url, 1)
    await expectStopped(join(url, 2), 'the room is full: it has 1 members')
  })

  test('of a nodeId that somebody else has', async () => {
    const { url } = await start()
    await member(url, 1)
    await expectStopped(join(url, 1), 'node: already connected, and the resume token is not its own')
  })

  test('of a room name that is none', async () => {
    const { url } = await start()
    await expectStopped(join(url, 1, {}, 'x'.repeat(129)), 'room: must have 1 to 128 characters')
  })

  test('by a server of another version', async () => {
    const other = new WebSocketServer({ port: 0, host: '127.0.0.1' })
    cleanups.push(() => other.close())
    other.on('connection', (socket) => socket.send('{"t":"welcome","v":2,"contacts":[],"resume":"r"}'))
    await until(() => expect(other.address()).not.toBeNull())
    const url = `ws://127.0.0.1:${(other.address() as { port: number }).port}/`
    await expectStopped(join(url, 1), `${url} speaks version 2 of the signaling protocol, not 1`)
  })

  test('a full server is no refusal for good', async () => {
    const { url } = await start({ limits: { rooms: 1 } })
    const first = await member(url, 1, { room: 'first' })
    const one = join(url, 2)
    await one.told('down')
    expect(one.calls[0]).toContain('the server is full: it keeps at most 1 rooms (4513)')
    first.send({ t: 'bye' })
    await one.told('up')
  })

  test('nodeTaken by its own half-open socket is not believed at once', async () => {
    const { url } = await start()
    // A welcome that is lost: the server knows this member, the member has no resume token.
    const lost = await member(url, 1)
    let first = true
    const one = join(url, 1, {
      createSocket: (to) => {
        const socket = new WebSocket(to)
        if (first) socket.once('open', () => setImmediate(() => socket.terminate()))
        first = false
        return socket
      },
    })
    await one.told('down')
    lost.socket.terminate()
    await one.told('up')
    expect(one.calls.join()).not.toContain('refused')
  })
})

describe('ends', () => {
  test('close during the attempt leaves nothing, at either side', async () => {
    const { url, server } = await start()
    const early = join(url, 1)
    early.session.close()
    const sockets: WebSocket[] = []
    const late = join(url, 2, {
      createSocket: (to) => {
        const socket = new WebSocket(to)
        sockets.push(socket)
        queueMicrotask(() => late.session.goodbye())
        return socket
      },
    })
    await until(() => expect(sockets[0]?.readyState).toBe(WebSocket.CLOSED))
    await until(() => expect(early.sockets.map(({ readyState }) => readyState)).toEqual([WebSocket.CLOSED]))
    expect([early.calls, late.calls]).toEqual([[], []])
    expect(server.health().members).toBe(0)
  })

  test('a hundred joins and closes leave no socket and no member', async () => {
    const { url, server } = await start()
    const all: WebSocket[] = []
    for (let round = 0; round < 100; round++) {
      const one = join(url, 1)
      await one.told('up')
      if (round % 2 === 0) one.session.goodbye()
      else one.session.close()
      all.push(...one.sockets)
      await until(() => expect(server.health().members).toBe(0))
    }
    await until(() => {
      for (const socket of all) expect(socket.readyState).toBe(WebSocket.CLOSED)
    })
    for (const socket of all) {
      for (const event of ['open', 'message', 'close']) expect(socket.listenerCount(event)).toBe(0)
    }
  })

  test('bad frames of the server are ignored and told', async () => {
    const other = new WebSocketServer({ port: 0, host: '127.0.0.1' })
    cleanups.push(() => other.close())
    other.on('connection', (socket) => {
      socket.send(Buffer.from([1, 2, 3]))
      socket.send('{"t":"contacts","contacts":[]}')
      socket.send('{"t":"welcome","v":1,"contacts":[],"resume":"r","quietMs":60001}')
      socket.send(`{"t":"welcome","v":1,"contacts":["${node(2)}","${node(1)}"],"resume":"r"}`)
      socket.send('{"t":"contacts","contacts":[],"quietMs":"long"}')
      socket.send('{"t":"welcome","v":1,"contacts":[],"resume":"r"}')
      socket.send('{"t":"gone","node":"you"}')
      socket.send(`{"t":"gone","node":"${node(1, 9_999_999_999_999)}"}`)
      socket.send('nonsense')
      socket.send(`{"t":"signal","from":"${node(2)}","data":"still here"}`)
    })
    await until(() => expect(other.address()).not.toBeNull())
    const one = join(`ws://127.0.0.1:${(other.address() as { port: number }).port}/`, 1)
    await one.told('message')
    expect(one.calls).toEqual([`up ${node(2)}`, `message ${node(2)} still here`])
    // the one that was taken says nothing of quiet, as an older server
    expect(one.quiet).toEqual([0])
    expect(one.problems).toEqual([
      'ignored: a binary frame',
      'ignored: contacts before welcome',
      'ignored: quietMs: must be an integer from 0 to 60000',
      'ignored: quietMs: must be an integer from 0 to 60000',
      'ignored: welcome a second time',
      'ignored: node: must be a nodeId',
      'ignored: node: no nodeId',
      'ignored: frame: not JSON',
    ])
  })

  test('a signal that is too large is told, not sent, and costs nothing', async () => {
    const { url } = await start()
    const [one, two] = [join(url, 1), join(url, 2)]
    await Promise.all([one.told('up'), two.told('up')])
    one.session.send(node(2), 'x'.repeat(49_153))
    one.session.send(node(2), '\n'.repeat(40_000))
    expect(one.problems).toHaveLength(2)
    await expectExchange(one, two, 'fine')
  })
})
