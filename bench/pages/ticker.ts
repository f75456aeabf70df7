/**
 * How long the main thread does not come to anything else: messages that a page sends to itself, each a task of its own,
 * and the longest time between two of them. What else the machine does is in it too, so compare it with a quiet time.
 */

export class Ticker {
  readonly #channel = new MessageChannel()
  #last = 0
  #longest = 0
  #isRunning = false

  constructor() {
    this.#channel.port1.addEventListener('message', () => this.#tick())
    this.#channel.port1.start()
  }

  start(): void {
    this.#last = performance.now()
    this.#longest = 0
    if (this.#isRunning) return
    this.#isRunning = true
    this.#channel.port2.postMessage(0)
  }

  /** The longest gap since `start`, in ms. */
  stop(): number {
    this.#isRunning = false
    return Math.max(this.#longest, performance.now() - this.#last)
  }

  #tick(): void {
    const now = performance.now()
    this.#longest = Math.max(this.#longest, now - this.#last)
    this.#last = now
    if (this.#isRunning) this.#channel.port2.postMessage(0)
  }
}
