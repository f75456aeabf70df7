import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BodyMemory } from '../../../src/core/association/body-memory.ts'
import { InStream } from '../../../src/core/association/in-stream.ts'
import { letterOf } from '../../../src/core/association/letter.ts'
import type { Letter } from '../../../src/core/association/letter.ts'
import { BODY_MEMORY, INITIAL_WINDOW, MAX_BODY, OutStream } from '../../../src/core/association/out-stream.ts'
import type { Way } from '../../../src/core/association/out-stream.ts'
import type { Incoming, Outcome } from '../../../src/core/events.ts'
import { MAX_FRAME } from '../../../src/core/wire/codec.ts'
import type { Frame } from '../../../src/core/wire/frames.ts'

type SegmentFrame = Extract<Frame, { kind: 'segment' }>
type ReceiptFrame = Extract<Frame, { kind: 'receipt' }>

const WINDOW = INITIAL_WINDOW
const MESSAGE = 600_000

/** A sender and a receiver, and everything that is between them: whatever a test wants to happen to it. */
class Pair {
  readonly outcomes = new Map<number, Outcome>()
  readonly handled: number[] = []
  readonly refused = new Set<number>()
  readonly queue: Letter[] = []
  readonly segments: SegmentFrame[] = []
  readonly receipts: ReceiptFrame[] = []
  readonly progress: number[] = []
  mayGrow = true
  way: Way | undefined = { id: 1, isDirect: true }
  now = 0
  accepted = 0
  most = 0
  #waiting: number[] = []
  readonly out = new OutStream(
    'call',
    {
      outcome: ({ id }, outcome) => {
        expect(this.outcomes.has(id), `message ${id} has one outcome`).toBe(false)
        this.outcomes.set(id, outcome)
      },
      progress: ({ confirmed }) => this.progress.push(confirmed),
    },
    new BodyMemory(BODY_MEMORY),
  )
  readonly in = new InStream('call', { windowBytes: WINDOW, messageBytes: MESSAGE })

  send(size: number): void {
    const id = ++this.accepted
    const bytes = new Uint8Array(size).fill(id)
    new DataView(bytes.buffer).setUint32(0, id)
    const letter = letterOf({ id, to: 'x', mailbox: 'box', lane: 'call', bytes, text: false }, 'x', undefined)
    this.queue.push(letter)
    this.pump()
  }

  pump(): void {
    if (!this.way) return
    this.out.pump(this.queue, this.way, this.now, (frame) => {
      // as a link does
      this.segments.push({ ...frame, body: frame.body.slice() })
      return true
    })
  }

  changeWay(isDirect: boolean): void {
    this.way = { id: (this.way?.id ?? 0) + 1, isDirect }
    this.pump()
  }

  cut(): void {
    this.way = undefined
    this.out.loseWay()
  }

  pass(ms: number): void {
    this.now += ms
    if (this.out.expire(this.now)) this.pump()
  }

  arriveSegment(at = 0): void {
    const [frame] = this.segments.splice(at % Math.max(1, this.segments.length), 1)
    if (frame) this.receive(frame)
  }

  receive(frame: SegmentFrame): void {
    const messages: Incoming[] = []
    const problem = this.in.receive(frame, messages)
    if (problem !== undefined) throw new Error(problem)
    for (const { bytes } of messages) this.#waiting.push(numberIn(bytes))
    this.most = Math.max(this.most, this.in.bytes)
  }

  /** Messages that wait to be handled. */
  get open(): number {
    return this.#waiting.length
  }

  /** The receiver's listener is done with so many; those in `refused` had none. */
  take(count: number, refused: readonly number[] = []): void {
    const taken = this.#waiting.splice(0, count)
    this.handled.push(...taken)
    for (const i of refused) if (i < taken.length) this.refused.add(taken[i]!)
    if (taken.length > 0)
      this.in.take(
        taken.length,
        refused.filter((i) => i < taken.length),
      )
  }

  tell(): void {
    if (this.in.owesReceipt) this.receipts.push(this.in.receipt(this.mayGrow))
  }

  arriveReceipt(at = 0): void {
    const [frame] = this.receipts.splice(at % Math.max(1, this.receipts.length), 1)
    if (!frame) return
    this.out.onReceipt(frame, true, this.now)
    this.pump()
  }

