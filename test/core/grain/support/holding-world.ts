/**
 * A world for `Holdings`: processes with clocks of their own, a network, a council that decides in one order and tells
 * each process late, and every fault that the protocol must bear. Seeded; time is true time, which no process sees.
 */
import { decodeHoldingMessage, encodeHoldingMessage } from '../../../../src/core/grain/holding-codec.ts'
import type { HoldingTuning } from '../../../../src/core/grain/holding-tuning.ts'
import { Holdings } from '../../../../src/core/grain/holdings.ts'
import type { HoldingLane, HoldingMessage } from '../../../../src/core/grain/messages.ts'
import type { MapEntry, PartitionChange, PartitionId } from '../../../../src/core/partition/partition.ts'
import { partitionId } from '../../../../src/core/partition/partition.ts'
import { rankAmong } from '../../../../src/core/partition/placement.ts'
import { UNKNOWN } from '../../../../src/core/grain/proposals.ts'
import type { Now, Random } from '../../../../src/core/time.ts'
import { between, seededRandom } from '../../../../src/testing/random.ts'

const GROUP = `${'w'.repeat(16)}.0`

export interface WorldOptions {
  readonly seed: number
  readonly processes: number
  readonly slots: number
  readonly tuning?: Partial<HoldingTuning>
  /** Longest time between a decision and its being told. */
  readonly tellMs?: number
  readonly unknownShare?: number
  readonly drift?: number
  readonly replicas?: number
  readonly viewMs?: number
}

export interface Op {
  readonly id: number
  readonly partition: PartitionId
  readonly key: string
  readonly caller: string
  readonly sequence: number
  isAcked: boolean
}

type Condition = 'running' | 'frozen' | 'asleep' | 'dead'

interface Channel {
  readonly from: Process
  readonly to: Process
  readonly queue: { readonly at: number; readonly bytes: Uint8Array }[]
  isPumping: boolean
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()
export const idsIn = (state: Uint8Array | undefined): number[] =>
  state === undefined || state.length === 0 ? [] : decoder.decode(state).split(',').map(Number)
const stateOf = (ids: readonly number[]): Uint8Array => encoder.encode(ids.join(','))

export const processName = (index: number): string => `process${'abcdefghijklmnop'[index]}`.padEnd(16, 'x')

export class Process {
  readonly name: string
  readonly world: World
  readonly holdings: Holdings
  condition: Condition = 'running'
  rate: number
  #mono = 1_000
  #wall = 5_000_000
  #at = 0
  readonly inbox: (() => void)[] = []
  /** By partition: operations that wait for a number to be stored. */
  readonly waiting = new Map<PartitionId, { number: number; op: Op }[]>()
  readonly accused = new Set<string>()
  readonly believedGone = new Set<string>()
  readonly rights = new Set<PartitionId>()
  hasLeft = false
  isCutOffCouncil = false
  sent = 0
  #timer = 0

  constructor(world: World, index: number, rate: number) {
    this.world = world
    this.name = processName(index)
    this.rate = rate
    this.#at = world.time
    this.holdings = new Holdings({
      own: this.name,
      tuning: world.options.tuning ?? {},
      send: (to, message, lane) => world.send(this, to, message, lane),
      propose: (change) => world.propose(this, change),
      isLive: (process) => this.sees(process),
      isOver: (process) => world.isOver(process),
      leader: () => world.leader?.name,
      leaderHasLease: () => world.leader === this && world.leaderIsSettled,
      targets: (partition) => this.targets(partition),
      askMap: (partition) => world.tell(this, partition, between(world.random, 20, 300)),
      onStored: (partition, number) => world.stored(this, partition, number),
      onRightBegan: (partition) => {
        if (this.rights.has(partition)) throw new Error(`${this.name}: right of ${partition} began twice`)
        this.rights.add(partition)
        world.rightBegan(this, partition)
      },
      onDeposed: (partition) => this.waiting.delete(partition),
      onRightEnded: (partition) => {
        if (!this.rights.delete(partition)) throw new Error(`${this.name}: right of ${partition} ended twice`)
      },
    })
  }

