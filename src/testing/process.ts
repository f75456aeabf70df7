/** One page load in the simulator: a node, its clocks, and the execution of what it asks for. */
import type { ClusterEvent, Input, LinkId, Output } from '../core/events.ts'
import { isStandInSignature, standInPublicKey, standInSignature } from '../adapters/memory/stand-in-keys.ts'
import { createNodeId } from '../core/identity/node-id.ts'
import type { Authority, NodeId } from '../core/identity/node-id.ts'
import type { Now, Random } from '../core/time.ts'
import type { LinkEnd, LinkHost, SimulatedLinks } from './links.ts'
import type { Lane } from '../core/wire/frames.ts'
import { between } from './random.ts'
import type { SignalingHost, SignalingRoom } from './signaling-room.ts'
import type { SimulatedNode } from './simulated-node.ts'
import { GRID_MS, onGrid } from './timeline.ts'
import type { Target, Timeline } from './timeline.ts'

/** 2026-01-01T00:00:00Z: the wall clock of a process without skew when the run begins. */
export const WALL_AT_START = Date.UTC(2026, 0, 1)
/** How long a key takes to sign or to verify. */
const KEY_MS = 1
/** A node that wants to be woken more often than this in one virtual second spins. */
const MAX_WAKES_PER_SECOND = 2_000

/** What a run wants to know of each process. */
export interface ProcessObserver {
  before(process: SimulatedProcess, input: Input): void
  /** An attempt at a link begins, from this side or, not as initiator, from the other. */
  dialled?(process: SimulatedProcess, initiator: boolean): void
  sent(process: SimulatedProcess, bytes: Uint8Array, linkId: LinkId, lane: Lane): void
  /** Messages of users that have come, or what became of those that were sent. */
  mail?(process: SimulatedProcess, output: Extract<Output, { type: 'deliver' | 'outcome' }>): void
  /** User code is to run, or a call has ended. */
  grain?(process: SimulatedProcess, output: Extract<Output, { type: 'grain' | 'grain-ended' }>): void
  event(process: SimulatedProcess, event: ClusterEvent): void
  after(process: SimulatedProcess, input: Input): void
  /** It runs nothing any more. */
  ended?(process: SimulatedProcess): void
  /** The node threw, or spins. The process is over. */
  failed(process: SimulatedProcess, input: Input, error: unknown): void
}

export interface ProcessSeed {
  readonly slot: number
  /** How many page loads this slot had before. */
  readonly load: number
  readonly authority: Authority
  readonly node: SimulatedNode
  readonly wallSkewMs: number
  readonly random: Random
  /** Commits and returns the next life of the same authority, or with `fresh` the first one of another. */
  readonly claim: (fresh: boolean) => { readonly authority: Authority; readonly generation: number }
}

/** The world around a process. */
export interface World {
  readonly timeline: Timeline
  readonly links: SimulatedLinks
  readonly signaling: SignalingRoom
  readonly observer: ProcessObserver
}

export class SimulatedProcess implements LinkHost, SignalingHost, Target {
  static readonly #turns: Target = { fire: (process) => (process as SimulatedProcess).#turn() }
  readonly slot: number
  readonly load: number
  readonly node: SimulatedNode
  readonly ends = new Map<LinkId, LinkEnd>()
  readonly bornAt: number
  /** Moves this process's wall clock. */
  wallSkewMs: number
  rebirths = 0
  readonly #world: World
  readonly #random: Random
  readonly #claim: ProcessSeed['claim']
  #authority: Authority
  readonly #held: (() => void)[] = []
  #alive = true
  #frozen = false
  /** Where the monotonic clock of this process is 0. */
  #monoOrigin: number
  /** Since when its monotonic clock stands still, if it does. */
  #asleepSince: number | undefined
  #throttleMs = 0
  /** Turns come at multiples of `#throttleMs` after this. */
  #throttlePhase = 0
  #slow = false
  #turnAt = Infinity
  #wakeAt = Infinity
  #wakes = 0
  #wakeSecond = 0

  constructor(seed: ProcessSeed, world: World) {
    this.slot = seed.slot
    this.load = seed.load
    this.#authority = seed.authority
    this.node = seed.node
    this.wallSkewMs = seed.wallSkewMs
    this.bornAt = world.timeline.now
    this.#monoOrigin = this.bornAt
    this.#world = world
    this.#random = seed.random
    this.#claim = seed.claim
  }

