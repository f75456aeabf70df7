/**
 * What every `LinkTransport` must do, as cases that any test runner can run:
 *
 * ```ts
 * for (const { name, run } of linkTransportContract({ transport, clock })) test(name, run)
 * ```
 *
 * A case opens its own links, closes them, and rejects with what went wrong.
 */
import { ClusterError } from '../errors.ts'
import { LINK_LOW_WATER, MAX_LINK_MESSAGE, type Clock, type LinkTransport } from '../ports.ts'
import { openPair, type ContractEnd, type Pair } from './contract-pair.ts'

export interface LinkContractOptions {
  /** The transport of one process; called once for each end of each link. */
  readonly transport: () => LinkTransport
  readonly clock: Clock
  /** How long anything may take. Default 10,000 ms. */
  readonly deadlineMs?: number
}

export interface ContractCase {
  readonly name: string
  run(): Promise<void>
}

export function linkTransportContract(options: LinkContractOptions): readonly ContractCase[] {
  return Object.entries(CASES).map(([name, run]) => ({
    name,
    async run() {
      const pair = openPair(options)
      try {
        await run(pair, options)
      } finally {
        pair.close()
      }
    },
  }))
}

const CASES: Readonly<Record<string, (pair: Pair, options: LinkContractOptions) => Promise<void>>> = {
  async 'opens at both ends, once, and calls nobody before'({ a, b }) {
    same(a.opened + b.opened, 0, 'ends that opened inside open()')
    await Promise.all([a.untilOpen(), b.untilOpen()])
    await crossed(a, b)
    same([a.opened, b.opened], [1, 1], 'calls of onOpen')
  },

  async 'carries messages in order, both ways at once'({ a, b }) {
    await Promise.all([a.untilOpen(), b.untilOpen()])
    for (let i = 0; i < 10_000; i++) {
      a.link.send(numbered(i))
      if (i % 10 === 0) b.link.send(numbered(i / 10))
    }
    await Promise.all([b.untilMessages(10_000), a.untilMessages(1_000)])
    same(firstOutOfOrder(b), -1, 'first of 10,000 messages out of order')
    same(firstOutOfOrder(a), -1, 'first of 1,000 messages out of order')
  },

  async 'loses nothing of what is sent as soon as both ends are open, on any of 20 links'(_, options) {
    const count = 500
    for (let round = 1; round <= 20; round++) {
      const pair = openPair(options)
      const { a, b } = pair
      try {
        await Promise.all([a.untilOpen(), b.untilOpen()])
        for (let i = 0; i < count; i++) {
          a.link.send(numbered(i))
          b.link.send(numbered(i))
        }
        await Promise.all([a.untilMessages(count), b.untilMessages(count)]).catch((error: unknown) => {
          const first = [a, b].map(({ messages }) => messages.length && numberOf(messages[0]!))
          throw new Error(`Link ${round}, whose ends received ${first.join(' and ')} first: ${String(error)}`)
        })
      } finally {
        pair.close()
      }
    }
  },

  async 'carries a message of 64 KiB unchanged'({ a, b }) {
    await a.untilOpen()
    const sent = patterned(MAX_LINK_MESSAGE, 7)
    a.link.send(sent)
    await b.untilMessages(1)
    check(equal(b.messages[0], sent), 'the message of 64 KiB arrived changed')
  },

  async 'refuses a larger message and goes on'({ a, b }) {
    await a.untilOpen()
    const error = thrownBy(() => a.link.send(new Uint8Array(MAX_LINK_MESSAGE + 1)))
    check(error instanceof ClusterError && error.code === 'too-large', `not refused as too-large: ${error}`)
    check(String(error).includes(String(MAX_LINK_MESSAGE + 1)), `the error does not name the size: ${error}`)
    await crossed(a, b)
  },

  async 'loses nothing of a large backlog'({ a, b }, { clock, deadlineMs }) {
    await a.untilOpen()
    const count = 128
    for (let i = 0; i < count; i++) a.link.send(patterned(MAX_LINK_MESSAGE - i, i))
    check(a.link.bufferedBytes > 0, 'bufferedBytes is 0 right after 8 MiB were sent')
    await b.untilMessages(count)
    const wrong = b.messages.findIndex((bytes, i) => !equal(bytes, patterned(MAX_LINK_MESSAGE - i, i)))
    same(wrong, -1, 'first message of the backlog that arrived changed')
    await becomes(clock, deadlineMs, () => a.link.bufferedBytes === 0, 'bufferedBytes is not 0 after all')
    await crossed(a, b)
  },

  async 'tells that there is room again, once, and not inside send'({ a, b }) {
    await a.untilOpen()
    let inside = 0
    while (a.link.bufferedBytes <= LINK_LOW_WATER) {
      a.link.send(patterned(4_000, 5))
      inside += a.drained
    }
    same(inside, 0, 'calls of onDrain inside send')
    let buffered = Infinity
    a.onDrain = () => (buffered = a.link.bufferedBytes)
    await a.untilDrained()
    check(buffered <= LINK_LOW_WATER, `onDrain came with ${buffered} bytes in the buffer`)
    await crossed(a, b)
    same(a.drained, 1, 'calls of onDrain')
  },

  async 'keeps a sender going that waits for room'({ a, b }) {
    await a.untilOpen()
    const count = 200
    let sent = 0
    const fill = () => {
      while (sent < count && a.link.bufferedBytes <= LINK_LOW_WATER) a.link.send(patterned(16_384, sent++))
    }
    a.onDrain = fill
    fill()
    check(sent < count, `all of ${count} messages of 16 KiB found room at once`)
    await b.untilMessages(count)
    const wrong = b.messages.findIndex((bytes, i) => !equal(bytes, patterned(16_384, i)))
    same(wrong, -1, 'first message that arrived changed or out of order')
  },

  async 'delivers what was sent before it was closed'({ a, b }) {
    await Promise.all([a.untilOpen(), b.untilOpen()])
    const count = 8
    for (let i = 0; i < count; i++) a.link.send(patterned(MAX_LINK_MESSAGE, i))
    a.link.close()
    same(a.link.bufferedBytes, 0, 'bufferedBytes of a closed link')
    await b.untilClosed()
    same(b.messages.length, count, 'messages that arrived before the close')
  },

  async 'lets sender and receiver keep their bytes'({ a, b }) {
    await a.untilOpen()
    const sent = patterned(1_000, 1)
    a.link.send(sent)
    sent.fill(0)
    a.link.send(sent)
    await b.untilMessages(2)
    check(equal(b.messages[0], patterned(1_000, 1)), 'the message changed with the sender’s array')
    b.messages[0]!.fill(255)
    check(
      b.messages[1]!.every((byte) => byte === 0),
      'two messages share memory',
    )
  },

  async 'carries a view into a larger array as its own bytes only'({ a, b }) {
    await a.untilOpen()
    a.link.send(patterned(100, 3).subarray(10, 20))
    await b.untilMessages(1)
    check(equal(b.messages[0], patterned(100, 3).slice(10, 20)), 'a view arrived as something else')
  },

  async 'tells the other end of a close, with a reason, once, after what arrived before'({ a, b }) {
    await Promise.all([a.untilOpen(), b.untilOpen()])
    a.link.send(numbered(0))
    await b.untilMessages(1)
    a.link.close()
    a.link.close()
    await b.untilClosed()
    same(b.closed.length, 1, 'calls of onClose')
    check(b.closed[0]!.length > 0, 'onClose had no reason')
    b.link.close()
    same(b.closed.length, 1, 'calls of onClose after close()')
  },

  async 'calls no handler of an end that was closed here'({ a, b }) {
    await Promise.all([a.untilOpen(), b.untilOpen()])
    const before = a.calls
    b.link.send(numbered(0))
    a.link.close()
    await b.untilClosed()
    same(a.calls, before, 'handler calls of the closed end')
  },

  async 'can be closed inside a handler, which is then the last'({ a, b }) {
    await Promise.all([a.untilOpen(), b.untilOpen()])
    b.onMessage = () => b.link.close()
    for (let i = 0; i < 10; i++) a.link.send(numbered(i))
    await a.untilClosed()
    same(b.messages.length, 1, 'messages received, the first of which closed the link')
    same(b.closed.length, 0, 'calls of onClose at the end that closed')
  },

  async 'can be closed before it is open, and calls no handler from then on'({ a, b }, options) {
    a.link.close()
    b.link.close()
    const before = [a.calls, b.calls]
    const other = openPair(options)
    await other.a.untilOpen()
    other.close()
    same([a.calls, b.calls], before, 'handler calls of closed ends')
  },

  async 'ignores what is sent before it is open and after it is closed'({ a, b }) {
    a.link.send(numbered(99))
    b.link.send(numbered(99))
    await Promise.all([a.untilOpen(), b.untilOpen()])
    await crossed(a, b)
    same(b.messages.length, 1, 'messages received')
    a.link.close()
    a.link.send(numbered(99))
    same(a.link.bufferedBytes, 0, 'bufferedBytes of a closed link')
  },

  async 'ignores everything that is not a signal'({ a, b }) {
    abuse(a)
    abuse(b)
    await Promise.all([a.untilOpen(), b.untilOpen()])
    abuse(a)
    abuse(b)
    await crossed(a, b)
    same([a.closed.length, b.closed.length], [0, 0], 'ends closed by hostile signals')
    a.link.close()
    abuse(a)
    await b.untilClosed()
    abuse(b)
  },

  async 'ignores a signal that comes twice'({ a, b }) {
    await Promise.all([a.untilOpen(), b.untilOpen()])
    for (const signal of a.signals) b.link.signal(signal)
    for (const signal of b.signals) a.link.signal(signal)
    for (const signal of a.signals) a.link.signal(signal)
    await crossed(a, b)
    same([a.closed.length, b.closed.length], [0, 0], 'ends closed by signals that came twice')
  },

  async 'keeps many links apart'(_, options) {
    const pairs = Array.from({ length: 8 }, () => openPair(options))
    try {
      await Promise.all(pairs.flatMap(({ a, b }) => [a.untilOpen(), b.untilOpen()]))
      for (const [i, { a }] of pairs.entries()) a.link.send(numbered(i))
      await Promise.all(pairs.map(({ b }) => b.untilMessages(1)))
      same(
        pairs.map(({ b }) => numberOf(b.messages[0]!)),
        pairs.map((_pair, i) => i),
        'messages by link',
      )
    } finally {
      for (const pair of pairs) pair.close()
    }
  },
}

