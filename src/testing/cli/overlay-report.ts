/** Turns the outcomes of large rooms into what people read. */
import { percentile } from '../measures.ts'
import type { Load, OverlayMeasured, Peak } from '../overlay-measures.ts'
import { duration } from './format.ts'
import { replayCommand } from './options.ts'
import type { OverlaySimOptions } from './options.ts'
import type { OverlayOutcome } from './run-seed.ts'

/** What a change may take, in times of the best possible, and a member at rest may send, in bytes per second. */
const MAX_TIMES_BEST = 3
const MAX_IDLE_BYTES = 1_000
const SHOWN = 20

export function overlayReport(
  options: OverlaySimOptions,
  outcomes: readonly OverlayOutcome[],
  tookMs: number,
): string {
  const clusters = outcomes.filter(({ kind }) => kind === 'cluster')
  const crowds = outcomes.filter(({ kind }) => kind === 'join')
  const sections = [
    `overlay: ${clusters.length} formed cluster(s) and ${crowds.length} crowd(s) of ${options.nodes} nodes, at most ${options.maxLinks} links each, in ${(tookMs / 1_000).toFixed(1)} s`,
    quiet(outcomes),
    spread(outcomes),
    ...(clusters.length > 0 ? [troubles(clusters)] : []),
    loads(clusters, crowds),
    violations(options, outcomes),
  ]
  return `${sections.join('\n\n')}\n`
}

/** Whether no invariant was violated, and the limits were kept. */
export function isKept(outcomes: readonly OverlayOutcome[]): boolean {
  return outcomes.every(
    ({ violations: found, measured }) =>
      found.length === 0 && measured.idle.bytes <= MAX_IDLE_BYTES && timesBest(measured) <= MAX_TIMES_BEST,
  )
}

/** Lines about one room in which something was wrong; empty if nothing was. */
export function overlayTrouble(options: OverlaySimOptions, outcome: OverlayOutcome): string {
  const { seed, kind, violations: found } = outcome
  if (found.length === 0) return ''
  const lines = found.slice(0, 3).map(({ invariant, time, node, what }) => {
    return `  ${(time / 1_000).toFixed(3)} s ${node}: ${invariant}: ${what}`
  })
  return [
    `${kind} ${seed}: ${found.length} violation(s)`,
    ...lines,
    `  replay: ${replayCommand(options, seed, kind)}`,
  ].join('\n')
}

/** The worst of a room's changes: what 99% of the members waited, in times of the best possible. */
const timesBest = ({ spreads }: OverlayMeasured): number =>
  Math.max(0, ...spreads.map(({ p99Ms, bestMs }) => p99Ms / bestMs))

function quiet(outcomes: readonly OverlayOutcome[]): string {
  const all = (read: (measured: OverlayMeasured) => number) => outcomes.map(({ measured }) => read(measured))
  return [
    'at rest, over all rooms                            mean      max',
    row(
      'bytes/node/s sent',
      all(({ idle }) => idle.bytes),
    ),
    row(
      'bytes/s sent by the member that sends most',
      all(({ idle }) => idle.maxBytes),
    ),
    row(
      'messages/node/s sent',
      all(({ idle }) => idle.messages),
    ),
    row(
      'links/node',
      all(({ shape }) => shape.meanLinks),
    ),
    row(
      'links of the member that has most',
      all(({ shape }) => shape.maxLinks),
    ),
    row(
      'longest shortest path, in links',
      all(({ shape }) => shape.hops),
    ),
  ].join('\n')
}

function row(name: string, values: readonly number[]): string {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  return `  ${name.padEnd(44)}${mean.toFixed(1).padStart(9)}${Math.max(...values)
    .toFixed(1)
    .padStart(9)}`
}

