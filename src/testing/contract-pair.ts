/** Two ends of one link whose signals reach each other, and everything their handlers were told. */
import type { Clock, LinkEnd, LinkTransport } from '../ports.ts'

export interface PairOptions {
  readonly transport: () => LinkTransport
  readonly clock: Clock
  /** How long anything may take. Default 10,000 ms. */
  readonly deadlineMs?: number
}

export interface Pair {
  /** The initiator. */
  readonly a: ContractEnd
  readonly b: ContractEnd
  close(): void
}

export function openPair(options: PairOptions): Pair {
  const a = new ContractEnd(options, true)
  const b = new ContractEnd(options, false)
  a.signalsTo = b
  b.signalsTo = a
  return {
    a,
    b,
    close() {
      a.link.close()
      b.link.close()
    },
  }
}

export class ContractEnd {
  readonly link: LinkEnd
  readonly messages: Uint8Array[] = []
  readonly closed: string[] = []
  readonly signals: string[] = []
  opened = 0
  drained = 0
  /** Handler calls of every kind. */
  calls = 0
  onMessage: (() => void) | undefined
  onDrain: (() => void) | undefined
  signalsTo: ContractEnd | undefined
  readonly #options: PairOptions
  readonly #initiator: boolean
  readonly #waiting = new Set<() => void>()

  constructor(options: PairOptions, initiator: boolean) {
    this.#options = options
    this.#initiator = initiator
    this.link = options.transport().open(initiator, {
      onSignal: (data) => {
        this.signals.push(data)
        // as by any carrier: in order, never in the same turn
        void Promise.resolve().then(() => this.signalsTo?.link.signal(data))
        this.#changed()
      },
      onOpen: () => {
        this.opened++
        this.#changed()
      },
      onMessage: (bytes) => {
        this.messages.push(bytes)
        this.onMessage?.()
        this.#changed()
      },
      onDrain: () => {
        this.drained++
        this.onDrain?.()
        this.#changed()
      },
      onClose: (reason) => {
        this.closed.push(reason)
        this.#changed()
      },
    })
  }

  untilOpen(): Promise<void> {
    return this.#until(
      () => this.opened > 0,
      () => 'did not open',
    )
  }

  untilMessages(count: number): Promise<void> {
    return this.#until(
      () => this.messages.length >= count,
      () => `received ${this.messages.length} of ${count} messages`,
    )
  }

  untilDrained(): Promise<void> {
    return this.#until(
      () => this.drained > 0,
      () => 'was not told that there is room again',
    )
  }

  untilClosed(): Promise<void> {
    return this.#until(
      () => this.closed.length > 0,
      () => 'was not told of the close',
    )
  }

  #changed(): void {
    this.calls++
    for (const look of this.#waiting) look()
  }

  /** Resolves as soon as `test` holds, which is looked at after each handler call. */
  #until(test: () => boolean, problem: () => string): Promise<void> {
    if (test()) return Promise.resolve()
    const { clock, deadlineMs = 10_000 } = this.#options
    return new Promise((resolve, reject) => {
      const settle = () => {
        this.#waiting.delete(look)
        cancel()
      }
      const look = () => {
        if (!test()) return
        settle()
        resolve()
      }
      const cancel = clock.timer(deadlineMs, () => {
        settle()
        const closed = this.closed.length > 0 ? `; it was closed: ${this.closed.join(', ')}` : ''
        const end = this.#initiator ? 'The initiator' : 'The answering end'
        reject(new Error(`${end} ${problem()} within ${deadlineMs} ms${closed}.`))
      })
      this.#waiting.add(look)
    })
  }
}