  /** Everything arrives and is handled, until nothing is left to be done. Returns the time it took. */
  settle(): number {
    const start = this.now
    if (!this.way) this.changeWay(true)
    for (let round = 0; this.outcomes.size < this.accepted; round++) {
      if (round > 3_000) throw new Error(`no end: ${this.outcomes.size} of ${this.accepted} have an outcome`)
      while (this.segments.length > 0) this.arriveSegment()
      this.take(Infinity)
      this.tell()
      if (this.receipts.length === 0 && this.outcomes.size < this.accepted) {
        expect(this.out.resendAt, 'a stream that is not done has something to wait for').toBeLessThan(
          Infinity,
        )
        this.pass(Math.max(0, this.out.resendAt - this.now))
      }
      while (this.receipts.length > 0) this.arriveReceipt()
    }
    return this.now - start
  }
}

const numberIn = (bytes: Uint8Array): number => new DataView(bytes.buffer, bytes.byteOffset).getUint32(0)

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1)

const segmentOf = (sequence: number, ...body: number[]): SegmentFrame => ({
  kind: 'segment',
  stream: 'call',
  more: false,
  sequence,
  settled: 0,
  body: Uint8Array.from(body),
})

/** A piece that is a whole message of one byte. */
const wholeOf = (byte: number): number[] => [3, 1, 0x61, 1, 1, byte]

