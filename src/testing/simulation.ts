/**
 * One seeded run: a room forms, rests, changes, goes through a storm of faults, is healed, and must agree again.
 * Same options, same trace, byte for byte.
 */
import type { ClusterEvent, Input, LinkId, Output } from '../core/events.ts'
import type { Lane } from '../core/wire/frames.ts'
import { DEFAULT_LIMITS, DEFAULT_TUNING } from '../core/tuning.ts'
import type { Limits, Tuning } from '../core/tuning.ts'
import type { Random } from '../core/time.ts'
import { DEFAULT_MAX_LINKS } from '../options.ts'
import { ActionRunner } from './actions.ts'
import type { Room } from './actions.ts'
import { DetectionMeasures } from './detection-measures.ts'
import type { Detected } from './detection-measures.ts'
import { drawFaults, withoutFaults } from './faults.ts'
import type { Faults } from './faults.ts'
import { differences, Invariants } from './invariants.ts'
import type { Violation } from './invariants.ts'
import { SimulatedLinks } from './links.ts'
import { GrainLoad, LOG_KINDS } from './grain-load.ts'
import type { GrainCounts, GrainMode } from './grain-load.ts'
import { Mail } from './mail.ts'
import type { MailCounts } from './mail.ts'
import { Measures } from './measures.ts'
import type { Measured, PhaseName } from './measures.ts'
import type { ProcessObserver, SimulatedProcess } from './process.ts'
import { pick, seededRandom } from './random.ts'
import { planSchedule } from './schedule.ts'
import type { Action, Plan } from './schedule.ts'
import { SignalingRoom } from './signaling-room.ts'
import type { NodeFactory } from './simulated-node.ts'
import { Tabs } from './tabs.ts'
import { Timeline } from './timeline.ts'
import { describeEvent, describeInput, traceLine, TraceHash } from './trace.ts'
import { UnreachableWatch } from './unreachable-watch.ts'

export interface SimulationOptions {
  readonly seed: number
  /** Members when the room has formed; during the storm between half of it and a fifth more. */
  readonly nodes: number
  /** What to run: `createCoreNode` or a model. */
  readonly create: NodeFactory
  /** Default 8, as for users. */
  readonly maxLinks?: number
  /** Default: drawn from the seed, see `drawFaults`. */
  readonly faults?: Faults
  /** Share of the members that have no WebRTC, and link by relay alone. Default 0. */
  readonly relayOnlyShare?: number
  /** Share of the pairs that never find a direct connection to each other. Default 0. */
  readonly blockedShare?: number
  /** Over the defaults. Removal and tombstone times not given here are drawn from the seed. */
  readonly tuning?: Partial<Tuning>
  readonly limits?: Partial<Limits>
  /**
   * Virtual time of the phases, in ms. Default 8,000, 8,000 and, drawn from the seed, 20,000 to 240,000.
   */
  readonly idleMs?: number
  readonly calmMs?: number
  readonly stormMs?: number
  /** Whether members send each other messages while it is calm and in the storm. Default false. */
  readonly mail?: boolean
  /** Whether members use grains in the storm, and what becomes of these where the room falls apart. Default: none. */
  readonly grains?: GrainMode | undefined
  /** Takes the trace as readable lines. */
  readonly trace?: (line: string) => void
}

export interface SimulationResult {
  readonly seed: number
  readonly violations: readonly Violation[]
  /** What was still different when the time for healing had passed; empty if all agreed. */
  readonly differences: readonly string[]
  readonly traceHash: string
  readonly mail: MailCounts
  readonly grains?: GrainCounts
  readonly measured: Measured & { readonly detected: Detected }
  /** Living processes at the end, for whoever wants to look closer. */
  readonly processes: readonly SimulatedProcess[]
}

/** A room must have formed this long after its last member came. */
const FORM_BOUND_MS = 45_000
/** How often phases are measured and, where they wait for agreement, looked at. */
const LOOK_EVERY_MS = 250
/** Messages begin this often, on the average, in the whole room. */
const MAIL_EVERY_MS = 100
/** Ways of several links are tried again after 15 s at most, and a few times. */
const DRAIN_BOUND_MS = 60_000
/** Agreement must last this long to count. */
const STEADY_MS = 3_000
/** Between agreement and the idle phase, so that what follows from forming is not counted as idle. */
const REST_MS = 5_000
const IDLE_MS = 8_000
const CALM_MS = 8_000
/** As many actions in each: the longer ones have room for partitions and for sleep in which removals happen. */
const STORMS_MS = [20_000, 20_000, 20_000, 20_000, 20_000, 75_000, 75_000, 240_000] as const

