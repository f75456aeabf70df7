/** The order of life: joining, up, isolated, leaving; accusation and refutation; removal and what allows it. */
import { describe, expect, it } from 'vitest'
import type { Output } from '../../../src/core/events.ts'
import { authorityOf } from '../../../src/core/identity/node-id.ts'
import type { NodeCore } from '../../../src/core/node.ts'
import { DEFAULT_TUNING } from '../../../src/core/tuning.ts'
import { WireLimits } from '../../../src/core/wire/decode.ts'
import { nodeIdOf, wholeOf } from '../support/names.ts'
import { agree, cluster, coreOf, isLinked, reload } from '../support/nodes.ts'
import { Puppet } from '../support/puppet.ts'
import { Room } from '../support/room.ts'

const { removeAfterMs, tombstoneMs, leaveTimeoutMs } = DEFAULT_TUNING

/** A member that is silent is `unreachable` by then, also where its observers were slow themselves. */
const FOUND_OUT_MS = 10_000

const three = (): { room: Room; cores: [NodeCore, NodeCore, NodeCore] } => {
  const { room, cores } = cluster(3)
  return { room, cores: cores as [NodeCore, NodeCore, NodeCore] }
}

const statuses = (room: Room, core: NodeCore, of: string): string[] =>
  room
    .events(core, 'member-status')
    .filter(({ nodeId }) => nodeId === of)
    .map(({ to }) => to)

/** What becomes of what it sends from now on. */
function outcomesOf(core: NodeCore): Extract<Output, { type: 'outcome' }>[] {
  const outcomes: Extract<Output, { type: 'outcome' }>[] = []
  const handle = core.handle.bind(core)
  core.handle = (input, now) => {
    const outputs = handle(input, now)
    for (const output of outputs) if (output.type === 'outcome') outcomes.push(output)
    return outputs
  }
  return outcomes
}

/** Parts the room in two: no signaling and no frames across. */
function part(room: Room, left: readonly NodeCore[], right: readonly NodeCore[]): void {
  // A life that follows is on the side of the one before.
  const authorities = new Set(left.map((core) => authorityOf(core.nodeId)))
  const sideOf = (nodeId: string): boolean => authorities.has(authorityOf(nodeId))
  room.signals = (from, to) => sideOf(from) === sideOf(to)
  room.connects = (from, to) => sideOf(from) === sideOf(to)
  room.contacts = (asker, others) => others.filter((other) => sideOf(other) === sideOf(asker))
  for (const a of left) for (const b of right) room.cut(a, b)
}

function heal(room: Room): void {
  room.signals = () => true
  room.connects = () => true
  room.contacts = (_, others) => others
}

describe('joining', () => {
  it('alone, a member is up as soon as signaling knows of nobody', () => {
    const room = new Room()
    const core = coreOf(1)
    room.join(core)
    expect(core.status).toBe('joining')
    room.run(1)
    expect(core.status).toBe('up')
    expect(room.events(core, 'status')).toMatchObject([{ to: 'up', reason: 'alone in the room' }])
    expect(core.gossipState).toBe('confirmed')
  })

  it('a member that was given contacts waits until they are all gone', () => {
    const room = new Room()
    const core = coreOf(1)
    const gone = nodeIdOf(50)
    let asked = 0
    room.contacts = () => (asked++ === 0 ? [gone] : [])
    room.join(core)
    room.run(200)
    expect(core.status).toBe('joining')
    room.until(() => core.status === 'up', 'the contacts are gone', 500)
    expect(asked).toBe(2)
  })

  it('a member whose contact does not answer goes on asking for others', () => {
    const room = new Room()
    const [core, silent] = [coreOf(1), nodeIdOf(50)]
    room.signals = () => false
    room.contacts = () => [silent]
    room.join(core)
    room.run(60_000)
    expect(core.status).toBe('joining')
    room.contacts = () => []
    room.signals = () => true
    room.until(() => core.status === 'up', 'alone after all', 60_000)
  })

  it('a member is up when the first contact has accepted it', () => {
    const { room, cores } = cluster(2)
    const last = cores[1]!
    const { reason } = room.events(last, 'status')[0]!
    expect(reason).toBe(`accepted by ${cores[0]!.nodeId}`)
  })

  it('members of an earlier life are tried beside the contacts', () => {
    const room = new Room()
    const [a, b] = [coreOf(1), coreOf(2, { remembered: [wholeOf(nodeIdOf(1))] })]
    room.contacts = () => []
    room.join(a)
    room.run(10)
    room.join(b)
    room.until(() => agree([a, b]), 'b finds a by itself')
  })
})

