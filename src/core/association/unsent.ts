/** Messages that a life cannot judge yet: it knows of nobody before it is `up`, and knows of nobody after its end. */
import type { Outgoing } from '../events.ts'
import type { Outbox } from '../outbox.ts'

/** What a message takes beside its bytes. */
const HEAD_BYTES = 128

export class Unsent {
  readonly #outbox: Outbox
  readonly #maxBytes: number
  #messages: Outgoing[] = []
  #bytes = 0

  constructor(outbox: Outbox, maxBytes: number) {
    this.#outbox = outbox
    this.#maxBytes = maxBytes
  }

  get size(): number {
    return this.#messages.length
  }

  keep(messages: readonly Outgoing[]): void {
    for (const message of messages) {
      const size = message.bytes.length + HEAD_BYTES
      if (this.#bytes + size > this.#maxBytes) {
        this.#outbox.push({ type: 'outcome', id: message.id, outcome: 'queue-full' })
        continue
      }
      this.#bytes += size
      this.#messages.push(message)
    }
  }

  cancel(id: number): void {
    const at = this.#messages.findIndex((message) => message.id === id)
    if (at < 0) return
    const [{ bytes }] = this.#messages.splice(at, 1) as [Outgoing]
    this.#bytes -= bytes.length + HEAD_BYTES
    this.#outbox.push({ type: 'outcome', id, outcome: 'aborted' })
  }

  take(): Outgoing[] {
    const messages = this.#messages
    this.#messages = []
    this.#bytes = 0
    return messages
  }

  /** This process leaves. */
  end(): void {
    for (const { id } of this.take()) this.#outbox.push({ type: 'outcome', id, outcome: 'left' })
  }
}
