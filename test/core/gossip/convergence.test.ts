import { describe, expect, it } from 'vitest'
import {
  coveredBy,
  createBitmap,
  hasBit,
  isFull,
  orInto,
  setBit,
  trim,
} from '../../../src/core/gossip/bitmap.ts'
import type { Published } from '../../../src/core/gossip/convergence.ts'
import { Convergence } from '../../../src/core/gossip/convergence.ts'
import type { MembershipTable } from '../../../src/core/membership/table.ts'
import { nodeIdOf, tableOf, wholeOf } from '../support/names.ts'
import { cluster } from '../support/nodes.ts'

const bitmapOf = (size: number, ...positions: number[]): Uint8Array => {
  const bits = createBitmap(size)
  for (const at of positions) setBit(bits, at)
  return bits
}

describe('bitmap', () => {
  it('holds positions', () => {
    const bits = bitmapOf(12, 0, 7, 8, 11)
    expect([...bits]).toEqual([0b10000001, 0b1001])
    const set = Array.from({ length: 12 }, (_, i) => i).filter((i) => hasBit(bits, i))
    expect(set).toEqual([0, 7, 8, 11])
    expect(createBitmap(0)).toHaveLength(0)
    expect(createBitmap(8)).toHaveLength(1)
    expect(createBitmap(9)).toHaveLength(2)
  })

  it('is full when all of its positions are set, whatever stands behind them', () => {
    for (const size of [1, 7, 8, 9, 16, 17]) {
      const all = Array.from({ length: size }, (_, i) => i)
      expect(isFull(bitmapOf(size, ...all), size)).toBe(true)
      for (const lacking of [0, size - 1]) {
        const bits = bitmapOf(size, ...all.filter((at) => at !== lacking))
        expect(isFull(bits, size)).toBe(false)
      }
    }
    expect(isFull(bitmapOf(9, 0, 1, 2), 3)).toBe(true)
    expect(isFull(createBitmap(0), 0)).toBe(true)
  })

  it('joins by OR and tells whether that was news', () => {
    const bits = bitmapOf(10, 1)
    expect(orInto(bits, bitmapOf(10, 9))).toBe(true)
    expect(bits).toEqual(bitmapOf(10, 1, 9))
    expect(orInto(bits, bitmapOf(10, 9))).toBe(false)
  })

  it('is trimmed to its size', () => {
    expect(trim(Uint8Array.of(0xff, 0xff), 11)).toEqual(Uint8Array.of(0xff, 0b111))
    expect(trim(Uint8Array.of(0xff, 0xff), 16)).toEqual(Uint8Array.of(0xff, 0xff))
  })

  it('is covered by two others together', () => {
    const bits = bitmapOf(10, 1, 9)
    expect(coveredBy(bits, bitmapOf(10, 1), bitmapOf(10, 9))).toBe(true)
    expect(coveredBy(bits, bitmapOf(10, 1), undefined)).toBe(false)
    expect(coveredBy(createBitmap(10), undefined, undefined)).toBe(true)
  })
})

/** A table with 1, 2 and 3 live, seen by 1. */
function threeLive(): { table: MembershipTable; convergence: Convergence } {
  const table = tableOf(1)
  for (const index of [2, 3]) table.apply(wholeOf(nodeIdOf(index)), 1, 0, 'test')
  const convergence = new Convergence(table)
  convergence.notice(100, [])
  return { table, convergence }
}

const published = (
  { table, convergence }: ReturnType<typeof threeLive>,
  ...positions: number[]
): Published => {
  const { viewHi, viewLo } = table.hash
  return { viewHi, viewLo, bits: bitmapOf(3, ...positions), epoch: convergence.epoch }
}

