/**
 * Some processes with the real Calls and Activations, and a world around them that does what worlds do: owners change,
 * rights lapse, entries take their time to be stored or are lost with their owner, lanes lose a suffix, processes
 * freeze and die. Every rule that can be told from outside is checked when it can first be broken.
 */
import { Activations, DEFAULT_ACTIVATION_TUNING } from '../../../../src/core/grain/activations.ts'
import { DEFAULT_KIND_TUNING } from '../../../../src/core/grain/grain-outputs.ts'
import type { GrainOutput, KindTuning } from '../../../../src/core/grain/grain-outputs.ts'
import { applyChange } from '../../../../src/core/grain/key-contents.ts'
import type { GrainStore, Kept } from '../../../../src/core/grain/grain-store.ts'
import type { KeyChange, KeyContents } from '../../../../src/core/grain/key-contents.ts'
import { DEFAULT_CALL_TUNING, Calls } from '../../../../src/core/rpc/calls.ts'
import type { CallEnd } from '../../../../src/core/rpc/calls.ts'
import { decodeRpc, encodeRpc } from '../../../../src/core/rpc/call-codec.ts'
import type { OwnerHint, Parent, RpcMessage } from '../../../../src/core/rpc/messages.ts'
import type { Now, Random } from '../../../../src/core/time.ts'
import { EventHeap } from '../../../../src/testing/heap.ts'
import type { Timed } from '../../../../src/testing/heap.ts'
import { below, between, pick, seededRandom } from '../../../../src/testing/random.ts'

interface Event extends Timed {
  readonly run: () => void
}

interface Entry {
  readonly number: number
  readonly key: string
  readonly change: KeyChange
}

/** The truth about a partition: who owns it, what is stored everywhere, and what its owner has beside that. */
class Partition {
  owner: Process
  epoch = 1
  /** Until when the owner may run handlers, and whether it was told that it may. */
  leaseUntil = -1
  isRunning = false
  /** How often a right began: each has its own beacons. */
  reigns = 0
  number = 0
  stored = 0
  committed = new Map<string, Kept>()
  pending: Entry[] = []

  constructor(owner: Process) {
    this.owner = owner
  }

  /** The owner's own copy. */
  get(key: string): Kept | undefined {
    let kept = this.committed.get(key)
    for (const entry of this.pending) if (entry.key === key) kept = apply(kept, entry)
    return kept
  }

  commit(upTo: number): void {
    while (this.pending.length > 0 && this.pending[0]!.number <= upTo) {
      const entry = this.pending.shift()!
      this.committed.set(entry.key, apply(this.committed.get(entry.key), entry))
    }
    this.stored = Math.max(this.stored, upTo)
  }
}

function apply(kept: Kept | undefined, { number, change }: Entry): Kept {
  const contents = applyChange(kept?.contents, change) ?? EMPTY
  return { contents, number }
}

const NOTHING = new Uint8Array(0)
const EMPTY: KeyContents = { state: undefined, callers: new Map() }

export interface CounterState {
  value: number
  /** How often each operation has taken effect. */
  ops: Record<string, number>
  order: string[]
  version: number
}

export const bytesOf = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value))
export const valueOf = <T>(bytes: Uint8Array): T => JSON.parse(new TextDecoder().decode(bytes)) as T

interface Asked {
  readonly op: string
  readonly process: Process
  readonly method: string
  readonly key: string
  end?: CallEnd
}

/** What every result says: the version of the state that it has seen. */
export interface Seen {
  readonly kind: string
  readonly key: string
  readonly version: number
  readonly value: unknown
}

interface UserCode {
  readonly kind: string
  readonly key: string
  state: CounterState
  isDead: boolean
}

export class Process {
  readonly id: string
  readonly calls: Calls
  readonly activations: Activations
  readonly world: World
  /** What it knows of the map. */
  readonly map = new Map<string, OwnerHint>()
  readonly dead = new Set<string>()
  isDead = false
  diedAt = Infinity
  frozenUntil = -1
  /** Rights that ended while it was frozen: it hears of it before all else. */
  readonly lost = new Set<string>()
  readonly user = new Map<number, UserCode>()
  readonly nested = new Map<number, (end: CallEnd) => void>()

