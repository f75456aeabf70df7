/** Arguments that users give, held against what a call takes. */
import { ClusterError } from '../errors.ts'

/**
 * What is to be called later is looked at when it is given: when it is called, nothing leads to who gave it.
 * @param what the call that takes it
 * @throws ClusterError `invalid-value`
 */
export function checkFunction(what: string, value: unknown): void {
  if (typeof value === 'function') return
  throw new ClusterError('invalid-value', `${what} takes a function, not ${show(value)}.`)
}

/** Whether it can be listened to as AbortSignals are. */
export const isSignal = (value: unknown): boolean =>
  typeof (value as { addEventListener?: unknown } | null)?.addEventListener === 'function'

/** A value, whatever it is, as messages show it; of a text so many characters. */
export function show(value: unknown, characters = 40): string {
  if (value === null) return 'null'
  if (typeof value === 'string') return `"${value.slice(0, characters)}"`
  if (Array.isArray(value)) return 'a list'
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : typeof value
}
