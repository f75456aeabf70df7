/**
 * Suspicions on their way to `unreachable`, wherever they came from. A suspicion waits for its subject to refute it:
 * long while one member observes the silence, shorter with each independent observer (Lifeguard, section IV-B).
 * `unreachable` needs two observers where two exist.
 */
import type { NodeId } from '../identity/node-id.ts'
import type { MembershipTable, TableChange } from '../membership/table.ts'
import type { Tuning } from '../tuning.ts'

/** Observers beyond the first after which a suspicion is as short as it gets; all there are, where there are fewer. */
const CONFIRMATIONS = 3
/** Nothing is gained by more. */
export const ENOUGH_OBSERVERS = CONFIRMATIONS + 1
/** Members that did not observe the silence themselves leave the verdict to those who did for this much longer. */
const BYSTANDER_MS = 5_000
/** Whoever is hidden is slow for a reason. */
const HIDDEN_FACTOR = 2
/** A suspect has so many round trips, as measured, to refute. */
const ROUND_TRIPS = 3
/** A verdict that lacks an observer is looked at again this soon. */
const RECHECK_MS = 250

interface Suspicion {
  readonly incarnation: number
  readonly since: number
  due: number
}

/** What decides over a verdict beside time. */
export interface Judge {
  /** How many members could observe the subject, this one included; counted up to `most`. */
  observersOf(nodeId: NodeId, most: number): number
  /** Smoothed round trip in ms; 0 where none was measured. */
  rttOf(nodeId: NodeId): number
  /** `false` while this member is more likely lost itself, or has had an answer since the suspicion began. */
  mayConvict(nodeId: NodeId, now: number, since: number): boolean
}

export class Suspicions {
  readonly #table: MembershipTable
  readonly #tuning: Tuning
  readonly #multiplier: () => number
  readonly #judge: Judge
  readonly #open = new Map<NodeId, Suspicion>()
  /** When the earliest of them is due: where hundreds are lost at once, nobody goes through all at every turn. */
  #next = Infinity

  constructor(table: MembershipTable, tuning: Tuning, multiplier: () => number, judge: Judge) {
    this.#table = table
    this.#tuning = tuning
    this.#multiplier = multiplier
    this.#judge = judge
  }

  has(nodeId: NodeId): boolean {
    return this.#open.has(nodeId)
  }

  notice({ nodeId }: TableChange, now: number): void {
    const accusation = this.#table.get(nodeId)?.accusation
    if (nodeId === this.#table.own || accusation?.rank !== 'suspect') {
      this.#drop(nodeId)
      return
    }
    const known = this.#open.get(nodeId)
    const since = known?.incarnation === accusation.incarnation ? known.since : now
    const due = since + this.#patience(nodeId, accusation.observers)
    this.#open.set(nodeId, { incarnation: accusation.incarnation, since, due })
    if (due < this.#next) this.#next = due
    else if (known?.due === this.#next) this.#findNext()
  }

  /** Time in which this member did not attend counts for nothing. */
  shift(ms: number): void {
    for (const suspicion of this.#open.values()) suspicion.due += ms
    this.#next += ms
  }

  tick(now: number): void {
    if (now < this.#next) return
    for (const [nodeId, suspicion] of this.#open) {
      if (now < suspicion.due) continue
      const observers = this.#table.get(nodeId)?.accusation?.observers ?? []
      const { minObservers } = this.#tuning
      const needed = Math.min(minObservers, Math.max(1, this.#judge.observersOf(nodeId, minObservers)))
      if (observers.length >= needed && this.#judge.mayConvict(nodeId, now, suspicion.since)) {
        this.#open.delete(nodeId)
        this.#table.convict(nodeId, 'no answer, and nobody who could reach it')
      } else {
        suspicion.due = now + RECHECK_MS
      }
    }
    this.#findNext()
  }

  nextDeadline(): number {
    return this.#next
  }

  #drop(nodeId: NodeId): void {
    const due = this.#open.get(nodeId)?.due
    if (this.#open.delete(nodeId) && due === this.#next) this.#findNext()
  }

  #findNext(): void {
    this.#next = Infinity
    for (const { due } of this.#open.values()) if (due < this.#next) this.#next = due
  }

  #patience(nodeId: NodeId, observers: readonly NodeId[]): number {
    const { suspicionMinMs, suspicionMaxMs } = this.#tuning
    // It must hear of it, refute, and be heard: no verdict comes before a member that slow could have.
    const min = suspicionMinMs === 0 ? 0 : Math.max(suspicionMinMs, ROUND_TRIPS * this.#judge.rttOf(nodeId))
    const max = Math.max(suspicionMaxMs, min)
    const most = Math.min(CONFIRMATIONS, Math.max(1, this.#judge.observersOf(nodeId, ENOUGH_OBSERVERS) - 1))
    const confirmations = Math.min(most, Math.max(0, observers.length - 1))
    const base = Math.max(min, max - (max - min) * (Math.log(confirmations + 1) / Math.log(most + 1)))
    const hidden = this.#table.get(nodeId)?.self?.visibility === 'visible' ? 1 : HIDDEN_FACTOR
    if (!observers.includes(this.#table.own)) return base * hidden + BYSTANDER_MS
    return base * hidden * this.#multiplier()
  }
}
