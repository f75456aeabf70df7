/**
 * What the driver needs from a platform. Adapters implement these; nothing here knows a protocol.
 * Own types instead of DOM ones, so that a consumer without the DOM library compiles them.
 */
import type { Fingerprints } from './core/events.ts'
import type { Authority, NodeId } from './core/identity/node-id.ts'
import type { CopyWrite, StoredCopy } from './core/grain/stored-copy.ts'
import type { Now, Random } from './core/time.ts'

export type { Fingerprints, Now, Random }

/** Largest message a link carries, in bytes. */
export const MAX_LINK_MESSAGE = 64 * 1024

/** A link end with at most this many bytes buffered has room for more: see `LinkHandlers.onDrain`. */
export const LINK_LOW_WATER = 8 * 1024

/** Called by a link end. After `onClose`, or after `close()` was called, nothing more is called. */
export interface LinkHandlers {
  /** `data` must reach the other end's `signal()`, by any way. */
  onSignal(data: string): void
  onOpen(): void
  /** The bytes are the receiver's to keep. */
  onMessage(bytes: Uint8Array): void
  /** `bufferedBytes` were above `LINK_LOW_WATER` and are no longer. Waits on no timer, and never comes inside `send`. */
  onDrain(): void
  onClose(reason: string): void
}

/** One end of a link: ordered and reliable until it closes; at the close an unknown suffix is lost. */
export interface LinkEnd {
  /** Takes what the other end's `onSignal` gave. Input that is not a signal is ignored, never thrown on. */
  signal(data: string): void
  /**
   * Sends one message of at most `MAX_LINK_MESSAGE` bytes, which may be reused afterwards. Ignored unless open, and if
   * empty.
   * @throws ClusterError `too-large`
   */
  send(bytes: Uint8Array): void
  /**
   * Ends the link; idempotent; calls no handler from now on. What was sent before still arrives, if the other end
   * reads it within a few seconds.
   */
  close(): void
  /** Bytes accepted by `send` and not yet handed to the network. */
  readonly bufferedBytes: number
  /**
   * What names the two ends of the encrypted channel, from `onOpen` on. Members sign both, so that nobody can sit
   * between them. Absent where the transport has no such thing.
   */
  readonly fingerprints?: Fingerprints | undefined
}

/** Makes links. */
export interface LinkTransport {
  open(initiator: boolean, handlers: LinkHandlers): LinkEnd
}

/** What the signaling server relays for one connection: so many bytes at once, and so many a second in the long run. */
export interface RelayRate {
  readonly bytesPerSecond: number
  readonly burst: number
}

/** One end of a link whose messages the signaling server carries, encrypted from end to end. */
export interface RelayEnd extends LinkEnd {
  /** Takes what the other end gave `carry`. What belongs to another link is ignored, never thrown on. */
  receive(data: string): void
}

/** Makes links through the signaling server, for members that have no other way to each other. One for each process. */
export interface RelayTransport {
  /**
   * `carry` must bring what it is given to the other end's `receive`: once and in order, or the link closes.
   * @throws ClusterError `relay-unavailable`
   */
  open(initiator: boolean, handlers: LinkHandlers, carry: (data: string) => void): RelayEnd
  /**
   * What may be carried from now on, by all links together. `undefined`: nothing, for the signaling server is away or
   * does not relay; what links have to send waits.
   */
  setRate(rate: RelayRate | undefined): void
}

/** The part of a WebSocket that signaling uses: a browser's, Node's own, or one of the `ws` package. */
export interface SignalingSocket {
  addEventListener(type: 'open' | 'error', listener: () => void): void
  addEventListener(type: 'message', listener: (event: { data: unknown }) => void): void
  addEventListener(type: 'close', listener: (event: { code: number; reason: string }) => void): void
  removeEventListener(type: 'open' | 'error', listener: () => void): void
  removeEventListener(type: 'message', listener: (event: { data: unknown }) => void): void
  removeEventListener(type: 'close', listener: (event: { code: number; reason: string }) => void): void
  send(text: string): void
  close(code?: number, reason?: string): void
}

export type CreateSignalingSocket = (url: string) => SignalingSocket

export interface SignalingHandlers {
  /**
   * Connected and admitted, first or again; `contacts` are a few other members of the room, possibly none. `relay` is
   * what `relay()` may carry; absent where nothing is relayed. For `quietMs` the server has known of nobody else whose
   * socket in this room may be coming back; never more than is true, and 0 where it cannot tell (the default).
   */
  onUp(contacts: readonly NodeId[], relay?: RelayRate, quietMs?: number): void
  /** Answer to `askContacts()`. */
  onContacts(contacts: readonly NodeId[], quietMs?: number): void
  onMessage(from: NodeId, data: string): void
  /** What `from` gave its session's `relay()`. */
  onRelay(from: NodeId, data: string): void
  /** Something given to `relay()` for `to` was not carried. */
  onRelayRefused(to: NodeId, reason: string): void
  /** The server does not know this nodeId, or its socket ended without goodbye. */
  onGone(nodeId: NodeId): void
  /** The connection was lost; the adapter goes on trying by itself until `close()`. */
  onDown(reason: string): void
  /** The server said no for good (token, origin, protocol, room full); the adapter does not try again. */
  onRefused(reason: string): void
}