  get now(): Now {
    this.#advance()
    return { mono: this.#mono, wall: this.#wall }
  }

  get isUp(): boolean {
    return this.condition === 'running'
  }

  sees(other: string): boolean {
    if (other === this.name) return true
    return !this.accused.has(other) && !this.believedGone.has(other)
  }

  targets(partition: PartitionId): string[] {
    const others = this.world.processes
      .map(({ name }) => name)
      .filter((name) => name !== this.name && this.sees(name))
    others.sort((a, b) => rankAmong(partition, a, others) - rankAmong(partition, b, others))
    return [this.name, ...others.slice(0, (this.world.options.replicas ?? 3) - 1)]
  }

  stepWall(ms: number): void {
    this.#advance()
    this.#wall += ms
  }

  become(condition: Condition): void {
    this.#advance()
    this.condition = condition
    if (condition !== 'running') return
    const inbox = this.inbox.splice(0)
    // A timer that is overdue comes first, or what has arrived: both happen.
    if (this.world.random() < 0.5) this.turn(() => this.holdings.tick(this.now))
    for (const input of inbox) this.turn(input)
    this.turn(() => this.holdings.tick(this.now))
  }

  /** An input, now or after the process runs again. */
  turn(input: () => void): void {
    if (this.condition === 'dead') return
    if (this.condition !== 'running') return void this.inbox.push(input)
    input()
    this.holdings.settle(this.now)
    this.#setTimer()
  }

  #setTimer(): void {
    const next = this.holdings.nextDeadline()
    const timer = ++this.#timer
    if (next === undefined) return
    const inMs = Math.max(0, (next - this.now.mono) / this.rate) + 0.01
    const late = this.world.random() < 0.05 ? between(this.world.random, 0, 300) : 0
    this.world.after(inMs + late, () => {
      if (timer === this.#timer) this.turn(() => this.holdings.tick(this.now))
    })
  }

  #advance(): void {
    const passed = (this.world.time - this.#at) * this.rate
    this.#at = this.world.time
    if (this.condition !== 'asleep') this.#mono += passed
    this.#wall += passed
  }
}

export class World {
  readonly options: WorldOptions
  readonly random: Random
  readonly processes: Process[] = []
  readonly map = new Map<PartitionId, MapEntry>()
  readonly ops: Op[] = []
  readonly lost = new Set<number>()
  readonly counts = {
    sent: 0,
    takeovers: 0,
    epochs: 0,
    acked: 0,
    refused: 0,
    lost: 0,
    messages: new Map<string, number>(),
  }
  time = 0
  loss = 0
  leader: Process | undefined
  trace: ((line: string) => void) | undefined
  #leaderSince = -Infinity
  readonly #cuts = new Set<string>()
  readonly #channels = new Map<string, Channel>()
  readonly #heap: { at: number; order: number; run: () => void }[] = []
  #order = 0
  #proposals = 0
  #checks = 0
  isChecking = true

  constructor(options: WorldOptions) {
    this.options = options
    this.random = seededRandom(options.seed, 'holdings')
    for (let i = 0; i < options.processes; i++) this.join()
    this.leader = this.processes[0]!
    for (let slot = 0; slot < options.slots; slot++) {
      const partition = partitionId('k', slot)
      const names = this.processes.map(({ name }) => name)
      names.sort((a, b) => rankAmong(partition, a, names) - rankAmong(partition, b, names))
      const inSync = names.slice(0, options.replicas ?? 3)
      this.map.set(partition, { epoch: 1, owner: inSync[0]!, inSync, born: 1 })
    }
    for (const process of this.processes) this.tellAll(process)
  }

  get leaderIsSettled(): boolean {
    return this.leader !== undefined && this.time >= this.#leaderSince + 5_000
  }

  get partitions(): PartitionId[] {
    return [...this.map.keys()]
  }

  join(): Process {
    const drift = this.options.drift ?? 0
    const process = new Process(this, this.processes.length, 1 + between(this.random, -drift, drift))
    this.processes.push(process)
    return process
  }

  find(name: string): Process {
    return this.processes.find((process) => process.name === name)!
  }

  tellAll(process: Process): void {
    process.turn(() => {
      for (const [partition, entry] of this.map) process.holdings.onMap(partition, entry, GROUP, process.now)
    })
  }

  /** Proven: it is dead, and everybody has had the time to learn it. */
  isOver(name: string): boolean {
    const process = this.find(name)
    return process.condition === 'dead' && process.hasLeft
  }

