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
 * known by their stamps.
 */
import type { ProcessId } from '../identity/node-id.ts'
import type { PartitionId } from '../partition/partition.ts'
import type { Now } from '../time.ts'
import type { Fork, Relation } from './fork.ts'
import { changeFor, groupOf, isDeletedThere, MAX_OTHERS, relate } from './fork.ts'
import type { KeyContent } from './held-partition.ts'
import type { KeyChange } from './key-contents.ts'
import type { CopiedItem, StrayItem } from './messages.ts'
import type { Part, Workshop } from './part.ts'

/** A stray that is on its way here. */
export interface Visit {
  readonly from: ProcessId
  readonly attempt: number
  /** The newest part; and whether its keys were looked at under the present right. */
  item: StrayItem
  isLookedAt: boolean
  isAnswered: boolean
  isFull: boolean
  /** Keys of all parts: what is missing at last was deleted there. */
  readonly seen: Set<string>
  /** Keys whose grains have to end first. */
  readonly waiting: Map<string, KeyContent>
  /** Of the last change that follows from it. */
  number: number
  expiresAt: number
}

export interface VisitsOptions {
  readonly append: (part: Part, key: string, change: KeyChange, now: Now) => number
  /** Its grain is active here: nothing must change about it. */
  readonly isBusy: (partition: PartitionId, key: string) => boolean
  /** It is to end, and then `take` to be called. */
  readonly free: (partition: PartitionId, key: string) => void
  /** What is kept of the key has changed, by no call. */
  readonly onTaken: (partition: PartitionId, key: string) => void
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
    part.visits.set(from, newVisit(from, item, now))
    return true
  }

  /** The right has ended. What was looked at is looked at again under the next. */
  end(part: Part): void {
    for (const visit of part.visits.values()) {
      visit.isLookedAt = false
      visit.waiting.clear()
    }
  }

  /** To be called when the partition is looked at; returns when to do so again. */
  look(part: Part, now: Now): number {
    let due = Infinity
    for (const visit of part.visits.values()) {
      if (part.hasRight && !visit.isLookedAt && !visit.isAnswered) this.#lookAt(part, visit, now)
      if (part.hasRight) this.#answer(part, visit, now)
      if (now.mono >= visit.expiresAt) part.visits.delete(visit.from)
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
      visit.item = item
      visit.isLookedAt = visit.isAnswered = false
    } else this.#say(part, visit.from, item, 'again')
    return true
  }

  #lookAt(part: Part, visit: Visit, now: Now): void {
    const { item, seen } = visit
    const relation = relationOf(part, item)
    visit.isLookedAt = true
    visit.isFull = false
    for (const content of item.entries) {
      seen.add(content.key)
      this.#take(part, visit, content, relation, now)
    }
    if (!item.isLast) return
    for (const key of part.copy!.keys())
      if (!seen.has(key)) this.#take(part, visit, { key, ...NO_STAMP, contents: undefined }, relation, now)
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
    if (isTooMuch || (growth > 0 && bytes() + growth > tuning.stateBytes)) {
      visit.isFull = true
      return
    }
    visit.number = append(part, key, change, now)
    onTaken(part.id, key)
  }

  #changeFor(
    part: Part,
    visit: Visit,
    theirs: KeyContent,
    relation: Relation | undefined,
  ): KeyChange | undefined {
    const ours = part.copy!.contentOf(theirs.key)
    if (theirs.number === 0) return isDeletedThere(ours, relation) ? DELETE : undefined
    return changeFor(ours, theirs, relation, groupOf(visit.item.forks, theirs) ?? visit.from)
  }

  #answer(part: Part, visit: Visit, now: Now): void {
    const { item, isLookedAt, isAnswered, isFull, waiting, number, from } = visit
    if (isAnswered || !isLookedAt || waiting.size > 0 || part.copy!.acked < number) return
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

function relationOf({ copy, group }: Part, { born, forks }: StrayItem): Relation | undefined {
  if (copy!.born !== born) return undefined
  return relate(forksOf(copy!.forks, group), forks)
}

/** A history that has only ever been under one council is told by that. */
export const forksOf = (forks: readonly Fork[], group: string | undefined): readonly Fork[] =>
  forks.length > 0 || group === undefined ? forks : [{ group, ...NO_STAMP }]

const NO_STAMP = { epoch: 0, number: 0 }
const DELETE: KeyChange = { state: null, records: [], drops: [] }

const newVisit = (from: ProcessId, item: StrayItem, now: Now): Visit => ({
  from,
  attempt: item.attempt,
  item,
  isLookedAt: false,
  isAnswered: false,
  isFull: false,
  seen: new Set(),
  waiting: new Map(),
  number: 0,
  expiresAt: now.mono + KEEP_MS,
})
