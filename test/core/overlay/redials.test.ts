import { describe, expect, it } from 'vitest'
import type { MeshLink } from '../../../src/core/overlay/mesh-link.ts'
import { newLink } from '../../../src/core/overlay/mesh-link.ts'
import { Redials } from '../../../src/core/overlay/redials.ts'
import { isSpare, surplusOf, vainAttempt } from '../../../src/core/overlay/surplus.ts'
import { LINKS_KEY } from '../../../src/core/membership/state-key.ts'
import { encodeLinks } from '../../../src/core/membership/published-links.ts'
import { DEFAULT_TUNING } from '../../../src/core/tuning.ts'
import { nodeIdOf, tableOf, wholeOf } from '../support/names.ts'

const other = nodeIdOf(2)
const open = () => new Redials(() => 0.5, DEFAULT_TUNING)

function link(patch: Partial<MeshLink> = {}, startedAt = 0, nodeId = other): MeshLink {
  return {
    ...newLink(
      { linkId: 1, nodeId, session: 'aaaaaaaa', initiator: true, relay: false, byMesh: false, wish: false },
      startedAt,
    ),
    ...patch,
  }
}

describe('a member that gives links up', () => {
  it('is asked for them more and more rarely, and counts as hard to reach from the second time on', () => {
    const redials = open()
    const pauses: number[] = []
    for (let i = 0; i < 8; i++) {
      redials.lost(link({ released: true }), 1_000)
      pauses.push(redials.dueAt(other, true, 0) - 1_250)
      expect(redials.isHard(other)).toBe(i > 0)
      redials.clear(other)
      expect(redials.dueAt(other, true, 0), 'once linked there is no pause').toBe(0)
    }
    expect(pauses).toEqual([5_000, 10_000, 20_000, 40_000, 80_000, 120_000, 120_000, 120_000])
  })

  it('is a member like others after a link that lasted', () => {
    const redials = open()
    for (let i = 0; i < 3; i++) redials.lost(link({ released: true }), 1_000)
    redials.lost(link({ released: true }), 61_000)
    expect(redials.dueAt(other, true, 0)).toBe(61_000 + 250 + 5_000)
    expect(redials.isHard(other)).toBe(false)
  })
})

describe('a member that answers, but that no direct link leads to', () => {
  it('is tried by relay, and after that has failed as well directly again', () => {
    const redials = open()
    redials.failed(link({ seen: new Set([0]) }), 0)
    expect(redials.isBlocked(other)).toBe(true)
    redials.failed(link({ relay: true }), 1_000)
    expect(redials.isBlocked(other)).toBe(false)
  })

  it('is none where the channel did open, and was refused then', () => {
    const redials = open()
    redials.failed(link({ seen: new Set([0]), phase: 'open' }), 0)
    expect(redials.isBlocked(other)).toBe(false)
    expect(redials.dueAt(other, true, 0)).toBeGreaterThan(0)
  })

  it('stays so while a relayed link lasts', () => {
    const redials = open()
    redials.failed(link({ seen: new Set([0]) }), 0)
    redials.lost(link({ relay: true }), 100_000)
    expect(redials.isBlocked(other)).toBe(true)
  })
})

describe('a member that has no place for a link', () => {
  it('is asked after growing pauses, is hard to reach after four times, and is not taken for silent', () => {
    const redials = open()
    const pauses: number[] = []
    for (let i = 1; i <= 6; i++) {
      redials.failed(link({ released: true, seen: new Set([0]) }), 0)
      pauses.push(redials.dueAt(other, true, 0))
      expect(redials.isHard(other)).toBe(i >= 4)
    }
    expect(pauses).toEqual([750, 1_500, 3_000, 6_000, 11_250, 11_250])
    expect(redials.unansweredBy(other)).toBe(0)
    expect(redials.failuresOf(other)).toBe(0)
  })
})

describe('links a member can do without', () => {
  const table = tableOf(1)
  const [target, hub, leaf, lost] = [2, 3, 4, 5].map((index) => nodeIdOf(index)) as [
    string,
    string,
    string,
    string,
  ]
  const publish = (nodeId: string, count: number): void => {
    const value = encodeLinks(Array.from({ length: count }, (_, i) => i))
    const { self } = wholeOf(nodeId)
    const entries = [{ key: LINKS_KEY, version: 2, value }]
    table.apply({ nodeId, from: 0, to: 2, floor: 0, self, entries }, 1, 0, 'test')
  }
  publish(target, 9)
  publish(hub, 8)
  publish(leaf, 1)
  const targets = { live: new Set([target]), lost: new Set([lost]), reach: undefined }
  const established = { phase: 'established' } as const

  it('are no targets, those to members with most links first', () => {
    const links = [leaf, target, hub].map((nodeId) => link(established, 0, nodeId))
    expect(surplusOf(links, targets, table, 10).map(({ nodeId }) => nodeId)).toEqual([hub, leaf])
    expect(surplusOf(links, targets, table, -1)).toEqual([])
  })

  it('are not the only ones of their members', () => {
    expect(isSpare(link(established, 0, hub), table)).toBe(true)
    expect(isSpare(link(established, 0, leaf), table)).toBe(false)
    expect(isSpare(link(established, 0, nodeIdOf(99)), table), 'of a newcomer').toBe(false)
  })

  it('are attempts that lead to nothing: ours to the lost, and those of others after a while', () => {
    const vain = (attempt: MeshLink, now = 3_000) => vainAttempt([attempt], targets, now) === attempt
    expect(vain(link({}, 2_999, lost))).toBe(true)
    expect(vain(link({ seen: new Set([0]) }, 0, lost)), 'one that answers').toBe(false)
    expect(vain(link({}, 0, hub)), 'ours to the living').toBe(false)
    expect(vain(link({ initiator: false }, 0, hub))).toBe(true)
    expect(vain(link({ initiator: false }, 1, hub)), 'a young one').toBe(false)
    expect(vain(link({ initiator: false }, 0, target)), 'of a target').toBe(false)
  })
})
