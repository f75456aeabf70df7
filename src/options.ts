import type { Limits, Tuning } from './core/tuning.ts'
import type { ValueCodec } from './grains/codec.ts'
import type { GrainKind } from './grains/types.ts'
import type { Platform } from './ports.ts'

export { DEFAULT_LIMITS, DEFAULT_TUNING } from './core/tuning.ts'
export type { Limits, Tuning }

/** A STUN or TURN server, as in `RTCIceServer`. */
export interface IceServer {
  urls: string | string[]
  username?: string
  credential?: string
}

export interface ClusterOptions {
  /** WebSocket URL of the signaling server (`ws:` or `wss:`); several are tried in turn. */
  signaling: string | readonly string[]
  /**
   * Kinds of grains that this process hosts: at most 32, each once. Whoever only calls grains needs none. Of a second
   * join of the same room in the same page they are not looked at.
   */
  grains?: readonly GrainKind[]
  /**
   * How arguments, results and states become bytes. All members must use the same one. Default: `valueCodec`.
   */
  codec?: ValueCodec
  /** A value that the other members see beside this one: JSON, at most 1 KiB. */
  meta?: unknown
  /** Sent to the signaling server, which may ask for it. A function is called at every connection. */
  token?: string | (() => string | Promise<string>)
  /**
   * STUN and TURN servers for WebRTC. Default none: tabs of one machine or one local network need none; tabs behind
   * different routers need STUN, and behind some company networks TURN.
   */
  iceServers?: readonly IceServer[]
  /** Above a full mesh, a member seeks so many links at least. At most `maxLinks`. Default 4, or `maxLinks` if less. */
  minLinks?: number
  /**
   * Up to `maxLinks` + 1 members form a full mesh. Above, a member seeks about the middle of `minLinks` and `maxLinks`,
   * ends what it does not need beyond `maxLinks`, and never has more than 2 beyond. Default 8.
   */
  maxLinks?: number
  /**
   * `false`: no link of this member ever goes through the signaling server, not even where there is no other way.
   * Default `true`: then it goes there encrypted, at the rate that the server allows.
   */
  relay?: boolean
  /** The join is given up after this long. Default 15,000 ms. */
  joinTimeoutMs?: number
  /** Aborting ends the join, or leaves the cluster if it was joined. */
  signal?: AbortSignalLike
  /**
   * `false` keeps nothing between two loads of the page: every load is a new authority, and kinds with `persist` are in
   * memory alone. Default: IndexedDB.
   */
  snapshot?: false
  /** `false` measures nothing: `cluster.metrics` is empty and says so. Events come all the same. Default `true`. */
  metrics?: boolean
  /**
   * An event `slow-calls` comes where of the calls of this process to grains of a kind one in 20 takes longer, over the
   * last 10 s. Needs metrics. Default 1,000 ms.
   */
  callAlertMs?: number
  /**
   * What happens to messages for a member that there is no way to, when too many wait: `reject-new` refuses the next
   * one, `drop-oldest` drops the one that waits longest. Default `reject-new`.
   */
  queue?: 'reject-new' | 'drop-oldest'
  /**
   * What becomes of grains when most of the tabs that decide who hosts them are lost at once, for example with a window.
   * `available`: those who are left go on, at once where the others said goodbye, else after about 5 s; in a partition of
   * the network each side does, and afterwards one of the two is followed. `majority`: nothing moves any more until most
   * of these very pages are back, so that there is never a second copy; a room of two stands still when either tab
   * crashes. Default `available`.
   */
  partition?: 'available' | 'majority'
  tuning?: Partial<Tuning>
  limits?: Partial<Limits>
  /** Replaces parts of the platform: another transport, a test clock. */
  platform?: Partial<Platform>
}

/** The part of `AbortSignal` that is used; own type, so that no DOM library is needed to compile. */
export interface AbortSignalLike {
  readonly aborted: boolean
  readonly reason?: unknown
  addEventListener(type: 'abort', listener: () => void): void
  removeEventListener(type: 'abort', listener: () => void): void
}

export const DEFAULT_MIN_LINKS = 4
export const DEFAULT_MAX_LINKS = 8
export const DEFAULT_JOIN_TIMEOUT_MS = 15_000
export const DEFAULT_CALL_ALERT_MS = 1_000