describe('two newcomers that meet', () => {
  it('say that they have joined once each has heard that the other is up, not before', () => {
    const room = new Room()
    const cores = [coreOf(1), coreOf(2)]
    for (const core of cores) room.join(core)
    const told = (): number => cores.filter((core) => room.events(core, 'joined').length > 0).length
    room.until(() => told() > 0 || agree(cores), 'they know each other')
    expect(told(), 'before they agree').toBe(0)
    room.until(() => told() === 2, 'both have joined', 1_000)
    expect(agree(cores)).toBe(true)
    for (const core of cores) expect(room.events(core, 'joined')).toMatchObject([{ table: 'full' }])
  })
})

describe('leaving', () => {
  it('is leaving, then removed, everywhere, at once', () => {
    const { room, cores } = three()
    const [a, b, c] = cores
    const began = room.now
    room.feed(c, { type: 'leave' })
    expect(c.status).toBe('leaving')
    room.until(() => c.status === 'left', 'c has left', leaveTimeoutMs)
    room.until(() => agree([a, b]), 'the others agree')
    expect(room.now - began).toBeLessThan(50)
    for (const core of [a, b]) {
      expect(statuses(room, core, c.nodeId).slice(-2)).toEqual(['leaving', 'removed'])
      expect(room.events(core, 'member-status').at(-1)).toMatchObject({ reason: 'left' })
      expect(core.links()).toHaveLength(1)
    }
    expect(room.openLinks(a, c)).toEqual([])
    expect(room.events(c, 'status').map(({ to }) => to)).toEqual(['up', 'leaving', 'left'])
    expect(c.nextDeadline()).toBeUndefined()
    expect(c.gossipState).not.toBe('confirmed')
  })

  it('does not wait longer than its time for a goodbye that nobody answers', () => {
    const { room, cores } = three()
    room.passes = (from) => from === cores[0].nodeId
    room.feed(cores[0], { type: 'leave' })
    const began = room.now
    room.passes = () => false
    room.until(() => cores[0].status === 'left', 'it has left')
    expect(room.now - began).toBeLessThanOrEqual(leaveTimeoutMs + 1)
  })

  it('removes who was leaving as its link ends, even if its goodbye was lost with it', () => {
    const { room, cores } = cluster(2)
    const core = cores[0]!
    const puppet = new Puppet(room)
    room.join(puppet)
    puppet.enter(core.nodeId)
    puppet.say({
      kind: 'delta',
      ranges: [wholeOf(puppet.nodeId, { status: 'leaving', counter: 2 })],
    })
    room.until(() => core.table.status(puppet.nodeId) === 'leaving', 'leaving')
    puppet.hangUp()
    room.run(10)
    for (const { table } of cores) expect(table.status(puppet.nodeId)).toBe('removed')
    expect(room.events(core, 'member-status').at(-1)).toMatchObject({ to: 'removed', reason: 'left' })
  })

  it('of which no word got through is found out by the detector', () => {
    const { room, cores } = three()
    const [a, b, c] = cores
    room.passes = (from) => from !== c.nodeId
    room.feed(c, { type: 'leave' })
    room.until(() => agree([a, b]), 'the others agree', leaveTimeoutMs + FOUND_OUT_MS)
    expect([a, b].map((core) => core.table.status(c.nodeId))).toEqual(['unreachable', 'unreachable'])
  })

  it('puts nothing on links that are closed already, while a member is silent', () => {
    const { room, cores } = three()
    const [a, b, c] = cores
    room.run(5_000)
    room.kill(c, false)
    room.run(1_000)
    room.feed(a, { type: 'leave' })
    // The room throws where something is sent on a link that was closed.
    room.run(3_000)
    expect(room.events(a, 'status').at(-1)).toMatchObject({ to: 'left' })
    expect(b.table.status(a.nodeId)).toBe('removed')
  })

  it('alone, or while joining, is done at once', () => {
    const room = new Room()
    const core = coreOf(1)
    room.join(core)
    room.feed(core, { type: 'leave' })
    expect(core.status).toBe('left')
    room.feed(core, { type: 'leave' })
    expect(room.events(core, 'status').map(({ to }) => to)).toEqual(['leaving', 'left'])
  })
})

