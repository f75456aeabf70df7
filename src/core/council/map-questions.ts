/**
 * What a process has yet to hear of the partition map: kinds that it knows nothing of, kinds of which it knows what
 * another group has decided, and kinds of which what it knows may be old. Many partitions of a kind may want to know at
 * once: one answer is for all of them.
 */
import type { MapEntry } from '../partition/partition.ts'
import type { Now } from '../time.ts'
import type { SlotEntry } from './council-messages.ts'
import { MAX_KINDS } from './partition-map.ts'

export interface MapQuestionsOptions {
  readonly knows: (kind: string) => boolean
  /** A leader asks nobody: it knows what there is. */
  readonly leads: () => boolean
  /** Returns whether there is anybody to ask. */
  readonly ask: (kind: string) => boolean
  /** To be called as if a voter had answered, with what this process has applied itself. */
  readonly answer: (kind: string, now: Now) => void
  /** Proposes that the kind be born. Returns the proposal, if that can be now. */
  readonly bear: (kind: string, now: Now) => number | undefined
}

interface Wanted {
  mustBeBorn: boolean
  /**
   * What is known from another group: it is asked for until this one has said something later of each. As it was when
   * this group was followed: held against what this one has said since, nothing would ever be later.
   */
  unheard: Map<number, MapEntry> | undefined
  proposal: number | undefined
  askAt: number
  asks: number
}

/** A kind that is wanted and not known is asked for after this long, in ms, and then ever less often. */
const ASK_MIN_MS = 500
const ASK_MAX_MS = 4_000
/** Asked for so often, it is forgotten, unless this process hosts it: whoever still wants it says so again. */
const MAX_ASKS = 5
/** What is known of a kind is refreshed this often at most, in ms. */
const REFRESH_MS = 50

export class MapQuestions {
  readonly #options: MapQuestionsOptions
  readonly #wanted = new Map<string, Wanted>()
  readonly #refreshes = new Map<string, { askAt: number; isOwed: boolean }>()

  constructor(options: MapQuestionsOptions) {
    this.#options = options
  }

  /** The kind is to be known from now on; `mustBeBorn` where this process hosts it. */
  want(kind: string, mustBeBorn: boolean, now: Now): void {
    const known = this.#wanted.get(kind)
    if (known) known.mustBeBorn ||= mustBeBorn
    else if (mustBeBorn || this.#wanted.size < MAX_KINDS) this.#wanted.set(kind, newWanted(mustBeBorn, now))
  }

  /** What is known of the kind may be old. */
  refresh(kind: string): void {
    const refresh = this.#refreshes.get(kind) ?? { askAt: -Infinity, isOwed: false }
    this.#refreshes.set(kind, refresh)
    refresh.isOwed = true
  }

  /** Another group is followed from now on: what it says of these kinds has to be heard anew. */
  askAnew(known: Iterable<readonly [kind: string, entries: Iterable<SlotEntry>]>, now: Now): void {
    for (const [kind, entries] of known) {
      const wanted = this.#wanted.get(kind) ?? newWanted(false, now)
      wanted.unheard = new Map(entries)
      wanted.askAt = now.mono
      this.#wanted.set(kind, wanted)
    }
    for (const wanted of this.#wanted.values()) wanted.proposal = undefined
  }

  /** A voter has said what it knows of a kind. Returns what another group has decided, and this one not yet followed. */
  heard(kind: string, entries: readonly SlotEntry[]): readonly SlotEntry[] {
    const wanted = this.#wanted.get(kind)
    if (!wanted?.unheard) return NOTHING
    for (const [slot, entry] of entries) {
      const before = wanted.unheard.get(slot)
      if (before && isOver(before, entry)) wanted.unheard.delete(slot)
    }
    const later = [...wanted.unheard]
    if (later.length === 0) wanted.unheard = undefined
    return later
  }

  /** There is no such kind yet. */
  bear(kind: string, now: Now): void {
    const wanted = this.#wanted.get(kind)
    if (wanted?.mustBeBorn && wanted.proposal === undefined) wanted.proposal = this.#options.bear(kind, now)
  }

  tick(now: Now): void {
    this.#seek(now)
    for (const [kind, refresh] of this.#refreshes) {
      if (!refresh.isOwed || now.mono < refresh.askAt) continue
      refresh.isOwed = false
      refresh.askAt = now.mono + REFRESH_MS
      if (!this.#options.leads()) this.#options.ask(kind)
    }
  }

  nextDeadline(): number {
    let next = Infinity
    for (const { askAt } of this.#wanted.values()) next = Math.min(next, askAt)
    for (const { askAt, isOwed } of this.#refreshes.values()) if (isOwed) next = Math.min(next, askAt)
    return next
  }

  #seek(now: Now): void {
    const { knows, leads, ask, answer } = this.#options
    let hasBorn = false
    for (const [kind, wanted] of this.#wanted) {
      if (knows(kind) && !wanted.unheard) {
        this.#wanted.delete(kind)
        continue
      }
      // One kind is born in a turn: 256 partitions have to be placed, told and looked at.
      if (now.mono < wanted.askAt || hasBorn) continue
      const isOwed = wanted.mustBeBorn || wanted.unheard !== undefined
      if (!isOwed && wanted.asks >= MAX_ASKS) {
        this.#wanted.delete(kind)
        continue
      }
      wanted.askAt = now.mono + (isOwed ? ASK_MIN_MS : Math.min(ASK_MIN_MS * 2 ** wanted.asks, ASK_MAX_MS))
      if (wanted.proposal !== undefined) continue
      // Where no voter is there nobody was asked.
      if (leads() || ask(kind)) wanted.asks++
      if (!leads()) continue
      if (wanted.unheard) answer(kind, now)
      else {
        this.bear(kind, now)
        hasBorn = wanted.proposal !== undefined
      }
    }
  }
}

/** Whether an entry has been followed by another. */
export const isOver = (entry: MapEntry, newer: MapEntry | undefined): boolean =>
  newer !== undefined && newer.epoch > entry.epoch

const newWanted = (mustBeBorn: boolean, now: Now): Wanted => ({
  mustBeBorn,
  unheard: undefined,
  proposal: undefined,
  askAt: now.mono,
  asks: 0,
})

const NOTHING: readonly SlotEntry[] = []
