/** How calls that came to nothing are told to their callers: each with what happened, and what can be done. */
import type { KindVersions } from '../core/published-kinds.ts'
import { DEFAULT_CALL_TUNING } from '../core/rpc/calls.ts'
import type { CallEnd } from '../core/rpc/calls.ts'
import { RpcLimits } from '../core/rpc/messages.ts'
import { utf8Length } from '../core/utf8.ts'
import { ClusterError } from '../errors.ts'
import type { ClusterErrorCode } from '../errors.ts'
import { decodeFault, errorOf } from '../grains/faults.ts'
import type { CallDetails } from '../grains/faults.ts'

/** What its caller knows of a call. */
export interface CallName {
  readonly kind: string
  readonly key: string
  readonly method: string
}

/** What its caller knows of a call that has ended. */
export interface CallFacts extends CallName {
  /** Of its arguments. */
  readonly bytes: number
  /** As it was asked for, in ms. Of a handler's call, what the handler has left counts where that is less. */
  readonly deadlineMs: number
  /** Since it was made. */
  readonly ms: number
  /** The reason of its signal, if that was aborted. */
  readonly abortedBy: unknown
  /** Of the kind, where the caller has more than its name. */
  readonly versions: KindVersions | undefined
  /** Whether anybody hosts the kind now. */
  readonly isHosted: boolean
}

/** Of a call that was never sent. */
export function unsent(
  code: ClusterErrorCode,
  call: CallName,
  reason: string,
  more: { readonly cause?: unknown; readonly issues?: ClusterError['issues'] } = {},
): ClusterError {
  return new ClusterError(code, `${placeOf(call)}: ${reason}`, { ...nameOf(call), ...more })
}

/** Of a call whose cluster was left. */
export function leftError(call: CallName, wasSent: boolean, attempts = 0): ClusterError {
  const reason = wasSent
    ? 'this process left before the call had ended.'
    : 'this process has left the cluster.'
  return new ClusterError('left', `${placeOf(call)}: ${reason}`, {
    ...nameOf(call),
    attempts,
    mayHaveRun: attempts > 0,
  })
}

/** Of a call that the core ended without a result. */
export function callError(end: Extract<CallEnd, { type: 'error' }>, call: CallFacts): ClusterError {
  const { code, attempts, mayHaveRun, bytes } = end
  const details: CallDetails = { ...nameOf(call), attempts, mayHaveRun }
  if (bytes && code === 'failed') {
    const fault = decodeFault(bytes)
    return errorOf(fault, NOT_RUN.has(fault.code) ? { ...details, mayHaveRun: false } : details)
  }
  if (bytes && code === 'activation-failed') return activationError(bytes, details)
  const [as, reason] = reasonOf(end, call)
  const { abortedBy: cause } = call
  const aborted = code === 'aborted' && cause !== undefined ? { cause } : {}
  return new ClusterError(as, `${placeOf(call)}: ${reason}`, { ...details, ...aborted })
}

/** Why a version is not called. */
export function mismatchOf(hosted: readonly number[], { accepts }: KindVersions): string {
  const here = `${accepts.join(', ')} is accepted here`
  return `version ${hosted.join(', ')} is hosted, and ${here}: reload the older tab, or widen \`accepts\`.`
}

/** The handler was not begun: it does not exist, or what it was called with was refused. */
const NOT_RUN: ReadonlySet<ClusterErrorCode> = new Set(['unknown-method', 'invalid-arguments'] as const)

/** Of a grain that could not be set up: by Grainmesh's own account, or because its setup threw. */
function activationError(bytes: Uint8Array, details: CallDetails): ClusterError {
  const error = errorOf(decodeFault(bytes), details)
  if (error.code !== 'grain-threw') return error
  const { message } = error.cause as Error
  const reason = `the grain could not be set up: ${message}`
  return new ClusterError('activation-failed', `${placeOf(details)}: ${reason}`, {
    ...details,
    cause: error.cause,
  })
}

const NOBODY_DECIDES =
  'Is the kind in `grains` of some tab? In the first seconds of a room it takes until nobody can be coming back.'