describe('a lost link', () => {
  it('is looked into through others, and accuses nobody whom they reach', () => {
    const { room, cores } = three()
    const [a, b, c] = cores
    // By then all have published their links, and know whom they can ask.
    room.run(5_000)
    const before = cores.map((core) => statuses(room, core, b.nodeId).length)
    expect(room.cut(a, b)).toBe(true)
    expect(a.table.status(b.nodeId)).toBe('up')
    room.run(5)
    const asked = room.frames('probe').filter(({ from, to }) => from === a.nodeId && to === c.nodeId)
    expect(asked.map(({ frame }) => frame.subject)).toEqual([b.nodeId])
    const answer = room.frames('probed').find(({ to }) => to === a.nodeId)
    expect(answer!.frame).toEqual({ ...asked[0]!.frame, kind: 'probed', alive: true })
    room.until(() => agree(cores) && isLinked(a, b), 'linked again', 3_000)
    room.run(10_000)
    expect(cores.map((core) => statuses(room, core, b.nodeId).length)).toEqual(before)
    expect(cores.map(({ table, nodeId }) => table.get(nodeId)!.self!.incarnation)).toEqual([0, 0, 0])
    expect(room.events(a, 'link-closed')).toMatchObject([{ nodeId: b.nodeId, reason: 'cut' }])
  })

  it('to a member that nobody reaches accuses it; back again, it refutes by the next incarnation', () => {
    const { room, cores } = three()
    const [a, b, c] = cores
    part(room, [a, b], [c])
    expect(a.table.status(c.nodeId)).toBe('up')
    const isUnreachable = (core: NodeCore): boolean => core.table.status(c.nodeId) === 'unreachable'
    room.until(() => isUnreachable(a) && isUnreachable(b), 'c is unreachable', FOUND_OUT_MS)
    heal(room)
    room.until(() => agree(cores) && isLinked(a, c), 'refuted and linked', 30_000)
    expect(statuses(room, a, c.nodeId).slice(-2)).toEqual(['unreachable', 'up'])
    expect(a.table.get(c.nodeId)!.self!.incarnation).toBeGreaterThan(0)
    expect(a.table.get(c.nodeId)!.accusation).toBeUndefined()
    expect(cores.flatMap((core) => room.lives(core))).toHaveLength(3)
  })

  it('to everybody is isolation, until one is linked again', () => {
    const { room, cores } = three()
    const [a, b, c] = cores
    room.connects = (from, to) => from !== a.nodeId && to !== a.nodeId
    for (const other of [b, c]) room.cut(a, other)
    expect(a.status).toBe('isolated')
    expect([b.status, c.status]).toEqual(['up', 'up'])
    heal(room)
    room.until(() => a.status === 'up' && agree(cores), 'back again', 30_000)
    expect(room.events(a, 'status').map(({ to }) => to)).toEqual(['up', 'isolated', 'up'])
  })
})

