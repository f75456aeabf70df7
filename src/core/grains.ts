/**
 * Grains: brings together what makes virtual actors of one process: the council that says who owns what, what this
 * process owns or holds, the activations it runs, and the calls it makes. It is of the process, not of one of its lives,
 * and goes on through a rebirth.
 *
 * The machines tell each other things while they are in the middle of something; what they tell waits in one queue and
 * is passed on when the call that led to it has returned. So is what this process says to itself.
 *
 * Every input first ends what has expired: rights before deadlines, and both before the input. What inputs that come
 * together (`begin`) lead to is decided once, when all are there: then their changes share messages.
 */
import type { CouncilMessage } from './council/council-messages.ts'
import { Council } from './council/council.ts'
import type { CouncilOptions } from './council/council.ts'
import { decodeCouncil, encodeCouncil } from './council/council-codec.ts'
import type { Command } from './council/partition-map.ts'
import type { Loss } from './council/raft-messages.ts'
import type { ProcessId } from './identity/node-id.ts'
import { decodeRpc, writeRpc } from './rpc/call-codec.ts'
import type { CallRequest } from './rpc/call.ts'
import type { CallEnd, CallsOptions, CallTuning } from './rpc/calls.ts'
import { Calls, DEFAULT_CALL_TUNING } from './rpc/calls.ts'
import type { CallerId, Parent, RpcMessage } from './rpc/messages.ts'
import { OwnerSearch } from './rpc/owner-search.ts'
import type { Now } from './time.ts'
import { Slab } from './wire/slab.ts'
import { Writer } from './wire/writer.ts'
import type { ActivationTuning } from './grain/activations.ts'
import { Activations, DEFAULT_ACTIVATION_TUNING } from './grain/activations.ts'
import { Balance } from './grain/balance.ts'
import type { CountedEvent } from './grain/grain-news.ts'
import type { GrainOutput, Invoked, KindTuning, Settled } from './grain/grain-outputs.ts'
import type { GrainStore, Kept } from './grain/grain-store.ts'
import type { HoldingTuning } from './grain/holding-tuning.ts'
import { decodeHoldingMessage, writeHoldingMessage } from './grain/holding-codec.ts'
import type { HoldingsOptions } from './grain/holdings.ts'
import { Holdings } from './grain/holdings.ts'
import { Persisting } from './grain/persisting.ts'
import { Provisional } from './grain/provisional.ts'
import { Recall } from './grain/recall.ts'
import type { CopyWrite, StoredCopy } from './grain/stored-copy.ts'
import type { HoldingLane, HoldingMessage } from './grain/messages.ts'
import type { MapEntry, PartitionId } from './partition/partition.ts'
import { parsePartition, partitionId, partitionOf } from './partition/partition.ts'
import { place } from './partition/placement.ts'

/** `council` and `beacon` may be lost; `grain` and `copy` keep order, and a new life of an end loses an unknown suffix. */
export type GrainLane = 'council' | HoldingLane

export interface GrainsOptions extends Pick<
  CouncilOptions,
  | 'self'
  | 'random'
  | 'seats'
  | 'candidates'
  | 'hasEnded'
  | 'mayGiveUp'
  | 'lostFor'
  | 'partition'
  | 'published'
  | 'publish'
  | 'onMoved'
  | 'onChange'
