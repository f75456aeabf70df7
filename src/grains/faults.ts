/**
 * Errors on their way from a grain to its caller. What a handler threw goes as name, message and, if it has a field
 * `data` that JSON carries, that; its stack stays where it was, unless `stacks` is on.
 */
import { ClusterError } from '../errors.ts'
import type { ClusterErrorCode, Issue } from '../errors.ts'

/** Codes with which a grain may answer. Whatever else arrives is `grain-threw`. */
const CODES = new Set<string>([
  'aborted',
  'grain-threw',
  'invalid-arguments',
  'invalid-result',
  'invalid-state',
  'state-limit',
  'state-missing',
  'too-large',
  'unknown-method',
] satisfies ClusterErrorCode[])

const MAX_TEXT = 4_096
const MAX_DATA = 16_384
const MAX_ISSUES = 32
/** Of what was thrown and is no error: the message is to be read, `data` has it all. */
const MAX_SHOWN = 200

/** An error as it travels. */
export interface Fault {
  readonly code: ClusterErrorCode
  readonly message: string
  /** With `grain-threw`: of what was thrown. */
  readonly name?: string
  readonly data?: unknown
  readonly stack?: string
  readonly issues?: readonly Issue[]
}

/** What a caller is told of a call besides the fault. */
export interface CallDetails {
  readonly kind: string
  readonly key: string
  readonly method: string
  readonly attempts: number
  readonly mayHaveRun: boolean
}

/** The fault of whatever user code threw. Never throws, whatever that is. */
export function faultOfThrown(thrown: unknown, stacks = false): Fault {
  try {
    if (!(thrown instanceof Error)) {
      return { code: 'grain-threw', name: 'Error', message: textOf(thrown), ...dataOf(thrown) }
    }
    const { name, message, stack, data } = thrown as Error & { data?: unknown }
    const carried = thrown instanceof ClusterError ? { code: thrown.code } : data
    return {
      code: 'grain-threw',
      name: cut(String(name), 100),
      message: cut(String(message)),
      ...dataOf(carried),
      ...(stacks && typeof stack === 'string' && { stack: cut(stack) }),
    }
  } catch {
    return { code: 'grain-threw', name: 'Error', message: 'It threw something that cannot be read.' }
  }
}

/** The fault of an error of Grainmesh's own, which the handler did not throw. */
export function faultOf({ code, message, issues }: ClusterError): Fault {
  return { code, message: cut(message), ...(issues.length > 0 && { issues: issues.slice(0, MAX_ISSUES) }) }
}

export function encodeFault(fault: Fault): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(fault))
}

/** Total: whatever the bytes are, it is a fault. */
export function decodeFault(bytes: Uint8Array): Fault {
  let given: unknown
  try {
    given = JSON.parse(new TextDecoder().decode(bytes), (key, value: unknown) =>
      key === '__proto__' ? undefined : value,
    )
  } catch {
    given = undefined
  }
  if (typeof given !== 'object' || given === null) {
    return { code: 'grain-threw', name: 'Error', message: 'Its error could not be read.' }
  }
  const { code, message, name, data, stack, issues } = given as Record<string, unknown>
  return {
    code: (typeof code === 'string' && CODES.has(code) ? code : 'grain-threw') as ClusterErrorCode,
    message: typeof message === 'string' ? cut(message) : 'Nothing more is known.',
    ...(typeof name === 'string' && { name: cut(name, 100) }),
    ...(data !== undefined && { data }),
    ...(typeof stack === 'string' && { stack: cut(stack) }),
    ...(Array.isArray(issues) && { issues: issues.slice(0, MAX_ISSUES).filter(isIssue) }),
  }
}

/** The error with which the caller's promise rejects. */
export function errorOf(fault: Fault, details: CallDetails): ClusterError {
  const where = `${details.kind}/${details.key}.${details.method}`
  const { code, issues = [] } = fault
  if (code !== 'grain-threw') {
    return new ClusterError(code, `${where}: ${fault.message}`, { ...details, issues })
  }
  const cause = Object.assign(new Error(fault.message), {
    name: fault.name ?? 'Error',
    stack: fault.stack ?? `${fault.name ?? 'Error'}: ${fault.message}\n    at ${where}`,
    ...(fault.data !== undefined && { data: fault.data }),
  })
  return new ClusterError(code, `${where} threw ${cause.name}: ${fault.message}`, { ...details, cause })
}

/** Of what was thrown and is no error. An object that has no text of its own shows its fields, as far as JSON has them. */
function textOf(thrown: unknown): string {
  const text = String(thrown)
  const { data } = text === '[object Object]' ? dataOf(thrown) : {}
  return data === undefined ? cut(text) : cut(JSON.stringify(data), MAX_SHOWN)
}

function dataOf(data: unknown): { data?: unknown } {
  if (data === undefined || data instanceof Error) return {}
  try {
    const text: unknown = JSON.stringify(data)
    return typeof text === 'string' && text.length <= MAX_DATA ? { data: JSON.parse(text) } : {}
  } catch {
    return {}
  }
}

function isIssue(issue: unknown): issue is Issue {
  const { message, path } = (issue ?? {}) as Record<string, unknown>
  return typeof message === 'string' && typeof path === 'string'
}

const cut = (text: string, most = MAX_TEXT): string => (text.length > most ? `${text.slice(0, most)}…` : text)
