/**
 * Gossip: keeps the tables of all members equal.
 *
 * - *Eager*: a change is forwarded, after a few ms of gathering, to every neighbour that is not known to have it: not
 *   to the one it came from, nor to those that one is linked to itself.
 * - *Lazy*: status frames with hashes. A mismatch that outlives quiet periods starts a comparison, see `repair.ts`.
 * - A range that starts after what is known here is a gap: the missing range is asked for at once.
 */
import type { LinkId } from '../events.ts'
import type { NodeId } from '../identity/node-id.ts'
import { compareNodeIds } from '../identity/node-id.ts'
import type { LoggedChange } from '../membership/change-log.ts'
import { LOCAL } from '../membership/change-log.ts'
import { chunkRanges, rangeOf } from '../membership/digest.ts'
import type { Accusation } from '../membership/record.ts'
import type { Memory } from './memory.ts'
import type { MembershipTable } from '../membership/table.ts'
import type { Outbox } from '../outbox.ts'
import type { Random } from '../time.ts'
import type { Tuning } from '../tuning.ts'
import { encodeAlone } from '../wire/codec.ts'
import type { Frame, MissingRange, OriginRange } from '../wire/frames.ts'
import { coveredBy, isFull } from './bitmap.ts'
import { Convergence } from './convergence.ts'
import type { Neighbour, StatusFrame } from './neighbour.ts'
import { callsForSync, createNeighbour, trackMismatch } from './neighbour.ts'
import { Pace } from './pace.ts'
import { CHUNK_BYTES, Repair } from './repair.ts'
import type { Introduction } from './repair.ts'

/** Frames that members exchange once their handshake is done. */
export type GossipFrame = Extract<
  Frame,
  { kind: 'buckets' | 'digest' | 'recall' | 'delta' | 'missing' | 'status' }
>

/** Tables up to this size say all they know in the handshake, which saves a round trip. */
export const SMALL_TABLE = 16

/** Changes kept after all neighbours were told, for those that are in the middle of a handshake. */
const KEPT_CHANGES = 512
/**
 * Status frames that news call for are this far apart at least, and each further one waits twice as long until views
 * have stood still: it only passes on what others answered. In a full mesh the first for a view never waits: everybody
 * hears it from everybody, and waiting is all that a newcomer would get.
 */
const EAGER_STATUS_MS = 25
const MAX_EAGER_MS = 200

/** What this member said in its own hello. */
export interface Greeting {
  /** It listed all it knew. */
  readonly saidAll: boolean
  /** Where its change log stood then: what came later, the neighbour cannot know of. */
  readonly revision: number
}

export interface GossipOptions {
  readonly table: MembershipTable
  readonly outbox: Outbox
  readonly random: Random
  readonly tuning: Tuning
  /** Up to this many others form a full mesh. */
  readonly maxLinks: number
  readonly memory: Memory
  /** Others say this about the member itself. */
  readonly onAccused: (accusation: Accusation, now: number) => void
}

export class Gossip {
  readonly convergence: Convergence
  readonly #table: MembershipTable
  readonly #outbox: Outbox
  readonly #random: Random
  readonly #tuning: Tuning
  readonly #maxLinks: number
  readonly #memory: Memory
  readonly #onAccused: GossipOptions['onAccused']
  readonly #neighbours = new Map<LinkId, Neighbour>()
  readonly #repair: Repair
  #flushAt: number | undefined
  readonly #pace = new Pace()
  #statusAt: number | undefined
  /** Status frames are due because of news. */
  #eagerAt: number | undefined
  #lastEager = -Infinity
  #eagerGap = EAGER_STATUS_MS
  /** The view that the last of them was about. */
  #eagerEpoch = -1
  #seenRevision = 0
  #tableBytes = 0
  /** Something that the gossip state depends on has changed. */
  #dirty = true

