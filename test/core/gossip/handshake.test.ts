/** The mutual hello: who is let in, who is refused and why, and what a refused one does. */
import { beforeEach, describe, expect, it } from 'vitest'
import { parseNodeId } from '../../../src/core/identity/node-id.ts'
import type { NodeCore } from '../../../src/core/node.ts'
import { REMOVED } from '../../../src/core/membership/record.ts'
import { NONCE_BYTES } from '../../../src/core/wire/frames.ts'
import { DEFAULT_LIMITS } from '../../../src/core/tuning.ts'
import { authorityOf, nodeIdOf, wholeOf } from '../support/names.ts'
import { agree, cluster, coreOf, isLinked } from '../support/nodes.ts'
import { Puppet } from '../support/puppet.ts'
import { Room } from '../support/room.ts'

let room: Room
let core: NodeCore
let puppet: Puppet

beforeEach(() => {
  room = new Room()
  core = coreOf(1)
  room.contacts = () => []
  room.join(core)
  room.until(() => core.status === 'up', 'alone in the room')
  puppet = new Puppet(room)
  room.join(puppet)
})

const events = {
  refused: () => room.events(core, 'handshake-refused').map(({ by, code }) => [by, code]),
  rejected: () => room.events(core, 'frame-rejected').map(({ reason }) => reason),
}

describe('a handshake', () => {
  it('is done when both sides have accepted, in either order', () => {
    puppet.introduce(core.nodeId)
    expect(core.links()).toEqual([])
    room.run(5)
    expect(puppet.received.map(({ kind }) => kind)).toEqual(['hello', 'proof', 'accept'])
    expect(core.links()).toEqual([])
    expect(core.table.status(puppet.nodeId)).toBe('up')
    puppet.say({ kind: 'accept', version: 1 })
    room.run(5)
    expect(isLinked(core, puppet)).toBe(true)
    expect(room.events(core, 'link-opened')).toMatchObject([{ nodeId: puppet.nodeId }])
  })

  it('says who the core is, whole, and all it knows while that is little', () => {
    room.feed(core, { type: 'set-peer-state', key: 'cursor', value: '1' })
    puppet.dial(core.nodeId)
    room.run(5)
    const [hello] = puppet.heard('hello')
    expect(hello).toMatchObject({ minVersion: 1, maxVersion: 1, cluster: 'test', nodeId: core.nodeId })
    expect(hello!.own).toMatchObject({ from: 0, entries: [{ key: 'cursor', value: '1' }] })
    expect(hello!.digest).toEqual([{ nodeId: core.nodeId, counter: core.table.get(core.nodeId)!.counter }])
    expect(hello!.buckets).toEqual(core.table.hash.buckets)
  })

  it('gives exactly what the other lacks', () => {
    room.feed(core, { type: 'set-peer-state', key: 'cursor', value: '1' })
    const known = core.table.get(core.nodeId)!.counter
    const digest = [
      { nodeId: puppet.nodeId, counter: 1 },
      { nodeId: core.nodeId, counter: known - 1 },
    ]
    puppet.enter(core.nodeId, { digest })
    const [delta] = puppet.heard('delta')
    expect(delta!.ranges).toMatchObject([
      { nodeId: core.nodeId, from: known - 1, to: known, self: undefined },
    ])
    expect(puppet.heard('missing')).toEqual([])
  })

  it('asks for what it lacks itself', () => {
    const stranger = nodeIdOf(30)
    puppet.enter(core.nodeId, { digest: [{ nodeId: stranger, counter: 3 }] })
    expect(puppet.heard('missing')).toEqual([{ kind: 'missing', ranges: [{ nodeId: stranger, from: 0 }] }])
    puppet.say({ kind: 'delta', ranges: [wholeOf(stranger, { counter: 3 })] })
    room.run(5)
    expect(core.table.status(stranger)).toBe('up')
  })

  it('has 10 seconds, then the attempt is given up', () => {
    puppet.dial(core.nodeId)
    room.until(() => puppet.ended !== undefined, 'the core gives up', 11_000)
    expect(room.events(core, 'link-failed')).toMatchObject([{ reason: 'no link within 10000 ms' }])
  })

  it('allows no other frame before it is done', () => {
    const early = { kind: 'delta', ranges: [wholeOf(nodeIdOf(30))] } as const
    puppet.dial(core.nodeId)
    puppet.say(early)
    room.run(5)
    expect(events.rejected()).toEqual(['delta before the handshake was done'])
    expect(puppet.ended).toBeDefined()
    puppet.dial(core.nodeId)
    puppet.say(puppet.hello(), early)
    room.run(5)
    expect(puppet.ended).toBeDefined()
    expect(core.table.status(nodeIdOf(30))).toBeUndefined()
  })

  it('ends at a fault: hello or accept twice, refuse after accept, a version never offered, another name', () => {
    const accept = { kind: 'accept', version: 1 } as const
    const other = nodeIdOf(31)
    const faults = [
      [[puppet.hello(), puppet.hello({ nonce: new Uint8Array(NONCE_BYTES).fill(255) })], 'hello came twice'],
      [[puppet.hello(), puppet.hello(), puppet.hello()], 'hello came twice'],
      [[puppet.hello(), accept, puppet.hello()], 'hello came twice'],
      [[accept, accept], 'accept came twice'],
      [
        [accept, { kind: 'refuse', code: 'removed', reason: 'on second thoughts' }],
        'refuse came after accept',
      ],
      [[{ ...accept, version: 7 }], 'wire version 7 was accepted but never offered'],
      [
        [puppet.hello({ nodeId: other, own: wholeOf(other) })],
        `${other} answered on a link to ${puppet.nodeId}`,
      ],
    ] as const
    for (const [frames, reason] of faults) {
      puppet.dial(core.nodeId)
      puppet.say(...frames)
      room.run(5)
      expect(events.rejected().at(-1)).toBe(reason)
      expect(puppet.ended).toBeDefined()
    }
    expect(core.table.status(other)).toBeUndefined()
  })
})

