/**
 * Activations: the owner's side of calls, and the life of grains in memory (virtual actors, Bernstein et al., 2014).
 * One queue for each key; a call is run once, or answered with what it came to (call-records.ts). A reply leaves only
 * when every in-sync replica has what it could have seen. When the right to a partition ends, whatever runs there is
 * aborted and nothing of it counts; what waits goes to the next owner.
 *
 * A call is refused that was sent for an earlier ownership, and a nested one whose parent's right has a successor: what
 * the network holds back for long can take no effect after it has been answered elsewhere.
 */
import type { DeactivationReason } from '../events.ts'
import type { ProcessId } from '../identity/node-id.ts'
import { grainName, isChildCaller } from '../rpc/call-id.ts'
import type {
  CallerId,
  CallMessage,
  CallOutcome,
  CancelMessage,
  OwnerHint,
  Parent,
  RefusalReason,
  ReplyMessage,
  RpcMessage,
  SettledMessage,
} from '../rpc/messages.ts'
import { Deadlines } from '../deadlines.ts'
import type { PartitionId } from '../partition/partition.ts'
import { RpcLimits } from '../rpc/messages.ts'
import type { Now } from '../time.ts'
import type { RecordLimits } from './call-records.ts'
import { CallRecords } from './call-records.ts'
import { Fences } from './fences.ts'
import { Floors } from './floors.ts'
import type { CountedEvent } from './grain-news.ts'
import type { GrainOutput, Invoked, KindTuning, Settled } from './grain-outputs.ts'
import type { GrainStore } from './grain-store.ts'
import type { KeyContents } from './key-contents.ts'
import type { Due, Visit } from './grain.ts'
import { childOf, Grain } from './grain.ts'
import { PendingReplies } from './pending-replies.ts'

export interface ActivationTuning extends RecordLimits {
  /** How long a call waits here for the right to run, in ms. */
  readonly holdMs: number
  /**
   * How long setup and farewell of a grain may take, in ms: less than callers wait by default, so that they are told why.
   */
  readonly turnMs: number
  /** A handler that runs for longer is told to the user, in ms. */
  readonly stuckMs: number
  /** Bytes of a result. */
  readonly resultBytes: number
  /**
   * How often a call that waits is passed on to the next owner. With 0 its caller is told, and sends it there if it is
   * still open: half a round trip more. What is passed on may come after its call has ended elsewhere; where that left
   * no record, because nothing was changed, the handler is run once more.
   */
  readonly hops: number
  /** How long it is remembered what was settled with a grain that is not in memory, in ms. */
  readonly floorMs: number
}

export const DEFAULT_ACTIVATION_TUNING: ActivationTuning = {
  records: 1_024,
  outcomeBytes: 4 * 1024 * 1024,
  holdMs: 500,
  turnMs: 8_000,
  stuckMs: 30_000,
  resultBytes: 1024 * 1024,
  hops: 0,
  floorMs: 120_000,
}

export interface ActivationsOptions {
  readonly self: ProcessId
  readonly store: GrainStore
  readonly tuning: ActivationTuning
  readonly partitionOf: (kind: string, key: string) => PartitionId
  /** Of kinds that this process hosts. */
  readonly kindOf: (kind: string) => KindTuning | undefined
  /** A process whose last life has lost even its tombstone. */
  readonly isForgotten: (process: ProcessId) => boolean
  /** Lane `grain`, and never within this call. */
  readonly send: (to: ProcessId, message: RpcMessage) => void
  readonly output: (output: GrainOutput) => void
  /** `Calls.abandon`: nothing of this handler is sent any more. */
  readonly abandon: (child: CallerId, now: Now) => void
  /** `Calls.settleChildren`. */
  readonly settleChildren: (child: CallerId, now: Now) => void
  /** What users are told. */
  readonly onEvent?: (event: CountedEvent) => void
  /** A state of another side of a partition that was given up, since its kind merges nothing. */
  readonly onConflict?: (kind: string, key: string, other: Uint8Array) => void
}

/** Grains that nobody calls are put away so many at a time, and so long after each other, in ms: each runs user code. */
const MAX_PASSIVATIONS = 64
const IDLE_MS = 20

export class Activations {
  readonly #options: ActivationsOptions
  readonly #grains = new Map<string, Grain>()
  readonly #byPartition = new Map<PartitionId, Set<Grain>>()
  readonly #byActivation = new Map<number, Grain>()
  readonly #byInvocation = new Map<number, Grain>()
  readonly #replies = new PendingReplies()
  /** The map's epoch when the present right to a partition began. */
  readonly #reigns = new Map<PartitionId, number>()
  readonly #fences: Fences
  readonly #floors: Floors
  /** What is to be looked at, whatever else happens. */
  readonly #due = new Deadlines<Grain>()
  /** What is merely idle, and then is put away. */
  readonly #idle = new Deadlines<Grain>()
  /** None of it is before. */
  #idleFrom = -Infinity
  #ids = 0
  #now: Now = { mono: 0, wall: 0 }
  /** One for all grains: there may be many. */
  readonly #onSettled = (child: CallerId): void => this.#options.settleChildren(child, this.#now)

