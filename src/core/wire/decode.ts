/**
 * Bodies of frames, read and checked: sizes, counts, names and order. What comes out is safe to use; what is wrong
 * is named in the reader's `problem`.
 */
import { isNodeId, isProcessId } from '../identity/node-id.ts'
import { BUCKETS } from '../membership/content-hash.ts'
import type { Accusation, SelfRegister } from '../membership/record.ts'
import { MAX_OBSERVERS, REMOVED } from '../membership/record.ts'
import { isStateKey, MAX_KEY_BYTES } from '../membership/state-key.ts'
import type { DigestEntry, Frame, OriginRange, StateEntry } from './frames.ts'
import { NONCE_BYTES, STREAMS, WIRE_MAX, WIRE_MIN } from './frames.ts'
import type { FrameKind } from './kinds.ts'
import { RANKS, REFUSALS, STATUSES, VISIBILITIES } from './kinds.ts'
import type { Reader } from './reader.ts'

/** What one frame may hold, whatever the options of this member are. */
export const WireLimits = {
  clusterBytes: 256,
  reasonBytes: 512,
  valueBytes: 16 * 1024,
  ranges: 1024,
  entries: 4096,
  stateEntries: 256,
  publishedBytes: 1024,
  /** Room for kinds of key to come: Ed25519 takes 44 bytes, P-256 91. */
  publicKeyBytes: 128,
  signatureBytes: 128,
  version: 255,
  /** Highest number of links that a routed frame may cross. */
  hops: 32,
  /** Messages named as refused in one receipt. */
  refused: 64,
  /** A whole message of a link, so that what fits into a frame is the sender's to decide. */
  segmentBytes: 64 * 1024,
  /** What two members say to set up a link: as much as a signaling server carries. */
  signalBytes: 48 * 1024 + 256,
  /** Counters and incarnations: far beyond any use, and adding to them stays exact. */
  counter: 2 ** 48,
} as const

const NO_BYTES = new Uint8Array(0)
const NO_BUCKETS = new Uint32Array(BUCKETS)

export function readBody(r: Reader, kind: FrameKind): Frame | undefined {
  switch (kind) {
    case 'hello':
      return readHello(r)
    case 'proof':
      return { kind, signature: r.blob('signature', WireLimits.signatureBytes) }
    case 'accept':
      return { kind, version: r.varint('accepted version', WireLimits.version) }
    case 'refuse': {
      const code = pick(r, REFUSALS, 'refusal code')
      if (code === undefined) return undefined
      const reason = r.text('refusal reason', WireLimits.reasonBytes)
      const kept = r.text('kept nodeId', 64)
      if (kept === '') return { kind, code, reason }
      if (!isNodeId(kept)) r.fail('kept nodeId is malformed')
      return { kind, code, reason, kept }
    }
    case 'buckets':
      return { kind, buckets: readBuckets(r) }
    case 'digest':
      return {
        kind,
        mask: { low: r.word('digest mask'), high: r.word('digest mask') },
        entries: readDigest(r),
      }
    case 'recall':
      return { kind, confirmed: { low: r.word('confirmed buckets'), high: r.word('confirmed buckets') } }
    case 'delta':
      return { kind, ranges: readList(r, 'delta', WireLimits.ranges, readRange) }
    case 'missing':
      return { kind, ranges: readList(r, 'missing ranges', WireLimits.ranges, readMissing) }
    case 'status':
      return {
        kind,
        viewHi: r.word('view hash'),
        viewLo: r.word('view hash'),
        content: r.word('content hash'),
        published: r.blob('published bitmap', WireLimits.publishedBytes),
      }
    case 'ping':
    case 'ack':
      return { kind, token: r.varint('token') }
    case 'probe':
      return { kind, subject: readNodeId(r, 'probed nodeId'), token: r.varint('token') }
    case 'probed':
      return {
        kind,
        subject: readNodeId(r, 'probed nodeId'),
        token: r.varint('token'),
        alive: readFlag(r, 'probe result'),
      }
    case 'unlink':
      return { kind }
    case 'goodbye':
      return { kind, reason: r.text('goodbye reason', WireLimits.reasonBytes) }
    case 'segment': {
      const stream = pick(r, STREAMS, 'stream')
      const more = readFlag(r, 'segment')
      const sequence = r.varint('segment sequence', WireLimits.counter)
      const settled = r.varint('settled messages', WireLimits.counter)
      if (sequence === 0) r.fail('segment sequence is 0')
      const body = r.view('segment body', WireLimits.segmentBytes)
      return stream && { kind, stream, more, sequence, settled, body }
    }
    case 'receipt':
      return readReceipt(r)
    case 'datagram':
      return { kind, body: r.view('datagram', WireLimits.segmentBytes) }
    case 'signal':
      return { kind, data: r.text('signal', WireLimits.signalBytes) }
    case 'trace':
      return { kind, token: r.varint('token') }
    case 'traced':
      return {
        kind,
        token: r.varint('token'),
        hops: readList(r, 'hops', WireLimits.hops, (reader) => reader.word('hop')),
      }
  }
}

