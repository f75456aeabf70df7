/** From wanting a link to having one: glare, patience, redial, deadlines, refusals, and hostile signaling. */
import { beforeEach, describe, expect, it } from 'vitest'
import type { NodeCore } from '../../../src/core/node.ts'
import type { NodeId } from '../../../src/core/identity/node-id.ts'
import type { MembershipTable } from '../../../src/core/membership/table.ts'
import { Mesh } from '../../../src/core/overlay/mesh.ts'
import { decodeSignal, encodeSignal } from '../../../src/core/overlay/signal-envelope.ts'
import { Outbox } from '../../../src/core/outbox.ts'
import { DEFAULT_TUNING } from '../../../src/core/tuning.ts'
import { encodeFrame, encodeMessage } from '../../../src/core/wire/codec.ts'
import { nodeIdOf, tableOf, wholeOf } from '../support/names.ts'
import { agree, cluster, coreOf, isLinked } from '../support/nodes.ts'
import { Puppet } from '../support/puppet.ts'
import { Room } from '../support/room.ts'

let room: Room

beforeEach(() => {
  room = new Room()
})

/** Offers that each member sent, by what the first envelope of a session says. */
function watchOffers(): { from: NodeId; to: NodeId; at: number }[] {
  const offers: { from: NodeId; to: NodeId; at: number }[] = []
  room.signals = (from, to, data) => {
    if (decodeSignal(data)?.data?.startsWith('offer ')) offers.push({ from, to, at: room.now })
    return true
  }
  return offers
}

/** A member, and a puppet that is linked to it. */
function coreWithPuppet(): { core: NodeCore; puppet: Puppet } {
  const core = coreOf(1)
  room.contacts = () => []
  room.join(core)
  const puppet = new Puppet(room)
  room.join(puppet)
  puppet.enter(core.nodeId)
  return { core, puppet }
}

describe('glare', () => {
  it('leaves exactly one link, the one that the lower nodeId offered', () => {
    const [low, high] = [coreOf(1), coreOf(2)]
    const offers = watchOffers()
    // Both are given the other as their contact at the same moment.
    room.contacts = (asker) => [asker === low.nodeId ? high.nodeId : low.nodeId]
    room.join(low)
    room.join(high)
    room.until(() => agree([low, high]), 'both agree')
    expect(new Set(offers.map(({ from }) => from))).toEqual(new Set([low.nodeId, high.nodeId]))
    room.run(20_000)
    expect(room.openLinks(low, high)).toHaveLength(1)
    expect(room.events(low, 'link-opened')).toHaveLength(1)
    expect(room.events(high, 'link-opened')).toHaveLength(1)
    expect([...room.events(low, 'link-closed'), ...room.events(high, 'link-closed')]).toEqual([])
    expect(offers).toHaveLength(2)
  })

  it('is avoided among members: the lower nodeId dials, the higher one only after 2 seconds', () => {
    const hub = coreOf(1)
    const [low, high] = [coreOf(2), coreOf(3)]
    room.contacts = (asker) => (asker === hub.nodeId ? [] : [hub.nodeId])
    for (const core of [hub, low, high]) room.join(core)
    const offers = watchOffers()
    room.until(() => isLinked(low, high), 'the two are linked')
    expect(
      offers.filter(({ to }) => to !== hub.nodeId),
      'by the signaling server',
    ).toEqual([])
    const routed = room.sent.filter(({ frame, to }) => frame.kind === 'signal' && to === hub.nodeId)
    expect(routed.map(({ route, frame }) => [route!.origin, frame])).toMatchObject([
      [low.nodeId, { data: expect.stringContaining('"d":"offer ') as string }],
      [high.nodeId, { data: expect.stringContaining('"d":"answer ') as string }],
    ])
  })

  it('gives the dialling to the higher one where the lower one cannot', () => {
    const hub = coreOf(1)
    const [low, high] = [coreOf(2), coreOf(3)]
    room.contacts = (asker) => (asker === hub.nodeId ? [] : [hub.nodeId])
    for (const core of [hub, low, high]) room.join(core)
    room.connects = (from, to) => !(from === low.nodeId && to === high.nodeId)
    room.until(() => agree([hub, low, high]), 'all know each other')
    room.until(() => isLinked(low, high), 'the higher one dialled', 30_000)
  })
})

