/**
 * Mesh: which links exist, and the way from wanting one to having one.
 *
 * A pair has one initiator: the member with the lower nodeId. The other waits a while before it tries as well, and a
 * newcomer dials its contacts at once, since they do not know of it. Where two offers cross, the lower nodeId's wins.
 * Attempts have a deadline; failed and lost links are dialled again. Links beyond `maxLinks` end, once nobody needs
 * them. A link for the sake of messages alone is a wish: it takes no place that anybody else has.
 */
import type { LinkId } from '../events.ts'
import type { NodeId } from '../identity/node-id.ts'
import { compareNodeIds, randomName } from '../identity/node-id.ts'
import { shortOf } from '../membership/hash.ts'
import type { MembershipTable } from '../membership/table.ts'
import type { Outbox } from '../outbox.ts'
import type { Random } from '../time.ts'
import type { Tuning } from '../tuning.ts'
import { DialPace } from './dial-pace.ts'
import { LinkBook } from './link-book.ts'
import type { LinkBegin, MeshLink } from './mesh-link.ts'
import { newLink } from './mesh-link.ts'
import { PATIENCE_MS, Redials } from './redials.ts'
import { RELAY_AFTER_MS, Relaying } from './relaying.ts'
import type { SignalEnvelope, SignOfLife } from './signal-envelope.ts'
import { decodeSignal, decodeSignOfLife, encodeSignal } from './signal-envelope.ts'
import type { SignalWaysOptions } from './signal-ways.ts'
import { SignalWays } from './signal-ways.ts'
import {
  attemptsBrought,
  crowdingAttempt,
  HOLD_MS,
  isSpare,
  MAX_BROUGHT,
  SLACK,
  surplusOf,
  vainAttempt,
} from './surplus.ts'
import type { LinkTargets } from './targets.ts'
import { linkTargets, mayMatter } from './targets.ts'
import { Wishes } from './wishes.ts'

export interface MeshOptions extends SignalWaysOptions {
  /** A member asks by signaling for a sign of life, or gives one. */
  readonly onSignOfLife: (from: NodeId, sign: SignOfLife, now: number) => void
  readonly table: MembershipTable
  readonly random: Random
  readonly tuning: Tuning
  readonly minLinks: number
  readonly maxLinks: number
  /** This process can have direct links. */
  readonly canLink: boolean
  /** The signaling server may carry links of this process. */
  readonly canRelay: boolean
  /** Whether links with a member are refused for a while. */
  readonly isShutOut: (nodeId: NodeId) => boolean
  /** Gives a LinkId that was never used in this process. */
  readonly nextLinkId: () => LinkId
  /** A link has ended, whoever ended it; `replaced` if a newer one to the same member takes its place at once. */
  readonly onEnded: (link: MeshLink, reason: string, replaced: boolean, now: number) => void
}

/** Tells whoever offers a link that it may try elsewhere; and that its attempt makes way for another one. */
const FULL = 'no room for another link'
const DISPLACED = 'its place is needed'
/** Tells whoever has broken the rules. */
const SHUT_OUT = 'quarantined'
/** Tells whoever offers a direct link that only a relayed one can be had; or that none of the offered kind can. */
const RELAY_ONLY = 'no direct links here'
const NO_RELAY = 'no relayed links here'
/** How soon it is looked again for a way to a member that there is none to. */
const WAY_AGAIN_MS = 1_000
/** How soon links that had to be kept are looked at again. */
const PRUNE_AGAIN_MS = 1_000
/**
 * A link on which a last word was sent is closed this much later, unless the other end closes it: closing at once
 * drops what is still buffered.
 */
const LINGER_MS = 1_000
/** A contact that failed this often is no longer dialled for the signaling server's sake. */
const CONTACT_TRIES = 6
/** In rooms up to this size it is as cheap to work targets out as to see whether they may be others. */
const SMALL_ROOM = 64
/** Why an attempt makes place for the next one. */
const OFFER_LOST = 'the offer was lost'
/** An offer through the mesh that nobody answered for so long may be lost: the next one goes by the server. */
const MESH_OFFER_MS = 3_000
/** ... or, where links are slow, for as long as so many of them take. */
const SLOW_LINKS = 3

