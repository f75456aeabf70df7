/**
 * Roster: the members as grains see them. Grains know processes, which go on through rebirths; the table knows lives.
 * It is of the process: after a rebirth it keeps what it knew, until the next life was told who is there.
 */
import type { PublishedCouncil } from './council/published-council.ts'
import { COUNCIL_KEY, parseCouncil } from './council/published-council.ts'
import type { Loss } from './council/raft-messages.ts'
import type { Seat } from './council/voters.ts'
import type { Authority, NodeId, ProcessId } from './identity/node-id.ts'
import { authorityOf } from './identity/node-id.ts'
import type { Visibility } from './membership/record.ts'
import type { MembershipTable, NodeRecord, TableChange } from './membership/table.ts'
import type { Candidate } from './partition/placement.ts'
import type { KindVersions, PublishedKinds } from './published-kinds.ts'
import { formatKind, KINDS_KEY, parseKinds } from './published-kinds.ts'

/** What has become of a process. */
export type RosterNews =
  /** It is up, or is not any more, or is lost. */
  | { readonly type: 'liveness'; readonly process: ProcessId; readonly loss: Loss | undefined }
  /** It goes on as another life: what was under way between it and this process may be lost. */
  | { readonly type: 'new-life'; readonly process: ProcessId }

/** Who has been up for less, in ms, is given nothing to own: a storm of reloads moves nothing (DESIGN.md section 11). */
const SETTLED_MS = 2_000
/**
 * A process that is gone without goodbye has no right any more after this long, in ms: longer than the 1.1 L that its
 * replicas wait.
 */
const RIGHTS_MS = 6_000
/** Lives that wait to be one process that another authority has. */
const MAX_PRETENDERS = 8
const STANDBY: Readonly<Record<Visibility, number>> = { visible: 0, hidden: 1, 'frozen-soon': 2 }

interface Known {
  readonly process: ProcessId
  authority: Authority | undefined
  /** No other authority may go on as it: this one is there, or may come back with another life. */
  isBound: boolean
  /** Its present life; `undefined` once that is over. */
  life: NodeId | undefined
  /** Since when it is up, on the monotonic clock; `undefined` while it is not. */
  upSince: number | undefined
  /** Since when it is unreachable, or since when its last life is over. */
  lostSince: number
  /** It is gone for good from then on. */
  endsAt: number
  isEnded: boolean
  /** Its last life has said goodbye. */
  hasLeft: boolean
}

export class Roster {
  readonly #own: ProcessId
  readonly #tombstoneMs: number
  #table: MembershipTable | undefined
  readonly #known = new Map<ProcessId, Known>()
  readonly #processes = new Map<NodeId, ProcessId>()
  /** Lives that say to be a process that is bound to another authority. */
  readonly #pretenders = new Map<ProcessId, Set<NodeId>>()
  #news: RosterNews[] = []
  #isChanged = false
  #attachedAt = Infinity
  #wakeAt = Infinity
  #seats: readonly Seat[] | undefined
  #published: ReadonlyMap<ProcessId, PublishedCouncil> | undefined
  readonly #candidates = new Map<string, readonly Candidate[]>()
  readonly #versions = new Map<string, readonly KindVersions[]>()

  constructor(own: ProcessId, tombstoneMs: number) {
    this.#own = own
    this.#tombstoneMs = tombstoneMs
  }

  /** The table that counts: of the present life, or of the last one until this one was told who is there. */
  get table(): MembershipTable | undefined {
    return this.#table
  }

