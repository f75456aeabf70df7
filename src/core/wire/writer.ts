import { codePoint, utf8Length } from '../utf8.ts'

/** Appends to one growing buffer. Integers are LEB128 varints, texts UTF-8 with their byte length before them. */
export class Writer {
  readonly #capacity: number
  #bytes: Uint8Array
  #length = 0

  /** `capacity`: bytes to begin with, and after each `give`. */
  constructor(capacity = 256) {
    this.#capacity = capacity
    this.#bytes = new Uint8Array(capacity)
  }

  get length(): number {
    return this.#length
  }

  reset(): this {
    this.#length = 0
    return this
  }

  /** A copy of what was written, from the byte `start` on. */
  take(start = 0): Uint8Array {
    return this.#bytes.slice(start, this.#length)
  }

  /** The same without a copy: the writer goes on with other memory. */
  give(start = 0): Uint8Array {
    const given = this.#bytes.subarray(start, this.#length)
    this.#bytes = NOTHING
    this.#length = 0
    return given
  }

  /** Leaves room. */
  skip(count: number): this {
    this.#reserve(count)
    this.#length += count
    return this
  }

  /** Takes the last bytes back. */
  shorten(count: number): this {
    this.#length -= count
    return this
  }

  /** Copies what was written, from the byte `start` on, to the byte `to` of `target`. */
  copyTo(target: Uint8Array, start: number, to = 0): void {
    if (this.#length - start > FEW) return target.set(this.#bytes.subarray(start, this.#length), to)
    for (let at = start; at < this.#length; at++) target[to + at - start] = this.#bytes[at]!
  }

  /**
   * Puts the number of bytes behind the first `head`, and of those that are to follow, right before them, as a varint.
   * Returns where that begins.
   */
  lengthInto(head: number, following = 0): number {
    const length = this.#length - head + following
    let start = head - 1
    for (let rest = length; rest >= 0x80; rest = Math.floor(rest / 0x80)) start--
    const end = this.#length
    this.#length = start
    this.varint(length)
    this.#length = end
    return start
  }

  byte(value: number): this {
    this.#reserve(1)
    this.#bytes[this.#length++] = value
    return this
  }

  /** A non-negative integer up to 2^53 - 1. */
  varint(value: number): this {
    this.#reserve(8)
    while (value >= 0x80) {
      this.#bytes[this.#length++] = (value % 0x80) | 0x80
      value = Math.floor(value / 0x80)
    }
    this.#bytes[this.#length++] = value
    return this
  }

  /** Four bytes, little endian. */
  word(value: number): this {
    this.#reserve(4)
    for (let shift = 0; shift < 32; shift += 8) this.#bytes[this.#length++] = (value >>> shift) & 0xff
    return this
  }

  /** Most texts are names in ASCII, which take one pass. */
  text(text: string): this {
    const start = this.#length
    this.varint(text.length)
    this.#reserve(text.length * 3)
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i)
      if (code >= 0x80) return this.#unicode(text, start)
      this.#bytes[this.#length++] = code
    }
    return this
  }

  blob(bytes: Uint8Array): this {
    this.varint(bytes.length)
    return this.raw(bytes)
  }

  raw(bytes: Uint8Array): this {
    this.#reserve(bytes.length)
    this.#bytes.set(bytes, this.#length)
    this.#length += bytes.length
    return this
  }

  #unicode(text: string, start: number): this {
    this.#length = start
    this.varint(utf8Length(text))
    this.#reserve(text.length * 3)
    for (let i = 0; i < text.length; i++) {
      const point = codePoint(text, i)
      this.#point(point)
      if (point > 0xffff) i++
    }
    return this
  }

  #point(point: number): void {
    const bytes = this.#bytes
    if (point < 0x80) {
      bytes[this.#length++] = point
    } else if (point < 0x800) {
      bytes[this.#length++] = 0xc0 | (point >> 6)
      bytes[this.#length++] = 0x80 | (point & 0x3f)
    } else if (point < 0x10000) {
      bytes[this.#length++] = 0xe0 | (point >> 12)
      bytes[this.#length++] = 0x80 | ((point >> 6) & 0x3f)
      bytes[this.#length++] = 0x80 | (point & 0x3f)
    } else {
      bytes[this.#length++] = 0xf0 | (point >> 18)
      bytes[this.#length++] = 0x80 | ((point >> 12) & 0x3f)
      bytes[this.#length++] = 0x80 | ((point >> 6) & 0x3f)
      bytes[this.#length++] = 0x80 | (point & 0x3f)
    }
  }

  #reserve(count: number): void {
    const needed = this.#length + count
    if (needed <= this.#bytes.length) return
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2, this.#capacity))
    grown.set(this.#bytes.subarray(0, this.#length))
    this.#bytes = grown
  }
}

const NOTHING = new Uint8Array(0)
/** Up to so many bytes are copied one by one: a view on them would take longer. */
const FEW = 128
