/** Crashes are seen soon by all, and nobody who lives is accused; measured by what is itself tested here. */
import { describe, expect, it } from 'vitest'
import { createCoreNode, percentile, PLAIN_SWIM, simulateDetection } from '../../src/testing/index.ts'
import type { DetectionOptions, DetectionResult } from '../../src/testing/index.ts'
import { planDetection } from '../../src/testing/detection-plan.ts'

const FULL = process.env['GRAINMESH_FULL'] !== undefined
const MINUTE_MS = 60_000
/** Rooms as users have them, or a sample that fits into every test run. */
const SIZE = FULL ? { nodes: 100, ms: 10 * MINUTE_MS } : { nodes: 16, ms: 6 * MINUTE_MS }

const run = (options: Partial<DetectionOptions> = {}): DetectionResult =>
  simulateDetection({ seed: 1, nodes: SIZE.nodes, ms: SIZE.ms, create: createCoreNode, ...options })
describe('detection', () => {
  it('sees every crash everywhere within 4 s (p99), and accuses nobody who lives', () => {
    const { crashes, accusations, problems, nodeHours } = run()
    const times = crashes.map(({ allMs }) => allMs).sort((a, b) => a - b)
    expect(problems).toEqual([])
    expect(times.length).toBeGreaterThan(SIZE.ms / MINUTE_MS / 2)
    expect(percentile(times, 0.99)).toBeLessThanOrEqual(4_000)
    expect(percentile(times, 0)).toBeGreaterThan(500)
    expect(accusations).toEqual([])
    expect(nodeHours).toBeCloseTo((SIZE.nodes * SIZE.ms) / 3_600_000, 0)
  }, 1_800_000)

  it('accuses nobody while the timers of a fifth come once a second', () => {
    const { accusations, problems } = run({ throttledShare: 0.2, throttle: 'timers' })
    expect(problems).toEqual([])
    expect(accusations).toEqual([])
  }, 1_800_000)

  it('counts the accusations of plain SWIM, which are more where members are slow', () => {
    const slow = { throttledShare: 0.2, throttle: 'slow' } as const
    const { accusations, problems } = run({ ...slow, tuning: PLAIN_SWIM })
    expect(problems).toEqual([])
    expect(accusations.length).toBeGreaterThan(run(slow).accusations.length)
    expect(accusations.some(({ throttled }) => throttled)).toBe(true)
    for (const { subject, by } of accusations) expect(subject).not.toBe(by)
  }, 1_800_000)

  it('is the same, byte for byte, when its seed is run again', () => {
    const lines: string[] = []
    const short = { nodes: 12, ms: 2 * MINUTE_MS }
    const first = run(short)
    const again = run({ ...short, trace: (line) => lines.push(line) })
    expect(again).toEqual(first)
    expect(lines.some((line) => line.includes('! crashes'))).toBe(true)
    expect(run({ ...short, seed: 2 }).traceHash).not.toBe(first.traceHash)
  }, 120_000)

  it('tells of crashes that nobody sees', () => {
    const { crashes, problems } = run({
      nodes: 4,
      ms: 2 * MINUTE_MS,
      tuning: { probeIntervalMs: 1e9, probeTimeoutMs: 1e9 },
    })
    expect(crashes.some(({ allMs }) => Number.isNaN(allMs))).toBe(true)
    expect(problems.join()).toMatch(/not seen by all/)
  }, 60_000)
})

describe('the plan of a detection run', () => {
  const plan = (seed: number) => planDetection({ seed, nodes: 50, ms: 60 * MINUTE_MS, throttledShare: 0.2 })

  it('depends on the seed alone', () => {
    expect(plan(1)).toEqual(plan(1))
    expect(plan(1)).not.toEqual(plan(2))
  })

  it('crashes only who is there, keeps the size, and throttles a fifth', () => {
    const { actions, throttled } = plan(3)
    const present = new Set(Array.from({ length: 50 }, (_, slot) => slot))
    for (const action of [...actions].sort((a, b) => a.at - b.at)) {
      expect(present.has(action.slot)).toBe(action.type === 'crash')
      if (action.type === 'crash') present.delete(action.slot)
      else present.add(action.slot)
      expect(present.size).toBeGreaterThan(42)
      expect(present.size).toBeLessThanOrEqual(50)
    }
    expect(present.size).toBe(50)
    const crashes = actions.filter(({ type }) => type === 'crash')
    expect(crashes.length).toBeGreaterThan(90)
    const silent = crashes.filter((action) => action.type === 'crash' && action.silent).length
    expect(silent / crashes.length).toBeGreaterThan(0.5)
    expect(silent / crashes.length).toBeLessThan(0.85)
    expect(throttled.size / (50 + crashes.length)).toBeCloseTo(0.2, 1)
  })
})
