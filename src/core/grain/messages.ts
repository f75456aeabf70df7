/**
 * What processes that hold partitions say to each other. Everything about partitions travels as a list, so that the 256
 * partitions of a kind, most of them empty, cost a few messages and not hundreds. `holding-codec.ts` turns messages into
 * bytes.
 *
 * | says      | to        |                                                                              |
 * | --------- | --------- | ---------------------------------------------------------------------------- |
 * | beacon    | replica   | are you with me? Of everything that the two have in common                   |
 * | beaconed  | owner     | I take nothing from you for 1.1 L, but for what is refused                   |
 * | store     | replica   | the next change                                                              |
 * | stored    | owner     | I hold everything up to there                                                |
 * | where     | replica   | how far are you?                                                             |
 * | claim     | replica   | I am the new owner: what may you have that I have not?                       |
 * | standing  | owner     | this                                                                         |
 * | repair    | replica   | take these keys as they are here; you are then where I am                    |
 * | copy      | learner   | a part of a whole partition                                                  |
 * | copied    | owner     | I have that part                                                             |
 * | stale     | anybody   | the map has moved on                                                         |
 * | drop      | former    | your copy is of no use any more                                              |
 * | released  | replica   | I run this no more, you need not wait                                        |
 * | stray     | owner     | a part of a copy that is of another history: another council's, or a disk's  |
 * | strayed   | keeper    | I have taken what is to be taken of that part, and so has everybody in sync  |
 */
import type { TenureStart } from './fork.ts'
import type { KeyContent } from './held-partition.ts'
import type { KeyChange } from './key-contents.ts'
import type { ProcessId } from '../identity/node-id.ts'
import type { PartitionId, Stamp } from '../partition/partition.ts'

/** `beacon` may lose and reorder; the others keep order, and a new life of an end loses an unknown suffix. */
export type HoldingLane = 'beacon' | 'grain' | 'copy'

/** A partition, as the sender knows it. */
export interface At {
  readonly partition: PartitionId
  readonly epoch: number
}

export interface StoreItem extends At {
  /** Epoch at which the owner began: copies that follow it are of one history. */
  readonly tenure: number
  readonly number: number
  readonly acked: number
  readonly key: string
  readonly change: KeyChange
}

export interface StoredItem extends At {
  readonly tenure: number
  readonly number: number
  /** Something was missing here, or it was asked: if the owner is further, a repair is wanted. */
  readonly wants: boolean
}

export interface ClaimItem extends At {
  /** See `HeldPartition.forgotten`. */
  readonly forgotten: number
  readonly tenures: readonly TenureStart[]
}

export interface StandingItem extends At {
  readonly number: number
  /** Up to here it has the same changes as the owner that claims. */
  readonly common: number
  /** Not above `common`. */
  readonly since: number
  /** What changed after `since`. */
  readonly keys: readonly (Stamp & { readonly key: string })[]
}

export interface RepairItem extends At {
  readonly tenure: number
  /** Meant for a copy that is exactly there. */
  readonly from: number
  readonly number: number
  readonly acked: number
  readonly forgotten: number
  readonly tenures: readonly TenureStart[]
  readonly entries: readonly KeyContent[]
}

export interface CopyItem extends At {
  /** A new one begins from the start. */
  readonly attempt: number
  /** Counts the parts of an attempt from 0. */
  readonly index: number
  readonly entries: readonly KeyContent[]
  /** With this part the copy is whole. */
  readonly end?: CopyEnd
  /** The sender goes and nobody else holds it: whoever has it whole should ask to own it. */
  readonly handed: boolean
}

export interface CopyEnd {
  readonly tenure: number
  readonly number: number
  readonly acked: number
  readonly tenures: readonly TenureStart[]
}

/** A tenure that a history of a partition has gone through, and how far it was followed there. */
export interface Origin extends Stamp {
  readonly group: string
  readonly born: number
  /** Its first epoch. */
  readonly since: number
}

/** A process that held a copy, and its browser; empty where that is not known. */
export interface Holder {
  readonly process: ProcessId
  readonly browser: string
}

/** What is known of a copy that was on disk. The stamp: of its last change. */
export interface Source extends Stamp {
  /** Other histories that it had taken up. */
  readonly taken: readonly Origin[]
  /** Who was in sync with it. */
  readonly holders: readonly Holder[]
  /** Those of them whose copies were found with it. */
  readonly back: readonly Holder[]
}

/** Parts come one by one: the next one when this is answered. */
export interface StrayItem extends At {
  readonly attempt: number
  readonly index: number
  readonly born: number
  readonly tenures: readonly TenureStart[]
  readonly entries: readonly KeyContent[]
  /** With this part the stray is whole. */
  readonly isLast: boolean
  /** Of one that was on disk, with the last part. */
  readonly source?: Source
}

export interface CopiedItem extends At {
  readonly attempt: number
  readonly index: number
  /** `again`: a part was missing. `full`: there is no room. */
  readonly result: 'part' | 'whole' | 'again' | 'full'
}

export interface ReleasedItem extends At {
  /** Grains of it were active: it will be called again. */
  readonly inUse: boolean
}

export interface ItemsOf {
  readonly store: StoreItem
  readonly stored: StoredItem
  readonly where: At
  readonly claim: ClaimItem
  readonly standing: StandingItem
  readonly repair: RepairItem
  readonly copy: CopyItem
  readonly copied: CopiedItem
  readonly stale: At
  readonly drop: At
  readonly released: ReleasedItem
  readonly stray: StrayItem
  readonly strayed: CopiedItem
}

export type ItemType = keyof ItemsOf
export type ListMessage = {
  [T in ItemType]: { readonly type: T; readonly items: readonly ItemsOf[T][] }
}[ItemType]

export interface BeaconMessage {
  readonly type: 'beacon'
  /** Grows with each beacon of a pair. */
  readonly id: number
  /** The newest answer that has come. What was refused in it is known. */
  readonly heard: number
  /** The sender is alone in sync of something, and asks the receiver as the council's leader. */
  readonly sole: boolean
}

export interface BeaconedMessage {
  readonly type: 'beaconed'
  readonly id: number
  /** The receiver of a `sole` beacon leads the council, and its own lease is good. */
  readonly sole: boolean
  /** Not granted by this answer. An epoch above the owner's own: it owns that no more. */
  readonly refused: readonly At[]
}

export type HoldingMessage = BeaconMessage | BeaconedMessage | ListMessage

export const LANE_OF: Readonly<Record<HoldingMessage['type'], HoldingLane>> = {
  beacon: 'beacon',
  beaconed: 'beacon',
  store: 'grain',
  stored: 'grain',
  where: 'grain',
  claim: 'grain',
  standing: 'grain',
  repair: 'grain',
  copy: 'copy',
  copied: 'copy',
  stale: 'grain',
  drop: 'grain',
  released: 'grain',
  stray: 'copy',
  strayed: 'copy',
}
