/** Who says alone that it is linked to a member, held against a look at all records. */
import { describe, expect, it } from 'vitest'
import { encodeLinks } from '../../../src/core/membership/published-links.ts'
import { LINKS_KEY } from '../../../src/core/membership/state-key.ts'
import { below, seededRandom } from '../../../src/testing/random.ts'
import { nodeIdOf, tableOf, wholeOf } from '../support/names.ts'

const MEMBERS = 12

describe('links that one end alone publishes', () => {
  it('are those that all records tell, whatever was published and removed before', () => {
    const random = seededRandom(5, 'one-way')
    const table = tableOf(1)
    const shortOfMember = (n: number) => table.get(nodeIdOf(n))?.short
    const versions = new Map<number, number>()
    let found = 0
    for (let round = 0; round < 400; round++) {
      const member = 2 + below(random, MEMBERS)
      if (random() < 0.03) table.remove(nodeIdOf(member), 0, 'test')
      else {
        const version = (versions.get(member) ?? 1) + 1
        versions.set(member, version)
        const shorts: number[] = []
        for (let n = 1; n <= MEMBERS + 1; n++) {
          const short = n === member || random() < 0.7 ? undefined : shortOfMember(n)
          if (short !== undefined) shorts.push(short)
        }
        const entries = [{ key: LINKS_KEY, version, value: encodeLinks(shorts) }]
        table.apply({ ...wholeOf(nodeIdOf(member)), to: version, entries }, 1, 0, 'test')
      }
      // The index is made when it is first asked for, and kept up from then on.
      if (round < 20) continue
      for (const subject of table.records()) {
        if (subject.status === 'removed') continue
        const alone = [...table.records()].filter(
          (other) => other.links.has(subject.short) && !subject.links.has(other.short),
        )
        found += alone.length
        expect([...table.linkedOneWayTo(subject.short)].sort()).toEqual(
          alone.map(({ nodeId }) => nodeId).sort(),
        )
      }
    }
    expect(found).toBeGreaterThan(1_000)
  })
})