  /** What this table says counts from now on. */
  attach(table: MembershipTable, now: number): void {
    const isFirst = this.#table === undefined
    this.#table = table
    this.#pretenders.clear()
    if (isFirst) this.#attachedAt = now
    // What the last life had under way is lost.
    else for (const { process } of this.#known.values()) this.#news.push({ type: 'new-life', process })
    for (const known of this.#known.values())
      if (known.life !== undefined && !table.get(known.life)) known.isBound = false
    for (const record of table.records()) this.#look(record, undefined, now)
    for (const known of this.#known.values()) {
      if (known.life !== undefined && !table.get(known.life)) this.#end(known, now + RIGHTS_MS, now)
    }
    this.#changed()
  }

  /** A record of the present life's table has changed. */
  notice(change: TableChange, now: number): void {
    const { nodeId, before, after, keys, visibility } = change
    const record = this.#table?.get(nodeId)
    if (!record) return
    if (before !== after) this.#look(record, change, now)
    if (visibility || before !== after || keys.includes(COUNCIL_KEY) || keys.includes(KINDS_KEY))
      this.#changed()
  }

  /** What has happened since the last call. */
  takeNews(): readonly RosterNews[] {
    const news = this.#news
    if (news.length > 0) this.#news = []
    return news
  }

  /** Whether anything has changed since the last call, of who is there and what they publish. */
  takeChanged(): boolean {
    const isChanged = this.#isChanged
    this.#isChanged = false
    return isChanged
  }

  tick(now: number): void {
    if (now < this.#wakeAt) return
    for (const known of this.#known.values()) {
      if (known.life !== undefined || known.isEnded || now < known.endsAt) continue
      known.isEnded = true
      this.#unbind(known, now)
      this.#news.push({ type: 'liveness', process: known.process, loss: 'ended' })
    }
    this.#changed()
    this.#findWake(now)
  }

  nextDeadline(): number {
    return this.#wakeAt
  }

  lifeOf(process: ProcessId): NodeId | undefined {
    return this.#known.get(process)?.life
  }

  /** Whose word is that of a life; of one that was not looked at yet by its record in `table`. */
  processOf(nodeId: NodeId, table = this.#table): ProcessId | undefined {
    const known = this.#processes.get(nodeId)
    if (known !== undefined) return known
    const record = table?.get(nodeId)
    const process = record?.self?.process
    return process === undefined || this.#isOfAnother(process, record!.parts.authority) ? undefined : process
  }

  /** That of its last life; `undefined` for a process that was never met, or is forgotten. */
  authorityOf(process: ProcessId): Authority | undefined {
    return this.#known.get(process)?.authority
  }

  /** Empty for a process that is not there. */
  browserOf(process: ProcessId): string {
    const life = this.lifeOf(process)
    return (life !== undefined && this.#table?.get(life)?.self?.browser) || ''
  }

  isLive(process: ProcessId): boolean {
    return this.#known.get(process)?.upSince !== undefined
  }

  /** It is gone for good, and no right of it is left. Whoever was never met was gone before this process came. */
  hasEnded(process: ProcessId, now: number): boolean {
    const known = this.#known.get(process)
    return known ? known.isEnded : now > this.#attachedAt + RIGHTS_MS
  }

  /** The same, and it has said so itself: it does not go on where nobody here can see it. */
  hasLeft(process: ProcessId): boolean {
    const known = this.#known.get(process)
    return known !== undefined && known.isEnded && known.hasLeft
  }

  /** For how long it has been lost, in ms: `Infinity` once it is gone for good, 0 while it is not lost. */
  lostFor(process: ProcessId, now: number): number {
    if (this.hasEnded(process, now)) return Infinity
    const since = this.#known.get(process)?.lostSince
    return since === undefined || since === Infinity ? 0 : now - since
  }

  /** Even the tombstone of its last life is gone. */
  isForgotten(process: ProcessId, now: number): boolean {
    const known = this.#known.get(process)
    return known ? false : now > this.#attachedAt + this.#tombstoneMs
  }

  /** Who is up. */
  seats(): readonly Seat[] {
    if (this.#seats) return this.#seats
    const seats: Seat[] = []
    for (const { process, life, upSince } of this.#known.values()) {
      const self = life === undefined ? undefined : this.#table?.get(life)?.self
      if (self && upSince !== undefined)
        seats.push({ process, browser: self.browser, standby: STANDBY[self.visibility], upSince })
    }
    this.#seats = seats
    return seats
  }

  /** Who may hold partitions of a kind: all that are up; who may own them: of those that host it, who has been up for a while. */
  candidates(kind: string, now: number): readonly Candidate[] {
    const known = this.#candidates.get(kind)
    if (known) return known
    const candidates = this.seats().map(({ process, browser, standby, upSince }): Candidate => {
      const isSettled = process === this.#own || now >= upSince + SETTLED_MS
      return { process, browser, standby, isHost: isSettled && this.#kindsOf(process).has(kind) }
    })
    this.#candidates.set(kind, candidates)
    return candidates
  }

  /** What those that are up publish of their council. */
  published(): ReadonlyMap<ProcessId, PublishedCouncil> {
    if (this.#published) return this.#published
    const published = new Map<ProcessId, PublishedCouncil>()
    for (const { process } of this.seats()) {
      const council = parseCouncil(this.#valueOf(process, COUNCIL_KEY))
      if (council) published.set(process, council)
    }
    this.#published = published
    return published
  }

  /** Versions of a kind that members which are not gone host, each once. */
  versionsOf(kind: string): readonly KindVersions[] {
    const known = this.#versions.get(kind)
    if (known) return known
    const versions = new Map<string, KindVersions>()
    for (const process of this.#known.keys()) {
      const hosted = this.versionOf(process, kind)
      if (hosted) versions.set(formatKind(kind, hosted), hosted)
    }
    const found = [...versions.values()]
    this.#versions.set(kind, found)
    return found
  }

  /** Versions of a kind as this process hosts it; `undefined` if it does not, or that was not heard yet. */
  versionOf(process: ProcessId, kind: string): KindVersions | undefined {
    return this.#kindsOf(process).get(kind)
  }

  /** Whether it hosts anything. */
  isHost(process: ProcessId): boolean {
    return this.#kindsOf(process).size > 0
  }

  /** Whether anybody, reachable or not, says that there is a council. */
  get hasCouncil(): boolean {
    for (const { process, life } of this.#known.values())
      if (life !== undefined && this.#valueOf(process, COUNCIL_KEY) !== undefined) return true
    return false
  }

  /** Whether each member that is not gone is up. */
  get isWhole(): boolean {
    for (const { life, upSince } of this.#known.values())
      if (life !== undefined && upSince === undefined) return false
    return true
  }

  #kindsOf(process: ProcessId): PublishedKinds {
    return parseKinds(this.#valueOf(process, KINDS_KEY))
  }

  #valueOf(process: ProcessId, key: string): string | undefined {
    const life = this.#known.get(process)?.life
    return life === undefined ? undefined : this.#table?.get(life)?.entries.get(key)?.value
  }

  #look({ nodeId, parts, status, self }: NodeRecord, change: TableChange | undefined, now: number): void {
    if (status === 'removed') return this.#onRemoved(nodeId, change, now)
    if (!self) return
    const process = this.#processes.get(nodeId) ?? self.process
    if (this.#isOfAnother(process, parts.authority)) return this.#pretend(process, nodeId)
    this.#pretenders.get(process)?.delete(nodeId)
    this.#processes.set(nodeId, process)
    const known = this.#known.get(process) ?? this.#enter(process)
    if (known.life !== nodeId) {
      if (known.life !== undefined && !isNewer(this.#table, nodeId, known.life)) return
      if (known.life !== undefined || known.lostSince < Infinity)
        this.#news.push({ type: 'new-life', process })
      known.life = nodeId
      known.authority = parts.authority
      known.isBound = true
      known.isEnded = false
      known.hasLeft = false
      known.endsAt = Infinity
    }
    if (status === 'up') {
      known.lostSince = Infinity
      if (known.upSince === undefined) this.#setUp(known, now)
    } else {
      if (status === 'unreachable') known.lostSince = Math.min(known.lostSince, now)
      if (known.upSince !== undefined || status === 'unreachable')
        this.#setDown(known, status === 'unreachable' ? 'unreachable' : undefined)
    }
  }

  #onRemoved(nodeId: NodeId, change: TableChange | undefined, now: number): void {
    const process = this.#processes.get(nodeId)
    const known = process === undefined ? undefined : this.#known.get(process)
    if (known?.life !== nodeId) return
    // Without having been unreachable, and with no other life in its place: it said goodbye.
    const hasLeft = known.lostSince === Infinity && change?.supersededBy === undefined
    // Seen by this process: of whoever was removed while it was away nobody tells why.
    known.hasLeft = hasLeft && change?.before === 'leaving'
    this.#end(known, hasLeft ? now : Math.min(known.lostSince, now) + RIGHTS_MS, now)
    // A page whose authority is another's now goes on under a new one.
    if (known.isEnded || change?.supersededBy !== undefined) this.#unbind(known, now)
  }

  #end(known: Known, endsAt: number, now: number): void {
    known.life = undefined
    known.lostSince = Math.min(known.lostSince, now)
    known.endsAt = endsAt
    known.isEnded = now >= endsAt
    this.#setDown(known, known.isEnded ? 'ended' : 'unreachable')
    if (!known.isEnded) this.#wakeAt = Math.min(this.#wakeAt, endsAt)
    this.#collect()
  }

  #isOfAnother(process: ProcessId, authority: Authority): boolean {
    if (process === this.#own) return this.#table !== undefined && authority !== authorityOf(this.#table.own)
    const known = this.#known.get(process)
    return known !== undefined && known.isBound && known.authority !== authority
  }

  #pretend(process: ProcessId, nodeId: NodeId): void {
    const pretenders = this.#pretenders.get(process) ?? new Set<NodeId>()
    this.#pretenders.set(process, pretenders)
    pretenders.add(nodeId)
    // Mostly there is none, and one where a page goes on as somebody else; of more the oldest is forgotten.
    if (pretenders.size > MAX_PRETENDERS) pretenders.delete(pretenders.values().next().value!)
  }

  /** Whoever has said meanwhile to be this process may be it now. Of several one is; the others wait on. */
  #unbind(known: Known, now: number): void {
    known.isBound = false
    const pretenders = this.#pretenders.get(known.process) ?? []
    this.#pretenders.delete(known.process)
    for (const nodeId of pretenders) {
      const record = this.#table?.get(nodeId)
      if (record) this.#look(record, undefined, now)
    }
  }

  #enter(process: ProcessId): Known {
    const known = {
      process,
      authority: undefined,
      isBound: false,
      life: undefined,
      upSince: undefined,
      lostSince: Infinity,
      endsAt: Infinity,
      isEnded: false,
      hasLeft: false,
    }
    this.#known.set(process, known)
    return known
  }

  #setUp(known: Known, now: number): void {
    known.upSince = now
    this.#wakeAt = Math.min(this.#wakeAt, now + SETTLED_MS)
    this.#news.push({ type: 'liveness', process: known.process, loss: undefined })
  }

  #setDown(known: Known, loss: Loss | undefined): void {
    known.upSince = undefined
    this.#news.push({ type: 'liveness', process: known.process, loss })
  }

  #changed(): void {
    this.#isChanged = true
    this.#seats = undefined
    this.#published = undefined
    this.#candidates.clear()
    this.#versions.clear()
  }

  #findWake(now: number): void {
    let wakeAt = Infinity
    for (const { upSince, life, isEnded, endsAt } of this.#known.values()) {
      if (upSince !== undefined && upSince + SETTLED_MS > now) wakeAt = Math.min(wakeAt, upSince + SETTLED_MS)
      if (life === undefined && !isEnded) wakeAt = Math.min(wakeAt, endsAt)
    }
    this.#wakeAt = wakeAt
  }

  /** Forgets lives whose tombstones are gone, and processes that had no other. */
  #collect(): void {
    for (const [process, pretenders] of this.#pretenders) {
      for (const nodeId of pretenders) if (!this.#table?.get(nodeId)) pretenders.delete(nodeId)
      if (pretenders.size === 0) this.#pretenders.delete(process)
    }
    const gone = new Set<ProcessId>()
    for (const [nodeId, process] of this.#processes) {
      if (this.#table?.get(nodeId)) continue
      this.#processes.delete(nodeId)
      if (this.#known.get(process)?.isEnded) gone.add(process)
    }
    if (gone.size === 0) return
    const left = new Set(this.#processes.values())
    for (const process of gone) if (!left.has(process)) this.#known.delete(process)
  }
}

/** Of two lives of one process that are not over, the one that is up, or else the newer one. */
function isNewer(table: MembershipTable | undefined, nodeId: NodeId, than: NodeId): boolean {
  const [one, other] = [table?.get(nodeId), table?.get(than)]
  if (!one || !other || other.status === 'removed') return true
  if (one.status !== other.status) return one.status === 'up'
  return one.parts.generation > other.parts.generation
}
