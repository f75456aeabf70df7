/**
 * GrainLoad: what users of a simulated room do with grains, and whether grains keep their promises (DESIGN section 17).
 *
 * Grains are logs: a handler adds the name of its call, or hands one on to another log by a nested call first; the
 * reply says at which place. So the whole history can be checked at the end:
 *
 * G1, G5 what was acknowledged is there, at the place that was told, and what began after it has a later place: there
 * was one log all the time. G2 nothing is there twice. G4 every call ends, once. A log whose last holders were all gone
 * at once is lost, and must say so (G3): it never begins anew in silence.
 *
 * With `majority` a council that has lost most of its voters for good decides nothing any more: then a log that has also
 * lost one of its holders need not be readable. Whatever can be read all the same must be right.
 */
import type { PublishedCouncil } from '../core/council/published-council.ts'
import { COUNCIL_KEY, parseCouncil } from '../core/council/published-council.ts'
import type { Output } from '../core/events.ts'
import type { HostedKind } from '../core/grain/grain-outputs.ts'
import { DEFAULT_KIND_TUNING } from '../core/grain/grain-outputs.ts'
import type { GrainOutput } from '../core/grain/grain-outputs.ts'
import type { ProcessId } from '../core/identity/node-id.ts'
import type { MapEntry } from '../core/partition/partition.ts'
import { parsePartition, partitionOf } from '../core/partition/partition.ts'
import type { CallEnd } from '../core/rpc/calls.ts'
import type { Random } from '../core/time.ts'
import { coreOf } from './core-node.ts'
import type { InvariantName } from './invariants.ts'
import type { SimulatedProcess } from './process.ts'
import { exponential, pick, seededRandom } from './random.ts'
import type { Timeline } from './timeline.ts'

/**
 * `available` and `majority` as in the option `partition`, where the former has no partitions in its storms, since each
 * side of one goes on; `parted` is the former with partitions: then a log is merged of what each side has, so nothing is
 * promised of the places that were told in them, but that all is there afterwards, once.
 */
export type GrainMode = 'available' | 'majority' | 'parted'

export interface GrainLoadOptions {
  readonly timeline: Timeline
  readonly seed: number
  /** Whether all that was acknowledged is of one history. */
  readonly isOneHistory: boolean
  /** Whether a council that has lost most of its voters goes on, by force. */
  readonly isContinued: boolean
  readonly present: () => Iterable<SimulatedProcess>
  readonly report: (invariant: InvariantName, node: string, what: string) => void
}

/** What was counted of the grains of one run. */
export interface GrainCounts {
  readonly called: number
  readonly done: number
  /** Ended with an error, by its code. */
  readonly failed: Readonly<Record<string, number>>
  /** Logs that were lost with their last holders. */
  readonly lost: number
}

export const LOG_KIND = 'log'
/** Kept in memory a short while only, so that logs are put away and taken up again within a run. */
export const LOG_KINDS: ReadonlyMap<string, HostedKind> = new Map([
  [LOG_KIND, { ...DEFAULT_KIND_TUNING, idleMs: 4_000, version: 1, accepts: [1] }],
])

const KEYS = ['likes', 'votes', 'board', 'chat', 'undo', 'money']
const CALL_EVERY_MS = 60
const HANDLER_MS = [0, 0, 1, 5, 30] as const
const READ_BOUND_MS = 60_000
const LOST = 'the log was lost'

interface Call {
  readonly process: SimulatedProcess
  readonly key: string
  /** `undefined` for a read, and for what a handler asks of another log. */
  readonly name: string | undefined
  /** The log that it is handed on to first. */
  readonly target: string | undefined
  readonly startedAt: number
  end: CallEnd | undefined
  endedAt: number
  readonly onEnd: ((end: CallEnd) => void) | undefined
}

interface Running {
  readonly key: string
  names: string[]
}

