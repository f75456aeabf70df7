/**
 * One activation: a grain's life in memory. It runs what the user wrote and says what that came to, in bytes; it knows
 * no network. Who may call when, how many at a time and where states are stored is for its host to decide.
 */
import { ClusterError } from '../errors.ts'
import type { CancelTimer } from '../ports.ts'
import type { ActivationHost, ActivationStart, Outcome } from './activation-host.ts'
import { checkFunction, show } from './arguments.ts'
import { encodeFault, faultOf, faultOfThrown } from './faults.ts'
import type { Fault } from './faults.ts'
import { checkArguments, checkResult } from './schema.ts'
import { StateCell } from './state.ts'
import type {
  GrainCallOptions,
  GrainContext,
  GrainKind,
  GrainRef,
  GrainSignal,
  State,
  StateOptions,
} from './types.ts'

interface Timer {
  readonly fn: () => unknown
  cancel: CancelTimer
  isDue: boolean
  isRunning: boolean
}

interface Run {
  readonly token: unknown
  /** The one that was begun before it and still runs. */
  before: Run | undefined
  /** Its changes were taken back while it ran. */
  isUndone: boolean
}

/**
 * Life: `activate`, then any number of `invoke` and `tick`, then `deactivate`; `abort` at any time. None of them rejects.
 *
 * Changes: a run that ends well takes along whatever the state is then. A run that fails while no other runs puts the
 * state back to where the last run that ended left it: with one call at a time, to where it was at its start. A run that
 * fails while others run puts nothing back, for nobody can tell whose change is whose; the next that ends well takes
 * that along. While nothing runs, the state cannot be changed.
 */
export class Activation {
  readonly #kind: GrainKind
  readonly #key: string
  readonly #host: ActivationHost
  readonly #methods = new Map<string, (...args: unknown[]) => unknown>()
  // What most grains never need is made when it is: ten thousand of them may lie in memory.
  /** What it starts from, until it is set up. */
  #start: ActivationStart | undefined
  #controller: AbortController | undefined
  /** Why it is over. */
  #endedBy: ClusterError | undefined
  #activating: (() => unknown)[] | undefined
  #deactivating: (() => unknown)[] | undefined
  #timers: Map<number, Timer> | undefined
  /** Those that run now; the newest leads to those before it. */
  #newest: Run | undefined
  #running = 0
  #target: object | undefined
  #cell: StateCell<unknown> | undefined
  #hasMerge = false
  #isSettingUp = false
  /** All that was given to `onActivate` has run. */
  #isActivated = false
  #nextTimer = 1
  /** What was last told to the host, and the way back to it. */
  #settled: Uint8Array | undefined
  #back: (() => void) | undefined
  /** A state that no cell reads, deleted by `clear()`. */
  #isCleared = false

  constructor(kind: GrainKind, start: ActivationStart, host: ActivationHost) {
    this.#kind = kind
    this.#key = start.key
    this.#start = start
    this.#host = host
    this.#settled = start.state
  }