  get alive(): boolean {
    return this.#alive
  }

  /** It runs no code, and will not before its thaw. */
  get frozen(): boolean {
    return this.#frozen
  }

  /** Timers fire only this often; 0 is whenever they are due. */
  get throttleMs(): number {
    return this.#throttleMs
  }

  /** It runs, at its own pace. */
  get undisturbed(): boolean {
    return this.#alive && !this.#frozen && this.#throttleMs === 0
  }

  get authority(): Authority {
    return this.#authority
  }

  get nodeId(): NodeId {
    return this.node.nodeId
  }

  /** Short name in traces: slot, and which page load in it. */
  get label(): string {
    return `n${this.slot}${this.load > 0 ? `'${this.load}` : ''}`
  }

  get openLinks(): number {
    let count = 0
    for (const end of this.ends.values()) if (end.state === 'open') count++
    return count
  }

  /** Processes at the other ends of healthy links. */
  *neighbours(): Iterable<SimulatedProcess> {
    for (const end of this.ends.values()) {
      if (end.healthy && end.peer?.healthy) yield end.peer.host as SimulatedProcess
    }
  }

  start(): void {
    this.input({ type: 'start' })
    if (this.#alive) this.#world.signaling.join(this, this.nodeId)
  }

  /** What its clocks show. */
  get now(): Now {
    const { now } = this.#world.timeline
    return { mono: now - this.#monoOrigin, wall: WALL_AT_START + now + this.wallSkewMs }
  }

  input(input: Input): void {
    if (!this.#alive) return
    const { observer } = this.#world
    observer.before(this, input)
    try {
      const outputs = this.node.handle(input, this.now)
      for (const output of outputs) this.#execute(output)
    } catch (error) {
      observer.failed(this, input, error)
      this.end(true)
      return
    }
    observer.after(this, input)
    this.#schedule()
  }

  /** The wake-up that `nextDeadline` asked for. */
  fire(): void {
    const { now } = this.#world.timeline
    if (!this.#alive || now !== this.#wakeAt) return
    this.#wakeAt = Infinity
    if (this.#frozen) return
    const deadline = this.node.nextDeadline()
    if (deadline === undefined || deadline + this.#monoOrigin > now) this.#schedule()
    else if (this.#spins(now)) this.#spinning()
    else this.input({ type: 'tick' })
  }

  get holds(): boolean {
    return this.#frozen || this.#slow
  }

  hold(run: () => void): boolean {
    if (!this.holds) return false
    this.#held.push(run)
    if (this.#slow) this.#planTurn()
    return true
  }

  freeze(): void {
    this.#frozen = true
  }

  /** Frozen, and its monotonic clock stands still; the wall clock goes on. */
  sleep(): void {
    if (this.#frozen) return
    this.#frozen = true
    this.#asleepSince = this.#world.timeline.now
  }

  /** Everything that came meanwhile is delivered now, in order, then timers run. */
  thaw(): void {
    if (!this.#frozen) return
    this.#frozen = false
    if (this.#asleepSince !== undefined) this.#monoOrigin += this.#world.timeline.now - this.#asleepSince
    this.#asleepSince = undefined
    this.#deliverHeld()
  }

  /** The monotonic clock jumps forward: so much time passed without this process, and nobody else saw it. */
  jump(ms: number): void {
    this.#monoOrigin -= onGrid(ms)
    this.#schedule()
  }

  /**
   * From now on timers fire only every `everyMs`, as in a hidden tab; 0 ends that. With `slow` the whole process gets
   * its turns only then: messages too wait for them.
   */
  throttle(everyMs: number, slow = false): void {
    this.#throttleMs = everyMs
    this.#throttlePhase = onGrid(this.#random() * everyMs)
    this.#slow = slow && everyMs > 0
    this.#turnAt = Infinity
    if (this.#slow) {
      if (this.#held.length > 0) this.#planTurn()
    } else if (!this.#frozen) this.#deliverHeld()
  }

  /** The process is gone. With `quick` its links close at once, as after a goodbye or a killed renderer. */
  end(quick: boolean): void {
    if (!this.#alive) return
    this.#alive = false
    this.#world.observer.ended?.(this)
    this.#world.links.processEnded(this, quick)
    this.#world.signaling.processEnded(this)
  }

  #execute(output: Output): void {
    const { links, signaling, observer } = this.#world
    switch (output.type) {
      case 'link-send':
        if (links.send(this, output.linkId, output.bytes))
          observer.sent(this, output.bytes, output.linkId, output.lane)
        return
      case 'deliver':
      case 'outcome':
        observer.mail?.(this, output)
        return
      case 'grain':
      case 'grain-ended':
        observer.grain?.(this, output)
        return
      case 'event':
        observer.event(this, output.event)
        return
      case 'link-open':
        observer.dialled?.(this, output.initiator)
        links.open(this, output.linkId, output.initiator, output.relay ? signaling : undefined)
        return
      case 'link-signal':
        links.signal(this, output.linkId, output.data)
        return
      case 'link-close':
        links.close(this, output.linkId)
        return
      case 'signaling-send':
        signaling.send(this, output.to, output.data)
        return
      case 'signaling-contacts':
        signaling.askContacts(this)
        return
      case 'signaling-goodbye':
        signaling.goodbye(this)
        return
      case 'rebirth':
        this.#rebirth(output.fresh)
        return
      case 'sign': {
        const { linkId, bytes } = output
        const signature = standInSignature(standInPublicKey(this.#authority), bytes)
        this.later(KEY_MS, { type: 'signed', linkId, signature })
        return
      }
      case 'verify': {
        const { linkId, publicKey, authority, bytes, signature } = output
        const ok = isStandInSignature(publicKey, authority, bytes, signature)
        this.later(KEY_MS, { type: 'verified', linkId, ok })
      }
    }
  }

  /** Feeds an input after `ms`, unless the process is gone by then. */
  later(ms: number, input: Input): void {
    this.#world.timeline.after(ms, () => {
      const tell = () => this.input(input)
      if (this.#alive && !this.hold(tell)) tell()
    })
  }

  /** With `fresh` it becomes somebody else, as a tab does whose identity another one has. */
  #rebirth(fresh: boolean): void {
    this.rebirths++
    this.#world.timeline.after(between(this.#random, 1, 20), () => {
      const commit = () => {
        const { authority, generation } = this.#claim(fresh)
        this.#authority = authority
        const nodeId = createNodeId(authority, generation, this.#random)
        this.input({ type: 'reborn', nodeId, publicKey: standInPublicKey(authority) })
        if (this.#alive) this.#world.signaling.join(this, nodeId)
      }
      if (this.#alive && !this.hold(commit)) commit()
    })
  }

  #schedule(): void {
    if (!this.#alive || this.#frozen) return
    const deadline = this.node.nextDeadline()
    if (deadline === undefined) return
    const { timeline } = this.#world
    // Between two events the time need not be on the grid; the wake-up is, and is known by its time.
    const at = onGrid(this.#nextTurn(Math.max(deadline + this.#monoOrigin, timeline.now + GRID_MS)))
    if (at >= this.#wakeAt) return
    this.#wakeAt = at
    timeline.at(at, this, undefined)
  }

  #planTurn(): void {
    const { timeline } = this.#world
    const at = onGrid(this.#nextTurn(timeline.now))
    if (at >= this.#turnAt) return
    this.#turnAt = at
    timeline.at(at, SimulatedProcess.#turns, this)
  }

  /** What waited for the turn of a slow process is handled, unless it froze meanwhile. */
  #turn(): void {
    if (!this.#alive || this.#world.timeline.now !== this.#turnAt) return
    this.#turnAt = Infinity
    if (!this.#frozen) this.#deliverHeld()
  }

  #deliverHeld(): void {
    for (const run of this.#held.splice(0)) run()
    if (this.#alive) this.#schedule()
  }

  /** The first moment not before `time` at which timers may fire. */
  #nextTurn(time: number): number {
    const every = this.#throttleMs
    if (every === 0) return time
    return Math.ceil((time - this.#throttlePhase) / every) * every + this.#throttlePhase
  }

  #spins(now: number): boolean {
    const second = Math.floor(now / 1_000)
    if (second !== this.#wakeSecond) {
      this.#wakeSecond = second
      this.#wakes = 0
    }
    return ++this.#wakes > MAX_WAKES_PER_SECOND
  }

  #spinning(): void {
    const message = `asked for more than ${MAX_WAKES_PER_SECOND} wake-ups in one second`
    this.#world.observer.failed(this, { type: 'tick' }, new Error(message))
    this.end(true)
  }
}
