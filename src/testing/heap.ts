/** What a heap orders by: the time, and among equal times the order in which things were pushed. */
export interface Timed {
  time: number
  sequence: number
}

/** A binary heap ordered by (time, sequence). The pusher gives out sequences, so that no two are equal. */
export class EventHeap<T extends Timed> {
  readonly #items: T[] = []

  get size(): number {
    return this.#items.length
  }

  /** The earliest item, which stays. */
  peek(): T | undefined {
    return this.#items[0]
  }

  push(item: T): void {
    const items = this.#items
    let hole = items.length
    items.push(item)
    while (hole > 0) {
      const parent = (hole - 1) >> 1
      const above = items[parent]!
      if (!earlier(item, above)) break
      items[hole] = above
      hole = parent
    }
    items[hole] = item
  }

  /** Takes out the earliest item. */
  pop(): T | undefined {
    const items = this.#items
    const first = items[0]
    const last = items.pop()
    if (first === undefined || last === undefined || items.length === 0) return first
    const size = items.length
    let hole = 0
    for (;;) {
      let child = 2 * hole + 1
      if (child >= size) break
      if (child + 1 < size && earlier(items[child + 1]!, items[child]!)) child++
      if (!earlier(items[child]!, last)) break
      items[hole] = items[child]!
      hole = child
    }
    items[hole] = last
    return first
  }
}

const earlier = (a: Timed, b: Timed): boolean =>
  a.time < b.time || (a.time === b.time && a.sequence < b.sequence)
