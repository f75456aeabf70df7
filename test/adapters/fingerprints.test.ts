/** What two ends sign of their connection: its certificates, as the session descriptions name them. */
import { expect, it } from 'vitest'
import { fingerprintIn, fingerprintsOf } from '../../src/adapters/webrtc/fingerprints.ts'

const sdp = (...fingerprints: string[]) =>
  ['v=0', 'o=- 1 2 IN IP4 127.0.0.1', ...fingerprints.map((line) => `a=fingerprint:${line}`), ''].join('\r\n')
const description = (text: string) => ({ sdp: text }) as RTCSessionDescription

it('one end’s local fingerprint is the other end’s remote one', () => {
  const [a, b] = [sdp('sha-256 AB:01'), sdp('SHA-256 cd:02')]
  const here = { localDescription: description(a), remoteDescription: description(b) }
  expect(fingerprintsOf(here)).toEqual({ local: 'sha-256 AB:01', remote: 'sha-256 CD:02' })
  const there = { localDescription: here.remoteDescription, remoteDescription: here.localDescription }
  expect(fingerprintsOf(there)).toEqual({ local: 'sha-256 CD:02', remote: 'sha-256 AB:01' })
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
  expect(fingerprintIn(undefined)).toBe(undefined)
  expect(fingerprintIn(sdp())).toBe(undefined)
  const localDescription = description(sdp('sha-256 AA:AA'))
  expect(fingerprintsOf({ localDescription, remoteDescription: null })).toBe(undefined)
})
