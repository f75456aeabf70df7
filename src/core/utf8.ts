/** Bytes of a text in UTF-8. */
export function utf8Length(text: string): number {
  let length = 0
  for (let i = 0; i < text.length; i++) {
    const point = codePoint(text, i)
    length += point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4
    if (point > 0xffff) i++
  }
  return length
}

/** Lone surrogates become U+FFFD, as TextEncoder does, so that every text has a valid encoding. */
export function codePoint(text: string, at: number): number {
  const point = text.codePointAt(at) ?? 0xfffd
  return point >= 0xd800 && point <= 0xdfff ? 0xfffd : point
}
