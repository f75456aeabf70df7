/** Members that are not linked: the way to each other, and what they say to set up links. */
import { describe, expect, it } from 'vitest'
import type { Output } from '../../../src/core/events.ts'
import type { NodeId } from '../../../src/core/identity/node-id.ts'
import type { NodeCore } from '../../../src/core/node.ts'
import { encodeFrame, encodeMessage, MAX_MESSAGE } from '../../../src/core/wire/codec.ts'
import type { RouteHeader } from '../../../src/core/wire/frames.ts'
import type { MeshLink } from '../../../src/core/overlay/mesh-link.ts'
import { newLink } from '../../../src/core/overlay/mesh-link.ts'
import { Routes } from '../../../src/core/overlay/routes.ts'
import { allConfirmed, cluster, coreOf, isLinked } from '../support/nodes.ts'
import { nodeIdOf, tableOf } from '../support/names.ts'
import { Puppet } from '../support/puppet.ts'
import { Room } from '../support/room.ts'

const FEW = { minLinks: 2, maxLinks: 4 }
/** Links are published some seconds after they were made. */
const PUBLISHED_MS = 12_000

/** A link to the member that is numbered one higher. */
function linkOf(linkId: number): MeshLink {
  const begin = { session: 'aaaaaaaa', initiator: true, relay: false, byMesh: false, wish: false }
  const link = newLink({ ...begin, linkId, nodeId: nodeIdOf(linkId + 1) }, 0)
  link.phase = 'established'
  return link
}

type Traced = Extract<Output, { type: 'traced' }>

/** Asks for the way from one core to another, and gives the answer. */
function trace(room: Room, from: NodeCore, to: NodeId): Traced {
  let traced: Traced | undefined
  const id = room.now
  const handle = from.handle.bind(from)
  from.handle = (input, now) => {
    const outputs = handle(input, now)
    traced ??= outputs.find((output): output is Traced => output.type === 'traced' && output.id === id)
    return outputs
  }
  room.feed(from, { type: 'trace', nodeId: to, id })
  room.until(() => traced !== undefined, 'the way is told')
  from.handle = handle
  return traced!
}

const at = (room: Room) => ({ mono: room.now, wall: room.now })

describe('routes', () => {
  it('lead from every member to every other, over as few links as there can be', () => {
    const { room, cores } = cluster(16, FEW)
    room.run(PUBLISHED_MS)
    for (const from of cores) {
      const distance = distances(cores, from)
      for (const to of cores) {
        const hops = from.hopsTo(to.nodeId, at(room))
        expect(hops?.[0]).toBe(from.nodeId)
        expect(hops?.at(-1)).toBe(to.nodeId)
        expect(hops!.length - 1).toBe(distance.get(to.nodeId))
        const expected = from === to ? 'self' : isLinked(from, to) ? 'direct' : 'routed'
        expect(from.pathTo(to.nodeId, at(room))).toBe(expected)
      }
    }
  })

  it('are what frames take: a trace tells the way and the time', () => {
    const { room, cores } = cluster(16, FEW)
    room.run(PUBLISHED_MS)
    const from = cores[0]!
    const far = cores.find((core) => from.hopsTo(core.nodeId, at(room))!.length > 3)!
    const { hops, rttMs } = trace(room, from, far.nodeId)
    expect(hops).toEqual(from.hopsTo(far.nodeId, at(room)))
    expect(rttMs).toBeCloseTo(2 * (hops!.length - 1), 5)
    const neighbour = cores.find((core) => isLinked(from, core))!
    expect(trace(room, from, neighbour.nodeId).hops).toEqual([from.nodeId, neighbour.nodeId])
    expect(trace(room, from, from.nodeId)).toMatchObject({ hops: [from.nodeId], rttMs: 0 })
  })

  it('go around a member that is gone', () => {
    const { room, cores } = cluster(16, FEW)
    room.run(PUBLISHED_MS)
    const from = cores[0]!
    const far = cores.find((core) => from.hopsTo(core.nodeId, at(room))!.length > 2)!
    const middle = from.hopsTo(far.nodeId, at(room))![1]!
    room.kill(cores.find(({ nodeId }) => nodeId === middle)!)
    room.until(() => from.table.status(middle) === 'unreachable', 'it is missed')
    const { hops } = trace(room, from, far.nodeId)
    expect(hops).not.toContain(middle)
    expect(hops?.at(-1)).toBe(far.nodeId)
  })

  it('go around a neighbour that is missed, though the link to it is open', () => {
    const { room, cores } = cluster(16, FEW)
    room.run(PUBLISHED_MS)
    const from = cores[0]!
    const far = cores.find((core) => from.hopsTo(core.nodeId, at(room))!.length > 2)!
    const middle = cores.find(({ nodeId }) => nodeId === from.hopsTo(far.nodeId, at(room))![1])!
    room.sleep(middle, 20_000)
    const others = cores.filter((core) => core !== middle)
    const misses = ({ table }: NodeCore) => table.status(middle.nodeId) === 'unreachable'
    room.until(() => others.every(misses), 'it is missed')
    expect(isLinked(from, middle)).toBe(true)
    expect(from.hopsTo(far.nodeId, at(room))).not.toContain(middle.nodeId)
    expect(trace(room, from, far.nodeId).hops?.at(-1)).toBe(far.nodeId)
  })

  it('to nobody are not there, and a trace says so', () => {
    const { room, cores } = cluster(3)
    const stranger = nodeIdOf(99)
    expect(cores[0]!.pathTo(stranger, at(room))).toBe('none')
    expect(cores[0]!.hopsTo(stranger, at(room))).toBeUndefined()
    expect(trace(room, cores[0]!, stranger)).not.toHaveProperty('hops')
  })

  it('never lead a frame to where it has been, whatever its header says', () => {
    const { room, cores } = cluster(3)
    const [a, b] = cores as [NodeCore, NodeCore]
    const puppet = new Puppet(room)
    room.join(puppet)
    puppet.enter(a.nodeId)
    const short = (core: NodeCore): number => core.table.get(core.nodeId)!.short
    const say = (route: Partial<RouteHeader>): void => {
      const header = { origin: puppet.nodeId, destination: b.nodeId, ttl: 9, trail: [1], ...route }
      puppet.sayBytes(encodeMessage([encodeFrame({ kind: 'trace', token: 1 }, header)]))
      room.run(20)
    }
    const seenBy = (core: NodeCore): number =>
      room.sent.filter(({ to, frame }) => to === core.nodeId && frame.kind === 'trace').length
    say({})
    expect(seenBy(b), 'passed on').toBe(1)
    say({ ttl: 1 })
    say({ trail: [1, short(b), short(cores[2]!)] })
    expect(seenBy(b), 'at its end, or back where it has been').toBe(1)
    say({ trail: [1, short(a)] })
    say({ trail: [] })
    expect(room.events(a, 'frame-rejected')).toMatchObject([
      { reason: 'trace has been here before' },
      { reason: 'trace has a route without its origin' },
    ])
  })
})

