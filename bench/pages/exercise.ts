/** What a side is put through, in the page: echoes, a flow in one direction, and echoes during a flow. */
import type { Lane } from '../../src/index.ts'
import type { Bytes, Side } from './sides/side.ts'

/** The first byte of a message; four bytes with a number follow, and four more in a sum. */
const Kind = { data: 0, end: 1, sum: 2, echo: 3, urgentEcho: 4, echoed: 5 } as const
const SUM_BYTES = 9
/** The clock is looked at only so often. */
const LOOK_EVERY = 16
/** Bulk flows this long before echoes count. */
const FLOW_FIRST_MS = 50

export interface Flow {
  readonly perSecond: number
  readonly sent: number
  /** Messages that never came, and those that came out of their turn. */
  readonly lost: number
  readonly disordered: number
}

export interface Loaded {
  readonly echoMs: readonly number[]
  readonly flow: Flow
}

export class Exercise {
  readonly #side: Side
  #received = 0
  #disordered = 0
  #onEchoed: () => void = () => undefined
  #onSum: (received: number, disordered: number) => void = () => undefined

  constructor(side: Side) {
    this.#side = side
    side.onMessage = (bytes) => this.#onMessage(bytes)
  }

  /** Round trips, one after the other, each in ms. */
  async echo(ms: number, size: number, lane: Lane = 'call', isOver = () => false): Promise<number[]> {
    const times: number[] = []
    const end = performance.now() + ms
    for (let now = performance.now(); now < end && !isOver();) {
      const back = new Promise<void>((resolve) => (this.#onEchoed = resolve))
      this.#side.send(message(lane === 'control' ? Kind.urgentEcho : Kind.echo, times.length, size), lane)
      await back
      const then = performance.now()
      times.push(then - now)
      now = then
    }
    return times
  }

  /** Messages in one direction for `ms`, until the last is known to have come. */
  async flow(ms: number, size: number, lane: Lane = 'call'): Promise<Flow> {
    let sent = 0
    const started = performance.now()
    const next = (): Bytes | undefined => {
      if ((size >= 4_096 || sent % LOOK_EVERY === 0) && performance.now() - started >= ms) return undefined
      return message(Kind.data, sent++, size)
    }
    const sum = new Promise<{ received: number; disordered: number }>((resolve) => {
      this.#onSum = (received, disordered) => resolve({ received, disordered })
    })
    await this.#side.pump(next, size, lane)
    this.#side.send(message(Kind.end, sent, SUM_BYTES), lane)
    const { received, disordered } = await sum
    const seconds = (performance.now() - started) / 1_000
    return { perSecond: received / seconds, sent, lost: sent - received, disordered }
  }

  /** Echoes on the lane `control` while 16 KB messages flow on `bulk`. */
  async loaded(ms: number, echoSize: number, size: number): Promise<Loaded> {
    let isOver = false
    const flow = this.flow(ms + FLOW_FIRST_MS, size, 'bulk').finally(() => (isOver = true))
    await new Promise((resolve) => setTimeout(resolve, FLOW_FIRST_MS))
    const echoMs = await this.echo(ms, echoSize, 'control', () => isOver)
    return { echoMs, flow: await flow }
  }

  #onMessage(bytes: Uint8Array): void {
    switch (bytes[0]) {
      case Kind.data:
        if (read(bytes, 1) !== this.#received) this.#disordered++
        this.#received++
        return
      case Kind.end: {
        const sum = message(Kind.sum, this.#received, SUM_BYTES)
        write(sum, 5, this.#disordered)
        this.#received = 0
        this.#disordered = 0
        return this.#side.send(sum, 'control')
      }
      case Kind.sum:
        return this.#onSum(read(bytes, 1), read(bytes, 5))
      case Kind.echo:
        return this.#echo(bytes, 'call')
      case Kind.urgentEcho:
        return this.#echo(bytes, 'control')
      case Kind.echoed:
        return this.#onEchoed()
    }
  }

  #echo(bytes: Uint8Array, lane: Lane): void {
    const back = new Uint8Array(bytes)
    back[0] = Kind.echoed
    this.#side.send(back, lane)
  }
}

function message(kind: number, number: number, size: number): Bytes {
  const bytes = new Uint8Array(size)
  bytes[0] = kind
  write(bytes, 1, number)
  return bytes
}

function write(bytes: Uint8Array, at: number, number: number): void {
  bytes[at] = number
  bytes[at + 1] = number >> 8
  bytes[at + 2] = number >> 16
  bytes[at + 3] = number >> 24
}

const read = (bytes: Uint8Array, at: number): number =>
  (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
