/** What the simulator found in the core, each told by name and reduced to its smallest form. */
import { describe, expect, it } from 'vitest'
import { rangeOf } from '../../src/core/membership/digest.ts'
import { MembershipTable } from '../../src/core/membership/table.ts'
import { DEFAULT_LIMITS } from '../../src/core/tuning.ts'
import { createNodeId, randomAuthority } from '../../src/core/identity/node-id.ts'
import { seededRandom } from '../../src/testing/random.ts'

const random = seededRandom(1, 'found')
const LINK = 1
const table = (): MembershipTable =>
  new MembershipTable(
    createNodeId(randomAuthority(random), 1, random),
    { status: 'up', process: 'p', browser: 'b', visibility: 'visible', meta: '' },
    DEFAULT_LIMITS,
  )

describe('found by the simulator', () => {
  it('a cleared value does not live on where a newcomer relays the missing range', () => {
    const [origin, witness, newcomer] = [table(), table(), table()]
    const record = () => origin.get(origin.own)!
    origin.writeOwnEntry('cursor', '"here"')
    witness.apply(rangeOf(record(), 0), LINK, 0, 'gossip')
    const seen = witness.get(origin.own)!.counter
    origin.writeOwnEntry('cursor', undefined)
    newcomer.apply(rangeOf(record(), 0), LINK, 0, 'gossip')
    witness.apply(rangeOf(newcomer.get(origin.own)!, seen), LINK, 0, 'gossip')
    expect(witness.get(origin.own)!.counter).toBe(record().counter)
    expect(witness.get(origin.own)!.entries.get('cursor')?.value).toBeUndefined()
  })
})
