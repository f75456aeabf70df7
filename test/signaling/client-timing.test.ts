/** The client adapter's clockwork, with sockets and a clock that do only what they are told. */
import { describe, expect, test } from 'vitest'
import { createSignalingClient, type SignalingClientOptions } from '../../src/adapters/signaling/client.ts'
import { CloseCode, type ServerFrame } from '../../src/adapters/signaling/protocol.ts'
import type { SignalingSocket } from '../../src/adapters/signaling/socket.ts'
import { ClusterError } from '../../src/errors.ts'
import { FakeClock, node } from './support.ts'

type SignalingSocketEvent = 'open' | 'message' | 'close' | 'error'

class FakeSocket implements SignalingSocket {
  readonly url: string
  readonly sent: string[] = []
  closed = false
  private readonly listeners = new Map<SignalingSocketEvent, Set<(event: never) => void>>()

  constructor(url: string) {
    this.url = url
  }

  addEventListener(type: SignalingSocketEvent, listener: (event: never) => void): void {
    this.listeners.set(type, (this.listeners.get(type) ?? new Set()).add(listener))
  }

  removeEventListener(type: SignalingSocketEvent, listener: (event: never) => void): void {
    this.listeners.get(type)?.delete(listener)
  }

  send(text: string): void {
    this.sent.push((JSON.parse(text) as { t: string }).t)
  }

  close(): void {
    this.closed = true
  }

  emit(type: SignalingSocketEvent, event: object = {}): void {
    for (const listener of this.listeners.get(type) ?? []) listener(event as never)
  }

  receive(frame: ServerFrame): void {
    this.emit('message', { data: JSON.stringify(frame) })
  }

  welcome(): void {
    this.emit('open')
    this.receive({ t: 'welcome', v: 1, contacts: [], quietMs: 0, resume: 'token' })
  }

  get listening(): string[] {
    return [...this.listeners].filter(([, listeners]) => listeners.size > 0).map(([type]) => type)
  }
}

/** Promises settle before the test goes on: the token is asked for by microtask. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

function open(more: Partial<SignalingClientOptions> = {}) {
  return prepared(() => undefined, more)
}

/** `meanwhile`: what happens to sockets that are made ahead, before the session is opened. */
function prepared(
  meanwhile: (prepare: () => () => void, sockets: readonly FakeSocket[]) => void,
  more: Partial<SignalingClientOptions> = {},
) {
  const clock = new FakeClock()
  const sockets: FakeSocket[] = []
  const calls: string[] = []
  const signaling = createSignalingClient({
    urls: 'ws://one/',
    clock,
    random: () => 0.999_999,
    createSocket: (url) => {
      const socket = new FakeSocket(url)
      sockets.push(socket)
      return socket
    },
    ...more,
  })
  meanwhile(() => signaling.prepare!(), sockets)
  const session = signaling.open('room', node(1), {
    onUp: () => calls.push('up'),
    onContacts: () => calls.push('contacts'),
    onMessage: () => calls.push('message'),
    onRelay: () => calls.push('relay'),
    onRelayRefused: () => calls.push('relay-refused'),
    onGone: () => calls.push('gone'),
    onDown: (reason) => calls.push(`down ${reason}`),
    onRefused: (reason) => calls.push(`refused ${reason}`),
  })
  return { clock, sockets, calls, session }
}

/** Ms until the next socket is made, in steps of one. */
async function pauseBeforeNext(client: ReturnType<typeof open>): Promise<number> {
  const before = client.sockets.length
  for (let ms = 0; ms < 200_000; ms++) {
    if (client.sockets.length > before) return ms
    client.clock.advance(1)
    await Promise.resolve().then(() => undefined)
    await Promise.resolve()
  }
  throw new Error('no further attempt')
}

const closedBy = (code: number, reason = '') => ({ code, reason })

