/** Who lets go of what, when: what a move does is in grain-regressions.test.ts. */
import { describe, expect, it } from 'vitest'
import { Balance } from '../../../src/core/grain/balance.ts'
import type { MapEntry, PartitionId } from '../../../src/core/partition/partition.ts'
import { parsePartition, partitionId, SLOTS } from '../../../src/core/partition/partition.ts'
import type { Candidate } from '../../../src/core/partition/placement.ts'
import { place, scoreOf } from '../../../src/core/partition/placement.ts'
import { seededRandom } from '../../../src/testing/random.ts'

const SELF = 'a'.repeat(16)
const OTHERS = ['b', 'c', 'd'].map((letter) => letter.repeat(16))

class Owner {
  readonly candidates: Candidate[]
  readonly entries = new Map<PartitionId, MapEntry>()
  readonly awake = new Set<PartitionId>()
  readonly moves: { readonly at: number; readonly partition: PartitionId; readonly to: string }[] = []
  isLed = true
  isObeyed = true
  looks = 0
  time = 0
  readonly balance: Balance

  constructor(others: readonly string[] = OTHERS) {
    this.candidates = [SELF, ...others].map((process) => hostOf(process))
    for (let slot = 0; slot < SLOTS; slot++) {
      const id = partitionId('counter', slot)
      this.entries.set(id, { epoch: 1, owner: SELF, inSync: this.targetsOf(id), born: 1 })
    }
    this.balance = new Balance({
      self: SELF,
      kinds: () => ['counter'],
      candidates: () => this.candidates,
      owned: () => [...this.entries].filter(([, { owner }]) => owner === SELF).map(([id]) => id),
      entryOf: (partition) => this.entries.get(partition),
      targets: (partition) => {
        this.looks++
        return this.targetsOf(partition)
      },
      isResting: (partition) => !this.awake.has(partition),
      isLed: () => this.isLed,
      move: (partition, to) => this.#move(partition, to),
    })
    this.balance.notice(0)
  }

  get owned(): number {
    return [...this.entries.values()].filter(({ owner }) => owner === SELF).length
  }

  targetsOf(partition: PartitionId): readonly string[] {
    const { kind, slot } = parsePartition(partition)!
    return place(kind, slot, this.candidates, this.entries.get(partition)?.owner ?? SELF)!.inSync
  }

  /** Sees another candidate in place of the one of that name. */
  see(candidate: Candidate): void {
    const i = this.candidates.findIndex(({ process }) => process === candidate.process)
    this.candidates.splice(i < 0 ? this.candidates.length : i, 1, candidate)
    this.balance.notice(this.time)
  }

  /** Wakes it when it wants to be. */
  run(ms: number): void {
    const until = this.time + ms
    while (this.balance.nextDeadline() <= until) {
      this.time = this.balance.nextDeadline()
      this.balance.tick(this.time)
    }
    this.time = until
  }

  #move(partition: PartitionId, to: string): void {
    this.moves.push({ at: this.time, partition, to })
    const entry = this.entries.get(partition)!
    if (this.isObeyed) this.entries.set(partition, { ...entry, epoch: entry.epoch + 1, owner: to })
  }
}

const hostOf = (process: string, standby = 0): Candidate => ({
  process,
  browser: process,
  isHost: true,
  standby,
})

const wantedBy = (slot: number, processes: readonly string[]): string =>
  processes.toSorted((a, b) => scoreOf('counter', slot, b) - scoreOf('counter', slot, a))[0]!

