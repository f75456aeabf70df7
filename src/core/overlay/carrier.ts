/**
 * Carrier: brings frames to members, over a link or over several, and passes on those of others. A frame carries the
 * short names of the members it has left, and is never handed to one of them: no frame goes in a circle.
 */
import type { NodeId } from '../identity/node-id.ts'
import type { MembershipTable } from '../membership/table.ts'
import type { Outbox } from '../outbox.ts'
import { encodeAlone, encodeForward, MAX_MESSAGE } from '../wire/codec.ts'
import type { Envelope, Frame, Lane, RouteHeader } from '../wire/frames.ts'
import { laneOf } from '../wire/frames.ts'
import type { MeshLink } from './mesh-link.ts'
import type { Routes } from './routes.ts'

/** Frames that travel between members that need not be linked. */
export type CarriedFrame = Extract<
  Frame,
  { kind: 'segment' | 'receipt' | 'datagram' | 'signal' | 'trace' | 'traced' }
>
export type StreamFrame = Extract<Frame, { kind: 'segment' | 'receipt' }>

export interface CarrierOptions {
  readonly table: MembershipTable
  readonly outbox: Outbox
  readonly routes: Routes
  /** A piece of a stream, or what became of one; `isProven` where its origin is the other end of the link. */
  readonly onStreamFrame: (origin: NodeId, frame: StreamFrame, isProven: boolean, now: number) => void
  /** Of grains; `body` is a view on the message. */
  readonly onDatagram: (origin: NodeId, body: Uint8Array, isProven: boolean) => void
  /** By the mesh, what otherwise comes by the signaling server; `neighbour` has brought it. */
  readonly onSignal: (origin: NodeId, data: string, neighbour: NodeId, now: number) => void
  /** Whether a link to a member is there for the sake of messages: it shall last as long as they go on. */
  readonly isWished: (nodeId: NodeId) => boolean
  /** Messages go between this member and one that it has no link to, or a wished one, so many frames in a short time. */
  readonly onBusy: (nodeId: NodeId, now: number) => void
}

/** Links that a frame may cross. In 1,000 members with 6 links each the longest way has 6; bad moments take longer. */
const TTL = 16
/** So many frames of user messages to or from one member within `BUSY_MS` are worth a link. */
const BUSY_FRAMES = 24
const BUSY_MS = 2_000
/** Pairs that are counted at once. */
const MAX_COUNTED = 64
/** A `trace` that was not answered for so long, in ms, has found no way. */
const TRACE_MS = 5_000
/** Questions under way at once. */
const MAX_TRACES = 64

interface Trace {
  readonly id: number
  readonly sentAt: number
}

export class Carrier {
  readonly #options: CarrierOptions
  readonly #ownShort: number
  readonly #busy = new Map<NodeId, { readonly since: number; frames: number }>()
  readonly #traces = new Map<number, Trace>()
  #tokens = 0

  constructor(options: CarrierOptions) {
    this.#options = options
    this.#ownShort = options.table.get(options.table.own)!.short
  }

