/**
 * MapHints: the newest entries of the partition map that this process has heard of, from whomever. A hint may be old,
 * and never is wrong about an epoch: entries of one partition are ordered by it, and the newest is kept.
 */
import type { ProcessId } from '../identity/node-id.ts'
import type { MapEntry } from '../partition/partition.ts'
import { SLOTS } from '../partition/partition.ts'
import type { SlotEntry } from './council-messages.ts'
import { MAX_KINDS } from './partition-map.ts'

export type OnMoved = (kind: string, slot: number, from: ProcessId, to: ProcessId) => void

export class MapHints {
  readonly #kinds = new Map<string, Map<number, MapEntry>>()

  get(kind: string, slot: number): MapEntry | undefined {
    return this.#kinds.get(kind)?.get(slot)
  }

  /** Whether each partition of the kind is known: who holds one is told of that one only. */
  has(kind: string): boolean {
    return this.#kinds.get(kind)?.size === SLOTS
  }

  get isEmpty(): boolean {
    return this.#kinds.size === 0
  }

  kinds(): IterableIterator<string> {
    return this.#kinds.keys()
  }

  /** What is known of a kind. */
  entries(kind: string): SlotEntry[] {
    return [...(this.#kinds.get(kind) ?? [])]
  }

  /** Returns those that were news. `onMoved` is called for each whose owner was another. */
  learn(kind: string, entries: Iterable<SlotEntry>, onMoved?: OnMoved): SlotEntry[] {
    const news: SlotEntry[] = []
    if (!this.#kinds.has(kind) && this.#kinds.size >= MAX_KINDS) return news
    for (const [slot, entry] of entries) {
      const known = this.get(kind, slot)
      if (known && known.epoch >= entry.epoch) continue
      const slots = this.#kinds.get(kind) ?? new Map<number, MapEntry>()
      this.#kinds.set(kind, slots)
      slots.set(slot, entry)
      news.push([slot, entry])
      if (known && known.owner !== entry.owner) onMoved?.(kind, slot, known.owner, entry.owner)
    }
    return news
  }
}
