/**
 * MembershipTable: everything known of every life. The single source that every other part reads. It never assumes
 * that a member is linked.
 *
 * Invariants: a record only ever joins (`record.ts`); an origin's version never falls; a removed nodeId never
 * returns; of one authority at most one life is not removed; only `writeOwn` changes the own registers.
 */
import type { LinkId } from '../events.ts'
import type { Authority, NodeId, NodeIdParts } from '../identity/node-id.ts'
import { compareLives, parseNodeId } from '../identity/node-id.ts'
import type { Limits } from '../tuning.ts'
import type { OriginRange, StateEntry } from '../wire/frames.ts'
import { utf8Length } from '../utf8.ts'
import { ChangeLog, LOCAL } from './change-log.ts'
import { ContentHash } from './content-hash.ts'
import { shortOf } from './hash.ts'
import { decodeLinks, MAX_LINKS_BYTES, saysRelayOnly } from './published-links.ts'
import type { Accusation, NodeStatus, SelfRegister } from './record.ts'
import { effective, mergeAccusation, mergeSelf, REMOVED, sameAccusation, statusOf } from './record.ts'
import { LINKS_KEY } from './state-key.ts'

/** What is known of one nodeId. Read-only outside of the table. */
export interface NodeRecord {
  readonly nodeId: NodeId
  readonly parts: NodeIdParts
  /** 32-bit hash of the authority: its bucket, and its name in published links. */
  readonly short: number
  /** The origin's version: everything up to it is known here. */
  readonly counter: number
  /** Tombstones of entries up to this version are forgotten. */
  readonly floor: number
  readonly self: SelfRegister | undefined
  readonly accusation: Accusation | undefined
  readonly status: NodeStatus | undefined
  readonly entries: ReadonlyMap<string, StateEntry>
  /** Short hashes of the members it says it is linked to. */
  readonly links: ReadonlySet<number>
  /** It says that it can have no direct links. */
  readonly relayOnly: boolean
  /** When it was removed here, on the monotonic clock. */
  readonly removedAt: number | undefined
}

/** One change of one record, for those who tell the user. */
export interface TableChange {
  readonly nodeId: NodeId
  readonly authority: Authority
  readonly before: NodeStatus | undefined
  readonly after: NodeStatus | undefined
  readonly reason: string
  readonly meta: boolean
  readonly visibility: boolean
  readonly keys: readonly string[]
  /** The link that brought it; `LOCAL` for what came from here. */
  readonly via: LinkId
  /** The newer life that took this one's place. */
  readonly supersededBy?: NodeId
}

export interface ApplyResult {
  /** A part before the range is missing: ask from here. */
  readonly missingFrom?: number
  /** Others accuse this very member. */
  readonly accused?: Accusation
  /** Why nothing was taken over, where that is worth an event. */
  readonly refused?: string
}

type Mutable = { -readonly [K in keyof NodeRecord]: NodeRecord[K] } & { entries: Map<string, StateEntry> }

const NOTHING: ApplyResult = {}
const NO_KEYS: readonly string[] = []
/** More forgotten keys than this and the floor rises. */
const MAX_TOMBSTONE_KEYS = 32

export class MembershipTable {
  readonly own: NodeId
  readonly log = new ChangeLog()
  readonly hash = new ContentHash()
  readonly #limits: Limits
  readonly #records = new Map<NodeId, Mutable>()
  /** The life of each authority that is not removed. */
  readonly #current = new Map<Authority, NodeId>()
  /** The newest life of each authority that a record is held of, removed or not. */
  readonly #newest = new Map<Authority, NodeId>()
  /** Highest generation of each authority that was collected. */
  readonly #floors = new Map<Authority, number>()
  readonly #byShort = new Map<number, Authority>()
  #live: NodeId[] = []
  #changes: TableChange[] = []
  #membershipRevision = 0
  #shownRevision = 0

  constructor(own: NodeId, self: Omit<SelfRegister, 'counter' | 'incarnation'>, limits: Limits) {
    this.own = own
    this.#limits = limits
    const record = this.#create(own, parseNodeId(own)!)
    record.self = { ...self, incarnation: 0, counter: 1 }
    record.counter = 1
    this.#settle(record, undefined, 0, 'started', LOCAL, NO_KEYS)
  }

  get size(): number {
    return this.#records.size
  }

  /** Grows whenever a status changes or a life comes or goes: what the overlay looks at. */
  get membershipRevision(): number {
    return this.#membershipRevision
  }

  /** Grows whenever anything changes that a list of members shows: all but peer state and observers. */
  get shownRevision(): number {
    return this.#shownRevision + this.#membershipRevision
  }