  constructor({ table, outbox, random, tuning, maxLinks, memory, onAccused }: GossipOptions) {
    this.#table = table
    this.#outbox = outbox
    this.#random = random
    this.#tuning = tuning
    this.#maxLinks = maxLinks
    this.#memory = memory
    this.#onAccused = onAccused
    this.convergence = new Convergence(table)
    const onChange = (): void => void (this.#dirty = true)
    this.#repair = new Repair({ table, outbox, memory, onAccused, onChange })
  }

  /** Bytes of table content, digests included, that neighbours have sent. */
  get tableBytes(): number {
    return this.#tableBytes
  }

  /** Whether a neighbour has confirmed something that an earlier life remembered. */
  get hasRecalled(): boolean {
    return this.#repair.hasRecalled
  }

  /** A neighbour introduced itself and was accepted. */
  introduced(linkId: LinkId, nodeId: NodeId, hello: Introduction, greeted: Greeting, now: number): void {
    const neighbour = createNeighbour(linkId, nodeId, greeted.revision, now)
    this.#neighbours.set(linkId, neighbour)
    this.#repair.begin(neighbour, hello, greeted.saidAll, now)
    this.#hasNews(now)
    this.#statusAt ??= now + this.#statusPeriod()
  }

  parted(linkId: LinkId, now: number): void {
    if (this.#memory.withdraw(linkId)) this.#compareWithOne(linkId, now)
    const neighbour = this.#neighbours.get(linkId)
    if (!neighbour) return
    this.#neighbours.delete(linkId)
    this.#repair.end(neighbour)
    this.#dirty = true
    if (this.#neighbours.size === 0) this.#statusAt = undefined
  }

  receive(linkId: LinkId, frame: GossipFrame, size: number, now: number): void {
    const neighbour = this.#neighbours.get(linkId)
    if (!neighbour) return
    if (frame.kind !== 'status') this.#tableBytes += size
    switch (frame.kind) {
      case 'delta':
        return this.#onDelta(neighbour, frame.ranges, now)
      case 'missing':
        return this.#repair.onMissing(neighbour, frame.ranges)
      case 'buckets':
        return this.#repair.onBuckets(neighbour, frame.buckets)
      case 'recall':
        if (this.#repair.onRecall(neighbour, frame.confirmed, now)) this.#compareWithOne(linkId, now)
        return
      case 'digest':
        return this.#repair.onDigest(neighbour, frame.mask, frame.entries, now)
      case 'status':
        return this.#onStatus(neighbour, frame, now)
    }
  }

  /** Answers, and looks at what this turn changed in the table. To be called at the end of every turn. */
  settle(now: number): void {
    this.#repair.settle()
    const { revision } = this.#table.log
    if (revision !== this.#seenRevision) {
      this.#seenRevision = revision
      if (this.#neighbours.size === 0) this.#table.log.forget(revision - KEPT_CHANGES)
      else this.#flushAt ??= this.#pace.next(now, this.#tuning.gossipDebounceMs)
    }
    if (this.convergence.notice(now, this.#neighbours.values())) {
      this.#dirty = true
      // While one change chases the next, nobody can confirm anything: the gap grows on.
      if (now - this.#lastEager > 2 * this.#eagerGap) this.#eagerGap = EAGER_STATUS_MS
      this.#hasNews(now)
    }
    if (!this.#dirty) return
    this.#dirty = false
    if (!this.convergence.settle(now, this.#repair.isUnderWay, this.#neighbours.values())) return
    const { state, viewHash, durationMs } = this.convergence
    const took = state === 'confirmed' && durationMs !== undefined ? { durationMs } : {}
    this.#outbox.event({ type: 'convergence', state, viewHash, ...took })
  }

  /** The life is over: what the table still takes in on the way out, nobody confirms any more. */
  end(): void {
    if (!this.convergence.lapse()) return
    const { state, viewHash } = this.convergence
    this.#outbox.event({ type: 'convergence', state, viewHash })
  }

  tick(now: number): void {
    if (this.#flushAt !== undefined && now >= this.#flushAt) this.flush(now)
    if (this.#statusAt !== undefined && now >= this.#statusAt) {
      this.#sendStatus(this.#neighbours.values())
      this.#statusAt = now + this.#statusPeriod()
    }
    if (this.#eagerAt !== undefined && now >= this.#eagerAt) this.#tellNews(now)
    this.#repair.tick(now)
  }

  nextDeadline(): number | undefined {
    let next = Math.min(this.#flushAt ?? Infinity, this.#repair.nextDeadline())
    if (this.#statusAt !== undefined) next = Math.min(next, this.#statusAt)
    if (this.#eagerAt !== undefined) next = Math.min(next, this.#eagerAt)
    return next === Infinity ? undefined : next
  }

  /** Sends every neighbour what it has not been told, at once. */
  flush(now: number): void {
    this.#flushAt = undefined
    this.#pace.took(now)
    const { log } = this.#table
    const encoded: Encoded[] = []
    for (const neighbour of this.#neighbours.values()) {
      const changes = log.since(neighbour.told)
      neighbour.told = log.revision
      if (!changes) this.#repair.start(neighbour, now)
      else if (changes.length > 0) this.#forward(neighbour, changes, encoded)
    }
    log.forget(log.revision - KEPT_CHANGES)
  }

  #onDelta(neighbour: Neighbour, ranges: readonly OriginRange[], now: number): void {
    const missing: MissingRange[] = []
    let refused: string | undefined
    this.#repair.answered(neighbour)
    for (const range of ranges) {
      const result = this.#table.apply(range, neighbour.linkId, now, 'gossip')
      if (result.accused) this.#onAccused(result.accused, now)
      refused ??= result.refused
      if (result.missingFrom === undefined) continue
      missing.push({ nodeId: range.nodeId, from: result.missingFrom })
      const { nodeId, from } = range
      this.#outbox.event({ type: 'gap', nodeId, known: result.missingFrom, from })
    }
    if (refused) this.#outbox.event({ type: 'frame-rejected', nodeId: neighbour.nodeId, reason: refused })
    this.#repair.ask(neighbour, missing, now)
  }

  #onStatus(neighbour: Neighbour, frame: StatusFrame, now: number): void {
    const { convergence } = this
    const { epoch } = convergence
    trackMismatch(neighbour, frame, this.#table.hash, now)
    const { viewHi, viewLo, published } = frame
    const before = neighbour.published
    // Most statuses say what the one before said: the state is worked out again where one says something else.
    if (before?.viewHi !== viewHi || before.viewLo !== viewLo || before.epoch !== epoch) this.#dirty = true
    neighbour.published = { viewHi, viewLo, bits: published, epoch }
    // One of both sides starts; the other only where the first did not, one period later.
    const turn = compareNodeIds(this.#table.own, neighbour.nodeId) < 0 ? 0 : 1
    if (now >= neighbour.repairUntil && callsForSync(neighbour, this.#tuning, turn, now)) {
      neighbour.mismatchSince = undefined
      this.#repair.start(neighbour, now)
    }
    if (!convergence.join(neighbour.published)) return
    this.#dirty = true
    this.#hasNews(now)
  }

  /** The offered memory came to nothing: any neighbour can tell what the table lacks. */
  #compareWithOne(except: LinkId, now: number): void {
    for (const neighbour of this.#neighbours.values()) {
      if (neighbour.linkId === except) continue
      this.#repair.start(neighbour, now)
      return
    }
  }

  /** Neighbours that lack the same changes share one encoding. */
  #forward(neighbour: Neighbour, changes: readonly LoggedChange[], encoded: Encoded[]): void {
    const lacking = changes.filter((change) => !this.#isReached(neighbour, change))
    if (lacking.length === 0) return
    let shared = encoded.find(({ changes: others }) => areSame(others, lacking))
    if (!shared) {
      shared = { changes: lacking, frames: this.#encodeChanges(lacking) }
      encoded.push(shared)
    }
    for (const frame of shared.frames) this.#outbox.bytes(neighbour.linkId, frame, 'control')
  }

  #encodeChanges(changes: readonly LoggedChange[]): Uint8Array[] {
    const starts = new Map<NodeId, number>()
    for (const { nodeId, from } of changes) starts.set(nodeId, Math.min(from, starts.get(nodeId) ?? Infinity))
    const ranges: OriginRange[] = []
    for (const [nodeId, from] of starts) {
      const record = this.#table.get(nodeId)
      if (record) ranges.push(rangeOf(record, from))
    }
    return chunkRanges(ranges, CHUNK_BYTES).map((chunk) => encodeAlone({ kind: 'delta', ranges: chunk }))
  }

  /**
   * Whether a change reaches the neighbour without us: it brought the change, or, in a full mesh, the member that
   * brought it is linked to the neighbour and so tells it itself. Links are known with a delay; what this misses, a
   * sync repairs. A refutation is not left to that: whoever is accused may have links that carry nothing. Above a full
   * mesh links come and go, and few triangles would be saved.
   */
  #isReached(neighbour: Neighbour, { via, alsoVia, isRefutation }: LoggedChange): boolean {
    if (via === LOCAL) return false
    if (via === neighbour.linkId || alsoVia.has(neighbour.linkId)) return true
    if (isRefutation || !this.#isFullMesh) return false
    const bringer = this.#neighbours.get(via)
    const short = this.#table.get(neighbour.nodeId)?.short
    if (!bringer || short === undefined) return false
    return this.#table.get(bringer.nodeId)?.links.has(short) ?? false
  }

  get #isFullMesh(): boolean {
    return this.#table.live().length <= this.#maxLinks + 1
  }

  #lacksStatus(neighbour: Neighbour): boolean {
    const { epoch, bits } = this.convergence
    if (neighbour.sentEpoch !== epoch) return true
    const { published } = neighbour
    const theirs = published && this.convergence.matches(published) ? published.bits : undefined
    if (coveredBy(bits, theirs, neighbour.sentBits)) return false
    const links = this.#table.get(neighbour.nodeId)?.links.size ?? 0
    return links < this.#table.live().length - 1
  }

  /** Status frames go out with the next flush, but not too often; that all hold the view is the last word on it. */
  #hasNews(now: number): void {
    const soon = now + this.#tuning.gossipDebounceMs
    const { bits, epoch } = this.convergence
    const isLastWord = isFull(bits, this.#table.live().length)
    const isFirst = this.#isFullMesh && epoch !== this.#eagerEpoch
    const due = isLastWord || isFirst ? soon : Math.max(soon, this.#lastEager + this.#eagerGap)
    this.#eagerAt = Math.min(this.#eagerAt ?? Infinity, due)
  }

  #tellNews(now: number): void {
    this.#eagerAt = undefined
    this.#lastEager = now
    this.#eagerEpoch = this.convergence.epoch
    this.#eagerGap = Math.min(this.#eagerGap * 2, MAX_EAGER_MS)
    const lacking: Neighbour[] = []
    for (const neighbour of this.#neighbours.values())
      if (this.#lacksStatus(neighbour)) lacking.push(neighbour)
    this.#sendStatus(lacking)
  }

  #sendStatus(neighbours: Iterable<Neighbour>): void {
    // The view that the bits stand for: the table may have moved on within this turn.
    const { epoch, bits, viewHi, viewLo } = this.convergence
    const { content } = this.#table.hash
    let encoded: Uint8Array | undefined
    const sentBits = bits.slice()
    for (const neighbour of neighbours) {
      encoded ??= encodeAlone({ kind: 'status', viewHi, viewLo, content, published: bits })
      neighbour.sentEpoch = epoch
      neighbour.sentBits = sentBits
      this.#outbox.bytes(neighbour.linkId, encoded, 'control')
    }
  }

  #statusPeriod(): number {
    return this.#tuning.statusIntervalMs * (0.75 + this.#random() / 2)
  }
}

/** Changes, and the frames that tell them. */
interface Encoded {
  readonly changes: readonly LoggedChange[]
  readonly frames: readonly Uint8Array[]
}

const areSame = (a: readonly LoggedChange[], b: readonly LoggedChange[]): boolean =>
  a.length === b.length && a.every((change, i) => change === b[i])
