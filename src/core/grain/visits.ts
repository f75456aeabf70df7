/**
 * Visits: the owner's side of strays. What a council that was given up had of a partition comes in parts, and each of
 * its keys is held against what is here: `fork.ts`. What is to be taken becomes a change of the owner's own; where both
 * sides have changed a state, the other one is kept beside this one until the next activation has both. A part is
 * answered once everybody in sync has stored what follows from it.
 *
 * It needs the right to run the partition: who cannot know whether it still owns must not say that it has something. So
 * the partition is awake as long as there are visits. And a grain that is active has the state in its memory: its
 * activation ends first, and begins again after that (`Activations.free`).
 *
 * A stray comes from whoever kept it, perhaps from several, and every part may come again: changes that were taken are
 * known by their stamps. A key remembers that as long as there is something of it (`others`), from the moment that it
 * was taken. But a copy on disk may come back when the key was cleared long ago, and after the one that it was taken up
 * by: so once all of such a copy was looked at, that is noted for the partition as a whole (`takenOf`), with what the
 * copy itself had taken up. What a key has only taken itself gives way to what goes on from that (`Part.taken`).
 */
import type { ProcessId } from '../identity/node-id.ts'
import type { PartitionId, Stamp } from '../partition/partition.ts'
import type { Now } from '../time.ts'
import { slotOf } from '../partition/partition.ts'
import type { TenureStart, Relation } from './fork.ts'
import {
  BEHIND,
  changeFor,
  goesOn,
  isChanged,
  isDeletedThere,
  MAX_OTHERS,
  relate,
  stateStampOf,
  tenureOf,
} from './fork.ts'
import type { KeyContent } from './held-partition.ts'
import { weigh } from './held-partition.ts'
import type { KeyChange } from './key-contents.ts'
import type { CopiedItem, Origin, Source, StrayItem } from './messages.ts'
import type { Part, Workshop } from './part.ts'
import { encodeTaken, isKnownTo, originsOf, takenKeyOf, takenOf } from './stored-copy.ts'

/** A stray that is on its way here. */
export interface Visit {
  readonly from: ProcessId
  readonly attempt: number
  /** The newest part; and whether its keys were looked at under the present right. */
  item: StrayItem
  /** Of that part and of `seen`, about. */
  bytes: number
  seenBytes: number
  isLookedAt: boolean
  isAnswered: boolean
  isFull: boolean
  isNoted: boolean
  /** Keys of all parts: what is missing at last was deleted there. */
  readonly seen: Set<string>
  /** Keys whose grains have to end first. */
  readonly waiting: Map<string, KeyContent>
  /** Of the last change that follows from it. */
  number: number
  expiresAt: number
}

/** A key that was taken: by which change here, and which one that was where it came from. */
export interface Taken extends Stamp {
  readonly here: number
  readonly born: number
  readonly tenures: readonly TenureStart[]
}

export interface VisitsOptions {
  readonly append: (part: Part, key: string, change: KeyChange, now: Now) => number
  /** Its grain is active here: nothing must change about it. */
  readonly isBusy: (partition: PartitionId, key: string) => boolean
  /** It is to end, and then `take` to be called. */
  readonly free: (partition: PartitionId, key: string) => void
  /** What is kept of the key has changed, by no call. */
  readonly onTaken: (partition: PartitionId, key: string) => void
  /** All of what this process has offered to itself was looked at, or there is no room for it. */
  readonly onOwnSeen: (partition: PartitionId, attempt: number) => void
  /** All of a copy that was on disk was looked at. `isNew`: it had something that was not known here. */
  readonly onSource: (
    partition: PartitionId,
    source: Source,
    origins: readonly Origin[],
    isNew: boolean,
    now: Now,
  ) => void
}

/** A keeper that has gone leaves its visit behind for so long, in ms. It tries again after 13 s at most. */
const KEEP_MS = 20_000
/** The last answer may get lost; one that comes again later begins anew. */
const LINGER_MS = 1_000
/** Visits of one partition. */
const MAX_VISITS = 8

export class Visits {
  readonly #shop: Workshop
  readonly #options: VisitsOptions
  /** Of all parts that wait here, about. They have as much room as copies have, and none of theirs. */
  #bytes = 0

  constructor(shop: Workshop, options: VisitsOptions) {
    this.#shop = shop
    this.#options = options
  }

