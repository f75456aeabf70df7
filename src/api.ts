/// <reference lib="esnext.disposable" preserve="true" />
/** The public surface as types: what `joinCluster` gives back. Meaning lives here, code in `cluster.ts`. */
import type { ClusterEvent, ClusterStatus, GossipState } from './core/events.ts'
import type { Authority, NodeId } from './core/identity/node-id.ts'
import type { Path } from './core/life.ts'
import type { AssociationState } from './core/association/association.ts'
import type { Lane } from './core/wire/frames.ts'
import type { GrainCallOptions, GrainProxy, GrainRef } from './grains/types.ts'
import type { AbortSignalLike } from './options.ts'
import type { NodeStatus, Visibility } from './core/membership/record.ts'
import type { HistogramSample, MetricFamily, MetricLabels, MetricSample } from './core/metrics/registry.ts'

export type { Authority, ClusterEvent, ClusterStatus, GossipState, NodeId, NodeStatus, Path, Visibility }
export type { AssociationState, Lane }
export type { HistogramSample, MetricFamily, MetricLabels, MetricSample }

/**
 * A value that can be read now and watched. Methods are bound; `get` returns the same reference until the value
 * changes, so `useSyncExternalStore(r.subscribe, r.get)` is a whole React hook.
 */
export interface Readable<T> {
  get(): T
  /**
   * Calls `listener` at each change, not at once. Returns the way to stop; stopping twice is harmless. What a listener
   * throws harms nobody else: it is reported as an uncaught error, as by `reportError`; in Node it is on the console.
   * @throws ClusterError `invalid-value` for what is no function
   */
  subscribe(listener: (value: T) => void): () => void
}

/** One member as this process knows it. Frozen; a changed member is a new object. */
export interface Member {
  readonly nodeId: NodeId
  readonly authority: Authority
  readonly generation: number
  readonly incarnation: number
  readonly status: NodeStatus
  /**
   * Someone waits in vain for an answer of it. The status stays what it was until the member refutes this, or time runs
   * out and it becomes `unreachable`. No event: it is a doubt, not a change of status.
   */
  readonly suspected: boolean
  /** What the member gave as `meta` or to `setMeta`; `undefined` if nothing. */
  readonly meta: unknown
  readonly self: boolean
  readonly visibility: Visibility
  readonly path: Path
  /** Smoothed round-trip time of the link in ms, once measured. Of members without a link, `trace` tells. */
  readonly rttMs?: number
  /** Members this member says it has links to, itself excluded. */
  readonly linkedTo: readonly NodeId[]
}

export interface Link {
  readonly nodeId: NodeId
  /** By way of the signaling server, where no direct one can be had. */
  readonly relay: boolean
  readonly rttMs?: number
  /**
   * Bytes that wait to be sent to this member, as of the newest change of this list: each probe that is answered is
   * one. The metric `link_buffered_bytes` is read anew each time.
   */
  readonly bufferedBytes: number
}

/** The way to a member, as a question to it found it. */
export interface Trace {
  readonly hops: readonly NodeId[]
  readonly rttMs: number
}

export interface Convergence {
  readonly state: GossipState
  /** 16 hex digits over the content of the member list; equal on members that hold equal lists. */
  readonly viewHash: string
  /** Time the newest change took from this member's view of it to `confirmed`, in ms; absent until then. */
  readonly durationMs?: number
}

/**
 * The newest 1,000 events, oldest first, and those to come. `peer-state` events are told but not kept: a few moving
 * cursors would push everything else out.
 */
export interface EventStream {
  recent(): readonly ClusterEvent[]
  /**
   * Calls `listener` for each event. Returns the way to stop. What it throws is reported, as in `Readable`.
   * @throws ClusterError `invalid-value` for what is no function
   */
  subscribe(listener: (event: ClusterEvent) => void): () => void
}