> {
  readonly tuning?: GrainsTuning | undefined
  /** What this process hosts. */
  readonly kinds: ReadonlyMap<string, KindTuning>
  /** It is up. */
  readonly isLive: (process: ProcessId) => boolean
  /** Versions of a kind as it hosts it, as far as that is known. */
  readonly versionOf: CallsOptions['versionOf']
  /** What is said to it goes over one link. */
  readonly isLinked: (process: ProcessId) => boolean
  /** A process whose last life has lost even its tombstone. */
  readonly isForgotten: (process: ProcessId) => boolean
  /** Hands bytes to another process, or loses them. */
  readonly send: (to: ProcessId, lane: GrainLane, bytes: Uint8Array) => void
  /** For the driver, which runs user code: in order, after this turn. */
  readonly output: (output: GrainOutput) => void
  readonly ended: (id: number, end: CallEnd) => void
  /** Of what runs here, for the user. */
  readonly onEvent?: (event: CountedEvent) => void
  /** See `ActivationsOptions`. */
  readonly onConflict?: (kind: string, key: string, other: Uint8Array) => void
  /** What came from this process is not what it should be. */
  readonly onFault: (from: ProcessId, reason: string) => void
  /** Puts copies on disk, and is answered by `onPersisted`. Absent where this process has none. */
  readonly persist?: ((writes: readonly CopyWrite[]) => void) | undefined
  /** Of a process that is up; else empty. */
  readonly browserOf: (process: ProcessId) => string
  /** What was on disk cannot be used. */
  readonly onLoss: (reason: string) => void
  /** This owner has taken up stored copies of a partition, and so many that were in sync with them are not back. */
  readonly onProvisional: (kind: string, slot: number, missing: number) => void
}

export interface GrainsTuning {
  readonly council?: CouncilOptions['tuning']
  readonly holdings?: Partial<HoldingTuning>
  readonly activations?: Partial<ActivationTuning>
  readonly calls?: Partial<CallTuning>
}

type Message =
  | { readonly to: 'council'; readonly message: CouncilMessage }
  | { readonly to: 'holdings'; readonly message: HoldingMessage }
  | { readonly to: 'rpc'; readonly message: RpcMessage }

const MACHINES: readonly Message['to'][] = ['council', 'holdings', 'rpc']
/** What a turn leads to leads to more; not for ever. */
const MAX_ROUNDS = 10_000

export class Grains {
  readonly council: Council
  readonly holdings: Holdings
  readonly activations: Activations
  readonly calls: Calls
  readonly #search: OwnerSearch
  readonly #balance: Balance
  readonly #provisional: Provisional
  /** What this process puts on disk, and what was there. */
  readonly #disk: { readonly persisting: Persisting; readonly recall: Recall } | undefined
  readonly #options: GrainsOptions
  /** How often calls are passed on here, and so elsewhere. */
  readonly #mostHops: number
  readonly #waiting: ((now: Now) => void)[] = []
  /** So many of them are passed on: to take each off the front would move the rest, which may be tens of thousands. */
  #passedOn = 0
  /** When something is due, as of the last input; `undefined` where that was not asked since. */
  #deadline: number | undefined
  /** `begun`: inputs come together. `open`: one has, and what has expired is ended. */
  #together: 'no' | 'begun' | 'open' = 'no'
  #now: Now = { mono: 0, wall: 0 }
  /** Who should hold a partition, as of the members known now. */
  readonly #targets = new Map<PartitionId, readonly ProcessId[]>()

