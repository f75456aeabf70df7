/** Least time between two tries of the same value, in ms. */
const RETRY_MS = 1_000

/**
 * Sends values one after the other, and of those that came meanwhile the newest alone. What could not be sent is tried
 * again until it is sent, there is a newer one, or `stop`: nothing that was typed is lost.
 */
export class Latest<T> {
  readonly #send: (value: T) => Promise<unknown>
  readonly #pauseMs: number
  #next: { readonly value: T } | undefined
  #isSending = false
  #timer: number | undefined

  /** @param pauseMs how long a value waits for a newer one */
  constructor(send: (value: T) => Promise<unknown>, pauseMs: number) {
    this.#send = send
    this.#pauseMs = pauseMs
  }

  /** Whether something was not sent yet. */
  get isBusy(): boolean {
    return this.#isSending || this.#next !== undefined
  }

  push(value: T): void {
    this.#next = { value }
    this.#wait(this.#pauseMs)
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#timer = this.#next = undefined
  }

  #wait(ms: number): void {
    if (this.#isSending || this.#timer !== undefined) return
    this.#timer = window.setTimeout(() => {
      this.#timer = undefined
      void this.#flush()
    }, ms)
  }

  async #flush(): Promise<void> {
    const next = this.#next
    if (!next) return
    this.#next = undefined
    this.#isSending = true
    let pauseMs = this.#pauseMs
    try {
      await this.#send(next.value)
    } catch {
      this.#next ??= next
      pauseMs = RETRY_MS
    }
    this.#isSending = false
    if (this.#next) this.#wait(pauseMs)
  }
}
