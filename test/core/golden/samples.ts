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

const route: RouteHeader = { origin: LOW, destination: HIGH, ttl: 32 }

const hello: Frame = {
  kind: 'hello',
  minVersion: 1,
  maxVersion: 1,
  cluster: 'café',
  nodeId: LOW,
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
}

/** By the name of its file. */
export const SAMPLES: Readonly<Record<string, Envelope>> = {
  hello: { frame: hello },
  'hello-of-versions-7-to-9': {
    frame: {
      kind: 'hello',
      minVersion: 7,
      maxVersion: 9,
      cluster: 'café',
      nodeId: LOW,
      buckets: new Uint32Array(64),
    },
  },
  accept: { frame: { kind: 'accept', version: 1 } },
  refuse: { frame: { kind: 'refuse', code: 'authority-conflict', reason: 'another life is here' } },
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
  goodbye: { frame: { kind: 'goodbye', reason: 'left' } },
}
