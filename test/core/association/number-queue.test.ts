import { expect, it } from 'vitest'
import { NumberQueue } from '../../../src/core/association/number-queue.ts'
import { below, seededRandom } from '../../../src/testing/random.ts'

it('numbers are kept until they are forgotten, the lowest first', () => {
  const random = seededRandom(1, 'numbers')
  const queue = new NumberQueue()
  let expected: number[] = []
  let [highest, forgotten] = [0, 0]
  for (let step = 0; step < 3_000; step++) {
    if (random() < 0.6) {
      highest += 1 + below(random, 3)
      queue.add(highest)
      expected.push(highest)
    } else {
      forgotten = Math.max(forgotten, highest - below(random, 40))
      expect(queue.forgetTo(forgotten)).toBe(expected.some((number) => number <= forgotten))
      expected = expected.filter((number) => number > forgotten)
    }
    expect(queue.size).toBe(expected.length)
    expect(queue.first(5)).toEqual(expected.slice(0, 5))
    expect(queue.at(5)).toBe(expected[5])
  }
})

it('many numbers are forgotten in no time, all at once or one by one', () => {
  const queue = new NumberQueue()
  const start = performance.now()
  for (let number = 1; number <= 400_000; number++) queue.add(number)
  for (let number = 1; number <= 200_000; number++) queue.forgetTo(number)
  queue.forgetTo(400_000)
  expect(queue.size).toBe(0)
  expect(performance.now() - start).toBeLessThan(3_000)
})
