/**
 * Members that hear the same things in any order, some of it twice, end with equal tables. Owners, accusers and the
 * ranges they send are real: what is random is what they do and how it is delivered.
 */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { rangeOf, removedRange } from '../../../src/core/membership/digest.ts'
import type { NodeRecord } from '../../../src/core/membership/table.ts'
import { MembershipTable } from '../../../src/core/membership/table.ts'
import { DEFAULT_LIMITS } from '../../../src/core/tuning.ts'
import type { OriginRange } from '../../../src/core/wire/frames.ts'
import { runs } from '../support/arbitraries.ts'
import { nodeIdOf, selfOf, tableOf } from '../support/names.ts'

type Step =
  | { readonly type: 'meta' | 'refute' | 'floor'; readonly owner: number }
  | {
      readonly type: 'value'
      readonly owner: number
      readonly key: string
      readonly value: string | undefined
    }
  | { readonly type: 'accuse'; readonly owner: number; readonly by: number; readonly back: number }
  | { readonly type: 'remove'; readonly owner: number }

interface History {
  readonly steps: readonly Step[]
  /** From which earlier version each range starts, as a share of the present one. */
  readonly starts: readonly number[]
}

/** Three authorities; the third has two lives. */
const OWNERS = [nodeIdOf(1), nodeIdOf(2), nodeIdOf(3, 1), nodeIdOf(3, 2)]

const owner = fc.nat(OWNERS.length - 1)
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ type: fc.constantFrom('meta', 'refute'), owner }) },
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant('value'),
      owner,
      key: fc.constantFrom('a', 'b', 'c'),
      value: fc.option(fc.constantFrom('1', '2'), { nil: undefined }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant('accuse'),
      owner,
      by: fc.integer({ min: 10, max: 17 }),
      back: fc.nat(2),
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constantFrom('remove', 'floor'), owner }) },
)

const anyHistory: fc.Arbitrary<History> = fc.record({
  steps: fc.array(anyStep, { minLength: 1, maxLength: 25 }),
  starts: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 60, maxLength: 60 }),
})

/** Lets the owners live through a history. Returns what was sent meanwhile, and the owners as they ended. */
function live({ steps, starts }: History): { sent: OriginRange[]; owners: MembershipTable[] } {
  const owners = OWNERS.map((nodeId) => new MembershipTable(nodeId, selfOf(0), DEFAULT_LIMITS))
  const sent: OriginRange[] = []
  const say = (table: MembershipTable): void => {
    const record = table.get(table.own)!
    sent.push(rangeOf(record, Math.floor(starts[sent.length % starts.length]! * record.counter)))
  }
  steps.forEach((step, i) => {
    const table = owners[step.owner]!
    const record = table.get(table.own)!
    const { incarnation } = record.self!
    switch (step.type) {
      case 'meta':
        table.writeOwn({ meta: `${i}` }, 'test')
        return say(table)
      case 'refute':
        table.writeOwn({ incarnation: incarnation + 1 }, 'test')
        return say(table)
      case 'value':
        table.writeOwnEntry(step.key, step.value)
        return say(table)
      case 'floor':
        for (let key = 0; key < 33; key++) {
          table.writeOwnEntry(`k${key}`, 'x')
          table.writeOwnEntry(`k${key}`, undefined)
        }
        return say(table)
      case 'accuse': {
        const by = nodeIdOf(step.by)
        const accused = Math.max(0, incarnation - step.back)
        const accusation = { incarnation: accused, rank: 'unreachable', observers: [by] } as const
        sent.push({ ...rangeOf(record, record.counter), accusation })
        return
      }
      case 'remove':
        sent.push(removedRange(table.own))
    }
  })
  for (const table of owners) say(table)
  return { sent, owners }
}

/**
 * A member that hears it in this order. Its gaps are answered at last: by the neighbour that left the gap, which knows
 * the accusation that it sent, with what the owner has said by now.
 */
function hear(sent: readonly OriginRange[], owners: readonly MembershipTable[]): MembershipTable {
  const table = tableOf(99)
  const gaps = sent.filter((range) => table.apply(range, 1, 0, 'test').missingFrom !== undefined)
  for (const { nodeId, accusation } of gaps) {
    const record = owners.find(({ own }) => own === nodeId)!.get(nodeId)!
    const answer = { ...rangeOf(record, table.get(nodeId)?.counter ?? 0), accusation }
    expect(table.apply(answer, 1, 0, 'answer')).toEqual({})
  }
  return table
}

const content = (table: MembershipTable) =>
  [...table.records()].map(describeRecord).sort((a, b) => (a.nodeId < b.nodeId ? -1 : 1))

const describeRecord = ({ nodeId, counter, status, self, accusation, entries }: NodeRecord) => {
  const values = [...entries.values()].filter(({ value }) => value !== undefined)
  const shown = { nodeId, status, self, accusation, values: values.sort((a, b) => (a.key < b.key ? -1 : 1)) }
  return status === 'removed' ? { nodeId, status } : { ...shown, counter }
}

describe('delivery in any order', () => {
  it('gives equal tables, view hashes and buckets', () => {
    const anyDelivery = anyHistory.chain((history) => {
      const { sent, owners } = live(history)
      const twice = [...sent, ...sent]
      const shuffled = fc.shuffledSubarray(twice, { minLength: twice.length, maxLength: twice.length })
      return fc.record({ sent: fc.constant(sent), owners: fc.constant(owners), shuffled })
    })
    fc.assert(
      fc.property(anyDelivery, ({ sent, owners, shuffled }) => {
        const [inOrder, inDisorder] = [hear(sent, owners), hear(shuffled, owners)]
        expect(content(inDisorder)).toEqual(content(inOrder))
        expect(inDisorder.hash.viewHi).toBe(inOrder.hash.viewHi)
        expect(inDisorder.hash.viewLo).toBe(inOrder.hash.viewLo)
        expect(inDisorder.hash.buckets).toEqual(inOrder.hash.buckets)
        expect(inDisorder.live()).toEqual(inOrder.live())
      }),
      runs(400),
    )
  })

  it('never lets a version fall nor a removed life return', () => {
    fc.assert(
      fc.property(anyHistory, fc.infiniteStream(fc.nat()), (history, picks) => {
        const { sent } = live(history)
        const table = tableOf(99)
        const versions = new Map<string, number>()
        const ended = new Set<string>()
        for (let i = 0; i < 2 * sent.length; i++) {
          table.apply(sent[picks.next().value! % sent.length]!, 1, 0, 'test')
          for (const { nodeId, counter, status } of table.records()) {
            expect(counter).toBeGreaterThanOrEqual(versions.get(nodeId) ?? 0)
            versions.set(nodeId, counter)
            if (status === 'removed') ended.add(nodeId)
            expect(ended.has(nodeId)).toBe(status === 'removed')
          }
          if (i % 7 === 0) table.collect(Infinity)
        }
      }),
      runs(100),
    )
  })
})
