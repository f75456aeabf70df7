/**
 * One seeded run of a council of 1 to 7 processes under every fault there is, followed by quiet in which it has to get
 * something done. Same seed, same run.
 */
import type { Random } from '../../../../src/core/time.ts'
import {
  below,
  between,
  exponential,
  pick,
  sample,
  seededRandom,
  weighted,
} from '../../../../src/testing/random.ts'
import type { Host } from './council.ts'
import { CALM, Council } from './council.ts'

export interface SimulationOptions {
  /** How long faults go on, in ms of virtual time. */
  readonly faultsMs: number
  /** Within this long after the last fault, a leader has to be there and a new command committed. */
  readonly healMs: number
}

export const SIMULATION: SimulationOptions = { faultsMs: 30_000, healMs: 20_000 }

const ACTIONS = {
  propose: 40,
  confirm: 8,
  add: 8,
  remove: 6,
  spawn: 3,
  kill: 3,
  transfer: 6,
  lost: 6,
  freeze: 5,
  partition: 3,
  cut: 4,
  heal: 5,
  wallStep: 2,
  weather: 3,
  compact: 6,
} as const
type Action = keyof typeof ACTIONS

const MAX_ALIVE = 7

class Simulation {
  readonly council: Council
  readonly #random: Random
  readonly #options: SimulationOptions
  /** Entries a log may have until its owner compacts it. */
  readonly #maxLog: number
  /** Servers that are being taken in, by the host that does it. */
  readonly #adding = new Map<Host, string>()

  constructor(seed: number, options: SimulationOptions) {
    const random = seededRandom(seed, 'simulation')
    this.#random = random
    this.#options = options
    this.#maxLog = 3 + below(random, 12)
    this.council = new Council(seed, {
      keptEntries: below(random, 5),
      batchEntries: 1 + below(random, 4),
      batchBytes: 40 + below(random, 200),
      chunkBytes: 16 + below(random, 200),
      commandBytes: 8,
      uncommittedBytes: 300,
      maxVoters: 6,
      catchUpRounds: 1 + below(random, 10),
    })
  }

  run(): Council {
    const { council } = this
    const random = this.#random
    this.#settle(council.found())
    const size = 1 + below(random, MAX_ALIVE)
    while (council.hosts.length < size) this.#settle(council.join())
    this.#weather()
    const end = council.t + this.#options.faultsMs
    const isWild = random() < 0.7
    while (council.t < end) {
      council.run(exponential(random, isWild ? 150 : 400))
      this.#act(weighted(random, ACTIONS))
      if (random() < 0.5) this.#grow()
      this.#compactAll()
    }
    this.#quiet()
    return council
  }