describe('a connection made ahead', () => {
  test('is used: the hello goes out at once where it is open, and when it opens where it is not', async () => {
    const early = prepared((prepare, sockets) => {
      prepare()
      sockets[0]!.emit('open')
    })
    await settle()
    expect([early.sockets.length, early.sockets[0]!.sent]).toEqual([1, ['hello']])
    early.sockets[0]!.receive({ t: 'welcome', v: 1, contacts: [], quietMs: 0, resume: 'token' })
    expect(early.calls).toEqual(['up'])

    const late = prepared((prepare) => void prepare())
    expect(late.sockets[0]!.sent).toEqual([])
    late.sockets[0]!.emit('open')
    expect([late.sockets.length, late.sockets[0]!.sent]).toEqual([1, ['hello']])
  })

  test.each([
    ['ended', (socket: FakeSocket) => socket.emit('close', closedBy(1006))],
    ['was told something', (socket: FakeSocket) => socket.receive({ t: 'goaway', retryMs: 50_000 })],
  ])('that %s meanwhile counts for nothing', (_, happens) => {
    const client = prepared((prepare, sockets) => {
      prepare()
      happens(sockets[0]!)
    })
    expect(client.sockets.map(({ closed }) => closed)).toEqual([true, false])
    expect(client.sockets[0]!.listening).toEqual(['error'])
    client.sockets[1]!.welcome()
    expect(client.calls).toEqual(['up'])
  })

  test('that cannot be made is reported by the attempt that counts', async () => {
    const client = prepared((prepare) => void prepare(), {
      createSocket: () => {
        throw new Error('blocked')
      },
    })
    expect(client.calls).toEqual([])
    await settle()
    expect(client.calls).toEqual(['down cannot connect to ws://one/: blocked'])
  })

  test('is closed where it is not needed, and left alone once it is used', () => {
    const unused = prepared((prepare) => prepare()())
    expect(unused.sockets.map(({ closed }) => closed)).toEqual([true, false])
    let close: () => void = () => undefined
    const used = prepared((prepare) => void (close = prepare()))
    close()
    expect(used.sockets.map(({ closed }) => closed)).toEqual([false])
    used.sockets[0]!.welcome()
    expect(used.calls).toEqual(['up'])
  })

  test('serves the first attempt only, and is closed with a session that never had one', async () => {
    const client = prepared((prepare) => void prepare())
    client.sockets[0]!.emit('close', closedBy(1006))
    await pauseBeforeNext(client)
    expect(client.sockets.length).toBe(2)

    const waiting = prepared((prepare) => void prepare(), { token: () => new Promise(() => undefined) })
    waiting.session.close()
    expect(waiting.sockets.map(({ closed }) => closed)).toEqual([true])
  })
})

describe('backoff', () => {
  test('doubles from 250 ms to 10 s', async () => {
    const client = open()
    await settle()
    const pauses: number[] = []
    for (let i = 0; i < 8; i++) {
      client.sockets.at(-1)?.emit('close', closedBy(1006))
      pauses.push(await pauseBeforeNext(client))
    }
    expect(pauses).toEqual([250, 500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000])
    expect(client.calls).toEqual(['down ws://one/ cannot be reached (1006)'])
  })

  test('ends when the network is back, and what looks connected is asked for an answer', async () => {
    let online: (() => void) | undefined
    const client = open({
      watchOnline: (listener) => {
        online = listener
        return () => {
          online = undefined
        }
      },
    })
    await settle()
    for (let i = 0; i < 6; i++) {
      client.sockets.at(-1)!.emit('close', closedBy(1006))
      if (i < 5) await pauseBeforeNext(client)
    }
    expect(client.sockets).toHaveLength(6)
    online?.()
    await settle()
    expect(client.sockets).toHaveLength(7)
    online?.()
    await settle()
    expect(client.sockets, 'an attempt under way goes on').toHaveLength(7)
    client.sockets[6]!.welcome()
    online?.()
    expect(client.sockets[6]!.sent).toEqual(['hello', 'contacts'])
    client.session.close()
    expect(online).toBeUndefined()
    expect(client.clock.timers).toEqual([])
  })

  test('is a random part of that', async () => {
    const client = open({ random: () => 0.5 })
    await settle()
    client.sockets[0]?.emit('close', closedBy(1006))
    expect(await pauseBeforeNext(client)).toBe(125)
  })

  test('grows by rounds where there are several URLs', async () => {
    const client = open({ urls: ['ws://one/', 'ws://two/', 'ws://three/'] })
    await settle()
    const pauses: number[] = []
    for (let i = 0; i < 6; i++) {
      client.sockets.at(-1)?.emit('close', closedBy(1006))
      pauses.push(await pauseBeforeNext(client))
    }
    expect(pauses).toEqual([250, 250, 250, 500, 500, 500])
    expect(client.sockets.slice(0, 5).map(({ url }) => url.slice(5, -1))).toEqual([
      'one',
      'two',
      'three',
      'one',
      'two',
    ])
  })

  test('starts anew after a connection that held, not after one that did not', async () => {
    const client = open()
    await settle()
    const pauseAfterUp = async (upMs: number): Promise<number> => {
      client.sockets.at(-1)?.welcome()
      client.clock.advance(upMs)
      client.sockets.at(-1)?.emit('close', closedBy(1006))
      return pauseBeforeNext(client)
    }
    expect([await pauseAfterUp(10), await pauseAfterUp(10), await pauseAfterUp(5_000)]).toEqual([
      250, 500, 250,
    ])
  })

  test('a goaway counts from what the server asked for, spread by as much again', async () => {
    const client = open({ urls: ['ws://one/', 'ws://two/'] })
    await settle()
    client.sockets[0]?.welcome()
    client.sockets[0]?.receive({ t: 'goaway', retryMs: 2_000 })
    expect(client.sockets[0]?.closed).toBe(true)
    expect(client.calls).toEqual(['up', 'down the signaling server is about to stop'])
    expect(await pauseBeforeNext(client)).toBe(4_000)
    expect(client.sockets[1]?.url).toBe('ws://two/')
  })
})

