/**
 * CallRecords: what the owner of a key knows of calls that were made to it, so that each takes effect once (RIFL, Lee
 * et al., 2015). A call that changed state has a record that is stored with its change. One that changed nothing has
 * its outcome kept in memory only; but a later change of the same caller takes it along, so that wherever the later
 * call has taken effect, an earlier one can no longer do so for the first time.
 */
import { isChildCaller } from '../rpc/call-id.ts'
import type { CallerId, CallOutcome, RefusalReason } from '../rpc/messages.ts'
import type { CallRecord, KeyContents, RecordDrop } from './key-contents.ts'

/** A call that has ended here. */
export interface Ended {
  outcome: CallOutcome
  /** It may be told when the partition's entries are stored up to this one. */
  readonly number: number
  /** It is in the store, or on the way there. */
  isRecorded: boolean
  /** Caller of its nested calls, if it made any: they may go when it may. */
  readonly child: CallerId | undefined
}

/** What is known of a sequence: how it ended, or why it will not be run. */
export type Known =
  | { readonly type: 'ended'; readonly ended: Ended }
  | { readonly type: 'refused'; readonly code: RefusalReason; readonly ran: boolean }

interface Caller {
  first: number
  /** What the store has as `first`. */
  storedFirst: number
  /** Of calls that were begun: an unknown one below has been given up, or had its time. */
  highest: number
  readonly ended: Map<number, Ended>
  /** Calls that were refused, or that the caller gave up; they will not run. Most callers have none. */
  refused: Map<number, Refusal> | undefined
  /** Of nested callers: how long it is kept without word of them. */
  keepMs: number
  expiresAt: number
  /** The store has something of it. */
  isInStore: boolean
}

interface Refusal {
  readonly code: RefusalReason
  /** The call that those behind it wait for in its place: an earlier one, 0 for none. */
  previous: number
}

export interface RecordLimits {
  /** Records of a key. */
  readonly records: number
  /** Bytes of outcomes that are in memory only, of a key. */
  readonly outcomeBytes: number
}

export class CallRecords {
  readonly #limits: RecordLimits
  readonly #callers = new Map<CallerId, Caller>()
  /** Those of which the store has more than is needed, if there were any. */
  #behind: Set<CallerId> | undefined
  /** When all callers are to be looked at next: some may have had their time, or be forgotten. */
  #scanAt = -Infinity
  /** Told of calls that made nested ones, when nobody can ask for them again. */
  readonly #onSettled: (child: CallerId) => void
  #recorded = 0
  #bytes = 0
  #sweepAt = MIN_SWEEP

  constructor(
    limits: RecordLimits,
    contents: KeyContents | undefined,
    number: number,
    now: number,
    onSettled: (child: CallerId) => void,
  ) {
    this.#limits = limits
    this.#onSettled = onSettled
    this.learn(contents, number, now)
  }

  get size(): number {
    return this.#recorded
  }

  get callers(): number {
    return this.#callers.size
  }

  /** When the last record in the store that goes by itself may go; 0 if there is none. */
  get expiresAt(): number {
    let last = 0
    for (const { isInStore, expiresAt } of this.#callers.values()) {
      if (isInStore && expiresAt !== Infinity) last = Math.max(last, expiresAt)
    }
    return last
  }

  get isFull(): boolean {
    return this.#recorded >= this.#limits.records
  }

  /** What the store has, at the start or because it has taken in what another owner has left. */
  learn(contents: KeyContents | undefined, number: number, now: number): void {
    for (const [name, { first, keepMs, outcomes }] of contents?.callers ?? []) {
      const caller = this.#callerOf(name)
      caller.storedFirst = Math.max(1, first)
      caller.isInStore = true
      this.advance(name, first)
      this.keep(name, keepMs, now)
      for (const [sequence, outcome] of outcomes) {
        if (sequence < caller.first || caller.ended.has(sequence)) continue
        caller.ended.set(sequence, { outcome, number, isRecorded: true, child: undefined })
        caller.highest = Math.max(caller.highest, sequence)
        this.#recorded++
      }
      this.#note(name, caller)
    }
  }

  find(name: CallerId, sequence: number): Known | undefined {
    const caller = this.#callers.get(name)
    if (!caller) return undefined
    if (sequence < caller.first) return TOO_OLD
    const ended = caller.ended.get(sequence)
    if (ended) return { type: 'ended', ended }
    const refusal = caller.refused?.get(sequence)
    if (refusal) return { type: 'refused', code: refusal.code, ran: false }
    return sequence <= caller.highest ? TOO_OLD : undefined
  }