describe('a hello that is lost', () => {
  /** Chromium drops what comes before it has said that the channel is open. */
  const losesHello = (lost: (from: string, to: string) => boolean): void => {
    const had = new Set<string>()
    room.passes = (from, to, [first]) => {
      const isFirst = first?.kind === 'hello' && !had.has(`${from} ${to}`)
      if (isFirst) had.add(`${from} ${to}`)
      return !isFirst || !lost(from, to)
    }
  }

  it.each(['the newcomer', 'the member'])('by %s is said again: the link is made at once', (who) => {
    const newcomer = coreOf(2)
    room.contacts = () => [core.nodeId]
    losesHello((from) => from === (who === 'the newcomer' ? newcomer.nodeId : core.nodeId))
    room.join(newcomer)
    room.until(() => isLinked(core, newcomer) && isLinked(newcomer, core), 'they are linked', 500)
    expect(events.rejected()).toEqual([])
    expect(room.events(core, 'link-failed')).toEqual([])
  })

  it('is said again once where no member has a key', () => {
    const publicKey = new Uint8Array(0)
    const [one, two] = [coreOf(11, { publicKey }), coreOf(12, { publicKey })]
    room = new Room()
    room.contacts = () => []
    room.join(one)
    room.until(() => one.status === 'up', 'alone in the room')
    room.contacts = () => [one.nodeId]
    losesHello((from) => from === one.nodeId)
    room.join(two)
    room.until(() => isLinked(one, two) && isLinked(two, one), 'they are linked', 500)
  })

  it('is asked for by the own one, and given once', () => {
    puppet.dial(core.nodeId)
    const hello = puppet.hello()
    puppet.say(hello, hello)
    room.run(5)
    expect(puppet.heard('hello')).toHaveLength(2)
    expect(puppet.heard('hello')[1]).toEqual(puppet.heard('hello')[0])
    expect(puppet.ended).toBeUndefined()
    puppet.prove()
    puppet.say({ kind: 'accept', version: 1 })
    room.run(5)
    expect(isLinked(core, puppet)).toBe(true)
  })
})

describe('a refusal', () => {
  const expectRefusal = (code: string, reason: RegExp): void => {
    room.run(5)
    expect(puppet.heard('refuse')).toMatchObject([{ code, reason: expect.stringMatching(reason) }])
    expect(events.refused()).toEqual([['us', code]])
    expect(core.links()).toEqual([])
    // The last word has time to arrive: the other end closes, or the core does a second later.
    expect(puppet.ended).toBeUndefined()
    room.run(1_100)
    expect(puppet.ended).toBeDefined()
  }

  it('meets who speaks none of our wire versions, with both ranges named', () => {
    puppet.dial(core.nodeId)
    puppet.say(puppet.hello({ minVersion: 7, maxVersion: 9, own: undefined }))
    expectRefusal('schema-mismatch', /1 here, 7 to 9 there; reload the older page/)
  })

  it('meets who comes from another cluster', () => {
    puppet.dial(core.nodeId)
    puppet.say(puppet.hello({ cluster: 'other' }))
    expectRefusal('cluster-mismatch', /cluster "test", not "other"/)
  })

  it('meets a second life of one generation, with both nodeIds in an event', () => {
    puppet.enter(core.nodeId)
    const [kept, refused] = [puppet.nodeId, nodeIdOf(900, 1, 1)]
    puppet = new Puppet(room, refused)
    room.join(puppet)
    puppet.introduce(core.nodeId)
    room.run(5)
    expect(puppet.heard('refuse')).toMatchObject([{ code: 'authority-conflict', kept }])
    expect(room.events(core, 'authority-conflict')).toMatchObject([
      { authority: authorityOf(900), kept, refused },
    ])
    expect(core.table.status(kept)).toBe('up')
    expect(core.table.status(refused)).toBeUndefined()
  })

  it('meets an older life, whether the newer one is here or was', () => {
    const newer = new Puppet(room, nodeIdOf(700, 2))
    const older = new Puppet(room, nodeIdOf(700, 1))
    for (const life of [newer, older]) room.join(life)
    newer.enter(core.nodeId)
    older.introduce(core.nodeId)
    room.run(5)
    const reasons = () => older.heard('refuse').map(({ code, reason }) => `${code}: ${reason}`)
    expect(reasons()).toEqual([
      `authority-conflict: a newer life of ${authorityOf(700)} is here: ${newer.nodeId}`,
    ])
    newer.say({ kind: 'goodbye', reason: '' })
    room.run(5)
    expect(core.table.status(newer.nodeId)).toBe('removed')
    older.introduce(core.nodeId)
    room.run(5)
    expect(reasons()).toEqual([`removed: a newer life of ${authorityOf(700)} was here: ${newer.nodeId}`])
    expect(core.table.status(older.nodeId)).toBeUndefined()
  })

  it('meets a removed life, also when only its generation is remembered', () => {
    puppet.enter(core.nodeId)
    puppet.say({ kind: 'goodbye', reason: '' })
    room.run(5)
    for (const remembered of ['tombstone', 'generation']) {
      if (remembered === 'generation') core.table.collect(Infinity)
      puppet.introduce(core.nodeId)
      room.run(5)
      expect(puppet.heard('refuse')).toMatchObject([
        { code: 'removed', reason: 'this life was removed; go on as the next generation' },
      ])
    }
  })

  it('meets newcomers to a full table', () => {
    core = coreOf(2, { limits: { ...DEFAULT_LIMITS, members: 1 } })
    room.join(core)
    room.run(5)
    puppet.introduce(core.nodeId)
    expectRefusal('table-full', /the table is full \(1 records\)/)
  })

  it('is told by the refused side as well, which does not dial on', () => {
    const stranger = coreOf(5, { cluster: 'other' })
    room.contacts = () => [core.nodeId]
    room.join(stranger)
    room.run(3_000)
    expect(room.events(stranger, 'handshake-refused')[0]).toMatchObject({ code: 'cluster-mismatch' })
    expect(stranger.status).toBe('joining')
    expect(stranger.links()).toEqual([])
  })
})

