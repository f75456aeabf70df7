/** What the core asks of the driver, which runs user code, and what it hears back. */
import type { KindVersions } from '../published-kinds.ts'
import type { CallerId } from '../rpc/messages.ts'

export type GrainOutput =
  /** Run the setup of a grain, with its state as it was stored. Answered by `activated`. */
  | {
      readonly type: 'activate'
      readonly activation: number
      readonly kind: string
      readonly key: string
      readonly state: Uint8Array | undefined
      /**
       * There is no state, and nobody can tell whether there was one: the last copy of its partition was lost once. A
       * grain that may not start anew answers with a problem.
       */
      readonly lost: boolean
      /** States of other sides of a partition, if there are some: they are to be merged into it, or are given up. */
      readonly others?: readonly Uint8Array[]
    }
  /** Run a method. Answered by `invoked`. */
  | {
      readonly type: 'invoke'
      readonly activation: number
      readonly invocation: number
      readonly method: string
      readonly args: Uint8Array
      /** Callers in whose chain it is; the driver need not look at it. */
      readonly chain: readonly CallerId[]
      /** It runs inside a handler of the same activation: where that has changed state, `refused`. */
      readonly isReentrant: boolean
    }
  /** What the last handler did to the state does not count: this is the state. Comes before any other `invoke`. */
  | { readonly type: 'restore'; readonly activation: number; readonly state: Uint8Array | undefined }
  /** Nobody needs it now. Answered by `passivated`. */
  | { readonly type: 'passivate'; readonly activation: number }
  /** It has no right to run any more. Its signal aborts; nothing that comes from it counts. */
  | { readonly type: 'abort'; readonly activation: number }

export type Invoked =
  /** `state`: the whole new state, `null` if deleted, absent if the handler has not changed it. */
  | { readonly type: 'ok'; readonly bytes: Uint8Array; readonly state?: Uint8Array | null }
  | { readonly type: 'error'; readonly bytes: Uint8Array }
  /** A reentrant call that was not run: its caller has changes that are not stored. */
  | { readonly type: 'refused' }

/** What a grain's setup came to, where it was given states of other sides. */
export interface Settled {
  /** As in `Invoked`. */
  readonly state?: Uint8Array | null | undefined
  /** All are in it. */
  readonly isMerged: boolean
}

/** What a kind asks for. */
export interface KindTuning {
  /** Handlers of one key that run at once; those in one chain do not count. */
  readonly concurrency: number
  readonly queueDepth: number
  readonly queuePolicy: 'reject-new' | 'drop-oldest'
  readonly reentrant: boolean
  /** In ms. */
  readonly idleMs: number
  /** What is held of it is put on disk, too. Default `false`. */
  readonly persist?: boolean
}

/** A kind as a process hosts it. Members publish its versions. */
export interface HostedKind extends KindTuning, KindVersions {}

export const DEFAULT_KIND_TUNING: KindTuning = {
  concurrency: 1,
  queueDepth: 64,
  queuePolicy: 'reject-new',
  reentrant: false,
  idleMs: 120_000,
}
