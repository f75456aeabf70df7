/**
 * How soon crashes are seen, and who is accused wrongly. Told by the events of members alone, so that it costs next
 * to nothing: no table is ever read.
 */
import type { ClusterEvent } from '../core/events.ts'
import type { NodeId } from '../core/identity/node-id.ts'
import type { SimulatedProcess } from './process.ts'

/** One crash, and how long it took to be shown as `unreachable` or `removed`. */
export interface CrashSeen {
  readonly silent: boolean
  /** Until the first other member showed it, in ms; NaN if none did. */
  readonly firstMs: number
  /** Until every other live member showed it, in ms; NaN if that never came. */
  readonly allMs: number
}

/** A member that was shown as `unreachable` or `removed` while it ran: once for each life and incarnation. */
export interface FalseAccusation {
  /** Virtual ms since the run began. */
  readonly time: number
  readonly subject: string
  /** Who showed it first. */
  readonly by: string
  readonly incarnation: number
  readonly status: 'unreachable' | 'removed'
  /** Whether the subject was throttled. */
  readonly throttled: boolean
}

export interface Detected {
  readonly crashes: readonly CrashSeen[]
  readonly accusations: readonly FalseAccusation[]
  /** Hours times living members. */
  readonly nodeHours: number
  /** How often a living member believed to have lost everybody. */
  readonly isolations: number
  /** How often a living member was removed and had to come back as its next life. */
  readonly rebirths: number
}

interface Crash {
  readonly silent: boolean
  readonly at: number
  /** Living members that still show it as if it lived. */
  readonly unaware: Set<SimulatedProcess>
  firstMs: number
  allMs: number
}

const HOUR_MS = 3_600_000

export class DetectionMeasures {
  readonly #crashes = new Map<NodeId, Crash>()
  readonly #accusations = new Map<string, FalseAccusation>()
  readonly #living = new Map<NodeId, SimulatedProcess>()
  #nodeMs = 0
  #countedTo = Infinity
  #isolations = 0
  #rebirths = 0

  /** From now on living time counts. */
  begin(now: number): void {
    this.#countedTo = now
  }

  born(process: SimulatedProcess, now: number): void {
    this.#count(now)
    this.#living.set(process.nodeId, process)
  }

  /** `others` are all that live on. */
  crashed(process: SimulatedProcess, silent: boolean, others: Iterable<SimulatedProcess>, now: number): void {
    const { nodeId } = process
    this.left(process, now)
    const unaware = new Set<SimulatedProcess>()
    for (const other of others) {
      const status = other.node.view.statusOf(nodeId)
      if (status === 'up' || status === 'joining') unaware.add(other)
    }
    // Whoever was wrongly accused by all when it crashed is seen at once.
    const ms = unaware.size === 0 ? 0 : Number.NaN
    this.#crashes.set(nodeId, { silent, at: now, unaware, firstMs: ms, allMs: ms })
  }

  /** It went away in a way that tells nothing of detection. */
  left(process: SimulatedProcess, now: number): void {
    this.#count(now)
    this.#living.delete(process.nodeId)
    for (const crash of this.#crashes.values()) this.#aware(crash, process, now)
  }

  event(process: SimulatedProcess, event: ClusterEvent, now: number): void {
    if (event.type === 'member-status') this.#shown(process, event.nodeId, event.to, now)
    else if (event.type === 'status' && event.to === 'isolated') this.#isolations++
    else if (event.type === 'reborn') this.#reborn(process, event.old, now)
  }

  result(now: number): Detected {
    this.#count(now)
    return {
      crashes: [...this.#crashes.values()].map(({ silent, firstMs, allMs }) => ({ silent, firstMs, allMs })),
      accusations: [...this.#accusations.values()],
      nodeHours: this.#nodeMs / HOUR_MS,
      isolations: this.#isolations,
      rebirths: this.#rebirths,
    }
  }

  #shown(process: SimulatedProcess, subject: NodeId, status: string, now: number): void {
    const isLost = status === 'unreachable' || status === 'removed'
    const crash = this.#crashes.get(subject)
    if (crash && isLost) {
      if (Number.isNaN(crash.firstMs)) crash.firstMs = now - crash.at
      this.#aware(crash, process, now)
    } else if (crash) {
      crash.unaware.add(process)
      crash.allMs = Number.NaN
    } else if (isLost) {
      this.#accused(process, subject, status, now)
    }
  }

  /** One more that shows the crash, or that is gone itself. The last one of them makes the time. */
  #aware(crash: Crash, process: SimulatedProcess, now: number): void {
    if (crash.unaware.delete(process) && crash.unaware.size === 0) crash.allMs = now - crash.at
  }

  #accused(process: SimulatedProcess, nodeId: NodeId, status: FalseAccusation['status'], now: number): void {
    const subject = this.#living.get(nodeId)
    if (!subject || subject === process || this.#countedTo === Infinity || subject.frozen) return
    const incarnation = process.node.view.incarnationOf(nodeId)
    const key = `${nodeId} ${incarnation}`
    if (this.#accusations.has(key)) return
    const throttled = subject.throttleMs > 0
    const [by, label] = [process.label, subject.label]
    this.#accusations.set(key, { time: now, subject: label, by, incarnation, status, throttled })
  }

  /** The new life knows nothing yet; what it learns, its events tell. */
  #reborn(process: SimulatedProcess, old: NodeId, now: number): void {
    this.#rebirths++
    this.#living.delete(old)
    this.#living.set(process.nodeId, process)
    for (const crash of this.#crashes.values()) this.#aware(crash, process, now)
  }

  #count(now: number): void {
    if (now <= this.#countedTo) return
    this.#nodeMs += (now - this.#countedTo) * this.#living.size
    this.#countedTo = now
  }
}
