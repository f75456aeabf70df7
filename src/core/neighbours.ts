/**
 * What is said on links: the handshake first, then gossip, pings and goodbyes. Everything that arrives is checked
 * here before any other machine sees it; a link that keeps bringing nonsense is closed.
 */
import type { Fingerprints, LinkId, RefusalCode } from './events.ts'
import type { Detector } from './failure/detector.ts'
import type { Gossip } from './gossip/gossip.ts'
import type { HandshakeFrame, Handshakes, HandshakeStep, HelloFrame } from './gossip/handshake.ts'
import type { NodeId } from './identity/node-id.ts'
import { rangeOf, removedRange } from './membership/digest.ts'
import type { MembershipTable } from './membership/table.ts'
import type { Carrier } from './overlay/carrier.ts'
import { isCarried } from './overlay/carrier.ts'
import type { Mesh } from './overlay/mesh.ts'
import type { MeshLink } from './overlay/mesh-link.ts'
import type { Outbox } from './outbox.ts'
import type { decodeMessage } from './wire/codec.ts'
import type { Envelope, Frame } from './wire/frames.ts'
import { WIRE_MAX } from './wire/frames.ts'

export interface NeighboursOptions {
  readonly decode: typeof decodeMessage
  readonly table: MembershipTable
  readonly outbox: Outbox
  readonly mesh: Mesh
  readonly carrier: Carrier
  readonly gossip: Gossip
  readonly handshakes: Handshakes
  readonly detector: Detector
  /** Both sides have accepted. */
  readonly onEstablished: (link: MeshLink, now: number) => void
  /** The other side does not accept this life. */
  readonly onRefused: (link: MeshLink, refusal: Refusal, now: number) => void
  /** A member said something that is not valid. */
  readonly onFault: (nodeId: NodeId, reason: string, now: number) => void
}

export interface Refusal {
  readonly code: RefusalCode
  readonly reason: string
  /** The life that stays, in a conflict. */
  readonly kept: NodeId | undefined
}

/** A link that brings this many messages with a fault is closed. */
const MAX_FAULTS = 3

export class Neighbours {
  readonly #options: NeighboursOptions
  readonly #faults = new Map<LinkId, number>()

  constructor(options: NeighboursOptions) {
    this.#options = options
  }

  /** The channel is open: says hello. */
  opened(linkId: LinkId, fingerprints: Fingerprints | undefined, now: number): void {
    const { mesh, outbox, handshakes } = this.#options
    const link = mesh.opened(linkId, now)
    if (link) outbox.frame(linkId, handshakes.begin(linkId, link.nodeId, fingerprints))
  }

  /** What this member was asked to sign is signed. */
  signed(linkId: LinkId, signature: Uint8Array): void {
    if (this.#options.mesh.get(linkId)) this.#options.outbox.frame(linkId, { kind: 'proof', signature })
  }

  /** The other side's proof was checked. */
  verified(linkId: LinkId, ok: boolean, now: number): void {
    const { mesh, handshakes } = this.#options
    const link = mesh.get(linkId)
    const step = link && handshakes.verified(linkId, ok)
    if (step) this.#onStep(link, step, now)
  }

  /** Returns whether it is all about messages between the two ends of this link, and nothing is wrong with it. */
  received(linkId: LinkId, bytes: Uint8Array, now: number): boolean {
    const { mesh } = this.#options
    const link = mesh.get(linkId)
    if (!link || link.phase === 'connecting') return false
    const decoded = this.#options.decode(bytes)
    if (!decoded.ok) return this.#onFault(link, decoded.reason, now)
    let isMail = link.phase === 'established'
    for (const envelope of decoded.envelopes) {
      if (mesh.get(linkId) !== link) return false
      isMail &&= isMailOf(envelope)
      const fault = this.#onFrame(link, envelope, now)
      if (fault !== undefined) return this.#onFault(link, fault, now)
    }
    return isMail
  }

  /** The link is over: forgets what belongs to it. */
  ended(linkId: LinkId, now: number): void {
    const { handshakes, gossip } = this.#options
    handshakes.end(linkId)
    gossip.parted(linkId, now)
    this.#faults.delete(linkId)
  }

  /**
   * A removed life may still run: it is told, so that it can go on as the next one; or, where a newer life of its
   * authority has taken its place, told of that one, so that it goes on as somebody else.
   */
  dismiss(nodeId: NodeId, supersededBy: NodeId | undefined, now: number): void {
    const { table, mesh, outbox, handshakes } = this.#options
    const link = mesh.linkTo(nodeId)
    if (!link) return
    if (!handshakes.isDone(link.linkId)) return mesh.close(link.linkId, 'its life is over', now)
    const newer = supersededBy === undefined ? undefined : table.get(supersededBy)
    const range = newer?.self ? rangeOf(newer, 0) : removedRange(nodeId)
    outbox.frame(link.linkId, { kind: 'delta', ranges: [range] })
    mesh.linger(link.linkId, 'its life is over', now)
  }

  /** Shows an accused member what it is accused of, so that it can refute. */
  challenge(linkId: LinkId, nodeId: NodeId): void {
    const { counter, floor, accusation } = this.#options.table.get(nodeId)!
    const range = { nodeId, from: counter, to: counter, floor, entries: [], accusation }
    this.#options.outbox.frame(linkId, { kind: 'delta', ranges: [range] })
  }

  /** Returns what is wrong with the frame, if anything is. */
  #onFrame(link: MeshLink, envelope: Envelope, now: number): string | undefined {
    const { handshakes, detector, gossip, carrier } = this.#options
    const { linkId } = link
    const { route, frame, size } = envelope
    if (!route && isHandshake(frame)) return this.#onStep(link, handshakes.receive(linkId, frame), now)
    if (link.phase !== 'established' && !handshakes.isDone(linkId))
      return `${frame.kind} before the handshake was done`
    if (route || isCarried(frame) || isHandshake(frame)) return carrier.received(link, envelope, now)
    if (frame.kind === 'ping') detector.onPing(linkId, frame.token, now)
    else if (frame.kind === 'ack') detector.onAck(linkId, frame.token, now)
    else if (frame.kind === 'probe') detector.onProbe(linkId, frame.subject, frame.token, now)
    else if (frame.kind === 'probed') detector.onProbed(frame.subject, frame.token, frame.alive, now)
    else if (frame.kind === 'goodbye') this.#onGoodbye(link, frame.reason, now)
    else if (frame.kind === 'unlink') this.#options.mesh.released(linkId, now)
    else gossip.receive(linkId, frame, size, now)
    return undefined
  }

