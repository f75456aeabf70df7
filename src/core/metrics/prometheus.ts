/** Metrics as text, in version 0.0.4 of Prometheus' exposition format. */
import type { HistogramSample, MetricFamily, MetricLabels } from './registry.ts'

/** Each family with its HELP and TYPE, each sample on a line of its own; ends with a line feed. */
export function prometheusText(families: readonly MetricFamily[]): string {
  return families.map((family) => `${linesOf(family).join('\n')}\n`).join('')
}

/** A line that says something to people only. */
export const prometheusComment = (text: string): string => `# ${text.replaceAll(/[\r\n]+/g, ' ')}\n`

function linesOf(family: MetricFamily): string[] {
  const { name, type } = family
  const help = family.help.replaceAll('\\', String.raw`\\`).replaceAll('\n', String.raw`\n`)
  const samples =
    family.type === 'histogram'
      ? family.samples.flatMap((sample) => histogramLines(name, sample))
      : family.samples.map(({ labels, value }) => line(name, labels, value))
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...samples]
}

function histogramLines(name: string, { labels, count, sum, buckets }: HistogramSample): string[] {
  return [
    ...buckets.map((bucket) => line(`${name}_bucket`, { ...labels, le: String(bucket.le) }, bucket.count)),
    line(`${name}_bucket`, { ...labels, le: '+Inf' }, count),
    line(`${name}_sum`, labels, sum),
    line(`${name}_count`, labels, count),
  ]
}

function line(name: string, labels: MetricLabels, value: number): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escapeLabel(text)}"`)
  return `${name}${pairs.length > 0 ? `{${pairs.join(',')}}` : ''} ${formatValue(value)}`
}

const escapeLabel = (text: string): string =>
  text
    .replaceAll('\\', String.raw`\\`)
    .replaceAll('"', String.raw`\"`)
    .replaceAll('\n', String.raw`\n`)

const formatValue = (value: number): string =>
  value === Infinity ? '+Inf' : value === -Infinity ? '-Inf' : String(value)
