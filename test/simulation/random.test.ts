import { describe, expect, it } from 'vitest'
import { below, exponential, pick, sample, seededRandom, weighted } from '../../src/testing/random.ts'

const draw = (count: number, ...labels: (string | number)[]): number[] => {
  const random = seededRandom(7, ...labels)
  return Array.from({ length: count }, random)
}

describe('seededRandom', () => {
  it('gives the same numbers for the same seed and labels, and others for others', () => {
    expect(draw(20, 'a', 1)).toEqual(draw(20, 'a', 1))
    expect(draw(20, 'a', 1)).not.toEqual(draw(20, 'a', 2))
    expect(draw(20, 'a', 1)).not.toEqual(draw(20, 'b', 1))
    expect(seededRandom(1)()).not.toBe(seededRandom(2)())
    expect(seededRandom(1)()).not.toBe(seededRandom(1 + 2 ** 32)())
  })

  it('keeps giving these numbers, so that a seed in a bug report stays good', () => {
    const random = seededRandom(42, 'pinned')
    expect([random(), random(), random()].map((n) => Math.floor(n * 2 ** 32))).toMatchInlineSnapshot(`
      [
        1537472170,
        2533831223,
        1205170137,
      ]
    `)
  })

  it('is uniform, as far as a chi-squared test over 100 cells tells', () => {
    const counts = Array.from({ length: 100 }, () => 0)
    const random = seededRandom(3, 'uniform')
    for (let i = 0; i < 100_000; i++) counts[Math.floor(random() * 100)]!++
    const chi = counts.reduce((sum, count) => sum + (count - 1_000) ** 2 / 1_000, 0)
    // 99 degrees of freedom: 0.1% of fair generators lie above 148.2, 0.1% below 61.1
    expect(chi).toBeLessThan(148.2)
    expect(chi).toBeGreaterThan(61.1)
  })

  it('gives unrelated first numbers for neighbouring seeds', () => {
    const firsts = Array.from({ length: 1_000 }, (_, seed) => seededRandom(seed, 'x')())
    const mean = firsts.reduce((a, b) => a + b) / firsts.length
    expect(Math.abs(mean - 0.5)).toBeLessThan(0.04)
    expect(new Set(firsts.map((n) => Math.floor(n * 1_000))).size).toBeGreaterThan(550)
  })
})

describe('drawing', () => {
  it('samples different items, and all of them when asked for more', () => {
    const random = seededRandom(1, 'sample')
    for (let i = 0; i < 200; i++) {
      const taken = sample(random, [1, 2, 3, 4, 5], 3)
      expect(new Set(taken).size).toBe(3)
    }
    expect(sample(random, [1, 2, 3], 9).sort()).toEqual([1, 2, 3])
    expect(sample(random, [], 2)).toEqual([])
  })

  it('picks by weight, and never what weighs nothing', () => {
    const random = seededRandom(1, 'weights')
    const counts = { a: 0, b: 0, never: 0 }
    for (let i = 0; i < 4_000; i++) counts[weighted(random, { a: 3, b: 1, never: 0 })]++
    expect(counts.never).toBe(0)
    expect(counts.a / counts.b).toBeGreaterThan(2.5)
    expect(counts.a / counts.b).toBeLessThan(3.5)
    expect(() => weighted(random, { a: 0 })).toThrow(RangeError)
    expect(() => pick(random, [])).toThrow(RangeError)
  })

  it('draws pauses with the mean it was given', () => {
    const random = seededRandom(1, 'pauses')
    let sum = 0
    for (let i = 0; i < 20_000; i++) sum += exponential(random, 250)
    expect(sum / 20_000).toBeGreaterThan(240)
    expect(sum / 20_000).toBeLessThan(260)
    expect(below(random, 1)).toBe(0)
  })
})
