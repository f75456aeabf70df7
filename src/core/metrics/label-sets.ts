/**
 * LabelSets: one metric for each combination of label values that has come up. Names that users choose may be of any
 * number: beyond `MAX_LABEL_SETS` combinations they are all `other`.
 */

export const MAX_LABEL_SETS = 256
export const OTHER = 'other'

export class LabelSets<T> {
  readonly #labels: readonly string[]
  readonly #named: number
  readonly #make: () => T
  readonly #sets: (readonly [labels: Readonly<Record<string, string>>, metric: T])[] = []
  readonly #tree: Branch<T> = newBranch()

  /** @param named how many labels, from the first on, are names that users choose; the others have few fixed values */
  constructor(labels: readonly string[], named: number, make: () => T) {
    this.#labels = labels
    this.#named = named
    this.#make = make
  }

  of(...values: readonly string[]): T {
    const known = this.#find(values)
    if (known) return known
    const kept =
      this.#sets.length < MAX_LABEL_SETS
        ? values
        : values.map((value, i) => (i < this.#named ? OTHER : value))
    const other = this.#find(kept)
    if (other) return other
    let branch = this.#tree
    for (const value of kept) {
      const next = branch.next.get(value) ?? newBranch<T>()
      branch.next.set(value, next)
      branch = next
    }
    const metric = (branch.metric = this.#make())
    this.#sets.push([Object.fromEntries(this.#labels.map((label, i) => [label, kept[i]!])), metric])
    return metric
  }

  /** In the order in which they came up. */
  all(): readonly (readonly [labels: Readonly<Record<string, string>>, metric: T])[] {
    return this.#sets
  }

  #find(values: readonly string[]): T | undefined {
    let branch: Branch<T> | undefined = this.#tree
    for (const value of values) branch = branch?.next.get(value)
    return branch?.metric
  }
}

/** By one label after the other: looked up at each count, without making a name of all. */
interface Branch<T> {
  readonly next: Map<string, Branch<T>>
  metric: T | undefined
}

const newBranch = <T>(): Branch<T> => ({ next: new Map(), metric: undefined })