export class Mesh {
  readonly #table: MembershipTable
  readonly #outbox: Outbox
  readonly #random: Random
  readonly #tuning: Tuning
  readonly #minLinks: number
  readonly #maxLinks: number
  readonly #nextLinkId: () => LinkId
  readonly #onEnded: MeshOptions['onEnded']
  readonly #onSignOfLife: MeshOptions['onSignOfLife']
  readonly #isShutOut: MeshOptions['isShutOut']
  readonly #canLink: boolean
  readonly #canRelay: boolean
  readonly #book = new LinkBook()
  readonly #ways: SignalWays
  readonly #relaying: Relaying
  /** Members that user messages go to: worth a link, though the overlay has none for them. */
  readonly #wishes = new Wishes()
  /** Links that are over but for their last word, and when each is closed. */
  readonly #lingering = new Map<LinkId, number>()
  /** Members named by the signaling server, to be dialled whether the table knows them or not. */
  readonly #contacts = new Set<NodeId>()
  /** Members of an earlier life: tried beside those of whom the signaling server knows that they are there. */
  readonly #early = new Set<NodeId>()
  readonly #redials: Redials
  readonly #pace: DialPace
  /** Dials nobody any more. */
  #rests = false
  #establishedCount = 0
  #revision = 0
  #seenMembership = -1
  #targets: LinkTargets = { live: new Set(), lost: new Set(), reach: undefined }
  /** Targets without wishes, and the revision of the membership that they are of. */
  #rings: LinkTargets = this.#targets
  #ringsOf = -1
  /** Contacts and targets without a link. */
  #unlinked: NodeId[] = []
  #stale = true
  #lookAt: number | undefined

