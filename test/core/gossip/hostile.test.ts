/** Frames that are valid and hostile: what they can do today, and where it ends. No identity is proven yet. */
import { beforeEach, describe, expect, it } from 'vitest'
import type { NodeCore } from '../../../src/core/node.ts'
import { ALL_BUCKETS } from '../../../src/core/membership/digest.ts'
import { DEFAULT_LIMITS } from '../../../src/core/tuning.ts'
import { MAX_MESSAGE } from '../../../src/core/wire/codec.ts'
import { WireLimits } from '../../../src/core/wire/decode.ts'
import type { Frame, OriginRange } from '../../../src/core/wire/frames.ts'
import { nodeIdOf, wholeOf } from '../support/names.ts'
import { agree, cluster, coreOf, isLinked } from '../support/nodes.ts'
import { Puppet } from '../support/puppet.ts'
import type { Room } from '../support/room.ts'

const MEMBERS = 100

let room: Room
let target: NodeCore
let witness: NodeCore
let puppet: Puppet

beforeEach(() => {
  const two = cluster(2, { limits: { ...DEFAULT_LIMITS, members: MEMBERS } })
  room = two.room
  ;[target, witness] = two.cores as [NodeCore, NodeCore]
  // What is sent to made-up members vanishes: nobody tells that they are not there.
  room.signals = (_, to) => [target, witness, puppet].some(({ nodeId }) => nodeId === to)
  puppet = new Puppet(room)
  room.join(puppet)
  puppet.enter(target.nodeId)
})

const fakes = (count: number, patch: object = {}): OriginRange[] =>
  Array.from({ length: count }, (_, i) => wholeOf(nodeIdOf(5_000 + i), patch))

/** Both honest members still see each other, and what the other does. */
function expectUnharmed(): void {
  expect(isLinked(target, witness)).toBe(true)
  const meta = `"${room.now}"`
  room.feed(target, { type: 'set-meta', meta })
  const sees = () => witness.table.get(target.nodeId)?.self?.meta === meta
  const isUp = () => [target, witness].every(({ nodeId }) => witness.table.status(nodeId) === 'up')
  room.until(
    () => sees() && isUp() && target.table.status(witness.nodeId) === 'up',
    'each sees what the other does',
    2_000,
  )
}

describe('made-up members', () => {
  it('fill the table to its limit and no further, with an event', () => {
    puppet.say({ kind: 'delta', ranges: fakes(2 * MEMBERS) })
    room.run(50)
    expect(target.table.size).toBe(MEMBERS)
    expect(room.events(target, 'frame-rejected')).toMatchObject([
      { nodeId: puppet.nodeId, reason: `the table is full (${MEMBERS} records)` },
    ])
    const newcomer = coreOf(3)
    room.join(newcomer)
    room.signals = (_, to) => to.length > 0
    room.until(
      () => room.events(newcomer, 'handshake-refused').length > 0,
      'the newcomer is told why',
      30_000,
    )
    expect(room.events(newcomer, 'handshake-refused')[0]).toMatchObject({ by: 'them', code: 'table-full' })
    expectUnharmed()
  })

  it('that are removed fill it as well, and are forgotten in time', () => {
    const ranges = fakes(2 * MEMBERS).map(({ nodeId }): OriginRange => {
      const accusation = { rank: 'removed', incarnation: 0, observers: [] } as const
      return { nodeId, from: 0, to: 0, floor: 0, self: undefined, entries: [], accusation }
    })
    puppet.say({ kind: 'delta', ranges })
    room.run(50)
    expect(target.table.size).toBe(MEMBERS)
    room.run(700_000)
    expect(target.table.size).toBeLessThan(10)
    expect([...target.table.records()].filter(({ self }) => self).length).toBeLessThanOrEqual(3)
  })

  it('cost no more dials than there are dials at a time', () => {
    puppet.say({ kind: 'delta', ranges: fakes(20) })
    room.run(2_500)
    // Offered through whoever told of them.
    const offers = room.sent.filter(({ frame, from }) => frame.kind === 'signal' && from === target.nodeId)
    expect(new Set(offers.map(({ route }) => route!.destination)).size).toBe(8)
    expectUnharmed()
  })
})

describe('numbers at their limits', () => {
  it('of made-up members are taken over and passed on', () => {
    const top = WireLimits.counter
    puppet.say({ kind: 'delta', ranges: fakes(1, { counter: top, incarnation: top }) })
    room.until(() => witness.table.get(nodeIdOf(5_000))?.counter === top, 'the witness has it', 100)
    expectUnharmed()
  })

  it('of another member’s record silence that life; its process goes on as another one', () => {
    const before = witness.nodeId
    const counter = WireLimits.counter
    puppet.say({ kind: 'delta', ranges: [wholeOf(before, { counter, meta: '"forged"' })] })
    room.until(() => witness.nodeId !== before, 'the witness notices', 1_000)
    room.until(() => witness.status === 'up' && target.table.status(witness.nodeId) === 'up', 'it is back')
    expect(target.table.status(before)).toBe('removed')
    room.until(() => isLinked(target, witness), 'linked again')
    expectUnharmed()
  })

  it('in a digest that claims more of us than we wrote have the same end', () => {
    const before = target.nodeId
    const entries = [{ nodeId: before, counter: WireLimits.counter }]
    puppet.say({ kind: 'digest', mask: ALL_BUCKETS, entries })
    room.until(() => target.nodeId !== before && target.status === 'up', 'the target goes on', 1_000)
    room.until(() => agree([target, witness]) || isLinked(target, witness), 'linked again')
  })

  it('in accusations of others are erased by no refutation but their own life’s end', () => {
    const { nodeId, counter } = target.table.get(witness.nodeId)!
    const accusation = {
      rank: 'unreachable',
      incarnation: WireLimits.counter,
      observers: [puppet.nodeId],
    } as const
    puppet.say({
      kind: 'delta',
      ranges: [{ nodeId, from: counter, to: counter, floor: 0, self: undefined, entries: [], accusation }],
    })
    room.until(() => witness.nodeId !== nodeId && isLinked(target, witness), 'the witness goes on')
    expectUnharmed()
  })
})

