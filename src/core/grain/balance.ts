/**
 * Balance: lets go of partitions that another process is wanted more for (rendezvous hashing), slowly, and only while
 * nothing of them is in memory here. So in the end each process hosts its share, and nobody notices.
 *
 * A partition moves to the most wanted of those that should hold it, once all of these do: nothing waits for a copy
 * then. How much a process is wanted is between it and the partition alone, and grows with each move, so that nothing
 * ever moves back, and nothing moves twice but for a newcomer. Who is looked at does not count: visibility has a say in
 * who holds copies, and is no reason to look here. A page that may be frozen soon keeps what it has and is given nothing.
 *
 * A grain that is in memory stays where it is even while nobody calls it: its timers, and what its handlers keep beside
 * the state, would be lost, and nothing gained that anybody could see. It is looked at again once in a while.
 */
import type { ProcessId } from '../identity/node-id.ts'
import type { MapEntry, PartitionId } from '../partition/partition.ts'
import { parsePartition } from '../partition/partition.ts'
import type { Candidate } from '../partition/placement.ts'
import { place } from '../partition/placement.ts'

export interface BalanceOptions {
  readonly self: ProcessId
  /** Kinds that this process hosts: it owns nothing of others. */
  readonly kinds: () => Iterable<string>
  readonly candidates: (kind: string) => readonly Candidate[]
  /** What this process owns. */
  readonly owned: () => Iterable<PartitionId>
  readonly entryOf: (partition: PartitionId) => MapEntry | undefined
  /** Who should hold a partition. */
  readonly targets: (partition: PartitionId) => readonly ProcessId[]
  /** Nothing of it is in memory, and nothing is under way about it. */
  readonly isResting: (partition: PartitionId) => boolean
  /** Somebody leads the council: a partition that is handed over stands still until that is decided. */
  readonly isLed: () => boolean
  /** Has another own it, who holds all of it. */
  readonly move: (partition: PartitionId, to: ProcessId) => void
}

/** After a change of hosts nothing moves for so long, in ms, since others may follow; nor to one that came later. */
const CALM_MS = 10_000
/** A room in which hosts come and go all the time is balanced this long after the first of them, in ms. */
const RESTLESS_MS = 60_000
const ROUND_MS = 1_000
/** Partitions that are looked at, and that move, in a round at most. */
const LOOKS = 32
const MOVES = 8
/** What should move and cannot now is looked at again after this long, in ms. */
const AGAIN_MS = 10_000

export class Balance {
  readonly #options: BalanceOptions
  /** Since when each host is known. */
  #hosts: ReadonlyMap<ProcessId, number> = new Map()
  /** The first change since the last round. */
  #restlessSince: number | undefined
  #lookAt = Infinity
  /** What this pass has still to look at, and what the next one has. */
  #left: PartitionId[] | undefined
  #later: PartitionId[] = []

  constructor(options: BalanceOptions) {
    this.#options = options
  }

  /** Members have changed, or what they publish. */
  notice(now: number): void {
    const hosts = this.#hostsAt(now)
    const isSame = hosts.size === this.#hosts.size && [...hosts.keys()].every((host) => this.#hosts.has(host))
    this.#hosts = hosts
    if (isSame) return
    this.#restlessSince ??= now
    this.#lookAt = Math.min(now + CALM_MS, this.#restlessSince + RESTLESS_MS)
    this.#left = undefined
  }

  tick(now: number): void {
    if (now < this.#lookAt) return
    this.#restlessSince = undefined
    this.#lookAt = now + ROUND_MS
    if (this.#options.isLed()) this.#round(now)
  }

  nextDeadline(): number {
    return this.#lookAt
  }

  #round(now: number): void {
    const left = (this.#left ??= [...this.#options.owned()])
    let moves = 0
    for (let looks = 0; looks < LOOKS && moves < MOVES && left.length > 0; looks++) {
      const partition = left.pop()!
      const heir = this.#heirOf(partition, now)
      if (heir === undefined) continue
      // Also what moves now: the council may refuse.
      this.#later.push(partition)
      if (!this.#canMove(partition)) continue
      this.#options.move(partition, heir)
      moves++
    }
    if (left.length > 0) return
    this.#lookAt = this.#later.length > 0 ? now + AGAIN_MS : Infinity
    this.#left = this.#later
    this.#later = []
  }

  /** Who should own it in place of this process, if anybody should. */
  #heirOf(partition: PartitionId, now: number): ProcessId | undefined {
    const { self, entryOf, candidates, targets } = this.#options
    const { kind, slot } = parsePartition(partition)!
    if (entryOf(partition)?.owner !== self) return undefined
    const wanted = targets(partition)
    const able: Candidate[] = []
    for (const candidate of candidates(kind)) {
      const { process, standby } = candidate
      if (process === self) able.push({ ...candidate, isHost: true, standby: 0 })
      else if (wanted.includes(process) && standby < 2 && this.#isSettled(process, now))
        able.push({ ...candidate, standby: 0 })
    }
    const owner = place(kind, slot, able)?.owner
    return owner === self ? undefined : owner
  }

  #canMove(partition: PartitionId): boolean {
    const { entryOf, targets, isResting } = this.#options
    const { inSync } = entryOf(partition)!
    return isResting(partition) && targets(partition).every((process) => inSync.includes(process))
  }

  #isSettled(process: ProcessId, now: number): boolean {
    return now >= (this.#hosts.get(process) ?? Infinity) + CALM_MS
  }

  #hostsAt(now: number): Map<ProcessId, number> {
    const hosts = new Map<ProcessId, number>()
    for (const kind of this.#options.kinds())
      for (const { process, isHost } of this.#options.candidates(kind))
        if (isHost) hosts.set(process, this.#hosts.get(process) ?? now)
    return hosts
  }
}
