/**
 * Calls: the caller's side. Every call that is accepted ends exactly once, with a result or an error. Until then it is
 * sent again, under the same id, to whoever owns its key: after a while without an answer, at once when the one it was
 * sent to is gone, has a new life, or says that the owner is another. The owner's records make that one effect
 * (RIFL, Lee et al., 2015); where calls go to is the map's to say (virtual actors, Bernstein et al., 2014).
 *
 * Calls of one caller to one key keep their order: each names the one before it that has not ended. Nothing about a
 * handler whose right has ended is sent: its calls are abandoned, and who runs it again repeats them.
 */
import { Deadlines } from '../deadlines.ts'
import type { ProcessId } from '../identity/node-id.ts'
import type { Now, Random } from '../time.ts'
import { isGrainKey, isKind } from '../partition/partition.ts'
import type { KindVersions } from '../published-kinds.ts'
import { getAlong } from '../published-kinds.ts'
import { grainName, isMethod } from './call-id.ts'
import type { Call, CallError, CallRequest } from './call.ts'
import { callOf } from './call.ts'
import { CallStream } from './call-stream.ts'
import { CallCounts } from './call-counts.ts'
import type { CallerId, OwnerHint, ReplyMessage, RpcMessage } from './messages.ts'
import type { PartitionId } from '../partition/partition.ts'
import { RpcLimits } from './messages.ts'

export interface CallTuning {
  /** Of a call that names none, in ms. */
  readonly deadlineMs: number
  /** Longest deadline, in ms: callers are forgotten some time after their end, and records with them. */
  readonly maxDeadlineMs: number
  /** Without an answer for this long a call is sent again, in ms. */
  readonly attemptMs: number
  /** Backoff between attempts, in ms: full jitter under a ceiling that doubles from the one to the other. */
  readonly backoffMinMs: number
  readonly backoffMaxMs: number
  /** Bytes of arguments. */
  readonly argsBytes: number
  /** Calls that have not ended, nested ones too. */
  readonly outstanding: number
  /** A key that was not called for this long is told that all is settled, in ms. */
  readonly settleMs: number
  /** How much longer than their parent's deadline the records of nested calls are kept, in ms. */
  readonly graceMs: number
}

/** `?` in DESIGN.md: starting values. */
export const DEFAULT_CALL_TUNING: CallTuning = {
  deadlineMs: 10_000,
  maxDeadlineMs: 600_000,
  attemptMs: 2_000,
  backoffMinMs: 50,
  backoffMaxMs: 1_000,
  argsBytes: 1024 * 1024,
  outstanding: 1_024,
  settleMs: 1_000,
  graceMs: 120_000,
}

/**
 * So many pauses after its owner is gone, about 1.3 s, a call asks the council who is the next one: those who held the
 * partition, whom it has asked before, may be gone too. Asked at once, the council would have none yet.
 */
const ASK_AFTER = 6

export interface CallsOptions {
  readonly self: ProcessId
  readonly random: Random
  readonly tuning: CallTuning
  readonly partitionOf: (kind: string, key: string) => PartitionId
  /** What the map says, as far as it is known here. */
  readonly ownerOf: (partition: PartitionId) => OwnerHint | undefined
  /** `onMap` is expected soon. */
  readonly askMap: (partition: PartitionId) => void
  /** The owner of that epoch is gone: `onMap` or `onMoved` is expected once there is another. */
  readonly search: (partition: PartitionId, epoch: number, now: Now) => void
  readonly isLive: (process: ProcessId) => boolean
  /** Versions of a kind as it hosts it, as far as that is known. */
  readonly versionOf: (process: ProcessId, kind: string) => KindVersions | undefined
  /** Lane `grain`. Messages to this process come back like all others, never within this call. */
  readonly send: (to: ProcessId, message: RpcMessage) => void
  readonly ended: (id: number, end: CallEnd) => void
}

/** A kind has 256 partitions; what is forgotten is told again. */
const MAX_HINTS = 4_096

