/** Messages of users in simulated rooms keep their promises under faults; and a node that breaks one is found out. */
import { describe, expect, it } from 'vitest'
import type { Input, Output } from '../../src/core/events.ts'
import { createCoreNode, simulate } from '../../src/testing/index.ts'
import type { NodeFactory, SimulationResult } from '../../src/testing/index.ts'
import type { SimulatedNode } from '../../src/testing/simulated-node.ts'

const FULL = process.env['GRAINMESH_FULL'] !== undefined
const BRIEF = { idleMs: 0, calmMs: 0, stormMs: 20_000 }

const run = (seed: number, nodes: number, create: NodeFactory = createCoreNode): SimulationResult =>
  simulate({ seed, nodes, create, mail: true, maxLinks: nodes > 8 ? 4 : 8, ...BRIEF })

/** The real core, with something done to what goes in and comes out. */
function tampered(
  change: (node: SimulatedNode, input: Input, outputs: readonly Output[]) => readonly Output[],
): NodeFactory {
  return (seed) => {
    const node = createCoreNode(seed)
    const handle = node.handle.bind(node)
    node.handle = (input, now) => change(node, input, handle(input, now))
    return node
  }
}

const found = (create: NodeFactory): Set<string> => {
  const { violations } = run(1, 6, create)
  return new Set(violations.map(({ invariant }) => invariant))
}

describe('messages in a storm', () => {
  it.each([
    [2, FULL ? 200 : 6],
    [6, FULL ? 200 : 4],
    [16, FULL ? 200 : 2],
  ])(
    'of %i members, %i seeds: R1 to R3 hold',
    (nodes, count) => {
      let taken = 0
      for (let seed = 1; seed <= count; seed++) {
        const result = run(seed, nodes)
        expect(result.violations, `seed ${seed}`).toEqual([])
        taken += result.mail.taken
        expect(result.mail.taken + result.mail.lost).toBeLessThanOrEqual(result.mail.sent)
      }
      expect(taken / count, 'messages that were handled in a seed').toBeGreaterThan(30)
    },
    1_800_000,
  )

  it('that are handed out twice are noticed', () => {
    const twice = tampered((_node, _input, outputs) =>
      outputs.flatMap((output): Output[] => (output.type === 'deliver' ? [output, output] : [output])),
    )
    expect(found(twice)).toContain('R2 messages come in order, once')
  }, 60_000)

  it('that end twice, or without having arrived, are noticed', () => {
    const twice = tampered((_node, _input, outputs) =>
      outputs.flatMap((output): Output[] => (output.type === 'outcome' ? [output, output] : [output])),
    )
    expect(found(twice)).toContain('R3 every message has one outcome')
    const early = tampered((_node, input, outputs) =>
      input.type === 'send'
        ? [
            ...outputs,
            ...input.messages.map(({ id }) => ({ type: 'outcome', id, outcome: 'taken' }) as const),
          ]
        : outputs.filter(({ type }) => type !== 'outcome'),
    )
    expect(found(early)).toContain('R3 every message has one outcome')
  }, 60_000)

  it('that never end are noticed', () => {
    const never = tampered((_node, _input, outputs) => outputs.filter(({ type }) => type !== 'outcome'))
    expect(found(never)).toContain('R3 every message has one outcome')
  }, 60_000)
})
