/** An array that is emptied gives its memory away. Above this many places it shall. */
const MAX_KEPT = 256

/** A list that is filled and emptied over and over, as in every turn, and keeps its memory. */
export class Refill<T> {
  #items: (T | undefined)[] = []
  #size = 0

  get size(): number {
    return this.#size
  }

  add(item: T): void {
    this.#items[this.#size++] = item
  }

  /** `index` is below `size`. */
  at(index: number): T {
    return this.#items[index] as T
  }

  clear(): void {
    if (this.#size > MAX_KEPT) this.#items = []
    else for (let i = 0; i < this.#size; i++) this.#items[i] = undefined
    this.#size = 0
  }
}
