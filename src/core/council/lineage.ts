/**
 * Lineage: which of several councils is followed. There is one, but where a room fell apart and both sides went on, or
 * two tabs founded one each. All members that see the same come to the same answer; the others follow, see
 * `Council`.
 */
import type { ProcessId } from '../identity/node-id.ts'
import type { PublishedCouncil } from './published-council.ts'
import { parseGroup } from './published-council.ts'

/** What is known of a council. */
export type KnownCouncil = Pick<PublishedCouncil, 'group' | 'index' | 'voters'>

/** Who is there, and what they publish themselves. */
export interface Present {
  readonly live: ReadonlySet<ProcessId>
  readonly published: ReadonlyMap<ProcessId, Pick<PublishedCouncil, 'group'>>
}

/** Whether more than half of its voters are there. */
export const hasQuorum = (council: KnownCouncil, present: Present): boolean =>
  strengthOf(council, present) > 0

/** Of two councils, why the first one `isBetter`: for whoever reads of it. */
export function whyBetter(a: KnownCouncil, b: KnownCouncil, present: Present): string {
  if (strengthOf(a, present) !== strengthOf(b, present)) return 'most of its voters are here'
  if (parseGroup(a.group)!.forks !== parseGroup(b.group)!.forks) return 'it was continued by force less often'
  return a.voters.length !== b.voters.length
    ? 'it has more voters'
    : 'of two that are alike its name is lower'
}

/**
 * Of two councils, that which has a quorum; then that which was continued by force less often, the larger, and that of
 * the lower name. Never the one that has decided more: the flakier side has the higher numbers. Of one council, the
 * newer word.
 */
export function isBetter(a: KnownCouncil, b: KnownCouncil, present: Present): boolean {
  if (a.group === b.group) return a.index > b.index
  const strength = strengthOf(a, present) - strengthOf(b, present)
  if (strength !== 0) return strength > 0
  const forks = parseGroup(a.group)!.forks - parseGroup(b.group)!.forks
  if (forks !== 0) return forks < 0
  return a.voters.length !== b.voters.length ? a.voters.length > b.voters.length : a.group < b.group
}

/**
 * 2 where more than half of its voters are there and vote in it, by their own word; 1 where they are there at least, as
 * it may be while word of all is under way; else 0. Voters that have gone on with another council do not vote in this
 * one: one that wakes, and still takes itself for its leader, must not call back a whole room that went on meanwhile.
 */
function strengthOf({ group, voters }: KnownCouncil, { live, published }: Present): 0 | 1 | 2 {
  const isMost = (isCounted: (process: ProcessId) => boolean): boolean =>
    voters.filter(isCounted).length > voters.length / 2
  if (isMost((process) => published.get(process)?.group === group)) return 2
  return isMost((process) => live.has(process)) ? 1 : 0
}
