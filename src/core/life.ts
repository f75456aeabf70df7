/**
 * One life of a process in its cluster, from `joining` to `left` or to its removal: brings the machines together and
 * hands each input to the one it is for.
 *
 * Order of life: `joining` until a contact accepted the handshake, or the signaling server knows of nobody; `up`;
 * `isolated` while every link is lost; `leaving`, then `left`. A life that others removed is over: its links end and
 * the platform is asked for the next one.
 */
import { Associations } from './association/associations.ts'
import type { Way } from './association/out-stream.ts'
import { Unsent } from './association/unsent.ts'
import type { ClusterStatus, Input, LinkId, Outgoing } from './events.ts'
import type { Authority, NodeId } from './identity/node-id.ts'
import { authorityOf, compareLives, parseNodeId } from './identity/node-id.ts'
import { Detector } from './failure/detector.ts'
import { isWatched } from './failure/observers.ts'
import { Removal } from './failure/removal.ts'
import { Gossip } from './gossip/gossip.ts'
import type { Memory } from './gossip/memory.ts'
import { Handshakes } from './gossip/handshake.ts'
import { LOCAL } from './membership/change-log.ts'
import type { Accusation, Visibility } from './membership/record.ts'
import { isUserStateKey } from './membership/state-key.ts'
import type { TableChange } from './membership/table.ts'
import { MembershipTable } from './membership/table.ts'
import { Neighbours } from './neighbours.ts'
import type { Refusal } from './neighbours.ts'
import { Healing } from './overlay/healing.ts'
import { LinkPublication } from './overlay/link-publication.ts'
import { Carrier } from './overlay/carrier.ts'
import type { MeshLink } from './overlay/mesh-link.ts'
import { Mesh } from './overlay/mesh.ts'
import { REFRESH_MS, Routes } from './overlay/routes.ts'
import type { SignOfLife } from './overlay/signal-envelope.ts'
import { encodeSignOfLife } from './overlay/signal-envelope.ts'
import type { NodeOptions } from './node.ts'
import type { Outbox } from './outbox.ts'
import { decodeMessage } from './wire/codec.ts'
import { WireLimits } from './wire/decode.ts'

export interface LifeOptions extends NodeOptions {
  readonly outbox: Outbox
  readonly nextLinkId: () => LinkId
  readonly memory: Memory
  readonly grains?: LifeGrains | undefined
}

/** What a life tells the grains of its process. */
export interface LifeGrains {
  /** The bytes are theirs to keep. `isProven` where nobody but the origin can have said them. */
  receive(origin: NodeId, bytes: Uint8Array, isProven: boolean): void
  notice(change: TableChange, now: number): void
  /** At the end of every turn, before what is to be sent goes out. */
  settle(now: number): void
}

/** What the next life of the same process takes over. */
export interface Legacy {
  readonly meta: string
  readonly visibility: Visibility
  readonly values: ReadonlyMap<string, string>
  /** Messages that were accepted and not begun. */
  readonly unsent: readonly Outgoing[]
}

/** A link that both ends have accepted. */
export interface EstablishedLink {
  readonly linkId: LinkId
  readonly nodeId: NodeId
  readonly relay: boolean
  readonly rttMs?: number
}

/** How a member is reached: by a link, through other members, by way of the signaling server, or not at all. */
export type Path = 'self' | 'direct' | 'routed' | 'relayed' | 'none'

/** Tombstones are looked through this often. */
const COLLECT_MS = 30_000
/** Members of an earlier life that are tried beside the signaling server's contacts. */
const MAX_KNOWN_BEFORE = 2
/** After this long a life knows of all others, or there is no hearing from them. */
const ACQUAINTED_MS = 3_000
/** A member that did not answer this many dials is looked for. */
const MISSED_AFTER = 2
/** A member that can have no direct links keeps two relayed ones: the loss of one cuts it off from nobody. */
const RELAY_ONLY_LINKS = 2

