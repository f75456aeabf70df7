/**
 * Two members' Associations and a network between them that does what networks do: on a link order holds until it
 * closes, then an unknown suffix is lost; over several links frames are lost, doubled and overtaken.
 */
import { Associations } from '../../../src/core/association/associations.ts'
import type { QueuePolicy } from '../../../src/core/association/associations.ts'
import type { ClusterEvent, Incoming, Outcome, Output } from '../../../src/core/events.ts'
import type { NodeId } from '../../../src/core/identity/node-id.ts'
import type { MembershipTable } from '../../../src/core/membership/table.ts'
import { Outbox } from '../../../src/core/outbox.ts'
import type { Random } from '../../../src/core/time.ts'
import type { Limits } from '../../../src/core/tuning.ts'
import { DEFAULT_LIMITS } from '../../../src/core/tuning.ts'
import { decodeMessage, encodeFrame, encodeMessage } from '../../../src/core/wire/codec.ts'
import type { Lane } from '../../../src/core/wire/frames.ts'
import type { StreamFrame } from '../../../src/core/overlay/carrier.ts'
import { nodeIdOf, tableOf, wholeOf } from '../support/names.ts'

/** What carries frames now: nothing, one link, or several. */
export type Road = 'none' | 'direct' | 'routed'

interface InTransit {
  readonly to: Post
  readonly from: Post
  readonly bytes: Uint8Array
  readonly at: number
  readonly isDirect: boolean
}

export class Post {
  readonly table: MembershipTable
  readonly outbox = new Outbox()
  readonly associations: Associations
  readonly outcomes = new Map<number, Outcome>()
  readonly events: ClusterEvent[] = []
  readonly progress: number[] = []
  /** What was handed out, by lane. */
  readonly received: Record<Lane, Incoming[]> = { control: [], call: [], bulk: [] }
  /** Handed out, and not handled yet. */
  readonly open: { readonly nodeId: NodeId; readonly lane: Lane; count: number; refused: number[] }[] = []
  /** Mailboxes without a listener. */
  deaf = new Set<string>()
  /** Handles what comes at once. */
  isQuick = true
  ids = 0

  constructor(
    index: number,
    other: number,
    network: PostalPair,
    limits: Partial<Limits>,
    policy: QueuePolicy,
  ) {
    this.table = tableOf(index)
    this.table.apply(wholeOf(nodeIdOf(other)), 1, 0, 'test')
    this.associations = new Associations({
      table: this.table,
      outbox: this.outbox,
      limits: { ...DEFAULT_LIMITS, ...limits },
      queuePolicy: policy,
      wayTo: () =>
        network.road === 'none' ? undefined : { id: network.roadId, isDirect: network.road === 'direct' },
      answersByLink: () => network.answersByLink ?? network.road === 'direct',
      linkRevision: () => network.roadId,
      carry: (_, frame) => network.carry(this, frame as StreamFrame),
      onGrain: () => undefined,
      onQuarantined: () => undefined,
    })
  }

  get nodeId(): NodeId {
    return this.table.own
  }

  send(to: Post, lane: Lane, bytes: Uint8Array, mailbox = 'm'): number {
    const id = ++this.ids
    const message = { id, to: to.nodeId, lane, bytes, mailbox, text: false }
    this.associations.send([message], 0)
    return id
  }
}

export class PostalPair {
  readonly a: Post
  readonly b: Post
  now = 1_000
  road: Road = 'direct'
  roadId = 1
  /** Whether both seem to answer each other on a link; if undefined, they do where there is one. */
  answersByLink: boolean | undefined
  /** Receipts that were given to the network, and when. */
  readonly receipts: { readonly from: Post; readonly at: number }[] = []
  readonly #random: Random
  #transit: InTransit[] = []
  loss = 0

  constructor(random: Random, limits: Partial<Limits> = {}, policy: QueuePolicy = 'reject-new') {
    this.#random = random
    this.a = new Post(1, 2, this, limits, policy)
    this.b = new Post(2, 1, this, limits, policy)
    for (const post of [this.a, this.b]) post.table.takeChanges()
  }

  /** What was under way on the old road is lost from somewhere on; over several links it may come later. */
  change(road: Road): void {
    if (this.road === 'direct') {
      const kept = Math.floor(this.#random() * this.#transit.length)
      this.#transit = this.#transit.slice(0, kept)
    }
    this.road = road
    this.roadId++
  }

  carry(from: Post, frame: StreamFrame): boolean {
    if (this.road === 'none') return false
    if (frame.kind === 'receipt') this.receipts.push({ from, at: this.now })
    const to = from === this.a ? this.b : this.a
    const bytes = encodeMessage([encodeFrame(frame)])
    const isRouted = this.road === 'routed'
    const isDirect = !isRouted
    const copies = isRouted && this.#random() < this.loss ? (this.#random() < 0.5 ? 0 : 2) : 1
    for (let i = 0; i < copies; i++) {
      const at = this.now + (isRouted ? 5 + this.#random() * 60 * this.loss : 5)
      this.#transit.push({ to, from, bytes, at, isDirect })
    }
    return true
  }

  /** Lets time pass in small steps. */
  run(ms: number): void {
    const end = this.now + ms
    while (this.now < end) {
      this.now += 5
      const due = this.#transit.filter(({ at }) => at <= this.now).sort((x, y) => x.at - y.at)
      this.#transit = this.#transit.filter(({ at }) => at > this.now)
      for (const { to, from, bytes, isDirect } of due) {
        const decoded = decodeMessage(bytes)
        if (!decoded.ok) throw new Error(decoded.reason)
        for (const { frame } of decoded.envelopes)
          to.associations.onFrame(from.nodeId, frame as StreamFrame, isDirect, this.now)
        this.#settle(to)
      }
      for (const post of [this.a, this.b]) {
        if (post.isQuick) this.handle(post, Infinity)
        if (Math.min(post.associations.nextDeadline(), post.associations.owedAt) <= this.now) {
          post.associations.tick(this.now)
          post.associations.idle(this.now)
        }
        this.#settle(post)
      }
    }
  }

  /** Handles up to so many messages that were handed out. */
  handle(post: Post, most: number): void {
    for (let left = most; left > 0 && post.open.length > 0;) {
      const batch = post.open[0]!
      const count = Math.min(left, batch.count)
      const refused = batch.refused.filter((index) => index < count)
      post.associations.taken(batch.nodeId, batch.lane, count, refused, this.now)
      batch.refused = batch.refused.filter((index) => index >= count).map((index) => index - count)
      batch.count -= count
      left -= count
      if (batch.count === 0) post.open.shift()
    }
  }

  #settle(post: Post): void {
    post.associations.settle(this.now)
    for (const output of post.outbox.take()) this.#execute(post, output)
  }

  #execute(post: Post, output: Output): void {
    if (output.type === 'outcome') {
      if (post.outcomes.has(output.id)) throw new Error(`message ${output.id} has two outcomes`)
      post.outcomes.set(output.id, output.outcome)
    } else if (output.type === 'event') post.events.push(output.event)
    else if (output.type === 'progress') post.progress.push(output.sent)
    else if (output.type === 'deliver') {
      const { nodeId, lane, messages } = output
      const refused = messages.flatMap(({ mailbox }, i) => (post.deaf.has(mailbox) ? [i] : []))
      for (const message of messages) if (!post.deaf.has(message.mailbox)) post.received[lane].push(message)
      post.open.push({ nodeId, lane, count: messages.length, refused })
    }
  }
}
