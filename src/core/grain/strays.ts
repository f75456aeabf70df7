/**
 * Strays: copies of partitions that belong to a history that is not followed any more, because a better council was met,
 * or because they were on disk. Each is offered to the partition's present owner, whoever that is, until the owner has
 * taken what is to be taken of it and everybody in sync has stored that: `visits.ts`. Then it is dropped.
 *
 * A part is sent again until it is answered, less and less often. An owner that comes new is offered the whole anew: what
 * it has taken already it knows by the stamps. Nothing is offered before the council that is followed now has said
 * something of the partition (`ownerOf`).
 */
import type { ProcessId } from '../identity/node-id.ts'
import type { PartitionId } from '../partition/partition.ts'
import type { Now } from '../time.ts'
import { CopyOut } from './copy-out.ts'
import type { HeldPartition } from './held-partition.ts'
import type { HoldingTuning } from './holding-tuning.ts'
import type { Mail } from './mail.ts'
import type { CopiedItem, StrayItem } from './messages.ts'

export interface StraysOptions {
  readonly own: ProcessId
  readonly tuning: HoldingTuning
  readonly mail: Mail
  /** By the map of the council that is followed; `undefined` until that is known. */
  readonly ownerOf: (
    partition: PartitionId,
  ) => { readonly owner: ProcessId; readonly epoch: number } | undefined
  readonly isLive: (process: ProcessId) => boolean
  readonly askMap: (partition: PartitionId, now: Now) => void
  /** There was no room for it: what only it had is lost. */
  readonly onDropped: (partition: PartitionId, bytes: number) => void
  /** The owner has taken what is to be taken of it. */
  readonly onSettled: (copy: HeldPartition, partition: PartitionId, now: Now) => void
}

interface Stray {
  readonly partition: PartitionId
  readonly copy: HeldPartition
  /** Of the council that was given up. */
  readonly group: string | undefined
  readonly notBefore: number
  owner: ProcessId | undefined
  /** The part that is on its way, and what is to come. */
  out: CopyOut | undefined
  part: { readonly item: Omit<StrayItem, 'partition' | 'epoch'>; readonly bytes: number } | undefined
  /** The owner that is asked is this process, and has looked at all of it, or has no room for it. */
  isSeen: boolean
  /** Sent so often without an answer. */
  tries: number
  nextAt: number
}

/** Strays that are offered at once. */
const AT_ONCE = 8
/** The longest pause between two tries is `askAgainMs` times two to the power of this. */
const MOST_TRIES = 5

export class Strays {
  readonly #options: StraysOptions
  /** In the order in which they came; of one partition the first is offered, so that its owner has one to think of. */
  readonly #strays = new Map<PartitionId, Stray[]>()
  #attempts = 0
  #bytes = 0

  constructor(options: StraysOptions) {
    this.#options = options
  }