describe('the way that frames of a member came', () => {
  it('is the way back, however many others a neighbour brings frames of', () => {
    const [honest, forger] = [linkOf(1), linkOf(2)]
    const links = [honest, forger]
    const routes = new Routes({
      table: tableOf(1),
      links: () => links,
      link: (linkId) => links.find((link) => link.linkId === linkId),
      linkTo: (nodeId) => links.find((link) => link.nodeId === nodeId),
      linkRevision: () => 0,
    })
    const newcomer = nodeIdOf(99)
    routes.learn(newcomer, honest.linkId, 0)
    for (let i = 0; i < 5_000; i++) routes.learn(nodeIdOf(1_000 + i), forger.linkId, 1)
    expect(routes.next(newcomer, [], 2)).toBe(honest)
    routes.learn(newcomer, forger.linkId, 3)
    expect(routes.next(newcomer, [], 4), 'the newest').toBe(forger)
    forger.phase = 'connecting'
    expect(routes.next(newcomer, [], 5), 'the newest that there is').toBe(honest)
    expect(routes.next(newcomer, [], 60_000), 'too old').toBeUndefined()
  })
})

describe('a frame as large as a message may be', () => {
  it('is not passed on: with one name more on its trail no link would take it', () => {
    const { room, cores } = cluster(3)
    const [a, b] = cores as [NodeCore, NodeCore]
    const puppet = new Puppet(room)
    room.join(puppet)
    puppet.enter(a.nodeId)
    const header = { origin: puppet.nodeId, destination: b.nodeId, ttl: 9, trail: [1] }
    const messageOf = (size: number): Uint8Array =>
      encodeMessage([encodeFrame({ kind: 'datagram', body: new Uint8Array(size) }, header)])
    const headers = messageOf(MAX_MESSAGE / 2).length - MAX_MESSAGE / 2
    const [largest, passed] = [messageOf(MAX_MESSAGE - headers), messageOf(MAX_MESSAGE - headers - 4)]
    expect(largest).toHaveLength(MAX_MESSAGE)
    puppet.sayBytes(largest)
    puppet.sayBytes(passed)
    room.run(20)
    const seen = room.frames('datagram').filter(({ to }) => to === b.nodeId)
    expect(seen.map(({ bytes }) => bytes)).toEqual([MAX_MESSAGE])
    expect(room.events(a, 'frame-rejected')).toEqual([])
    expect(isLinked(a, b)).toBe(true)
  })
})

describe('offers', () => {
  it('travel through the mesh once a newcomer has one link', () => {
    const { room, cores } = cluster(6)
    const newcomer = coreOf(7)
    const byServer: NodeId[] = []
    room.signals = (from, to) => {
      byServer.push(from, to)
      return true
    }
    room.contacts = (_, others) => others.slice(0, 1)
    room.join(newcomer)
    room.until(() => allConfirmed([...cores, newcomer]), 'it is one of them')
    room.until(() => newcomer.linkCount === 6, 'it is linked to all')
    const contact = byServer.find((nodeId) => nodeId !== newcomer.nodeId)
    for (const nodeId of byServer) expect([newcomer.nodeId, contact]).toContain(nodeId)
  })

  it('do not need the signaling server any more', () => {
    const { room, cores } = cluster(3)
    const fourth = coreOf(4)
    room.contacts = (asker, others) => (asker === fourth.nodeId ? [cores[0]!.nodeId] : others)
    room.join(fourth)
    room.until(() => fourth.linkCount === 1, 'it has its first link')
    for (const core of [...cores, fourth]) room.disconnectSignaling(core)
    room.until(() => fourth.linkCount === 3, 'it is linked to all')
    room.until(() => allConfirmed([...cores, fourth]), 'all agree')
  })
})

