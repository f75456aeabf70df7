import type { Writer } from '../wire/writer.ts'

/** What all streams of a process keep for bodies to come, in bytes: two windows. */
const MAX_SPARE_BYTES = 2 * 1024 * 1024

/**
 * Where large bodies lie until they have arrived; then their memory serves the next ones of their stream. Measured
 * between two tabs, with messages of 16 KiB: fresh memory for each, which is made page by page as it is written, took a
 * sixth of the time of the sender's page, and a twentieth of the rate.
 *
 * Memory stays within its stream, and only its receiver gives it free: if that says too early that a body has arrived,
 * while it waits before their link, it is sent another one of its own in its place, and never what is meant for somebody
 * else. Where all streams keep too much, the one that has not given anything back for longest loses what it keeps.
 */
export class BodyMemory {
  readonly #bytes: number
  /** By stream; the one that gave something back last is the last. */
  readonly #spare = new Map<object, ArrayBufferLike[]>()
  #spareBytes = 0

  /** `bytes`: of the largest body, with what lies before it. */
  constructor(bytes: number) {
    this.#bytes = bytes
  }

  /** What was written from `start` on; what was written before lies in front of it, in the same memory. */
  copyOf(writer: Writer, start: number, stream: object): Uint8Array {
    const spare = this.#spare.get(stream)?.pop()
    if (spare) this.#spareBytes -= spare.byteLength
    const memory = new Uint8Array(spare ?? new ArrayBuffer(this.#bytes))
    writer.copyTo(memory, 0)
    return memory.subarray(start, writer.length)
  }

  /** A body that `copyOf` gave to this stream has arrived, and nobody reads it any more. */
  release({ buffer }: Uint8Array, stream: object): void {
    const own = this.#spare.get(stream) ?? []
    this.#spare.delete(stream)
    while (this.#spareBytes + buffer.byteLength > MAX_SPARE_BYTES && this.#spare.size > 0) this.#dropOldest()
    this.#spare.set(stream, own)
    if (this.#spareBytes + buffer.byteLength > MAX_SPARE_BYTES) return
    own.push(buffer)
    this.#spareBytes += buffer.byteLength
  }

  /** The stream is over. */
  drop(stream: object): void {
    for (const { byteLength } of this.#spare.get(stream) ?? []) this.#spareBytes -= byteLength
    this.#spare.delete(stream)
  }

  #dropOldest(): void {
    const [oldest] = this.#spare.keys()
    this.drop(oldest!)
  }
}