  get size(): number {
    let size = 0
    for (const { length } of this.#strays.values()) size += length
    return size
  }

  /** Of all of them, about. Until a copy that one was split from changes, the two share what they have. */
  get bytes(): number {
    return this.#bytes
  }

  /**
   * Takes a copy that nobody else changes any more. All of them together have the room that all copies have, but for
   * those that were on disk, where they stay until they are settled.
   * @param group the council that is given up; none of a copy that was on disk, which nobody goes back to
   * @param delayMs others offer the same, before
   */
  keep(
    partition: PartitionId,
    copy: HeldPartition,
    group: string | undefined,
    now: Now,
    delayMs: number = 0,
  ): void {
    const { source } = copy
    if (copy.isEmpty && !source) return
    if (!source && this.#bytes + copy.bytes > this.#options.tuning.stateBytes) {
      this.#options.onDropped(partition, copy.bytes)
      return
    }
    const none = { owner: undefined, out: undefined, part: undefined, isSeen: false }
    const notBefore = now.mono + delayMs
    const stray = { partition, copy, group, ...none, notBefore, tries: 0, nextAt: notBefore }
    const others = this.#strays.get(partition)
    if (others) others.push(stray)
    else this.#strays.set(partition, [stray])
    this.#bytes += copy.bytes
  }

  /** This process owns the partition, and has not looked yet at what it had of it on disk. */
  isOwed(partition: PartitionId): boolean {
    const stray = this.#strays.get(partition)?.[0]
    if (!stray?.copy.source || stray.isSeen) return false
    return this.#options.ownerOf(partition)?.owner === this.#options.own
  }

  /** This process, as the owner, has looked at all that it was offered by itself. */
  onSeen(partition: PartitionId, attempt: number): void {
    const stray = this.#strays.get(partition)?.[0]
    if (stray?.part?.item.attempt === attempt) stray.isSeen = true
  }

  /** A copy of that birth, which was in memory, is still being offered. */
  isOffered(partition: PartitionId, born: number): boolean {
    const others = this.#strays.get(partition)
    return others?.some(({ copy }) => copy.born === born && !copy.source) ?? false
  }

  /** What this process had of the partition when it gave up that council, for the case that it is followed again. */
  latest(partition: PartitionId, born: number, group: string | undefined): HeldPartition | undefined {
    const isOf = (stray: Stray): boolean => stray.copy.born === born && stray.group === group
    return group === undefined ? undefined : this.#strays.get(partition)?.findLast(isOf)?.copy
  }

  /** The map has told more of the partition. */
  onMap(partition: PartitionId, now: Now): void {
    const stray = this.#strays.get(partition)?.[0]
    if (stray) hurry(stray, now)
  }

  /** A process is lost, or back. */
  onLiveness(process: ProcessId, now: Now): void {
    for (const [stray] of this.#strays.values()) if (stray!.owner === process) hurry(stray!, now)
  }

  onStrayed(from: ProcessId, { partition, attempt, index, result }: CopiedItem, now: Now): void {
    const stray = this.#strays.get(partition)?.[0]
    const { item } = stray?.part ?? {}
    if (!stray || stray.owner !== from || item?.attempt !== attempt || item.index !== index) return
    // Without room there it is offered again, later and later.
    if (result === 'full') return
    hurry(stray, now)
    if (result === 'again') stray.part = undefined
    else if (item.isLast) this.#drop(partition, stray, now)
    else this.#cut(stray)
  }

  /** Offers what is due. */
  settle(now: Now): void {
    if (this.#strays.size === 0) return
    for (const stray of this.#open()) if (now.mono >= stray.nextAt) this.#offer(stray, now)
  }

  /** On `mono`. */
  nextDeadline(): number {
    let next = Infinity
    if (this.#strays.size === 0) return next
    for (const { nextAt } of this.#open()) next = Math.min(next, nextAt)
    return next
  }

  /** Those that may be offered now. Whose owner is silent or unknown holds up nobody. */
  *#open(): Generator<Stray> {
    let open = 0
    for (const [stray] of this.#strays.values()) {
      yield stray!
      if (stray!.part && stray!.tries <= 1 && ++open >= AT_ONCE) return
    }
  }

  #offer(stray: Stray, now: Now): void {
    const { ownerOf, isLive, mail, askMap, tuning } = this.#options
    const { partition } = stray
    const entry = ownerOf(partition)
    const tries = stray.tries++
    stray.nextAt = now.mono + tuning.askAgainMs * 2 ** Math.min(MOST_TRIES, tries)
    if (!entry || tries > 1) askMap(partition, now)
    if (!entry || !isLive(entry.owner)) return
    if (entry.owner !== stray.owner || !stray.part) {
      stray.owner = entry.owner
      stray.isSeen = false
      stray.out = new CopyOut(stray.copy, ++this.#attempts, now.mono)
      this.#cut(stray)
    }
    const { item, bytes } = stray.part!
    mail.put(entry.owner, 'stray', { partition, epoch: entry.epoch, ...item }, bytes)
  }

  #cut(stray: Stray): void {
    const { copy, out } = stray
    const { born, tenures, source } = copy
    const { part, bytes } = out!.next(copy, this.#options.tuning.copyPartBytes)
    const { index, entries } = part
    const item = { attempt: out!.attempt, index, born, tenures, entries, isLast: out!.isWhole }
    stray.part = { item: source && item.isLast ? { ...item, source } : item, bytes }
  }

  #drop(partition: PartitionId, stray: Stray, now: Now): void {
    const others = this.#strays.get(partition)!
    others.splice(others.indexOf(stray), 1)
    if (others.length === 0) this.#strays.delete(partition)
    this.#bytes -= stray.copy.bytes
    this.#options.onSettled(stray.copy, partition, now)
  }
}

function hurry(stray: Stray, now: Now): void {
  stray.tries = 0
  stray.nextAt = Math.max(stray.notBefore, now.mono)
}
