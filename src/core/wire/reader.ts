import { plainText } from './plain-text.ts'

/**
 * Reads what `Writer` wrote, and anything else: it never throws and never reads past the end. The first thing that
 * is wrong is kept in `problem`; everything read after it is empty, so a decoder checks once at its end.
 */
export class Reader {
  readonly #bytes: Uint8Array
  #at: number
  #end: number
  #problem: string | undefined

  constructor(bytes: Uint8Array, start = 0, end = bytes.length) {
    this.#bytes = bytes
    this.#at = start
    this.#end = end
  }

  get problem(): string | undefined {
    return this.#problem
  }

  get remaining(): number {
    return this.#end - this.#at
  }

  get done(): boolean {
    return this.#at >= this.#end
  }

  /** Records the first problem and stops the reading. */
  fail(problem: string): void {
    this.#problem ??= problem
    this.#at = this.#end
  }

  byte(what: string): number {
    if (this.#at >= this.#end) {
      this.fail(`${what} is cut short`)
      return 0
    }
    return this.#bytes[this.#at++]!
  }

  /** A non-negative integer up to `max`. `role` goes before the name in a problem. */
  varint(what: string, max = Number.MAX_SAFE_INTEGER, role = ''): number {
    let value = 0
    let scale = 1
    for (let i = 0; i < 8; i++) {
      if (this.#at >= this.#end) {
        this.fail(`${role}${what} is cut short`)
        return 0
      }
      const byte = this.#bytes[this.#at++]!
      value += (byte & 0x7f) * scale
      if (byte < 0x80) {
        if (value > max) {
          this.fail(`${role}${what} is ${value}, over its limit of ${max}`)
          return 0
        }
        return value
      }
      scale *= 0x80
    }
    this.fail(`${role}${what} is too long a number`)
    return 0
  }

  word(what: string): number {
    if (this.remaining < 4) {
      this.fail(`${what} is cut short`)
      return 0
    }
    const at = this.#at
    this.#at += 4
    const b = this.#bytes
    return (b[at]! | (b[at + 1]! << 8) | (b[at + 2]! << 16) | (b[at + 3]! << 24)) >>> 0
  }

  blob(what: string, maxLength: number): Uint8Array {
    const length = this.varint(what, maxLength, 'length of ')
    if (length > this.remaining) {
      this.fail(`${what} is cut short`)
      return new Uint8Array(0)
    }
    return this.#take(length)
  }

  /** Exactly that many bytes. */
  bytes(what: string, length: number): Uint8Array {
    if (length > this.remaining) {
      this.fail(`${what} is cut short`)
      return new Uint8Array(0)
    }
    return this.#take(length)
  }

  text(what: string, maxBytes: number): string {
    const length = this.varint(what, maxBytes, 'length of ')
    if (length > this.remaining) {
      this.fail(`${what} is cut short`)
      return ''
    }
    const end = this.#at + length
    const plain = plainText(this.#bytes, this.#at, end)
    if (plain !== undefined) {
      this.#at = end
      return plain
    }
    let text = ''
    while (this.#at < end) {
      const point = this.#point(end)
      if (point < 0) {
        this.fail(`${what} is not UTF-8`)
        return ''
      }
      text += String.fromCodePoint(point)
    }
    return text
  }

  /** Nothing is read beyond the next `length` bytes, until `widen` is given what this returns. */
  narrow(length: number): number {
    const end = this.#end
    this.#end = this.#at + Math.min(length, this.remaining)
    return end
  }

  /** Reading goes on behind what was narrowed to. */
  widen(end: number): void {
    this.#at = this.#end
    this.#end = end
  }

  /** The rest is passed over. */
  skip(): void {
    this.#at = this.#end
  }

  /** What is left, as a view, without reading it. */
  ahead(): Uint8Array {
    return this.#bytes.subarray(this.#at, this.#end)
  }

  /** A blob that is not copied: it keeps the whole message in memory. */
  view(what: string, maxLength: number): Uint8Array {
    const length = this.varint(what, maxLength, 'length of ')
    if (length > this.remaining) this.fail(`${what} is cut short`)
    const start = this.#at
    if (!this.#problem) this.#at += length
    return this.#bytes.subarray(start, this.#at)
  }

  #take(length: number): Uint8Array {
    const start = this.#at
    this.#at += length
    return this.#bytes.slice(start, this.#at)
  }

  /** One code point, or -1 where the bytes are no shortest-form UTF-8. */
  #point(end: number): number {
    const bytes = this.#bytes
    const first = bytes[this.#at++]!
    if (first < 0x80) return first
    const more =
      first >= 0xf0 && first < 0xf5
        ? 3
        : first >= 0xe0 && first < 0xf0
          ? 2
          : first >= 0xc2 && first < 0xe0
            ? 1
            : 0
    if (more === 0 || this.#at + more > end) return -1
    let point = first & (0x3f >> more)
    for (let i = 0; i < more; i++) {
      const byte = bytes[this.#at++]!
      if ((byte & 0xc0) !== 0x80) return -1
      point = (point << 6) | (byte & 0x3f)
    }
    const tooShort = (more === 2 && point < 0x800) || (more === 3 && point < 0x10000)
    return tooShort || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff) ? -1 : point
  }
}
