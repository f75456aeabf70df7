/**
 * One activation as the core knows it: asks the user's code what the core asks, and tells what it came to. Which state
 * the core has is kept count of here, so that what could not be stored is noticed and taken back.
 */
import type { GrainOutput, Invoked } from '../core/grain/grain-outputs.ts'
import type { Input } from '../core/events.ts'
import { Activation } from '../grains/activation.ts'
import type { ActivationHost, Outcome } from '../grains/activation-host.ts'
import type { GrainCallOptions, GrainKind, GrainProxy, GrainRef } from '../grains/types.ts'

/** The method by which a grain calls itself when a timer is due. No user's method has such a name. */
export const TICK = '$tick'

/** What all grains of a process share; there may be ten thousand of them, so none has closures of its own. */
export interface HostedGrainOptions extends Pick<ActivationHost, 'codec' | 'clock' | 'limits'> {
  readonly stacks: boolean
  readonly tell: (grain: HostedGrain, input: Input) => void
  /** The proxy behind `self.grain`. */
  readonly proxy: <M>(
    caller: HostedGrain,
    kind: GrainRef<string, M>,
    key: string,
    options: GrainCallOptions | undefined,
    parent: () => unknown,
  ) => GrainProxy<M>
  /** Calls `TICK` of this grain; resolves when that has ended, whatever it came to. */
  readonly callTick: (grain: HostedGrain, args: readonly [nonce: number, timer: number]) => Promise<unknown>
  readonly onThrew: (grain: HostedGrain, method: string, error: unknown) => void
}

export class HostedGrain implements ActivationHost {
  readonly kind: GrainKind
  readonly key: string
  readonly #id: number
  /** Names this activation in what its timers call: after a move, a turn of the old one is not of the new one. */
  readonly #nonce: number
  readonly #options: HostedGrainOptions
  readonly #activation: Activation
  /** As the core has it, if it took all that it was told. */
  #told: Uint8Array | undefined
  /** Changes of the setup, which the core takes with the next result. */
  #owed: { readonly state: Uint8Array | null } | undefined
  readonly #hasOthers: boolean
  #isDropped = false

  constructor(
    kind: GrainKind,
    { activation, key, state, lost, others }: Extract<GrainOutput, { type: 'activate' }>,
    nonce: number,
    options: HostedGrainOptions,
  ) {
    this.kind = kind
    this.key = key
    this.#id = activation
    this.#nonce = nonce
    this.#options = options
    this.#told = state
    this.#hasOthers = others !== undefined
    this.#activation = new Activation(kind, { key, state, lost, others }, this)
  }

  // What its activation asks of it.

  get codec(): ActivationHost['codec'] {
    return this.#options.codec
  }

  get clock(): ActivationHost['clock'] {
    return this.#options.clock
  }

  get limits(): ActivationHost['limits'] {
    return this.#options.limits
  }

  get stacks(): boolean {
    return this.#options.stacks
  }

  grain<M>(
    kind: GrainRef<string, M>,
    key: string,
    options: GrainCallOptions | undefined,
    parent: () => unknown,
  ): GrainProxy<M> {
    return this.#options.proxy(this, kind, key, options, parent)
  }

  onThrew(method: string, error: unknown): void {
    this.#options.onThrew(this, method, error)
  }

  onDue(timer: number): void {
    const turn = this.#options.callTick(this, [this.#nonce, timer])
    void turn.finally(() => this.#activation.skip(timer))
  }

  // What its host asks of it.

  get isOver(): boolean {
    return this.#activation.isOver
  }

  /** The core does not know it any more, and may use its numbers again: what it came to is told to nobody. */
  get isDropped(): boolean {
    return this.#isDropped
  }

  async activate(): Promise<void> {
    const outcome = await this.#activation.activate()
    const activation = this.#id
    if (!outcome.ok) return this.#feed({ type: 'grain-activated', activation, problem: outcome.error })
    const changed = outcome.stateChanged ? { state: outcome.newState ?? null } : undefined
    if (!this.#hasOthers) {
      this.#owed = changed
      return this.#feed({ type: 'grain-activated', activation })
    }
    if (changed) this.#told = changed.state ?? undefined
    const settled = { ...changed, isMerged: this.#activation.hasMerge }
    this.#feed({ type: 'grain-activated', activation, settled })
  }

  async invoke({
    invocation,
    method,
    args,
    isReentrant,
  }: Extract<GrainOutput, { type: 'invoke' }>): Promise<void> {
    // what the outer handler has changed is not stored, and the inner one would see it
    if (isReentrant && this.#activation.isChanged) {
      return this.#feed({ type: 'grain-invoked', invocation, invoked: { type: 'refused' } })
    }
    const outcome =
      method === TICK
        ? await this.#tick(args, invocation)
        : await this.#activation.invoke(method, args, invocation)
    this.#feed({ type: 'grain-invoked', invocation, invoked: this.#invokedOf(outcome) })
  }

  /** After a handler that threw this is the state already, unless its changes are not its own alone. */
  restore(state: Uint8Array | undefined): void {
    if (isSame(state, this.#told)) return
    this.#told = state
    this.#owed = undefined
    this.#activation.restore(state)
  }

  async passivate(): Promise<void> {
    const outcome = await this.#activation.deactivate()
    const changed = outcome.ok && outcome.stateChanged ? (outcome.newState ?? null) : this.#owed?.state
    this.#feed({
      type: 'grain-passivated',
      activation: this.#id,
      ...(changed !== undefined && { state: changed }),
    })
  }

  abort(reason: string): void {
    this.#isDropped = true
    this.#activation.abort(reason)
  }

  #invokedOf(outcome: Outcome): Invoked {
    if (!outcome.ok) return { type: 'error', bytes: outcome.error }
    const { result: bytes, stateChanged, newState } = outcome
    const state = stateChanged ? (newState ?? null) : this.#owed?.state
    if (state === undefined) return { type: 'ok', bytes }
    this.#owed = undefined
    this.#told = state ?? undefined
    return { type: 'ok', bytes, state }
  }

  /** A turn of a timer of another activation has nothing to do here. */
  async #tick(args: Uint8Array, invocation: number): Promise<Outcome> {
    const timer = this.#timerIn(args)
    if (timer !== undefined) return this.#activation.tick(timer, invocation)
    const result = this.#options.codec.encode(undefined, 'result')
    return { ok: true, result, stateChanged: false, newState: undefined }
  }

  #timerIn(args: Uint8Array): number | undefined {
    try {
      const given = this.#options.codec.decode(args, 'args')
      if (!Array.isArray(given) || given[0] !== this.#nonce) return undefined
      return typeof given[1] === 'number' ? given[1] : undefined
    } catch {
      return undefined
    }
  }

  #feed(input: Input): void {
    if (!this.#isDropped) this.#options.tell(this, input)
  }
}

function isSame(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  if (a === b) return true
  return a?.length === b?.length && a !== undefined && a.every((byte, i) => byte === b![i])
}
