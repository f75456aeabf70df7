/**
 * Partitions: the unit of ownership. The key of a grain hashes to one of 256 slots of its kind; who owns a slot and who
 * holds a copy of it is one entry of the partition map, which the council decides (PacificA's configuration, Lin et
 * al., 2008). Names and types that owners, replicas, callers and the council share.
 */
import type { ProcessId } from '../identity/node-id.ts'
import { utf8Length } from '../utf8.ts'
import { Writer } from '../wire/writer.ts'
import { murmur3 } from './murmur3.ts'

/** `<kind>#<slot>` */
export type PartitionId = string

/** Partitions of a kind. */
export const SLOTS = 256
/** Those in sync of one partition: the owner, two more replicas, and others that take their places. */
export const MAX_HOLDERS = 5
export const MAX_KIND_BYTES = 64
export const MAX_GRAIN_KEY_BYTES = 256

/** What the council has decided for one partition. */
export interface MapEntry {
  /** Grows by one with every change of the entry: PacificA's configuration version, and the fencing number. */
  readonly epoch: number
  /** Who runs its grains; one of `inSync`. */
  readonly owner: ProcessId
  /** Whoever is here holds every acknowledged change; never empty. */
  readonly inSync: readonly ProcessId[]
  /**
   * Epoch at which the partition was last born with nothing in it. Above 1 its last holder was lost: a key that is not
   * held now may have had a state. Copies of an earlier birth are of another history, and whoever was told only the
   * newest entry must see that.
   */
  readonly born: number
}

/** What a process asks the council for: many slots of a kind at once, each only if it is still at that epoch. */
export interface PartitionChange {
  readonly kind: string
  readonly slots: readonly number[]
  /** The epoch of each slot that the proposer knows. Slots that have moved on are skipped. */
  readonly epochs: readonly number[]
  readonly add?: ProcessId
  readonly remove?: ProcessId
  readonly owner?: ProcessId
}

/** The moment of a change: who was first is told by the number, whether two are one change by both. */
export interface Stamp {
  readonly epoch: number
  readonly number: number
}

const KIND = /^[a-z][a-z0-9._-]{0,63}$/
const PARTITION = /^([a-z][a-z0-9._-]{0,63})#(0|[1-9][0-9]{0,2})$/
/** Half a pair, which has no encoding. */
const LONE = /\p{Surrogate}/u
const writer = new Writer()

export const isKind = (text: string): boolean => KIND.test(text)

/** Well-formed text of 1 to 256 bytes. */
export const isGrainKey = (text: string): boolean =>
  text.length > 0 && text.length <= MAX_GRAIN_KEY_BYTES && !LONE.test(text) && fits(text)

export const partitionId = (kind: string, slot: number): PartitionId => `${kind}#${slot}`

/** The slot of a key: the same on every process, for ever. PROTOCOL.md has the bytes and test vectors. */
export function slotOf(kind: string, key: string): number {
  writer.reset().text(kind).text(key)
  return murmur3(writer.take()) % SLOTS
}

export const partitionOf = (kind: string, key: string): PartitionId => partitionId(kind, slotOf(kind, key))

/** Asked several times for every call, mostly of the same few: what was found is remembered. */
export function parsePartition(id: string): ParsedPartition | undefined {
  const known = parsed.get(id)
  if (known) return known
  const match = PARTITION.exec(id)
  const slot = Number(match?.[2])
  if (!match || slot >= SLOTS) return undefined
  const found = { kind: match[1]!, slot }
  if (parsed.size >= MAX_PARSED) parsed.clear()
  parsed.set(id, found)
  return found
}

interface ParsedPartition {
  readonly kind: string
  readonly slot: number
}

/** Those of 16 kinds. */
const MAX_PARSED = 4_096
const parsed = new Map<string, ParsedPartition>()

const fits = (text: string): boolean => utf8Length(text) <= MAX_GRAIN_KEY_BYTES
