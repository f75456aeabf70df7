/** The three lanes before a link whose buffer the test fills and empties. */
import { describe, expect, it } from 'vitest'
import type { Lane } from '../../src/core/wire/frames.ts'
import { decodeMessage, encodeFrame, encodeMessage } from '../../src/core/wire/codec.ts'
import {
  CALM_MESSAGES,
  FILL_BYTES,
  JOINED_BYTES,
  LANE_BYTES,
  LinkQueue,
  type Traffic,
} from '../../src/driver/link-queue.ts'

const FRAGMENT = 16_000

/** A link that keeps what is sent in its buffer; messages are told by lane letter and length. */
function createRig() {
  const sent: string[] = []
  const messages: Uint8Array[] = []
  const broken: string[] = []
  const traffic: Traffic = {
    messagesSent: 0,
    messagesReceived: 0,
    bytesSent: 0,
    bytesReceived: 0,
    messagesDropped: 0,
  }
  const link = {
    bufferedBytes: 0,
    closed: 0,
    fails: false,
    signal: () => undefined,
    send(bytes: Uint8Array) {
      if (link.fails) throw new Error('too large')
      link.bufferedBytes += bytes.length
      messages.push(bytes.slice())
      sent.push(`${String.fromCharCode(bytes[0]!)}${bytes.length}`)
    },
    close: () => void link.closed++,
  }
  const queue = new LinkQueue(link, traffic, (reason) => void broken.push(reason))
  const push = (lane: Lane, length: number) =>
    queue.push(lane, new Uint8Array(length).fill(lane.charCodeAt(0) + (lane === 'call' ? -32 : 0)))
  /** What is in the buffer is gone. */
  const drain = () => {
    link.bufferedBytes = 0
    queue.flush()
  }
  const flush = () => queue.flush()
  return { queue, link, sent, messages, broken, traffic, push, drain, flush }
}

describe('a link queue', () => {
  it('hands over what it was given since the last flush, joined', () => {
    const { queue, sent, push, traffic, flush } = createRig()
    push('call', 10)
    push('call', 20)
    push('call', 30)
    expect(sent).toEqual([])
    expect(queue.bufferedBytes).toBe(60)
    flush()
    expect(sent).toEqual(['C60'])
    expect(traffic).toMatchObject({ messagesSent: 1, bytesSent: 60, messagesDropped: 0 })
    push('call', 10)
    flush()
    expect(sent, 'alone it waits for nobody').toEqual(['C60', 'C10'])
  })

  it('joins messages into one that is read as their frames in order', () => {
    const { queue, messages, flush } = createRig()
    const tokens = Array.from({ length: 500 }, (_, i) => i)
    for (const token of tokens) queue.push('call', encodeMessage([encodeFrame({ kind: 'ping', token })]))
    flush()
    expect(messages.length).toBe(1)
    const decoded = decodeMessage(messages[0]!)
    expect(decoded.ok && decoded.envelopes.map(({ frame }) => frame)).toEqual(
      tokens.map((token) => ({ kind: 'ping', token })),
    )
  })

  it('joins up to one fragment, and leaves what is larger alone', () => {
    const { sent, push, flush } = createRig()
    for (let i = 0; i < 5; i++) push('control', JOINED_BYTES / 4)
    push('control', JOINED_BYTES + 3)
    push('control', 1)
    flush()
    expect(sent).toEqual([`c${JOINED_BYTES}`, `c${JOINED_BYTES / 4}`, `c${JOINED_BYTES + 3}`, 'c1'])
  })

  it('sends control before call before bulk, each in order', () => {
    const { sent, push, flush } = createRig()
    push('bulk', 16_381)
    push('call', 16_382)
    push('control', 16_383)
    push('control', 16_384)
    flush()
    expect(sent).toEqual(['c16383', 'c16384'])
    const { sent: later, push: pushLater, drain, flush: flushLater } = createRig()
    pushLater('bulk', 16_381)
    pushLater('call', 16_382)
    pushLater('call', 16_380)
    flushLater()
    drain()
    drain()
    expect(later).toEqual(['C16382', 'C16380', 'b16381'])
  })

  it('puts what has room behind a small message of a higher lane', () => {
    const { sent, push, flush } = createRig()
    push('bulk', FRAGMENT)
    push('control', 30)
    push('call', 40)
    flush()
    expect(sent).toEqual([`c${FRAGMENT + 70}`])
  })
})

