/** The frames that members exchange over links, as the machines see them; `codec.ts` has their bytes. */
import type { RefusalCode } from '../events.ts'
import type { NodeId } from '../identity/node-id.ts'
import type { Accusation, AccusationRank, SelfRegister } from '../membership/record.ts'

/** Wire versions this build speaks, oldest and newest. */
export const WIRE_MIN = 1
export const WIRE_MAX = 1

/** Lanes share a link: what is in an earlier one goes first. */
export type Lane = 'control' | 'call' | 'bulk'
export const LANES: readonly Lane[] = ['control', 'call', 'bulk']

/** What one life sends to another in order: messages of users, one stream for each lane, and two of grains. */
export type Stream = Lane | 'grain' | 'copy'
export const STREAMS: readonly Stream[] = ['control', 'call', 'bulk', 'grain', 'copy']

/** The lane that segments of a stream take. */
export const laneOf = (stream: Stream): Lane =>
  stream === 'grain' ? 'call' : stream === 'copy' ? 'bulk' : stream

export const isGrainStream = (stream: Stream): stream is 'grain' | 'copy' =>
  stream === 'grain' || stream === 'copy'

/** Bytes of the nonce in a hello. */
export const NONCE_BYTES = 16

/** One value an origin publishes under one key; no value is a tombstone. */
export interface StateEntry {
  readonly key: string
  /** The origin's version at which it was written. */
  readonly version: number
  readonly value: string | undefined
}

/**
 * The changes of one origin in the range `(from, to]`, and what others say of it.
 * From 0 it is the whole: entries that are not in it do not exist.
 */
export interface OriginRange {
  readonly nodeId: NodeId
  readonly from: number
  readonly to: number
  /** Tombstones up to this version are forgotten: whoever knows less needs the whole. */
  readonly floor: number
  readonly self?: SelfRegister | undefined
  readonly entries: readonly StateEntry[]
  readonly accusation?: Accusation | undefined
}

export type MembershipDelta = readonly OriginRange[]

/** What a member knows of one origin, short enough to compare. */
export interface DigestEntry {
  readonly nodeId: NodeId
  readonly counter: number
  readonly accusation?: AccusationSummary | undefined
}

export interface AccusationSummary {
  readonly incarnation: number
  readonly rank: AccusationRank
  readonly observers: number
}

/** Which buckets a digest covers: bit i of the two words. */
export interface BucketMask {
  readonly low: number
  readonly high: number
}

export interface MissingRange {
  readonly nodeId: NodeId
  /** The asker knows the origin up to here. */
  readonly from: number
}

export type Frame =
  /** First frame of each side. Its head never changes, so that any two versions can refuse each other clearly. */
  | {
      readonly kind: 'hello'
      readonly minVersion: number
      readonly maxVersion: number
      readonly cluster: string
      readonly nodeId: NodeId
      /** Made for this link: the other side signs it. */
      readonly nonce: Uint8Array
      /** What the sender's authority is derived from; empty for a member that cannot prove who it is. */
      readonly publicKey: Uint8Array
      /** The sender's own record, whole. Absent where no version is shared. */
      readonly own?: OriginRange | undefined
      readonly buckets: Uint32Array
      /** Everything the sender knows, where that is little; then no further digest is needed. */
      readonly digest?: readonly DigestEntry[] | undefined
      /** Bucket hashes of what an earlier life of the sender knew. */
      readonly remembered?: Uint32Array | undefined
    }
  /** Answers `remembered`: in these buckets it is exactly what the sender of this holds. The others follow as deltas. */
  | { readonly kind: 'recall'; readonly confirmed: BucketMask }
  /** Answers a hello: signs what `gossip/proof.ts` says, with the key that the sender's own hello has shown. */
  | { readonly kind: 'proof'; readonly signature: Uint8Array }
  | { readonly kind: 'accept'; readonly version: number }
  /** `kept` is the life that stays, with `authority-conflict`. */
  | {
      readonly kind: 'refuse'
      readonly code: RefusalCode
      readonly reason: string
      readonly kept?: NodeId | undefined
    }
  /** Hashes of all buckets; asks for the digest of those that differ. */
  | { readonly kind: 'buckets'; readonly buckets: Uint32Array }
  | { readonly kind: 'digest'; readonly mask: BucketMask; readonly entries: readonly DigestEntry[] }
  | { readonly kind: 'delta'; readonly ranges: MembershipDelta }
  | { readonly kind: 'missing'; readonly ranges: readonly MissingRange[] }
  | {
      readonly kind: 'status'
      readonly viewHi: number
      readonly viewLo: number
      /** Over everything, peer state included. */
      readonly content: number
      /** Over the view's sorted live members: who is known to have published this view. */
      readonly published: Uint8Array
    }
  | { readonly kind: 'ping'; readonly token: number }
  | { readonly kind: 'ack'; readonly token: number }
  /** Asks the receiver whether it gets an answer from a third member. */
  | { readonly kind: 'probe'; readonly subject: NodeId; readonly token: number }
  | { readonly kind: 'probed'; readonly subject: NodeId; readonly token: number; readonly alive: boolean }
  /** The sender leaves; the receiver closes the link. */
  | { readonly kind: 'goodbye'; readonly reason: string }
  /** The sender has links enough and gives this one up; both go on as members. The receiver closes it. */
  | { readonly kind: 'unlink' }
  /** A piece of a stream of messages; `association/pieces.ts` reads the body. */
  | {
      readonly kind: 'segment'
      readonly stream: Stream
      /** Another segment follows at once: a receipt may wait for it. */
      readonly more: boolean
      /** Counts the segments of this stream, from 1. */
      readonly sequence: number
      /** So many messages of this stream the origin knows the outcome of. */
      readonly settled: number
      /** A view on the message that brought it. */
      readonly body: Uint8Array
      /** Not on the wire: so many bytes before the body are free, and its message may be written around it. */
      readonly headroom?: number
    }
  /** About the stream in the other direction. */
  | {
      readonly kind: 'receipt'
      readonly stream: Stream
      /** All segments up to this one have arrived. */
      readonly received: number
      /** So many messages were handled. */
      readonly taken: number
      /** So many bytes of bodies, from the start of the stream on, may be sent. */
      readonly limit: number
      /** Numbers, from 1, of handled messages after `settled` that found no receiver; ascending. */
      readonly refused: readonly number[]
    }
  /** What one member says to another to set up a link, see `overlay/signal-envelope.ts`. Routed. */
  | { readonly kind: 'signal'; readonly data: string }
  /** Asks for the way that this frame took. Routed. */
  | { readonly kind: 'trace'; readonly token: number }
  /** Short names of the members that the `trace` passed, its origin first. */
  | { readonly kind: 'traced'; readonly token: number; readonly hops: readonly number[] }
  /** Of grains: whoever needs an answer says it again. A view on the message that brought it. Routed. */
  | { readonly kind: 'datagram'; readonly body: Uint8Array }

/** Where a frame that crosses several links comes from and goes to. Absent between neighbours. */
export interface RouteHeader {
  readonly origin: NodeId
  readonly destination: NodeId
  readonly ttl: number
  /** Short names of the members that it has left, its origin first: none of them is sent it again. */
  readonly trail: readonly number[]
}

export interface Envelope {
  readonly route?: RouteHeader | undefined
  /** With a route: everything behind the header, a view on the message. What is passed on keeps it as it is. */
  readonly rest?: Uint8Array | undefined
  readonly frame: Frame
  /** Bytes it had on the wire. */
  readonly size: number
}
