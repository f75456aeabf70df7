/**
 * One detection run: a room forms, then members crash now and then and newcomers come, over links with some loss and
 * latency; measured is how soon crashes are seen, and how often somebody is accused who lives. Same options, same
 * trace, byte for byte.
 */
import type { ClusterEvent, Input } from '../core/events.ts'
import { DEFAULT_LIMITS, DEFAULT_TUNING } from '../core/tuning.ts'
import type { Tuning } from '../core/tuning.ts'
import { DEFAULT_MAX_LINKS } from '../options.ts'
import { DetectionMeasures } from './detection-measures.ts'
import type { Detected } from './detection-measures.ts'
import { DETECTION_FAULTS, planDetection } from './detection-plan.ts'
import type { DetectionAction, DetectionPlan } from './detection-plan.ts'
import { SimulatedLinks } from './links.ts'
import type { ProcessObserver, SimulatedProcess } from './process.ts'
import { SignalingRoom } from './signaling-room.ts'
import type { NodeFactory } from './simulated-node.ts'
import { Tabs } from './tabs.ts'
import { Timeline } from './timeline.ts'
import { describeEvent, traceLine, TraceHash } from './trace.ts'

export interface DetectionOptions {
  readonly seed: number
  readonly nodes: number
  readonly create: NodeFactory
  /** Measured time, in virtual ms; the room forms before it. The last minute of it has no crash. */
  readonly ms: number
  /** Default 8, as for users. */
  readonly maxLinks?: number
  /** Share of the members that get no more than one wake-up a second. Default 0. */
  readonly throttledShare?: number
  /**
   * What that means. `timers`: as browsers do it, timers fire once a second, messages are handled when they come.
   * `slow`: the whole process gets a turn once a second. Default `timers`.
   */
  readonly throttle?: 'timers' | 'slow'
  /** Over the defaults; `PLAIN_SWIM` makes the baseline. */
  readonly tuning?: Partial<Tuning>
  /** Takes the trace as readable lines: what members say of each other. */
  readonly trace?: (line: string) => void
}

export interface DetectionResult extends Detected {
  readonly seed: number
  /** What must not be, one sentence each: the room did not form, a node threw, a crash was never seen by all. */
  readonly problems: readonly string[]
  readonly traceHash: string
}

/** SWIM without what Lifeguard and Grainmesh add: no suspicion, one observer, no local health, lateness ignored. */
export const PLAIN_SWIM: Partial<Tuning> = {
  suspicionMinMs: 0,
  suspicionMaxMs: 0,
  minObservers: 1,
  maxLocalHealth: 0,
  lateMs: Infinity,
}

const FORM_BOUND_MS = 90_000
const LOOK_EVERY_MS = 250
/** From when the room has formed until time counts: links and round trips settle. */
const REST_MS = 10_000
const THROTTLE_MS = 1_000

/** Runs one seed from beginning to end. */
export function simulateDetection(options: DetectionOptions): DetectionResult {
  return new DetectionRun(options).run()
}

class DetectionRun implements ProcessObserver {
  readonly timeline = new Timeline()
  readonly links: SimulatedLinks
  readonly signaling: SignalingRoom
  readonly observer = this
  readonly #options: DetectionOptions
  readonly #plan: DetectionPlan
  readonly #tabs: Tabs
  readonly #present = new Map<number, SimulatedProcess>()
  readonly #names = new Map<string, string>()
  readonly #measures = new DetectionMeasures()
  readonly #hash = new TraceHash()
  readonly #problems: string[] = []

  constructor(options: DetectionOptions) {
    const { seed, nodes, ms, create, maxLinks = DEFAULT_MAX_LINKS, throttledShare = 0 } = options
    this.#options = options
    this.#plan = planDetection({ seed, nodes, ms, throttledShare })
    this.links = new SimulatedLinks(this.timeline, DETECTION_FAULTS, seed)
    this.signaling = new SignalingRoom(this.timeline, DETECTION_FAULTS, seed)
    const tuning = { ...DEFAULT_TUNING, ...options.tuning }
    this.#tabs = new Tabs({ seed, create, maxLinks, tuning, limits: DEFAULT_LIMITS })
  }

  run(): DetectionResult {
    const { nodes, ms, seed } = this.#options
    for (let slot = 0; slot < nodes; slot++) this.#join(slot)
    this.#form()
    this.timeline.runUntil(this.timeline.now + REST_MS)
    this.#measures.begin(this.timeline.now)
    this.#note('*', '--- measured from here')
    for (const slot of this.#plan.throttled) this.#throttle(this.#present.get(slot))
    for (const action of this.#plan.actions) this.timeline.after(action.at, () => this.#perform(action))
    this.timeline.runUntil(this.timeline.now + ms)
    const detected = this.#measures.result(this.timeline.now)
    const unseen = detected.crashes.filter(({ allMs }) => Number.isNaN(allMs)).length
    if (unseen > 0) this.#problems.push(`${unseen} crash(es) were not seen by all until the end`)
    return { seed, ...detected, problems: this.#problems, traceHash: this.#hash.hex }
  }

  // What processes tell.

  before(process: SimulatedProcess, input: Input): void {
    this.#hash.add(this.timeline.now, process.slot, input)
  }

  sent(): void {}

  event(process: SimulatedProcess, event: ClusterEvent): void {
    this.#names.set(process.nodeId, process.label)
    this.#measures.event(process, event, this.timeline.now)
    const told = event.type === 'member-status' || event.type === 'status' || event.type === 'reborn'
    if (told && this.#options.trace) {
      this.#note(
        process.label,
        describeEvent(event, (id) => this.#names.get(id) ?? id),
      )
    }
  }

  after(): void {}

  failed(process: SimulatedProcess, input: Input, error: unknown): void {
    const trouble = error instanceof Error ? (error.stack ?? error.message) : String(error)
    this.#problems.push(
      `${process.label} threw at '${input.type}': ${trouble.split('\n').slice(0, 4).join(' | ')}`,
    )
    this.#present.delete(process.slot)
  }

  /** Until everybody shows everybody `up`. */
  #form(): void {
    const processes = [...this.#present.values()]
    const knowsAll = ({ node }: SimulatedProcess): boolean =>
      node.view.status === 'up' && processes.every(({ nodeId }) => node.view.statusOf(nodeId) === 'up')
    while (!processes.every(knowsAll)) {
      this.timeline.runUntil(this.timeline.now + LOOK_EVERY_MS)
      if (this.timeline.now < FORM_BOUND_MS) continue
      this.#problems.push(`the room did not form within ${FORM_BOUND_MS / 1_000} s`)
      return
    }
  }

  #perform(action: DetectionAction): void {
    if (action.type === 'join') {
      const newcomer = this.#join(action.slot)
      if (this.#plan.throttled.has(action.slot)) this.#throttle(newcomer)
      return
    }
    const process = this.#present.get(action.slot)
    if (!process) return
    this.#note(process.label, `! crashes${action.silent ? ' silently' : ', its links close'}`)
    this.#present.delete(action.slot)
    this.#measures.crashed(process, action.silent, this.#present.values(), this.timeline.now)
    process.end(!action.silent)
  }

  #join(slot: number): SimulatedProcess {
    const process = this.#tabs.load(slot, this)
    this.#present.set(slot, process)
    this.#measures.born(process, this.timeline.now)
    process.start()
    return process
  }

  #throttle(process: SimulatedProcess | undefined): void {
    process?.throttle(THROTTLE_MS, this.#options.throttle === 'slow')
  }

  #note(who: string, text: string): void {
    this.#options.trace?.(traceLine(this.timeline.now, who, text))
  }
}
