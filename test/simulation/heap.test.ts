import { describe, expect, it } from 'vitest'
import { EventHeap } from '../../src/testing/heap.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { GRID_MS, onGrid, Timeline } from '../../src/testing/timeline.ts'

describe('EventHeap', () => {
  it('gives items in the order of time, then of sequence', () => {
    const random = seededRandom(1, 'heap')
    const heap = new EventHeap<{ time: number; sequence: number }>()
    const items = Array.from({ length: 2_000 }, (_, sequence) => ({
      time: Math.floor(random() * 50),
      sequence,
    }))
    for (const item of items) heap.push(item)
    const expected = [...items].sort((a, b) => a.time - b.time || a.sequence - b.sequence)
    const taken = items.map(() => heap.pop())
    expect(taken).toEqual(expected)
    expect(heap.pop()).toBeUndefined()
  })

  it('keeps its order while items come and go', () => {
    const random = seededRandom(2, 'heap')
    const heap = new EventHeap<{ time: number; sequence: number }>()
    let last = 0
    for (let sequence = 0; sequence < 5_000; sequence++) {
      heap.push({ time: last + random() * 10, sequence })
      if (random() < 0.5) continue
      expect(heap.peek()!.time).toBeGreaterThanOrEqual(last)
      last = heap.pop()!.time
    }
    expect(heap.size).toBeGreaterThan(1_000)
  })
})

describe('Timeline', () => {
  it('runs what is set for one moment in the order in which it was set', () => {
    const timeline = new Timeline()
    const ran: string[] = []
    timeline.after(5, () => ran.push('b'))
    timeline.after(1, () => {
      ran.push('a')
      timeline.after(4, () => ran.push('c'))
    })
    timeline.after(9, () => ran.push('too late'))
    timeline.runUntil(8)
    expect(ran).toEqual(['a', 'b', 'c'])
    expect(timeline.now).toBe(8)
    expect(timeline.pending).toBe(1)
  })

  it('puts every time on the grid and never in the past', () => {
    const timeline = new Timeline()
    const times: number[] = []
    timeline.after(0.001, () => {
      times.push(timeline.now)
      timeline.after(-5, () => times.push(timeline.now))
    })
    timeline.runUntil(1)
    expect(times).toEqual([GRID_MS, GRID_MS])
    expect(onGrid(GRID_MS)).toBe(GRID_MS)
  })
})
