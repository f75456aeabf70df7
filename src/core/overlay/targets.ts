/**
 * Which members a member links to by its own choice. Up to `maxLinks` others: all of them, a full mesh. Above: its
 * neighbours on several rings, each of which orders all members by another hash of their authorities. A union of random
 * cycles is an expander (Law and Siu, INFOCOM 2003): of bounded degree, of logarithmic diameter, and hard to cut. Both
 * ends of a pair come to the same result, so nobody is asked for a link that it does not want itself; a join or a loss
 * moves one link a ring; and a reload, which keeps its authority, moves none.
 */
import type { NodeId } from '../identity/node-id.ts'
import { shortOf } from '../membership/hash.ts'
import type { MembershipTable } from '../membership/table.ts'

export interface LinkTargets {
  /** Live members that this one should be linked to. */
  readonly live: ReadonlySet<NodeId>
  /** Unreachable members that would be: they are tried now and then, so that a partition heals. */
  readonly lost: ReadonlySet<NodeId>
  /**
   * How far this member looked on each ring, for the nearest after it and before it in turn: whoever is farther away on
   * all of them makes no difference. `undefined` where everybody may.
   */
  readonly reach: readonly number[] | undefined
}

export interface TargetOptions {
  readonly minLinks: number
  readonly maxLinks: number
  /** A live member that cannot be linked to, as often as it was tried: the next on the ring is taken beside it. */
  readonly isHardToReach: (nodeId: NodeId) => boolean
  /** A member, this one included, that has relayed links only: it keeps two, and nobody else links to it. */
  readonly isRelayOnly: (nodeId: NodeId) => boolean
}

/** Rings looked at beyond the usual ones, where few members make their neighbours coincide. */
const SPARE_RINGS = 8
/** So many of the links that a member may have are left to those who want one that it does not want itself. */
const LEFT_FREE = 2

/** What targets are chosen from: a table, as far as it is read for this. */
export type Ground = Pick<MembershipTable, 'own' | 'get' | 'records'>

/** Members that this one should have links to, itself excluded. */
export function linkTargets(table: Ground, options: TargetOptions): LinkTargets {
  const { minLinks, maxLinks, isRelayOnly } = options
  const targets = { live: new Set<NodeId>(), lost: new Set<NodeId>(), reach: undefined }
  const { others, relayed } = othersOf(table, options)
  if (isRelayOnly(table.own)) {
    addNeighbours(targets, others.length > 0 ? others : relayed, table.get(table.own)!.short, 0)
    return targets
  }
  addRelayed(targets, table, relayed, others)
  const live = others.filter(({ kind }) => kind !== 'lost')
  const isMesh = live.length <= maxLinks
  for (const other of others.length <= maxLinks ? others : isMesh ? live : []) addTo(targets, other)
  if (others.length <= maxLinks) return targets
  const own = table.get(table.own)!.short
  const rings = Math.max(1, Math.floor((minLinks + maxLinks) / 4))
  // Neighbours on a spare ring are not wanted by the other end: they need the places that are left.
  const enough = Math.min(minLinks, Math.max(2, maxLinks - LEFT_FREE))
  const reach: number[] = []
  for (let ring = 0; ring < rings + SPARE_RINGS; ring++) {
    if (ring >= rings && (isMesh || targets.live.size >= enough)) break
    addNeighbours(targets, others, own, ring, reach)
  }
  return isMesh || relayed.length > 0 ? targets : { ...targets, reach }
}

/**
 * Whether the targets may be others once this member has come, gone or changed its status: it is one of them, or near
 * enough on some ring. Asked for each change, so that in a large room few of them cost more than this. Does not notice
 * that so many have gone that a full mesh is left.
 */
export function mayMatter({ live, lost, reach }: LinkTargets, own: number, member: NodeId): boolean {
  if (!reach || live.has(member) || lost.has(member)) return true
  const short = shortOf(member)
  for (let at = 0; at < reach.length; at += 2) {
    const distance = (placeOn(at / 2, short) - placeOn(at / 2, own)) >>> 0
    if (distance <= reach[at]! || -distance >>> 0 <= reach[at + 1]!) return true
  }
  return false
}

