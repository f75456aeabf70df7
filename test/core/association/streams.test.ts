/** Streams under whatever a network does: every message once, in order, with one outcome, in bounded memory. */
import { describe, expect, it } from 'vitest'
import type { Random } from '../../../src/core/time.ts'
import type { Lane } from '../../../src/core/wire/frames.ts'
import { LANES } from '../../../src/core/wire/frames.ts'
import { below, pick, seededRandom } from '../../../src/testing/random.ts'
import type { Post, Road } from './postal-pair.ts'
import { PostalPair } from './postal-pair.ts'

/** A message that tells its number, of one of many sizes. */
function bodyOf(number: number, random: Random): Uint8Array {
  const size = pick(random, [4, 4, 4, 60, 500, 5_000, 40_000])
  const bytes = new Uint8Array(Math.max(4, below(random, size + 1)))
  new DataView(bytes.buffer).setUint32(0, number)
  for (let i = 4; i < bytes.length; i += 97) bytes[i] = number % 251
  return bytes
}

const numberOf = (bytes: Uint8Array): number => new DataView(bytes.buffer, bytes.byteOffset).getUint32(0)

function expectWhole(bytes: Uint8Array): void {
  const number = numberOf(bytes)
  for (let i = 4; i < bytes.length; i += 97)
    if (bytes[i] !== number % 251) throw new Error('a message is damaged')
}

interface Sent {
  readonly id: number
  readonly lane: Lane
  readonly number: number
  readonly isRefused: boolean
}

function expectDelivered(from: Post, to: Post, sent: readonly Sent[]): void {
  for (const lane of LANES) {
    const expected = sent.filter((message) => message.lane === lane && !message.isRefused)
    expect(to.received[lane].map(({ bytes }) => numberOf(bytes))).toEqual(
      expected.map(({ number }) => number),
    )
    for (const { bytes } of to.received[lane]) expectWhole(bytes)
  }
  for (const { id, isRefused } of sent)
    expect(from.outcomes.get(id)).toBe(isRefused ? 'no-receiver' : 'taken')
  const { counts } = from.associations
  expect(counts.total).toBe(sent.length)
  expect(counts.pending).toBe(0)
  expect(counts.of('taken') + counts.of('no-receiver')).toBe(sent.length)
}

describe('streams', () => {
  it.each(Array.from({ length: 60 }, (_, i) => i))('keep order and lose nothing, day %i', (seed) => {
    const random = seededRandom(seed, 'streams')
    const pair = new PostalPair(random)
    pair.loss = pick(random, [0, 0.05, 0.3])
    pair.b.deaf.add('deaf')
    const sent: Sent[] = []
    let mostHeld = 0
    for (let step = 0; step < 60; step++) {
      const act = random()
      if (act < 0.55) {
        const lane = pick(random, LANES)
        for (let i = below(random, 20); i >= 0; i--) {
          const number = sent.length
          const isRefused = random() < 0.1
          const id = pair.a.send(pair.b, lane, bodyOf(number, random), isRefused ? 'deaf' : 'm')
          sent.push({ id, lane, number, isRefused })
        }
      } else if (act < 0.75) pair.change(pick<Road>(random, ['none', 'direct', 'routed', 'routed']))
      else if (act < 0.85) pair.b.isQuick = !pair.b.isQuick
      else pair.handle(pair.b, below(random, 10))
      pair.run(below(random, 200))
      mostHeld = Math.max(mostHeld, pair.b.associations.heldBytes)
    }
    pair.loss = 0
    pair.b.isQuick = true
    pair.change('direct')
    pair.run(5_000)
    pair.run(40_000)
    const accepted = sent.filter(({ id }) => pair.a.outcomes.get(id) !== 'queue-full')
    expectDelivered(pair.a, pair.b, accepted)
    expect(mostHeld).toBeLessThan(3 * 1024 * 1024 + 3 * 40_000)
    expect(pair.b.associations.heldBytes).toBe(0)
    expect([...pair.a.events, ...pair.b.events].filter(({ type }) => type === 'frame-rejected')).toEqual([])
  })

  it('bring everything over several lossy links, too', () => {
    const random = seededRandom(1, 'routed')
    const pair = new PostalPair(random)
    pair.change('routed')
    pair.loss = 0.1
    const sent: Sent[] = Array.from({ length: 300 }, (_, number) => ({
      id: pair.a.send(pair.b, 'bulk', bodyOf(number, random)),
      lane: 'bulk',
      number,
      isRefused: false,
    }))
    pair.run(240_000)
    expectDelivered(pair.a, pair.b, sent)
  })

  it('lose nothing where a link is over at one end alone: what the other end did not take comes again', () => {
    const random = seededRandom(1, 'half a link')
    const pair = new PostalPair(random)
    pair.change('routed')
    pair.answersByLink = true
    const sent: Sent[] = Array.from({ length: 100 }, (_, number) => ({
      id: pair.a.send(pair.b, 'call', bodyOf(number, random)),
      lane: 'call',
      number,
      isRefused: false,
    }))
    pair.run(4_000)
    expect(pair.b.received.call).toEqual([])
    pair.answersByLink = false
    pair.run(60_000)
    expectDelivered(pair.a, pair.b, sent)
  })

  it('let a receiver that handles nothing hold a window, and no more', () => {
    const random = seededRandom(2, 'slow')
    const pair = new PostalPair(random)
    pair.b.isQuick = false
    const body = new Uint8Array(10_000)
    for (let i = 0; i < 500; i++) pair.a.send(pair.b, 'bulk', body)
    pair.run(20_000)
    const { heldBytes } = pair.b.associations
    expect(heldBytes).toBeGreaterThan(200_000)
    expect(heldBytes).toBeLessThan(1024 * 1024 + 64 * 1024)
    pair.b.isQuick = true
    pair.run(20_000)
    expect(pair.b.received.bulk).toHaveLength(500)
    expect(pair.a.associations.counts.pending).toBe(0)
  })

  it('wake nobody for what went along with an answer', () => {
    const pair = new PostalPair(seededRandom(1, 'answer'))
    const { a, b } = pair
    b.isQuick = false
    a.send(b, 'call', Uint8Array.of(1))
    pair.run(20)
    pair.handle(b, Infinity)
    expect(b.associations.owedAt, 'that it is handled is to be told').toBeLessThanOrEqual(pair.now)
    b.send(a, 'call', Uint8Array.of(2))
    b.associations.settle(pair.now)
    expect(b.associations.owedAt).toBeGreaterThan(pair.now)
    pair.run(20)
    expect([...a.outcomes.values(), a.received.call.length]).toEqual(['taken', 1])
  })

  it.each([
    ['a link', 'direct', 100],
    ['several links', 'routed', 0],
  ] as const)('let what came of grains over %s wait for company for so long', (_, road, waitMs) => {
    const pair = new PostalPair(seededRandom(1, 'company'))
    const { a, b } = pair
    pair.change(road)
    const bytes = Uint8Array.of(1)
    const say = (from: Post, to: Post): void => {
      from.associations.sendGrain(to.nodeId, 'grain', bytes)
      from.associations.settle(pair.now)
    }
    say(a, b)
    const start = pair.now + 5
    pair.run(300)
    expect(pair.receipts).toMatchObject([{ from: b }])
    const { at } = pair.receipts[0]!
    expect(at - start).toBeGreaterThanOrEqual(waitMs)
    expect(at - start).toBeLessThanOrEqual(waitMs + 10)
    pair.receipts.length = 0
    say(a, b)
    pair.run(5)
    say(b, a)
    pair.run(5)
    say(a, b)
    pair.run(50)
    // One for each that was answered, and none beside.
    if (waitMs > 0) expect(pair.receipts.map(({ from }) => from)).toEqual([b, a])
    pair.run(300)
    expect(pair.receipts.at(-1)!.from).toBe(b)
  })

  it('tell of many refusals as surely as of few', () => {
    const pair = new PostalPair(seededRandom(3, 'refused'))
    pair.b.deaf.add('deaf')
    const ids = Array.from({ length: 1_000 }, () => pair.a.send(pair.b, 'call', new Uint8Array(4), 'deaf'))
    pair.run(5_000)
    expect(ids.map((id) => pair.a.outcomes.get(id))).toEqual(ids.map(() => 'no-receiver'))
  })
})

