/**
 * How what two members say to set up a link gets to the other: through the mesh where it leads there, else by the
 * signaling server, which so is the way in, and the way back after a partition, and no more.
 */
import type { NodeId } from '../identity/node-id.ts'
import type { Outbox } from '../outbox.ts'
import type { MeshLink } from './mesh-link.ts'
import type { SignalEnvelope } from './signal-envelope.ts'
import { encodeSignal } from './signal-envelope.ts'

export interface SignalWaysOptions {
  readonly outbox: Outbox
  /** Sends text to a member through the mesh, by way of the neighbour `via` if it can. Returns whether there is a way. */
  readonly carrySignal: (to: NodeId, data: string, via: NodeId | undefined, now: number) => boolean
  /** Whether the mesh leads to a member. */
  readonly leadsTo: (nodeId: NodeId, now: number) => boolean
}

/** How an offer came, or went. */
export type SignalWay = Pick<MeshLink, 'byMesh' | 'broughtBy'>

export class SignalWays {
  readonly #options: SignalWaysOptions
  #serverUp = false
  /** Offers go out before the signaling server has answered for the first time: they wait for its door to open. */
  #early = false

  constructor(options: SignalWaysOptions) {
    this.#options = options
  }

  /** Offers may go to the server before it has answered. */
  expectServer(isExpected: boolean): void {
    this.#early = isExpected
  }

  server(isUp: boolean): void {
    this.#serverUp = isUp
    this.#early = false
  }

  get hasServer(): boolean {
    return this.#serverUp || this.#early
  }

  /**
   * Which way the next attempt takes: of two in a row that nobody answered, one goes through the mesh and one by the
   * server, if both are there. `undefined` where neither is.
   */
  wayTo(nodeId: NodeId, unanswered: number, now: number): 'mesh' | 'server' | undefined {
    const isServersTurn = unanswered % 2 === 1 && this.hasServer
    if (!isServersTurn && this.#options.leadsTo(nodeId, now)) return 'mesh'
    return this.hasServer ? 'server' : undefined
  }

  /** Says something within the session of a link, the way its offer took. */
  tell(link: MeshLink, content: Pick<SignalEnvelope, 'data' | 'ended'>, now: number): void {
    const { session, relay, wish } = link
    const isOffer = link.initiator && link.sent === 0
    const envelope = { session, sequence: link.sent++, ...content, ...(isOffer && { relay, wish }) }
    this.send(link.nodeId, encodeSignal(envelope), link, now)
  }

  /** An answer goes back by the neighbour that brought the offer: the link to whoever made it may be lost at its end. */
  send(to: NodeId, data: string, { byMesh, broughtBy }: SignalWay, now: number): void {
    if (byMesh && this.#options.carrySignal(to, data, broughtBy, now)) return
    this.#options.outbox.push({ type: 'signaling-send', to, data })
  }
}
