import { describe, expect, test } from 'vitest'
import {
  encodeClientFrame,
  encodeServerFrame,
  fitsUtf8,
  isPermanent,
  parseClientFrame,
  parseServerFrame,
  CloseCode,
  type ClientFrame,
  type ServerFrame,
} from '../../src/adapters/signaling/protocol.ts'
import { hello, node } from './support.ts'

const reasonOf = (parsed: ReturnType<typeof parseClientFrame> | ReturnType<typeof parseServerFrame>) =>
  parsed.ok ? `accepted ${parsed.frame.t}` : parsed.reason

describe('client frames', () => {
  const frames: ClientFrame[] = [
    hello(1),
    hello(2, { resume: 'r', token: '', room: 'x'.repeat(128) }),
    { t: 'signal', to: node(3), data: '' },
    { t: 'signal', to: node(3), data: 'ä😀"\n'.repeat(100) },
    { t: 'signal', to: node(3), data: 'x'.repeat(48 * 1024) },
    { t: 'relay', to: node(3), data: '' },
    { t: 'relay', to: node(3), data: 'AZaz09+/AA==' },
    { t: 'contacts' },
    { t: 'bye' },
  ]
  test.each(frames)('$t comes back as it was', (frame) => {
    expect(parseClientFrame(encodeClientFrame(frame))).toEqual({ ok: true, frame })
  })

  test.each<[string, unknown]>([
    ['frame: not JSON', '{"t":'],
    ['frame: not JSON', ''],
    ['frame: not an object', 'null'],
    ['frame: not an object', '[]'],
    ['frame: not an object', '"hello"'],
    ['frame: over 65536 bytes', JSON.stringify({ t: 'contacts', x: 'x'.repeat(65_536) })],
    ['frame: over 65536 bytes', JSON.stringify({ t: 'contacts', x: '€'.repeat(22_000) })],
    ['frame: not JSON', '['.repeat(65_000)],
    ['frame: not an object', '['.repeat(20_000) + ']'.repeat(20_000)],
    ['t: must be a string', {}],
    ['t: must be a string', { t: 1 }],
    ['t: must have 1 to 32 characters', { t: 'x'.repeat(33) }],
    ['t: unknown frame type "welcome"', { t: 'welcome' }],
    ['t: unknown frame type "toString"', { t: 'toString' }],
    ['v: must be an integer from 0 to 1000000', { ...hello(1), v: '1' }],
    ['v: must be an integer from 0 to 1000000', { ...hello(1), v: 1.5 }],
    ['v: must be an integer from 0 to 1000000', '{"t":"hello","v":1e999}'],
    ['room: must be a string', { ...hello(1), room: undefined }],
    ['room: must have 1 to 128 characters', { ...hello(1), room: '' }],
    ['room: must have 1 to 128 characters', { ...hello(1), room: 'x'.repeat(129) }],
    ['node: must be a nodeId', { ...hello(1), node: 'me' }],
    ['node: must be a nodeId', { ...hello(1), node: `${node(1)}\n` }],
    ['node: must be a nodeId', { ...hello(1), node: [node(1)] }],
    ['node: must be a nodeId', { ...hello(1), node: node(1).replace('.1.', '.01.') }],
    ['resume: must be a string', { ...hello(1), resume: null }],
    ['resume: must have 1 to 128 characters', { ...hello(1), resume: 'x'.repeat(129) }],
    ['token: must have 0 to 8192 characters', { ...hello(1), token: 'x'.repeat(8_193) }],
    ['to: must be a nodeId', { t: 'signal', data: '' }],
    ['data: must be a string', { t: 'signal', to: node(1), data: {} }],
    ['data: over 49152 bytes', { t: 'signal', to: node(1), data: 'x'.repeat(48 * 1024 + 1) }],
    ['data: over 49152 bytes', { t: 'signal', to: node(1), data: 'ä'.repeat(24 * 1024 + 1) }],
    ['__proto__: not allowed', '{"t":"bye","__proto__":{"t":"bye"}}'],
    ['constructor: not allowed', { t: 'bye', constructor: 1 }],
    ['prototype: not allowed', { t: 'bye', prototype: 1 }],
  ])('%s', (reason, frame) => {
    expect(reasonOf(parseClientFrame(typeof frame === 'string' ? frame : JSON.stringify(frame)))).toBe(reason)
  })

  test('fields that are not known are left out', () => {
    expect(parseClientFrame('{"t":"bye","later":1}')).toEqual({ ok: true, frame: { t: 'bye' } })
  })

  test('a field is never taken from a prototype', () => {
    expect(reasonOf(parseClientFrame('{"t":"signal","toString":1}'))).toBe('to: must be a nodeId')
  })
})

