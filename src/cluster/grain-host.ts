/**
 * Grains of one membership: what stands between the user's code and the core's door. It runs what the core says is to
 * be run here, and makes the proxies by which users and handlers call.
 */
import type { EventBody, ClusterEvent, Input } from '../core/events.ts'
import type { GrainOutput } from '../core/grain/grain-outputs.ts'
import type { CallEnd } from '../core/rpc/calls.ts'
import type { Parent } from '../core/rpc/messages.ts'
import { ClusterError } from '../errors.ts'
import type { ActivationLimits } from '../grains/activation-host.ts'
import { isSignal, show } from '../grains/arguments.ts'
import type { ValueCodec } from '../grains/codec.ts'
import { isGrainKind, isGrainRef, keyProblem } from '../grains/define.ts'
import { encodeFault, faultOfThrown } from '../grains/faults.ts'
import type { GrainCallOptions, GrainKind, GrainProxy, GrainRef } from '../grains/types.ts'
import { soon } from '../driver/soon.ts'
import type { Clock, Now, Random } from '../ports.ts'
import type { CallTarget, EndedCall, GrainCallsOptions, Origin } from './grain-calls.ts'
import { GrainCalls } from './grain-calls.ts'
import { grainProxy } from './grain-proxy.ts'
import { HostedGrain, TICK } from './hosted-grain.ts'
import type { HostedGrainOptions } from './hosted-grain.ts'
import { SlicedRunner } from './sliced-runner.ts'

export interface GrainHostOptions {
  /** What this process hosts. */
  readonly kinds: readonly GrainKind[]
  readonly codec: ValueCodec
  readonly clock: Clock
  readonly random: Random
  readonly limits: ActivationLimits
  /** Sends the stacks of errors along; for development. Default `false`. */
  readonly stacks?: boolean
  /**
   * Hands inputs to the core, in one turn; from within a turn, after it. Returns `false` while there is no core: then
   * calls wait for `flush`.
   */
  readonly feed: (inputs: readonly Input[], now?: Now) => boolean
  /** What the handler of an invocation needs to call others; `undefined` once its right to run has ended. */
  readonly parentOf: (invocation: number) => Parent | undefined
  /** Versions of a kind that live members publish, this process included; `undefined` while that is not known. */
  readonly versionsOf: GrainCallsOptions['versionsOf']
  readonly attemptsOf: GrainCallsOptions['attemptsOf']
  /** Each call that this process made, once, when it has ended. */
  readonly onCallEnded?: (call: EndedCall) => void
  /** User code of a grain threw, or a turn of a timer could not be stored: see the event `grain-threw`. */
  readonly onThrew: (threw: Threw) => void
}

export type Threw = Omit<Extract<EventBody, { type: 'grain-threw' }>, 'type'>

export class GrainHost {
  readonly #options: GrainHostOptions
  readonly #kinds: ReadonlyMap<string, GrainKind>
  readonly #grains = new Map<number, HostedGrain>()
  /** What every grain is given. */
  readonly #shared: HostedGrainOptions
  readonly #calls: GrainCalls
  readonly #runner: SlicedRunner<GrainOutput>
  /** What user code came to in this go of the event loop. */
  #told: { readonly grain: HostedGrain; readonly input: Input }[] = []

  /** Since when throws are counted, how many of them were told, and how many were not since the last one that was. */
  #threwSince = -Infinity
  #threwTold = 0
  #threwUntold = 0
  /** Timers whose turn under way threw what its caller will be told as well. */
  readonly #toldTurns = new Set<string>()

  constructor(options: GrainHostOptions) {
    const {
      codec,
      clock,
      limits,
      stacks = false,
      feed,
      versionsOf,
      attemptsOf,
      kinds,
      onCallEnded: onEnded,
    } = options
    this.#options = options
    this.#kinds = new Map(kinds.map((kind) => [kind.name, kind]))
    this.#calls = new GrainCalls({ codec, clock, feed, versionsOf, attemptsOf, onEnded })
    this.#shared = {
      codec,
      clock,
      limits,
      stacks,
      tell: (grain, input) => this.#tell(grain, input),
      proxy: (caller, kind, key, given, parent) =>
        this.grain(kind, key, given, () => this.#originOf(caller, parent())),
      callTick: ({ kind, key }, args) => this.#callTick(kind, key, args),
      onThrew: ({ kind, key }, method, error) => this.#threw(kind.name, key, method, error),
    }
    this.#runner = new SlicedRunner(clock, (output) => this.#run(output))
  }