  constructor(options: ActivationsOptions) {
    this.#options = options
    this.#floors = new Floors(options.tuning.floorMs)
    this.#fences = new Fences((partition) => options.store.entryOf(partition))
  }

  /** Grains of which something is in memory. */
  get size(): number {
    return this.#grains.size
  }

  /** Calls to a kind that wait for their turn, or for the right to run. */
  waiting(kind: string): number {
    let count = 0
    for (const grain of this.#grains.values())
      if (grain.kind === kind) count += grain.queue.length + grain.held.length
    return count
  }

  /** Grains of a kind that are active. */
  active(kind: string): number {
    let count = 0
    for (const grain of this.#grains.values()) if (grain.kind === kind && grain.phase === 'active') count++
    return count
  }

  /** Replies that wait for the store. */
  get due(): number {
    return this.#replies.size
  }

  /** Records of a key in memory, for metrics. */
  recordsOf(kind: string, key: string): number {
    return this.#grains.get(grainName(kind, key))?.records?.size ?? 0
  }

  onCall(from: ProcessId, message: CallMessage, now: Now): void {
    this.tick(now)
    const { caller, kind, key, hops, origin, chain, fence, epoch } = message
    const replyTo = hops > 0 ? origin : from
    const isNested = isChildCaller(caller)
    // What does not fit together was not made by this library.
    if (replyTo === undefined || isNested !== (fence !== undefined)) return
    if (isNested ? chain.at(-1) !== caller : caller !== replyTo) return
    const visit = this.#visitOf(message, replyTo)
    if (fence && !this.#fences.passes(replyTo, fence, now.mono)) return this.#refuse(visit, 'superseded')
    if (message.remainingMs <= 0) return this.#refuse(visit, 'deadline')
    const tuning = this.#options.kindOf(kind)
    const known = this.#grains.get(grainName(kind, key))
    const partition = known?.partition ?? this.#options.partitionOf(kind, key)
    const entry = this.#options.store.entryOf(partition)
    if (entry?.owner !== this.#options.self) return this.#sendElsewhere(visit, partition, false)
    // It owns this for a while only, until a host has taken over.
    if (!tuning) return this.#sendElsewhere(visit, partition, false)
    const grain = known ?? this.#open(kind, key, partition)
    // Only from a map that is newer than its sender's; one that knows more than this process waits for its map.
    if (this.#mayRun(grain) && epoch < this.#reignOf(partition)) {
      this.#sendElsewhere(visit, partition, false)
      this.#run(grain)
      return
    }
    if (grain.phase === 'cold' && !this.#mayRun(grain)) return this.#hold(grain, visit)
    this.#load(grain)
    this.#admit(grain, visit, tuning)
    this.#run(grain)
  }

  onCancel(from: ProcessId, message: CancelMessage, now: Now): void {
    this.tick(now)
    const { kind, key, caller, sequence, first, previous } = message
    const isNested = isChildCaller(caller)
    const grain = this.#grains.get(grainName(kind, key))
    if (!grain || (!isNested && caller !== from)) return
    const held = grain.held.find((visit) => visit.caller === caller && visit.sequence === sequence)
    const visit = grain.visit(caller, sequence) ?? held
    // A handler that was run again elsewhere may ask for what its first run gave up.
    if (visit ? visit.replyTo !== from : isNested) return
    if (visit && visit.invocation !== 0) visit.isGivenUp = true
    else if (grain.records) {
      if (visit) grain.leaveQueue(visit)
      if (visit || !grain.records.find(caller, sequence)) {
        grain.records.refuse(caller, sequence, 'aborted', previous)
      }
    } else grain.unhold(caller, sequence, previous)
    if (!isNested) this.#advance(grain, caller, first)
    this.#run(grain)
  }

  onSettled(from: ProcessId, message: SettledMessage, now: Now): void {
    this.tick(now)
    const { kind, key, caller, first, fence } = message
    if (!this.#options.kindOf(kind)) return
    if (fence ? !this.#fences.passes(from, fence, now.mono) : caller !== from) return
    const name = grainName(kind, key)
    const grain = this.#grains.get(name)
    if (!grain?.records) this.#floors.raise(name, caller, first, now.mono)
    if (!grain) return
    this.#advance(grain, caller, first)
    this.#run(grain)
  }

  /** Nothing but a call may change it. */
  isBusy(kind: string, key: string): boolean {
    const { phase = 'cold' } = this.#grains.get(grainName(kind, key)) ?? {}
    return phase !== 'cold' && phase !== 'loaded'
  }

  /** Its activation is to end, as soon as nothing runs, and to begin again: `GrainStore.takeIn` is called in between. */
  free(kind: string, key: string, now: Now): void {
    this.tick(now)
    const grain = this.#grains.get(grainName(kind, key))
    if (!grain) return
    if (!this.isBusy(kind, key)) this.#options.store.takeIn(grain.partition, key, now)
    else grain.mustEnd = true
    this.#run(grain)
  }

  /** What the store has of it was changed, by no call. */
  onTaken(kind: string, key: string, now: Now): void {
    const grain = this.#grains.get(grainName(kind, key))
    if (grain?.phase !== 'loaded') return
    const { contents, number } = this.#options.store.get(grain.partition, key) ?? NOTHING
    take(grain, contents, number)
    grain.records!.learn(contents, number, now.mono)
    // Another owner has run what waits here for its turn.
    for (const visit of grain.queue.slice()) if (this.#answerKnown(grain, visit)) grain.leaveQueue(visit)
  }

  /** The driver has set it up, or setup threw. `settled`: where it was given states of other sides. */
  onActivated(activation: number, problem: Uint8Array | undefined, now: Now, settled?: Settled): void {
    this.tick(now)
    const grain = this.#byActivation.get(activation)
    if (grain?.phase !== 'activating' || !this.#hasRight(grain)) return
    if (problem || !this.#settleOthers(grain, settled)) this.#failActivation(grain, problem)
    else {
      grain.phase = 'active'
      grain.since = now.mono
      const { kind, key } = grain
      this.#options.onEvent?.({ type: 'grain-activated', kind, key, count: 1 })
      this.#run(grain)
    }
  }

  onInvoked(invocation: number, invoked: Invoked, now: Now): void {
    this.tick(now)
    const grain = this.#byInvocation.get(invocation)
    // Of a right that has ended: whatever it did, it did not.
    if (!grain || !this.#hasRight(grain)) return
    const visit = grain.running.get(invocation)!
    grain.finish(visit)
    this.#byInvocation.delete(invocation)
    if (invoked.type === 'refused') this.#refuseHere(grain, visit, 'deadlock')
    else if (invoked.type === 'error') this.#undo(grain, visit, { type: 'failed', bytes: invoked.bytes })
    else if (invoked.bytes.length > this.#options.tuning.resultBytes) {
      this.#undo(grain, visit, { type: 'refused', code: 'too-large', ran: true })
    } else this.#complete(grain, visit, { type: 'result', bytes: invoked.bytes }, invoked.state)
    this.#run(grain)
  }

  /** The driver has taken leave of it. `state`: as in `Invoked`. */
  onPassivated(activation: number, state: Uint8Array | null | undefined, now: Now): void {
    this.tick(now)
    const grain = this.#byActivation.get(activation)
    if (grain?.phase !== 'passivating' || !this.#hasRight(grain)) return
    this.#endActivation(grain, state)
  }

  /** What a running handler needs to make a nested call; `undefined` once its right has ended. */
  parentOf(invocation: number, now: Now): Parent | undefined {
    this.tick(now)
    const grain = this.#byInvocation.get(invocation)
    if (!grain || !this.#hasRight(grain)) return undefined
    const visit = grain.running.get(invocation)!
    const { message, deadlineAt } = visit
    const child = childOf(visit)
    return {
      caller: child,
      chain: [...message.chain, child],
      ordinal: ++visit.ordinals,
      deadlineAt,
      fence: { partition: grain.partition, epoch: this.#reignOf(grain.partition) },
    }
  }

  onRightBegan(partition: PartitionId, now: Now): void {
    this.#now = now
    this.#reigns.delete(partition)
    this.#reignOf(partition)
    for (const grain of this.#grainsOf(partition)) this.#warm(grain)
  }

  onRightEnded(partition: PartitionId, now: Now): void {
    this.#now = now
    this.#reigns.delete(partition)
    for (const grain of this.#grainsOf(partition)) this.#kill(grain)
    this.#replies.drop(partition)
    this.#pass(partition)
  }

  /** Another owner takes what is held for it. */
  onMap(partition: PartitionId, now: Now): void {
    this.tick(now)
    this.#pass(partition)
  }

  onStored(partition: PartitionId, number: number, now: Now): void {
    this.#now = now
    for (const due of this.#replies.takeStored(partition, number)) this.#reply(due, due.outcome, due.keeps)
  }

  /** The store's own `tick` goes first: it ends rights, and this ends what is left. */
  tick(now: Now): void {
    this.#now = now
    if (now.mono < this.nextDeadline()) return
    for (const grain of this.#due.takeDue(now.mono)) this.#lookAt(grain)
    if (now.mono < this.#idleFrom) return
    const idle = this.#idle.takeDue(now.mono, MAX_PASSIVATIONS)
    if (idle.length > 0) this.#idleFrom = now.mono + IDLE_MS
    for (const grain of idle) this.#lookAt(grain)
  }

  /** Not later than the next thing that is due; sometimes earlier. */
  nextDeadline(): number {
    return Math.min(this.#due.next, Math.max(this.#idle.next, this.#idleFrom))
  }

  /** What its caller has settled need not be done, and nothing of it kept. */
  #advance(grain: Grain, caller: CallerId, first: number): void {
    const isSettled = (visit: Visit): boolean => visit.caller === caller && visit.sequence < first
    for (const visit of grain.queue.filter(isSettled)) grain.leaveQueue(visit)
    for (const visit of grain.running.values()) if (isSettled(visit)) visit.isGivenUp = true
    grain.records?.advance(caller, first)
  }

  #visitOf(message: CallMessage, replyTo: ProcessId): Visit {
    const { caller, sequence, attempt, previous, remainingMs } = message
    return {
      message,
      caller,
      sequence,
      child: undefined,
      replyTo,
      attempts: [attempt],
      previous,
      deadlineAt: this.#now.mono + remainingMs,
      holdUntil: Infinity,
      isGivenUp: false,
      invocation: 0,
      startedAt: Infinity,
      isStuck: false,
      ordinals: 0,
    }
  }

  /** Waits for the right to run, which is sought. */
  #hold(grain: Grain, visit: Visit): void {
    visit.holdUntil = this.#now.mono + this.#options.tuning.holdMs
    this.#due.add(grain, Math.min(visit.holdUntil, visit.deadlineAt))
    const known = grain.held.find(
      ({ caller, sequence }) => caller === visit.caller && sequence === visit.sequence,
    )
    if (known) attach(known, visit)
    else if (grain.held.length < MAX_HELD) grain.held.push(visit)
    else this.#sendElsewhere(visit, grain.partition, false)
  }

  /** The right is here. */
  #warm(grain: Grain): void {
    if (grain.phase !== 'cold' || !this.#mayRun(grain)) return
    const held = grain.held.splice(0)
    const tuning = this.#options.kindOf(grain.kind)
    if (tuning) this.#load(grain)
    const reign = this.#reignOf(grain.partition)
    for (const visit of held) {
      visit.holdUntil = Infinity
      if (visit.message.epoch < reign) this.#sendElsewhere(visit, grain.partition, false)
      else if (tuning) this.#admit(grain, visit, tuning)
      else this.#refuse(visit, 'unknown-kind')
    }
    this.#run(grain)
  }

  #load(grain: Grain): void {
    if (grain.phase !== 'cold') return
    const { store, tuning } = this.#options
    const { contents, number } = store.get(grain.partition, grain.key) ?? NOTHING
    take(grain, contents, number)
    grain.records = new CallRecords(tuning, contents, number, this.#now.mono, this.#onSettled)
    for (const [caller, first] of this.#floors.take(grain.name)) {
      if (isChildCaller(caller)) grain.records.keep(caller, tuning.floorMs, this.#now.mono)
      grain.records.advance(caller, first)
    }
    grain.phase = 'loaded'
    grain.since = this.#now.mono
  }

  #admit(grain: Grain, visit: Visit, tuning: KindTuning): void {
    const { caller, sequence, message } = visit
    const records = grain.records!
    records.keep(caller, message.keepMs, this.#now.mono)
    this.#advance(grain, caller, message.first)
    const known = grain.visit(caller, sequence)
    if (known) {
      attach(known, visit)
      this.#due.add(grain, visit.deadlineAt)
      return
    }
    if (this.#answerKnown(grain, visit)) return
    if (!grain.isWithin(visit)) {
      if (records.isFull) this.#tidy(grain)
      if (records.isFull) return this.#refuseHere(grain, visit, 'records-full')
      if (grain.queue.length >= tuning.queueDepth + freePlaces(grain, tuning)) {
        const oldest = tuning.queuePolicy === 'drop-oldest' ? grain.queue[0] : undefined
        if (!oldest) return this.#refuseHere(grain, visit, 'queue-full')
        grain.leaveQueue(oldest)
        this.#refuseHere(grain, oldest, 'queue-full')
      }
    }
    grain.enqueue(visit)
    this.#due.add(grain, visit.deadlineAt)
  }

  /** A call that has ended here, or will not be run. */
  #answerKnown(grain: Grain, visit: Visit): boolean {
    const found = grain.records!.find(visit.caller, visit.sequence)
    if (found?.type === 'ended') {
      const { outcome, number, isRecorded, child } = found.ended
      this.#answer(grain, visit, outcome, number, isRecorded || child !== undefined)
    } else if (found) this.#refuse(visit, found.code, found.ran)
    return found !== undefined
  }

  /** Starts whatever may start. */
  #run(grain: Grain): void {
    const tuning = this.#options.kindOf(grain.kind)
    if (tuning && grain.phase === 'loaded' && grain.next()) this.#activate(grain)
    if (tuning && grain.phase === 'active') {
      this.#runChains(grain, tuning)
      if (grain.mustEnd && grain.running.size === 0) this.#passivate(grain)
      while (!grain.mustEnd && grain.running.size < tuning.concurrency) {
        const visit = grain.next()
        if (!visit || !this.#start(grain, visit, false)) break
        // Nested calls of an earlier run of it may have been waiting here.
        this.#runChains(grain, tuning)
      }
    }
    if (grain.phase === 'cold' && grain.held.length === 0) this.#remove(grain)
    else this.#wakeWhenOver(grain)
  }

  /** Calls that a running handler waits for: it would wait for ever if they waited for it. */
  #runChains(grain: Grain, tuning: KindTuning): void {
    for (const visit of grain.queue.slice()) {
      if (!grain.isWithin(visit)) continue
      if (!tuning.reentrant) {
        grain.leaveQueue(visit)
        this.#refuseHere(grain, visit, 'deadlock')
      } else if (grain.isTurnOf(visit) && !this.#start(grain, visit, true)) return
    }
  }

  #activate(grain: Grain): void {
    if (!this.#hasRight(grain)) return
    const { kind, key, state } = grain
    grain.phase = 'activating'
    grain.since = this.#now.mono
    grain.activation = ++this.#ids
    this.#byActivation.set(grain.activation, grain)
    this.#wakeWhenOver(grain)
    const lost = state === undefined && this.#options.store.wasLost(grain.partition)
    const others = grain.others.flatMap((other) => other.state ?? [])
    const { activation } = grain
    const start = { type: 'activate', activation, kind, key, state, lost } as const
    this.#options.output(others.length > 0 ? { ...start, others } : start)
  }

  /** What other sides had made of it is in its state now, or is told and given up: in one change with that state. */
  #settleOthers(grain: Grain, settled: Settled | undefined): boolean {
    const { kind, key, partition } = grain
    const waiting = grain.others.filter(({ state }) => state !== undefined)
    if (waiting.length === 0) return true
    const others = grain.others.map(({ group, epoch, number }) => ({ group, epoch, number }))
    const { state, isMerged = false } = settled ?? {}
    const change = { records: [], drops: [], others, ...(state !== undefined && { state }) }
    const number = this.#options.store.append(partition, key, change, this.#now)
    if (typeof number !== 'number') return false
    grain.number = number
    grain.others = others
    if (state !== undefined) grain.state = state ?? undefined
    if (!isMerged) for (const other of waiting) this.#options.onConflict?.(kind, key, other.state!)
    return true
  }

  #passivate(grain: Grain): void {
    grain.phase = 'passivating'
    grain.since = this.#now.mono
    this.#wakeWhenOver(grain)
    this.#options.output({ type: 'passivate', activation: grain.activation })
  }

  /** It is in memory without an activation: what waits for that is taken. Returns whether something did. */
  #takeIn(grain: Grain): boolean {
    const { mustEnd } = grain
    grain.mustEnd = false
    if (mustEnd) this.#options.store.takeIn(grain.partition, grain.key, this.#now)
    return mustEnd
  }

  #start(grain: Grain, visit: Visit, isReentrant: boolean): boolean {
    if (!this.#hasRight(grain)) return false
    const invocation = ++this.#ids
    grain.records!.began(visit.caller, visit.sequence)
    grain.begin(visit, invocation)
    visit.startedAt = this.#now.mono
    this.#due.add(grain, visit.startedAt + this.#options.tuning.stuckMs)
    this.#byInvocation.set(invocation, grain)
    const { activation } = grain
    const { method, args, chain } = visit.message
    this.#options.output({ type: 'invoke', activation, invocation, method, args, chain, isReentrant })
    return true
  }

  #complete(grain: Grain, visit: Visit, outcome: CallOutcome, state: Uint8Array | null | undefined): void {
    const { caller, sequence } = visit
    const records = grain.records!
    const child = visit.ordinals > 0 ? childOf(visit) : undefined
    grain.since = this.#now.mono
    if (state === undefined) {
      records.remember(caller, sequence, { outcome, number: grain.number, isRecorded: false, child })
      this.#answer(grain, visit, outcome, grain.number, child !== undefined)
      return
    }
    const { store, isForgotten } = this.#options
    const drops = records.drops(this.#now.mono, isForgotten)
    const change = { state, records: records.recordsFor(caller, sequence, outcome), drops }
    const number = store.append(grain.partition, grain.key, change, this.#now)
    if (number === 'state-limit')
      return this.#undo(grain, visit, { type: 'refused', code: number, ran: true })
    if (number === 'not-owner') {
      this.#sendElsewhere(visit, grain.partition, true)
      if (child !== undefined) this.#options.abandon(child, this.#now)
      this.#kill(grain)
      return
    }
    grain.state = state ?? undefined
    grain.number = number
    records.dropped(drops)
    records.recorded(caller, sequence, { outcome, number, isRecorded: true, child })
    this.#answer(grain, visit, outcome, number, true)
  }

  /** Its handler may have changed the state in memory, and that does not count. */
  #undo(grain: Grain, visit: Visit, outcome: CallOutcome): void {
    const { activation, state } = grain
    this.#options.output({ type: 'restore', activation, state })
    this.#complete(grain, visit, outcome, undefined)
  }

  /** As soon as everything is stored that it could have seen. */
  #answer(grain: Grain, visit: Visit, outcome: CallOutcome, number: number, keeps: boolean): void {
    if (visit.isGivenUp) return
    const { caller, sequence, replyTo, attempts } = visit
    const due: Due = { grain, caller, sequence, outcome, number, keeps, replyTo, attempts }
    const { partition } = grain
    if (this.#options.store.storedUpTo(partition) >= number) return this.#reply(due, outcome, keeps)
    const known = this.#replies.find(grain, caller, sequence)
    if (known) attach(known, visit)
    else this.#replies.add(due)
  }

  #reply(to: Addressee, outcome: ReplyMessage['outcome'], keeps: boolean): void {
    const { replyTo, caller, sequence, attempts } = to
    this.#options.send(replyTo, { type: 'reply', caller, sequence, attempts, outcome, keeps })
  }

  #refuse(visit: Visit, code: RefusalReason, ran = false, bytes?: Uint8Array): void {
    this.#reply(visit, { type: 'refused', code, ran, ...(bytes && { bytes }) }, false)
  }

  /** For good: it stays refused, and what comes after it need not wait. */
  #refuseHere(grain: Grain, visit: Visit, code: RefusalReason, bytes?: Uint8Array): void {
    grain.records?.refuse(visit.caller, visit.sequence, code, visit.previous)
    this.#refuse(visit, code, false, bytes)
  }

  #sendElsewhere(to: Addressee, partition: PartitionId, ran: boolean): void {
    const hint: OwnerHint | undefined = this.#options.store.entryOf(partition)
    const outcome = { type: 'elsewhere', ran, ...(hint && { hint }) } as const
    this.#reply(to, outcome, false)
  }

  #failActivation(grain: Grain, problem?: Uint8Array): void {
    this.#options.output({ type: 'abort', activation: grain.activation })
    this.#byActivation.delete(grain.activation)
    grain.phase = 'loaded'
    grain.since = this.#now.mono
    this.#tellOver(grain, 'failed')
    this.#takeIn(grain)
    for (const visit of grain.takeQueue()) this.#refuseHere(grain, visit, 'activation-failed', problem)
    this.#run(grain)
  }

  /** Takes out of the store what nobody needs. */
  #tidy(grain: Grain, state?: Uint8Array | null): void {
    const records = grain.records!
    const drops = records.drops(this.#now.mono, this.#options.isForgotten)
    if (drops.length === 0 && state === undefined) return
    const change = { records: [], drops, ...(state !== undefined && { state }) }
    const number = this.#options.store.append(grain.partition, grain.key, change, this.#now)
    if (typeof number !== 'number') return
    records.dropped(drops)
    grain.number = number
    if (state !== undefined) grain.state = state ?? undefined
  }

  #endActivation(grain: Grain, state: Uint8Array | null | undefined): void {
    this.#byActivation.delete(grain.activation)
    if (grain.phase === 'passivating') this.#tellOver(grain, grain.mustEnd ? 'renewed' : 'idle')
    grain.phase = 'loaded'
    grain.since = this.#now.mono
    this.#tidy(grain, state)
    // It had not been idle, and may have timers.
    if (this.#takeIn(grain)) this.#activate(grain)
    else if (grain.queue.length > 0 || grain.records!.expiresAt > this.#now.mono) this.#run(grain)
    else this.#remove(grain)
  }

  /** Its right has ended: nothing of it counts any more. What has not begun waits for another. */
  #kill(grain: Grain): void {
    const { partition, phase, activation } = grain
    if (phase === 'cold') return
    this.#reigns.delete(partition)
    this.#byActivation.delete(activation)
    if (phase !== 'loaded') this.#options.output({ type: 'abort', activation })
    if (phase === 'active' || phase === 'passivating') {
      const { owner } = this.#options.store.entryOf(partition) ?? {}
      this.#tellOver(grain, owner === this.#options.self ? 'right-lost' : 'moved')
    }
    for (const [invocation, visit] of grain.running) {
      this.#byInvocation.delete(invocation)
      if (visit.ordinals > 0) this.#options.abandon(childOf(visit), this.#now)
      if (!visit.isGivenUp) this.#sendElsewhere(visit, partition, true)
      grain.finish(visit)
    }
    this.#unload(grain)
    for (const due of this.#replies.takeOf(grain)) this.#sendElsewhere(due, partition, true)
    grain.phase = 'cold'
    grain.mustEnd = false
    grain.state = undefined
    for (const visit of grain.takeQueue()) this.#hold(grain, visit)
    if (grain.held.length === 0) this.#remove(grain)
  }

  #tellOver({ kind, key }: Grain, reason: DeactivationReason): void {
    this.#options.onEvent?.({ type: 'grain-deactivated', kind, key, reason, count: 1 })
  }

  /** Nobody waits for that any longer. */
  #tellSlow({ kind, key, since }: Grain, method: string, now: number): void {
    this.#options.onEvent?.({ type: 'grain-stuck', kind, key, method, ms: now - since, count: 1 })
  }

  /** A handler that runs for too long is told once: nothing else of its key is run meanwhile. */
  #tellStuck({ kind, key, running }: Grain, now: number): void {
    for (const visit of running.values()) {
      const ms = now - visit.startedAt
      if (visit.isStuck || ms < this.#options.tuning.stuckMs) continue
      visit.isStuck = true
      const { method } = visit.message
      this.#options.onEvent?.({ type: 'grain-stuck', kind, key, method, ms, count: 1 })
    }
  }

  /** Hands on what waits here for a right that another has. */
  #pass(partition: PartitionId): void {
    const entry = this.#options.store.entryOf(partition)
    if (entry?.owner === this.#options.self) return
    const mostHops = Math.min(this.#options.tuning.hops, RpcLimits.hops)
    for (const grain of this.#grainsOf(partition)) {
      if (grain.phase !== 'cold') continue
      for (const visit of grain.held.splice(0)) {
        const { message, replyTo, previous, deadlineAt } = visit
        const remainingMs = Math.ceil(deadlineAt - this.#now.mono)
        if (!entry || message.hops >= mostHops || remainingMs <= 0) {
          this.#sendElsewhere(visit, partition, false)
          continue
        }
        const { epoch } = entry
        const hops = message.hops + 1
        this.#options.send(entry.owner, { ...message, previous, remainingMs, epoch, hops, origin: replyTo })
      }
      this.#remove(grain)
    }
  }

  /** Something of it may be due, and what comes next has to be found. */
  #lookAt(grain: Grain): void {
    const { tuning } = this.#options
    if (this.#isThere(grain)) this.#tellStuck(grain, this.#now.mono)
    if (this.#isThere(grain)) this.#expire(grain, this.#now.mono)
    if (!this.#isThere(grain)) return
    for (const { holdUntil, deadlineAt } of grain.held) this.#due.add(grain, Math.min(holdUntil, deadlineAt))
    for (const { deadlineAt } of grain.queue) this.#due.add(grain, deadlineAt)
    for (const { isStuck, startedAt } of grain.running.values())
      if (!isStuck) this.#due.add(grain, startedAt + tuning.stuckMs)
    this.#wakeWhenOver(grain)
  }

  #expire(grain: Grain, now: number): void {
    for (const visit of grain.held.filter(
      ({ holdUntil, deadlineAt }) => Math.min(holdUntil, deadlineAt) <= now,
    )) {
      if (visit.deadlineAt <= now) {
        grain.unhold(visit.caller, visit.sequence, visit.previous)
        this.#refuse(visit, 'deadline')
      } else {
        grain.held.splice(grain.held.indexOf(visit), 1)
        this.#sendElsewhere(visit, grain.partition, false)
      }
    }
    const late = grain.queue.filter(({ deadlineAt }) => deadlineAt <= now)
    for (const visit of late) {
      grain.leaveQueue(visit)
      this.#refuseHere(grain, visit, 'deadline')
    }
    if (late.length > 0) grain.since = now
    const isOver = this.#overAt(grain) <= now
    if (isOver && grain.phase === 'activating') {
      this.#tellSlow(grain, 'onActivate', now)
      this.#failActivation(grain)
    } else if (isOver && grain.phase === 'passivating') {
      this.#tellSlow(grain, 'onDeactivate', now)
      this.#options.output({ type: 'abort', activation: grain.activation })
      this.#endActivation(grain, undefined)
    } else if (isOver && grain.phase === 'active') this.#passivate(grain)
    else if (isOver && grain.phase === 'loaded') this.#endActivation(grain, undefined)
    else this.#run(grain)
  }

  /** When its present phase is over, whatever else happens. */
  #overAt({ phase, kind, since, isIdle, records }: Grain): number {
    if (phase === 'activating' || phase === 'passivating') return since + this.#options.tuning.turnMs
    if (phase === 'cold' || !isIdle) return Infinity
    const idleAt = since + (this.#options.kindOf(kind)?.idleMs ?? 0)
    // A key that nobody calls would keep for ever what it alone can drop.
    return phase === 'loaded' ? Math.max(idleAt, records?.expiresAt ?? 0) : idleAt
  }

  #mayRun({ partition }: Grain): boolean {
    return this.#options.store.mayRun(partition, this.#now)
  }

  /** Asked before anything starts or counts, whatever the store has told. */
  #hasRight(grain: Grain): boolean {
    if (this.#mayRun(grain)) return true
    this.#kill(grain)
    return false
  }

  #reignOf(partition: PartitionId): number {
    let reign = this.#reigns.get(partition)
    if (reign === undefined) {
      reign = this.#options.store.entryOf(partition)?.epoch ?? 0
      this.#reigns.set(partition, reign)
    }
    return reign
  }

  #open(kind: string, key: string, partition: PartitionId): Grain {
    const grain = new Grain(kind, key, grainName(kind, key), partition)
    this.#grains.set(grain.name, grain)
    const others = this.#byPartition.get(partition)
    if (others) others.add(grain)
    else {
      this.#byPartition.set(partition, new Set([grain]))
      this.#options.store.wake(partition, this.#now)
    }
    return grain
  }

  #isThere(grain: Grain): boolean {
    return this.#grains.get(grain.name) === grain
  }

  #remove(grain: Grain): void {
    if (!this.#grains.delete(grain.name)) return
    this.#due.drop(grain)
    this.#idle.drop(grain)
    this.#unload(grain)
    const others = this.#byPartition.get(grain.partition)
    others?.delete(grain)
    if (others?.size !== 0) return
    this.#byPartition.delete(grain.partition)
    this.#options.store.rest(grain.partition, this.#now)
  }

  /** Its records leave memory: who settled what is kept a while, and nested calls are nobody's any more. */
  #unload(grain: Grain): void {
    const { records, name } = grain
    if (!records) return
    for (const child of records.children()) this.#options.abandon(child, this.#now)
    for (const [caller, first] of records.floors()) this.#floors.raise(name, caller, first, this.#now.mono)
    grain.records = undefined
  }

  #grainsOf(partition: PartitionId): Grain[] {
    return [...(this.#byPartition.get(partition) ?? [])]
  }

  #wakeWhenOver(grain: Grain): void {
    const { phase } = grain
    const isTurn = phase === 'activating' || phase === 'passivating'
    if (isTurn || grain.isIdle) (isTurn ? this.#due : this.#idle).add(grain, this.#overAt(grain))
  }
}

type Addressee = Pick<Visit, 'caller' | 'sequence' | 'replyTo' | 'attempts'>

/** What the store has of it, but for its records. */
function take(grain: Grain, contents: KeyContents | undefined, number: number): void {
  grain.state = contents?.state
  grain.others = contents?.others ?? []
  grain.number = number
}

const NOTHING = { contents: undefined, number: 0 }
/** Calls to one key that wait for the right to run it. */
const MAX_HELD = 256

/** Where no call waits for another: what is there begins to run at once, or as soon as the grain is set up. */
const freePlaces = ({ running }: Grain, { concurrency }: KindTuning): number =>
  Math.max(0, concurrency - running.size)

/** A call comes again: it is the same call, and the newest to ask is answered. */
function attach(known: Addressee & Partial<Visit>, visit: Visit): void {
  known.replyTo = visit.replyTo
  known.attempts = [...known.attempts, ...visit.attempts].slice(-RpcLimits.attempts)
  if (known.message === undefined) return
  known.message = visit.message
  known.previous = visit.previous
  known.deadlineAt = visit.deadlineAt
  known.isGivenUp = false
}
