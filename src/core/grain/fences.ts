/**
 * Fences: the latest right of each partition under which a nested call has come here. A handler whose right has a
 * successor may have been run again, so what it had sent, and the network has held back, is refused.
 */
import type { ProcessId } from '../identity/node-id.ts'
import type { MapEntry, PartitionId } from '../partition/partition.ts'
import type { Fence } from '../rpc/messages.ts'

/** A right to run a partition, and until when the calls of earlier ones are refused for it. */
interface Named {
  readonly epoch: number
  readonly by: ProcessId
  readonly until: number
}

/** As long as what a member sent that is lost by now may still come, in ms. */
const FENCE_MS = 60_000
/** Partitions whose handlers call grains here. They may be made up: the oldest give way. */
const MAX_FENCES = 16_384

export class Fences {
  readonly #entryOf: (partition: PartitionId) => Pick<MapEntry, 'owner' | 'epoch'> | undefined
  readonly #fences = new Map<PartitionId, Named>()

  constructor(entryOf: (partition: PartitionId) => Pick<MapEntry, 'owner' | 'epoch'> | undefined) {
    this.#entryOf = entryOf
  }

  /** Whether no later right has been named than the one under which a nested call was sent. */
  passes(from: ProcessId, { partition, epoch }: Fence, now: number): boolean {
    const known = this.#fences.get(partition)
    if (known && epoch < known.epoch) return known.until <= now
    const entry = this.#entryOf(partition)
    const isTold = entry !== undefined && epoch <= entry.epoch
    if (isTold ? entry.owner === from : epoch !== known?.epoch)
      this.#name(from, partition, epoch, isTold, now)
    return true
  }

  /** What the map does not tell yet may never be true: it holds for a time, which whoever named it cannot extend. */
  #name(by: ProcessId, partition: PartitionId, epoch: number, isTold: boolean, now: number): void {
    const known = this.#fences.get(partition)
    const end = now + FENCE_MS
    const until = isTold ? Infinity : Math.min(end, known?.by === by ? known.until : end)
    this.#fences.set(partition, { epoch, by, until })
    if (this.#fences.size > MAX_FENCES) this.#fences.delete(this.#fences.keys().next().value!)
  }
}
