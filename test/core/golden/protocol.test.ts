/** PROTOCOL.md says what the code does: its tables and examples are compared with constants and golden files. */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  CloseCode,
  isPermanent,
  MAX_CONTACTS,
  MAX_RATE,
  MAX_QUIET_MS,
  MAX_RETRY_MS,
  MAX_ROOM_NAME,
  MAX_SIGNAL_DATA,
  MAX_SIGNALING_FRAME,
  MAX_TOKEN,
  RELAY_FRAME_COST,
  SIGNALING_VERSION,
  parseClientFrame,
  parseServerFrame,
} from '../../../src/adapters/signaling/protocol.ts'
import { isNodeId, MAX_GENERATION } from '../../../src/core/identity/node-id.ts'
import { SMALL_TABLE } from '../../../src/core/gossip/gossip.ts'
import { MAX_DIGEST_ENTRIES } from '../../../src/core/membership/digest.ts'
import { MAX_LINKS_BYTES } from '../../../src/core/membership/published-links.ts'
import { MAX_OBSERVERS } from '../../../src/core/membership/record.ts'
import { MAX_KEY_BYTES } from '../../../src/core/membership/state-key.ts'
import {
  decodeSignal,
  decodeSignOfLife,
  encodeSignal,
  encodeSignOfLife,
} from '../../../src/core/overlay/signal-envelope.ts'
import { DEFAULT_LIMITS, DEFAULT_TUNING } from '../../../src/core/tuning.ts'
import {
  decodeMessage,
  encodeFrame,
  encodeMessage,
  MAX_FRAME,
  MAX_MESSAGE,
  MAX_TTL,
} from '../../../src/core/wire/codec.ts'
import { WireLimits } from '../../../src/core/wire/decode.ts'
import { STREAMS, NONCE_BYTES, WIRE_MAX, WIRE_MIN } from '../../../src/core/wire/frames.ts'
import { KIND_OF, RANKS, REFUSALS, STATUSES, VISIBILITIES } from '../../../src/core/wire/kinds.ts'
import { nodeIdOf, wholeOf } from '../support/names.ts'
import { fromHex, toHex } from './hex.ts'
import { exampleBytes, examples, numbersOf, table, text } from './protocol-text.ts'
import { SAMPLES } from './samples.ts'