  records(): IterableIterator<NodeRecord> {
    return this.#records.values()
  }

  get(nodeId: NodeId): NodeRecord | undefined {
    return this.#records.get(nodeId)
  }

  status(nodeId: NodeId): NodeStatus | undefined {
    return this.#records.get(nodeId)?.status
  }

  /** The life of an authority that is not removed. */
  currentLife(authority: Authority): NodeId | undefined {
    return this.#current.get(authority)
  }

  /** The newest life of an authority, removed or not: older ones are over. */
  newestLife(authority: Authority): NodeId | undefined {
    return this.#newest.get(authority)
  }

  /** The life of this short name that is not removed. */
  byShort(short: number): NodeId | undefined {
    const authority = this.#byShort.get(short)
    return authority === undefined ? undefined : this.#current.get(authority)
  }

  /** Members that are `up`, sorted. The order gives positions in status bitmaps. */
  live(): readonly NodeId[] {
    return this.#live
  }

  /** Position among the live, or -1. */
  liveIndex(nodeId: NodeId): number {
    const at = lowerBound(this.#live, nodeId)
    return this.#live[at] === nodeId ? at : -1
  }

  /** Whether a life of this generation may still be learned of. */
  admissible({ authority, generation }: NodeIdParts): boolean {
    return generation > (this.#floors.get(authority) ?? 0)
  }

  /** What happened since the last call. */
  takeChanges(): readonly TableChange[] {
    if (this.#changes.length === 0) return this.#changes
    const changes = this.#changes
    this.#changes = []
    return changes
  }

  /** Writes the own self register; the version grows by one. */
  writeOwn(patch: Partial<Omit<SelfRegister, 'counter'>>, reason: string): void {
    const record = this.#records.get(this.own)!
    if (!record.self || record.status === 'removed') return
    const before = record.self
    const from = record.counter
    record.counter = from + 1
    record.self = { ...before, ...patch, counter: record.counter }
    record.accusation = effective(record.self, record.accusation)
    this.#settle(record, before, from, reason, LOCAL, NO_KEYS)
  }

  /** Writes or clears one own value. Returns whether anything changed. */
  writeOwnEntry(key: string, value: string | undefined): boolean {
    const record = this.#records.get(this.own)!
    if (record.status === 'removed' || record.entries.get(key)?.value === value) return false
    const from = record.counter
    record.counter = from + 1
    record.entries.set(key, { key, version: record.counter, value })
    const tombstones = [...record.entries.values()].filter((entry) => entry.value === undefined)
    if (tombstones.length > MAX_TOMBSTONE_KEYS) {
      for (const entry of tombstones) record.entries.delete(entry.key)
      record.floor = record.counter
    }
    this.#settle(record, record.self, from, 'peer state', LOCAL, [key])
    return true
  }

  /** Joins what a neighbour says of one origin. `via` is the link that brought it. */
  apply(range: OriginRange, via: LinkId, now: number, reason: string): ApplyResult {
    if (range.nodeId === this.own) return this.#heardOfOwn(range)
    const parts = parseNodeId(range.nodeId)
    if (!parts || !this.admissible(parts)) return NOTHING
    const known = this.#records.get(range.nodeId)
    if (range.accusation?.rank === 'removed') {
      this.#remove(range.nodeId, parts, via, now, reason)
      return NOTHING
    }
    if (known?.status === 'removed') return NOTHING
    const counter = known?.counter ?? 0
    const gap = range.from > counter || (counter < range.floor && range.from !== 0)
    const news = !gap && range.to > counter
    if (!known && !(news && range.self)) return gap ? { missingFrom: 0 } : NOTHING
    if (!known && this.#records.size >= this.#limits.members) {
      return { refused: `the table is full (${this.#limits.members} records)` }
    }
    if (!known && this.#losesTo(range.nodeId, parts, now)) {
      this.#remove(range.nodeId, parts, via, now, 'older than the life that is here')
      return NOTHING
    }
    const oversize = news ? this.#oversize(range) : undefined
    if (oversize !== undefined) return { refused: oversize }
    const record = known ?? this.#create(range.nodeId, parts)
    const before = record.self
    const keys = news ? this.#take(record, range) : NO_KEYS
    const accusation = effective(record.self, mergeAccusation(record.accusation, range.accusation))
    const accusationChanged = !sameAccusation(accusation, record.accusation)
    record.accusation = accusation
    if (news || accusationChanged) {
      this.#settle(record, before, counter, reason, via, keys)
    } else if (!gap && range.to === counter && sameAccusation(accusation, range.accusation)) {
      // It knows all that is known here. Whoever sends less, late or again, still has to be told.
      this.log.alsoFrom(range.nodeId, via)
    }
    return gap ? { missingFrom: range.from !== 0 && counter < range.floor ? 0 : counter } : NOTHING
  }

  /**
   * Whoever knows a version of the own record that was never written has a forged one, and takes no true one over any
   * more: this life is as good as removed there.
   */
  #heardOfOwn({ to, accusation }: OriginRange): ApplyResult {
    if (to > this.#records.get(this.own)!.counter) return { accused: REMOVED }
    return accusation ? { accused: accusation } : NOTHING
  }

  /** This member's own accusation of another. Returns whether anything changed. */
  accuse(nodeId: NodeId, rank: 'suspect' | 'unreachable', reason: string): boolean {
    const record = this.#records.get(nodeId)
    if (!record?.self || nodeId === this.own || record.status === 'removed') return false
    const mine: Accusation = { incarnation: record.self.incarnation, rank, observers: [this.own] }
    const merged = mergeAccusation(record.accusation, mine)
    if (sameAccusation(merged, record.accusation)) return false
    record.accusation = merged
    this.#settle(record, record.self, record.counter, reason, LOCAL, NO_KEYS)
    return true
  }

  /** A suspicion was not refuted in time: those who observed it have their verdict. */
  convict(nodeId: NodeId, reason: string): void {
    const record = this.#records.get(nodeId)
    if (record?.accusation?.rank !== 'suspect') return
    record.accusation = { ...record.accusation, rank: 'unreachable' }
    this.#settle(record, record.self, record.counter, reason, LOCAL, NO_KEYS)
  }

  /** Ends a life for good, also the own one. */
  remove(nodeId: NodeId, now: number, reason: string): void {
    const parts = parseNodeId(nodeId)
    if (parts && this.admissible(parts)) this.#remove(nodeId, parts, LOCAL, now, reason)
  }

  /** Forgets tombstones older than `before`; only their generation stays, so that nothing can come back. */
  collect(before: number): void {
    for (const record of this.#records.values()) {
      if (record.removedAt === undefined || record.removedAt > before || record.nodeId === this.own) continue
      this.#records.delete(record.nodeId)
      const { authority, generation } = record.parts
      if (this.#newest.get(authority) === record.nodeId) {
        this.#newest.delete(authority)
        if (this.#byShort.get(record.short) === authority) this.#byShort.delete(record.short)
      }
      this.#floors.set(authority, Math.max(this.#floors.get(authority) ?? 0, generation))
      if (this.#floors.size > this.#limits.members * 4) this.#floors.delete(this.#floors.keys().next().value!)
    }
  }

  #create(nodeId: NodeId, parts: NodeIdParts): Mutable {
    const short = shortOf(nodeId)
    const record: Mutable = {
      nodeId,
      parts,
      short,
      counter: 0,
      floor: 0,
      self: undefined,
      accusation: undefined,
      status: undefined,
      entries: new Map(),
      links: decodeLinks(undefined),
      relayOnly: false,
      removedAt: undefined,
    }
    this.#records.set(nodeId, record)
    this.#byShort.set(short, parts.authority)
    const newest = this.#newest.get(parts.authority)
    if (newest === undefined || compareLives(parts, this.#records.get(newest)!.parts) > 0) {
      this.#newest.set(parts.authority, nodeId)
    }
    return record
  }

  /** What of a range is over its limit. A record that everybody takes over must fit into one message of everybody's. */
  #oversize({ nodeId, self, entries }: OriginRange): string | undefined {
    const max = Math.max(this.#limits.valueBytes, MAX_LINKS_BYTES)
    const over = (what: string, text: string): string | undefined => {
      const bytes = text.length * 3 > max ? utf8Length(text) : 0
      return bytes > max ? `${what} of ${nodeId} has ${bytes} bytes, over its limit of ${max}` : undefined
    }
    for (const { key, value } of entries) {
      const problem = value === undefined ? undefined : over(`peer state "${key}"`, value)
      if (problem !== undefined) return problem
    }
    return self && over('meta', self.meta)
  }

  /** Takes over the newer part of a range; returns the keys that changed. */
  #take(record: Mutable, range: OriginRange): readonly string[] {
    const keys: string[] = []
    if (range.from === 0) {
      const listed = new Set(range.entries.map((entry) => entry.key))
      for (const key of record.entries.keys()) {
        if (listed.has(key)) continue
        record.entries.delete(key)
        keys.push(key)
      }
    }
    // One more than the limit, for the protocol's own key.
    let values = this.#limits.peerStateKeys + 1
    for (const entry of record.entries.values()) if (entry.value !== undefined) values--
    for (const entry of range.entries) {
      const known = record.entries.get(entry.key)
      if (known && known.version >= entry.version) continue
      if (!known && record.entries.size >= this.#limits.peerStateKeys + MAX_TOMBSTONE_KEYS + 1) continue
      const grows = (entry.value === undefined ? 0 : 1) - (known?.value === undefined ? 0 : 1)
      if (grows > values) continue
      values -= grows
      record.entries.set(entry.key, entry)
      keys.push(entry.key)
    }
    record.self = mergeSelf(record.self, range.self)
    record.counter = range.to
    record.floor = Math.max(record.floor, range.floor)
    for (const entry of record.entries.values()) {
      if (entry.value === undefined && entry.version <= record.floor) record.entries.delete(entry.key)
    }
    return keys
  }

  #remove(nodeId: NodeId, parts: NodeIdParts, via: LinkId, now: number, reason: string, by?: NodeId): void {
    const known = this.#records.get(nodeId)
    if (known?.status === 'removed') return this.log.alsoFrom(nodeId, via)
    if (!known && this.#records.size >= this.#limits.members) return
    const record = known ?? this.#create(nodeId, parts)
    const before = record.self
    const keys = [...record.entries.keys()]
    record.self = undefined
    record.accusation = REMOVED
    record.entries = new Map()
    record.removedAt = now
    this.#settle(record, before, record.counter, reason, via, keys, by)
    // A member that heard of a newer life only after its end must not keep the older one.
    const older = this.#current.get(parts.authority)
    if (older !== undefined && compareLives(this.#records.get(older)!.parts, parts) < 0) {
      this.#remove(older, this.#records.get(older)!.parts, LOCAL, now, 'a newer life of it is over')
    }
  }

  /**
   * Of two lives of one authority the older one ends at once, the same one on every member, in whatever order they
   * are heard of. Ends the present life where the newcomer is the newer; else tells that the newcomer has lost.
   */
  #losesTo(nodeId: NodeId, newcomer: NodeIdParts, now: number): boolean {
    const newest = this.#newest.get(newcomer.authority)
    if (newest === undefined) return false
    if (compareLives(newcomer, this.#records.get(newest)!.parts) < 0) return true
    const rival = this.#current.get(newcomer.authority)
    if (rival === undefined) return false
    const { parts } = this.#records.get(rival)!
    this.#remove(rival, parts, LOCAL, now, 'superseded by a newer life', nodeId)
    return false
  }

  /** Brings everything derived from a record up to date after it changed, and notes the change. */
  #settle(
    record: Mutable,
    before: SelfRegister | undefined,
    from: number,
    reason: string,
    via: LinkId,
    keys: readonly string[],
    supersededBy?: NodeId,
  ): void {
    const statusBefore = record.status
    record.status = statusOf(record)
    if (statusBefore !== record.status) this.#place(record, statusBefore)
    if (keys.includes(LINKS_KEY)) {
      const value = record.entries.get(LINKS_KEY)?.value
      record.links = decodeLinks(value)
      const relayOnly = saysRelayOnly(value)
      // Whom others link to depends on it.
      if (relayOnly !== record.relayOnly) this.#membershipRevision++
      record.relayOnly = relayOnly
      this.#shownRevision++
    }
    this.hash.update(record)
    this.log.push(record.nodeId, from, via)
    const { nodeId, parts, self, status } = record
    if (self !== before) this.#shownRevision++
    this.#changes.push({
      nodeId,
      authority: parts.authority,
      before: statusBefore,
      after: status,
      reason,
      meta: self !== undefined && self.meta !== (before?.meta ?? ''),
      visibility: self !== undefined && before !== undefined && self.visibility !== before.visibility,
      keys,
      via,
      ...(supersededBy === undefined ? {} : { supersededBy }),
    })
  }

  #place(record: Mutable, before: NodeStatus | undefined): void {
    this.#membershipRevision++
    const { nodeId, status } = record
    if (status === 'up') this.#live.splice(lowerBound(this.#live, nodeId), 0, nodeId)
    else if (before === 'up') this.#live.splice(lowerBound(this.#live, nodeId), 1)
    const { authority } = record.parts
    if (status !== 'removed') this.#current.set(authority, nodeId)
    else if (this.#current.get(authority) === nodeId) this.#current.delete(authority)
  }
}

/** First position whose element is not below `nodeId`. */
function lowerBound(sorted: readonly NodeId[], nodeId: NodeId): number {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (sorted[middle]! < nodeId) low = middle + 1
    else high = middle
  }
  return low
}
