/** M1: the merge laws of a record, for arbitrary registers: removed, refuted, and crowds of observers among them. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Accusation, Registers } from '../../../src/core/membership/record.ts'
import {
  effective,
  MAX_OBSERVERS,
  mergeAccusation,
  mergeRegisters,
  mergeSelf,
  REMOVED,
  sameAccusation,
  statusOf,
} from '../../../src/core/membership/record.ts'
import { anyAccusation, anyRegisters, anySelf, runs } from '../support/arbitraries.ts'
import { nodeIdOf, selfOf } from '../support/names.ts'

/** Checks that `merge` is a join: commutative, associative, idempotent, with `undefined` as its least element. */
function expectJoin<T>(values: fc.Arbitrary<T>, merge: (a: T, b: T) => T, least: T): void {
  const laws = fc.property(values, values, values, (a, b, c) => {
    expect(merge(a, b)).toEqual(merge(b, a))
    expect(merge(merge(a, b), c)).toEqual(merge(a, merge(b, c)))
    expect(merge(merge(a, b), b)).toEqual(merge(a, b))
    expect(merge(a, least)).toEqual(merge(a, a))
  })
  fc.assert(laws, runs(1_500))
}

const accuse = (rank: Accusation['rank'], incarnation: number, ...observers: number[]): Accusation => ({
  rank,
  incarnation,
  observers: observers.map((index) => nodeIdOf(index)),
})

describe('M1: merging is a join', () => {
  it('of self registers', () => {
    expectJoin(fc.option(anySelf, { nil: undefined }), mergeSelf, undefined)
  })

  it('of accusations', () => {
    expectJoin(fc.option(anyAccusation, { nil: undefined }), mergeAccusation, undefined)
  })

  it('of records', () => {
    expectJoin(anyRegisters, mergeRegisters, { self: undefined, accusation: undefined })
  })

  it('of many records in any order, doubled or not', () => {
    const inAnyOrder = fc
      .array(anyRegisters, { minLength: 2, maxLength: 8 })
      .chain((all) =>
        fc.tuple(
          fc.constant(all),
          fc.shuffledSubarray([...all, ...all], { minLength: 2 * all.length, maxLength: 2 * all.length }),
        ),
      )
    const join = (all: readonly Registers[]): Registers => all.reduce(mergeRegisters, {})
    fc.assert(
      fc.property(inAnyOrder, ([all, shuffled]) => {
        expect(join(shuffled)).toEqual(join(all))
      }),
      runs(500),
    )
  })
})

describe('accusations', () => {
  it('keep the lowest observers of a union, sorted and bounded', () => {
    const union = mergeAccusation(accuse('suspect', 1, 9, 10, 11), accuse('suspect', 1, 2, 4, 9, 12))
    expect(union).toEqual(accuse('suspect', 1, 2, 4, 9, 10, 11))
    fc.assert(
      fc.property(anyAccusation, anyAccusation, (a, b) => {
        const { observers } = mergeAccusation(a, b)!
        expect(observers.length).toBeLessThanOrEqual(MAX_OBSERVERS)
        expect(observers).toEqual([...new Set(observers)].sort())
      }),
      runs(500),
    )
  })

  it('are ordered by incarnation, then rank', () => {
    const [old, severe] = [accuse('unreachable', 1, 2), accuse('suspect', 2, 3)]
    expect(mergeAccusation(old, severe)).toBe(severe)
    expect(mergeAccusation(accuse('suspect', 1, 3), old)).toBe(old)
  })

  it('of removal top every incarnation and lose their observers', () => {
    expect(mergeAccusation(accuse('removed', 0, 3), accuse('unreachable', 9, 2))).toBe(REMOVED)
    expect(effective(selfOf(1, { incarnation: 99 }), REMOVED)).toBe(REMOVED)
  })

  it('are erased by a higher incarnation of the accused, and by nothing else', () => {
    const accusation = accuse('unreachable', 2, 3)
    expect(effective(selfOf(1, { incarnation: 3 }), accusation)).toBeUndefined()
    expect(effective(selfOf(1, { incarnation: 2 }), accusation)).toBe(accusation)
    expect(effective(undefined, accusation)).toBe(accusation)
  })

  it('are the same only if all of them is', () => {
    const accusation = accuse('unreachable', 2, 3)
    expect(sameAccusation(accusation, { ...accusation })).toBe(true)
    expect(sameAccusation(accusation, undefined)).toBe(false)
    expect(sameAccusation(accusation, accuse('unreachable', 2, 4))).toBe(false)
    expect(sameAccusation(accusation, accuse('suspect', 2, 3))).toBe(false)
    expect(sameAccusation(accusation, accuse('unreachable', 3, 3))).toBe(false)
  })
})

describe('status', () => {
  it('follows from the two registers alone', () => {
    const self = selfOf(1, { incarnation: 2 })
    expect(statusOf({})).toBeUndefined()
    expect(statusOf({ accusation: accuse('unreachable', 2, 3) })).toBeUndefined()
    expect(statusOf({ self })).toBe('up')
    expect(statusOf({ self, accusation: accuse('suspect', 2, 3) })).toBe('up')
    expect(statusOf({ self, accusation: accuse('unreachable', 1, 3) })).toBe('up')
    expect(statusOf({ self, accusation: accuse('unreachable', 2, 3) })).toBe('unreachable')
    expect(statusOf({ self, accusation: REMOVED })).toBe('removed')
    expect(statusOf({ accusation: REMOVED })).toBe('removed')
  })

  it('of a merge does not depend on who merged what first', () => {
    fc.assert(
      fc.property(anyRegisters, anyRegisters, (a, b) => {
        expect(statusOf(mergeRegisters(a, b))).toBe(statusOf(mergeRegisters(b, a)))
      }),
      runs(500),
    )
  })

  it('never leaves removed', () => {
    fc.assert(
      fc.property(anyRegisters, (a) => {
        expect(statusOf(mergeRegisters(a, { accusation: REMOVED }))).toBe('removed')
      }),
      runs(200),
    )
  })
})
