import { expect, it } from 'vitest'
import { Refusals } from '../../../src/core/association/refusals.ts'
import { below, seededRandom } from '../../../src/testing/random.ts'

it('refusals are kept until they are known, the lowest first', () => {
  const random = seededRandom(1, 'refusals')
  const refusals = new Refusals()
  let expected: number[] = []
  let [highest, known] = [0, 0]
  for (let step = 0; step < 3_000; step++) {
    if (random() < 0.6) {
      highest += 1 + below(random, 3)
      refusals.add(highest)
      expected.push(highest)
    } else {
      known = Math.max(known, highest - below(random, 40))
      expect(refusals.forgetTo(known)).toBe(expected.some((number) => number <= known))
      expected = expected.filter((number) => number > known)
    }
    expect(refusals.size).toBe(expected.length)
    expect(refusals.first(5)).toEqual(expected.slice(0, 5))
    expect(refusals.at(5)).toBe(expected[5])
  }
})

it('many refusals are forgotten in no time, all at once or one by one', () => {
  const refusals = new Refusals()
  const start = performance.now()
  for (let number = 1; number <= 400_000; number++) refusals.add(number)
  for (let number = 1; number <= 200_000; number++) refusals.forgetTo(number)
  refusals.forgetTo(400_000)
  expect(refusals.size).toBe(0)
  expect(performance.now() - start).toBeLessThan(3_000)
})
