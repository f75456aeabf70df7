/**
 * Strays: copies of a history that is not followed any more, as what was on disk when the room was founded anew. They
 * are offered to the owner of their partition, a part at a time, until it has looked at all of it. It takes over keys
 * that it has nothing of, as ordinary changes with their call records, and leaves the others as they are; but what it
 * has only taken over itself gives way to what is newer of the same history.
 */
import type { ProcessId } from '../identity/node-id.ts'
import type { MapEntry, PartitionId } from '../partition/partition.ts'
import { parsePartition, slotOf } from '../partition/partition.ts'
import type { Now } from '../time.ts'
import type { HeldPartition, KeyContent } from './held-partition.ts'
import type { KeyChange, KeyContents } from './key-contents.ts'
import type { HoldingMessage, Origin, Source, StrayedItem, StrayItem } from './messages.ts'
import { encodeTaken, isKnownTo, takenKeyOf, takenOf } from './stored-copy.ts'

export interface StraysOptions {
  readonly own: ProcessId
  readonly entryOf: (partition: PartitionId) => MapEntry | undefined
  /** This process may run its handlers now, or would but for what is owed here. */
  readonly mayRun: (partition: PartitionId, now: Now) => boolean
  readonly wake: (partition: PartitionId, now: Now) => void
  /** Nothing is to be done here any more. */
  readonly rest: (partition: PartitionId, now: Now) => void
  readonly copyOf: (partition: PartitionId) => HeldPartition | undefined
  readonly append: (
    partition: PartitionId,
    key: string,
    change: KeyChange,
    now: Now,
  ) => number | 'not-owner' | 'state-limit'
  /** Of the partition's changes, everybody in sync has those up to there. */
  readonly storedUpTo: (partition: PartitionId) => number
  readonly send: (to: ProcessId, message: HoldingMessage) => void
  /** A key has contents that no handler gave it. */
  readonly onTaken: (partition: PartitionId, key: string, now: Now) => void
  /** This owner has looked at the whole of a copy; `isNew`: that is of a history, or a part of it, not seen before. */
  readonly onSeen: (partition: PartitionId, source: Source, isNew: boolean, now: Now) => void
  /** The owner has looked at the whole of a copy that this process kept. */
  readonly onSettled: (partition: PartitionId, copy: HeldPartition, now: Now) => void
}

/** One that is offered. */
interface Kept {
  readonly partition: PartitionId
  readonly copy: HeldPartition
  readonly attempt: number
  readonly keys: string[]
  index: number
  item: StrayItem | undefined
  to: ProcessId | undefined
  askAt: number
  askedTimes: number
  /** This process owns the partition, and has looked at all of it. */
  isTaken: boolean
}

interface Restored {
  readonly number: number
  readonly origin: Origin
}

interface Offer {
  readonly from: ProcessId
  readonly item: StrayItem
}

const PART_BYTES = 48 * 1024
/** An offer without an answer is repeated, later and later. */
const ASK_AGAIN_MS = 1_000
const MOST_WAITS = 6
/** Offers for one partition that wait here. */
const MAX_OFFERS = 64

export class Strays {
  readonly #options: StraysOptions
  readonly #kept = new Map<PartitionId, Kept[]>()
  /** What came and waits for the right to run. */
  readonly #offers = new Map<PartitionId, Offer[]>()
  /** What was looked at, and is answered once the partition is stored up to a number. */
  readonly #answers = new Map<PartitionId, (Offer & { readonly number: number })[]>()
  /** Of keys that this owner has taken over: their changes, and from which history. */
  readonly #restored = new Map<PartitionId, Map<string, Restored>>()
  #attempts = 0
  #dueAt = Infinity

  constructor(options: StraysOptions) {
    this.#options = options
  }

  /** Offers a copy. `fork`: where it parted from the present history; unknown of what was on disk. */
  keep(partition: PartitionId, copy: HeldPartition, _fork: undefined, now: Now): void {
    const attempt = ++this.#attempts
    const keys = [...copy.keys()].filter((key) => key !== takenKeyOf(partition))
    const kept: Kept = {
      partition,
      copy,
      attempt,
      keys,
      index: 0,
      item: undefined,
      to: undefined,
      askAt: Infinity,
      askedTimes: 0,
      isTaken: false,
    }
    const others = this.#kept.get(partition)
    if (others) others.push(kept)
    else this.#kept.set(partition, [kept])
    this.#offer(kept, now)
  }

