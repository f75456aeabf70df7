/**
 * The vocabulary of the core's one door: what may go in, what may come out, and what a user is told.
 * Read this file first; every machine under `core/` speaks these words.
 */
import type { Authority, NodeId } from './identity/node-id.ts'
import type { NodeStatus, Visibility } from './membership/record.ts'
import type { AssociationState } from './association/association.ts'
import type { GrainOutput, Invoked, Settled } from './grain/grain-outputs.ts'
import type { CopyWrite, StoredCopy } from './grain/stored-copy.ts'
import type { CallRequest } from './rpc/call.ts'
import type { CallEnd } from './rpc/calls.ts'
import type { Lane } from './wire/frames.ts'

/** Names one link of this process, from the first attempt to its end. Never reused within a life. */
export type LinkId = number

/** Where this process stands in its own cluster. */
export type ClusterStatus = 'joining' | 'up' | 'isolated' | 'leaving' | 'left'

/**
 * How far the newest view of the membership has spread, as this member knows it:
 * `diffusing` not every live member is known to hold it; `reconciling` a gap or a conflict is being repaired;
 * `confirmed` every live member held exactly this view at some earlier moment, and none is known to differ.
 */
export type GossipState = 'diffusing' | 'reconciling' | 'confirmed'

/** Names the two ends of a link's encrypted channel, as this end knows them. The other end knows them swapped. */
export interface Fingerprints {
  readonly local: string
  readonly remote: string
}

/** A message of the user on its way out. */
export interface Outgoing {
  /** Chosen by the driver's side; names the message in `cancel`, `progress` and `outcome`. */
  readonly id: number
  /** An authority, for whichever life of it, or a nodeId, for that life alone. */
  readonly to: Authority | NodeId
  readonly mailbox: string
  readonly lane: Lane
  /** Not to be changed before the outcome is told. */
  readonly bytes: Uint8Array
  /** The bytes are UTF-8 and are handed out as text. */
  readonly text: boolean
}

/** A message of another member that has arrived. */
export interface Incoming {
  readonly mailbox: string
  readonly bytes: Uint8Array
  readonly text: boolean
}

/** Why a message did not arrive, or may not have. */
export type DeadLetterReason =
  /** The life it was sent to is over; part of it may have arrived. */
  | 'life-ended'
  /** Nothing is known of its addressee any more. */
  | 'forgotten'
  /** It made place in the queue for a newer one. */
  | 'dropped'
  /** Its sender aborted it. */
  | 'aborted'
  /** This process left. */
  | 'left'
  /** The addressee has no listener for its mailbox. */
  | 'no-receiver'

/** What became of an outgoing message; the refusals come before anything was sent. */
export type Outcome = 'taken' | DeadLetterReason | 'queue-full' | 'quarantined' | 'unknown-member'

