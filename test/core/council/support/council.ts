/**
 * A council on a network and on clocks that a test is master of. Every message goes through the codec; after every call
 * the invariants of `Invariants` are checked. `t` is true time, which no process knows.
 */
import type { Loss, RaftMessage, RaftOutput, Refusal } from '../../../../src/core/council/raft-messages.ts'
import { Raft } from '../../../../src/core/council/raft.ts'
import { decodeRaft, encodeRaft } from '../../../../src/core/council/raft-codec.ts'
import type { RaftTuning } from '../../../../src/core/council/raft-tuning.ts'
import type { Now, Random } from '../../../../src/core/time.ts'
import { between, seededRandom } from '../../../../src/testing/random.ts'
import { Invariants } from './invariants.ts'

export interface NetworkFaults {
  loss: number
  duplicate: number
  minDelayMs: number
  maxDelayMs: number
  /** So many messages take up to `slowMs` instead. */
  slow: number
  slowMs: number
}

export const CALM: NetworkFaults = {
  loss: 0,
  duplicate: 0,
  minDelayMs: 5,
  maxDelayMs: 40,
  slow: 0,
  slowMs: 0,
}

/** The state of the replicated toy: the commands, in order, by index. */
export type History = (readonly [index: number, command: string])[]

export interface Host {
  readonly id: string
  readonly raft: Raft
  /** What its machine has applied. */
  history: History
  isAlive: boolean
  /** Since when, in true time; whether its monotonic clock stands still meanwhile. */
  frozen: { readonly at: number; readonly stopsMono: boolean } | undefined
  rate: number
  monoShift: number
  wallShift: number
  /** Timers of this one fire on full seconds. */
  isHidden: boolean
  /** Messages that came while it was frozen. */
  readonly inbox: RaftMessage[]
  wakeId: number
}

interface Event {
  readonly at: number
  readonly order: number
  readonly run: () => void
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()
export const bytesOf = (text: string): Uint8Array => encoder.encode(text)
export const textOf = (bytes: Uint8Array): string => decoder.decode(bytes)

/** A process id that is easy to read. */
export const nameOf = (index: number): string =>
  'abcdefghijklmnopqrstuvwxyz'[index % 26]!.repeat(15) + 'abcdefghijklmnopqrstuvwxyz'[Math.floor(index / 26)]!

export class Council {
  t = 0
  faults: NetworkFaults = CALM
  readonly hosts: Host[] = []
  readonly invariants = new Invariants(this)
  /** Directions that carry nothing: `from to`. */
  readonly cuts = new Set<string>()
  /** Sees every message; `false` loses it. */
  filter: ((message: RaftMessage) => boolean) | undefined
  readonly outputs: { readonly host: Host; readonly output: RaftOutput }[] = []
  readonly seed: number
  readonly #tuning: Partial<RaftTuning>
  readonly #random: Random
  readonly #queue: Event[] = []
  #order = 0
  #ids = 0

  constructor(seed = 1, tuning: Partial<RaftTuning> = {}) {
    this.seed = seed
    this.#tuning = tuning
    this.#random = seededRandom(seed, 'network')
  }

  /** A council of one. */
  found(): Host {
    return this.#add((options, now) => Raft.found({ ...options, snapshot: bytesOf(JSON.stringify([])) }, now))
  }

  join(): Host {
    return this.#add((options) => Raft.join(options))
  }

  /** A council of so many voters, whose first one leads. */
  grow(count: number): Host[] {
    const first = this.found()
    this.tick(first)
    while (this.hosts.length < count) {
      const host = this.join()
      this.runUntil(() => this.change(first, { add: host.id }) === undefined)
      this.runUntil(() => first.raft.voters.includes(host.id))
    }
    this.runUntil(() =>
      this.hosts.every(
        ({ raft }) => raft.voters.length === count && raft.applied === first.raft.log.lastIndex,
      ),
    )
    return [...this.hosts]
  }

  clock(host: Host): Now {
    const frozen = host.frozen
    const asleep = frozen?.stopsMono ? (this.t - frozen.at) * host.rate : 0
    return {
      mono: this.t * host.rate + host.monoShift - asleep,
      wall: this.t * host.rate + host.wallShift,
    }
  }

