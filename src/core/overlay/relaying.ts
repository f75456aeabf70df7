/**
 * Relaying: which links are carried by the signaling server, because no direct one can be had. A member that can have
 * no direct link at all says so in what it publishes, and keeps two relayed ones; a pair that answers each other by
 * signaling but finds no connection takes one where no other member leads from one to the other. A direct link is
 * tried again now and then, and takes the place of the relayed one.
 */
import type { NodeId } from '../identity/node-id.ts'
import { compareNodeIds } from '../identity/node-id.ts'
import type { MembershipTable } from '../membership/table.ts'
import type { MeshLink } from './mesh-link.ts'

export interface RelayingOptions {
  readonly table: MembershipTable
  /** This process can have direct links. */
  readonly canLink: boolean
  /** The signaling server may carry links of this process. */
  readonly canRelay: boolean
  readonly links: () => Iterable<MeshLink>
  readonly leadsTo: (nodeId: NodeId, now: number) => boolean
  /** The newest attempt at a direct link was answered, but came to nothing. */
  readonly isBlocked: (nodeId: NodeId) => boolean
}

/** Relayed links that a member takes because direct ones fail: with two, the loss of one cuts it off from nobody. */
const MAX_RELAYED = 2
/** Relayed links beyond those, each to a member that no other way leads to. */
const MAX_BRIDGES = 2
/**
 * Whoever has no link at all gives up a direct attempt after this long in ms, once it was answered: a joining user
 * waits. ICE takes 15 s and more to fail by itself.
 */
export const RELAY_AFTER_MS = 6_000
/** A direct link is tried in the place of a relayed one after this long; twice as long after each failure. */
const UPGRADE_MIN_MS = 30_000
const UPGRADE_MAX_MS = 300_000

export class Relaying {
  /** The signaling server that is connected carries links. */
  serverRelays = true
  readonly #options: RelayingOptions
  /** Members that answered an offer so, before their record said it. */
  readonly #told = new Set<NodeId>()
  /** Members that were reported to have no way to link to. */
  readonly #reported = new Set<NodeId>()
  readonly #upgrades = new Map<NodeId, { readonly at: number; readonly pause: number }>()

  constructor(options: RelayingOptions) {
    this.#options = options
  }

  /** Whether it has no direct links: it says so. */
  isRelayOnly(nodeId: NodeId): boolean {
    return this.#told.has(nodeId) || this.#options.table.get(nodeId)?.relayOnly === true
  }

  /** Whether anybody has answered so. */
  get hasTold(): boolean {
    return this.#told.size > 0
  }

  /** It answered that it takes no direct links. */
  told(nodeId: NodeId): void {
    this.#told.add(nodeId)
  }

  forget(isNobody: (nodeId: NodeId) => boolean): void {
    for (const known of [this.#told, this.#reported, this.#upgrades]) {
      for (const nodeId of known.keys()) if (isNobody(nodeId)) known.delete(nodeId)
    }
  }

  /** How to link to a member; `undefined` where there is no way. */
  wayTo(nodeId: NodeId, now: number): 'direct' | 'relay' | undefined {
    const { canLink, isBlocked } = this.#options
    const canRelay = this.#canRelay
    if (!canLink || this.isRelayOnly(nodeId)) return canRelay ? 'relay' : undefined
    return canRelay && isBlocked(nodeId) && this.#needsRelay(nodeId, now) ? 'relay' : 'direct'
  }

  /** Why there is no way to link to a member: given once, until there is one. */
  takeReason(nodeId: NodeId): string | undefined {
    if (this.#reported.has(nodeId)) return undefined
    this.#reported.add(nodeId)
    const { canLink, canRelay } = this.#options
    const side = canLink ? `${nodeId} takes` : 'this process has'
    const relay = canRelay ? 'the signaling server does not relay' : 'relaying is off'
    return `${side} no direct links, and ${relay}`
  }

  /** Whether an attempt at a direct link is to be given up earlier than usual. */
  isImpatient({ phase, relay, seen }: MeshLink): boolean {
    if (!this.#canRelay || relay || phase !== 'connecting' || seen.size === 0) return false
    for (const link of this.#options.links()) if (link.phase === 'established') return false
    return true
  }

  /** A link is established. */
  established({ nodeId, relay }: MeshLink, now: number): void {
    this.#reported.delete(nodeId)
    if (!relay) this.#upgrades.delete(nodeId)
    else this.#upgrades.set(nodeId, { at: now + UPGRADE_MIN_MS, pause: UPGRADE_MIN_MS })
  }

  /** An attempt to replace a relayed link has failed. */
  failed(nodeId: NodeId, now: number): void {
    const known = this.#upgrades.get(nodeId)
    if (!known) return
    const pause = Math.min(UPGRADE_MAX_MS, 2 * known.pause)
    this.#upgrades.set(nodeId, { at: now + pause, pause })
  }

  /** When a direct link is to be tried in the place of this relayed one; the lower nodeId of a pair does it. */
  upgradeAt({ nodeId, relay, phase }: MeshLink): number {
    if (!relay || phase !== 'established' || !this.#options.canLink || this.isRelayOnly(nodeId))
      return Infinity
    if (compareNodeIds(this.#options.table.own, nodeId) > 0) return Infinity
    return this.#upgrades.get(nodeId)?.at ?? Infinity
  }

  get #canRelay(): boolean {
    return this.#options.canRelay && this.serverRelays
  }

  #needsRelay(nodeId: NodeId, now: number): boolean {
    let [direct, relayed] = [0, 0]
    for (const { phase, relay } of this.#options.links()) {
      if (relay) relayed++
      else if (phase === 'established') direct++
    }
    // Two that lead nowhere else make an island: one more may be the bridge.
    if (!this.#options.leadsTo(nodeId, now)) return relayed < MAX_RELAYED + MAX_BRIDGES
    return relayed < MAX_RELAYED && direct === 0
  }
}