/** One admission to one room under one nodeId. */
export interface SignalingSession {
  /** Before the first admission up to 32 messages wait and go out right behind the hello; later dropped while down. */
  send(to: NodeId, data: string): void
  /**
   * Carries base64 text to another member, in order with what was relayed to it before. Dropped unless the last
   * `onUp` had a rate, and lost with the connection. Absent where nothing is ever relayed.
   */
  relay?(to: NodeId, data: string): void
  askContacts(): void
  /** Tells the server that this life ends on purpose, then closes. */
  goodbye(): void
  close(): void
}

export interface Signaling {
  /**
   * The next `open()` is near: connects meanwhile, if that is possible before the nodeId is known. Returns the way to
   * close the connection if it is not needed after all. Absent where nothing can be done ahead.
   */
  prepare?(): () => void
  open(room: string, nodeId: NodeId, handlers: SignalingHandlers): SignalingSession
}

/** An identity held by this process alone until `release()` or `abandon()`. */
export interface Identity {
  /** Derived from `publicKey`; random where there is none. */
  readonly authority: Authority
  /**
   * The public key, as SubjectPublicKeyInfo. Empty where the platform has no keys: such a member cannot prove who it
   * is, asks nobody for a proof, and links only to members that have no key either.
   */
  readonly publicKey: Uint8Array
  /** Already committed to storage, so that it is never used twice. */
  readonly generation: number
  /** Random id kept in this browser profile: members of one browser are lost together. */
  readonly browser: string
  /** What this identity lacks, and why: it is not kept across reloads, or it has no key. */
  readonly lost?: string
  /** Signs with the private key that belongs to `publicKey`. Rejects where there is none. */
  sign(bytes: Uint8Array): Promise<Uint8Array>
  /**
   * Commits and returns the next generation of the same authority. `undefined` where another process has counted it
   * up meanwhile: then the authority is that one's, and this process must `abandon()` it.
   */
  nextGeneration(): Promise<number | undefined>
  release(): void
  /** Releases it for good: the next claim of this process is another authority. */
  abandon(): void
}

/** Checks what other members sign. Belongs to the identities' `sign`: replace both or none. */
export interface Keys {
  /**
   * Whether `authority` is derived from `publicKey` and `signature` is this key's for `bytes`. Total: garbage of any
   * kind gives `false`, and nothing rejects.
   */
  verify(
    publicKey: Uint8Array,
    authority: Authority,
    bytes: Uint8Array,
    signature: Uint8Array,
  ): Promise<boolean>
}

/** Keeps who this process is. */
export interface IdentityStore {
  claim(cluster: string): Promise<Identity>
}

/** What a process remembers of a cluster between two lives. A hint, never truth; never gossiped as fact. */
export interface Snapshot {
  readonly version: 2
  readonly cluster: string
  readonly authority: Authority
  readonly generation: number
  /** Members as last known, packed by the core, which checks it when it is read. At most 1 MiB. */
  readonly table: Uint8Array
  readonly signalingUrl?: string
  /** Wall clock, ms since 1970. */
  readonly at: number
}

/** Keeps one snapshot for each authority and cluster. */
export interface SnapshotStore {
  /** `undefined` where there is none; rejects where what is there cannot be used, with the reason. */
  load(cluster: string, authority: Authority): Promise<Snapshot | undefined>
  save(snapshot: Snapshot): Promise<void>
}

/** What is kept of one copy of a partition of grains. The core checks it when it is read. */
export type { CopyWrite, StoredCopy }

/** Keeps copies of grains whose kinds ask for it, by room. */
export interface CopyStore {
  /** All copies of a room, as of one moment. */
  load(cluster: string): Promise<readonly StoredCopy[]>
  /** Stores all of this, or rejects and has stored nothing. In the order of the calls. */
  save(cluster: string, writes: readonly CopyWrite[]): Promise<void>
}

/** Cancels a timer; idempotent. */
export type CancelTimer = () => void

export interface Clock {
  now(): Now
  /**
   * Calls once after `delayMs`, or as soon as the platform allows. Without a delay it is the next task, in a hidden tab
   * too, and never the present one.
   */
  timer(delayMs: number, callback: () => void): CancelTimer
}

/** Tells how visible this process is and when its page goes away. */
export interface Lifecycle {
  /** Calls `onVisibility` at once and at each change; `onHide` when the page is being left for good or frozen. */
  watch(handlers: LifecycleHandlers): () => void
}

export interface LifecycleHandlers {
  onVisibility(visibility: 'visible' | 'hidden' | 'frozen-soon'): void
  onHide(): void
  /** The page is back from the back/forward cache. */
  onShow(): void
}

/** All ports together. */
export interface Platform {
  /** `false`: this process has none; its links go through the signaling server. */
  readonly transport: LinkTransport | false
  /** `false`: no link ever goes through the signaling server. */
  readonly relay: RelayTransport | false
  /** Makes the sockets that the usual `signaling` talks over. Default: the platform's WebSocket. */
  readonly socket?: CreateSignalingSocket
  readonly signaling: Signaling
  readonly identity: IdentityStore
  readonly keys: Keys
  readonly snapshot: SnapshotStore | false
  /** `false`: this process has none, and what it holds of grains is in memory alone. */
  readonly copies: CopyStore | false
  readonly clock: Clock
  readonly random: Random
  readonly lifecycle: Lifecycle
}
