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
  readonly #sets = new Map<string, readonly [labels: Readonly<Record<string, string>>, metric: T]>()

  /** @param named how many labels, from the first on, are names that users choose; the others have few fixed values */
  constructor(labels: readonly string[], named: number, make: () => T) {
    this.#labels = labels
    this.#named = named
    this.#make = make
  }

  of(...values: readonly string[]): T {
    const known = this.#sets.get(nameOf(values))
    if (known) return known[1]
    const kept =
      this.#sets.size < MAX_LABEL_SETS ? values : values.map((value, i) => (i < this.#named ? OTHER : value))
    const name = nameOf(kept)
    const other = this.#sets.get(name)
    if (other) return other[1]
    const metric = this.#make()
    this.#sets.set(name, [Object.fromEntries(this.#labels.map((label, i) => [label, kept[i]!])), metric])
    return metric
  }

  /** In the order in which they came up. */
  all(): readonly (readonly [labels: Readonly<Record<string, string>>, metric: T])[] {
    return [...this.#sets.values()]
  }
}

/** Made at each count. Of the names that users choose, all but the method have no such character. */
const nameOf = (values: readonly string[]): string => values.join('\0')
