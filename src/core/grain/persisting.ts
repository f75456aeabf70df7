/**
 * Persisting: has the copies that this process holds in sync put on disk, each key by itself, a little after they have
 * changed. One batch is under way at a time, and what is in it is stored together or not at all. What this process holds
 * no more goes from the disk.
 *
 * A partition of which every key was cleared keeps its head, so that an older copy which comes back later is known to be
 * one: that is a few bytes for each of 256 partitions, however many keys there were.
 */
import type { ProcessId } from '../identity/node-id.ts'
import type { MapEntry, PartitionId, Stamp } from '../partition/partition.ts'
import type { Now } from '../time.ts'
import type { TenureStart } from './fork.ts'
import { commonUpTo } from './fork.ts'
import type { HeldPartition } from './held-partition.ts'
import type { Holder } from './messages.ts'
import type { CopyWrite } from './stored-copy.ts'
import { encodeHead, encodeKey, takenOf } from './stored-copy.ts'

export interface PersistingOptions {
  readonly own: ProcessId
  /** Of the council that is followed. */
  readonly group: () => string | undefined
  readonly entryOf: (partition: PartitionId) => MapEntry | undefined
  readonly copyOf: (partition: PartitionId) => HeldPartition | undefined
  readonly holderOf: (process: ProcessId) => Holder
  /** A copy of that birth is being offered to whoever owns the partition now. */
  readonly isOffered: (partition: PartitionId, born: number) => boolean
  /** Answered by `onPersisted`. */
  readonly persist: (writes: readonly CopyWrite[]) => void
}

/** What is on disk, or on the way there. */
interface OnDisk {
  /** What its head says of it. */
  readonly state: string
  /** Of what it was when it was written. */
  readonly born: number
  readonly number: number
  readonly tenures: readonly TenureStart[]
  readonly keys: ReadonlyMap<string, Stamp>
}

/** After the first change, in ms: a crowd of changes costs one write. */
export const PERSIST_MS = 1_000
/** After a batch that could not be stored. */
const AGAIN_MS = 10_000
/** Bytes of one batch, about. */
const BATCH_BYTES = 1024 * 1024

export class Persisting {
  readonly #options: PersistingOptions
  readonly #changed = new Set<PartitionId>()
  readonly #onDisk = new Map<PartitionId, OnDisk>()
  /** Copies of processes that are gone, which are of no use any more. */
  readonly #useless = new Map<PartitionId, Set<ProcessId>>()
  /** What was on disk before the batches that are under way, and between them. */
  readonly #before = new Map<PartitionId, OnDisk[]>()
  #underWay = 0
  #hasFailed = false
  #dueAt = Infinity

  constructor(options: PersistingOptions) {
    this.#options = options
  }

  /** Something of the partition may have changed. */
  touch(partition: PartitionId, now: Now): void {
    this.#changed.add(partition)
    this.#dueAt = Math.min(this.#dueAt, now.mono + PERSIST_MS)
  }

  /** Copies of another process go from the disk, not before what this process holds of the partition is there. */
  remove(process: ProcessId, partition: PartitionId, now: Now): void {
    const known = this.#useless.get(partition)
    if (known) known.add(process)
    else this.#useless.set(partition, new Set([process]))
    this.touch(partition, now)
  }

