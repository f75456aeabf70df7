import { describe, expect, it } from 'vitest'
import type { NodeId } from '../../../src/core/identity/node-id.ts'
import type { TargetOptions } from '../../../src/core/overlay/targets.ts'
import { linkTargets, mayMatter } from '../../../src/core/overlay/targets.ts'
import { nodeIdOf, tableOf, wholeOf } from '../support/names.ts'

const DEFAULTS: TargetOptions = {
  minLinks: 4,
  maxLinks: 8,
  isHardToReach: () => false,
  isRelayOnly: () => false,
}

/** The targets of each of `count` members that know all others; of `lost` ones they think that they are unreachable. */
function targetsOfAll(
  count: number,
  options: Partial<TargetOptions> = {},
  lost: readonly number[] = [],
): Map<NodeId, ReturnType<typeof linkTargets>> {
  const all = new Map<NodeId, ReturnType<typeof linkTargets>>()
  for (let own = 1; own <= count; own++) {
    const table = tableOf(own)
    for (let other = 1; other <= count; other++) {
      if (other === own) continue
      table.apply(wholeOf(nodeIdOf(other)), 1, 0, 'test')
      if (lost.includes(other)) table.accuse(nodeIdOf(other), 'unreachable', 'test')
    }
    all.set(nodeIdOf(own), linkTargets(table, { ...DEFAULTS, ...options }))
  }
  return all
}

/** How many members are found from the first one, and how far the farthest is. */
function explore(all: ReadonlyMap<NodeId, { readonly live: ReadonlySet<NodeId> }>) {
  const [first] = all.keys()
  const distance = new Map([[first!, 0]])
  for (const [nodeId, hops] of distance) {
    for (const next of all.get(nodeId)!.live) if (!distance.has(next)) distance.set(next, hops + 1)
  }
  return { found: distance.size, farthest: Math.max(...distance.values()) }
}

describe('targets', () => {
  it.each([1, 2, 9])('of %i members are all the others', (count) => {
    for (const { live, lost } of targetsOfAll(count).values()) {
      expect(live.size).toBe(count - 1)
      expect(lost.size).toBe(0)
    }
  })

  it.each([10, 30, 200])('of %i members are bounded, and one component', (count) => {
    const all = targetsOfAll(count)
    for (const { live } of all.values()) {
      expect(live.size).toBeLessThanOrEqual(8)
      expect(live.size).toBeGreaterThanOrEqual(4)
    }
    const { found, farthest } = explore(all)
    expect(found).toBe(count)
    expect(farthest).toBeLessThanOrEqual(5)
  })

  it('are mutual, unless neighbours coincide on so many rings that a member looks for others', () => {
    const all = targetsOfAll(100, { minLinks: 2, maxLinks: 10 })
    for (const [nodeId, { live }] of all) {
      for (const other of live) expect(all.get(other)!.live).toContain(nodeId)
    }
  })

  it('are as many as `minLinks` and `maxLinks` ask for', () => {
    const sizes = (options: Partial<TargetOptions>) =>
      [...targetsOfAll(100, options).values()].map(({ live }) => live.size)
    expect(Math.max(...sizes({ minLinks: 1, maxLinks: 1 }))).toBe(2)
    expect(Math.max(...sizes({ minLinks: 2, maxLinks: 6 }))).toBe(4)
    expect(Math.min(...sizes({ minLinks: 6, maxLinks: 8 }))).toBeGreaterThanOrEqual(6)
  })

  it('leave two places free, however many are asked for: links that one end alone wants need them', () => {
    const alone = (options: Partial<TargetOptions>): number => {
      const all = targetsOfAll(100, options)
      const unwanted = [...all].map(
        ([nodeId]) =>
          [...all.values()].filter(({ live }) => live.has(nodeId)).length - all.get(nodeId)!.live.size,
      )
      return Math.max(...unwanted)
    }
    for (const most of [3, 4, 6, 8]) {
      const all = targetsOfAll(100, { minLinks: most, maxLinks: most })
      for (const { live } of all.values()) expect(live.size).toBeLessThanOrEqual(most)
      expect(alone({ minLinks: most, maxLinks: most })).toBeLessThanOrEqual(2)
    }
  })

  it('change little when one joins', () => {
    const [before, after] = [targetsOfAll(60), targetsOfAll(61)]
    let gone = 0
    for (const [nodeId, { live }] of before) {
      for (const other of live) if (!after.get(nodeId)!.live.has(other)) gone++
    }
    // One pair for each of three rings, seen from both ends.
    expect(gone).toBeLessThanOrEqual(6)
  })

  it('close the ring around the lost, which are wanted back', () => {
    const lost = [3, 4, 5, 20, 21, 22, 40]
    const all = targetsOfAll(50, {}, lost)
    const wanted = new Set<NodeId>()
    for (const other of lost) all.delete(nodeIdOf(other))
    for (const targets of all.values()) {
      for (const other of lost) expect(targets.live).not.toContain(nodeIdOf(other))
      for (const nodeId of targets.lost) wanted.add(nodeId)
    }
    expect(explore(all).found).toBe(50 - lost.length)
    expect(wanted).toEqual(new Set(lost.map((index) => nodeIdOf(index))))
  })

  it('keep who is hard to reach, and take the next one beside it', () => {
    const table = tableOf(1)
    for (let other = 2; other <= 50; other++) table.apply(wholeOf(nodeIdOf(other)), 1, 0, 'test')
    const usual = linkTargets(table, DEFAULTS).live
    const [hard] = usual
    const beside = linkTargets(table, { ...DEFAULTS, isHardToReach: (nodeId) => nodeId === hard }).live
    for (const nodeId of usual) expect(beside).toContain(nodeId)
    expect(beside.size).toBeGreaterThan(usual.size)
  })
})

describe('a member that comes or goes', () => {
  it('is known to make no difference only where it makes none', () => {
    const [table, options] = [tableOf(1), DEFAULTS]
    for (let other = 2; other <= 120; other++) table.apply(wholeOf(nodeIdOf(other)), 1, 0, 'test')
    const own = table.get(nodeIdOf(1))!.short
    const names = ({ live, lost }: ReturnType<typeof linkTargets>) => [...live, '/', ...lost].sort().join()
    let passedOver = 0
    for (let other = 2; other <= 200; other++) {
      const before = linkTargets(table, options)
      const nodeId = nodeIdOf(other)
      const matters = mayMatter(before, own, nodeId)
      if (other > 120) table.apply(wholeOf(nodeId), 1, 0, 'test')
      else if (other % 3 === 0) continue
      else if (other % 3 === 1) table.remove(nodeId, 0, 'test')
      else table.accuse(nodeId, 'unreachable', 'test')
      if (matters) continue
      passedOver++
      expect(names(linkTargets(table, options)), nodeId).toBe(names(before))
    }
    expect(passedOver).toBeGreaterThan(80)
  })

  it('always may, where all are linked to all', () => {
    const table = tableOf(1)
    for (let other = 2; other <= 6; other++) table.apply(wholeOf(nodeIdOf(other)), 1, 0, 'test')
    const own = table.get(nodeIdOf(1))!.short
    expect(mayMatter(linkTargets(table, DEFAULTS), own, nodeIdOf(99))).toBe(true)
  })
})