test('an attempt without a welcome is given up after 5 s', async () => {
  const client = open()
  await settle()
  client.sockets[0]?.emit('open')
  client.clock.advance(4_999)
  expect(client.calls).toEqual([])
  client.clock.advance(1)
  expect(client.calls).toEqual(['down ws://one/ did not answer within 5000 ms'])
  expect(client.sockets[0]?.closed).toBe(true)
  client.sockets[0]?.welcome()
  expect(client.calls).toHaveLength(1)
})

test('a question for contacts that nothing answers ends the connection; any frame is an answer', async () => {
  const client = open()
  await settle()
  client.sockets[0]?.welcome()
  client.session.askContacts()
  client.session.askContacts()
  client.clock.advance(4_000)
  client.sockets[0]?.receive({ t: 'gone', node: node(2) })
  client.clock.advance(60_000)
  expect(client.calls).toEqual(['up', 'gone'])
  client.session.askContacts()
  client.clock.advance(5_000)
  expect(client.calls.at(-1)).toBe('down the signaling server does not answer')
})

describe('nodeTaken', () => {
  const refuse = (socket: FakeSocket | undefined): void => {
    socket?.emit('open')
    socket?.receive({ t: 'error', code: CloseCode.nodeTaken, reason: 'taken' })
    socket?.emit('close', closedBy(CloseCode.nodeTaken, 'taken'))
  }

  test('ends a session that was never heard before', async () => {
    const client = open()
    await settle()
    refuse(client.sockets[0])
    expect(client.calls).toEqual(['refused taken'])
    expect(client.clock.timers).toEqual([])
  })

  test('is retried eight times where an earlier hello may have been heard', async () => {
    const client = open()
    await settle()
    client.sockets[0]?.emit('open')
    client.sockets[0]?.emit('close', closedBy(1006))
    for (let i = 0; i < 9; i++) {
      await pauseBeforeNext(client)
      refuse(client.sockets.at(-1))
    }
    expect(client.sockets).toHaveLength(10)
    expect(client.calls).toEqual(['down ws://one/ cannot be reached (1006)', 'refused taken'])
  })

  test('is retried anew in a later outage', async () => {
    const client = open()
    await settle()
    for (let outage = 0; outage < 3; outage++) {
      client.sockets.at(-1)?.welcome()
      client.sockets.at(-1)?.emit('close', closedBy(1006))
      for (let i = 0; i < 6; i++) {
        await pauseBeforeNext(client)
        refuse(client.sockets.at(-1))
      }
      await pauseBeforeNext(client)
    }
    expect(client.calls.filter((call) => call.startsWith('refused'))).toEqual([])
  })
})

