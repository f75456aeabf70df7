/** The relayed links of one process: which pieces are whose, and what becomes of them when signaling fails. */
import type { NodeId } from '../core/identity/node-id.ts'
import { ClusterError } from '../errors.ts'
import type {
  CancelTimer,
  Clock,
  Fingerprints,
  LinkEnd,
  LinkHandlers,
  RelayEnd,
  RelayRate,
  RelayTransport,
} from '../ports.ts'

/**
 * Signaling may be away so long, in ms, before its links are given up. A connection that was cut is back within a
 * second or two; a link whose other end is silent for longer is no use to anybody.
 */
export const AWAY_MS = 10_000

export interface RelayLinksOptions {
  /** `false`: no link is ever relayed. */
  readonly transport: RelayTransport | false
  readonly clock: Clock
  /** Hands a piece to the signaling session, if there is one. */
  readonly carry: (to: NodeId, data: string) => void
  /** The last one has ended. */
  readonly onNone: () => void
}

export class RelayLinks {
  readonly #options: RelayLinksOptions
  readonly #byNode = new Map<NodeId, Set<RelayedLink>>()
  #cancelAway: CancelTimer | undefined

  constructor(options: RelayLinksOptions) {
    this.#options = options
  }

  get isEmpty(): boolean {
    return this.#byNode.size === 0
  }

  /** @throws ClusterError `relay-unavailable` */
  open(nodeId: NodeId, initiator: boolean, handlers: LinkHandlers): LinkEnd {
    const { transport, carry } = this.#options
    if (!transport) {
      const why = 'the option `relay` is off, or there is no SubtleCrypto (it needs https or localhost)'
      throw new ClusterError('relay-unavailable', `No link can be relayed: ${why}.`)
    }
    const link = new RelayedLink(transport, initiator, handlers, {
      carry: (data) => carry(nodeId, data),
      onEnd: () => this.#forget(nodeId, link),
    })
    const links = this.#byNode.get(nodeId) ?? new Set()
    this.#byNode.set(nodeId, links.add(link))
    return link
  }

  receive(from: NodeId, data: string): void {
    for (const link of this.#byNode.get(from) ?? []) link.receive(data)
  }

  /** Signaling is there, with this rate, or relays nothing. */
  up(rate: RelayRate | undefined): void {
    const { transport } = this.#options
    this.#cancelAway?.()
    this.#cancelAway = undefined
    if (transport) transport.setRate(rate)
    if (!rate) this.#failAll('the signaling server does not relay any more')
  }

  /** Signaling is away and may be back soon: then links go on unless something was lost. */
  down(reason: string): void {
    const { transport, clock } = this.#options
    if (!transport) return
    transport.setRate(undefined)
    this.#cancelAway ??= clock.timer(AWAY_MS, () => {
      this.#cancelAway = undefined
      this.#failAll(`signaling is away: ${reason}`)
    })
  }

  /** Nothing gets to this member by relay. */
  fail(nodeId: NodeId, reason: string): void {
    // Those of now: a new attempt may follow at once.
    const links = [...(this.#byNode.get(nodeId) ?? [])]
    for (const link of links) link.fail(reason)
  }

  stop(): void {
    this.#cancelAway?.()
    this.#cancelAway = undefined
    const { transport } = this.#options
    if (transport) transport.setRate(undefined)
  }

  #failAll(reason: string): void {
    const nodeIds = [...this.#byNode.keys()]
    for (const nodeId of nodeIds) this.fail(nodeId, reason)
  }

  #forget(nodeId: NodeId, link: RelayedLink): void {
    const links = this.#byNode.get(nodeId)
    if (!links?.delete(link) || links.size > 0) return
    this.#byNode.delete(nodeId)
    if (this.isEmpty) this.#options.onNone()
  }
}

interface RelayedLinkContext {
  carry(data: string): void
  onEnd(): void
}

/** An end that can also be made to fail from outside. */
class RelayedLink implements LinkEnd {
  readonly #end: RelayEnd
  readonly #handlers: LinkHandlers
  readonly #context: RelayedLinkContext
  #isMute = false

  constructor(
    transport: RelayTransport,
    initiator: boolean,
    handlers: LinkHandlers,
    context: RelayedLinkContext,
  ) {
    this.#handlers = handlers
    this.#context = context
    const watched: LinkHandlers = {
      onSignal: (data) => handlers.onSignal(data),
      onOpen: () => handlers.onOpen(),
      onMessage: (bytes) => handlers.onMessage(bytes),
      onDrain: () => handlers.onDrain(),
      onClose: (reason) => {
        context.onEnd()
        handlers.onClose(reason)
      },
    }
    this.#end = transport.open(initiator, watched, (data) => {
      if (!this.#isMute) context.carry(data)
    })
  }

  signal(data: string): void {
    this.#end.signal(data)
  }

  send(bytes: Uint8Array): void {
    this.#end.send(bytes)
  }

  receive(data: string): void {
    this.#end.receive(data)
  }

  close(): void {
    this.#end.close()
    this.#context.onEnd()
  }

  /** Ends without a word to the other end, which would not reach it. */
  fail(reason: string): void {
    this.#isMute = true
    this.close()
    this.#handlers.onClose(reason)
  }

  get bufferedBytes(): number {
    return this.#end.bufferedBytes
  }

  get fingerprints(): Fingerprints | undefined {
    return this.#end.fingerprints
  }
}
