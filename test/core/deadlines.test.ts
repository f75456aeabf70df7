import { describe, expect, it } from 'vitest'
import { Deadlines } from '../../src/core/deadlines.ts'
import { seededRandom } from '../../src/testing/random.ts'

describe('deadlines', () => {
  it('give what is due, the first ones first, and nothing else', () => {
    const deadlines = new Deadlines<string>()
    deadlines.add('c', 30)
    deadlines.add('a', 10)
    deadlines.add('b', 20)
    expect(deadlines.next).toBe(10)
    expect(deadlines.takeDue(9)).toEqual([])
    expect(deadlines.takeDue(20)).toEqual(['a', 'b'])
    expect(deadlines.next).toBe(30)
    expect(deadlines.takeDue(Infinity)).toEqual(['c'])
    expect(deadlines.next).toBe(Infinity)
  })

  it('keep the earlier of two times, and take the later one once the earlier was given', () => {
    const deadlines = new Deadlines<string>()
    deadlines.add('a', 10)
    deadlines.add('a', 20)
    expect(deadlines.size).toBe(1)
    expect(deadlines.takeDue(10)).toEqual(['a'])
    expect(deadlines.takeDue(20)).toEqual([])
    deadlines.add('a', 20)
    deadlines.add('a', 15)
    expect(deadlines.takeDue(20)).toEqual(['a'])
    expect(deadlines.takeDue(20)).toEqual([])
  })

  it('give no more at a time than they are asked for', () => {
    const deadlines = new Deadlines<number>()
    for (let i = 0; i < 5; i++) deadlines.add(i, i)
    expect(deadlines.takeDue(10, 2)).toEqual([0, 1])
    expect(deadlines.next).toBe(2)
  })

  it('say nothing of what has none, or was dropped', () => {
    const deadlines = new Deadlines<string>()
    deadlines.add('a', Infinity)
    deadlines.add('b', 10)
    deadlines.add('c', 20)
    deadlines.drop('b')
    expect(deadlines.size).toBe(1)
    expect(deadlines.next).toBe(20)
    expect(deadlines.takeDue(30)).toEqual(['c'])
  })

  it('do what a list would that is searched each time', () => {
    const random = seededRandom(1, 'deadlines')
    const deadlines = new Deadlines<number>()
    const list = new Map<number, number>()
    for (let step = 0, now = 0; step < 20_000; step++) {
      const item = Math.floor(random() * 300)
      const at = now + Math.floor(random() * 100)
      const roll = random()
      if (roll < 0.6) {
        deadlines.add(item, at)
        list.set(item, Math.min(at, list.get(item) ?? Infinity))
      } else if (roll < 0.8) {
        deadlines.drop(item)
        list.delete(item)
      } else {
        now += Math.floor(random() * 5)
        const due = [...list].filter(([, time]) => time <= now)
        const times = deadlines.takeDue(now).map((one) => list.get(one))
        expect(times).toEqual(due.map(([, time]) => time).toSorted((a, b) => a - b))
        for (const [one] of due) list.delete(one)
      }
      expect(deadlines.size).toBe(list.size)
      expect(deadlines.next).toBe(Math.min(Infinity, ...list.values()))
    }
  })
})