  constructor(world: World, index: number) {
    this.world = world
    this.id = `p${String.fromCharCode(97 + index)}`.padEnd(16, 'a')
    this.calls = new Calls({
      self: this.id,
      random: seededRandom(world.seed, 'calls', index),
      tuning: DEFAULT_CALL_TUNING,
      partitionOf: world.partitionOf,
      ownerOf: (p) => this.map.get(p),
      askMap: (p) => world.after(between(world.random, 5, 100), () => this.learn(p)),
      search: (p) => world.after(between(world.random, 5, 500), () => this.hearMoved(p)),
      isLive: (process) => !this.dead.has(process),
      versionOf: () => undefined,
      send: (to, message) => world.send(this, to, message),
      ended: (id, end) => this.#onEnded(id, end),
    })
    const store: GrainStore = {
      entryOf: (p) => this.map.get(p),
      mayRun: (p) => world.mayRun(this, p),
      wake: (p) => world.after(between(world.random, 0, 150), () => world.begin(this, p)),
      rest: (p) => world.rest(this, p),
      get: (p, key) => world.partition(p).get(key),
      wasLost: () => false,
      append: (p, key, change) => world.append(this, p, key, change),
      takeIn: () => undefined,
      storedUpTo: (p) => world.partition(p).stored,
    }
    this.activations = new Activations({
      self: this.id,
      store,
      // Every other world passes calls on.
      tuning: { ...DEFAULT_ACTIVATION_TUNING, hops: world.hops },
      partitionOf: world.partitionOf,
      kindOf: (kind) => KINDS[kind],
      isForgotten: (process) => world.now > world.process(process).diedAt + 60_000,
      send: (to, message) => world.send(this, to, message),
      output: (output) => this.#execute(output),
      abandon: (child, now) => this.calls.abandon(child, now),
      settleChildren: (child, now) => this.calls.settleChildren(child, now),
    })
  }

  /** An input, when the process is awake; what is due is done first, own rights before all else. */
  input(run: (now: Now) => void): void {
    const { world } = this
    if (this.isDead) return
    // In order, however often it is frozen meanwhile: lanes keep theirs.
    if (world.now < this.frozenUntil || this.#waiting.length > 0) {
      if (this.#waiting.push(run) === 1) world.at(this.frozenUntil, () => this.#thaw())
      return
    }
    this.#take(run)
  }

  readonly #waiting: ((now: Now) => void)[] = []
  #thaw(): void {
    if (this.world.now < this.frozenUntil) {
      this.world.at(this.frozenUntil, () => this.#thaw())
      return
    }
    // What these bring about comes behind them.
    for (const run of this.#waiting.splice(0)) if (!this.isDead) this.#take(run)
  }

  #take(run: (now: Now) => void): void {
    const { world } = this
    const now = world.clock()
    world.endRights(this, now)
    this.calls.tick(now)
    this.activations.tick(now)
    run(now)
    this.#arm()
  }

  /** Whoever holds a copy says who owns it now; the map here stays as it is. */
  hearMoved(partition: string): void {
    const { owner, epoch } = this.world.partition(partition)
    this.input((now) => this.calls.onMoved(partition, { owner: owner.id, epoch }, now))
  }

  learn(partition: string): void {
    const { owner, epoch } = this.world.partition(partition)
    this.input((now) => {
      if ((this.map.get(partition)?.epoch ?? 0) >= epoch) return
      this.map.set(partition, { owner: owner.id, epoch })
      this.world.endRights(this, now)
      this.activations.onMap(partition, now)
      this.calls.onMap(partition, now)
    })
  }

  #armedAt = Infinity
  #arm(): void {
    const next = Math.min(this.calls.nextDeadline(), this.activations.nextDeadline())
    if (next >= this.#armedAt || next === Infinity) return
    this.#armedAt = next
    this.world.at(Math.max(next, this.world.now), () => {
      this.#armedAt = Infinity
      this.input(() => undefined)
    })
  }

  #onEnded(id: number, end: CallEnd): void {
    const nested = this.nested.get(id)
    // Whoever runs a handler again finds all that its earlier run has asked for; it is not run when nobody waits.
    this.world.check(
      this.world.hops > 0 || end.type === 'result' || end.code !== 'call-too-old',
      'a call that is open is too old',
    )
    if (nested) {
      this.nested.delete(id)
      this.world.after(0, () => nested(end))
      return
    }
    this.world.ended(id, end)
  }

