/** What a large room measures: traffic at rest, how soon changes are everywhere, and the most that befalls one member. */
import type { NodeId } from '../core/identity/node-id.ts'
import { percentile } from './measures.ts'
import { componentsOf, distancesFrom } from './overlay-graph.ts'
import type { SimulatedProcess } from './process.ts'

/** One change on its way to all. */
export interface Spread {
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  /** The longest of all shortest paths from its origin, times the mean latency of a link. */
  readonly bestMs: number
  readonly hops: number
  /** Messages that were sent in the whole room meanwhile, beyond those of a quiet time as long. */
  readonly messages: number
  readonly members: number
}

/** The most that one member had in one second of virtual time. */
export interface Peak {
  /** Links that it began, and links that others offered it. */
  readonly dialled: number
  readonly offered: number
  readonly sentMessages: number
  readonly receivedMessages: number
  readonly sentBytes: number
  readonly receivedBytes: number
}

export interface OverlayMeasured {
  /** From the last arrival until all are up and agree. */
  readonly formedMs: number
  /** Bytes sent by a member in a second at rest, and messages: the mean, and the member with the most. */
  readonly idle: { readonly bytes: number; readonly maxBytes: number; readonly messages: number }
  readonly spreads: readonly Spread[]
  /** Links of a member once all has come to rest, and the longest of all shortest paths, from a few members. */
  readonly shape: { readonly meanLinks: number; readonly maxLinks: number; readonly hops: number }
  /** From the trouble's end until all agree; `undefined` where there was none. */
  readonly agreedMs: number | undefined
  /** While the room formed, and in its trouble. */
  readonly forming: Load
  readonly trouble: Load
}

export interface Load {
  readonly peak: Peak
  /** Links that were begun in the whole room, by whoever began them, and the members' mean of them. */
  readonly constructed: number
  readonly perMember: number
}

type Counts = { -readonly [K in keyof Peak]: Peak[K] }

const none = (): Counts => ({
  dialled: 0,
  offered: 0,
  sentMessages: 0,
  receivedMessages: 0,
  sentBytes: 0,
  receivedBytes: 0,
})

/** One member's present second, and what it has sent at all. */
class Meter {
  readonly counts = none()
  second = 0
  bytes = 0
  messages = 0
}

interface Change {
  readonly origin: NodeId
  readonly version: number
  readonly since: number
  readonly bestMs: number
  readonly hops: number
  readonly seen: Map<SimulatedProcess, number>
  readonly messages: number
  /** How many are to hear of it. */
  readonly members: number
}

/** Members from which the longest shortest path is looked for. */
const SAMPLED = 16

export class OverlayMeasures {
  formedMs = Number.NaN
  agreedMs: number | undefined
  readonly #meters = new Map<SimulatedProcess, Meter>()
  readonly #spreads: Spread[] = []
  #peak = none()
  #constructed = 0
  #messages = 0
  #forming: Load | undefined
  #change: Change | undefined
  #idleMarks = new Map<SimulatedProcess, { readonly bytes: number; readonly messages: number }>()
  #idle = { bytes: Number.NaN, maxBytes: Number.NaN, messages: Number.NaN }
  #idleRate = 0
  #shape = { meanLinks: Number.NaN, maxLinks: Number.NaN, hops: Number.NaN }

  sent(process: SimulatedProcess, bytes: number, now: number): void {
    const meter = this.#meter(process, now)
    meter.bytes += bytes
    meter.messages++
    meter.counts.sentMessages++
    meter.counts.sentBytes += bytes
    this.#messages++
  }

  received(process: SimulatedProcess, bytes: number, now: number): void {
    const { counts } = this.#meter(process, now)
    counts.receivedMessages++
    counts.receivedBytes += bytes
  }

  dialled(process: SimulatedProcess, initiator: boolean, now: number): void {
    const { counts } = this.#meter(process, now)
    if (initiator) {
      counts.dialled++
      this.#constructed++
    } else counts.offered++
  }