export class Life {
  readonly table: MembershipTable
  readonly gossip: Gossip
  readonly memory: Memory
  readonly associations: Associations
  readonly #options: LifeOptions
  readonly #outbox: Outbox
  readonly #neighbours: Neighbours
  readonly #mesh: Mesh
  readonly #detector: Detector
  readonly #removal: Removal
  readonly #healing: Healing
  readonly #publication: LinkPublication
  readonly #routes: Routes
  readonly #carrier: Carrier
  readonly #values = new Map<string, string>()
  readonly #unsent: Unsent
  #meta: string
  #visibility: Visibility
  #status: ClusterStatus = 'joining'
  #over: string | undefined
  #leaveBy: number | undefined
  #collectAt = 0
  #startedAt = 0
  #joinIsTold = false
  /** It was told who is there: an authority that it does not know, nobody knows. */
  #knowsOthers = false
  /** When the next thing is due, as of the last turn; the same without user messages. */
  #due = 0
  #othersDue = 0
  /** All that has happened since the last `settle` is about user messages: most turns of a busy member are such. */
  #isMailOnly = false
  #seenLinks = -1

  constructor(options: LifeOptions) {
    const { nodeId, process, browser, meta, visibility, limits, outbox, random, tuning } = options
    const { canLink = true, canRelay = false } = options
    this.#options = options
    this.#outbox = outbox
    this.#meta = meta
    this.#visibility = visibility
    this.memory = options.memory
    this.#unsent = new Unsent(outbox, 2 * limits.sendBytes)
    const table = new MembershipTable(
      nodeId,
      { status: 'joining', process, browser, visibility, meta },
      limits,
      options.commons?.join,
    )
    const onAccused = (accusation: Accusation, now: number) => this.#onAccused(accusation, now)
    this.table = table
    this.gossip = new Gossip({ ...options, table, onAccused })
    this.#mesh = new Mesh({
      ...options,
      table,
      canLink,
      canRelay,
      maxLinks: canLink ? options.maxLinks : Math.min(options.maxLinks, RELAY_ONLY_LINKS),
      minLinks: canLink ? options.minLinks : Math.min(options.minLinks, RELAY_ONLY_LINKS),
      carrySignal: (to, data, via, now) =>
        this.#carrier.carry(to, { kind: 'signal', data }, 'control', now, via),
      leadsTo: (member, now) => this.#routes.leadsTo(member, now, REFRESH_MS),
      onEnded: (link, reason, replaced, now) => this.#onLinkEnded(link, reason, replaced, now),
      isShutOut: (member) => this.associations.quarantineOf(authorityOf(member)) !== undefined,
      onSignOfLife: (from, sign, now) => this.#onSignOfLife(from, sign, now),
    })
    this.#routes = new Routes({
      table,
      links: () => this.#mesh.links(),
      link: (linkId) => this.#mesh.get(linkId),
      linkTo: (member) => this.#mesh.linkTo(member),
      linkRevision: () => this.#mesh.revision,
    })
    this.#carrier = new Carrier({
      table,
      outbox,
      routes: this.#routes,
      onStreamFrame: (origin, frame, isProven, now) =>
        this.associations.onFrame(origin, frame, isProven, now),
      onDatagram: (origin, body, isProven) => this.#onDatagram(origin, body, isProven),
      onSignal: (origin, data, neighbour, now) => this.#mesh.onSignal(origin, data, neighbour, now),
      isWished: (member) => this.#mesh.isWished(member),
      onBusy: (member, now) => this.#mesh.wish(member, now),
    })
    this.associations = new Associations({
      table,
      outbox,
      limits,
      queuePolicy: options.queuePolicy ?? 'reject-new',
      wayTo: (member, now) => this.#wayTo(member, now),
      answersByLink: (member, now) => this.#detector.hasAnswered(member, now),
      linkRevision: () => this.#mesh.revision,
      carry: (to, frame, lane, now) => this.#carrier.carry(to, frame, lane, now),
      onGrain: (origin, bytes, isProven) => options.grains?.receive(origin, bytes, isProven),
      onQuarantined: (authority, reason, now) => this.#onQuarantined(authority, reason, now),
    })
    this.#detector = new Detector({
      table,
      outbox,
      random,
      tuning,
      challenge: (linkId, member) => this.#neighbours.challenge(linkId, member),
      askMember: (to) => outbox.push({ type: 'signaling-send', to, data: encodeSignOfLife('ask') }),
      askServer: () => outbox.push({ type: 'signaling-contacts' }),
      onUseless: (linkId, now) => this.#mesh.close(linkId, 'silent, though its member lives', now),
    })
    this.#removal = new Removal(table, tuning.removeAfterMs)
    this.#healing = new Healing(outbox, random, tuning.healIntervalMs)
    this.#publication = new LinkPublication(table, this.#mesh, !canLink)
    this.#neighbours = new Neighbours({
      decode: options.commons?.decode ?? decodeMessage,
      table,
      outbox,
      mesh: this.#mesh,
      carrier: this.#carrier,
      gossip: this.gossip,
      handshakes: new Handshakes({ ...options, table }),
      detector: this.#detector,
      onEstablished: (link, now) => this.#onEstablished(link, now),
      onRefused: (link, refusal, now) => this.#onRefused(link, refusal, now),
      onFault: (member, reason, now) => this.associations.countFault(authorityOf(member), reason, now),
    })
  }

  get status(): ClusterStatus {
    return this.#status
  }

  /** This life was removed or superseded. */
  get isOver(): boolean {
    return this.#over !== undefined
  }

  get endReason(): string {
    return this.#over ?? ''
  }

  get legacy(): Legacy {
    return {
      meta: this.#meta,
      visibility: this.#visibility,
      values: this.#values,
      unsent: this.#unsent.take(),
    }
  }

  /** Grows whenever `establishedLinks` may have changed. */
  get linkRevision(): number {
    return this.#mesh.revision + this.#detector.revision
  }

  get linkCount(): number {
    return this.#mesh.establishedCount
  }

  establishedLinks(): EstablishedLink[] {
    const links: EstablishedLink[] = []
    for (const { linkId, nodeId, phase, relay } of this.#mesh.links()) {
      if (phase !== 'established') continue
      const rttMs = this.#detector.rtt(linkId)
      links.push(rttMs === undefined ? { linkId, nodeId, relay } : { linkId, nodeId, relay, rttMs })
    }
    return links
  }

  pathTo(nodeId: NodeId, now: number): Path {
    if (nodeId === this.table.own) return 'self'
    const link = this.#mesh.linkTo(nodeId)
    if (link?.phase === 'established') return link.relay ? 'relayed' : 'direct'
    return this.#routes.leadsTo(nodeId, now) ? 'routed' : 'none'
  }

  hopsTo(nodeId: NodeId, now: number): readonly NodeId[] | undefined {
    return this.#routes.hops(nodeId, now)
  }

  handle(input: Input, now: number): void {
    this.#isMailOnly &&= isAboutMail(input)
    if (this.#over !== undefined) return this.#handleOver(input)
    switch (input.type) {
      case 'start':
        return this.#onStart(now)
      case 'signaling-up':
        this.#mesh.signalingUp(input.relays ?? true)
        this.#detector.inquiry.connection(true)
        this.#detector.inquiry.heard(now)
        this.#outbox.event({ type: 'signaling', state: 'up', reason: 'connected' })
        this.#healing.begin(now, this.table.live().length)
        return this.#onContacts(input.contacts, now)
      case 'signaling-contacts':
        this.#detector.inquiry.heard(now)
        return this.#onContacts(input.contacts, now)
      case 'signaling-down':
        this.#mesh.signalingDown()
        this.#detector.inquiry.connection(false)
        this.#healing.end()
        return this.#outbox.event({ type: 'signaling', state: 'down', reason: input.reason })
      case 'signaling-message':
        this.#detector.inquiry.heard(now)
        return this.#mesh.onSignal(input.from, input.data, undefined, now)
      case 'signaling-gone':
        this.#detector.inquiry.heard(now)
        return this.#onGone(input.nodeId, now)
      case 'link-signal':
        return this.#mesh.sendSignal(input.linkId, input.data, now)
      case 'link-opened':
        return this.#neighbours.opened(input.linkId, input.fingerprints, now)
      case 'link-closed':
        return this.#mesh.closed(input.linkId, input.reason, now)
      case 'link-message':
        this.#isMailOnly = this.#neighbours.received(input.linkId, input.bytes, now) && this.#isMailOnly
        return
      case 'signed':
        return this.#neighbours.signed(input.linkId, input.signature)
      case 'verified':
        return this.#neighbours.verified(input.linkId, input.ok, now)
      case 'set-meta':
        this.#meta = input.meta
        return this.table.writeOwn({ meta: input.meta }, 'meta')
      case 'set-visibility':
        this.#visibility = input.visibility
        return this.table.writeOwn({ visibility: input.visibility }, 'visibility')
      case 'set-peer-state':
        return this.#setPeerState(input.key, input.value)
      case 'send':
        if (!this.#knowsOthers) return this.#unsent.keep(input.messages)
        return this.associations.send(input.messages, now)
      case 'cancel':
        this.#unsent.cancel(input.id)
        return this.associations.cancel(input.id)
      case 'taken':
        return this.associations.taken(input.nodeId, input.lane, input.count, input.refused, now)
      case 'release':
        return this.associations.release(input.authority)
      case 'trace':
        return this.#carrier.trace(input.nodeId, input.id, now)
      case 'leave':
        return this.#leave(now)
    }
  }

  /** Runs what is due. */
  tick(now: number): void {
    this.#isMailOnly = this.#knowsOthers && this.#status === 'up' && now < this.#due
    if (this.#over !== undefined || now < this.#due) return
    const lateMs = this.#due === 0 ? 0 : now - this.#due
    this.#mesh.tick(now)
    this.gossip.tick(now)
    this.#detector.tick(now, lateMs)
    if (lateMs > this.#options.tuning.lateMs) this.#removal.shift(lateMs)
    this.#removal.tick(now)
    this.#healing.tick(now, this.table.live().length)
    this.#publication.tick(now)
    this.#carrier.tick(now)
    this.associations.tick(now)
    if (now >= this.#collectAt) {
      this.table.collect(now - this.#options.tuning.tombstoneMs)
      this.associations.onCollected()
      this.#collectAt = now + COLLECT_MS
    }
    if (this.#leaveBy !== undefined && now >= this.#leaveBy) this.#finishLeaving(now)
  }

  /** Nothing else has happened: what waited for company goes alone. */
  idle(now: number): void {
    if (this.#over === undefined) this.associations.idle(now)
  }

  /** Draws the consequences of a turn. */
  settle(now: number): void {
    this.#drawConsequences(now)
    if (this.#options.grains) {
      this.#options.grains.settle(now)
      this.#drawConsequences(now)
    }
    if (this.#over !== undefined || this.#status === 'left') return this.gossip.end()
    if (this.#isMailOnly && this.#mesh.revision === this.#seenLinks) {
      this.#mesh.settle(now)
      this.associations.settle(now)
      this.#due = Math.min(
        this.#othersDue,
        this.#mesh.nextDeadline() ?? Infinity,
        this.associations.nextDeadline(),
      )
      return
    }
    this.#removal.settle()
    if (this.#status !== 'leaving') this.#mesh.settle(now)
    else if (this.#mesh.establishedCount === 0) {
      this.#finishLeaving(now)
      // What was confirmed was another view than that of a member that leaves.
      return this.gossip.end()
    }
    this.#sendUnsent(now)
    this.associations.settle(now)
    this.#publication.settle(now)
    this.#watchIsolation()
    this.gossip.settle(now)
    this.#tellJoin(now)
    this.#seenLinks = this.#mesh.revision
    this.#othersDue = this.#nextOfOthers()
    this.#due = Math.min(
      this.#othersDue,
      this.#mesh.nextDeadline() ?? Infinity,
      this.associations.nextDeadline(),
    )
  }

  nextDeadline(): number | undefined {
    // what is owed makes nothing else due, and a turn that comes for it late is no sign of a slow process
    return this.#over === undefined ? Math.min(this.#due, this.associations.owedAt) : undefined
  }

  /** Whether it was told who is there: a member that it does not know of, nobody knows of. */
  get knowsOthers(): boolean {
    return this.#knowsOthers
  }

  /** Whether the signaling server can be asked now. */
  get isSignalingUp(): boolean {
    return this.#detector.inquiry.isUp
  }

  /** Publishes a value of the protocol's own. */
  publish(key: string, value: string | undefined): void {
    if (this.#over === undefined) this.#setPeerState(key, value)
    else this.#keepValue(key, value)
  }

  /** For grains: in order, and lost only with a life. */
  sendGrain(nodeId: NodeId, stream: 'grain' | 'copy', bytes: Uint8Array): void {
    if (this.#over === undefined) this.associations.sendGrain(nodeId, stream, bytes)
  }

  /** For grains: it may be lost. */
  sendDatagram(nodeId: NodeId, body: Uint8Array, now: number): void {
    if (this.#over === undefined) this.#carrier.carry(nodeId, { kind: 'datagram', body }, 'control', now)
  }

  /** A member has said something to grains that is not valid. */
  onGrainFault(nodeId: NodeId, reason: string, isProven: boolean, now: number): void {
    this.associations.fault(authorityOf(nodeId), reason, isProven, now)
  }

  /** What grains have said so far goes out before anything that is said from here on. */
  flushGrains(now: number): void {
    this.associations.hurry()
    this.associations.settle(now)
  }

  #drawConsequences(now: number): void {
    for (let changes = this.table.takeChanges(); changes.length > 0; changes = this.table.takeChanges()) {
      this.#isMailOnly = false
      for (const change of changes) this.#onChange(change, now)
    }
  }

  /** Of lives that are over, or shut out, nothing is taken. */
  #onDatagram(origin: NodeId, body: Uint8Array, isProven: boolean): void {
    const authority = authorityOf(origin)
    if (this.table.currentLife(authority) !== origin || this.associations.quarantineOf(authority)) return
    this.#options.grains?.receive(origin, body.slice(), isProven)
  }

  /** Without the two that user messages may move: links that they are worth, and their own. */
  #nextOfOthers(): number {
    return Math.min(
      this.gossip.nextDeadline() ?? Infinity,
      this.#detector.nextDeadline(),
      this.#removal.nextDeadline() ?? Infinity,
      this.#healing.nextDeadline() ?? Infinity,
      this.#publication.nextDeadline() ?? Infinity,
      this.#carrier.nextDeadline(),
      this.#leaveBy ?? Infinity,
      this.#collectAt,
    )
  }

  #wayTo(nodeId: NodeId, now: number): Way | undefined {
    const link = this.#routes.next(nodeId, [], now)
    return link && { id: link.linkId, isDirect: link.nodeId === nodeId }
  }

  #onQuarantined(authority: Authority, reason: string, now: number): void {
    const nodeId = this.table.currentLife(authority)
    if (nodeId === undefined) return
    for (const link of this.#mesh.links())
      if (link.nodeId === nodeId) this.#mesh.close(link.linkId, `quarantined: ${reason}`, now)
  }

  /** What was sent before others were known: in an earlier life, or while joining. */
  #sendUnsent(now: number): void {
    if (this.#knowsOthers || this.#status === 'joining') return
    const isNew = !this.#joinIsTold && now - this.#startedAt < ACQUAINTED_MS
    if (isNew && this.#status !== 'leaving') return
    this.#knowsOthers = true
    if (this.#unsent.size > 0) this.associations.send(this.#unsent.take(), now)
  }

  /** A life that is over keeps what the user says for the next one. */
  #handleOver(input: Input): void {
    if (input.type === 'set-meta') this.#meta = input.meta
    else if (input.type === 'set-visibility') this.#visibility = input.visibility
    else if (input.type === 'set-peer-state') this.#keepValue(input.key, input.value)
    else if (input.type === 'send') this.#unsent.keep(input.messages)
    else if (input.type === 'cancel') this.#unsent.cancel(input.id)
    else if (input.type === 'leave') {
      this.#unsent.end()
      this.#setStatus('left', 'left')
    }
  }

  #onContacts(contacts: readonly string[], now: number): void {
    this.#mesh.addContacts(contacts)
    if (this.#status !== 'joining' || this.#mesh.openContacts > 0 || this.#mesh.establishedCount > 0) return
    const pending = [...this.#mesh.links()].some((link) => link.phase !== 'established')
    if (pending || contacts.length > 0) this.#healing.askSoon(now)
    else this.#becomeUp('alone in the room')
  }

  /** Those who were there before are offered links at once, before the signaling server has said who is there now. */
  #onStart(now: number): void {
    this.#startedAt = now
    const known = this.memory.ranges.map(({ nodeId }) => nodeId)
    const { random } = this.#options
    const few: NodeId[] = []
    while (few.length < MAX_KNOWN_BEFORE && known.length > 0) {
      few.push(...known.splice(Math.floor(random() * known.length), 1))
    }
    this.#mesh.dialEarly(few)
  }

  #onGone(nodeId: string, now: number): void {
    const link = this.#mesh.linkTo(nodeId)
    this.#removal.gone(nodeId, now)
    this.#mesh.dropContact(nodeId)
    if (link && link.phase !== 'established')
      this.#mesh.close(link.linkId, 'gone, says the signaling server', now)
    this.#detector.hint(nodeId, true, now)
    const isMissed = !this.#mesh.linkTo(nodeId) && this.#isMissed(nodeId)
    if (isMissed) this.#detector.missed(nodeId, now)
    if (this.#status === 'joining' && this.#mesh.openContacts === 0 && this.#mesh.establishedCount === 0) {
      this.#healing.askSoon(now)
    }
  }

  #onEstablished(link: MeshLink, now: number): void {
    this.#mesh.established(link.linkId, now)
    this.#detector.watch(link.linkId, link.nodeId, now)
    if (this.#status === 'joining') this.#becomeUp(`accepted by ${link.nodeId}`)
  }

  #onRefused({ nodeId }: MeshLink, { code, reason, kept }: Refusal, now: number): void {
    this.#mesh.dropContact(nodeId)
    if (code === 'removed') this.#endLife(reason, now)
    else if (code === 'authority-conflict' && this.#yieldsTo(kept)) this.#endLife(reason, now, kept)
    else if (this.#status === 'joining' && this.#mesh.openContacts === 0) this.#healing.askSoon(now)
  }

  /** Only the link is known to be gone: whether its member lives, the detector finds out. */
  #onLinkEnded(
    { linkId, nodeId, introduced, released }: MeshLink,
    _: string,
    replaced: boolean,
    now: number,
  ): void {
    this.#neighbours.ended(linkId, now)
    if (this.#over !== undefined) return
    if (released && this.#status === 'joining' && this.#mesh.openContacts === 0) {
      // Turned away by all it was told of, since they have links enough: others may have room.
      this.#healing.askSoon(now)
    }
    if (replaced || released || this.#status === 'leaving') return this.#detector.replaced(linkId)
    if (this.table.status(nodeId) === 'leaving') return this.table.remove(nodeId, now, 'left')
    if (introduced || this.#isMissed(nodeId)) this.#detector.lost(linkId, nodeId, now)
  }

  /** A member that does not answer, and that too few others watch. */
  #isMissed(nodeId: NodeId): boolean {
    const isSilent = (other: NodeId): boolean => this.#mesh.unansweredBy(other) >= MISSED_AFTER
    return isSilent(nodeId) && !isWatched(this.table, nodeId, isSilent)
  }

  #onSignOfLife(from: NodeId, sign: SignOfLife, now: number): void {
    if (sign === 'answer') return this.#detector.answeredBySignaling(from, now)
    this.#outbox.push({ type: 'signaling-send', to: from, data: encodeSignOfLife('answer') })
  }

  /** Refutes by the next incarnation; a removal cannot be refuted. */
  #onAccused({ rank, incarnation }: Accusation, now: number): void {
    // Where a newer life has just ended this one, that is the reason, and it comes with the change.
    if (this.table.status(this.table.own) === 'removed') return
    if (rank === 'removed') return this.#endLife('removed by the others', now)
    const { self } = this.table.get(this.table.own)!
    if (incarnation >= WireLimits.counter) {
      // Forged, and not to be refuted: a higher incarnation would be malformed for everybody.
      this.#endLife('accused at the highest incarnation', now)
    } else if (self && incarnation >= self.incarnation) {
      this.#detector.health.bad()
      this.table.writeOwn({ incarnation: incarnation + 1 }, 'refuted an accusation')
    }
  }

  #onChange(change: TableChange, now: number): void {
    const { nodeId, authority, before, after, reason, via } = change
    // Also of one that is back: the links it tells of are those it had.
    if ((before === undefined || before === 'unreachable') && via !== LOCAL)
      this.#routes.learn(nodeId, via, now)
    this.#removal.notice(change, now)
    this.#detector.notice(change, now)
    this.associations.notice(change)
    this.#options.grains?.notice(change, now)
    if (before !== after) this.#mesh.notice(nodeId)
    if (change.supersededBy !== undefined) {
      this.#outbox.event({ type: 'superseded', authority, old: nodeId, by: change.supersededBy })
    }
    if (after !== undefined && before !== after) {
      this.#outbox.event({ type: 'member-status', nodeId, authority, from: before, to: after, reason })
    }
    if (change.meta && before !== undefined) this.#outbox.event({ type: 'member-meta', nodeId })
    // Within the same turn it may have been removed, and then says nothing of itself any more.
    const self = change.visibility ? this.table.get(nodeId)?.self : undefined
    if (self) this.#outbox.event({ type: 'member-visibility', nodeId, visibility: self.visibility })
    for (const key of change.keys)
      if (isUserStateKey(key)) this.#outbox.event({ type: 'peer-state', nodeId, key })
    if (after === 'removed' && nodeId === this.table.own) this.#endLife(reason, now, change.supersededBy)
    else if (after === 'removed') this.#neighbours.dismiss(nodeId, change.supersededBy, now)
  }

  #setPeerState(key: string, value: string | undefined): void {
    this.#keepValue(key, value)
    this.table.writeOwnEntry(key, value)
  }

  #keepValue(key: string, value: string | undefined): void {
    if (value === undefined) this.#values.delete(key)
    else this.#values.set(key, value)
  }

  #becomeUp(reason: string): void {
    this.table.writeOwn({ status: 'up' }, reason)
    this.#setStatus('up', reason)
  }

  /** Once: how long it took to be in and to know that all agree, and what it cost. */
  #tellJoin(now: number): void {
    if (this.#joinIsTold || this.memory.isAwaited || this.#status !== 'up') return
    if (this.gossip.convergence.state !== 'confirmed') return
    // Two newcomers that met are not alone, though neither has heard yet that the other is up.
    if (this.table.live().length <= 1 && this.#mesh.establishedCount > 0) return
    this.#joinIsTold = true
    this.#mesh.joined(now)
    this.memory.forget()
    const { tableBytes, hasRecalled } = this.gossip
    const table = hasRecalled ? 'delta' : tableBytes > 0 ? 'full' : 'none'
    this.#outbox.event({ type: 'joined', durationMs: now - this.#startedAt, table, tableBytes })
  }

  /**
   * Isolated is who has lost everybody, and cannot tell whether it is them or itself. Whoever has the signaling
   * server's word on each of them, or never knew anybody, is just alone.
   */
  #watchIsolation(): void {
    if (this.#status !== 'up' && this.#status !== 'isolated') return
    const isAlone = this.#detector.inquiry.isUp && this.table.live().length <= 1
    const isCutOff = this.#detector.isCutOff || (this.#mesh.establishedCount === 0 && this.#hasUnreachable())
    if (this.#status === 'up' && isCutOff && !isAlone) {
      this.#setStatus('isolated', 'every link is lost')
    } else if (this.#status === 'isolated' && (isAlone || !isCutOff)) {
      const heard = this.#mesh.establishedCount > 0 ? 'linked again' : 'others answer by signaling'
      this.#setStatus('up', isAlone ? 'nobody else is there' : heard)
    }
  }

  #hasUnreachable(): boolean {
    for (const { status } of this.table.records()) if (status === 'unreachable') return true
    return false
  }

  /** Publishes `leaving`, says goodbye on every link, and waits for the other ends to close. */
  #leave(now: number): void {
    if (this.#status === 'leaving') return
    this.#setStatus('leaving', 'left')
    this.table.writeOwn({ status: 'leaving' }, 'left')
    this.gossip.flush(now)
    this.#mesh.rest()
    for (const link of this.#mesh.links()) {
      if (link.phase === 'established') this.#outbox.frame(link.linkId, { kind: 'goodbye', reason: 'left' })
      else this.#mesh.close(link.linkId, 'leaving', now)
    }
    this.#carrier.end()
    this.#outbox.push({ type: 'signaling-goodbye' })
    this.#leaveBy = now + this.#options.tuning.leaveTimeoutMs
  }

  #finishLeaving(now: number): void {
    this.#leaveBy = undefined
    this.#unsent.end()
    this.associations.end()
    this.#mesh.closeAll('left', now)
    this.#setStatus('left', 'left')
  }

  /**
   * Whether this life leaves the field to another one of its authority: to a higher generation; of equal ones, a
   * newcomer to a member, and else the one that every table would give up, so that one of the two stays.
   */
  #yieldsTo(kept: NodeId | undefined): kept is NodeId {
    const { own } = this.table
    const [theirs, ours] = [kept === undefined ? undefined : parseNodeId(kept), parseNodeId(own)!]
    if (theirs?.authority !== ours.authority || kept === own) return false
    const isTie = theirs.generation === ours.generation
    return (isTie && this.#status === 'joining') || compareLives(theirs, ours) > 0
  }

  /**
   * Others ended this life. Its process goes on as the next one; or as somebody else, where a newer life has taken its
   * place: coming back with the same authority would only end that one in turn.
   */
  #endLife(reason: string, now: number, supersededBy?: string): void {
    if (this.#over !== undefined) return
    this.#over = reason
    this.#mesh.closeAll('this life is over', now)
    this.#carrier.end()
    if (this.#status === 'leaving') {
      this.#unsent.end()
      this.associations.end()
      this.#outbox.push({ type: 'signaling-goodbye' })
      return this.#setStatus('left', reason)
    }
    if (supersededBy !== undefined) {
      const { authority } = parseNodeId(supersededBy)!
      const refused = this.table.own
      this.#outbox.event({ type: 'authority-conflict', authority, kept: supersededBy, refused })
    }
    this.#unsent.keep(this.associations.retire())
    this.#setStatus('joining', reason)
    this.#outbox.push({ type: 'rebirth', reason, fresh: supersededBy !== undefined })
  }

  #setStatus(to: ClusterStatus, reason: string): void {
    const from = this.#status
    if (from === to) return
    this.#status = to
    this.#outbox.event({ type: 'status', from, to, reason })
  }
}

/** A link may bring anything: see `Neighbours.received`. What grains change in the table shows by itself. */
const isAboutMail = ({ type }: Input): boolean =>
  type === 'link-message' || type === 'send' || type === 'taken' || type.startsWith('grain-')
