/**
 * One copy of one partition: what its owner works on and what each replica stores. Changes carry numbers 1, 2, 3 ...
 * and are applied without a gap. No log is kept: each key remembers the stamp of its last change, so whoever is at
 * number n is brought up to date by the keys that changed after n, as they are now. A deleted key stays as an empty one
 * until nobody can be behind it.
 *
 * Two facts carry repair. What is `acked` was stored by everybody in sync, so it is the same in every copy, for ever.
 * And equal stamps mean equal content, since an owner gives each number of an epoch once.
 */
import { utf8Length } from '../utf8.ts'
import type { KeyChange, Stamp } from './partition.ts'

/** What a copy holds of one caller of one key. */
export interface CallerRecords {
  readonly caller: string
  readonly first: number
  /** By sequence, ascending. */
  readonly outcomes: readonly (readonly [sequence: number, outcome: Uint8Array])[]
}

/** A key as a whole, as it travels. Number 0: there is no such key. */
export interface KeyContent extends Stamp {
  readonly key: string
  readonly state: Uint8Array | undefined
  readonly callers: readonly CallerRecords[]
}

interface Caller {
  first: number
  readonly outcomes: Map<number, Uint8Array>
}

interface HeldKey {
  epoch: number
  number: number
  state: Uint8Array | undefined
  readonly callers: Map<string, Caller>
  bytes: number
}

/** What a key, a caller and a record take besides their texts and bytes, roughly. */
const KEY_BYTES = 64
const CALLER_BYTES = 48
const RECORD_BYTES = 24

export class HeldPartition {
  /** Copies of different births have nothing to do with each other. */
  readonly born: number
  /** Epoch at which the owner began whose history this copy follows. */
  tenure = 0
  readonly #keys = new Map<string, HeldKey>()
  readonly #empty = new Set<string>()
  #number = 0
  #acked = 0
  #bytes = 0

  constructor(born: number) {
    this.born = born
  }

  /** Of the last change applied. */
  get number(): number {
    return this.#number
  }

  /** Up to here everybody in sync has stored everything. Never falls, never above `number`. */
  get acked(): number {
    return this.#acked
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

  stateOf(key: string): Uint8Array | undefined {
    return this.#keys.get(key)?.state
  }

  /** Of its last change; number 0 where there was none that is remembered. */
  stampOf(key: string): Stamp {
    const held = this.#keys.get(key)
    return held ? { epoch: held.epoch, number: held.number } : NO_STAMP
  }

  /** Below this sequence the caller's calls are settled; `undefined` where nothing is known of it. */
  firstOf(key: string, caller: string): number | undefined {
    return this.#keys.get(key)?.callers.get(caller)?.first
  }

  outcomeOf(key: string, caller: string, sequence: number): Uint8Array | undefined {
    return this.#keys.get(key)?.callers.get(caller)?.outcomes.get(sequence)
  }

  recordCount(key: string): number {
    let count = 0
    for (const { outcomes } of this.#keys.get(key)?.callers.values() ?? []) count += outcomes.size
    return count
  }

  /** By how much the copy would grow. */
  growthOf(key: string, change: KeyChange): number {
    const held = this.#keys.get(key)
    const state = (change.state?.length ?? 0) - (held?.state?.length ?? 0)
    const { record } = change
    const known = record && held?.callers.has(record.caller)
    const caller = record && !known ? CALLER_BYTES + utf8Length(record.caller) : 0
    return state + caller + (record ? record.outcome.length + RECORD_BYTES : 0) + (held ? 0 : keyBytes(key))
  }

  /** The next change, at this epoch. */
  apply(epoch: number, key: string, change: KeyChange): void {
    this.#number++
    const held = this.#keys.get(key) ?? newKey()
    this.#keys.set(key, held)
    held.epoch = epoch
    held.number = this.#number
    held.state = change.state
    for (const caller of change.drop ?? []) held.callers.delete(caller)
    if (change.record) note(held, change.record.caller, change.record)
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
      this.#bytes -= held.bytes
      this.#keys.delete(key)
      this.#empty.delete(key)
    }
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
    if (!held) return { key, ...NO_STAMP, state: undefined, callers: [] }
    const callers = [...held.callers].map(([caller, { first, outcomes }]) => ({
      caller,
      first,
      outcomes: [...outcomes],
    }))
    return { key, epoch: held.epoch, number: held.number, state: held.state, callers }
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
      held.state = content.state
      for (const { caller, first, outcomes } of content.callers)
        held.callers.set(caller, { first, outcomes: new Map(outcomes) })
      this.#keys.set(key, held)
      this.#weigh(key, held)
    }
  }

  /** After `replace` made it equal to a copy at that number. */
  standAt(number: number): void {
    this.#number = number
  }

  #weigh(key: string, held: HeldKey): void {
    let bytes = keyBytes(key) + (held.state?.length ?? 0)
    for (const [caller, { outcomes }] of held.callers) {
      bytes += CALLER_BYTES + utf8Length(caller)
      for (const outcome of outcomes.values()) bytes += RECORD_BYTES + outcome.length
    }
    this.#bytes += bytes - held.bytes
    held.bytes = bytes
    if (isVoid(held)) this.#empty.add(key)
    else this.#empty.delete(key)
  }
}

const NO_STAMP: Stamp = { epoch: 0, number: 0 }

const newKey = (): HeldKey => ({ epoch: 0, number: 0, state: undefined, callers: new Map(), bytes: 0 })
const isVoid = (held: HeldKey): boolean => held.state === undefined && held.callers.size === 0
const keyBytes = (key: string): number => KEY_BYTES + utf8Length(key)

function note(held: HeldKey, name: string, record: NonNullable<KeyChange['record']>): void {
  const caller = held.callers.get(name) ?? { first: 0, outcomes: new Map<number, Uint8Array>() }
  held.callers.set(name, caller)
  caller.first = Math.max(caller.first, record.first)
  for (const sequence of caller.outcomes.keys()) if (sequence < caller.first) caller.outcomes.delete(sequence)
  if (record.sequence >= caller.first) caller.outcomes.set(record.sequence, record.outcome)
}