/** Everything that can happen to a node. */
export type Input =
  | { readonly type: 'start' }
  | { readonly type: 'tick' }
  | {
      readonly type: 'signaling-up'
      readonly contacts: readonly NodeId[]
      /** Whether this server carries links. Default true. */
      readonly relays?: boolean
      /** For so long, in ms, the server has known of nobody whose socket in this room may be coming back. Default 0. */
      readonly quietMs?: number
    }
  | {
      readonly type: 'signaling-contacts'
      readonly contacts: readonly NodeId[]
      readonly quietMs?: number
    }
  | { readonly type: 'signaling-down'; readonly reason: string }
  | { readonly type: 'signaling-message'; readonly from: NodeId; readonly data: string }
  /** The signaling server does not know `nodeId`, or saw its socket end without goodbye. */
  | { readonly type: 'signaling-gone'; readonly nodeId: NodeId }
  /** The transport wants `data` carried to the other end of the link. */
  | { readonly type: 'link-signal'; readonly linkId: LinkId; readonly data: string }
  | {
      readonly type: 'link-opened'
      readonly linkId: LinkId
      /** Absent where the transport knows none. */
      readonly fingerprints?: Fingerprints | undefined
    }
  | { readonly type: 'link-closed'; readonly linkId: LinkId; readonly reason: string }
  | { readonly type: 'link-message'; readonly linkId: LinkId; readonly bytes: Uint8Array }
  /** Answers the output `sign`. */
  | { readonly type: 'signed'; readonly linkId: LinkId; readonly signature: Uint8Array }
  /** Answers the output `verify`. */
  | { readonly type: 'verified'; readonly linkId: LinkId; readonly ok: boolean }
  | { readonly type: 'set-meta'; readonly meta: string }
  | { readonly type: 'set-visibility'; readonly visibility: Visibility }
  | { readonly type: 'set-peer-state'; readonly key: string; readonly value: string | undefined }
  | { readonly type: 'leave' }
  | { readonly type: 'send'; readonly messages: readonly Outgoing[] }
  /** The user no longer wants this message to be sent. */
  | { readonly type: 'cancel'; readonly id: number }
  /** Answers `deliver`: so many more messages of this stream were handled, in order. */
  | {
      readonly type: 'taken'
      readonly nodeId: NodeId
      readonly lane: Lane
      readonly count: number
      /** Which of these, from 0, found no receiver; ascending. */
      readonly refused: readonly number[]
    }
  /** Ends the quarantine of an authority. */
  | { readonly type: 'release'; readonly authority: Authority }
  /** Asks for the way to a member; answered by the output `traced`. */
  | { readonly type: 'trace'; readonly nodeId: NodeId; readonly id: number }
  /** The user calls a grain, or its handler calls another; answered by the output `grain-ended`. */
  | { readonly type: 'grain-call'; readonly request: CallRequest }
  /** The user waits for this call no more. */
  | { readonly type: 'grain-abort'; readonly id: number }
  /** Answers `activate`; `problem` is what its setup threw, encoded. `settled`: where that had `others`. */
  | {
      readonly type: 'grain-activated'
      readonly activation: number
      readonly problem?: Uint8Array | undefined
      readonly settled?: Settled | undefined
    }
  /** Answers `invoke`. */
  | { readonly type: 'grain-invoked'; readonly invocation: number; readonly invoked: Invoked }
  /** What was stored of this room before this process began, or nothing. Until then nothing that persists is run. */
  | { readonly type: 'grain-recalled'; readonly copies: readonly StoredCopy[] }
  /** Answers the output `persist`: all of it is stored, or nothing. */
  | { readonly type: 'grain-persisted'; readonly ok: boolean }
  /** Answers `passivate`; `state` as in `Invoked`, where its last functions have changed it. */
  | {
      readonly type: 'grain-passivated'
      readonly activation: number
      readonly state?: Uint8Array | null | undefined
    }
  /** The platform committed a new life, as asked for by the output `rebirth`. */
  | {
      readonly type: 'reborn'
      readonly nodeId: NodeId
      /** Where the authority is another one: its key. */
      readonly publicKey?: Uint8Array | undefined
    }

/** Everything a node can ask of its driver. Outputs are executed in order. */
export type Output =
  | {
      readonly type: 'link-open'
      readonly linkId: LinkId
      readonly nodeId: NodeId
      readonly initiator: boolean
      /** By way of the signaling server, instead of a connection of its own. */
      readonly relay: boolean
    }
  /** Hand `data` from the other end to the transport. */
  | { readonly type: 'link-signal'; readonly linkId: LinkId; readonly data: string }
  | {
      readonly type: 'link-send'
      readonly linkId: LinkId
      readonly lane: Lane
      /** The core may write there anew once the other end has said that it has them: whoever delivers them copies. */
      readonly bytes: Uint8Array
    }
  | { readonly type: 'link-close'; readonly linkId: LinkId; readonly reason: string }
  /** Sign with the key of this authority, then answer with `signed`. A link whose bytes cannot be signed is closed. */
  | { readonly type: 'sign'; readonly linkId: LinkId; readonly bytes: Uint8Array }
  /** Check that the authority is derived from the key and the signature is the key's; answer with `verified`. */
  | {
      readonly type: 'verify'
      readonly linkId: LinkId
      readonly publicKey: Uint8Array
      readonly authority: Authority
      readonly bytes: Uint8Array
      readonly signature: Uint8Array
    }
  /** Messages of one stream, complete and in order. To be answered by `taken`, at once or later. */
  | {
      readonly type: 'deliver'
      readonly nodeId: NodeId
      readonly lane: Lane
      readonly messages: readonly Incoming[]
    }
  /** The one outcome of a message that was sent. */
  | { readonly type: 'outcome'; readonly id: number; readonly outcome: Outcome; readonly reason?: string }
  /** Of a message that takes more than one segment: so many of its bytes have arrived. */
  | { readonly type: 'progress'; readonly id: number; readonly sent: number; readonly total: number }
  /** Answers the input `trace`: the members on the way, this one first; none where no answer came. */
  | {
      readonly type: 'traced'
      readonly id: number
      readonly hops?: readonly NodeId[]
      readonly rttMs?: number
    }
  /** Run user code, or stop to; these come in order. */
  | { readonly type: 'grain'; readonly output: GrainOutput }
  /** Store this, as a whole or not at all; answered by `grain-persisted`. */
  | { readonly type: 'persist'; readonly writes: readonly CopyWrite[] }
  /** The one end of a call that was accepted. */
  | { readonly type: 'grain-ended'; readonly id: number; readonly end: CallEnd }
  | { readonly type: 'signaling-send'; readonly to: NodeId; readonly data: string }
  | { readonly type: 'signaling-contacts' }
  | { readonly type: 'signaling-goodbye' }
  /**
   * This life is over but the process runs on: commit the next generation, then answer with `reborn`. With `fresh`
   * the authority is another life's now, which goes on beside this process: claim another one.
   */
  | { readonly type: 'rebirth'; readonly reason: string; readonly fresh: boolean }
  | { readonly type: 'event'; readonly event: ClusterEvent }

