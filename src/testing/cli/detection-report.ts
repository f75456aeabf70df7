/** Turns the outcomes of a detection run into what people read: the core and plain SWIM, side by side. */
import { percentile } from '../measures.ts'
import { poissonUpperBound } from '../poisson.ts'
import { duration } from './format.ts'
import { replayCommand } from './options.ts'
import type { DetectionModel, DetectionSimOptions } from './options.ts'
import type { DetectionOutcome } from './run-seed.ts'

const SHOWN = 8
const LABEL = 48
const COLUMN = 16
const NAMES: Record<DetectionModel, string> = { core: 'core', 'plain-swim': 'plain SWIM' }

/** All seeds of one model, put together. */
interface Column {
  readonly model: DetectionModel
  readonly outcomes: readonly DetectionOutcome[]
  readonly nodeHours: number
}

export function detectionReport(
  options: DetectionSimOptions,
  outcomes: readonly DetectionOutcome[],
  tookMs: number,
): string {
  const columns = options.models.map((model) => columnOf(model, outcomes))
  const sections = [
    headline(options, outcomes, tookMs),
    table(columns),
    accusations(options, columns[0]!),
    problems(options, outcomes),
    ...limitLines(options, outcomes).map(({ text }) => text),
  ]
  return `${sections.filter((text) => text !== '').join('\n\n')}\n`
}

/** Whether nothing was wrong, and the core kept the limits that were asked for. */
export function isFine(options: DetectionSimOptions, outcomes: readonly DetectionOutcome[]): boolean {
  const isWhole = outcomes.every((outcome) => outcome.problems.length === 0)
  return isWhole && limitLines(options, outcomes).every(({ kept }) => kept)
}

/** Lines about one room in which something was odd, printed as soon as it is known; empty if nothing was. */
export function oddLines(options: DetectionSimOptions, outcome: DetectionOutcome): string {
  if (outcome.problems.length === 0) return ''
  return [
    `seed ${outcome.seed}, ${NAMES[outcome.model]}:`,
    ...outcome.problems.map((problem) => `  ${problem}`),
    `  replay: ${replayCommand(options, outcome.seed, outcome.model)}`,
  ].join('\n')
}

interface LimitLine {
  readonly text: string
  readonly kept: boolean
}

function limitLines(
  { limits, models }: DetectionSimOptions,
  outcomes: readonly DetectionOutcome[],
): LimitLine[] {
  if (!models.includes('core')) return []
  const column = columnOf('core', outcomes)
  const line = (what: string, value: number, limit: number | undefined): LimitLine[] => {
    if (limit === undefined) return []
    const kept = value <= limit
    return [{ kept, text: `${what}: ${rate(value)}, limit ${limit}: ${kept ? 'kept' : 'EXCEEDED'}` }]
  }
  const times = timesOf(column, ({ allMs }) => allMs)
  return [
    ...line('false unreachable per node-hour, upper 95% bound', boundOf(column), limits.falsePerHour),
    ...line('ms until every other live member shows a crash, p99', percentile(times, 0.99), limits.p99Ms),
  ]
}

function columnOf(model: DetectionModel, outcomes: readonly DetectionOutcome[]): Column {
  const own = outcomes.filter((outcome) => outcome.model === model)
  return { model, outcomes: own, nodeHours: total(own, ({ nodeHours }) => nodeHours) }
}

function headline(
  options: DetectionSimOptions,
  outcomes: readonly DetectionOutcome[],
  tookMs: number,
): string {
  const { nodes, maxLinks, seeds, hoursEach, throttledShare, throttle } = options
  const how = throttle === 'slow' ? 'one turn a second' : 'one timer a second'
  const throttled = throttledShare > 0 ? `, ${Math.round(throttledShare * 100)}% throttled to ${how}` : ''
  const one = outcomes.length === 1 ? `, trace ${outcomes[0]!.traceHash}` : ''
  return [
    `detection: ${seeds} room(s) of ${nodes} nodes for ${Math.round(hoursEach * 60)} min each, at most ${maxLinks} links`,
    `each, RTT 100 ms, 1% loss${throttled}; in ${(tookMs / 1_000).toFixed(1)} s${one}`,
  ].join('\n')
}

