/**
 * One membership of this process in one cluster, from the claim of an identity to the last closed link: builds the
 * core and its driver, and keeps what users read of them up to date.
 */
import type {
  AssociationView,
  ClusterEvent,
  ClusterStatus,
  Convergence,
  Link,
  Member,
  ResolveResult,
  Trace,
} from '../api.ts'
import type { Authority, NodeId, NodeIdParts } from '../core/identity/node-id.ts'
import { isNodeId, parseNodeId, randomProcessId } from '../core/identity/node-id.ts'
import type { Input, Output } from '../core/events.ts'
import { isUserStateKey } from '../core/membership/state-key.ts'
import type { Visibility } from '../core/membership/record.ts'
import { NodeCore } from '../core/node.ts'
import type { Limits, Tuning } from '../core/tuning.ts'
import { Driver } from '../driver/driver.ts'
import type { Traffic } from '../driver/driver.ts'
import { ClusterError } from '../errors.ts'
import type { ClusterOptions } from '../options.ts'
import {
  DEFAULT_CALL_ALERT_MS,
  DEFAULT_JOIN_TIMEOUT_MS,
  DEFAULT_LIMITS,
  DEFAULT_MAX_LINKS,
  DEFAULT_MIN_LINKS,
  DEFAULT_TUNING,
} from '../options.ts'
import type { OriginRange } from '../core/wire/frames.ts'
import type { CancelTimer, Platform } from '../ports.ts'
import { show } from '../grains/arguments.ts'
import { DEFAULT_ACTIVATION_LIMITS } from '../grains/activation-host.ts'
import { valueCodec } from '../grains/codec.ts'
import { CopyKeeper } from './copy-keeper.ts'
import { EventLog } from './event-log.ts'
import { GrainHost } from './grain-host.ts'
import { hostedKinds } from './hosted-kinds.ts'
import { JoinAttempt } from './join-attempt.ts'
import { Mailboxes } from './mailboxes.ts'
import { MemberList } from './members.ts'
import { ClusterMetrics } from './metrics.ts'
import { OwnLives } from './own-lives.ts'
import type { OwnLife } from './own-lives.ts'
import { PeerStateView } from './peer-states.ts'
import { resolvePid } from './resolve.ts'
import { createPlatform } from './platform.ts'
import { SnapshotKeeper } from './snapshot-keeper.ts'
import { Revision, Store } from './store.ts'
import { decodeValue, encodeValue } from './values.ts'

const NOT_YET: Convergence = Object.freeze({ state: 'diffusing', viewHash: '0'.repeat(16) })