describe('removal', () => {
  it('comes after its time, by those who still see most', () => {
    const { room, cores } = three()
    const [a, b, c] = cores
    room.kill(c)
    room.until(() => agree([a, b]), 'c is unreachable', FOUND_OUT_MS)
    room.run(removeAfterMs - 500)
    expect([a, b].map((core) => core.table.status(c.nodeId))).toEqual(['unreachable', 'unreachable'])
    room.run(1_000)
    expect([a, b].map((core) => core.table.status(c.nodeId))).toEqual(['removed', 'removed'])
  })

  it('is not for a minority: after the partition it is told of its end and reborn', () => {
    const { room, cores } = cluster(5)
    const [minority, majority] = [cores.slice(0, 2), cores.slice(2)]
    const before = minority.map((core) => core.nodeId)
    part(room, minority, majority)
    room.run(2 * removeAfterMs)
    for (const core of majority) for (const id of before) expect(core.table.status(id)).toBe('removed')
    for (const core of minority) {
      for (const { nodeId } of majority) expect(core.table.status(nodeId)).toBe('unreachable')
    }
    heal(room)
    room.until(() => agree(cores), 'all agree', 120_000)
    expect(minority.map((core) => room.lives(core).length)).toEqual([2, 2])
    expect(majority.map((core) => room.lives(core).length)).toEqual([1, 1, 1])
  })

  it.each([
    ['the lower', 1],
    ['the higher', 2],
  ])('is not for a minority of which one is reloaded meanwhile (%s nodeId)', (_, index) => {
    const { room, cores } = cluster(5)
    const [minority, majority] = [cores.slice(0, 2), cores.slice(2)]
    part(room, minority, majority)
    room.run(20_000)
    minority[index - 1] = reload(room, minority[index - 1]!, index)
    room.run(2 * removeAfterMs)
    for (const core of minority) {
      for (const { nodeId } of majority) expect(core.table.status(nodeId)).not.toBe('removed')
    }
    heal(room)
    room.until(() => agree([...minority, ...majority]), 'all agree', 120_000)
    expect(majority.map((core) => room.lives(core).length)).toEqual([1, 1, 1])
  })

  it('of two exact halves is for the one with the lowest nodeId', () => {
    const { room, cores } = cluster(4)
    const [low, high] = [cores.slice(0, 2), cores.slice(2)]
    part(room, low, high)
    room.run(2 * removeAfterMs)
    for (const core of high)
      for (const { nodeId } of low) expect(core.table.status(nodeId)).toBe('unreachable')
    for (const core of low) for (const { nodeId } of high) expect(core.table.status(nodeId)).toBe('removed')
  })

  it('of the last other member needs the lower nodeId or the signaling server’s word', () => {
    for (const [lost, kept, word] of [
      [0, 1, false],
      [1, 0, false],
      [0, 1, true],
    ] as const) {
      const { room, cores } = cluster(2)
      const { nodeId } = cores[lost]!
      const survivor = cores[kept]!
      // Without word from signaling, what is sent to the dead just vanishes.
      room.signals = (_, to) => word || to !== nodeId
      room.contacts = () => (word ? [] : [nodeId])
      room.kill(cores[lost]!)
      room.run(2 * removeAfterMs)
      expect(survivor.table.status(nodeId)).toBe(word || kept === 0 ? 'removed' : 'unreachable')
      expect(survivor.status, 'signaling could be asked').toBe('up')
    }
  })

  it('does not come for who is back in time', () => {
    const { room, cores } = cluster(4)
    part(room, cores.slice(0, 1), cores.slice(1))
    room.run(removeAfterMs / 2)
    heal(room)
    room.until(() => agree(cores), 'healed', 60_000)
    room.run(2 * removeAfterMs)
    expect(agree(cores)).toBe(true)
    expect(cores.flatMap((core) => room.lives(core))).toHaveLength(4)
  })

  it('leaves a tombstone of limited age; the life stays refused after it', () => {
    const { room, cores } = three()
    const [a, b, c] = cores
    const { nodeId } = c
    room.feed(c, { type: 'leave' })
    room.until(() => agree([a, b]), 'c has left')
    room.run(tombstoneMs - 60_000)
    expect(a.table.get(nodeId)).toBeDefined()
    room.run(120_000)
    expect([a, b].map((core) => core.table.get(nodeId))).toEqual([undefined, undefined])
    expect(agree([a, b])).toBe(true)
    const ghost = new Puppet(room, nodeId)
    room.join(ghost)
    ghost.introduce(a.nodeId)
    room.run(10)
    expect(ghost.heard('refuse')).toMatchObject([{ code: 'removed' }])
  })
})