  /** The call that one after `sequence` has to wait for: what will not be run hands its place on. 0 for none. */
  awaited(name: CallerId, sequence: number): number {
    const refused = this.#callers.get(name)?.refused
    let awaited = sequence
    for (let next = refused?.get(awaited); next; next = refused?.get(awaited)) {
      awaited = next.previous
      // Half as far the next time: a caller may have given up thousands, one behind the other.
      next.previous = refused?.get(awaited)?.previous ?? awaited
    }
    return awaited === 0 || this.find(name, awaited) ? 0 : awaited
  }

  /** All calls of this caller below `first` are settled. */
  advance(name: CallerId, first: number): void {
    // Of a handler's calls that never came, or had their time, nothing has to be kept.
    if (isChildCaller(name) && !this.#callers.has(name)) return
    const caller = this.#callerOf(name)
    if (first <= caller.first) return
    caller.first = first
    for (const [sequence, ended] of caller.ended) if (sequence < first) this.#forget(caller, sequence, ended)
    for (const sequence of caller.refused?.keys() ?? [])
      if (sequence < first) caller.refused?.delete(sequence)
    this.#note(name, caller)
  }

  /** Of a nested caller: what is kept of it goes at some time, even without word of it. */
  keep(name: CallerId, askedMs: number, now: number): void {
    if (askedMs === 0) return
    const keepMs = Math.min(askedMs, MAX_KEEP_MS)
    const caller = this.#callerOf(name)
    caller.keepMs = Math.max(caller.keepMs, keepMs)
    caller.expiresAt = Math.max(caller.expiresAt === Infinity ? 0 : caller.expiresAt, now + keepMs)
    this.#scanAt = Math.min(this.#scanAt, caller.expiresAt)
    if (this.#callers.size >= this.#sweepAt) this.#sweep(now)
  }

  /** Its handler is begun. */
  began(name: CallerId, sequence: number): void {
    const caller = this.#callerOf(name)
    caller.highest = Math.max(caller.highest, sequence)
  }

  /** It will not be run. */
  refuse(name: CallerId, sequence: number, code: RefusalReason, previous: number): void {
    const caller = this.#callerOf(name)
    if (sequence < caller.first || caller.ended.has(sequence)) return
    // Always to an earlier one, whatever a caller says.
    const refused = (caller.refused ??= new Map())
    refused.set(sequence, { code, previous: previous < sequence ? previous : 0 })
    if (refused.size <= MAX_KEPT) return
    // It is too old from now on, as if a later one had been begun.
    const oldest = refused.keys().next().value!
    refused.delete(oldest)
    caller.highest = Math.max(caller.highest, oldest)
  }

  /** What a change by this call brings into the store. */
  recordsFor(name: CallerId, sequence: number, outcome: CallOutcome): CallRecord[] {
    const caller = this.#callerOf(name)
    const { ended, keepMs } = caller
    const records: CallRecord[] = []
    for (const [earlier, { outcome, isRecorded }] of ended) {
      if (!isRecorded && earlier < sequence)
        records.push({ caller: name, sequence: earlier, outcome, keepMs })
    }
    records.push({ caller: name, sequence, outcome, keepMs })
    return records
  }

  /** The store has accepted a change by this call, with `recordsFor` it. */
  recorded(name: CallerId, sequence: number, ended: Ended): void {
    const caller = this.#callerOf(name)
    caller.isInStore = true
    for (const [earlier, other] of caller.ended) {
      if (other.isRecorded || earlier >= sequence) continue
      other.isRecorded = true
      this.#bytes -= sizeOf(other.outcome)
      this.#recorded++
    }
    caller.ended.set(sequence, ended)
    this.#recorded++
    // The caller gave it up while it ran; the next change takes it out again.
    if (sequence < caller.first) {
      this.#forget(caller, sequence, ended)
      caller.storedFirst = Math.min(caller.storedFirst, sequence)
    }
    this.#note(name, caller)
  }

  /** A call ended that changed nothing. */
  remember(name: CallerId, sequence: number, ended: Ended): void {
    const caller = this.#callerOf(name)
    caller.ended.set(sequence, ended)
    this.#bytes += sizeOf(ended.outcome)
    if (sequence < caller.first) this.#forget(caller, sequence, ended)
    else if (this.#bytes > this.#limits.outcomeBytes) this.#shed()
    if (caller.ended.size > MAX_KEPT) this.#forgetOldest(caller)
  }

  /** What the next change takes out of the store. It has to be told that it did: `dropped`. */
  drops(now: number, isForgotten: (caller: CallerId) => boolean): RecordDrop[] {
    const drops: RecordDrop[] = []
    if (now >= this.#scanAt) this.#scan(now, isForgotten, drops)
    for (const name of this.#behind ?? []) {
      const { ended, first } = this.#callers.get(name)!
      // What comes late of a handler's calls is held off by fences, not by the store: there are too many of them.
      drops.push({ caller: name, first: isChildCaller(name) && ended.size === 0 ? Infinity : first })
    }
    return drops
  }

  dropped(drops: readonly RecordDrop[]): void {
    for (const { caller: name, first } of drops) {
      const caller = this.#callers.get(name)
      if (!caller) continue
      caller.storedFirst = Math.min(first, caller.first)
      if (first === Infinity) caller.isInStore = false
      this.#note(name, caller)
    }
  }

  /** Callers of nested calls that may have to be repeated yet. */
  *children(): Generator<CallerId> {
    for (const { ended } of this.#callers.values()) {
      for (const { child } of ended.values()) if (child !== undefined) yield child
    }
  }

  /** What each caller has settled, if anything. */
  *floors(): Generator<[CallerId, number]> {
    for (const [name, { first }] of this.#callers) if (first > 1) yield [name, first]
  }

  #callerOf(name: CallerId): Caller {
    let caller = this.#callers.get(name)
    if (!caller) {
      caller = {
        first: 1,
        storedFirst: 1,
        highest: 0,
        ended: new Map(),
        refused: undefined,
        keepMs: 0,
        expiresAt: Infinity,
        isInStore: false,
      }
      this.#callers.set(name, caller)
    }
    return caller
  }

  /** Nobody asks for it again. */
  #forget(caller: Caller, sequence: number, { outcome, isRecorded, child }: Ended): void {
    caller.ended.delete(sequence)
    if (isRecorded) this.#recorded--
    else this.#bytes -= sizeOf(outcome)
    if (child !== undefined) this.#onSettled(child)
  }

  /** Of calls that changed nothing: they were begun, and so are too old without it. */
  #forgetOldest(caller: Caller): void {
    for (const [sequence, ended] of caller.ended) {
      if (!ended.isRecorded) return this.#forget(caller, sequence, ended)
    }
  }

  #note(name: CallerId, { isInStore, first, storedFirst }: Caller): void {
    if (isInStore && first > storedFirst) (this.#behind ??= new Set()).add(name)
    else this.#behind?.delete(name)
  }

  /** Lets go whoever had its time, or will not come back. */
  #scan(now: number, isForgotten: (caller: CallerId) => boolean, drops: RecordDrop[]): void {
    this.#scanAt = now + SCAN_MS
    for (const [name, caller] of this.#callers) {
      if (caller.expiresAt <= now || (!isChildCaller(name) && isForgotten(name))) {
        if (caller.isInStore) drops.push({ caller: name, first: Infinity })
        this.#delete(name, caller)
      } else this.#scanAt = Math.min(this.#scanAt, caller.expiresAt)
    }
  }

  #delete(name: CallerId, caller: Caller): void {
    this.#behind?.delete(name)
    for (const [sequence, ended] of caller.ended) this.#forget(caller, sequence, ended)
    this.#callers.delete(name)
  }

