/** Grains of the real core amid the simulator's faults. `npm run sim -- --grains available` runs more of it. */
import { describe, expect, it } from 'vitest'
import { coreOf, createCoreNode } from '../../src/testing/core-node.ts'
import type { ActionKind } from '../../src/testing/faults.ts'
import { drawFaults, onlyFaults } from '../../src/testing/faults.ts'
import type { GrainMode } from '../../src/testing/grain-load.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { simulate } from '../../src/testing/simulation.ts'

/** So many calls are acknowledged at least: where half of the room is lost twice in 20 s there are not many. */
const SOME = 15

const storm = { nodes: 12, create: createCoreNode, stormMs: 20_000, idleMs: 0, calmMs: 0 } as const

function expectKept(seed: number, grains: GrainMode, only: readonly ActionKind[] = []): number {
  const faults =
    only.length > 0 ? { faults: onlyFaults(drawFaults(seededRandom(seed, 'weather')), only) } : {}
  const { violations, grains: counts } = simulate({ ...storm, ...faults, seed, grains })
  expect(violations, `seed ${seed}`).toEqual([])
  return counts!.done
}

describe('what was acknowledged is there, once, amid', () => {
  const kinds: ActionKind[][] = [
    ['crash'],
    ['window-crash'],
    ['mass-crash', 'mass-join'],
    ['leave', 'join'],
    ['reload'],
    ['reload-storm'],
    ['freeze'],
    ['sleep'],
    ['wall-step', 'clock-jump'],
    ['throttle', 'slow'],
    ['throttle-minute'],
    ['cut', 'blackhole', 'flap'],
    ['outage'],
  ]
  it.each(kinds.map((only, i) => [only.join(' and '), only, i + 1] as const))('%s', (_, only, seed) => {
    expect(expectKept(seed, 'available', only)).toBeGreaterThan(SOME)
  })

  it('all of them', () => {
    expect(expectKept(1, 'available')).toBeGreaterThan(SOME)
  })

  it('all of them and partitions, where a majority decides', () => {
    expect(expectKept(2, 'majority', ['partition', 'crash'])).toBeGreaterThan(SOME)
  })
})

describe('after partitions', () => {
  it.each([3, 7])(
    'what either side has acknowledged is there, once (seed %i)',
    (seed) => {
      expect(expectKept(seed, 'parted', ['partition'])).toBeGreaterThan(SOME)
    },
    90_000,
  )

  it('it is noticed where that is not so', () => {
    const create = (...options: Parameters<typeof createCoreNode>): ReturnType<typeof createCoreNode> => {
      const node = createCoreNode(...options)
      coreOf(node)!.grains.holdings.strays.keep = () => undefined
      return node
    }
    const faults = onlyFaults(drawFaults(seededRandom(3, 'weather')), ['partition'])
    const { violations } = simulate({ ...storm, create, faults, seed: 3, grains: 'parted' })
    expect(violations.map(({ invariant }) => invariant)).toContain('G5 what was acknowledged is there')
  }, 90_000)
})
