/** Offers that come by the mesh may be anybody's, whomever they name: they end no link, and take no place for long. */
import { describe, expect, it } from 'vitest'
import type { NodeId } from '../../../src/core/identity/node-id.ts'
import type { NodeCore } from '../../../src/core/node.ts'
import { encodeSignal } from '../../../src/core/overlay/signal-envelope.ts'
import { encodeFrame, encodeMessage } from '../../../src/core/wire/codec.ts'
import { MAX_BROUGHT } from '../../../src/core/overlay/surplus.ts'
import { cluster, coreOf, isLinked } from '../support/nodes.ts'
import { base32, nodeIdOf } from '../support/names.ts'
import { Puppet } from '../support/puppet.ts'
import type { Room } from '../support/room.ts'

/** Links are published some seconds after they were made. */
const PUBLISHED_MS = 12_000

/** At most six links and attempts. */
const FEW = { minLinks: 2, maxLinks: 4 }

/** A member that answers pings, and can offer links in the name of others. */
class Forger extends Puppet {
  #offers = 0

  constructor(room: Room, target: NodeCore, nodeId?: NodeId) {
    super(room, nodeId)
    room.join(this)
    this.enter(target.nodeId)
  }

  offer(origin: NodeId, destination: NodeId): void {
    const data = encodeSignal({ session: base32(++this.#offers, 8), sequence: 0, data: 'x' })
    const header = { origin, destination, ttl: 9, trail: [1] }
    this.sayBytes(encodeMessage([encodeFrame({ kind: 'signal', data }, header)]))
  }

  /** Says again and again what `say` says, and answers pings. */
  keepOn(room: Room, forMs: number, say: () => void): void {
    for (const end = room.now + forMs; room.now < end; room.run(100)) {
      say()
      for (const { token } of this.heard('ping')) this.say({ kind: 'ack', token })
      this.received = []
    }
  }
}

describe('an offer in the name of a member that is linked', () => {
  it('leaves its link as it is', () => {
    const { room, cores } = cluster(3)
    const [a, , c] = cores as [NodeCore, NodeCore, NodeCore]
    const forger = new Forger(room, a)
    const links = room.openLinks(a, c)
    forger.keepOn(room, 15_000, () => forger.offer(c.nodeId, a.nodeId))
    expect(forger.ended).toBeUndefined()
    expect(room.openLinks(a, c)).toEqual(links)
    expect(isLinked(a, c) && isLinked(c, a)).toBe(true)
    expect(room.events(a, 'link-closed')).toEqual([])
  })

  it('is answered where that member has lost its end: both have one link then, and nobody is missed', () => {
    const { room, cores } = cluster(3)
    const [a, , c] = cores as [NodeCore, NodeCore, NodeCore]
    room.run(PUBLISHED_MS)
    for (const core of cores) room.disconnectSignaling(core)
    const old = room.openLinks(c, a)
    room.loseEnd(a, c)
    room.until(() => isLinked(a, c), 'linked again before the other end has noticed', 900)
    room.run(5_000)
    expect(room.openLinks(c, a)).toEqual([c.links().find(({ nodeId }) => nodeId === a.nodeId)!.linkId])
    expect(room.openLinks(c, a)).not.toEqual(old)
    expect(room.openLinks(a, c)).toHaveLength(1)
    expect(cores.map(({ linkCount }) => linkCount)).toEqual([2, 2, 2])
    for (const core of cores)
      expect(room.events(core, 'member-status').filter(({ to }) => to === 'unreachable')).toEqual([])
  })
})

describe('an offer in the name of a member that has just made one', () => {
  it('leaves its attempt as it is', () => {
    const { room, cores } = cluster(2)
    const [a] = cores as [NodeCore]
    const forger = new Forger(room, a)
    const newcomer = new Puppet(room, nodeIdOf(901))
    room.join(newcomer)
    newcomer.dial(a.nodeId)
    forger.keepOn(room, 1_000, () => forger.offer(newcomer.nodeId, a.nodeId))
    expect(newcomer.ended).toBeUndefined()
    expect(newcomer.heard('hello')).toHaveLength(1)
  })
})

describe('offers of members that are not there', () => {
  it('make a bounded number of connections', () => {
    const { room, cores } = cluster(2)
    const [a] = cores as [NodeCore]
    const forger = new Forger(room, a)
    const opened = linksBegun(a)
    for (let i = 0; i < 64; i++) forger.offer(nodeIdOf(1_000 + i), a.nodeId)
    room.run(20)
    expect(opened).toHaveLength(MAX_BROUGHT)
  })

  it('keep no newcomer out', () => {
    const { room, cores } = cluster(2, FEW)
    const [a] = cores as [NodeCore]
    const forger = new Forger(room, a)
    let offers = 0
    const flood = (): void => {
      for (let i = 0; i < 64; i++) forger.offer(nodeIdOf(1_000 + ++offers), a.nodeId)
    }
    flood()
    const newcomer = coreOf(40)
    room.contacts = () => [a.nodeId]
    room.join(newcomer)
    forger.keepOn(room, 1_000, flood)
    expect(newcomer.status).toBe('up')
    expect(isLinked(a, newcomer)).toBe(true)
  })

  it('give way to the first that another neighbour brings, and not to each further one', () => {
    const { room, cores } = cluster(2, FEW)
    const [a] = cores as [NodeCore]
    const [forger, other] = [new Forger(room, a), new Forger(room, a, nodeIdOf(901))]
    for (let i = 0; i < 8; i++) forger.offer(nodeIdOf(1_000 + i), a.nodeId)
    room.run(20)
    const opened = linksBegun(a)
    const [first, second] = [nodeIdOf(2_000), nodeIdOf(2_001)]
    other.offer(first, a.nodeId)
    other.offer(second, a.nodeId)
    room.run(20)
    expect(opened).toEqual([first])
  })
})

/** Whom a member begins links with from now on. */
function linksBegun(core: NodeCore): NodeId[] {
  const begun: NodeId[] = []
  const handle = core.handle.bind(core)
  core.handle = (input, now) => {
    const outputs = handle(input, now)
    for (const output of outputs) if (output.type === 'link-open') begun.push(output.nodeId)
    return outputs
  }
  return begun
}