  tick(now: Now): void {
    if (now.mono < this.#dueAt || this.#underWay > 0) return
    this.#write(now, BATCH_BYTES)
  }

  /** There may be no time later. */
  hurry(now: Now): void {
    if (this.#changed.size > 0) this.#write(now, Infinity)
  }

  /** The oldest batch that is under way is stored, or nothing of it is. */
  onPersisted(ok: boolean, now: Now): void {
    this.#hasFailed ||= !ok
    if (this.#underWay === 0 || --this.#underWay > 0) return
    if (this.#hasFailed) this.#goBack(now)
    this.#before.clear()
    this.#hasFailed = false
  }

  nextDeadline(): number {
    return this.#underWay > 0 ? Infinity : this.#dueAt
  }

  #write(now: Now, most: number): void {
    const writes: CopyWrite[] = []
    let bytes = 0
    for (const partition of this.#changed) {
      if (bytes >= most) break
      this.#changed.delete(partition)
      const write = this.#writeOf(partition, now)
      for (const [, { length }] of write?.puts ?? []) bytes += length
      if (write) writes.push(write)
      writes.push(...this.#takeUseless(partition))
    }
    this.#dueAt = this.#changed.size > 0 ? now.mono : Infinity
    if (writes.length === 0) return
    this.#underWay++
    this.#options.persist(writes)
  }

  /** Nobody knows which of the batches are on disk now: each key that was in any of them may be. */
  #goBack(now: Now): void {
    for (const [partition, before] of this.#before) {
      const keys = new Map<string, Stamp>()
      for (const onDisk of [...before, this.#onDisk.get(partition)])
        for (const key of onDisk?.keys.keys() ?? []) keys.set(key, UNKNOWN)
      this.#onDisk.set(partition, { state: '', born: 0, number: 0, tenures: [], keys })
      this.#changed.add(partition)
    }
    this.#dueAt = now.mono + AGAIN_MS
  }

  #writeOf(partition: PartitionId, now: Now): CopyWrite | undefined {
    const { own, entryOf, copyOf, isOffered, group: groupOf } = this.#options
    const [entry, copy, group] = [entryOf(partition), copyOf(partition), groupOf()]
    const known = this.#onDisk.get(partition)
    // Given up while this process slept, and offered to its new owner, who has not taken it in yet.
    if (known && known.born !== entry?.born && isOffered(partition, known.born)) return undefined
    // Who is not in sync may lack what was acknowledged.
    if (!copy || (entry && !entry.inSync.includes(own))) {
      if (!known) return undefined
      this.#set(partition, undefined)
      return { process: own, partition, puts: [], deletes: [] }
    }
    if (!entry || entry.born !== copy.born || group === undefined || copy.tenures.length === 0)
      return undefined
    const state = `${group} ${entry.epoch} ${copy.tenure} ${copy.number}`
    if (state === known?.state || (copy.number === 0 && !known)) return undefined
    const same = known?.born === copy.born ? commonUpTo(known, copy.tenures) : 0
    const puts: [string, Uint8Array][] = []
    const keys = new Map<string, Stamp>()
    for (const key of copy.keys()) {
      const { epoch, number } = copy.stampOf(key)
      keys.set(key, { epoch, number })
      const before = known?.keys.get(key)
      if (before?.number !== number || before.epoch !== epoch || number > same)
        puts.push([key, encodeKey(copy.contentOf(key))])
    }
    const deletes = [...(known?.keys.keys() ?? [])].filter((key) => !keys.has(key))
    const { born, number, acked, tenures } = copy
    this.#set(partition, { state, born, number, tenures, keys })
    const head = encodeHead({
      partition,
      map: entry.epoch,
      born,
      tenures,
      epoch: lastEpochOf(copy),
      number,
      acked,
      at: now.wall,
      keys: keys.size,
      taken: takenOf(partition, copy),
      inSync: entry.inSync.map(this.#options.holderOf),
    })
    return { process: own, partition, head, puts, deletes }
  }

  #set(partition: PartitionId, onDisk: OnDisk | undefined): void {
    const known = this.#onDisk.get(partition)
    const before = this.#before.get(partition)
    if (!before) this.#before.set(partition, known ? [known] : [])
    else if (known) before.push(known)
    if (onDisk) this.#onDisk.set(partition, onDisk)
    else this.#onDisk.delete(partition)
  }

  #takeUseless(partition: PartitionId): CopyWrite[] {
    const processes = this.#useless.get(partition) ?? []
    this.#useless.delete(partition)
    return Array.from(processes, (process) => ({ process, partition, puts: [], deletes: [] }))
  }
}

/** As no key has it. */
const UNKNOWN: Stamp = { epoch: -1, number: -1 }

/** Of its last change; of one that was forgotten since, that of its owner's beginning. */
const lastEpochOf = (copy: HeldPartition): number =>
  copy.changedAfter(copy.number - 1)[0]?.epoch ??
  copy.tenures.findLast(({ number }) => number < copy.number)?.epoch ??
  0
