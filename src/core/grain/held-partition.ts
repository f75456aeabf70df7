/**
 * One copy of one partition: what its owner works on and what each replica stores. Changes carry numbers 1, 2, 3 ...
 * and are applied without a gap. No log is kept: each key remembers the stamp of its last change, so whoever is at
 * number n is brought up to date by the keys that changed after n, as they are now. A deleted key stays as an empty one
 * until nobody can be behind it.
 *
 * Two facts carry repair. What two copies have gone through together is the same in both, which the tenures of their
 * owners tell (`fork.ts`). And under one council equal stamps mean equal content, since an owner gives each number of an epoch once.
 */
import { utf8Length } from '../utf8.ts'
import type { CallerId, CallOutcome } from '../rpc/messages.ts'
import type { TenureStart } from './fork.ts'
import { MAX_TENURES } from './fork.ts'
import type { KeyChange, KeyContents, Other } from './key-contents.ts'
import { applyChange, MAX_CALLERS, MAX_OUTCOMES, outcomesOf } from './key-contents.ts'
import type { Source } from './messages.ts'
import type { Stamp } from '../partition/partition.ts'

/** A key as a whole, as it travels. Number 0: there is no such key. */
export interface KeyContent extends Stamp {
  readonly key: string
  /** Absent where it is deleted, and nothing is kept of it. */
  readonly contents: KeyContents | undefined
}

interface HeldKey {
  epoch: number
  number: number
  /** Never changed, but replaced. */
  contents: KeyContents | undefined
  bytes: number
}

/** What a key, a caller, a record and another side's state take besides their texts and bytes, roughly. */
const KEY_BYTES = 64
const CALLER_BYTES = 48
const RECORD_BYTES = 24
const OTHER_BYTES = 32

/** Neither calls nor other copies bring one further: what is appended otherwise can be written, too. */
const LAST_NUMBER = 2 ** 48 - 2 ** 24
/**
 * By another's word a copy goes so far ahead at once; who is further behind is copied anew. So nobody can take a partition
 * to where it can be changed no more.
 */
const MAX_NUMBERS_AHEAD = 2 ** 24
/** What is believed by who holds nothing of it: far beyond any use, and as far again from the last one. */
const MAX_FIRST_NUMBER = 2 ** 47

export class HeldPartition {
  /** Copies of different births have nothing to do with each other. */
  readonly born: number
  /** Epoch at which the owner began whose history this copy follows; 0: it has to be held against that of any owner. */
  tenure = 0
  /** Through which this history went, the newest last. */
  tenures: readonly TenureStart[] = []
  /** Of a copy that was on disk. */
  source: Source | undefined
  readonly #keys = new Map<string, HeldKey>()
  readonly #empty = new Set<string>()
  #number = 0
  #acked = 0
  #forgotten = 0
  #bytes = 0

  constructor(born: number) {
    this.born = born
  }

  /** Of the last change applied. */
  get number(): number {
    return this.#number
  }

  /** Up to here everybody in sync has stored everything. Never above `number`; falls with another history only. */
  get acked(): number {
    return this.#acked
  }

  /** Of what was deleted after this number every key is still here, as an empty one. */
  get forgotten(): number {
    return this.#forgotten
  }

  get bytes(): number {
    return this.#bytes
  }

  get isEmpty(): boolean {
    return this.#keys.size === 0
  }

