import { ClusterError } from '../../errors.ts'
import {
  LINK_LOW_WATER,
  MAX_LINK_MESSAGE,
  type LinkEnd,
  type LinkHandlers,
  type LinkTransport,
} from '../../ports.ts'
import type { Deliver } from './delivery.ts'

/** Links of one process in a memory network. */
export interface MemoryTransport extends LinkTransport {
  /** Link ends opened so far. */
  readonly constructed: number
  /** Link ends not yet closed. */
  readonly openConnections: number
}

/** All link ends of a network, by the number that their signals carry. */
export type LinkRegistry = Map<number, MemoryLinkEnd>

export interface LinkNetwork {
  readonly registry: LinkRegistry
  nextNumber(): number
  delivery(): Deliver
  /** Whether nothing passes between the two, without either being told. */
  silenced(a: LinkTransport, b: LinkTransport): boolean
}

/** What two ends tell each other: the initiator its number, the other end its own and the initiator's. */
type Signal =
  | { readonly type: 'offer'; readonly from: number }
  | { readonly type: 'answer'; readonly from: number; readonly to: number }

export function createMemoryTransport(network: LinkNetwork): MemoryTransport {
  let constructed = 0
  let live = 0
  const transport: MemoryTransport = {
    get constructed() {
      return constructed
    },
    get openConnections() {
      return live
    },
    open(initiator, handlers) {
      constructed++
      live++
      return new MemoryLinkEnd(network, transport, initiator, handlers, () => live--)
    },
  }
  return transport
}

export class MemoryLinkEnd implements LinkEnd {
  readonly transport: LinkTransport
  readonly #network: LinkNetwork
  readonly #handlers: LinkHandlers
  readonly #onReleased: () => void
  readonly #initiator: boolean
  readonly #number: number
  readonly #deliver: Deliver
  #state: 'opening' | 'open' | 'closed' = 'opening'
  #other: MemoryLinkEnd | undefined
  #buffered = 0

  constructor(
    network: LinkNetwork,
    transport: LinkTransport,
    initiator: boolean,
    handlers: LinkHandlers,
    onReleased: () => void,
  ) {
    this.transport = transport
    this.#network = network
    this.#initiator = initiator
    this.#handlers = handlers
    this.#onReleased = onReleased
    this.#number = network.nextNumber()
    this.#deliver = network.delivery()
    network.registry.set(this.#number, this)
    if (initiator) this.#tell({ type: 'offer', from: this.#number })
  }

  /** The end that this one is linked to, once it is. */
  get other(): MemoryLinkEnd | undefined {
    return this.#other
  }

  signal(data: string): void {
    const signal = this.#state === 'opening' && !this.#other ? parseSignal(data) : undefined
    if (!signal || (signal.type === 'answer') !== this.#initiator) return
    const other = this.#network.registry.get(signal.from)
    if (!other || other.#initiator === this.#initiator) return
    if (signal.type === 'offer') {
      this.#other = other
      this.#tell({ type: 'answer', from: this.#number, to: signal.from })
      return
    }
    if (signal.to !== this.#number || other.#other !== this) return
    this.#other = other
    this.#deliver(() => this.#opened())
    other.#deliver(() => other.#opened())
  }

  send(bytes: Uint8Array): void {
    if (bytes.length > MAX_LINK_MESSAGE) {
      throw new ClusterError(
        'too-large',
        `A link carries messages of at most ${MAX_LINK_MESSAGE} bytes; this one has ${bytes.length}. Split it.`,
      )
    }
    if (this.#state !== 'open' || bytes.length === 0) return
    const copy = bytes.slice()
    this.#buffered += copy.length
    this.#deliver(() => {
      const wasAbove = this.#buffered > LINK_LOW_WATER
      this.#buffered -= copy.length
      if (this.#reaches()) this.#other?.receive(copy)
      if (wasAbove && this.#buffered <= LINK_LOW_WATER && this.#isOpen()) this.#handlers.onDrain()
    })
  }

  close(): void {
    if (this.#state === 'closed') return
    this.#release()
    const other = this.#other
    // in line after what was sent before
    if (other?.other === this && this.#reaches()) this.#deliver(() => other.end('closed by the other end'))
  }

  get bufferedBytes(): number {
    return this.#state === 'closed' ? 0 : this.#buffered
  }

  /** The link ends by itself. */
  end(reason: string): void {
    if (this.#state === 'closed') return
    this.#release()
    this.#handlers.onClose(reason)
  }

  /** A message from the other end. */
  receive(bytes: Uint8Array): void {
    if (this.#state === 'closed') return
    this.#opened()
    if (this.#isOpen()) this.#handlers.onMessage(bytes)
  }

  #reaches(): boolean {
    return this.#other !== undefined && !this.#network.silenced(this.transport, this.#other.transport)
  }

  #opened(): void {
    if (this.#state !== 'opening') return
    this.#state = 'open'
    this.#handlers.onOpen()
  }

  #isOpen(): boolean {
    return this.#state === 'open'
  }

  #release(): void {
    this.#state = 'closed'
    this.#network.registry.delete(this.#number)
    this.#onReleased()
  }

  #tell(signal: Signal): void {
    this.#deliver(() => {
      if (this.#state === 'opening') this.#handlers.onSignal(JSON.stringify(signal))
    })
  }
}

function parseSignal(text: unknown): Signal | undefined {
  if (typeof text !== 'string' || text.length > 256) return undefined
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const { type, from, to } = value as Record<string, unknown>
  if (typeof from !== 'number') return undefined
  if (type === 'offer') return { type, from }
  return type === 'answer' && typeof to === 'number' ? { type, from, to } : undefined
}