export class GrainLoad {
  readonly #options: GrainLoadOptions
  readonly #random: Random
  readonly #calls = new Map<number, Call>()
  readonly #running = new Map<SimulatedProcess, Map<number, Running>>()
  /** The newest that anybody ever held for true of each key's partition; for each council, where there may be several. */
  readonly #entries = new Map<string, { readonly key: string; readonly group: string; entry: MapEntry }>()
  /** Entries before a partition began anew, as long as one of its holders may come back with what it had. */
  readonly #former = new Set<{
    readonly key: string
    readonly inSync: readonly ProcessId[]
    readonly epoch: number
  }>()
  readonly #processes = new Map<ProcessId, SimulatedProcess>()
  readonly #lost = new Set<string>()
  /** Lost, if what stood in the log of a council that was lost with it had been decided: nobody can tell any more. */
  readonly #doubtful = new Set<string>()
  #ids = 0
  #isOn = false

  constructor(options: GrainLoadOptions) {
    this.#options = options
    this.#random = seededRandom(options.seed, 'grains')
  }

  get counts(): GrainCounts {
    const failed: Record<string, number> = {}
    let done = 0
    for (const { end, name } of this.#calls.values()) {
      if (name === undefined) continue
      if (end?.type === 'result') done++
      else if (end) failed[end.code] = (failed[end.code] ?? 0) + 1
    }
    const called = [...this.#calls.values()].filter(({ name }) => name !== undefined).length
    return { called, done, failed, lost: this.#lost.size }
  }

  start(): void {
    this.#isOn = true
    this.#plan()
  }

  stop(): void {
    this.#isOn = false
  }

  /** A process begins; a process id is used by one page load only. */
  born(process: SimulatedProcess): void {
    this.#processes.set(coreOf(process.node)!.process, process)
  }

  onOutput(process: SimulatedProcess, output: Extract<Output, { type: 'grain' | 'grain-ended' }>): void {
    if (output.type === 'grain') return this.#execute(process, output.output)
    const call = this.#calls.get(output.id)!
    if (call.end)
      this.#options.report('G4 every call ends once', process.label, `call ${output.id} ended twice`)
    call.end = output.end
    call.endedAt = this.#options.timeline.now
    call.onEnd?.(output.end)
  }

  /**
   * To be called whenever a process is gone, at once: was it the last one that held something? A moment later the council
   * may have given that to another, and nobody would know.
   */
  look(): void {
    for (const process of this.#options.present()) this.#readEntries(process)
    const isHeld = ({ inSync }: MapEntry): boolean => inSync.some((id) => this.#processes.get(id)?.alive)
    for (const { key, entry } of this.#entries.values()) if (!isHeld(entry)) this.#lost.add(key)
    this.#lookAtFormer()
    for (const process of this.#options.present())
      for (const [key, entry] of logEntriesOf(process)) {
        const decided = this.#entries.get(`${key} ${this.#groupOf(process)}`)?.entry.epoch ?? 0
        if (entry.epoch > decided && !isHeld(entry)) this.#doubtful.add(key)
      }
    if (!this.#options.isOneHistory) this.#retire()
  }

  /**
   * A partition may be given up while a holder sleeps, where most of the council is lost. If that holder wakes it brings
   * what it had; if it ends before that, all is lost. Who knows of the new beginning and keeps nothing has brought it.
   */
  #lookAtFormer(): void {
    for (const former of this.#former) {
      const { key, inSync, epoch } = former
      const { kind, slot } = parsePartition(partitionOf(LOG_KIND, key))!
      const holders = inSync.flatMap((id) => this.#processes.get(id) ?? []).filter(({ alive }) => alive)
      const hasBrought = ({ node }: SimulatedProcess): boolean => {
        const { council, holdings } = coreOf(node)!.grains
        return holdings.strays.size === 0 && (council.entry(kind, slot)?.epoch ?? 0) >= epoch
      }
      if (holders.length === 0) this.#lost.add(key)
      if (holders.every(hasBrought)) this.#former.delete(former)
    }
  }

  /** Councils that nobody follows any more have nothing to lose, once all that they had is handed on. */
  #retire(): void {
    const grains = [...this.#options.present()].map(({ node }) => coreOf(node)!.grains)
    if (grains.some(({ holdings }) => holdings.strays.size > 0)) return
    const groups = new Set(grains.map(({ council }) => council.group))
    for (const [name, { group }] of this.#entries) if (!groups.has(group)) this.#entries.delete(name)
  }

  /** Calls that have not ended, of processes that are there. */
  pending(): string[] {
    return [...this.#calls].flatMap(([id, { process, end, key }]) =>
      end || !process.alive ? [] : [`${id} of ${process.label} to ${key}`],
    )
  }

  /** Reads all logs and holds them against what was told. `pass` lets time go by. */
  check(pass: (ms: number) => void): void {
    if (!this.#options.isOneHistory) this.#awaitStrays(pass)
    const logs = new Map<string, readonly string[]>()
    for (const key of KEYS) {
      const names = this.#readAll(key, pass)
      if (names) logs.set(key, names)
    }
    for (const [key, names] of logs) this.#checkLog(key, names)
    for (const { name, target, end } of this.#calls.values()) {
      const log = end?.type === 'result' && target !== undefined ? logs.get(target) : undefined
      if (log && !this.#lost.has(target!) && !log.includes(name!))
        this.#options.report(
          'G5 what was acknowledged is there',
          '*',
          `${target} was handed ${name}, and has it not`,
        )
    }
  }

  #awaitStrays(pass: (ms: number) => void): void {
    const { timeline, present, report } = this.#options
    const until = timeline.now + READ_BOUND_MS
    const astray = (): SimulatedProcess | undefined =>
      [...present()].find(({ node }) => coreOf(node)!.grains.holdings.strays.size > 0)
    while (astray() && timeline.now < until) pass(500)
    const keeper = astray()
    if (keeper) report('G5 what was acknowledged is there', keeper.label, 'it gets rid of no stray')
  }

  #plan(): void {
    this.#options.timeline.after(exponential(this.#random, CALL_EVERY_MS), () => {
      if (!this.#isOn) return
      if (!this.#options.isOneHistory) this.look()
      const random = this.#random
      const able = [...this.#options.present()].filter((process) => !process.frozen)
      if (able.length > 0) {
        const process = pick(random, able)
        const target = random() < 0.2 ? pick(random, KEYS) : undefined
        const key = pick(random, KEYS)
        this.#call(process, key, `c${this.#ids + 1}`, target === key ? undefined : target)
      }
      this.#plan()
    })
  }

  #call(process: SimulatedProcess, key: string, name: string, target?: string): void {
    const id = this.#enter(process, key, name, target)
    const [method, args] = target === undefined ? ['add', name] : ['move', `${name} ${target}`]
    process.input({ type: 'grain-call', request: { id, kind: LOG_KIND, key, method, args: bytesOf(args) } })
  }

  #enter(
    process: SimulatedProcess,
    key: string,
    name?: string,
    target?: string,
    onEnd?: Call['onEnd'],
  ): number {
    const id = ++this.#ids
    const startedAt = this.#options.timeline.now
    this.#calls.set(id, { process, key, name, target, startedAt, end: undefined, endedAt: 0, onEnd })
    return id
  }

  #execute(process: SimulatedProcess, output: GrainOutput): void {
    const running = this.#running.get(process) ?? new Map<number, Running>()
    this.#running.set(process, running)
    const ms = pick(this.#random, HANDLER_MS)
    switch (output.type) {
      case 'activate':
        if (output.lost) return this.#refuse(process, output.activation, ms)
        return this.#activate(process, running, output, ms)
      case 'invoke':
        return this.#invoke(process, running, output, ms)
      case 'restore': {
        const restored = running.get(output.activation)
        if (restored) restored.names = namesIn(output.state)
        return
      }
      case 'passivate':
        running.delete(output.activation)
        return process.later(ms, { type: 'grain-passivated', activation: output.activation })
      case 'abort':
        running.delete(output.activation)
    }
  }

  /** What another side of a partition has, and this one has not, comes behind. */
  #activate(
    process: SimulatedProcess,
    running: Map<number, Running>,
    { activation, key, state, others }: Extract<GrainOutput, { type: 'activate' }>,
    ms: number,
  ): void {
    const names = [...new Set([state, ...(others ?? [])].flatMap(namesIn))]
    running.set(activation, { key, names })
    const settled = others && { state: bytesOf(names.join(' ')), isMerged: true }
    process.later(ms, { type: 'grain-activated', activation, ...(settled && { settled }) })
  }

  /** A log that was lost does not start anew. */
  #refuse(process: SimulatedProcess, activation: number, ms: number): void {
    process.later(ms, { type: 'grain-activated', activation, problem: bytesOf(LOST) })
  }

  #invoke(
    process: SimulatedProcess,
    running: Map<number, Running>,
    { activation, invocation, method, args }: Extract<GrainOutput, { type: 'invoke' }>,
    ms: number,
  ): void {
    const [name = '', target] = textOf(args).split(' ')
    const finish = (): void => {
      const log = running.get(activation)
      if (!log) return
      if (method === 'read') {
        const bytes = bytesOf(log.names.join(' '))
        return process.later(0, { type: 'grain-invoked', invocation, invoked: { type: 'ok', bytes } })
      }
      log.names = [...log.names, name]
      const invoked = {
        type: 'ok',
        bytes: bytesOf(String(log.names.length)),
        state: bytesOf(log.names.join(' ')),
      } as const
      process.later(0, { type: 'grain-invoked', invocation, invoked })
    }
    const fail = (): void =>
      process.later(0, {
        type: 'grain-invoked',
        invocation,
        invoked: { type: 'error', bytes: bytesOf('the other log did not take it') },
      })
    this.#soon(process, ms, () => {
      if (target === undefined) return finish()
      const parent = coreOf(process.node)!.parentOf(invocation, process.now)
      if (!parent) return
      const onEnd = (end: CallEnd): void => (end.type === 'result' ? finish() : fail())
      const id = this.#enter(process, target, undefined, undefined, onEnd)
      const request = { id, kind: LOG_KIND, key: target, method: 'add', args: bytesOf(name), parent }
      process.input({ type: 'grain-call', request })
    })
  }

  #soon(process: SimulatedProcess, ms: number, run: () => void): void {
    this.#options.timeline.after(ms, () => {
      if (process.alive && !process.hold(run)) run()
    })
  }

  #readEntries(process: SimulatedProcess): void {
    const { council } = coreOf(process.node)!.grains
    const group = this.#groupOf(process)
    for (const key of KEYS) {
      const { kind, slot } = parsePartition(partitionOf(LOG_KIND, key))!
      const entry = council.entry(kind, slot)
      const known = this.#entries.get(`${key} ${group}`)
      if (!entry || entry.epoch <= (known?.entry.epoch ?? 0)) continue
      if (known && known.entry.born !== entry.born)
        this.#former.add({ key, inSync: known.entry.inSync, epoch: entry.epoch })
      this.#entries.set(`${key} ${group}`, { key, group, entry })
    }
  }

  /** Of which council its entries are, where there may be several. */
  #groupOf({ node }: SimulatedProcess): string {
    return this.#options.isOneHistory ? '' : (coreOf(node)!.grains.council.group ?? '')
  }

  #readAll(key: string, pass: (ms: number) => void): string[] | undefined {
    const { timeline, present, report } = this.#options
    const isPromised = !this.#mayStandStill(key)
    const until = timeline.now + READ_BOUND_MS
    let problem = 'nobody is there'
    while (timeline.now < until) {
      const process = pick(this.#random, [...present()])
      const id = this.#enter(process, key)
      process.input({
        type: 'grain-call',
        request: { id, kind: LOG_KIND, key, method: 'read', args: bytesOf('') },
      })
      while (!this.#calls.get(id)!.end && timeline.now < until) pass(100)
      const { end } = this.#calls.get(id)!
      if (end?.type === 'result') return namesIn(end.bytes)
      const saysLost = end?.code === 'activation-failed' && end.bytes && textOf(end.bytes) === LOST
      if (saysLost && this.#doubtful.has(key)) this.#lost.add(key)
      if (saysLost && (this.#lost.has(key) || !this.#hadAny(key))) return undefined
      problem = end ? end.code : 'a call has no end'
      if (!isPromised) return undefined
      pass(500)
    }
    if (!this.#lost.has(key))
      report('G5 what was acknowledged is there', '*', `${key} cannot be read: ${problem}`)
    return undefined
  }

  /**
   * Whether anything was acknowledged of it. Where one side of a partition of the network has given its partition up,
   * whose holders were on the other, nobody can tell afterwards that nothing ever was in it: then it is told as lost.
   */
  #hadAny(key: string): boolean {
    if (this.#options.isOneHistory) return true
    return [...this.#calls.values()].some(
      (call) => isDone(call, key) || (isDone(call) && call.target === key),
    )
  }

  /**
   * Whether a log may stand still for ever: somebody who holds it is gone, and nobody is left to decide who goes on,
   * since most voters are gone for good, whoever is asked. With a single holder the leader's lease is gone with them.
   */
  #mayStandStill(key: string): boolean {
    if (this.#options.isContinued) return false
    const isAlive = (id: ProcessId): boolean => this.#processes.get(id)?.alive ?? false
    const holders = this.#entries.get(`${key} `)?.entry.inSync ?? []
    if (holders.length > 1 && holders.every(isAlive)) return false
    return [...this.#options.present()].every((process) => {
      const voters = votersOf(process)
      return voters.length > 0 && voters.filter(isAlive).length <= voters.length / 2
    })
  }

  #checkLog(key: string, names: readonly string[]): void {
    const { report } = this.#options
    const places = new Map(names.map((name, i) => [name, i + 1]))
    if (places.size < names.length) {
      const twice = names.find((name, i) => names.indexOf(name) < i)
      report('G2 nothing takes effect twice', '*', `${key} has ${twice} twice`)
    }
    if (this.#lost.has(key)) return
    const done = [...this.#calls.values()].filter((call) => isDone(call, key))
    for (const { name, end } of done) {
      const told = end?.type === 'result' ? Number(textOf(end.bytes)) : 0
      const place = places.get(name!)
      if (this.#options.isOneHistory ? place !== told : place === undefined)
        report('G5 what was acknowledged is there', '*', `${key} has ${name} at ${place}, told was ${told}`)
    }
    if (!this.#options.isOneHistory) return
    let latest = 0
    for (const call of done.toSorted((a, b) => a.startedAt - b.startedAt)) {
      const before = done.filter(({ endedAt }) => endedAt < call.startedAt)
      for (const { name } of before) latest = Math.max(latest, places.get(name!) ?? 0)
      if ((places.get(call.name!) ?? Infinity) < latest)
        report('G1 a log is one log', '*', `${key} has ${call.name} before what ended before it began`)
    }
  }
}

/** Whether it was acknowledged; where a key is given, by that log. */
const isDone = ({ key, name, end }: Call, of = key): boolean =>
  key === of && name !== undefined && end?.type === 'result'

/** Of each log, the newest that a process would tell whoever continues its council: it may have been decided. */
function* logEntriesOf({ node }: SimulatedProcess): Generator<[string, MapEntry]> {
  const slots = new Map(coreOf(node)!.grains.council.surveyed()).get(LOG_KIND)
  if (!slots) return
  const newest = new Map(slots)
  for (const key of KEYS) {
    const entry = newest.get(parsePartition(partitionOf(LOG_KIND, key))!.slot)
    if (entry) yield [key, entry]
  }
}

/** The voters of the council that a process follows, as it was told last: published is only what is committed. */
function votersOf({ node }: SimulatedProcess): readonly ProcessId[] {
  const { group } = coreOf(node)!.grains.council
  let newest: PublishedCouncil | undefined
  for (const { peerState } of node.view.members()) {
    const council = parseCouncil(peerState.get(COUNCIL_KEY))
    if (!council || council.group !== group) continue
    if (!newest || council.index > newest.index) newest = council
  }
  return newest?.voters ?? []
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()
const bytesOf = (text: string): Uint8Array => encoder.encode(text)
const textOf = (bytes: Uint8Array): string => decoder.decode(bytes)
const namesIn = (bytes: Uint8Array | undefined): string[] =>
  bytes && bytes.length > 0 ? textOf(bytes).split(' ') : []