  /** Nothing of the partition may be run here before this process has looked at what it has itself, or what came. */
  isOwed(partition: PartitionId): boolean {
    if (this.#offers.has(partition)) return true
    const kept = this.#kept.get(partition)
    return kept?.some(({ to, isTaken }) => to === this.#options.own && !isTaken) ?? false
  }

  onEntry(partition: PartitionId, now: Now): void {
    const { own, entryOf, rest } = this.#options
    if (entryOf(partition)?.owner !== own) {
      this.#restored.delete(partition)
      // Whoever offered it asks the next owner.
      if (this.#offers.delete(partition)) rest(partition, now)
    }
    for (const kept of this.#kept.get(partition) ?? []) this.#offer(kept, now)
  }

  /** The right to run the partition is here: what waits is looked at before any handler. */
  onRightBegan(partition: PartitionId, now: Now): void {
    const offers = this.#offers.get(partition)
    if (!offers || !this.#options.mayRun(partition, now)) return
    for (let offer = offers.shift(); offer; offer = offers.shift()) this.#take(offer, now)
    this.#offers.delete(partition)
    this.#options.rest(partition, now)
  }

  onStored(partition: PartitionId, number: number, now: Now): void {
    const answers = this.#answers.get(partition)
    if (!answers) return
    const left = answers.filter((answer) => answer.number > number)
    if (left.length > 0) this.#answers.set(partition, left)
    else this.#answers.delete(partition)
    for (const answer of answers) if (answer.number <= number) this.#answer(answer, now)
  }

  onStray(from: ProcessId, item: StrayItem, now: Now): void {
    const { own, entryOf, mayRun, wake } = this.#options
    const { partition } = item
    if (entryOf(partition)?.owner !== own) return
    const offers = this.#offers.get(partition) ?? []
    if (!offers.some((offer) => offer.from === from && offer.item.attempt === item.attempt))
      if (offers.length < MAX_OFFERS) offers.push({ from, item })
    this.#offers.set(partition, offers)
    if (mayRun(partition, now)) this.onRightBegan(partition, now)
    else wake(partition, now)
  }

  onStrayed(from: ProcessId, { partition, attempt, index }: StrayedItem, now: Now): void {
    const kept = this.#kept.get(partition)?.find((one) => one.attempt === attempt)
    if (!kept?.item || kept.to !== from || kept.index !== index) return
    if (kept.item.isLast) return this.#settle(kept, now)
    kept.index++
    kept.item = undefined
    kept.askedTimes = 0
    this.#offer(kept, now)
  }

  tick(now: Now): void {
    if (now.mono < this.#dueAt) return
    this.#dueAt = Infinity
    for (const all of this.#kept.values())
      for (const kept of all) {
        if (now.mono >= kept.askAt) this.#offer(kept, now)
        this.#dueAt = Math.min(this.#dueAt, kept.askAt)
      }
  }

  nextDeadline(): number {
    return this.#dueAt
  }

  #offer(kept: Kept, now: Now): void {
    const { partition } = kept
    const { own, entryOf, send } = this.#options
    const entry = entryOf(partition)
    if (!entry || kept.isTaken) return
    kept.to = entry.owner
    kept.askAt = now.mono + ASK_AGAIN_MS * 2 ** Math.min(kept.askedTimes++, MOST_WAITS)
    this.#dueAt = Math.min(this.#dueAt, kept.askAt)
    kept.item = { ...(kept.item ?? this.#partOf(kept)), epoch: entry.epoch }
    if (entry.owner === own) this.onStray(own, kept.item, now)
    else send(entry.owner, { type: 'stray', items: [kept.item] })
  }

  #partOf({ partition, copy, attempt, keys, index }: Kept): StrayItem {
    const entries: KeyContent[] = []
    for (let bytes = 0; bytes < PART_BYTES && keys.length > 0;) {
      const key = keys.pop()!
      bytes += copy.weightOf(key)
      entries.push(copy.contentOf(key))
    }
    const source = copy.source ?? { origins: [], holders: [], back: [] }
    return { partition, epoch: 0, attempt, index, isLast: keys.length === 0, ...source, entries }
  }

  #settle(kept: Kept, now: Now): void {
    const { partition, copy } = kept
    const others = this.#kept.get(partition)!.filter((one) => one !== kept)
    if (others.length > 0) this.#kept.set(partition, others)
    else this.#kept.delete(partition)
    this.#options.onSettled(partition, copy, now)
  }

  #take(offer: Offer, now: Now): void {
    const { own, storedUpTo } = this.#options
    const number = this.#takeEntries(offer.item, now)
    if (number === undefined) return
    const { partition, attempt, isLast } = offer.item
    const kept = offer.from === own && this.#kept.get(partition)?.find((one) => one.attempt === attempt)
    if (kept && isLast) kept.isTaken = true
    // Handlers wait for the rest of it, and need not wait for others to have it.
    if ((kept && !isLast) || number <= storedUpTo(partition)) return this.#answer(offer, now)
    const others = this.#answers.get(partition) ?? []
    this.#answers.set(partition, [...others, { ...offer, number }])
  }

  #answer({ from, item: { partition, epoch, attempt, index } }: Offer, now: Now): void {
    const { own, send } = this.#options
    const answer = { partition, epoch, attempt, index }
    if (from === own) this.onStrayed(own, answer, now)
    else send(from, { type: 'strayed', items: [answer] })
  }

  /** Gives the number that has to be stored before the answer; `undefined` where there is none now. */
  #takeEntries(item: StrayItem, now: Now): number | undefined {
    const { copyOf, onTaken, onSeen } = this.#options
    const { partition, origins, entries, isLast } = item
    const copy = copyOf(partition)
    if (!copy || !origins[0]) return undefined
    const { kind, slot } = parsePartition(partition)!
    const taken = takenOf(partition, copy)
    if (isKnownTo(taken, origins[0])) {
      if (isLast) onSeen(partition, item, false, now)
      return 0
    }
    for (const { key, contents, ...stamp } of entries) {
      if (!contents || isKnownTo(taken, origins[0], stamp) || slotOf(kind, key) !== slot) continue
      if (!this.#mayTake(partition, key, copy, origins)) continue
      if (!this.#append(partition, key, changeTo(contents), now)) return undefined
      this.#restoredOf(partition).set(key, { number: copy.number, origin: origins[0] })
      onTaken(partition, key, now)
    }
    if (!isLast) return copy.number
    const state = encodeTaken([...origins, ...taken])
    if (!this.#append(partition, takenKeyOf(partition), { state, records: [], drops: [] }, now))
      return undefined
    onSeen(partition, item, true, now)
    return copy.number
  }

  /** It never had anything, or nothing but what it took from a copy which this one goes on from. */
  #mayTake(partition: PartitionId, key: string, copy: HeldPartition, origins: readonly Origin[]): boolean {
    const { number } = copy.stampOf(key)
    if (number === 0) return true
    const restored = this.#restored.get(partition)?.get(key)
    return restored?.number === number && isKnownTo(origins, restored.origin)
  }

  #restoredOf(partition: PartitionId): Map<string, Restored> {
    const known = this.#restored.get(partition)
    if (known) return known
    const restored = new Map<string, Restored>()
    this.#restored.set(partition, restored)
    return restored
  }

  #append(partition: PartitionId, key: string, change: KeyChange, now: Now): boolean {
    const number = this.#options.append(partition, key, change, now)
    if (number === 'state-limit') this.#giveUp(partition)
    return typeof number === 'number'
  }

  /** There is no room for it here. It stays on disk, and what this process has itself holds nothing up. */
  #giveUp(partition: PartitionId): void {
    for (const kept of this.#kept.get(partition) ?? []) if (kept.to === this.#options.own) kept.isTaken = true
  }
}

/** What makes a key have this. */
function changeTo({ state, callers }: KeyContents): KeyChange {
  const records = [...callers].flatMap(([caller, { keepMs, outcomes }]) =>
    Array.from(outcomes, ([sequence, outcome]) => ({ caller, sequence, outcome, keepMs })),
  )
  const drops = [...callers].flatMap(([caller, { first }]) => (first > 0 ? [{ caller, first }] : []))
  return { state: state ?? null, records, drops }
}
