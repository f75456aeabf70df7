/** Values that users publish: JSON on the wire, checked on the way out and on the way in. */
import { ClusterError } from '../errors.ts'

/**
 * The JSON text of a value; empty for `undefined`.
 * @throws ClusterError `invalid-value` if it is not JSON, `too-large` if it has more than `maxBytes` bytes of UTF-8
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
  if (text === undefined) {
    throw new ClusterError('invalid-value', `${what} is a ${typeof value}, which JSON cannot carry`)
  }
  const bytes = new TextEncoder().encode(text).length
  if (bytes > maxBytes) {
    const advice = 'publish less, or a reference to it'
    throw new ClusterError(
      'too-large',
      `${what} has ${bytes} bytes of JSON, over its limit of ${maxBytes}: ${advice}`,
    )
  }
  return text
}

/** The value of a text that came from another member; `undefined` for what is no JSON. Prototype keys are dropped. */
export function decodeValue(text: string | undefined): unknown {
  if (!text) return undefined
  try {
    return text.includes('__proto__') || text.includes('\\u')
      ? JSON.parse(text, withoutProto)
      : JSON.parse(text)
  } catch {
    return undefined
  }
}

const withoutProto = (key: string, value: unknown): unknown => (key === '__proto__' ? undefined : value)