describe('an authority that breaks the rules', () => {
  const forged = { kind: 'segment', stream: 'call', more: false, settled: 0 } as const

  it('three times in a minute is shut out for half a minute; what waits for it is sent then', () => {
    const pair = new PostalPair(seededRandom(4, 'quarantine'))
    const { a, b } = pair
    for (let sequence = 1; sequence <= 3; sequence++) {
      a.associations.onFrame(b.nodeId, { ...forged, sequence, body: Uint8Array.of(0xff) }, true, pair.now)
    }
    pair.run(5)
    expect(a.associations.quarantineOf(b.nodeId.slice(0, 20))).toMatchObject({
      reason: 'piece flags 255 are unknown',
    })
    const refused = a.send(b, 'call', new Uint8Array(4))
    pair.run(20)
    expect(a.outcomes.get(refused)).toBe('quarantined')
    pair.run(31_000)
    expect(a.associations.quarantineOf(b.nodeId.slice(0, 20))).toBeUndefined()
    const states = a.events.filter((event) => event.type === 'association').map(({ to }) => to)
    expect(states).toEqual(['quarantined', 'disconnected', 'connected'])
  })

  it('is let in again at once, if somebody says so', () => {
    const pair = new PostalPair(seededRandom(5, 'release'))
    const { a, b } = pair
    const id = a.send(b, 'call', new Uint8Array(4))
    for (let i = 0; i < 3; i++) a.associations.countFault(b.nodeId.slice(0, 20), 'test', pair.now)
    pair.run(100)
    expect(a.outcomes.get(id), 'kept').toBeUndefined()
    a.associations.release(b.nodeId.slice(0, 20))
    pair.run(100)
    expect(a.outcomes.get(id), 'and sent after all').toBe('taken')
  })

  it.each([
    ['settled messages that were not handled', { sequence: 1, settled: 1, body: new Uint8Array(0) }],
    ['mailbox name is not allowed', { sequence: 1, body: Uint8Array.of(3, 1, 1, 0, 0) }],
    ['a message has another size than it says', { sequence: 1, body: Uint8Array.of(3, 1, 0x6d, 9, 1, 0) }],
    ['pieces of messages are mixed up', { sequence: 1, body: Uint8Array.of(2, 1, 0) }],
    [
      'size of message is 33554432, over its limit of 16777216',
      { sequence: 1, body: Uint8Array.of(1, 1, 0x6d, 0x80, 0x80, 0x80, 0x10, 0) },
    ],
  ])('is told of: %s', (reason, patch) => {
    const pair = new PostalPair(seededRandom(6, 'hostile'))
    pair.a.associations.onFrame(pair.b.nodeId, { ...forged, ...patch }, true, pair.now)
    pair.run(5)
    expect(pair.a.events.find(({ type }) => type === 'frame-rejected')).toMatchObject({ reason })
  })
})
