import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { formatSignal, parseSignal, toPeerSignal } from '../../src/adapters/webrtc/signal.ts'
import { HOSTILE_SIGNALS } from '../../src/testing/contract.ts'

const SDP =
  'v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n'
const CANDIDATE = 'candidate:1 1 udp 2113937151 192.168.0.2 50000 typ host generation 0 ufrag x'

it('lets a description through, without anything that came along', () => {
  const text = JSON.stringify({ type: 'offer', sdp: SDP, renegotiate: true, transceiverRequest: {} })
  expect(parseSignal(text)).toEqual({ type: 'offer', sdp: SDP })
  expect(parseSignal(JSON.stringify({ type: 'answer', sdp: SDP }))).toEqual({ type: 'answer', sdp: SDP })
})

it('lets a candidate through, always for the only media section', () => {
  const text = JSON.stringify({
    type: 'candidate',
    candidate: { candidate: CANDIDATE, sdpMLineIndex: 7, sdpMid: 'x' },
    sdp: undefined,
  })
  expect(parseSignal(text)).toEqual({ candidate: { candidate: CANDIDATE, sdpMLineIndex: 0 } })
})

it('lets nothing else through', () => {
  for (const text of HOSTILE_SIGNALS) expect(parseSignal(text), text.slice(0, 80)).toBe(undefined)
  const video = `${SDP}m=video 9 UDP/TLS/RTP/SAVPF 96\r\n`
  expect(parseSignal(JSON.stringify({ type: 'offer', sdp: video }))).toBe(undefined)
  expect(parseSignal(JSON.stringify({ type: 'offer', sdp: SDP + ' '.repeat(16_384) }))).toBe(undefined)
  expect(parseSignal(JSON.stringify({ candidate: { candidate: `${CANDIDATE}\r\na=x` } }))).toBe(undefined)
  for (const value of [undefined, null, 7, {}, Symbol('x')]) expect(parseSignal(value)).toBe(undefined)
})

it('never throws, and what it gives back it accepts again', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json(), arbitrarySignal().map(toJson)), (text) => {
      const signal = parseSignal(text)
      if (signal) expect(parseSignal(formatSignal(signal))).toEqual(signal)
    }),
    { numRuns: 2_000 },
  )
})

it('carries what simple-peer says of offers, answers and candidates, and nothing else it says', () => {
  expect(formatSignal(toPeerSignal({ type: 'offer', sdp: SDP, more: 1 })!)).toBe(
    JSON.stringify({ type: 'offer', sdp: SDP }),
  )
  expect(toPeerSignal({ type: 'renegotiate', renegotiate: true })).toBe(undefined)
  expect(toPeerSignal({ type: 'transceiverRequest', transceiverRequest: { kind: 'audio' } })).toBe(undefined)
})

const toJson = (value: unknown): string => JSON.stringify(value)

function arbitrarySignal(): fc.Arbitrary<unknown> {
  const text = fc.oneof(fc.string(), fc.constant(SDP), fc.constant(CANDIDATE))
  return fc.record(
    {
      type: fc.oneof(fc.constantFrom('offer', 'answer', 'rollback'), fc.anything()),
      sdp: fc.oneof(text, fc.anything()),
      candidate: fc.oneof(fc.record({ candidate: text, sdpMLineIndex: fc.anything() }), fc.anything()),
    },
    { requiredKeys: [] },
  )
}
