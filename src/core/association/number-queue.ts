/** Ascending numbers, which are forgotten from the lowest on. */
export class NumberQueue {
  readonly #numbers: number[] = []
  /** So many at the front are forgotten: taking each from a long array would move all the others. */
  #forgotten = 0

  get size(): number {
    return this.#numbers.length - this.#forgotten
  }

  /** `number` is above all before. */
  add(number: number): void {
    this.#numbers.push(number)
  }

  /** The one behind the first `index`, if there is one. */
  at(index: number): number | undefined {
    return this.#numbers[this.#forgotten + index]
  }

  /** Up to `most` of them, the lowest. */
  first(most: number): number[] {
    return this.#numbers.slice(this.#forgotten, this.#forgotten + most)
  }

  /** Forgets all up to this number. Returns whether there was any. */
  forgetTo(number: number): boolean {
    const before = this.#forgotten
    while (this.size > 0 && this.at(0)! <= number) this.#forgotten++
    const hasAny = this.#forgotten > before
    if (2 * this.#forgotten > this.#numbers.length) {
      this.#numbers.splice(0, this.#forgotten)
      this.#forgotten = 0
    }
    return hasAny
  }
}