/** One message each way: whatever was to happen before it has happened. */
async function crossed(a: ContractEnd, b: ContractEnd): Promise<void> {
  const [atA, atB] = [a.messages.length, b.messages.length]
  a.link.send(numbered(0))
  await b.untilMessages(atB + 1)
  b.link.send(numbered(0))
  await a.untilMessages(atA + 1)
}

/** Everything that must not have any effect, at any time. */
function abuse(end: ContractEnd): void {
  for (const data of HOSTILE_SIGNALS) end.link.signal(data)
}

/** Shapes that are no signal: some end or extend a naive WebRTC peer. */
export const HOSTILE_SIGNALS: readonly string[] = [
  '',
  'null',
  'true',
  '42',
  '"offer"',
  '[]',
  '{}',
  '{',
  '\u0000',
  '{"renegotiate":true}',
  '{"type":"renegotiate","renegotiate":true}',
  '{"type":"transceiverRequest","transceiverRequest":{"kind":"video"}}',
  '{"transceiverRequest":{"kind":"audio","init":{"direction":"sendrecv"}}}',
  '{"__proto__":{"sdp":"v=0","type":"offer"}}',
  '{"constructor":{"prototype":{"sdp":"v=0"}}}',
  '{"type":"rollback","sdp":""}',
  '{"type":"pranswer","sdp":"v=0"}',
  '{"type":"offer","sdp":42}',
  '{"type":"offer","sdp":"not a description"}',
  '{"type":"answer","sdp":"v=0\\r\\nm=audio 9 UDP/TLS/RTP/SAVPF 111\\r\\nm=application 9 UDP/DTLS/SCTP x\\r\\n"}',
  '{"candidate":null}',
  '{"candidate":"candidate:1 1 udp 1 127.0.0.1 9 typ host"}',
  '{"candidate":{"candidate":"garbage"}}',
  '{"candidate":{"candidate":{"toString":1},"sdpMid":{}}}',
  '{"type":"answer","from":-1,"to":-1}',
  '{"type":"offer","from":1e308}',
  `{"sdp":"${'v'.repeat(1024 * 1024)}"}`,
  '['.repeat(100_000),
]

