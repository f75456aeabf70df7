/** Arbitrary protocol values for fast-check, from small pools, so that collisions and conflicts are frequent. */
import * as fc from 'fast-check'
import type { NodeId } from '../../../src/core/identity/node-id.ts'
import { MAX_GENERATION } from '../../../src/core/identity/node-id.ts'
import type {
  Accusation,
  AccusationRank,
  Registers,
  SelfRegister,
} from '../../../src/core/membership/record.ts'
import { MAX_OBSERVERS, REMOVED } from '../../../src/core/membership/record.ts'
import { isStateKey } from '../../../src/core/membership/state-key.ts'
import type { DigestEntry, Frame, OriginRange, StateEntry } from '../../../src/core/wire/frames.ts'
import { STREAMS, NONCE_BYTES } from '../../../src/core/wire/frames.ts'
import { WireLimits } from '../../../src/core/wire/decode.ts'
import { REFUSALS, STATUSES, VISIBILITIES } from '../../../src/core/wire/kinds.ts'
import { utf8Length } from '../../../src/core/utf8.ts'
import { nodeIdOf, processOf } from './names.ts'

/** Replays another run than the usual one: `FAST_CHECK_SEED=n`. */
export const FAST_CHECK_SEED = Number(process.env['FAST_CHECK_SEED'] ?? 20_261)
export const runs = (numRuns: number): { numRuns: number; seed: number } => ({
  numRuns,
  seed: FAST_CHECK_SEED,
})

export const anyNodeId: fc.Arbitrary<NodeId> = fc.oneof(
  fc.integer({ min: 1, max: 9 }).map((index) => nodeIdOf(index)),
  fc
    .tuple(fc.nat(2 ** 30), fc.integer({ min: 1, max: MAX_GENERATION }), fc.nat(2 ** 30))
    .map(([index, generation, nonce]) => nodeIdOf(index, generation, nonce)),
)

/** Texts with every kind of code point that UTF-8 knows; no lone surrogates. */
export const anyText = (maxBytes: number): fc.Arbitrary<string> =>
  fc.string({ unit: 'binary', maxLength: 40 }).filter((text) => utf8Length(text) <= maxBytes)

export const anyVersion = fc.oneof(fc.nat(6), fc.nat(2 ** 30), fc.constant(WireLimits.counter))

/** Small numbers, so that registers meet at equal incarnations and versions. */
export const anySelf: fc.Arbitrary<SelfRegister> = fc.record({
  incarnation: fc.nat(3),
  counter: fc.integer({ min: 1, max: 4 }),
  status: fc.constantFrom(...STATUSES),
  process: fc.nat(2).map(processOf),
  browser: fc.constantFrom('', 'browser'),
  visibility: fc.constantFrom(...VISIBILITIES),
  meta: fc.constantFrom('', '1', '"é"'),
})

const anyObservers = fc
  .uniqueArray(
    fc.integer({ min: 1, max: 12 }).map((index) => nodeIdOf(index)),
    { minLength: 1, maxLength: MAX_OBSERVERS },
  )
  .map((observers) => observers.sort())

export const anyAccusation: fc.Arbitrary<Accusation> = fc.oneof(
  { weight: 1, arbitrary: fc.constant(REMOVED) },
  {
    weight: 5,
    arbitrary: fc.record({
      incarnation: fc.nat(3),
      rank: fc.constantFrom<AccusationRank>('suspect', 'unreachable'),
      observers: anyObservers,
    }),
  },
)

export const anyRegisters: fc.Arbitrary<Registers> = fc.record({
  self: fc.option(anySelf, { nil: undefined }),
  accusation: fc.option(anyAccusation, { nil: undefined }),
})

const anyKey = fc.oneof(
  fc.constantFrom('cursor', '$links', 'x'),
  fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 64 }).filter(isStateKey),
)

/** A range as the decoder lets it through: versions in order, whole ones with their self register. */
export const anyRange: fc.Arbitrary<OriginRange> = fc
  .record({
    nodeId: anyNodeId,
    bounds: fc.tuple(anyVersion, anyVersion),
    floor: fc.nat(8),
    self: fc.option(anySelf, { nil: undefined }),
    accusation: fc.option(anyAccusation, { nil: undefined }),
    entries: fc.array(fc.record({ key: anyKey, value: fc.option(anyText(200), { nil: undefined }) }), {
      maxLength: 4,
    }),
  })
  .map(({ nodeId, bounds, floor, self, accusation, entries }) => {
    const [from, to] = [Math.min(...bounds), Math.max(...bounds)]
    const written = from < to
    const version = (i: number): number => Math.min(to, from + 1 + i)
    const carries = written && (from === 0 || self !== undefined)
    return {
      nodeId,
      from,
      to,
      floor: Math.min(floor, to),
      self: carries ? { ...(self ?? ZERO), counter: to } : undefined,
      entries: written ? entries.map((entry, i): StateEntry => ({ ...entry, version: version(i) })) : [],
      accusation,
    }
  })

const ZERO: SelfRegister = {
  incarnation: 0,
  counter: 1,
  status: 'joining',
  process: processOf(0),
  browser: '',
  visibility: 'hidden',
  meta: '',
}

const anyWord = fc.oneof(fc.constant(0), fc.constant(0xffffffff), fc.nat(0xffffffff))
const anyBuckets = fc.array(anyWord, { minLength: 64, maxLength: 64 }).map((words) => Uint32Array.from(words))

