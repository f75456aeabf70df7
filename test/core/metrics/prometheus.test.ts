/** The text format, held against a parser of its own. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { MetricFamily } from '../../../src/api.ts'
import { prometheusComment, prometheusText } from '../../../src/core/metrics/prometheus.ts'
import { Registry } from '../../../src/core/metrics/registry.ts'
import { parseExposition } from './exposition.ts'

describe('the text format', () => {
  it('is what the specification shows', () => {
    const registry = new Registry()
    registry.counter('a_total', 'Back\\slash\nand line.').add(3)
    registry.gauges('b', 'B.', 'path', ['C:\\dir\n"x"'], () => 0.25)
    const seconds = registry.histograms('c_seconds', 'C.', [0.5, 1], 'kind', ['x'])
    for (const value of [0.25, 0.75, 8]) seconds.x.observe(value)
    expect(prometheusText(registry.families())).toBe(
      [
        String.raw`# HELP a_total Back\\slash\nand line.`,
        '# TYPE a_total counter',
        'a_total 3',
        '# HELP b B.',
        '# TYPE b gauge',
        String.raw`b{path="C:\\dir\n\"x\""} 0.25`,
        '# HELP c_seconds C.',
        '# TYPE c_seconds histogram',
        'c_seconds_bucket{kind="x",le="0.5"} 1',
        'c_seconds_bucket{kind="x",le="1"} 2',
        'c_seconds_bucket{kind="x",le="+Inf"} 3',
        'c_seconds_sum{kind="x"} 9',
        'c_seconds_count{kind="x"} 3',
        '',
      ].join('\n'),
    )
  })

  it('carries every family, whatever is in its help, its labels and its values', () => {
    const value = fc.oneof(fc.double({ noNaN: true }), fc.nat()).map((number) => number + 0)
    const finite = fc.double({ noNaN: true, noDefaultInfinity: true }).map((number) => number + 0)
    // a carriage return or another line end of Unicode is a character like any other
    const text = fc.string({
      unit: fc.constantFrom('\\', '"', '\n', '\r', '\u2028', ' ', 'n', '{', '}', ',', 'é'),
    })
    const labels = fc.oneof(
      fc.constant({}),
      text.map((kind) => ({ kind })),
    )
    const numbers = fc.record({
      help: text,
      type: fc.constantFrom('counter', 'gauge'),
      samples: fc.array(fc.record({ labels, value })),
    })
    const bucket = fc.record({ le: finite, count: fc.nat() })
    const histograms = fc.record({
      help: text,
      type: fc.constant('histogram'),
      samples: fc.array(fc.record({ labels, count: fc.nat(), sum: value, buckets: fc.array(bucket) })),
    })
    fc.assert(
      fc.property(fc.array(fc.oneof(numbers, histograms), { maxLength: 4 }), (given) => {
        const families = given.map((family, i) => ({ name: `name_${i}`, ...family })) as MetricFamily[]
        expect(parseExposition(prometheusText(families))).toEqual(families)
      }),
    )
  })

  it('keeps a comment in one line', () => {
    expect(prometheusComment('one\ntwo\r\nthree')).toBe('# one two three\n')
  })
})

describe('the parser of the tests', () => {
  it.each([
    ['a 1\n', 'no family begins'],
    ['# HELP a A.\n# TYPE b counter\n', 'no family begins'],
    ['# HELP a A.\n# TYPE a counter\na 1', 'the last line does not end'],
    ['# HELP a A.\n# TYPE a counter\nb 1\n', 'b among a'],
    ['# HELP a A.\n# TYPE a counter\na one\n', 'not a sample'],
    ['# HELP a A.\n# TYPE a counter\na{b=c} 1\n', 'not labels'],
    ['# HELP a A.\n# TYPE a counter\na{b="\\t"} 1\n', 'not an escape'],
    ['# HELP a A\\.\n# TYPE a counter\n', 'not an escape'],
    ['# HELP a A.\n# TYPE a histogram\na_bucket{le="1"} 1\na_sum 1\na_count 1\n', 'lacks its last bucket'],
    ['# HELP a A.\n# TYPE a histogram\na_bucket{le="+Inf"} 1\na_count 1\n', 'lacks its sum'],
    ['# HELP a A.\n# TYPE a gauge\n# HELP a A.\n# TYPE a gauge\n', 'two groups'],
  ])('refuses %j', (text, problem) => {
    expect(() => parseExposition(text)).toThrow(problem)
  })
})
