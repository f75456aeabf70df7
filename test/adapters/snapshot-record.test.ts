import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { MAX_TABLE_BYTES, readSnapshot, writeSnapshot } from '../../src/adapters/indexeddb/snapshot-record.ts'
import type { Snapshot } from '../../src/ports.ts'

const authority = 'a'.repeat(20)
const table = new Uint8Array([1, 2, 3])
const snapshot: Snapshot = { version: 2, cluster: 'room', authority, generation: 2, table, at: 5 }

const read = (record: unknown) => readSnapshot(record, 'room', authority)

it('reads what it wrote', () => {
  expect(read(writeSnapshot(snapshot))).toEqual({ ok: true, snapshot })
  const withUrl = { ...snapshot, signalingUrl: 'wss://example.org/signaling' }
  expect(read(writeSnapshot(withUrl))).toEqual({ ok: true, snapshot: withUrl })
})

it('copies known fields only', () => {
  expect(read({ ...snapshot, extra: 1 })).toEqual({ ok: true, snapshot })
})

it.each([
  [{ version: 0 }, 'no version'],
  [{ version: 1 }, 'no version'],
  [{ version: 3 }, 'newer Grainmesh'],
  [{ cluster: 'other' }, 'another cluster'],
  [{ authority: 'b'.repeat(20) }, 'another authority'],
  [{ generation: 0 }, 'generation'],
  [{ generation: 1.5 }, 'generation'],
  [{ at: '5' }, 'at'],
  [{ table: [1, 2, 3] }, 'table'],
  [{ table: '' }, 'table'],
  [{ table: undefined }, 'table'],
  [{ table: new Uint8Array(MAX_TABLE_BYTES + 1) }, 'oversized'],
  [{ signalingUrl: 'javascript:alert(1)' }, 'signalingUrl'],
])('refuses %o and says why', (change, reason) => {
  const result = read({ ...snapshot, ...change })
  expect(result).toEqual({ ok: false, reason: expect.stringContaining(reason) })
})

it('refuses to write what it would refuse to read', () => {
  const large = new Uint8Array(MAX_TABLE_BYTES + 1)
  expect(() => writeSnapshot({ ...snapshot, table: large })).toThrow(/1048577 bytes/)
})

it('never throws', () => {
  const mixed = fc.object().map((changes) => Object.assign({}, snapshot, changes))
  fc.assert(
    fc.property(fc.oneof(fc.anything(), fc.json(), mixed), (record) => {
      expect(typeof read(record).ok).toBe('boolean')
    }),
    { numRuns: 2_000 },
  )
})
