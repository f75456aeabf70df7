import type { Writer } from './writer.ts'

/** Memory is made for so many bytes at once, if not for fewer. */
export const SLAB_BYTES = 8 * 1024
/** Of a slab: from here on bytes have memory of their own, since a few of them would leave much unused. */
const LARGE_SHARE = 1 / 8

/**
 * Slab: memory that small messages share, one behind the other. A browser keeps an account of each buffer, and takes
 * longer to make and to collect one than to fill it; and messages that were written one after the other are joined
 * where they lie (`adjoin`). What was written never changes. A slab is in memory as long as one of its messages is.
 */
export class Slab {
  readonly #size: number
  #bytes = NOTHING
  #used = 0

  constructor(size = SLAB_BYTES) {
    this.#size = size
  }

  /** A copy of what was written, from the byte `start` on. */
  keep(writer: Writer, start = 0): Uint8Array {
    const size = writer.length - start
    if (size >= LARGE_SHARE * this.#size) return writer.take(start)
    if (size > this.#bytes.length - this.#used) {
      this.#bytes = new Uint8Array(this.#size)
      this.#used = 0
    }
    const at = this.#used
    writer.copyTo(this.#bytes, start, at)
    this.#used += size
    return new Uint8Array(this.#bytes.buffer, at, size)
  }
}

/** Both as one, where the second begins right behind the first in the same memory. */
export function adjoin(first: Uint8Array, second: Uint8Array): Uint8Array | undefined {
  const isNext = first.buffer === second.buffer && first.byteOffset + first.length === second.byteOffset
  return isNext ? new Uint8Array(first.buffer, first.byteOffset, first.length + second.length) : undefined
}

const NOTHING = new Uint8Array(0)
