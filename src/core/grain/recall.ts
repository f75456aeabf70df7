/**
 * Recall: what this browser's disk had of the room when this process began. Each copy is held against what the council
 * says of its partition now.
 *
 * - Of the present council it is of no use: who is in sync has more. It goes from the disk once its process is not in
 *   sync any more.
 * - Of another council, or from before the partition was born anew, it is a stray (see `strays.ts`). Of several the
 *   newest counts, and all go from the disk once the owner has looked. Where the present council goes on from that one,
 *   the owner finds nothing new in it.
 *
 * Until the disk has been read no partition of a kind that persists may be run here: it would begin empty.
 */
import type { ProcessId } from '../identity/node-id.ts'
import type { MapEntry, PartitionId } from '../partition/partition.ts'
import type { Now } from '../time.ts'
import type { HeldPartition } from './held-partition.ts'
import { HoldingLimits } from './holding-codec.ts'
import type { Holder } from './messages.ts'
import type { FoundCopy, StoredCopy } from './stored-copy.ts'
import { isNewer, isRelated, ownOrigins, readCopy } from './stored-copy.ts'

export interface RecallOptions {
  readonly group: () => string | undefined
  readonly entryOf: (partition: PartitionId) => MapEntry | undefined
  readonly isLive: (process: ProcessId) => boolean
  /** Whether this process hosts its kind, and is to persist it. */
  readonly isPersisted: (partition: PartitionId) => boolean
  readonly holderOf: (process: ProcessId) => Holder
  readonly own: ProcessId
  /** To `Strays.keep`. */
  readonly keep: (partition: PartitionId, copy: HeldPartition, now: Now) => void
  /** To `Persisting.remove`. */
  readonly remove: (process: ProcessId, partition: PartitionId, now: Now) => void
  /** Something that was found cannot be used. */
  readonly onLoss: (reason: string) => void
}

/**
 * Of keys without a state call records alone are left. Nobody asks again for calls that were made so long ago, in ms: no
 * deadline is longer than the tenth of it.
 */
const RECORDS_MS = 6_000_000

export class Recall {
  readonly #options: RecallOptions
  readonly #waiting = new Map<PartitionId, FoundCopy[]>()
  /** Whose copies go when the owner has looked at the one that was offered. */
  readonly #offered = new Map<HeldPartition, { partition: PartitionId; processes: readonly ProcessId[] }>()
  #isDone = false

  constructor(options: RecallOptions) {
    this.#options = options
  }

  /** The disk has been read, or cannot be. */
  get isDone(): boolean {
    return this.#isDone
  }

  /** What was on disk. */
  onRecalled(stored: readonly StoredCopy[], now: Now): void {
    this.#isDone = true
    const problems: string[] = []
    for (const one of stored) {
      if (!this.#options.isPersisted(one.partition)) continue
      const read = readCopy(one)
      if (read.ok) this.#wait(read.found)
      else {
        problems.push(`${one.partition}: ${read.reason}`)
        if (!read.isForeign) this.#options.remove(one.process, one.partition, now)
      }
    }
    if (problems.length > 0)
      this.#options.onLoss(`${problems.length} stored copies cannot be used; one of them is ${problems[0]}`)
    for (const partition of this.#waiting.keys()) this.onEntry(partition, now)
  }

  /** The map has said something new of the partition. */
  onEntry(partition: PartitionId, now: Now): void {
    const found = this.#waiting.get(partition)
    const entry = this.#options.entryOf(partition)
    const group = this.#options.group()
    if (!found || !entry || group === undefined) return
    const strays: FoundCopy[] = []
    const rest: FoundCopy[] = []
    for (const one of found) {
      const { born, tenures } = one.head
      if (born !== entry.born || tenures.at(-1)!.group !== group) strays.push(one)
      else if (this.#mayMatter(one, entry)) rest.push(one)
      // Who is there sees to its own copies.
      else if (!this.#options.isLive(one.process)) this.#options.remove(one.process, partition, now)
    }
    if (rest.length > 0) this.#waiting.set(partition, rest)
    else this.#waiting.delete(partition)
    if (strays.length > 0) this.#offer(partition, strays, now)
  }

  /** Another council is followed. */
  onFollow(now: Now): void {
    for (const partition of this.#waiting.keys()) this.onEntry(partition, now)
  }

  /** The owner has looked at a copy, and what it took of it is stored. */
  onSettled(copy: HeldPartition, now: Now): void {
    const offered = this.#offered.get(copy)
    if (!offered) return
    this.#offered.delete(copy)
    for (const process of offered.processes) this.#options.remove(process, offered.partition, now)
  }

  #wait(found: FoundCopy): void {
    const { partition } = found.head
    const known = this.#waiting.get(partition)
    if (known) known.push(found)
    else this.#waiting.set(partition, [found])
  }

  /** It counts as in sync, and is gone: should nobody else be, the partition is born anew, and then it is a stray. */
  #mayMatter({ process, head }: FoundCopy, entry: MapEntry): boolean {
    return (entry.inSync.includes(process) || entry.epoch <= head.map) && !this.#options.isLive(process)
  }

  #offer(partition: PartitionId, strays: readonly FoundCopy[], now: Now): void {
    const { holderOf, own, keep } = this.#options
    const best = strays.reduce((a, b) => (isNewer(b.head, a.head) ? b : a))
    const { head, copy } = best
    const { browser } = holderOf(own)
    const back = strays
      .filter((one) => isRelated(ownOrigins(one.head), ownOrigins(head)))
      .slice(0, HoldingLimits.holders)
      .map(({ process }) => ({ process, browser }))
    if (now.wall > head.at + RECORDS_MS) dropRecords(copy)
    const { epoch, number, taken, inSync: holders } = head
    copy.source = { epoch, number, taken, holders, back }
    this.#offered.set(copy, { partition, processes: strays.map(({ process }) => process) })
    keep(partition, copy, now)
  }
}

function dropRecords(copy: HeldPartition): void {
  const gone = [...copy.keys()].filter((key) => copy.contentsOf(key)?.state === undefined)
  copy.replace(gone.map((key) => ({ key, epoch: 0, number: 0, contents: undefined })))
}
