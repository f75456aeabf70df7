/**
 * A room of participants without a network: carries what they put out to whom it is for, in virtual time, and knows
 * what a transport and a signaling server promise. Faults are what a test says they are, nothing is random here.
 */
import type { ClusterEvent, Fingerprints, Input, LinkId, Output } from '../../../src/core/events.ts'
import type { NodeId } from '../../../src/core/identity/node-id.ts'
import {
  isStandInSignature,
  standInPublicKey,
  standInSignature,
} from '../../../src/adapters/memory/stand-in-keys.ts'
import { createNodeId, parseNodeId, randomAuthority } from '../../../src/core/identity/node-id.ts'
import type { Now } from '../../../src/core/time.ts'
import { decodeMessage, MAX_MESSAGE } from '../../../src/core/wire/codec.ts'
import type { Frame, RouteHeader } from '../../../src/core/wire/frames.ts'
import { EventHeap } from '../../../src/testing/heap.ts'
import { seededRandom } from '../../../src/testing/random.ts'

/** A NodeCore, or whoever plays one. */
export interface Participant {
  readonly nodeId: NodeId
  handle(input: Input, now: Now): Output[]
  nextDeadline(): number | undefined
}

export interface SentFrame {
  readonly from: NodeId
  readonly to: NodeId
  readonly at: number
  readonly bytes: number
  readonly frame: Frame
  readonly route?: RouteHeader | undefined
}

export type EventOf<K extends ClusterEvent['type']> = Extract<ClusterEvent, { type: K }>

export type GrainWork = Extract<Output, { type: 'grain' | 'grain-ended' }>

/** One end of a link, as its transport holds it. */
interface End {
  readonly owner: Seat
  readonly linkId: LinkId
  readonly relay: boolean
  peer: End | undefined
  open: boolean
  closed: boolean
}

interface Seat {
  readonly participant: Participant
  readonly ends: Map<LinkId, End>
  readonly events: ClusterEvent[]
  /** NodeIds it ever had, the newest last. */
  readonly lives: NodeId[]
  signaling: boolean
  wakeAt: number
  /** Until then nothing reaches it. */
  sleepsUntil: number
}

interface Due {
  readonly time: number
  readonly sequence: number
  readonly run: () => void
}

/** One way of every link and of signaling, in ms. */
const DELAY = 1
const random = seededRandom(1, 'room')

export class Room {
  now = 0
  /** All frames that participants put on links, in order; only while `recording`. */
  readonly sent: SentFrame[] = []
  recording = true
  /** Whether a message between two members gets through. */
  passes: (from: NodeId, to: NodeId, frames: readonly Frame[]) => boolean = () => true
  /** Whether signaling carries a message. */
  signals: (from: NodeId, to: NodeId, data: string) => boolean = () => true
  /** A transport takes so long to make an offer, in ms. */
  offerMs = 0
  /** Whether the signaling server answers a member that is connected to it. */
  answers: (asker: NodeId) => boolean = () => true
  /** Whom the signaling server names to `asker`; all others by default. */
  contacts: (asker: NodeId, others: readonly NodeId[]) => readonly NodeId[] = (_, others) => others
  /** What a member knows of the channel to another. */
  fingerprints: (own: NodeId, other: NodeId) => Fingerprints | undefined = (own, other) => ({
    local: `print of ${own}`,
    remote: `print of ${other}`,
  })
  /** Keeps what participants tell their users; a test may count instead. */
  onEvent: (participant: Participant, event: ClusterEvent) => void = (participant, event) =>
    void this.#seat(participant).events.push(event)
  /** Whether the signaling server carries links. */
  relays = true
  /** For how long nobody has been lost from the room, as the signaling server says. */
  quietMs = 0
  /** Runs user code: what a core puts out about grains. */
  onGrain: (participant: Participant, output: GrainWork) => void = () => undefined
  /** Stores copies of grains. */
  onPersist: (participant: Participant, output: Extract<Output, { type: 'persist' }>) => void = () =>
    undefined
  /** Whether two members can have a link. */
  connects: (from: NodeId, to: NodeId) => boolean = () => true
  /** Whether two members answer each other's offers, but find no connection: only a relayed link comes to be. */
  blocks: (a: NodeId, b: NodeId) => boolean = () => false
  readonly #seats = new Map<Participant, Seat>()
  readonly #queue = new EventHeap<Due>()
  readonly #offers = new Map<string, End>()
  readonly #answers = new Map<End, End>()
  #sequence = 0