  #execute(output: GrainOutput): void {
    const { world } = this
    switch (output.type) {
      case 'activate': {
        const state = output.state ? valueOf<CounterState>(output.state) : fresh()
        this.user.set(output.activation, { kind: output.kind, key: output.key, state, isDead: false })
        const problem = output.key === 'broken' ? bytesOf('setup') : undefined
        world.check(
          world.mayRun(this, world.partitionOf(output.kind, output.key)),
          'G3: activated without a right',
        )
        world.after(between(world.random, 0, 20), () =>
          this.input((now) => this.activations.onActivated(output.activation, problem, now)),
        )
        return
      }
      case 'restore':
        this.user.get(output.activation)!.state = output.state ? valueOf(output.state) : fresh()
        return
      case 'passivate':
        world.after(between(world.random, 0, 50), () => {
          this.user.get(output.activation)!.isDead = true
          this.user.delete(output.activation)
          this.input((now) => this.activations.onPassivated(output.activation, undefined, now))
        })
        return
      case 'abort': {
        const user = this.user.get(output.activation)
        if (user) user.isDead = true
        this.user.delete(output.activation)
        return
      }
      case 'invoke':
        this.#invoke(output)
    }
  }

  #invoke({ activation, invocation, method, args }: Extract<GrainOutput, { type: 'invoke' }>): void {
    const { world } = this
    const user = this.user.get(activation)!
    const input = valueOf<{ op: string; by: number; from: string; to: string }>(args)
    world.check(world.mayRun(this, world.partitionOf(user.kind, user.key)), 'G3: started without a right')
    world.began.add(input.op)
    const done = (value: unknown, changed: boolean, isError = false): void => {
      if (user.isDead && world.random() < 0.5) return
      const seen: Seen = { kind: user.kind, key: user.key, version: user.state.version, value }
      const bytes = bytesOf(isError ? value : seen)
      const state = changed ? bytesOf(user.state) : NOTHING
      if (changed) world.versions.set(state, user.state.version)
      this.input((now) =>
        this.activations.onInvoked(
          invocation,
          isError ? { type: 'error', bytes } : { type: 'ok', bytes, ...(changed && { state }) },
          now,
        ),
      )
    }
    const change = (): void => {
      const { state } = user
      state.value += input.by
      state.ops[input.op] = (state.ops[input.op] ?? 0) + 1
      state.order.push(input.op)
      state.version++
    }
    const pause = world.random() < 0.05 ? between(world.random, 500, 4_000) : between(world.random, 0, 40)
    const ask = (
      kind: string,
      key: string,
      method: string,
      op: string,
      by: number,
      then: (end: CallEnd) => void,
    ): void =>
      this.input((now) => {
        const parent = this.activations.parentOf(invocation, now)
        if (!parent) return
        this.callNested(parent, kind, key, method, { op, by }, then, now)
      })
    world.after(pause, () => {
      switch (method) {
        case 'add':
          change()
          return done(user.state.value, true)
        case 'read':
          return done(user.state.value, false)
        case 'throw':
          change()
          return done('thrown', false, true)
        case 'loop':
          return ask('loop', user.key, 'add', `${input.op}.inner`, 1, (end) =>
            done(end.type === 'error' && end.code, false),
          )
        case 'again':
          // Reentrant: its own activation is called back.
          return ask('again', user.key, 'add', `${input.op}.inner`, 1, (end) => {
            if (end.type === 'error') return done(end.code, false, true)
            change()
            done('ok', true)
          })
        case 'transfer':
          return ask('counter', input.from, 'add', `${input.op}.out`, -input.by, (end) => {
            if (end.type === 'error') return done(end.code, false, true)
            ask('counter', input.to, 'add', `${input.op}.in`, input.by, (end) => {
              if (end.type === 'error') return done(end.code, false, true)
              if (user.kind === 'bank') change()
              done('moved', user.kind === 'bank')
            })
          })
        default:
          throw new Error(method)
      }
    })
  }

  callNested(
    parent: Parent,
    kind: string,
    key: string,
    method: string,
    args: unknown,
    then: (end: CallEnd) => void,
    now: Now,
  ): void {
    const id = ++this.world.ids
    this.nested.set(id, then)
    this.calls.call({ id, kind, key, method, args: bytesOf(args), parent }, now)
  }
}