  get leader(): Host | undefined {
    let best: Host | undefined
    for (const host of this.hosts) {
      if (!host.isAlive || host.frozen || host.raft.role !== 'leader') continue
      if (!best || host.raft.term > best.raft.term) best = host
    }
    return best
  }

  host(id: string): Host {
    return this.hosts.find((host) => host.id === id)!
  }

  get alive(): Host[] {
    return this.hosts.filter(({ isAlive }) => isAlive)
  }

  /** Returns its id, or the refusal. */
  propose(host: Host, command = `c${this.#ids + 1}`): number | Refusal {
    const id = ++this.#ids
    this.invariants.asked(id, command, host)
    const refusal = this.#call(host, () => host.raft.propose(id, bytesOf(command), this.clock(host)))
    if (refusal) this.invariants.refused(id)
    return refusal ?? id
  }

  change(host: Host, change: { add: string } | { remove: string }): Refusal | undefined {
    return this.#call(host, () => host.raft.change(++this.#ids, change, this.clock(host)))
  }

  transfer(host: Host, target: Host): Refusal | undefined {
    return this.#call(host, () => host.raft.transfer(target.id, this.clock(host)))
  }

  confirm(host: Host): number | Refusal {
    const id = ++this.#ids
    this.invariants.confirming(id)
    return this.#call(host, () => host.raft.confirm(id, this.clock(host))) ?? id
  }

  lost(host: Host, id: string, loss: Loss = 'unreachable'): void {
    this.#call(host, () => host.raft.lost(id, loss, this.clock(host)))
  }

  tick(host: Host): void {
    this.#call(host, () => host.raft.tick(this.clock(host)))
  }

  receive(host: Host, message: RaftMessage): string | undefined {
    return this.#call(host, () => host.raft.receive(message, this.clock(host)))
  }

  compact(host: Host, index = host.raft.applied): boolean {
    const history = host.history.filter(([at]) => at <= index)
    return host.raft.compact(index, bytesOf(JSON.stringify(history)))
  }

  kill(host: Host): void {
    host.isAlive = false
    host.inbox.length = 0
  }

  freeze(host: Host, stopsMono: boolean): void {
    if (host.isAlive && !host.frozen) host.frozen = { at: this.t, stopsMono }
  }

  thaw(host: Host): void {
    if (!host.frozen || !host.isAlive) return
    host.monoShift -= host.frozen.stopsMono ? (this.t - host.frozen.at) * host.rate : 0
    host.frozen = undefined
    this.invariants.checkLeases()
    // Timers and messages wait side by side; either may come first.
    if (this.#random() < 0.5) this.tick(host)
    for (const message of host.inbox.splice(0)) this.receive(host, message)
    this.tick(host)
  }

  /** Cuts both directions between these and all others. */
  isolate(side: readonly Host[]): void {
    for (const a of side) {
      for (const b of this.hosts) {
        if (side.includes(b)) continue
        this.cuts.add(`${a.id} ${b.id}`)
        this.cuts.add(`${b.id} ${a.id}`)
      }
    }
  }

  after(ms: number, run: () => void): void {
    this.#push({ at: this.t + ms, order: ++this.#order, run })
  }

  run(ms: number): void {
    const end = this.t + ms
    while (this.#queue.length > 0 && this.#queue[0]!.at <= end) this.#step()
    this.t = end
  }

  /** Runs until that holds; throws when it does not within `limitMs`. */
  runUntil(holds: () => boolean, limitMs = 30_000): void {
    const end = this.t + limitMs
    while (!holds()) {
      const next = this.#queue[0]
      if (!next || next.at > end) throw new Error(`not within ${limitMs} ms: ${holds.toString()}`)
      this.#step()
    }
  }

  of<K extends RaftOutput['type']>(type: K, host?: Host): Extract<RaftOutput, { type: K }>[] {
    return this.outputs
      .filter((entry) => (!host || entry.host === host) && entry.output.type === type)
      .map(({ output }) => output as Extract<RaftOutput, { type: K }>)
  }

  #add(make: (options: Parameters<typeof Raft.join>[0], now: Now) => Raft): Host {
    const id = nameOf(this.hosts.length)
    const random = seededRandom(this.seed, id)
    const emit = (output: RaftOutput): void => this.#onOutput(host, output)
    const isVoter = (process: string): boolean => this.#isSaidToVote(process)
    const options = { group: 'council', self: id, random, emit, isVoter, tuning: this.#tuning }
    const host: Host = {
      id,
      raft: make(options, { mono: this.t, wall: this.t }),
      history: [],
      isAlive: true,
      frozen: undefined,
      rate: 1,
      monoShift: 0,
      wallShift: 0,
      isHidden: false,
      inbox: [],
      wakeId: 0,
    }
    this.hosts.push(host)
    this.#schedule(host)
    return host
  }

  /** As if each voter published that it is one; those that a test plays are what it says. */
  #isSaidToVote(process: string): boolean {
    return this.hosts.find(({ id }) => id === process)?.raft.voters.includes(process) ?? true
  }

  #call<T>(host: Host, call: () => T): T {
    const result = call()
    this.#schedule(host)
    this.invariants.check(host)
    return result
  }