  /** Returns whether the partition has to be awake for it. */
  onStray(from: ProcessId, part: Part, item: StrayItem, now: Now): boolean {
    const { mail, askMap, touch } = this.#shop
    const epoch = part.entry?.epoch ?? 0
    if (item.epoch > epoch) askMap(part, now)
    if (!part.tenure) {
      if (item.epoch < epoch) mail.put(from, 'stale', { partition: part.id, epoch })
      return false
    }
    touch(part)
    const known = part.visits.get(from)
    if (known?.attempt === item.attempt) return this.#goOn(part, known, item, now)
    if (item.index > 0) {
      this.#say(part, from, item, 'again')
      return false
    }
    if (!known && part.visits.size >= MAX_VISITS) return false
    const visit = newVisit(from, item, now)
    if (!this.#makeRoom(visit, item, known?.bytes)) {
      this.#say(part, from, item, 'full')
      return false
    }
    part.visits.set(from, visit)
    return true
  }

  /** Nothing is taken in here any more of what is on its way. */
  clear(part: Part): void {
    for (const visit of part.visits.values()) this.#forget(part, visit)
  }

  /** The right has ended. What was looked at is looked at again under the next. */
  end(part: Part): void {
    for (const visit of part.visits.values()) {
      visit.isLookedAt = visit.isNoted = false
      visit.waiting.clear()
    }
  }

  /** To be called when the partition is looked at; returns when to do so again. */
  look(part: Part, now: Now): number {
    let due = Infinity
    for (const visit of part.visits.values()) {
      if (part.hasRight && !visit.isLookedAt && !visit.isAnswered) this.#lookAt(part, visit, now)
      if (part.hasRight) {
        // Its grain may have ended otherwise than by `free`.
        for (const key of visit.waiting.keys())
          if (!this.#options.isBusy(part.id, key)) this.take(part, key, now)
        this.#answer(part, visit, now)
      }
      if (now.mono >= visit.expiresAt) this.#forget(part, visit)
      else due = Math.min(due, visit.expiresAt)
    }
    return due
  }

  /** The grain of a key has ended: what waits for that is taken now. */
  take(part: Part, key: string, now: Now): void {
    for (const visit of part.visits.values()) {
      const content = visit.waiting.get(key)
      if (!content) continue
      visit.waiting.delete(key)
      this.#take(part, visit, content, relationOf(part, visit.item), now)
      this.#shop.touch(part)
    }
  }

  #goOn(part: Part, visit: Visit, item: StrayItem, now: Now): boolean {
    visit.expiresAt = now.mono + KEEP_MS
    if (item.index === visit.item.index) {
      if (visit.isFull) visit.isLookedAt = visit.isAnswered = false
      else if (visit.isAnswered) this.#say(part, visit.from, item, 'part')
    } else if (item.index === visit.item.index + 1 && visit.isAnswered) {
      if (!this.#makeRoom(visit, item, visit.bytes)) {
        this.#say(part, visit.from, item, 'full')
        return true
      }
      visit.item = item
      visit.isLookedAt = visit.isAnswered = false
    } else this.#say(part, visit.from, item, 'again')
    return true
  }

  /**
   * For a part, in place of what took so many bytes before. What this process offers to itself is here anyway; and
   * where nothing else waits there is always room.
   */
  #makeRoom(visit: Visit, { entries }: StrayItem, before = 0): boolean {
    if (visit.from === this.#shop.own) return true
    const bytes = entries.reduce((sum, { key, contents }) => sum + weigh(key, contents), visit.seenBytes)
    const others = this.#bytes - before
    const isAlone = others + visit.seenBytes === 0
    if (!isAlone && others + bytes > this.#shop.tuning.stateBytes) return false
    this.#bytes = others + bytes
    visit.bytes = bytes
    for (const { key } of entries) visit.seenBytes += weigh(key, undefined)
    return true
  }

  #forget(part: Part, visit: Visit): void {
    part.visits.delete(visit.from)
    this.#bytes -= visit.bytes
  }

  #lookAt(part: Part, visit: Visit, now: Now): void {
    const { item, seen } = visit
    const relation = relationOf(part, item)
    visit.isLookedAt = true
    visit.isFull = false
    for (const content of item.entries) {
      seen.add(content.key)
      if (isOf(part, content.key)) this.#take(part, visit, content, relation, now)
    }
    if (item.isLast)
      for (const key of part.copy!.keys())
        if (!seen.has(key) && isOf(part, key))
          this.#take(part, visit, { key, ...NO_STAMP, contents: undefined }, relation, now)
    if (visit.from === this.#shop.own && (item.isLast || visit.isFull))
      this.#options.onOwnSeen(part.id, item.attempt)
  }

