/**
 * Short plain texts, found instead of made. NodeIds, keys and published links come in with every frame, most of them
 * for the hundredth time: the string that was made before spares its memory, and tables that are keyed by it know its
 * hash already.
 */

/** Texts that are remembered: one for each value of a hash, the newest. */
const REMEMBERED = 4_096
/** Longer texts are values of users, which seldom come twice. */
const MAX_REMEMBERED_BYTES = 256
/** Longer texts are too many arguments for one call. */
const MAX_BYTES = 1_024

const remembered: (string | undefined)[] = Array.from({ length: REMEMBERED })

/** The bytes from `start` to `end` as text, or `undefined` where they are not all ASCII, or are more than 1,024. */
export function plainText(bytes: Uint8Array, start: number, end: number): string | undefined {
  if (end - start > MAX_BYTES) return undefined
  let seen = 0
  let hash = end - start
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!
    seen |= byte
    hash = Math.imul(hash ^ byte, 0x01000193)
  }
  if (seen >= 0x80) return undefined
  if (end - start > MAX_REMEMBERED_BYTES) return make(bytes, start, end)
  const slot = (hash ^ (hash >>> 15)) & (REMEMBERED - 1)
  const known = remembered[slot]
  if (known !== undefined && isSame(known, bytes, start, end)) return known
  return (remembered[slot] = make(bytes, start, end))
}

function isSame(text: string, bytes: Uint8Array, start: number, end: number): boolean {
  if (text.length !== end - start) return false
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) !== bytes[start + i]) return false
  return true
}

const make = (bytes: Uint8Array, start: number, end: number): string =>
  String.fromCharCode.apply(null, bytes.subarray(start, end) as never)
