/** Links of the baseline: a full mesh, the lower nodeId dials, signals go through the signaling server. */
import type { LinkId, Output } from '../core/events.ts'
import type { NodeId } from '../core/identity/node-id.ts'
import type { NodeSeed } from './simulated-node.ts'

interface MeshLink {
  readonly linkId: LinkId
  readonly nodeId: NodeId
  readonly initiator: boolean
  /** The initiator's linkId: names the attempt at both ends. */
  readonly attempt: LinkId
  open: boolean
  readonly since: number
}

type Message =
  | { readonly t: 'dial-me' }
  | { readonly t: 'signal'; readonly attempt: LinkId; readonly fromInitiator: boolean; readonly data: string }

export class MeshLinks {
  readonly #seed: NodeSeed
  readonly #emit: (output: Output) => void
  readonly #links = new Map<LinkId, MeshLink>()
  readonly #contacts = new Set<NodeId>()
  readonly #retryAt = new Map<NodeId, number>()
  #lastId = 0
  #lookAt = 0

  constructor(seed: NodeSeed, emit: (output: Output) => void) {
    this.#seed = seed
    this.#emit = emit
    this.know(seed.contacts)
  }

  know(contacts: readonly NodeId[]): void {
    for (const nodeId of contacts) if (nodeId !== this.#seed.nodeId) this.#contacts.add(nodeId)
  }

  gone(nodeId: NodeId): void {
    this.#contacts.delete(nodeId)
  }

  nextDeadline(): number {
    return this.#lookAt
  }

  peerOf(linkId: LinkId): NodeId | undefined {
    return this.#links.get(linkId)?.nodeId
  }

  ready(linkId: LinkId): void {
    const link = this.#links.get(linkId)
    if (!link) return
    link.open = true
    this.#contacts.delete(link.nodeId)
  }

  *open(): Iterable<LinkId> {
    for (const link of this.#links.values()) if (link.open) yield link.linkId
  }

  /** Returns the member that is no longer linked. */
  closed(linkId: LinkId, now: number): NodeId | undefined {
    const link = this.#links.get(linkId)
    if (!link) return undefined
    this.#links.delete(linkId)
    this.#pause(link.nodeId, now)
    return link.open && !this.#linked(link.nodeId) ? link.nodeId : undefined
  }

  /** The transport of one of our ends has something for the other end. */
  signal(linkId: LinkId, data: string): void {
    const link = this.#links.get(linkId)
    if (!link) return
    this.#say(link.nodeId, { t: 'signal', attempt: link.attempt, fromInitiator: link.initiator, data })
  }

  message(from: NodeId, text: string, now: number): void {
    const message = JSON.parse(text) as Message
    if (message.t === 'dial-me') {
      this.know([from])
      return
    }
    const { attempt, fromInitiator, data } = message
    let link = [...this.#links.values()].find(
      (other) => other.nodeId === from && other.attempt === attempt && other.initiator === !fromInitiator,
    )
    if (!link && fromInitiator && data.startsWith('offer')) link = this.#create(from, false, attempt, now)
    if (link) this.#emit({ type: 'link-signal', linkId: link.linkId, data })
  }

  /** Dials who is wanted and not linked; gives up attempts that take too long. */
  dialMissing(wanted: readonly NodeId[], now: number): void {
    if (now < this.#lookAt) return
    this.#lookAt = now + 250
    for (const link of this.#links.values()) {
      if (link.open || now - link.since < this.#seed.tuning.linkTimeoutMs) continue
      this.#links.delete(link.linkId)
      this.#pause(link.nodeId, now)
      this.#emit({ type: 'link-close', linkId: link.linkId, reason: 'timeout' })
    }
    for (const nodeId of new Set([...wanted, ...this.#contacts])) {
      if (this.#linked(nodeId) || (this.#retryAt.get(nodeId) ?? 0) > now) continue
      if (this.#seed.nodeId < nodeId) this.#create(nodeId, true, 0, now)
      else {
        this.#say(nodeId, { t: 'dial-me' })
        this.#pause(nodeId, now)
      }
    }
  }

  #create(nodeId: NodeId, initiator: boolean, attempt: LinkId, now: number): MeshLink {
    const linkId = ++this.#lastId
    const link = { linkId, nodeId, initiator, attempt: initiator ? linkId : attempt, open: false, since: now }
    this.#links.set(linkId, link)
    this.#emit({ type: 'link-open', relay: false, linkId, nodeId, initiator })
    return link
  }

  #linked(nodeId: NodeId): boolean {
    for (const link of this.#links.values()) if (link.nodeId === nodeId) return true
    return false
  }

  #pause(nodeId: NodeId, now: number): void {
    this.#retryAt.set(nodeId, now + 500 + this.#seed.random() * 2_500)
  }

  #say(to: NodeId, message: Message): void {
    this.#emit({ type: 'signaling-send', to, data: JSON.stringify(message) })
  }
}
