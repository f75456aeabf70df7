/**
 * What activations need of the machine that owns and holds partitions: the right to run handlers, a store whose
 * entries count once every in-sync replica has them (PacificA).
 */
import type { OwnerHint } from '../rpc/messages.ts'
import type { KeyChange, KeyContents } from './key-contents.ts'
import type { PartitionId } from '../partition/partition.ts'
import type { Now } from '../time.ts'

/** Callbacks of the store are `Activations.onRightBegan`, `onRightEnded`, `onStored` and `onMap`. */
export interface GrainStore {
  /** What the map says of a partition, as far as it is known here. */
  readonly entryOf: (partition: PartitionId) => OwnerHint | undefined
  /** Whether this process may run handlers of it now. */
  readonly mayRun: (partition: PartitionId, now: Now) => boolean
  /** Something of it is wanted here: the right to run it is sought and kept. */
  readonly wake: (partition: PartitionId, now: Now) => void
  readonly rest: (partition: PartitionId, now: Now) => void
  /** The owner's own copy, with what is not stored everywhere yet. */
  readonly get: (partition: PartitionId, key: string) => Kept | undefined
  /** The last copy of it was lost once: what is not there now may have been there. */
  readonly wasLost: (partition: PartitionId) => boolean
  /** Puts an entry into the own copy at once and sends it to the replicas. Gives its number. */
  readonly append: (
    partition: PartitionId,
    key: string,
    change: KeyChange,
    now: Now,
  ) => number | 'not-owner' | 'state-limit'
  /** No activation of the key is in memory any more: what waits for that, of other councils, is taken at once. */
  readonly takeIn: (partition: PartitionId, key: string, now: Now) => void
  /** All entries up to this number are stored by every in-sync replica. */
  readonly storedUpTo: (partition: PartitionId) => number
}

export interface Kept {
  readonly contents: KeyContents
  /** Of the newest entry of this key. */
  readonly number: number
}