describe('mail for an authority that has left', () => {
  it('waits for its next life, and is given up when it is forgotten', () => {
    const { room, cores } = three()
    const [a, b, c] = cores
    const authority = authorityOf(c.nodeId)
    room.feed(c, { type: 'leave' })
    room.until(() => agree([a, b]), 'c has left')
    const message = {
      to: authority,
      mailbox: 'chat',
      lane: 'call',
      bytes: new Uint8Array(1),
      text: false,
    } as const
    const outcomes = outcomesOf(a)
    room.feed(a, { type: 'send', messages: [{ id: 1, ...message }] })
    room.run(tombstoneMs - 60_000)
    expect(outcomes).toEqual([])
    room.run(120_000)
    expect(outcomes).toMatchObject([{ id: 1, outcome: 'forgotten' }])
    room.feed(a, { type: 'send', messages: [{ id: 2, ...message }] })
    expect(outcomes.slice(1)).toMatchObject([{ id: 2, outcome: 'unknown-member' }])
  })
})

describe('accusations against the core itself', () => {
  function accused(incarnation: number): { room: Room; core: NodeCore; puppet: Puppet; before: string } {
    const { room, cores } = cluster(2)
    const core = cores[0]!
    const before = core.nodeId
    const puppet = new Puppet(room)
    room.join(puppet)
    puppet.enter(core.nodeId)
    const { counter } = core.table.get(before)!
    const accusation = { incarnation, rank: 'unreachable', observers: [puppet.nodeId] } as const
    const range = { nodeId: before, from: counter, to: counter, floor: 0, entries: [], accusation }
    puppet.say({ kind: 'delta', ranges: [range] })
    room.run(20)
    return { room, core, puppet, before }
  }

  it('are refuted by the next incarnation', () => {
    const { core, before } = accused(0)
    expect(core.nodeId).toBe(before)
    expect(core.table.get(before)!.self!.incarnation).toBe(1)
  })

  it('of incarnations it never had are refuted as well', () => {
    const { room, core, before } = accused(WireLimits.counter - 1)
    expect(core.nodeId).toBe(before)
    expect(core.table.get(before)!.self!.incarnation).toBe(WireLimits.counter)
    expect(
      room.frames('delta').some(({ frame }) => frame.ranges.some((r) => r.self?.incarnation === 2 ** 48)),
    ).toBe(true)
  })

  it('at the highest incarnation cannot be refuted: the process goes on as another life', () => {
    const { room, core, before } = accused(WireLimits.counter)
    room.until(() => core.nodeId !== before, 'reborn')
    room.until(() => core.status === 'up', 'up again')
    expect(room.events(core, 'reborn')).toMatchObject([{ reason: 'accused at the highest incarnation' }])
    expect(room.events(core, 'frame-rejected')).toEqual([])
  })
})

describe('a member that is not linked', () => {
  it('is a member all the same', () => {
    const { room, cores } = three()
    const puppet = new Puppet(room)
    room.join(puppet)
    puppet.enter(cores[0].nodeId)
    const far = nodeIdOf(800)
    room.signals = (_, to) => to !== far
    puppet.say({ kind: 'delta', ranges: [wholeOf(far)] })
    room.run(1_000)
    for (const core of cores) expect(core.table.status(far)).toBe('up')
  })
})