export type CallEnd =
  | { readonly type: 'result'; readonly bytes: Uint8Array; readonly attempts: number; readonly ms: number }
  | ({ readonly type: 'error' } & CallError)

export class Calls {
  readonly counts = new CallCounts()
  readonly #options: CallsOptions
  readonly #streams = new Map<string, CallStream>()
  readonly #calls = new Map<number, Call>()
  /** By caller and sequence: what replies name. */
  readonly #byName = new Map<string, Call>()
  /** Streams of each handler that makes, or made, nested calls. */
  readonly #families = new Map<CallerId, Set<CallStream>>()
  /** Owners that this process was told of by former ones, where its map is older: only who holds a partition is told. */
  readonly #hints = new Map<PartitionId, OwnerHint>()
  /** One for all keys, so that a key's stream may be forgotten between two calls. */
  #sequence = 0
  /** No call is due before: most inputs look no further. */
  #dueAt = Infinity
  /** Nor stale before that, on the wall clock. */
  #staleAt = Infinity
  /** Keys that nothing is said to any more. */
  readonly #quiet = new Deadlines<CallStream>()

  constructor(options: CallsOptions) {
    this.#options = options
  }

  /** Calls that have not ended. */
  get size(): number {
    return this.#calls.size
  }

  /** How often a call that has not ended was sent. */
  attemptsOf(id: number): number {
    return this.#calls.get(id)?.attempts ?? 0
  }

  /** Keys of which something is remembered here. */
  get streams(): number {
    return this.#streams.size
  }

  call(request: CallRequest, now: Now): void {
    this.tick(now)
    this.counts.accepted++
    const problem = this.#problemOf(request, now)
    if (problem !== undefined) {
      this.counts.ended(problem)
      const { id } = request
      this.#options.ended(id, { type: 'error', code: problem, attempts: 0, mayHaveRun: false, ms: 0 })
      return
    }
    const stream = this.#streamOf(request)
    const { parent } = request
    const sequence = parent ? parent.ordinal : ++this.#sequence
    const call = callOf(request, stream, sequence, this.#deadlineOf(request, now), now)
    this.#calls.set(call.id, call)
    this.#byName.set(nameOf(stream.caller, sequence), call)
    stream.add(call)
    this.#wakeAt(call.deadlineAt)
    this.#staleAt = Math.min(this.#staleAt, call.staleAt)
    this.#go(call, now)
  }

  /** Nobody waits for it any more. It may have run, and may still run. */
  abort(id: number, now: Now): void {
    this.tick(now)
    const call = this.#calls.get(id)
    if (call) this.#giveUp(call, 'aborted', now)
  }

  /** A handler's right has ended: nothing of it is sent any more, not even that it gave up. */
  abandon(parent: CallerId, now: Now): void {
    const family = this.#families.get(parent)
    if (!family) return
    this.#families.delete(parent)
    for (const stream of family) {
      stream.isAbandoned = true
      for (const call of stream.calls()) this.#fail(call, 'aborted', now)
      this.#streams.delete(stream.name)
    }
  }

  /** A call is settled: its handler will not run again, and nobody repeats the nested calls that it made. */
  settleChildren(parent: CallerId, now: Now): void {
    const family = this.#families.get(parent)
    if (!family) return
    for (const stream of family) {
      stream.isParentSettled = true
      if (stream.isEmpty) this.#settle(stream)
    }
    this.tick(now)
  }

  onReply(from: ProcessId, reply: ReplyMessage, now: Now): void {
    this.tick(now)
    const call = this.#byName.get(nameOf(reply.caller, reply.sequence))
    // Nobody passes calls on in this version, so whoever was not asked has no answer.
    if (!call?.asked.has(from)) return
    const { outcome, attempts } = reply
    if (reply.keeps) call.stream.isKept = true
    switch (outcome.type) {
      case 'result':
        this.#end(call, {
          type: 'result',
          bytes: outcome.bytes,
          attempts: call.attempts,
          ms: now.mono - call.startedAt,
        })
        return
      case 'failed':
        call.mayHaveRun = true
        this.#fail(call, 'failed', now, { bytes: outcome.bytes })
        return
      case 'refused':
        if (outcome.ran) call.mayHaveRun = true
        for (const attempt of attempts) call.open.delete(attempt)
        this.#fail(call, outcome.code, now, outcome.bytes && { bytes: outcome.bytes })
        return
      case 'elsewhere':
        if (outcome.ran) call.mayHaveRun = true
        for (const attempt of attempts) call.open.delete(attempt)
        // What was sent since is another question, and has its answer to come.
        if (!attempts.includes(call.attempts)) return
        this.counts.redirects++
        if (this.#hints.get(call.stream.partition)?.owner === from) this.#hints.delete(call.stream.partition)
        this.#redirect(call, outcome.hint, now)
    }
  }

