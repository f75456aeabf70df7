import { describe, expect, it, vi } from 'vitest'
import { CallRecords } from '../../../src/core/grain/call-records.ts'
import { applyChange } from '../../../src/core/grain/key-contents.ts'
import type { KeyChange, KeyContents } from '../../../src/core/grain/key-contents.ts'
import type { CallOutcome } from '../../../src/core/rpc/messages.ts'

const A = 'aaaaaaaaaaaaaaaa'
const childOf = (i: number): string => i.toString(16).padStart(32, '0')
const OK: CallOutcome = { type: 'result', bytes: new Uint8Array(1) }
const never = (): boolean => false
const LIMITS = { records: 100, outcomeBytes: 1_000 }
const fresh = (contents?: KeyContents): CallRecords =>
  new CallRecords(LIMITS, contents, 1, 0, () => undefined)

/** A call that changes state, as an owner makes it one; returns what the store has then. */
function change(
  records: CallRecords,
  contents: KeyContents | undefined,
  caller: string,
  sequence: number,
  now = 0,
) {
  const drops = records.drops(now, never)
  const made: KeyChange = {
    state: new Uint8Array(1),
    records: records.recordsFor(caller, sequence, OK),
    drops,
  }
  records.dropped(drops)
  records.recorded(caller, sequence, { outcome: OK, number: 1, isRecorded: true, child: undefined })
  return applyChange(contents, made)
}

/** Entries of maps that are set meanwhile, by copying included. */
function setsDuring(act: () => void): number {
  const set = vi.spyOn(Map.prototype, 'set')
  try {
    act()
    return set.mock.calls.length
  } finally {
    set.mockRestore()
  }
}

describe('call records', () => {
  it('stay few while a caller settles what it asks', () => {
    const records = fresh()
    let contents: KeyContents | undefined
    for (let sequence = 1; sequence <= 1_000; sequence++) {
      records.advance(A, sequence)
      contents = change(records, contents, A, sequence)
    }
    expect(records.size).toBe(1)
    expect([...contents!.callers.get(A)!.outcomes.keys()]).toEqual([1_000])
  })

  it('of handlers that are settled leave nothing in the store', () => {
    const records = fresh()
    let contents: KeyContents | undefined
    for (let i = 0; i < 1_000; i++) {
      records.keep(childOf(i), 1_000, i)
      contents = change(records, contents, childOf(i), 1, i)
      records.advance(childOf(i), 2 ** 48)
    }
    expect([records.size, contents!.callers.size]).toEqual([0, 1])
    expect(records.find(childOf(5), 1)).toMatchObject({ code: 'call-too-old' })
  })

  it('of handlers that only read are in memory for their time', () => {
    const records = fresh()
    for (let i = 0; i < 10_000; i++) {
      records.keep(childOf(i), 100, i)
      records.remember(childOf(i), 1, { outcome: OK, number: 0, isRecorded: false, child: undefined })
    }
    expect(records.callers).toBeLessThan(300)
  })

  it('say the same after a restart from the store', () => {
    const records = fresh()
    records.remember(A, 1, { outcome: OK, number: 0, isRecorded: false, child: undefined })
    const contents = change(records, undefined, A, 3)
    const again = fresh(contents)
    expect(again.find(A, 1)?.type).toBe('ended')
    // Unknown, and earlier than what has run: it was given up before that.
    expect(again.find(A, 2)).toMatchObject({ code: 'call-too-old' })
    expect(again.find(A, 3)?.type).toBe('ended')
    expect(again.find(A, 4)).toBeUndefined()
  })

  it('of a call that its caller settled while it ran go, but it stays too old', () => {
    const records = fresh()
    records.began(A, 1)
    records.advance(A, 2)
    const first = change(records, undefined, A, 1)
    const second = change(records, first, A, 2)
    expect([...second!.callers.get(A)!.outcomes.keys()]).toEqual([2])
    expect(fresh(second).find(A, 1)).toMatchObject({ code: 'call-too-old' })
  })

  it('follow refused calls only backwards, whatever a caller says', () => {
    const records = fresh()
    records.refuse(A, 5, 'aborted', 5)
    expect(records.awaited(A, 5)).toBe(0)
    records.refuse(A, 4, 'aborted', 3)
    expect(records.awaited(A, 4)).toBe(3)
  })

  it('are not followed all the way each time that somebody looks', () => {
    const records = fresh()
    for (let sequence = 2; sequence <= 4_000; sequence++) records.refuse(A, sequence, 'aborted', sequence - 1)
    const get = vi.spyOn(Map.prototype, 'get')
    for (let look = 0; look < 100; look++) expect(records.awaited(A, 4_000)).toBe(1)
    const { length } = get.mock.calls
    get.mockRestore()
    expect(length).toBeLessThan(40_000)
  })
})

