/** What a process keeps of one partition, as its owner, as a replica, or as one that only knows who that is. */
import type { ProcessId } from '../identity/node-id.ts'
import type { Now } from '../time.ts'
import type { Beacons } from './beacons.ts'
import type { CopyOut } from './copy-out.ts'
import type { HeldPartition } from './held-partition.ts'
import type { Mail } from './mail.ts'
import type { ClaimItem, StandingItem } from './messages.ts'
import type { MapEntry, PartitionId } from '../partition/partition.ts'
import type { Proposals, Wish } from './proposals.ts'
import type { HoldingTuning } from './holding-tuning.ts'
import type { Taken, Visit } from './visits.ts'

/** One other process that this owner brings up to date, or keeps so. */
export interface Peer {
  readonly process: ProcessId
  /** `claimed`: what it has is not known yet. `copying`: it gets everything. `synced`: it gets each change. */
  state: 'claimed' | 'copying' | 'synced'
  /** It holds everything up to there; -1 until it is synced. */
  stored: number
  /** Epoch at which it said so last: it keeps its copy as long as that epoch lasts. */
  confirmed: number
  /** Something is unanswered since then, or since the last answer. */
  quietSince: number | undefined
  /** Bytes of changes that were sent to it since it had all. */
  underWay: number
  askedAt: number
  copy: CopyOut | undefined
  /** What it has said in this turn that is answered with a repair: where it stands, or from where on it wants one. */
  standing: StandingItem | undefined
  wantsFrom: number | undefined
}

/** A time of owning without interruption. */
export interface Tenure {
  /** Epoch of its beginning. */
  readonly since: number
  readonly peers: Map<ProcessId, Peer>
  /** Whoever failed to become a replica waits. */
  readonly waits: Map<ProcessId, { until: number; failures: number }>
  isTakingOver: boolean
  movingTo: ProcessId | undefined
  isReleased: boolean
}

/** A copy that comes in parts. */
export interface Staging {
  readonly from: ProcessId
  readonly attempt: number
  next: number
  readonly held: HeldPartition
}

/** What had to be left aside, and what is needed of it to make up for that. */
export type Missed =
  | {
      readonly type: 'claim'
      readonly from: ProcessId
      readonly item: ClaimItem
    }
  | { readonly type: 'copy'; readonly attempt: number }
  | { readonly type: 'other' }

export interface Part {
  readonly id: PartitionId
  readonly kind: string
  readonly slot: number
  entry: MapEntry | undefined
  copy: HeldPartition | undefined
  /** Of the council that has told the entry. */
  group: string | undefined
  proposal: { readonly epoch: number; readonly wish: Wish; isOpen: boolean } | undefined
  /** Nothing is proposed before. */
  proposeAt: number
  askedMapAt: number

  tenure: Tenure | undefined
  /** In use, by activations or by visits. */
  isAwake: boolean
  isActive: boolean
  /** Taken over from one who had it in use: awake until then, for the calls that are about to come. */
  expectedUntil: number
  hasRight: boolean
  /** A replica knows of an owner at this epoch: the right of lower ones is over. */
  floor: number
  /** Strays on their way here, by who keeps them. */
  readonly visits: Map<ProcessId, Visit>
  /** Keys that this owner has taken from elsewhere. */
  readonly taken: Map<string, Taken>

  staging: Staging | undefined
  /** This attempt had a gap, or no room: what is still under way of it is of no use. */
  refusedAttempt: number
  /** Came for an epoch that was not known yet. */
  missed: Missed | undefined
  owesStored: boolean
  /** Came in this turn, and is to be answered. */
  claim: ClaimItem | undefined
  /** One is missing in sync since a moment ago, and nobody is taken in before: see `takeInMs`. */
  takeInAt: number
  /** What there was no room for, in bytes. */
  lacking: number
  wants: boolean
  /** As long as the entry is at this epoch its owner may count on the copy. */
  promised: number
  staleSince: number
  released: { readonly from: ProcessId; readonly epoch: number; readonly inUse: boolean } | undefined
  /** Whose only copy this is, and as of which epoch: nothing was changed since. */
  handed: { readonly from: ProcessId; readonly epoch: number } | undefined
  /** The owner is gone as far as is known, since then. */
  noticedAt: number | undefined
  isSought: boolean

  /** Of what is held of it, as it was last counted. */
  bytes: number
  /** Of whom its owner wants leases while it is in use: see `Owning.lessorsOf`. */
  lessors: readonly (ProcessId | undefined)[]
}

export function newPart(id: PartitionId, kind: string, slot: number): Part {
  return {
    id,
    kind,
    slot,
    entry: undefined,
    copy: undefined,
    group: undefined,
    proposal: undefined,
    proposeAt: -Infinity,
    askedMapAt: -Infinity,
    tenure: undefined,
    isAwake: false,
    isActive: false,
    expectedUntil: -Infinity,
    hasRight: false,
    floor: 0,
    visits: new Map(),
    taken: new Map(),
    staging: undefined,
    refusedAttempt: 0,
    missed: undefined,
    owesStored: false,
    claim: undefined,
    takeInAt: -Infinity,
    lacking: 0,
    wants: false,
    promised: 0,
    staleSince: Infinity,
    released: undefined,
    handed: undefined,
    noticedAt: undefined,
    isSought: false,
    bytes: 0,
    lessors: [],
  }
}

/** What the two sides of `Holdings` share. */
export interface Workshop {
  readonly own: ProcessId
  readonly tuning: HoldingTuning
  readonly mail: Mail
  readonly proposals: Proposals
  readonly beacons: Beacons
  readonly isLive: (process: ProcessId) => boolean
  readonly isLinked: (process: ProcessId) => boolean
  readonly isOver: (process: ProcessId) => boolean
  readonly targets: (partition: PartitionId) => readonly ProcessId[]
  readonly mayOwn: (partition: PartitionId) => boolean
  readonly hosts: (partition: PartitionId) => readonly ProcessId[]
  readonly onStored: (partition: PartitionId, number: number) => void
  /** The partition is looked at when the turn ends. */
  readonly touch: (part: Part) => void
  /** All are, after a while. */
  readonly touchSoon: (now: Now) => void
  readonly askMap: (part: Part, now: Now) => void
  /** Bytes in all copies of this process, after what has just come for that partition. */
  readonly bytes: (part: Part) => number
  readonly isLeaving: () => boolean
  /** A copy that this process kept of the history that the map tells of now. */
  readonly kept: (part: Part) => HeldPartition | undefined
}

/** Everybody who may be in sync as far as this owner can know: its own additions count until they are decided. */
export function neededBy(part: Part, own: ProcessId): readonly ProcessId[] {
  const { entry, proposal } = part
  if (!entry) return []
  const others = entry.inSync.filter((process) => process !== own)
  const adding = proposal?.wish.add
  if (adding !== undefined && adding !== own && !others.includes(adding)) others.push(adding)
  return others
}
