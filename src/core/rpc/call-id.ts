/**
 * Names in calls. A process calls under its own id; a handler under a name that follows from the call that it runs, so
 * that a handler that is run again elsewhere repeats, not doubles, what it asked of others.
 */
import { isProcessId } from '../identity/node-id.ts'
import { hex8, Mixer } from '../membership/hash.ts'
import { utf8Length } from '../utf8.ts'
import type { CallerId } from './messages.ts'
import { RpcLimits } from './messages.ts'

const CHILD = /^[0-9a-f]{32}$/

const mixer = new Mixer()

/** Caller of the nested calls of one call: 32 hex digits. */
export function childCallerOf(caller: CallerId, kind: string, key: string, sequence: number): CallerId {
  let name = ''
  // Two passes that begin differently: 64 bits would meet by chance in a room that calls a lot.
  for (const pass of [1, 2]) {
    mixer.reset().int(pass).text(caller).text(kind).text(key).int(sequence)
    name += hex8(mixer.hi) + hex8(mixer.lo)
  }
  return name
}

/** Asked of every caller, and most are processes. */
export const isChildCaller = (text: string): boolean => text.length === 32 && CHILD.test(text)
export const isCaller = (text: string): boolean => isProcessId(text) || isChildCaller(text)

export const isMethod = (text: string): boolean =>
  text.length > 0 && text.length <= RpcLimits.methodBytes && utf8Length(text) <= RpcLimits.methodBytes

/** Names a grain among all. No kind has a slash. */
export const grainName = (kind: string, key: string): string => `${kind}/${key}`