  /** Activations in memory. */
  get activations(): number {
    return this.#grains.size
  }

  /** Calls that have not ended. */
  get calls(): number {
    return this.#calls.size
  }

  /**
   * A grain to call. It asks nobody before a method of it is called.
   * @param origin on whose behalf, asked at each call
   * @throws ClusterError `invalid-value` for a kind or a key that cannot be; `invalid-option`
   */
  grain<M>(
    kind: GrainRef<string, M>,
    key: string,
    options: GrainCallOptions = {},
    origin: () => Origin = nobody,
  ): GrainProxy<M> {
    const target = targetOf(kind, key, options)
    return grainProxy<M>((method, args) => this.#calls.call(target, method, args, origin()))
  }

  /** Runs user code, or stops it, in order; of much, some of it in a later task. Never throws for what that does. */
  execute(output: GrainOutput): void {
    this.#runner.push(output)
  }

  /** What comes now comes in a task of its own. */
  newTask(): void {
    this.#runner.newTask()
  }

  /** An event as users are told it: a state is a value, where it can be read. */
  readable(event: ClusterEvent): ClusterEvent {
    if (event.type !== 'state-conflict' || !(event.other instanceof Uint8Array)) return event
    try {
      return { ...event, other: this.#options.codec.decode(event.other, 'state') }
    } catch {
      return event
    }
  }

  /** The one end of a call that the core was given. */
  ended(id: number, end: CallEnd): void {
    this.#calls.ended(id, end)
  }

  /** Calls that waited for a core go to it. */
  flush(): void {
    this.#calls.flush()
  }

  /** There is no core any more, and another may come: what it ran or was to run is over. */
  restart(): void {
    this.#abortAll('its page was put away')
    this.#calls.forget()
  }

  /** The cluster was left. */
  end(): void {
    this.#abortAll('this process left the cluster')
    this.#calls.end()
  }

  #run(output: GrainOutput): void {
    if (output.type === 'activate') return this.#activate(output)
    const grain = this.#grains.get(output.activation)
    if (!grain) return
    switch (output.type) {
      case 'invoke':
        return void grain.invoke(output)
      case 'restore':
        return grain.restore(output.state)
      case 'passivate':
        return void this.#passivate(output.activation, grain)
      case 'abort':
        this.#grains.delete(output.activation)
        return grain.abort('this process has no right to run it any more')
    }
  }

  #activate(output: Extract<GrainOutput, { type: 'activate' }>): void {
    const { activation } = output
    const kind = this.#kinds.get(output.kind)
    if (!kind) {
      const problem = encodeFault(faultOfThrown(new Error(`"${output.kind}" is not hosted here`)))
      this.#options.feed([{ type: 'grain-activated', activation, problem }])
      return
    }
    const nonce = Math.floor(this.#options.random() * 2 ** 48)
    const grain = new HostedGrain(kind, output, nonce, this.#shared)
    this.#grains.set(activation, grain)
    void grain.activate()
  }

  /**
   * Handlers that were begun together end one right after the other: what they came to goes to the core in few turns, so
   * that their replies, and the changes that replicas store, leave in few messages. Not all in one: whoever has called
   * would wait for the last of them, and then this process for its next calls.
   */
  #tell(grain: HostedGrain, input: Input): void {
    this.#told.push({ grain, input })
    if (this.#told.length === 1) soon(() => this.#flushTold())
  }

  #flushTold(): void {
    const told = this.#told
    this.#told = []
    for (let from = 0; from < told.length; from += MAX_TOLD) {
      const some = told.slice(from, from + MAX_TOLD)
      // asked anew each time: what was fed before may have ended a grain
      const inputs = some.flatMap(({ grain, input }) => (grain.isDropped ? [] : [input]))
      if (inputs.length > 0) this.#options.feed(inputs)
    }
  }

  async #passivate(activation: number, grain: HostedGrain): Promise<void> {
    await grain.passivate()
    if (this.#grains.get(activation) === grain) this.#grains.delete(activation)
  }

  /** Where no one call can be named that calls, it is a call of its own. */
  #originOf(grain: HostedGrain, token: unknown): Origin {
    if (grain.isOver) return 'over'
    if (typeof token !== 'number') return {}
    const parent = this.#options.parentOf(token)
    return parent ? { parent } : 'over'
  }

