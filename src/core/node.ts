/**
 * NodeCore: the one door of the core. `handle` takes whatever happened and gives what is to be done; `nextDeadline`
 * tells when to come back if nothing happens. It routes, and decides nothing: membership, gossip, overlay and failure
 * do. No clock, no randomness, no platform: the simulator and a browser tab run the same bytes.
 *
 * Every input first runs what is due at `now`, so that a tab whose timers are throttled is driven by its messages.
 */
import type { Commons } from './commons.ts'
import type { Input, LinkId, Output } from './events.ts'
import type { HostedKind } from './grain/grain-outputs.ts'
import type { NodeId, ProcessId } from './identity/node-id.ts'
import type { KindVersions } from './published-kinds.ts'
import type { Parent } from './rpc/messages.ts'
import { Memory } from './gossip/memory.ts'
import type { GrainInput } from './grain-binding.ts'
import { GrainBinding } from './grain-binding.ts'
import type { GrainsTuning } from './grains.ts'
import type { Associations, QueuePolicy } from './association/associations.ts'
import type { EstablishedLink, Path } from './life.ts'
import { Life } from './life.ts'
import type { Visibility } from './membership/record.ts'
import { Outbox } from './outbox.ts'
import type { Now, Random } from './time.ts'
import type { Limits, Tuning } from './tuning.ts'
import type { OriginRange } from './wire/frames.ts'

export interface NodeOptions {
  readonly cluster: string
  readonly nodeId: NodeId
  /** What the authority is derived from; empty for a member that has no key, see `gossip/handshake.ts`. */
  readonly publicKey: Uint8Array
  readonly process: ProcessId
  readonly browser: string
  /** JSON text, or empty for none. */
  readonly meta: string
  readonly visibility: Visibility
  readonly random: Random
  /** Above a full mesh, a member seeks so many links at least. */
  readonly minLinks: number
  /** Up to this many others form a full mesh with this member. */
  readonly maxLinks: number
  /** Whether this process can have direct links. Default true. */
  readonly canLink?: boolean
  /** Whether the signaling server may carry links of this process. Default false. */
  readonly canRelay?: boolean
  /** What is done with messages for whom there is no way, when too many wait. Default `reject-new`. */
  readonly queuePolicy?: QueuePolicy
  readonly tuning: Tuning
  readonly limits: Limits
  /** What an earlier life of this authority knew, whole records: a hint, see `gossip/memory.ts`. */
  readonly remembered?: readonly OriginRange[]
  /** Kinds of grain that this process hosts. Default none: it calls grains of others, and keeps copies for them. */
  readonly kinds?: ReadonlyMap<string, HostedKind> | undefined
  readonly grainTuning?: GrainsTuning | undefined
  /**
   * What becomes of grains where most of those that decide who runs them are lost at once: those who are left go on, or
   * nothing moves any more. Default `available`.
   */
  readonly partition?: 'available' | 'majority' | undefined
  /** What kinds with `persist` hold is put out to be stored, and what is stored comes in as `grain-recalled`. */
  readonly keepsCopies?: boolean | undefined
  /** Where many nodes share a process: work that they share. */
  readonly commons?: Commons | undefined
}

export class NodeCore {
  #options: NodeOptions
  readonly #outbox = new Outbox()
  readonly #binding: GrainBinding
  #life: Life
  #links = 0
  #left = false