  #onOutput(host: Host, output: RaftOutput): void {
    if (output.type === 'send') {
      this.#send(output.message)
      return
    }
    this.outputs.push({ host, output })
    if (output.type === 'applied') host.history.push([output.index, textOf(output.command)])
    if (output.type === 'restored') host.history = JSON.parse(textOf(output.snapshot.bytes)) as History
    this.invariants.onOutput(host, output)
  }

  #send(sent: RaftMessage): void {
    const decoded = decodeRaft(encodeRaft(sent))
    if (!decoded.ok) throw new Error(`does not decode: ${decoded.reason}`)
    const { message } = decoded
    if (this.filter && !this.filter(message)) return
    const { loss, duplicate, slow, slowMs, minDelayMs, maxDelayMs } = this.faults
    const random = this.#random
    if (random() < loss || this.cuts.has(`${message.from} ${message.to}`)) return
    const copies = random() < duplicate ? 2 : 1
    for (let i = 0; i < copies; i++) {
      const delay = random() < slow ? between(random, 0, slowMs) : between(random, minDelayMs, maxDelayMs)
      this.after(delay, () => this.#deliver(message))
    }
  }

  #deliver(message: RaftMessage): void {
    const host = this.hosts.find(({ id }) => id === message.to)
    if (!host?.isAlive || this.cuts.has(`${message.from} ${message.to}`)) return
    if (host.frozen) host.inbox.push(message)
    else this.receive(host, message)
  }

  #schedule(host: Host): void {
    const wakeId = ++host.wakeId
    const deadline = host.raft.nextDeadline()
    if (deadline === Infinity) return
    let at = this.t + Math.max(0, deadline - this.clock(host).mono) / host.rate
    if (host.isHidden) at = Math.ceil(at / 1_000) * 1_000
    const run = (): void => {
      if (host.isAlive && !host.frozen && host.wakeId === wakeId) this.tick(host)
    }
    this.#push({ at: at + 0.001, order: ++this.#order, run })
  }

  #step(): void {
    const queue = this.#queue
    const first = queue[0]!
    const last = queue.pop()!
    if (queue.length > 0) {
      let at = 0
      for (;;) {
        let child = 2 * at + 1
        if (child >= queue.length) break
        if (child + 1 < queue.length && isBefore(queue[child + 1]!, queue[child]!)) child++
        if (!isBefore(queue[child]!, last)) break
        queue[at] = queue[child]!
        at = child
      }
      queue[at] = last
    }
    this.t = Math.max(this.t, first.at)
    first.run()
  }

  #push(event: Event): void {
    const queue = this.#queue
    let at = queue.push(event) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!isBefore(event, queue[parent]!)) break
      queue[at] = queue[parent]!
      at = parent
    }
    queue[at] = event
  }
}

const isBefore = (a: Event, b: Event): boolean => a.at < b.at || (a.at === b.at && a.order < b.order)