describe('an owner of all', () => {
  it('has moved what others are wanted more for, eight a second, after ten seconds of calm', () => {
    const owner = new Owner()
    owner.run(9_999)
    expect(owner.moves).toEqual([])
    owner.run(60_000)
    const perRound = new Map<number, number>()
    for (const { at } of owner.moves) perRound.set(at, (perRound.get(at) ?? 0) + 1)
    expect(Math.max(...perRound.values())).toBe(8)
    expect(owner.moves.at(-1)!.at).toBe(10_000 + (Math.ceil(owner.moves.length / 8) - 1) * 1_000)
    for (const [id, entry] of owner.entries)
      expect(entry.owner).toBe(wantedBy(parsePartition(id)!.slot, [SELF, ...OTHERS]))
    expect(owner.balance.nextDeadline(), 'there is nothing more to look at').toBe(Infinity)
  })

  it('looks at 32 in a second at most', () => {
    const owner = new Owner()
    for (const id of owner.entries.keys()) owner.awake.add(id)
    owner.run(10_000)
    expect(owner.looks).toBeLessThanOrEqual(2 * 32)
    owner.run(60_000)
    expect(owner.moves).toEqual([])
  })

  it('keeps what is in memory, and looks again whether it rests', () => {
    const owner = new Owner()
    for (let slot = 0; slot < 128; slot++) owner.awake.add(partitionId('counter', slot))
    owner.run(60_000)
    for (const id of owner.awake) expect(owner.entries.get(id)!.owner).toBe(SELF)
    const before = owner.moves.length
    owner.awake.clear()
    owner.run(60_000)
    expect(owner.moves.length).toBeGreaterThan(before)
    expect(owner.balance.nextDeadline()).toBe(Infinity)
  })

  it('moves nothing whose new holders have no copy yet', () => {
    const owner = new Owner()
    for (const [id, entry] of owner.entries) owner.entries.set(id, { ...entry, inSync: [SELF, OTHERS[0]!] })
    owner.run(30_000)
    expect(owner.moves).toEqual([])
    for (const [id, entry] of owner.entries) owner.entries.set(id, { ...entry, inSync: owner.targetsOf(id) })
    owner.run(60_000)
    expect(owner.moves.length).toBeGreaterThan(150)
  })

  it('moves nothing while nobody leads the council', () => {
    const owner = new Owner()
    owner.isLed = false
    owner.run(30_000)
    expect(owner.moves).toEqual([])
    owner.isLed = true
    owner.run(1_000)
    expect(owner.moves).toHaveLength(8)
  })

  it('asks again for what was not decided', () => {
    const owner = new Owner()
    owner.isObeyed = false
    owner.run(60_000)
    expect(owner.owned).toBe(SLOTS)
    owner.isObeyed = true
    owner.run(60_000)
    expect(owner.owned).toBeLessThan(SLOTS / 2)
  })

  it('moves nothing to those that host nothing, or may be frozen soon', () => {
    const owner = new Owner()
    owner.see({ ...hostOf(OTHERS[0]!), isHost: false })
    owner.see(hostOf(OTHERS[1]!, 2))
    owner.run(60_000)
    expect(new Set(owner.moves.map(({ to }) => to))).toEqual(new Set([OTHERS[2]]))
  })
})

describe('a change', () => {
  it('of hosts is waited out, but not for ever', () => {
    const owner = new Owner()
    for (let i = 0; i < 20; i++) {
      owner.run(5_000)
      const process = i.toString(36).padStart(16, 'x')
      if (owner.time < 60_000) expect(owner.moves).toEqual([])
      owner.see(hostOf(process))
    }
    expect(owner.moves.length).toBeGreaterThan(0)
    // Not to those that came a moment ago.
    for (const { at, to } of owner.moves)
      if (to.startsWith('x'))
        expect(at).toBeGreaterThanOrEqual((Number.parseInt(to.at(-1)!, 36) + 1) * 5_000 + 10_000)
  })

  it('of what users look at moves nothing, whatever it is', () => {
    const owner = new Owner()
    owner.run(60_000)
    const { length } = owner.moves
    const random = seededRandom(1, 'looks')
    for (let i = 0; i < 500; i++) {
      owner.see(hostOf([SELF, ...OTHERS][Math.floor(random() * 4)]!, Math.floor(random() * 3)))
      owner.run(Math.floor(random() * 30_000))
    }
    expect(owner.moves).toHaveLength(length)
    expect(owner.balance.nextDeadline()).toBe(Infinity)
  })

  it('never moves anything to one that is wanted less, so nothing goes back', () => {
    const random = seededRandom(2, 'looks')
    const owner = new Owner(OTHERS.concat(['e', 'f', 'g', 'h'].map((letter) => letter.repeat(16))))
    for (let i = 0; i < 100; i++) {
      const { process } = owner.candidates[Math.floor(random() * owner.candidates.length)]!
      owner.see({ ...hostOf(process, Math.floor(random() * 3)), isHost: random() < 0.7 })
      for (const [id, entry] of owner.entries)
        owner.entries.set(id, { ...entry, inSync: owner.targetsOf(id) })
      owner.run(Math.floor(random() * 20_000))
    }
    expect(owner.moves.length).toBeGreaterThan(50)
    for (const { partition, to } of owner.moves) {
      const { slot } = parsePartition(partition)!
      expect(scoreOf('counter', slot, to)).toBeGreaterThan(scoreOf('counter', slot, SELF))
    }
  })
})
