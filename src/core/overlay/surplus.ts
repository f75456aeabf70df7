/** Which links a member can do without, when it has too many or needs a place for another one. */
import type { NodeId } from '../identity/node-id.ts'
import type { MembershipTable } from '../membership/table.ts'
import type { MeshLink } from './mesh-link.ts'
import type { LinkTargets } from './targets.ts'

/** Links beyond `maxLinks`, attempts included, so that newcomers find a way in, and a new target before an old goes. */
export const SLACK = 2
/** A link that this member does not need is kept so long: the other end may have no other yet. */
export const HOLD_MS = 3_000
/** Attempts of others under way whose offers one neighbour has brought: they need not be of those whom they name. */
export const MAX_BROUGHT = 8

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

/** Attempts whose offers came through the mesh, by the neighbour that brought them; the oldest first. */
export function attemptsBrought(links: Iterable<MeshLink>): Map<NodeId, MeshLink[]> {
  const attempts = new Map<NodeId, MeshLink[]>()
  for (const link of links) {
    const { broughtBy, phase } = link
    if (broughtBy === undefined || phase === 'established') continue
    const brought = attempts.get(broughtBy)
    if (brought) brought.push(link)
    else attempts.set(broughtBy, [link])
  }
  return attempts
}

/**
 * An attempt that makes way for an offer that another neighbour has brought, or the signaling server: the oldest of
 * the neighbour that has brought most, so that nobody takes all places by offers in the names of others.
 */
export function crowdingAttempt(
  links: Iterable<MeshLink>,
  broughtBy: NodeId | undefined,
): MeshLink | undefined {
  const attempts = attemptsBrought(links)
  const own = broughtBy === undefined ? 0 : (attempts.get(broughtBy)?.length ?? 0) + 1
  let most: readonly MeshLink[] = []
  for (const brought of attempts.values()) if (brought.length > most.length) most = brought
  return most.length > own ? most.find(({ phase }) => phase === 'connecting') : undefined
}

/** Whether a link can be given up without harm: its member has another one. */
export const isSpare = ({ nodeId }: MeshLink, table: MembershipTable): boolean =>
  (table.get(nodeId)?.links.size ?? 0) > 1
