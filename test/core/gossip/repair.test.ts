/** What repairs tables: missing ranges at once, digests of differing buckets where a mismatch lasts. */
import { beforeEach, describe, expect, it } from 'vitest'
import type { NodeCore } from '../../../src/core/node.ts'
import { ALL_BUCKETS } from '../../../src/core/membership/digest.ts'
import { DEFAULT_TUNING } from '../../../src/core/tuning.ts'
import type { Frame } from '../../../src/core/wire/frames.ts'
import { nodeIdOf, wholeOf } from '../support/names.ts'
import { agree, allConfirmed, cluster, coreOf } from '../support/nodes.ts'
import { Puppet } from '../support/puppet.ts'
import type { Room } from '../support/room.ts'

let room: Room
let a: NodeCore
let b: NodeCore

beforeEach(() => {
  const two = cluster(2)
  room = two.room
  ;[a, b] = two.cores as [NodeCore, NodeCore]
  room.run(3_000)
  room.sent.length = 0
})

const valueAt = (core: NodeCore, key: string): string | undefined =>
  core.table.get(a.nodeId)?.entries.get(key)?.value

/** Loses every delta from a to b while `change` is made and passed on. */
function lost(change: () => void): void {
  room.passes = (from, _, frames) => from !== a.nodeId || !frames.some(({ kind }) => kind === 'delta')
  change()
  room.run(30)
  room.passes = () => true
}

const set = (key: string, value: string): void => room.feed(a, { type: 'set-peer-state', key, value })

describe('eager gossip', () => {
  it('gathers changes for a few ms and sends them as one range', () => {
    set('x', '1')
    set('y', '2')
    set('x', '3')
    room.run(20)
    const deltas = room.frames('delta')
    expect(deltas).toHaveLength(1)
    const [range] = deltas[0]!.frame.ranges
    expect(range).toMatchObject({ nodeId: a.nodeId, from: range!.to - 3, self: undefined })
    expect(range!.entries.map(({ key, value }) => `${key}=${value}`)).toEqual(['x=3', 'y=2'])
    expect([valueAt(b, 'x'), valueAt(b, 'y')]).toEqual(['3', '2'])
  })

  it('does not send a change back to whom it came from', () => {
    set('x', '1')
    room.run(100)
    expect(room.frames('delta').map(({ from }) => from)).toEqual([a.nodeId])
  })

  it('passes a change on to who is not linked to its origin', () => {
    const c = coreOf(3)
    room.connects = (from, to) =>
      !(from === a.nodeId && to === c.nodeId) && !(from === c.nodeId && to === a.nodeId)
    room.join(c)
    room.until(() => agree([a, b, c]), 'c knows a through b')
    set('x', '1')
    room.until(() => valueAt(c, 'x') === '1', 'c has the value', 100)
  })
})

describe('a gap', () => {
  it('is asked for at once, told as an event, and repaired', () => {
    lost(() => set('x', '1'))
    const known = b.table.get(a.nodeId)!.counter
    set('y', '2')
    room.until(() => valueAt(b, 'x') === '1' && valueAt(b, 'y') === '2', 'the gap is repaired', 50)
    expect(room.events(b, 'gap')).toMatchObject([{ nodeId: a.nodeId, known, from: known + 1 }])
    expect(room.frames('missing').map(({ frame }) => frame.ranges)).toEqual([
      [{ nodeId: a.nodeId, from: known }],
    ])
    room.until(() => allConfirmed([a, b]), 'confirmed again', 500)
  })

  it('is reconciling until it is answered, or for 5 seconds', () => {
    const stranger = new Puppet(room)
    room.join(stranger)
    stranger.enter(b.nodeId)
    stranger.say({
      kind: 'delta',
      ranges: [{ ...wholeOf(stranger.nodeId), from: 6, to: 7, self: undefined }],
    })
    room.run(5)
    expect(b.gossipState).toBe('reconciling')
    stranger.say({ kind: 'delta', ranges: [wholeOf(stranger.nodeId, { counter: 7 })] })
    room.run(5)
    expect(b.gossipState).not.toBe('reconciling')
    stranger.say({
      kind: 'delta',
      ranges: [{ ...wholeOf(stranger.nodeId), from: 10, to: 11, self: undefined }],
    })
    room.run(5)
    expect(b.gossipState).toBe('reconciling')
    room.run(5_000)
    expect(b.gossipState).not.toBe('reconciling')
  })
})