describe('members that find no connection', () => {
  it('reach each other through others', () => {
    const room = new Room()
    const [a, b, c] = [coreOf(1), coreOf(2), coreOf(3)] as const
    room.blocks = (one, other) => one === a.nodeId && other === b.nodeId
    for (const core of [a, b, c]) room.join(core)
    room.until(() => allConfirmed([a, b, c]), 'they are one cluster')
    room.run(PUBLISHED_MS)
    expect(a.pathTo(b.nodeId, at(room))).toBe('routed')
    expect(trace(room, a, b.nodeId).hops).toEqual([a.nodeId, c.nodeId, b.nodeId])
  })

  it('are linked by way of the signaling server where nobody leads from one to the other', () => {
    const room = new Room()
    const [a, b] = [coreOf(1, { canRelay: true }), coreOf(2, { canRelay: true })] as const
    room.blocks = () => true
    for (const core of [a, b]) room.join(core)
    room.until(() => allConfirmed([a, b]), 'they are one cluster')
    expect(room.now, 'within what a user waits for a join').toBeLessThan(12_000)
    expect(a.pathTo(b.nodeId, at(room))).toBe('relayed')
    expect(a.links()).toMatchObject([{ nodeId: b.nodeId, relay: true }])
    room.blocks = () => false
    room.until(() => a.pathTo(b.nodeId, at(room)) === 'direct', 'they find a connection after all')
    room.until(() => b.pathTo(a.nodeId, at(room)) === 'direct', 'both do')
    room.run(2_000)
    expect([a.linkCount, b.linkCount]).toEqual([1, 1])
    expect(room.events(a, 'member-status').filter(({ to }) => to === 'unreachable')).toEqual([])
  })

  it('are not hurried, where the server carries no links', () => {
    const room = new Room()
    const [a, b] = [coreOf(1, { canRelay: true }), coreOf(2, { canRelay: true })] as const
    room.relays = false
    room.blocks = () => true
    for (const core of [a, b]) room.join(core)
    room.run(9_000)
    expect(room.events(a, 'link-failed'), 'an attempt has its 10 s').toEqual([])
    room.run(20_000)
    expect([a.linkCount, b.linkCount]).toEqual([0, 0])
  })

  it('are not, where relaying is off', () => {
    const room = new Room()
    const [a, b] = [coreOf(1, { canRelay: true }), coreOf(2)] as const
    room.blocks = () => true
    for (const core of [a, b]) room.join(core)
    room.run(30_000)
    expect([a.linkCount, b.linkCount]).toEqual([0, 0])
  })
})

describe('a member without direct links', () => {
  const RELAYS = { canRelay: true }

  it.each([2, 7, 14])('among %i others keeps two relayed ones, and reaches everybody', (count) => {
    const { room, cores } = cluster(count, { ...RELAYS, minLinks: 4, maxLinks: 8 })
    const process = coreOf(50, { canLink: false, ...RELAYS })
    room.join(process)
    const all = [...cores, process]
    room.until(() => allConfirmed(all), 'it is one of them')
    room.run(20_000)
    expect(process.links().map(({ relay }) => relay)).toEqual([true, true])
    for (const core of cores) {
      expect(core.pathTo(process.nodeId, at(room))).toBe(isLinked(core, process) ? 'relayed' : 'routed')
      expect(process.hopsTo(core.nodeId, at(room))?.at(-1)).toBe(core.nodeId)
    }
    const before = room.sent.length
    room.run(60_000)
    const offers = room.sent.slice(before).filter(({ frame }) => frame.kind === 'signal')
    expect(offers, 'nobody tries in vain').toEqual([])
  })

  it('meets another one, and whoever dials it directly is told', () => {
    const room = new Room()
    const [one, other] = [coreOf(1, { canLink: false, ...RELAYS }), coreOf(2, { canLink: false, ...RELAYS })]
    const browser = coreOf(3, RELAYS)
    for (const core of [one, other, browser]) room.join(core)
    room.until(() => allConfirmed([one, other, browser]), 'all are one cluster')
    expect(browser.links().every(({ relay }) => relay)).toBe(true)
  })
})

/** Links from one core to each other one, at least. */
function distances(cores: readonly NodeCore[], from: NodeCore): Map<NodeId, number> {
  const byId = new Map(cores.map((core) => [core.nodeId, core]))
  const distance = new Map([[from.nodeId, 0]])
  for (const [nodeId, links] of distance) {
    for (const { nodeId: next } of byId.get(nodeId)!.links()) {
      if (!distance.has(next)) distance.set(next, links + 1)
    }
  }
  return distance
}
