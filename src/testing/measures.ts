/** What a run measures: traffic of each phase, and how long changes take to reach everyone. */
import type { NodeId } from '../core/identity/node-id.ts'
import type { SimulatedProcess } from './process.ts'

export type PhaseName = 'forming' | 'idle' | 'calm' | 'storm' | 'healing'

/** Traffic of one phase over all nodes. */
export interface PhaseTraffic {
  readonly messages: number
  readonly bytes: number
  /** Seconds times living nodes. */
  readonly nodeSeconds: number
  /** Seconds times open ends of links. */
  readonly endSeconds: number
}

export interface Measured {
  readonly phases: Readonly<Record<PhaseName, PhaseTraffic>>
  /** From a change of meta until every member had been `confirmed` with it, in ms, while nothing failed. */
  readonly confirmedCalmMs: readonly number[]
  /** The same amid faults; members that go away meanwhile are not waited for. */
  readonly confirmedStormMs: readonly number[]
  /** From any change, peer state too, until every member held it, in ms, while nothing failed. */
  readonly seenCalmMs: readonly number[]
  /** From the start until all are up and agree. */
  readonly formedMs: number
  /** From healing until all agree. */
  readonly healedMs: number
}

/** One change on its way. */
interface Pending {
  readonly origin: NodeId
  readonly version: number
  readonly since: number
  readonly calm: boolean
  readonly confirmable: boolean
  readonly unseen: Set<SimulatedProcess>
  readonly unconfirmed: Set<SimulatedProcess>
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }
type Gathered = { [K in keyof Measured]: Measured[K] extends readonly number[] ? number[] : Measured[K] }

const noTraffic = (): Mutable<PhaseTraffic> => ({ messages: 0, bytes: 0, nodeSeconds: 0, endSeconds: 0 })

export class Measures {
  readonly #traffic: Record<PhaseName, Mutable<PhaseTraffic>> = {
    forming: noTraffic(),
    idle: noTraffic(),
    calm: noTraffic(),
    storm: noTraffic(),
    healing: noTraffic(),
  }
  readonly #times = { confirmedCalmMs: [], confirmedStormMs: [], seenCalmMs: [] } as Pick<
    Gathered,
    'confirmedCalmMs' | 'confirmedStormMs' | 'seenCalmMs'
  >
  readonly #pending = new Set<Pending>()
  #current = this.#traffic.forming
  #calm = true
  formedMs = 0
  healedMs = 0

  enter(phase: PhaseName): void {
    this.#current = this.#traffic[phase]
    this.#calm = phase === 'calm' || phase === 'idle'
  }

  sent(bytes: number): void {
    this.#current.messages++
    this.#current.bytes += bytes
  }

  /** Call regularly: `seconds` have passed with these processes alive. */
  elapsed(seconds: number, processes: Iterable<SimulatedProcess>): void {
    for (const process of processes) {
      this.#current.nodeSeconds += seconds
      this.#current.endSeconds += seconds * process.openLinks
    }
  }

  /** A change was made just now; `processes` are all that live. */
  changed(
    origin: SimulatedProcess,
    confirmable: boolean,
    now: number,
    processes: Iterable<SimulatedProcess>,
  ): void {
    const { nodeId } = origin
    const waiting = [...processes].filter((process) => process.node.view.status === 'up')
    this.#pending.add({
      origin: nodeId,
      version: origin.node.view.version(nodeId),
      since: now,
      calm: this.#calm,
      confirmable,
      unseen: new Set(waiting),
      unconfirmed: new Set(confirmable ? waiting : []),
    })
    this.observe(origin, now)
  }

  /** Call after each input that may have changed what `process` shows. */
  observe(process: SimulatedProcess, now: number): void {
    if (this.#pending.size === 0) return
    const { view } = process.node
    const confirmed = view.gossipState === 'confirmed'
    for (const change of this.#pending) {
      const unseen = change.unseen.has(process)
      if (!unseen && !(confirmed && change.unconfirmed.has(process))) continue
      if (view.version(change.origin) < change.version) continue
      if (unseen) this.#seen(change, process, now)
      if (confirmed) change.unconfirmed.delete(process)
      this.#settle(change, now)
    }
  }

  /** A process is gone: nobody waits for it, and what only it may have known counts no more. */
  ended(process: SimulatedProcess, now: number): void {
    for (const change of this.#pending) {
      if (change.origin === process.nodeId) {
        this.#pending.delete(change)
        continue
      }
      this.#seen(change, process, now)
      change.unconfirmed.delete(process)
      this.#settle(change, now)
    }
  }

  result(): Measured {
    return { phases: this.#traffic, ...this.#times, formedMs: this.formedMs, healedMs: this.healedMs }
  }

  #seen(change: Pending, process: SimulatedProcess, now: number): void {
    const last = change.unseen.delete(process) && change.unseen.size === 0
    if (last && change.calm) this.#times.seenCalmMs.push(now - change.since)
  }

  #settle(change: Pending, now: number): void {
    if (change.unseen.size > 0 || change.unconfirmed.size > 0) return
    this.#pending.delete(change)
    const took = now - change.since
    if (change.confirmable)
      (change.calm ? this.#times.confirmedCalmMs : this.#times.confirmedStormMs).push(took)
  }
}

/** The value that a share of `sorted` is not above; NaN of nothing. */
export function percentile(sorted: readonly number[], share: number): number {
  if (sorted.length === 0) return Number.NaN
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!
}