describe('a mismatch of status', () => {
  it('starts a sync after two quiet periods, and not before', () => {
    const { statusIntervalMs } = DEFAULT_TUNING
    lost(() => set('x', '1'))
    const since = room.now
    room.until(() => room.frames('buckets').length > 0, 'a sync', 5 * statusIntervalMs)
    expect(room.now - since).toBeGreaterThan(1.5 * statusIntervalMs)
    room.until(() => valueAt(b, 'x') === '1', 'the sync repairs', 100)
    room.run(4 * statusIntervalMs)
    expect(room.frames('buckets')).toHaveLength(1)
    expect(a.table.hash.buckets).toEqual(b.table.hash.buckets)
  })

  it('is nobody’s business where there is none', () => {
    room.run(60_000)
    const kinds = new Set(room.sent.map(({ frame }) => frame.kind))
    expect([...kinds].sort()).toEqual(['ack', 'ping', 'status'])
  })

  it('that one side has collected is found by the other side’s turn', () => {
    const gone = nodeIdOf(0)
    const puppet = new Puppet(room)
    room.join(puppet)
    puppet.enter(a.nodeId)
    puppet.say({ kind: 'delta', ranges: [wholeOf(gone)] })
    room.until(() => b.table.status(gone) === 'up', 'both know it')
    puppet.hangUp()
    // One knows its end and has forgotten all but the generation; word of it never came to the other.
    for (const [knower, other] of [
      [a, b],
      [b, a],
    ] as const) {
      if (other.table.status(gone) !== 'up') continue
      room.passes = (_, __, frames) => !frames.some(({ kind }) => kind === 'delta')
      knower.table.remove(gone, room.now, 'test')
      knower.table.collect(Infinity)
      room.run(50)
      room.passes = () => true
      expect(other.table.status(gone)).toBe('up')
      room.until(() => other.table.status(gone) === 'removed', 'its end is told', 30_000)
    }
  })
})

describe('the cost of a sync', () => {
  const SIZE = 500

  /** Bytes of sync frames that repair `count` records of `SIZE`. */
  function costOf(count: number): number {
    const { room: cells, cores } = cluster(2)
    const [low, high] = cores as [NodeCore, NodeCore]
    cells.run(3_000)
    // Without signaling nobody dials, or accuses, members that are not there.
    for (const core of [low, high]) cells.disconnectSignaling(core)
    const records = Array.from({ length: SIZE }, (_, i) => wholeOf(nodeIdOf(100 + i)))
    for (const { table } of [low, high]) for (const range of records) table.apply(range, 9, 0, 'test')
    // What is put into the tables is not forwarded.
    cells.passes = (_, __, frames) => !frames.some(({ kind }) => kind === 'delta')
    for (const core of [low, high]) cells.feed(core, { type: 'tick' })
    cells.run(6_000)
    for (let i = 0; i < count; i++) {
      low.table.apply(wholeOf(nodeIdOf(100 + 37 * i), { counter: 2, meta: '"changed"' }), 9, 0, 'test')
    }
    cells.feed(low, { type: 'tick' })
    cells.run(100)
    cells.passes = () => true
    cells.sent.length = 0
    const isEqual = () => low.table.hash.content === high.table.hash.content
    cells.until(isEqual, 'the tables are equal', 30_000)
    const isSync = ({ kind }: Frame) => ['buckets', 'digest', 'missing', 'delta'].includes(kind)
    return cells.sent.reduce((sum, { frame, bytes }) => sum + (isSync(frame) ? bytes : 0), 0)
  }

  it('follows the difference, not the size of the table', () => {
    const [one, ten] = [costOf(1), costOf(10)]
    // Bucket hashes (256), a digest of one bucket (about 8 of 500 records, 39 bytes each), and one record.
    expect(one).toBeLessThan(1_100)
    expect(ten).toBeGreaterThan(3 * one)
    expect(ten).toBeLessThan(10 * one)
    const everything = SIZE * 40
    expect(one).toBeLessThan(everything / 15)
  })
})

