/** Frames and bytes: every frame comes back as it was, and whatever is no frame is named for what is wrong with it. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { FrameKind } from '../../../src/core/wire/kinds.ts'
import { KIND_OF, kindName } from '../../../src/core/wire/kinds.ts'
import {
  decodeMessage,
  encodeAlone,
  encodeForward,
  encodeFrame,
  encodeMessage,
  MAX_MESSAGE,
  MAX_TTL,
} from '../../../src/core/wire/codec.ts'
import { WireLimits } from '../../../src/core/wire/decode.ts'
import type { Frame, OriginRange, RouteHeader } from '../../../src/core/wire/frames.ts'
import { NONCE_BYTES } from '../../../src/core/wire/frames.ts'
import { REMOVED } from '../../../src/core/membership/record.ts'
import { Reader } from '../../../src/core/wire/reader.ts'
import { Writer } from '../../../src/core/wire/writer.ts'
import { utf8Length } from '../../../src/core/utf8.ts'
import { anyFrame, anyFrameOf, anyNodeId, runs } from '../support/arbitraries.ts'
import { nodeIdOf, selfOf, wholeOf } from '../support/names.ts'

const KINDS = Object.keys(KIND_OF) as FrameKind[]

const decoded = (bytes: Uint8Array): Frame[] => {
  const result = decodeMessage(bytes)
  if (!result.ok) throw new Error(result.reason)
  return result.envelopes.map(({ frame }) => frame)
}

const wrongWith = (bytes: Uint8Array): string => {
  const result = decodeMessage(bytes)
  return result.ok ? 'nothing' : result.reason
}

const wrongWithFrame = (frame: Frame): string => wrongWith(encodeMessage([encodeFrame(frame)]))

describe('every kind of frame', () => {
  it.each(KINDS)('%s comes back as it was', (kind) => {
    fc.assert(
      fc.property(anyFrameOf[kind], (frame) => {
        const bytes = encodeFrame(frame)
        const [back] = decoded(encodeMessage([bytes]))
        expect(back).toEqual(frame)
        expect(encodeFrame(back!)).toEqual(bytes)
      }),
      runs(150),
    )
  })

  it('comes back with its route', () => {
    const anyRoute = fc.record({
      origin: anyNodeId,
      destination: anyNodeId,
      ttl: fc.nat(MAX_TTL),
      trail: fc.array(fc.nat(0xffffffff), { maxLength: MAX_TTL }),
    })
    fc.assert(
      fc.property(anyFrame, anyRoute, (frame, route) => {
        const bytes = encodeFrame(frame, route)
        const result = decodeMessage(encodeMessage([bytes]))
        const rest = expect.any(Uint8Array) as Uint8Array
        expect(result).toEqual({ ok: true, envelopes: [{ route, rest, frame, size: bytes.length }] })
        // Passed on, it is the same but for its header.
        const next = { ...route, ttl: 0, trail: [7] }
        const envelope = result.ok ? result.envelopes[0]! : undefined
        expect(encodeForward(envelope!, next)).toEqual(encodeMessage([encodeFrame(frame, next)]))
        expect(encodeAlone(frame, next)).toEqual(encodeMessage([encodeFrame(frame, next)]))
      }),
      runs(200),
    )
  })

  it('is the same where a large body has room before it for what goes there, and where that is too little', () => {
    const headroom = 64
    const anySize = fc.integer({ min: 0, max: 16_512 })
    fc.assert(
      fc.property(anySize, fc.nat(2 ** 32), fc.boolean(), fc.nat(headroom), (size, sequence, more, room) => {
        const memory = new Uint8Array(headroom + size + 8).fill(7)
        const body = memory.subarray(headroom, headroom + size)
        const frame = {
          kind: 'segment',
          stream: 'bulk',
          more,
          sequence: sequence + 1,
          settled: sequence,
          body,
        } as const
        const message = encodeAlone({ ...frame, headroom: room })
        expect(message).toEqual(encodeMessage([encodeFrame(frame)]))
        expect(memory.subarray(0, headroom - room).every((byte) => byte === 7)).toBe(true)
        expect(memory.subarray(headroom).every((byte) => byte === 7)).toBe(true)
      }),
      runs(100),
    )
  })

  it('comes back from a message with others, in order', () => {
    fc.assert(
      fc.property(fc.array(anyFrame, { minLength: 1, maxLength: 6 }), (frames) => {
        const message = encodeMessage(frames.map((frame) => encodeFrame(frame)))
        fc.pre(message.length <= MAX_MESSAGE)
        expect(decoded(message)).toEqual(frames)
      }),
      runs(150),
    )
  })

  it('is refused at every length but its own', () => {
    fc.assert(
      fc.property(anyFrame, fc.nat(), (frame, cut) => {
        const bytes = encodeFrame(frame)
        const short = bytes.slice(0, cut % bytes.length)
        expect(decodeMessage(encodeMessage([short])).ok).toBe(false)
        if (frame.kind !== 'hello' || frame.own) {
          const long = Uint8Array.of(...bytes, 0)
          expect(wrongWith(encodeMessage([long]))).toBe(`${frame.kind} has 1 bytes too many`)
        }
      }),
      runs(300),
    )
  })

  it('has a number of its own', () => {
    expect(new Set(Object.values(KIND_OF)).size).toBe(KINDS.length)
    for (const kind of KINDS) expect(kindName(KIND_OF[kind])).toBe(kind)
    for (const number of [0, 23, 255]) expect(kindName(number)).toBeUndefined()
  })
})

describe('a message', () => {
  const ping = encodeFrame({ kind: 'ping', token: 1 })

  it('is refused if it is empty, too long, or cut short', () => {
    expect(wrongWith(new Uint8Array(0))).toBe('message is empty')
    expect(wrongWith(new Uint8Array(MAX_MESSAGE + 1))).toBe(
      'message has 65537 bytes, over its limit of 65536',
    )
    expect(wrongWith(Uint8Array.of(4, 1, 9, 0))).toBe('frame is cut short')
    expect(wrongWith(Uint8Array.of(0x80))).toBe('frame length is cut short')
    expect(wrongWith(Uint8Array.of(0xff, 0xff, 0x7f))).toBe(
      'frame length is 2097151, over its limit of 65536',
    )
    expect(wrongWith(Uint8Array.of(0))).toBe('wire version is cut short')
  })

  it('is refused whole if one of its frames is wrong', () => {
    expect(wrongWith(encodeMessage([ping, Uint8Array.of(1, 77, 0)]))).toBe('frame kind is unknown')
  })

  it('is refused for kinds, flags and versions that are not known', () => {
    const changed = (at: number, value: number): Uint8Array => {
      const bytes = ping.slice()
      bytes[at] = value
      return encodeMessage([bytes])
    }
    expect(wrongWith(changed(0, 2))).toBe('wire version 2 is not spoken here (1 to 1 are)')
    expect(wrongWith(changed(0, 0))).toBe('wire version 0 is not spoken here (1 to 1 are)')
    expect(wrongWith(changed(1, 0))).toBe('frame kind is unknown')
    expect(wrongWith(changed(2, 2))).toBe('frame flags 2 are unknown')
    expect(wrongWith(changed(2, 1))).toBe('route origin is cut short')
  })

  it('is read whatever its version in hello and refuse, so that versions can refuse each other', () => {
    const later: Frame = {
      kind: 'hello',
      minVersion: 8,
      maxVersion: 9,
      cluster: 'c',
      nodeId: nodeIdOf(1),
      nonce: new Uint8Array(0),
      publicKey: new Uint8Array(0),
      buckets: new Uint32Array(64),
    }
    for (const frame of [{ kind: 'refuse', code: 'schema-mismatch', reason: 'why' } as const, later]) {
      const bytes = encodeFrame(frame)
      bytes[0] = 9
      expect(decoded(encodeMessage([bytes]))).toEqual([frame])
    }
    const future = encodeFrame(later)
    // What a later version writes behind the head is none of our business.
    expect(decoded(encodeMessage([Uint8Array.of(...future, 1, 2, 3)]))).toMatchObject([{ maxVersion: 9 }])
  })

  it('is refused for a route that is none', () => {
    const route: RouteHeader = { origin: nodeIdOf(1), destination: nodeIdOf(2), ttl: MAX_TTL, trail: [] }
    const routed = (patch: Partial<typeof route>) =>
      wrongWith(encodeMessage([encodeFrame({ kind: 'ping', token: 1 }, { ...route, ...patch })]))
    expect(routed({})).toBe('nothing')
    expect(routed({ ttl: 33 })).toBe('route ttl is 33, over its limit of 32')
    expect(routed({ trail: Array.from({ length: 33 }, () => 1) })).toBe(
      'route trail has 33 members, over its limit of 32',
    )
    expect(routed({ origin: 'x' })).toBe('route names no nodeId')
    expect(routed({ destination: 'x'.repeat(65) })).toBe(
      'length of route destination is 65, over its limit of 64',
    )
  })
})

describe('limits and rules', () => {
  const delta = (patch: Partial<OriginRange>): string =>
    wrongWithFrame({ kind: 'delta', ranges: [{ ...wholeOf(nodeIdOf(1), { counter: 5 }), ...patch }] })
  const entry = { key: 'k', version: 3, value: 'v' }
  const observers = [nodeIdOf(1), nodeIdOf(2)]
  const self = selfOf(1, { counter: 5 })
  const over = WireLimits.counter + 1

  it('have each its message', () => {
    const text = (bytes: number): string => 'x'.repeat(bytes)
    expect(wrongWithFrame({ kind: 'goodbye', reason: text(513) })).toBe(
      'length of goodbye reason is 513, over its limit of 512',
    )
    expect(wrongWithFrame({ kind: 'refuse', code: 'removed', reason: text(513) })).toMatch(
      /over its limit of 512/,
    )
    expect(wrongWithFrame({ kind: 'accept', version: 256 })).toBe(
      'accepted version is 256, over its limit of 255',
    )
    const status = {
      kind: 'status',
      viewHi: 0,
      viewLo: 0,
      content: 0,
      published: new Uint8Array(1_025),
    } as const
    expect(wrongWithFrame(status)).toBe('length of published bitmap is 1025, over its limit of 1024')
    const missing = (count: number, nodeId = nodeIdOf(1), from = 0): Frame => ({
      kind: 'missing',
      ranges: Array.from({ length: count }, () => ({ nodeId, from })),
    })
    expect(wrongWithFrame(missing(1_025))).toBe('count of missing ranges is 1025, over its limit of 1024')
    expect(wrongWithFrame(missing(1, 'nobody'))).toBe('missing nodeId is malformed')
    expect(wrongWithFrame(missing(1, nodeIdOf(1), over))).toMatch(
      /^missing range is \d+, over its limit of 281474976710656$/,
    )
    const hello = {
      kind: 'hello',
      minVersion: 1,
      maxVersion: 1,
      nodeId: nodeIdOf(1),
      nonce: new Uint8Array(NONCE_BYTES),
      publicKey: new Uint8Array(0),
      buckets: new Uint32Array(64),
    } as const
    const own = wholeOf(nodeIdOf(1))
    expect(wrongWithFrame({ ...hello, cluster: text(257), own })).toBe(
      'length of cluster name is 257, over its limit of 256',
    )
    const notOwn = 'hello does not carry the whole record of its sender'
    expect(wrongWithFrame({ ...hello, cluster: '', own: wholeOf(nodeIdOf(2)) })).toBe(notOwn)
    expect(wrongWithFrame({ ...hello, cluster: '', own: { ...own, self: undefined, to: 0 } })).toBe(notOwn)
    const keyed = { ...hello, cluster: '', own, publicKey: new Uint8Array(129) }
    expect(wrongWithFrame(keyed)).toBe('length of public key is 129, over its limit of 128')
    expect(wrongWithFrame({ kind: 'proof', signature: new Uint8Array(129) })).toBe(
      'length of signature is 129, over its limit of 128',
    )
    expect(wrongWithFrame({ kind: 'refuse', code: 'removed', reason: '', kept: 'x' })).toBe(
      'kept nodeId is malformed',
    )
    expect(wrongWithFrame({ kind: 'probe', subject: 'x', token: 1 })).toBe('probed nodeId is malformed')
    expect(wrongWithFrame({ kind: 'probed', subject: 'x', token: 1, alive: true })).toBe(
      'probed nodeId is malformed',
    )
    expect(
      wrongWithFrame({ kind: 'digest', mask: { low: 0, high: 0 }, entries: [{ nodeId: 'x', counter: 0 }] }),
    ).toBe('digest nodeId is malformed')
  })

  it('hold for ranges', () => {
    expect(delta({})).toBe('nothing')
    expect(delta({ nodeId: 'nobody' })).toBe('delta nodeId is malformed')
    expect(delta({ from: 6, self: undefined })).toBe('delta runs backwards, from 6 to 5')
    expect(delta({ floor: 6 })).toBe('delta floor is past its end')
    expect(delta({ to: over })).toMatch(/^delta end is \d+, over its limit/)
    expect(delta({ from: 5, self })).toBe('self register is outside of its delta')
    expect(delta({ self: { ...self, counter: 6 } })).toBe('self register is outside of its delta')
    expect(delta({ self: undefined })).toBe('a whole record has no self register')
    expect(delta({ from: 3, self: undefined, entries: [entry] })).toBe('peer state is outside of its delta')
    expect(delta({ entries: [{ ...entry, version: 6 }] })).toBe('peer state is outside of its delta')
    const many = Array.from({ length: 257 }, () => entry)
    expect(delta({ entries: many })).toBe('count of peer state is 257, over its limit of 256')
    expect(delta({ entries: [{ ...entry, value: 'x'.repeat(16_385) }] })).toBe(
      'length of peer state value is 16385, over its limit of 16384',
    )
    for (const key of ['', '__proto__', 'constructor', 'prototype', ' x', 'é', 'a\u0000']) {
      expect(delta({ entries: [{ ...entry, key }] })).toBe('peer state key is not allowed')
    }
    expect(delta({ entries: [{ ...entry, key: 'x'.repeat(65) }] })).toMatch(
      /peer state key is 65, over its limit of 64/,
    )
  })

  it('hold for self registers', () => {
    expect(delta({ self: { ...self, process: 'short' } })).toBe('process id is malformed')
    expect(delta({ self: { ...self, process: 'x'.repeat(17) } })).toMatch(
      /process id is 17, over its limit of 16/,
    )
    expect(delta({ self: { ...self, browser: 'x'.repeat(65) } })).toMatch(
      /browser id is 65, over its limit of 64/,
    )
    expect(delta({ self: { ...self, meta: 'x'.repeat(16_385) } })).toMatch(
      /meta is 16385, over its limit of 16384/,
    )
    expect(delta({ self: { ...self, incarnation: over } })).toMatch(/^incarnation is \d+, over its limit/)
  })

  it('hold for accusations', () => {
    const accused = (patch: object): string =>
      delta({ accusation: { rank: 'suspect', incarnation: 0, observers, ...patch } })
    expect(accused({})).toBe('nothing')
    expect(accused({ observers: [] })).toBe('an accusation has no observers')
    expect(accused({ observers: observers.toReversed() })).toBe('observers are not in order')
    expect(accused({ observers: [nodeIdOf(1), nodeIdOf(1)] })).toBe('observers are not in order')
    expect(accused({ observers: ['nobody'] })).toBe('observer is malformed')
    const six = [1, 2, 3, 4, 5, 6].map((index) => nodeIdOf(index))
    expect(accused({ observers: six })).toBe('count of observers is 6, over its limit of 5')
    expect(accused({ incarnation: over })).toMatch(/^accused incarnation is \d+, over its limit/)
    const removed = {
      ...wholeOf(nodeIdOf(1)),
      accusation: { rank: 'removed', incarnation: 9, observers },
    } as const
    expect(decoded(encodeMessage([encodeFrame({ kind: 'delta', ranges: [removed] })]))).toEqual([
      { kind: 'delta', ranges: [{ ...removed, accusation: REMOVED }] },
    ])
  })

  it('hold for names of status, visibility, rank, refusal and flags', () => {
    const [bytes] = [encodeFrame({ kind: 'delta', ranges: [wholeOf(nodeIdOf(1))] })]
    // Behind version, kind, flags and count: nodeId, three numbers, then the flags of the range.
    const flags = 3 + 1 + 1 + nodeIdOf(1).length + 3
    const changed = (at: number, value: number): string => {
      const copy = bytes!.slice()
      copy[at] = value
      return wrongWith(encodeMessage([copy]))
    }
    expect(changed(flags, 4)).toBe('delta flags 4 are unknown')
    expect(changed(flags + 3, 3)).toBe('status is unknown')
    const refuse = encodeFrame({ kind: 'refuse', code: 'removed', reason: '' })
    refuse[3] = 6
    expect(wrongWith(encodeMessage([refuse]))).toBe('refusal code is unknown')
    const probed = encodeFrame({ kind: 'probed', subject: nodeIdOf(1), token: 1, alive: true })
    probed[probed.length - 1] = 2
    expect(wrongWith(encodeMessage([probed]))).toBe('probe result is unknown')
    const hello = encodeFrame({
      kind: 'hello',
      minVersion: 1,
      maxVersion: 1,
      cluster: '',
      nodeId: nodeIdOf(1),
      nonce: new Uint8Array(NONCE_BYTES),
      publicKey: new Uint8Array(0),
      own: wholeOf(nodeIdOf(1)),
      buckets: new Uint32Array(64),
    })
    hello[hello.length - 1] = 4
    expect(wrongWith(encodeMessage([hello]))).toBe('hello flags 4 are unknown')
  })
})

describe('numbers', () => {
  it('are varints up to 2^53 - 1', () => {
    const anyNumber = fc.oneof(fc.maxSafeNat(), fc.nat(300), fc.constant(Number.MAX_SAFE_INTEGER))
    fc.assert(
      fc.property(anyNumber, (value) => {
        const bytes = new Writer(1).varint(value).take()
        const reader = new Reader(bytes)
        expect(reader.varint('n')).toBe(value)
        expect(reader.done).toBe(true)
        expect(bytes.length).toBe(Math.max(1, Math.ceil(Math.log2(value + 1) / 7)))
      }),
      runs(500),
    )
  })

  it('that are too long or too large are none', () => {
    const reader = new Reader(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01))
    expect(reader.varint('n')).toBe(0)
    expect(reader.problem).toBe('n is too long a number')
    const large = new Reader(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f))
    expect(large.varint('n')).toBe(0)
    expect(large.problem).toMatch(/^n is \d+, over its limit of 9007199254740991$/)
  })

  it('are words of 32 bits, little endian', () => {
    expect([...new Writer().word(0x01020304).word(0xffffffff).take()]).toEqual([
      4, 3, 2, 1, 255, 255, 255, 255,
    ])
    expect(new Reader(Uint8Array.of(4, 3, 2, 0xf1)).word('w')).toBe(0xf1020304)
    const short = new Reader(Uint8Array.of(1, 2, 3))
    expect(short.word('w')).toBe(0)
    expect(short.problem).toBe('w is cut short')
  })
})

describe('texts', () => {
  const written = (text: string): Uint8Array => new Writer(1).text(text).take()
  const utf8 = new TextEncoder()

  it('are UTF-8 as the platform writes it, lone surrogates replaced', () => {
    const anyString = fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme' }), anyUtf16())
    fc.assert(
      fc.property(anyString, (text) => {
        const bytes = utf8.encode(text)
        expect(utf8Length(text)).toBe(bytes.length)
        expect(written(text)).toEqual(Uint8Array.of(...new Writer().varint(bytes.length).take(), ...bytes))
        expect(new Reader(written(text)).text('t', 10_000)).toBe(new TextDecoder().decode(bytes))
      }),
      runs(500),
    )
  })

  it('are read if and only if they are UTF-8', () => {
    const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
    const anyBytes = fc.oneof(
      fc.uint8Array({ maxLength: 8 }),
      fc.array(fc.constantFrom(0x7f, 0x80, 0xbf, 0xc0, 0xc2, 0xe0, 0xed, 0xa0, 0xf0, 0xf4, 0x8f, 0x90), {
        maxLength: 6,
      }),
    )
    fc.assert(
      fc.property(anyBytes, (values) => {
        const bytes = Uint8Array.from(values)
        const reader = new Reader(Uint8Array.of(bytes.length, ...bytes))
        const text = reader.text('t', 100)
        let expected: string | undefined
        try {
          expected = strict.decode(bytes)
        } catch {
          expected = undefined
        }
        expect(reader.problem === undefined ? text : undefined).toBe(expected)
      }),
      runs(2_000),
    )
  })

  it('that are cut short, or whose last character is, are none', () => {
    const cut = new Reader(Uint8Array.of(3, 0x61))
    expect([cut.text('t', 9), cut.problem]).toEqual(['', 't is cut short'])
    const half = new Reader(Uint8Array.of(2, 0x61, 0xc3, 0xa9))
    expect([half.text('t', 9), half.problem]).toEqual(['', 't is not UTF-8'])
  })
})

const anyUtf16 = (): fc.Arbitrary<string> =>
  fc
    .array(fc.constantFrom(0x61, 0xd800, 0xdbff, 0xdc00, 0xdfff, 0xe9, 0x20ac), { maxLength: 8 })
    .map((units) => String.fromCharCode(...units))

describe('a reader', () => {
  it('keeps the first problem and reads nothing after it', () => {
    const reader = new Reader(Uint8Array.of(1, 2, 3))
    reader.fail('first')
    reader.fail('second')
    expect([reader.byte('b'), reader.word('w'), reader.varint('v'), reader.text('t', 9)]).toEqual([
      0,
      0,
      0,
      '',
    ])
    expect(reader.blob('x', 9)).toHaveLength(0)
    expect([reader.problem, reader.remaining, reader.done]).toEqual(['first', 0, true])
  })

  it('never reads past the end of its section', () => {
    const reader = new Reader(Uint8Array.of(1, 2, 3))
    const end = reader.narrow(1)
    expect(reader.byte('a')).toBe(1)
    expect([reader.remaining, reader.done]).toEqual([0, true])
    reader.widen(end)
    expect(reader.remaining).toBe(2)
    reader.narrow(10)
    expect([reader.byte('b'), reader.byte('c'), reader.byte('d')]).toEqual([2, 3, 0])
    expect(reader.problem).toBe('d is cut short')
  })

  it('goes on behind its section, however much of that was read', () => {
    const reader = new Reader(Uint8Array.of(1, 2, 3))
    reader.widen(reader.narrow(2))
    expect(reader.byte('rest')).toBe(3)
  })
})
