/** What an earlier life knew: kept as frames, offered as hashes, taken over only where a contact says it is still so. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MAX_MEMORY, Memory, packMemory, unpackMemory } from '../../../src/core/gossip/memory.ts'
import { bucketOf } from '../../../src/core/membership/content-hash.ts'
import { rangeOf } from '../../../src/core/membership/digest.ts'
import { shortOf } from '../../../src/core/membership/hash.ts'
import { REMOVED } from '../../../src/core/membership/record.ts'
import type { MembershipTable } from '../../../src/core/membership/table.ts'
import type { NodeCore } from '../../../src/core/node.ts'
import { encodeFrame, encodeMessage } from '../../../src/core/wire/codec.ts'
import type { BucketMask, OriginRange } from '../../../src/core/wire/frames.ts'
import { runs } from '../support/arbitraries.ts'
import { nodeIdOf, tableOf, wholeOf } from '../support/names.ts'
import { agree, allConfirmed, cluster, coreOf, isLinked } from '../support/nodes.ts'
import { Puppet } from '../support/puppet.ts'
import { Room } from '../support/room.ts'

const FIRST = 100
const meta = (index: number): string => JSON.stringify({ name: `member ${index}` })

/** Members that are there only as records. */
const others = (count: number): OriginRange[] =>
  Array.from({ length: count }, (_, i) => wholeOf(nodeIdOf(FIRST + i), { meta: meta(i) }))

function unpacked(table: MembershipTable): readonly OriginRange[] {
  const result = unpackMemory(packMemory(table))
  return result.ok ? result.ranges : []
}

function filled(count: number): MembershipTable {
  const table = tableOf(1)
  for (const range of others(count)) table.apply(range, 1, 0, 'test')
  return table
}

const maskOf = (...nodeIds: string[]): BucketMask => {
  const mask = { low: 0, high: 0 }
  for (const nodeId of nodeIds) {
    const bucket = bucketOf(shortOf(nodeId))
    if (bucket < 32) mask.low = (mask.low | (1 << bucket)) >>> 0
    else mask.high = (mask.high | (1 << (bucket - 32))) >>> 0
  }
  return mask
}

const message = (...ranges: OriginRange[]): Uint8Array =>
  encodeMessage([encodeFrame({ kind: 'delta', ranges })])

const reasonOf = (bytes: Uint8Array): string => {
  const result = unpackMemory(bytes)
  return result.ok ? 'nothing' : result.reason
}

describe('a reload', () => {
  it('changes nothing that others publish, so that their memory of each other stays good', () => {
    const { room, cores } = cluster(3)
    const [a, b, c] = cores as [NodeCore, NodeCore, NodeCore]
    room.run(10_000)
    const versions = (): number[] => [a, b].map(({ table, nodeId }) => table.get(nodeId)!.counter)
    const before = versions()
    room.feed(c, { type: 'leave' })
    room.run(500)
    const next = coreOf(3, { nodeId: nodeIdOf(3, 2) })
    room.join(next)
    room.until(() => allConfirmed([a, b, next]), 'the next life is in')
    room.run(10_000)
    expect(versions()).toEqual(before)
    expect(a.table.byShort(a.table.get(next.nodeId)!.short)).toBe(next.nodeId)
    expect([...b.table.get(a.nodeId)!.links]).toContain(b.table.get(next.nodeId)!.short)
  })
})

