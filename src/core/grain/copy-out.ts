/**
 * A whole partition on its way to a learner, in parts of bounded size while changes go on. The first pass takes every
 * key as it is when its turn comes; each further one the keys that changed since the pass before began. What fits into
 * one part at last is the end: with it the copy is as its original at that number.
 */
import type { HeldPartition, KeyContent } from './held-partition.ts'
import type { CopyItem } from './messages.ts'

export class CopyOut {
  readonly attempt: number
  progressAt: number
  readonly hasContent: boolean
  #queue: string[]
  /** Every key that changed after this is in the queue, or to come. */
  #base: number
  #index = 0
  #arrived = 0
  #isWhole = false

  constructor(held: HeldPartition, attempt: number, now: number) {
    this.attempt = attempt
    this.progressAt = now
    this.hasContent = !held.isEmpty
    this.#queue = [...held.keys()]
    this.#base = held.number
  }

  /** Deleted keys after this number are still needed. */
  get base(): number {
    return this.#base
  }

  get underWay(): number {
    return this.#index - this.#arrived
  }

  get isWhole(): boolean {
    return this.#isWhole
  }

  arrived(index: number, now: number): void {
    if (index < this.#arrived || index >= this.#index) return
    this.#arrived = index + 1
    this.progressAt = now
  }

  /** The next part, and about how many bytes it has. */
  next(
    held: HeldPartition,
    partBytes: number,
  ): { part: Pick<CopyItem, 'index' | 'entries' | 'end'>; bytes: number } {
    const entries: KeyContent[] = []
    let bytes = 0
    while (bytes < partBytes) {
      if (this.#queue.length === 0) {
        const changed = held.changedAfter(this.#base)
        this.#base = held.number
        if (changed.length === 0) {
          this.#isWhole = true
          break
        }
        this.#queue = changed.map(({ key }) => key)
      }
      const key = this.#queue.pop()!
      bytes += held.weightOf(key)
      entries.push(held.contentOf(key))
    }
    const index = this.#index++
    if (!this.#isWhole) return { part: { index, entries }, bytes }
    const { tenure, number, acked, tenures } = held
    return { part: { index, entries, end: { tenure, number, acked, tenures } }, bytes }
  }
}