  /** The map of a partition has changed: what waits, and what went to another, goes to its owner now. */
  onMap(partition: PartitionId, now: Now): void {
    this.tick(now)
    this.#goToOwner(partition, now)
  }

  /** Another process tells of an owner, which may be later than the map here. */
  onMoved(partition: PartitionId, hint: OwnerHint, now: Now): void {
    this.tick(now)
    if (hint.epoch <= (this.#ownerOf(partition)?.epoch ?? -1)) return
    this.#learn(partition, hint)
    this.#goToOwner(partition, now)
  }

  /** A process is no longer live, or live again: attempts at it end, what waits for it goes. */
  onLiveness(process: ProcessId, now: Now): void {
    this.tick(now)
    const isLive = this.#options.isLive(process)
    for (const call of this.#inOrder()) {
      const isThere = call.phase === 'sent' && call.target === process
      if (
        isLive ? call.phase === 'waiting' && this.#ownerOf(call.stream.partition)?.owner === process : isThere
      )
        this.#go(call, now)
    }
  }

  /** What was sent to a process may not have arrived: one of the two has a new life. */
  onDoubt(process: ProcessId, now: Now): void {
    this.tick(now)
    for (const call of this.#inOrder())
      if (call.phase === 'sent' && call.target === process) this.#go(call, now)
  }

  tick(now: Now): void {
    if (now.mono >= this.#dueAt || now.wall >= this.#staleAt) this.#tickCalls(now)
    for (const stream of this.#quiet.takeDue(now.mono)) {
      if (stream.settleAt <= now.mono) this.#settle(stream)
      else this.#quiet.add(stream, stream.settleAt)
    }
  }

  /** Not later than the next thing that is due; sometimes earlier. */
  nextDeadline(): number {
    return Math.min(this.#dueAt, this.#quiet.next)
  }

  #tickCalls(now: Now): void {
    for (const call of this.#calls.values()) {
      if (call.deadlineAt <= now.mono || call.staleAt <= now.wall) this.#giveUp(call, 'deadline', now)
    }
    for (const call of this.#calls.values()) {
      if (call.dueAt > now.mono) continue
      if (call.phase === 'waiting') this.#go(call, now)
      else {
        this.counts.timeouts++
        this.#wait(call, now)
      }
    }
    this.#dueAt = this.#staleAt = Infinity
    for (const { deadlineAt, dueAt, staleAt } of this.#calls.values()) {
      this.#wakeAt(Math.min(deadlineAt, dueAt))
      this.#staleAt = Math.min(this.#staleAt, staleAt)
    }
  }

  #problemOf(
    { kind, key, method, args, deadlineMs, parent }: CallRequest,
    now: Now,
  ): CallError['code'] | undefined {
    const { argsBytes, outstanding, maxDeadlineMs } = this.#options.tuning
    if (!isKind(kind) || !isGrainKey(key) || !isMethod(method)) return 'invalid-name'
    if (args.length > argsBytes) return 'too-large'
    if (parent && parent.chain.length > RpcLimits.chain) return 'chain-too-long'
    if (deadlineMs !== undefined && !(deadlineMs <= maxDeadlineMs)) return 'invalid-deadline'
    if ((deadlineMs ?? 1) <= 0 || (parent && parent.deadlineAt <= now.mono)) return 'deadline'
    return this.#calls.size >= outstanding ? 'too-many-calls' : undefined
  }

  #deadlineOf({ deadlineMs, parent }: CallRequest, now: Now): number {
    const own = now.mono + (deadlineMs ?? this.#options.tuning.deadlineMs)
    return parent ? Math.min(own, parent.deadlineAt) : own
  }

  #streamOf({ kind, key, parent }: CallRequest): CallStream {
    const caller = parent ? parent.caller : this.#options.self
    const name = `${caller}/${grainName(kind, key)}`
    let stream = this.#streams.get(name)
    if (!stream) {
      stream = new CallStream(name, caller, kind, key, this.#options.partitionOf(kind, key), parent)
      this.#streams.set(name, stream)
      if (parent) {
        const family = this.#families.get(caller)
        if (family) family.add(stream)
        else this.#families.set(caller, new Set([stream]))
      }
    }
    stream.settleAt = Infinity
    return stream
  }

  #ownerOf(partition: PartitionId): OwnerHint | undefined {
    const known = this.#options.ownerOf(partition)
    const hint = this.#hints.get(partition)
    if (!hint) return known
    if (hint.epoch > (known?.epoch ?? -1)) return hint
    this.#hints.delete(partition)
    return known
  }

  /** Sends it to its owner, or waits until there is one. */
  #go(call: Call, now: Now): void {
    const { stream } = call
    const owner = this.#ownerOf(stream.partition)
    const isThere = owner && (owner.owner === this.#options.self || this.#options.isLive(owner.owner))
    if (!owner || (!isThere && call.failures >= ASK_AFTER)) this.#options.askMap(stream.partition)
    if (owner && !isThere) this.#options.search(stream.partition, owner.epoch, now)
    if (!owner || !isThere) {
      this.#hints.delete(stream.partition)
      this.#wait(call, now)
      return
    }
    const hosted = call.versions && this.#options.versionOf(owner.owner, stream.kind)
    if (hosted && !getAlong(call.versions!, hosted)) {
      this.#fail(call, 'version-mismatch', now, { hosted: hosted.version })
      return
    }
    const { parent } = stream
    const remainingMs = Math.ceil(call.deadlineAt - now.mono)
    call.attempts++
    call.open.add(call.attempts)
    call.phase = 'sent'
    call.target = owner.owner
    call.asked.add(owner.owner)
    call.epoch = owner.epoch
    call.dueAt = now.mono + this.#options.tuning.attemptMs
    this.#wakeAt(call.dueAt)
    this.counts.attempts++
    this.#options.send(owner.owner, {
      type: 'call',
      caller: stream.caller,
      sequence: call.sequence,
      first: stream.first(),
      previous: call.before?.sequence ?? 0,
      attempt: call.attempts,
      kind: stream.kind,
      key: stream.key,
      method: call.method,
      args: call.args,
      remainingMs,
      epoch: owner.epoch,
      chain: parent ? parent.chain : [],
      keepMs: parent ? Math.ceil(parent.deadlineAt - now.mono) + this.#options.tuning.graceMs : 0,
      hops: 0,
      ...(parent && { fence: parent.fence }),
    })
  }

