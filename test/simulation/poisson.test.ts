import { describe, expect, it } from 'vitest'
import { poissonUpperBound } from '../../src/testing/poisson.ts'

describe('the upper bound of a Poisson count', () => {
  // Half of the chi-square quantiles with 2(k + 1) degrees of freedom, from the tables.
  it.each([
    [0, 2.9957],
    [1, 4.7439],
    [2, 6.2958],
    [5, 10.513],
    [10, 16.9622],
    [50, 63.287],
    [100, 118.079],
  ])('of %i events is %f', (count, bound) => {
    expect(poissonUpperBound(count)).toBeCloseTo(bound, 2)
  })

  it('grows with the confidence, and holds for many events', () => {
    expect(poissonUpperBound(0, 0.99)).toBeCloseTo(-Math.log(0.01), 6)
    const many = poissonUpperBound(100_000)
    expect(many).toBeGreaterThan(100_000 + 1.6 * Math.sqrt(100_000))
    expect(many).toBeLessThan(100_000 + 1.7 * Math.sqrt(100_000))
  })
})
