/** The partition map: what a command changes, what it must not, and its bytes. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeCommand, decodeMap, encodeCommand, encodeMap } from '../../../src/core/council/map-codec.ts'
import type { Birth, Command } from '../../../src/core/council/partition-map.ts'
import { MAX_EPOCH, MAX_KINDS, PartitionMap } from '../../../src/core/council/partition-map.ts'
import { MAX_HOLDERS, SLOTS } from '../../../src/core/partition/partition.ts'
import { runs } from '../support/arbitraries.ts'

const [A, B, C, D] = ['a', 'b', 'c', 'd'].map((letter) => letter.repeat(16)) as [
  string,
  string,
  string,
  string,
]

const born = (kind: string, birth: Birth = { owner: A, inSync: [A, B, C] }): Command => ({
  type: 'birth',
  kind,
  births: Array.from({ length: SLOTS }, () => birth),
})

function mapOf(birth?: Birth): PartitionMap {
  const map = new PartitionMap()
  map.apply(born('counter', birth))
  return map
}

const change = (given: Partial<Extract<Command, { type: 'change' }>>): Command => ({
  type: 'change',
  kind: 'counter',
  slots: [7],
  epochs: [1],
  ...given,
})

describe('an epoch', () => {
  const adopt = (epoch: number, slots = [7]): Command => ({
    type: 'adopt',
    kind: 'counter',
    slots,
    entries: slots.map(() => ({ epoch, owner: D, inSync: [D], born: 1 })),
  })

  it('follows that of another group only where that one can have come so far', () => {
    const map = mapOf()
    for (const epoch of [MAX_EPOCH, 2 ** 24 + 2]) expect(map.apply(adopt(epoch))).toEqual([])
    expect(map.apply(adopt(2 ** 24 + 1))).toEqual([7])
    const all = Array.from({ length: SLOTS }, (_, slot) => slot)
    expect(new PartitionMap().apply(adopt(2 ** 24 + 1, all)), 'of a kind that is not known').toEqual([])
    expect(new PartitionMap().apply(adopt(2 ** 24, all))).toHaveLength(SLOTS)
  })

  it('ends where it can be told no more', () => {
    const map = mapOf()
    const last = { epoch: MAX_EPOCH, owner: A, inSync: [A], born: 1 }
    map.set(
      'counter',
      Array.from({ length: SLOTS }, () => last),
    )
    const epochs = [MAX_EPOCH]
    const birth = { owner: B, inSync: [B] }
    expect(map.apply(change({ epochs, add: B }))).toEqual([])
    expect(map.apply({ type: 'lose', kind: 'counter', slots: [7], epochs, birth })).toEqual([])
    expect(map.apply(adopt(MAX_EPOCH))).toEqual([])
    expect(decodeMap(encodeMap(map))).toBeInstanceOf(PartitionMap)
  })
})

describe('a birth', () => {
  it('is of all partitions of a kind, once', () => {
    const map = new PartitionMap()
    expect(map.apply(born('counter'))).toHaveLength(SLOTS)
    expect(map.get('counter', 255)).toEqual({ epoch: 1, owner: A, inSync: [A, B, C], born: 1 })
    expect(map.apply(born('counter', { owner: D, inSync: [D] }))).toEqual([])
    expect(map.get('counter', 0)!.owner).toBe(A)
    expect(map.get('lock', 0)).toBeUndefined()
  })

  it.each<[string, Birth]>([
    ['has its owner among its holders', { owner: D, inSync: [A, B] }],
    ['names nobody twice', { owner: A, inSync: [A, A] }],
    ['has few holders', { owner: A, inSync: [A, ...'bcdefg'].slice(0, MAX_HOLDERS + 1) }],
    ['has a holder', { owner: A, inSync: [] }],
  ])('%s, or does nothing', (_, birth) => {
    expect(new PartitionMap().apply(born('counter', birth))).toEqual([])
  })

  it('is of a whole kind, and of no more kinds than there may be', () => {
    const map = new PartitionMap()
    expect(map.apply({ type: 'birth', kind: 'counter', births: [{ owner: A, inSync: [A] }] })).toEqual([])
    for (let i = 0; i < MAX_KINDS; i++) expect(map.apply(born(`kind${i}`))).toHaveLength(SLOTS)
    expect(map.apply(born('one-too-many'))).toEqual([])
  })
})

describe('a change', () => {
  it('takes effect where its epoch is the present one, once', () => {
    const map = mapOf()
    const command = change({ slots: [7, 8, 9], epochs: [1, 2, 1], add: D })
    expect(map.apply(command)).toEqual([7, 9])
    expect(map.get('counter', 7)).toEqual({ epoch: 2, owner: A, inSync: [A, B, C, D], born: 1 })
    expect(map.get('counter', 8)!.epoch).toBe(1)
    expect(map.apply(command)).toEqual([])
  })

  it('gives a partition to one that holds it, and takes it from the one that did', () => {
    const map = mapOf()
    expect(map.apply(change({ owner: B, remove: A }))).toEqual([7])
    expect(map.get('counter', 7)).toEqual({ epoch: 2, owner: B, inSync: [B, C], born: 1 })
  })

  it.each<[string, Partial<Extract<Command, { type: 'change' }>>]>([
    ['of an owner that holds nothing', { owner: D }],
    ['that removes the owner', { remove: A }],
    ['of nothing', {}],
    ['that adds whoever is there', { add: B }],
    ['that removes whoever is not there', { remove: D }],
    ['of a kind that was never born', { kind: 'lock', add: D }],
    ['of no slot', { slots: [300], add: D }],
  ])('%s has no effect', (_, given) => {
    const map = mapOf()
    expect(map.apply(change(given))).toEqual([])
    expect(map.get('counter', 7)!.epoch).toBe(1)
  })

  it('that names its owner anew is one', () => {
    const map = mapOf()
    expect(map.apply(change({ owner: A }))).toEqual([7])
    expect(map.get('counter', 7)).toEqual({ epoch: 2, owner: A, inSync: [A, B, C], born: 1 })
  })

  it('may put one in the place of another', () => {
    const map = mapOf()
    expect(map.apply(change({ add: D, remove: C }))).toEqual([7])
    expect(map.get('counter', 7)!.inSync).toEqual([A, B, D])
  })

  it('keeps the holders within bounds', () => {
    const map = mapOf({ owner: A, inSync: [A, B, C, D, 'e'.repeat(16)] })
    expect(map.apply(change({ add: 'f'.repeat(16) }))).toEqual([])
  })
})

describe('a loss', () => {
  it('begins anew, and says so from then on', () => {
    const map = mapOf()
    const command: Command = {
      type: 'lose',
      kind: 'counter',
      slots: [7],
      epochs: [1],
      birth: { owner: D, inSync: [D] },
    }
    expect(map.apply(command)).toEqual([7])
    expect(map.get('counter', 7)).toEqual({ epoch: 2, owner: D, inSync: [D], born: 2 })
    map.apply(change({ epochs: [2], add: A }))
    expect(map.get('counter', 7)!.born).toBe(2)
    expect(map.apply(command)).toEqual([])
  })
})

const anyProcess = fc.constantFrom(A, B, C, D, 'e'.repeat(16), 'f'.repeat(16))
const anyBirth: fc.Arbitrary<Birth> = fc
  .uniqueArray(anyProcess, { minLength: 1, maxLength: MAX_HOLDERS })
  .map((inSync) => ({ owner: inSync[0]!, inSync }))
const anyKind = fc.constantFrom('counter', 'board.card', 'lock-2')
const anySlots = fc.uniqueArray(fc.nat(SLOTS - 1), { maxLength: 20 })
const anyCommand: fc.Arbitrary<Command> = fc.oneof(
  fc.record({
    type: fc.constant('birth' as const),
    kind: anyKind,
    births: fc.array(anyBirth, { minLength: SLOTS, maxLength: SLOTS, size: 'max' }),
  }),
  fc.record({ kind: anyKind, slots: anySlots, birth: anyBirth }).map(({ kind, slots, birth }) => ({
    type: 'lose' as const,
    kind,
    slots,
    birth,
    epochs: slots.map((slot) => slot * 1_000 + 1),
  })),
  fc
    .record({
      kind: anyKind,
      slots: anySlots,
      add: fc.option(anyProcess, { nil: undefined }),
      remove: fc.option(anyProcess, { nil: undefined }),
      owner: fc.option(anyProcess, { nil: undefined }),
    })
    .map(({ kind, slots, add, remove, owner }) => ({
      type: 'change' as const,
      kind,
      slots,
      add,
      remove,
      owner,
      epochs: slots.map((slot) => slot + 1),
    })),
)

describe('bytes', () => {
  it('of a command give it back', () => {
    fc.assert(
      fc.property(anyCommand, (command) => {
        expect(decodeCommand(encodeCommand(command))).toEqual(command)
      }),
      runs(100),
    )
  })

  it('of a map give it back, with the owner first', () => {
    fc.assert(
      fc.property(fc.array(anyCommand, { maxLength: 12 }), (commands) => {
        const map = mapOf()
        for (const command of commands) map.apply(command)
        const back = decodeMap(encodeMap(map))
        if (typeof back === 'string') throw new Error(back)
        const ownerFirst = [...map.kinds()].map(([kind, entries]) => [
          kind,
          entries.map(({ owner, inSync, ...rest }) => ({
            ...rest,
            owner,
            inSync: [owner, ...inSync.filter((process) => process !== owner)],
          })),
        ])
        expect([...back.kinds()]).toEqual(ownerFirst)
        expect(encodeMap(back)).toEqual(encodeMap(map))
      }),
      runs(60),
    )
  })

  it('of a kind in a room of three take about a thousand', () => {
    expect(encodeCommand(born('counter')).length).toBeLessThan(1_100)
    expect(encodeMap(mapOf()).length).toBeLessThan(1_700)
  })

  it('of anything else are named, and never thrown on', () => {
    fc.assert(
      fc.property(anyCommand, fc.nat(), fc.nat(255), fc.nat(), (command, at, value, cut) => {
        const bytes = encodeCommand(command)
        const broken = bytes.slice(0, bytes.length - (cut % 3))
        if (broken.length > 0) broken[at % broken.length] = value
        const read = decodeCommand(broken)
        // What is read is sound enough to be applied.
        if (typeof read !== 'string') new PartitionMap().apply(read)
        decodeMap(broken)
      }),
      runs(500),
    )
    expect(decodeCommand(new Uint8Array(0))).toMatch('type of command')
    expect(decodeCommand(Uint8Array.of(9))).toMatch('unknown')
    expect(decodeMap(Uint8Array.of(0, 1, 1, 0x41))).toMatch('malformed')
  })
})
