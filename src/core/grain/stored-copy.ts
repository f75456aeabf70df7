/**
 * Copies of partitions as they are on disk: a head for each, and each key by itself, so that a change costs what has
 * changed. What is read back may be anything: it is checked as if it came off the wire, and a copy of which anything is
 * wrong is not used at all.
 *
 *     head = byte version, text partition, list of origins, varint epoch, varint acked, varint at, varint keys,
 *            list of holders
 *     key  = byte version, as in a message `copy`
 */
import type { ProcessId } from '../identity/node-id.ts'
import { isProcessId } from '../identity/node-id.ts'
import { LINEAGE_LENGTH } from '../council/published-council.ts'
import type { PartitionId, Stamp } from '../partition/partition.ts'
import { MAX_KIND_BYTES, parsePartition, slotOf } from '../partition/partition.ts'
import { Reader } from '../wire/reader.ts'
import { Writer } from '../wire/writer.ts'
import type { KeyContent } from './held-partition.ts'
import { HeldPartition } from './held-partition.ts'
import {
  count,
  HoldingLimits,
  readContent,
  readHolders,
  readOrigins,
  writeContent,
  writeHolder,
  writeList,
  writeOrigin,
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

export interface Head {
  readonly partition: PartitionId
  /** Its own history first, then those that it had taken up. */
  readonly origins: readonly Origin[]
  readonly epoch: number
  readonly acked: number
  /** Wall clock, in ms. */
  readonly at: number
  /** How many there are: a copy that lacks some is torn. */
  readonly keys: number
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

export function encodeHead({ partition, origins, epoch, acked, at, keys, inSync }: Head): Uint8Array {
  const w = new Writer()
  w.byte(STORED_VERSION).text(partition)
  writeList(w, origins, writeOrigin)
  w.varint(epoch)
    .varint(acked)
    .varint(Math.max(0, Math.floor(at)))
    .varint(keys)
  writeList(w, inSync, writeHolder)
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
  const { born, epoch, number } = head.origins[0]!
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
  const r = new Reader(state)
  const origins = readOrigins(r)
  return r.problem ? [] : origins
}

/** The newest first; what is beyond the limit is forgotten. */
export function encodeTaken(origins: readonly Origin[]): Uint8Array {
  const w = new Writer()
  writeList(w, origins.slice(0, HoldingLimits.origins - 1), writeOrigin)
  return w.give()
}

/** Both follow one council, as far as names can tell, from the same birth of the partition on. */
export const isSameHistory = (a: Origin, b: Origin): boolean =>
  a.born === b.born && a.group.slice(0, LINEAGE_LENGTH) === b.group.slice(0, LINEAGE_LENGTH)

/**
 * Whether whoever has taken up these has a change of a history, by default its last one: epochs only rise along one. Of
 * two sides of a council that both went on by force, and never met, that with the later changes counts for both.
 */
export const isKnownTo = (taken: readonly Origin[], origin: Origin, change: Stamp = origin): boolean =>
  taken.some(
    (known) =>
      isSameHistory(known, origin) &&
      (change.epoch < known.epoch || (change.epoch === known.epoch && change.number <= known.number)),
  )

/** Whether one of two copies of a partition goes before the other. */
export function isNewer(a: Head, b: Head): boolean {
  const [aHasB, bHasA] = [isKnownTo(a.origins, b.origins[0]!), isKnownTo(b.origins, a.origins[0]!)]
  return aHasB === bHasA ? a.at > b.at : aHasB
}

const TAKEN = '$taken'

function readHead(r: Reader): Head {
  const partition = r.text('partition', MAX_KIND_BYTES + 4)
  const origins = readOrigins(r)
  const [epoch, acked] = [count(r, 'epoch'), count(r, 'acked')]
  const [at, keys] = [r.varint('time'), count(r, 'keys')]
  return { partition, origins, epoch, acked, at, keys, inSync: readHolders(r) }
}

function readKeyContent(bytes: Uint8Array): KeyContent | string {
  const r = new Reader(bytes, 1)
  const content = readContent(r)
  if (!r.problem && !r.done) r.fail(`${r.remaining} bytes too many`)
  return r.problem ?? content
}

const no = (reason: string): ReadCopy => ({ ok: false, reason, isForeign: false })
