/**
 * Routes: the way to a member that this one is not linked to. Shortest paths over the links that members publish (link
 * state routing, as in OSPF), begun with the links that this member really has. Where a member's links are not known
 * yet, the way that its own frames came is the way back (as a learning bridge has it).
 */
import type { LinkId } from '../events.ts'
import type { NodeId } from '../identity/node-id.ts'
import type { MembershipTable, NodeRecord } from '../membership/table.ts'
import type { MeshLink } from './mesh-link.ts'

export interface RoutesOptions {
  readonly table: MembershipTable
  /** Links of this member; only established ones are used. */
  readonly links: () => Iterable<MeshLink>
  readonly link: (linkId: LinkId) => MeshLink | undefined
  readonly linkTo: (nodeId: NodeId) => MeshLink | undefined
  /** Grows with every link that is established or ends. */
  readonly linkRevision: () => number
}

/**
 * Ways that are used to pass frames on are worked out anew at most this often, however fast the links of others change:
 * an old way is mostly as good, and the work grows with the number of members.
 */
export const REFRESH_MS = 500
/** In large rooms, where it is more work, more rarely: so much longer for each member. */
const REFRESH_EACH_MS = 2
/** A way that a frame came is a way back for so long. */
const LEARNED_MS = 30_000
/** Ways back that are remembered for each link: whoever makes origins up pushes out none that others have brought. */
const MAX_LEARNED = 1_024

/** How one member is reached. */
interface Way {
  /** The neighbour that comes first. */
  readonly first: number
  /** The member before it. */
  readonly before: number
}

export class Routes {
  readonly #options: RoutesOptions
  #ways = new Map<number, Way>()
  #seenTable = -1
  #seenLinks = -1
  #madeAt = -Infinity
  /** When members were last heard of over each link, those that were heard of last at the end. */
  readonly #learned = new Map<LinkId, Map<NodeId, number>>()

  constructor(options: RoutesOptions) {
    this.#options = options
  }

  /** A frame of `origin` came over this link, or the first news of it. */
  learn(origin: NodeId, linkId: LinkId, now: number): void {
    const heard = this.#learned.get(linkId) ?? this.#beginLearning(linkId)
    heard.delete(origin)
    heard.set(origin, now)
    if (heard.size > MAX_LEARNED) heard.delete(heard.keys().next().value!)
  }

  /** The established link to a neighbour. */
  linkTo(nodeId: NodeId): MeshLink | undefined {
    const link = this.#options.linkTo(nodeId)
    return link && isOpen(link) ? link : undefined
  }