  /**
   * Sends a frame on its way, by the neighbour `via` if there is a link to it. Returns whether there is a way; whether
   * the frame arrives, nobody tells.
   */
  carry(destination: NodeId, frame: CarriedFrame, lane: Lane, now: number, via?: NodeId): boolean {
    const { table, routes, outbox } = this.#options
    const chosen = via === undefined ? undefined : routes.linkTo(via)
    const link = chosen ?? routes.next(destination, NO_TRAIL, now)
    if (!link) return false
    if (link.nodeId === destination) {
      this.#countWished(destination, frame, now)
      outbox.bytes(link.linkId, encodeAlone(frame), lane)
      return true
    }
    const route: RouteHeader = { origin: table.own, destination, ttl: TTL, trail: [this.#ownShort] }
    outbox.bytes(link.linkId, encodeAlone(frame, route), lane)
    if (frame.kind === 'segment') this.#count(destination, now)
    return true
  }

  /** A frame from a neighbour: for this member, or to be passed on. Returns what is wrong with it, if anything is. */
  received(link: MeshLink, envelope: Envelope, now: number): string | undefined {
    const { route, frame } = envelope
    if (!isCarried(frame)) return `${frame.kind} is not carried over several links`
    if (!route) {
      this.#countWished(link.nodeId, frame, now)
      return void this.#accept({ origin: link.nodeId, trail: NO_TRAIL }, frame, link.nodeId, now)
    }
    const { origin, destination, trail } = route
    if (trail.includes(this.#ownShort)) return `${frame.kind} has been here before`
    if (trail.length === 0) return `${frame.kind} has a route without its origin`
    this.#options.routes.learn(origin, link.linkId, now)
    if (destination !== this.#options.table.own) return void this.#passOn(envelope, route, now)
    if (frame.kind === 'segment') this.#count(origin, now)
    this.#accept(route, frame, link.nodeId, now)
    return undefined
  }

  /** Asks for the way to a member; answered by the output `traced`. */
  trace(nodeId: NodeId, id: number, now: number): void {
    const { table, outbox } = this.#options
    if (nodeId === table.own) {
      outbox.push({ type: 'traced', id, hops: [nodeId], rttMs: 0 })
      return
    }
    const token = ++this.#tokens
    const isSent =
      this.#traces.size < MAX_TRACES && this.carry(nodeId, { kind: 'trace', token }, 'control', now)
    if (isSent) this.#traces.set(token, { id, sentAt: now })
    else outbox.push({ type: 'traced', id })
  }

  tick(now: number): void {
    for (const [token, { id, sentAt }] of this.#traces) {
      if (now < sentAt + TRACE_MS) continue
      this.#traces.delete(token)
      this.#options.outbox.push({ type: 'traced', id })
    }
  }

  nextDeadline(): number {
    let next = Infinity
    for (const { sentAt } of this.#traces.values()) next = Math.min(next, sentAt + TRACE_MS)
    return next
  }

  /** Nobody answers any more. */
  end(): void {
    for (const { id } of this.#traces.values()) this.#options.outbox.push({ type: 'traced', id })
    this.#traces.clear()
  }

  /** A frame with a trail may have been made by any of those that it names as well. */
  #accept({ origin, trail }: Source, frame: CarriedFrame, neighbour: NodeId, now: number): void {
    const isProven = trail.length === 0
    switch (frame.kind) {
      case 'segment':
      case 'receipt':
        return this.#options.onStreamFrame(origin, frame, isProven, now)
      case 'datagram':
        return this.#options.onDatagram(origin, frame.body, isProven)
      case 'signal':
        return this.#options.onSignal(origin, frame.data, neighbour, now)
      case 'trace': {
        const hops = trail.length > 0 ? trail : this.#shortsOf(origin)
        this.carry(origin, { kind: 'traced', token: frame.token, hops }, 'control', now)
        return undefined
      }
      case 'traced':
        return this.#onTraced(origin, frame.token, frame.hops, now)
    }
  }

  #onTraced(from: NodeId, token: number, hops: readonly number[], now: number): void {
    const trace = this.#traces.get(token)
    if (!trace) return
    this.#traces.delete(token)
    const { table, outbox } = this.#options
    const named = hops.flatMap((short) => table.byShort(short) ?? [])
    const rttMs = now - trace.sentAt
    outbox.push({ type: 'traced', id: trace.id, hops: [...named, from], rttMs })
  }

  #passOn(envelope: Envelope, route: RouteHeader, now: number): void {
    const { routes, outbox } = this.#options
    const { destination, origin, ttl, trail } = route
    if (ttl <= 1 || trail.length >= TTL) return
    const passed = [...trail, this.#ownShort]
    const link = routes.next(destination, passed, now)
    if (!link) return
    const bytes = encodeForward(envelope, { origin, destination, ttl: ttl - 1, trail: passed })
    // Its origin has cut it to the limit, with no place for the names of those who pass it on: no honest one does.
    if (bytes.length > MAX_MESSAGE) return
    outbox.bytes(link.linkId, bytes, laneOfFrame(envelope.frame))
  }

  #shortsOf(nodeId: NodeId): number[] {
    const record = this.#options.table.get(nodeId)
    return record ? [record.short] : []
  }

  #countWished(nodeId: NodeId, frame: CarriedFrame, now: number): void {
    if (frame.kind === 'segment' && this.#options.isWished(nodeId)) this.#count(nodeId, now)
  }

  #count(nodeId: NodeId, now: number): void {
    const known = this.#busy.get(nodeId)
    if (!known || now - known.since > BUSY_MS) {
      this.#busy.delete(nodeId)
      this.#busy.set(nodeId, { since: now, frames: 1 })
      if (this.#busy.size > MAX_COUNTED) this.#busy.delete(this.#busy.keys().next().value!)
      return
    }
    if (++known.frames < BUSY_FRAMES) return
    this.#busy.delete(nodeId)
    this.#options.onBusy(nodeId, now)
  }
}

type Source = Pick<RouteHeader, 'origin' | 'trail'>

const NO_TRAIL: readonly number[] = []

export const isCarried = (frame: Frame): frame is CarriedFrame =>
  frame.kind === 'segment' ||
  frame.kind === 'receipt' ||
  frame.kind === 'datagram' ||
  frame.kind === 'signal' ||
  frame.kind === 'trace' ||
  frame.kind === 'traced'

/** Segments keep to their lane on the whole way; what is said about streams and links is short, and urgent. */
const laneOfFrame = (frame: Frame): Lane => (frame.kind === 'segment' ? laneOf(frame.stream) : 'control')
