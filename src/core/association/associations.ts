/**
 * Associations: brings messages of users to authorities, and hands out those that come. One association for each
 * authority, with what waits for it; a stream for each lane and life. Nothing is sent to an authority that is
 * unreachable or quarantined; what was accepted ends in exactly one outcome.
 *
 * Grains have two streams of their own, to lives: what they bring is handed on at once, and when a life ends, what has
 * not arrived is lost without a word.
 */
import type { DeadLetterReason, Incoming, Outcome, Outgoing } from '../events.ts'
import type { Authority, NodeId } from '../identity/node-id.ts'
import { authorityOf, isAuthority, isNodeId } from '../identity/node-id.ts'
import type { MembershipTable, TableChange } from '../membership/table.ts'
import type { Outbox } from '../outbox.ts'
import { Refill } from '../refill.ts'
import type { CarriedFrame, StreamFrame } from '../overlay/carrier.ts'
import type { Limits } from '../tuning.ts'
import type { Lane, Stream } from '../wire/frames.ts'
import { isGrainStream, LANES, laneOf, STREAMS } from '../wire/frames.ts'
import type { Association, AssociationState } from './association.ts'
import { newAssociation, waiting } from './association.ts'
import { BodyMemory } from './body-memory.ts'
import { InStream } from './in-stream.ts'
import type { Letter } from './letter.ts'
import { grainLetterOf, isOfGrains, letterOf } from './letter.ts'
import { LetterCounts } from './letter-counts.ts'
import type { StreamEvents, Way } from './out-stream.ts'
import { BODY_MEMORY, OutStream } from './out-stream.ts'

/** What is done with a message for an authority whose queue is full. */
export type QueuePolicy = 'reject-new' | 'drop-oldest'

export interface AssociationsOptions {
  readonly table: MembershipTable
  readonly outbox: Outbox
  readonly limits: Limits
  readonly queuePolicy: QueuePolicy
  /** The way to a member now. */
  readonly wayTo: (nodeId: NodeId, now: number) => Way | undefined
  /** A member has lately answered on its link to this one: it sends nothing by another way. */
  readonly answersByLink: (nodeId: NodeId, now: number) => boolean
  /** Grows with every link of this member that is established or ends. */
  readonly linkRevision: () => number
  readonly carry: (nodeId: NodeId, frame: CarriedFrame, lane: Lane, now: number) => boolean
  /** A message of grains has come; `isProven` where nobody but its origin can have said it. */
  readonly onGrain: (origin: NodeId, bytes: Uint8Array, isProven: boolean) => void
  /** An authority is shut out from now on. */
  readonly onQuarantined: (authority: Authority, reason: string, now: number) => void
}

/** So many faults within a minute are no accident. */
const MAX_FAULTS = 3
const FAULTS_MS = 60_000
/** A quarantine ends by itself after this long, in ms. */
export const QUARANTINE_MS = 30_000
/** Ways over several links may change without a sign here: looked at again this often while something is under way. */
const LOOK_MS = 1_000
/**
 * So long a receipt of grains waits for something that goes the other way, in ms. Nobody waits for it: all it does is to
 * let the sender forget.
 */
const COMPANY_MS = 100
const MIB = 1024 * 1024
/** One message of grains: an argument, a result or a state of 16 MiB, and what goes with it. */
const MAX_GRAIN_MESSAGE = 17 * MIB
/** More than this for one member, and grains lose what they say to it. */
const MAX_GRAIN_BYTES = 64 * MIB

export class Associations {
  readonly counts = new LetterCounts()
  readonly #options: AssociationsOptions
  readonly #own: Authority
  readonly #all = new Map<Authority, Association>()
  /** Those that something may be sent to in this turn. */
  readonly #dirty = new Refill<Association>()
  readonly #memory = new BodyMemory(BODY_MEMORY)
  /** Streams that have something to tell their senders. */
  readonly #owing: InStream[] = []
  readonly #senders = new Map<InStream, Association>()
  /** Messages of this process to itself that were handed out. */
  readonly #local: Readonly<Record<Lane, Letter[]>> = { control: [], call: [], bulk: [] }
  #localBytes = 0
  /** Streams whose senders wait for more room than there was. */
  readonly #starved = new Set<InStream>()
  #owedAt = Infinity
  #resendAt = Infinity
  #lookAt = Infinity
  #quarantineEndsAt = Infinity
  #heldBytes = 0
  #seenLinks = -1
  #seenMembers = -1
  #revision = 0
  #isHurried = false

