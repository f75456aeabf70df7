/**
 * Bytes of what processes that hold partitions say to each other. `decodeHoldingMessage` is total: it never throws and
 * names what is wrong. What comes out has names, numbers and sizes that are safe to use; whether it is true is for
 * `Holdings` to judge.
 *
 *     message = byte version, byte type, body
 *     body    = varint count, { text partition, varint epoch, ... }*      of a list
 */
import { readOutcome as readCallOutcome, writeOutcome } from '../rpc/call-codec.ts'
import type { CallOutcome } from '../rpc/messages.ts'
import { RpcLimits } from '../rpc/messages.ts'
import { Reader } from '../wire/reader.ts'
import { Writer } from '../wire/writer.ts'
import type { KeyContent } from './held-partition.ts'
import type { CallerContents, KeyChange } from './key-contents.ts'
import { isGroup } from '../council/published-council.ts'
import type {
  At,
  CopiedItem,
  Holder,
  HoldingMessage,
  ItemsOf,
  ItemType,
  ListMessage,
  Origin,
} from './messages.ts'
import { MAX_GRAIN_KEY_BYTES, MAX_KIND_BYTES, parsePartition } from '../partition/partition.ts'

export const HOLDING_VERSION = 1

/** What one message may hold, whatever the options of this process are. */
export const HoldingLimits = {
  items: 65_536,
  entries: 65_536,
  callers: 65_536,
  records: 65_536,
  callerBytes: 256,
  origins: 32,
  holders: 64,
  groupBytes: 40,
  stateBytes: 16 * 1024 * 1024,
  /** Epochs, numbers and ids: far beyond any use, and adding to them stays exact. */
  counter: 2 ** 48,
} as const

export type DecodedHolding =
  { readonly ok: true; readonly message: HoldingMessage } | { readonly ok: false; readonly reason: string }

const TYPES: readonly HoldingMessage['type'][] = [
  'beacon',
  'beaconed',
  'store',
  'stored',
  'where',
  'claim',
  'standing',
  'repair',
  'copy',
  'copied',
  'stale',
  'drop',
  'released',
  'stray',
  'strayed',
]
const RESULTS: readonly CopiedItem['result'][] = ['part', 'whole', 'again', 'full']
const PARTITION_BYTES = MAX_KIND_BYTES + 4

export function encodeHoldingMessage(message: HoldingMessage): Uint8Array {
  const w = new Writer()
  w.byte(HOLDING_VERSION).byte(TYPES.indexOf(message.type))
  if (message.type === 'beacon') w.varint(message.id).varint(message.heard).byte(flags(message.sole))
  else if (message.type === 'beaconed') {
    w.varint(message.id).byte(flags(message.sole))
    writeList(w, message.refused, writeAt)
  } else writeItems(w, message)
  return w.give()
}

export function decodeHoldingMessage(bytes: Uint8Array): DecodedHolding {
  const r = new Reader(bytes)
  const version = r.byte('version')
  const type = TYPES[r.byte('type')]
  if (!r.problem && version !== HOLDING_VERSION) r.fail(`version ${version} is not spoken here`)
  if (!r.problem && !type) r.fail('type is unknown')
  if (r.problem || !type) return { ok: false, reason: r.problem ?? 'type is unknown' }
  const message = readMessage(r, type)
  if (!r.problem && !r.done) r.fail(`${type} has ${r.remaining} bytes too many`)
  return r.problem ? { ok: false, reason: r.problem } : { ok: true, message }
}

function readMessage(r: Reader, type: HoldingMessage['type']): HoldingMessage {
  if (type === 'beacon')
    return { type, id: count(r, 'id'), heard: count(r, 'heard'), sole: readFlags(r, 1) === 1 }
  if (type === 'beaconed')
    return {
      type,
      id: count(r, 'id'),
      sole: readFlags(r, 1) === 1,
      refused: readList(r, HoldingLimits.items, readAt),
    }
  const read = READ[type] as (r: Reader, at: At) => ItemsOf[ItemType]
  return { type, items: readList(r, HoldingLimits.items, () => read(r, readAt(r))) } as unknown as ListMessage
}

function writeItems(w: Writer, message: ListMessage): void {
  const write = WRITE[message.type] as (w: Writer, item: ItemsOf[ItemType]) => void
  writeList<ItemsOf[ItemType]>(w, message.items, (w, item) => {
    writeAt(w, item)
    write(w, item)
  })
}

const nothing = (): void => undefined
const asAt = (_: Reader, at: At): At => at