/**
 * How long after healing all must agree. A dead link is noticed after at most `silenceMaxMs`; an attempt under way may
 * first have to fail (`linkTimeoutMs`), the next one waits at most `redialMaxMs`; two sides that do not know of each
 * other meet through contacts within three healing rounds; then hashes are compared for a few status periods. A life
 * that died in the storm is removed `removeAfterMs` after it was found unreachable; a member removed by mistake comes
 * back by rebirth and one more round of the same.
 */
export function healBoundMs(tuning: Tuning, faults: Faults): number {
  const meet = tuning.linkTimeoutMs + tuning.redialMaxMs + 3 * tuning.healIntervalMs
  const compare = (tuning.quietPeriods + 2) * tuning.statusIntervalMs
  return faults.silenceMaxMs + 2 * (meet + compare) + tuning.removeAfterMs
}

/**
 * How long a live member may be shown `unreachable` by one that is connected to it. Whoever has a link to it shows it
 * the accusation with the next ack, and it refutes; if either gets lost with a closing link, hashes are compared
 * after a few status periods, on the way there and on the way back.
 */
export function refutationBoundMs(tuning: Tuning): number {
  return tuning.probeIntervalMs + 2 * (tuning.quietPeriods + 2) * tuning.statusIntervalMs
}

/** Runs one seed from beginning to end. */
export function simulate(options: SimulationOptions): SimulationResult {
  return new Simulation(options).run()
}

class Simulation implements ProcessObserver, Room {
  readonly timeline = new Timeline()
  readonly links: SimulatedLinks
  readonly signaling: SignalingRoom
  readonly invariants: Invariants
  readonly measures = new Measures()
  readonly #detection = new DetectionMeasures()
  readonly #unreachable: UnreachableWatch
  readonly observer = this
  readonly #options: SimulationOptions
  readonly #tuning: Tuning
  readonly #faults: Faults
  readonly #plan: Plan
  readonly #hash = new TraceHash()
  readonly #present = new Map<number, SimulatedProcess>()
  readonly #tabs: Tabs
  readonly #mail: Mail
  readonly #grains: GrainLoad | undefined
  readonly #actions: ActionRunner
  readonly #name = (text: string): string => this.#short(text)

