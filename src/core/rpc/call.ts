/** One call on its caller's side: what was asked, and how far it has come. */
import type { ProcessId } from '../identity/node-id.ts'
import type { KindVersions } from '../published-kinds.ts'
import type { CallStream } from './call-stream.ts'
import type { Now } from '../time.ts'
import type { Parent, RefusalReason } from './messages.ts'

export interface CallRequest {
  /** The driver's name for it, used once. */
  readonly id: number
  readonly kind: string
  readonly key: string
  readonly method: string
  readonly args: Uint8Array
  readonly deadlineMs?: number
  /** Of the kind as the caller has it: whoever does not get along with that is not called. */
  readonly versions?: KindVersions
  /** Of a call that a handler makes: what `Activations.parentOf` gave for it. */
  readonly parent?: Parent
}

export type CallErrorCode =
  | RefusalReason
  /** The handler threw. */
  | 'failed'
  | 'invalid-name'
  | 'invalid-deadline'
  | 'chain-too-long'
  | 'too-many-calls'
  | 'version-mismatch'

export interface CallError {
  readonly code: CallErrorCode
  readonly attempts: number
  /** False only if nothing was sent, or all that was sent was refused by one who says that it did not run. */
  readonly mayHaveRun: boolean
  readonly ms: number
  /** Of `failed` and `activation-failed`: what was thrown. */
  readonly bytes?: Uint8Array
  /** Of `version-mismatch`: the one that hosts it. */
  readonly hosted?: number
}

export interface Call {
  readonly id: number
  readonly stream: CallStream
  readonly sequence: number
  readonly method: string
  readonly args: Uint8Array
  readonly versions: KindVersions | undefined
  readonly startedAt: number
  readonly deadlineAt: number
  /** On the wall clock: from then on it is not sent again, though its own clock stood still in a sleep. */
  readonly staleAt: number
  /** Its neighbours in the stream, as long as they have not ended. */
  before: Call | undefined
  after: Call | undefined
  phase: 'waiting' | 'sent'
  /** When it is sent again, or when the attempt is over. */
  dueAt: number
  attempts: number
  /** Attempts that nobody has refused: each may have run. */
  readonly open: Set<number>
  /** Somebody said that its handler was begun. */
  mayHaveRun: boolean
  failures: number
  target: ProcessId | undefined
  /** All that it was ever sent to: nobody else can have an answer. */
  readonly asked: Set<ProcessId>
  epoch: number
}

/** So much longer than its deadline may a call take by the wall clock, which may step. */
const SLEEP_MS = 60_000

export const callOf = (
  { id, method, args, versions }: CallRequest,
  stream: CallStream,
  sequence: number,
  deadlineAt: number,
  { mono: startedAt, wall }: Now,
): Call => ({
  id,
  stream,
  sequence,
  method,
  args,
  versions,
  startedAt,
  deadlineAt,
  staleAt: wall + (deadlineAt - startedAt) + SLEEP_MS,
  before: undefined,
  after: undefined,
  phase: 'waiting',
  dueAt: startedAt,
  attempts: 0,
  open: new Set(),
  mayHaveRun: false,
  failures: 0,
  target: undefined,
  asked: new Set(),
  epoch: 0,
})
