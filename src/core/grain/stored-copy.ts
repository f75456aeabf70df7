/**
 * Copies of partitions as they are on disk: a head for each, and each key by itself, so that a change costs what has
 * changed. What is read back may be anything: it is checked as if it came off the wire, and a copy of which anything is
 * wrong is not used at all.
 *
 *     head = byte version, text partition, varint map, varint born, list of tenures, varint epoch, varint number,
 *            varint acked, varint at, varint keys, list of origins, list of holders
 *     key  = byte version, as in a message `copy`
 */
import type { ProcessId } from '../identity/node-id.ts'
import { isProcessId } from '../identity/node-id.ts'
import type { PartitionId, Stamp } from '../partition/partition.ts'
import { MAX_KIND_BYTES, parsePartition, slotOf } from '../partition/partition.ts'
import { Reader } from '../wire/reader.ts'
import { Writer } from '../wire/writer.ts'
import type { TenureStart } from './fork.ts'
import { mayLackOldest } from './fork.ts'
import type { KeyContent } from './held-partition.ts'
import { HeldPartition } from './held-partition.ts'
import {
  count,
  HoldingLimits,
  readContent,
  readTenures,
  readHolders,
  readOrigins,
  writeContent,
  writeTenures,
  writeHolder,
  writeList,
  writeOrigins,
} from './holding-codec.ts'
import type { Holder, Origin } from './messages.ts'

/** Of what is stored. Another one is left alone: a later Grainmesh may know it. */
export const STORED_VERSION = 1

/** One copy, as a platform keeps it. */
export interface StoredCopy {
  /** Whose it was. */
  readonly process: ProcessId
  readonly partition: PartitionId
  readonly head: Uint8Array
  readonly entries: readonly Uint8Array[]
}

/** What becomes of one copy on disk. */
export interface CopyWrite {
  readonly process: ProcessId
  readonly partition: PartitionId
  /** Absent where nothing of it is kept any more. */
  readonly head?: Uint8Array
  readonly puts: readonly (readonly [key: string, bytes: Uint8Array])[]
  readonly deletes: readonly string[]
}

/** The stamp: of the last change. */
export interface Head extends Stamp {
  readonly partition: PartitionId
  /** Epoch of the map's entry. */
  readonly map: number
  readonly born: number
  readonly tenures: readonly TenureStart[]
  readonly acked: number
  /** Wall clock, in ms. */
  readonly at: number
  /** How many there are: a copy that lacks some is torn. */
  readonly keys: number
  /** Other histories that it had taken up. */
  readonly taken: readonly Origin[]
  readonly inSync: readonly Holder[]
}

/** A copy that can be used. */
export interface FoundCopy {
  readonly process: ProcessId
  readonly head: Head
  readonly copy: HeldPartition
}

export type ReadCopy =
  | { readonly ok: true; readonly found: FoundCopy }
  /** `isForeign`: it is of a version that is not known here. */
  | { readonly ok: false; readonly reason: string; readonly isForeign: boolean }

export function encodeHead(head: Head): Uint8Array {
  const w = new Writer()
  w.byte(STORED_VERSION).text(head.partition).varint(head.map).varint(head.born)
  writeTenures(w, head.tenures)
  w.varint(head.epoch).varint(head.number).varint(head.acked)
  w.varint(Math.max(0, Math.floor(head.at))).varint(head.keys)
  writeOrigins(w, head.taken)
  writeList(w, head.inSync, writeHolder)
  return w.give()
}

export function encodeKey(content: KeyContent): Uint8Array {
  const w = new Writer()
  w.byte(STORED_VERSION)
  writeContent(w, content)
  return w.give()
}

/** Never throws. */
export function readCopy({ process, partition, head: bytes, entries }: StoredCopy): ReadCopy {
  const parsed = parsePartition(partition)
  if (!parsed || !isProcessId(process)) return no('it has no place')
  if ([bytes, ...entries].some((part) => part[0] !== undefined && part[0] !== STORED_VERSION))
    return { ok: false, reason: `version ${bytes[0]} is not read here`, isForeign: true }
  const r = new Reader(bytes, 1)
  const head = readHead(r)
  if (!r.problem && !r.done) r.fail(`${r.remaining} bytes too many`)
  if (r.problem) return no(`its head is wrong: ${r.problem}`)
  if (head.partition !== partition) return no('its head is of another partition')
  if (head.keys !== entries.length) return no(`it has ${entries.length} keys instead of ${head.keys}`)
  const { born, epoch, number, tenures } = head
  const copy = new HeldPartition(born)
  for (const entry of entries) {
    const content = readKeyContent(entry)
    if (typeof content === 'string') return no(`a key is wrong: ${content}`)
    const isOwn = content.key === takenKeyOf(partition) || slotOf(parsed.kind, content.key) === parsed.slot
    if (!isOwn) return no('it has a key of another partition')
    if (content.number === 0 || content.number > number) return no('it has a key from after its end')
    copy.replace([content])
  }
  copy.standAt(number)
  copy.tenure = epoch
  copy.tenures = tenures
  copy.ack(head.acked)
  return { ok: true, found: { process, head, copy } }
}

