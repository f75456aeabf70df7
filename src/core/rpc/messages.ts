/**
 * What callers and owners say to each other about calls. A `call` is one attempt: the same call goes out again, under
 * the same id, until it has an answer, and its owner sees to it that it takes effect once (RIFL, Lee et al., 2015).
 * All of it travels in one ordered, reliable lane between two lives, which loses an unknown suffix when either ends.
 */
import type { PartitionId } from '../partition/partition.ts'
import type { ProcessId } from '../identity/node-id.ts'

/** A caller's stream to a key: its process id; of a handler's nested calls, `childCallerOf` the call that it runs. */
export type CallerId = string

/** Who owns a partition, and since which change of its map entry that is known. */
export interface OwnerHint {
  readonly owner: ProcessId
  readonly epoch: number
}

/**
 * The right under which a handler makes nested calls. Whoever has seen a later one of the same partition refuses what
 * an ended right still had under way: a fencing token, as in Chubby (Burrows, 2006).
 */
export interface Fence {
  readonly partition: PartitionId
  readonly epoch: number
}

/** What makes a nested call: the call whose handler makes it. */
export interface Parent {
  /** The caller of all its nested calls; the last of `chain`. */
  readonly caller: CallerId
  /** Callers of nested calls, from the outermost handler on: who waits for whom. */
  readonly chain: readonly CallerId[]
  /** 1, 2, 3 ... in the order in which the handler makes its calls: the same again when it is run again. */
  readonly ordinal: number
  /** No nested call outlives its parent. */
  readonly deadlineAt: number
  readonly fence: Fence
}

export interface CallMessage {
  readonly type: 'call'
  readonly caller: CallerId
  /** Grows with every call of this caller to this key; gaps mean nothing. */
  readonly sequence: number
  /** All below are settled at the caller: nobody asks for their outcome again. */
  readonly first: number
  /** The call of this caller to this key that must not start after this one; 0 for none. */
  readonly previous: number
  /** 1, 2, 3 ... of this call. A refusal names the attempts that it is for. */
  readonly attempt: number
  readonly kind: string
  readonly key: string
  readonly method: string
  readonly args: Uint8Array
  /** How long the caller goes on waiting, in ms. */
  readonly remainingMs: number
  /** Of the map entry that the caller went by: what was sent for an earlier ownership is refused. */
  readonly epoch: number
  readonly chain: readonly CallerId[]
  /** Of nested calls. */
  readonly fence?: Fence
  /** Of nested calls: how long their record is kept if nobody says that it is settled, in ms. */
  readonly keepMs: number
  /** How often an owner has passed it on; then `origin` is who waits for the reply. */
  readonly hops: number
  readonly origin?: ProcessId
}

/** Why a call ended without a result of its handler. */
export const REFUSALS = [
  'queue-full',
  'deadline',
  'aborted',
  'call-too-old',
  'deadlock',
  'unknown-kind',
  'activation-failed',
  'state-limit',
  'records-full',
  'outcome-lost',
  'superseded',
  'too-large',
] as const
export type RefusalReason = (typeof REFUSALS)[number]

export interface Refused {
  readonly type: 'refused'
  readonly code: RefusalReason
  /** Whether its handler may have been run. */
  readonly ran: boolean
  /** Of `activation-failed`: what setup threw. */
  readonly bytes?: Uint8Array
}

/** How a call ended at its owner. This is what a call record keeps. */
export type CallOutcome =
  | { readonly type: 'result'; readonly bytes: Uint8Array }
  /** The handler threw; the bytes say what. */
  | { readonly type: 'failed'; readonly bytes: Uint8Array }
  | Refused

export interface ReplyMessage {
  readonly type: 'reply'
  readonly caller: CallerId
  readonly sequence: number
  /** Those that this answers. */
  readonly attempts: readonly number[]
  /** `elsewhere`: not here (any more); `ran` where its handler had begun. */
  readonly outcome:
    CallOutcome | { readonly type: 'elsewhere'; readonly ran: boolean; readonly hint?: OwnerHint }
  /** The owner keeps something for this call until it hears that it is settled. */
  readonly keeps: boolean
}

/** The caller waits no more. */
export interface CancelMessage {
  readonly type: 'cancel'
  readonly kind: string
  readonly key: string
  readonly caller: CallerId
  readonly sequence: number
  readonly first: number
  /** As in `call`: what came after it now comes after this one. */
  readonly previous: number
}

/** The caller has nothing open with this key: what was kept for it may go. */
export interface SettledMessage {
  readonly type: 'settled'
  readonly kind: string
  readonly key: string
  readonly caller: CallerId
  /** All below are settled; for nested calls: none will come again. */
  readonly first: number
  readonly fence?: Fence
}

/** To those who held a copy: whoever owned it at this epoch is gone. Who owns it now, or will? */
export interface SeekMessage {
  readonly type: 'seek'
  readonly partition: PartitionId
  readonly epoch: number
}

/** The answer, as soon as there is one. */
export interface MovedMessage extends OwnerHint {
  readonly type: 'moved'
  readonly partition: PartitionId
}

export type RpcMessage =
  CallMessage | ReplyMessage | CancelMessage | SettledMessage | SeekMessage | MovedMessage

/** What no message may be beyond, whatever the options of a member are. */
export const RpcLimits = {
  kindBytes: 64,
  keyBytes: 256,
  methodBytes: 128,
  /** Of arguments and results. */
  bytes: 16 * 1024 * 1024,
  /** Handlers that wait for each other in a row. */
  chain: 16,
  /** Attempts that one reply names. */
  attempts: 32,
  hops: 2,
  counter: 2 ** 48,
  /** Of times: 30 days. */
  ms: 30 * 24 * 3_600_000,
} as const