function reasonOf(
  { code, attempts, mayHaveRun, hosted = 0 }: Extract<CallEnd, { type: 'error' }>,
  call: CallFacts,
): readonly [ClusterErrorCode, string] {
  switch (code) {
    case 'deadline':
      if (attempts === 0 && !mayHaveRun && call.isHosted)
        return ['no-council', `${within(call)} nobody could say who hosts it. ${NOBODY_DECIDES}`]
      return [
        code,
        `${within(call)} there was no answer.${hostAdvice(call)} ${deadlineAdvice(attempts, mayHaveRun)}`,
      ]
    case 'aborted':
      return [
        code,
        `the call was given up. ${mayHaveRun ? 'It may have run all the same.' : 'It has not run.'}`,
      ]
    case 'superseded':
      return ['aborted', 'the handler that made this call had lost the right to run; it runs anew elsewhere.']
    case 'queue-full':
      return [
        code,
        'too many calls wait for this grain: call less often, spread them over keys, or raise queueDepth.',
      ]
    case 'records-full':
      return [
        'queue-full',
        'too many callers of this grain have not acknowledged their results: call again soon.',
      ]
    case 'too-many-calls':
      return ['queue-full', 'too many calls of this process have not ended: await earlier ones first.']
    case 'call-too-old':
      return [code, 'a retry came after its call was given up; nothing ran now.']
    case 'outcome-lost':
      return [code, 'it ran, and its result was too large to be kept for a retry: read the state instead.']
    case 'deadlock':
      return [
        code,
        'the call comes from this grain itself, by way of others: call another key, or make the kind reentrant.',
      ]
    case 'chain-too-long':
      return [code, 'too many grains wait for each other in a row: return first, then call the next.']
    case 'unknown-kind':
      return [code, 'nobody hosts this kind: give it to `grains` in some tab, or correct the name.']
    case 'version-mismatch':
      return [code, mismatchOf([hosted], call.versions!)]
    case 'state-limit':
      return [
        code,
        'its host has no room for the new state; the change was undone: keep less in all, or clear keys.',
      ]
    case 'too-large':
      return attempts === 0
        ? [
            code,
            `the arguments have ${call.bytes} bytes, over their limit of ${DEFAULT_CALL_TUNING.argsBytes}: send less, or in parts.`,
          ]
        : [code, 'the result is over the limit of its host; the change was undone: return less.']
    case 'activation-failed':
      return [code, 'the grain could not be set up in time: look at its setup and `onActivate`.']
    case 'failed':
      return ['grain-threw', 'its handler threw; nothing more is known.']
    case 'invalid-name':
      // kind and key were looked at when the grain was named
      return [
        'invalid-value',
        `the name of a method has 1 to ${RpcLimits.methodBytes} bytes of UTF-8, this one ${utf8Length(call.method)}.`,
      ]
    case 'invalid-deadline':
      return ['invalid-option', 'deadlineMs must be at most 600,000.']
  }
}

const hostAdvice = ({ isHosted }: CallFacts): string => (isHosted ? '' : ' Nobody hosts this kind now.')

function deadlineAdvice(attempts: number, mayHaveRun: boolean): string {
  if (mayHaveRun) return 'It may have run: look before calling again.'
  return attempts > 0 ? 'It has not run: call again.' : 'It was not sent.'
}

/** A deadline, and when that was noticed, where this is much later: the page was asleep, or busy. */
function within({ deadlineMs, ms }: CallFacts): string {
  // what is left of a deadline is rounded on its way
  if (ms < deadlineMs - 1) return `within the ${Math.round(ms)} ms that its caller had left`
  const late = ms > deadlineMs + LATE_MS ? ` (noticed after ${Math.round(ms)} ms)` : ''
  return `within ${deadlineMs} ms${late}`
}
const LATE_MS = 1_000

const placeOf = ({ kind, key, method }: CallName): string =>
  `${kind}/${key}.${method.slice(0, RpcLimits.methodBytes)}`

const nameOf = ({ kind, key, method }: CallName): CallName => ({ kind, key, method })