const anyDigest: fc.Arbitrary<DigestEntry[]> = fc.array(
  fc
    .record({
      nodeId: anyNodeId,
      counter: anyVersion,
      accusation: fc.option(
        fc.record({
          incarnation: anyVersion,
          rank: fc.constantFrom<AccusationRank>('suspect', 'unreachable', 'removed'),
          observers: anyWord,
        }),
        { nil: undefined },
      ),
    })
    .map(({ nodeId, counter, accusation }) =>
      accusation ? { nodeId, counter, accusation } : { nodeId, counter },
    ),
  { maxLength: 5 },
)

const sharedHello = fc
  .record({
    minVersion: fc.nat(1),
    maxVersion: fc.integer({ min: 1, max: 255 }),
    cluster: anyText(WireLimits.clusterBytes),
    own: anyRange.filter(({ from, self }) => from === 0 && self !== undefined),
    buckets: anyBuckets,
    nonce: fc.uint8Array({ minLength: NONCE_BYTES, maxLength: NONCE_BYTES }),
    publicKey: fc.uint8Array({ maxLength: WireLimits.publicKeyBytes }),
    digest: fc.option(anyDigest, { nil: undefined }),
    remembered: fc.option(anyBuckets, { nil: undefined }),
  })
  .map((hello): Frame => Object.assign(hello, { kind: 'hello' as const, nodeId: hello.own.nodeId }))

const foreignHello = fc
  .record({ minVersion: fc.integer({ min: 2, max: 9 }), cluster: anyText(50), nodeId: anyNodeId })
  .map(({ minVersion, cluster, nodeId }): Frame => {
    const [nonce, publicKey] = [new Uint8Array(0), new Uint8Array(0)]
    const buckets = new Uint32Array(64)
    return {
      kind: 'hello',
      minVersion,
      maxVersion: minVersion + 2,
      cluster,
      nodeId,
      nonce,
      publicKey,
      buckets,
    }
  })

/** One arbitrary for each kind of frame. */
export const anyFrameOf: { readonly [K in Frame['kind']]: fc.Arbitrary<Frame> } = {
  hello: fc.oneof(sharedHello, foreignHello),
  proof: fc
    .uint8Array({ maxLength: WireLimits.signatureBytes })
    .map((signature) => ({ kind: 'proof', signature })),
  accept: fc.nat(255).map((version) => ({ kind: 'accept', version })),
  refuse: fc
    .record({
      code: fc.constantFrom(...REFUSALS),
      reason: anyText(WireLimits.reasonBytes),
      kept: fc.option(anyNodeId, { nil: undefined }),
    })
    .map(({ code, reason, kept }) =>
      kept ? { kind: 'refuse', code, reason, kept } : { kind: 'refuse', code, reason },
    ),
  buckets: anyBuckets.map((buckets) => ({ kind: 'buckets', buckets })),
  recall: fc.record({
    kind: fc.constant('recall'),
    confirmed: fc.record({ low: anyWord, high: anyWord }),
  }),
  probe: fc.record({ kind: fc.constant('probe'), subject: anyNodeId, token: fc.maxSafeNat() }),
  probed: fc.record({
    kind: fc.constant('probed'),
    subject: anyNodeId,
    token: fc.maxSafeNat(),
    alive: fc.boolean(),
  }),
  digest: fc.record({
    kind: fc.constant('digest'),
    mask: fc.record({ low: anyWord, high: anyWord }),
    entries: anyDigest,
  }),
  delta: fc.array(anyRange, { maxLength: 4 }).map((ranges) => ({ kind: 'delta', ranges })),
  missing: fc
    .array(fc.record({ nodeId: anyNodeId, from: anyVersion }), { maxLength: 5 })
    .map((ranges) => ({ kind: 'missing', ranges })),
  status: fc.record({
    kind: fc.constant('status'),
    viewHi: anyWord,
    viewLo: anyWord,
    content: anyWord,
    published: fc.uint8Array({ maxLength: WireLimits.publishedBytes }),
  }),
  ping: fc.maxSafeNat().map((token) => ({ kind: 'ping', token })),
  ack: fc.maxSafeNat().map((token) => ({ kind: 'ack', token })),
  goodbye: anyText(WireLimits.reasonBytes).map((reason) => ({ kind: 'goodbye', reason })),
  unlink: fc.constant({ kind: 'unlink' as const }),
  segment: fc.record({
    kind: fc.constant('segment'),
    stream: fc.constantFrom(...STREAMS),
    more: fc.boolean(),
    sequence: fc.integer({ min: 1, max: 2 ** 30 }),
    settled: fc.nat(),
    body: fc.uint8Array({ maxLength: 300 }),
  }),
  receipt: fc
    .record({
      kind: fc.constant('receipt'),
      stream: fc.constantFrom(...STREAMS),
      received: fc.nat(),
      limit: fc.nat(),
      refused: fc.uniqueArray(fc.integer({ min: 1, max: 1_000 }), { maxLength: 64 }),
    })
    .map(({ stream, received, limit, refused }): Frame => {
      refused.sort((a, b) => a - b)
      return { kind: 'receipt', stream, received, taken: refused.at(-1) ?? 0, limit, refused }
    }),
  signal: anyText(1_000).map((data) => ({ kind: 'signal', data })),
  trace: fc.maxSafeNat().map((token) => ({ kind: 'trace', token })),
  datagram: fc.uint8Array({ maxLength: 300 }).map((body) => ({ kind: 'datagram', body })),
  traced: fc.record({
    kind: fc.constant('traced'),
    token: fc.maxSafeNat(),
    hops: fc.array(anyWord, { maxLength: WireLimits.hops }),
  }),
}

export const anyFrame: fc.Arbitrary<Frame> = fc.oneof(...Object.values(anyFrameOf))
