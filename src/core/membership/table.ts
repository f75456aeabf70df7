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
import type { OriginRange } from '../wire/frames.ts'
import { ChangeLog, LOCAL } from './change-log.ts'
import { ContentHash } from './content-hash.ts'
import type { Draft, NodeRecord } from './join.ts'
import { finish, joinRange, MAX_TOMBSTONE_KEYS, newDraft, NO_KEYS, oversize } from './join.ts'
import { OneWayLinks } from './one-way-links.ts'
import type { Accusation, NodeStatus, SelfRegister } from './record.ts'
import { effective, mergeAccusation, REMOVED, sameAccusation } from './record.ts'
import { ShortNames } from './short-names.ts'
import { LINKS_KEY } from './state-key.ts'

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

export type { NodeRecord } from './join.ts'

const NOTHING: ApplyResult = {}
const NO_LINKS: ReadonlySet<number> = new Set()

export class MembershipTable {
  readonly own: NodeId
  readonly log = new ChangeLog()
  readonly hash = new ContentHash()
  readonly #limits: Limits
  readonly #join: typeof joinRange
  readonly #records = new Map<NodeId, NodeRecord>()
  /** The life of each authority that is not removed. */
  readonly #current = new Map<Authority, NodeId>()
  readonly #isPresent = (authority: Authority): boolean => this.#current.has(authority)
  /** The newest life of each authority that a record is held of, removed or not. */
  readonly #newest = new Map<Authority, NodeId>()
  /** Highest generation of each authority that was collected. */
  readonly #floors = new Map<Authority, number>()
  readonly #shortNames = new ShortNames()
  /** Made when it is first asked for: while nobody is suspected, nobody asks. */
  #oneWay: OneWayLinks | undefined
  #live: NodeId[] = []
  #changes: TableChange[] = []
  #membershipRevision = 0
  #shownRevision = 0