/** A small value that each member publishes about itself, under one key. Gone when its member is removed. */
export interface PeerState<T> extends Readable<ReadonlyMap<NodeId, T>> {
  /**
   * Publishes this process's value, at most 1 KiB of JSON; the newest wins. What JSON would not give back as it was is
   * refused: NaN, a Date, an instance of a class. Fields that are undefined are left out.
   * @throws ClusterError `too-large`, `invalid-value`, `left`
   */
  set(value: T): void
  clear(): void
}

/**
 * What this process has measured of its membership since it joined, through all of its lives; it can still be read after
 * `leave()`. docs/metrics.md describes each metric. The option `metrics: false` turns them off.
 */
export interface Metrics {
  /** Everything as it is now: plain and frozen, so it can be kept, or sent as JSON. */
  snapshot(): MetricsSnapshot
  /** The same as text, in version 0.0.4 of Prometheus' exposition format. */
  prometheus(): string
}

export interface MetricsSnapshot {
  /** Wall clock of this process, in ms since 1970. */
  readonly at: number
  /** Why there is nothing in it. Only where metrics are off. */
  readonly diagnostic?: string
  /** One for each name, always in the same order. */
  readonly families: readonly MetricFamily[]
}

/** A message that has arrived. */
export interface Message {
  /** The life that sent it. */
  readonly from: NodeId
  readonly authority: Authority
  /** As it was sent: a text, or bytes that are the listener's to keep. */
  readonly data: Uint8Array | string
  readonly lane: Lane
}

export interface ReceiveOptions {
  /**
   * Whether `data` may be a view of a larger `ArrayBuffer`, at any offset, of which nothing but the message is anybody's
   * business: read it by `data` itself, or by `data.byteOffset`, and never as `data.buffer`. It saves a copy of large
   * messages. Default `false`: the buffer holds the message and nothing else.
   */
  readonly views?: boolean
}

/**
 * Handles a message. The next one of the same sender and lane waits until a promise it returns is settled. What it throws
 * is reported, as in `Readable`; the message counts as handled.
 */
export type MessageListener = (message: Message) => unknown

export interface SendOptions {
  /**
   * Messages of one lane arrive in order; those of an earlier lane (`control`, `call`, `bulk`) overtake those of a later
   * one. Default `call`.
   */
  readonly lane?: Lane
  /** Aborting gives the message up; what is under way may still arrive. */
  readonly signal?: AbortSignalLike
  /** Called as a message of more than one segment (16 KiB and a little) arrives, in bytes. */
  readonly onProgress?: (sent: number, total: number) => void
}

/** A name under which members send each other messages. */
export interface Mailbox {
  readonly name: string
  /**
   * Sends to a member: to an authority, whichever life of it, or to a nodeId, that life alone. Each message arrives
   * once and in its lane's order, or not at all. While there is no way to the member it waits, within limits: to an
   * authority that has left, for its next life, until it is forgotten after `tuning.tombstoneMs` (ten minutes). Whoever
   * waits for less gives `signal: AbortSignal.timeout(ms)`. Resolves when the listener at the other side is done with it.
   * Bytes must not be changed before that. A text goes as UTF-8, which has no way to write half a surrogate pair:
   * `invalid-value`.
   * @throws ClusterError `invalid-value` `too-large` `queue-full` `quarantined` `unknown-member` `no-receiver`
   *   `dead-letter` `aborted` `left`
   */
  send(to: Authority | NodeId, data: Uint8Array | string, options?: SendOptions): Promise<void>
  /**
   * Listens to this mailbox; one listener at a time. Returns the way to stop. A listener that is slow slows the
   * senders down, in the lane it is slow in.
   * @throws ClusterError `invalid-value` if there is a listener already, or for what is no function or no option
   */
  receive(listener: MessageListener, options?: ReceiveOptions): () => void
}

/** How messages to one authority fare. */
export interface AssociationView {
  readonly authority: Authority
  readonly state: AssociationState
  /** Why it is in this state. */
  readonly reason: string
}

