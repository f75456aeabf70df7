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

/** An attempt that is worth less than a link to a live target: to a member that is lost. */
export function vainAttempt(links: Iterable<MeshLink>, { lost }: LinkTargets): MeshLink | undefined {
  for (const link of links) if (link.phase === 'connecting' && lost.has(link.nodeId)) return link
  return undefined
}
