/**
 * Deadlines: which of many things is due first. A binary heap (Williams, 1964) in which what is dropped stays until its
 * time has come or it outweighs the rest, so that all of it takes O(log n) at most.
 */
export class Deadlines<T> {
  readonly #at = new Map<T, number>()
  readonly #heap: Entry<T>[] = []

  get size(): number {
    return this.#at.size
  }

  /** When the first is due; `Infinity` for none. */
  get next(): number {
    this.#skipDropped()
    return this.#heap[0]?.at ?? Infinity
  }

  /** It is due then, or earlier where that was said before. `Infinity` says nothing. */
  add(item: T, at: number): void {
    if (at >= (this.#at.get(item) ?? Infinity)) return
    this.#at.set(item, at)
    this.#push({ at, item })
    if (this.#heap.length > MIN_COMPACTION && this.#heap.length > 2 * this.#at.size) this.#compact()
  }

  drop(item: T): void {
    this.#at.delete(item)
  }

  /** Takes out what is due, the first ones first, `most` at a time. */
  takeDue(now: number, most = Infinity): T[] {
    const due: T[] = []
    while (due.length < most && this.next <= now && this.#heap.length > 0) {
      const { item } = this.#pop()
      this.#at.delete(item)
      due.push(item)
    }
    return due
  }

  #skipDropped(): void {
    for (let first = this.#heap[0]; first && this.#at.get(first.item) !== first.at; first = this.#heap[0])
      this.#pop()
  }

  #push(entry: Entry<T>): void {
    const heap = this.#heap
    let place = heap.length
    while (place > 0) {
      const above = (place - 1) >> 1
      if (heap[above]!.at <= entry.at) break
      heap[place] = heap[above]!
      place = above
    }
    heap[place] = entry
  }

  #pop(): Entry<T> {
    const heap = this.#heap
    const first = heap[0]!
    const last = heap.pop()!
    if (heap.length > 0) this.#sink(last)
    return first
  }

  /** Fills the free place at the top. */
  #sink(entry: Entry<T>): void {
    const heap = this.#heap
    let place = 0
    for (let below = 1; below < heap.length; below = 2 * place + 1) {
      if (below + 1 < heap.length && heap[below + 1]!.at < heap[below]!.at) below++
      if (heap[below]!.at >= entry.at) break
      heap[place] = heap[below]!
      place = below
    }
    heap[place] = entry
  }

  #compact(): void {
    this.#heap.length = 0
    for (const [item, at] of this.#at) this.#push({ at, item })
  }
}

interface Entry<T> {
  readonly at: number
  readonly item: T
}

const MIN_COMPACTION = 64
