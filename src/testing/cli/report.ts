/** Turns the outcomes of all seeds into what people read. */
import { percentile } from '../measures.ts'
import type { PhaseName, PhaseTraffic } from '../measures.ts'
import { duration } from './format.ts'
import { replayCommand } from './options.ts'
import type { StormOptions } from './options.ts'
import type { SeedOutcome } from './run-seed.ts'

const FAILING_SHOWN = 20

export function report(options: StormOptions, outcomes: readonly SeedOutcome[], tookMs: number): string {
  const sections = [
    headline(options, outcomes, tookMs),
    timesSection(outcomes),
    accusationLine(outcomes),
    ...(options.grains ? [grainLine(outcomes)] : []),
    trafficSection(outcomes),
    options.model === 'scalar' ? divergenceSection(options, outcomes) : violationSection(options, outcomes),
  ]
  return `${sections.join('\n\n')}\n`
}

/** A line about one seed with violations, printed as soon as it is known. */
export function violationLines(options: StormOptions, outcome: SeedOutcome): string {
  const lines = outcome.violations.slice(0, 3).map(({ invariant, time, node, what }) => {
    return `  ${(time / 1_000).toFixed(3)} s ${node}: ${invariant}: ${what}`
  })
  const more = outcome.violations.length - lines.length
  if (more > 0) lines.push(`  and ${more} more`)
  return [
    `seed ${outcome.seed}: ${outcome.violations.length} violation(s)`,
    ...lines,
    `  replay: ${replayCommand(options, outcome.seed)}`,
  ].join('\n')
}

function headline(
  { model, nodes, maxLinks }: StormOptions,
  outcomes: readonly SeedOutcome[],
  tookMs: number,
): string {
  const what = model === 'core' ? 'the core' : 'the scalar model'
  const one = outcomes.length === 1 ? `, trace ${outcomes[0]!.traceHash}` : ''
  return `${what}: ${outcomes.length} seed(s) of ${nodes} nodes, at most ${maxLinks} links each, in ${(tookMs / 1_000).toFixed(1)} s${one}`
}

function timesSection(outcomes: readonly SeedOutcome[]): string {
  const row = (name: string, values: readonly number[]): string => {
    const sorted = [...values].sort((a, b) => a - b)
    const cell = (share: number) => duration(percentile(sorted, share)).padStart(9)
    return `  ${name.padEnd(46)}${cell(0.5)}${cell(0.99)}${cell(1)}${String(values.length).padStart(9)}`
  }
  const all = (read: (outcome: SeedOutcome) => readonly number[]) => outcomes.flatMap(read)
  return [
    `time${' '.repeat(47)}p50      p99      max    count`,
    row(
      'change until confirmed at all, calm',
      all(({ measured }) => measured.confirmedCalmMs),
    ),
    row(
      'change until held by all, calm',
      all(({ measured }) => measured.seenCalmMs),
    ),
    row(
      'change until confirmed at all, amid faults',
      all(({ measured }) => measured.confirmedStormMs),
    ),
    row(
      'crash until shown by all, amid faults',
      all(({ measured }) =>
        measured.detected.crashes.map(({ allMs }) => allMs).filter((ms) => !Number.isNaN(ms)),
      ),
    ),
    row(
      'last arrival until all are up and agree',
      all(({ measured }) => [measured.formedMs]),
    ),
    row(
      'healing until all agree, removals included',
      all(({ measured }) => [measured.healedMs]),
    ),
  ].join('\n')
}

/** Not all of them are wrong: whoever is cut off is rightly called unreachable by the others. */
function accusationLine(outcomes: readonly SeedOutcome[]): string {
  const detected = outcomes.map(({ measured }) => measured.detected)
  const accused = detected.reduce((count, { accusations }) => count + accusations.length, 0)
  const hours = detected.reduce((sum, { nodeHours }) => sum + nodeHours, 0)
  const perHour = (accused / hours).toFixed(1)
  return `shown as unreachable though they ran, partitions included: ${accused} in ${hours.toFixed(1)} node-hours, ${perHour} per hour`
}

function trafficSection(outcomes: readonly SeedOutcome[]): string {
  const row = (name: string, phase: PhaseName): string => {
    const { messages, bytes, nodeSeconds, endSeconds } = sum(
      outcomes.map(({ measured }) => measured.phases[phase]),
    )
    const cells = [messages / nodeSeconds, bytes / nodeSeconds, bytes / endSeconds, endSeconds / nodeSeconds]
    return `  ${name.padEnd(30)}${cells.map((cell) => (Number.isNaN(cell) ? '-' : cell.toFixed(1)).padStart(16)).join('')}`
  }
  const heads = ['messages/node/s', 'bytes/node/s', 'bytes/link/s', 'links/node']
  return [
    `${'traffic sent'.padEnd(32)}${heads.map((head) => head.padStart(16)).join('')}`,
    row('idle', 'idle'),
    row('under churn, no faults', 'calm'),
    row('under churn and faults', 'storm'),
  ].join('\n')
}

function grainLine(outcomes: readonly SeedOutcome[]): string {
  const all = outcomes.flatMap(({ grains }) => grains ?? [])
  const total = (of: (counts: (typeof all)[number]) => number): number =>
    all.reduce((count, counts) => count + of(counts), 0)
  const codes = new Map<string, number>()
  for (const { failed } of all)
    for (const [code, count] of Object.entries(failed)) codes.set(code, (codes.get(code) ?? 0) + count)
  const failures = [...codes].map(([code, count]) => `${count} ${code}`).join(', ') || 'none failed'
  const [called, done, lost] = [total((c) => c.called), total((c) => c.done), total((c) => c.lost)]
  return `calls of grains: ${called}, of which ${done} acknowledged; ${failures}; logs lost with all that held them: ${lost}`
}

function violationSection(options: StormOptions, outcomes: readonly SeedOutcome[]): string {
  const failing = outcomes.filter(({ violations }) => violations.length > 0)
  if (failing.length === 0) return 'violations: none; all views were equal after every healing'
  const shown = failing.slice(0, FAILING_SHOWN).map((outcome) => violationLines(options, outcome))
  const more = failing.length - shown.length
  if (more > 0) shown.push(`and ${more} more failing seeds`)
  return [`violations: in ${failing.length} of ${outcomes.length} seeds`, ...shown].join('\n')
}

function divergenceSection(options: StormOptions, outcomes: readonly SeedOutcome[]): string {
  const differing = outcomes.filter((outcome) => outcome.divergence?.tablesDiffer)
  const stuck = outcomes.filter((outcome) => outcome.divergence?.withEqualVersions)
  const share = (part: readonly unknown[]) => `${part.length} of ${outcomes.length}`
  const example = stuck[0] ?? differing[0]
  return [
    `divergence after healing: tables differ in ${share(differing)} seeds,`,
    `  with equal versions on different tables, so that no exchange can ever repair it, in ${share(stuck)}`,
    ...(example ? [`  example: ${replayCommand(options, example.seed)}`] : []),
  ].join('\n')
}

function sum(parts: readonly PhaseTraffic[]): PhaseTraffic {
  const total = { messages: 0, bytes: 0, nodeSeconds: 0, endSeconds: 0 }
  for (const part of parts) {
    total.messages += part.messages
    total.bytes += part.bytes
    total.nodeSeconds += part.nodeSeconds
    total.endSeconds += part.endSeconds
  }
  return total
}
