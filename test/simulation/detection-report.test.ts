/** The report of a detection run, made from outcomes that are made up: what it says must follow from them. */
import { describe, expect, it } from 'vitest'
import { detectionReport, isFine, oddLines } from '../../src/testing/cli/detection-report.ts'
import { parseSimOptions } from '../../src/testing/cli/options.ts'
import type { DetectionSimOptions } from '../../src/testing/cli/options.ts'
import type { DetectionOutcome } from '../../src/testing/cli/run-seed.ts'

const options = (line = ''): DetectionSimOptions => {
  const parsed = parseSimOptions(['--scenario', 'detection', ...line.split(' ').filter(Boolean)], 2)
  if (parsed.kind !== 'run' || parsed.options.scenario !== 'detection') throw new Error('not a detection run')
  return parsed.options
}

const outcome = (patch: Partial<DetectionOutcome> = {}): DetectionOutcome => ({
  seed: 1,
  model: 'core',
  crashes: [
    { silent: true, firstMs: 1_000, allMs: 2_000 },
    { silent: false, firstMs: 500, allMs: 900 },
  ],
  accusations: [],
  nodeHours: 100,
  isolations: 0,
  rebirths: 0,
  problems: [],
  traceHash: 'abc',
  tookMs: 50_000,
  ...patch,
})

const accusation = {
  time: 12_345,
  subject: 'n3',
  by: 'n7',
  incarnation: 2,
  status: 'unreachable',
  throttled: true,
} as const
const swim = outcome({ model: 'plain-swim', accusations: Array.from({ length: 50 }, () => accusation) })

describe('the report of a detection run', () => {
  it('has the core and plain SWIM side by side', () => {
    const text = detectionReport(options(), [outcome(), swim], 1_000)
    expect(text).toMatch(/core +plain SWIM/)
    expect(text).toMatch(/every other live member shows it, max +2000 ms +2000 ms/)
    expect(text).toMatch(/links closed at once, max +900 ms +900 ms/)
    expect(text).toMatch(/false unreachable +0 +50/)
    expect(text).toMatch(/per node-hour +0\.0000 +0\.5000/)
    expect(text).toMatch(/upper 95% bound +0\.0300 +0\.6329/)
    expect(text).toMatch(/thread seconds per node-hour.* 0\.50 +0\.50/)
  })

  it('names who was accused by whom, with the command that shows it again', () => {
    const text = detectionReport(
      options('--throttled 0.2'),
      [outcome({ accusations: [accusation] }), swim],
      0,
    )
    expect(text).toContain('12.345 s: n7 shows n3 as unreachable (incarnation 2)')
    expect(text).toContain(
      'npm run sim -- --scenario detection --nodes 100 --seed 1 --hours 0.5 --throttled 0.2',
    )
  })

  it('is fine within the limits alone', () => {
    expect(isFine(options(), [outcome()])).toBe(true)
    expect(isFine(options('--max-false 0.03 --max-p99 2000'), [outcome()])).toBe(true)
    expect(isFine(options('--max-false 0.0299'), [outcome()])).toBe(false)
    expect(isFine(options('--max-p99 1999'), [outcome()])).toBe(false)
    expect(detectionReport(options('--max-p99 1999'), [outcome()], 0)).toMatch(/limit 1999: EXCEEDED/)
    expect(isFine(options('--max-false 0.03'), [outcome(), swim])).toBe(true)
  })

  it('is not fine where a room had trouble', () => {
    const broken = outcome({ problems: ['the room did not form within 90 s'] })
    expect(isFine(options(), [broken])).toBe(false)
    expect(oddLines(options(), broken)).toMatch(/did not form[^]*--seed 1/)
    expect(oddLines(options(), outcome())).toBe('')
  })
})
