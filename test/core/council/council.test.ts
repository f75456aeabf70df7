/** A council among many: founded in one, found by all, with enough voters, and one truth about every partition. */
import { describe, expect, it } from 'vitest'
import type { Command } from '../../../src/core/council/partition-map.ts'
import { votersFor } from '../../../src/core/council/voters.ts'
import { SLOTS } from '../../../src/core/partition/partition.ts'
import { below, pick } from '../../../src/testing/random.ts'
import type { Process } from './support/council-room.ts'
import { CouncilRoom } from './support/council-room.ts'

function roomOf(count: number, seed = 1, kinds?: readonly string[]): CouncilRoom {
  const room = new CouncilRoom(seed)
  room.found(room.join(kinds))
  while (room.processes.length < count) room.join(kinds)
  room.runUntil('a council with all its voters', () => isGoverned(room))
  return room
}

/** There is one leader, enough voters that live, and everybody follows it. */
function isGoverned(room: CouncilRoom): boolean {
  const { leader, alive } = room
  if (!leader) return false
  const group = leader.council.group
  const voters = alive.filter(({ council }) => council.isVoter)
  return (
    voters.length === votersFor(alive.length) &&
    alive.every(({ council }) => council.group === group && council.leader === leader.id)
  )
}

const knowsAll = ({ council }: Process): boolean => council.knows('counter')

/** What it holds, as far as it knows. */
const slotsOf = ({ council, id }: Process): number[] =>
  Array.from({ length: SLOTS }, (_, slot) => slot).filter((slot) =>
    council.entry('counter', slot)?.inSync.includes(id),
  )

/** Only who holds a partition may have it changed. */
function letHold(room: CouncilRoom, slot: number, process: Process): void {
  const entry = () => process.council.entry('counter', slot)!
  const owner = room.alive.find(({ id }) => id === entry().owner)!
  room.propose(owner, changeOf(owner, slot, { add: process.id }))
  room.runUntil('held', () => entry().inSync.includes(process.id))
}

const changeOf = (process: Process, slot: number, given: object): Command => ({
  type: 'change',
  kind: 'counter',
  slots: [slot],
  epochs: [process.council.entry('counter', slot)!.epoch],
  ...given,
})

