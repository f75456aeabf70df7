/**
 * One membership of this process in one cluster, from the claim of an identity to the last closed link: builds the
 * core and its driver, and keeps what users read of them up to date.
 */
import type {
  ClusterEvent,
  ClusterStatus,
  Convergence,
  Link,
  Member,
  NodeId,
  TrafficCounters,
} from '../api.ts'
import type { NodeIdParts, ProcessId } from '../core/identity/node-id.ts'
import { createNodeId, parseNodeId, randomProcessId } from '../core/identity/node-id.ts'
import type { Input } from '../core/events.ts'
import { isUserStateKey } from '../core/membership/state-key.ts'
import type { Visibility } from '../core/membership/record.ts'
import { NodeCore } from '../core/node.ts'
import type { Limits, Tuning } from '../core/tuning.ts'
import { Driver } from '../driver/driver.ts'
import { ClusterError } from '../errors.ts'
import type { ClusterOptions } from '../options.ts'
import { DEFAULT_JOIN_TIMEOUT_MS, DEFAULT_LIMITS, DEFAULT_MAX_LINKS, DEFAULT_TUNING } from '../options.ts'
import type { CancelTimer, Identity, Platform } from '../ports.ts'
import { EventLog } from './event-log.ts'
import { JoinAttempt } from './join-attempt.ts'
import { MemberList } from './members.ts'
import { PeerStateView } from './peer-states.ts'
import { createPlatform } from './platform.ts'
import { SnapshotKeeper } from './snapshot-keeper.ts'
import { Store } from './store.ts'
import { encodeValue } from './values.ts'

const NO_TRAFFIC: TrafficCounters = { messagesSent: 0, messagesReceived: 0, bytesSent: 0, bytesReceived: 0 }
const NOT_YET: Convergence = Object.freeze({ state: 'diffusing', viewHash: '0'.repeat(16) })

export class Membership {
  readonly name: string
  readonly events = new EventLog()
  readonly members: Store<readonly Member[]>
  readonly status: Store<ClusterStatus>
  readonly convergence: Store<Convergence>
  readonly links: Store<readonly Link[]>
  /** Settles with the join. */
  readonly ready: Promise<void>
  /** Settles when everything is ended and given back. */
  readonly over: Promise<void>
  readonly #options: ClusterOptions
  readonly #platform: Platform
  readonly #limits: Limits
  readonly #tuning: Tuning
  readonly #process: ProcessId
  readonly #join: JoinAttempt
  readonly #memberList = new MemberList()
  readonly #peerStates = new Map<string, PeerStateView>()
  /** What was said before there was a core to say it to. */
  readonly #early: Input[] = []
  #meta: string
  #visibility: Visibility = 'visible'
  #core: NodeCore | undefined
  #driver: Driver | undefined
  #identity: Identity | undefined
  #snapshots: SnapshotKeeper | undefined
  #stopWatching: (() => void) | undefined
  #cancelJoinTimer: CancelTimer | undefined
  #finished = false
  #leaving = false
  /** The page was hidden for good as far as it knew; it may come back. */
  #suspended = false
  #resolveOver!: () => void