  async #callTick(kind: GrainKind, key: string, args: readonly [number, number]): Promise<void> {
    const name = { kind: kind.name, key, method: TICK }
    const timer = `${kind.name}/${key}`
    try {
      await this.#calls.callOwn(name, args, kind.options.deadlineMs)
    } catch (error) {
      if (isLostTurn(error) && !this.#toldTurns.has(timer)) this.#threw(kind.name, key, 'every', error)
    } finally {
      this.#toldTurns.delete(timer)
    }
  }

  #threw(kind: string, key: string, method: string, error: unknown): void {
    if (method === 'every' && isLostTurn(error)) this.#toldTurns.add(`${kind}/${key}`)
    const { mono } = this.#options.clock.now()
    if (mono >= this.#threwSince + 1_000) {
      this.#threwSince = mono
      this.#threwTold = 0
    }
    this.#threwUntold++
    if (this.#threwTold >= MOST_TOLD_A_SECOND) return
    this.#threwTold++
    this.#options.onThrew({ kind, key, method, error, count: this.#threwUntold })
    this.#threwUntold = 0
  }

  #abortAll(reason: string): void {
    this.#runner.clear()
    const grains = [...this.#grains.values()]
    this.#grains.clear()
    for (const grain of grains) grain.abort(reason)
  }
}

const MAX_DEADLINE_MS = 600_000
const MOST_TOLD_A_SECOND = 20
/** What the host refuses of a turn that has run; what is thrown in it is told where it is thrown. */
const isLostTurn = (error: unknown): boolean =>
  error instanceof ClusterError && (error.code === 'state-limit' || error.code === 'too-large')
/** What goes to the core in one turn: with 16 turns cost more than is won, with 64 the ends wait for each other. */
const MAX_TOLD = 32

const nobody = (): Origin => ({})

function targetOf(kind: unknown, key: unknown, options: unknown): CallTarget {
  if (!isGrainRef(kind)) {
    throw new ClusterError(
      'invalid-value',
      'A grain is named by what defineGrain or grainRef returned, and a key.',
    )
  }
  const wrongKey = keyProblem(key)
  if (wrongKey !== undefined) {
    const message = `No grain of kind "${kind.name}" can be called by this key: ${wrongKey}.`
    const given = typeof key === 'string' ? { key } : {}
    throw new ClusterError('invalid-value', message, { kind: kind.name, ...given })
  }
  const problems = optionProblems(options)
  if (problems.length > 0) {
    const message = `${kind.name}/${key as string} cannot be called with these options: ${problems.join('; ')}.`
    throw new ClusterError('invalid-option', message, { kind: kind.name, key: key as string, problems })
  }
  const { deadlineMs, signal } = options as GrainCallOptions
  const definition = isGrainKind(kind) ? kind : undefined
  return { kind: kind.name, key: key as string, definition, deadlineMs, signal }
}

function optionProblems(options: unknown): string[] {
  if (typeof options !== 'object' || options === null) return ['options must be an object']
  const problems: string[] = []
  const { deadlineMs, signal, ...others } = options as Record<string, unknown>
  for (const name of Object.keys(others)) problems.push(`${name} is not an option of a call`)
  const isDeadline = typeof deadlineMs === 'number' && deadlineMs > 0 && deadlineMs <= MAX_DEADLINE_MS
  if (deadlineMs !== undefined && !isDeadline) {
    problems.push(
      `deadlineMs must be a number above 0, and at most ${MAX_DEADLINE_MS}, not ${show(deadlineMs)}`,
    )
  }
  if (signal !== undefined && !isSignal(signal)) problems.push('signal must be an AbortSignal')
  return problems
}