describe('a council', () => {
  it('of one decides at once', () => {
    const room = new CouncilRoom(1)
    const only = room.join()
    expect(only.council.group).toBeUndefined()
    room.found(only)
    room.run(1)
    expect(only.council.knows('counter')).toBe(true)
    expect(only.council.entry('counter', 7)).toEqual({
      epoch: 1,
      owner: only.id,
      inSync: [only.id],
      born: 1,
    })
    expect(only.council.hasLease({ mono: room.t, wall: 1e12 + room.t })).toBe(true)
  })

  it('bears one kind in a turn, and the next one at once', () => {
    const kinds = ['counter', 'lock', 'log']
    const room = new CouncilRoom(1)
    const only = room.join(kinds)
    room.found(only)
    const born = () => kinds.filter((kind) => only.council.knows(kind)).length
    const now = { mono: room.t, wall: 1e12 + room.t }
    for (let count = born(); count < 3; count++) {
      expect(born()).toBe(count)
      expect(only.council.nextDeadline()).toBeLessThanOrEqual(room.t)
      only.council.tick(now)
    }
    expect(born()).toBe(3)
    expect(only.council.nextDeadline()).toBeGreaterThan(room.t)
  })

  it.each([2, 3, 6, 9])('of a room of %i has its voters, and all know the map', (count) => {
    const room = roomOf(count)
    room.runUntil('known to all', () => room.alive.every(knowsAll))
    expect(room.alive.filter(({ council }) => council.isVoter)).toHaveLength(votersFor(count))
  })

  it('bears a kind that only one hosts, and tells those that ask', () => {
    const room = roomOf(5, 1, [])
    const host = room.join(['lock'])
    room.runUntil('born', () => host.council.knows('lock'))
    const asker = room.alive[4]!
    expect(asker.council.knows('lock')).toBe(false)
    asker.council.want('lock', false, { mono: room.t, wall: 0 })
    room.run(1)
    asker.council.tick({ mono: room.t, wall: 0 })
    room.runUntil('told', () => asker.council.knows('lock'))
    for (let slot = 0; slot < SLOTS; slot++) {
      const entry = asker.council.entry('lock', slot)!
      expect(entry.owner).toBe(host.id)
      expect(entry.inSync).toHaveLength(3)
    }
  })

  it('decides what a process without a vote proposes, and tells those it concerns', () => {
    const room = roomOf(9)
    room.runUntil('known to all', () => room.alive.every(knowsAll))
    const proposer = room.alive.find(({ council }) => !council.isVoter)!
    letHold(room, 3, proposer)
    const before = proposer.council.entry('counter', 3)!
    const newcomer = room.alive.find(({ id }) => !before.inSync.includes(id))!
    const id = room.propose(proposer, changeOf(proposer, 3, { add: newcomer.id }))
    room.runUntil('decided', () => proposer.decided.has(id))
    expect(proposer.decided.get(id)).toBe(true)
    room.run(100)
    for (const holder of [...before.inSync, newcomer.id])
      expect(room.alive.find((process) => process.id === holder)!.council.entry('counter', 3)!.epoch).toBe(3)
  })

  it('is asked once by a process of which all partitions want to know at once', () => {
    const room = roomOf(9)
    room.runUntil('known to all', () => room.alive.every(knowsAll))
    room.run(1_000)
    const asker = room.alive.find(({ council }) => !council.isVoter)!
    room.sent.clear()
    for (let i = 0; i < SLOTS; i++) room.refresh(asker, 'counter')
    expect(room.sent.get('ask')).toBe(1)
    room.run(1_000)
    expect(room.sent.get('ask'), 'once more: what was asked since may be news').toBe(2)
    expect(room.sent.get('told')).toBe(2)
  })

  it('lets one of two win', () => {
    const room = roomOf(5)
    room.runUntil('known to all', () => room.alive.every(knowsAll))
    const [a, b, c, d] = room.alive.slice(1) as [Process, Process, Process, Process]
    letHold(room, 9, a)
    letHold(room, 9, b)
    room.run(100)
    const first = room.propose(a, changeOf(a, 9, { add: c.id }))
    const second = room.propose(b, changeOf(b, 9, { add: d.id }))
    room.runUntil('decided', () => a.decided.has(first) && b.decided.has(second))
    expect(Number(a.decided.get(first)) + Number(b.decided.get(second))).toBe(1)
  })

  it('replaces a voter that is lost, and a leader', () => {
    const room = roomOf(9)
    for (const find of [
      () => room.alive.find(({ council, id }) => council.isVoter && id !== room.leader!.id)!,
      () => room.leader!,
    ]) {
      room.end(find(), false)
      room.run(2_100)
      room.runUntil('governed again', () => isGoverned(room), 10_000)
    }
  })

  it('hands leadership on when its leader leaves', () => {
    const room = roomOf(4)
    const leaver = room.leader!
    room.leave(leaver)
    room.run(250)
    room.runUntil('governed again', () => isGoverned(room), 3_000)
    expect(room.leader!.id).not.toBe(leaver.id)
  })

  it('goes on in one of two that leads, when the other is lost', () => {
    const room = roomOf(2)
    const other = room.alive.find(({ id }) => id !== room.leader!.id)!
    room.end(other, false)
    room.runUntil('governed again', () => isGoverned(room), 5_000)
  })

  it('moves to other browsers when they come', () => {
    const room = new CouncilRoom(1)
    room.found(room.join(['counter'], 'one'))
    for (let i = 0; i < 3; i++) room.join(['counter'], 'one')
    room.runUntil('governed', () => isGoverned(room))
    room.join(['counter'], 'two')
    room.join(['counter'], 'three')
    const browsers = (): number =>
      new Set(room.alive.filter(({ council }) => council.isVoter).map(({ browser }) => browser)).size
    room.runUntil('in three browsers', () => browsers() === 3 && isGoverned(room))
  })

  it('begins anew what all holders have left with, and says so', () => {
    const room = roomOf(2, 1, [])
    const host = room.join(['lock'])
    room.runUntil('born', () => host.council.knows('lock'))
    const entry = host.council.entry('lock', 5)!
    const heir = room.join(['lock'])
    for (let i = 0; i < 3; i++) room.join([])
    room.runUntil('governed', () => isGoverned(room))
    room.runUntil('known to the heir', () => heir.council.knows('lock'))
    for (const id of entry.inSync) {
      room.leave(room.alive.find((process) => process.id === id)!)
      room.run(250)
      room.runUntil('governed', () => isGoverned(room))
    }
    room.runUntil('with the heir', () => heir.council.entry('lock', 5)!.owner === heir.id, 20_000)
    const { born, inSync } = heir.council.entry('lock', 5)!
    expect(born).toBeGreaterThan(1)
    expect(inSync).toEqual([heir.id])
  })

  it('gives one who was handed the only copy the time to ask for the partition', () => {
    const room = roomOf(4)
    room.runUntil('known to all', () => room.alive.every(knowsAll))
    const { leader } = room
    const [owner, heir] = room.alive.filter(({ id }) => id !== leader!.id) as [Process, Process]
    const slot = slotsOf(leader!)[0]!
    const entryOf = ({ council }: Process) => council.entry('counter', slot)!
    letHold(room, slot, owner)
    for (const id of entryOf(owner).inSync.filter((one) => one !== owner.id)) {
      room.propose(owner, changeOf(owner, slot, { owner: owner.id, remove: id }))
      room.runUntil('removed', () => !entryOf(owner).inSync.includes(id))
    }
    room.runUntil('known', () => entryOf(heir).epoch === entryOf(owner).epoch)
    const { epoch } = entryOf(heir)
    room.leave(owner)
    room.run(1_000)
    expect(entryOf(heir)).toMatchObject({ epoch, owner: owner.id })
    room.propose(heir, changeOf(heir, slot, { add: heir.id, owner: heir.id, remove: owner.id }))
    room.runUntil('with the heir', () => entryOf(heir).owner === heir.id, 5_000)
    expect(entryOf(heir).born).toBe(1)
  })

  it('tells who founded it, and who goes on with it when most voters are lost', () => {
    const room = roomOf(3)
    const group = room.alive[0]!.council.group!
    expect(room.alive.flatMap(({ changes }) => changes)).toEqual([
      { change: 'founded', group, reason: 'nobody here has a council' },
    ])
    const [left, ...lost] = room.alive
    for (const process of lost) room.end(process, false)
    room.runUntil('it goes on', () => left!.council.group !== group)
    expect(left!.changes.slice(1)).toEqual([
      {
        change: 'continued',
        group: left!.council.group,
        reason: `${group} has lost half of its voters, or more`,
      },
    ])
  })

  it('goes on where no voter is left, and the first by name is a newcomer that never heard of it', () => {
    const room = roomOf(7)
    room.runUntil('known to all', () => room.alive.every(knowsAll))
    const group = room.alive[0]!.council.group!
    const left = room.alive.find(({ council }) => !council.isVoter)
    const before = left!.council.entry('counter', 3)!
    const newcomers = ['2', '3'].map((name) => room.join(['counter'], undefined, name))
    // All learn at once that these two are there, and that the others are gone.
    room.run(20)
    for (const process of room.alive)
      if (process !== left && !newcomers.includes(process)) room.end(process, true)
    room.run(40)
    room.runUntil('all follow one', () => room.alive.every(knowsAll))
    expect(room.alive.map(({ council }) => council.group)).toEqual(Array(3).fill(left!.council.group))
    expect(left!.changes.map(({ change }) => change)).toEqual(['continued'])
    expect(newcomers.flatMap(({ changes }) => changes.map(({ change }) => change))).not.toContain('founded')
    expect(left!.council.group!.split('.')[1], `after ${group}`).toBe('1')
    const after = newcomers[0]!.council.entry('counter', 3)!
    expect(after.epoch).toBeGreaterThan(before.epoch)
    room.runUntil('governed', () => isGoverned(room))
    // What was published for want of voters is withdrawn.
    expect(room.alive.filter(({ published }) => published !== undefined).length).toBe(votersFor(3))
  })

  it('goes on where its leader is lost before anybody was told of the voters it had named', () => {
    const room = roomOf(2)
    room.runUntil('known to all', () => room.alive.every(knowsAll))
    const { leader } = room
    const other = room.alive.find((process) => process !== leader)
    const newcomer = room.join()
    room.drops = (message) =>
      message.kind === 'raft' &&
      message.message.kind === 'append' &&
      message.message.entries.some((entry) => entry.kind === 'voters' && entry.voters.includes(newcomer.id))
    room.run(1_500)
    room.end(leader!, true)
    room.run(100)
    room.drops = () => false
    room.runUntil('it goes on', () => isGoverned(room), 40_000)
    expect(room.alive.flatMap(({ changes }) => changes.map(({ change }) => change))).toContain('continued')
    expect(other!.council.knows('counter')).toBe(true)
  })

  it('of two that were founded gives way to one, and who follows tells why', () => {
    const room = new CouncilRoom(1)
    const both = [room.join([]), room.join([])]
    for (const process of both) room.found(process)
    room.runUntil('both follow one', () => both[0]!.council.group === both[1]!.council.group)
    const follows = both.flatMap(({ changes }) => changes.filter(({ change }) => change === 'followed'))
    expect(follows).toHaveLength(1)
    expect(follows[0]!.group).toBe(both[0]!.council.group)
    expect(follows[0]!.reason).toMatch(/more voters|name is lower/)
  })

  it('raises what another has decided once, and not for ever', () => {
    const room = new CouncilRoom(1)
    room.isOneHistory = false
    const founders = [room.join(), room.join()]
    for (const process of founders) room.found(process)
    while (room.alive.length < 6) room.join()
    room.runUntil('all follow one', () => isGoverned(room) && room.alive.every(knowsAll))
    room.run(5_000)
    const epochs = (): number[] => room.alive.map(({ council }) => council.entry('counter', 3)!.epoch)
    const before = epochs()
    expect(Math.max(...before)).toBeLessThanOrEqual(3)
    room.sent.clear()
    room.run(10_000)
    expect(room.sent.get('adopt') ?? 0).toBe(0)
    expect(epochs()).toEqual(before)
  })

  it('costs heartbeats only while nothing changes', () => {
    const room = roomOf(9)
    room.runUntil('known to all', () => room.alive.every(knowsAll))
    room.run(5_000)
    room.sent.clear()
    room.run(10_000)
    expect([...room.sent.keys()]).toEqual(['raft'])
    // 4 followers, twice a second, and their answers
    expect(room.sent.get('raft')).toBeLessThanOrEqual(4 * 2 * 10 * 2 + 8)
  })
})