/** `good` closes the ring; one that is `hard` to reach, or `lost`, is wanted beside the good one that lies behind it. */
interface Other {
  readonly nodeId: NodeId
  readonly short: number
  readonly kind: 'good' | 'hard' | 'lost'
}

interface Others {
  readonly others: readonly Other[]
  /** Those that have relayed links only. */
  readonly relayed: readonly Other[]
}

function othersOf(table: Ground, { isHardToReach, isRelayOnly }: TargetOptions): Others {
  const others: Other[] = []
  const relayed: Other[] = []
  for (const { nodeId, short, status } of table.records()) {
    if (nodeId === table.own || status === 'removed' || status === 'leaving' || !status) continue
    const kind = status === 'unreachable' ? 'lost' : isHardToReach(nodeId) ? 'hard' : 'good'
    ;(isRelayOnly(nodeId) ? relayed : others).push({ nodeId, short, kind })
  }
  return { others, relayed }
}

function addTo(targets: { live: Set<NodeId>; lost: Set<NodeId> }, { nodeId, kind }: Other): void {
  if (kind === 'lost') targets.lost.add(nodeId)
  else targets.live.add(nodeId)
}

/** The nearest on each side of the ring: good ones, and whoever else is nearer. */
function addNeighbours(
  targets: { live: Set<NodeId>; lost: Set<NodeId> },
  others: readonly Other[],
  own: number,
  ring: number,
  reach: number[] = [],
): void {
  const here = placeOn(ring, own)
  const after = new Nearest()
  const before = new Nearest()
  for (const other of others) {
    const distance = (placeOn(ring, other.short) - here) >>> 0
    after.offer(other, distance)
    before.offer(other, -distance >>> 0)
  }
  after.addTo(targets)
  before.addTo(targets)
  reach.push(after.goodAt, before.goodAt)
}

/** Members that have relayed links only, and this one among the two that are nearest to them. */
function addRelayed(
  targets: { live: Set<NodeId>; lost: Set<NodeId> },
  table: Ground,
  relayed: readonly Other[],
  others: readonly Other[],
): void {
  if (relayed.length === 0) return
  const { nodeId, short } = table.get(table.own)!
  const all: readonly Other[] = [...others, { nodeId, short, kind: 'good' }]
  for (const other of relayed) {
    const theirs = { live: new Set<NodeId>(), lost: new Set<NodeId>() }
    addNeighbours(theirs, all, other.short, 0)
    if (theirs.live.has(nodeId)) addTo(targets, other)
  }
}

class Nearest {
  #good: Other | undefined
  #goodAt = Infinity
  #other: Other | undefined
  #otherAt = Infinity

  get goodAt(): number {
    return this.#goodAt
  }

  offer(other: Other, distance: number): void {
    if (other.kind === 'good') {
      if (!isNearer(other, distance, this.#good, this.#goodAt)) return
      this.#good = other
      this.#goodAt = distance
    } else if (isNearer(other, distance, this.#other, this.#otherAt)) {
      this.#other = other
      this.#otherAt = distance
    }
  }

  addTo(targets: { live: Set<NodeId>; lost: Set<NodeId> }): void {
    if (this.#good) addTo(targets, this.#good)
    if (this.#other && this.#otherAt < this.#goodAt) addTo(targets, this.#other)
  }
}

/** Colliding hashes are told apart by nodeId, so that all members agree. */
const isNearer = (a: Other, distance: number, b: Other | undefined, other: number): boolean =>
  distance < other || (distance === other && b !== undefined && a.nodeId < b.nodeId)

/** A ring's order of members: the finaliser of MurmurHash3 (Appleby, 2011), which is one to one. */
function placeOn(ring: number, short: number): number {
  let hash = short ^ Math.imul(ring + 1, 0x9e3779b1)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