function readHello(r: Reader): Frame {
  const minVersion = r.varint('oldest wire version', WireLimits.version)
  const maxVersion = r.varint('newest wire version', WireLimits.version)
  const cluster = r.text('cluster name', WireLimits.clusterBytes)
  const nodeId = readNodeId(r, 'hello nodeId')
  const head = { kind: 'hello', minVersion, maxVersion, cluster, nodeId } as const
  if (maxVersion < WIRE_MIN || minVersion > WIRE_MAX) {
    r.skip()
    return { ...head, nonce: NO_BYTES, publicKey: NO_BYTES, buckets: NO_BUCKETS }
  }
  const nonce = r.bytes('hello nonce', NONCE_BYTES)
  const publicKey = r.blob('public key', WireLimits.publicKeyBytes)
  const own = readRange(r)
  if (!r.problem && (own.nodeId !== nodeId || own.from !== 0 || !own.self)) {
    r.fail('hello does not carry the whole record of its sender')
  }
  const buckets = readBuckets(r)
  const flags = r.byte('hello flags')
  if (flags > 3) r.fail(`hello flags ${flags} are unknown`)
  const digest = flags & 1 ? readDigest(r) : undefined
  const remembered = flags & 2 ? readBuckets(r) : undefined
  return { ...head, nonce, publicKey, own, buckets, digest, remembered }
}

function readBuckets(r: Reader): Uint32Array {
  const buckets = new Uint32Array(BUCKETS)
  for (let i = 0; i < BUCKETS; i++) buckets[i] = r.word('bucket hash')
  return buckets
}

const readDigest = (r: Reader): DigestEntry[] => readList(r, 'digest', WireLimits.entries, readDigestEntry)

function readDigestEntry(r: Reader): DigestEntry {
  const nodeId = readNodeId(r, 'digest nodeId')
  const counter = r.varint('digest counter', WireLimits.counter)
  const rank = r.byte('digest accusation')
  if (rank === 0) return { nodeId, counter }
  const name = RANKS[rank - 1]
  if (!name) r.fail('digest accusation is unknown')
  const incarnation = r.varint('digest incarnation', WireLimits.counter)
  return {
    nodeId,
    counter,
    accusation: { incarnation, rank: name ?? 'suspect', observers: r.word('observers') },
  }
}

const readMissing = (r: Reader) => ({
  nodeId: readNodeId(r, 'missing nodeId'),
  from: r.varint('missing range', WireLimits.counter),
})