  /** Starts once `after` has settled. */
  constructor(name: string, options: ClusterOptions, after: Promise<void> = Promise.resolve()) {
    this.name = name
    this.#options = options
    this.#platform = createPlatform(options)
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits }
    this.#tuning = { ...DEFAULT_TUNING, ...options.tuning }
    this.#process = randomProcessId(this.#platform.random)
    this.#meta = encodeValue(options.meta, this.#limits.valueBytes, 'meta')
    this.#join = new JoinAttempt(options.joinTimeoutMs ?? DEFAULT_JOIN_TIMEOUT_MS)
    this.over = new Promise((resolve) => {
      this.#resolveOver = resolve
    })
    this.members = new Store(
      () => this.#memberKey(),
      (before) => (this.#core ? this.#memberList.build(this.#core, before) : []),
    )
    this.status = new Store(
      () => this.#statusNow(),
      () => this.#statusNow(),
    )
    this.convergence = new Store(
      () =>
        this.#core ? `${this.#core.gossipState} ${this.#core.viewHash} ${this.#core.convergenceMs}` : '',
      () => this.#convergenceNow(),
    )
    this.links = new Store(
      () => `${this.#core?.nodeId} ${this.#core?.linkRevision}`,
      () => Object.freeze([...(this.#core?.links() ?? [])]),
    )
    this.ready = this.#join.done
    this.ready.catch((error: unknown) => this.#end(error))
    this.#begin(after).catch((error: unknown) => this.#join.fail(error))
  }

  get isOver(): boolean {
    return this.#leaving || this.#finished
  }

  get self(): Member {
    const nodeId = this.#core?.nodeId
    return this.members.get().find((member) => member.nodeId === nodeId) ?? this.#selfNotListed()
  }

  get traffic(): TrafficCounters {
    return this.#driver ? { ...this.#driver.traffic } : NO_TRAFFIC
  }

  setMeta(meta: unknown): void {
    this.#requireOpen()
    this.#meta = encodeValue(meta, this.#limits.valueBytes, 'meta')
    this.#feed({ type: 'set-meta', meta: this.#meta })
  }

  /** @throws ClusterError `invalid-value` */
  peerState(key: string): PeerStateView {
    if (!isUserStateKey(key)) {
      const rule = 'use 1 to 64 printable ASCII characters, not starting with "$" or a space'
      throw new ClusterError(
        'invalid-value',
        `"${String(key).slice(0, 80)}" cannot be a peer state key: ${rule}.`,
      )
    }
    const known = this.#peerStates.get(key)
    if (known) return known
    const view = new PeerStateView(key, () => this.#core)
    this.#peerStates.set(key, view)
    return view
  }

  /** @throws ClusterError `too-large`, `invalid-value`, `left` */
  setPeerState(key: string, value: unknown): void {
    this.#requireOpen()
    const text =
      value === undefined ? undefined : encodeValue(value, this.#limits.valueBytes, `peer state "${key}"`)
    this.#feed({ type: 'set-peer-state', key, value: text })
  }

  /** Says goodbye and gives everything back. Idempotent. */
  leave(): Promise<void> {
    if (!this.isOver) {
      this.#leaving = true
      this.#join.fail(new ClusterError('aborted', 'The cluster was left before the join was done.'))
      if (this.#driver) this.#feed({ type: 'leave' })
      else this.#end()
    }
    return this.over
  }

  async #begin(after: Promise<void>): Promise<void> {
    const { signal } = this.#options
    if (signal) this.#watchAbort(signal)
    await after
    if (this.isOver) return
    this.#cancelJoinTimer = this.#platform.clock.timer(this.#join.timeoutMs, () => this.#join.expire())
    const identity = await this.#platform.identity.claim(this.name)
    if (this.isOver) return identity.release()
    this.#identity = identity
    if (identity.lost !== undefined) this.#tellLoss('identity', identity.lost)
    this.#stopWatching = this.#platform.lifecycle.watch({
      onVisibility: (visibility) => {
        this.#visibility = visibility
        if (this.#driver) this.#feed({ type: 'set-visibility', visibility })
      },
      onHide: () => this.#suspend(),
      onShow: () => void this.#resume(),
    })
    const { store, contacts } = await this.#openSnapshot(identity)
    if (this.isOver) return
    this.#snapshots = store
    this.#start(identity, identity.generation, contacts)
  }

  #start(identity: Identity, generation: number, contacts: readonly NodeId[]): void {
    const { random, clock, transport, signaling } = this.#platform
    const nodeId = createNodeId(identity.authority, generation, random)
    this.#core = new NodeCore({
      cluster: this.name,
      nodeId,
      process: this.#process,
      browser: identity.browser,
      meta: this.#meta,
      visibility: this.#visibility,
      random,
      maxLinks: this.#options.maxLinks ?? DEFAULT_MAX_LINKS,
      tuning: this.#tuning,
      limits: this.#limits,
      contacts,
    })
    this.#driver = new Driver({
      core: this.#core,
      room: this.name,
      clock,
      transport,
      signaling,
      nextLife: async () => createNodeId(identity.authority, await identity.nextGeneration(), random),
      onEvent: (event) => this.#onEvent(event),
      onTurn: () => this.#onTurn(),
      onRefused: (reason) => this.#join.refused(reason),
    })
    this.#driver.start()
    for (const input of this.#early.splice(0)) this.#driver.feed(input)
  }

  async #openSnapshot(identity: Identity): Promise<{ store?: SnapshotKeeper; contacts: readonly NodeId[] }> {
    const { snapshot, clock } = this.#platform
    if (!snapshot) return { contacts: [] }
    const store = new SnapshotKeeper(snapshot, clock, this.name, (reason) =>
      this.#tellLoss('snapshot', reason),
    )
    return { store, contacts: await store.knownContacts(identity.authority) }
  }