  #take(part: Part, visit: Visit, theirs: KeyContent, relation: Relation | undefined, now: Now): void {
    const { key } = theirs
    const { append, isBusy, free, onTaken } = this.#options
    const change = this.#changeFor(part, visit, theirs, relation)
    if (!change) return
    if (isBusy(part.id, key)) {
      visit.waiting.set(key, theirs)
      return free(part.id, key)
    }
    const { bytes, tuning } = this.#shop
    const growth = part.copy!.growthOf(key, change)
    const isTooMuch = (change.others?.length ?? 0) > MAX_OTHERS
    if (isTooMuch || (growth > 0 && bytes(part) + growth > tuning.stateBytes)) {
      visit.isFull = true
      return
    }
    visit.number = append(part, key, change, now)
    const { born, tenures } = visit.item
    if (change.state) part.taken.set(key, { here: visit.number, ...stateStampOf(theirs), born, tenures })
    onTaken(part.id, key)
  }

  #changeFor(
    part: Part,
    visit: Visit,
    theirs: KeyContent,
    relation: Relation | undefined,
  ): KeyChange | undefined {
    const { born, tenures, source } = visit.item
    const ours = part.copy!.contentOf(theirs.key)
    const isMissing = theirs.number === 0
    // A copy that was on disk may have ended before a key was made.
    const last = isMissing ? source : stateStampOf(theirs)
    const taken = part.taken.get(theirs.key)
    const between =
      taken?.born === born && taken.here === stateStampOf(ours).number
        ? relate(taken.tenures, tenures)
        : undefined
    const isLater = between && last && goesOn(last, taken!, between)
    if (isLater === false) return undefined
    const basis = isLater ? BEHIND : relation
    if (isMissing) {
      const isAfter = !isLater && source && (ours.number > source.number || ours.epoch > source.epoch)
      return !isAfter && isDeletedThere(ours, basis) ? DELETE : undefined
    }
    const tenure = tenureOf(tenures, theirs)
    if (tenure && isKnownTo(takenOf(part.id, part.copy), { ...theirs, group: tenure.group, born }))
      return undefined
    return changeFor(ours, theirs, basis, tenure ?? { group: visit.from, epoch: theirs.epoch })
  }

  /** What was taken up of a copy on disk is not taken up again, whoever comes with it, and whatever became of it here. */
  #note(part: Part, visit: Visit, source: Source, now: Now): void {
    const { born, tenures } = visit.item
    const origins = originsOf(born, tenures, source)
    const taken = takenOf(part.id, part.copy)
    const relation = relationOf(part, visit.item)
    const isNew =
      !isKnownTo(taken, origins[0]!) && (!relation || isChanged(source, relation.theirs, relation.ours))
    visit.isNoted = true
    if (isNew) {
      const state = encodeTaken([...origins, ...source.taken, ...taken])
      visit.number = this.#options.append(part, takenKeyOf(part.id), { state, records: [], drops: [] }, now)
    }
    this.#options.onSource(part.id, source, origins, isNew, now)
  }

  #answer(part: Part, visit: Visit, now: Now): void {
    const { item, isLookedAt, isAnswered, isFull, waiting, from } = visit
    if (isAnswered || !isLookedAt || waiting.size > 0) return
    if (item.source && !isFull && !visit.isNoted) this.#note(part, visit, item.source, now)
    if (part.copy!.acked < visit.number) return
    visit.isAnswered = true
    if (item.isLast && !isFull) visit.expiresAt = now.mono + LINGER_MS
    this.#say(part, from, item, isFull ? 'full' : 'part')
  }

  #say(part: Part, to: ProcessId, { attempt, index, isLast }: StrayItem, said: CopiedItem['result']): void {
    const result = said === 'part' && isLast ? 'whole' : said
    this.#shop.mail.put(to, 'strayed', {
      partition: part.id,
      epoch: part.entry!.epoch,
      attempt,
      index,
      result,
    })
  }
}

const relationOf = ({ copy }: Part, { born, tenures }: StrayItem): Relation | undefined =>
  copy!.born === born ? relate(copy!.tenures, tenures) : undefined

/** What comes from elsewhere may be anything; and what is noted of the partition is no key of a grain. */
const isOf = ({ kind, slot }: Part, key: string): boolean => slotOf(kind, key) === slot

const NO_STAMP = { epoch: 0, number: 0 }
const DELETE: KeyChange = { state: null, records: [], drops: [] }

const newVisit = (from: ProcessId, item: StrayItem, now: Now): Visit => ({
  from,
  attempt: item.attempt,
  item,
  bytes: 0,
  seenBytes: 0,
  isLookedAt: false,
  isAnswered: false,
  isFull: false,
  isNoted: false,
  seen: new Set(),
  waiting: new Map(),
  number: 0,
  expiresAt: now.mono + KEEP_MS,
})
