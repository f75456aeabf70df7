/** Bytes of holding messages: what is written is read, and whatever else comes is named. */
import { describe, expect, it } from 'vitest'
import { decodeHoldingMessage, encodeHoldingMessage } from '../../../src/core/grain/holding-codec.ts'
import type { KeyContent } from '../../../src/core/grain/held-partition.ts'
import type { CallRecord, KeyChange } from '../../../src/core/grain/key-contents.ts'
import type { HoldingMessage, StoreItem } from '../../../src/core/grain/messages.ts'
import type { CallOutcome } from '../../../src/core/rpc/messages.ts'
import { below, pick, seededRandom } from '../../../src/testing/random.ts'

const at = { partition: 'counter#7', epoch: 3 }
const outcomes = new Map<number, CallOutcome>([
  [4, { type: 'result', bytes: Uint8Array.of(1) }],
  [5, { type: 'failed', bytes: Uint8Array.of() }],
  [6, { type: 'refused', code: 'too-large', ran: true }],
])
const caller = 'p'.repeat(16)
const content: KeyContent = {
  key: 'ключ',
  epoch: 2,
  number: 9,
  contents: {
    state: Uint8Array.of(1, 2, 3),
    callers: new Map([[caller, { first: 4, keepMs: 30_000, outcomes }]]),
  },
}
const stateless: KeyContent = {
  key: 's',
  epoch: 2,
  number: 3,
  contents: { state: undefined, callers: new Map() },
}
const group = `${'a'.repeat(16)}.1`
const others = [
  { group, epoch: 3, number: 7, state: Uint8Array.of(4, 5) },
  { group: caller, epoch: 2, number: 6 },
]
const twofold: KeyContent = {
  key: 't',
  epoch: 4,
  number: 8,
  contents: { state: Uint8Array.of(1), callers: new Map(), others, stated: { epoch: 3, number: 6 } },
}
const tenures = [
  { group: `${'b'.repeat(16)}.0`, epoch: 0, number: 0 },
  { group, epoch: 3, number: 5 },
  { group, epoch: 4, number: 7 },
]
const gone: KeyContent = { key: 'k', epoch: 0, number: 0, contents: undefined }
const record: CallRecord = {
  caller,
  sequence: 5,
  keepMs: 0,
  outcome: { type: 'result', bytes: Uint8Array.of(7) },
}
const drops = [
  { caller, first: 4 },
  { caller: '0'.repeat(32), first: Infinity },
]
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
        change: { state: Uint8Array.of(1), records: [record], drops },
      },
      { ...at, tenure: 1, number: 2, acked: 1, key: 'k', change: { state: null, records: [], drops: [] } },
      { ...at, tenure: 1, number: 3, acked: 1, key: 'k', change: { records: [record], drops: [] } },
      { ...at, tenure: 1, number: 4, acked: 1, key: 'k', change: { records: [], drops: [], others } },
    ],
  },
  { type: 'stored', items: [{ ...at, tenure: 1, number: 1, wants: true }] },
  { type: 'where', items: [at] },
  {
    type: 'claim',
    items: [
      { ...at, forgotten: 3, tenures },
      { partition: 'a#0', epoch: 1, forgotten: 0, tenures: [] },
    ],
  },
  {
    type: 'standing',
    items: [{ ...at, number: 2, common: 1, since: 0, keys: [{ key: 'k', epoch: 1, number: 2 }] }],
  },
  {
    type: 'repair',
    items: [
      {
        ...at,
        tenure: 1,
        from: 1,
        number: 2,
        acked: 1,
        forgotten: 1,
        tenures: [],
        entries: [content, gone, stateless],
      },
    ],
  },
  { type: 'copy', items: [{ ...at, attempt: 1, index: 0, entries: [content], handed: false }] },
  {
    type: 'copy',
    items: [
      {
        ...at,
        attempt: 1,
        index: 1,
        entries: [],
        end: { tenure: 1, number: 9, acked: 8, tenures: [] },
        handed: true,
      },
    ],
  },
  {
    type: 'copy',
    items: [
      {
        ...at,
        attempt: 1,
        index: 1,
        entries: [twofold],
        end: { tenure: 3, number: 9, acked: 8, tenures },
        handed: false,
      },
    ],
  },
  {
    type: 'stray',
    items: [{ ...at, attempt: 2, index: 3, born: 1, tenures, entries: [content, twofold], isLast: true }],
  },
  { type: 'strayed', items: [{ ...at, attempt: 2, index: 3, result: 'whole' }] },
  { type: 'copied', items: [{ ...at, attempt: 1, index: 1, result: 'full' }] },
  { type: 'stale', items: [at] },
  { type: 'drop', items: [at] },
  { type: 'released', items: [] },
  {
    type: 'stray',
    items: [
      {
        ...at,
        attempt: 1,
        index: 2,
        born: 1,
        tenures,
        isLast: true,
        source: {
          epoch: 2,
          number: 9,
          taken: [
            { group, born: 1, since: 1, epoch: 2, number: 9 },
            { group, born: 1, since: 3, epoch: 7, number: 12 },
          ],
          holders: [{ process: caller, browser: 'b' }],
          back: [{ process: caller, browser: '' }],
        },
        entries: [content, stateless],
      },
    ],
  },
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
    const copyUnder = (name: string): string => {
      const end = { tenure: 1, number: 0, acked: 0, tenures: [{ group: name, epoch: 1, number: 0 }] }
      const copy = { ...at, attempt: 1, index: 0, entries: [], end, handed: false }
      return reason(...encodeHoldingMessage({ type: 'copy', items: [copy] }))
    }
    expect(copyUnder(group)).toBe('nothing')
    expect(copyUnder('')).toBe('group is malformed')
    expect(copyUnder('no-group')).toBe('group is malformed')
    expect(copyUnder(group.repeat(2))).toBe('length of group is 36, over its limit of 24')
    const many = Array.from({ length: 33 }, () => tenures[1]!)
    const stray = { ...at, attempt: 1, index: 0, born: 1, entries: [], isLast: false, tenures: many }
    expect(reason(...encodeHoldingMessage({ type: 'stray', items: [stray] }))).toMatch(/^count is 33/)
    const source = { epoch: 1, number: 1, taken: [], holders: [], back: [] }
    const stored = { ...stray, tenures: [], source }
    expect(reason(...encodeHoldingMessage({ type: 'stray', items: [stored] }))).toBe('it is of no council')
  })

  it('refuses more outcomes of a key than are kept, however they are spread, and a caller that is settled twice', () => {
    const outcome = { type: 'result', bytes: new Uint8Array(0) } as const
    const outcomes = (count: number) =>
      new Map(Array.from({ length: count }, (_, i) => [i, outcome] as const))
    const reason = (message: HoldingMessage): string => {
      const result = decodeHoldingMessage(encodeHoldingMessage(message))
      return result.ok ? 'nothing' : result.reason
    }
    const copyOf = (...counts: number[]): HoldingMessage => {
      const callers = new Map(
        counts.map((count, i) => [
          `${'abc'[i]}`.repeat(16),
          { first: 1, keepMs: 0, outcomes: outcomes(count) },
        ]),
      )
      const entries = [{ key: 'k', epoch: 1, number: 1, contents: { state: undefined, callers } }]
      return { type: 'copy', items: [{ ...at, attempt: 1, index: 0, entries, handed: false }] }
    }
    expect(reason(copyOf(4_096, 4_096))).toBe('nothing')
    expect(reason(copyOf(4_096, 4_096, 1))).toBe('a key has too many outcomes')
    const settle = (...drops: KeyChange['drops']): HoldingMessage => ({
      type: 'store',
      items: [{ ...at, tenure: 1, number: 1, acked: 0, key: 'k', change: { records: [], drops } }],
    })
    expect(reason(settle({ caller, first: 1 }))).toBe('nothing')
    expect(reason(settle({ caller, first: 1 }, { caller, first: 2 }))).toBe('a caller is settled twice')
  })

  it('refuses callers and processes that are none', () => {
    const reasons = (name: string): string[] => {
      const outcomes = new Map()
      const contents = { state: undefined, callers: new Map([[name, { first: 1, keepMs: 0, outcomes }]]) }
      const entries = [{ ...stateless, contents }]
      const kept = { ...at, tenure: 1, from: 0, number: 1, acked: 0, forgotten: 0, tenures: [], entries }
      const change = (more: Partial<KeyChange>): StoreItem => {
        return {
          ...at,
          tenure: 1,
          number: 1,
          acked: 0,
          key: 'k',
          change: { records: [], drops: [], ...more },
        }
      }
      const source = { epoch: 1, number: 1, taken: [], holders: [{ process: name, browser: '' }], back: [] }
      const stray = { ...at, attempt: 1, index: 0, born: 1, tenures, entries: [], isLast: true, source }
      const messages: HoldingMessage[] = [
        { type: 'repair', items: [kept] },
        { type: 'store', items: [change({ records: [{ ...record, caller: name }] })] },
        { type: 'store', items: [change({ drops: [{ caller: name, first: 1 }] })] },
        { type: 'stray', items: [stray] },
      ]
      return messages.map((message) => {
        const result = decodeHoldingMessage(encodeHoldingMessage(message))
        return result.ok ? 'nothing' : result.reason
      })
    }
    const malformed = [...Array(3).fill('caller is malformed'), 'process is malformed']
    expect(reasons(caller)).toEqual(Array(4).fill('nothing'))
    expect(reasons('')).toEqual(malformed)
    expect(reasons('P'.repeat(16))).toEqual(malformed)
    expect(reasons('a'.repeat(33))[0]).toBe('length of caller is 33, over its limit of 32')
    // A handler calls, and holds nothing.
    expect(reasons('0'.repeat(32))).toEqual([...Array(3).fill('nothing'), 'process is malformed'])
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
