/** Short plain texts, by hand: a call into the browser's own encoder takes longer than they do. */

/** In characters. Longer texts are left to it. */
const MAX_LENGTH = 128

/** The bytes of a text behind `start` free ones; `undefined` where it is long, or not all ASCII. */
export function asciiBytes(text: string, start: number): Uint8Array | undefined {
  if (text.length > MAX_LENGTH) return undefined
  const bytes = new Uint8Array(start + text.length)
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code >= 0x80) return undefined
    bytes[start + i] = code
  }
  return bytes
}

/** The text of the bytes from `start` on; `undefined` where they are many, or not all ASCII. */
export function asciiText(bytes: Uint8Array, start: number): string | undefined {
  const length = bytes.length - start
  if (length > MAX_LENGTH) return undefined
  let seen = 0
  for (let at = start; at < bytes.length; at++) seen |= bytes[at]!
  if (seen >= 0x80) return undefined
  return String.fromCharCode.apply(null, bytes.subarray(start) as never)
}
