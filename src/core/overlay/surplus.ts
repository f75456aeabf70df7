/** Which links a member can do without, when it has too many or needs a place for another one. */
import type { MembershipTable } from '../membership/table.ts'
import type { MeshLink } from './mesh-link.ts'
import type { LinkTargets } from './targets.ts'

/** Links beyond `maxLinks`, attempts included, so that newcomers find a way in, and a new target before an old goes. */
export const SLACK = 2
/** A link that this member does not need is kept so long: the other end may have no other yet. */
export const HOLD_MS = 3_000

/** Links that are no targets, begun at `latest` or before: those to members with most links first. */
export function surplusOf(
  links: Iterable<MeshLink>,
  { live }: LinkTargets,
  table: MembershipTable,
  latest: number,
): MeshLink[] {
  const surplus: MeshLink[] = []
  for (const link of links) {
    const { nodeId, phase, startedAt } = link
    if (phase === 'established' && startedAt <= latest && !live.has(nodeId)) surplus.push(link)
  }
  const linksOf = ({ nodeId }: MeshLink): number => table.get(nodeId)?.links.size ?? 0
  return surplus.sort((a, b) => linksOf(b) - linksOf(a))
}

/**
 * An attempt that is worth less than a link to a live target: one of ours to a lost member, which has not answered, or
 * somebody else's that leads to nothing.
 */
export function vainAttempt(
  links: Iterable<MeshLink>,
  { live, lost }: LinkTargets,
  now: number,
): MeshLink | undefined {
  for (const link of links) {
    const { initiator, nodeId, phase, seen, startedAt } = link
    if (phase === 'established' || live.has(nodeId)) continue
    if (initiator ? lost.has(nodeId) && seen.size === 0 : now - startedAt >= HOLD_MS) return link
  }
  return undefined
}

/** Whether a link can be given up without harm: its member has another one. */
export const isSpare = ({ nodeId }: MeshLink, table: MembershipTable): boolean =>
  (table.get(nodeId)?.links.size ?? 0) > 1
