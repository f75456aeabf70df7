/**
 * One life of a process in its cluster, from `joining` to `left` or to its removal: brings the machines together and
 * hands each input to the one it is for.
 *
 * Order of life: `joining` until a contact accepted the handshake, or the signaling server knows of nobody; `up`;
 * `isolated` while every link is lost; `leaving`, then `left`. A life that others removed is over: its links end and
 * the platform is asked for the next one.
 */
import type { ClusterStatus, Input, LinkId } from './events.ts'
import type { NodeId } from './identity/node-id.ts'
import { Pulses } from './failure/pulse.ts'
import { Removal } from './failure/removal.ts'
import type { GossipFrame } from './gossip/gossip.ts'
import { Gossip } from './gossip/gossip.ts'
import type { HandshakeFrame, HandshakeStep } from './gossip/handshake.ts'
import { Handshakes } from './gossip/handshake.ts'
import { Healing } from './overlay/healing.ts'
import { removedRange } from './membership/digest.ts'
import { encodeLinks } from './membership/published-links.ts'
import type { Accusation, Visibility } from './membership/record.ts'
import { isUserStateKey, LINKS_KEY } from './membership/state-key.ts'
import type { TableChange } from './membership/table.ts'
import { MembershipTable } from './membership/table.ts'
import type { MeshLink } from './overlay/mesh.ts'
import { Mesh } from './overlay/mesh.ts'
import type { NodeOptions } from './node.ts'
import type { Outbox } from './outbox.ts'
import { decodeMessage } from './wire/codec.ts'
import type { Envelope, Frame } from './wire/frames.ts'
import { WIRE_MAX } from './wire/frames.ts'

export interface LifeOptions extends NodeOptions {
  readonly outbox: Outbox
  readonly nextLinkId: () => LinkId
}

/** What the next life of the same process takes over. */
export interface Legacy {
  readonly meta: string
  readonly visibility: Visibility
  readonly values: ReadonlyMap<string, string>
}

/** Links are published this long after they changed, so that a crowd of them is published once. */
const PUBLISH_LINKS_MS = 2_000
/** A link that brings this many messages with a fault is closed. */
const MAX_FAULTS = 3
/** Tombstones are looked through this often. */
const COLLECT_MS = 30_000
/** Members of an earlier life that are tried beside the signaling server's contacts. */
const MAX_KNOWN_BEFORE = 3
/** A member that the signaling server calls gone and that did not answer this many dials is accused. */
const GONE_AFTER_FAILURES = 2

export class Life {
  readonly table: MembershipTable
  readonly gossip: Gossip
  readonly #options: LifeOptions
  readonly #outbox: Outbox
  readonly #handshakes: Handshakes
  readonly #mesh: Mesh
  readonly #pulses: Pulses
  readonly #removal: Removal
  readonly #healing: Healing
  readonly #values = new Map<string, string>()
  readonly #faults = new Map<LinkId, number>()
  #meta: string
  #visibility: Visibility
  #status: ClusterStatus = 'joining'
  #over: string | undefined
  #leaveBy: number | undefined
  #publishAt: number | undefined
  #publishedLinks = 0
  /** Whom an earlier life knew; tried once. */
  #knownBefore: readonly NodeId[]
  #collectAt = 0
  /** When the next thing is due, as of the last turn. */
  #due = 0