  /** Clocks of its own. */
  #settle(host: Host): void {
    host.rate = between(this.#random, 0.95, 1.05)
    host.monoShift = between(this.#random, 0, 1e6) + this.council.t * (1 - host.rate)
    host.wallShift = between(this.#random, 0, 1e9)
    host.isHidden = this.#random() < 0.2
    if (host.raft.nextDeadline() < Infinity) host.monoShift = this.council.t * (1 - host.rate)
    this.council.tick(host)
  }

  #act(action: Action): void {
    const { council } = this
    const random = this.#random
    const awake = council.alive.filter(({ frozen }) => !frozen)
    if (awake.length === 0) return void this.#thawAll()
    const anybody = pick(random, awake)
    const leader = random() < 0.8 ? (council.leader ?? anybody) : anybody
    switch (action) {
      case 'propose':
        for (let i = below(random, 4); i >= 0; i--) council.propose(leader)
        return
      case 'confirm':
        council.confirm(leader)
        return
      case 'add':
        return this.#grow()
      case 'remove': {
        const voters = leader.raft.voters
        if (voters.length === 0) return
        const dead = voters.filter((id) => !council.host(id).isAlive)
        const remove = pick(random, dead.length > 0 && random() < 0.7 ? dead : voters)
        if (this.#isServed(voters.filter((id) => id !== remove))) council.change(leader, { remove })
        return
      }
      case 'spawn':
        if (council.alive.length < MAX_ALIVE) this.#settle(council.join())
        return
      case 'kill':
        if (this.#canLose(anybody)) council.kill(anybody)
        return
      case 'transfer':
        council.transfer(leader, pick(random, awake))
        return
      case 'lost':
        return this.#reportLost(anybody, awake)
      case 'freeze': {
        const stopsMono = random() < 0.5
        council.freeze(anybody, stopsMono)
        council.after(random() < 0.7 ? between(random, 100, 5_000) : between(random, 5_000, 60_000), () => {
          // A sleep that neither clock shows is one that nobody can know of.
          if (random() < 0.1) anybody.wallShift += between(random, stopsMono ? 0 : -5_000, 5_000)
          council.thaw(anybody)
        })
        return
      }
      case 'partition':
        return council.isolate(sample(random, council.alive, below(random, council.alive.length)))
      case 'cut': {
        const other = pick(random, council.alive)
        council.cuts.add(`${anybody.id} ${other.id}`)
        if (random() < 0.5) council.cuts.add(`${other.id} ${anybody.id}`)
        return
      }
      case 'heal':
        return council.cuts.clear()
      case 'wallStep':
        anybody.wallShift += between(random, -10_000, 100_000)
        return
      case 'weather':
        return this.#weather()
      case 'compact':
        council.compact(anybody, anybody.raft.applied - below(random, 3))
    }
  }

  /** True of the dead, false of most of the living; some hear it, or all but the leader itself. */
  #reportLost(anybody: Host, awake: readonly Host[]): void {
    const { council } = this
    const random = this.#random
    const told = random() < 0.5 ? awake : sample(random, awake, 1 + below(random, awake.length))
    const about = random() < 0.6 ? (anybody.raft.leader ?? anybody.id) : pick(random, council.hosts).id
    for (const host of told) {
      if (host.id === about) continue
      council.after(between(random, 0, 300), () => {
        if (host.isAlive && !host.frozen)
          council.lost(host, about, council.host(about).isAlive ? 'unreachable' : 'ended')
      })
    }
  }

  #grow(): void {
    const { council } = this
    const leader = council.leader
    if (!leader) return
    const outside = council.alive.filter(({ id }) => !leader.raft.voters.includes(id))
    if (outside.length === 0 || leader.raft.voters.length >= 5) return
    const { id } = pick(this.#random, outside)
    if (council.change(leader, { add: id }) === undefined) this.#adding.set(leader, id)
  }

  #weather(): void {
    const random = this.#random
    this.council.faults =
      random() < 0.3
        ? CALM
        : {
            loss: random() < 0.5 ? 0 : between(random, 0, 0.3),
            duplicate: random() < 0.5 ? 0 : 0.2,
            minDelayMs: 1,
            maxDelayMs: between(random, 5, 300),
            slow: random() < 0.5 ? 0 : 0.1,
            slowMs: between(random, 500, 8_000),
          }
  }

  #compactAll(): void {
    for (const host of this.council.alive) {
      const { log } = host.raft
      if (!host.frozen && log.lastIndex - log.base > this.#maxLog) this.council.compact(host)
    }
  }

  #isServed(voters: readonly string[], without?: Host): boolean {
    if (voters.length === 0) return true
    const served = voters.filter((id) => this.council.host(id).isAlive && id !== without?.id)
    return served.length * 2 > voters.length
  }

  /** Whether every quorum that anybody may count by still has its majority. */
  #canLose(host: Host): boolean {
    return this.council.alive.every((other) => {
      const { newest, previousVoters } = other.raft.log
      const adding = this.#adding.get(other)
      const coming = adding === undefined ? newest.voters : [...newest.voters, adding]
      return [newest.voters, previousVoters, coming].every((voters) => this.#isServed(voters, host))
    })
  }

  #thawAll(): void {
    for (const host of this.council.alive) this.council.thaw(host)
  }

  #quiet(): void {
    const { council } = this
    council.cuts.clear()
    council.faults = CALM
    this.#thawAll()
    const before = new Set(council.invariants.proposals.keys())
    const served = council.alive.filter(({ raft }) => raft.voters.length > 0)
    let done = (): boolean => false
    const propose = (): void => {
      const leader = council.leader
      const id = leader && council.propose(leader)
      if (typeof id === 'number') {
        const { host } = council.invariants.proposals.get(id)!
        done = () => council.invariants.hasApplied(id) && host.raft.role === 'leader'
      }
      if (!done()) council.after(1_000, () => done() || propose())
    }
    propose()
    council.runUntil(() => done(), this.#options.healMs)
    // All voters get to know it, and nothing that was begun is left open.
    council.runUntil(() => {
      const leader = council.leader
      return (
        leader !== undefined &&
        leader.raft.voters.every((id) => {
          const host = council.host(id)
          return !host.isAlive || host.raft.applied === leader.raft.applied
        })
      )
    }, this.#options.healMs)
    council.run(5_000)
    if (served.length === 0) throw new Error('nobody is left')
    council.invariants.checkEnded(before)
  }
}

export const simulate = (seed: number, options = SIMULATION): Council => new Simulation(seed, options).run()