  /** The link to hand a frame for `destination` to, which has passed the members in `trail`. */
  next(destination: NodeId, trail: readonly number[], now: number): MeshLink | undefined {
    const { table } = this.#options
    const record = table.get(destination)
    if (record && trail.includes(record.short)) return undefined
    const direct = this.linkTo(destination)
    if (direct) return direct
    let ways = this.#ways
    if (record) {
      this.#refresh(now - Math.max(REFRESH_MS, REFRESH_EACH_MS * table.size), now)
      ways = this.#ways
      const link = this.#firstTo(ways, record.short, trail)
      if (link) return link
      // The way is old, or leads back to where the frame has been.
      if (trail.length > 0 || this.#madeAt !== now) {
        ways = this.#search(trail)
        const other = this.#firstTo(ways, record.short, trail)
        if (other) return other
      }
    }
    const learned = this.#wayBackTo(destination, now)
    if (learned && !this.#isOnTrail(learned, trail)) return learned
    const neighbour = record && this.#neighbourOf(record, ways)
    return neighbour === undefined ? undefined : this.#firstTo(ways, neighbour, trail)
  }

  /** The members on the way to `nodeId` as it is known now, this one first; `undefined` where there is none. */
  hops(nodeId: NodeId, now: number): readonly NodeId[] | undefined {
    const { table } = this.#options
    if (nodeId === table.own) return [nodeId]
    if (this.linkTo(nodeId)) return [table.own, nodeId]
    this.#refresh(Infinity, now)
    const record = table.get(nodeId)
    if (!record || !isThere(record)) return undefined
    const hops = [nodeId]
    let short: number | undefined = this.#ways.has(record.short) ? record.short : this.#neighbourOf(record)
    if (short !== undefined && short !== record.short) hops.unshift(table.byShort(short)!)
    while (short !== undefined) {
      const way = this.#ways.get(short)
      if (!way || hops.length > this.#ways.size + 1) return undefined
      if (way.first === short) return [table.own, ...hops]
      short = way.before
      const before = table.byShort(short)
      if (before === undefined) return undefined
      hops.unshift(before)
    }
    return undefined
  }

  /** Whether there is a way, of one link or several; as it was within `maxAgeMs`, which spares work. */
  leadsTo(nodeId: NodeId, now: number, maxAgeMs = 0): boolean {
    const record = this.#options.table.get(nodeId)
    if (!record || !isThere(record)) return false
    this.#refresh(maxAgeMs === 0 ? Infinity : now - maxAgeMs, now)
    if (this.#ways.has(record.short) || this.#neighbourOf(record) !== undefined) return true
    return this.#wayBackTo(nodeId, now) !== undefined
  }

  #wayBackTo(nodeId: NodeId, now: number): MeshLink | undefined {
    let newest: MeshLink | undefined
    let newestAt = now - LEARNED_MS
    for (const [linkId, heard] of this.#learned) {
      const at = heard.get(nodeId) ?? -Infinity
      const link = at >= newestAt ? this.#options.link(linkId) : undefined
      if (!link || !isOpen(link)) continue
      newest = link
      newestAt = at
    }
    return newest
  }

  /** Forgets what was heard over links that are over. */
  #beginLearning(linkId: LinkId): Map<NodeId, number> {
    for (const known of this.#learned.keys()) if (!this.#options.link(known)) this.#learned.delete(known)
    const heard = new Map<NodeId, number>()
    this.#learned.set(linkId, heard)
    return heard
  }

  #isOnTrail({ nodeId }: MeshLink, trail: readonly number[]): boolean {
    const short = this.#options.table.get(nodeId)?.short
    return short !== undefined && trail.includes(short)
  }

  /** Works out all ways, unless nothing has changed, or those that are known were made after `since`. */
  #refresh(since: number, now: number): void {
    const { table, linkRevision } = this.#options
    const links = linkRevision()
    if (links === this.#seenLinks) {
      if (this.#seenTable === table.shownRevision || this.#madeAt > since) return
    }
    this.#seenLinks = links
    this.#seenTable = table.shownRevision
    this.#madeAt = now
    this.#ways = this.#search([])
  }

  /** Breadth first, from the links of this member on; members in `excluded` are not passed. */
  #search(excluded: readonly number[]): Map<number, Way> {
    const { table, links } = this.#options
    const own = table.get(table.own)!.short
    const ways = new Map<number, Way>()
    const shut = new Set(excluded).add(own)
    const edge: number[] = []
    for (const link of links()) {
      const record = isOpen(link) ? table.get(link.nodeId) : undefined
      if (!record || shut.has(record.short) || ways.has(record.short)) continue
      ways.set(record.short, { first: record.short, before: own })
      // one that stopped passes nothing on, though its links are open and it still says whom it is linked to
      if (isThere(record)) edge.push(record.short)
    }
    for (let i = 0; i < edge.length; i++) {
      const here = edge[i]!
      const { first } = ways.get(here)!
      for (const short of this.#record(here)?.links ?? []) {
        if (shut.has(short) || ways.has(short)) continue
        const record = this.#record(short)
        if (!record || !isThere(record)) continue
        ways.set(short, { first, before: here })
        edge.push(short)
      }
    }
    return ways
  }

  #firstTo(ways: ReadonlyMap<number, Way>, short: number, trail: readonly number[]): MeshLink | undefined {
    const first = ways.get(short)?.first
    if (first === undefined || trail.includes(first)) return undefined
    const nodeId = this.#options.table.byShort(first)
    return nodeId === undefined ? undefined : this.linkTo(nodeId)
  }

  /** Those who are linked to a newcomer say so some seconds later; it may have said so itself, or before it was away. */
  #neighbourOf({ links }: NodeRecord, ways: ReadonlyMap<number, Way> = this.#ways): number | undefined {
    for (const short of links) if (ways.has(short)) return short
    return undefined
  }

  #record(short: number): NodeRecord | undefined {
    const { table } = this.#options
    const nodeId = table.byShort(short)
    return nodeId === undefined ? undefined : table.get(nodeId)
  }
}

const isOpen = ({ phase }: MeshLink): boolean => phase === 'established'

/** Passes on what it is given, as far as is known. */
const isThere = ({ status }: NodeRecord): boolean =>
  status === 'up' || status === 'joining' || status === 'leaving'
