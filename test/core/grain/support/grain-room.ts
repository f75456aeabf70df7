/**
 * A room of processes, each with the whole of grains: council, holdings, activations, calls. The network loses what may
 * be lost, keeps the rest in order, and every message goes as bytes; membership is learnt late. Processes end with and
 * without a word, and stand still for a while. Their handlers count: each call adds its own name to the state of its
 * key, so that at the end it can be seen what took effect, and how often.
 */
import type { Command } from '../../../../src/core/council/partition-map.ts'
import type { PublishedCouncil } from '../../../../src/core/council/published-council.ts'
import { parseCouncil } from '../../../../src/core/council/published-council.ts'
import type { Seat } from '../../../../src/core/council/voters.ts'
import type { GrainOutput, HostedKind } from '../../../../src/core/grain/grain-outputs.ts'
import { DEFAULT_KIND_TUNING } from '../../../../src/core/grain/grain-outputs.ts'
import type { GrainLane } from '../../../../src/core/grains.ts'
import { Grains } from '../../../../src/core/grains.ts'
import { partitionOf } from '../../../../src/core/partition/partition.ts'
import type { CallEnd } from '../../../../src/core/rpc/calls.ts'
import type { Now, Random } from '../../../../src/core/time.ts'
import { between, seededRandom } from '../../../../src/testing/random.ts'
import { Timeline } from '../../../../src/testing/timeline.ts'

export interface Op {
  readonly name: string
  readonly key: string
  readonly from: Process
  end: CallEnd | undefined
  readonly startedAt: number
  endedAt: number
}

/** What runs user code in the place of the room's own handlers. */
export interface RoomDriver {
  readonly kinds: ReadonlyMap<string, HostedKind>
  /** Called within a turn. */
  execute(output: GrainOutput): void
  ended(id: number, end: CallEnd): void
  /** A turn is over. */
  rest(): void
}

interface Activation {
  readonly key: string
  names: string[]
  isDead: boolean
}

export interface Process {
  readonly id: string
  readonly browser: string
  readonly grains: Grains
  readonly startedAt: number
  readonly activations: Map<number, Activation>
  readonly ops: Map<number, Op>
  readonly driver: RoomDriver | undefined
  /** What came while it stood still. */
  readonly inbox: (() => void)[]
  isAlive: boolean
  hasLeft: boolean
  endedAt: number
  frozenUntil: number
  /** When others took it for lost, and when they saw that it is not. */
  seenLostFrom: number
  seenLostUntil: number
}

const LOSS_MS = 2_000
const GOODBYE_MS = 30
const GOSSIP_MS = 50
const FIFO: ReadonlySet<GrainLane> = new Set(['grain', 'copy'])

export class GrainRoom {
  loss = 0
  readonly processes: Process[] = []
  readonly ops: Op[] = []
  readonly sent = new Map<GrainLane, number>()
  readonly random: Random
  readonly #timeline = new Timeline()
  readonly #publications = new Map<string, { readonly at: number; readonly text: string | undefined }[]>()
  readonly #arrivals = new Map<string, number>()
  #calls = 0

  constructor(seed: number) {
    this.random = seededRandom(seed, 'grain room')
  }

  get t(): number {
    return this.#timeline.now
  }

  get alive(): Process[] {
    return this.processes.filter(({ isAlive }) => isAlive)
  }