const WRITE: { readonly [T in ItemType]: (w: Writer, item: ItemsOf[T]) => void } = {
  store: (w, item) => {
    w.varint(item.tenure).varint(item.number).varint(item.acked).text(item.key)
    writeChange(w, item.change)
  },
  stored: (w, item) => w.varint(item.tenure).varint(item.number).byte(flags(item.wants)),
  where: nothing,
  claim: nothing,
  standing: (w, item) => {
    w.varint(item.number).varint(item.acked)
    writeList(w, item.keys, (w, { key, epoch, number }) => w.text(key).varint(epoch).varint(number))
  },
  repair: (w, item) => {
    w.varint(item.tenure).varint(item.from).varint(item.number).varint(item.acked)
    writeList(w, item.entries, writeContent)
  },
  copy: (w, item) => {
    w.varint(item.attempt).varint(item.index)
    w.byte(flags(item.handed, item.end !== undefined))
    if (item.end) w.varint(item.end.tenure).varint(item.end.number).varint(item.end.acked)
    writeList(w, item.entries, writeContent)
  },
  copied: (w, item) => w.varint(item.attempt).varint(item.index).byte(RESULTS.indexOf(item.result)),
  stale: nothing,
  drop: nothing,
  released: nothing,
  stray: (w, item) => {
    w.varint(item.attempt).varint(item.index).byte(flags(item.isLast))
    writeList(w, item.origins, writeOrigin)
    writeList(w, item.holders, writeHolder)
    writeList(w, item.back, writeHolder)
    writeList(w, item.entries, writeContent)
  },
  strayed: (w, item) => w.varint(item.attempt).varint(item.index),
}

const READ: { readonly [T in ItemType]: (r: Reader, at: At) => ItemsOf[T] } = {
  store: (r, at) => ({
    ...at,
    tenure: count(r, 'tenure'),
    number: count(r, 'number'),
    acked: count(r, 'acked'),
    key: readKey(r),
    change: readChange(r),
  }),
  stored: (r, at) => ({
    ...at,
    tenure: count(r, 'tenure'),
    number: count(r, 'number'),
    wants: readFlags(r, 1) === 1,
  }),
  where: asAt,
  claim: asAt,
  standing: (r, at) => ({
    ...at,
    number: count(r, 'number'),
    acked: count(r, 'acked'),
    keys: readList(r, HoldingLimits.entries, () => ({
      key: readKey(r),
      epoch: count(r, 'epoch'),
      number: count(r, 'number'),
    })),
  }),
  repair: (r, at) => ({
    ...at,
    tenure: count(r, 'tenure'),
    from: count(r, 'from'),
    number: count(r, 'number'),
    acked: count(r, 'acked'),
    entries: readList(r, HoldingLimits.entries, readContent),
  }),
  copy: (r, at) => {
    const attempt = count(r, 'attempt')
    const index = count(r, 'index')
    const bits = readFlags(r, 3)
    const end = { tenure: 0, number: 0, acked: 0 }
    if (bits & 2) {
      end.tenure = count(r, 'tenure')
      end.number = count(r, 'number')
      end.acked = count(r, 'acked')
    }
    const item = { ...at, attempt, index, handed: (bits & 1) === 1 }
    const entries = readList(r, HoldingLimits.entries, readContent)
    return bits & 2 ? { ...item, entries, end } : { ...item, entries }
  },
  copied: (r, at) => ({
    ...at,
    attempt: count(r, 'attempt'),
    index: count(r, 'index'),
    result: RESULTS[r.byte('result')] ?? (r.fail('result is unknown'), 'again'),
  }),
  stale: asAt,
  drop: asAt,
  released: asAt,
  stray: (r, at) => ({
    ...at,
    attempt: count(r, 'attempt'),
    index: count(r, 'index'),
    isLast: readFlags(r, 1) === 1,
    origins: readOrigins(r),
    holders: readHolders(r),
    back: readHolders(r),
    entries: readList(r, HoldingLimits.entries, readContent),
  }),
  strayed: (r, at) => ({ ...at, attempt: count(r, 'attempt'), index: count(r, 'index') }),
}

const writeAt = (w: Writer, { partition, epoch }: At): Writer => w.text(partition).varint(epoch)

function readAt(r: Reader): At {
  const partition = r.text('partition', PARTITION_BYTES)
  if (!r.problem && !parsePartition(partition)) r.fail('partition is malformed')
  return { partition, epoch: count(r, 'epoch') }
}

function writeChange(w: Writer, { state, records, drops }: KeyChange): void {
  w.byte(flags(state instanceof Uint8Array, state === null))
  if (state) w.blob(state)
  writeList(w, records, (w, { caller, sequence, outcome, keepMs }) => {
    writeOutcome(w.text(caller).varint(sequence).varint(keepMs), outcome)
  })
  // `Infinity` has no varint: 0 stands for it, which no `first` is.
  writeList(w, drops, (w, { caller, first }) => w.text(caller).varint(first === Infinity ? 0 : first))
}