describe('lives', () => {
  it('that were removed are told so, and go on as the next one with meta and values', () => {
    const { room: cells, cores } = cluster(3, { meta: '"m"' })
    const [a, b, c] = cores as [NodeCore, NodeCore, NodeCore]
    const before = c.nodeId
    cells.feed(c, { type: 'set-peer-state', key: 'cursor', value: '"here"' })
    cells.feed(c, { type: 'set-peer-state', key: 'cleared', value: '1' })
    cells.feed(c, { type: 'set-peer-state', key: 'cleared', value: undefined })
    cells.feed(c, { type: 'set-meta', meta: '"new"' })
    cells.feed(c, { type: 'set-visibility', visibility: 'hidden' })
    cells.run(100)
    a.table.remove(before, cells.now, 'test')
    cells.until(() => agree(cores), 'c is back')
    expect(c.nodeId).not.toBe(before)
    expect(cells.lives(c)).toEqual([before, c.nodeId])
    expect(cells.events(c, 'reborn')).toMatchObject([{ old: before, nodeId: c.nodeId }])
    for (const core of [a, b]) {
      expect(core.table.status(before)).toBe('removed')
      const { self, entries } = core.table.get(c.nodeId)!
      expect(self).toMatchObject({
        meta: '"new"',
        visibility: 'hidden',
        process: c.table.get(c.nodeId)!.self!.process,
      })
      expect(entries.get('cursor')?.value).toBe('"here"')
      expect(entries.get('cleared')).toBeUndefined()
    }
  })

  it('that are superseded by a newer one go on as somebody else, and stay that', () => {
    const newer = coreOf(1, { nodeId: nodeIdOf(1, 2) })
    room.contacts = (asker) => (asker === newer.nodeId ? [core.nodeId] : [])
    const old = core.nodeId
    room.join(newer)
    room.until(() => agree([core, newer]), 'both are members')
    expect(room.events(core, 'superseded')).toMatchObject([{ old, by: newer.nodeId }])
    expect(room.events(core, 'authority-conflict')).toMatchObject([
      { authority: authorityOf(1), kept: newer.nodeId, refused: old },
    ])
    room.run(120_000)
    expect(agree([core, newer])).toBe(true)
    expect(room.lives(newer)).toHaveLength(1)
    expect(room.lives(core)).toEqual([old, core.nodeId])
    expect(parseNodeId(core.nodeId)!.authority).not.toBe(authorityOf(1))
  })

  it('learn of their end from a digest in a hello as well, in whatever order the handshake comes', () => {
    const old = core.nodeId
    puppet.dial(core.nodeId)
    const { rank, incarnation } = REMOVED
    puppet.say(
      { kind: 'accept', version: 1 },
      puppet.hello({
        digest: [{ nodeId: old, counter: 1, accusation: { rank, incarnation, observers: 0 } }],
      }),
    )
    room.run(5)
    expect(room.lives(core), 'nothing is believed before the proof').toEqual([old])
    puppet.prove()
    room.run(5)
    expect(room.lives(core)).toHaveLength(2)
    expect(core.nodeId).not.toBe(old)
    expect(room.events(core, 'status').map(({ from, to }) => `${from} ${to}`)).toEqual([
      'joining up',
      'up joining',
      'joining up',
    ])
  })
})