describe('server frames', () => {
  const QUIET = 'quietMs: must be an integer from 0 to 60000'
  const frames: ServerFrame[] = [
    { t: 'welcome', v: 1, contacts: Array.from({ length: 16 }, (_, i) => node(i)), quietMs: 0, resume: 'r' },
    { t: 'contacts', contacts: [], quietMs: 60_000 },
    { t: 'signal', from: node(1), data: 'x' },
    { t: 'gone', node: node(1) },
    { t: 'goaway', retryMs: 60_000 },
    { t: 'error', code: 4400, reason: '' },
  ]
  test.each(frames)('$t comes back as it was', (frame) => {
    expect(parseServerFrame(encodeServerFrame(frame))).toEqual({ ok: true, frame })
  })

  test.each<[string, unknown]>([
    ['contacts: must be a list', { t: 'contacts', contacts: { length: 1, 0: node(1) } }],
    ['contacts: must hold nodeIds only', { t: 'contacts', contacts: [node(1), null] }],
    ['contacts: must have at most 16 entries', { t: 'contacts', contacts: Array(17).fill(node(1)) }],
    ['resume: must be a string', { t: 'welcome', v: 1, contacts: [] }],
    [QUIET, { t: 'welcome', v: 1, contacts: [], resume: 'r', quietMs: 60_001 }],
    [QUIET, { t: 'welcome', v: 1, contacts: [], resume: 'r', quietMs: null }],
    [QUIET, { t: 'contacts', contacts: [], quietMs: -1 }],
    [QUIET, { t: 'contacts', contacts: [], quietMs: 1.5 }],
    [QUIET, { t: 'contacts', contacts: [], quietMs: '1' }],
    [QUIET, '{"t":"contacts","contacts":[],"quietMs":1e999}'],
    ['from: must be a nodeId', { t: 'signal', to: node(1), data: '' }],
    ['node: must be a nodeId', { t: 'gone' }],
    ['retryMs: must be an integer from 0 to 60000', { t: 'goaway', retryMs: 60_001 }],
    ['code: must be an integer from 1000 to 4999', { t: 'error', code: 1, reason: '' }],
    ['t: unknown frame type "hello"', hello(1)],
    ['__proto__: not allowed', '{"t":"goaway","retryMs":1,"__proto__":null}'],
  ])('%s', (reason, frame) => {
    expect(reasonOf(parseServerFrame(typeof frame === 'string' ? frame : JSON.stringify(frame)))).toBe(reason)
  })

  test('a server that says nothing of quiet is an older one, and knows of none', () => {
    for (const frame of [
      { t: 'welcome', v: 1, contacts: [], resume: 'r' },
      { t: 'contacts', contacts: [] },
    ])
      expect(parseServerFrame(JSON.stringify(frame))).toEqual({ ok: true, frame: { ...frame, quietMs: 0 } })
  })

  test('the largest signal that a client may send can be forwarded', () => {
    // Every character costs two bytes in JSON, so the frame is as full as the limits allow.
    const sent = encodeClientFrame({ t: 'signal', to: node(1), data: '\n'.repeat(32_725) })
    const fill = 65_536 - sent.length
    const frame = { t: 'signal', to: node(1), data: '\n'.repeat(32_725) + 'x'.repeat(fill) } as const
    expect(encodeClientFrame(frame).length).toBe(65_536)
    expect(parseClientFrame(encodeClientFrame(frame)).ok).toBe(true)
    const forwarded = encodeServerFrame({ t: 'signal', from: node(2), data: frame.data })
    expect(parseServerFrame(forwarded).ok).toBe(true)
  })
})

test('sizes are counted in bytes of UTF-8', () => {
  for (const text of ['', 'abc', 'äöü', '€uro', '😀😀', 'a😀ä€']) {
    const bytes = Buffer.byteLength(text)
    expect(fitsUtf8(text, bytes), text).toBe(true)
    if (bytes > 0) expect(fitsUtf8(text, bytes - 1), text).toBe(false)
  }
})

test('codes tell whether to try again', () => {
  const permanent = Object.entries(CloseCode).filter(([, code]) => isPermanent(code))
  expect(permanent.map(([name]) => name)).toEqual([
    'malformed',
    'unauthorized',
    'forbiddenOrigin',
    'nodeTaken',
    'roomFull',
    'versionUnsupported',
  ])
})
