import type { Readable } from '../api.ts'
import { checkFunction } from '../grains/arguments.ts'

/**
 * A readable that is worked out from something else, only when it is looked at, and only if its key has changed since
 * the last time. `get` gives the same reference until then.
 */
export class Store<T> implements Readable<T> {
  readonly #compute: (before: T | undefined) => T
  readonly #key: () => unknown
  readonly #listeners = new Set<{ readonly call: (value: T) => void }>()
  #value: T | undefined
  #seenKey: unknown
  #told: T | undefined

  /** `compute` may return `before` to say that nothing changed; `key` must be cheap. */
  constructor(key: () => unknown, compute: (before: T | undefined) => T) {
    this.#key = key
    this.#compute = compute
  }

  readonly get = (): T => {
    const key = this.#key()
    if (this.#value === undefined || key !== this.#seenKey) {
      this.#seenKey = key
      this.#value = this.#compute(this.#value)
    }
    return this.#value
  }

  readonly subscribe = (listener: (value: T) => void): (() => void) => {
    checkFunction('subscribe', listener)
    const entry = { call: listener }
    if (this.#listeners.size === 0) this.#told = this.get()
    this.#listeners.add(entry)
    return () => void this.#listeners.delete(entry)
  }

  /** Tells the listeners if the value is another one than they were told last. */
  announce(): void {
    if (this.#listeners.size === 0) return
    const value = this.get()
    if (value === this.#told) return
    this.#told = value
    for (const { call } of this.#listeners) callSafely(call, value)
  }
}

/** A key for what is worked out of several values: grows whenever one of them is another one than at the last look. */
export class Revision {
  #value = 0
  #a: unknown
  #b: unknown
  #c: unknown
  #d: unknown

  /** Asked for at every turn, so it makes no string and no array. */
  of(a: unknown, b?: unknown, c?: unknown, d?: unknown): number {
    if (a !== this.#a || b !== this.#b || c !== this.#c || d !== this.#d) {
      this.#a = a
      this.#b = b
      this.#c = c
      this.#d = d
      this.#value++
    }
    return this.#value
  }
}

/**
 * An error of the user's code goes where developers look: it is reported as uncaught where the platform has a way to, as
 * browsers do, else it is on the console. Not thrown, which would end a process of Node.
 */
export function report(error: unknown): void {
  const { reportError } = globalThis as { reportError?: (error: unknown) => void }
  if (reportError) reportError(error)
  // oxlint-disable-next-line no-console -- the one place where nobody else can be told
  else console.error('A listener threw:', error)
}

/** A listener that throws, or whose promise rejects, harms nobody else. */
export function callSafely<A>(listener: (argument: A) => unknown, argument: A): void {
  try {
    const result = listener(argument)
    if (isPromise(result)) result.then(undefined, report)
  } catch (error) {
    report(error)
  }
}

export const isPromise = (value: unknown): value is PromiseLike<unknown> =>
  typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
