/** What the simulator found in the core, each told by name and reduced to its smallest form. */
import { describe, expect, it } from 'vitest'
import { rangeOf, removedRange } from '../../src/core/membership/digest.ts'
import { MembershipTable } from '../../src/core/membership/table.ts'
import { DEFAULT_LIMITS } from '../../src/core/tuning.ts'
import { createNodeId, randomAuthority } from '../../src/core/identity/node-id.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { nodeIdOf, wholeOf } from '../core/support/names.ts'
import { coreOf } from '../core/support/nodes.ts'
import { Puppet } from '../core/support/puppet.ts'
import { Room } from '../core/support/room.ts'

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

  it('a member whose visibility changed and whose life ended within one message', () => {
    const room = new Room()
    const core = coreOf(1)
    const puppet = new Puppet(room)
    room.contacts = () => []
    room.join(core)
    room.join(puppet)
    puppet.enter(core.nodeId)
    const other = nodeIdOf(500)
    puppet.say({ kind: 'delta', ranges: [wholeOf(other)] })
    room.until(() => core.table.status(other) === 'up', 'the core knows the member')
    const hidden = { ...wholeOf(other, { counter: 2, visibility: 'hidden' }), from: 1 }
    puppet.say({ kind: 'delta', ranges: [hidden, removedRange(other)] })
    room.until(() => core.table.status(other) === 'removed', 'the core knows of its end')
    expect(room.events(core, 'member-visibility')).toEqual([])
  })
})
