/**
 * What is carried of a relayed link: pieces, each with the link's tag, what it is, and either a run of the link's bytes,
 * encrypted and numbered, or its end. The bytes are the link's messages, each behind its length; a piece holds as many
 * as fit and may begin and end inside one.
 */
import { MAX_LINK_MESSAGE } from '../../ports.ts'
import { base64Length } from './base64.ts'
import { FAREWELL_BYTES, TAG_BYTES } from './secrets.ts'

export const PieceType = { bytes: 1, farewell: 2 } as const

/** Tag, type, number. */
export const HEAD_BYTES = TAG_BYTES + 1 + 4
/** What AES-GCM adds. */
export const SEAL_BYTES = 16
/** Most bytes of a link in one piece: small enough that a rate is kept to evenly, large enough to cost little. */
export const MAX_PIECE_BYTES = 8 * 1024
/** Pieces that one key may seal. */
export const MAX_PIECES = 2 ** 32 - 1

export const LENGTH_BYTES = 4

/** Length of the text that carries `bytes` bytes of a link. */
export const pieceLength = (bytes: number): number => base64Length(HEAD_BYTES + bytes + SEAL_BYTES)

export const FAREWELL_PIECE_BYTES = TAG_BYTES + 1 + FAREWELL_BYTES

/** The messages of one link, in line to be sent. */
export class Backlog {
  readonly #parts: Uint8Array[] = []
  /** Where the first part goes on. */
  #offset = 0
  #bytes = 0

  /** Bytes in line, lengths included. */
  get bytes(): number {
    return this.#bytes
  }

  /** Copies the message. */
  add(message: Uint8Array): void {
    const part = new Uint8Array(LENGTH_BYTES + message.length)
    new DataView(part.buffer).setUint32(0, message.length)
    part.set(message, LENGTH_BYTES)
    this.#parts.push(part)
    this.#bytes += part.length
  }

  /** Takes up to `max` bytes off the front. */
  take(max: number): Uint8Array<ArrayBuffer> {
    const taken = new Uint8Array(Math.min(max, this.#bytes))
    let at = 0
    let whole = 0
    while (at < taken.length) {
      const part = this.#parts[whole]!
      const run = part.subarray(this.#offset, this.#offset + taken.length - at)
      taken.set(run, at)
      at += run.length
      this.#offset += run.length
      if (this.#offset < part.length) break
      this.#offset = 0
      whole++
    }
    this.#parts.splice(0, whole)
    this.#bytes -= taken.length
    return taken
  }

  clear(): void {
    this.#parts.length = 0
    this.#offset = 0
    this.#bytes = 0
  }
}

/** Puts the messages of one link together again. */
export class Assembly {
  readonly #length = new Uint8Array(LENGTH_BYTES)
  #have = 0
  #message: Uint8Array | undefined

  /**
   * Calls `onMessage` for each message that is complete now, for as long as it answers true. Returns what is wrong
   * with the bytes, if something is.
   */
  add(bytes: Uint8Array, onMessage: (message: Uint8Array) => boolean): string | undefined {
    for (let at = 0; at < bytes.length;) {
      const into = this.#message ?? this.#length
      const run = bytes.subarray(at, at + into.length - this.#have)
      into.set(run, this.#have)
      this.#have += run.length
      at += run.length
      if (this.#have < into.length) return undefined
      this.#have = 0
      if (this.#message) {
        const message = this.#message
        this.#message = undefined
        if (!onMessage(message)) return undefined
        continue
      }
      const length = new DataView(this.#length.buffer).getUint32(0)
      if (length === 0 || length > MAX_LINK_MESSAGE) {
        return `the other end sent ${length} bytes in one message; 1 to ${MAX_LINK_MESSAGE} are allowed`
      }
      this.#message = new Uint8Array(length)
    }
    return undefined
  }
}
