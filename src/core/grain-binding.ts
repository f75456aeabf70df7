/**
 * GrainBinding: binds the grains of a process to the life that it has now. It tells them of members and brings what they
 * say to others, founds a council where there can be none, and goes on through rebirths.
 */
import { COUNCIL_KEY } from './council/published-council.ts'
import type { Input } from './events.ts'
import type { CountedEvent } from './grain/grain-news.ts'
import { GrainNews } from './grain/grain-news.ts'
import type { HostedKind } from './grain/grain-outputs.ts'
import type { GrainLane, GrainsTuning } from './grains.ts'
import { Grains } from './grains.ts'
import type { NodeId, ProcessId } from './identity/node-id.ts'
import type { Life, LifeGrains } from './life.ts'
import type { TableChange } from './membership/table.ts'
import type { Outbox } from './outbox.ts'
import type { KindVersions } from './published-kinds.ts'
import { formatKinds, KINDS_KEY } from './published-kinds.ts'
import { Roster } from './roster.ts'
import type { Parent } from './rpc/messages.ts'
import type { Now, Random } from './time.ts'

export type GrainInput = Extract<Input, { type: `grain-${string}` }>

export interface GrainBindingOptions {
  readonly process: ProcessId
  readonly random: Random
  readonly outbox: Outbox
  readonly kinds: ReadonlyMap<string, HostedKind>
  readonly tombstoneMs: number
  readonly tuning?: GrainsTuning | undefined
  readonly partition?: 'available' | 'majority' | undefined
  /** This process has a disk for grains. */
  readonly keepsCopies?: boolean | undefined
}

/**
 * A council is founded where nobody's socket at the signaling server can be coming back: clients try again within 10 s,
 * see `adapters/signaling/client.ts`, and a little later for the way.
 */
const QUIET_MS = 12_000
/** Whoever may found a council asks the signaling server this often at most, in ms. */
const ASK_MS = 2_000
/** A message that may be lost goes in one frame up to this size, else in order. */
const MAX_DATAGRAM = 32 * 1024

export class GrainBinding implements LifeGrains {
  readonly grains: Grains
  readonly #options: GrainBindingOptions
  readonly #roster: Roster
  readonly #news: GrainNews
  #life: Life | undefined
  #now: Now = { mono: 0, wall: 0 }
  /** When the signaling server is to be asked next whether a council may be founded. */
  #askAt = -Infinity
  #isStarted = false
  /** Some life of this process was told who is there. */
  #knowsOthers = false
  /** Nothing is done for grains where nobody has any. */
  #isActive = false
  /** Of what is being received: nobody but its origin can have said it. */
  #isProven = false