describe('Convergence', () => {
  it('is confirmed when every live member is known to have published this view, and not before', () => {
    const three = threeLive()
    const { convergence } = three
    convergence.settle(110, false, [])
    expect(convergence.state).toBe('diffusing')
    expect(convergence.join(published(three, 1))).toBe(true)
    convergence.settle(120, false, [])
    expect(convergence.state).toBe('diffusing')
    expect(convergence.durationMs).toBeUndefined()
    expect(convergence.join(published(three, 1, 2))).toBe(true)
    expect(convergence.join(published(three, 1, 2))).toBe(false)
    convergence.settle(130, false, [])
    expect(convergence.state).toBe('confirmed')
    expect(convergence.durationMs).toBe(30)
  })

  it('takes no bitmap of another view, nor one of another size', () => {
    const three = threeLive()
    const { convergence } = three
    expect(convergence.join({ ...published(three, 0, 1, 2), viewLo: 1 })).toBe(false)
    expect(convergence.join({ ...published(three), bits: Uint8Array.of(7, 7) })).toBe(false)
    expect(convergence.join({ ...published(three), bits: new Uint8Array(0) })).toBe(false)
    expect(convergence.join({ ...published(three), bits: Uint8Array.of(0b11111000) })).toBe(false)
    convergence.settle(110, false, [])
    expect(convergence.state).toBe('diffusing')
  })

  it('is reconciling while a repair runs', () => {
    const three = threeLive()
    three.convergence.join(published(three, 1, 2))
    three.convergence.settle(110, true, [])
    expect(three.convergence.state).toBe('reconciling')
    three.convergence.settle(120, false, [])
    expect(three.convergence.state).toBe('confirmed')
  })

  it('is not confirmed while a neighbour that confirmed is known to have moved on', () => {
    const three = threeLive()
    const { convergence } = three
    convergence.join(published(three, 1, 2))
    const movedOn = { ...published(three), viewLo: 1 }
    convergence.settle(110, false, [{ nodeId: nodeIdOf(2), published: movedOn }])
    expect(convergence.state).toBe('diffusing')
    convergence.settle(120, false, [
      { nodeId: nodeIdOf(2), published: { ...movedOn, epoch: convergence.epoch - 1 } },
    ])
    expect(convergence.state).toBe('confirmed')
  })

  it('starts anew when the own view changes, with what neighbours published of the new one', () => {
    const three = threeLive()
    const { table, convergence } = three
    convergence.join(published(three, 1, 2))
    convergence.settle(110, false, [])
    table.writeOwn({ meta: '1' }, 'test')
    expect(
      convergence.notice(200, [
        { nodeId: nodeIdOf(3), published: published(three, 2) },
        { nodeId: nodeIdOf(2), published: undefined },
      ]),
    ).toBe(true)
    expect(convergence.notice(201, [])).toBe(false)
    convergence.settle(210, false, [])
    expect(convergence.state).toBe('diffusing')
    expect(convergence.durationMs).toBeUndefined()
    expect(convergence.bits).toEqual(bitmapOf(3, 0, 2))
  })

  it('is never confirmed by who is not live itself and knows of nobody', () => {
    const table = tableOf(1)
    table.writeOwn({ status: 'joining' }, 'test')
    const convergence = new Convergence(table)
    convergence.notice(0, [])
    convergence.settle(0, false, [])
    expect(convergence.state).toBe('diffusing')
  })
})

describe('a cluster', () => {
  it('confirms only what every live member published', () => {
    const { room, cores } = cluster(4)
    const [a, b, c, d] = cores as [(typeof cores)[0], (typeof cores)[0], (typeof cores)[0], (typeof cores)[0]]
    // From now on d says nothing.
    room.passes = (from) => from !== d.nodeId
    room.feed(a, { type: 'set-meta', meta: '"new"' })
    room.until(() => [b, c, d].every((core) => core.viewHash === a.viewHash), 'all hold the change')
    room.run(1_000)
    expect([a, b, c].map((core) => core.gossipState)).toEqual(['diffusing', 'diffusing', 'diffusing'])
    expect(d.gossipState).toBe('confirmed')
    room.passes = () => true
    room.until(() => cores.every((core) => core.gossipState === 'confirmed'), 'd is heard')
  })

  it('passes on who published through members in between', () => {
    const { room, cores } = cluster(3)
    const [a, b, c] = cores as [(typeof cores)[0], (typeof cores)[0], (typeof cores)[0]]
    const direct = (from: string, to: string) => from !== b.nodeId && to !== b.nodeId
    room.passes = (from, to) => !direct(from, to)
    room.feed(c, { type: 'set-meta', meta: '"new"' })
    room.until(() => a.viewHash === c.viewHash && a.gossipState === 'confirmed', 'a hears of c through b')
    room.until(() => b.gossipState === 'confirmed', 'so does b', 100)
  })
})
