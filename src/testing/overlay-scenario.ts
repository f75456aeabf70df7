/**
 * Large rooms: does the overlay stay whole, are its links bounded, and what does it cost? One seed is either a cluster
 * that has formed, rests, changes and then goes through one trouble, or a crowd that joins from nothing. Same options,
 * same trace, byte for byte.
 *
 * M2, M3, M4, M6 and the bound on links are checked after every input of every node, as in every run. Equal views are
 * found by hashes over every table's whole content, and compared member by member in a few tables only.
 */
import type { ClusterEvent, Input } from '../core/events.ts'
import { DEFAULT_LIMITS, DEFAULT_TUNING } from '../core/tuning.ts'
import { DEFAULT_MAX_LINKS, DEFAULT_MIN_LINKS } from '../options.ts'
import { ActionRunner } from './actions.ts'
import type { Room } from './actions.ts'
import type { Faults } from './faults.ts'
import { withoutFaults } from './faults.ts'
import { fillTables } from './formed-cluster.ts'
import { Invariants } from './invariants.ts'
import type { Violation } from './invariants.ts'
import { SimulatedLinks } from './links.ts'
import { componentsOf } from './overlay-graph.ts'
import { OverlayMeasures } from './overlay-measures.ts'
import type { OverlayMeasured } from './overlay-measures.ts'
import { describeTrouble, OVERLAY_FAULTS, planOverlay } from './overlay-plan.ts'
import type { OverlayKind, OverlayPlan } from './overlay-plan.ts'
import type { ProcessObserver, SimulatedProcess } from './process.ts'
import { shareWork } from './shared-work.ts'
import { SignalingRoom } from './signaling-room.ts'
import { healBoundMs, refutationBoundMs } from './simulation.ts'
import type { NodeFactory } from './simulated-node.ts'
import { Tabs } from './tabs.ts'
import { Timeline } from './timeline.ts'
import { describeEvent, describeInput, traceLine, TraceHash } from './trace.ts'
import { UnreachableWatch } from './unreachable-watch.ts'

export interface OverlayOptions {
  readonly seed: number
  readonly nodes: number
  readonly create: NodeFactory
  readonly kind: OverlayKind
  /** Default 8, as for users. */
  readonly maxLinks?: number
  /** Takes the trace as readable lines. */
  readonly trace?: (line: string) => void
}

export interface OverlayResult {
  readonly seed: number
  readonly kind: OverlayKind
  /** What a formed cluster went through, in words. */
  readonly trouble: string
  readonly violations: readonly Violation[]
  readonly traceHash: string
  readonly measured: OverlayMeasured
}

/** A loss, whatever its size, must be over within this: one component, equal views of exactly those who are left. */
export const AGREE_BOUND_MS = 30_000
/** A crowd must be in this long after its last member came. */
const JOIN_BOUND_MS = 90_000
/** Those who formed long ago find their links again within this. */
const FORM_BOUND_MS = 30_000
const LOOK_EVERY_MS = 250
/** M7 reads whole tables: it is looked at more rarely than in small rooms. */
const WATCH_EVERY_MS = 1_000
/**
 * Between forming and measuring: what follows from forming is not counted as idle. Whoever is in seeks its other links
 * within 3 s; an attempt of which a signal was lost ends after 10 s (`linkTimeoutMs`), is made again a second later, and
 * what came of it is published after 3 more.
 */
const REST_MS = 20_000
/** A crowd goes on for a while to find and to publish its last links. */
const REST_AFTER_JOIN_MS = 20_000
const IDLE_MS = 5_000
/** Between two changes: one has been heard of everywhere before the next is made. */
const CHANGE_EVERY_MS = 1_500

/** Runs one seed from beginning to end. */
export function simulateOverlay(options: OverlayOptions): OverlayResult {
  return new OverlayRun(options).run()
}

class OverlayRun implements ProcessObserver, Room {
  readonly timeline = new Timeline()
  readonly links: SimulatedLinks
  readonly signaling: SignalingRoom
  readonly observer = this
  readonly #options: OverlayOptions
  readonly #maxLinks: number
  readonly #plan: OverlayPlan
  readonly #invariants: Invariants
  readonly #unreachable = new UnreachableWatch(refutationBoundMs(DEFAULT_TUNING))
  #watchedAt = 0
  readonly #measures = new OverlayMeasures()
  readonly #hash = new TraceHash()
  readonly #present = new Map<number, SimulatedProcess>()
  readonly #tabs: Tabs
  readonly #actions = new ActionRunner(this)
  readonly #name = (text: string): string => this.#short(text)

