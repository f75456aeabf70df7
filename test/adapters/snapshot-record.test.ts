import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { MAX_MEMBERS, readSnapshot, writeSnapshot } from '../../src/adapters/indexeddb/snapshot-record.ts'
import type { Snapshot } from '../../src/ports.ts'

const authority = 'a'.repeat(20)
const member = { nodeId: `${'b'.repeat(20)}.12.${'c'.repeat(10)}`, process: 'd'.repeat(16), counter: 3 }
const snapshot: Snapshot = { version: 1, cluster: 'room', authority, generation: 2, members: [member], at: 5 }

const read = (record: unknown) => readSnapshot(record, 'room', authority)

it('reads what it wrote', () => {
  expect(read(writeSnapshot(snapshot))).toEqual({ ok: true, snapshot })
  const withUrl = { ...snapshot, signalingUrl: 'wss://example.org/signaling' }
  expect(read(writeSnapshot(withUrl))).toEqual({ ok: true, snapshot: withUrl })
})

it('copies known fields only', () => {
  const text = JSON.stringify({ ...snapshot, extra: 1, members: [{ ...member, extra: 2 }] })
  expect(read(text)).toEqual({ ok: true, snapshot })
})

it.each([
  [{ version: 0 }, 'no version'],
  [{ version: 2 }, 'newer Grainmesh'],
  [{ cluster: 'other' }, 'another cluster'],
  [{ authority: 'b'.repeat(20) }, 'another authority'],
  [{ generation: 0 }, 'generation'],
  [{ generation: 1.5 }, 'generation'],
  [{ at: '5' }, 'at'],
  [{ members: {} }, 'members'],
  [{ members: [member, { ...member, nodeId: 'x' }] }, 'members[1]'],
  [{ members: [{ ...member, process: 'x' }] }, 'members[0]'],
  [{ members: [{ ...member, counter: -1 }] }, 'members[0]'],
  [{ members: [null] }, 'members[0]'],
  [{ members: Array.from({ length: MAX_MEMBERS + 1 }, () => 0) }, 'oversized'],
  [{ signalingUrl: 'javascript:alert(1)' }, 'signalingUrl'],
])('refuses %j and says why', (change, reason) => {
  const result = read(JSON.stringify({ ...snapshot, ...change }))
  expect(result).toEqual({ ok: false, reason: expect.stringContaining(reason) })
})

it('refuses to write what it would refuse to read', () => {
  const members = Array.from({ length: MAX_MEMBERS + 1 }, () => member)
  expect(() => writeSnapshot({ ...snapshot, members })).toThrow(/8193 members/)
})

it('never throws', () => {
  fc.assert(
    fc.property(fc.oneof(fc.anything(), fc.json(), fc.object().map(mixed)), (record) => {
      expect(typeof read(record).ok).toBe('boolean')
    }),
    { numRuns: 2_000 },
  )
})

/** A good record with some fields replaced by anything. */
function mixed(changes: object): string {
  return JSON.stringify({ ...snapshot, ...changes, members: [{ ...member, ...changes }] })
}
