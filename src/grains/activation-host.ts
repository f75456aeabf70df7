/** What stands between an activation and its host: what it starts from, what it needs, and what its runs come to. */
import type { Clock } from '../ports.ts'
import type { ValueCodec } from './codec.ts'
import type { GrainCallOptions, GrainProxy, GrainRef } from './types.ts'

/** What a run of user code came to. `newState` counts where `stateChanged`: `undefined` is a state to be deleted. */
export type Outcome =
  | {
      readonly ok: true
      readonly result: Uint8Array
      readonly stateChanged: boolean
      readonly newState: Uint8Array | undefined
    }
  /** Nothing changed. `error` is for `decodeFault`. */
  | { readonly ok: false; readonly error: Uint8Array }

export interface ActivationLimits {
  readonly stateBytes: number
  readonly resultBytes: number
}

export const DEFAULT_ACTIVATION_LIMITS: ActivationLimits = {
  stateBytes: 1_048_576,
  resultBytes: 1_048_576,
}

/** What an activation needs of its host. */
export interface ActivationHost {
  readonly codec: ValueCodec
  readonly clock: Clock
  readonly limits: ActivationLimits
  /** Sends the stacks of errors along; for development. Default `false`. */
  readonly stacks?: boolean
  /**
   * Makes the proxy behind `self.grain`. `parent` tells the token of the call that calls, when it calls; `undefined`
   * where no one call can be named: see `Activation.invoke`.
   */
  grain<M>(
    kind: GrainRef<string, M>,
    key: string,
    options: GrainCallOptions | undefined,
    parent: () => unknown,
  ): GrainProxy<M>
  /** User code has thrown. `method`: as in the event `grain-threw`. */
  onThrew?(method: string, error: unknown): void
  /** A timer of the grain is due: call `tick(timer)` when its turn comes. Until then it asks for no other. */
  onDue(timer: number): void
}

export interface ActivationStart {
  readonly key: string
  /** The stored state; absent if there is none. */
  readonly state?: Uint8Array | undefined
  /** States of other sides of a partition, for `merge`. */
  readonly others?: readonly Uint8Array[] | undefined
  /** There was a state, and nobody has it. */
  readonly lost?: boolean
}