/** Fields that every event carries. */
interface EventHead {
  /** Wall clock of this process when it happened, in ms since 1970. */
  readonly at: number
}

/** What a user is told. Every state change is one event, with its subject, reason and time. */
export type ClusterEvent = EventHead &
  (
    | {
        readonly type: 'status'
        readonly from: ClusterStatus
        readonly to: ClusterStatus
        readonly reason: string
      }
    | {
        readonly type: 'member-status'
        readonly nodeId: NodeId
        readonly authority: Authority
        readonly from: NodeStatus | undefined
        readonly to: NodeStatus
        readonly reason: string
      }
    | { readonly type: 'member-meta'; readonly nodeId: NodeId }
    | { readonly type: 'member-visibility'; readonly nodeId: NodeId; readonly visibility: Visibility }
    | { readonly type: 'peer-state'; readonly nodeId: NodeId; readonly key: string }
    /** A newer life of the authority took the place of an older one. */
    | {
        readonly type: 'superseded'
        readonly authority: Authority
        readonly old: NodeId
        readonly by: NodeId
      }
    /** Two lives of one authority run at the same time. `kept` stays; the other goes on under a new authority. */
    | {
        readonly type: 'authority-conflict'
        readonly authority: Authority
        readonly kept: NodeId
        readonly refused: NodeId
      }
    | {
        readonly type: 'convergence'
        readonly state: GossipState
        readonly viewHash: string
        /** With `confirmed`: ms since this member's view last changed. */
        readonly durationMs?: number
      }
    /**
     * This life is `up` and the view it found is confirmed. `table` tells what was transferred for it: the whole, only
     * what had changed since an earlier life, or nothing, for whoever is alone.
     */
    | {
        readonly type: 'joined'
        readonly durationMs: number
        readonly table: 'full' | 'delta' | 'none'
        readonly tableBytes: number
      }
    | { readonly type: 'link-opened'; readonly nodeId: NodeId; readonly durationMs: number }
    | { readonly type: 'link-closed'; readonly nodeId: NodeId; readonly reason: string }
    | { readonly type: 'link-failed'; readonly nodeId: NodeId; readonly reason: string }
    /** A handshake ended with a refusal; `by` tells who refused. */
    | {
        readonly type: 'handshake-refused'
        readonly nodeId: NodeId
        readonly by: 'us' | 'them'
        readonly code: RefusalCode
        readonly reason: string
      }
    /** A delta began after what this member knows of `nodeId`; the missing range was asked for. */
    | { readonly type: 'gap'; readonly nodeId: NodeId; readonly known: number; readonly from: number }
    /** Something off the wire was not a valid frame. Nothing of it was used. */
    | { readonly type: 'frame-rejected'; readonly nodeId: NodeId; readonly reason: string }
    | { readonly type: 'signaling'; readonly state: 'up' | 'down'; readonly reason: string }
    /** This process goes on as another life, for example after it was removed during a long partition. */
    | { readonly type: 'reborn'; readonly old: NodeId; readonly nodeId: NodeId; readonly reason: string }
    /** How messages to an authority fare: delivered, waiting, or shut out for a while. */
    | {
        readonly type: 'association'
        readonly authority: Authority
        readonly from: AssociationState
        readonly to: AssociationState
        readonly reason: string
      }
    /** A message did not arrive, or may not have. */
    | {
        readonly type: 'dead-letter'
        readonly authority: Authority
        readonly mailbox: string
        readonly bytes: number
        readonly reason: DeadLetterReason
      }
    /** All messages that waited for an authority were sent, now that there is a way again. */
    | { readonly type: 'drained'; readonly authority: Authority; readonly messages: number }
    /** A message was not accepted, because it cannot be carried. */
    | {
        readonly type: 'send-aborted'
        readonly to: string
        readonly mailbox: string
        readonly reason: string
      }
    /**
     * A grain is in the memory of this process from now on. Where many come at once, one event stands for `count` of a
     * kind, and `key` is that of one of them; so it is with all events that have a count.
     */
    | {
        readonly type: 'grain-activated'
        readonly kind: string
        readonly key: string
        readonly count: number
      }
    /** It is not any more. */
    | {
        readonly type: 'grain-deactivated'
        readonly kind: string
        readonly key: string
        readonly reason: DeactivationReason
        readonly count: number
      }
    /**
     * User code of a grain that this process hosts threw, or did what it must not: `error` is what it threw, with its
     * stack, which no caller gets. `method` is `setup` for what makes a grain, `onDeactivate`, and `every` for a timer;
     * of the last two nobody else is told. At most 20 in a second are told; `count` includes those before it that were not.
     */
    | {
        readonly type: 'grain-threw'
        readonly kind: string
        readonly key: string
        readonly method: string
        readonly error: unknown
        readonly count: number
      }
    /**
     * A handler has not ended for `ms`. Nothing else of its key is run until it does, or until this process may not run
     * it any more: reload the tab, and give what the handler awaits a deadline. So it is told of `onActivate` and
     * `onDeactivate`, which are waited for no longer then.
     */
    | {
        readonly type: 'grain-stuck'
        readonly kind: string
        readonly key: string
        readonly method: string
        readonly ms: number
        readonly count: number
      }
    /**
     * So many partitions of a kind have another owner; `slot` is one of them. Told to those who know the map, once each.
     * An owner that this process has never met, or has forgotten, has no authority here.
     */
    | {
        readonly type: 'grain-moved'
        readonly kind: string
        readonly slot: number
        readonly from: Authority | undefined
        readonly to: Authority | undefined
        readonly count: number
      }
    /**
     * The council, which decides who owns what, began at this process (`founded`), went on here by force without half
     * of its voters or more (`continued`), or was given up for another one, as after a partition (`followed`).
     */
    | {
        readonly type: 'council'
        readonly change: 'founded' | 'continued' | 'followed'
        readonly group: string
        readonly reason: string
      }
    /**
     * Two sides of a partition of the network have changed the state of a grain, and its kind has no `merge`: the
     * state of the council that is followed stays. `other` is that of the other side, as `self.state` had it there; its
     * bytes where they cannot be read. Told by whoever hosts the grain now, when it is next activated.
     */
    | {
        readonly type: 'state-conflict'
        readonly kind: string
        readonly key: string
        readonly other: unknown
      }
    /**
     * This process gave up a council for another one, and had no room to keep what that had of so many partitions of a
     * kind, `slot` being one of them: what was changed there alone is lost.
     */
    | {
        readonly type: 'state-dropped'
        readonly kind: string
        readonly slot: number
        readonly count: number
      }
    /**
     * Calls of this process to grains of a kind are slow: of those that ended in the last 10 s one in 20 took `p95Ms` or
     * longer. At most once in 10 s for each kind; never where metrics are off.
     */
    | {
        readonly type: 'slow-calls'
        readonly kind: string
        readonly p95Ms: number
        /** The option `callAlertMs`. */
        readonly thresholdMs: number
        /** How many ended. */
        readonly calls: number
      }
    /**
     * A partition was restored here from what tabs had stored, and so many tabs that were in sync with that are
     * `missing`: they may have something newer on their disks. Where many come at once, one event stands for `count` of
     * a kind, and `slot` is one of them. Once for each partition; nothing waits for it.
     */
    | {
        readonly type: 'state-provisional'
        readonly kind: string
        readonly slot: number
        readonly missing: number
        readonly count: number
      }
    /** The platform lost or dropped something it keeps for this process; `what` is done instead is in `reason`. */
    | {
        readonly type: 'storage'
        readonly what: 'identity' | 'snapshot' | 'grains'
        readonly reason: string
      }
  )

/** Why a grain left the memory of this process. */
export type DeactivationReason =
  /** Nobody called it for a while. */
  | 'idle'
  /** Another process owns its partition now. */
  | 'moved'
  /** The right to run it ended, because this process left or did not hear of its replicas in time. */
  | 'right-lost'
  /** Another side of a partition has changed it as well: it begins again at once, with what was taken from there. */
  | 'renewed'
  /** It could not be set up, and was never active. */
  | 'failed'

/** Why a handshake was refused. */
export type RefusalCode =
  | 'cluster-mismatch'
  | 'schema-mismatch'
  | 'authority-conflict'
  | 'removed'
  | 'table-full'
  /** The proof was wrong, or one of the two has no key. */
  | 'unproven'

/** An event without its time; the node stamps it on the way out. */
export type EventBody = ClusterEvent extends infer E ? (E extends EventHead ? Omit<E, 'at'> : never) : never