  constructor(options: MeshOptions) {
    this.#table = options.table
    this.#outbox = options.outbox
    this.#random = options.random
    this.#tuning = options.tuning
    this.#redials = new Redials(options.random, options.tuning)
    this.#pace = new DialPace(options.tuning.maxDials, 1 + shortOf(options.table.own) / 2 ** 32)
    this.#minLinks = options.minLinks
    this.#maxLinks = options.maxLinks
    this.#isShutOut = options.isShutOut
    this.#canLink = options.canLink
    this.#canRelay = options.canRelay
    this.#ways = new SignalWays(options)
    this.#relaying = new Relaying({
      ...options,
      links: () => this.#book.links(),
      isBlocked: (nodeId) => this.#redials.isBlocked(nodeId),
    })
    this.#nextLinkId = options.nextLinkId
    this.#onEnded = options.onEnded
    this.#onSignOfLife = options.onSignOfLife
  }

  get establishedCount(): number {
    return this.#establishedCount
  }

  /** Grows with every link that is established or ends. */
  get revision(): number {
    return this.#revision
  }

  /** Contacts that may still let this member in. */
  get openContacts(): number {
    return this.#contacts.size
  }

  links(): IterableIterator<MeshLink> {
    return this.#book.links()
  }

  get(linkId: LinkId): MeshLink | undefined {
    return this.#book.get(linkId)
  }

  linkTo(nodeId: NodeId): MeshLink | undefined {
    return this.#book.to(nodeId)
  }

  /** Attempts in a row to which a member answered nothing; a refusal is an answer. */
  unansweredBy(nodeId: NodeId): number {
    return this.#redials.unansweredBy(nodeId)
  }

  /** Members of an earlier life, dialled before signaling is up; what they answer comes with it. */
  dialEarly(nodeIds: readonly NodeId[]): void {
    this.#ways.expectServer(nodeIds.length > 0)
    for (const nodeId of nodeIds) this.#early.add(nodeId)
    this.addContacts(nodeIds)
  }

  /** `relays`: this server carries links. */
  signalingUp(relays = true): void {
    this.#relaying.serverRelays = relays
    this.#ways.server(true)
    this.#stale = true
  }

  signalingDown(): void {
    this.#ways.server(false)
    this.#stale = true
  }

  /** This member knows the room, and the room knows it: now it seeks all the links that it wants. */
  joined(now: number): void {
    this.#pace.joined(now)
    this.#early.clear()
    if (this.#unlinked.length > 0) this.#lookBy(now)
  }

  /** Dials nobody any more; links go on. */
  rest(): void {
    this.#rests = true
    this.#lookAt = undefined
  }

  /** User messages go to a member that this one is not linked to. */
  wish(nodeId: NodeId, now: number): void {
    if (this.#wishes.add(nodeId, now)) this.#stale = true
  }

  isWished(nodeId: NodeId): boolean {
    return this.#wishes.has(nodeId)
  }

  /** Members to be dialled at once: contacts of a newcomer, or strangers and lost ones met while healing. */
  addContacts(nodeIds: readonly NodeId[]): void {
    for (const nodeId of nodeIds) {
      if (nodeId === this.#table.own || this.#book.to(nodeId)) continue
      if (this.#table.status(nodeId) !== 'up') this.#contacts.add(nodeId)
    }
    this.#stale = true
  }

  /** A contact is not to be had. */
  dropContact(nodeId: NodeId): void {
    if (this.#contacts.delete(nodeId)) this.#stale = true
  }

  /** The transport of a link has something for its other end. */
  sendSignal(linkId: LinkId, data: string, now: number): void {
    const link = this.#book.get(linkId)
    if (!link) return
    if (link.initiator && link.offeredAt === undefined) {
      link.offeredAt = now
      this.#stale = true
    }
    this.#ways.tell(link, { data }, now)
  }

  /**
   * What another member says to set up a link, through the mesh or by the signaling server. `broughtBy`: the neighbour
   * that it came from, in the mesh, where anybody on the way may have written it.
   */
  onSignal(from: NodeId, text: string, broughtBy: NodeId | undefined, now: number): void {
    const sign = decodeSignOfLife(text)
    if (sign) return this.#onSignOfLife(from, sign, now)
    const envelope = decodeSignal(text)
    if (!envelope) {
      this.#outbox.event({ type: 'frame-rejected', nodeId: from, reason: 'signaling message is malformed' })
      return
    }
    const link = this.#book.inSession(from, envelope.session)
    if (link) return this.#onSessionSignal(link, envelope, now)
    const isOffer = envelope.sequence === 0 && envelope.data !== undefined
    if (isOffer && !this.#book.hasEnded(from, envelope.session)) this.#onOffer(from, envelope, broughtBy, now)
  }

  opened(linkId: LinkId, now: number): MeshLink | undefined {
    const link = this.#book.get(linkId)
    if (!link || link.phase !== 'connecting') return undefined
    link.phase = 'open'
    link.openedAt = now
    this.#stale = true
    return link
  }

  introduced(linkId: LinkId): void {
    const link = this.#book.get(linkId)
    if (link) link.introduced = true
  }

  established(linkId: LinkId, now: number): void {
    const link = this.#book.get(linkId)
    if (!link || link.phase === 'established') return
    link.phase = 'established'
    this.#stale = true
    this.#establishedCount++
    this.#revision++
    if (!link.relay) {
      this.#redials.clear(link.nodeId)
      this.#pace.made(now - (link.heardAt ?? link.startedAt))
    }
    this.#relaying.established(link, now)
    this.#contacts.delete(link.nodeId)
    const before = this.#book.promote(link)
    if (before) this.#close(before, 'replaced by a newer link', true, now)
    this.#outbox.event({ type: 'link-opened', nodeId: link.nodeId, durationMs: now - link.startedAt })
  }

  /** The transport reports the end of a link. */
  closed(linkId: LinkId, reason: string, now: number): void {
    this.#lingering.delete(linkId)
    this.#outbox.drop(linkId)
    const link = this.#book.get(linkId)
    if (!link) return
    this.#end(link, reason, false, now)
  }

  /** Ends a link from this side, at once. */
  close(linkId: LinkId, reason: string, now: number): void {
    const link = this.#book.get(linkId)
    if (link) this.#close(link, reason, false, now)
  }

  /** Ends a link, but lets the other side close it, so that what was sent last arrives. */
  linger(linkId: LinkId, reason: string, now: number): void {
    const link = this.#book.get(linkId)
    if (!link) return
    this.#lingering.set(linkId, now + LINGER_MS)
    this.#end(link, reason, false, now)
  }

  /** The other end has links enough, and gave this one up. */
  released(linkId: LinkId, now: number): void {
    const link = this.#book.get(linkId)
    if (!link) return
    link.released = true
    this.#close(link, RELEASED, false, now)
  }

  /** Ends every link at once. */
  closeAll(reason: string, now: number): void {
    for (const link of this.#book.links()) this.#close(link, reason, false, now)
    for (const linkId of this.#lingering.keys()) this.#outbox.close(linkId, reason)
    this.#lingering.clear()
  }

  tick(now: number): void {
    if (this.#book.size > this.#establishedCount) this.#expireAttempts(now)
    for (const [linkId, due] of this.#lingering) {
      if (now < due) continue
      this.#lingering.delete(linkId)
      this.#outbox.close(linkId, 'over')
    }
    if (this.#lookAt !== undefined && now >= this.#lookAt) this.#stale = true
  }

  /** A member has come, gone or changed its status: seen, where that makes no difference to this one. */
  notice(nodeId: NodeId): void {
    if (this.#table.live().length <= SMALL_ROOM || this.#redials.knows(nodeId)) return
    const own = this.#table.get(this.#table.own)!.short
    if (mayMatter(this.#targets, own, nodeId)) return
    if (this.#ringsOf === this.#seenMembership) this.#ringsOf++
    this.#seenMembership++
  }

  /** Dials what is wanted and due. To be called at the end of every turn. */
  settle(now: number): void {
    if (!this.#stale && this.#seenMembership === this.#table.membershipRevision) return
    this.#stale = false
    if (this.#seenMembership !== this.#table.membershipRevision) {
      this.#forgetRemoved()
      this.#pace.changed(now)
    }
    this.#seenMembership = this.#table.membershipRevision
    this.#findUnlinked(now)
    this.#lookAt = undefined
    this.#dialDue(now)
    this.#prune(now)
    this.#stale = false
  }

  nextDeadline(): number | undefined {
    let next = this.#lookAt ?? Infinity
    if (this.#book.size > this.#establishedCount) {
      for (const link of this.#book.links()) {
        if (link.phase !== 'established') next = Math.min(next, this.#deadlineOf(link))
      }
    }
    for (const due of this.#lingering.values()) next = Math.min(next, due)
    return next === Infinity ? undefined : next
  }

  #expireAttempts(now: number): void {
    for (const link of this.#book.links()) {
      if (link.phase === 'established' || now < this.#deadlineOf(link)) continue
      if (this.#isOfferLost(link, now)) {
        // The other end is there and waits: no reason for a pause.
        this.#ways.tell(link, { ended: OFFER_LOST }, now)
        this.#close(link, OFFER_LOST, true, now)
        this.#redials.clear(link.nodeId)
      } else {
        this.#giveUp(link, `no link within ${Math.round(this.#deadlineOf(link) - startOf(link))} ms`, now)
      }
    }
  }

  #onSessionSignal(link: MeshLink, envelope: SignalEnvelope, now: number): void {
    if (link.seen.has(envelope.sequence)) return
    link.seen.add(envelope.sequence)
    link.heardAt ??= now
    if (envelope.ended !== undefined) {
      if (link.phase === 'established') return
      if (envelope.ended === FULL || envelope.ended === DISPLACED) {
        link.released = true
        this.#contacts.delete(link.nodeId)
      } else if (envelope.ended === RELAY_ONLY) {
        this.#relaying.told(link.nodeId)
        this.close(link.linkId, `refused: ${RELAY_ONLY}`, now)
        return this.#redials.clear(link.nodeId)
      }
      this.close(link.linkId, `refused: ${envelope.ended}`, now)
    } else if (envelope.data !== undefined) {
      this.#outbox.push({ type: 'link-signal', linkId: link.linkId, data: envelope.data })
    }
  }

  #onOffer(
    from: NodeId,
    { session, data, relay = false, wish = false }: SignalEnvelope,
    broughtBy: NodeId | undefined,
    now: number,
  ): void {
    const byMesh = broughtBy !== undefined
    const refuse = (ended: string): void =>
      this.#ways.send(from, encodeSignal({ session, sequence: 0, ended }), { byMesh, broughtBy }, now)
    if (this.#isShutOut(from)) return refuse(SHUT_OUT)
    if (!relay && !this.#canLink) return refuse(RELAY_ONLY)
    if (relay && !this.#canRelay) return refuse(NO_RELAY)
    const linked = this.#book.to(from)
    // Whoever offers anew may have lost the link that is there, or another speaks in its name: it stays until then.
    const known = linked?.phase === 'established' ? this.#book.upgradeTo(from) : linked
    if (known?.phase === 'connecting' && known.initiator && compareNodeIds(this.#table.own, from) < 0) {
      known.contested = true
      if (!this.#isOfferLost(known, now)) return
      this.#ways.tell(known, { ended: OFFER_LOST }, now)
    }
    if (known && broughtBy !== undefined && this.#isYoungOffer(known, now)) return
    if (broughtBy !== undefined && this.#bringsTooMany(broughtBy)) return refuse(FULL)
    if (!linked && !this.#makeRoom(from, now, wish) && !this.#makeCrowdRoom(wish, broughtBy, now))
      return refuse(FULL)
    // Whoever offers anew has given up the attempt that was there, or wins the glare.
    if (known) this.#close(known, 'replaced by a newer attempt', true, now)
    const link = this.#open({ nodeId: from, session, initiator: false, relay, byMesh, broughtBy, wish }, now)
    link.introduced = known?.introduced ?? false
    link.seen.add(0)
    this.#outbox.push({ type: 'link-signal', linkId: link.linkId, data: data! })
  }

  /** Whoever has made an offer waits for the answer before the next one: another one meanwhile is not its own. */
  #isYoungOffer(link: MeshLink, now: number): boolean {
    return !link.initiator && now < startOf(link) + this.#meshOfferMs
  }

  #bringsTooMany(neighbour: NodeId): boolean {
    return (attemptsBrought(this.#book.links()).get(neighbour)?.length ?? 0) >= MAX_BROUGHT
  }

  /** Returns whether there is a way to say so, and to link. */
  #dial(nodeId: NodeId, now: number): boolean {
    const way = this.#ways.wayTo(nodeId, this.#redials.unansweredBy(nodeId), now)
    // An attempt to replace a relayed link is one at a direct link.
    const kind = this.#book.to(nodeId) ? 'direct' : this.#relaying.wayTo(nodeId, now)
    if (!kind) this.#noWayTo(nodeId)
    if (!way || !kind) return false
    const session = randomName(8, this.#random)
    const [relay, byMesh] = [kind === 'relay', way === 'mesh']
    this.#open({ nodeId, session, initiator: true, relay, byMesh, wish: this.#isWish(nodeId) }, now)
    return true
  }

  /** Whether it is linked to for the sake of messages alone. */
  #isWish(nodeId: NodeId): boolean {
    return this.isWished(nodeId) && !this.#rings.live.has(nodeId) && !this.#contacts.has(nodeId)
  }

  #noWayTo(nodeId: NodeId): void {
    const reason = this.#relaying.takeReason(nodeId)
    if (reason !== undefined) this.#outbox.event({ type: 'link-failed', nodeId, reason })
  }

  #open(begin: Omit<LinkBegin, 'linkId'>, now: number): MeshLink {
    const link = newLink({ ...begin, linkId: this.#nextLinkId() }, now)
    this.#book.add(link)
    this.#stale = true
    const { linkId, nodeId, initiator, relay } = link
    this.#outbox.push({ type: 'link-open', linkId, nodeId, initiator, relay })
    return link
  }

  #giveUp(link: MeshLink, reason: string, now: number): void {
    this.#ways.tell(link, { ended: reason }, now)
    this.close(link.linkId, reason, now)
  }

  #close(link: MeshLink, reason: string, replaced: boolean, now: number): void {
    this.#outbox.close(link.linkId, reason)
    this.#end(link, reason, replaced, now)
  }

  #end(link: MeshLink, reason: string, replaced: boolean, now: number): void {
    const { nodeId, phase } = link
    this.#book.remove(link)
    this.#stale = true
    if (phase === 'established') {
      this.#establishedCount--
      this.#revision++
      this.#redials.lost(link, now)
      this.#outbox.event({ type: 'link-closed', nodeId, reason })
    } else if (!replaced) {
      if (!this.#isLinkedDirectly(nodeId)) this.#noteFailure(link, now)
      this.#outbox.event({ type: 'link-failed', nodeId, reason })
    }
    this.#onEnded(link, reason, replaced, now)
  }

  #noteFailure(link: MeshLink, now: number): void {
    const { nodeId } = link
    this.#redials.failed(link, now)
    this.#relaying.failed(nodeId, now)
    const isHopeless = this.#redials.failuresOf(nodeId) >= CONTACT_TRIES
    if (isHopeless && this.#establishedCount > 0) this.#contacts.delete(nodeId)
  }

  #isLinkedDirectly(nodeId: NodeId): boolean {
    const link = this.#book.to(nodeId)
    return link?.phase === 'established' && !link.relay
  }

  #forgetRemoved(): void {
    const isNobody = (nodeId: NodeId): boolean => {
      const status = this.#table.status(nodeId)
      const isGone = status === 'removed' || status === undefined
      return isGone && !this.#contacts.has(nodeId) && !this.#book.to(nodeId)
    }
    this.#redials.forget(isNobody)
    this.#relaying.forget(isNobody)
  }

  #findUnlinked(now: number): void {
    this.#targets = this.#findTargets()
    const wishes = this.#wishes.at(now).filter((nodeId) => this.#table.status(nodeId) === 'up')
    if (wishes.length > 0)
      this.#targets = { ...this.#targets, live: new Set([...this.#targets.live, ...wishes]) }
    const { live, lost } = this.#targets
    // A newcomer is in by one contact: the others, once heard of, are members like all.
    if (this.#establishedCount > 0 && this.#pace.isNew) {
      for (const nodeId of this.#contacts)
        if (this.#table.status(nodeId) === 'up') this.#contacts.delete(nodeId)
    }
    const wanted = new Set([...this.#contacts, ...live, ...lost])
    // Those that were not tried yet come before those that have failed.
    const failuresOf = (nodeId: NodeId): number => this.#redials.failuresOf(nodeId)
    this.#unlinked = [...wanted]
      .filter((nodeId) => !this.#book.to(nodeId) && !this.#isShutOut(nodeId))
      .sort((a, b) => failuresOf(a) - failuresOf(b))
    for (const nodeId of this.#unlinked) this.#redials.wanted(nodeId, now)
  }

  /** Links come and go far more often than members: targets stay, unless somebody is hard to reach. */
  #findTargets(): LinkTargets {
    const hasOdd = this.#redials.hasHard || this.#relaying.hasTold
    if (this.#ringsOf === this.#seenMembership && !hasOdd) return this.#rings
    // With somebody odd in them they are good for once.
    this.#ringsOf = hasOdd ? -1 : this.#seenMembership
    this.#rings = linkTargets(this.#table, {
      minLinks: this.#minLinks,
      maxLinks: this.#maxLinks,
      isHardToReach: (nodeId) => this.#redials.isHard(nodeId) && !this.#book.to(nodeId),
      isRelayOnly: (nodeId) =>
        nodeId === this.#table.own ? !this.#canLink : this.#relaying.isRelayOnly(nodeId),
    })
    return this.#rings
  }

  #dialDue(now: number): void {
    if (this.#rests || (!this.#ways.hasServer && this.#establishedCount === 0)) return
    const { atOnce } = this.#pace
    const { maxDials } = this.#tuning
    let attempts = 0
    let dialling = 0
    for (const link of this.#ownAttempts()) {
      attempts++
      if (now < this.#pace.hedgeAt(link)) dialling++
      else if (link.phase === 'connecting') this.#pace.hedged()
    }
    let next = Infinity
    for (const nodeId of this.#unlinked) {
      const due = this.#dueAt(nodeId)
      const isEarly = this.#early.has(nodeId)
      if (due > now) {
        next = Math.min(next, due)
      } else if ((isEarly || (dialling < atOnce && attempts < maxDials)) && this.#makeRoom(nodeId, now)) {
        if (!this.#dial(nodeId, now)) next = Math.min(next, now + WAY_AGAIN_MS)
        else if (!isEarly) {
          attempts++
          dialling++
        }
      }
      // Whoever finds no place now is looked at again when an attempt or a link ends, or says nothing.
    }
    for (const link of this.#ownAttempts()) {
      const hedgeAt = this.#pace.hedgeAt(link)
      if (hedgeAt > now) next = Math.min(next, hedgeAt)
    }
    for (const link of this.#book.links()) {
      const due = this.#book.upgradeTo(link.nodeId) ? Infinity : this.#relaying.upgradeAt(link)
      if (due > now) next = Math.min(next, due)
      else this.#dial(link.nodeId, now)
    }
    this.#lookBy(Math.min(next, this.#wishes.nextDeadline()))
  }

  /** Those at members of an earlier life aside, which are few and may be gone. */
  *#ownAttempts(): Iterable<MeshLink> {
    for (const link of this.#book.links())
      if (link.phase !== 'established' && link.initiator && !this.#early.has(link.nodeId)) yield link
  }

  /**
   * Whether one more link has a place; a link that this member does not need makes way for one that it does. What is
   * wished by the other end alone gets a place that is free: in another's it would be given up for the next one's wish.
   */
  #makeRoom(nodeId: NodeId, now: number, isTheirWish = false): boolean {
    const isTarget = this.#targets.live.has(nodeId)
    if (isTheirWish && !isTarget) return this.#book.size < this.#maxLinks
    if (this.#book.size < this.#maxLinks + SLACK) return true
    const vain = isTarget ? vainAttempt(this.#book.links(), this.#targets, now) : undefined
    const given = this.#surplus(isTarget ? now : now - HOLD_MS).at(0) ?? vain
    if (!given) return false
    if (given.phase === 'established') this.#release(given, now)
    else this.#displace(given, now)
    return true
  }

  #displace(attempt: MeshLink, now: number): void {
    attempt.released = true
    this.#giveUp(attempt, DISPLACED, now)
  }

  /** Whether an offer has a place that one through the mesh gives up for it. */
  #makeCrowdRoom(isTheirWish: boolean, broughtBy: NodeId | undefined, now: number): boolean {
    const given = isTheirWish ? undefined : crowdingAttempt(this.#book.links(), broughtBy)
    if (given) this.#displace(given, now)
    return given !== undefined
  }

  /** Above `maxLinks`, links that this member does not need end. */
  #prune(now: number): void {
    const excess = this.#establishedCount - this.#maxLinks
    if (excess <= 0) return
    const spare = this.#surplus(now - HOLD_MS).filter((link) => isSpare(link, this.#table))
    for (const link of spare.slice(0, excess)) this.#release(link, now)
    if (this.#establishedCount <= this.#maxLinks) return
    for (const { startedAt } of this.#surplus(now)) {
      this.#lookBy(Math.max(startedAt + HOLD_MS, now + PRUNE_AGAIN_MS))
    }
  }

  #surplus(latest: number): MeshLink[] {
    return surplusOf(this.#book.links(), this.#targets, this.#table, latest)
  }

  #release(link: MeshLink, now: number): void {
    link.released = true
    this.#outbox.frame(link.linkId, { kind: 'unlink' })
    this.linger(link.linkId, RELEASED, now)
  }

  #lookBy(at: number): void {
    if (at !== Infinity) this.#lookAt = Math.min(this.#lookAt ?? Infinity, at)
  }

  #dueAt(nodeId: NodeId): number {
    const isContact = this.#contacts.has(nodeId)
    const since = this.#redials.wantedSince(nodeId)
    // Strangers and lost ones that are met while healing do not wait.
    const isUrgent = this.#establishedCount === 0 || (isContact && !this.#pace.isNew)
    const from = isUrgent ? since : this.#pace.opensAt(since)
    return this.#redials.dueAt(nodeId, isContact || compareNodeIds(this.#table.own, nodeId) < 0, from)
  }

  /** Whoever offers a link itself would have answered an offer by now: its network was gone, and ours with it. */
  #isOfferLost(link: MeshLink, now: number): boolean {
    return mayBeLost(link) && now >= link.startedAt + PATIENCE_MS
  }

  get #meshOfferMs(): number {
    return Math.max(MESH_OFFER_MS, SLOW_LINKS * this.#pace.usualMs)
  }

  #deadlineOf(link: MeshLink): number {
    const { startedAt, seen, phase, initiator, byMesh } = link
    if (mayBeLost(link)) return startedAt + PATIENCE_MS
    if (byMesh && initiator && phase === 'connecting' && seen.size === 0) return startedAt + this.#meshOfferMs
    if (this.#relaying.isImpatient(link)) return startedAt + RELAY_AFTER_MS
    return startOf(link) + this.#tuning.linkTimeoutMs
  }
}

const RELEASED = 'not needed: there are links enough'

const startOf = ({ openedAt, startedAt }: MeshLink): number => openedAt ?? startedAt

const mayBeLost = ({ contested, phase, seen }: MeshLink): boolean =>
  contested && phase === 'connecting' && seen.size === 0