  constructor(options: GrainsOptions) {
    const { self, random, tuning = {}, kinds } = options
    this.#options = options
    this.council = new Council({
      ...options,
      tuning: tuning.council,
      send: (to, message) => this.#send(to, 'council', { to: 'council', message }),
      onEntries: (kind, entries) => {
        // Where there are entries there is a council that has decided them.
        const group = this.council.group!
        this.#later((now) => this.#onEntries(kind, entries, group, now))
      },
      onDecided: (id, ok) => this.#later((now) => this.holdings.onProposal(id, ok, undefined, now)),
      inherited: () => this.#inherited(),
      onFollow: (now) =>
        this.#later(() => {
          this.holdings.disown(now)
          this.#disk?.recall.onFollow(now)
        }),
      endSole: (kind, slot, owner, epoch, now) =>
        this.holdings.endSole(partitionId(kind, slot), owner, epoch, now),
    })
    this.holdings = new Holdings({
      own: self,
      ...(tuning.holdings && { tuning: tuning.holdings }),
      send: (to, message, lane) => this.#send(to, lane, { to: 'holdings', message }),
      propose: (change) => this.#propose({ type: 'change', ...change }),
      isLive: options.isLive,
      isLinked: options.isLinked,
      isOver: options.hasEnded,
      leader: () => this.council.leader,
      leaderHasLease: (now) => this.council.hasLease(now),
      targets: (partition) => this.#targetsOf(partition),
      mayOwn: (partition) => kinds.has(kindOf(partition)),
      hosts: (partition) => this.#hostsOf(partition),
      askMap: (partition) => this.#askMap(partition),
      onStored: (partition, number) =>
        this.#later((now) => this.activations.onStored(partition, number, now)),
      onRightBegan: (partition) => this.#later((now) => this.activations.onRightBegan(partition, now)),
      onRightEnded: (partition) => this.#later((now) => this.activations.onRightEnded(partition, now)),
      onDeposed: (partition) => this.#later((now) => this.activations.onRightEnded(partition, now)),
      isBusy: (partition, key) => this.activations.isBusy(kindOf(partition), key),
      free: (partition, key) => this.#later((now) => this.activations.free(kindOf(partition), key, now)),
      onTaken: (partition, key) => this.activations.onTaken(kindOf(partition), key, this.#now),
      onStrayDropped: (partition) => {
        const { kind, slot } = parsePartition(partition)!
        options.onEvent?.({ type: 'state-dropped', kind, slot, count: 1 })
      },
      onSource: (...source) => this.#provisional.onSource(...source),
      ...this.#diskHooks(),
    })
    this.#balance = new Balance({
      self,
      kinds: () => kinds.keys(),
      candidates: options.candidates,
      owned: () => this.holdings.owned(),
      entryOf: (partition) => this.holdings.entryOf(partition),
      targets: (partition) => this.#targetsOf(partition),
      isResting: (partition) => this.holdings.isResting(partition),
      isLed: () => this.council.leader !== undefined,
      move: (partition, to) => void this.holdings.moveTo(partition, to, this.#now),
    })
    const activationTuning = { ...DEFAULT_ACTIVATION_TUNING, ...tuning.activations }
    this.#mostHops = activationTuning.hops
    this.activations = new Activations({
      self,
      store: this.#store(),
      tuning: activationTuning,
      partitionOf,
      kindOf: (kind) => kinds.get(kind),
      isForgotten: options.isForgotten,
      send: (to, message) => this.#send(to, 'grain', { to: 'rpc', message }),
      output: options.output,
      ...(options.onEvent && { onEvent: options.onEvent }),
      ...(options.onConflict && { onConflict: options.onConflict }),
      abandon: (child: CallerId, now) => this.calls.abandon(child, now),
      settleChildren: (child: CallerId, now) => this.calls.settleChildren(child, now),
    })
    this.calls = new Calls({
      self,
      random,
      tuning: { ...DEFAULT_CALL_TUNING, ...tuning.calls },
      partitionOf,
      ownerOf: (partition) => this.#entryOf(partition),
      askMap: (partition) => this.#askMap(partition),
      search: (partition, epoch, now) => this.#search.search(partition, epoch, now),
      isLive: options.isLive,
      versionOf: options.versionOf,
      send: (to, message) => this.#send(to, 'grain', { to: 'rpc', message }),
      ended: options.ended,
    })
    this.#search = new OwnerSearch({
      self,
      entryOf: (partition) => this.#entryOf(partition),
      isLive: options.isLive,
      send: (to, message) => this.#send(to, 'grain', { to: 'rpc', message }),
      seek: (partition) => this.#later((now) => this.holdings.seek(partition, now)),
      onMoved: (partition, hint, now) => this.calls.onMoved(partition, hint, now),
    })
    this.#provisional = new Provisional((partition, missing) => {
      const { kind, slot } = parsePartition(partition)!
      options.onProvisional(kind, slot, missing)
    })
    this.#disk = this.#newDisk()
  }

  /** Wants the kinds that it hosts. */
  start(now: Now): void {
    this.#turn(now, () => {
      for (const kind of this.#options.kinds.keys()) this.council.want(kind, true, now)
    })
  }

  /** There is no council, and that is certain. */
  found(now: Now): void {
    this.#turn(now, () => this.council.found(now))
  }

  call(request: CallRequest, now: Now): void {
    this.#turn(now, () => this.calls.call(request, now))
  }

  abort(id: number, now: Now): void {
    this.#turn(now, () => this.calls.abort(id, now))
  }

  onActivated(activation: number, problem: Uint8Array | undefined, now: Now, settled?: Settled): void {
    this.#turn(now, () => this.activations.onActivated(activation, problem, now, settled))
  }

  onInvoked(invocation: number, invoked: Invoked, now: Now): void {
    this.#turn(now, () => this.activations.onInvoked(invocation, invoked, now))
  }

  onPassivated(activation: number, state: Uint8Array | null | undefined, now: Now): void {
    this.#turn(now, () => this.activations.onPassivated(activation, state, now))
  }

  /** What a running handler needs to make a nested call; `undefined` once its right has ended. */
  parentOf(invocation: number, now: Now): Parent | undefined {
    let parent: Parent | undefined
    this.#turn(now, () => {
      parent = this.activations.parentOf(invocation, now)
    })
    return parent
  }

  /** Bytes of another process. */
  receive(from: ProcessId, bytes: Uint8Array, now: Now): void {
    const message = decode(bytes, this.#mostHops)
    if (typeof message === 'string') return this.#options.onFault(from, message)
    this.#turn(now, () => this.#handle(from, message, now))
  }

  /** Members have changed: who is there, what they publish, what they host. */
  notice(now: Now): void {
    this.#targets.clear()
    this.#balance.notice(now.mono)
    this.#turn(now, () => {
      this.council.notice(now)
      this.holdings.onTargets(now)
    })
  }

  /** A process is lost, or back. */
  onLiveness(process: ProcessId, loss: Loss | undefined, now: Now): void {
    this.#targets.clear()
    this.#turn(now, () => {
      if (loss) this.council.lost(process, loss, now)
      this.holdings.onLiveness(process, now)
      this.calls.onLiveness(process, now)
    })
  }

  /** A process goes on as another life, so that a suffix of what went between it and this one may be lost. */
  onNewLife(process: ProcessId, now: Now): void {
    this.#turn(now, () => this.calls.onDoubt(process, now))
  }

  /** This process is about to leave: what it owns and decides goes to others. */
  leave(now: Now): void {
    this.#turn(now, () => {
      this.holdings.release(now)
      this.council.leave(now)
      this.#disk?.persisting.hurry(now)
    })
    this.settle(now)
  }

  /** What the disk had of this room; nothing, where it cannot be read. */
  onRecalled(stored: readonly StoredCopy[], now: Now): void {
    this.#turn(now, () => {
      this.#disk?.recall.onRecalled(stored, now)
      // Whatever waited for this may have its right now.
      this.holdings.onTargets(now)
    })
  }

  onPersisted(ok: boolean, now: Now): void {
    this.#turn(now, () => this.#disk?.persisting.onPersisted(ok, now))
  }

  /** What has changed goes to disk at once. */
  persistNow(now: Now): void {
    this.#turn(now, () => this.#disk?.persisting.hurry(now))
  }

  tick(now: Now): void {
    this.#turn(now, () => undefined)
  }

  /** All inputs from here to `settle` have come at one moment. */
  begin(): void {
    this.#together = 'begun'
  }

  /** Decides and says what they lead to. */
  settle(now: Now): void {
    const hasInput = this.#together === 'open'
    this.#together = 'no'
    this.#deadline = undefined
    if (hasInput) this.#drain(now)
  }

  /** Asked several times after each input. */
  nextDeadline(): number {
    this.#deadline ??= Math.min(
      this.#provisional.nextDeadline(),
      this.#disk?.persisting.nextDeadline() ?? Infinity,
      this.holdings.nextDeadline() ?? Infinity,
      this.calls.nextDeadline(),
      this.activations.nextDeadline(),
      this.council.nextDeadline(),
      this.#balance.nextDeadline(),
    )
    return this.#deadline
  }

  #turn(now: Now, input: () => void): void {
    this.#now = now
    this.#deadline = undefined
    if (this.#together !== 'open') this.#endExpired(now)
    if (this.#together === 'begun') this.#together = 'open'
    input()
    this.#drain(now)
  }

  #endExpired(now: Now): void {
    this.holdings.tick(now)
    this.#drain(now)
    this.calls.tick(now)
    this.activations.tick(now)
    this.council.tick(now)
    this.#balance.tick(now.mono)
    this.#provisional.tick(now)
    this.#disk?.persisting.tick(now)
  }

  /** Until nothing leads to anything any more. */
  #drain(now: Now): void {
    let rounds = 0
    do {
      while (this.#passedOn < this.#waiting.length && rounds++ < MAX_ROUNDS)
        this.#waiting[this.#passedOn++]!(now)
      if (this.#passedOn > 0) this.#waiting.splice(0, this.#passedOn)
      this.#passedOn = 0
      if (rounds > MAX_ROUNDS) return
      if (this.#together === 'no') this.holdings.settle(now)
    } while (this.#waiting.length > 0)
  }

  #later(act: (now: Now) => void): void {
    this.#waiting.push(act)
  }

  #send(to: ProcessId, lane: GrainLane, message: Message): void {
    const { self, send } = this.#options
    if (to === self) this.#later((now) => this.#handle(self, message, now))
    else send(to, lane, encode(message))
  }

  #handle(from: ProcessId, { to, message }: Message, now: Now): void {
    if (to === 'council') return this.council.receive(from, message, now)
    if (to === 'holdings') return this.holdings.onMessage(from, message, now)
    switch (message.type) {
      case 'call':
        return this.activations.onCall(from, message, now)
      case 'cancel':
        return this.activations.onCancel(from, message, now)
      case 'settled':
        return this.activations.onSettled(from, message, now)
      case 'reply':
        return this.calls.onReply(from, message, now)
      case 'seek':
        return this.#search.onSeek(from, message)
      case 'moved':
        return this.#search.onMoved(from, message, now)
    }
  }

  #onEntries(
    kind: string,
    entries: Parameters<CouncilOptions['onEntries']>[1],
    group: string,
    now: Now,
  ): void {
    for (const [slot, entry] of entries) {
      const partition = partitionId(kind, slot)
      this.#targets.delete(partition)
      // First of all: the right to run the partition may begin with this.
      this.#disk?.recall.onEntry(partition, now)
      this.holdings.onMap(partition, entry, group, now)
      this.activations.onMap(partition, now)
      this.calls.onMap(partition, now)
      this.#search.onMap(partition)
    }
  }

  /** The council may decide at once; what it decides is told later, when the proposer knows the id. */
  #propose(command: Command): number {
    return this.council.propose(command, this.#now)
  }

  #askMap(partition: PartitionId): void {
    const kind = kindOf(partition)
    this.#later((now) => {
      if (this.council.knows(kind)) this.council.refresh(kind, now)
      else this.council.want(kind, this.#options.kinds.has(kind), now)
    })
  }

  *#inherited(): Iterable<readonly [kind: string, slot: number, entry: MapEntry]> {
    for (const [partition, entry] of this.holdings.inherited()) {
      const { kind, slot } = parsePartition(partition)!
      yield [kind, slot, entry]
    }
  }

  #entryOf(partition: PartitionId) {
    const { kind, slot } = parsePartition(partition)!
    return this.council.entry(kind, slot)
  }

  #hostsOf(partition: PartitionId): readonly ProcessId[] {
    const candidates = this.#options.candidates(kindOf(partition))
    return candidates.flatMap(({ process, isHost }) => (isHost ? [process] : []))
  }

  #targetsOf(partition: PartitionId): readonly ProcessId[] {
    const known = this.#targets.get(partition)
    if (known) return known
    const { kind, slot } = parsePartition(partition)!
    const owner = this.council.entry(kind, slot)?.owner
    const targets = place(kind, slot, this.#options.candidates(kind), owner)?.inSync ?? []
    this.#targets.set(partition, targets)
    return targets
  }

  #store(): GrainStore {
    return {
      entryOf: (partition) => this.holdings.entryOf(partition),
      mayRun: (partition, now) =>
        this.holdings.mayRun(partition, now) && !this.holdings.strays.isOwed(partition),
      wake: (partition, now) => this.holdings.wake(partition, now),
      rest: (partition, now) => this.holdings.rest(partition, now),
      get: (partition, key) => this.#kept(partition, key),
      wasLost: (partition) => (this.holdings.entryOf(partition)?.born ?? 1) > 1,
      append: (partition, key, change, now) => {
        const number = this.holdings.append(partition, key, change, now)
        return number === 'no-right' ? 'not-owner' : number
      },
      takeIn: (partition, key, now) => this.holdings.takeIn(partition, key, now),
      storedUpTo: (partition) => this.holdings.storedUpTo(partition),
    }
  }

  /** Nothing where nothing persists. */
  #diskHooks(): Pick<HoldingsOptions, 'isWaiting' | 'onLook' | 'onStraySettled'> {
    if (!this.#persists) return {}
    return {
      onStraySettled: (copy, partition, now) => {
        this.#disk!.recall.onSettled(copy, now)
        if (this.#isPersisted(kindOf(partition))) this.#disk!.persisting.touch(partition, now)
      },
      isWaiting: (kind) => !this.#disk!.recall.isDone && this.#isPersisted(kind),
      onLook: ({ id, kind }) => {
        if (this.#isPersisted(kind)) this.#disk!.persisting.touch(id, this.#now)
      },
    }
  }

  #newDisk() {
    const { self, persist, browserOf, isLive, onLoss } = this.#options
    if (!this.#persists || !persist) return undefined
    const group = () => this.council.group
    const entryOf = (partition: PartitionId) => this.#entryOf(partition)
    const holderOf = (process: ProcessId) => ({ process, browser: browserOf(process) })
    const copyOf = (partition: PartitionId) => this.holdings.copyOf(partition)
    const isOffered = (partition: PartitionId, born: number) =>
      this.holdings.strays.isOffered(partition, born)
    const persisting = new Persisting({ own: self, group, entryOf, copyOf, holderOf, isOffered, persist })
    const recall = new Recall({
      own: self,
      group,
      entryOf,
      holderOf,
      isLive,
      onLoss,
      isPersisted: (partition) => this.#isPersisted(parsePartition(partition)?.kind),
      keep: (partition, copy, now) => this.holdings.strays.keep(partition, copy, undefined, now),
      remove: (process, partition, now) => persisting.remove(process, partition, now),
    })
    return { persisting, recall }
  }

  get #persists(): boolean {
    const { persist, kinds } = this.#options
    return persist !== undefined && [...kinds.values()].some((kind) => kind.persist)
  }

  #isPersisted(kind: string | undefined): boolean {
    return kind !== undefined && (this.#options.kinds.get(kind)?.persist ?? false)
  }

  #kept(partition: PartitionId, key: string): Kept | undefined {
    const copy = this.holdings.copyOf(partition)
    const contents = copy?.contentsOf(key)
    return contents && { contents, number: copy!.stampOf(key).number }
  }
}

const kindOf = (partition: PartitionId): string => parsePartition(partition)!.kind

const writer = new Writer()
const slab = new Slab()
/** From here on what was written is handed over as it is: copying it would take longer. */
const LARGE = 4 * 1024

function encode({ to, message }: Message): Uint8Array {
  writer.reset().byte(MACHINES.indexOf(to))
  if (to === 'council') writer.raw(encodeCouncil(message))
  else if (to === 'holdings') writeHoldingMessage(writer, message)
  else writeRpc(writer, message)
  return writer.length < LARGE ? slab.keep(writer) : writer.give()
}

function decode(bytes: Uint8Array, mostHops: number): Message | string {
  const to = MACHINES[bytes[0] ?? MACHINES.length]
  const body = bytes.subarray(1)
  if (to === 'council') {
    const message = decodeCouncil(body)
    return typeof message === 'string' ? message : { to, message }
  }
  if (to === 'holdings') {
    const decoded = decodeHoldingMessage(body)
    return decoded.ok ? { to, message: decoded.message } : decoded.reason
  }
  if (to === undefined) return 'it is for no machine of grains'
  const message = decodeRpc(body, mostHops)
  return typeof message === 'string' ? message : { to, message }
}