  constructor(options: GrainBindingOptions) {
    const { process, random, outbox, kinds, tombstoneMs, tuning, partition } = options
    this.#options = options
    this.#isActive = kinds.size > 0
    const roster = new Roster(process, tombstoneMs)
    this.#roster = roster
    this.#news = new GrainNews((event) => outbox.event(event))
    this.grains = new Grains({
      self: process,
      random,
      tuning,
      kinds,
      seats: () => roster.seats(),
      isLive: (other) => roster.isLive(other),
      isLinked: (other) => this.#isLinked(other),
      versionOf: (other, kind) => roster.versionOf(other, kind),
      candidates: (kind) => roster.candidates(kind, this.#now.mono),
      hasEnded: (other) => roster.hasEnded(other, this.#now.mono),
      // Whoever was removed may go on in another part of the network, with all that hold what it owns.
      mayGiveUp: (other) =>
        partition === 'majority' ? roster.hasLeft(other) : roster.hasEnded(other, this.#now.mono),
      lostFor: (other, now) => roster.lostFor(other, now.mono),
      partition,
      isForgotten: (other) => roster.isForgotten(other, this.#now.mono),
      published: () => roster.published(),
      publish: (text) => this.#life?.publish(COUNCIL_KEY, text),
      send: (to, lane, bytes) => this.#send(to, lane, bytes),
      output: (output) => outbox.push({ type: 'grain', output }),
      ended: (id, end) => outbox.push({ type: 'grain-ended', id, end }),
      onEvent: (event) => this.#news.add(event, groupOf(event), this.#now.mono),
      onConflict: (kind, key, other) => outbox.event({ type: 'state-conflict', kind, key, other }),
      onMoved: (kind, slot, from, to) => {
        const [giver, taker] = [roster.authorityOf(from), roster.authorityOf(to)]
        const event = { type: 'grain-moved', kind, slot, from: giver, to: taker, count: 1 } as const
        this.#news.gather(event, `${kind} ${from} ${to}`)
      },
      onChange: (change, group, reason) => outbox.event({ type: 'council', change, group, reason }),
      onFault: (from, reason) => this.#onFault(from, reason),
      persist: options.keepsCopies ? (writes) => outbox.push({ type: 'persist', writes }) : undefined,
      browserOf: (other) => roster.browserOf(other),
      onLoss: (reason) => outbox.event({ type: 'storage', what: 'grains', reason }),
      onProvisional: (kind, slot, missing) =>
        this.#news.gather(
          { type: 'state-provisional', kind, slot, missing, count: 1 },
          `state-provisional ${kind} ${missing}`,
        ),
    })
  }

  /** From now on this is the life of the process. */
  begin(life: Life): void {
    this.#life = life
    const { kinds } = this.#options
    if (kinds.size > 0) life.publish(KINDS_KEY, formatKinds(kinds))
  }

  /** To be called before the inputs of a turn. */
  turn(now: Now): void {
    this.#now = now
    this.grains.begin()
  }

  handle(input: GrainInput, now: Now): void {
    const { grains } = this
    this.#isActive = true
    switch (input.type) {
      case 'grain-call':
        return grains.call(input.request, now)
      case 'grain-abort':
        return grains.abort(input.id, now)
      case 'grain-activated':
        return grains.onActivated(input.activation, input.problem, now, input.settled)
      case 'grain-invoked':
        return grains.onInvoked(input.invocation, input.invoked, now)
      case 'grain-passivated':
        return grains.onPassivated(input.activation, input.state, now)
      case 'grain-recalled':
        return grains.onRecalled(input.copies, now)
      case 'grain-persisted':
        return grains.onPersisted(input.ok, now)
    }
  }

  /** The signaling server has said who is in the room, and for how long nobody has been lost from it. */
  onSignaling(contacts: readonly NodeId[], quietMs: number, now: Now): void {
    const life = this.#life
    if (!life || !this.#mayFound(life) || quietMs < QUIET_MS) {
      if (quietMs < QUIET_MS) this.#askAt = now.mono + Math.max(ASK_MS, QUIET_MS - quietMs)
      return
    }
    // Whoever is there and is not known may have a council.
    if (!contacts.every((nodeId) => life.table.get(nodeId) !== undefined)) return
    this.grains.found(now)
  }

  /** This process is about to leave: what it has to say of that goes before its goodbye. */
  leave(now: Now): void {
    this.grains.leave(now)
    this.#life?.flushGrains(now.mono)
  }

  /** This process may not run for long any more. */
  persistNow(now: Now): void {
    if (this.#isActive) this.grains.persistNow(now)
  }

  parentOf(invocation: number, now: Now): Parent | undefined {
    this.#now = now
    return this.grains.parentOf(invocation, now)
  }

  /** Versions of a kind that are hosted; `undefined` while this process was not told who is there. */
  versionsOf(kind: string): readonly KindVersions[] | undefined {
    return this.#knowsOthers ? this.#roster.versionsOf(kind) : undefined
  }

  receive(origin: NodeId, bytes: Uint8Array, isProven: boolean): void {
    this.#isActive = true
    this.#isProven = isProven
    const process = this.#roster.processOf(origin, this.#life?.table)
    if (process !== undefined) this.grains.receive(process, bytes, this.#now)
  }

  notice(change: TableChange, now: number): void {
    if (this.#isActive) this.#roster.notice(change, now)
    else if (change.keys.includes(KINDS_KEY) || change.keys.includes(COUNCIL_KEY)) this.#isActive = true
  }

  settle(mono: number): void {
    const life = this.#life
    const now = this.#now
    this.grains.settle(now)
    if (!life || !this.#isActive) return
    if (this.#roster.table !== life.table && (life.knowsOthers || !this.#isStarted)) this.#attach(life, mono)
    this.#knowsOthers ||= life.knowsOthers
    this.#roster.tick(mono)
    for (const news of this.#roster.takeNews()) {
      if (news.type === 'new-life') this.grains.onNewLife(news.process, now)
      else this.grains.onLiveness(news.process, news.loss, now)
    }
    if (this.#roster.takeChanged()) this.grains.notice(now)
    if (mono >= this.grains.nextDeadline()) this.grains.tick(now)
    this.#news.settle(mono)
    if (mono >= this.#askAt && life.isSignalingUp && this.#mayFound(life)) {
      this.#askAt = mono + ASK_MS
      this.#options.outbox.push({ type: 'signaling-contacts' })
    }
  }

  nextDeadline(): number {
    if (!this.#isActive) return Infinity
    const asks = this.#life && this.#mayFound(this.#life) && this.#life.isSignalingUp
    return Math.min(
      this.grains.nextDeadline(),
      this.#roster.nextDeadline(),
      this.#news.nextDeadline(),
      asks ? this.#askAt : Infinity,
    )
  }

  #attach(life: Life, mono: number): void {
    this.#roster.attach(life.table, mono)
    if (this.#isStarted) return
    this.#isStarted = true
    this.#askAt = mono
    this.grains.start(this.#now)
  }

  /**
   * Nobody is known to have a council, everybody who is known is there and agrees on who that is, and of those that
   * host something this process is the first by name. Two that both come to think so found two, see
   * `docs/grains.md`.
   */
  #mayFound(life: Life): boolean {
    const roster = this.#roster
    if (this.#options.kinds.size === 0) return false
    if (this.grains.council.group !== undefined) return false
    if (!life.knowsOthers || roster.table !== life.table || life.status !== 'up') return false
    if (life.gossip.convergence.state !== 'confirmed' || !roster.isWhole || roster.hasCouncil) return false
    const hosts = roster.seats().filter(({ process }) => roster.isHost(process))
    const { process } = this.#options
    return roster.isHost(process) && hosts.every((seat) => seat.process >= process)
  }

  #send(to: ProcessId, lane: GrainLane, bytes: Uint8Array): void {
    const life = this.#life
    const nodeId = this.#roster.lifeOf(to)
    if (!life || nodeId === undefined) return
    if (lane === 'grain' || lane === 'copy') return life.sendGrain(nodeId, lane, bytes)
    if (bytes.length > MAX_DATAGRAM) return life.sendGrain(nodeId, 'grain', bytes)
    life.sendDatagram(nodeId, bytes, this.#now.mono)
  }

  #isLinked(other: ProcessId): boolean {
    const nodeId = this.#roster.lifeOf(other)
    const path = nodeId === undefined ? 'none' : this.#life?.pathTo(nodeId, this.#now.mono)
    return path === 'direct' || path === 'relayed'
  }

  #onFault(from: ProcessId, reason: string): void {
    const nodeId = this.#roster.lifeOf(from)
    if (nodeId !== undefined) this.#life?.onGrainFault(nodeId, reason, this.#isProven, this.#now.mono)
  }
}

/** What is alike, where many come at once. */
const groupOf = (event: CountedEvent): string =>
  `${event.type} ${event.kind} ${event.type === 'grain-deactivated' ? event.reason : ''}`
