/**
 * What a page knows of grains that the library keeps to itself: a spec must not take a host away before its copies are
 * spread. Reached through the prototype, so that nothing of it is in the library.
 */
import { GrainBinding } from '../../src/core/grain-binding.ts'
import type { MapEntry } from '../../src/core/partition/partition.ts'
import { SLOTS, slotOf } from '../../src/core/partition/partition.ts'

export interface GrainView {
  readonly group: string | undefined
  readonly leader: string | undefined
  readonly isVoter: boolean
  /** Who holds each key that was asked about. */
  readonly entries: readonly (MapEntry | undefined)[]
  /** Of a voter, which knows the newest map: how many hold the partition of the kind that fewest hold. */
  readonly fewestCopies: number | undefined
}

let binding: GrainBinding | undefined
const begin = Object.getOwnPropertyDescriptor(GrainBinding.prototype, 'begin')!.value as GrainBinding['begin']
GrainBinding.prototype.begin = function (this: GrainBinding, life) {
  // oxlint-disable-next-line no-this-alias, typescript/no-this-alias
  binding = this
  begin.call(this, life)
}

export function viewOfGrains(kind: string, keys: readonly string[]): GrainView | undefined {
  if (!binding) return undefined
  const { council } = binding.grains
  const entries = keys.map((key) => council.entry(kind, slotOf(kind, key)))
  const { group, leader, isVoter } = council
  const copies = Array.from({ length: SLOTS }, (_, slot) => council.entry(kind, slot)?.inSync.length ?? 0)
  const fewestCopies = isVoter ? Math.min(...copies) : undefined
  return { group, leader, isVoter, entries, fewestCopies }
}