  constructor(options: NodeOptions) {
    this.#options = options
    const {
      process,
      random,
      kinds = new Map<string, HostedKind>(),
      tuning,
      grainTuning,
      partition,
      keepsCopies,
    } = options
    const { tombstoneMs } = tuning
    const outbox = this.#outbox
    this.#binding = new GrainBinding({
      process,
      random,
      outbox,
      kinds,
      tombstoneMs,
      tuning: grainTuning,
      partition,
      keepsCopies,
    })
    this.#life = this.#begin(options)
  }

  get nodeId(): NodeId {
    return this.#life.table.own
  }

  get table() {
    return this.#life.table
  }

  get status() {
    return this.#life.status
  }

  get gossipState() {
    return this.#life.gossip.convergence.state
  }

  get viewHash() {
    return this.#life.gossip.convergence.viewHash
  }

  /** Time from this member's newest change of view to `confirmed`, in ms. */
  get convergenceMs() {
    return this.#life.gossip.convergence.durationMs
  }

  /** Established links, with the smoothed round trip in ms where it was measured. */
  links(): readonly EstablishedLink[] {
    return this.#life.establishedLinks()
  }

  /** What is known of the authorities that messages go to, or come from. */
  get associations(): Associations {
    return this.#life.associations
  }

  /** Names this process through all its lives. */
  get process(): ProcessId {
    return this.#options.process
  }

  /** Grains of this process, and what it knows of those of others. */
  get grains() {
    return this.#binding.grains
  }

  /** What a handler that runs needs to call another grain; `undefined` once its right has ended. */
  parentOf(invocation: number, now: Now): Parent | undefined {
    return this.#binding.parentOf(invocation, now)
  }

  /** Versions of a kind that members host; `undefined` while this process was not told who is there. */
  versionsOf(kind: string): readonly KindVersions[] | undefined {
    return this.#binding.versionsOf(kind)
  }

  /** How a member is reached now. */
  pathTo(nodeId: NodeId, now: Now): Path {
    return this.#life.pathTo(nodeId, now.mono)
  }

  /** The members that a frame for this one would pass, this process first; `undefined` where there is no way. */
  hopsTo(nodeId: NodeId, now: Now): readonly NodeId[] | undefined {
    return this.#life.hopsTo(nodeId, now.mono)
  }

  /** Established links. */
  get linkCount() {
    return this.#life.linkCount
  }

  /** Members as an earlier life knew them; empty once the cluster has told, and where nothing is remembered. */
  get remembered(): readonly OriginRange[] {
    return this.#life.memory.ranges
  }

  /** Grows whenever `links()` may have changed; starts anew with each life. */
  get linkRevision() {
    return this.#life.linkRevision
  }

  /**
   * What happened, and when. What happened in one go is handed over in one go: its consequences are drawn once. The
   * outputs are to be executed in order.
   */
  handle(inputs: Input | readonly Input[], now: Now): Output[] {
    this.#outbox.begin(now.wall)
    if (!this.#left) {
      this.#binding.turn(now)
      this.#life.tick(now.mono)
      if (isMany(inputs)) for (const input of inputs) this.#handle(input, now)
      else this.#handle(inputs, now)
      this.#life.settle(now.mono)
      this.#left = this.#life.status === 'left'
    }
    return this.#outbox.take()
  }

  /** When `handle` wants to be called at the latest, on the monotonic clock; `undefined` for never. */
  nextDeadline(): number | undefined {
    if (this.#left) return undefined
    const due = Math.min(this.#life.nextDeadline() ?? Infinity, this.#binding.nextDeadline())
    return due === Infinity ? undefined : due
  }

  #handle(input: Input, now: Now): void {
    if (input.type === 'reborn') this.#rebirth(input, now)
    else if (input.type === 'tick') this.#life.idle(now.mono)
    else if (isOfGrains(input)) this.#binding.handle(input, now)
    else {
      if (input.type === 'leave') this.#binding.leave(now)
      else if (input.type === 'set-visibility' && input.visibility !== 'visible')
        this.#binding.persistNow(now)
      this.#life.handle(input, now.mono)
      if (input.type === 'signaling-up' || input.type === 'signaling-contacts')
        this.#binding.onSignaling(input.contacts, input.quietMs ?? 0, now)
    }
  }

  #begin(options: NodeOptions): Life {
    const nextLinkId = (): LinkId => ++this.#links
    const memory = new Memory(this.#links === 0 ? (options.remembered ?? []) : [], options.nodeId)
    const life = new Life({ ...options, outbox: this.#outbox, nextLinkId, memory, grains: this.#binding })
    this.#binding.begin(life)
    return life
  }

  /** The process goes on as another life, with what it had to say of itself. */
  #rebirth({ nodeId, publicKey }: Extract<Input, { type: 'reborn' }>, now: Now): void {
    const old = this.#life
    if (!old.isOver) return
    const { meta, visibility, values, unsent } = old.legacy
    this.#options = { ...this.#options, nodeId, meta, visibility, ...(publicKey && { publicKey }) }
    this.#life = this.#begin(this.#options)
    this.#life.handle({ type: 'start' }, now.mono)
    for (const [key, value] of values) this.#life.handle({ type: 'set-peer-state', key, value }, now.mono)
    if (unsent.length > 0) this.#life.handle({ type: 'send', messages: unsent }, now.mono)
    this.#outbox.event({ type: 'reborn', old: old.table.own, nodeId, reason: old.endReason })
  }
}

const isOfGrains = (input: Input): input is GrainInput => input.type.startsWith('grain-')

const isMany = (inputs: Input | readonly Input[]): inputs is readonly Input[] => Array.isArray(inputs)