function readChange(r: Reader): KeyChange {
  const bits = readFlags(r, 2)
  const state = bits & 1 ? r.blob('state', HoldingLimits.stateBytes) : bits & 2 ? null : undefined
  const records = readList(r, HoldingLimits.records, () => ({
    caller: readCaller(r),
    sequence: count(r, 'sequence'),
    keepMs: r.varint('keeping time', RpcLimits.ms),
    outcome: readOutcome(r),
  }))
  const drops = readList(r, HoldingLimits.callers, () => {
    const caller = readCaller(r)
    const first = count(r, 'first')
    return { caller, first: first === 0 ? Infinity : first }
  })
  return { ...(state !== undefined && { state }), records, drops }
}

export const writeOrigin = (w: Writer, { group, born, epoch, number }: Origin): Writer =>
  w.text(group).varint(born).varint(epoch).varint(number)

/** At least one. */
export function readOrigins(r: Reader): Origin[] {
  const origins = readList(r, HoldingLimits.origins, () => {
    const group = r.text('group', HoldingLimits.groupBytes)
    if (!r.problem && !isGroup(group)) r.fail('group is malformed')
    return { group, born: count(r, 'born'), epoch: count(r, 'epoch'), number: count(r, 'number') }
  })
  if (origins.length === 0) r.fail('it is of no history')
  return origins
}

export const writeHolder = (w: Writer, { process, browser }: Holder): Writer => w.text(process).text(browser)

export const readHolders = (r: Reader): Holder[] =>
  readList(r, HoldingLimits.holders, () => ({
    process: readCaller(r),
    browser: r.text('browser', HoldingLimits.callerBytes),
  }))

export function writeContent(w: Writer, { key, epoch, number, contents }: KeyContent): void {
  w.text(key).varint(epoch).varint(number)
  w.byte(flags(contents !== undefined, contents?.state !== undefined))
  if (!contents) return
  if (contents.state) w.blob(contents.state)
  writeList(w, [...contents.callers], (w, [caller, { first, keepMs, outcomes }]) => {
    w.text(caller).varint(first).varint(keepMs)
    writeList(w, [...outcomes], (w, [sequence, outcome]) => writeOutcome(w.varint(sequence), outcome))
  })
}

export function readContent(r: Reader): KeyContent {
  const key = readKey(r)
  const epoch = count(r, 'epoch')
  const number = count(r, 'number')
  const bits = readFlags(r, 3)
  if (!(bits & 1)) return { key, epoch, number, contents: undefined }
  const state = bits & 2 ? r.blob('state', HoldingLimits.stateBytes) : undefined
  const callers = new Map(readList(r, HoldingLimits.callers, readCallerContents))
  return { key, epoch, number, contents: { state, callers } }
}

function readCallerContents(r: Reader): [string, CallerContents] {
  const caller = readCaller(r)
  const first = count(r, 'first')
  const keepMs = r.varint('keeping time', RpcLimits.ms)
  const outcomes = new Map(
    readList(r, HoldingLimits.records, () => [count(r, 'sequence'), readOutcome(r)] as const),
  )
  return [caller, { first, keepMs, outcomes }]
}

/** Once something is wrong, whatever is read is thrown away. */
const readOutcome = (r: Reader): CallOutcome =>
  readCallOutcome(r) ?? { type: 'result', bytes: new Uint8Array(0) }

export const count = (r: Reader, what: string): number => r.varint(what, HoldingLimits.counter)
const readCaller = (r: Reader): string => r.text('caller', HoldingLimits.callerBytes)

function readKey(r: Reader): string {
  const key = r.text('key', MAX_GRAIN_KEY_BYTES)
  if (!r.problem && key === '') r.fail('key is empty')
  return key
}

const flags = (...bits: readonly boolean[]): number =>
  bits.reduce((sum, bit, i) => sum | (bit ? 1 << i : 0), 0)

function readFlags(r: Reader, max: number): number {
  const bits = r.byte('flags')
  if (bits > max) r.fail(`flags ${bits} are unknown`)
  return bits
}

export function writeList<T>(w: Writer, items: readonly T[], write: (w: Writer, item: T) => unknown): void {
  w.varint(items.length)
  for (const item of items) write(w, item)
}

export function readList<T>(r: Reader, max: number, read: (r: Reader) => T): T[] {
  const length = r.varint('count', max)
  const items: T[] = []
  for (let i = 0; i < length && !r.problem; i++) items.push(read(r))
  return items
}
