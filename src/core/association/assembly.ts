import { Writer } from '../wire/writer.ts'

/** From here on a piece is worth a view of its own; smaller ones are copied together. In bytes. */
const LARGE_PIECE = 4 * 1024

/** A message of several pieces, as far as it has come. It keeps little more memory than its pieces have bytes. */
export class Assembly {
  readonly mailbox: string
  /** Bytes of the whole message. */
  readonly total: number
  readonly isText: boolean
  readonly #parts: Uint8Array[] = []
  /** Small pieces since the newest part. */
  #small: Writer | undefined
  #size = 0

  constructor(mailbox: string, total: number, isText: boolean) {
    this.mailbox = mailbox
    this.total = total
    this.isText = isText
  }

  /** Bytes that have come. */
  get size(): number {
    return this.#size
  }

  /** Takes the next piece; a large one without a copy, so it must not change any more. */
  add(bytes: Uint8Array): void {
    this.#size += bytes.length
    if (bytes.length >= LARGE_PIECE && fillsItsMemory(bytes)) {
      this.#closeSmall()
      this.#parts.push(bytes)
      return
    }
    this.#small ??= new Writer()
    this.#small.raw(bytes)
    if (this.#small.length >= LARGE_PIECE) this.#closeSmall()
  }

  /** The message, once all of it has come. */
  join(): Uint8Array {
    this.#closeSmall()
    const bytes = new Uint8Array(this.total)
    let at = 0
    for (const part of this.#parts) {
      bytes.set(part, at)
      at += part.length
    }
    return bytes
  }

  #closeSmall(): void {
    if (this.#small && this.#small.length > 0) this.#parts.push(this.#small.give())
  }
}

/** The same bytes, to be kept for a while: in memory of their own if they would keep much else with them. */
export const toKeep = (bytes: Uint8Array): Uint8Array => (fillsItsMemory(bytes) ? bytes : bytes.slice())

/** A view on a part of a message keeps all of that message in memory. */
const fillsItsMemory = ({ length, buffer }: Uint8Array): boolean => 2 * length >= buffer.byteLength