  after(ms: number, run: () => void): void {
    const heap = this.#heap
    const entry = { at: this.time + ms, order: this.#order++, run }
    let at = heap.push(entry) - 1
    while (at > 0) {
      const up = (at - 1) >> 1
      if (isBefore(heap[up]!, entry)) break
      heap[at] = heap[up]!
      at = up
    }
    heap[at] = entry
  }

  runFor(ms: number): void {
    const end = this.time + ms
    while (this.#heap.length > 0 && this.#heap[0]!.at <= end) {
      const { at, run } = this.#pop()
      this.time = at
      run()
      if (this.isChecking && ++this.#checks % 3 === 0) this.check()
    }
    this.time = end
  }

  // ---- network

  send(from: Process, name: string, message: HoldingMessage, lane: HoldingLane): void {
    this.counts.sent++
    from.sent++
    const type = message.type
    this.counts.messages.set(type, (this.counts.messages.get(type) ?? 0) + 1)
    const to = this.find(name)
    if (!to) throw new Error(`nobody is called ${name}`)
    this.trace?.(
      `${from.name} > ${name} ${JSON.stringify(message, (_, v: unknown) => (v instanceof Uint8Array ? decoder.decode(v) : v))}`,
    )
    const bytes = encodeHoldingMessage(message)
    // as a stray that it offers to itself: no network is between
    if (to === from) return this.after(0, () => this.#deliver(from, to, bytes))
    if (lane === 'beacon') {
      if (this.random() < this.loss) return
      const delay = this.random() < 0.05 ? between(this.random, 0, 3_000) : between(this.random, 1, 60)
      this.after(delay, () => {
        if (!this.isCut(from, to)) this.#deliver(from, to, bytes)
      })
      return
    }
    const channelName = `${from.name} ${name} ${lane}`
    let channel = this.#channels.get(channelName)
    if (!channel) {
      channel = { from, to, queue: [], isPumping: false }
      this.#channels.set(channelName, channel)
    }
    const at = Math.max(
      channel.queue.at(-1)?.at ?? 0,
      this.time + between(this.random, 1, lane === 'copy' ? 120 : 60),
    )
    channel.queue.push({ at, bytes })
    this.#pump(channel)
  }

  isCut(from: Process, to: Process): boolean {
    return this.#cuts.has(`${from.name} ${to.name}`)
  }

  cut(from: Process, to: Process): void {
    this.#cuts.add(`${from.name} ${to.name}`)
  }

  mend(from: Process, to: Process): void {
    this.#cuts.delete(`${from.name} ${to.name}`)
    for (const channel of this.#channels.values())
      if (channel.from === from && channel.to === to) this.#pump(channel)
  }

  mendAll(): void {
    this.#cuts.clear()
    for (const channel of this.#channels.values()) this.#pump(channel)
  }

  /** A new life: of every stream from and to it an unknown suffix is lost. */
  newLife(process: Process): void {
    for (const { from, to, queue } of this.#channels.values()) {
      if (from === process || to === process) queue.length = Math.floor(this.random() * (queue.length + 1))
    }
  }

  #pump(channel: Channel): void {
    const { from, to, queue } = channel
    if (channel.isPumping || queue.length === 0 || this.isCut(from, to)) return
    channel.isPumping = true
    this.after(Math.max(0, queue[0]!.at - this.time), () => {
      channel.isPumping = false
      if (this.isCut(from, to)) return
      const first = queue.shift()
      if (first) this.#deliver(from, to, first.bytes)
      this.#pump(channel)
    })
  }

  #deliver(from: Process, to: Process, bytes: Uint8Array): void {
    const decoded = decodeHoldingMessage(bytes)
    if (!decoded.ok) throw new Error(`a message does not decode: ${decoded.reason}`)
    to.turn(() => to.holdings.onMessage(from.name, decoded.message, to.now))
  }

  // ---- council

  propose(process: Process, change: PartitionChange): number {
    const id = ++this.#proposals
    const fate = this.random()
    const unknown = this.options.unknownShare ?? 0
    const isSlow = this.random() < 0.05
    const delay = between(this.random, 10, 150) + (isSlow ? between(this.random, 0, 5_000) : 0)
    const attempt = (): void => {
      if (process.isCutOffCouncil && process.condition !== 'dead') return this.after(500, attempt)
      if (fate < unknown) {
        // Nobody knows: it takes effect before the answer, long after, or never.
        if (fate < unknown / 3) this.#apply(change)
        else if (fate < (unknown * 2) / 3)
          this.after(between(this.random, 0, 4_000), () => this.#apply(change))
        this.after(between(this.random, 0, 100), () =>
          process.turn(() => process.holdings.onProposal(id, false, UNKNOWN, process.now)),
        )
        return
      }
      this.#apply(change)
      this.after(between(this.random, 5, 100), () =>
        process.turn(() => {
          for (const slot of change.slots) this.#tellNow(process, partitionId(change.kind, slot))
          process.holdings.onProposal(id, true, undefined, process.now)
        }),
      )
    }
    this.after(delay, attempt)
    return id
  }

  /** Somebody outside decides. */
  decide(partition: PartitionId, entry: MapEntry): void {
    this.map.set(partition, entry)
    this.trace?.(`map ${partition} ${JSON.stringify(entry)}`)
    this.counts.epochs++
    // What the leader decides it knows, and so does who becomes one.
    if (this.leader?.isUp)
      this.leader.turn(() => this.leader!.holdings.onMap(partition, entry, GROUP, this.leader!.now))
    for (const process of this.processes) {
      const slow = this.random() < 0.1 ? 4 : 1
      this.tell(process, partition, between(this.random, 5, (this.options.tellMs ?? 300) * slow))
    }
  }

  tell(process: Process, partition: PartitionId, ms: number): void {
    // What is told is what was so when it was sent, or the newest.
    const entry = this.random() < 0.5 ? this.map.get(partition) : undefined
    this.after(ms, () => {
      if (process.isCutOffCouncil) return this.tell(process, partition, 1_000)
      process.turn(() => {
        const told = entry ?? this.map.get(partition)
        if (told) process.holdings.onMap(partition, told, GROUP, process.now)
      })
    })
  }

  /** Leaders end sole owners that are gone, and entries without a living holder. */
  sweep(): void {
    const { leader } = this
    if (!leader || leader.condition === 'dead' || !leader.isUp) {
      this.leader = this.processes.find(
        ({ isUp, isCutOffCouncil, hasLeft }) => isUp && !isCutOffCouncil && !hasLeft,
      )
      this.#leaderSince = this.time
      const { leader } = this
      if (leader) this.tellAll(leader)
      for (const process of this.processes)
        process.turn(() => process.holdings.onLiveness(leader?.name ?? process.name, process.now))
      return
    }
    for (const [partition, entry] of this.map) {
      const areDead = entry.inSync.every((name) => this.find(name).condition === 'dead')
      const sole = entry.inSync.length === 1 ? entry.inSync[0]! : undefined
      const isEnded =
        sole !== undefined &&
        sole !== leader.name &&
        !leader.sees(sole) &&
        this.leaderIsSettled &&
        this.random() < 0.2 &&
        leader.holdings.endSole(partition, sole, entry.epoch, leader.now)
      if (!areDead && !isEnded) continue
      const heirs = this.processes.filter(({ isUp, hasLeft }) => isUp && !hasLeft)
      if (heirs.length === 0) continue
      const heir = heirs[Math.floor(this.random() * heirs.length)]!
      for (const op of this.ops) if (op.partition === partition) this.lost.add(op.id)
      this.counts.lost++
      const epoch = entry.epoch + 1
      this.decide(partition, { epoch, owner: heir.name, inSync: [heir.name], born: epoch })
    }
  }

  #tellNow(process: Process, partition: PartitionId): void {
    process.holdings.onMap(partition, this.map.get(partition)!, GROUP, process.now)
  }

  #apply(change: PartitionChange): void {
    change.slots.forEach((slot, i) => {
      const partition = partitionId(change.kind, slot)
      const entry = this.map.get(partition)
      if (!entry || entry.epoch !== change.epochs[i]) return
      let inSync = [...entry.inSync]
      if (change.add !== undefined && !inSync.includes(change.add)) inSync.push(change.add)
      if (change.remove !== undefined) inSync = inSync.filter((name) => name !== change.remove)
      const owner = change.owner ?? entry.owner
      if (owner === undefined || !inSync.includes(owner)) return
      if (owner !== entry.owner) this.counts.takeovers++
      this.decide(partition, { ...entry, epoch: entry.epoch + 1, owner, inSync })
    })
  }

  // ---- work

  newOp(partition: PartitionId): Op {
    const id = this.ops.length + 1
    const callers = `caller${'abc'[id % 3]!}`.padEnd(16, 'a')
    const key = `key${Math.floor(this.random() * 3)}`
    const op = { id, partition, key, caller: callers, sequence: id, isAcked: false }
    this.ops.push(op)
    return op
  }

  /** A handler at this process: starts if it may, and takes a while. */
  work(process: Process, op: Op): void {
    process.turn(() => {
      if (op.isAcked || this.lost.has(op.id) || !process.holdings.mayRun(op.partition, process.now)) return
      this.after(between(this.random, 0, 40), () => process.turn(() => this.#finish(process, op)))
    })
  }

  #finish(process: Process, op: Op): void {
    const { holdings } = process
    if (op.isAcked || this.lost.has(op.id) || !holdings.mayRun(op.partition, process.now)) return
    const copy = holdings.copyOf(op.partition)!
    const contents = copy.contentsOf(op.key)
    if (contents?.callers.get(op.caller)?.outcomes.has(op.sequence)) {
      this.#wait(process, op, copy.stampOf(op.key).number)
      return
    }
    const state = stateOf([...idsIn(contents?.state), op.id])
    const outcome = { type: 'result', bytes: encoder.encode(String(op.id)) } as const
    const records = [{ caller: op.caller, sequence: op.sequence, outcome, keepMs: 0 }]
    const number = holdings.append(op.partition, op.key, { state, records, drops: [] }, process.now)
    if (typeof number !== 'number') {
      this.counts.refused++
      return
    }
    this.#wait(process, op, number)
  }

  #wait(process: Process, op: Op, number: number): void {
    if (process.holdings.storedUpTo(op.partition) >= number) return this.#ack(op)
    const waiting = process.waiting.get(op.partition) ?? []
    process.waiting.set(op.partition, waiting)
    waiting.push({ number, op })
  }

  stored(process: Process, partition: PartitionId, number: number): void {
    // An owner that knows that it is none answers nobody.
    const waiting = process.waiting.get(partition) ?? []
    const isOwner = process.holdings.entryOf(partition)?.owner === process.name
    process.waiting.set(
      partition,
      waiting.filter((one) => one.number > number),
    )
    if (isOwner) for (const one of waiting) if (one.number <= number) this.#ack(one.op)
  }

  #ack(op: Op): void {
    if (op.isAcked || this.lost.has(op.id)) return
    op.isAcked = true
    this.trace?.(`-- ack ${op.id} ${op.partition}`)
    this.counts.acked++
  }

  rightBegan(process: Process, partition: PartitionId): void {
    this.holdsAllAcked(process, partition)
  }

  // ---- what must hold

  check(): void {
    for (const partition of this.map.keys()) {
      const running = this.processes.filter(
        (process) => process.isUp && process.holdings.mayRun(partition, process.now),
      )
      if (running.length > 1) {
        const names = running
          .map(({ name, holdings }) => `${name}@${holdings.entryOf(partition)?.epoch}`)
          .join(', ')
        throw new Error(`G1: ${partition} runs at ${names} at ${this.time}`)
      }
      if (this.#checks % 48 === 0) for (const process of running) this.isEqual(process, partition)
    }
  }

  /** Replicas that follow an owner and are where it is hold what it holds. */
  isEqual(owner: Process, partition: PartitionId): void {
    const entry = owner.holdings.entryOf(partition)!
    const copy = owner.holdings.copyOf(partition)!
    for (const name of entry.inSync) {
      const replica = this.find(name)
      const other = replica.holdings.copyOf(partition)
      if (replica === owner || !other || other.tenure !== copy.tenure || other.number !== copy.number)
        continue
      if (replica.holdings.entryOf(partition)?.epoch !== entry.epoch) continue
      if (fingerprint(copy) !== fingerprint(other))
        throw new Error(`copies of ${partition} differ at ${name}`)
    }
  }

  /** G5, of a process that may run. */
  holdsAllAcked(process: Process, partition: PartitionId): void {
    const copy = process.holdings.copyOf(partition)!
    for (const op of this.ops) {
      if (op.partition !== partition || this.lost.has(op.id)) continue
      const found = idsIn(copy.contentsOf(op.key)?.state).filter((id) => id === op.id).length
      if (found > 1) throw new Error(`G5: ${op.id} is there ${found} times at ${process.name}, ${this.time}`)
      if (op.isAcked && found === 0)
        throw new Error(`G5: ${op.id} of ${partition} is lost at ${process.name}, ${this.time}`)
    }
  }

  #pop(): { at: number; run: () => void } {
    const heap = this.#heap
    const top = heap[0]!
    const last = heap.pop()!
    if (heap.length > 0) {
      let at = 0
      for (;;) {
        let child = 2 * at + 1
        if (child >= heap.length) break
        if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++
        if (isBefore(last, heap[child]!)) break
        heap[at] = heap[child]!
        at = child
      }
      heap[at] = last
    }
    return top
  }
}

const isBefore = (a: { at: number; order: number }, b: { at: number; order: number }): boolean =>
  a.at === b.at ? a.order < b.order : a.at < b.at

export function fingerprint(copy: NonNullable<ReturnType<Holdings['copyOf']>>): string {
  return [...copy.keys()]
    .sort()
    .map((key) => {
      const { state, callers } = copy.contentsOf(key)!
      const records = [...callers]
        .map(([caller, { first, outcomes }]) => `${caller} ${first} ${[...outcomes.keys()].join('+')}`)
        .sort()
      return `${key}=${idsIn(state).join('.')} ${records.join(';')}`
    })
    .join('|')
}