function readRange(r: Reader): OriginRange {
  const nodeId = readNodeId(r, 'delta nodeId')
  const from = r.varint('delta start', WireLimits.counter)
  const to = r.varint('delta end', WireLimits.counter)
  const floor = r.varint('delta floor', WireLimits.counter)
  const flags = r.byte('delta flags')
  if (flags > 3) r.fail(`delta flags ${flags} are unknown`)
  const self = flags & 1 ? readSelf(r) : undefined
  const accusation = flags & 2 ? readAccusation(r) : undefined
  const entries = readList(r, 'peer state', WireLimits.stateEntries, readStateEntry)
  if (from > to) r.fail(`delta runs backwards, from ${from} to ${to}`)
  if (floor > to) r.fail('delta floor is past its end')
  if (self && (self.counter <= from || self.counter > to)) r.fail('self register is outside of its delta')
  if (entries.some((entry) => entry.version <= from || entry.version > to)) {
    r.fail('peer state is outside of its delta')
  }
  if (from === 0 && to > 0 && !self) r.fail('a whole record has no self register')
  return { nodeId, from, to, floor, self, entries, accusation }
}

function readSelf(r: Reader): SelfRegister {
  const incarnation = r.varint('incarnation', WireLimits.counter)
  const counter = r.varint('counter', WireLimits.counter)
  const status = pick(r, STATUSES, 'status')
  const process = r.text('process id', 16)
  const browser = r.text('browser id', 64)
  const visibility = pick(r, VISIBILITIES, 'visibility')
  const meta = r.text('meta', WireLimits.valueBytes)
  if (!r.problem && !isProcessId(process)) r.fail('process id is malformed')
  return {
    incarnation,
    counter,
    status: status ?? 'joining',
    process,
    browser,
    visibility: visibility ?? 'visible',
    meta,
  }
}

function readAccusation(r: Reader): Accusation {
  const rank = pick(r, RANKS, 'accusation rank')
  const incarnation = r.varint('accused incarnation', WireLimits.counter)
  const observers = readList(r, 'observers', MAX_OBSERVERS, (reader) => readNodeId(reader, 'observer'))
  if (rank === 'removed') return REMOVED
  if (!r.problem && observers.length === 0) r.fail('an accusation has no observers')
  if (observers.some((id, i) => i > 0 && id <= observers[i - 1]!)) r.fail('observers are not in order')
  return { rank: rank ?? 'suspect', incarnation, observers }
}

function readStateEntry(r: Reader): StateEntry {
  const key = r.text('peer state key', MAX_KEY_BYTES)
  if (!r.problem && !isStateKey(key)) r.fail('peer state key is not allowed')
  const version = r.varint('peer state version', WireLimits.counter)
  const flag = r.byte('peer state flag')
  if (flag > 1) r.fail('peer state flag is unknown')
  return { key, version, value: flag ? r.text('peer state value', WireLimits.valueBytes) : undefined }
}

const readRefused = (r: Reader): number => r.varint('refused message', WireLimits.counter)

function readReceipt(r: Reader): Frame | undefined {
  const stream = pick(r, STREAMS, 'stream')
  const received = r.varint('received segments', WireLimits.counter)
  const taken = r.varint('taken messages', WireLimits.counter)
  const limit = r.varint('stream limit', WireLimits.counter)
  const refused = readList(r, 'refused messages', WireLimits.refused, readRefused)
  for (let i = 0; i < refused.length; i++) {
    if (refused[i]! > taken || refused[i]! <= (refused[i - 1] ?? 0))
      r.fail('refused messages are not in order')
  }
  return stream && { kind: 'receipt', stream, received, taken, limit, refused }
}

function readFlag(r: Reader, what: string): boolean {
  const flag = r.byte(what)
  if (flag > 1) r.fail(`${what} is unknown`)
  return flag === 1
}

function readNodeId(r: Reader, what: string): string {
  const nodeId = r.text(what, 64)
  if (!r.problem && !isNodeId(nodeId)) r.fail(`${what} is malformed`)
  return nodeId
}

/** Stops at the first problem, so that a hostile count costs no more than the bytes that came with it. */
function readList<T>(r: Reader, what: string, max: number, read: (r: Reader) => T): T[] {
  const count = r.varint(what, max, 'count of ')
  const list: T[] = []
  for (let i = 0; i < count && !r.problem; i++) list.push(read(r))
  return list
}

function pick<T>(r: Reader, names: readonly T[], what: string): T | undefined {
  const name = names[r.byte(what)]
  if (name === undefined) r.fail(`${what} is unknown`)
  return name
}
