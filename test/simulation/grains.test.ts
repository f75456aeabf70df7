/** Grains of the real core amid the simulator's faults. `npm run sim -- --grains available` runs more of it. */
import { describe, expect, it } from 'vitest'
import type { NodeCore } from '../../src/core/node.ts'
import { coreOf, createCoreNode } from '../../src/testing/core-node.ts'
import type { ActionKind } from '../../src/testing/faults.ts'
import { drawFaults, onlyFaults } from '../../src/testing/faults.ts'
import type { GrainMode } from '../../src/testing/grain-load.ts'
import { seededRandom } from '../../src/testing/random.ts'
import type { NodeFactory } from '../../src/testing/simulated-node.ts'
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

/** Nodes of the real core, spoiled. */
const createWith =
  (spoil: (grains: NodeCore['grains']) => void): NodeFactory =>
  (seed) => {
    const node = createCoreNode(seed)
    spoil(coreOf(node)!.grains)
    return node
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

  it('nothing stands still but what may, where a majority decides and most of the council is lost', () => {
    expect(expectKept(12, 'majority', ['window-crash'])).toBeGreaterThan(SOME)
  }, 90_000)

  it('it is noticed where more stands still', () => {
    // Logs are read at the end alone: what happens before that is the same as above.
    const create = createWith(({ activations }) => {
      const onCall = activations.onCall.bind(activations)
      activations.onCall = (from, message, now) => {
        if (message.method !== 'read') onCall(from, message, now)
      }
    })
    const faults = onlyFaults(drawFaults(seededRandom(12, 'weather')), ['window-crash'])
    const { violations } = simulate({ ...storm, create, faults, seed: 12, grains: 'majority' })
    // All that hold these are there; of each other log one is not.
    expect(violations.map(({ what }) => what.split(':')[0])).toEqual([
      'likes cannot be read',
      'board cannot be read',
      'undo cannot be read',
    ])
  }, 90_000)
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
    const create = createWith(({ holdings }) => {
      holdings.strays.keep = () => undefined
    })
    // Not in every storm does the side that is given up acknowledge something that the other has not.
    const isNoticed = [3, 7, 9, 11].some((seed) => {
      const faults = onlyFaults(drawFaults(seededRandom(seed, 'weather')), ['partition'])
      const { violations } = simulate({ ...storm, create, faults, seed, grains: 'parted' })
      return violations.some(({ invariant }) => invariant === 'G5 what was acknowledged is there')
    })
    expect(isNoticed).toBe(true)
  }, 90_000)
})
