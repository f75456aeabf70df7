/**
 * Bytes of what processes that hold partitions say to each other. `decodeHoldingMessage` is total: it never throws and
 * names what is wrong. What comes out has names, numbers and sizes that are safe to use; whether it is true is for
 * `Holdings` to judge.
 *
 *     message = byte version, byte type, body
 *     body    = varint count, { text partition, varint epoch, ... }*      of a list
 */
import { isProcessId } from '../identity/node-id.ts'
import { isCaller } from '../rpc/call-id.ts'
import { readOutcome as readCallOutcome, writeOutcome } from '../rpc/call-codec.ts'
import { isGroup } from '../council/published-council.ts'
import type { CallOutcome } from '../rpc/messages.ts'
import { RpcLimits } from '../rpc/messages.ts'
import { Reader } from '../wire/reader.ts'
import { Writer } from '../wire/writer.ts'
import type { KeyContent } from './held-partition.ts'
import type { TenureStart } from './fork.ts'
import { MAX_TENURES, MAX_OTHERS } from './fork.ts'
import type { CallerContents, KeyChange, KeyContents, Other } from './key-contents.ts'
import { MAX_CALLERS, MAX_OUTCOMES, outcomesOf } from './key-contents.ts'
import type {
  At,
  CopiedItem,
  CopyEnd,
  Holder,
  HoldingMessage,
  ItemsOf,
  ItemType,
  ListMessage,
  Origin,
  Source,
} from './messages.ts'
import { MAX_GRAIN_KEY_BYTES, MAX_KIND_BYTES, parsePartition } from '../partition/partition.ts'

export const HOLDING_VERSION = 1

/** What one message may hold, whatever the options of this process are. */
export const HoldingLimits = {
  items: 65_536,
  entries: 65_536,
  callers: MAX_CALLERS,
  records: MAX_OUTCOMES,
  callerBytes: 32,
  browserBytes: 256,
  groupBytes: 24,
  origins: 256,
  holders: 64,
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
  writeHoldingMessage(w, message)
  return w.give()
}