export class Membership {
  readonly name: string
  readonly events = new EventLog()
  readonly metrics: ClusterMetrics
  readonly members: Store<readonly Member[]>
  readonly status: Store<ClusterStatus>
  readonly convergence: Store<Convergence>
  readonly links: Store<readonly Link[]>
  readonly associations: Store<readonly AssociationView[]>
  readonly mailboxes: Mailboxes
  readonly grains: GrainHost
  /** Settles with the join. */
  readonly ready: Promise<void>
  /** Settles when everything is ended and given back. */
  readonly over: Promise<void>
  readonly #options: ClusterOptions
  readonly #platform: Platform
  readonly #limits: Limits
  readonly #tuning: Tuning
  readonly #join: JoinAttempt
  readonly #lives: OwnLives
  readonly #memberList = new MemberList()
  readonly #traffic: Traffic = {
    messagesSent: 0,
    messagesReceived: 0,
    bytesSent: 0,
    bytesReceived: 0,
    messagesDropped: 0,
  }
  readonly #peerStates = new Map<string, PeerStateView>()
  /** What this process publishes under each key; a life that begins publishes it anew. */
  readonly #values = new Map<string, string>()
  /** The keys of what is read, looked at after every turn. */
  readonly #seen = { members: new Revision(), links: new Revision(), convergence: new Revision() }
  #meta: string
  #visibility: Visibility = 'visible'
  /** Questions for the way to a member that are under way. */
  readonly #traces = new Map<number, (traced: Partial<Trace> | undefined) => void>()
  #traceIds = 0
  #core: NodeCore | undefined
  #driver: Driver | undefined
  #snapshots: SnapshotKeeper | undefined
  /** Where a kind is to outlive the room, and there is a disk. */
  readonly #copies: CopyKeeper | undefined
  #stopWatching: (() => void) | undefined
  #cancelJoinTimer: CancelTimer | undefined
  /** Gives back what was opened ahead of the first life, if it was not needed. */
  #unprepare: (() => void) | undefined
  #finished = false
  #leaving = false
  /** The page was hidden for good as far as it knew; it may come back. */
  #suspended = false
  #resolveOver!: () => void
  /** What `self` gives while the member list does not have it. */
  readonly #unlisted: Store<Member>

  /** Starts once `after` has settled. */
  constructor(name: string, options: ClusterOptions, after: Promise<void> = Promise.resolve()) {
    this.name = name
    this.#options = options
    this.#platform = createPlatform(options)
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits }
    this.#tuning = { ...DEFAULT_TUNING, ...options.tuning }
    this.#lives = new OwnLives({
      cluster: name,
      store: this.#platform.identity,
      random: this.#platform.random,
      onLoss: (reason) => this.#tellLoss('identity', reason),
    })
    this.#meta = encodeValue(options.meta, this.#limits.valueBytes, 'meta')
    this.#join = new JoinAttempt(options.joinTimeoutMs ?? DEFAULT_JOIN_TIMEOUT_MS)
    const ended = new Promise<void>((resolve) => {
      this.#resolveOver = resolve
    })
    // One that never began must not be over before the one it waits for: the next one waits only for this.
    this.over = Promise.all([ended, after]).then(() => undefined)
    this.members = new Store(
      () => this.#memberKey(),
      (before) => (this.#core ? this.#memberList.build(this.#core, before, this.#platform.clock.now()) : []),
    )
    this.#unlisted = new Store(
      () =>
        JSON.stringify([this.#core?.nodeId, this.#lives.identity?.authority, this.#visibility, this.#meta]),
      () => this.#selfNotListed(),
    )
    this.status = new Store(
      () => this.#statusNow(),
      () => this.#statusNow(),
    )
    this.convergence = new Store(
      () =>
        this.#seen.convergence.of(this.#core?.gossipState, this.#core?.viewHash, this.#core?.convergenceMs),
      () => this.#convergenceNow(),
    )
    this.links = new Store(
      () => this.#seen.links.of(this.#core?.nodeId, this.#core?.linkRevision),
      () => this.#linksNow(),
    )
    this.associations = new Store(
      () => (this.#core ? `${this.#core.nodeId} ${this.#core.associations.revision}` : ''),
      () => associationsOf(this.#core),
    )
    this.mailboxes = new Mailboxes({
      messageBytes: this.#limits.messageBytes,
      feed: (inputs) => {
        if (!this.#driver) return false
        this.#driver.feed(inputs)
        return true
      },
      onEvent: (event) => this.#onEvent({ at: this.#platform.clock.now().wall, ...event }),
    })
    this.grains = new GrainHost({
      kinds: options.grains ?? [],
      codec: options.codec ?? valueCodec,
      clock: this.#platform.clock,
      random: this.#platform.random,
      limits: DEFAULT_ACTIVATION_LIMITS,
      feed: (inputs, now) => {
        if (!this.#driver || this.#suspended) return false
        this.#driver.feed(inputs, now)
        return true
      },
      parentOf: (invocation) => this.#core?.parentOf(invocation, this.#platform.clock.now()),
      versionsOf: (kind) => this.#core?.versionsOf(kind),
      attemptsOf: (id) => this.#core?.grains.calls.attemptsOf(id) ?? 0,
      onThrew: (threw) =>
        this.#onEvent({ type: 'grain-threw', at: this.#platform.clock.now().wall, ...threw }),
      onCallEnded: (call) => this.metrics.callEnded(call),
    })
    this.metrics = new ClusterMetrics({
      isOn: options.metrics !== false,
      clock: this.#platform.clock,
      sources: {
        traffic: this.#traffic,
        members: this.members.get,
        links: this.links.get,
        bufferedBytes: () => this.#driver?.bufferedBytes ?? [],
        grains: {
          kinds: (options.grains ?? []).map(({ name: kind }) => kind),
          active: (kind) => this.#core?.grains.activations.active(kind) ?? 0,
          waiting: (kind) => this.#core?.grains.activations.waiting(kind) ?? 0,
          unstored: () => this.#core?.grains.holdings.unstored ?? 0,
          heldBytes: () => this.#core?.grains.holdings.bytes ?? 0,
        },
      },
      callAlertMs: options.callAlertMs ?? DEFAULT_CALL_ALERT_MS,
      onSlowCalls: (slow) => {
        const thresholdMs = options.callAlertMs ?? DEFAULT_CALL_ALERT_MS
        this.#onEvent({ type: 'slow-calls', at: this.#platform.clock.now().wall, thresholdMs, ...slow })
      },
    })
    this.#copies = this.#openCopies()
    this.ready = this.#join.done
    this.ready.then(
      () => this.#cancelJoinTimer?.(),
      (error: unknown) => this.#end(error),
    )
    this.#begin(after).catch((error: unknown) => this.#join.fail(error))
  }

  get isOver(): boolean {
    return this.#leaving || this.#finished
  }

  get self(): Member {
    const nodeId = this.#core?.nodeId
    return this.members.get().find((member) => member.nodeId === nodeId) ?? this.#unlisted.get()
  }

  setMeta(meta: unknown): void {
    this.#requireOpen()
    this.#meta = encodeValue(meta, this.#limits.valueBytes, 'meta')
    this.#feed({ type: 'set-meta', meta: this.#meta })
  }

  /** @throws ClusterError `invalid-value` */
  peerState(key: string): PeerStateView {
    if (typeof key !== 'string' || !isUserStateKey(key)) {
      const rule =
        'use 1 to 64 printable ASCII characters, not starting with "$" or a space, and no name like "constructor"'
      throw new ClusterError('invalid-value', `${show(key, 80)} cannot be a peer state key: ${rule}.`)
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
    if (value === undefined) {
      const message = `peer state "${key}" is undefined: give a value, or use clear()`
      throw new ClusterError('invalid-value', message)
    }
    const text = encodeValue(value, this.#limits.valueBytes, `peer state "${key}"`)
    const { peerStateKeys } = this.#limits
    if (!this.#values.has(key) && this.#values.size >= peerStateKeys) {
      const advice = 'clear one, or put several values under one key'
      throw new ClusterError(
        'too-large',
        `A member publishes under at most ${peerStateKeys} keys; "${key}" is one more: ${advice}.`,
      )
    }
    this.#values.set(key, text)
    this.#feed({ type: 'set-peer-state', key, value: text })
  }

  clearPeerState(key: string): void {
    this.#values.delete(key)
    this.#feed({ type: 'set-peer-state', key, value: undefined })
  }

  resolve(pid: string): ResolveResult {
    return resolvePid(pid, this.name, this.#core, this.#platform.clock.now())
  }

  release(authority: Authority): void {
    this.#feed({ type: 'release', authority })
  }

  /**
   * The members that a frame for this one would pass.
   * @throws ClusterError `invalid-value`
   */
  route(nodeId: NodeId): readonly NodeId[] | undefined {
    checkNodeId(nodeId)
    return this.#core?.hopsTo(nodeId, this.#platform.clock.now())
  }

  /** @throws ClusterError `invalid-value`, `unreachable`, `left` */
  async trace(nodeId: NodeId): Promise<Trace> {
    this.#requireOpen()
    checkNodeId(nodeId)
    const id = ++this.#traceIds
    const traced = await new Promise<Partial<Trace> | undefined>((resolve) => {
      this.#traces.set(id, resolve)
      if (this.#driver) this.#feed({ type: 'trace', nodeId, id })
      else this.#traced(id)
    })
    const { hops, rttMs } = traced ?? {}
    if (hops && rttMs !== undefined) return Object.freeze({ hops: Object.freeze(hops), rttMs })
    throw new ClusterError('unreachable', `There is no way to ${nodeId}, or it does not answer.`)
  }

  /** Says goodbye and gives everything back. Idempotent. */
  leave(): Promise<void> {
    if (!this.isOver) {
      this.#leaving = true
      this.#join.fail(new ClusterError('aborted', 'The cluster was left before the join was done.'))
      // A hidden page has said goodbye already, and does not come back to this cluster.
      this.#suspended = false
      if (this.#driver) this.#feed({ type: 'leave' })
      else this.#end()
    }
    return this.over
  }

  async #begin(after: Promise<void>): Promise<void> {
    await after
    if (this.isOver) return
    this.#setJoinTimer()
    this.#unprepare = this.#platform.signaling.prepare?.()
    this.#join.waitsFor = 'identity'
    const life = await this.#lives.first()
    if (this.isOver) return this.#lives.release()
    this.#join.keyless = life.publicKey.length === 0
    this.#stopWatching = this.#platform.lifecycle.watch({
      onVisibility: (visibility) => {
        this.#visibility = visibility
        this.#feed({ type: 'set-visibility', visibility })
      },
      onHide: () => this.#suspend(),
      onShow: () => void this.#resume().catch((error: unknown) => this.#end(error)),
    })
    this.#join.waitsFor = 'snapshot'
    const { store, remembered } = await this.#openSnapshot(life.identity.authority)
    if (this.isOver) return
    this.#join.waitsFor = undefined
    this.#snapshots = store
    this.#start(life, remembered)
  }

  #start({ identity, nodeId, publicKey }: OwnLife, remembered: readonly OriginRange[]): void {
    const { random, clock, transport, relay, signaling, keys } = this.#platform
    const { maxLinks = DEFAULT_MAX_LINKS } = this.#options
    this.#core = new NodeCore({
      cluster: this.name,
      nodeId,
      publicKey,
      // of this core: another one, after the page came back, has forgotten what this one was called and voted for
      process: randomProcessId(random),
      browser: identity.browser,
      meta: this.#meta,
      visibility: this.#visibility,
      random,
      maxLinks,
      canLink: transport !== false,
      canRelay: relay !== false,
      minLinks: this.#options.minLinks ?? Math.min(DEFAULT_MIN_LINKS, maxLinks),
      tuning: this.#tuning,
      limits: this.#limits,
      remembered,
      queuePolicy: this.#options.queue ?? 'reject-new',
      partition: this.#options.partition,
      kinds: hostedKinds(this.#options.grains ?? []),
      keepsCopies: this.#copies !== undefined,
    })
    this.#driver = new Driver({
      core: this.#core,
      room: this.name,
      clock,
      transport,
      relay,
      signaling,
      keys,
      traffic: this.#traffic,
      sign: (bytes) => this.#lives.sign(bytes),
      nextLife: (fresh) => this.#nextLife(fresh),
      onEvent: (event) => this.#onEvent(this.grains.readable(event)),
      onTask: () => this.grains.newTask(),
      onTurn: () => {
        this.mailboxes.answer()
        this.grains.flush()
      },
      onRest: () => this.#onRest(),
      onMessages: (output) => this.#onMessages(output),
      onGrain: (output) => {
        if (output.type === 'grain') this.grains.execute(output.output)
        else this.grains.ended(output.id, output.end)
      },
      onPersist: (writes) => void this.#copies?.persist(writes),
      onTraced: (traced) => this.#traced(traced.id, traced),
      onRefused: (reason) => this.#join.refused(reason),
    })
    this.#driver.start()
    void this.#copies?.recall()
    this.mailboxes.flush()
    this.grains.flush()
    for (const [key, value] of this.#values) this.#feed({ type: 'set-peer-state', key, value })
  }

  async #openSnapshot(
    authority: Authority,
  ): Promise<{ store?: SnapshotKeeper; remembered: readonly OriginRange[] }> {
    const { snapshot, clock } = this.#platform
    if (!snapshot) return { remembered: [] }
    const store = new SnapshotKeeper({
      store: snapshot,
      clock,
      cluster: this.name,
      onLoss: (reason) => this.#tellLoss('snapshot', reason),
      onWritten: (written) => this.metrics.snapshotWritten(written),
    })
    return { store, remembered: await store.remembered(authority) }
  }

  #openCopies(): CopyKeeper | undefined {
    const { copies: store, clock } = this.#platform
    if (!this.#options.grains?.some(({ options }) => options.persist)) return undefined
    const onLoss = (reason: string): void => this.#tellLoss('grains', reason)
    if (store)
      return new CopyKeeper({ store, clock, cluster: this.name, feed: (input) => this.#feed(input), onLoss })
    onLoss('kinds with `persist` are kept in memory alone: this process has nothing to store them')
    return undefined
  }

  /** The page goes away. It says goodbye now, since it may not get to say anything later. */
  #suspend(): void {
    if (!this.#driver || this.isOver || this.#suspended) return
    this.#suspended = true
    this.#cancelJoinTimer?.()
    this.#feed({ type: 'leave' })
  }

  /** The page came back from the back/forward cache: a new life of the same process. */
  async #resume(): Promise<void> {
    if (!this.#suspended || this.isOver || !this.#lives.identity) return
    this.#suspended = false
    this.#driver?.stop()
    this.#driver = undefined
    this.grains.restart()
    const life = await this.#nextLife(false)
    if (this.isOver) return
    if (!this.#join.settled) this.#setJoinTimer()
    this.#start(life, [])
    this.#announce()
  }

  async #nextLife(fresh: boolean): Promise<OwnLife> {
    try {
      return await this.#lives.next(fresh)
    } catch (error) {
      if (error instanceof ClusterError) {
        this.#join.fail(error)
        this.#end(error)
      }
      throw error
    }
  }

  #setJoinTimer(): void {
    this.#cancelJoinTimer = this.#platform.clock.timer(this.#join.timeoutMs, () => this.#join.expire())
  }

  /** Before there is a driver nothing is lost: a life begins with the meta, visibility and values of then. */
  #feed(input: Input): void {
    this.#driver?.feed(input)
  }

  #onMessages(output: Extract<Output, { type: 'deliver' | 'outcome' | 'progress' }>): void {
    if (output.type === 'deliver') this.mailboxes.deliver(output)
    else if (output.type === 'outcome') this.mailboxes.settled(output)
    else this.mailboxes.progress(output)
  }

  #traced(id: number, traced?: Partial<Trace>): void {
    this.#traces.get(id)?.(traced)
    this.#traces.delete(id)
  }

  #onEvent(event: ClusterEvent): void {
    // A join goes on where the page comes back.
    if (!this.#suspended) this.#join.notice(event)
    if (event.type === 'peer-state') this.#peerStates.get(event.key)?.invalidate()
    else if (event.type === 'member-status' || event.type === 'reborn') {
      for (const view of this.#peerStates.values()) view.invalidate()
    }
    this.metrics.notice(event)
    this.events.add(event)
  }

  #onRest(): void {
    this.#announce()
    if (this.#core) this.#snapshots?.notice(this.#core)
    if (this.#core?.status === 'left' && !this.#suspended) this.#end()
  }

  #announce(): void {
    this.status.announce()
    this.members.announce()
    this.links.announce()
    this.convergence.announce()
    this.associations.announce()
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
    this.#unprepare?.()
    this.#join.fail(error ?? new ClusterError('aborted', 'The cluster was left before the join was done.'))
    this.#stopWatching?.()
    this.#driver?.stop()
    for (const id of this.#traces.keys()) this.#traced(id)
    this.mailboxes.end()
    this.grains.end()
    this.#snapshots?.close()
    this.#lives.release()
    this.#announce()
    this.#resolveOver()
  }

  #tellLoss(what: 'identity' | 'snapshot' | 'grains', reason: string): void {
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

  #memberKey(): number {
    const core = this.#core
    const { members } = this.#seen
    if (!core) return members.of(undefined)
    return members.of(core.nodeId, core.table.shownRevision, core.linkRevision, core.remembered.length)
  }

  #linksNow(): readonly Link[] {
    const links: Link[] = []
    for (const { linkId, ...link } of this.#core?.links() ?? [])
      links.push(Object.freeze({ ...link, bufferedBytes: this.#driver?.bufferedBytesOf(linkId) ?? 0 }))
    return Object.freeze(links)
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
      authority: this.#lives.identity?.authority ?? '',
      generation: this.#lives.identity?.generation ?? 0,
    }
    return Object.freeze({
      nodeId,
      authority,
      generation,
      incarnation: 0,
      status: this.#core ? 'removed' : 'joining',
      suspected: false,
      meta: decodeValue(this.#meta),
      self: true,
      visibility: this.#visibility,
      path: 'self',
      linkedTo: Object.freeze([]),
    })
  }
}

/** @throws ClusterError `invalid-value` */
function checkNodeId(nodeId: unknown): void {
  // what `self` has before its first life
  if (nodeId === '' || (typeof nodeId === 'string' && isNodeId(nodeId))) return
  const advice = "give a member's nodeId, which is one life of its authority"
  throw new ClusterError('invalid-value', `${show(nodeId)} is no nodeId: ${advice}.`)
}

function associationsOf(core: NodeCore | undefined): readonly AssociationView[] {
  if (!core) return []
  const views: AssociationView[] = []
  for (const { authority, state, reason } of core.associations.all()) {
    views.push(Object.freeze({ authority, state, reason }))
  }
  return Object.freeze(views)
}
