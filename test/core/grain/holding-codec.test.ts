/** Bytes of holding messages: what is written is read, and whatever else comes is named. */
import { describe, expect, it } from 'vitest'
import { decodeHoldingMessage, encodeHoldingMessage } from '../../../src/core/grain/holding-codec.ts'
import type { KeyContent } from '../../../src/core/grain/held-partition.ts'
import type { HoldingMessage } from '../../../src/core/grain/messages.ts'
import { below, pick, seededRandom } from '../../../src/testing/random.ts'

const at = { partition: 'counter#7', epoch: 3 }
const outcomes = [[4, Uint8Array.of(1)] as const, [5, Uint8Array.of()] as const]
const content: KeyContent = {
  key: 'ключ',
  epoch: 2,
  number: 9,
  state: Uint8Array.of(1, 2, 3),
  callers: [{ caller: 'process', first: 4, outcomes }],
}
const gone: KeyContent = { key: 'k', epoch: 0, number: 0, state: undefined, callers: [] }
const record = { caller: 'process', sequence: 5, first: 4, outcome: Uint8Array.of(7) }
const SAMPLES: readonly HoldingMessage[] = [
  { type: 'beacon', id: 1, heard: 2 ** 40, sole: true },
  { type: 'beaconed', id: 1, sole: false, refused: [at] },
  {
    type: 'store',
    items: [
      {
        ...at,
        tenure: 1,
        number: 1,
        acked: 0,
        key: 'k',
        change: { state: Uint8Array.of(1), record, drop: ['x'] },
      },
      { ...at, tenure: 1, number: 2, acked: 1, key: 'k', change: { state: undefined } },
    ],
  },
  { type: 'stored', items: [{ ...at, tenure: 1, number: 1, wants: true }] },
  { type: 'where', items: [at] },
  { type: 'claim', items: [at, { partition: 'a#0', epoch: 1 }] },
  { type: 'standing', items: [{ ...at, number: 2, acked: 1, keys: [{ key: 'k', epoch: 1, number: 2 }] }] },
  { type: 'repair', items: [{ ...at, tenure: 1, from: 1, number: 2, acked: 1, entries: [content, gone] }] },
  { type: 'copy', items: [{ ...at, attempt: 1, index: 0, entries: [content], handed: false }] },
  {
    type: 'copy',
    items: [
      { ...at, attempt: 1, index: 1, entries: [], end: { tenure: 1, number: 9, acked: 8 }, handed: true },
    ],
  },
  { type: 'copied', items: [{ ...at, attempt: 1, index: 1, result: 'full' }] },
  { type: 'stale', items: [at] },
  { type: 'drop', items: [at] },
  { type: 'released', items: [] },
]

describe('holding messages', () => {
  it.each(SAMPLES)('%#: $type survives the wire', (message) => {
    expect(decodeHoldingMessage(encodeHoldingMessage(message))).toEqual({ ok: true, message })
  })

  it.each(SAMPLES)('%#: $type is refused wherever it is cut', (message) => {
    const bytes = encodeHoldingMessage(message)
    for (let length = 0; length < bytes.length; length++)
      expect(decodeHoldingMessage(bytes.subarray(0, length)).ok).toBe(false)
    expect(decodeHoldingMessage(Uint8Array.of(...bytes, 0))).toMatchObject({ ok: false })
  })

  it('names what is wrong', () => {
    const reason = (...bytes: number[]) => {
      const result = decodeHoldingMessage(Uint8Array.from(bytes))
      return result.ok ? 'nothing' : result.reason
    }
    expect(reason(2, 0)).toBe('version 2 is not spoken here')
    expect(reason(1, 99)).toBe('type is unknown')
    expect(reason(1, 4, 1, 1, 97, 0)).toBe('partition is malformed')
    expect(reason(1, 0, 1, 1, 2)).toBe('flags 2 are unknown')
  })

  it('survives 20,000 mutations', () => {
    const random = seededRandom(7, 'holding-codec')
    for (let i = 0; i < 20_000; i++) {
      const bytes = encodeHoldingMessage(pick(random, SAMPLES)).slice()
      for (let n = 1 + below(random, 3); n > 0; n--) bytes[below(random, bytes.length)] = below(random, 256)
      const result = decodeHoldingMessage(bytes)
      if (result.ok) expect(decodeHoldingMessage(encodeHoldingMessage(result.message))).toEqual(result)
      else expect(result.reason).not.toBe('')
    }
  })
})
