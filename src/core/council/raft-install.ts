/**
 * The receiving end of a snapshot in parts (thesis 5.4): keeps what has come without a gap, so that an interrupted
 * transfer goes on where it was. Two processes may encode the same state differently: parts of different senders are
 * never mixed.
 */
import type { ProcessId } from '../identity/node-id.ts'
import type { RaftMessage } from './raft-messages.ts'

type Install = Extract<RaftMessage, { kind: 'install' }>

export class RaftInstall {
  #from: ProcessId = ''
  #index = 0
  #indexTerm = 0
  #size = 0
  #parts: Uint8Array[] = []
  #received = 0

  /** Takes a part; returns how many bytes are here without a gap. */
  take(part: Install): number {
    const isSame =
      part.from === this.#from &&
      part.index === this.#index &&
      part.indexTerm === this.#indexTerm &&
      part.size === this.#size
    if (!isSame) {
      this.clear()
      this.#from = part.from
      this.#index = part.index
      this.#indexTerm = part.indexTerm
      this.#size = part.size
    }
    if (
      part.bytes.length > 0 &&
      part.offset === this.#received &&
      part.offset + part.bytes.length <= part.size
    ) {
      this.#parts.push(part.bytes)
      this.#received += part.bytes.length
    }
    return this.#received
  }

  /** The whole, once all of it has come. */
  whole(): Uint8Array {
    const bytes = new Uint8Array(this.#received)
    let at = 0
    for (const part of this.#parts) {
      bytes.set(part, at)
      at += part.length
    }
    return bytes
  }

  clear(): void {
    this.#from = ''
    this.#index = 0
    this.#parts = []
    this.#received = 0
  }
}
