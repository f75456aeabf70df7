/**
 * A room of processes with their councils, on a network that loses what it is given, and a membership that everybody
 * learns of late. Every message goes through the codec. What must always hold is checked as it happens; what must be
 * in the end is for the test to ask.
 */
import { decodeCouncil, encodeCouncil } from '../../../../src/core/council/council-codec.ts'
import type { CouncilMessage, SlotEntry } from '../../../../src/core/council/council-messages.ts'
import type { CouncilChange } from '../../../../src/core/council/council.ts'
import { Council } from '../../../../src/core/council/council.ts'
import type { MapEntry } from '../../../../src/core/partition/partition.ts'
import type { Command } from '../../../../src/core/council/partition-map.ts'
import type { PublishedCouncil } from '../../../../src/core/council/published-council.ts'
import { formatCouncil, parseCouncil } from '../../../../src/core/council/published-council.ts'
import type { Seat } from '../../../../src/core/council/voters.ts'
import type { Now } from '../../../../src/core/time.ts'
import { between, seededRandom } from '../../../../src/testing/random.ts'
import { Timeline } from '../../../../src/testing/timeline.ts'

export interface Process {
  readonly id: string
  readonly browser: string
  readonly council: Council
  readonly kinds: readonly string[]
  readonly startedAt: number
  /** Undecided proposals, and those that were decided, with what was said. */
  readonly open: Set<number>
  readonly decided: Map<number, boolean>
  readonly entries: Map<string, Map<number, MapEntry>>
  /** What it was told of councils. */
  readonly changes: { readonly change: CouncilChange; readonly group: string; readonly reason: string }[]
  published: string | undefined
  isAlive: boolean
  hasLeft: boolean
  endedAt: number
}

/** Others learn of a loss this late, in ms. */
const LOSS_MS = 2_000
const GOODBYE_MS = 30
/** What is published is known everywhere after this, in ms. */
const GOSSIP_MS = 50

export class CouncilRoom {
  loss = 0
  /** Whether all groups go back to one: then an epoch of a partition is one thing. */
  isOneHistory = true
  /** Messages that never arrive. */
  drops: (message: CouncilMessage) => boolean = () => false
  readonly processes: Process[] = []
  readonly sent = new Map<CouncilMessage['kind'], number>()
  readonly #random
  readonly #timeline = new Timeline()
  readonly #cuts = new Set<string>()
  /** Process, what it published, and when. */
  readonly #publications = new Map<string, { readonly at: number; readonly text: string | undefined }[]>()
  /** The map entry of each partition and epoch that anybody ever saw: there is one. */
  readonly #seen = new Map<string, string>()

  constructor(seed: number) {
    this.#random = seededRandom(seed, 'council')
  }

  get random(): () => number {
    return this.#random
  }

  get t(): number {
    return this.#timeline.now
  }

  get alive(): Process[] {
    return this.processes.filter(({ isAlive }) => isAlive)
  }

  get leader(): Process | undefined {
    return this.alive.find(({ council, id }) => council.leader === id && council.hasLease(this.#now()))
  }

  join(kinds: readonly string[] = ['counter'], browser?: string, letter?: string): Process {
    const index = this.processes.length
    const letters = 'abcdefghijklmnopqrstuvwxyz'
    const id = letter?.repeat(16) ?? letters[index % 26]!.repeat(15) + letters[Math.floor(index / 26)]!
    const council = new Council({
      self: id,
      random: seededRandom(index, 'process'),
      seats: () => this.#seats(process),
      candidates: (kind) =>
        this.#seats(process).map((seat) => ({
          process: seat.process,
          browser: seat.browser,
          standby: seat.standby,
          isHost: this.#named(seat.process).kinds.includes(kind),
        })),
      hasEnded: (other) => this.#isLossKnown(this.#named(other)) && this.#named(other).hasLeft,
      lostFor: (other) => this.#lostFor(this.#named(other)),
      published: () => this.#published(process),
      publish: (text) => {
        process.published = text
        const all = this.#publications.get(id) ?? []
        this.#publications.set(id, [...all, { at: this.t, text }])
        for (const other of this.processes) this.#at(GOSSIP_MS + 1, () => this.#notice(other))
      },
      send: (to, message) => this.#send(process, to, message),
      onEntries: (kind, entries) => this.#onEntries(process, kind, entries),
      onChange: (change, group, reason) => void process.changes.push({ change, group, reason }),
      onDecided: (proposal, ok) => {
        if (process.decided.has(proposal)) throw new Error(`${id}: proposal ${proposal} was decided twice`)
        process.open.delete(proposal)
        process.decided.set(proposal, ok)
      },
    })
    const process: Process = {
      id,
      browser: browser ?? `browser ${index}`,
      council,
      kinds,
      startedAt: this.t,
      open: new Set(),
      decided: new Map(),
      entries: new Map(),
      changes: [],
      published: undefined,
      isAlive: true,
      hasLeft: false,
      endedAt: Infinity,
    }
    this.processes.push(process)
    for (const kind of kinds) council.want(kind, true, this.#now())
    for (const other of this.processes) this.#at(GOSSIP_MS + 1, () => this.#notice(other))
    this.#wake(process)
    return process
  }