  constructor(options: SimulationOptions) {
    const { seed, nodes } = options
    this.#options = options
    const random = seededRandom(seed, 'conditions')
    const drawn = drawFaults(random)
    const drawnStormMs = pick(random, STORMS_MS)
    const stormMs = options.stormMs ?? drawnStormMs
    this.#faults = options.faults ?? {
      ...drawn,
      actionEveryMs: (drawn.actionEveryMs * stormMs) / STORMS_MS[0],
    }
    const { grains } = options
    if (grains === 'available')
      this.#faults = { ...this.#faults, weights: { ...this.#faults.weights, partition: 0 } }
    this.#tuning = { ...DEFAULT_TUNING, ...drawTuning(random), ...options.tuning }
    const { maxLinks = DEFAULT_MAX_LINKS } = options
    this.invariants = new Invariants(maxLinks)
    this.#tabs = new Tabs({
      seed,
      create: options.create,
      maxLinks,
      relayOnlyShare: options.relayOnlyShare,
      kinds: grains && LOG_KINDS,
      partition: grains === 'majority' ? 'majority' : 'available',
      tuning: this.#tuning,
      limits: { ...DEFAULT_LIMITS, ...options.limits },
    })
    const calmMs = options.calmMs ?? CALM_MS
    this.#plan = planSchedule({ seed, nodes, faults: this.#faults, tuning: this.#tuning, calmMs, stormMs })
    this.#unreachable = new UnreachableWatch(refutationBoundMs(this.#tuning))
    const calmWeather = withoutFaults(this.#faults)
    this.links = new SimulatedLinks(this.timeline, calmWeather, seed, options.blockedShare)
    this.signaling = new SignalingRoom(this.timeline, calmWeather, seed)
    this.#actions = new ActionRunner(this)
    this.#grains =
      grains &&
      new GrainLoad({
        timeline: this.timeline,
        seed,
        isOneHistory: grains !== 'parted',
        isContinued: grains !== 'majority',
        present: () => this.#present.values(),
        report: (invariant, node, what) => this.invariants.report(invariant, this.timeline.now, node, what),
      })
    this.#mail = new Mail({
      timeline: this.timeline,
      seed,
      everyMs: MAIL_EVERY_MS,
      present: () => this.#present.values(),
      report: (invariant, node, what) => this.invariants.report(invariant, this.timeline.now, node, what),
    })
  }

  run(): SimulationResult {
    const { idleMs = IDLE_MS, calmMs = CALM_MS } = this.#options
    this.#enter('forming')
    this.#perform(this.#plan.forming)
    const lastJoin = this.#plan.forming.at(-1)?.at ?? 0
    this.#pass(lastJoin)
    this.measures.formedMs = this.#passUntilAgreed(FORM_BOUND_MS, 'every node comes up')
    this.#pass(REST_MS)
    this.#enter('idle')
    this.#pass(idleMs)
    this.#enter('calm')
    this.#perform(this.#plan.calm)
    this.#pass(calmMs)
    this.#enter('storm')
    if (this.#options.mail) this.#mail.start()
    this.#grains?.start()
    this.#detection.begin(this.timeline.now)
    this.links.faults = this.signaling.faults = this.#faults
    this.#perform(this.#plan.storm)
    this.#pass(this.#plan.stormMs)
    this.#enter('healing')
    this.#mail.stop()
    this.#grains?.stop()
    this.#heal()
    const bound = healBoundMs(this.#tuning, this.#faults)
    this.measures.healedMs = this.#passUntilAgreed(bound, 'M5 equal views after healing')
    this.#passUntilDelivered()
    this.#checkGrains()
    const left = this.differences(10)
    for (const process of this.#present.values()) this.#hash.text(process.node.view.viewHash)
    return {
      seed: this.#options.seed,
      violations: this.invariants.violations,
      differences: left,
      traceHash: this.#hash.hex,
      mail: this.#mail.counts,
      ...(this.#grains && { grains: this.#grains.counts }),
      measured: { ...this.measures.result(), detected: this.#detection.result(this.timeline.now) },
      processes: [...this.#present.values()],
    }
  }

  // What actions ask of a room.

  present(slot: number): SimulatedProcess | undefined {
    return this.#present.get(slot)
  }

  join(slot: number): void {
    const process = this.#tabs.load(slot, this)
    this.#present.set(slot, process)
    this.#detection.born(process, this.timeline.now)
    this.note(process, `starts as ${process.nodeId}`)
    this.#grains?.born(process)
    process.start()
  }

  /** Takes the process out of the room's truth; it may still run on for its goodbye. */
  depart(process: SimulatedProcess, crash?: { readonly silent: boolean }): void {
    if (this.#present.get(process.slot) !== process) return
    this.#present.delete(process.slot)
    this.#tabs.unload(process)
    const { now } = this.timeline
    this.measures.ended(process, now)
    if (crash) this.#detection.crashed(process, crash.silent, this.#present.values(), now)
    else this.#detection.left(process, now)
  }

  ended(): void {
    this.#grains?.look()
  }

  changed(process: SimulatedProcess, confirmable: boolean): void {
    if (!process.alive || process.node.view.status !== 'up') return
    this.measures.changed(process, confirmable, this.timeline.now, this.#present.values())
  }

  note(who: SimulatedProcess | undefined, text: string): void {
    const { trace } = this.#options
    if (trace) trace(traceLine(this.timeline.now, who?.label ?? '*', text))
  }

  // What processes tell.

  before(process: SimulatedProcess, input: Input): void {
    this.#hash.add(this.timeline.now, process.slot, input)
    if (!this.#options.trace) return
    const line = describeInput(input, this.#name)
    if (line !== undefined) this.note(process, line)
  }

  sent(process: SimulatedProcess, bytes: Uint8Array, linkId: LinkId, lane: Lane): void {
    this.measures.sent(bytes.length)
    if (this.#options.mail)
      this.#mail.onSent(
        process,
        (process.ends.get(linkId)?.peer?.host as SimulatedProcess | undefined)?.nodeId,
        lane,
        bytes,
      )
  }

  mail(process: SimulatedProcess, output: Extract<Output, { type: 'deliver' | 'outcome' }>): void {
    this.#mail.onOutput(process, output)
  }

  grain(process: SimulatedProcess, output: Extract<Output, { type: 'grain' | 'grain-ended' }>): void {
    this.#grains?.onOutput(process, output)
  }

  event(process: SimulatedProcess, event: ClusterEvent): void {
    this.#detection.event(process, event, this.timeline.now)
    if (this.#options.trace) this.note(process, describeEvent(event, this.#name))
  }

  after(process: SimulatedProcess): void {
    const { now } = this.timeline
    this.invariants.observe(process, now)
    this.measures.observe(process, now)
  }

  failed(process: SimulatedProcess, input: Input, error: unknown): void {
    const trouble = error instanceof Error ? (error.stack ?? error.message) : String(error)
    const what = `at input '${input.type}': ${trouble.split('\n').slice(0, 4).join(' | ')}`
    this.invariants.report('the node never throws', this.timeline.now, process.label, what)
    this.depart(process)
  }

  differences(limit: number): string[] {
    return differences([...this.#present.values()], limit)
  }

  #enter(phase: PhaseName): void {
    this.measures.enter(phase)
    this.note(undefined, `--- ${phase}`)
  }

  #perform(actions: readonly Action[]): void {
    for (const action of actions) {
      this.timeline.after(action.at, () => {
        this.#hash.text(action.type)
        this.#actions.perform(action)
      })
    }
  }

  #pass(ms: number): void {
    const end = this.timeline.now + ms
    while (this.timeline.now < end) this.#look(Math.min(LOOK_EVERY_MS, end - this.timeline.now))
  }

  /** Returns how long it took; a violation if it took longer than `bound`. */
  #passUntilAgreed(bound: number, invariant: 'every node comes up' | 'M5 equal views after healing'): number {
    const start = this.timeline.now
    let agreedAt = Infinity
    while (this.timeline.now - start <= bound + STEADY_MS) {
      const { now } = this.timeline
      if (this.differences(1).length > 0) agreedAt = Infinity
      else if (agreedAt === Infinity) agreedAt = now
      if (now - agreedAt >= STEADY_MS) return agreedAt - start
      this.#look(LOOK_EVERY_MS)
    }
    if (agreedAt - start <= bound) return agreedAt - start
    const left =
      this.differences(4)
        .map((text) => this.#name(text))
        .join('; ') || 'views keep changing'
    const what = `no lasting agreement within ${Math.round(bound / 1_000)} s: ${left}`
    this.invariants.report(invariant, this.timeline.now, '*', what)
    return bound
  }

  /** R3: once all agree, what can be delivered is. */
  #passUntilDelivered(): void {
    if (!this.#options.mail) return
    const end = this.timeline.now + DRAIN_BOUND_MS
    while (this.timeline.now < end && this.#mail.pending().length > 0) this.#look(LOOK_EVERY_MS)
    const pending = this.#mail.pending()
    if (pending.length === 0) return
    const what = `${pending.length} are pending: ${this.#name(pending.slice(0, 3).join('; '))}`
    this.invariants.report('R3 every message has one outcome', this.timeline.now, '*', what)
  }

  /** Every call ends by its deadline; then what is there is held against what was told. */
  #checkGrains(): void {
    const grains = this.#grains
    if (!grains) return
    const end = this.timeline.now + DRAIN_BOUND_MS
    while (this.timeline.now < end && grains.pending().length > 0) this.#look(LOOK_EVERY_MS)
    const pending = grains.pending()
    if (pending.length > 0) {
      const what = `${pending.length} have no end: ${pending.slice(0, 3).join('; ')}`
      this.invariants.report('G4 every call ends once', this.timeline.now, '*', what)
    }
    grains.check((ms) => this.#look(ms))
  }

  #look(ms: number): void {
    this.timeline.runUntil(this.timeline.now + ms)
    this.#grains?.look()
    const { now } = this.timeline
    this.measures.elapsed(ms / 1_000, this.#present.values())
    this.#unreachable.check(this.#present.values(), now, ({ label }, what) =>
      this.invariants.report('M7 a live member is not unreachable for ever', now, label, what),
    )
  }

  #heal(): void {
    this.links.faults = this.signaling.faults = withoutFaults(this.#faults)
    this.links.endPartition()
    this.signaling.unblock()
    for (const process of this.#present.values()) {
      process.throttle(0)
      process.thaw()
    }
  }

  /** NodeIds inside a text, replaced by the names of their processes. */
  #short(text: string): string {
    return text.replace(/[a-z2-7]{20}\.[0-9]+\.[a-z2-7]{10}/g, (nodeId) => this.invariants.name(nodeId))
  }
}

/**
 * Shorter than for users in most seeds, so that removal and forgetting happen within a run. Not shorter than it takes
 * every link to notice that it is dead: who removes before that counts members that are long out of reach.
 */
function drawTuning(random: Random): Partial<Tuning> {
  return {
    removeAfterMs: pick(random, [20_000, 20_000, 30_000, 60_000]),
    tombstoneMs: pick(random, [20_000, 60_000, 600_000]),
  }
}