  /** What waits for the owner of a partition, or went to another. */
  #goToOwner(partition: PartitionId, now: Now): void {
    const owner = this.#ownerOf(partition)?.owner
    for (const stream of this.#streams.values()) {
      if (stream.partition !== partition) continue
      for (const call of stream.calls())
        if (call.phase !== 'sent' || call.target !== owner) this.#go(call, now)
    }
  }

  /** Its next attempt is after a pause. What was sent may still be answered. */
  #wait(call: Call, now: Now): void {
    const { backoffMinMs, backoffMaxMs } = this.#options.tuning
    const ceiling = Math.min(backoffMaxMs, backoffMinMs * 2 ** Math.min(call.failures++, 16))
    call.phase = 'waiting'
    // Above zero, or a clock that stands would be asked for ever.
    call.dueAt = now.mono + Math.max(1, this.#options.random() * ceiling)
    this.#wakeAt(call.dueAt)
  }

  #redirect(call: Call, hint: OwnerHint | undefined, now: Now): void {
    const { partition } = call.stream
    if (hint) this.#learn(partition, hint)
    else this.#options.askMap(partition)
    // Sent on at once where that leads somewhere else; two that name each other are not asked in a circle.
    const owner = this.#ownerOf(partition)
    if (owner && owner.epoch > call.epoch) this.#go(call, now)
    else this.#wait(call, now)
  }

  #learn(partition: PartitionId, { owner, epoch }: OwnerHint): void {
    if (epoch <= (this.#hints.get(partition)?.epoch ?? -1)) return
    this.#hints.set(partition, { owner, epoch })
    if (this.#hints.size > MAX_HINTS) this.#hints.delete(this.#hints.keys().next().value!)
  }

  #giveUp(call: Call, code: 'aborted' | 'deadline', now: Now): void {
    const { stream, open, target, sequence } = call
    const previous = call.before?.sequence ?? 0
    this.#fail(call, code, now)
    if (open.size === 0 || target === undefined) return
    const { kind, key, caller } = stream
    const first = this.#firstOf(stream)
    this.#options.send(target, { type: 'cancel', kind, key, caller, sequence, first, previous })
  }

  /** Behind a stream's last call all is settled, but for a handler that may be run again. */
  #firstOf(stream: CallStream): number {
    return stream.parent || !stream.isEmpty ? stream.first() : this.#sequence + 1
  }

  #fail(call: Call, code: CallError['code'], now: Now, more?: Pick<CallError, 'bytes' | 'hosted'>): void {
    const { attempts } = call
    const mayHaveRun = call.mayHaveRun || call.open.size > 0
    const ms = now.mono - call.startedAt
    this.#end(call, { type: 'error', code, attempts, mayHaveRun, ms, ...more })
  }

  #end(call: Call, end: CallEnd): void {
    const { stream } = call
    this.#calls.delete(call.id)
    this.#byName.delete(nameOf(stream.caller, call.sequence))
    // Whoever has not answered yet may keep something.
    if (call.open.size > 0 && end.type === 'error') stream.isKept = true
    if (call.target !== undefined) stream.lastTarget = call.target
    stream.remove(call)
    this.counts.ended(end.type === 'result' ? 'result' : end.code)
    this.#options.ended(call.id, end)
    if (!stream.isEmpty || stream.isAbandoned) return
    if (stream.parent) {
      if (stream.isParentSettled) this.#settle(stream)
      return
    }
    stream.settleAt = call.startedAt + end.ms + this.#options.tuning.settleMs
    this.#quiet.add(stream, stream.settleAt)
  }

  /** Tells the owner that all is settled, if it can be told; what is not heard is dropped when its time is over. */
  #settle(stream: CallStream): void {
    const { kind, key, caller, parent } = stream
    this.#streams.delete(stream.name)
    this.#quiet.drop(stream)
    const family = this.#families.get(caller)
    if (family?.delete(stream) && family.size === 0) this.#families.delete(caller)
    if (!stream.isKept) return
    const owner = this.#ownerOf(stream.partition)?.owner ?? stream.lastTarget
    if (owner === undefined || (owner !== this.#options.self && !this.#options.isLive(owner))) return
    const first = parent ? RpcLimits.counter : this.#sequence + 1
    this.#options.send(owner, {
      type: 'settled',
      kind,
      key,
      caller,
      first,
      ...(parent && { fence: parent.fence }),
    })
  }

  #wakeAt(time: number): void {
    if (time < this.#dueAt) this.#dueAt = time
  }

  /** By stream, and in the order of each. */
  *#inOrder(): Generator<Call> {
    for (const stream of this.#streams.values()) yield* stream.calls()
  }
}

const nameOf = (caller: CallerId, sequence: number): string => `${caller}:${sequence}`
