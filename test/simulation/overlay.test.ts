/** Large rooms, in small: a formed cluster and each of its troubles, a crowd, and nodes that break what is checked. */
import { describe, expect, it } from 'vitest'
import { createCoreNode, simulateOverlay } from '../../src/testing/index.ts'
import type { NodeFactory, OverlayKind, OverlayResult } from '../../src/testing/index.ts'

const FULL = process.env['GRAINMESH_FULL'] !== undefined
const NODES = FULL ? 200 : 60

const run = (
  seed: number,
  kind: OverlayKind = 'cluster',
  create: NodeFactory = createCoreNode,
): OverlayResult => simulateOverlay({ seed, nodes: NODES, kind, create })

describe('a formed cluster', () => {
  it.each([
    [4, 'losing 30% of the members at once'],
    [5, 'losing 60% of the members at once'],
    [6, 'a partition into halves for 20 s'],
    [7, 'a small storm of 10 s'],
  ])(
    'of seed %i stays one component through %s',
    (seed, trouble) => {
      const result = run(seed)
      expect(result.violations).toEqual([])
      expect(result.trouble).toBe(trouble)
      expect(result.measured.agreedMs).toBeLessThan(30_000)
    },
    120_000,
  )

  it('is quiet and quick, and nobody in it has more links than it may', () => {
    const { measured } = run(4)
    expect(measured.idle.bytes).toBeGreaterThan(10)
    expect(measured.idle.bytes).toBeLessThan(1_000)
    expect(measured.shape.meanLinks).toBeGreaterThan(4)
    expect(measured.shape.maxLinks).toBeLessThanOrEqual(10)
    expect(measured.spreads).toHaveLength(3)
    for (const { p50Ms, p99Ms, maxMs, bestMs } of measured.spreads) {
      expect(p50Ms).toBeGreaterThan(10)
      expect(p99Ms).toBeLessThanOrEqual(maxMs)
      expect(p99Ms).toBeLessThan(3 * bestMs)
    }
    // It was formed, not joined: each pair made its link once.
    expect(measured.forming.perMember).toBeLessThan(9)
  }, 60_000)

  it('is the same, byte for byte, when its seed is run again', () => {
    expect(run(4).traceHash).toBe(run(4).traceHash)
    expect(run(4).traceHash).not.toBe(run(8).traceHash)
  }, 60_000)
})

describe('a crowd', () => {
  it('is in within seconds, with a bounded load on each', () => {
    const { violations, measured } = run(1, 'join')
    expect(violations).toEqual([])
    expect(measured.formedMs).toBeLessThan(30_000)
    expect(measured.forming.peak.dialled).toBeLessThan(30)
    expect(measured.forming.peak.offered).toBeLessThan(30)
  }, 60_000)
})

describe('the checks', () => {
  it('tell of a change that does not reach all, and of views that stay different', () => {
    let made = 0
    const create: NodeFactory = (seed) => {
      const node = createCoreNode(seed)
      if (++made !== 7) return node
      const { handle } = node
      // Deaf once it is linked: it hears hellos and pings, and no news.
      node.handle = (input, now) =>
        input.type === 'link-message' && now.mono > 16_000 ? [] : handle.call(node, input, now)
      return node
    }
    const found = run(4, 'cluster', create).violations.map(({ invariant }) => invariant)
    expect(found).toContain('a change reaches all')
    expect(found).toContain('O1 one component, equal views')
  }, 60_000)
})
