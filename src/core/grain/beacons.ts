/**
 * Leases (Gray & Cheriton, 1989) between pairs of processes: one beacon covers every partition that the one owns and the
 * other replicates. An owner's right ages from the *sending* of the newest beacon that was answered, between any two
 * inputs by whichever of its clocks went further: a machine that slept has lost it, and a wall clock that is set back
 * does not hide a later sleep. A replica's patience ages from its newest *answer*, by the monotonic
 * clock alone: a machine that slept is only more patient. So the right is over before the patience is.
 *
 * An answer must not extend what its sender is about to end: it names the partitions that it does not speak for. It
 * speaks only for beacons newer than those it answered before; so whatever is refused is in every answer until the
 * owner has shown that it heard one with it.
 */
import type { ProcessId } from '../identity/node-id.ts'
import { AgeClock } from '../time.ts'
import type { Now } from '../time.ts'
import type { HoldingTuning } from './holding-tuning.ts'
import { PATIENCE_SHARE, RIGHT_SHARE } from './holding-tuning.ts'
import type { At, BeaconedMessage, BeaconMessage } from './messages.ts'
import type { PartitionId } from '../partition/partition.ts'

export interface BeaconsOptions {
  readonly tuning: HoldingTuning
  readonly send: (to: ProcessId, message: BeaconMessage | BeaconedMessage) => void
  /** What this process is trying to take over from that owner. */
  readonly seeking: (owner: ProcessId) => readonly At[]
  /** This process leads the council and has its own lease. */
  readonly grantsSole: (now: Now) => boolean
}

/** When a beacon was sent: on `mono`, and on the clock by which rights age. */
interface Sent {
  readonly mono: number
  readonly age: number
}

/** The owner's side of a pair. */
interface Pair {
  isWanted: boolean
  isSole: boolean
  /** When the newest beacons were sent, those answered excluded. */
  readonly sentAt: Map<number, Sent>
  heard: number
  grantedAt: Sent | undefined
  soleGrantedAt: Sent | undefined
  refused: ReadonlyMap<PartitionId, number>
  nextAt: number
  /** The newest went along with an answer. */
  goesAlong: boolean
  quietSince: number | undefined
  wasHeld: boolean
  wasSoleHeld: boolean
}

/** The replica's side. */
interface Promised {
  answered: number
  answeredAt: number
  /** Partitions that the owner may still think its own; `since` is the first answer that said no. */
  readonly deposed: Map<PartitionId, { epoch: number; since: number | undefined }>
}

/**
 * Of `beaconMs`. Where two processes own partitions of each other, the beacon of one goes along with its answer to the
 * other's, if it is due within `SOON`; and waits for the next one `PATIENT` longer.
 */
const SOON = 0.5
const PATIENT = 0.2
/** Beacons whose answer still counts, however late. */
const OPEN_BEACONS = 16

export class Beacons {
  readonly #options: BeaconsOptions
  readonly #rightMs: number
  readonly #patienceMs: number
  readonly #pairs = new Map<ProcessId, Pair>()
  readonly #promised = new Map<ProcessId, Promised>()
  readonly #age = new AgeClock()
  readonly #gone = new Set<ProcessId>()
  #sent = 0

  constructor(options: BeaconsOptions) {
    this.#options = options
    this.#rightMs = RIGHT_SHARE * options.tuning.leaseMs
    this.#patienceMs = PATIENCE_SHARE * options.tuning.leaseMs
  }

  /** That replica answered a beacon of this owner lately enough, and did not refuse the partition. */
  isHeld(replica: ProcessId, { partition, epoch }: At, now: Now): boolean {
    const pair = this.#pairs.get(replica)
    return pair !== undefined && this.#isFresh(pair.grantedAt, now) && !refuses(pair, partition, epoch)
  }

  /** Its newest answer did not speak for the partition. */
  isRefused(process: ProcessId, { partition, epoch }: At): boolean {
    const pair = this.#pairs.get(process)
    return pair !== undefined && refuses(pair, partition, epoch)
  }

  /** The same of the council's leader, for owners that are alone in sync. */
  isHeldByLeader(leader: ProcessId, now: Now): boolean {
    return this.#isFresh(this.#pairs.get(leader)?.soleGrantedAt, now)
  }

  /** Beacons to that replica are unanswered since then. */
  quietSince(replica: ProcessId): number | undefined {
    return this.#pairs.get(replica)?.quietSince
  }