const times = <T>(count: number, value: T): T[] => Array.from({ length: count }, () => value)

describe('answers', () => {
  let puppet: Puppet

  beforeEach(() => {
    puppet = new Puppet(room)
    room.join(puppet)
    puppet.enter(a.nodeId)
    for (let i = 0; i < 60; i++) a.table.apply(wholeOf(nodeIdOf(100 + i)), 9, 0, 'test')
    room.run(100)
    puppet.received = []
    puppet.receivedBytes = 0
  })

  const table = () => a.table.size

  it('to the same question a thousand times over are given once', () => {
    const missing: Frame = { kind: 'missing', ranges: times(1_000, { nodeId: a.nodeId, from: 0 }) }
    puppet.say(missing)
    room.run(5)
    expect(puppet.heard('delta').flatMap(({ ranges }) => ranges)).toHaveLength(1)
    const single: Frame = { kind: 'missing', ranges: [{ nodeId: a.nodeId, from: 0 }] }
    puppet.received = []
    puppet.say(...times(1_000, single))
    room.run(5)
    expect(puppet.heard('delta').flatMap(({ ranges }) => ranges)).toHaveLength(1)
  })

  it('start from the lowest version that was asked for', () => {
    const froms = [9, 1, 5]
    puppet.say({ kind: 'missing', ranges: froms.map((from) => ({ nodeId: a.nodeId, from })) })
    room.run(5)
    expect(puppet.heard('delta')[0]!.ranges).toMatchObject([{ nodeId: a.nodeId, from: 1 }])
  })

  it('to a flood of digests and buckets are never more than the table', () => {
    const digest: Frame = { kind: 'digest', mask: ALL_BUCKETS, entries: [] }
    puppet.say(...times(3_000, digest))
    room.run(5)
    expect(puppet.heard('delta').flatMap(({ ranges }) => ranges)).toHaveLength(table())
    puppet.received = []
    puppet.say(...times<Frame>(200, { kind: 'buckets', buckets: new Uint32Array(64) }))
    room.run(5)
    const listed = puppet.heard('digest').flatMap(({ entries }) => entries)
    expect(listed).toHaveLength(table())
  })

  it('to a digest that lists one member a thousand times, or outside of its mask, are one or none', () => {
    const entries = times(1_000, { nodeId: a.nodeId, counter: 0 })
    puppet.say({ kind: 'digest', mask: { low: 0, high: 0 }, entries })
    room.run(5)
    expect(puppet.heard('delta')).toEqual([])
    puppet.say({ kind: 'digest', mask: ALL_BUCKETS, entries })
    room.run(5)
    const ranges = puppet.heard('delta').flatMap(({ ranges: given }) => given)
    expect(ranges.filter(({ nodeId }) => nodeId === a.nodeId)).toHaveLength(1)
  })

  it('to a digest in several parts cover all of them', () => {
    const halves = [
      { low: 0xffffffff, high: 0 },
      { low: 0, high: 0xffffffff },
    ]
    puppet.say(...halves.map((mask): Frame => ({ kind: 'digest', mask, entries: [] })))
    room.run(5)
    expect(puppet.heard('delta').flatMap(({ ranges }) => ranges)).toHaveLength(table())
  })

  it('to who asks for the unknown are none', () => {
    puppet.say({ kind: 'missing', ranges: [{ nodeId: nodeIdOf(800), from: 0 }] })
    room.run(5)
    expect(puppet.heard('delta')).toEqual([])
  })
})
