/** Whole runs: the real core under every fault, the same seed twice, and the baseline that diverges. */
import { describe, expect, it } from 'vitest'
import {
  createCoreNode,
  createScalarNode,
  divergence,
  planSchedule,
  simulate,
  DEFAULT_FAULTS,
} from '../../src/testing/index.ts'
import type { NodeFactory, SimulationResult } from '../../src/testing/index.ts'
import { DEFAULT_TUNING } from '../../src/core/tuning.ts'

const FULL = process.env['GRAINMESH_FULL'] !== undefined
const run = (seed: number, nodes: number, create: NodeFactory = createCoreNode): SimulationResult =>
  simulate({ seed, nodes, create })
const seeds = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1)
const failures = (results: readonly SimulationResult[]) =>
  results
    .filter(({ violations }) => violations.length > 0)
    .map(({ seed, violations }) => ({ seed, first: violations[0] }))

describe('the core under faults', () => {
  it.each([
    [2, FULL ? 400 : 30],
    [3, FULL ? 400 : 30],
    [6, FULL ? 200 : 20],
    [20, FULL ? 100 : 20],
    [50, FULL ? 40 : 1],
  ])(
    '%i nodes, %i seeds: no invariant is violated, all agree after healing',
    (nodes, count) => {
      expect(failures(seeds(count).map((seed) => run(seed, nodes)))).toEqual([])
    },
    900_000,
  )

  it('stays whole with few links each', () => {
    const results = seeds(5).map((seed) => simulate({ seed, nodes: 24, create: createCoreNode, maxLinks: 8 }))
    expect(failures(results)).toEqual([])
  }, 300_000)
})

describe('members that cannot have all the links they want', () => {
  it.each([
    ['some have no WebRTC', 12, 0.3, 0],
    ['none has WebRTC', 8, 1, 0],
    ['half of the pairs find no direct connection', 12, 0, 0.5],
    // Two relayed links each make islands of three, which one more has to bridge.
    ['no pair finds a direct connection', 8, 0, 1],
    ['some of both', 20, 0.2, 0.2],
  ])(
    '%s: no invariant is violated, all agree after healing',
    (_, nodes, relayOnlyShare, blockedShare) => {
      const results = seeds(FULL ? 100 : 5).map((seed) =>
        simulate({ seed, nodes, create: createCoreNode, relayOnlyShare, blockedShare }),
      )
      expect(failures(results)).toEqual([])
      const ends = results.flatMap(({ processes }) =>
        processes.flatMap((process) => [...process.ends.values()]),
      )
      expect(ends.filter(({ carrier }) => carrier).length).toBeGreaterThan(results.length)
    },
    300_000,
  )

  it('without a relay they never come together, which the checks notice', () => {
    const create: NodeFactory = (seed) => createCoreNode({ ...seed, canRelay: false })
    expect(failures([simulate({ seed: 1, nodes: 4, create, relayOnlyShare: 1 })])).toHaveLength(1)
  })
})

describe('a run', () => {
  it('is the same, byte for byte, when its seed is run again', () => {
    const lines: string[] = []
    const first = run(5, 12)
    const again = simulate({ seed: 5, nodes: 12, create: createCoreNode, trace: (line) => lines.push(line) })
    expect(again.traceHash).toBe(first.traceHash)
    expect(again.measured).toEqual(first.measured)
    expect(lines.length).toBeGreaterThan(500)
    expect(run(6, 12).traceHash).not.toBe(first.traceHash)
  })

  it('measures what it says: traffic in every phase, and each change once', () => {
    const { measured } = run(3, 8)
    expect(measured.phases.idle.bytes).toBeGreaterThan(0)
    expect(measured.phases.idle.endSeconds / measured.phases.idle.nodeSeconds).toBeCloseTo(7, 1)
    expect(measured.confirmedCalmMs.length).toBeGreaterThan(3)
    expect(measured.confirmedCalmMs.length).toBeLessThanOrEqual(measured.seenCalmMs.length)
    expect(Math.min(...measured.confirmedCalmMs)).toBeGreaterThan(0)
  })

  it('tells of a node that throws, and goes on without it', () => {
    const create: NodeFactory = (seed) => {
      const node = createCoreNode(seed)
      const { handle } = node
      node.handle = (input, now) => {
        if (input.type === 'set-meta') throw new Error('broken on purpose')
        return handle.call(node, input, now)
      }
      return node
    }
    const { violations } = run(1, 6, create)
    expect(violations[0]).toMatchObject({ invariant: 'the node never throws' })
    expect(violations[0]!.what).toContain('broken on purpose')
  })

  it('tells of a node that never comes up, and of one that never sleeps', () => {
    const deaf: NodeFactory = (seed) => {
      const node = createCoreNode(seed)
      node.handle = () => []
      node.nextDeadline = () => undefined
      return node
    }
    const restless: NodeFactory = (seed) => {
      const node = createCoreNode(seed)
      node.nextDeadline = () => 0
      return node
    }
    expect(run(1, 3, deaf).violations[0]).toMatchObject({ invariant: 'every node comes up' })
    expect(run(1, 3, restless).violations[0]!.what).toMatch(/more than 2000 wake-ups in one second/)
  })
})

describe('the plan of a run', () => {
  const plan = (seed: number) =>
    planSchedule({
      seed,
      nodes: 30,
      faults: DEFAULT_FAULTS,
      tuning: DEFAULT_TUNING,
      calmMs: 5_000,
      stormMs: 60_000,
    })

  it('depends on the seed alone', () => {
    expect(plan(1)).toEqual(plan(1))
    expect(plan(1)).not.toEqual(plan(2))
  })

  it('has every kind of action, and no fault that outlasts the storm', () => {
    const actions = seeds(20).flatMap((seed) => plan(seed).storm)
    const kinds = new Set(actions.map(({ type }) => type))
    expect(kinds.size).toBe(17)
    for (const action of actions)
      if ('ms' in action && action.type !== 'wall-step' && action.type !== 'clock-jump')
        expect(action.at + action.ms).toBeLessThanOrEqual(60_000.001)
  })

  it('never empties the room', () => {
    for (const seed of seeds(20)) {
      let present = 30
      for (const action of plan(seed).storm) {
        if (action.type === 'join') present += action.slots.length
        if (action.type === 'crash') present -= action.slots.length
        if (action.type === 'leave') present--
        expect(present).toBeGreaterThanOrEqual(12)
        expect(present).toBeLessThanOrEqual(36)
      }
    }
  })
})

describe('the scalar model', () => {
  it('diverges under most seeds, where the core does not', () => {
    const results = seeds(FULL ? 100 : 24).map((seed) => run(seed, 16, createScalarNode))
    const ends = results.map(({ processes }) => divergence(processes.map(({ node }) => node)))
    const differing = ends.filter(({ tablesDiffer }) => tablesDiffer).length
    expect(differing).toBeGreaterThan(results.length / 2)
    expect(ends.some(({ withEqualVersions }) => withEqualVersions)).toBe(true)
  }, 300_000)

  it('agrees where nothing is concurrent: the baseline is no straw man', () => {
    const quiet = { ...DEFAULT_FAULTS, weights: { ...DEFAULT_FAULTS.weights } }
    const faults = {
      ...quiet,
      latencyMinMs: 0.1,
      latencyMaxMs: 0.2,
      lossRate: 0,
      setupFailRate: 0,
      signalingDropRate: 0,
    }
    const options = { seed: 1, nodes: 2, create: createScalarNode, faults, stormMs: 0 }
    const { processes } = simulate(options)
    expect(divergence(processes.map(({ node }) => node)).tablesDiffer).toBe(false)
  })
})