describe('large and many', () => {
  it('digests of as many members as a message holds are answered within the limits of a message', () => {
    const entries = Array.from({ length: 1_400 }, (_, i) => ({ nodeId: nodeIdOf(10_000 + i), counter: 1 }))
    puppet.say({ kind: 'digest', mask: ALL_BUCKETS, entries })
    room.run(5)
    const asked = puppet.heard('missing').flatMap(({ ranges }) => ranges)
    expect(asked.length).toBeLessThanOrEqual(entries.length)
    expect(puppet.receivedBytes).toBeLessThan(2 * MAX_MESSAGE)
    expectUnharmed()
  })

  it('meta past the limit is refused with an event; below it, it may be any text', () => {
    const deep = '['.repeat(512) + ']'.repeat(512)
    puppet.say({ kind: 'delta', ranges: [wholeOf(nodeIdOf(5_000), { meta: deep })] })
    puppet.say({ kind: 'delta', ranges: [wholeOf(nodeIdOf(5_001), { meta: 'x'.repeat(16_000) })] })
    room.run(20)
    expect(witness.table.get(nodeIdOf(5_000))!.self!.meta).toBe(deep)
    expect(target.table.get(nodeIdOf(5_001))).toBeUndefined()
    expect(room.events(target, 'frame-rejected')).toMatchObject([
      { reason: `meta of ${nodeIdOf(5_001)} has 16000 bytes, over its limit of 1024` },
    ])
    expectUnharmed()
  })

  it('values past their number never make a record that does not fit into a message', () => {
    const entry = (i: number) => ({ key: `key${i}`, version: i + 2, value: 'x'.repeat(1_000) })
    let from = 0
    for (let part = 0; part < 5; part++) {
      const entries = Array.from({ length: 20 }, (_, i) => entry(part * 20 + i))
      const to = entries.at(-1)!.version
      const self = part === 0 ? { ...wholeOf(nodeIdOf(5_000)).self!, counter: 1 } : undefined
      puppet.say({ kind: 'delta', ranges: [{ nodeId: nodeIdOf(5_000), from, to, floor: 0, self, entries }] })
      from = to
    }
    room.run(50)
    expect(target.table.get(nodeIdOf(5_000))!.entries.size).toBe(33)
    puppet.received = []
    puppet.say({ kind: 'missing', ranges: [{ nodeId: nodeIdOf(5_000), from: 0 }] })
    room.run(5)
    expect(puppet.heard('delta')[0]!.ranges[0]!.entries).toHaveLength(33)
    expectUnharmed()
  })

  it('pings are answered one for one', () => {
    const pings = Array.from({ length: 2_000 }, (_, token): Frame => ({ kind: 'ping', token }))
    const before = puppet.heard('ack').length
    puppet.say(...pings)
    room.run(5)
    expect(puppet.heard('ack')).toHaveLength(before + pings.length)
  })

  it('status frames with made-up bitmaps confirm nothing', () => {
    room.passes = (from, to) => !(from === witness.nodeId && to === target.nodeId)
    room.feed(target, { type: 'set-meta', meta: '"new"' })
    room.run(20)
    const { viewHi, viewLo, content } = target.table.hash
    for (const published of [new Uint8Array(1_024).fill(255), new Uint8Array(0), Uint8Array.of(255, 255)]) {
      puppet.say({ kind: 'status', viewHi, viewLo: viewLo ^ 1, content, published })
      puppet.say({ kind: 'status', viewHi, viewLo, content, published })
    }
    room.run(20)
    expect(target.gossipState).not.toBe('confirmed')
  })
})

describe('without proof of identity, a member can', () => {
  it('still remove another one: its process goes on as another life', () => {
    const before = witness.nodeId
    const accusation = { rank: 'removed', incarnation: 0, observers: [] } as const
    const range = { nodeId: before, from: 0, to: 0, floor: 0, self: undefined, entries: [], accusation }
    puppet.say({ kind: 'delta', ranges: [range] })
    room.until(() => witness.nodeId !== before && isLinked(target, witness), 'the witness goes on')
    expectUnharmed()
  })

  it('still claim that all have published: one byte of the right length is believed', () => {
    room.passes = (from, to) => !(from === witness.nodeId && to === target.nodeId)
    room.feed(target, { type: 'set-meta', meta: '"new"' })
    room.run(20)
    const { viewHi, viewLo, content } = target.table.hash
    puppet.say({ kind: 'status', viewHi, viewLo, content, published: Uint8Array.of(0b111) })
    room.run(20)
    expect(target.gossipState).toBe('confirmed')
  })
})
