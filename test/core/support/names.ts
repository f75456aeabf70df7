/** NodeIds and registers with readable defaults. Equal arguments give equal names. */
import type { NodeId, ProcessId } from '../../../src/core/identity/node-id.ts'
import type { SelfRegister } from '../../../src/core/membership/record.ts'
import { MembershipTable } from '../../../src/core/membership/table.ts'
import type { Limits } from '../../../src/core/tuning.ts'
import { DEFAULT_LIMITS } from '../../../src/core/tuning.ts'
import type { OriginRange } from '../../../src/core/wire/frames.ts'

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567'

/** `number` in base32, padded in front: names sort like their numbers. */
export function base32(number: number, length: number): string {
  let name = ''
  for (let rest = number; name.length < length; rest = Math.floor(rest / 32))
    name = ALPHABET[rest % 32]! + name
  return name
}

export const authorityOf = (index: number): string => base32(index, 20)
export const processOf = (index: number): ProcessId => base32(index, 16)

/** The life of authority `index`. */
export const nodeIdOf = (index: number, generation = 1, nonce = 0): NodeId =>
  `${authorityOf(index)}.${generation}.${base32(nonce, 10)}`

export const selfOf = (index: number, patch: Partial<SelfRegister> = {}): SelfRegister => ({
  incarnation: 0,
  counter: 1,
  status: 'up',
  process: processOf(index),
  browser: 'browser',
  visibility: 'visible',
  meta: '',
  ...patch,
})

/** A table whose owner is `index`, `up` from the start. */
export const tableOf = (index: number, limits: Partial<Limits> = {}, generation = 1): MembershipTable =>
  new MembershipTable(nodeIdOf(index, generation), selfOf(index), { ...DEFAULT_LIMITS, ...limits })

/** The whole record of a member that only has a self register. */
export function wholeOf(nodeId: NodeId, patch: Partial<SelfRegister> = {}): OriginRange {
  const self = selfOf(0, patch)
  return { nodeId, from: 0, to: self.counter, floor: 0, self, entries: [] }
}
