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

/** Whether more than half of its voters are there. */
export function hasQuorum({ voters }: KnownCouncil, live: ReadonlySet<ProcessId>): boolean {
  let count = 0
  for (const process of voters) if (live.has(process)) count++
  return count > voters.length / 2
}

/** Of two councils, why the first one `isBetter`: for whoever reads of it. */
export function whyBetter(a: KnownCouncil, b: KnownCouncil, live: ReadonlySet<ProcessId>): string {
  if (hasQuorum(a, live) !== hasQuorum(b, live)) return 'most of its voters are here'
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
export function isBetter(a: KnownCouncil, b: KnownCouncil, live: ReadonlySet<ProcessId>): boolean {
  if (a.group === b.group) return a.index > b.index
  const [one, other] = [hasQuorum(a, live), hasQuorum(b, live)]
  if (one !== other) return one
  const forks = parseGroup(a.group)!.forks - parseGroup(b.group)!.forks
  if (forks !== 0) return forks < 0
  return a.voters.length !== b.voters.length ? a.voters.length > b.voters.length : a.group < b.group
}