function spread(outcomes: readonly OverlayOutcome[]): string {
  const spreads = outcomes.flatMap(({ measured }) => measured.spreads)
  const line = (name: string, values: readonly number[], show: (value: number) => string): string => {
    const sorted = [...values].sort((a, b) => a - b)
    const cells = [0.5, 0.99, 1].map((share) => show(percentile(sorted, share)).padStart(9))
    return `  ${name.padEnd(44)}${cells.join('')}`
  }
  const times = (value: number): string => value.toFixed(2)
  return [
    `a change, ${spreads.length} of them                            p50      p99      max`.padEnd(73),
    line(
      'until half of the members hold it',
      spreads.map(({ p50Ms }) => p50Ms),
      duration,
    ),
    line(
      'until 99% hold it',
      spreads.map(({ p99Ms }) => p99Ms),
      duration,
    ),
    line(
      'until all hold it',
      spreads.map(({ maxMs }) => maxMs),
      duration,
    ),
    line(
      'best possible: longest path x latency',
      spreads.map(({ bestMs }) => bestMs),
      duration,
    ),
    line(
      '99% hold it, in times of the best possible',
      spreads.map(({ p99Ms, bestMs }) => p99Ms / bestMs),
      times,
    ),
    line(
      'messages it costs, for each member',
      spreads.map(({ messages, members }) => messages / members),
      times,
    ),
  ].join('\n')
}

function troubles(clusters: readonly OverlayOutcome[]): string {
  const names = [...new Set(clusters.map(({ trouble }) => trouble))].sort()
  const lines = names.map((name) => {
    const times = clusters
      .filter(({ trouble }) => trouble === name)
      .map(({ measured }) => measured.agreedMs ?? Number.NaN)
      .sort((a, b) => a - b)
    const cells = [percentile(times, 0.5), percentile(times, 0.99), percentile(times, 1)]
    const shown = cells.map((cell) => duration(cell).padStart(9)).join('')
    return `  ${name.padEnd(44)}${shown}${String(times.length).padStart(7)}`
  })
  return ['until one component with equal views, after          p50      p99      max  rooms', ...lines].join(
    '\n',
  )
}

function loads(clusters: readonly OverlayOutcome[], crowds: readonly OverlayOutcome[]): string {
  const head = `${'the most that befell one member in one second'.padEnd(46)}${'trouble'.padStart(10)}${'joining'.padStart(10)}`
  const trouble = clusters.map(({ measured }) => measured.trouble)
  const joining = crowds.map(({ measured }) => measured.forming)
  const cell = (of: readonly Load[], read: (load: Load) => number): string =>
    (of.length === 0 ? '-' : Math.max(...of.map(read)).toFixed(0)).padStart(10)
  const line = (name: string, read: (load: Load) => number): string =>
    `  ${name.padEnd(44)}${cell(trouble, read)}${cell(joining, read)}`
  const peak = (name: string, key: keyof Peak): string => line(name, (load) => load.peak[key])
  const formed = crowds.map(({ measured }) => measured.formedMs)
  return [
    head,
    peak('links it began', 'dialled'),
    peak('links it was offered', 'offered'),
    peak('messages sent', 'sentMessages'),
    peak('messages received', 'receivedMessages'),
    peak('bytes sent', 'sentBytes'),
    peak('bytes received', 'receivedBytes'),
    line('links constructed by a member, in all', (load) => load.perMember),
    ...(formed.length > 0
      ? [`a crowd is in, and all agree, ${duration(Math.max(...formed))} after the last has come, at most`]
      : []),
  ].join('\n')
}

function violations(options: OverlaySimOptions, outcomes: readonly OverlayOutcome[]): string {
  const failing = outcomes.filter(({ violations: found }) => found.length > 0)
  if (failing.length === 0) return 'violations: none'
  const shown = failing.slice(0, SHOWN).map((outcome) => overlayTrouble(options, outcome))
  if (failing.length > SHOWN) shown.push(`and ${failing.length - SHOWN} more failing rooms`)
  return [`violations: in ${failing.length} of ${outcomes.length} rooms`, ...shown].join('\n')
}