/**
 * Where a partition keeps which other histories it has taken up. It is an ordinary key, so it is replicated and stored
 * as others are; but it hashes to another partition, so it is no key of a grain.
 */
export function takenKeyOf(partition: PartitionId): string {
  const { kind, slot } = parsePartition(partition)!
  return slotOf(kind, TAKEN) === slot ? `${TAKEN}2` : TAKEN
}

/** Which other histories a copy has taken up. */
export function takenOf(partition: PartitionId, copy: HeldPartition | undefined): readonly Origin[] {
  const state = copy?.contentsOf(takenKeyOf(partition))?.state
  if (!state) return []
  const known = decodedOrigins.get(state)
  if (known) return known
  const r = new Reader(state)
  const origins = readOrigins(r)
  const result = r.problem ? [] : origins
  decodedOrigins.set(state, result)
  return result
}

/** It is asked for every key of a stray, and bytes of a state are never changed. */
const decodedOrigins = new WeakMap<Uint8Array, readonly Origin[]>()

/** The newest first; what is beyond the limit is forgotten. */
export function encodeTaken(origins: readonly Origin[]): Uint8Array {
  const w = new Writer()
  writeOrigins(w, origins.slice(0, HoldingLimits.origins))
  return w.give()
}

/** A history, the newest of its tenures first: each is known up to the next. */
export function originsOf(born: number, tenures: readonly TenureStart[], end: Stamp): [Origin, ...Origin[]] {
  const origins = tenures.map(({ group, epoch: since }, i): Origin => {
    const next = tenures[i + 1]
    const { epoch, number } = next ? { epoch: next.epoch - 1, number: next.number } : end
    return { group, born, since, epoch: Math.max(0, epoch), number }
  })
  const [first] = tenures
  if (first && mayLackOldest(tenures)) {
    // What is forgotten, as `tenureOf` has it.
    const { group, epoch, number } = first
    origins.unshift({ group, born, since: 0, epoch: Math.max(0, epoch - 1), number })
  }
  return origins.toReversed() as [Origin, ...Origin[]]
}

/** Whether whoever has followed these has a change. */
export const isKnownTo = (
  known: readonly Origin[],
  { group, born, epoch, number }: Omit<Origin, 'since'>,
): boolean =>
  known.some(
    (one) =>
      one.group === group &&
      one.born === born &&
      one.since <= epoch &&
      epoch <= one.epoch &&
      number <= one.number,
  )

/** Whether one of two copies of a partition goes before the other. */
export function isNewer(a: Head, b: Head): boolean {
  const [ofA, ofB] = [ownOrigins(a), ownOrigins(b)]
  const [aHasB, bHasA] = [isKnownTo([...ofA, ...a.taken], ofB[0]), isKnownTo([...ofB, ...b.taken], ofA[0])]
  return aHasB === bHasA ? a.at > b.at : aHasB
}

/** Whether two histories have a council in common, and the birth of the partition. */
export const isRelated = (a: readonly Origin[], b: readonly Origin[]): boolean =>
  a.some(({ group, born }) => b.some((one) => one.group === group && one.born === born))

export const ownOrigins = (head: Head) => originsOf(head.born, head.tenures, head)

const TAKEN = '$taken'

function readHead(r: Reader): Head {
  const partition = r.text('partition', MAX_KIND_BYTES + 4)
  const [map, born] = [count(r, 'epoch of the map'), count(r, 'born')]
  const tenures = readTenures(r)
  if (tenures.length === 0) r.fail('it is of no council')
  const [epoch, number, acked] = [count(r, 'epoch'), count(r, 'number'), count(r, 'acked')]
  const [at, keys] = [r.varint('time'), count(r, 'keys')]
  const taken = readOrigins(r)
  return { partition, map, born, tenures, epoch, number, acked, at, keys, taken, inSync: readHolders(r) }
}

function readKeyContent(bytes: Uint8Array): KeyContent | string {
  const r = new Reader(bytes, 1)
  const content = readContent(r)
  if (!r.problem && !r.done) r.fail(`${r.remaining} bytes too many`)
  return r.problem ?? content
}

const no = (reason: string): ReadCopy => ({ ok: false, reason, isForeign: false })