export function writeHoldingMessage(w: Writer, message: HoldingMessage): void {
  w.byte(HOLDING_VERSION).byte(TYPES.indexOf(message.type))
  if (message.type === 'beacon') w.varint(message.id).varint(message.heard).byte(flags(message.sole))
  else if (message.type === 'beaconed') {
    w.varint(message.id).byte(flags(message.sole))
    writeList(w, message.refused, writeAt)
  } else writeItems(w, message)
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
const writeCopied = (w: Writer, { attempt, index, result }: CopiedItem): Writer =>
  w.varint(attempt).varint(index).byte(RESULTS.indexOf(result))
const readCopied = (r: Reader, at: At): CopiedItem => ({
  ...at,
  attempt: count(r, 'attempt'),
  index: count(r, 'index'),
  result: RESULTS[r.byte('result')] ?? (r.fail('result is unknown'), 'again'),
})
const asAt = (_: Reader, at: At): At => at

const WRITE: { readonly [T in ItemType]: (w: Writer, item: ItemsOf[T]) => void } = {
  store: (w, item) => {
    w.varint(item.tenure).varint(item.number).varint(item.acked).text(item.key)
    writeChange(w, item.change)
  },
  stored: (w, item) => w.varint(item.tenure).varint(item.number).byte(flags(item.wants)),
  where: nothing,
  claim: (w, item) => {
    w.varint(item.forgotten)
    writeTenures(w, item.tenures)
  },
  standing: (w, item) => {
    w.varint(item.number).varint(item.common).varint(item.since)
    writeList(w, item.keys, (w, { key, epoch, number }) => w.text(key).varint(epoch).varint(number))
  },
  repair: (w, item) => {
    w.varint(item.tenure).varint(item.from).varint(item.number).varint(item.acked).varint(item.forgotten)
    writeTenures(w, item.tenures)
    writeList(w, item.entries, writeContent)
  },
  copy: (w, item) => {
    w.varint(item.attempt).varint(item.index)
    w.byte(flags(item.handed, item.end !== undefined))
    if (item.end) {
      w.varint(item.end.tenure).varint(item.end.number).varint(item.end.acked)
      writeTenures(w, item.end.tenures)
    }
    writeList(w, item.entries, writeContent)
  },
  copied: writeCopied,
  stale: nothing,
  drop: nothing,
  released: (w, { inUse }) => w.byte(flags(inUse)),
  stray: (w, item) => {
    w.varint(item.attempt).varint(item.index)
    w.byte(flags(item.isLast, item.source !== undefined)).varint(item.born)
    writeTenures(w, item.tenures)
    if (item.source) writeSource(w, item.source)
    writeList(w, item.entries, writeContent)
  },
  strayed: writeCopied,
}

const READ: { readonly [T in ItemType]: (r: Reader, at: At) => ItemsOf[T] } = {
  // Spelled out where each call passes: in V8 up to 11 a property that follows a spread takes 1.5 microseconds.
  store: (r, { partition, epoch }) => ({
    partition,
    epoch,
    tenure: count(r, 'tenure'),
    number: count(r, 'number'),
    acked: count(r, 'acked'),
    key: readKey(r),
    change: readChange(r),
  }),
  stored: (r, { partition, epoch }) => ({
    partition,
    epoch,
    tenure: count(r, 'tenure'),
    number: count(r, 'number'),
    wants: readFlags(r, 1) === 1,
  }),
  where: asAt,
  claim: (r, at) => ({ ...at, forgotten: count(r, 'forgotten'), tenures: readTenures(r) }),
  standing: (r, at) => ({
    ...at,
    number: count(r, 'number'),
    common: count(r, 'common'),
    since: count(r, 'since'),
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
    forgotten: count(r, 'forgotten'),
    tenures: readTenures(r),
    entries: readList(r, HoldingLimits.entries, readContent),
  }),
  copy: (r, at) => {
    const attempt = count(r, 'attempt')
    const index = count(r, 'index')
    const bits = readFlags(r, 3)
    const end = bits & 2 ? readEnd(r) : undefined
    const item = { ...at, attempt, index, handed: (bits & 1) === 1 }
    const entries = readList(r, HoldingLimits.entries, readContent)
    return end ? { ...item, entries, end } : { ...item, entries }
  },
  copied: readCopied,
  stale: asAt,
  drop: asAt,
  released: (r, at) => ({ ...at, inUse: readFlags(r, 1) === 1 }),
  stray: (r, at) => {
    const attempt = count(r, 'attempt')
    const index = count(r, 'index')
    const bits = readFlags(r, 3)
    const item = { ...at, attempt, index, isLast: (bits & 1) === 1, born: count(r, 'epoch of birth') }
    const tenures = readTenures(r)
    const source = bits & 2 ? readSource(r) : undefined
    if (source && tenures.length === 0) r.fail('it is of no council')
    const entries = readList(r, HoldingLimits.entries, readContent)
    return { ...item, tenures, entries, ...(source && { source }) }
  },
  strayed: readCopied,
}

const writeAt = (w: Writer, { partition, epoch }: At): Writer => w.text(partition).varint(epoch)

function readAt(r: Reader): At {
  const partition = r.text('partition', PARTITION_BYTES)
  if (!r.problem && !parsePartition(partition)) r.fail('partition is malformed')
  return { partition, epoch: count(r, 'epoch') }
}

const readEnd = (r: Reader): CopyEnd => ({
  tenure: count(r, 'tenure'),
  number: count(r, 'number'),
  acked: count(r, 'acked'),
  tenures: readTenures(r),
})

export function writeTenures(w: Writer, tenures: readonly TenureStart[]): void {
  let before = ''
  writeList(w, tenures, (w, { group, epoch, number }) => {
    before = writeGroup(w, group, before)
    return w.varint(epoch).varint(number)
  })
}

export function readTenures(r: Reader): TenureStart[] {
  let group = ''
  return readList(r, MAX_TENURES, () => {
    group = readGroup(r, group)
    return { group, epoch: count(r, 'epoch'), number: count(r, 'number') }
  })
}

/** That of the item before is left out. */
function writeGroup(w: Writer, group: string, before: string): string {
  w.text(group === before ? '' : group)
  return group
}

function readGroup(r: Reader, before: string): string {
  const group = r.text('group', HoldingLimits.groupBytes) || before
  if (!r.problem && !isGroup(group)) r.fail('group is malformed')
  return group
}

function writeOthers(w: Writer, others: readonly Other[]): void {
  writeList(w, others, (w, { group, epoch, number, state }) => {
    w.text(group)
      .varint(epoch)
      .varint(number)
      .byte(flags(state !== undefined))
    if (state) w.blob(state)
  })
}

const readOthers = (r: Reader): Other[] =>
  readList(r, MAX_OTHERS, () => {
    const group = r.text('group', HoldingLimits.groupBytes)
    const at = { group, epoch: count(r, 'epoch'), number: count(r, 'number') }
    return readFlags(r, 1) === 1 ? { ...at, state: r.blob('state', HoldingLimits.stateBytes) } : at
  })

function writeChange(w: Writer, { state, records, drops, others }: KeyChange): void {
  w.byte(flags(state instanceof Uint8Array, state === null, others !== undefined))
  if (state) w.blob(state)
  if (others) writeOthers(w, others)
  writeList(w, records, (w, { caller, sequence, outcome, keepMs }) => {
    writeOutcome(w.text(caller).varint(sequence).varint(keepMs), outcome)
  })
  // `Infinity` has no varint: 0 stands for it, which no `first` is.
  writeList(w, drops, (w, { caller, first }) => w.text(caller).varint(first === Infinity ? 0 : first))
}

function readChange(r: Reader): KeyChange {
  const bits = readFlags(r, 6)
  if ((bits & 3) === 3) r.fail('a state is set and deleted')
  const state = bits & 1 ? r.blob('state', HoldingLimits.stateBytes) : bits & 2 ? null : undefined
  const others = bits & 4 ? readOthers(r) : undefined
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
  // Each would cost a look at all that is kept of it.
  if (new Set(drops.map(({ caller }) => caller)).size < drops.length) r.fail('a caller is settled twice')
  return { records, drops, ...(state !== undefined && { state }), ...(others && { others }) }
}

export function writeOrigins(w: Writer, origins: readonly Origin[]): void {
  let before = ''
  writeList(w, origins, (w, { group, born, since, epoch, number }) => {
    before = writeGroup(w, group, before)
    return w.varint(born).varint(since).varint(epoch).varint(number)
  })
}

export function readOrigins(r: Reader): Origin[] {
  let group = ''
  return readList(r, HoldingLimits.origins, () => {
    group = readGroup(r, group)
    const [born, since] = [count(r, 'born'), count(r, 'since')]
    return { group, born, since, epoch: count(r, 'epoch'), number: count(r, 'number') }
  })
}

export const writeHolder = (w: Writer, { process, browser }: Holder): Writer => w.text(process).text(browser)

export const readHolders = (r: Reader): Holder[] =>
  readList(r, HoldingLimits.holders, () => ({
    process: readName(r, 'process', isProcessId),
    browser: r.text('browser', HoldingLimits.browserBytes),
  }))

function writeSource(w: Writer, { epoch, number, taken, holders, back }: Source): void {
  w.varint(epoch).varint(number)
  writeOrigins(w, taken)
  writeList(w, holders, writeHolder)
  writeList(w, back, writeHolder)
}

const readSource = (r: Reader): Source => ({
  epoch: count(r, 'epoch'),
  number: count(r, 'number'),
  taken: readOrigins(r),
  holders: readHolders(r),
  back: readHolders(r),
})

export function writeContent(w: Writer, { key, epoch, number, contents }: KeyContent): void {
  w.text(key).varint(epoch).varint(number)
  const { state, others, stated } = contents ?? {}
  w.byte(flags(contents !== undefined, state !== undefined, others !== undefined, stated !== undefined))
  if (!contents) return
  if (state) w.blob(state)
  if (others) writeOthers(w, others)
  if (stated) w.varint(stated.epoch).varint(stated.number)
  writeList(w, [...contents.callers], (w, [caller, { first, keepMs, outcomes }]) => {
    w.text(caller).varint(first).varint(keepMs)
    writeList(w, [...outcomes], (w, [sequence, outcome]) => writeOutcome(w.varint(sequence), outcome))
  })
}

export function readContent(r: Reader): KeyContent {
  const key = readKey(r)
  const epoch = count(r, 'epoch')
  const number = count(r, 'number')
  const bits = readFlags(r, 15)
  if (!(bits & 1)) return { key, epoch, number, contents: undefined }
  const state = bits & 2 ? r.blob('state', HoldingLimits.stateBytes) : undefined
  const others = bits & 4 ? readOthers(r) : undefined
  const stated = bits & 8 ? { epoch: count(r, 'epoch'), number: count(r, 'number') } : undefined
  const callers = new Map(readList(r, HoldingLimits.callers, readCallerContents))
  const contents: KeyContents = { state, callers, ...(others && { others }), ...(stated && { stated }) }
  if (outcomesOf(contents) > HoldingLimits.records) r.fail('a key has too many outcomes')
  return { key, epoch, number, contents }
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
const readCaller = (r: Reader): string => readName(r, 'caller', isCaller)

function readName(r: Reader, what: string, isName: (text: string) => boolean): string {
  const name = r.text(what, HoldingLimits.callerBytes)
  if (!r.problem && !isName(name)) r.fail(`${what} is malformed`)
  return name
}

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