describe('attempts', () => {
  it('that lead nowhere are given up after 10 seconds, and dialled again with growing pauses', () => {
    const core = coreOf(1)
    const silent = new Puppet(room)
    room.contacts = () => [silent.nodeId]
    const offers = watchOffers()
    room.connects = () => false
    room.join(silent)
    room.join(core)
    room.run(150_000)
    expect(room.events(core, 'link-failed').length).toBeGreaterThan(4)
    for (const { reason } of room.events(core, 'link-failed')) expect(reason).toBe('no link within 10000 ms')
    const pauses = offers.slice(1).map(({ at }, i) => at - offers[i]!.at - 10_000)
    for (const [i, pause] of pauses.entries()) {
      const longest = Math.min(15_000, 500 * 2 ** (i + 1))
      expect(pause).toBeGreaterThanOrEqual(longest / 2)
      expect(pause).toBeLessThanOrEqual(longest)
    }
  })

  it('of a newcomer begin with one contact; another is tried beside it after each second without a word', () => {
    const core = coreOf(1)
    const strangers = Array.from({ length: 16 }, (_, i) => nodeIdOf(50 + i))
    room.contacts = () => strangers
    const offers = watchOffers()
    const { signals } = room
    room.signals = (from, to, data) => signals(from, to, data) && false
    room.join(core)
    room.run(900)
    expect(offers).toHaveLength(1)
    room.run(1_000)
    expect(offers).toHaveLength(2)
    room.run(3_000)
    expect(offers).toHaveLength(5)
    expect(new Set(offers.map(({ to }) => to)).size).toBe(5)
    room.run(5_000)
    expect(offers, 'at most 8 at a time, until the first is given up').toHaveLength(8)
    room.run(2_000)
    expect(offers.length).toBeGreaterThan(8)
  })

  it('end at once where the signaling server says that the member is gone', () => {
    const core = coreOf(1)
    const gone = nodeIdOf(50)
    room.contacts = () => [gone]
    room.join(core)
    room.run(10)
    expect(room.events(core, 'link-failed')).toMatchObject([{ nodeId: gone }])
    expect(room.events(core, 'link-failed')[0]!.reason).toContain('gone')
  })

  it('stop while signaling is down, and go on when it is back', () => {
    const { room: cells, cores } = cluster(2)
    const [a, b] = cores as [NodeCore, NodeCore]
    for (const core of cores) cells.disconnectSignaling(core)
    cells.cut(a, b)
    cells.run(30_000)
    expect(cores.map((core) => core.status)).toEqual(['isolated', 'isolated'])
    expect(cores.map((core) => core.links().length)).toEqual([0, 0])
    for (const core of cores) cells.connectSignaling(core)
    cells.until(() => agree(cores) && isLinked(a, b), 'linked again', 5_000)
  })

  it('from a member that has lost its link take the place of the old one', () => {
    const { core, puppet } = coreWithPuppet()
    puppet.enter(core.nodeId)
    room.run(10)
    expect(core.links()).toHaveLength(1)
    expect(core.table.status(puppet.nodeId)).toBe('up')
    expect(room.events(core, 'link-closed')).toMatchObject([{ reason: 'replaced by a newer link' }])
  })

  it('leave the old one alone until they have come to a link', () => {
    const { core, puppet } = coreWithPuppet()
    puppet.dial(core.nodeId)
    room.run(DEFAULT_TUNING.linkTimeoutMs - 1)
    expect(core.links()).toHaveLength(1)
    expect(room.events(core, 'link-closed')).toEqual([])
  })

  it('are turned away where there is no room for another link', () => {
    const core = coreOf(1, { minLinks: 1, maxLinks: 1 })
    room.contacts = () => []
    room.join(core)
    const puppets = Array.from({ length: 4 }, (_, i) => new Puppet(room, nodeIdOf(50 + i)))
    for (const puppet of puppets) {
      room.join(puppet)
      puppet.dial(core.nodeId)
    }
    expect(puppets.filter(({ isOpen }) => isOpen)).toHaveLength(3)
    expect(puppets.at(-1)!.ended).toBe('no room for another link')
  })

  it('that are turned away by all contacts are made elsewhere soon', () => {
    const [full, open, newcomer] = [coreOf(1, { minLinks: 1, maxLinks: 1 }), coreOf(2), coreOf(3)]
    room.contacts = () => []
    room.join(full)
    for (let i = 0; i < 3; i++) {
      const puppet = new Puppet(room, nodeIdOf(50 + i))
      room.join(puppet)
      puppet.dial(full.nodeId)
    }
    room.join(open)
    room.contacts = () => [full.nodeId]
    room.join(newcomer)
    room.run(100)
    expect(newcomer.status).toBe('joining')
    room.contacts = () => [open.nodeId]
    room.run(900)
    expect(newcomer.status).toBe('up')
    expect(isLinked(newcomer, open)).toBe(true)
  })
})