describe('whatever happens', () => {
  const seeds = Number(process.env['COUNCIL_SEEDS'] ?? 25)
  it(
    `every proposal is decided once, and a partition is one thing in each epoch (${seeds} seeds)`,
    () => {
      for (let seed = 1; seed <= seeds; seed++) {
        try {
          storm(seed)
        } catch (cause) {
          throw new Error(`seed ${seed}: ${cause instanceof Error ? cause.message : String(cause)}`, {
            cause,
          })
        }
      }
    },
    15 * 60_000,
  )
})

/** Never so many end at once that a quorum is lost: that is another story. */
function storm(seed: number): void {
  const room = roomOf(3 + (seed % 8), seed)
  const { random } = room
  room.runUntil('known to all', () => room.alive.every(knowsAll))
  let quietUntil = 0
  for (let step = 0; step < 40; step++) {
    const { alive } = room
    const act = random()
    const voters = alive.filter(({ council }) => council.isVoter)
    if (act < 0.5) {
      const from = pick(random, alive.filter(knowsAll))
      const slot = random() < 0.8 ? pick(random, [...slotsOf(from), 0]) : below(random, SLOTS)
      const other = pick(random, alive).id
      const { owner, inSync } = from.council.entry('counter', slot)!
      const given =
        random() < 0.5
          ? { add: other }
          : random() < 0.5
            ? { owner: pick(random, inSync) }
            : { remove: pick(random, inSync) }
      if (!('remove' in given) || given.remove !== owner) room.propose(from, changeOf(from, slot, given))
    } else if (act < 0.6) {
      room.join()
    } else if (act < 0.7 && alive.length > 3 && room.t > quietUntil && isGoverned(room)) {
      // until everybody has heard of it
      quietUntil = room.t + 3_000
      const victim = pick(random, alive)
      if (random() < 0.5) room.leave(victim)
      else room.end(victim, false)
    } else if (act < 0.8) {
      room.loss = random() < 0.5 ? 0 : random() * 0.3
    } else if (act < 0.9 && voters.length > 1) {
      room.cut(pick(random, voters), pick(random, voters))
    } else {
      room.heal()
    }
    room.run(random() * 1_500)
  }
  room.heal()
  // beyond a moment in which a victim has not ended
  room.run(300)
  room.runUntil('governed', () => isGoverned(room), 60_000)
  room.runUntil('decided', () => room.alive.every(({ open }) => open.size === 0), 20_000)
  room.runUntil('known to all', () => room.alive.every(knowsAll), 20_000)
  for (const { council } of room.alive.filter(({ council: { isVoter } }) => isVoter))
    expect(council.entry('counter', 0)!.epoch).toBeGreaterThan(0)
}
