/** The registry's laws. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Counter, Histogram, Registry } from '../../../src/core/metrics/registry.ts'

const anyNumber = fc.oneof(fc.double(), fc.integer(), fc.constantFrom(0, -0, Infinity, -Infinity, Number.NaN))
const bounds = fc
  .uniqueArray(fc.double({ noNaN: true, min: -1e6, max: 1e6 }), { maxLength: 12 })
  .map((list) => [...new Set(list.map((bound) => bound + 0))].sort((a, b) => a - b))

describe('a counter', () => {
  it('never falls, whatever is added, and adds what is a positive number', () => {
    fc.assert(
      fc.property(fc.array(anyNumber), (amounts) => {
        const counter = new Counter()
        let sum = 0
        for (const amount of amounts) {
          const before = counter.value
          counter.add(amount)
          expect(counter.value).toBeGreaterThanOrEqual(before)
          if (amount > 0 && amount < Infinity) sum += amount
        }
        expect(counter.value).toBe(sum)
      }),
    )
  })

  it('adds one where nothing is said', () => {
    const counter = new Counter()
    counter.add()
    counter.add()
    expect(counter.value).toBe(2)
  })
})

describe('a histogram', () => {
  it('counts each finite number in every bucket that holds it', () => {
    fc.assert(
      fc.property(bounds, fc.array(anyNumber), (les, values) => {
        const histogram = new Histogram(les)
        for (const value of values) histogram.observe(value)
        const finite = values.filter(Number.isFinite)
        expect(histogram.sample({})).toEqual({
          labels: {},
          count: finite.length,
          sum: finite.reduce((sum, value) => sum + value, 0),
          buckets: les.map((le) => ({ le, count: finite.filter((value) => value <= le).length })),
        })
      }),
    )
  })

  it.each([[[1, 1]], [[2, 1]], [[1, Infinity]], [[Number.NaN]]])('has no bounds like %j', (list) => {
    expect(() => new Histogram(list)).toThrow('bounds must be finite and ascending')
  })
})

describe('a registry', () => {
  const filled = (): Registry => {
    const registry = new Registry()
    registry.counter('a_total', 'A.').add(3)
    registry.counters('b_total', 'B.', 'kind', ['x', 'y']).y.add()
    registry.counterOf('c_total', 'C.', () => 7)
    registry.gauge('d', 'D.', () => 0.5)
    registry.gauges('e', 'E.', 'kind', ['x', 'y'], (kind) => (kind === 'x' ? undefined : 2))
    registry.histogram('f_seconds', 'F.', [1, 2]).observe(1)
    registry.histograms('g_bytes', 'G.', [10], 'kind', ['x', 'y']).x.observe(99)
    return registry
  }

  it('gives every family in the order in which they were made, those without a count as well', () => {
    expect(filled().families()).toEqual([
      { name: 'a_total', help: 'A.', type: 'counter', samples: [{ labels: {}, value: 3 }] },
      {
        name: 'b_total',
        help: 'B.',
        type: 'counter',
        samples: [
          { labels: { kind: 'x' }, value: 0 },
          { labels: { kind: 'y' }, value: 1 },
        ],
      },
      { name: 'c_total', help: 'C.', type: 'counter', samples: [{ labels: {}, value: 7 }] },
      { name: 'd', help: 'D.', type: 'gauge', samples: [{ labels: {}, value: 0.5 }] },
      { name: 'e', help: 'E.', type: 'gauge', samples: [{ labels: { kind: 'y' }, value: 2 }] },
      {
        name: 'f_seconds',
        help: 'F.',
        type: 'histogram',
        samples: [
          {
            labels: {},
            count: 1,
            sum: 1,
            buckets: [
              { le: 1, count: 1 },
              { le: 2, count: 1 },
            ],
          },
        ],
      },
      {
        name: 'g_bytes',
        help: 'G.',
        type: 'histogram',
        samples: [
          { labels: { kind: 'x' }, count: 1, sum: 99, buckets: [{ le: 10, count: 0 }] },
          { labels: { kind: 'y' }, count: 0, sum: 0, buckets: [{ le: 10, count: 0 }] },
        ],
      },
    ])
  })

  it('gives what cannot be written to, does not change any more, and is JSON', () => {
    const registry = new Registry()
    const counter = registry.counter('a_total', 'A.')
    const histogram = registry.histogram('b', 'B.', [1])
    const before = registry.families()
    const copy = JSON.stringify(before)
    counter.add()
    histogram.observe(1)
    expect(JSON.stringify(before)).toBe(copy)
    expect(JSON.parse(copy)).toEqual(before)
    expect(JSON.stringify(registry.families())).not.toBe(copy)
    const parts = [before as unknown]
    for (const part of parts) {
      expect(Object.isFrozen(part)).toBe(true)
      if (typeof part === 'object') parts.push(...Object.values(part as object))
    }
    expect(parts.length).toBeGreaterThan(15)
  })

  it('reads a gauge only when it is read itself', () => {
    let reads = 0
    const registry = new Registry()
    registry.gauge('a', 'A.', () => ++reads)
    expect(reads).toBe(0)
    registry.families()
    expect(reads).toBe(1)
  })

  it('has each name once', () => {
    const registry = filled()
    expect(() => registry.gauge('a_total', 'A.', () => 1)).toThrow('two metrics of the name a_total')
  })
})