  /** `join`: how ranges are joined; nodes that share a process may share the work. */
  constructor(
    own: NodeId,
    self: Omit<SelfRegister, 'counter' | 'incarnation'>,
    limits: Limits,
    join: typeof joinRange = joinRange,
  ) {
    this.own = own
    this.#limits = limits
    this.#join = join
    const draft = newDraft(own, parseNodeId(own)!)
    const started = { ...draft, self: { ...self, incarnation: 0, counter: 1 }, counter: 1 }
    this.#settle(undefined, finish(started, undefined), 'started', LOCAL, NO_KEYS)
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

  /** The life of this short name that is not removed; of several the one whose authority was heard of first. */
  byShort(short: number): NodeId | undefined {
    const authority = this.#shortNames.bearer(short, this.#isPresent)
    return authority === undefined ? undefined : this.#current.get(authority)
  }

  /** Who says that it is linked to the member of this short name, without that one's saying so too. */
  linkedOneWayTo(short: number): ReadonlySet<NodeId> {
    this.#oneWay ??= this.#readOneWayLinks()
    return this.#oneWay.to(short)
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
    const counter = record.counter + 1
    const self = { ...record.self, ...patch, counter }
    this.#write(record, { counter, self, accusation: effective(self, record.accusation) }, reason)
  }

  /** Writes or clears one own value. Returns whether anything changed. */
  writeOwnEntry(key: string, value: string | undefined): boolean {
    const record = this.#records.get(this.own)!
    if (record.status === 'removed' || record.entries.get(key)?.value === value) return false
    const counter = record.counter + 1
    const entries = new Map(record.entries).set(key, { key, version: counter, value })
    const tombstones = [...entries.values()].filter((entry) => entry.value === undefined)
    const isFull = tombstones.length > MAX_TOMBSTONE_KEYS
    if (isFull) for (const entry of tombstones) entries.delete(entry.key)
    const floor = isFull ? counter : record.floor
    this.#write(record, { counter, entries, floor }, 'peer state', [key])
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
    const tooLarge = news ? oversize(range, this.#limits) : undefined
    if (tooLarge !== undefined) return { refused: tooLarge }
    if (news || accuses(known, range)) {
      const { record, keys } = this.#join(known, range, parts, this.#limits)
      this.#settle(known, record, reason, via, keys)
    } else if (!gap && range.to === counter && sameAccusation(known?.accusation, range.accusation)) {
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
    this.#write(record, { accusation: merged }, reason)
    return true
  }

  /** A suspicion was not refuted in time: those who observed it have their verdict. */
  convict(nodeId: NodeId, reason: string): void {
    const record = this.#records.get(nodeId)
    if (record?.accusation?.rank !== 'suspect') return
    this.#write(record, { accusation: { ...record.accusation, rank: 'unreachable' } }, reason)
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
        this.#shortNames.remove(record.short, authority)
      }
      this.#floors.set(authority, Math.max(this.#floors.get(authority) ?? 0, generation))
      if (this.#floors.size > this.#limits.members * 4) this.#floors.delete(this.#floors.keys().next().value!)
    }
  }

  /** The first that is known of a life. */
  #enter({ nodeId, parts, short }: NodeRecord): void {
    this.#shortNames.add(short, parts.authority)
    const newest = this.#newest.get(parts.authority)
    if (newest === undefined || compareLives(parts, this.#records.get(newest)!.parts) > 0) {
      this.#newest.set(parts.authority, nodeId)
    }
  }

  #write(record: NodeRecord, patch: Partial<Draft>, reason: string, keys = NO_KEYS): void {
    this.#settle(record, finish({ ...record, ...patch }, record), reason, LOCAL, keys)
  }

  #remove(nodeId: NodeId, parts: NodeIdParts, via: LinkId, now: number, reason: string, by?: NodeId): void {
    const known = this.#records.get(nodeId)
    if (known?.status === 'removed') return this.log.alsoFrom(nodeId, via)
    if (!known && this.#records.size >= this.#limits.members) return
    const before: Draft = known ?? newDraft(nodeId, parts)
    const { entries } = newDraft(nodeId, parts)
    const over = { ...before, self: undefined, accusation: REMOVED, entries, removedAt: now }
    this.#settle(known, finish(over, known), reason, via, [...before.entries.keys()], by)
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

  /** Puts a record in the place of what it was, brings all that follows from it up to date, and notes the change. */
  #settle(
    before: NodeRecord | undefined,
    record: NodeRecord,
    reason: string,
    via: LinkId,
    keys: readonly string[],
    supersededBy?: NodeId,
  ): void {
    const { nodeId, parts, self, status } = record
    this.#records.set(nodeId, record)
    if (!before) this.#enter(record)
    if (before?.status !== status) this.#place(record, before?.status)
    if (keys.includes(LINKS_KEY)) {
      this.#oneWay?.changed(record, before?.links ?? NO_LINKS)
      // Whom others link to depends on it.
      if (record.relayOnly !== (before?.relayOnly ?? false)) this.#membershipRevision++
      this.#shownRevision++
    }
    this.hash.update(record, before)
    const isRefutation = (self?.incarnation ?? 0) > (before?.self?.incarnation ?? 0)
    this.log.push(nodeId, before?.counter ?? 0, via, isRefutation)
    if (self !== before?.self) this.#shownRevision++
    this.#changes.push({
      nodeId,
      authority: parts.authority,
      before: before?.status,
      after: status,
      reason,
      meta: self !== undefined && self.meta !== (before?.self?.meta ?? ''),
      visibility:
        self !== undefined && before?.self !== undefined && self.visibility !== before.self.visibility,
      keys,
      via,
      ...(supersededBy === undefined ? {} : { supersededBy }),
    })
  }

  #readOneWayLinks(): OneWayLinks {
    const oneWay = new OneWayLinks((short) => {
      const nodeId = this.byShort(short)
      return nodeId === undefined ? undefined : this.#records.get(nodeId)
    })
    for (const record of this.#records.values()) oneWay.read(record)
    return oneWay
  }

  #place(record: NodeRecord, before: NodeStatus | undefined): void {
    this.#membershipRevision++
    const { nodeId, status } = record
    if (status === 'up') this.#live.splice(lowerBound(this.#live, nodeId), 0, nodeId)
    else if (before === 'up') this.#live.splice(lowerBound(this.#live, nodeId), 1)
    const { authority } = record.parts
    if (status !== 'removed') this.#current.set(authority, nodeId)
    else if (this.#current.get(authority) === nodeId) this.#current.delete(authority)
  }
}

/** Whether a range says of an accusation what is not known yet. */
function accuses(known: NodeRecord | undefined, { accusation }: OriginRange): boolean {
  if (!accusation) return false
  const joined = effective(known?.self, mergeAccusation(known?.accusation, accusation))
  return !sameAccusation(joined, known?.accusation)
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
