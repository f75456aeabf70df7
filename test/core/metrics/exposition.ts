/** Reads Prometheus' text format back, strictly, by its specification: what it does not allow is an error. */
import type { HistogramSample, MetricFamily, MetricLabels, MetricSample } from '../../../src/api.ts'

interface Line {
  readonly name: string
  readonly labels: MetricLabels
  readonly value: number
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/
const VALUE = /^(?:[+-]?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|Inf)|NaN)$/

export function parseExposition(text: string): MetricFamily[] {
  if (text !== '' && !text.endsWith('\n')) throw new Error('the last line does not end')
  const families: MetricFamily[] = []
  let rest = text.split('\n').slice(0, -1)
  while (rest.length > 0) {
    const help = /^# HELP (\S+) (.*)$/s.exec(rest[0]!)
    const type = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(rest[1] ?? '')
    if (!help || !type || help[1] !== type[1])
      throw new Error(`no family begins at: ${rest.slice(0, 2).join(' | ')}`)
    const next = rest.findIndex((line, i) => i > 1 && line.startsWith('#'))
    const lines = rest.slice(2, next < 0 ? undefined : next).map(parseLine)
    families.push(familyOf(help[1]!, unescape(help[2]!, ''), type[2]!, lines))
    rest = next < 0 ? [] : rest.slice(next)
  }
  const names = families.map(({ name }) => name)
  if (new Set(names).size < names.length) throw new Error('a name has two groups')
  return families
}

function familyOf(name: string, help: string, type: string, lines: readonly Line[]): MetricFamily {
  if (!NAME.test(name)) throw new Error(`not a name: ${name}`)
  if (type === 'histogram') return { name, help, type, samples: histogramsOf(name, lines) }
  for (const line of lines) if (line.name !== name) throw new Error(`${line.name} among ${name}`)
  const samples = lines.map(({ labels, value }): MetricSample => ({ labels, value }))
  return { name, help, type: type as 'counter' | 'gauge', samples }
}

/** Buckets in ascending order, the last one `+Inf`, then sum and count. */
function histogramsOf(name: string, lines: readonly Line[]): HistogramSample[] {
  const samples: HistogramSample[] = []
  let buckets: { le: number; count: number }[] = []
  let sum: number | undefined
  for (const line of lines) {
    const { le, ...labels } = line.labels
    if (line.name === `${name}_bucket`) {
      buckets.push({ le: le === '+Inf' ? Infinity : Number(le), count: line.value })
    } else if (line.name === `${name}_sum`) {
      sum = line.value
    } else if (line.name === `${name}_count`) {
      const all = buckets.pop()
      if (all?.le !== Infinity || all.count !== line.value) throw new Error(`${name} lacks its last bucket`)
      if (sum === undefined) throw new Error(`${name} lacks its sum`)
      samples.push({ labels, count: line.value, sum, buckets })
      buckets = []
      sum = undefined
    } else {
      throw new Error(`${line.name} among ${name}`)
    }
  }
  if (buckets.length > 0) throw new Error(`${name} lacks its count`)
  return samples
}

function parseLine(line: string): Line {
  const [, name, , labelText = '', value] = /^([^\s{]+)(\{(.*)\})? (\S+)$/s.exec(line) ?? []
  if (!name || !NAME.test(name) || !VALUE.test(value!)) throw new Error(`not a sample: ${line}`)
  const labels: Record<string, string> = {}
  let left = labelText
  while (left !== '') {
    const [pair, label, text] = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"(?:,|$)/s.exec(left) ?? []
    if (pair === undefined) throw new Error(`not labels: ${labelText}`)
    labels[label!] = unescape(text!, '"')
    left = left.slice(pair.length)
  }
  return { name, labels, value: Number(value!.replace('Inf', 'Infinity')) }
}

function unescape(text: string, more: string): string {
  return text.replaceAll(/\\(.?)/gs, (_, escaped: string) => {
    if (escaped === 'n') return '\n'
    if (escaped === '\\' || (escaped !== '' && escaped === more)) return escaped
    throw new Error(`not an escape: \\${escaped}`)
  })
}