  #onStep(link: MeshLink, step: HandshakeStep, now: number): string | undefined {
    const { mesh, outbox, handshakes, onRefused } = this.#options
    switch (step.type) {
      case 'malformed':
        return step.reason
      case 'repeat':
        outbox.frame(link.linkId, step.hello)
        return undefined
      case 'sign': {
        outbox.push({ linkId: link.linkId, ...step })
        const early = handshakes.takeEarly(link.linkId)
        return early && this.#onStep(link, early, now)
      }
      case 'verify':
        outbox.push({ linkId: link.linkId, ...step })
        return undefined
      case 'yield':
        onRefused(link, { code: 'authority-conflict', ...step }, now)
        return undefined
      case 'introduced':
        this.#onIntroduced(link, step.hello, now)
        return undefined
      case 'accepted':
        this.#onBothAccepted(link, now)
        return undefined
      case 'refuse':
        this.#refuse(link, step, now)
        return undefined
      case 'refused': {
        const { code, reason } = step
        outbox.event({ type: 'handshake-refused', nodeId: link.nodeId, by: 'them', code, reason })
        mesh.close(link.linkId, `refused: ${reason}`, now)
        onRefused(link, step, now)
        return undefined
      }
    }
  }

  /**
   * A life that is newer than the one the table has of its authority takes its place here, where it was proven. Whom
   * others tell of it, believes them: some member has seen the proof. A member that lies about it is a known limit.
   */
  #onIntroduced(link: MeshLink, { own }: HelloFrame, now: number): void {
    const { table, mesh, outbox } = this.#options
    const { linkId } = link
    outbox.frame(linkId, { kind: 'accept', version: WIRE_MAX })
    mesh.introduced(linkId)
    table.apply(own!, linkId, now, 'handshake')
    this.#onBothAccepted(link, now)
  }

  /** Gossip waits for both: before, the other side might still be checking this one's proof. */
  #onBothAccepted(link: MeshLink, now: number): void {
    const { table, mesh, handshakes, gossip, onEstablished } = this.#options
    const { linkId, nodeId } = link
    const acquaintance = handshakes.acquaintance(linkId)
    // A newer life of this very authority has ended this one.
    if (!acquaintance || table.status(table.own) === 'removed') return
    gossip.introduced(linkId, nodeId, acquaintance.hello, acquaintance.greeted, now)
    // Its digest may have told that this life is over, which closed the link.
    if (mesh.get(linkId) !== link) return
    if (table.get(nodeId)?.accusation) this.challenge(linkId, nodeId)
    onEstablished(link, now)
  }

  #refuse(link: MeshLink, step: Extract<HandshakeStep, { type: 'refuse' }>, now: number): void {
    const { table, mesh, outbox } = this.#options
    const { code, reason, kept } = step
    const { nodeId, linkId } = link
    outbox.frame(linkId, { kind: 'refuse', code, reason, kept })
    outbox.event({ type: 'handshake-refused', nodeId, by: 'us', code, reason })
    if (kept !== undefined) {
      const { authority } = table.get(kept)!.parts
      outbox.event({ type: 'authority-conflict', authority, kept, refused: nodeId })
    }
    mesh.linger(linkId, `refused: ${reason}`, now)
  }

  #onGoodbye({ linkId, nodeId }: MeshLink, reason: string, now: number): void {
    const { table, mesh } = this.#options
    table.remove(nodeId, now, reason || 'left')
    mesh.close(linkId, 'said goodbye', now)
  }

  #onFault({ linkId, nodeId, phase }: MeshLink, reason: string, now: number): false {
    const { mesh, outbox } = this.#options
    const faults = (this.#faults.get(linkId) ?? 0) + 1
    this.#faults.set(linkId, faults)
    outbox.event({ type: 'frame-rejected', nodeId, reason })
    if (phase === 'established') this.#options.onFault(nodeId, reason, now)
    if (mesh.get(linkId) === undefined) return false
    if (faults >= MAX_FAULTS || phase !== 'established') mesh.close(linkId, `malformed: ${reason}`, now)
    return false
  }
}

const isMailOf = ({ route, frame }: Envelope): boolean =>
  !route && (frame.kind === 'segment' || frame.kind === 'receipt' || frame.kind === 'datagram')

const isHandshake = (frame: Frame): frame is HandshakeFrame =>
  frame.kind === 'hello' || frame.kind === 'proof' || frame.kind === 'accept' || frame.kind === 'refuse'