const fresh = (): CounterState => ({ value: 0, ops: {}, order: [], version: 0 })

const KINDS: Record<string, KindTuning> = {
  counter: DEFAULT_KIND_TUNING,
  /** Transfers that leave a record, and those that do not. */
  bank: DEFAULT_KIND_TUNING,
  clerk: DEFAULT_KIND_TUNING,
  loop: DEFAULT_KIND_TUNING,
  again: { ...DEFAULT_KIND_TUNING, reentrant: true },
}
const KEYS = ['a', 'b', 'c', 'd']

export class World {
  readonly seed: number
  readonly hops: number
  readonly random: Random
  readonly processes: Process[] = []
  readonly asked = new Map<number, Asked>()
  readonly began = new Set<string>()
  readonly failures: string[] = []
  /** Of states, so that they need not be read again for it. */
  readonly versions = new WeakMap<Uint8Array, number>()
  readonly #heap = new EventHeap<Event>()
  readonly #partitions = new Map<string, Partition>()
  readonly #running = new Map<string, Partition>()
  readonly #lanes = new Map<
    string,
    { until: number; readonly flights: { bytes: Uint8Array; isLost: boolean }[] }
  >()
  now = 0
  ids = 0
  #sequence = 0
  isCalm = false

  constructor(seed: number) {
    this.seed = seed
    this.hops = seed % 2 === 0 ? 0 : 2
    this.random = seededRandom(seed, 'world')
    const count = 3 + below(this.random, 3)
    for (let i = 0; i < count; i++) this.processes.push(new Process(this, i))
    for (const kind of Object.keys(KINDS)) {
      for (const key of [...KEYS, 'broken']) {
        this.#partitions.set(this.partitionOf(kind, key), new Partition(pick(this.random, this.processes)))
      }
    }
  }

  readonly partitionOf = (kind: string, key: string): string => `${kind}#${key.charCodeAt(0) % 3}`
  clock(): Now {
    return { mono: this.now, wall: this.now }
  }
  partition(name: string): Partition {
    return this.#partitions.get(name)!
  }
  process(id: string): Process {
    return this.processes.find((process) => process.id === id)!
  }
  living(): Process[] {
    return this.processes.filter(({ isDead }) => !isDead)
  }
  at(time: number, run: () => void): void {
    this.#heap.push({ time, sequence: this.#sequence++, run })
  }
  after(ms: number, run: () => void): void {
    this.at(this.now + ms, run)
  }
  check(isTrue: boolean, failure: string): void {
    if (!isTrue && this.failures.length < 20) this.failures.push(`${Math.round(this.now)}: ${failure}`)
  }

  /** Runs until nothing is left to do before `until`. */
  run(until: number): void {
    for (let next = this.#heap.peek(); next && next.time <= until; next = this.#heap.peek()) {
      this.#heap.pop()
      this.now = next.time
      next.run()
    }
    this.now = until
  }

  // Rights and the store

  mayRun(process: Process, name: string): boolean {
    const p = this.partition(name)
    return (
      p.owner === process &&
      p.isRunning &&
      this.now < p.leaseUntil &&
      process.map.get(name)?.owner === process.id
    )
  }