describe('PROTOCOL.md', () => {
  it('names every kind of frame with its number', () => {
    expect(Object.fromEntries(table('kind').map(([number, name]) => [name, Number(number)]))).toEqual(KIND_OF)
    const bodies = text.slice(text.indexOf('### Bodies'), text.indexOf('### Limits'))
    for (const name of Object.keys(KIND_OF)) expect(bodies).toMatch(new RegExp(`^    ${name} += `, 'm'))
  })

  it('names every status, visibility, rank and code with its number', () => {
    const rows = Object.fromEntries(
      table('field')
        .slice(0, 5)
        .map(([name, ...names]) => [name, names.filter(Boolean)]),
    )
    expect(rows).toEqual({
      status: STATUSES,
      visibility: VISIBILITIES,
      rank: RANKS,
      stream: STREAMS,
      code: REFUSALS,
    })
  })

  it('names every limit of the wire', () => {
    expect(numbersOf('limit')).toEqual({
      'bytes of a message': MAX_MESSAGE,
      'ttl of a route': MAX_TTL,
      'hops of a route': WireLimits.hops,
      'bytes of a signal': WireLimits.signalBytes,
      'refused messages of a receipt': WireLimits.refused,
      "bytes of a segment's body": WireLimits.segmentBytes,
      'bytes of a nodeId': 64,
      'bytes of a cluster name': WireLimits.clusterBytes,
      'bytes of a reason': WireLimits.reasonBytes,
      'bytes of meta and of a value': WireLimits.valueBytes,
      'bytes of a key': MAX_KEY_BYTES,
      'bytes of a browser id': 64,
      'bytes of a process id': 16,
      'ranges of a delta or missing': WireLimits.ranges,
      'entries of a digest': WireLimits.entries,
      'values of a range': WireLimits.stateEntries,
      'observers of an accusation': MAX_OBSERVERS,
      'bytes of a published bitmap': WireLimits.publishedBytes,
      'bytes of a nonce': NONCE_BYTES,
      'bytes of a public key': WireLimits.publicKeyBytes,
      'bytes of a signature': WireLimits.signatureBytes,
      'wire versions': WireLimits.version,
      'counters, versions and incarnations': WireLimits.counter,
      tokens: Number.MAX_SAFE_INTEGER,
    })
  })

  it('says of lengths that have no constant what the decoder does', () => {
    const refused = (patch: object, self: object = {}): string => {
      const whole = wholeOf(nodeIdOf(1), self)
      const frame = { kind: 'delta', ranges: [{ ...whole, ...patch }] } as const
      const result = decodeMessage(encodeMessage([encodeFrame(frame)]))
      return result.ok ? '' : result.reason
    }
    expect(refused({ nodeId: 'x'.repeat(65) })).toContain('over its limit of 64')
    expect(refused({}, { browser: 'x'.repeat(65) })).toContain('over its limit of 64')
    expect(refused({}, { process: 'x'.repeat(17) })).toContain('over its limit of 16')
    expect(isNodeId(nodeIdOf(1, MAX_GENERATION))).toBe(true)
    expect(isNodeId(nodeIdOf(1, MAX_GENERATION + 1))).toBe(false)
    expect(MAX_GENERATION).toBe(2 ** 40)
    expect(nodeIdOf(1, MAX_GENERATION).length).toBe(45)
  })

  it('names the numbers of its prose as they are', () => {
    const { statusIntervalMs, probeIntervalMs, gossipDebounceMs, quietPeriods, linkTimeoutMs } =
      DEFAULT_TUNING
    const { probeTimeoutMs, suspicionMinMs, suspicionMaxMs } = DEFAULT_TUNING
    const { removeAfterMs, tombstoneMs, leaveTimeoutMs, maxDials, redialMaxMs } = DEFAULT_TUNING
    const statements = [
      `stays below ${MAX_FRAME} bytes`,
      `A digest has at most ${MAX_DIGEST_ENTRIES} entries`,
      `up to ${SMALL_TABLE} records`,
      `tombstones included, ${DEFAULT_LIMITS.members}`,
      `of one value, ${DEFAULT_LIMITS.valueBytes} (never less than ${MAX_LINKS_BYTES}`,
      `keys of one member, ${DEFAULT_LIMITS.peerStateKeys}`,
      `at most ${(MAX_LINKS_BYTES - 1) / 8}`,
      `to every link every ${statusIntervalMs / 1_000} s`,
      `no evidence of life for ${probeIntervalMs / 1_000} s`,
      `no evidence for ${probeIntervalMs / 1_000} s`,
      `awaited for ${probeTimeoutMs} ms`,
      `after ${suspicionMaxMs / 1_000} s with one observer`,
      `${suspicionMinMs / 1_000} s with four`,
      `gathered for ${gossipDebounceMs} ms`,
      `lasts for ${quietPeriods === 2 ? 'two' : quietPeriods} status periods`,
      `${linkTimeoutMs / 1_000} s after it began is given up, and one that has not come this far ${linkTimeoutMs / 1_000} s after`,
      `unreachable for ${removeAfterMs / 1_000} s`,
      `kept for ${tombstoneMs / 60_000} min`,
      `after ${leaveTimeoutMs} ms`,
      `At most ${maxDials} attempts`,
      `up to ${redialMaxMs / 1_000} s, with jitter`,
      `wire versions ${WIRE_MIN} to ${WIRE_MAX}`,
      `minVersion <= ${WIRE_MAX} <= maxVersion`,
      `Version ${SIGNALING_VERSION}: JSON`,
    ]
    for (const statement of statements) expect(text).toContain(statement)
  })

  it('names every tuning with its default', () => {
    expect(numbersOf('tuning')).toEqual(DEFAULT_TUNING)
  })

  it('shows every golden frame, byte by byte', () => {
    const frames = [...examples].filter(([name]) => !name.startsWith('grains/'))
    expect(frames.map(([name]) => name).sort()).toEqual(Object.keys(SAMPLES).sort())
    for (const [name, block] of frames) {
      const file = path.join(import.meta.dirname, 'frames', `${name}.hex`)
      expect(toHex(exampleBytes(block)), name).toBe(toHex(fromHex(readFileSync(file, 'utf8'))))
    }
  })

  it('describes the envelope of signaling as it is read and written', () => {
    expect(encodeSignal({ session: 'abcdefgh', sequence: 0, data: '...' })).toBe(
      '{"s":"abcdefgh","q":0,"d":"..."}',
    )
    expect(encodeSignal({ session: 'abcdefgh', sequence: 3, ended: 'why' })).toBe(
      '{"s":"abcdefgh","q":3,"x":"why"}',
    )
    for (const line of ['{"s":"abcdefgh","q":0,"d":"..."}', '{"s":"abcdefgh","q":3,"x":"why"}']) {
      expect(text).toContain(line)
      expect(decodeSignal(line)).toBeDefined()
    }
    for (const sign of ['ask', 'answer'] as const) {
      const line = encodeSignOfLife(sign)
      expect(text.split('\n')).toContain(`    ${line}`)
      expect(decodeSignOfLife(line)).toBe(sign)
      expect(decodeSignOfLife(`${line} `)).toBeUndefined()
      expect(decodeSignal(line)).toBeUndefined()
    }
    const envelope = (length: number): string => {
      const empty = encodeSignal({ session: 'abcdefgh', sequence: 0, data: '' })
      return encodeSignal({ session: 'abcdefgh', sequence: 0, data: 'x'.repeat(length - empty.length) })
    }
    const max = Number(/An envelope of more than (\d+)/.exec(text)![1])
    expect(decodeSignal(envelope(max))).toBeDefined()
    expect(decodeSignal(envelope(max + 1))).toBeUndefined()
    expect(decodeSignal(encodeSignal({ session: 'abcdefgh', sequence: 1_000, data: '' }))).toBeDefined()
    expect(decodeSignal(encodeSignal({ session: 'abcdefgh', sequence: 1_001, data: '' }))).toBeUndefined()
  })

  it('names every close code and whether the client gives up', () => {
    const rows = table('close code')
    expect(Object.fromEntries(rows.map(([code, name]) => [name, Number(code)]))).toEqual(CloseCode)
    for (const [code, name, , client] of rows) {
      const expected = isPermanent(Number(code)) ? 'gives up' : 'tries again'
      expect(client, name).toBe(
        name === 'nodeTaken' ? 'tries on 8 times if it may be its own socket' : expected,
      )
    }
  })

  it('names every limit of signaling', () => {
    expect(numbersOf('signaling limit')).toEqual({
      'bytes of a frame': MAX_SIGNALING_FRAME,
      'bytes of data': MAX_SIGNAL_DATA,
      'nodeIds in contacts': MAX_CONTACTS,
      'UTF-16 units of a room name': MAX_ROOM_NAME,
      'UTF-16 units of a token': MAX_TOKEN,
      'ms of quietMs': MAX_QUIET_MS,
      'ms of retryMs': MAX_RETRY_MS,
      'cost of a relay beside its data': RELAY_FRAME_COST,
      'each number of a rate': MAX_RATE,
    })
  })

  it('names the frames of signaling with their fields', () => {
    const node = nodeIdOf(1)
    const values: Record<string, unknown> = {
      v: 1,
      room: 'r',
      node,
      to: node,
      from: node,
      data: 'dddd',
      contacts: [],
    }
    const rate = { bytesPerSecond: 1, burst: 1 }
    Object.assign(values, { resume: 'x', token: 't', retryMs: 1, code: 4400, reason: 'why', relay: rate })
    for (const [name, from, fields] of table('frame')) {
      const parse = from === 'client' ? parseClientFrame : parseServerFrame
      const all = fields === '' ? [] : fields!.split(', ')
      const frame = (names: readonly string[]) =>
        JSON.stringify({ t: name, ...Object.fromEntries(names.map((field) => [field, values[field]])) })
      const plain = all.map((field) => field.replace('?', ''))
      const result = parse(frame(plain))
      expect(result.ok && Object.keys(result.frame).sort(), name).toEqual(['t', ...plain].sort())
      for (const field of all) {
        const without = parse(frame(plain.filter((other) => other !== field.replace('?', ''))))
        expect(without.ok, `${name} without ${field}`).toBe(field.endsWith('?'))
      }
    }
  })
})
