/**
 * One frame of each kind, with every field that it can have: the golden frames, and seeds for mutation. Changing
 * one changes its golden file, and is a change of the protocol.
 */
import type { Envelope, Frame, OriginRange, RouteHeader } from '../../../src/core/wire/frames.ts'
import { REMOVED } from '../../../src/core/membership/record.ts'

export const LOW = 'a2b3c4d5e6f7ghijklmn.1.qrstuvwxyz'
export const HIGH = 'z7y6x5w4v3u2tsrqponm.300.abcdefghij'

const buckets = new Uint32Array(64)
buckets[0] = 0x01020304
buckets[63] = 0xfffefdfc

const whole: OriginRange = {
  nodeId: LOW,
  from: 0,
  to: 5,
  floor: 2,
  self: {
    incarnation: 1,
    counter: 4,
    status: 'up',
    process: 'abcdefghijklmnop',
    browser: 'qrstuvwxyz234567',
    visibility: 'hidden',
    meta: '{"name":"Zoë"}',
  },
  entries: [
    { key: 'cursor', version: 3, value: '[12,7]' },
    { key: 'tool', version: 5, value: undefined },
  ],
}

const accused: OriginRange = {
  nodeId: HIGH,
  from: 300,
  to: 300,
  floor: 0,
  self: undefined,
  entries: [],
  accusation: { rank: 'unreachable', incarnation: 2, observers: [LOW, HIGH] },
}

const removed: OriginRange = { ...accused, from: 0, to: 0, accusation: REMOVED }

const route: RouteHeader = { origin: LOW, destination: HIGH, ttl: 32, trail: [0x01020304, 0xfffefdfc] }

/** Has the form of an Ed25519 key: the head of its SPKI, and 32 bytes. */
const publicKey = new Uint8Array(44).fill(0x77)
publicKey.set([0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00])

const hello: Extract<Frame, { kind: 'hello' }> = {
  kind: 'hello',
  minVersion: 1,
  maxVersion: 1,
  cluster: 'café',
  nodeId: LOW,
  nonce: Uint8Array.from({ length: 16 }, (_, i) => 0xa0 + i),
  publicKey,
  own: whole,
  buckets,
  digest: [
    { nodeId: LOW, counter: 5 },
    {
      nodeId: HIGH,
      counter: 300,
      accusation: { incarnation: 2, rank: 'unreachable', observers: 0x89abcdef },
    },
  ],
  remembered: undefined,
}

const remembered = new Uint32Array(64)
remembered[1] = 0x0badcafe

/** An envelope as it is written: its size is known once it is. */
export type Sample = Omit<Envelope, 'size'>

/** By the name of its file. */
export const SAMPLES: Readonly<Record<string, Sample>> = {
  hello: { frame: hello },
  'hello-with-memory': { frame: { ...hello, digest: undefined, remembered } },
  'hello-without-key': { frame: { ...hello, publicKey: new Uint8Array(0), digest: undefined } },
  'hello-of-versions-7-to-9': {
    frame: {
      kind: 'hello',
      minVersion: 7,
      maxVersion: 9,
      cluster: 'café',
      nodeId: LOW,
      nonce: new Uint8Array(0),
      publicKey: new Uint8Array(0),
      buckets: new Uint32Array(64),
    },
  },
  accept: { frame: { kind: 'accept', version: 1 } },
  proof: { frame: { kind: 'proof', signature: new Uint8Array(64).fill(0x55) } },
  refuse: { frame: { kind: 'refuse', code: 'unproven', reason: 'the proof is wrong' } },
  'refuse-for-another-life': {
    frame: { kind: 'refuse', code: 'authority-conflict', reason: 'another life is here', kept: HIGH },
  },
  recall: { frame: { kind: 'recall', confirmed: { low: 0xfffffffd, high: 0x7fffffff } } },
  buckets: { frame: { kind: 'buckets', buckets } },
  digest: {
    frame: { kind: 'digest', mask: { low: 1, high: 0x80000000 }, entries: [{ nodeId: HIGH, counter: 300 }] },
  },
  delta: { frame: { kind: 'delta', ranges: [whole, accused, removed] } },
  missing: { frame: { kind: 'missing', ranges: [{ nodeId: HIGH, from: 299 }] } },
  status: {
    frame: {
      kind: 'status',
      viewHi: 0x01234567,
      viewLo: 0x89abcdef,
      content: 0xdeadbeef,
      published: Uint8Array.of(0b11111111, 0b00000101),
    },
  },
  ping: { frame: { kind: 'ping', token: 300 } },
  'ping-routed': { route, frame: { kind: 'ping', token: Number.MAX_SAFE_INTEGER } },
  ack: { frame: { kind: 'ack', token: 300 } },
  probe: { frame: { kind: 'probe', subject: HIGH, token: 300 } },
  'probed-alive': { frame: { kind: 'probed', subject: HIGH, token: 300, alive: true } },
  'probed-silent': { frame: { kind: 'probed', subject: HIGH, token: 300, alive: false } },
  goodbye: { frame: { kind: 'goodbye', reason: 'left' } },
  unlink: { frame: { kind: 'unlink' } },
  segment: {
    frame: {
      kind: 'segment',
      stream: 'bulk',
      more: true,
      sequence: 300,
      settled: 2,
      body: Uint8Array.of(0x11, 0x22, 0x33),
    },
  },
  receipt: {
    frame: { kind: 'receipt', stream: 'call', received: 300, taken: 7, limit: 1_048_576, refused: [3, 7] },
  },
  'datagram-routed': { route, frame: { kind: 'datagram', body: Uint8Array.of(0x11, 0x22, 0x33) } },
  'signal-routed': { route, frame: { kind: 'signal', data: '{"s":"abcdefgh","q":0,"d":"x"}' } },
  trace: { route, frame: { kind: 'trace', token: 300 } },
  traced: { route, frame: { kind: 'traced', token: 300, hops: [0x01020304, 0x89abcdef] } },
}
