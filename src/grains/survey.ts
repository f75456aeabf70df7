/**
 * Looks at a value before it is written: may it be carried at all, and is plain JSON enough for it? What may not be
 * carried is named by its path, as `args[0].owner.save is a function`.
 */

/** How deep a value may be nested. Deeper ones are refused at both ends, so that no reader runs out of stack. */
export const MAX_DEPTH = 128
/** Digits of a bigint: reading one takes time that grows with their square. */
export const MAX_BIGINT_DIGITS = 1_024
/** Length of all arrays with holes of one value: holes have no bytes, but whoever walks a value walks them. */
export const MAX_SPARSE_LENGTH = 100_000

/** Typed arrays by their place on the wire. Only ever add at the end. */
export const VIEWS = [
  Uint8Array,
  Int8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
  DataView,
] as const

/** What cannot be carried: `message` says where it is and what. */
export class Refusal extends Error {}

/**
 * @param what the name of the value, with which paths begin
 * @returns whether JSON carries the value as it is: plain objects and arrays, each met once, of texts, finite numbers,
 *   booleans and null
 * @throws Refusal
 */
export function isPlain(value: unknown, what: string): boolean {
  return new Survey(what).visit(value)
}

/** The key at a place of a map, or the value at a place of a map or a set. */
type Within =
  { readonly key: number } | { readonly value: number } | { readonly get: unknown; readonly i: number }

class Survey {
  readonly #what: string
  /** Indices, keys, and what leads into maps and sets. Made into text only where something is refused. */
  readonly #path: (number | string | Within)[] = []
  #seen: Set<object> | undefined
  /** Of all arrays with holes together. */
  #sparseLength = 0

  constructor(what: string) {
    this.#what = what
  }

  visit(value: unknown): boolean {
    switch (typeof value) {
      case 'string':
      case 'boolean':
        return true
      case 'number':
        return Number.isFinite(value) && !Object.is(value, -0)
      case 'object':
        return value === null || this.#object(value)
      case 'undefined':
        return false
      case 'bigint':
        if (!isShort(value)) this.#refuse(`is a bigint of more than ${MAX_BIGINT_DIGITS} digits`)
        return false
      default:
        return this.#refuse(`is a ${typeof value}`)
    }
  }

  #object(value: object): boolean {
    const seen = (this.#seen ??= new Set())
    if (seen.has(value)) return false
    seen.add(value)
    if (this.#path.length >= MAX_DEPTH) return this.#refuse(`is nested deeper than ${MAX_DEPTH} levels`)
    if (Array.isArray(value)) return this.#array(value)
    const prototype: unknown = Object.getPrototypeOf(value)
    if (prototype === Object.prototype) return this.#fields(value)
    if (isPlainPrototype(prototype)) {
      this.#fields(value)
      // null as prototype does not survive JSON
      return false
    }
    this.#special(value, prototype)
    return false
  }

  #array(value: readonly unknown[]): boolean {
    if (Object.getPrototypeOf(value) !== Array.prototype && value.constructor?.name !== 'Array') {
      this.#refuse(`is an instance of ${nameOf(value)}`)
    }
    let plain = true
    let holes = false
    for (let i = 0; i < value.length; i++) {
      if (!(i in value)) {
        plain = false
        if (!holes) this.#countHoles(value.length)
        holes = true
        continue
      }
      plain = this.#step(value[i], i) && plain
    }
    // JSON would drop fields beside the elements without a word; a dense array has no other way to have more keys
    if (!holes && hasFields(value)) this.#refuse('is an array with fields of its own')
    return plain
  }

  #countHoles(length: number): void {
    this.#sparseLength += length
    if (this.#sparseLength <= MAX_SPARSE_LENGTH) return
    const total = this.#sparseLength === length ? '' : `, with those before it ${this.#sparseLength}`
    this.#refuse(`has holes and a length of ${length}${total}, over ${MAX_SPARSE_LENGTH}`)
  }

