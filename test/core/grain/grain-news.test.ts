/** What grains tell stays few, and tells all. */
import { describe, expect, it } from 'vitest'
import type { EventBody } from '../../../src/core/events.ts'
import type { CountedEvent } from '../../../src/core/grain/grain-news.ts'
import { GrainNews, MAX_EVENTS } from '../../../src/core/grain/grain-news.ts'

const activated = (key: number): CountedEvent => ({
  type: 'grain-activated',
  kind: 'counter',
  key: `k${key}`,
  count: 1,
})
const moved = (slot: number): CountedEvent => ({
  type: 'grain-moved',
  kind: 'counter',
  slot,
  from: 'a',
  to: 'b',
  count: 1,
})

function rig() {
  const told: EventBody[] = []
  const news = new GrainNews((event) => void told.push(event))
  const counts = (): number[] => told.map((event) => (event as CountedEvent).count)
  return { news, told, counts }
}

describe('news of grains', () => {
  it('are told at once while they are few, and nothing is waited for', () => {
    const { news, told } = rig()
    news.add(activated(1), 'a', 0)
    expect(told).toEqual([activated(1)])
    expect(news.nextDeadline()).toBe(Infinity)
  })

  it('are one event, where hundreds of partitions move in one turn', () => {
    const { news, told } = rig()
    for (let slot = 0; slot < 256; slot++) news.gather(moved(slot), 'a b')
    news.settle(0)
    expect(told).toEqual([{ ...moved(0), count: 256 }])
  })

  it('of many that come one by one are so many in a second, and lose none', () => {
    const { news, told, counts } = rig()
    for (let i = 0; i < 1_000; i++) {
      news.add(activated(i), 'a', i / 10)
      news.settle(i / 10)
    }
    expect(told).toHaveLength(MAX_EVENTS)
    expect(news.nextDeadline()).toBe(1_000)
    news.settle(1_000)
    expect(told).toHaveLength(MAX_EVENTS + 1)
    expect(counts().reduce((sum, count) => sum + count, 0)).toBe(1_000)
    expect(news.nextDeadline()).toBe(Infinity)
  })

  it('of many groups go on in the next seconds', () => {
    const { news, told, counts } = rig()
    for (let i = 0; i < 50; i++) news.gather(moved(i), `pair ${i}`)
    for (const [now, total] of [
      [0, 20],
      [999, 20],
      [1_000, 40],
      [2_000, 50],
    ] as const) {
      news.settle(now)
      expect(told, String(now)).toHaveLength(total)
    }
    expect(counts().every((count) => count === 1)).toBe(true)
  })
})
