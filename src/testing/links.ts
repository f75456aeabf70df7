/**
 * Simulated links: ordered and reliable until they close; at the close an unknown suffix is lost (DESIGN section 8).
 * So loss is delay, and everything behind a lost packet waits for it.
 */
import type { Input, LinkId } from '../core/events.ts'
import type { Random } from '../core/time.ts'
import { SLAB_BYTES } from '../core/wire/slab.ts'
import type { Faults } from './faults.ts'
import { between, seededRandom } from './random.ts'
import type { Target, Timeline } from './timeline.ts'

/** The process at one end, as far as links care. */
export interface LinkHost {
  readonly slot: number
  readonly alive: boolean
  readonly ends: Map<LinkId, LinkEnd>
  input(input: Input): void
  /** Whether what arrives now has to wait. */
  readonly holds: boolean
  /** Keeps `run` for the thaw, or for the turn of a slow process, and answers true where it has to wait. */
  hold(run: () => void): boolean
}

/** What carries relayed links: the signaling server. */
export interface LinkCarrier {
  /** Whether what one of the two sends now reaches the other. */
  carries(from: LinkHost, to: LinkHost): boolean
}

/** One end. Fires with bytes that arrive, or with a text: the reason why the link is closed. */
export class LinkEnd implements Target {
  state: 'new' | 'paired' | 'open' | 'closed' = 'new'
  peer: LinkEnd | undefined
  /** When the newest thing sent to this end arrives: nothing overtakes it. */
  lastArrival = 0
  /** What is sent to this end before this moment arrives only after it. */
  blockedUntil = 0
  /** What would arrive at this end from this moment on is lost. */
  deadAt = Infinity
  readonly id: number
  readonly host: LinkHost
  readonly linkId: LinkId
  readonly initiator: boolean
  /** Only a relayed link has one. */
  readonly carrier: LinkCarrier | undefined
  readonly random: Random
  readonly #timeline: Timeline
  readonly #all: Map<number, LinkEnd>

  constructor(
    id: number,
    host: LinkHost,
    linkId: LinkId,
    initiator: boolean,
    carrier: LinkCarrier | undefined,
    random: Random,
    timeline: Timeline,
    all: Map<number, LinkEnd>,
  ) {
    this.id = id
    this.host = host
    this.linkId = linkId
    this.initiator = initiator
    this.carrier = carrier
    this.random = random
    this.#timeline = timeline
    this.#all = all
    all.set(id, this)
  }

  fire(payload: unknown): void {
    if (this.state === 'closed' || !this.host.alive) return
    const lost = this.#timeline.now >= this.deadAt
    // Asked first: messages are many, and few of them wait.
    if (this.host.holds) this.host.hold(() => this.#take(payload, lost))
    else this.#take(payload, lost)
  }

  #take(payload: unknown, lost: boolean): void {
    if (this.state === 'closed') return
    if (typeof payload === 'string') {
      this.forget()
      this.host.input({ type: 'link-closed', linkId: this.linkId, reason: payload })
    } else if (this.state === 'open' && !lost) {
      this.host.input({ type: 'link-message', linkId: this.linkId, bytes: payload as Uint8Array })
    }
  }

  /** Whether the link is open here, and what is sent to this end arrives. */
  get healthy(): boolean {
    return this.state === 'open' && this.deadAt === Infinity && this.blockedUntil <= this.#timeline.now
  }

  forget(): void {
    this.state = 'closed'
    this.host.ends.delete(this.linkId)
    this.#all.delete(this.id)
  }
}

/** Every link of a run. Ends find each other by what is inside the opaque signals they make. */
export class SimulatedLinks {
  faults: Faults
  readonly #timeline: Timeline
  readonly #seed: number
  readonly #ends = new Map<number, LinkEnd>()
  #separated: ((a: LinkHost, b: LinkHost) => boolean) | undefined
  readonly #blockedShare: number
  #lastId = 0

  /** `blockedShare` of the pairs of slots never find a direct connection. */
  constructor(timeline: Timeline, faults: Faults, seed: number, blockedShare = 0) {
    this.#blockedShare = blockedShare
    this.#timeline = timeline
    this.faults = faults
    this.#seed = seed
  }