  found(process: Process): void {
    process.council.found(this.#now())
    this.#wake(process)
  }

  propose(process: Process, command: Command): number {
    const id = process.council.propose(command, this.#now())
    if (!process.decided.has(id)) process.open.add(id)
    this.#wake(process)
    return id
  }

  refresh(process: Process, kind: string): void {
    process.council.refresh(kind, this.#now())
    this.#wake(process)
  }

  /** Without a word, or, with `goodbye`, after one. */
  end(process: Process, goodbye: boolean): void {
    process.isAlive = false
    process.hasLeft = goodbye
    process.endedAt = this.t
    for (const other of this.processes) {
      this.#at((goodbye ? GOODBYE_MS : LOSS_MS) + 1, () => {
        if (!other.isAlive) return
        other.council.lost(process.id, goodbye ? 'ended' : 'unreachable', this.#now())
        this.#notice(other)
      })
    }
  }

  leave(process: Process): void {
    process.council.leave(this.#now())
    this.#wake(process)
    this.#at(200, () => this.end(process, true))
  }

  cut(a: Process, b: Process): void {
    this.#cuts.add(`${a.id} ${b.id}`)
    this.#cuts.add(`${b.id} ${a.id}`)
  }

  heal(): void {
    this.loss = 0
    this.#cuts.clear()
  }

  run(ms: number): void {
    this.#timeline.runUntil(this.t + ms)
  }

  /** Runs until it is so; fails after `ms`. */
  runUntil(what: string, isSo: () => boolean, ms = 30_000): void {
    const until = this.t + ms
    while (!isSo()) {
      if (this.t >= until) throw new Error(`after ${ms} ms: not ${what}`)
      this.run(10)
    }
  }

  #now(): Now {
    return { mono: this.t, wall: this.t + 1e12 }
  }

  #named(id: string): Process {
    return this.processes.find((process) => process.id === id)!
  }

  #isLossKnown(process: Process): boolean {
    return !process.isAlive && this.t > process.endedAt + (process.hasLeft ? GOODBYE_MS : LOSS_MS)
  }

  #lostFor(process: Process): number {
    if (!this.#isLossKnown(process)) return 0
    return process.hasLeft ? Infinity : this.t - process.endedAt - LOSS_MS
  }

  #seats(observer: Process): Seat[] {
    return this.processes
      .filter(
        (process) =>
          process === observer || (this.t > process.startedAt + GOSSIP_MS && !this.#isLossKnown(process)),
      )
      .map(({ id, browser, startedAt }) => ({ process: id, browser, standby: 0, upSince: startedAt }))
  }

  #published(observer: Process): Map<string, PublishedCouncil> {
    const known = new Map<string, PublishedCouncil>()
    for (const { process } of this.#seats(observer)) {
      const heard = this.#publications
        .get(process)
        ?.findLast(({ at }) => process === observer.id || at + GOSSIP_MS < this.t)
      const parsed = parseCouncil(heard?.text)
      if (heard?.text !== undefined && !parsed) throw new Error(`unreadable: ${heard.text}`)
      if (parsed && formatCouncil(parsed) !== heard!.text) throw new Error('read back as something else')
      if (parsed) known.set(process, parsed)
    }
    return known
  }

  #notice(process: Process): void {
    if (!process.isAlive) return
    process.council.notice(this.#now())
    this.#wake(process)
  }

  #send(from: Process, to: string, message: CouncilMessage): void {
    this.sent.set(message.kind, (this.sent.get(message.kind) ?? 0) + 1)
    const bytes = encodeCouncil(message)
    if (bytes.length > 16 * 1024) throw new Error(`${message.kind} has ${bytes.length} bytes`)
    if (this.#cuts.has(`${from.id} ${to}`) || this.#random() < this.loss) return
    if (this.drops(message)) return
    this.#at(between(this.#random, 5, 40), () => {
      const target = this.#named(to)
      if (!target.isAlive) return
      const decoded = decodeCouncil(bytes)
      if (typeof decoded === 'string') throw new Error(`${message.kind}: ${decoded}`)
      target.council.receive(from.id, decoded, this.#now())
      this.#wake(target)
    })
  }

  #onEntries(process: Process, kind: string, entries: readonly SlotEntry[]): void {
    const known = process.entries.get(kind) ?? new Map<number, MapEntry>()
    process.entries.set(kind, known)
    for (const [slot, entry] of entries) {
      const before = known.get(slot)
      if (before && before.epoch >= entry.epoch) throw new Error(`${process.id}: an epoch has not grown`)
      known.set(slot, entry)
      const name = `${kind}#${slot}@${entry.epoch}`
      const text = JSON.stringify([entry.owner, [...entry.inSync].sort(), entry.born])
      if (this.isOneHistory && (this.#seen.get(name) ?? text) !== text)
        throw new Error(`${name} is two things`)
      this.#seen.set(name, text)
    }
  }

  #wake(process: Process): void {
    const due = process.council.nextDeadline()
    if (due === Infinity) return
    this.#at(Math.max(0, due - this.t), () => {
      if (!process.isAlive || process.council.nextDeadline() > this.t) return
      process.council.tick(this.#now())
      this.#wake(process)
    })
  }

  #at(delay: number, run: () => void): void {
    this.#timeline.after(delay, run)
  }
}
