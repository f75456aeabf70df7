import { describe, expect, it } from 'vitest'
import { Refill } from '../../src/core/refill.ts'

const itemsOf = <T>(list: Refill<T>): T[] => Array.from({ length: list.size }, (_, i) => list.at(i))

describe('a list that is refilled', () => {
  it('holds what was added since it was emptied, in order', () => {
    const list = new Refill<string>()
    expect(list.size).toBe(0)
    for (const size of [3, 1, 0, 300, 2]) {
      const items = Array.from({ length: size }, (_, i) => `${size}/${i}`)
      for (const item of items) list.add(item)
      expect(itemsOf(list)).toEqual(items)
      list.clear()
      expect(itemsOf(list)).toEqual([])
    }
  })

  it('grows while it is gone through', () => {
    const list = new Refill<number>()
    list.add(0)
    const seen: number[] = []
    for (let i = 0; i < list.size; i++) {
      seen.push(list.at(i))
      if (i < 5) list.add(i + 1)
    }
    expect(seen).toEqual([0, 1, 2, 3, 4, 5])
  })
})