describe('close', () => {
  test.each<[string, (client: ReturnType<typeof open>) => void]>([
    ['while connecting', () => undefined],
    ['while waiting for the welcome', (client) => client.sockets[0]?.emit('open')],
    ['while up', (client) => client.sockets[0]?.welcome()],
    [
      'with a question open',
      (client) => {
        client.sockets[0]?.welcome()
        client.session.askContacts()
      },
    ],
    ['between attempts', (client) => client.sockets[0]?.emit('close', closedBy(1006))],
  ])('%s leaves no timer, listener or socket, and nothing is called after it', async (_, prepare) => {
    const client = open()
    await settle()
    prepare(client)
    const told = client.calls.length
    client.session.close()
    client.session.close()
    client.session.goodbye()
    const [socket] = client.sockets
    expect(client.clock.timers).toEqual([])
    expect(socket?.closed).toBe(true)
    // The one that keeps `ws` from throwing what nobody hears.
    expect(socket?.listening).toEqual(['error'])
    socket?.welcome()
    socket?.emit('close', closedBy(1006))
    client.clock.advance(100_000)
    await settle()
    expect([client.calls.length, client.sockets.length]).toEqual([told, 1])
  })

  test('goodbye says bye once it said hello, and closes in the same breath', async () => {
    const unheard = open()
    await settle()
    unheard.session.goodbye()
    expect([unheard.sockets[0]?.sent, unheard.sockets[0]?.closed]).toEqual([[], true])
    const heard = open()
    await settle()
    heard.sockets[0]?.emit('open')
    heard.session.goodbye()
    expect([heard.sockets[0]?.sent, heard.sockets[0]?.closed]).toEqual([['hello', 'bye'], true])
  })

  test('close from within a handler is obeyed', async () => {
    const clock = new FakeClock()
    const socket = new FakeSocket('ws://one/')
    const calls: string[] = []
    const ignore = (): undefined => undefined
    const session = createSignalingClient({
      urls: 'ws://one/',
      clock,
      random: () => 0.5,
      createSocket: () => socket,
    }).open('room', node(1), {
      onUp: ignore,
      onContacts: ignore,
      onMessage: ignore,
      onRelay: ignore,
      onRelayRefused: ignore,
      onGone: ignore,
      onRefused: ignore,
      onDown: (reason) => {
        calls.push(reason)
        session.close()
      },
    })
    await settle()
    socket.emit('close', closedBy(1006))
    expect([calls.length, clock.timers]).toEqual([1, []])
  })
})

describe('options', () => {
  const base = { clock: new FakeClock(), random: () => 0 }
  const problemsOf = (options: Partial<SignalingClientOptions>): readonly string[] => {
    try {
      createSignalingClient({
        ...base,
        urls: 'ws://one/',
        createSocket: (url) => new FakeSocket(url),
        ...options,
      })
    } catch (error) {
      if (error instanceof ClusterError && error.code === 'invalid-option') return error.problems
      throw error
    }
    return []
  }

  test('URLs are checked, each of them', () => {
    expect(problemsOf({ urls: [] })).toEqual(['urls: empty, give at least one WebSocket URL'])
    expect(
      problemsOf({ urls: ['ws://ok/', 'wss://ok/path?query', 'http://no/', 'nonsense', 'ws://no/#here'] }),
    ).toEqual([
      'urls: "http://no/" is no WebSocket URL, which begins with ws: or wss:',
      'urls: "nonsense" is no WebSocket URL, which begins with ws: or wss:',
      'urls: "ws://no/#here" must have no fragment',
    ])
  })

  test('a platform without WebSocket is told to pass one', () => {
    const had = Object.getOwnPropertyDescriptor(globalThis, 'WebSocket')
    Reflect.deleteProperty(globalThis, 'WebSocket')
    try {
      expect(() => createSignalingClient({ ...base, urls: 'ws://one/' })).toThrow(
        /no WebSocket: pass `createSocket`, for example `\(url\) => new WebSocket\(url\)`/,
      )
    } finally {
      if (had) Object.defineProperty(globalThis, 'WebSocket', had)
    }
  })

  test('a socket that cannot be made is a failed attempt, told after `open` returned', async () => {
    const client = open({
      createSocket: () => {
        throw new Error('mixed content')
      },
    })
    expect(client.calls).toEqual([])
    await settle()
    expect(client.calls).toEqual(['down cannot connect to ws://one/: mixed content'])
    client.session.close()
    expect(client.clock.timers).toEqual([])
  })
})