describe('a packed memory', () => {
  it.each([0, 1, 10, 400])('of %i members comes back as it was', (count) => {
    const table = filled(count)
    const result = unpackMemory(packMemory(table))
    const expected = others(count).map(({ nodeId }) => rangeOf(table.get(nodeId)!, 0))
    expect(result).toEqual({ ok: true, ranges: expected })
  })

  it('holds values, and members that are up and not accused, without this one', () => {
    const table = tableOf(1)
    const value = { key: 'cursor', version: 2, value: '[1,2]' }
    table.apply({ ...wholeOf(nodeIdOf(2), { counter: 2 }), to: 2, entries: [value] }, 1, 0, 'test')
    table.apply(wholeOf(nodeIdOf(3), { status: 'joining' }), 1, 0, 'test')
    table.apply(wholeOf(nodeIdOf(4)), 1, 0, 'test')
    table.accuse(nodeIdOf(4), 'suspect', 'test')
    table.apply(wholeOf(nodeIdOf(5)), 1, 0, 'test')
    table.remove(nodeIdOf(5), 0, 'test')
    const result = unpackMemory(packMemory(table))
    expect(result).toMatchObject({ ok: true, ranges: [{ nodeId: nodeIdOf(2), entries: [value] }] })
    expect(result.ok && result.ranges).toHaveLength(1)
  })

  it('is never larger than it may be, and still whole frames', () => {
    const table = tableOf(1)
    for (let i = 0; i < 1_500; i++)
      table.apply(wholeOf(nodeIdOf(FIRST + i), { meta: 'x'.repeat(1_000) }), 1, 0, 'test')
    const bytes = packMemory(table)
    expect(bytes.length).toBeLessThanOrEqual(MAX_MEMORY)
    expect(bytes.length).toBeGreaterThan(MAX_MEMORY / 2)
    const result = unpackMemory(bytes)
    expect(result.ok && result.ranges.length).toBeGreaterThan(500)
  })

  it('that is cut short, damaged or something else is refused with a reason', () => {
    const bytes = packMemory(filled(20))
    for (let length = 1; length < bytes.length; length++)
      expect(reasonOf(bytes.subarray(0, length))).not.toBe('nothing')
    expect(reasonOf(bytes.subarray(0, 100))).toBe('frame is cut short')
    expect(reasonOf(new Uint8Array(MAX_MEMORY + 1))).toBe(
      `message has ${MAX_MEMORY + 1} bytes, over its limit of ${MAX_MEMORY}`,
    )
    expect(reasonOf(encodeMessage([encodeFrame({ kind: 'ping', token: 1 })]))).toBe(
      'ping is no part of a memory',
    )
    const partial = { ...wholeOf(nodeIdOf(2)), from: 1, to: 2, self: undefined }
    expect(reasonOf(message(partial))).toBe('a record is not whole')
    const empty = { ...wholeOf(nodeIdOf(2)), to: 0, self: undefined }
    expect(reasonOf(message(empty))).toBe('a record is not whole')
    const accused = { ...wholeOf(nodeIdOf(2)), accusation: REMOVED }
    expect(reasonOf(message(accused))).toBe('a record is not whole')
    const unknown = encodeMessage([Uint8Array.of(1, 99, 0)])
    expect(reasonOf(unknown)).toBe('frame kind is unknown')
  })

  it('never throws, whatever storage gives', () => {
    const good = packMemory(filled(5))
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(), fc.nat(255), (noise, at, byte) => {
        const damaged = good.slice()
        damaged[at % damaged.length] = byte
        for (const bytes of [noise, damaged]) {
          const result = unpackMemory(bytes)
          if (!result.ok) expect(result.reason).not.toBe('')
        }
      }),
      runs(500),
    )
  })
})

describe('a memory', () => {
  it('has the hashes that a table has which holds the same', () => {
    const memory = new Memory(others(50), nodeIdOf(1))
    expect(memory.buckets(tableOf(1))).toEqual(filled(50).hash.buckets)
  })

  it('gives what is in confirmed buckets, once', () => {
    const ranges = others(50)
    const memory = new Memory(ranges, nodeIdOf(1))
    const mask = maskOf(ranges[3]!.nodeId)
    const bucket = bucketOf(shortOf(ranges[3]!.nodeId))
    const expected = ranges.filter(({ nodeId }) => bucketOf(shortOf(nodeId)) === bucket)
    memory.offerOver(1)
    expect(memory.recall(2, mask, false), 'from one who was not asked').toEqual([])
    expect(memory.recall(1, mask, false)).toEqual(expected)
    expect(memory.isEmpty).toBe(true)
    expect(memory.recall(1, { low: 0xffffffff, high: 0xffffffff }, false)).toEqual([])
  })

  it('knows nothing of earlier lives of its own authority', () => {
    const memory = new Memory([wholeOf(nodeIdOf(1)), wholeOf(nodeIdOf(2))], nodeIdOf(1, 2))
    expect(memory.ranges.map(({ nodeId }) => nodeId)).toEqual([nodeIdOf(2)])
  })
})