describe('a change', () => {
  it('keeps the state where it says nothing of it, and deletes it where it says so', () => {
    const kept = applyChange(undefined, { state: new Uint8Array(3), records: [], drops: [] })
    expect(applyChange(kept, { records: [], drops: [] })!.state).toHaveLength(3)
    expect(applyChange(kept, { state: null, records: [], drops: [] })).toBeUndefined()
  })

  it('of many calls copies what is kept of their caller once', () => {
    const records = Array.from({ length: 1_000 }, (_, i) => ({
      caller: i % 2 ? A : childOf(1),
      sequence: i,
      outcome: OK,
      keepMs: 0,
    }))
    const before = applyChange(undefined, { records: records.slice(0, 500), drops: [] })
    expect(setsDuring(() => applyChange(before, { records, drops: [] }))).toBeLessThan(5_000)
    expect(before!.callers.get(A)!.outcomes.size).toBe(250)
  })

  it('drops a caller altogether, or what it has settled', () => {
    const records = [1, 2].map((sequence) => ({ caller: A, sequence, outcome: OK, keepMs: 0 }))
    const kept = applyChange(undefined, { records, drops: [{ caller: A, first: 2 }] })
    expect(kept!.callers.get(A)).toMatchObject({ first: 2, outcomes: new Map([[2, OK]]) })
    expect(applyChange(kept, { records: [records[0]!], drops: [] })!.callers.get(A)!.outcomes.size).toBe(1)
    expect(applyChange(kept, { records: [], drops: [{ caller: A, first: Infinity }] })).toBeUndefined()
  })

  it('of one caller are so many: the oldest of those that left nothing in the store are too old', () => {
    const records = fresh()
    for (let sequence = 1; sequence <= 5_000; sequence++) records.refuse(A, sequence, 'aborted', 0)
    expect(records.find(A, 1)).toMatchObject({ code: 'call-too-old' })
    expect(records.find(A, 904)).toMatchObject({ code: 'call-too-old' })
    expect(records.find(A, 905)).toMatchObject({ code: 'aborted' })
    expect(records.find(A, 5_001)).toBeUndefined()
    expect([records.awaited(A, 1), records.awaited(A, 5_000)]).toEqual([0, 0])

    const reads = fresh()
    change(reads, undefined, A, 1)
    for (let sequence = 2; sequence <= 5_000; sequence++) {
      reads.began(A, sequence)
      reads.remember(A, sequence, { outcome: OK, number: 1, isRecorded: false, child: undefined })
    }
    expect(reads.find(A, 1)).toMatchObject({ type: 'ended' })
    expect(reads.find(A, 2)).toMatchObject({ code: 'call-too-old' })
    expect(reads.find(A, 5_000)).toMatchObject({ type: 'ended' })
    expect(reads.recordsFor(A, 5_001, OK).length).toBeLessThan(4_100)
  })

  it('of handlers are kept for an hour at most, whatever is asked', () => {
    const records = fresh()
    records.keep(childOf(1), 30 * 24 * 3_600_000, 0)
    const contents = change(records, undefined, childOf(1), 1)!
    expect(contents.callers.get(childOf(1))!.keepMs).toBe(3_600_000)
    expect(records.drops(3_600_000, never)).toEqual([{ caller: childOf(1), first: Infinity }])
  })
})
