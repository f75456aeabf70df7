/** Values that users publish: JSON on the wire, checked on the way out and on the way in. */
import { ClusterError } from '../errors.ts'
import { deepFreeze } from '../grains/frozen.ts'

/**
 * The JSON text of a value; empty for `undefined`.
 * @param what the name of the value, with which paths begin
 * @throws ClusterError `invalid-value`, with a path, if JSON would not give back what it was given; `too-large` if it has
 *   more than `maxBytes` bytes of UTF-8
 */
export function encodeValue(value: unknown, maxBytes: number, what: string): string {
  if (value === undefined) return ''
  let text: string | undefined
  try {
    text = JSON.stringify(value)
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new ClusterError('invalid-value', `${what} cannot be written as JSON: ${why}`, { cause })
  }
  const bytes = text === undefined ? 0 : new TextEncoder().encode(text).length
  if (bytes > maxBytes) {
    const advice = 'publish less, or a reference to it'
    throw new ClusterError(
      'too-large',
      `${what} has ${bytes} bytes of JSON, over its limit of ${maxBytes}: ${advice}`,
    )
  }
  // behind the size: what is small and has no circles is soon looked through
  const problem = problemIn(value, what)
  if (problem !== undefined || text === undefined) {
    const advice = 'publish what JSON has'
    throw new ClusterError('invalid-value', `${problem}, which JSON does not give back as it was: ${advice}`)
  }
  return text
}

/**
 * The first thing that JSON would drop or replace without a word. Fields that are undefined are read as such when they
 * are gone, and -0 is as good as 0.
 */
function problemIn(value: unknown, path: string): string | undefined {
  if (typeof value === 'string' || typeof value === 'boolean' || value === null) return undefined
  if (typeof value === 'number') return Number.isFinite(value) ? undefined : `${path} is ${value}`
  if (value === undefined) return `${path} is undefined`
  if (typeof value !== 'object') return `${path} is a ${typeof value}`
  if (!Array.isArray(value)) {
    if (!isPlainObject(value)) return `${path} is an instance of ${String(value.constructor?.name)}`
    if (typeof (value as { toJSON?: unknown }).toJSON === 'function') return `${path} has a method toJSON`
  }
  return problemWithin(value, path)
}

function problemWithin(value: object, path: string): string | undefined {
  // not `Object.entries` of an array: that leaves out its holes
  const items = Array.isArray(value) ? value.entries() : Object.entries(value)
  for (const [key, item] of items) {
    if (item === undefined && typeof key === 'string') continue
    if (key === '__proto__') return `${path} has a field named __proto__`
    const problem = problemIn(item, typeof key === 'string' ? `${path}.${key}` : `${path}[${key}]`)
    if (problem !== undefined) return problem
  }
  if (Array.isArray(value) && Object.keys(value).length > value.length)
    return `${path} is a list with fields beside its items`
  if (Object.getOwnPropertySymbols(value).length > 0) return `${path} has a field named by a symbol`
  return undefined
}

/** Of this frame or another one, or without a prototype. */
function isPlainObject(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

/**
 * The value of a text that came from a member, frozen; `undefined` for what is no JSON. Prototype keys are dropped.
 */
export function decodeValue(text: string | undefined): unknown {
  if (!text) return undefined
  try {
    const hasProto = text.includes('__proto__') || text.includes('\\u')
    const value: unknown = hasProto ? JSON.parse(text, withoutProto) : JSON.parse(text)
    deepFreeze(value)
    return value
  } catch {
    return undefined
  }
}

const withoutProto = (key: string, value: unknown): unknown => (key === '__proto__' ? undefined : value)
