import { describe, expect, it } from 'vitest'
import { decodeRpc, encodeRpc, MAX_RPC_BYTES } from '../../../src/core/rpc/call-codec.ts'
import { childCallerOf } from '../../../src/core/rpc/call-id.ts'
import type { CallMessage, RpcMessage } from '../../../src/core/rpc/messages.ts'
import { below, seededRandom } from '../../../src/testing/random.ts'

const A = 'aaaaaaaaaaaaaaaa'
const CHILD = '0123456789abcdef0123456789abcdef'
const bytes = new Uint8Array([0, 1, 255])
const CALL: CallMessage = {
  type: 'call',
  caller: A,
  sequence: 300,
  first: 7,
  previous: 299,
  attempt: 2,
  kind: 'counter',
  key: 'schlüssel 🔑',
  method: 'add',
  args: bytes,
  remainingMs: 9_999,
  epoch: 12,
  chain: [],
  keepMs: 0,
  hops: 0,
}
const FENCE = { partition: 'counter#255', epoch: 3 }
const REPLY = { type: 'reply', caller: A, sequence: 300, attempts: [1, 2], keeps: true } as const
const SAMPLES: readonly RpcMessage[] = [
  CALL,
  { ...CALL, caller: CHILD, chain: [CHILD], fence: FENCE, keepMs: 130_000, hops: 2, origin: A },
  { ...REPLY, outcome: { type: 'result', bytes } },
  { ...REPLY, outcome: { type: 'failed', bytes } },
  { ...REPLY, outcome: { type: 'refused', code: 'activation-failed', ran: false, bytes } },
  { ...REPLY, outcome: { type: 'refused', code: 'call-too-old', ran: true } },
  { ...REPLY, outcome: { type: 'elsewhere', ran: true, hint: { owner: A, epoch: 4 } } },
  { ...REPLY, outcome: { type: 'elsewhere', ran: false } },
  { type: 'cancel', kind: 'counter', key: 'k', caller: A, sequence: 5, first: 2, previous: 4 },
  { type: 'settled', kind: 'counter', key: 'k', caller: A, first: 9 },
  { type: 'settled', kind: 'counter', key: 'k', caller: CHILD, first: 9, fence: FENCE },
]

describe('messages about calls', () => {
  it.each(SAMPLES.map((message) => [message.type, message] as const))(
    '%s comes out as it went in',
    (_, message) => {
      expect(decodeRpc(encodeRpc(message))).toEqual(message)
    },
  )

  it.each([
    ['kind', { kind: 'Counter' }],
    ['key', { key: '' }],
    ['key', { key: 'k'.repeat(257) }],
    ['caller', { caller: 'somebody' }],
    ['sequence', { sequence: 0, previous: 0, first: 0 }],
    ['previous', { previous: 300 }],
    ['first', { first: 301 }],
    ['hops', { hops: 3, origin: A }],
    ['origin', { hops: 1 }],
    ['fence', { fence: FENCE }],
    ['fence', { caller: CHILD, chain: [CHILD], keepMs: 1 }],
    ['chain', { chain: [CHILD] }],
    ['keeping time', { keepMs: 1 }],
    ['method', { method: '' }],
  ] as const)('a call with a wrong %s is refused by name', (what, wrong) => {
    expect(decodeRpc(encodeRpc({ ...CALL, ...wrong } as CallMessage))).toMatch(what)
  })

  it.each([
    ['sequence', { sequence: 0, previous: 0 }],
    ['previous', { sequence: 5, previous: 5 }],
  ])('a cancel with a wrong %s is refused by name', (what, wrong) => {
    const cancel = { type: 'cancel', kind: 'counter', key: 'k', caller: A, first: 2 } as const
    expect(decodeRpc(encodeRpc({ ...cancel, ...wrong }))).toMatch(what)
  })

  it('are refused when cut short, too long, unknown or too large', () => {
    for (const message of SAMPLES) {
      const whole = encodeRpc(message)
      for (let length = 0; length < whole.length; length++)
        expect(typeof decodeRpc(whole.slice(0, length))).toBe('string')
      expect(decodeRpc(new Uint8Array([...whole, 0]))).toMatch('too many')
    }
    expect(decodeRpc(new Uint8Array([2, 1]))).toMatch('version 2')
    expect(decodeRpc(new Uint8Array([1, 9]))).toMatch('type 9')
    expect(decodeRpc(new Uint8Array(MAX_RPC_BYTES + 1))).toMatch('limit')
  })

  it('never make the decoder throw, and what it lets in means the same when written anew', () => {
    const random = seededRandom(5, 'calls')
    for (let i = 0; i < 20_000; i++) {
      const mutated = encodeRpc(SAMPLES[below(random, SAMPLES.length)]!).slice()
      for (let n = below(random, 4); n >= 0; n--) mutated[below(random, mutated.length)] = below(random, 256)
      const message = decodeRpc(mutated)
      if (typeof message !== 'string') expect(decodeRpc(encodeRpc(message))).toEqual(message)
    }
  })
})

it('children of different calls have different names', () => {
  const names = new Set<string>()
  for (let i = 0; i < 5_000; i++) names.add(childCallerOf(A, 'counter', `k${i % 50}`, Math.floor(i / 50)))
  names.add(childCallerOf(A, 'count', 'erk0', 0))
  expect(names.size).toBe(5_001)
  for (const name of names) expect(name).toMatch(/^[0-9a-f]{32}$/)
})