  begin(process: Process, name: string): void {
    const p = this.partition(name)
    process.input((now) => {
      if (p.owner !== process || p.isRunning || process.map.get(name)?.epoch !== p.epoch) return
      p.isRunning = true
      this.#running.set(name, p)
      p.leaseUntil = this.now + 3_200
      const reign = ++p.reigns
      const renew = (): void => {
        if (
          p.reigns !== reign ||
          p.owner !== process ||
          !p.isRunning ||
          process.isDead ||
          this.now < process.frozenUntil
        )
          return
        if (!this.isCalm && this.random() < 0.03) {
          this.at(p.leaseUntil, () => process.input(() => undefined))
          return
        }
        if (this.now < p.leaseUntil) p.leaseUntil = this.now + 3_200
        this.after(1_000, renew)
      }
      this.after(1_000, renew)
      process.activations.onRightBegan(name, now)
    })
  }

  rest(process: Process, name: string): void {
    const p = this.partition(name)
    if (p.owner === process) p.isRunning = false
  }

  /** What has expired, ends before anything else. */
  endRights(process: Process, now: Now): void {
    for (const name of process.lost) {
      process.lost.delete(name)
      process.activations.onRightEnded(name, now)
    }
    for (const [name, p] of this.#running) {
      if (!p.isRunning) this.#running.delete(name)
      if (!p.isRunning || p.owner !== process) continue
      if (this.now < p.leaseUntil && process.map.get(name)?.owner === process.id) continue
      p.isRunning = false
      process.activations.onRightEnded(name, now)
      // A right that lapsed comes back, if nobody else has it.
      this.after(between(this.random, 50, 1_500), () => this.begin(process, name))
    }
  }

  append(process: Process, name: string, key: string, change: KeyChange): number | 'not-owner' {
    const p = this.partition(name)
    this.check(this.mayRun(process, name), 'G3: a change without a right')
    if (!this.mayRun(process, name)) return 'not-owner'
    const number = ++p.number
    const { epoch } = p
    p.pending.push({ number, key, change })
    const delay = this.random() < 0.1 ? between(this.random, 200, 3_000) : between(this.random, 1, 60)
    this.after(delay, () => {
      if (p.epoch !== epoch || p.owner !== process || process.isDead) return
      const before = p.stored
      p.commit(number)
      const { stored } = p
      if (stored > before)
        process.input((now) => p.owner === process && process.activations.onStored(name, stored, now))
    })
    return number
  }

  /** Another owner: allowed once the old one's right is over. It has what was stored, and some of what was not. */
  move(name: string): void {
    const p = this.partition(name)
    const others = this.living().filter((process) => process !== p.owner)
    if (others.length === 0) return
    if (!p.owner.isDead && p.isRunning && this.now < p.leaseUntil) {
      // Handed over by its owner, if that is awake.
      if (this.now < p.owner.frozenUntil) return
      const old = p.owner
      p.leaseUntil = this.now
      old.input(() => undefined)
    }
    if (p.isRunning && !p.owner.isDead) {
      // Frozen past its lease: it will find out when it wakes.
      p.owner.lost.add(name)
    }
    p.isRunning = false
    p.leaseUntil = -1
    const kept = below(this.random, p.pending.length + 1)
    p.pending.length = kept
    p.number = kept > 0 ? p.pending.at(-1)!.number : p.stored
    p.commit(p.number)
    p.owner = pick(this.random, others)
    p.epoch++
    const late = this.random() < 0.2 ? 2_000 : 150
    for (const process of this.processes) this.after(between(this.random, 1, late), () => process.learn(name))
  }

  // The network

  send(from: Process, toId: string, message: RpcMessage): void {
    const to = this.process(toId)
    this.#checkSent(from, message)
    const name = `${from.id}>${toId}`
    let lane = this.#lanes.get(name)
    if (!lane) this.#lanes.set(name, (lane = { until: 0, flights: [] }))
    const isSlow = this.random() < 0.03 && !this.isCalm
    const delay = isSlow ? between(this.random, 200, 5_000) : between(this.random, 1, 30)
    lane.until = Math.max(lane.until, this.now + (from === to ? 0 : delay))
    const flight = { bytes: encodeRpc(message), isLost: false }
    const { flights } = lane
    flights.push(flight)
    this.at(lane.until, () => {
      flights.splice(flights.indexOf(flight), 1)
      if (flight.isLost || (from.isDead && this.random() < 0.5)) return
      const decoded = decodeRpc(flight.bytes)
      if (typeof decoded === 'string') return this.check(false, `codec: ${decoded}`)
      to.input((now) => {
        if (decoded.type === 'call') to.activations.onCall(from.id, decoded, now)
        else if (decoded.type === 'reply') to.calls.onReply(from.id, decoded, now)
        else if (decoded.type === 'cancel') to.activations.onCancel(from.id, decoded, now)
        else if (decoded.type === 'settled') to.activations.onSettled(from.id, decoded, now)
      })
    })
  }

