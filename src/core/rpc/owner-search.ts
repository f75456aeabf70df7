/**
 * Owner search: how a call finds the next owner of a partition whose owner has gone. The council tells those whom a
 * change of its map concerns, and callers are none of them; so whoever waits asks the replicas, one of which takes over,
 * and they tell it once there is a new owner. That somebody waits is also what lets a replica take over at once, before
 * all that nobody calls (`Holdings.seek`).
 */
import type { ProcessId } from '../identity/node-id.ts'
import type { MapEntry, PartitionId } from '../partition/partition.ts'
import type { Now } from '../time.ts'
import type { MovedMessage, OwnerHint, RpcMessage, SeekMessage } from './messages.ts'

export interface OwnerSearchOptions {
  readonly self: ProcessId
  /** As far as it is known here. */
  readonly entryOf: (partition: PartitionId) => MapEntry | undefined
  readonly isLive: (process: ProcessId) => boolean
  /** Lane `grain`. */
  readonly send: (to: ProcessId, message: RpcMessage) => void
  /** Somebody needs the partition, and this process holds it. */
  readonly seek: (partition: PartitionId) => void
  /** A former holder of the partition says who owns it. */
  readonly onMoved: (partition: PartitionId, hint: OwnerHint, now: Now) => void
}

/** The same is not asked again before, in ms: the question waits at whoever was asked. */
const ASK_AGAIN_MS = 1_000
/** Partitions that this process has asked about, and processes that wait for an answer: the oldest give way. */
const MAX_ASKED = 1_024
const MAX_SEEKERS = 4_096

interface Asked {
  readonly at: number
  readonly processes: readonly ProcessId[]
}

export class OwnerSearch {
  readonly #options: OwnerSearchOptions
  readonly #asked = new Map<PartitionId, Asked>()
  readonly #seekers = new Map<PartitionId, Set<ProcessId>>()
  #seekerCount = 0

  constructor(options: OwnerSearchOptions) {
    this.#options = options
  }

  /** A call waits for another owner than that of this epoch. */
  search(partition: PartitionId, epoch: number, now: Now): void {
    const { self, entryOf, isLive, send, seek } = this.#options
    const asked = this.#asked.get(partition)
    const entry = entryOf(partition)
    if (!entry || (asked && now.mono < asked.at + ASK_AGAIN_MS)) return
    if (entry.inSync.includes(self)) seek(partition)
    const others = entry.inSync.filter((process) => process !== self && process !== entry.owner)
    const processes = others.filter((process) => isLive(process))
    this.#asked.delete(partition)
    this.#asked.set(partition, { at: now.mono, processes })
    if (this.#asked.size > MAX_ASKED) this.#asked.delete(this.#asked.keys().next().value!)
    for (const process of processes) send(process, { type: 'seek', partition, epoch })
  }

  onSeek(from: ProcessId, { partition, epoch }: SeekMessage): void {
    const { self, entryOf, seek } = this.#options
    const entry = entryOf(partition)
    if (!entry) return
    if (entry.epoch > epoch && this.#isThere(entry.owner)) return this.#tell(from, partition, entry)
    if (!entry.inSync.includes(self)) return
    this.#note(from, partition)
    seek(partition)
  }

  onMoved(from: ProcessId, { partition, owner, epoch }: MovedMessage, now: Now): void {
    if (this.#asked.get(partition)?.processes.includes(from))
      this.#options.onMoved(partition, { owner, epoch }, now)
  }

  /** The map has told of another entry. */
  onMap(partition: PartitionId): void {
    const entry = this.#options.entryOf(partition)
    if (!entry || !this.#isThere(entry.owner)) return
    this.#asked.delete(partition)
    for (const seeker of this.#seekers.get(partition) ?? []) this.#tell(seeker, partition, entry)
    this.#forget(partition)
  }

  #note(from: ProcessId, partition: PartitionId): void {
    const seekers = this.#seekers.get(partition) ?? new Set()
    if (seekers.has(from)) return
    this.#seekers.set(partition, seekers.add(from))
    if (++this.#seekerCount > MAX_SEEKERS) this.#forget(this.#seekers.keys().next().value!)
  }

  #forget(partition: PartitionId): void {
    this.#seekerCount -= this.#seekers.get(partition)?.size ?? 0
    this.#seekers.delete(partition)
  }

  #tell(to: ProcessId, partition: PartitionId, { owner, epoch }: MapEntry): void {
    this.#options.send(to, { type: 'moved', partition, owner, epoch })
  }

  #isThere(owner: ProcessId): boolean {
    return owner === this.#options.self || this.#options.isLive(owner)
  }
}