/** With signaling. */
function meshOf(table: MembershipTable, outbox: Outbox, nextLinkId: () => number): Mesh {
  const mesh = new Mesh({
    table,
    outbox,
    random: () => 0.5,
    tuning: DEFAULT_TUNING,
    minLinks: 4,
    maxLinks: 31,
    canLink: true,
    canRelay: false,
    isShutOut: () => false,
    carrySignal: () => false,
    leadsTo: () => false,
    nextLinkId,
    onEnded: () => undefined,
    onSignOfLife: () => undefined,
  })
  mesh.signalingUp()
  return mesh
}

describe('a link that lingers for its last word', () => {
  it('leaves nothing in the outbox once the other end has closed it', () => {
    const dropped: number[] = []
    class Watched extends Outbox {
      override drop(linkId: number): void {
        dropped.push(linkId)
        super.drop(linkId)
      }
    }
    const [table, outbox] = [tableOf(1), new Watched()]
    const mesh = meshOf(table, outbox, () => 7)
    mesh.addContacts([nodeIdOf(2)])
    mesh.settle(0)
    outbox.frame(7, { kind: 'unlink' })
    mesh.linger(7, 'over', 1)
    expect(outbox.take().filter(({ type }) => type === 'link-send')).toHaveLength(1)
    mesh.closed(7, 'closed by the other end', 2)
    expect(dropped).toEqual([7])
  })
})

describe('failures', () => {
  it('of strangers that never became members are forgotten', () => {
    const [table, outbox] = [tableOf(1), new Outbox()]
    let linkId = 0
    const mesh = meshOf(table, outbox, () => ++linkId)
    const member = nodeIdOf(2)
    table.apply(wholeOf(member), 0, 0, 'test')
    const strangers = Array.from({ length: 30 }, (_, i) => nodeIdOf(1_000 + i))
    mesh.addContacts(strangers)
    mesh.settle(0)
    for (let ended = 1; ended <= linkId; ended++) {
      mesh.closed(ended, 'failed', ended)
      mesh.settle(ended)
    }
    expect(linkId, 'each was dialled once').toBe(31)
    for (const stranger of [member, ...strangers]) {
      expect(mesh.unansweredBy(stranger)).toBe(1)
      mesh.dropContact(stranger)
    }
    // Looked through whenever members come or go.
    table.apply(wholeOf(nodeIdOf(3)), 0, 200, 'test')
    mesh.settle(200)
    expect(strangers.filter((stranger) => mesh.unansweredBy(stranger) > 0)).toEqual([])
    expect(mesh.unansweredBy(member), 'of a member').toBe(1)
  })
})