  /** Nested callers come once and never again. */
  #sweep(now: number): void {
    for (const [name, caller] of this.#callers) {
      if (caller.expiresAt <= now && !caller.isInStore) this.#delete(name, caller)
    }
    this.#sweepAt = Math.max(MIN_SWEEP, this.#callers.size * 2)
  }

  /** Too much is kept in memory: the oldest outcomes go, but not that their calls have had their run. */
  #shed(): void {
    for (const { ended } of this.#callers.values()) {
      for (const one of ended.values()) {
        if (this.#bytes <= this.#limits.outcomeBytes) return
        if (one.isRecorded || sizeOf(one.outcome) === 0) continue
        this.#bytes -= sizeOf(one.outcome)
        one.outcome = { type: 'refused', code: 'outcome-lost', ran: true }
      }
    }
  }
}

const TOO_OLD: Known = { type: 'refused', code: 'call-too-old', ran: true }
const MIN_SWEEP = 64
/** Many calls may be nested in those of one key: they are not all looked at for each change, but after so long, in ms. */
const SCAN_MS = 1_000
/** Of one caller, outcomes and refusals each. More than a caller has open at once, so the oldest are asked for no more. */
const MAX_KEPT = 4_096
/** The longest that a handler may make its nested calls be kept, in ms: it may run for 10 min, and has 2 min of grace. */
const MAX_KEEP_MS = 3_600_000

const sizeOf = (outcome: CallOutcome): number => (outcome.type === 'refused' ? 0 : outcome.bytes.length)
