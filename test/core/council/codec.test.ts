import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeRaft, encodeRaft, RaftLimits } from '../../../src/core/council/raft-codec.ts'
import type { Entry, RaftBody, RaftMessage } from '../../../src/core/council/raft-messages.ts'
import { nameOf } from './support/council.ts'

const counter = fc.oneof(fc.nat(300), fc.integer({ min: 0, max: RaftLimits.counter }))
const process = fc.nat(100).map(nameOf)
const voters = fc.uniqueArray(process, { minLength: 1, maxLength: RaftLimits.voters })
const bytes = fc.uint8Array({ maxLength: 60 })

const entry: fc.Arbitrary<Entry> = fc.oneof(
  fc.record({ kind: fc.constant('command' as const), term: counter, command: bytes }),
  fc.record({ kind: fc.constant('no-op' as const), term: counter }),
  fc.record({ kind: fc.constant('voters' as const), term: counter, voters }),
)

const body: fc.Arbitrary<RaftBody> = fc.oneof(
  fc.record({
    kind: fc.constant('vote' as const),
    pre: fc.boolean(),
    transfer: fc.boolean(),
    lastIndex: counter,
    lastTerm: counter,
  }),
  fc.record({
    kind: fc.constant('voted' as const),
    pre: fc.boolean(),
    asked: counter,
    granted: fc.boolean(),
    waitMs: fc.nat(RaftLimits.waitMs),
  }),
  fc.record({
    kind: fc.constant('append' as const),
    stamp: counter,
    // Entries end where indexes do.
    previousIndex: counter.map((index) => Math.min(index, RaftLimits.counter - 100)),
    previousTerm: counter,
    commit: counter,
    entries: fc.array(entry, { maxLength: 8 }),
  }),
  fc.record({ kind: fc.constant('appended' as const), stamp: counter, match: counter }),
  fc.record({
    kind: fc.constant('conflict' as const),
    stamp: counter,
    previousIndex: counter,
    conflictIndex: counter,
    conflictTerm: counter,
  }),
  fc
    .record({
      kind: fc.constant('install' as const),
      stamp: counter,
      index: counter,
      indexTerm: counter,
      voters,
      offset: fc.nat(1_000),
      bytes: fc.uint8Array({ minLength: 1, maxLength: 60 }),
      more: fc.nat(1_000),
    })
    .map(({ more, ...part }) => Object.assign(part, { size: part.offset + part.bytes.length + more })),
  fc
    .record({
      kind: fc.constant('installed' as const),
      stamp: counter,
      index: counter,
      received: fc.nat(1_000),
      more: fc.nat(1_000),
    })
    .map(({ more, ...answer }) => Object.assign(answer, { size: answer.received + more })),
  fc.record({ kind: fc.constant('timeout-now' as const), stamp: counter }),
)

const message: fc.Arbitrary<RaftMessage> = fc
  .tuple(
    fc.record({
      group: fc.string({ unit: 'binary', maxLength: 16 }),
      from: process,
      to: process,
      term: counter,
    }),
    body,
  )
  .map(([header, rest]) => Object.assign(header, rest))

const sample: RaftMessage = {
  group: 'council',
  from: nameOf(0),
  to: nameOf(1),
  term: 3,
  kind: 'append',
  stamp: 4,
  previousIndex: 5,
  previousTerm: 2,
  commit: 5,
  entries: [
    { kind: 'command', term: 3, command: new Uint8Array([1, 2, 3]) },
    { kind: 'no-op', term: 3 },
    { kind: 'voters', term: 3, voters: [nameOf(0), nameOf(1)] },
  ],
}

const header = { group: 'g', from: nameOf(0), to: nameOf(1), term: 1 }
const install = { ...header, kind: 'install', stamp: 1, index: 9, indexTerm: 1, voters: [nameOf(0)] } as const
const reasonOf = (sent: RaftMessage): string => {
  const decoded = decodeRaft(encodeRaft(sent))
  return decoded.ok ? 'ok' : decoded.reason
}