  /** Seats a participant and connects it to signaling. */
  join(participant: Participant): void {
    const lives = [participant.nodeId]
    const seat: Seat = {
      participant,
      ends: new Map(),
      events: [],
      lives,
      signaling: false,
      wakeAt: Infinity,
      sleepsUntil: 0,
    }
    this.#seats.set(participant, seat)
    this.#feed(seat, { type: 'start' })
    this.connectSignaling(participant)
  }

  connectSignaling(participant: Participant): void {
    const seat = this.#seat(participant)
    seat.signaling = true
    this.#later(0, () =>
      this.#feed(seat, {
        type: 'signaling-up',
        contacts: this.#contactsFor(seat),
        relays: this.relays,
        quietMs: this.quietMs,
      }),
    )
  }

  disconnectSignaling(participant: Participant): void {
    const seat = this.#seat(participant)
    seat.signaling = false
    this.#feed(seat, { type: 'signaling-down', reason: 'test' })
  }

  /** A process that ends without a word: its links close a moment later, if `noticed`. */
  kill(participant: Participant, noticed = true): void {
    const seat = this.#seat(participant)
    this.#seats.delete(participant)
    for (const end of seat.ends.values()) {
      end.closed = true
      if (noticed) this.#closePeer(end, 'peer lost')
    }
  }

  /** A process that is stopped for a while, as by a laptop lid: all that happens meanwhile reaches it afterwards. */
  sleep(participant: Participant, forMs: number): void {
    this.#seat(participant).sleepsUntil = this.now + forMs
  }

  /** Ends the link of two members under them. Returns whether there was one. */
  cut(a: Participant, b: Participant): boolean {
    let found = false
    for (const end of this.#seat(a).ends.values()) {
      if (!end.open || end.peer?.owner.participant !== b) continue
      found = true
      for (const side of [end, end.peer]) this.#lose(side, 'cut')
    }
    return found
  }

  /** Ends the link of two members at the end of `loser` alone: the other one notices nothing. */
  loseEnd(loser: Participant, other: Participant): void {
    for (const end of this.#seat(loser).ends.values())
      if (end.open && end.peer?.owner.participant === other) this.#lose(end, 'lost')
  }

  feed(participant: Participant, input: Input): void {
    this.#feed(this.#seat(participant), input)
  }

  /** Feeds what a participant's platform has to say in a while, if it is still there. */
  later(delay: number, participant: Participant, input: Input): void {
    const seat = this.#seat(participant)
    this.#later(delay, () => this.#feed(seat, input))
  }

  /** Lets a participant do something of its own accord. */
  execute(participant: Participant, outputs: readonly Output[]): void {
    const seat = this.#seat(participant)
    for (const output of outputs) this.#execute(seat, output)
  }

  /** Runs until `condition` holds; fails where it does not within `withinMs`. */
  until(condition: () => boolean, what: string, withinMs = 60_000): void {
    const end = this.now + withinMs
    while (!condition()) {
      if (!this.#step(end)) throw new Error(`not within ${withinMs} ms: ${what}`)
    }
  }

  run(forMs: number): void {
    const end = this.now + forMs
    while (this.#step(end));
    this.now = end
  }

  events<K extends ClusterEvent['type']>(participant: Participant, type: K): EventOf<K>[] {
    const isWanted = (event: ClusterEvent): event is EventOf<K> => event.type === type
    return this.#seat(participant).events.filter(isWanted)
  }

  /** NodeIds that a participant ever had, the newest last. */
  lives(participant: Participant): readonly NodeId[] {
    return this.#seat(participant).lives
  }

  frames<K extends Frame['kind']>(kind: K): (SentFrame & { readonly frame: Extract<Frame, { kind: K }> })[] {
    const isWanted = (sent: SentFrame): sent is SentFrame & { readonly frame: Extract<Frame, { kind: K }> } =>
      sent.frame.kind === kind
    return this.sent.filter(isWanted)
  }

  /** Ids of the open links from one member to another. */
  openLinks(from: Participant, to: Participant): LinkId[] {
    return [...this.#seat(from).ends.values()]
      .filter((end) => end.open && end.peer?.owner.participant === to)
      .map((end) => end.linkId)
  }

  #seat(participant: Participant): Seat {
    const seat = this.#seats.get(participant)
    if (!seat) throw new Error(`${participant.nodeId} is not in the room`)
    return seat
  }

  #step(end: number): boolean {
    const due = this.#queue.peek()
    if (!due || due.time > end) return false
    this.#queue.pop()
    this.now = Math.max(this.now, due.time)
    due.run()
    return true
  }

  #later(delay: number, run: () => void): void {
    this.#queue.push({ time: this.now + delay, sequence: this.#sequence++, run })
  }

  #feed(seat: Seat, input: Input): void {
    if (!this.#seats.has(seat.participant)) return
    if (this.now < seat.sleepsUntil) {
      return this.#later(seat.sleepsUntil - this.now, () => this.#feed(seat, input))
    }
    const now = { mono: this.now, wall: 1_000_000 + this.now }
    const outputs = seat.participant.handle(input, now)
    for (const output of outputs) this.#execute(seat, output)
    this.#wake(seat)
  }

  #wake(seat: Seat): void {
    const deadline = seat.participant.nextDeadline()
    if (deadline === undefined || (seat.wakeAt <= deadline && seat.wakeAt > this.now)) return
    seat.wakeAt = Math.max(deadline, this.now + 0.001)
    const { wakeAt } = seat
    this.#later(wakeAt - this.now, () => {
      if (seat.wakeAt !== wakeAt) return
      seat.wakeAt = Infinity
      this.#feed(seat, { type: 'tick' })
    })
  }

  #execute(seat: Seat, output: Output): void {
    switch (output.type) {
      case 'grain':
      case 'grain-ended':
        return this.onGrain(seat.participant, output)
      case 'persist':
        return this.onPersist(seat.participant, output)
      case 'link-open': {
        const { linkId, initiator, nodeId, relay } = output
        const end: End = {
          owner: seat,
          linkId,
          relay,
          peer: undefined,
          open: false,
          closed: false,
        }
        seat.ends.set(linkId, end)
        if (!initiator) return
        const name = `offer ${seat.lives.at(-1)} ${linkId}`
        if (this.connects(seat.participant.nodeId, nodeId)) this.#offers.set(name, end)
        return this.#later(this.offerMs, () => this.#feed(seat, { type: 'link-signal', linkId, data: name }))
      }
      case 'link-signal':
        return this.#onTransportSignal(seat, output.linkId, output.data)
      case 'link-send':
        return this.#send(seat, output.linkId, output.bytes)
      case 'link-close': {
        const end = seat.ends.get(output.linkId)
        if (!end || end.closed) return
        this.#forget(end)
        return this.#closePeer(end, 'closed by the other end')
      }
      case 'signaling-send':
        return this.#signal(seat, output.to, output.data)
      case 'signaling-contacts':
        if (!seat.signaling || !this.answers(seat.participant.nodeId)) return
        return this.#later(2 * DELAY, () =>
          this.#feed(seat, {
            type: 'signaling-contacts',
            contacts: this.#contactsFor(seat),
            quietMs: this.quietMs,
          }),
        )
      case 'signaling-goodbye':
        seat.signaling = false
        return
      case 'sign': {
        const { authority } = parseNodeId(seat.participant.nodeId)!
        const { linkId, bytes } = output
        const signature = standInSignature(standInPublicKey(authority), bytes)
        return this.#later(0, () => this.#feed(seat, { type: 'signed', linkId, signature }))
      }
      case 'verify': {
        const { linkId, publicKey, authority, bytes, signature } = output
        const ok = isStandInSignature(publicKey, authority, bytes, signature)
        return this.#later(0, () => this.#feed(seat, { type: 'verified', linkId, ok }))
      }
      case 'rebirth': {
        const last = parseNodeId(seat.lives.at(-1)!)!
        const authority = output.fresh ? randomAuthority(random) : last.authority
        const nodeId = createNodeId(authority, output.fresh ? 1 : last.generation + 1, random)
        seat.lives.push(nodeId)
        return this.#later(DELAY, () => {
          this.#feed(seat, { type: 'reborn', nodeId, publicKey: standInPublicKey(authority) })
          this.#feed(seat, { type: 'signaling-up', contacts: this.#contactsFor(seat) })
        })
      }
      case 'event':
        this.onEvent(seat.participant, output.event)
    }
  }

  /** Transports talk in two words: an offer that names one end, and the answer to it. */
  #onTransportSignal(seat: Seat, linkId: LinkId, data: string): void {
    const end = seat.ends.get(linkId)
    const offerer = this.#offers.get(data.replace('answer to ', ''))
    if (!end || end.closed || !offerer || offerer.closed) return
    if (data.startsWith('offer ')) {
      end.peer = offerer
      this.#answers.set(offerer, end)
      return this.#later(0, () =>
        this.#feed(seat, { type: 'link-signal', linkId, data: `answer to ${data}` }),
      )
    }
    const answerer = this.#answers.get(end)
    if (!answerer || answerer.closed || end.open || end.relay !== answerer.relay) return
    if (!end.relay && this.#isBlocked(end, answerer)) return
    end.peer = answerer
    this.#offers.delete(data.replace('answer to ', ''))
    for (const side of [end, answerer]) {
      side.open = true
      this.#later(DELAY, () => {
        if (side.closed) return
        const { owner, linkId, peer } = side
        const fingerprints = this.fingerprints(owner.participant.nodeId, peer!.owner.participant.nodeId)
        this.#feed(owner, { type: 'link-opened', linkId, fingerprints })
      })
    }
  }

  #isBlocked(a: End, b: End): boolean {
    const [one, other] = [a.owner.participant.nodeId, b.owner.participant.nodeId]
    return this.blocks(one, other) || this.blocks(other, one)
  }

  #send(seat: Seat, linkId: LinkId, bytes: Uint8Array): void {
    const end = seat.ends.get(linkId)
    if (!end) throw new Error(`${seat.participant.nodeId} sends on a link that it closed or never opened`)
    if (bytes.length > MAX_MESSAGE) throw new Error(`a message of ${bytes.length} bytes was sent`)
    if (end.closed || !end.peer) return
    const to = end.peer
    const sent = bytes.slice()
    const frames = this.#look(seat, to, sent)
    if (!this.passes(seat.participant.nodeId, to.owner.participant.nodeId, frames)) return
    this.#later(DELAY, () => {
      if (!to.closed) this.#feed(to.owner, { type: 'link-message', linkId: to.linkId, bytes: sent })
    })
  }

  #look(seat: Seat, to: End, bytes: Uint8Array): readonly Frame[] {
    if (!this.recording) return []
    const decoded = decodeMessage(bytes)
    const envelopes = decoded.ok ? decoded.envelopes : []
    const frames = envelopes.map(({ frame }) => frame)
    const head = { from: seat.participant.nodeId, to: to.owner.participant.nodeId, at: this.now }
    for (const { frame, route } of envelopes) {
      this.sent.push({ ...head, bytes: bytes.length / frames.length, frame, route })
    }
    return frames
  }

  #closePeer(end: End, reason: string): void {
    const { peer } = end
    if (!peer || peer.closed) return
    this.#later(DELAY, () => this.#lose(peer, reason))
  }

  #lose(end: End, reason: string): void {
    if (end.closed) return
    // Whoever sleeps uses it once more when it wakes, before it hears of this.
    const { sleepsUntil } = end.owner
    if (this.now < sleepsUntil) return this.#later(sleepsUntil - this.now, () => this.#lose(end, reason))
    this.#forget(end)
    this.#feed(end.owner, { type: 'link-closed', linkId: end.linkId, reason })
  }

  #forget(end: End): void {
    end.closed = true
    end.open = false
    end.owner.ends.delete(end.linkId)
    this.#answers.delete(end)
  }

  #signal(seat: Seat, to: NodeId, data: string): void {
    if (!seat.signaling) return
    const from = seat.participant.nodeId
    if (!this.signals(from, to, data)) return
    this.#later(DELAY, () => {
      const target = this.#signaled(to)
      if (target) this.#feed(target, { type: 'signaling-message', from, data })
      else this.#later(DELAY, () => this.#feed(seat, { type: 'signaling-gone', nodeId: to }))
    })
  }

  #signaled(nodeId: NodeId): Seat | undefined {
    for (const seat of this.#seats.values())
      if (seat.signaling && seat.participant.nodeId === nodeId) return seat
    return undefined
  }

  #contactsFor(seat: Seat): readonly NodeId[] {
    const others = [...this.#seats.values()].filter((other) => other !== seat && other.signaling)
    return this.contacts(
      seat.participant.nodeId,
      others.map((other) => other.participant.nodeId),
    )
  }
}