  /** The page goes away. It says goodbye now, since it may not get to say anything later. */
  #suspend(): void {
    if (!this.#driver || this.isOver || this.#suspended) return
    this.#suspended = true
    this.#feed({ type: 'leave' })
  }

  /** The page came back from the back/forward cache: a new life of the same process. */
  async #resume(): Promise<void> {
    if (!this.#suspended || this.isOver || !this.#identity) return
    this.#suspended = false
    this.#driver?.stop()
    this.#driver = undefined
    const generation = await this.#identity.nextGeneration()
    if (this.isOver) return
    this.#start(this.#identity, generation, [])
    this.#announce()
  }

  #watchAbort(signal: NonNullable<ClusterOptions['signal']>): void {
    const onAbort = () => {
      this.#join.fail(
        new ClusterError('aborted', 'The join was aborted by its signal.', { cause: signal.reason }),
      )
      void this.leave()
    }
    if (signal.aborted) return onAbort()
    signal.addEventListener('abort', onAbort)
    void this.over.then(() => signal.removeEventListener('abort', onAbort))
  }

  #feed(input: Input): void {
    if (this.#driver) this.#driver.feed(input)
    else this.#early.push(input)
  }

  #onEvent(event: ClusterEvent): void {
    this.#join.notice(event)
    if (event.type === 'peer-state') this.#peerStates.get(event.key)?.invalidate()
    else if (event.type === 'member-status' || event.type === 'reborn') {
      for (const view of this.#peerStates.values()) view.invalidate()
    }
    this.events.add(event)
  }

  #onTurn(): void {
    this.#announce()
    if (this.#core) this.#snapshots?.notice(this.#core)
    if (this.#core?.status === 'left' && !this.#suspended) this.#end()
  }

  #announce(): void {
    this.status.announce()
    this.members.announce()
    this.links.announce()
    this.convergence.announce()
    for (const view of this.#peerStates.values()) view.store.announce()
  }

  /** Ends everything, whatever state it is in; with `error` where the join failed. */
  #end(error?: unknown): void {
    if (this.#finished) return
    if (error !== undefined && this.#driver && this.#core?.status !== 'left') {
      // Whoever let us in already is told that we are gone.
      this.#driver.feed({ type: 'leave' })
    }
    this.#finished = true
    this.#cancelJoinTimer?.()
    this.#join.fail(error ?? new ClusterError('aborted', 'The cluster was left before the join was done.'))
    this.#stopWatching?.()
    this.#driver?.stop()
    this.#snapshots?.close()
    this.#identity?.release()
    this.#announce()
    this.#resolveOver()
  }

  #tellLoss(what: 'identity' | 'snapshot', reason: string): void {
    this.#onEvent({ type: 'storage', at: this.#platform.clock.now().wall, what, reason })
  }

  #requireOpen(): void {
    if (this.isOver) throw new ClusterError('left', `This process has left cluster "${this.name}".`)
  }

  #statusNow(): ClusterStatus {
    if (this.#finished) return 'left'
    if (this.#leaving) return this.#core?.status === 'left' ? 'left' : 'leaving'
    return this.#core?.status ?? 'joining'
  }

  #memberKey(): string {
    const core = this.#core
    return core ? `${core.nodeId} ${core.table.membershipRevision} ${core.linkRevision}` : ''
  }

  #convergenceNow(): Convergence {
    const core = this.#core
    if (!core) return NOT_YET
    const { gossipState: state, viewHash, convergenceMs: durationMs } = core
    return Object.freeze(durationMs === undefined ? { state, viewHash } : { state, viewHash, durationMs })
  }

  /** Before the first life, and after the last one was removed. */
  #selfNotListed(): Member {
    const nodeId = this.#core?.nodeId ?? ''
    const { authority, generation }: Omit<NodeIdParts, 'nonce'> = parseNodeId(nodeId) ?? {
      authority: this.#identity?.authority ?? '',
      generation: this.#identity?.generation ?? 0,
    }
    return Object.freeze({
      nodeId,
      authority,
      generation,
      incarnation: 0,
      status: this.#core ? 'removed' : 'joining',
      meta: this.#options.meta,
      self: true,
      visibility: this.#visibility,
      path: 'self',
      linkedTo: Object.freeze([]),
    })
  }
}
