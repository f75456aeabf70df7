/** What the simulator asks of a node, so that the real core and the baseline run under the same faults. */
import type { Commons } from '../core/commons.ts'
import type { HostedKind } from '../core/grain/grain-outputs.ts'
import type { ClusterStatus, GossipState, Input, Output } from '../core/events.ts'
import type { Authority, NodeId, ProcessId } from '../core/identity/node-id.ts'
import type { NodeStatus, Visibility } from '../core/membership/record.ts'
import type { Now, Random } from '../core/time.ts'
import type { Limits, Tuning } from '../core/tuning.ts'

/** A node under test: a pure machine with one door. */
export interface SimulatedNode {
  /** Changes when a removed life is reborn. */
  readonly nodeId: NodeId
  handle(input: Input, now: Now): readonly Output[]
  /** When it wants a `tick`, on its own monotonic clock, in ms. */
  nextDeadline(): number | undefined
  readonly view: NodeView
  /** What a snapshot taken now would hold; empty for nothing. */
  memory(): Uint8Array
}

/** What can be seen of a node from outside. Reading it changes nothing. */
export interface NodeView {
  readonly status: ClusterStatus
  readonly gossipState: GossipState
  /** Hash over the membership it shows. */
  readonly viewHash: string
  /** Hash over every version and accusation that it holds; absent where a node keeps none. */
  readonly contentHash?: number
  /** Established links. */
  readonly linkCount: number
  /** Grows whenever anything in `members()` may have changed; lets checks skip what stayed as it was. */
  readonly revision: number
  /** Every nodeId it knows of, tombstones and itself included. Each is good until the next one is asked for. */
  members(): Iterable<ShownMember>
  /**
   * Those of `members()` that may have changed since `revision`, or `undefined` where that is not known. Absent where
   * a node keeps no track of it: then all have to be looked at.
   */
  changedSince?(revision: number): Iterable<ShownMember> | undefined
  /** The version it holds of one origin; 0 if it knows nothing of it. */
  version(origin: NodeId): number
  statusOf(nodeId: NodeId): NodeStatus | undefined
  /** The incarnation it knows of one life; 0 while unknown. */
  incarnationOf(nodeId: NodeId): number
}

/** One member as a node shows it. */
export interface ShownMember {
  readonly nodeId: NodeId
  readonly status: NodeStatus | undefined
  /** Newest change of this origin that the node holds. */
  readonly version: number
  /** 0 while unknown. */
  readonly incarnation: number
  readonly meta: string
  readonly visibility: Visibility | undefined
  readonly peerState: ReadonlyMap<string, string>
}

/** What a new life is made from. */
export interface NodeSeed {
  readonly cluster: string
  readonly nodeId: NodeId
  readonly publicKey: Uint8Array
  readonly authority: Authority
  readonly process: ProcessId
  readonly browser: string
  readonly meta: string
  readonly visibility: Visibility
  readonly random: Random
  readonly maxLinks: number
  /** Whether it can have direct links. */
  readonly canLink: boolean
  /** Whether the signaling server may carry links of it. */
  readonly canRelay: boolean
  readonly tuning: Tuning
  readonly limits: Limits
  /** Kinds of grain that it hosts, and what becomes of them where the room falls apart. */
  readonly kinds?: ReadonlyMap<string, HostedKind> | undefined
  readonly partition?: 'available' | 'majority' | undefined
  /** A few members that an earlier life of this authority knew. */
  readonly contacts: readonly NodeId[]
  /** Work that the nodes of a run share; by default each works for itself. */
  readonly commons?: Commons | undefined
  /** What an earlier life of this authority knew, as a snapshot has it; empty for none. */
  readonly memory: Uint8Array
}

export type NodeFactory = (seed: NodeSeed) => SimulatedNode