  /** Keys with something in them. */
  *keys(): Generator<string> {
    for (const [key, held] of this.#keys) if (!isVoid(held)) yield key
  }

  contentsOf(key: string): KeyContents | undefined {
    return this.#keys.get(key)?.contents
  }

  /** Of its last change; number 0 where there was none that is remembered. */
  stampOf(key: string): Stamp {
    const held = this.#keys.get(key)
    return held ? { epoch: held.epoch, number: held.number } : NO_STAMP
  }

  /** From the next change on, which has this epoch at least, another owner goes on with it. */
  begin(group: string, epoch: number): void {
    this.tenure = epoch
    this.tenures = [...this.tenures, { group, epoch, number: this.#number }].slice(-MAX_TENURES)
  }

  /** It goes on as one of another history, and has to be held against that. */
  estrange(): void {
    this.tenure = 0
    this.#acked = 0
  }

  /** A copy that goes its own way. What a key has is shared until either changes it. */
  split(): HeldPartition {
    const copy = new HeldPartition(this.born)
    copy.replace([...this.#keys.keys()].map((key) => this.contentOf(key)))
    copy.standAt(this.#number)
    copy.ack(this.#acked)
    copy.forget(this.#forgotten)
    copy.tenure = this.tenure
    copy.tenures = this.tenures
    return copy
  }

  /** By how much the copy would grow; `Infinity` where a key may not have so many callers or outcomes, or it ends. */
  growthOf(key: string, { state, records, drops, others }: KeyChange): number {
    if (this.#number >= LAST_NUMBER) return Infinity
    const held = this.#keys.get(key)
    const callers = held?.contents?.callers
    const strangers = new Set<CallerId>()
    let growth = held ? 0 : keyBytes(key)
    if (others) growth += othersBytes(others) - othersBytes(held?.contents?.others)
    if (state !== undefined) growth += (state?.length ?? 0) - (held?.contents?.state?.length ?? 0)
    for (const { caller, outcome } of records) {
      growth += recordBytes(outcome)
      if (!callers?.has(caller)) strangers.add(caller)
    }
    // What is remembered of a caller without records is its `first`.
    for (const { caller, first } of drops)
      if (first !== Infinity && !callers?.has(caller)) strangers.add(caller)
    if (strangers.size > 0 && (callers?.size ?? 0) + strangers.size > MAX_CALLERS) return Infinity
    if (records.length > 0 && outcomesOf(held?.contents) + records.length > MAX_OUTCOMES) return Infinity
    for (const caller of strangers) growth += callerBytes(caller)
    return growth
  }

  /** By how much `replace` would make it grow. */
  growthBy(contents: readonly KeyContent[]): number {
    let growth = 0
    // Of a key that is there twice the last one counts.
    for (const [key, content] of new Map(contents.map((content) => [content.key, content]))) {
      if (content.number > 0) growth += weigh(key, content.contents)
      growth -= this.#keys.get(key)?.bytes ?? 0
    }
    return growth
  }

  /** The next change, at this epoch. */
  apply(epoch: number, key: string, change: KeyChange): void {
    this.#number++
    const held = this.#keys.get(key) ?? newKey()
    this.#keys.set(key, held)
    const contents = applyChange(held.contents, change)
    const stated = held.contents?.stated ?? { epoch: held.epoch, number: held.number }
    held.contents =
      contents && change.state === undefined && held.contents ? { ...contents, stated } : contents
    held.epoch = epoch
    held.number = this.#number
    this.#weigh(key, held)
  }

  /** Everybody in sync is known to have stored up to there. */
  ack(number: number): boolean {
    const acked = Math.min(number, this.#number)
    if (acked <= this.#acked) return false
    this.#acked = acked
    return true
  }

  /** Deleted keys that nobody can be behind any more are forgotten. */
  collect(upTo: number): void {
    for (const key of this.#empty) {
      const held = this.#keys.get(key)!
      if (held.number > upTo) continue
      this.forget(held.number)
      this.#bytes -= held.bytes
      this.#keys.delete(key)
      this.#empty.delete(key)
    }
  }

  /** Deleted keys up to this number may be missing. */
  forget(upTo: number): void {
    this.#forgotten = Math.max(this.#forgotten, upTo)
  }

  /** Names and stamps of what changed after `number`. */
  changedAfter(number: number): (Stamp & { readonly key: string })[] {
    const changed: (Stamp & { key: string })[] = []
    for (const [key, held] of this.#keys)
      if (held.number > number) changed.push({ key, epoch: held.epoch, number: held.number })
    return changed
  }

  contentOf(key: string): KeyContent {
    const held = this.#keys.get(key)
    if (!held) return { key, ...NO_STAMP, contents: undefined }
    return { key, epoch: held.epoch, number: held.number, contents: held.contents }
  }

  /** Roughly the bytes that `contentOf` takes on the wire. */
  weightOf(key: string): number {
    return this.#keys.get(key)?.bytes ?? keyBytes(key)
  }

  /** Takes keys as another copy has them, whatever was here. */
  replace(contents: readonly KeyContent[]): void {
    for (const content of contents) {
      const { key } = content
      this.#bytes -= this.#keys.get(key)?.bytes ?? 0
      this.#keys.delete(key)
      this.#empty.delete(key)
      if (content.number === 0) continue
      const held = newKey()
      held.epoch = content.epoch
      held.number = content.number
      held.contents = content.contents
      this.#keys.set(key, held)
      this.#weigh(key, held)
    }
  }

  /** Whether another copy is to be believed that it stands there, whose keys may have these stamps. */
  isCredible(number: number, stamps: readonly Stamp[]): boolean {
    const furthest =
      this.#number === 0 ? MAX_FIRST_NUMBER : Math.min(this.#number + MAX_NUMBERS_AHEAD, LAST_NUMBER)
    return number <= furthest && stamps.every((stamp) => stamp.number <= number)
  }

  /** After `replace` made it equal to a copy at that number. */
  standAt(number: number): void {
    this.#number = number
    this.#acked = Math.min(this.#acked, number)
  }

  #weigh(key: string, held: HeldKey): void {
    const bytes = weigh(key, held.contents)
    this.#bytes += bytes - held.bytes
    held.bytes = bytes
    if (isVoid(held)) this.#empty.add(key)
    else this.#empty.delete(key)
  }
}

const NO_STAMP: Stamp = { epoch: 0, number: 0 }

const newKey = (): HeldKey => ({ epoch: 0, number: 0, contents: undefined, bytes: 0 })
const isVoid = (held: HeldKey): boolean => held.contents === undefined
const keyBytes = (key: string): number => KEY_BYTES + utf8Length(key)
const callerBytes = (caller: string): number => CALLER_BYTES + caller.length
const othersBytes = (others: readonly Other[] = []): number =>
  others.reduce((sum, { state }) => sum + OTHER_BYTES + (state?.length ?? 0), 0)
const recordBytes = (outcome: CallOutcome): number => RECORD_BYTES + (outcome.bytes?.length ?? 0)

/** Bytes that a key takes, about. */
export function weigh(key: string, contents: KeyContents | undefined): number {
  let bytes = keyBytes(key) + (contents?.state?.length ?? 0) + othersBytes(contents?.others)
  for (const [caller, { outcomes }] of contents?.callers ?? []) {
    bytes += callerBytes(caller)
    for (const outcome of outcomes.values()) bytes += recordBytes(outcome)
  }
  return bytes
}