describe('bytes of Raft messages', () => {
  it('come back as what they were', () => {
    fc.assert(
      fc.property(message, (sent) => {
        expect(decodeRaft(encodeRaft(sent))).toEqual({ ok: true, message: sent })
      }),
      { numRuns: 2_000 },
    )
  })

  it('name what is wrong when cut short anywhere, or too long', () => {
    fc.assert(
      fc.property(message, (sent) => {
        const whole = encodeRaft(sent)
        for (let length = 0; length < whole.length; length++) {
          const decoded = decodeRaft(whole.subarray(0, length))
          expect(decoded.ok ? 'ok' : decoded.reason).not.toBe('ok')
        }
        expect(decodeRaft(new Uint8Array([...whole, 0])).ok).toBe(false)
      }),
      { numRuns: 200 },
    )
  })

  it('never throw, whatever was done to them; what is let in means the same when written anew', () => {
    const flips = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 6 })
    fc.assert(
      fc.property(message, flips, (sent, changes) => {
        const mutated = encodeRaft(sent)
        for (const [at, value] of changes) mutated[at % mutated.length] = value
        const decoded = decodeRaft(mutated)
        if (decoded.ok) expect(decodeRaft(encodeRaft(decoded.message))).toEqual(decoded)
        else expect(decoded.reason).not.toBe('')
      }),
      { numRuns: 5_000 },
    )
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (noise) => {
        decodeRaft(noise)
      }),
      { numRuns: 5_000 },
    )
  })

  it.each<[string, RaftMessage]>([
    ['sender is malformed', { ...sample, from: 'nobody' }],
    [
      'count of voters is 17, over its limit of 16',
      {
        ...install,
        size: 1,
        offset: 0,
        bytes: new Uint8Array(1),
        voters: Array.from({ length: 17 }, (_, i) => nameOf(i)),
      },
    ],
    [
      'a voter is named twice',
      { ...install, size: 1, offset: 0, bytes: new Uint8Array(1), voters: [nameOf(1), nameOf(1)] },
    ],
    ['a snapshot has no voters', { ...install, size: 1, offset: 0, bytes: new Uint8Array(1), voters: [] }],
    ['snapshot part is past its end', { ...install, size: 3, offset: 2, bytes: new Uint8Array(2) }],
    ['snapshot part is empty', { ...install, size: 3, offset: 2, bytes: new Uint8Array(0) }],
    [
      'more is received than the snapshot has',
      { ...header, kind: 'installed', stamp: 1, index: 2, size: 3, received: 4 },
    ],
    ['an entry names no voters', { ...sample, entries: [{ kind: 'voters', term: 1, voters: [] }] }],
    [
      'term is 281474976710657, over its limit of 281474976710656',
      { ...sample, term: RaftLimits.counter + 1 },
    ],
  ])('says: %s', (reason, sent) => {
    expect(reasonOf(sent)).toBe(reason)
  })

  it('refuses kinds, entries and flags it does not know, and messages over the limit', () => {
    const bytesOf = encodeRaft(sample)
    expect(decodeRaft(new Uint8Array([99, ...bytesOf.subarray(1)]))).toEqual({
      ok: false,
      reason: 'raft kind is unknown',
    })
    const at = bytesOf.length - (2 + 1 + 2 * 17) - 2 - 6
    const unknown = Uint8Array.from(bytesOf)
    expect(unknown[at]).toBe(0)
    unknown[at] = 7
    expect(decodeRaft(unknown)).toEqual({ ok: false, reason: 'entry kind is unknown' })
    const vote = encodeRaft({
      ...header,
      kind: 'vote',
      pre: true,
      transfer: false,
      lastIndex: 1,
      lastTerm: 1,
    })
    vote[vote.length - 3] = 8
    expect(decodeRaft(vote)).toEqual({ ok: false, reason: 'vote flags 8 are unknown' })
    expect(decodeRaft(new Uint8Array(RaftLimits.messageBytes + 1)).ok).toBe(false)
  })
})