  /** With `carrier` a relayed link: what cannot be carried is lost, and ends it. */
  open(host: LinkHost, linkId: LinkId, initiator: boolean, carrier?: LinkCarrier): void {
    if (host.ends.has(linkId)) throw new Error(`link-open: linkId ${linkId} is already in use`)
    const id = ++this.#lastId
    const random = seededRandom(this.#seed, 'link', id)
    const end = new LinkEnd(id, host, linkId, initiator, carrier, random, this.#timeline, this.#ends)
    host.ends.set(linkId, end)
    if (initiator) this.#describe(end, `offer ${id}`)
  }

  /** What the other end's transport made reaches this one. Anything that does not fit is ignored. */
  signal(host: LinkHost, linkId: LinkId, data: string): void {
    const end = host.ends.get(linkId)
    if (!end) return
    const [word, id, answered] = data.split(' ')
    if (word === 'offer' && !end.initiator && end.state === 'new') {
      end.state = 'paired'
      const peer = this.#ends.get(Number(id))
      this.#describe(end, `answer ${end.id} ${id}`)
      if (peer?.state === 'new' && !peer.carrier === !end.carrier) end.peer = peer
      else this.#fail(end)
    } else if (word === 'answer' && end.initiator && end.state === 'new' && Number(answered) === end.id) {
      end.state = 'paired'
      this.#establish(end, this.#ends.get(Number(id)))
    }
  }

  /** Returns whether the message left. */
  send(host: LinkHost, linkId: LinkId, bytes: Uint8Array): boolean {
    const end = host.ends.get(linkId)
    if (end?.state !== 'open') return false
    const { peer } = end
    if (!peer || peer.state === 'closed') return true
    if (end.carrier?.carries(host, peer.host) === false) this.cut(end)
    else this.#timeline.at(this.#arrival(peer), peer, ownCopy(bytes))
    return true
  }

  /** The host closes its own end; it is told nothing. */
  close(host: LinkHost, linkId: LinkId): void {
    const end = host.ends.get(linkId)
    if (!end) return
    end.forget()
    const { peer } = end
    if (!peer || peer.state === 'closed') return
    if (end.random() < this.faults.closeLossRate) this.#silence(peer)
    else this.#timeline.at(this.#arrival(peer), peer, 'closed by the other end')
  }

  /**
   * A process is gone. With `quick` its links close behind what was sent; else the other ends find out by silence, and
   * an unknown suffix is lost.
   */
  processEnded(host: LinkHost, quick: boolean): void {
    for (const end of host.ends.values()) {
      end.forget()
      const { peer } = end
      if (!peer || peer.state === 'closed') continue
      if (quick)
        this.#timeline.at(this.#arrival(peer) + between(end.random, 1, 100), peer, 'closed by the other end')
      else this.#silence(peer)
    }
  }

  /** The link dies without notice: what is in flight either way is lost, both ends find out, each in its own time. */
  cut(end: LinkEnd): void {
    this.#silence(end)
    if (end.peer) this.#silence(end.peer)
  }

  /** For `ms` nobody answers for this process: whoever has less patience than that gives its link up. */
  stopped(host: LinkHost, ms: number): void {
    for (const end of host.ends.values()) if (ms >= this.#patience(end)) this.cut(end)
  }

  /** Nothing reaches `end` for `ms`; the other way works. If that lasts too long for the transport, the link dies. */
  blackhole(end: LinkEnd, ms: number): void {
    if (ms < this.#patience(end)) end.blockedUntil = Math.max(end.blockedUntil, this.#timeline.now + ms)
    else {
      this.#silence(end)
      if (end.peer) this.#closeLater(end.peer)
    }
  }

  /** For `ms`, links between processes that `separated` tells apart are silent, and none is made. */
  partition(separated: (a: LinkHost, b: LinkHost) => boolean, ms: number): void {
    this.#separated = separated
    for (const end of this.#ends.values()) {
      if (!end.initiator || !end.peer || end.state === 'closed' || end.carrier) continue
      if (!separated(end.host, end.peer.host)) continue
      if (ms >= this.#patience(end)) this.cut(end)
      else end.blockedUntil = end.peer.blockedUntil = this.#timeline.now + ms
    }
  }

  endPartition(): void {
    this.#separated = undefined
  }

  /** When something sent now to `end` arrives there. */
  #arrival(end: LinkEnd): number {
    const { latencyMinMs, latencyMaxMs, lossRate, retransmitMs } = this.faults
    const { random } = end
    const latency = end.carrier ? this.#relayLatency(random) : between(random, latencyMinMs, latencyMaxMs)
    let arrival = Math.max(this.#timeline.now, end.blockedUntil) + latency
    for (let lost = random() < lossRate; lost; lost = random() < lossRate) arrival += retransmitMs
    if (arrival < end.lastArrival) arrival = end.lastArrival
    end.lastArrival = arrival
    return arrival
  }

  /** To the server, and from there. */
  #relayLatency(random: Random): number {
    const { signalingMinMs, signalingMaxMs } = this.faults
    return between(random, signalingMinMs, signalingMaxMs) + between(random, signalingMinMs, signalingMaxMs)
  }

  /** Offer or answer, then one candidate, a little later. */
  #describe(end: LinkEnd, description: string): void {
    const say = (data: string) => () => {
      const tell = () => {
        if (end.state !== 'closed') end.host.input({ type: 'link-signal', linkId: end.linkId, data })
      }
      if (end.host.alive && !end.host.hold(tell)) tell()
    }
    const gathered = between(end.random, 1, 10)
    this.#timeline.after(gathered, say(description))
    this.#timeline.after(gathered + between(end.random, 1, 30), say(`candidate ${end.id}`))
  }

  #establish(a: LinkEnd, b: LinkEnd | undefined): void {
    if (
      !b ||
      b.state !== 'paired' ||
      b.peer !== a ||
      this.#apart(a, b) ||
      (!a.carrier && a.random() < this.faults.setupFailRate)
    ) {
      this.#fail(a)
      if (b && b.peer === a) this.#fail(b)
      return
    }
    a.peer = b
    for (const end of [a, b]) {
      const delay = between(end.random, this.faults.setupMinMs, this.faults.setupMaxMs)
      end.lastArrival = this.#timeline.now + delay
      this.#timeline.after(delay, () => this.#opened(end))
    }
  }

  #opened(end: LinkEnd): void {
    if (end.state !== 'paired' || !end.host.alive) return
    if (end.peer && this.#apart(end, end.peer)) {
      this.#fail(end)
      return
    }
    end.state = 'open'
    const tell = () => {
      if (end.state === 'open') end.host.input({ type: 'link-opened', linkId: end.linkId })
    }
    if (!end.host.hold(tell)) tell()
  }

  #apart(a: LinkEnd, b: LinkEnd): boolean {
    if (a.carrier) return !a.carrier.carries(a.host, b.host)
    return this.#isBlocked(a.host.slot, b.host.slot) || (this.#separated?.(a.host, b.host) ?? false)
  }

  #isBlocked(one: number, other: number): boolean {
    if (this.#blockedShare === 0) return false
    const pair = seededRandom(this.#seed, 'blocked', Math.min(one, other), Math.max(one, other))
    return pair() < this.#blockedShare
  }

  #fail(end: LinkEnd): void {
    this.#timeline.at(this.#timeline.now + this.faults.setupFailMs, end, 'no way to the other end was found')
  }

  #silence(end: LinkEnd): void {
    end.deadAt = Math.min(end.deadAt, this.#timeline.now)
    this.#closeLater(end)
  }

  #closeLater(end: LinkEnd): void {
    this.#timeline.at(this.#timeline.now + this.#patience(end), end, 'the other end fell silent')
  }

  #patience(end: LinkEnd): number {
    return between(end.random, this.faults.silenceMinMs, this.faults.silenceMaxMs)
  }
}

/**
 * What lies in larger memory than a slab may be written over. The rest is one object for all who are sent it: decoded
 * once.
 */
const ownCopy = (bytes: Uint8Array): Uint8Array => {
  const { byteLength } = bytes.buffer
  return byteLength <= SLAB_BYTES || byteLength === bytes.byteLength ? bytes : bytes.slice()
}