describe('a stream', () => {
  it('hands out every message once, in order, whatever happens on the way', () => {
    const at = fc.nat(1_000)
    const step = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.tuple(
          fc.constant('send' as const),
          fc.constantFrom(4, 64, 3_000, 15_870, 40_000, 400_000),
        ),
      },
      { weight: 8, arbitrary: fc.tuple(fc.constant('segment' as const), fc.constantFrom(0, 0, 0, 1, 5, 50)) },
      { weight: 3, arbitrary: fc.tuple(fc.constant('lose' as const), at) },
      { weight: 2, arbitrary: fc.tuple(fc.constant('double' as const), at) },
      { weight: 5, arbitrary: fc.tuple(fc.constant('take' as const), fc.constantFrom(1, 2, 30)) },
      { weight: 2, arbitrary: fc.tuple(fc.constant('refuse' as const), fc.constantFrom(1, 3, 90)) },
      { weight: 5, arbitrary: fc.tuple(fc.constant('receipt' as const), at) },
      { weight: 2, arbitrary: fc.tuple(fc.constant('lose receipt' as const), at) },
      { weight: 1, arbitrary: fc.tuple(fc.constant('way' as const), fc.constantFrom(0, 1)) },
      { weight: 1, arbitrary: fc.tuple(fc.constant('cut' as const), at) },
      {
        weight: 3,
        arbitrary: fc.tuple(fc.constant('pass' as const), fc.constantFrom(1, 900, 4_000, 20_000)),
      },
      { weight: 1, arbitrary: fc.tuple(fc.constant('full' as const), fc.constantFrom(0, 1)) },
    )
    fc.assert(
      fc.property(fc.array(step, { minLength: 5, maxLength: 150 }), (steps) => {
        const pair = new Pair()
        for (const [what, n] of steps) {
          if (what === 'send') pair.send(n)
          else if (what === 'segment') pair.arriveSegment(n)
          else if (what === 'lose') pair.segments.splice(n % Math.max(1, pair.segments.length), 1)
          else if (what === 'double' && pair.segments.length > 0)
            pair.segments.push(pair.segments[n % pair.segments.length]!)
          else if (what === 'take') pair.take(n)
          else if (what === 'refuse')
            pair.take(
              n,
              range(n).map((i) => i - 1),
            )
          else if (what === 'receipt') {
            pair.tell()
            pair.arriveReceipt(n)
          } else if (what === 'lose receipt') {
            pair.tell()
            pair.receipts.splice(n % Math.max(1, pair.receipts.length), 1)
          } else if (what === 'way') pair.changeWay(n === 1)
          else if (what === 'cut') pair.cut()
          else if (what === 'pass') pair.pass(n)
          else if (what === 'full') pair.mayGrow = n === 1
        }
        pair.mayGrow = true
        pair.settle()
        expect(pair.handled).toEqual(range(pair.accepted))
        for (const id of range(pair.accepted)) {
          expect(pair.outcomes.get(id), `outcome of ${id}`).toBe(
            pair.refused.has(id) ? 'no-receiver' : 'taken',
          )
        }
        expect(pair.most).toBeLessThanOrEqual(WINDOW + MESSAGE)
        expect(pair.in.bytes).toBe(0)
      }),
      { numRuns: 300 },
    )
  })

  it('puts many short messages of one turn into few segments, none of them above a frame', () => {
    const pair = new Pair()
    pair.way = undefined
    for (const _ of range(1_000)) pair.send(64)
    pair.changeWay(true)
    expect(pair.segments.length).toBeLessThan(8)
    for (const { body } of pair.segments) expect(body.length).toBeLessThanOrEqual(MAX_BODY)
    expect(MAX_BODY).toBeLessThan(MAX_FRAME)
    pair.settle()
    expect(pair.handled).toEqual(range(1_000))
  })

  it('says of each segment whether another one follows at once, and a receipt waits for the last', () => {
    const pair = new Pair()
    pair.way = undefined
    for (const _ of range(5)) pair.send(10_000)
    pair.changeWay(true)
    expect(pair.segments.map(({ more }) => more)).toEqual([true, true, true, false])
    const isContinued = range(4).map(() => {
      pair.arriveSegment()
      return pair.in.isContinued
    })
    expect(isContinued).toEqual([true, true, true, false])
    for (const _ of range(30)) pair.send(MAX_BODY)
    pair.settle()
    expect(pair.handled).toEqual(range(35))
  })

  it('does not cut messages of 16 KiB where the window ends, but waits for room', () => {
    const pair = new Pair()
    let segments = 0
    for (const _ of range(100)) pair.send(16 * 1024)
    expect(pair.segments.length).toBeLessThan(100)
    for (let round = 0; pair.outcomes.size < 100; round++) {
      expect(round).toBeLessThan(1_000)
      for (; pair.segments.length > 0; segments++) pair.arriveSegment()
      pair.take(3)
      pair.tell()
      pair.arriveReceipt()
    }
    expect(segments).toBe(100)
    expect(pair.handled).toEqual(range(100))
  })

  it('sends a message of 16 KiB in one segment, whatever its mailbox is called', () => {
    const pair = new Pair()
    const bytes = new Uint8Array(16 * 1024)
    const message = { id: 1, to: 'x', mailbox: 'm'.repeat(64), lane: 'call', bytes, text: false } as const
    pair.queue.push(letterOf(message, 'x', undefined))
    pair.pump()
    expect(pair.segments.map(({ more }) => more)).toEqual([false])
  })

  it('sends no more than the receiver gives room for, and goes on as messages are handled', () => {
    const pair = new Pair()
    for (const _ of range(100)) pair.send(10_000)
    while (pair.segments.length > 0) pair.arriveSegment()
    pair.tell()
    while (pair.receipts.length > 0) pair.arriveReceipt()
    expect(pair.segments).toHaveLength(0)
    expect(pair.most).toBeLessThanOrEqual(WINDOW + 10_000)
    expect(pair.queue.length).toBeGreaterThan(70)
    pair.take(10)
    pair.tell()
    pair.arriveReceipt()
    expect(pair.segments.length).toBeGreaterThan(0)
    pair.settle()
    expect(pair.handled).toEqual(range(100))
  })

  it('cuts a message that is larger than the window, and tells how far it is', () => {
    const pair = new Pair()
    pair.send(MESSAGE)
    expect(pair.settle()).toBe(0)
    expect(pair.progress.length).toBeGreaterThan(1)
    expect([...pair.progress].sort((a, b) => a - b)).toEqual(pair.progress)
    expect(pair.most).toBeLessThanOrEqual(WINDOW + MESSAGE)
  })

  it('sends what is under way again at once when the way changes, and only then on a link of its own', () => {
    const pair = new Pair()
    for (const _ of range(5)) pair.send(MAX_BODY)
    const under = pair.segments.splice(0)
    pair.pass(5_000)
    expect(pair.segments).toHaveLength(0)
    pair.changeWay(true)
    expect(pair.segments.map(({ sequence }) => sequence)).toEqual(under.map(({ sequence }) => sequence))
    // What was under way on the old one arrives after all: twice is once.
    for (const frame of under) pair.receive(frame)
    pair.settle()
    expect(pair.handled).toEqual(range(5))
  })

  it('begins with 32 KiB over several links, and sends everything that was lost again in few rounds', () => {
    const pair = new Pair()
    pair.changeWay(false)
    for (const _ of range(60)) pair.send(4_000)
    let bytes = 0
    for (const { body } of pair.segments) bytes += body.length
    expect(bytes).toBeLessThanOrEqual(32 * 1024)
    // The window has grown, then all of it is lost.
    for (let round = 0; round < 2; round++) {
      while (pair.segments.length > 0) pair.arriveSegment()
      pair.take(Infinity)
      pair.tell()
      pair.arriveReceipt()
    }
    expect(pair.segments.length).toBeGreaterThan(4)
    pair.segments.length = 0
    expect(pair.settle(), 'one timeout, not one for each').toBeLessThanOrEqual(1_000)
    expect(pair.handled).toEqual(range(60))
  })

  it('waits longer and longer for an answer over several links, up to 15 s', () => {
    const pair = new Pair()
    pair.changeWay(false)
    pair.send(10)
    const waits = range(7).map(() => {
      const wait = pair.out.resendAt - pair.now
      pair.pass(wait)
      return wait
    })
    expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000])
  })

  it('tells of refusals although their receipts are lost', () => {
    const pair = new Pair()
    for (const _ of range(200)) pair.send(10)
    while (pair.segments.length > 0) pair.arriveSegment()
    pair.take(
      200,
      range(200).map((i) => i - 1),
    )
    pair.tell()
    pair.receipts.length = 0
    pair.settle()
    expect([...pair.outcomes.values()].every((outcome) => outcome === 'no-receiver')).toBe(true)
    expect(pair.outcomes.size).toBe(200)
  })

  it('keeps little of a sender that goes far ahead, or sends nothing again and again', () => {
    const pair = new Pair()
    const body = new Uint8Array(0)
    const empty = (sequence: number): SegmentFrame => ({
      kind: 'segment',
      stream: 'call',
      more: false,
      sequence,
      settled: 0,
      body,
    })
    pair.receive(empty(1_000_000))
    expect(pair.in.receive({ ...empty(3), settled: 1 }, [])).toBe('settled messages that were not handled')
    for (let sequence = 1; sequence < 5_000; sequence++) pair.receive(empty(sequence))
    expect(pair.in.bytes).toBe(0)
    expect(pair.in.receipt(true).received).toBe(4_999)
  })

  it('takes a segment of more than the window for a fault', () => {
    const pair = new Pair()
    const segment = (sequence: number): SegmentFrame => {
      return {
        kind: 'segment',
        stream: 'call',
        more: false,
        sequence,
        settled: 0,
        body: new Uint8Array(60_000),
      }
    }
    const answers = range(8).map((i) => pair.in.receive(segment(i + 1), []))
    expect(answers.at(-1)).toBe('more bytes than the window has')
  })

  it('brings any number of messages to nobody, and keeps few refusals that the sender does not know of', () => {
    const pair = new Pair()
    pair.way = undefined
    for (let i = 0; i < 100_000; i++) pair.send(4)
    pair.changeWay(true)
    let room = 0
    let unknown = 0
    for (let round = 0; pair.outcomes.size < pair.accepted && round < 5_000; round++) {
      while (pair.segments.length > 0) pair.arriveSegment()
      pair.take(
        pair.open,
        range(pair.open).map((i) => i - 1),
      )
      unknown = Math.max(unknown, pair.refused.size - pair.outcomes.size)
      pair.tell()
      room = Math.max(room, pair.receipts[0]!.limit)
      pair.arriveReceipt()
    }
    expect(pair.now, 'nobody waits').toBe(0)
    expect([...pair.outcomes.values()].every((outcome) => outcome === 'no-receiver')).toBe(true)
    expect(pair.outcomes.size).toBe(100_000)
    expect(unknown).toBeLessThan(1_024 + WINDOW / 5)
    expect(room, 'all in all, as more became known').toBeGreaterThan(2 * WINDOW)
  })

  it('takes messages to nobody for a fault where their sender neither keeps to the window nor says it knows', () => {
    const { in: stream } = new Pair()
    const nobodys = Array.from({ length: 3_000 }, () => [3, 1, 0x61, 0, 0]).flat()
    let problem: string | undefined
    let sequence = 0
    while (problem === undefined && sequence < 100) {
      const messages: Incoming[] = []
      problem = stream.receive(segmentOf(++sequence, ...nobodys), messages)
      stream.take(messages.length, [...messages.keys()])
      stream.receipt(true)
    }
    expect(problem).toBe('more messages without a receiver than the window has')
    expect(sequence).toBeLessThan(30)
  })

  it('says what is wrong with pieces that do not fit together', () => {
    const fault = (...body: number[]): unknown => new Pair().in.receive(segmentOf(1, ...body), [])
    expect(fault(2, 1, 0)).toBe('pieces of messages are mixed up')
    expect(fault(1, 1, 0x61, 5, 0), 'costs little to send, and more to keep').toBe(
      'a piece of a message is empty',
    )
    expect(fault(3, 1, 0x61, 5, 1, 0)).toBe('a message has another size than it says')
    expect(fault(1, 1, 0x61, 1, 2, 0, 0)).toBe('a message is larger than it says')
    expect(fault(9, 1, 0x61, 0, 0)).toBe('piece flags 9 are unknown')
    expect(fault(3, 1, 0x20, 0, 0)).toBe('mailbox name is not allowed')
    expect(fault(3, 1, 0x61, 0, 3)).toBe('piece is cut short')
    expect(fault(1, 1, 0x61, 0xff, 0xff, 0x7f, 1, 0)).toMatch(/over its limit/)
  })

  it('hands out what was complete before a fault, and what waited behind it', () => {
    const { in: stream } = new Pair()
    const messages: Incoming[] = []
    expect(stream.receive(segmentOf(2, ...wholeOf(8)), messages)).toBeUndefined()
    expect(stream.receive(segmentOf(1, ...wholeOf(7), 2, 1, 0), messages)).toBe(
      'pieces of messages are mixed up',
    )
    expect(messages.map(({ bytes }) => bytes[0])).toEqual([7, 8])
    stream.take(2, [])
    expect(stream.receipt(true), 'so each is counted as what it is').toMatchObject({
      received: 2,
      taken: 3,
      refused: [2],
    })
    expect(stream.bytes).toBe(0)
  })

  it.each<[string, number[][]]>([
    ['that never ends', [[1, 1, 0x61, 9, 1, 0]]],
    [
      'that never began',
      [
        [0, 1, 0],
        [0, 1, 0],
        [2, 1, 0],
      ],
    ],
    ['of another size', [[3, 1, 0x61, 5, 1, 0]]],
    [
      'that is too long',
      [
        [1, 1, 0x61, 1, 2, 0, 0],
        [0, 1, 0],
        [2, 1, 0],
      ],
    ],
    [
      'that is too short',
      [
        [1, 1, 0x61, 9, 1, 0],
        [2, 1, 0],
      ],
    ],
    ['that cannot be read', [[1, 1, 0x61, 9, 1, 0], [0xff], [0xff], [2, 1, 0]]],
  ])('goes on after a message %s, which counts as one that was refused', (_, bodies) => {
    const { in: stream } = new Pair()
    const messages: Incoming[] = []
    const problems = [wholeOf(1), ...bodies, wholeOf(2), wholeOf(3)].map((body, i) =>
      stream.receive(segmentOf(i + 1, ...body), messages),
    )
    expect(problems.filter((problem) => problem !== undefined).length).toBeGreaterThan(0)
    expect(problems.at(-1)).toBeUndefined()
    expect(messages.map(({ bytes }) => bytes[0])).toEqual([1, 2, 3])
    stream.take(1, [])
    expect(stream.receipt(true)).toMatchObject({ taken: 2, refused: [2] })
    stream.take(2, [1])
    expect(stream.receipt(true)).toMatchObject({ taken: 4, refused: [2, 4] })
    expect(stream.bytes).toBe(0)
  })

  it('an ended stream gives each message one outcome', () => {
    const pair = new Pair()
    for (const _ of range(3)) pair.send(10)
    pair.out.end('life-ended')
    expect([...pair.outcomes.values()]).toEqual(['life-ended', 'life-ended', 'life-ended'])
    expect(pair.out.isIdle).toBe(true)
  })
})