  constructor(options: AssociationsOptions) {
    this.#options = options
    this.#own = authorityOf(options.table.own)
  }

  /** Grows with every change of a state. */
  get revision(): number {
    return this.#revision
  }

  all(): IterableIterator<Association> {
    return this.#all.values()
  }

  /** Bytes that have come and were not handled. */
  get heldBytes(): number {
    return this.#heldBytes
  }

  /** Why an authority is shut out, if it is. */
  quarantineOf(authority: Authority): Association | undefined {
    const association = this.#all.get(authority)
    return association?.state === 'quarantined' ? association : undefined
  }

  /** Takes messages to be sent, and tells at once of those that it does not. */
  send(messages: readonly Outgoing[], now: number): void {
    for (const message of messages) this.#accept(message, now)
  }

  /** Takes a message of grains for one life; loses it where that is over, or has too much waiting. */
  sendGrain(nodeId: NodeId, stream: 'grain' | 'copy', bytes: Uint8Array): void {
    const authority = authorityOf(nodeId)
    if (this.#options.table.currentLife(authority) !== nodeId) return
    const association = this.#associationOf(authority)
    if (association.grainBytes + bytes.length > MAX_GRAIN_BYTES) return
    association.letters++
    association.grainBytes += bytes.length
    association.queues[stream].push(grainLetterOf(stream, bytes, authority, nodeId))
    this.#touch(association)
  }

  /** From now on messages of grains go before everything else: this process is about to say goodbye. */
  hurry(): void {
    this.#isHurried = true
  }

  /** The user wants it no more. What is under way may still arrive. */
  cancel(id: number): void {
    for (const association of this.#all.values()) {
      for (const lane of LANES) {
        const queue = association.queues[lane]
        const at = queue.findIndex((letter) => letter.id === id)
        if (at >= 0) return this.#end(queue.splice(at, 1)[0]!, 'aborted')
        const begun = association.out[lane]?.letters.find((letter) => letter.id === id)
        if (!begun || begun.isAbandoned) continue
        this.#end(begun, 'aborted')
        begun.isAbandoned = true
        return
      }
    }
  }

  /** The platform has handled what it was given. */
  taken(nodeId: NodeId, lane: Lane, count: number, refused: readonly number[], now: number): void {
    if (nodeId === this.#options.table.own) return this.#takenHere(lane, count, refused)
    const association = this.#all.get(authorityOf(nodeId))
    const stream = association?.nodeId === nodeId ? association.in[lane] : undefined
    if (!stream) return
    const before = stream.bytes
    stream.take(count, refused)
    this.#heldBytes += stream.bytes - before
    this.#owe(stream, now)
    if (this.#starved.size === 0 || this.#heldBytes > this.#options.limits.receiveBytes) return
    for (const waiting of this.#starved) this.#owe(waiting, now)
    this.#starved.clear()
  }

  /** `isProven`: it came by the link to its origin; else anybody on its way may have made it. */
  onFrame(origin: NodeId, frame: StreamFrame, isProven: boolean, now: number): void {
    const { table, limits, outbox, answersByLink } = this.#options
    // Forged, or sent before there was a link: then it has been sent again by that. If that link is over at the other
    // end only, it falls silent here, and what comes again by other ways is taken.
    if (!isProven && answersByLink(origin, now)) return
    const authority = authorityOf(origin)
    // Of lives that are over, or not heard of yet, nothing is taken; what is not acknowledged comes again.
    if (table.currentLife(authority) !== origin || this.quarantineOf(authority)) return
    const association = this.#associationOf(authority)
    this.#adopt(association, origin)
    if (frame.kind === 'receipt') {
      const stream = association.out[frame.stream]
      if (!stream) return
      stream.onReceipt(frame, isProven, now)
      if (!stream.isAtRest || association.queues[frame.stream].length > 0) this.#touch(association)
      return
    }
    const { stream: name } = frame
    const isGrains = isGrainStream(name)
    let stream = association.in[name]
    if (!stream) {
      stream = new InStream(name, isGrains ? { ...limits, messageBytes: MAX_GRAIN_MESSAGE } : limits)
      association.in[name] = stream
      this.#senders.set(stream, association)
    }
    stream.isProven &&= isProven
    const before = stream.bytes
    const messages: Incoming[] = []
    const problem = stream.receive(frame, messages)
    if (isGrains && messages.length > 0) stream.take(messages.length, NO_REFUSALS)
    this.#heldBytes += stream.bytes - before
    if (problem !== undefined) this.fault(authority, problem, stream.isProven, now)
    this.#owe(stream, now)
    // What was complete before a fault is handed out: it counts among those that are handled.
    if (messages.length === 0) return
    if (!isGrains) outbox.push({ type: 'deliver', nodeId: origin, lane: laneOf(name), messages })
    else for (const { bytes } of messages) this.#options.onGrain(origin, bytes, stream.isProven)
  }

  /**
   * A member has broken the rules; or, where that is not proven, somebody else has in its name: then it is told and held
   * against nobody, or anybody could have anybody quarantined.
   */
  fault(authority: Authority, reason: string, isProven: boolean, now: number): void {
    const { outbox, table } = this.#options
    const nodeId = table.currentLife(authority)
    if (nodeId === undefined) return
    outbox.event({ type: 'frame-rejected', nodeId, reason })
    if (isProven) this.countFault(authority, reason, now)
  }

  /** The same, of what somebody else has told of. */
  countFault(authority: Authority, reason: string, now: number): void {
    const association = this.#associationOf(authority)
    const { faults } = association
    faults.push(now)
    while (faults[0]! <= now - FAULTS_MS) faults.shift()
    if (faults.length < MAX_FAULTS || association.state === 'quarantined') return
    faults.length = 0
    association.until = now + QUARANTINE_MS
    this.#quarantineEndsAt = Math.min(this.#quarantineEndsAt, association.until)
    this.#setState(association, 'quarantined', reason)
    for (const name of STREAMS) association.out[name]?.loseWay()
    this.#options.onQuarantined(authority, reason, now)
  }

  /** Ends a quarantine. */
  release(authority: Authority): void {
    const association = this.quarantineOf(authority)
    if (!association) return
    this.#setState(association, 'disconnected', 'released')
    this.#touch(association)
  }

  notice({ nodeId, authority, after }: TableChange): void {
    const association = this.#all.get(authority)
    if (!association) return
    if (after === 'removed') this.#endLife(association, nodeId)
    this.#touch(association)
  }

  /** Lives were forgotten: of an authority that has no other, nothing is waited for any more. */
  onCollected(): void {
    for (const association of this.#all.values()) this.#touch(association)
  }

  tick(now: number): void {
    if (now >= this.#quarantineEndsAt) {
      this.#quarantineEndsAt = Infinity
      for (const association of this.#all.values()) {
        if (association.state !== 'quarantined') continue
        if (now < association.until) {
          this.#quarantineEndsAt = Math.min(this.#quarantineEndsAt, association.until)
          continue
        }
        this.#setState(association, 'disconnected', 'the quarantine is over')
        this.#touch(association)
      }
    }
    if (now >= this.#lookAt) {
      this.#lookAt = Infinity
      for (const association of this.#all.values()) if (isBusy(association)) this.#touch(association)
    }
    if (now < this.#resendAt) return
    this.#resendAt = Infinity
    // Sent at the end of the turn: it may be that this very turn finds somebody unreachable.
    for (const association of this.#all.values()) {
      for (const name of STREAMS) {
        const stream = association.out[name]
        if (!stream) continue
        if (stream.expire(now)) this.#touch(association)
        this.#resendAt = Math.min(this.#resendAt, stream.resendAt)
      }
    }
  }

  /** Nothing else is going on: what is owed need not wait for company any more. */
  idle(now: number): void {
    this.#owedAt = Infinity
    for (let i = this.#owing.length - 1; i >= 0; i--) {
      const stream = this.#owing[i]
      if (!stream || stream.isContinued) continue
      if (now >= stream.owedAt) this.#tell(stream, now)
      else this.#owedAt = Math.min(this.#owedAt, stream.owedAt)
    }
  }

  /** Sends what can be sent. To be called at the end of every turn. */
  settle(now: number): void {
    const { linkRevision, table } = this.#options
    const links = linkRevision()
    if (links !== this.#seenLinks || table.membershipRevision !== this.#seenMembers) {
      this.#seenLinks = links
      this.#seenMembers = table.membershipRevision
      for (const association of this.#all.values()) this.#touch(association)
    }
    // Work may touch further ones.
    for (let i = 0; i < this.#dirty.size; i++) this.#work(this.#dirty.at(i), now)
    for (let i = 0; i < this.#dirty.size; i++) this.#dirty.at(i).isDirty = false
    this.#dirty.clear()
    for (let i = this.#owing.length - 1; i >= 0; i--) {
      const stream = this.#owing[i]
      if (stream?.isUrgent) this.#tell(stream, now)
    }
    // Also where what was owed went along with something else: then nobody need be woken for it.
    if (this.#owing.length === 0) this.#owedAt = Infinity
  }

  /** From when on `idle` is wanted, once nothing else goes on. `Infinity` where nothing is owed. */
  get owedAt(): number {
    return this.#owedAt
  }

  nextDeadline(): number {
    return Math.min(this.#resendAt, this.#lookAt, this.#quarantineEndsAt)
  }

  /** This life is over: gives back what was not begun, for the next one; the rest is lost. */
  retire(): Outgoing[] {
    const unsent: Outgoing[] = []
    for (const association of this.#all.values()) {
      for (const name of GRAIN_STREAMS) this.#dropStream(association, name, 'life-ended')
      for (const lane of LANES) {
        association.out[lane]?.end('life-ended')
        for (const { id, authority, nodeId, mailbox, bytes, isText } of association.queues[lane].splice(0)) {
          unsent.push({ id, to: nodeId ?? authority, mailbox, lane, bytes, text: isText })
          this.counts.handedOn()
        }
      }
    }
    this.#endLocal('life-ended')
    return unsent
  }

  /** This process leaves. */
  end(): void {
    for (const association of this.#all.values()) {
      for (const name of STREAMS) this.#dropStream(association, name, 'left')
    }
    this.#endLocal('left')
    for (const stream of this.#owing.splice(0)) stream.owedAt = Infinity
  }

  #accept(message: Outgoing, now: number): void {
    const { table, limits, queuePolicy } = this.#options
    const { to, lane, bytes } = message
    const isLife = !isAuthority(to)
    if (isLife && !isNodeId(to)) return this.#refuse(message, 'unknown-member')
    const authority = isLife ? authorityOf(to) : to
    const letter = letterOf(message, authority, isLife ? to : undefined)
    if (authority === this.#own) {
      if (this.#localBytes + bytes.length > limits.sendBytes) return this.#refuse(message, 'queue-full')
      return this.#deliverHere(letter)
    }
    if (table.newestLife(authority) === undefined) return this.#refuse(message, 'unknown-member')
    const association = this.#associationOf(authority)
    this.#refreshState(association, now)
    if (association.state === 'quarantined') return this.#refuse(message, 'quarantined', association.reason)
    if (isLife && table.currentLife(authority) !== to) {
      this.counts.accepted()
      association.letters++
      association.bytes += bytes.length
      return this.#end(letter, 'life-ended')
    }
    if (association.state === 'connected') {
      if (association.bytes + bytes.length > limits.sendBytes) return this.#refuse(message, 'queue-full')
    } else {
      const isFull = (): boolean =>
        waiting(association) > 0 &&
        (waiting(association) >= limits.queueMessages || association.bytes + bytes.length > limits.queueBytes)
      if (queuePolicy === 'drop-oldest') while (isFull()) this.#dropOldest(association)
      if (isFull() || bytes.length > limits.queueBytes) return this.#refuse(message, 'queue-full')
    }
    this.counts.accepted()
    association.letters++
    association.bytes += bytes.length
    association.queues[lane].push(letter)
    this.#touch(association)
  }

  #refuse({ id }: Outgoing, outcome: Outcome, reason?: string): void {
    this.#options.outbox.push({ type: 'outcome', id, outcome, ...(reason !== undefined && { reason }) })
  }

  #dropOldest({ queues }: Association): void {
    let oldest: Letter[] | undefined
    for (const lane of LANES) {
      const queue = queues[lane]
      if (queue.length > 0 && (!oldest || queue[0]!.id < oldest[0]!.id)) oldest = queue
    }
    if (oldest) this.#end(oldest.shift()!, 'dropped')
  }

  #touch(association: Association): void {
    if (association.isDirty) return
    association.isDirty = true
    this.#dirty.add(association)
  }

  #associationOf(authority: Authority): Association {
    let association = this.#all.get(authority)
    if (!association) {
      association = newAssociation(authority)
      this.#all.set(authority, association)
      this.#revision++
    }
    return association
  }

  #work(association: Association, now: number): void {
    const { table, carry } = this.#options
    const { authority, queues } = association
    if (table.newestLife(authority) === undefined) return this.#forget(association)
    const nodeId = table.currentLife(authority)
    const way = this.#refreshState(association, now)
    if (association.state !== 'connected' || nodeId === undefined) {
      for (const name of STREAMS) association.out[name]?.loseWay()
      return
    }
    if (!way) return
    this.#adopt(association, nodeId)
    for (const name of STREAMS) {
      const queue = queues[name]
      let stream = association.out[name]
      if (!stream && queue.length === 0) continue
      stream ??= association.out[name] = this.#newStream(name)
      const told = association.in[name]
      // A receipt of the same stream rides in the same message.
      if (queue.length > 0 && told?.owesReceipt) this.#tell(told, now)
      if (queue.length > 0 || !stream.isAtRestOn(way)) {
        const lane = this.#isHurried && isGrainStream(name) ? 'control' : laneOf(name)
        stream.pump(queue, way, now, (frame) => carry(nodeId, frame, lane, now))
      }
      this.#resendAt = Math.min(this.#resendAt, stream.resendAt)
    }
    if (isBusy(association) && !way.isDirect) this.#lookAt = Math.min(this.#lookAt, now + LOOK_MS)
    if (association.draining === 0 || waiting(association) > 0) return
    this.#options.outbox.event({ type: 'drained', authority, messages: association.draining })
    association.draining = 0
  }

  #newStream(name: Stream): OutStream {
    const { outbox } = this.#options
    if (isGrainStream(name))
      return new OutStream(
        name,
        { outcome: (letter) => this.#endOfGrains(letter), progress: () => {} },
        this.#memory,
      )
    const events: StreamEvents = {
      outcome: (letter, outcome) => this.#end(letter, outcome),
      progress: ({ id, confirmed, size }) =>
        outbox.push({ type: 'progress', id, sent: confirmed, total: size }),
    }
    return new OutStream(name, events, this.#memory)
  }

  /** Returns the way to it, where it is connected. */
  #refreshState(association: Association, now: number): Way | undefined {
    const { table, wayTo } = this.#options
    if (association.state === 'quarantined') return undefined
    const nodeId = table.currentLife(association.authority)
    const status = nodeId === undefined ? undefined : table.status(nodeId)
    const isThere = status === 'up' || status === 'joining' || status === 'leaving'
    const way = isThere ? wayTo(nodeId!, now) : undefined
    const reason = way ? 'there is a way' : isThere ? 'there is no way to it' : `it is ${status ?? 'gone'}`
    this.#setState(association, way ? 'connected' : 'disconnected', reason)
    return way
  }

  #setState(association: Association, to: AssociationState, reason: string): void {
    const { state: from, authority } = association
    if (from === to) return
    association.state = to
    association.reason = reason
    this.#revision++
    if (to === 'connected' && from === 'disconnected') association.draining = waiting(association)
    this.#options.outbox.event({ type: 'association', authority, from, to, reason })
  }

  /** The streams are those of this life now. */
  #adopt(association: Association, nodeId: NodeId): void {
    if (association.nodeId === nodeId) return
    if (association.nodeId !== undefined) this.#endLife(association, association.nodeId)
    association.nodeId = nodeId
  }

  #endLife(association: Association, nodeId: NodeId): void {
    for (const name of STREAMS) {
      const queue = association.queues[name]
      for (let i = queue.length - 1; i >= 0; i--) {
        if (queue[i]!.nodeId === nodeId) this.#end(queue.splice(i, 1)[0]!, 'life-ended')
      }
    }
    if (association.nodeId !== nodeId) return
    association.nodeId = undefined
    for (const name of STREAMS) {
      association.out[name]?.end('life-ended')
      delete association.out[name]
      const stream = association.in[name]
      if (!stream) continue
      this.#heldBytes -= stream.bytes
      this.#owesNothing(stream)
      this.#starved.delete(stream)
      this.#senders.delete(stream)
      delete association.in[name]
    }
  }

  #forget(association: Association): void {
    if (association.nodeId !== undefined) this.#endLife(association, association.nodeId)
    for (const name of STREAMS) {
      for (const letter of association.queues[name].splice(0)) this.#end(letter, 'forgotten')
    }
    this.#all.delete(association.authority)
    this.#revision++
  }

  #dropStream(association: Association, name: Stream, outcome: Outcome): void {
    association.out[name]?.end(outcome)
    for (const letter of association.queues[name].splice(0)) this.#end(letter, outcome)
  }

  #endOfGrains({ authority, size }: Letter): void {
    const association = this.#all.get(authority)
    if (!association) return
    association.letters--
    association.grainBytes -= size
  }

  #end(letter: Letter, outcome: Outcome): void {
    if (letter.isAbandoned) return
    if (isOfGrains(letter)) return this.#endOfGrains(letter)
    const { id, authority, mailbox, size } = letter
    const association = this.#all.get(authority)
    if (association) {
      association.letters--
      association.bytes -= size
    }
    this.counts.ended(outcome)
    const { outbox } = this.#options
    outbox.push({ type: 'outcome', id, outcome })
    if (isDead(outcome)) {
      outbox.event({ type: 'dead-letter', authority, mailbox, bytes: size, reason: outcome })
    }
  }

  #owe(stream: InStream, now: number): void {
    // What came over several links is sent again where no receipt comes, and at a rate that receipts set.
    const at = isGrainStream(stream.name) && stream.isProven ? now + COMPANY_MS : now
    if (stream.owedAt === Infinity) this.#owing.push(stream)
    stream.owedAt = Math.min(stream.owedAt, at)
    if (!stream.isContinued) this.#owedAt = Math.min(this.#owedAt, stream.owedAt)
  }