  constructor(options: OverlayOptions) {
    const { seed, nodes, create, kind, maxLinks = DEFAULT_MAX_LINKS } = options
    this.#options = options
    this.#maxLinks = maxLinks
    this.#plan = planOverlay({ seed, nodes, kind })
    this.#invariants = new Invariants(maxLinks)
    this.links = new SimulatedLinks(this.timeline, OVERLAY_FAULTS, seed)
    this.signaling = new SignalingRoom(this.timeline, OVERLAY_FAULTS, seed)
    this.#tabs = new Tabs({
      seed,
      create,
      maxLinks,
      tuning: DEFAULT_TUNING,
      limits: DEFAULT_LIMITS,
      commons: shareWork(),
    })
  }

  run(): OverlayResult {
    const { kind, seed } = this.#options
    if (kind === 'join') this.#joinAll()
    else this.#form()
    this.#pass(kind === 'join' ? REST_AFTER_JOIN_MS : REST_MS)
    this.#measures.shape([...this.#present.values()])
    this.#rest()
    this.#change()
    if (kind !== 'join') this.#trouble()
    for (const process of this.#present.values()) this.#hash.text(process.node.view.viewHash)
    const { violations } = this.#invariants
    const trouble = describeTrouble(this.#plan.trouble)
    return { seed, kind, trouble, violations, traceHash: this.#hash.hex, measured: this.#measures.result() }
  }

  // What actions ask of a room.

  present(slot: number): SimulatedProcess | undefined {
    return this.#present.get(slot)
  }

  join(slot: number): void {
    this.#load(slot).start()
  }

  depart(process: SimulatedProcess): void {
    if (this.#present.get(process.slot) !== process) return
    this.#present.delete(process.slot)
    this.#tabs.unload(process)
  }

  changed(): void {}

  note(who: SimulatedProcess | undefined, text: string): void {
    const { trace } = this.#options
    if (trace) trace(traceLine(this.timeline.now, who?.label ?? '*', text))
  }

  // What processes tell.

  before(process: SimulatedProcess, input: Input): void {
    this.#hash.add(this.timeline.now, process.slot, input)
    if (input.type === 'link-message') {
      this.#measures.received(process, input.bytes.length, this.timeline.now)
    }
    if (!this.#options.trace) return
    const line = describeInput(input, this.#name)
    if (line !== undefined) this.note(process, line)
  }

  sent(process: SimulatedProcess, bytes: Uint8Array): void {
    this.#measures.sent(process, bytes.length, this.timeline.now)
  }

  dialled(process: SimulatedProcess, initiator: boolean): void {
    this.#measures.dialled(process, initiator, this.timeline.now)
  }

  event(process: SimulatedProcess, event: ClusterEvent): void {
    if (this.#options.trace) this.note(process, describeEvent(event, this.#name))
  }

  after(process: SimulatedProcess): void {
    const { now } = this.timeline
    this.#invariants.observe(process, now)
    this.#measures.observe(process, now)
  }

  failed(process: SimulatedProcess, input: Input, error: unknown): void {
    const trouble = error instanceof Error ? (error.stack ?? error.message) : String(error)
    const what = `at input '${input.type}': ${trouble.split('\n').slice(0, 4).join(' | ')}`
    this.#invariants.report('the node never throws', this.timeline.now, process.label, what)
    this.depart(process)
  }

  // Phases.

  /** A cluster that has been there for long: all know all, and only their links have yet to open. */
  #form(): void {
    this.#enter('forming')
    const processes = this.#plan.arrivals.map(({ slot }) => this.#load(slot))
    const minLinks = Math.min(DEFAULT_MIN_LINKS, this.#maxLinks)
    fillTables(
      processes.map(({ node }) => node),
      { minLinks, maxLinks: this.#maxLinks },
    )
    for (const { at, slot } of this.#plan.arrivals) {
      this.timeline.after(at, () => this.#present.get(slot)?.start())
    }
    this.#pass(this.#plan.arrivedMs)
    this.#measures.formedMs = this.#passUntilAgreed(FORM_BOUND_MS, 'every node comes up')
  }

  /** A crowd that comes within seconds, to an empty room. */
  #joinAll(): void {
    this.#enter('forming')
    for (const { at, slot } of this.#plan.arrivals) this.timeline.after(at, () => this.join(slot))
    this.#pass(this.#plan.arrivedMs)
    this.#measures.formedMs = this.#passUntilAgreed(JOIN_BOUND_MS, 'every node comes up')
  }

  #rest(): void {
    this.#enter('idle')
    this.#measures.beginIdle(this.#present.values())
    this.#pass(IDLE_MS)
    this.#measures.endIdle(IDLE_MS)
  }

  /** One member after the other changes its meta, and nothing else happens. */
  #change(): void {
    this.#enter('change')
    for (const slot of this.#plan.changes) {
      const process = this.#present.get(slot)
      if (!process) continue
      const { latencyMinMs, latencyMaxMs } = this.links.faults
      process.input({ type: 'set-meta', meta: JSON.stringify({ slot, changed: true }) })
      const latencyMs = (latencyMinMs + latencyMaxMs) / 2
      this.#measures.changed(process, latencyMs, this.timeline.now, this.#present.size)
      this.#pass(CHANGE_EVERY_MS)
      for (const lacking of this.#measures.endChange(this.#present.values(), this.timeline.now).slice(0, 3)) {
        const what = `did not hear of a change of ${process.label} within ${CHANGE_EVERY_MS} ms`
        this.#invariants.report('a change reaches all', this.timeline.now, lacking.label, what)
      }
    }
  }

  #trouble(): void {
    const { trouble } = this.#plan
    this.#enter(trouble.kind)
    this.#measures.beginTrouble()
    switch (trouble.kind) {
      case 'loss':
        for (const { slot, quick } of trouble.crashes) this.#crash(slot, quick)
        this.#measures.agreedMs = this.#passUntilAgreed(AGREE_BOUND_MS, 'O1 one component, equal views')
        return
      case 'partition': {
        const { side, ms, signaling } = trouble
        this.#actions.perform({ type: 'partition', at: 0, side, ms, signaling })
        this.#pass(ms)
        break
      }
      case 'storm': {
        const { faults, actions, ms } = trouble
        this.links.faults = this.signaling.faults = faults
        for (const action of actions) this.timeline.after(action.at, () => this.#actions.perform(action))
        this.#pass(ms)
        this.#heal(faults)
      }
    }
    const bound = healBoundMs(DEFAULT_TUNING, OVERLAY_FAULTS)
    this.#measures.agreedMs = this.#passUntilAgreed(bound, 'M5 equal views after healing')
  }

  #heal(faults: Faults): void {
    this.links.faults = this.signaling.faults = withoutFaults(faults)
    this.links.endPartition()
    this.signaling.unblock()
    for (const process of this.#present.values()) {
      process.throttle(0)
      process.thaw()
    }
  }

  #load(slot: number): SimulatedProcess {
    const process = this.#tabs.load(slot, this)
    this.#present.set(slot, process)
    this.note(process, `starts as ${process.nodeId}`)
    return process
  }

  #crash(slot: number, quick: boolean): void {
    const process = this.#present.get(slot)
    if (!process) return
    this.note(process, quick ? '! crashes, its links close' : '! crashes silently')
    this.#present.delete(slot)
    process.end(quick)
  }

  #enter(phase: string): void {
    this.note(undefined, `--- ${phase}`)
    this.#hash.text(phase)
  }

  #pass(ms: number): void {
    const end = this.timeline.now + ms
    while (this.timeline.now < end) this.#look(Math.min(LOOK_EVERY_MS, end - this.timeline.now))
  }

  /** Returns how long it took; a violation if it took longer than `bound`. */
  #passUntilAgreed(bound: number, invariant: Violation['invariant']): number {
    const start = this.timeline.now
    for (;;) {
      const took = this.timeline.now - start
      const left = this.#differences()
      if (left === undefined) return took
      if (took >= bound) {
        const what = `not after ${Math.round(bound / 1_000)} s: ${this.#short(left)}`
        this.#invariants.report(invariant, this.timeline.now, '*', what)
        return took
      }
      this.#look(LOOK_EVERY_MS)
    }
  }

  /** What is not yet as it must be: one component, and everybody shows exactly those who are here. */
  #differences(): string | undefined {
    const processes = [...this.#present.values()]
    const [first] = processes
    if (!first) return undefined
    const { viewHash } = first.node.view
    const odd = processes.find(({ node: { view } }) => view.status !== 'up' || view.viewHash !== viewHash)
    if (odd) {
      const { status, viewHash: other } = odd.node.view
      return status === 'up'
        ? `${odd.label} has view hash ${other}, others ${viewHash}`
        : `${odd.label} is ${status}`
    }
    const here = new Set(processes.map(({ nodeId }) => nodeId))
    let shown = 0
    for (const { nodeId, status } of first.node.view.members()) {
      if (status !== 'up') continue
      if (!here.has(nodeId)) return `all show ${nodeId} as up, which is gone`
      shown++
    }
    if (shown < processes.length) return `all show ${shown} of ${processes.length} members as up`
    const components = componentsOf(processes)
    if (components.length > 1) return `the links make ${components.length} components`
    return undefined
  }

  #look(ms: number): void {
    this.timeline.runUntil(this.timeline.now + ms)
    const { now } = this.timeline
    if (now - this.#watchedAt < WATCH_EVERY_MS) return
    this.#watchedAt = now
    this.#unreachable.check(this.#present.values(), now, ({ label }, what) =>
      this.#invariants.report('M7 a live member is not unreachable for ever', now, label, what),
    )
  }

  /** NodeIds inside a text, replaced by the names of their processes. */
  #short(text: string): string {
    return text.replace(/[a-z2-7]{20}\.[0-9]+\.[a-z2-7]{10}/g, (nodeId) => this.#invariants.name(nodeId))
  }
}