describe('a link that is slow', () => {
  it('gets no more than its fill and one fragment, and goes on as it drains', () => {
    const { sent, link, push, drain, queue, flush } = createRig()
    for (let i = 0; i < 20; i++) push('bulk', FRAGMENT)
    flush()
    expect(link.bufferedBytes).toBeGreaterThan(FILL_BYTES)
    expect(link.bufferedBytes).toBeLessThanOrEqual(FILL_BYTES + JOINED_BYTES)
    const before = sent.length
    expect(queue.bufferedBytes, 'nothing is lost').toBe(20 * FRAGMENT)
    drain()
    expect(sent.length).toBe(before * 2)
    for (let i = 0; i < 10; i++) drain()
    expect(sent.length).toBe(20)
    expect(queue.bufferedBytes).toBe(0)
  })

  it('takes control at once, and where it keeps coming, then one fragment of bulk at a time for a while', () => {
    const { sent, link, push, drain, flush } = createRig()
    for (let i = 0; i < 80; i++) push('bulk', FRAGMENT)
    flush()
    const full = sent.length
    push('control', 32)
    flush()
    expect(sent.at(-1), 'behind what is in the buffer and nothing else').toBe('c32')
    drain()
    expect(sent.slice(full + 1), 'a single one changes nothing').toEqual(sent.slice(0, full))
    push('control', 32)
    flush()
    const before = sent.length
    drain()
    expect(sent.slice(before)).toEqual([`b${FRAGMENT}`])
    push('control', 32)
    flush()
    expect(sent.at(-1)).toBe('c32')
    expect(link.bufferedBytes, 'a probe waits for one fragment').toBe(FRAGMENT + 32)
    const calm = sent.length
    for (let i = 1; i < CALM_MESSAGES; i++) {
      drain()
      expect(sent.length - calm).toBe(i)
    }
    drain()
    expect(sent.length - calm, 'then the buffer is filled again').toBe(CALM_MESSAGES - 1 + full)
  })

  it('lets calls wait for one fragment of bulk as well, and bulk go on beside calls', () => {
    const { sent, push, drain, flush } = createRig()
    for (let i = 0; i < 80; i++) push('bulk', FRAGMENT)
    push('call', 100)
    flush()
    expect(sent[0]).toBe(`C${FRAGMENT + 100}`)
    push('call', 100)
    flush()
    drain()
    expect(sent.filter((what) => what.startsWith('C')).length).toBe(2)
    for (let i = 0; i < 3; i++) {
      const before = sent.length
      drain()
      expect(sent.slice(before), 'one fragment of bulk').toEqual([`b${FRAGMENT}`])
      push('call', 100)
      flush()
      expect(sent.slice(before + 1)).toEqual(['C100'])
    }
  })

  it('drops what comes to a full lane, counts it, and takes more once there is room', () => {
    for (const lane of ['call', 'bulk'] as const) {
      const { queue, push, traffic, drain, messages, flush } = createRig()
      let taken = 0
      while (push(lane, FRAGMENT)) taken++
      flush()
      expect(taken).toBe(Math.floor(LANE_BYTES / FRAGMENT))
      expect(traffic.messagesDropped).toBe(1)
      while (push(lane, FRAGMENT)) taken++
      expect(queue.bufferedBytes).toBeGreaterThan(LANE_BYTES)
      expect(queue.bufferedBytes).toBeLessThanOrEqual(LANE_BYTES + FILL_BYTES + JOINED_BYTES)
      expect(push('control', 10), 'control has its own room').toBe(true)
      flush()
      for (let i = 0; i < taken; i++) drain()
      expect(messages.reduce((sum, { length }) => sum + length, 0)).toBe(taken * FRAGMENT + 10)
      expect(push(lane, FRAGMENT)).toBe(true)
    }
  })

  it('leaves control that nobody reads to the link, which ends at its own bound', () => {
    const { push, link, sent, flush } = createRig()
    for (let i = 0; i < 1_000; i++) push('control', JOINED_BYTES)
    flush()
    expect(sent.length).toBe(1_000)
    expect(link.bufferedBytes).toBe(1_000 * JOINED_BYTES)
  })
})

describe('the end of a link', () => {
  it('comes after everything that waits, whatever is in the buffer', () => {
    const { queue, push, sent, link, flush } = createRig()
    for (let i = 0; i < 10; i++) push('bulk', FRAGMENT)
    flush()
    push('control', 7)
    queue.close()
    expect(sent.filter((what) => what.startsWith('b')).length).toBe(9)
    expect(sent.filter((what) => what.startsWith('c'))).toEqual([`c${FRAGMENT + 7}`])
    expect(link.closed).toBe(1)
    queue.close()
    expect(link.closed).toBe(1)
    expect(push('control', 1)).toBe(false)
    flush()
    expect(sent.length).toBe(10)
  })

  it('by itself takes what waits with it', () => {
    const { queue, push, sent, flush } = createRig()
    push('call', 10)
    queue.drop()
    flush()
    flush()
    expect(sent).toEqual([])
    expect(queue.bufferedBytes).toBe(0)
  })

  it('is told once where it cannot send', () => {
    const { queue, push, link, broken, flush } = createRig()
    link.fails = true
    push('call', FRAGMENT)
    push('call', FRAGMENT)
    flush()
    expect(broken).toEqual(['too large'])
    push('call', 10)
    flush()
    queue.close()
    expect(broken).toEqual(['too large'])
  })
})