  /** When this process may think that the right it gave to that owner is over, on `mono`. */
  patienceEndsAt(owner: ProcessId): number {
    return (this.#promised.get(owner)?.answeredAt ?? -Infinity) + this.#patienceMs
  }

  /** At each input: whether a lease ran out since the one before. */
  lapse(now: Now): boolean {
    this.#age.advance(now)
    let hasLapsed = false
    for (const pair of this.#pairs.values()) {
      if (pair.wasHeld && !this.#isFresh(pair.grantedAt, now)) {
        pair.wasHeld = false
        hasLapsed = true
      }
      if (pair.wasSoleHeld && !this.#isFresh(pair.soleGrantedAt, now)) {
        pair.wasSoleHeld = false
        hasLapsed = true
      }
    }
    return hasLapsed
  }

  /** Beacons go to these and to no others; `true` for the one that is asked as the leader. */
  keep(wanted: ReadonlyMap<ProcessId, boolean>, now: Now): void {
    for (const [process, pair] of this.#pairs) {
      if (wanted.has(process)) continue
      pair.isWanted = false
      pair.quietSince = undefined
    }
    for (const [process, isSole] of wanted) {
      const pair = this.#pairs.get(process) ?? newPair()
      this.#pairs.set(process, pair)
      if (!pair.isWanted || (isSole && !pair.isSole)) {
        const isWaiting = pair.isWanted || this.#isFresh(pair.grantedAt, now)
        if (!isWaiting || (isSole && !this.#isFresh(pair.soleGrantedAt, now))) pair.nextAt = now.mono
      }
      pair.isWanted = true
      pair.isSole = isSole
      if (pair.nextAt <= now.mono) this.#send(process, pair, now)
    }
  }

  onBeaconed(from: ProcessId, message: BeaconedMessage, now: Now): boolean {
    const pair = this.#pairs.get(from)
    const sentAt = pair?.sentAt.get(message.id)
    if (!pair || !sentAt || message.id <= pair.heard) return false
    pair.heard = message.id
    pair.grantedAt = sentAt
    if (message.sole) pair.soleGrantedAt = sentAt
    pair.refused = new Map(message.refused.map(({ partition, epoch }) => [partition, epoch]))
    for (const id of pair.sentAt.keys()) if (id <= message.id) pair.sentAt.delete(id)
    pair.quietSince = undefined
    const { beaconMs } = this.#options.tuning
    pair.nextAt = sentAt.mono + beaconMs * (pair.goesAlong ? 1 + PATIENT : 1)
    pair.wasHeld = this.#isFresh(pair.grantedAt, now)
    pair.wasSoleHeld = this.#isFresh(pair.soleGrantedAt, now)
    return true
  }

  onBeacon(from: ProcessId, message: BeaconMessage, now: Now): void {
    const promised = this.#promisedTo(from)
    // What was refused since must not be missing from an answer that counts.
    if (message.id <= promised.answered) return
    promised.answered = message.id
    promised.answeredAt = now.mono
    const refused: At[] = []
    for (const [partition, deposed] of promised.deposed) {
      if (deposed.since !== undefined && message.heard >= deposed.since) {
        promised.deposed.delete(partition)
        continue
      }
      deposed.since ??= message.id
      refused.push({ partition, epoch: deposed.epoch })
    }
    for (const at of this.#options.seeking(from)) refused.push(at)
    const sole = message.sole && this.#options.grantsSole(now)
    this.#options.send(from, { type: 'beaconed', id: message.id, sole, refused })
    this.#sendAlong(from, now)
  }

  /** The map names another owner: the former one may not know it. */
  depose(owner: ProcessId, partition: PartitionId, epoch: number): void {
    this.#promisedTo(owner).deposed.set(partition, { epoch, since: undefined })
  }

  /**
   * A process is gone for good: nothing more is said to it. It may have slept, and be back: what is refused it stays so,
   * until many others have gone.
   */
  forget(process: ProcessId): void {
    this.#pairs.delete(process)
    this.#gone.delete(process)
    this.#gone.add(process)
    if (this.#gone.size <= MAX_GONE) return
    const [oldest] = this.#gone
    this.#gone.delete(oldest!)
    this.#promised.delete(oldest!)
  }

  /** Time in which this process did not run counts for nobody's silence. */
  shift(lateMs: number): void {
    for (const pair of this.#pairs.values()) if (pair.quietSince !== undefined) pair.quietSince += lateMs
  }

  nextDeadline(): number {
    let next = Infinity
    for (const pair of this.#pairs.values()) {
      if (!pair.isWanted) continue
      next = Math.min(next, pair.nextAt)
      if (pair.wasHeld) next = Math.min(next, pair.grantedAt!.mono + this.#rightMs)
      if (pair.wasSoleHeld) next = Math.min(next, pair.soleGrantedAt!.mono + this.#rightMs)
    }
    return next
  }

  /** Not while one is unanswered: two would answer each other without end. */
  #sendAlong(to: ProcessId, now: Now): void {
    const pair = this.#pairs.get(to)
    if (!pair?.isWanted || pair.quietSince !== undefined) return
    if (pair.nextAt > now.mono + SOON * this.#options.tuning.beaconMs) return
    this.#send(to, pair, now)
    pair.goesAlong = true
  }

  #send(to: ProcessId, pair: Pair, now: Now): void {
    // Of all pairs: one that is forgotten, and comes back, goes on above what the other end has answered.
    const id = ++this.#sent
    pair.sentAt.set(id, { mono: now.mono, age: this.#age.at(now) })
    if (pair.sentAt.size > OPEN_BEACONS) pair.sentAt.delete(pair.sentAt.keys().next().value!)
    pair.quietSince ??= now.mono
    pair.nextAt = now.mono + this.#options.tuning.beaconAgainMs
    pair.goesAlong = false
    this.#options.send(to, { type: 'beacon', id, heard: pair.heard, sole: pair.isSole })
  }

  #isFresh(at: Sent | undefined, now: Now): boolean {
    return at !== undefined && this.#age.at(now) - at.age < this.#rightMs
  }

  #promisedTo(owner: ProcessId): Promised {
    let promised = this.#promised.get(owner)
    if (!promised) {
      promised = { answered: 0, answeredAt: -Infinity, deposed: new Map() }
      this.#promised.set(owner, promised)
    }
    return promised
  }
}

/** Processes that are gone of which it is kept what they are refused. */
const MAX_GONE = 256

/** What was refused for an epoch before is settled: the owner knows a later one. */
const refuses = ({ refused }: Pair, partition: PartitionId, epoch: number): boolean =>
  (refused.get(partition) ?? -1) >= epoch

const newPair = (): Pair => ({
  isWanted: false,
  isSole: false,
  sentAt: new Map(),
  heard: 0,
  grantedAt: undefined,
  soleGrantedAt: undefined,
  refused: new Map(),
  nextAt: -Infinity,
  goesAlong: false,
  quietSince: undefined,
  wasHeld: false,
  wasSoleHeld: false,
})
