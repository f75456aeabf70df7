/**
 * What processes say to each other about the council, beside Raft: whoever has no vote asks one that has for the map,
 * and has its changes decided by the leader. Any of it may be lost: askers ask again.
 */
import type { ProcessId } from '../identity/node-id.ts'
import type { MapEntry } from '../partition/partition.ts'
import type { Command } from './partition-map.ts'
import type { RaftMessage } from './raft-messages.ts'

/** The newest entry of one partition, of a kind that stands beside it. */
export type SlotEntry = readonly [slot: number, entry: MapEntry]

export type CouncilMessage =
  | { readonly kind: 'raft'; readonly message: RaftMessage }
  /** Which entries has this kind of grain? */
  | { readonly kind: 'ask'; readonly group: string; readonly grain: string }
  /**
   * The answer: all of them, or none where the council has never heard of the kind; `undefined` from a process that
   * has no vote, and names whom it takes for the leader.
   */
  | {
      readonly kind: 'told'
      readonly group: string
      readonly grain: string
      readonly entries: readonly SlotEntry[] | undefined
      readonly leader: ProcessId | undefined
    }
  /** Have this decided. `id` is the sender's. */
  | { readonly kind: 'propose'; readonly group: string; readonly id: number; readonly command: Command }
  /** It was decided, and these are its partitions now; or ask another: `entries` is `undefined`. */
  | {
      readonly kind: 'proposed'
      readonly group: string
      readonly id: number
      readonly grain: string
      readonly entries: readonly SlotEntry[] | undefined
      readonly leader: ProcessId | undefined
    }
  /** This council has lost its quorum: what do you know of the map? */
  | { readonly kind: 'survey'; readonly group: string }
  /** Everything that its sender knows, by kind of grain. */
  | {
      readonly kind: 'surveyed'
      readonly group: string
      readonly grains: readonly (readonly [grain: string, entries: readonly SlotEntry[]])[]
    }
  /** To the leader: this is what a council has decided that its sender has given up for this one. */
  | {
      readonly kind: 'adopt'
      readonly group: string
      readonly grain: string
      readonly entries: readonly SlotEntry[]
    }
  /** Unasked, to those whom a change concerns. */
  | {
      readonly kind: 'news'
      readonly group: string
      readonly grain: string
      readonly entries: readonly SlotEntry[]
    }