describe('an offer of it', () => {
  it('is made over two links at most, and over another one when one of them ends', () => {
    const memory = new Memory(others(3), nodeIdOf(1))
    expect([1, 2, 3].map((linkId) => memory.offerOver(linkId))).toEqual([true, true, false])
    expect(memory.withdraw(3)).toBe(false)
    expect(memory.withdraw(1)).toBe(false)
    expect(memory.offerOver(4)).toBe(true)
  })

  it('that nobody is left to answer is over', () => {
    const memory = new Memory(others(3), nodeIdOf(1))
    memory.offerOver(1)
    expect(memory.withdraw(1)).toBe(true)
    expect(memory.isEmpty).toBe(true)
    expect([memory.offerOver(2), memory.withdraw(1)]).toEqual([false, false])
  })

  it('of nothing is not made', () => {
    expect(new Memory([], nodeIdOf(1)).offerOver(1)).toBe(false)
  })

  it('brings the table from whom it is made to, not from everybody', () => {
    const { room, cores } = cluster(6)
    room.run(10_000)
    const remembered = unpacked(cores[1]!.table)
    for (const core of cores.slice(3)) room.feed(core, { type: 'set-meta', meta: '"changed"' })
    room.run(1_000)
    room.sent.length = 0
    const newcomer = coreOf(7, { remembered })
    room.join(newcomer)
    room.until(() => allConfirmed([...cores, newcomer]), 'the newcomer is in')
    const offers = room.frames('hello').filter(({ from }) => from === newcomer.nodeId)
    expect(offers.filter(({ frame }) => frame.remembered)).toHaveLength(2)
    expect(room.events(newcomer, 'joined')).toMatchObject([{ table: 'delta' }])
    const ranges = room
      .frames('delta')
      .flatMap(({ to, frame }) => (to === newcomer.nodeId ? frame.ranges : []))
    const whole = ranges.filter(({ nodeId, from }) => from === 0 && nodeId !== newcomer.nodeId)
    expect(whole.length).toBeLessThanOrEqual(2 * cores.length)
  })

  it('to members that never answer it, and go, ends in the whole table from another', () => {
    const { room, cores } = cluster(1)
    const [core] = cores as [NodeCore]
    const mutes = [new Puppet(room, nodeIdOf(901)), new Puppet(room, nodeIdOf(902))]
    for (const mute of mutes) room.join(mute)
    for (const range of others(5)) core.table.apply(range, 0, 0, 'test')
    const newcomer = coreOf(7, { remembered: others(5) })
    const ids = [...mutes, newcomer].map(({ nodeId }) => nodeId)
    room.contacts = () => []
    room.signals = (from, to) => ids.includes(from) && ids.includes(to)
    room.join(newcomer)
    for (const mute of mutes) {
      mute.enter(newcomer.nodeId)
      room.run(50)
      expect(mute.heard('hello')[0]!.remembered).toBeDefined()
    }
    ids.push(core.nodeId)
    room.contacts = (asker) => (asker === newcomer.nodeId ? [core.nodeId] : [])
    room.feed(newcomer, { type: 'signaling-contacts', contacts: [core.nodeId] })
    room.until(() => isLinked(newcomer, core), 'the newcomer is linked to the one that knows')
    expect(newcomer.table.get(others(1)[0]!.nodeId)).toBeUndefined()
    for (const mute of mutes) mute.hangUp()
    room.until(
      () => others(5).every(({ nodeId }) => newcomer.table.get(nodeId) !== undefined),
      'all is known',
    )
  })
})

