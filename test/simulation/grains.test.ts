/** Grains of the real core amid the simulator's faults. `npm run sim -- --grains available` runs more of it. */
import { describe, expect, it } from 'vitest'
import { createCoreNode } from '../../src/testing/core-node.ts'
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

it('after partitions all is one again', () => {
  expectKept(3, 'parted', ['partition'])
})