/** What a PID leads to: `grainmesh://<cluster>@<authority>/<kind>/<key>`. */
export type ResolveResult =
  | {
      readonly status: 'ready'
      readonly authority: Authority
      readonly nodeId: NodeId
      readonly path: Exclude<Path, 'none'>
    }
  | { readonly status: 'unreachable'; readonly authority: Authority; readonly reason: string }
  | {
      readonly status: 'quarantined'
      readonly authority: Authority
      readonly reason: string
      readonly endsInMs: number
    }
  | { readonly status: 'invalid-format'; readonly reason: string }

/** A running membership in one cluster. */
export interface Cluster {
  readonly name: string
  /** A getter: its nodeId changes when a removed life is reborn. */
  readonly self: Member
  /** Self included, removed ones excluded, sorted by nodeId. */
  readonly members: Readable<readonly Member[]>
  readonly status: Readable<ClusterStatus>
  readonly convergence: Readable<Convergence>
  readonly links: Readable<readonly Link[]>
  /**
   * The members that a message to this one passes now, this process first; `undefined` where there is no way.
   * @throws ClusterError `invalid-value` for what is no nodeId, as an authority
   */
  route(nodeId: NodeId): readonly NodeId[] | undefined
  /**
   * Sends a question to a member and tells the way that it took, this process first, and the round trip in ms.
   * @throws ClusterError `unreachable` if there is no way, or no answer within 5 s; `left`; `invalid-value` for what is no
   *   nodeId, as an authority
   */
  trace(nodeId: NodeId): Promise<Trace>
  readonly metrics: Metrics
  readonly events: EventStream
  /**
   * Calls `listener` for each event of one type. Returns the way to stop. What it throws is reported, as in `Readable`.
   * @throws ClusterError `invalid-value` if there is no such type, or for what is no function
   */
  on<K extends ClusterEvent['type']>(
    type: K,
    listener: (event: Extract<ClusterEvent, { type: K }>) => void,
  ): () => void
  /**
   * Replaces this member's `meta`: JSON, at most 1 KiB, as in `PeerState`. `undefined`: none.
   * @throws ClusterError `too-large`, `invalid-value`, `left`
   */
  setMeta(meta: unknown): void
  /** @throws ClusterError `invalid-value` if the key is empty, over 64 characters, or not allowed */
  peerState<T>(key: string): PeerState<T>
  /** @throws ClusterError `invalid-value` if the name is empty, over 64 characters, or not printable ASCII */
  mailbox(name: string): Mailbox
  /**
   * A grain: one activation in the whole cluster, on a member that hosts its kind, made when it is first called. Every
   * method gives a promise; calls of one process to one key run one after the other, in the order in which they were
   * made.
   *
   * ```ts
   * const total = await cluster.grain(Counter, 'likes').add(1)
   * ```
   *
   * Calls that are made before the join is done wait for it, within their deadline. A call whose host is lost is sent
   * to the next one, and takes effect on `self.state` once. A promise rejects with a ClusterError: `deadline` `aborted`
   * `left` `grain-threw` `invalid-arguments` `invalid-result` `too-large` `queue-full` `deadlock` `chain-too-long`
   * `unknown-kind` `no-council` `unknown-method` `version-mismatch` `activation-failed` `state-missing` `state-limit`
   * `invalid-state` `call-too-old` `outcome-lost`.
   * @param kind what `defineGrain` returned, or `grainRef` where this process does not have the kind's code
   * @param key a text of 1 to 256 bytes: which grain of the kind
   * @throws ClusterError `invalid-value` for a kind or a key that cannot be; `invalid-option`
   */
  grain<M>(kind: GrainRef<string, M>, key: string, options?: GrainCallOptions): GrainProxy<M>
  /** What a PID leads to now. Never throws. */
  resolve(pid: string): ResolveResult
  /** The authorities that messages went to or came from. */
  readonly associations: Readable<readonly AssociationView[]>
  /** Ends the quarantine of an authority that broke the rules; it ends by itself after 30 s. */
  release(authority: Authority): void
  /** Says goodbye to every member and resolves when all links are closed, at most about half a second later. */
  leave(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** What `openCluster` returns: usable at once, `ready` settles when the join is done. */
export type OpeningCluster = Cluster & { readonly ready: Promise<void> }
