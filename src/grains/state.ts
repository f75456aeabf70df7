/** The one state of an activation: a value, its bytes, and which of them are to be replicated. */
import { ClusterError } from '../errors.ts'
import { checkFunction } from './arguments.ts'
import type { ValueCodec } from './codec.ts'
import { deepFreeze } from './frozen.ts'
import type { DeepReadonly, State, StateOptions } from './types.ts'

export interface StateCellOptions {
  readonly codec: ValueCodec
  readonly maxBytes: number
  /** The stored state; `undefined` if there is none. */
  readonly stored: Uint8Array | undefined
  /** Throws where the state may not be changed now. */
  readonly mayChange: () => void
}

/**
 * Keeps the value as bytes, and as a frozen copy once somebody has read it: every change goes through the codec. So a
 * value that cannot be carried is refused in the line that sets it, nothing that a handler holds is part of the state,
 * and going back costs nothing.
 */
export class StateCell<T> implements State<T> {
  readonly #options: StateCellOptions
  readonly #initial: T | (() => T)
  /** The bytes of the value, of the initial one too; `undefined` for an initial one that is not made yet. */
  #bytes: Uint8Array | undefined
  /** Whether there is a state, or only the initial value. */
  #isKept: boolean
  #read: unknown
  #isRead = false
  #hasBytes = false

  constructor(initial: T | (() => T), options: StateCellOptions) {
    this.#options = options
    this.#initial = initial
    this.#isKept = options.stored !== undefined
    this.#bytes = options.stored ?? this.#encode(this.#makeInitial())
    // a state that cannot be read fails the activation, not its first call
    if (options.stored) void this.value
  }

  get value(): DeepReadonly<T> {
    if (!this.#isRead) {
      this.#read = this.#decode()
      this.#hasBytes = deepFreeze(this.#read)
      this.#isRead = true
    }
    return this.#read as DeepReadonly<T>
  }

  set value(value: T | DeepReadonly<T>) {
    this.#options.mayChange()
    this.#replace(this.#encode(value), true)
  }

  update(change: (draft: T) => T | DeepReadonly<T> | void): void {
    checkFunction('update', change)
    this.#options.mayChange()
    const draft = this.#decode() as T
    const changed: unknown = change(draft)
    if (typeof (changed as { then?: unknown } | null | undefined)?.then === 'function') {
      // what is wrong is said here, and not a second time by a promise that nobody has
      Promise.resolve(changed).catch(() => undefined)
      throw new ClusterError(
        'invalid-state',
        'update takes a function that is not async: read what it needs first, then update.',
      )
    }
    if (changed !== undefined && changed !== draft && this.#isAltered(draft)) {
      throw new ClusterError(
        'invalid-state',
        'update has both changed the draft and returned another value: do one of them. An arrow function returns what it assigns: put it in braces.',
      )
    }
    this.value = changed === undefined ? draft : (changed as T)
  }

  /** Back to the initial value, with nothing stored. */
  clear(): void {
    this.#options.mayChange()
    this.#replace(this.#encode(this.#makeInitial()), false)
  }

  /** Back to what is stored, whatever was changed since. Runs nothing of the user's: `initial` is made when it is read. */
  reset(stored: Uint8Array | undefined): void {
    this.#replace(stored, stored !== undefined)
  }

  /** Replaces the value by one made of it and of another state's bytes. */
  merge(merge: NonNullable<StateOptions<T>['merge']>, other: Uint8Array): void {
    const theirs = asState(() => this.#options.codec.decode(other, 'state'))
    deepFreeze(theirs)
    const merged = merge(this.value, theirs as DeepReadonly<T>)
    if (merged === undefined)
      throw new ClusterError('invalid-state', 'merge gave nothing: it returns the value that both make.')
    this.value = merged
  }

  /** What is to be stored; `undefined` if nothing is. The same reference until the state changes. */
  get kept(): Uint8Array | undefined {
    return this.#isKept ? this.#bytes : undefined
  }

  /**
   * Makes sure that nobody wrote into typed arrays that `value` gave.
   * @throws ClusterError `invalid-state`; the value is read anew from its bytes
   */
  checkBytes(): void {
    if (!this.#hasBytes) return
    const now = this.#options.codec.encode(this.#read, 'state')
    const bytes = this.#present()
    if (now.length === bytes.length && now.every((byte, i) => byte === bytes[i])) return
    this.#isRead = this.#hasBytes = false
    throw new ClusterError(
      'invalid-state',
      'A typed array of the state was written to where it was read: use `update`, or write to a `slice()`.',
    )
  }

  /** Returns the way back to what the state is now. */
  mark(): () => void {
    const [bytes, isKept] = [this.#bytes, this.#isKept]
    const [read, isRead, hasBytes] = [this.#read, this.#isRead, this.#hasBytes]
    return () => {
      if (this.#bytes !== bytes || this.#isKept !== isKept) {
        ;[this.#bytes, this.#isKept] = [bytes, isKept]
        ;[this.#read, this.#isRead, this.#hasBytes] = [read, isRead, hasBytes]
      }
      // whoever failed may have written into typed arrays that it read
      if (this.#hasBytes) this.#isRead = this.#hasBytes = false
    }
  }

  #present(): Uint8Array {
    return (this.#bytes ??= this.#encode(this.#makeInitial()))
  }

  #replace(bytes: Uint8Array | undefined, isKept: boolean): void {
    this.#bytes = bytes
    this.#isKept = isKept
    this.#read = undefined
    this.#isRead = this.#hasBytes = false
  }

  #makeInitial(): T {
    const initial = this.#initial
    return typeof initial === 'function' ? (initial as () => T)() : initial
  }

  /** What was given out as a copy is another value now. */
  #isAltered(draft: unknown): boolean {
    if (typeof draft !== 'object' || draft === null) return false
    const { codec } = this.#options
    try {
      // Not the stored bytes: another version of the codec may have made them.
      const before = codec.encode(this.#decode(), 'state')
      const now = codec.encode(draft, 'state')
      return now.length !== before.length || now.some((byte, i) => byte !== before[i])
    } catch {
      return true
    }
  }

  #encode(value: unknown): Uint8Array {
    const { codec, maxBytes } = this.#options
    const bytes = asState(() => codec.encode(value, 'state'))
    if (bytes.length <= maxBytes) return bytes
    throw new ClusterError(
      'state-limit',
      `The state has ${bytes.length} bytes, over its limit of ${maxBytes}: keep less, or spread it over more keys.`,
    )
  }

  #decode(): unknown {
    const bytes = this.#present()
    return asState(() => this.#options.codec.decode(bytes, 'state'))
  }
}

function asState<R>(use: () => R): R {
  try {
    return use()
  } catch (cause) {
    throw new ClusterError('invalid-state', cause instanceof Error ? cause.message : String(cause), { cause })
  }
}