function numbered(value: number): Uint8Array {
  return Uint8Array.of(value >>> 8, value & 255)
}

function numberOf(bytes: Uint8Array): number {
  return bytes[0]! * 256 + bytes[1]!
}

function firstOutOfOrder(end: ContractEnd): number {
  return end.messages.findIndex((bytes, i) => bytes.length !== 2 || numberOf(bytes) !== i)
}

function patterned(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let i = 0; i < length; i++) bytes[i] = i * 31 + seed
  return bytes
}

function equal(a: Uint8Array | undefined, b: Uint8Array): boolean {
  return a !== undefined && a.length === b.length && a.every((byte, i) => byte === b[i])
}

async function becomes(
  clock: Clock,
  deadlineMs = 10_000,
  test: () => boolean,
  problem: string,
): Promise<void> {
  const end = clock.now().mono + deadlineMs
  while (!test()) {
    check(clock.now().mono < end, problem)
    await new Promise<void>((resolve) => {
      clock.timer(5, resolve)
    })
  }
}

function thrownBy(run: () => void): unknown {
  try {
    run()
    return undefined
  } catch (error) {
    return error
  }
}

function check(holds: boolean, problem: string): asserts holds {
  if (!holds) throw new Error(problem)
}

function same(actual: unknown, expected: unknown, what: string): void {
  const [is, should] = [JSON.stringify(actual), JSON.stringify(expected)]
  check(is === should, `${what}: ${is} instead of ${should}`)
}