  constructor(options: LifeOptions) {
    const { nodeId, process, browser, meta, visibility, cluster, limits, outbox, random, tuning } = options
    this.#options = options
    this.#outbox = outbox
    this.#meta = meta
    this.#visibility = visibility
    this.#knownBefore = options.contacts ?? []
    const table = new MembershipTable(
      nodeId,
      { status: 'joining', process, browser, visibility, meta },
      limits,
    )
    const onAccused = (accusation: Accusation, now: number) => this.#onAccused(accusation, now)
    this.table = table
    this.gossip = new Gossip({ table, outbox, random, tuning, onAccused })
    this.#handshakes = new Handshakes({ cluster, table, limits })
    this.#mesh = new Mesh({
      ...options,
      table,
      onEnded: (link, reason, replaced, now) => this.#onLinkEnded(link, reason, replaced, now),
    })
    this.#pulses = new Pulses(outbox, tuning.pingIntervalMs)
    this.#removal = new Removal(table, tuning.removeAfterMs)
    this.#healing = new Healing(outbox, random, tuning.healIntervalMs)
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
    return { meta: this.#meta, visibility: this.#visibility, values: this.#values }
  }

  /** Grows whenever `establishedLinks` may have changed. */
  get linkRevision(): number {
    return this.#mesh.revision + this.#pulses.revision
  }

  establishedLinks(): { readonly nodeId: string; readonly rttMs?: number }[] {
    const links: { nodeId: string; rttMs?: number }[] = []
    for (const { linkId, nodeId, phase } of this.#mesh.links()) {
      if (phase !== 'established') continue
      const rttMs = this.#pulses.rtt(linkId)
      links.push(rttMs === undefined ? { nodeId } : { nodeId, rttMs })
    }
    return links
  }

  handle(input: Input, now: number): void {
    if (this.#over !== undefined) return this.#handleOver(input)
    switch (input.type) {
      case 'signaling-up':
        this.#mesh.signalingUp()
        this.#outbox.event({ type: 'signaling', state: 'up', reason: 'connected' })
        this.#healing.begin(now, this.table.live().length)
        return this.#onContacts([...input.contacts, ...this.#takeKnownBefore()], now)
      case 'signaling-contacts':
        return this.#onContacts(input.contacts, now)
      case 'signaling-down':
        this.#mesh.signalingDown()
        this.#healing.end()
        return this.#outbox.event({ type: 'signaling', state: 'down', reason: input.reason })
      case 'signaling-message':
        return this.#mesh.onSignal(input.from, input.data, now)
      case 'signaling-gone':
        return this.#onGone(input.nodeId, now)
      case 'link-signal':
        return this.#mesh.sendSignal(input.linkId, input.data)
      case 'link-opened':
        return this.#onLinkOpened(input.linkId)
      case 'link-closed':
        return this.#mesh.closed(input.linkId, input.reason, now)
      case 'link-message':
        return this.#onMessage(input.linkId, input.bytes, now)
      case 'set-meta':
        this.#meta = input.meta
        return this.table.writeOwn({ meta: input.meta }, 'meta')
      case 'set-visibility':
        this.#visibility = input.visibility
        return this.table.writeOwn({ visibility: input.visibility }, 'visibility')
      case 'set-peer-state':
        return this.#setPeerState(input.key, input.value)
      case 'leave':
        return this.#leave(now)
    }
  }

  /** Runs what is due. */
  tick(now: number): void {
    if (this.#over !== undefined || now < this.#due) return
    this.#mesh.tick(now)
    this.gossip.tick(now)
    this.#pulses.tick(now)
    this.#removal.tick(now)
    this.#healing.tick(now, this.table.live().length)
    if (this.#publishAt !== undefined && now >= this.#publishAt) this.#publishLinks()
    if (now >= this.#collectAt) {
      this.table.collect(now - this.#options.tuning.tombstoneMs)
      this.#collectAt = now + COLLECT_MS
    }
    if (this.#leaveBy !== undefined && now >= this.#leaveBy) this.#finishLeaving(now)
  }

  /** Draws the consequences of a turn. */
  settle(now: number): void {
    for (let changes = this.table.takeChanges(); changes.length > 0; changes = this.table.takeChanges()) {
      for (const change of changes) this.#onChange(change, now)
    }
    if (this.#over !== undefined || this.#status === 'left') return this.gossip.end()
    this.#removal.settle()
    if (this.#status !== 'leaving') this.#mesh.settle(now)
    else if (this.#mesh.establishedCount === 0) return this.#finishLeaving(now)
    this.#watchIsolation()
    this.gossip.settle(now)
    this.#due = this.#nextDue()
  }

  nextDeadline(): number | undefined {
    return this.#over === undefined ? this.#due : undefined
  }

  #nextDue(): number {
    return Math.min(
      this.#mesh.nextDeadline() ?? Infinity,
      this.gossip.nextDeadline() ?? Infinity,
      this.#pulses.nextDeadline() ?? Infinity,
      this.#removal.nextDeadline() ?? Infinity,
      this.#healing.nextDeadline() ?? Infinity,
      this.#publishAt ?? Infinity,
      this.#leaveBy ?? Infinity,
      this.#collectAt,
    )
  }

  /** A life that is over keeps what the user says for the next one. */
  #handleOver(input: Input): void {
    if (input.type === 'set-meta') this.#meta = input.meta
    else if (input.type === 'set-visibility') this.#visibility = input.visibility
    else if (input.type === 'set-peer-state') this.#keepValue(input.key, input.value)
    else if (input.type === 'leave') this.#setStatus('left', 'left')
  }

  #onContacts(contacts: readonly string[], now: number): void {
    this.#mesh.addContacts(contacts)
    if (this.#status !== 'joining' || this.#mesh.openContacts > 0 || this.#mesh.establishedCount > 0) return
    const pending = [...this.#mesh.links()].some((link) => link.phase !== 'established')
    if (pending || contacts.length > 0) this.#healing.askSoon(now)
    else this.#becomeUp('alone in the room')
  }

  #takeKnownBefore(): readonly NodeId[] {
    const known = this.#knownBefore.slice(0, MAX_KNOWN_BEFORE)
    this.#knownBefore = []
    return known
  }

  #onGone(nodeId: string, now: number): void {
    const link = this.#mesh.linkTo(nodeId)
    this.#removal.gone(nodeId)
    this.#mesh.dropContact(nodeId)
    if (link && link.phase !== 'established')
      this.#mesh.close(link.linkId, 'gone, says the signaling server', now)
    const status = this.table.status(nodeId)
    const missed = !this.#mesh.linkTo(nodeId) && this.#mesh.failuresOf(nodeId) >= GONE_AFTER_FAILURES
    if (missed && (status === 'up' || status === 'joining')) {
      this.table.accuse(nodeId, 'unreachable', 'gone, says the signaling server')
    }
    if (this.#status === 'joining' && this.#mesh.openContacts === 0 && this.#mesh.establishedCount === 0) {
      this.#healing.askSoon(now)
    }
  }

  #onLinkOpened(linkId: LinkId): void {
    const link = this.#mesh.opened(linkId)
    if (link) this.#outbox.frame(linkId, this.#handshakes.begin(linkId, link.nodeId))
  }

  #onLinkEnded(link: MeshLink, reason: string, replaced: boolean, now: number): void {
    const { linkId, nodeId, introduced } = link
    this.#handshakes.end(linkId)
    this.#pulses.end(linkId)
    this.gossip.parted(linkId)
    this.#faults.delete(linkId)
    if (this.#over !== undefined || replaced) return
    this.#publishSoon(now)
    const status = this.table.status(nodeId)
    if (status === 'leaving') return this.table.remove(nodeId, now, 'left')
    if (introduced && (status === 'up' || status === 'joining') && this.#status !== 'leaving') {
      this.table.accuse(nodeId, 'unreachable', `link lost: ${reason}`)
    }
  }

  #onMessage(linkId: LinkId, bytes: Uint8Array, now: number): void {
    const link = this.#mesh.get(linkId)
    if (!link || link.phase === 'connecting') return
    const decoded = decodeMessage(bytes)
    if (!decoded.ok) return this.#onFault(link, decoded.reason, now)
    for (const envelope of decoded.envelopes) {
      if (this.#mesh.get(linkId) !== link || this.#over !== undefined) return
      const fault = this.#onFrame(link, envelope, now)
      if (fault) return this.#onFault(link, fault, now)
    }
  }

  /** Returns what is wrong with the frame, if anything is. */
  #onFrame(link: MeshLink, { route, frame }: Envelope, now: number): string | undefined {
    if (route) return 'routed frames are not carried by this version'
    const { linkId } = link
    if (frame.kind === 'hello' || frame.kind === 'accept' || frame.kind === 'refuse') {
      return this.#onHandshake(link, frame, now)
    }
    if (!this.#handshakes.isDone(linkId)) return `${frame.kind} before the handshake was done`
    switch (frame.kind) {
      case 'ping':
        this.#pulses.onPing(linkId, frame.token)
        return undefined
      case 'ack':
        this.#pulses.onAck(linkId, frame.token, now)
        return undefined
      case 'goodbye':
        this.#onGoodbye(link, frame, now)
        return undefined
      default:
        return this.#onGossip(linkId, frame, now)
    }
  }

  #onGossip(linkId: LinkId, frame: GossipFrame, now: number): undefined {
    this.gossip.receive(linkId, frame, now)
  }

  #onHandshake(link: MeshLink, frame: HandshakeFrame, now: number): string | undefined {
    const step = this.#handshakes.receive(link.linkId, frame)
    switch (step.type) {
      case 'malformed':
        return step.reason
      case 'introduced':
        return this.#onIntroduced(link, step, now)
      case 'accepted':
        if (step.done) this.#onEstablished(link, now)
        return undefined
      case 'refuse':
        return this.#refuse(link, step, now)
      case 'refused':
        this.#outbox.event({
          type: 'handshake-refused',
          nodeId: link.nodeId,
          by: 'them',
          code: step.code,
          reason: step.reason,
        })
        this.#mesh.close(link.linkId, `refused: ${step.reason}`, now)
        this.#mesh.dropContact(link.nodeId)
        if (step.code === 'removed') this.#endLife(step.reason, now)
        else if (this.#status === 'joining' && this.#mesh.openContacts === 0) this.#healing.askSoon(now)
        return undefined
    }
  }

  #onIntroduced(
    link: MeshLink,
    { hello, greeted, done }: Extract<HandshakeStep, { type: 'introduced' }>,
    now: number,
  ): undefined {
    const { linkId, nodeId } = link
    this.#outbox.frame(linkId, { kind: 'accept', version: WIRE_MAX })
    this.#mesh.introduced(linkId)
    const result = this.table.apply(hello.own!, linkId, now, 'handshake')
    if (this.table.status(this.table.own) === 'removed') return undefined
    if (result.accused) this.#onAccused(result.accused, now)
    this.gossip.introduced(linkId, nodeId, hello, greeted, now)
    if (this.table.status(nodeId) === 'unreachable') this.#challenge(link)
    if (done) this.#onEstablished(link, now)
    return undefined
  }

  /** Shows an accused member what it is accused of, so that it can refute. */
  #challenge(link: MeshLink): void {
    const record = this.table.get(link.nodeId)!
    const { nodeId, counter, floor, accusation } = record
    const range = { nodeId, from: counter, to: counter, floor, entries: [], accusation }
    this.#outbox.frame(link.linkId, { kind: 'delta', ranges: [range] })
  }

  #onEstablished(link: MeshLink, now: number): void {
    this.#mesh.established(link.linkId, now)
    this.#pulses.begin(link.linkId, now)
    this.#publishSoon(now)
    if (this.#status === 'joining') this.#becomeUp(`accepted by ${link.nodeId}`)
  }

  #refuse(link: MeshLink, step: Extract<HandshakeStep, { type: 'refuse' }>, now: number): undefined {
    const { code, reason, kept } = step
    const { nodeId, linkId } = link
    this.#outbox.frame(linkId, { kind: 'refuse', code, reason })
    this.#outbox.event({ type: 'handshake-refused', nodeId, by: 'us', code, reason })
    if (kept !== undefined) {
      const authority = this.table.get(kept)!.parts.authority
      this.#outbox.event({ type: 'authority-conflict', authority, kept, refused: nodeId })
    }
    this.#mesh.linger(linkId, `refused: ${reason}`, now)
  }

  #onGoodbye(link: MeshLink, frame: Extract<Frame, { kind: 'goodbye' }>, now: number): void {
    this.table.remove(link.nodeId, now, frame.reason || 'left')
    this.#mesh.close(link.linkId, 'said goodbye', now)
  }

  #onFault(link: MeshLink, reason: string, now: number): void {
    const faults = (this.#faults.get(link.linkId) ?? 0) + 1
    this.#faults.set(link.linkId, faults)
    this.#outbox.event({ type: 'frame-rejected', nodeId: link.nodeId, reason })
    if (faults >= MAX_FAULTS || link.phase !== 'established') {
      this.#mesh.close(link.linkId, `malformed: ${reason}`, now)
    }
  }

  /** Refutes by the next incarnation; a removal cannot be refuted. */
  #onAccused({ rank, incarnation }: Accusation, now: number): void {
    if (rank === 'removed') return this.#endLife('removed by the others', now)
    const { self } = this.table.get(this.table.own)!
    if (self && incarnation >= self.incarnation) {
      this.table.writeOwn({ incarnation: incarnation + 1 }, 'refuted an accusation')
    }
  }

  #onChange(change: TableChange, now: number): void {
    const { nodeId, authority, before, after, reason } = change
    this.#removal.notice(change, now)
    if (change.supersededBy !== undefined) {
      this.#outbox.event({ type: 'superseded', authority, old: nodeId, by: change.supersededBy })
    }
    if (after !== undefined && before !== after) {
      this.#outbox.event({ type: 'member-status', nodeId, authority, from: before, to: after, reason })
    }
    if (change.meta && before !== undefined) this.#outbox.event({ type: 'member-meta', nodeId })
    if (change.visibility) {
      const { visibility } = this.table.get(nodeId)!.self!
      this.#outbox.event({ type: 'member-visibility', nodeId, visibility })
    }
    for (const key of change.keys)
      if (isUserStateKey(key)) this.#outbox.event({ type: 'peer-state', nodeId, key })
    if (after === 'removed' && nodeId === this.table.own) this.#endLife(reason, now, change.supersededBy)
    else if (after === 'removed') this.#dismiss(nodeId, now)
  }

  /** A removed life may still run: it is told, so that it can go on as the next one. */
  #dismiss(nodeId: string, now: number): void {
    const link = this.#mesh.linkTo(nodeId)
    if (!link) return
    if (!this.#handshakes.isDone(link.linkId)) return this.#mesh.close(link.linkId, 'its life is over', now)
    this.#outbox.frame(link.linkId, { kind: 'delta', ranges: [removedRange(nodeId)] })
    this.#mesh.linger(link.linkId, 'its life is over', now)
  }

  #setPeerState(key: string, value: string | undefined): void {
    this.#keepValue(key, value)
    this.table.writeOwnEntry(key, value)
  }

  #keepValue(key: string, value: string | undefined): void {
    if (value === undefined) this.#values.delete(key)
    else this.#values.set(key, value)
  }

  #publishSoon(now: number): void {
    this.#publishAt ??= now + PUBLISH_LINKS_MS
  }

  #publishLinks(): void {
    this.#publishAt = undefined
    const shorts: number[] = []
    for (const { nodeId, phase } of this.#mesh.links()) {
      const record = phase === 'established' ? this.table.get(nodeId) : undefined
      if (record) shorts.push(record.short)
    }
    if (shorts.length === 0 && this.#publishedLinks === 0) return
    this.#publishedLinks = shorts.length
    this.table.writeOwnEntry(LINKS_KEY, encodeLinks(shorts))
  }

  #becomeUp(reason: string): void {
    this.table.writeOwn({ status: 'up' }, reason)
    this.#setStatus('up', reason)
  }

  #watchIsolation(): void {
    if (this.#status === 'up' && this.#mesh.establishedCount === 0 && this.#hasLost()) {
      this.#setStatus('isolated', 'every link is lost')
    } else if (this.#status === 'isolated' && (this.#mesh.establishedCount > 0 || !this.#hasLost())) {
      this.#setStatus('up', this.#mesh.establishedCount > 0 ? 'linked again' : 'nobody else is known')
    }
  }

  #hasLost(): boolean {
    for (const { nodeId, status } of this.table.records()) {
      if (nodeId !== this.table.own && status !== undefined && status !== 'removed') return true
    }
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
    this.#outbox.push({ type: 'signaling-goodbye' })
    this.#leaveBy = now + this.#options.tuning.leaveTimeoutMs
  }

  #finishLeaving(now: number): void {
    this.#leaveBy = undefined
    this.#mesh.closeAll('left', now)
    this.#setStatus('left', 'left')
  }

  /** Others ended this life. Its process goes on as the next one, unless a newer one has taken its place already. */
  #endLife(reason: string, now: number, supersededBy?: string): void {
    if (this.#over !== undefined) return
    this.#over = reason
    this.#mesh.closeAll('this life is over', now)
    if (supersededBy === undefined && this.#status !== 'leaving') {
      this.#setStatus('joining', reason)
      this.#outbox.push({ type: 'rebirth', reason })
    } else {
      this.#outbox.push({ type: 'signaling-goodbye' })
      this.#setStatus('left', reason)
    }
  }

  #setStatus(to: ClusterStatus, reason: string): void {
    const from = this.#status
    if (from === to) return
    this.#status = to
    this.#outbox.event({ type: 'status', from, to, reason })
  }
}
