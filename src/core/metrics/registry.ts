/**
 * Metrics of one process: counters, gauges and histograms. Names and buckets are fixed when a metric is made, and so are
 * label values, but for names that users choose: of these a bounded number is kept. So what is kept never grows for ever.
 * Counting is one addition; all else is done when somebody reads.
 */
import { LabelSets } from './label-sets.ts'

/** Few fixed values, or names that users choose: never an id. */
export type MetricLabels = Readonly<Record<string, string>>

export interface MetricSample {
  readonly labels: MetricLabels
  readonly value: number
}

export interface HistogramSample {
  readonly labels: MetricLabels
  /** Observations so far. */
  readonly count: number
  /** Their sum, in the unit that the metric's name ends with. */
  readonly sum: number
  /** How many of them were at most `le`. Ascending; what was above the last `le` is in `count` alone. */
  readonly buckets: readonly { readonly le: number; readonly count: number }[]
}

interface FamilyHead {
  /** Ends with its unit (`_seconds`, `_bytes`), and where it only grows, with `_total`. */
  readonly name: string
  readonly help: string
}

/** All samples of one name. A gauge that has nothing to show at the moment has no sample. */
export type MetricFamily =
  | (FamilyHead & { readonly type: 'counter' | 'gauge'; readonly samples: readonly MetricSample[] })
  | (FamilyHead & { readonly type: 'histogram'; readonly samples: readonly HistogramSample[] })

/** Only grows. */
export class Counter {
  #value = 0

  get value(): number {
    return this.#value
  }

  /** Whatever is not a positive number is not counted. */
  add(amount = 1): void {
    if (amount > 0 && amount < Infinity) this.#value += amount
  }
}

/** Counts observations by size. */
export class Histogram {
  readonly #bounds: readonly number[]
  /** Observations above the bound before and at most this one. */
  readonly #counts: number[]
  #count = 0
  #sum = 0

  /** @param bounds upper bounds, ascending and finite; what is above the last is counted too */
  constructor(bounds: readonly number[]) {
    if (bounds.some((bound, i) => !Number.isFinite(bound) || bound <= (bounds[i - 1] ?? -Infinity))) {
      throw new Error(`bounds must be finite and ascending: ${bounds.join(', ')}`)
    }
    this.#bounds = bounds
    this.#counts = bounds.map(() => 0)
  }

  /** Whatever is not a finite number is not counted. */
  observe(value: number): void {
    if (!Number.isFinite(value)) return
    this.#count++
    this.#sum += value
    for (let i = 0; i < this.#bounds.length; i++) {
      if (value <= this.#bounds[i]!) {
        this.#counts[i]!++
        return
      }
    }
  }

  sample(labels: MetricLabels): HistogramSample {
    let below = 0
    const buckets = this.#bounds.map((le, i) => ({ le, count: (below += this.#counts[i]!) }))
    return { labels, count: this.#count, sum: this.#sum, buckets }
  }
}

/** All metrics of one process, in the order in which they were made. */
export class Registry {
  readonly #prefix: string
  readonly #families = new Map<string, () => MetricFamily>()

  /** @param prefix what every name begins with */
  constructor(prefix = '') {
    this.#prefix = prefix
  }

  counter(name: string, help: string): Counter {
    const counter = new Counter()
    this.counterOf(name, help, () => counter.value)
    return counter
  }

  /** One counter for each value of a label. */
  counters<V extends string>(
    name: string,
    help: string,
    label: string,
    values: readonly V[],
  ): Readonly<Record<V, Counter>> {
    const counters = each(values, () => new Counter())
    this.#numbers('counter', name, help, label, values, (value) => counters[value].value)
    return counters
  }

  /** Counters by several labels, of which the first `named` are names that users choose. */
  countersBy(name: string, help: string, labels: readonly string[], named: number): LabelSets<Counter> {
    const sets = new LabelSets(labels, named, () => new Counter())
    this.#add(name, (fullName) => {
      const samples = sets.all().map(([own, counter]) => ({ labels: own, value: counter.value }))
      return { name: fullName, help, type: 'counter', samples }
    })
    return sets
  }

  /** Histograms by labels that are all names which users choose. */
  histogramsBy(
    name: string,
    help: string,
    bounds: readonly number[],
    labels: readonly string[],
  ): LabelSets<Histogram> {
    const sets = new LabelSets(labels, labels.length, () => new Histogram(bounds))
    this.#add(name, (fullName) => {
      const samples = sets.all().map(([own, histogram]) => histogram.sample(own))
      return { name: fullName, help, type: 'histogram', samples }
    })
    return sets
  }

  /** A counter that is kept elsewhere, and read when the registry is. */
  counterOf(name: string, help: string, read: () => number): void {
    this.#numbers('counter', name, help, undefined, ONE, read)
  }

  /** Worked out when the registry is read. */
  gauge(name: string, help: string, read: () => number): void {
    this.#numbers('gauge', name, help, undefined, ONE, read)
  }

  /** The same for each value of a label; one that is `undefined` is left out. */
  gauges<V extends string>(
    name: string,
    help: string,
    label: string,
    values: readonly V[],
    read: (value: V) => number | undefined,
  ): void {
    this.#numbers('gauge', name, help, label, values, read)
  }

  histogram(name: string, help: string, bounds: readonly number[]): Histogram {
    return this.#histograms(name, help, bounds, undefined, ONE)['']
  }

  /** One histogram for each value of a label. */
  histograms<V extends string>(
    name: string,
    help: string,
    bounds: readonly number[],
    label: string,
    values: readonly V[],
  ): Readonly<Record<V, Histogram>> {
    return this.#histograms(name, help, bounds, label, values)
  }

  /** Everything as it is now: frozen, and nothing that JSON cannot carry. */
  families(): readonly MetricFamily[] {
    return deepFreeze(Array.from(this.#families.values(), (read) => read()))
  }

  #numbers<V extends string>(
    type: 'counter' | 'gauge',
    name: string,
    help: string,
    label: string | undefined,
    values: readonly V[],
    read: (value: V) => number | undefined,
  ): void {
    this.#add(name, (fullName) => {
      const samples = values.flatMap((value) => {
        const number = read(value)
        return number === undefined ? [] : [{ labels: labelsOf(label, value), value: number }]
      })
      return { name: fullName, help, type, samples }
    })
  }

  #histograms<V extends string>(
    name: string,
    help: string,
    bounds: readonly number[],
    label: string | undefined,
    values: readonly V[],
  ): Readonly<Record<V, Histogram>> {
    const histograms = each(values, () => new Histogram(bounds))
    this.#add(name, (fullName) => {
      const samples = values.map((value) => histograms[value].sample(labelsOf(label, value)))
      return { name: fullName, help, type: 'histogram', samples }
    })
    return histograms
  }

  #add(name: string, read: (fullName: string) => MetricFamily): void {
    const fullName = this.#prefix + name
    if (this.#families.has(fullName)) throw new Error(`there are two metrics of the name ${fullName}`)
    this.#families.set(fullName, () => read(fullName))
  }
}

/** The one value of a metric without a label. */
const ONE = [''] as const

const labelsOf = (label: string | undefined, value: string): MetricLabels =>
  label === undefined ? {} : { [label]: value }

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object') for (const part of Object.values(value as object)) deepFreeze(part)
  return Object.freeze(value)
}

function each<V extends string, T>(values: readonly V[], make: () => T): Readonly<Record<V, T>> {
  return Object.fromEntries(values.map((value) => [value, make()])) as Record<V, T>
}