describe('signaling messages', () => {
  let core: NodeCore
  const from = nodeIdOf(50)

  beforeEach(() => {
    core = coreOf(1)
    room.contacts = () => []
    room.join(core)
    room.run(10)
  })

  const tell = (data: string): void => room.feed(core, { type: 'signaling-message', from, data })

  it('that are no envelopes are an event each, and nothing else', () => {
    const good = { s: 'aaaaaaaa', q: 0, d: 'x' }
    const wrong: unknown[] = [
      null,
      [],
      1,
      'text',
      {},
      { ...good, s: 'AAAAAAAA' },
      { ...good, s: 'aaaaaaa' },
      { ...good, s: 8 },
      { ...good, q: -1 },
      { ...good, q: 1.5 },
      { ...good, q: 1_001 },
      { ...good, q: '0' },
      { ...good, d: 7 },
      { ...good, x: 'both' },
      { ...good, w: true },
      { s: 'aaaaaaaa', q: 0 },
      { s: 'aaaaaaaa', q: 0, x: {} },
      { ...good, d: 'x'.repeat(50_000) },
    ]
    for (const value of wrong) tell(JSON.stringify(value))
    for (const text of ['', '{', 'undefined', '\u0000', `{"s":`]) tell(text)
    const rejected = room.events(core, 'frame-rejected')
    expect(rejected).toHaveLength(wrong.length + 5)
    for (const { nodeId, reason } of rejected)
      expect([nodeId, reason]).toEqual([from, 'signaling message is malformed'])
    expect(core.links()).toEqual([])
    expect(core.status).toBe('up')
  })

  it('of unknown sessions that are no offers are ignored', () => {
    tell(encodeSignal({ session: 'aaaaaaaa', sequence: 3, data: 'candidate' }))
    tell(encodeSignal({ session: 'aaaaaaab', sequence: 0, ended: 'over' }))
    expect(room.events(core, 'link-failed')).toEqual([])
    expect(room.events(core, 'frame-rejected')).toEqual([])
  })

  it('that arrive twice count once, also after their session has ended', () => {
    const offer = encodeSignal({ session: 'aaaaaaaa', sequence: 0, data: 'no real offer' })
    tell(offer)
    tell(offer)
    tell(encodeSignal({ session: 'aaaaaaaa', sequence: 1, ended: 'x'.repeat(500) }))
    tell(offer)
    const failed = room.events(core, 'link-failed')
    expect(failed).toHaveLength(1)
    expect(failed[0]!.reason).toHaveLength('refused: '.length + 200)
  })

  it('keep their content', () => {
    for (const envelope of [
      { session: 'abcdefgh', sequence: 0, data: '{"type":"offer","sdp":"é\\u0000"}' },
      { session: '22222222', sequence: 1_000, ended: 'why' },
      { session: 'abcdefgh', sequence: 5, data: '' },
      { session: 'abcdefgh', sequence: 0, data: 'offer', relay: true },
      { session: 'abcdefgh', sequence: 0, data: 'offer', wish: true },
    ]) {
      expect(decodeSignal(encodeSignal(envelope))).toEqual(envelope)
    }
  })
})

describe('a link that brings faults', () => {
  it('is closed at the third, with an event for each', () => {
    const { room: cells, cores } = cluster(2)
    const puppet = new Puppet(cells)
    cells.join(puppet)
    puppet.enter(cores[0]!.nodeId)
    const unknownKind = Uint8Array.of(3, 1, 99, 0)
    for (let i = 1; i <= 3; i++) {
      puppet.sayBytes(unknownKind)
      cells.run(5)
      expect(cells.events(cores[0]!, 'frame-rejected')).toHaveLength(i)
      expect(puppet.ended === undefined).toBe(i < 3)
    }
    expect(cells.events(cores[0]!, 'frame-rejected')[0]).toMatchObject({
      nodeId: puppet.nodeId,
      reason: 'frame kind is unknown',
    })
    expect(isLinked(cores[0]!, cores[1]!)).toBe(true)
  })

  it('gives nothing of a message with a fault', () => {
    const { room: cells, cores } = cluster(1)
    const puppet = new Puppet(cells)
    cells.join(puppet)
    puppet.enter(cores[0]!.nodeId)
    const ping = encodeMessage([encodeFrame({ kind: 'ping', token: 5 })])
    cells.run(5)
    const before = puppet.heard('ack').length
    puppet.sayBytes(Uint8Array.of(...ping, 9))
    cells.run(5)
    expect(puppet.heard('ack')).toHaveLength(before)
    puppet.sayBytes(ping)
    cells.run(5)
    expect(puppet.heard('ack').at(-1)).toEqual({ kind: 'ack', token: 5 })
  })

  it('carries no frames over several links but those that are meant for it', () => {
    const { room: cells, cores } = cluster(1)
    const puppet = new Puppet(cells)
    cells.join(puppet)
    puppet.enter(cores[0]!.nodeId)
    const route = { origin: puppet.nodeId, destination: cores[0]!.nodeId, ttl: 3, trail: [1] }
    puppet.sayBytes(encodeMessage([encodeFrame({ kind: 'ping', token: 5 }, route)]))
    cells.run(5)
    expect(cells.events(cores[0]!, 'frame-rejected')).toMatchObject([
      { reason: 'ping is not carried over several links' },
    ])
  })
})