function table(columns: readonly Column[]): string {
  const row = (label: string, cell: (column: Column) => string): string =>
    `${label.padEnd(LABEL)}${columns.map((column) => cell(column).padStart(COLUMN)).join('')}`
  const count = (read: (outcome: DetectionOutcome) => number) => (column: Column) =>
    String(total(column.outcomes, read))
  return [
    row('', ({ model }) => NAMES[model]),
    row('node-hours', ({ nodeHours }) => nodeHours.toFixed(1)),
    row(
      'crashes',
      count(({ crashes }) => crashes.length),
    ),
    ...shares('until the first other member shows it', columns, row, ({ firstMs }) => firstMs),
    ...shares('until every other live member shows it', columns, row, ({ allMs }) => allMs),
    ...shares('  links closed at once', columns, row, ({ allMs, silent }) => (silent ? undefined : allMs)),
    ...shares('  silent', columns, row, ({ allMs, silent }) => (silent ? allMs : undefined)),
    row(
      'false unreachable',
      count((outcome) => outcome.accusations.length),
    ),
    row(
      '  of throttled members',
      count((outcome) => outcome.accusations.filter((a) => a.throttled).length),
    ),
    row('  per node-hour', (column) => rate(falseCount(column) / column.nodeHours)),
    row('  per node-hour, upper 95% bound', (column) => rate(boundOf(column))),
    row(
      'members that believed to be isolated',
      count(({ isolations }) => isolations),
    ),
    row(
      'members removed though they lived',
      count(({ rebirths }) => rebirths),
    ),
    row('thread seconds per node-hour, forming included', ({ outcomes, nodeHours }) =>
      (total(outcomes, ({ tookMs }) => tookMs) / 1_000 / nodeHours).toFixed(2),
    ),
  ].join('\n')
}

type Crash = DetectionOutcome['crashes'][number]

/** Rows of p50, p99 and the longest. */
function shares(
  label: string,
  columns: readonly Column[],
  row: (label: string, cell: (column: Column) => string) => string,
  read: (crash: Crash) => number | undefined,
): string[] {
  const sorted = new Map(columns.map((column) => [column, timesOf(column, read)]))
  return (
    [
      ['p50', 0.5],
      ['p99', 0.99],
      ['max', 1],
    ] as const
  ).map(([name, share]) =>
    row(`${label}, ${name}`, (column) => duration(percentile(sorted.get(column)!, share))),
  )
}

function timesOf({ outcomes }: Column, read: (crash: Crash) => number | undefined): number[] {
  const times: number[] = []
  for (const { crashes } of outcomes) {
    for (const crash of crashes) {
      const time = read(crash)
      if (time !== undefined && !Number.isNaN(time)) times.push(time)
    }
  }
  return times.sort((a, b) => a - b)
}

function accusations(options: DetectionSimOptions, { model, outcomes }: Column): string {
  const all = outcomes.flatMap((outcome) =>
    outcome.accusations.map((accusation) => ({ ...accusation, outcome })),
  )
  if (all.length === 0) return ''
  const lines = all.slice(0, SHOWN).map(({ time, subject, by, incarnation, status, outcome }) => {
    const command = replayCommand(options, outcome.seed, model)
    return `  ${(time / 1_000).toFixed(3)} s: ${by} shows ${subject} as ${status} (incarnation ${incarnation})\n    ${command}`
  })
  if (all.length > SHOWN) lines.push(`  and ${all.length - SHOWN} more`)
  return [`false accusations, ${NAMES[model]}:`, ...lines].join('\n')
}

function problems(options: DetectionSimOptions, outcomes: readonly DetectionOutcome[]): string {
  const odd = outcomes.map((outcome) => oddLines(options, outcome)).filter((text) => text !== '')
  return odd.length === 0 ? 'every room formed, and every crash was seen by all' : odd.join('\n')
}

const falseCount = ({ outcomes }: Column): number => total(outcomes, ({ accusations: list }) => list.length)
const boundOf = (column: Column): number => poissonUpperBound(falseCount(column)) / column.nodeHours
const total = (outcomes: readonly DetectionOutcome[], read: (outcome: DetectionOutcome) => number): number =>
  outcomes.reduce((sum, outcome) => sum + read(outcome), 0)
const rate = (perHour: number): string => perHour.toFixed(perHour < 1 ? 4 : 2)