  #owesNothing(stream: InStream): void {
    if (stream.owedAt === Infinity) return
    stream.owedAt = Infinity
    const last = this.#owing.pop()!
    if (last !== stream) this.#owing[this.#owing.indexOf(stream)] = last
  }

  #tell(stream: InStream, now: number): void {
    this.#owesNothing(stream)
    const { nodeId, state } = this.#senders.get(stream) ?? {}
    if (nodeId === undefined || state === 'quarantined') return
    const status = this.#options.table.status(nodeId)
    if (status === 'unreachable' || status === 'removed') return
    const mayGrow = this.#heldBytes <= this.#options.limits.receiveBytes
    // What is said of bulk must not wait behind bulk.
    const lane = laneOf(stream.name) === 'bulk' ? 'control' : laneOf(stream.name)
    this.#options.carry(nodeId, stream.receipt(mayGrow), lane, now)
    if (stream.isStarved) this.#starved.add(stream)
  }

  #deliverHere(letter: Letter): void {
    const { outbox, table } = this.#options
    const { stream, mailbox, bytes, isText } = letter
    const lane = laneOf(stream)
    this.counts.accepted()
    if (letter.nodeId !== undefined && letter.nodeId !== table.own) return this.#end(letter, 'life-ended')
    this.#local[lane].push(letter)
    this.#localBytes += bytes.length
    const message = { mailbox, bytes: bytes.slice(), text: isText }
    outbox.push({ type: 'deliver', nodeId: table.own, lane, messages: [message] })
  }

  #takenHere(lane: Lane, count: number, refused: readonly number[]): void {
    for (const [i, letter] of this.#local[lane].splice(0, count).entries()) {
      this.#localBytes -= letter.size
      this.#end(letter, refused.includes(i) ? 'no-receiver' : 'taken')
    }
  }

  #endLocal(outcome: Outcome): void {
    for (const lane of LANES) for (const letter of this.#local[lane].splice(0)) this.#end(letter, outcome)
  }
}

/** Something is under way, or waits. */
const isBusy = (association: Association): boolean => association.letters > 0

const GRAIN_STREAMS = ['grain', 'copy'] as const
const NO_REFUSALS: readonly number[] = []

const isDead = (outcome: Outcome): outcome is DeadLetterReason =>
  outcome === 'life-ended' || outcome === 'forgotten' || outcome === 'dropped' || outcome === 'no-receiver'