  /** Runs the setup, merges what other sides have, then what was given to `onActivate`. A failed one is over. */
  async activate(): Promise<Outcome> {
    const outcome = await this.#run('setup', undefined, async () => {
      this.#setUp()
      for (const fn of this.#activating ?? []) await fn()
      this.#activating = undefined
      this.#isActivated = true
      return undefined
    })
    if (!outcome.ok) this.#end('it could not be activated')
    return outcome
  }

  /**
   * Runs a method.
   * @param args the list of arguments, encoded
   * @param token names this call to the host, for what it calls in turn. Of several calls that run at once the newest
   *   counts, and none where the kind's `concurrency` is above 1.
   */
  invoke(method: string, args: Uint8Array, token?: unknown): Promise<Outcome> {
    return this.#run(method, token, async () => {
      const handler = this.#methods.get(method)
      if (!handler) {
        const { name } = this.#kind
        throw new HostError(
          new ClusterError('unknown-method', `The kind "${name}" has no method "${method}".`),
        )
      }
      const schemas = this.#kind.options.schemas.get(method)
      let given = this.#decodeArguments(args)
      if (schemas?.args) given = await own(checkArguments(schemas.args, given))
      const result: unknown = await handler.apply(this.#target, given)
      return schemas?.result ? own(checkResult(schemas.result, result)) : result
    })
  }

  /** Runs a timer's function whose turn it is. `token`: as in `invoke`. */
  tick(timer: number, token?: unknown): Promise<Outcome> {
    return this.#run('every', token, async () => {
      const due = this.#timers?.get(timer)
      if (!due) return
      due.isRunning = true
      try {
        await due.fn()
      } finally {
        due.isDue = due.isRunning = false
      }
    })
  }

  /** A turn that a timer had asked for does not come: it may ask for the next one. */
  skip(timer: number): void {
    const due = this.#timers?.get(timer)
    if (due && !due.isRunning) due.isDue = false
  }

  /**
   * The host could not store what a run came to: the state is this one. Whatever still runs comes to `aborted`, since
   * its changes are gone with it.
   */
  restore(state: Uint8Array | undefined): void {
    if (this.isOver) return
    for (let run = this.#newest; run; run = run.before) run.isUndone = true
    this.#cell?.reset(state)
    this.#isCleared = false
    this.#settled = state
    this.#settle()
  }

  /** Whether the state is another one than after the last run that ended well. */
  get isChanged(): boolean {
    return this.#kept() !== this.#settled
  }

  /**
   * Ends timers, and runs what was given to `onDeactivate`: all of it, also where some throws. Call it when nothing runs;
   * it is over afterwards.
   */
  async deactivate(): Promise<Outcome> {
    this.#stopTimers()
    const outcome = await this.#run('onDeactivate', undefined, async () => {
      const thrown: unknown[] = []
      for (const fn of (this.#deactivating ?? []).toReversed()) {
        try {
          await fn()
        } catch (error) {
          thrown.push(error)
        }
      }
      for (const error of thrown.slice(1)) this.#tellThrown('onDeactivate', error)
      if (thrown.length > 0) throw thrown[0]
    })
    this.#end('it was deactivated')
    return outcome
  }

  /** Ends it at once: `signal` is aborted, whatever runs comes to `aborted`. */
  abort(reason: string): void {
    this.#end(reason)
  }

  get isOver(): boolean {
    return this.#endedBy !== undefined
  }

  /** Once it is set up: whether it makes one state of two. */
  get hasMerge(): boolean {
    return this.#hasMerge
  }

  /** Calls that run now. */
  get running(): number {
    return this.#running
  }

  async #run(method: string, token: unknown, body: () => Promise<unknown>): Promise<Outcome> {
    if (this.isOver) return this.#aborted()
    const run: Run = { token, before: this.#newest, isUndone: false }
    if (this.#running === 0) this.#settle()
    this.#newest = run
    this.#running++
    try {
      const result = await body()
      if (this.isOver) return this.#aborted()
      if (run.isUndone) throw new HostError(new ClusterError('aborted', UNDONE))
      const bytes = this.#encodeResult(result)
      this.#checkBytes()
      return this.#finish(bytes)
    } catch (thrown) {
      if (this.isOver) return this.#aborted()
      this.#tellThrown(method, thrown)
      if (this.#running === 1) {
        this.#back?.()
        this.#isCleared = false
      }
      const fault = answerIn(thrown) ?? faultOfThrown(thrown, this.#host.stacks)
      return { ok: false, error: encodeFault(fault) }
    } finally {
      this.#ended(run)
    }
  }

  #ended(run: Run): void {
    this.#running--
    if (this.#newest === run) this.#newest = run.before
    else for (let at = this.#newest; at; at = at.before) if (at.before === run) at.before = run.before
  }

  /** Of what its caller has done wrong, its caller alone is told. */
  #tellThrown(method: string, thrown: unknown): void {
    if (!(thrown instanceof HostError)) this.#host.onThrew?.(method, thrown)
    else if (method === 'every') this.#host.onThrew?.(method, thrown.error)
  }

  #finish(result: Uint8Array): Outcome {
    const before = this.#settled
    this.#settle()
    const newState = this.#settled
    return { ok: true, result, stateChanged: newState !== before, newState }
  }

  /** From here on, going back leads here. */
  #settle(): void {
    this.#back = this.#cell?.mark()
    this.#settled = this.#kept()
  }

  /** What is to be stored now. */
  #kept(): Uint8Array | undefined {
    if (this.#cell) return this.#cell.kept
    return this.#isCleared ? undefined : this.#settled
  }

  #setUp(): void {
    this.#isSettingUp = true
    let target: unknown
    try {
      target = this.#kind.setup(this.#context())
    } finally {
      this.#isSettingUp = false
      this.#start = undefined
    }
    const problem = this.#takeMethods(target)
    if (problem !== undefined) {
      throw new TypeError(`The setup of the kind "${this.#kind.name}" returned ${problem}.`)
    }
  }

  #takeMethods(target: unknown): string | undefined {
    if (typeof target !== 'object' || target === null) return 'no object of methods'
    if (typeof (target as { then?: unknown }).then === 'function') {
      return 'a promise, or has a method `then`: setup is not async, and awaiting a grain would call `then`'
    }
    this.#target = target
    for (let level: object | null = target; level && level !== Object.prototype;) {
      for (const name of Object.getOwnPropertyNames(level)) {
        if (name === 'then') return 'a member named `then`, which is not allowed'
        if (name.startsWith('$')) return `\`${name}\`: names that begin with $ are Grainmesh's own`
        if ((name === 'constructor' && level !== target) || this.#methods.has(name)) continue
        if (isOfObjects(name)) return `\`${name}\`, which every object has: choose another name`
        const method: unknown = (target as Record<string, unknown>)[name]
        if (typeof method !== 'function')
          return `\`${name}\`, which is no function: methods are all it may return, a class keeps its own in \`#${name}\``
        this.#methods.set(name, method as (...args: unknown[]) => unknown)
      }
      level = Object.getPrototypeOf(level) as object | null
    }
    const unknown = [...this.#kind.options.schemas.keys()].find((name) => !this.#methods.has(name))
    return unknown === undefined ? undefined : `no method \`${unknown}\`, for which there is a schema`
  }

  #context(): GrainContext {
    const signal = (): GrainSignal => this.#signal()
    return Object.freeze({
      key: this.#key,
      get signal() {
        return signal()
      },
      state: <T>(initial: T | (() => T), options?: StateOptions<T>) => this.#makeState(initial, options),
      grain: <M>(kind: GrainRef<string, M>, to: string, options?: GrainCallOptions) =>
        this.#host.grain(kind, to, options, () => this.#parent()),
      every: (ms: number, fn: () => unknown) => this.#every(ms, fn),
      onActivate: (fn: () => unknown) => this.#onActivate(fn),
      onDeactivate: (fn: () => unknown) => {
        checkFunction('self.onDeactivate', fn)
        const deactivating = (this.#deactivating ??= [])
        deactivating.push(fn)
      },
      clear: () => this.#clear(),
    })
  }

  #signal(): GrainSignal {
    if (!this.#controller) {
      this.#controller = new AbortController()
      if (this.#endedBy) this.#controller.abort(this.#endedBy)
    }
    return this.#controller.signal as GrainSignal
  }

  #makeState<T>(initial: T | (() => T), options: StateOptions<T> = {}): State<T> {
    const start = this.#start
    if (this.#cell || !this.#isSettingUp || !start) {
      const message =
        'A grain has one state, made in its setup: call `self.state` once, with an object of all it keeps.'
      throw new ClusterError('invalid-state', message)
    }
    const { lost, others = [], state: stored } = start
    if (lost && stored === undefined && options.onLost !== 'initial') {
      const message =
        "All holders of the state of this grain are gone: wait for one to return, or give `onLost: 'initial'`."
      throw new HostError(new ClusterError('state-missing', message))
    }
    const cell = new StateCell<T>(initial, {
      codec: this.#host.codec,
      maxBytes: this.#host.limits.stateBytes,
      stored,
      mayChange: () => this.#mayChange(),
    })
    this.#cell = cell as unknown as StateCell<unknown>
    this.#settle()
    const { merge } = options
    if (merge === undefined) return cell
    checkFunction('The option merge of self.state', merge)
    this.#hasMerge = true
    const merging = others.map((other) => () => cell.merge(merge, other))
    this.#activating = [...merging, ...(this.#activating ?? [])]
    return cell
  }

  #onActivate(fn: () => unknown): void {
    checkFunction('self.onActivate', fn)
    if (this.#isActivated) {
      const message = 'This grain is activated already: call `self.onActivate` in its setup.'
      throw new ClusterError('invalid-value', message)
    }
    const activating = (this.#activating ??= [])
    activating.push(fn)
  }

  #clear(): void {
    this.#mayChange()
    if (this.#cell) this.#cell.clear()
    else this.#isCleared = true
  }

  #mayChange(): void {
    if (this.isOver)
      throw new ClusterError('aborted', 'This activation is over; its state is no longer its own.')
    if (this.#isSettingUp) {
      throw new ClusterError(
        'invalid-state',
        'Setup cannot change the state: give `initial`, or use `onActivate`.',
      )
    }
    if (this.#running > 0) return
    const message = 'The state was changed while no handler runs: await what changes it, or use `self.every`.'
    throw new ClusterError('invalid-state', message)
  }

  #every(ms: number, fn: () => unknown): () => void {
    if (typeof ms !== 'number' || !(ms >= 1 && ms <= 2_147_483_647)) {
      const message = `self.every takes a number: 1 ms at least and 24 days at most, not ${show(ms)}.`
      throw new ClusterError('invalid-value', message)
    }
    checkFunction('self.every', fn)
    if (this.isOver) return () => {}
    const id = this.#nextTimer++
    const timer: Timer = { fn, isDue: false, isRunning: false, cancel: () => {} }
    const arm = (): void => {
      timer.cancel = this.#host.clock.timer(ms, () => {
        arm()
        if (timer.isDue) return
        timer.isDue = true
        this.#host.onDue(id)
      })
    }
    const timers = (this.#timers ??= new Map())
    timers.set(id, timer)
    arm()
    return () => {
      timer.cancel()
      timers.delete(id)
    }
  }

  #parent(): unknown {
    if (this.#running > 1 && this.#kind.options.concurrency > 1) return undefined
    return this.#newest?.token
  }

  #decodeArguments(bytes: Uint8Array): unknown[] {
    let args: unknown
    try {
      args = this.#host.codec.decode(bytes, 'args')
    } catch (cause) {
      const message = cause instanceof Error ? cause.message : String(cause)
      throw new HostError(new ClusterError('invalid-arguments', message))
    }
    if (Array.isArray(args)) return args as unknown[]
    throw new HostError(new ClusterError('invalid-arguments', 'args is no list.'))
  }

  #encodeResult(result: unknown): Uint8Array {
    const { codec, limits } = this.#host
    let bytes: Uint8Array
    try {
      bytes = codec.encode(result, 'result')
    } catch (cause) {
      const message = cause instanceof Error ? cause.message : String(cause)
      throw new HostError(new ClusterError('invalid-result', message))
    }
    if (bytes.length <= limits.resultBytes) return bytes
    const message = `The result has ${bytes.length} bytes, over its limit of ${limits.resultBytes}: return less.`
    throw new HostError(new ClusterError('too-large', message))
  }

  #checkBytes(): void {
    try {
      this.#cell?.checkBytes()
    } catch (error) {
      throw error instanceof ClusterError ? new HostError(error) : error
    }
  }

  #aborted(): Outcome {
    const message = 'The activation of this grain ended before the call was done.'
    return { ok: false, error: encodeFault({ code: 'aborted', message }) }
  }

  #end(reason: string): void {
    if (this.isOver) return
    this.#endedBy = new ClusterError('aborted', `This activation is over: ${reason}.`)
    this.#stopTimers()
    this.#controller?.abort(this.#endedBy)
  }

  #stopTimers(): void {
    for (const { cancel } of this.#timers?.values() ?? []) cancel()
    this.#timers?.clear()
  }
}

const UNDONE = 'Its changes were undone together with those of another call, which could not be stored.'

/** Carries an error that is the host's answer, past what user code may throw. */
class HostError extends Error {
  readonly error: ClusterError
  constructor(error: ClusterError) {
    super(error.message)
    this.error = error
  }
}

/** What went wrong by Grainmesh's own account, and not by the user's: also what a state of this grain refused. */
function answerIn(thrown: unknown): Fault | undefined {
  if (thrown instanceof HostError) return faultOf(thrown.error)
  // an error of another grain's call names its kind
  if (!(thrown instanceof ClusterError) || thrown.kind !== undefined) return undefined
  return thrown.code === 'invalid-state' || thrown.code === 'state-limit' ? faultOf(thrown) : undefined
}

/** An error of Grainmesh from `check` is the answer; whatever else a schema throws is the user's. */
async function own<T>(check: Promise<T>): Promise<T> {
  try {
    return await check
  } catch (error) {
    throw error instanceof ClusterError ? new HostError(error) : error
  }
}

/** What a proxy has anyway, or `JSON.stringify` asks it for. */
const isOfObjects = (name: string): boolean => name === 'toJSON' || name in Object.prototype