describe('a newcomer that remembers', () => {
  /** Only a real contact is to be had; members that are there as records alone are not dialled with success. */
  function meet(known: readonly OriginRange[], remembered: readonly OriginRange[]) {
    const room = new Room()
    const contact = coreOf(1)
    const newcomer = coreOf(2, { remembered })
    const real = new Set([contact.nodeId, newcomer.nodeId])
    room.signals = (from, to) => real.has(from) && real.has(to)
    room.join(contact)
    room.until(() => contact.status === 'up', 'the contact is up')
    for (const range of known) contact.table.apply(range, 0, 0, 'test')
    room.run(20)
    room.join(newcomer)
    return { room, contact, newcomer }
  }

  const knows = (core: NodeCore, ranges: readonly OriginRange[]): boolean =>
    ranges.every(({ nodeId, self }) => core.table.get(nodeId)?.self?.meta === self!.meta)

  it('takes nothing over before a contact has confirmed it', () => {
    const { room, contact, newcomer } = meet([], others(5))
    expect(newcomer.table.size).toBe(1)
    room.until(() => agree([contact, newcomer]), 'the two agree')
    // The contact never heard of them: no bucket of theirs is confirmed.
    expect([contact, newcomer].map(({ table }) => table.size)).toEqual([2, 2])
    expect(newcomer.remembered).toEqual([])
  })

  it('takes over what is in confirmed buckets, and nothing else', () => {
    const ranges = others(30)
    const room = new Room()
    const newcomer = coreOf(2, { remembered: ranges })
    const puppet = new Puppet(room)
    room.contacts = () => []
    room.signals = (from, to) => [from, to].every((id) => id === puppet.nodeId || id === newcomer.nodeId)
    room.join(newcomer)
    room.join(puppet)
    room.run(5)
    puppet.enter(newcomer.nodeId)
    expect(puppet.heard('hello')[0]!.remembered).toBeDefined()
    const { nodeId } = ranges[7]!
    puppet.say({ kind: 'recall', confirmed: maskOf(nodeId) })
    room.run(5)
    const bucket = bucketOf(shortOf(nodeId))
    const there = ranges.filter((range) => newcomer.table.get(range.nodeId))
    expect(there).toEqual(ranges.filter((range) => bucketOf(shortOf(range.nodeId)) === bucket))
    // Used once: another word brings nothing more.
    puppet.say({ kind: 'recall', confirmed: { low: 0xffffffff, high: 0xffffffff } })
    room.run(5)
    expect(ranges.filter((range) => newcomer.table.get(range.nodeId))).toEqual(there)
  })

  describe('and has offered it to two', () => {
    const ranges = others(30)
    const ALL: BucketMask = { low: 0xffffffff, high: 0xffffffff }

    /** Everybody but the newcomer is played; the first of them is a newcomer as well. */
    function offered() {
      const room = new Room()
      const newcomer = coreOf(2, { remembered: ranges })
      const puppets = [900, 901, 902].map((index) => new Puppet(room, nodeIdOf(index)))
      room.contacts = () => []
      room.signals = (from, to) =>
        [from, to].every((id) => [newcomer, ...puppets].some((p) => p.nodeId === id))
      for (const participant of [newcomer, ...puppets]) room.join(participant)
      const [fresh, member, third] = puppets as [Puppet, Puppet, Puppet]
      // All three say hello before one of them is let in.
      fresh.introduce(newcomer.nodeId, { own: wholeOf(fresh.nodeId, { status: 'joining' }) })
      for (const puppet of [member, third]) puppet.introduce(newcomer.nodeId)
      for (const puppet of puppets) puppet.say({ kind: 'accept', version: 1 })
      room.run(5)
      expect(puppets.map((puppet) => puppet.heard('accept').length)).toEqual([1, 1, 1])
      expect(puppets.map((p) => p.heard('hello')[0]!.remembered !== undefined)).toEqual([true, true, false])
      const recall = (puppet: Puppet, confirmed: BucketMask): number => {
        puppet.say({ kind: 'recall', confirmed })
        room.run(5)
        return ranges.filter(({ nodeId }) => newcomer.table.get(nodeId)).length
      }
      return { newcomer, fresh, member, third, recall }
    }

    it('takes nothing from a third that was not asked', () => {
      const { newcomer, member, third, recall } = offered()
      expect(recall(third, ALL)).toBe(0)
      expect(newcomer.remembered).toHaveLength(ranges.length)
      expect(recall(member, ALL)).toBe(ranges.length)
    })

    it('waits for the member where the other one, a newcomer, confirms nothing', () => {
      const { fresh, member, recall } = offered()
      expect(recall(fresh, { low: 0, high: 0 })).toBe(0)
      expect(recall(member, ALL)).toBe(ranges.length)
    })

    it('compares with a third where the member goes, and the newcomer confirms nothing', () => {
      const { fresh, member, third, recall } = offered()
      member.hangUp()
      expect(recall(fresh, { low: 0, high: 0 })).toBe(0)
      expect([fresh, third].map((puppet) => puppet.heard('buckets').length)).toEqual([0, 1])
    })
  })

  it('tells its contact nothing by it', () => {
    const room = new Room()
    const core = coreOf(1)
    const puppet = new Puppet(room)
    room.contacts = () => []
    room.join(core)
    room.join(puppet)
    room.run(5)
    const memory = new Memory(others(50), puppet.nodeId)
    puppet.enter(core.nodeId, { remembered: memory.buckets(tableOf(900)) })
    room.run(100)
    expect([...core.table.records()].map(({ nodeId }) => nodeId)).toEqual([core.nodeId, puppet.nodeId])
    expect(puppet.heard('recall')).toHaveLength(1)
  })

  it.each([
    [10, 0],
    [10, 1],
    [10, 10],
    [100, 0],
    [100, 1],
    [100, 10],
    [400, 0],
    [400, 1],
    [400, 10],
  ])('in a room of %i of whom %i changed, costs its contact what has changed', (members, changed) => {
    const before = others(members)
    const now = before.map((range, i) =>
      i < changed
        ? wholeOf(range.nodeId, { meta: JSON.stringify({ name: `changed ${i}` }), counter: 2 })
        : range,
    )
    const { room, contact, newcomer } = meet(now, before)
    room.until(() => isLinked(newcomer, contact) && knows(newcomer, now), 'all is known', 2_000)
    room.run(20)
    const sent = room.sent.filter(
      ({ from, frame }) => from === contact.nodeId && ['recall', 'delta', 'digest'].includes(frame.kind),
    )
    const bytes = sent.reduce((sum, { frame }) => sum + encodeFrame(frame).length, 0)
    // A changed member, as the contact itself, brings its bucket: a 64th of the others.
    const record = encodeFrame({ kind: 'delta', ranges: [before[0]!] }).length
    const ofBuckets = (changed + 1) * record * (1 + members / 64)
    expect(bytes).toBeLessThan(200 + 1.5 * ofBuckets)
    expect(bytes).toBeGreaterThan(changed * record * 0.5)
    if (members >= 100 && changed <= 1) expect(bytes).toBeLessThan((members * record) / 10)
    const origins = new Set(
      room
        .frames('delta')
        .filter(({ from }) => from === contact.nodeId)
        .flatMap(({ frame }) => frame.ranges.map(({ nodeId }) => nodeId)),
    )
    for (const { nodeId } of now.slice(0, changed)) expect(origins.has(nodeId)).toBe(true)
  })

  it.each([
    ['everything', 'delta', others(100)],
    ['nothing', 'full', []],
  ] as const)('of %s says that what it was told was a %s', (_, table, remembered) => {
    const room = new Room()
    const [a, c] = [coreOf(1), coreOf(3, { remembered })]
    room.signals = (from, to) => [from, to].every((id) => [a, c].some(({ nodeId }) => nodeId === id))
    room.join(a)
    room.until(() => a.status === 'up', 'a is up')
    // Records alone would never publish a view, and nothing would be confirmed: they leave once c has heard of them.
    const ranges = others(100)
    for (const range of ranges) a.table.apply(range, 0, 0, 'test')
    room.run(20)
    room.join(c)
    room.until(() => knows(c, ranges), 'c knows all')
    for (const { nodeId } of ranges) a.table.remove(nodeId, room.now, 'test')
    room.until(() => room.events(c, 'joined').length > 0, 'c is in')
    const [joined] = room.events(c, 'joined')
    expect(joined).toMatchObject({ table })
    expect(joined!.durationMs).toBeGreaterThan(0)
    expect(joined!.tableBytes).toBeGreaterThan(0)
    room.run(5_000)
    expect(room.events(c, 'joined')).toHaveLength(1)
  })

  it('alone says that it was told nothing', () => {
    const room = new Room()
    const core = coreOf(1)
    room.join(core)
    room.until(() => room.events(core, 'joined').length > 0, 'it is in')
    expect(room.events(core, 'joined')).toMatchObject([{ table: 'none', tableBytes: 0 }])
  })
})