  #fields(value: object): boolean {
    let plain = true
    for (const key of Object.keys(value)) {
      if (key === '__proto__') this.#refuse('has the key __proto__')
      plain = this.#step((value as Record<string, unknown>)[key], key) && plain
    }
    for (const symbol of Object.getOwnPropertySymbols(value)) {
      if (Object.prototype.propertyIsEnumerable.call(value, symbol)) {
        this.#refuse(`has a symbol as key, ${String(symbol)}`)
      }
    }
    return plain
  }

  #special(value: object, prototype: unknown): void {
    if (value instanceof Date && prototype === Date.prototype) return
    if (value instanceof ArrayBuffer && prototype === ArrayBuffer.prototype) return
    if (ArrayBuffer.isView(value)) {
      if (viewType(value) === -1) this.#refuse(`is a ${nameOf(value)}`)
      return
    }
    if (value instanceof Map && prototype === Map.prototype) {
      let i = 0
      for (const [key, item] of value) {
        this.#step(key, { key: i })
        this.#step(item, { get: key, i: i++ })
      }
      return
    }
    if (value instanceof Set && prototype === Set.prototype) {
      let i = 0
      for (const item of value) this.#step(item, { value: i++ })
      return
    }
    this.#refuse(describeInstance(value))
  }

  #step(value: unknown, step: number | string | Within): boolean {
    this.#path.push(step)
    const plain = this.visit(value)
    this.#path.pop()
    return plain
  }

  #refuse(problem: string): never {
    const path = this.#path.slice(0, 12).map(textOf).join('')
    throw new Refusal(`${this.#what}${path}${this.#path.length > 12 ? '…' : ''} ${problem}`)
  }
}

/** The place of a view's type in `VIEWS`, or -1. A subclass, as Node's Buffer is, counts as what it extends. */
export function viewType(value: ArrayBufferView): number {
  return VIEWS.findIndex((type) => value instanceof type)
}

/** A prototype of nothing, or `Object.prototype` of another frame. */
function isPlainPrototype(prototype: unknown): boolean {
  if (prototype === null) return true
  return Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype as object, 'isPrototypeOf')
}

function isShort(value: bigint): boolean {
  const size = value < 0n ? -value : value
  return size < LONGEST
}
const LONGEST = 10n ** BigInt(MAX_BIGINT_DIGITS)

/** Whether an array without holes has a key that is no index. Own keys come in order: indices first. */
function hasFields(value: readonly unknown[]): boolean {
  // asking for all keys of a long array costs more than writing it; a field beside so many elements goes unnoticed
  if (value.length > 256) return false
  return Object.keys(value).length !== value.length
}

function describeInstance(value: object): string {
  if (typeof (value as { then?: unknown }).then === 'function') return 'is a promise: await it first'
  const { nodeType, nodeName } = value as { nodeType?: unknown; nodeName?: unknown }
  if (typeof nodeType === 'number' && typeof nodeName === 'string') return `is a DOM node, ${nodeName}`
  return `is an instance of ${nameOf(value)}`
}

function nameOf(value: object): string {
  const { constructor } = value as { constructor?: unknown }
  const name: unknown = typeof constructor === 'function' ? constructor.name : undefined
  return typeof name === 'string' && name !== '' ? name : 'a class'
}

function textOf(step: number | string | Within): string {
  if (typeof step === 'number') return `[${step}]`
  if (typeof step === 'string') return /^[A-Za-z_$][\w$]*$/.test(step) ? `.${step}` : `[${quote(step)}]`
  if ('value' in step) return `.value(${step.value})`
  if ('key' in step) return `.key(${step.key})`
  const { get: key, i } = step
  return typeof key === 'object' || typeof key === 'function' ? `.value(${i})` : `.get(${quote(key)})`
}

function quote(key: unknown): string {
  if (typeof key !== 'string') return String(key)
  return JSON.stringify(key.length > 40 ? `${key.slice(0, 40)}…` : key)
}
