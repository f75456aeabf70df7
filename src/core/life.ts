/**
 * One life of a process in its cluster, from `joining` to `left` or to its removal: brings the machines together and
 * hands each input to the one it is for.
 *
 * Order of life: `joining` until a contact accepted the handshake, or the signaling server knows of nobody; `up`;
 * `isolated` while every link is lost; `leaving`, then `left`. A life that others removed is over: its links end and
 * the platform is asked for the next one.
 */
import type { ClusterStatus, Input, LinkId, RefusalCode } from './events.ts'
import type { NodeId } from './identity/node-id.ts'
import { Pulses } from './failure/pulse.ts'
import { Removal } from './failure/removal.ts'
import { Gossip } from './gossip/gossip.ts'
import { Handshakes } from './gossip/handshake.ts'
import type { Accusation, Visibility } from './membership/record.ts'
import { isUserStateKey } from './membership/state-key.ts'
import type { TableChange } from './membership/table.ts'
import { MembershipTable } from './membership/table.ts'
import { Neighbours } from './neighbours.ts'
import { Healing } from './overlay/healing.ts'
import { LinkPublication } from './overlay/link-publication.ts'
import type { MeshLink } from './overlay/mesh.ts'
import { Mesh } from './overlay/mesh.ts'
import type { NodeOptions } from './node.ts'
import type { Outbox } from './outbox.ts'
import { WireLimits } from './wire/decode.ts'

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
  readonly #neighbours: Neighbours
  readonly #mesh: Mesh
  readonly #pulses: Pulses
  readonly #removal: Removal
  readonly #healing: Healing
  readonly #publication: LinkPublication
  readonly #values = new Map<string, string>()
  #meta: string
  #visibility: Visibility
  #status: ClusterStatus = 'joining'
  #over: string | undefined
  #leaveBy: number | undefined
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
    this.#mesh = new Mesh({
      ...options,
      table,
      onEnded: (link, reason, replaced, now) => this.#onLinkEnded(link, reason, replaced, now),
    })
    this.#pulses = new Pulses(outbox, tuning.pingIntervalMs)
    this.#removal = new Removal(table, tuning.removeAfterMs)
    this.#healing = new Healing(outbox, random, tuning.healIntervalMs)
    this.#publication = new LinkPublication(table, this.#mesh)
    this.#neighbours = new Neighbours({
      table,
      outbox,
      mesh: this.#mesh,
      gossip: this.gossip,
      handshakes: new Handshakes({ cluster, table, limits }),
      pulses: this.#pulses,
      onEstablished: (link, now) => this.#onEstablished(link, now),
      onRefused: (link, code, reason, now) => this.#onRefused(link, code, reason, now),
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
        return this.#neighbours.opened(input.linkId)
      case 'link-closed':
        return this.#mesh.closed(input.linkId, input.reason, now)
      case 'link-message':
        return this.#neighbours.received(input.linkId, input.bytes, now)
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
    this.#publication.tick(now)
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
    this.#publication.settle(now)
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
      this.#publication.nextDeadline() ?? Infinity,
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

  #onEstablished(link: MeshLink, now: number): void {
    this.#mesh.established(link.linkId, now)
    this.#pulses.begin(link.linkId, now)
    if (this.#status === 'joining') this.#becomeUp(`accepted by ${link.nodeId}`)
  }

  #onRefused({ nodeId }: MeshLink, code: RefusalCode, reason: string, now: number): void {
    this.#mesh.dropContact(nodeId)
    if (code === 'removed') this.#endLife(reason, now)
    else if (this.#status === 'joining' && this.#mesh.openContacts === 0) this.#healing.askSoon(now)
  }

  /** A link that ends is a reason to accuse its member, who refutes if it is only the link that is gone. */
  #onLinkEnded(
    { linkId, nodeId, introduced }: MeshLink,
    reason: string,
    replaced: boolean,
    now: number,
  ): void {
    this.#neighbours.ended(linkId)
    if (this.#over !== undefined || replaced) return
    const status = this.table.status(nodeId)
    if (status === 'leaving') return this.table.remove(nodeId, now, 'left')
    if (introduced && (status === 'up' || status === 'joining') && this.#status !== 'leaving') {
      this.table.accuse(nodeId, 'unreachable', `link lost: ${reason}`)
    }
  }

  /** Refutes by the next incarnation; a removal cannot be refuted. */
  #onAccused({ rank, incarnation }: Accusation, now: number): void {
    if (rank === 'removed') return this.#endLife('removed by the others', now)
    const { self } = this.table.get(this.table.own)!
    if (incarnation >= WireLimits.counter) {
      // Forged, and not to be refuted: a higher incarnation would be malformed for everybody.
      this.#endLife('accused at the highest incarnation', now)
    } else if (self && incarnation >= self.incarnation) {
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
    // Within the same turn it may have been removed, and then says nothing of itself any more.
    const self = change.visibility ? this.table.get(nodeId)?.self : undefined
    if (self) this.#outbox.event({ type: 'member-visibility', nodeId, visibility: self.visibility })
    for (const key of change.keys)
      if (isUserStateKey(key)) this.#outbox.event({ type: 'peer-state', nodeId, key })
    if (after === 'removed' && nodeId === this.table.own) this.#endLife(reason, now, change.supersededBy)
    else if (after === 'removed') this.#neighbours.dismiss(nodeId, now)
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

  /** Isolated is who has lost everybody; whoever never knew anybody is just alone. */
  #watchIsolation(): void {
    const linked = this.#mesh.establishedCount > 0
    if (this.#status === 'up' && !linked && this.#hasUnreachable()) {
      this.#setStatus('isolated', 'every link is lost')
    } else if (this.#status === 'isolated' && (linked || !this.#hasUnreachable())) {
      this.#setStatus('up', linked ? 'linked again' : 'nobody else is known')
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
