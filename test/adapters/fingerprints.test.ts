/** What two ends sign of their connection: its certificates, as the session descriptions name them. */
import { expect, it } from 'vitest'
import { FingerprintsSeen, fingerprintIn } from '../../src/adapters/webrtc/fingerprints.ts'
import type { PeerSignal } from '../../src/adapters/webrtc/signal.ts'

const sdp = (...fingerprints: string[]) =>
  ['v=0', 'o=- 1 2 IN IP4 127.0.0.1', ...fingerprints.map((line) => `a=fingerprint:${line}`), ''].join('\r\n')
const offer = (text: string): PeerSignal => ({ type: 'offer', sdp: text })
const answer = (text: string): PeerSignal => ({ type: 'answer', sdp: text })

it('one end’s local fingerprint is the other end’s remote one', () => {
  const [a, b] = [sdp('sha-256 AB:01'), sdp('SHA-256 cd:02')]
  const [here, there] = [new FingerprintsSeen(), new FingerprintsSeen()]
  here.told(offer(a))
  there.heard(offer(a))
  there.told(answer(b))
  here.heard(answer(b))
  expect(here.both).toEqual({ local: 'sha-256 AB:01', remote: 'sha-256 CD:02' })
  expect(there.both).toEqual({ local: 'sha-256 CD:02', remote: 'sha-256 AB:01' })
})

it('is the same however it is written, wherever it stands and however often', () => {
  const plain = fingerprintIn(sdp('sha-256 AB:CD'))
  expect(fingerprintIn(sdp('SHA-256 ab:cd  ', 'sha-256 AB:CD'))).toBe(plain)
  expect(fingerprintIn('a=fingerprint:sha-256 AB:CD')).toBe(plain)
})

it('shows a fingerprint that was added on the way', () => {
  const [one, two] = ['sha-256 AA:AA', 'sha-256 BB:BB']
  expect(fingerprintIn(sdp(one, two))).toBe(`${one}, ${two}`)
  expect(fingerprintIn(sdp(two, one))).toBe(`${one}, ${two}`)
})

it('is not there before both descriptions are, or without certificates', () => {
  expect(fingerprintIn(sdp())).toBe(undefined)
  const seen = new FingerprintsSeen()
  seen.told(offer(sdp('sha-256 AA:AA')))
  seen.heard({ candidate: { candidate: 'candidate:1 1 udp 1 127.0.0.1 9 typ host', sdpMLineIndex: 0 } })
  expect(seen.both).toBe(undefined)
  seen.heard(answer(sdp()))
  expect(seen.both).toBe(undefined)
})