  /** Whoever runs the key now, of those that believe to. */
  hostsOf(key: string): Process[] {
    const partition = partitionOf('counter', key)
    return this.alive.filter(
      (process) => !this.isFrozen(process) && process.grains.holdings.mayRun(partition, this.#now()),
    )
  }

  join(browser?: string, driver?: RoomDriver): Process {
    const index = this.processes.length
    const letters = 'abcdefghijklmnopqrstuvwxyz'
    const id = letters[index % 26]!.repeat(15) + letters[Math.floor(index / 26)]!
    const grains = new Grains({
      self: id,
      random: seededRandom(index, 'process'),
      kinds: driver?.kinds ?? COUNTER,
      seats: () => this.#seats(process),
      isLive: (other) => this.#seats(process).some((seat) => seat.process === other),
      isLinked: () => true,
      versionOf: (other, kind) => kindsOf(this.#named(other)).get(kind),
      candidates: (kind) =>
        this.#seats(process).map((seat) => ({
          process: seat.process,
          browser: seat.browser,
          standby: 0,
          isHost: kindsOf(this.#named(seat.process)).has(kind),
        })),
      hasEnded: (other) => this.#named(other).hasLeft && this.#isLost(this.#named(other)),
      lostFor: (other) => this.#lostFor(this.#named(other)),
      isForgotten: () => false,
      browserOf: (other) => this.#named(other).browser,
      onLoss: (reason) => {
        throw new Error(reason)
      },
      onProvisional: () => undefined,
      published: () => this.#published(process),
      publish: (text) => {
        const all = this.#publications.get(id) ?? []
        this.#publications.set(id, [...all, { at: this.t, text }])
        for (const other of this.processes) this.#noticeSoon(other)
      },
      send: (to, lane, bytes) => this.#send(process, to, lane, bytes),
      output: (output) => (driver ? driver.execute(output) : this.#execute(process, output)),
      ended: (call, end) => {
        if (driver) return driver.ended(call, end)
        const op = process.ops.get(call)!
        if (op.end) throw new Error(`${op.name} ended twice`)
        op.end = end
        op.endedAt = this.t
      },
      onFault: (from, reason) => {
        throw new Error(`${from} to ${id}: ${reason}`)
      },
    })
    const process: Process = {
      id,
      browser: browser ?? `browser ${index}`,
      grains,
      startedAt: this.t,
      activations: new Map(),
      ops: new Map(),
      driver,
      inbox: [],
      isAlive: true,
      hasLeft: false,
      endedAt: Infinity,
      frozenUntil: 0,
      seenLostFrom: Infinity,
      seenLostUntil: -Infinity,
    }
    this.processes.push(process)
    grains.start(this.#now())
    for (const other of this.processes) {
      this.#noticeSoon(other)
      this.at(GOSSIP_MS + 1, () =>
        this.#input(other, () => other.grains.onLiveness(id, undefined, this.#now())),
      )
    }
    this.#wake(process)
    return process
  }

  found(process: Process): void {
    process.grains.found(this.#now())
    this.#wake(process)
  }

  add(from: Process, key: string): Op {
    const op: Op = { name: `op${++this.#calls}`, key, from, end: undefined, startedAt: this.t, endedAt: 0 }
    this.ops.push(op)
    this.#call(from, op, 'add')
    return op
  }

  read(from: Process, key: string): Op {
    const op: Op = { name: `read${++this.#calls}`, key, from, end: undefined, startedAt: this.t, endedAt: 0 }
    this.#call(from, op, 'read')
    return op
  }

  /** To the council, past whoever holds what it is about. */
  propose(process: Process, command: Command): void {
    process.grains.council.propose(command, this.#now())
    this.#wake(process)
  }

  end(process: Process, goodbye: boolean): void {
    process.isAlive = false
    process.hasLeft = goodbye
    process.endedAt = this.t
    for (const op of process.ops.values()) op.endedAt ||= this.t
    this.at((goodbye ? GOODBYE_MS : LOSS_MS) + 1, () =>
      this.#tellLoss(process, goodbye ? 'ended' : 'unreachable'),
    )
  }

  /** Says goodbye as a tab does that is closed: what it sends in its last moment arrives. */
  close(process: Process): void {
    process.grains.leave(this.#now())
    this.end(process, true)
  }

  /** It stands still, as a process that was stopped. After a while the others take it for lost. */
  freeze(process: Process, ms: number): void {
    const until = this.t + ms
    process.frozenUntil = until
    if (ms > LOSS_MS) {
      process.seenLostFrom = this.t + LOSS_MS
      process.seenLostUntil = until + GOSSIP_MS
      this.at(LOSS_MS + 1, () => this.#tellLoss(process, 'unreachable'))
      this.at(ms + GOSSIP_MS + 1, () => this.#tellLoss(process, undefined))
    }
    this.at(ms, () => {
      for (const run of process.inbox.splice(0)) if (process.isAlive) run()
      this.#input(process, () => process.grains.tick(this.#now()))
    })
  }

  isFrozen({ frozenUntil }: Process): boolean {
    return this.t < frozenUntil
  }

  run(ms: number): void {
    this.#timeline.runUntil(this.t + ms)
  }

  runUntil(what: string, isSo: () => boolean, ms = 30_000): void {
    const until = this.t + ms
    while (!isSo()) {
      if (this.t >= until) throw new Error(`after ${ms} ms: not ${what}`)
      this.run(10)
    }
  }

  at(delay: number, run: () => void): void {
    this.#timeline.after(delay, run)
  }

  /** Those that a process takes for live, itself included. */
  seenBy(observer: Process): Process[] {
    return this.#seats(observer).map(({ process }) => this.#named(process))
  }

  now(): Now {
    return this.#now()
  }

  /** What happens to a process: at once, or when it no longer stands still. */
  input(process: Process, run: () => void): void {
    this.#input(process, run)
  }

  #call(from: Process, op: Op, method: string): void {
    const id = ++this.#calls
    from.ops.set(id, op)
    const args = bytesOf(op.name)
    this.#input(from, () => from.grains.call({ id, kind: 'counter', key: op.key, method, args }, this.#now()))
  }

  #now(): Now {
    return { mono: this.t, wall: this.t + 1e12 }
  }

  #named(id: string): Process {
    return this.processes.find((process) => process.id === id)!
  }

  #isLost(process: Process): boolean {
    if (process.isAlive) return this.t > process.seenLostFrom && this.t <= process.seenLostUntil
    return this.t > process.endedAt + (process.hasLeft ? GOODBYE_MS : LOSS_MS)
  }

  /** As members see it. */
  #lostFor(process: Process): number {
    if (!this.#isLost(process)) return 0
    if (!process.isAlive) return process.hasLeft ? Infinity : this.t - process.endedAt - LOSS_MS
    return this.t - process.seenLostFrom
  }

  #seats(observer: Process): Seat[] {
    return this.processes
      .filter(
        (process) =>
          process === observer || (this.t > process.startedAt + GOSSIP_MS && !this.#isLost(process)),
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
      if (parsed) known.set(process, parsed)
    }
    return known
  }

  #tellLoss(process: Process, loss: 'ended' | 'unreachable' | undefined): void {
    for (const other of this.processes) {
      if (other === process) continue
      this.#input(other, () => {
        other.grains.onLiveness(process.id, loss, this.#now())
        other.grains.notice(this.#now())
      })
    }
  }

  #noticeSoon(process: Process): void {
    this.at(GOSSIP_MS + 1, () => this.#input(process, () => process.grains.notice(this.#now())))
  }

  #input(process: Process, run: () => void): void {
    if (!process.isAlive) return
    if (this.isFrozen(process)) return void process.inbox.push(run)
    run()
    this.#wake(process)
  }

  #send(from: Process, to: string, lane: GrainLane, bytes: Uint8Array): void {
    this.sent.set(lane, (this.sent.get(lane) ?? 0) + 1)
    const isOrdered = FIFO.has(lane)
    if (!isOrdered && this.random() < this.loss) return
    const pair = `${from.id} ${to} ${lane}`
    let arrival = this.t + between(this.random, 2, 20)
    if (isOrdered) {
      arrival = Math.max(arrival, this.#arrivals.get(pair) ?? 0)
      this.#arrivals.set(pair, arrival)
    }
    const target = this.#named(to)
    const copy = bytes.slice()
    this.at(arrival - this.t, () =>
      this.#input(target, () => target.grains.receive(from.id, copy, this.#now())),
    )
  }

  #execute(process: Process, output: GrainOutput): void {
    const soon = (run: () => void): void =>
      this.at(between(this.random, 0, 4), () => this.#input(process, run))
    const { activations, grains } = process
    switch (output.type) {
      case 'activate': {
        const { activation, key, state } = output
        activations.set(activation, { key, names: namesIn(state), isDead: false })
        return soon(() => grains.onActivated(activation, undefined, this.#now()))
      }
      case 'invoke': {
        const { activation, invocation, method, args } = output
        return soon(() => {
          const running = activations.get(activation)
          if (!running || running.isDead) return
          const others = this.hostsOf(running.key).filter((other) => other !== process)
          if (others.length > 0 && this.hostsOf(running.key).includes(process))
            throw new Error(`G1: ${running.key} runs at ${process.id} and ${others[0]!.id}`)
          if (method === 'add') running.names.push(textOf(args))
          const bytes = bytesOf(running.names.join(' '))
          const state = method === 'add' ? { state: bytes } : {}
          grains.onInvoked(invocation, { type: 'ok', bytes, ...state }, this.#now())
        })
      }
      case 'restore':
        activations.get(output.activation)!.names = namesIn(output.state)
        return
      case 'passivate':
        return soon(() => {
          activations.delete(output.activation)
          grains.onPassivated(output.activation, undefined, this.#now())
        })
      case 'abort': {
        const aborted = activations.get(output.activation)
        if (aborted) aborted.isDead = true
        activations.delete(output.activation)
      }
    }
  }

  #wake(process: Process): void {
    process.driver?.rest()
    const due = process.grains.nextDeadline()
    if (due === Infinity || !process.isAlive) return
    this.at(Math.max(0, due - this.t), () => {
      if (!process.isAlive || this.isFrozen(process) || process.grains.nextDeadline() > this.t) return
      process.grains.tick(this.#now())
      this.#wake(process)
    })
  }
}

const COUNTER: ReadonlyMap<string, HostedKind> = new Map([
  ['counter', { ...DEFAULT_KIND_TUNING, version: 1, accepts: [1] }],
])
export const kindsOf = ({ driver }: Process): ReadonlyMap<string, HostedKind> => driver?.kinds ?? COUNTER

const encoder = new TextEncoder()
const decoder = new TextDecoder()
const bytesOf = (text: string): Uint8Array => encoder.encode(text)
export const textOf = (bytes: Uint8Array): string => decoder.decode(bytes)
export const namesIn = (state: Uint8Array | undefined): string[] =>
  state && state.length > 0 ? textOf(state).split(' ') : []