  /** A new life: every lane from and to it loses an unknown suffix of what is under way. */
  rebirth(process: Process): void {
    for (const other of this.processes) {
      if (other === process) continue
      for (const name of [`${process.id}>${other.id}`, `${other.id}>${process.id}`]) {
        const flights = this.#lanes.get(name)?.flights ?? []
        const kept = below(this.random, flights.length + 1)
        for (const flight of flights.slice(kept)) flight.isLost = true
      }
      if (this.random() < 0.3) continue
      this.after(between(this.random, 10, 1_500), () =>
        other.input((now) => other.calls.onDoubt(process.id, now)),
      )
      this.after(between(this.random, 10, 1_500), () =>
        process.input((now) => process.calls.onDoubt(other.id, now)),
      )
    }
  }

  kill(process: Process): void {
    if (this.living().length <= 2) return
    process.isDead = true
    process.diedAt = this.now
    for (const other of this.processes) {
      this.after(between(this.random, 50, 4_000), () => {
        other.dead.add(process.id)
        other.input((now) => other.calls.onLiveness(process.id, now))
      })
    }
    for (const [name, p] of this.#partitions) {
      if (p.owner === process)
        this.after(between(this.random, 4_400, 6_000), () => p.owner === process && this.move(name))
    }
  }

  // What is asked, and what must be true

  ask(process: Process, kind: string, key: string, method: string, args: object, deadlineMs: number): void {
    process.input((now) => {
      const id = ++this.ids
      const op = `${process.id.slice(0, 2)}.${id}`
      this.asked.set(id, { op, process, method, key: `${kind}/${key}` })
      process.calls.call({ id, kind, key, method, args: bytesOf({ op, by: 1, ...args }), deadlineMs }, now)
      if (this.random() < 0.05 && !this.isCalm) {
        this.after(between(this.random, 1, 300), () => process.input((now) => process.calls.abort(id, now)))
      }
    })
  }

  ended(id: number, end: CallEnd): void {
    const asked = this.asked.get(id)!
    this.check(asked.end === undefined, `G4: ${asked.op} ended twice`)
    asked.end = end
    if (end.type === 'error' && !end.mayHaveRun) {
      this.check(!this.began.has(asked.op), `mayHaveRun is false for ${asked.op}, which ran (${end.code})`)
      this.after(20_000, () => this.check(!this.began.has(asked.op), `${asked.op} (${end.code}) ran later`))
    }
  }

  #checkSent(from: Process, message: RpcMessage): void {
    if (message.type === 'call' && message.fence && message.hops === 0) {
      this.check(this.mayRun(from, message.fence.partition), 'G3: a nested call of an ended right')
    }
    if (message.type !== 'reply' || message.outcome.type !== 'result') return
    const { kind, key, version } = valueOf<Seen>(message.outcome.bytes)
    const stored = this.partition(this.partitionOf(kind, key)).committed.get(key)?.contents.state
    this.check(
      version <= (stored ? this.versions.get(stored)! : 0),
      `a reply of ${kind}/${key} before what it saw was stored`,
    )
    this.check(this.mayRun(from, this.partitionOf(kind, key)), 'G3: a reply of an ended right')
  }

  contents(kind: string, key: string): KeyContents {
    return this.partition(this.partitionOf(kind, key)).get(key)?.contents ?? EMPTY
  }

  state(kind: string, key: string): CounterState {
    const { state } = this.contents(kind, key)
    return state ? valueOf<CounterState>(state) : fresh()
  }

  partitions(): [string, Partition][] {
    return [...this.#partitions]
  }
}

export { KEYS, KINDS }