  /** The room has formed: how it is linked. */
  shape(processes: readonly SimulatedProcess[]): void {
    let links = 0
    let most = 0
    let hops = 0
    for (const { openLinks } of processes) {
      links += openLinks
      most = Math.max(most, openLinks)
    }
    const [largest = []] = componentsOf(processes)
    for (const origin of largest.slice(0, SAMPLED)) hops = Math.max(hops, ...distancesFrom(origin).values())
    this.#shape = { meanLinks: links / processes.length, maxLinks: most, hops }
    this.#forming = this.#load()
  }

  beginTrouble(): void {
    this.#load()
  }

  beginIdle(processes: Iterable<SimulatedProcess>): void {
    for (const process of processes) {
      const { bytes, messages } = this.#meters.get(process) ?? new Meter()
      this.#idleMarks.set(process, { bytes, messages })
    }
  }

  endIdle(ms: number): void {
    let bytes = 0
    let messages = 0
    let maxBytes = 0
    for (const [process, before] of this.#idleMarks) {
      const meter = this.#meters.get(process) ?? new Meter()
      bytes += meter.bytes - before.bytes
      messages += meter.messages - before.messages
      maxBytes = Math.max(maxBytes, meter.bytes - before.bytes)
    }
    const seconds = ms / 1_000
    const all = seconds * this.#idleMarks.size
    this.#idleRate = messages / ms
    this.#idle = { bytes: bytes / all, maxBytes: maxBytes / seconds, messages: messages / all }
    this.#idleMarks = new Map()
  }

  /** `origin` has just changed; `members` are to hear of it, itself included. */
  changed(origin: SimulatedProcess, latencyMs: number, now: number, members: number): void {
    const hops = Math.max(...distancesFrom(origin).values())
    this.#change = {
      origin: origin.nodeId,
      version: origin.node.view.version(origin.nodeId),
      since: now,
      bestMs: hops * latencyMs,
      hops,
      seen: new Map([[origin, now]]),
      messages: this.#messages,
      members,
    }
  }

  /** Call after every input. */
  observe(process: SimulatedProcess, now: number): void {
    const change = this.#change
    if (!change || change.seen.has(process)) return
    if (process.node.view.version(change.origin) >= change.version) change.seen.set(process, now)
  }

  /** The change had time enough. Returns who has not heard of it. */
  endChange(processes: Iterable<SimulatedProcess>, now: number): SimulatedProcess[] {
    const change = this.#change
    this.#change = undefined
    if (!change) return []
    const { since, bestMs, hops, seen, messages, members } = change
    const times = [...seen.values()].map((time) => time - since).sort((a, b) => a - b)
    this.#spreads.push({
      p50Ms: percentile(times, 0.5),
      p99Ms: percentile(times, 0.99),
      maxMs: times.at(-1)!,
      bestMs,
      hops,
      messages: this.#messages - messages - this.#idleRate * (now - since),
      members,
    })
    return [...processes].filter((process) => !seen.has(process))
  }

  result(): OverlayMeasured {
    const { formedMs, agreedMs } = this
    const trouble = this.#load()
    return {
      formedMs,
      agreedMs,
      idle: this.#idle,
      spreads: this.#spreads,
      shape: this.#shape,
      forming: this.#forming ?? trouble,
      trouble,
    }
  }

  /** What came together since the last call. */
  #load(): Load {
    for (const meter of this.#meters.values()) this.#close(meter)
    const constructed = this.#constructed
    const peak = this.#peak
    this.#peak = none()
    this.#constructed = 0
    return { peak, constructed, perMember: (2 * constructed) / Math.max(1, this.#meters.size) }
  }

  #meter(process: SimulatedProcess, now: number): Meter {
    let meter = this.#meters.get(process)
    if (!meter) {
      meter = new Meter()
      this.#meters.set(process, meter)
    }
    const second = Math.floor(now / 1_000)
    if (second !== meter.second) {
      this.#close(meter)
      meter.second = second
    }
    return meter
  }

  #close({ counts }: Meter): void {
    const peak = this.#peak
    for (const key of KEYS) {
      if (counts[key] > peak[key]) peak[key] = counts[key]
      counts[key] = 0
    }
  }
}

const KEYS = Object.keys(none()) as (keyof Counts)[]
