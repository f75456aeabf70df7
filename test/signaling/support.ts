/** What the signaling tests share: node names, raw clients, a real and a fake clock, a seeded generator. */
import { vi } from 'vitest'
import { WebSocket } from 'ws'
import { createSignalingServer, type SignalingServerOptions } from '../../signaling-server/index.ts'
import {
  encodeClientFrame,
  parseServerFrame,
  type ClientFrame,
  type ServerFrame,
} from '../../src/adapters/signaling/protocol.ts'
import type { Clock } from '../../src/ports.ts'

const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567'

/** A nodeId for each number. */
export function node(index: number, generation = 1): string {
  let name = ''
  for (let rest = index, i = 0; i < 20; i++, rest = Math.floor(rest / 32)) name = BASE32[rest % 32] + name
  return `${name}.${generation}.nnnnnnnnnn`
}

export const hello = (
  index: number,
  more: Partial<Extract<ClientFrame, { t: 'hello' }>> = {},
): ClientFrame => ({
  t: 'hello',
  v: 1,
  room: 'room',
  node: node(index),
  ...more,
})

/** Polls until `check` no longer throws. */
export const until = <T>(check: () => T): Promise<T> => vi.waitFor(check, { interval: 5, timeout: 8_000 })

/** A server to be closed by the test. On a free port it is a first one, on a port that is named one that comes back. */
export async function startServer(options: SignalingServerOptions = {}, port = 0) {
  const log: string[] = []
  const server = createSignalingServer({ log: (line) => log.push(line), fresh: port === 0, ...options })
  const listening = await server.listen(port)
  return { server, log, ...listening, httpUrl: listening.url.replace('ws:', 'http:') }
}

export interface RawClient {
  readonly socket: WebSocket
  readonly frames: ServerFrame[]
  readonly opened: Promise<void>
  /** Settles when the socket is closed, with what the server said. */
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>
  send(frame: ClientFrame | string | Buffer): void
  /** The frames of one type, as soon as there are `count`. */
  take<T extends ServerFrame['t']>(t: T, count?: number): Promise<Extract<ServerFrame, { t: T }>[]>
}

export function rawClient(url: string, headers: Record<string, string> = {}): RawClient {
  const socket = new WebSocket(url, { headers, perMessageDeflate: true })
  const frames: ServerFrame[] = []
  socket.on('error', () => undefined)
  socket.on('message', (data: Buffer) => {
    const parsed = parseServerFrame(data.toString())
    if (!parsed.ok) throw new Error(`the server sent a bad frame: ${parsed.reason}`)
    frames.push(parsed.frame)
  })
  const opened = new Promise<void>((resolve) => socket.on('open', () => resolve()))
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    socket.on('close', (code: number, reason: Buffer) => resolve({ code, reason: reason.toString() }))
  })
  return {
    socket,
    frames,
    opened,
    closed,
    send: (frame) => {
      socket.send(typeof frame === 'string' || Buffer.isBuffer(frame) ? frame : encodeClientFrame(frame))
    },
    take: <T extends ServerFrame['t']>(t: T, count = 1) =>
      until(() => {
        const found = frames.filter((frame): frame is Extract<ServerFrame, { t: T }> => frame.t === t)
        if (found.length < count) {
          throw new Error(
            `${found.length} of ${count} ${t}; received ${JSON.stringify(frames).slice(0, 500)}`,
          )
        }
        return found
      }),
  }
}

/** A client that is a member of the room. */
export async function member(url: string, index: number, more: Parameters<typeof hello>[1] = {}) {
  const client = rawClient(url)
  await client.opened
  client.send(hello(index, more))
  const [welcome] = await client.take('welcome')
  return { ...client, welcome: welcome!, node: node(index) }
}

export const realClock: Clock = {
  now: () => ({ mono: performance.now(), wall: Date.now() }),
  timer: (delayMs, callback) => {
    const timer = setTimeout(callback, delayMs)
    return () => clearTimeout(timer)
  },
}

/** A clock that stands still until `advance()`. */
export class FakeClock implements Clock {
  mono = 0
  readonly timers: { at: number; callback: () => void }[] = []

  now(): { mono: number; wall: number } {
    return { mono: this.mono, wall: this.mono }
  }

  timer(delayMs: number, callback: () => void): () => void {
    const timer = { at: this.mono + delayMs, callback }
    this.timers.push(timer)
    return () => {
      const index = this.timers.indexOf(timer)
      if (index >= 0) this.timers.splice(index, 1)
    }
  }

  /** Moves the clock, firing what becomes due, in order. */
  advance(ms: number): void {
    const end = this.mono + ms
    for (;;) {
      const next = this.timers.filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at)[0]
      if (!next) break
      this.timers.splice(this.timers.indexOf(next), 1)
      this.mono = next.at
      next.callback()
    }
    this.mono = end
  }
}

/** mulberry32: a small seeded generator of numbers in [0, 1). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}
