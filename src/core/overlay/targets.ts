/**
 * Which members a member links to by its own choice. Up to `maxLinks` others: all of them, a full mesh. Above: the
 * successor on a ring of hashed nodeIds, which alone makes one component, and members at halving distances (fingers,
 * after Chord, Stoica et al., 2001), so that any member is a few hops away. A join moves only the fingers that it
 * falls under. A better overlay takes this file's place without anyone else noticing.
 */
import type { NodeId } from '../identity/node-id.ts'
import type { MembershipTable, NodeRecord } from '../membership/table.ts'

const RING = 2 ** 32

/** Members that this one should have links to, itself excluded. */
export function linkTargets(table: MembershipTable, maxLinks: number): NodeId[] {
  const others: NodeRecord[] = []
  for (const record of table.records()) {
    if (record.nodeId !== table.own && isLinkable(record)) others.push(record)
  }
  if (others.length <= maxLinks) return others.map((record) => record.nodeId)
  return fingers(others, table.get(table.own)!.short, Math.max(2, Math.floor(maxLinks / 2)))
}

const isLinkable = ({ status }: NodeRecord): boolean =>
  status === 'up' || status === 'joining' || status === 'unreachable'

function fingers(others: NodeRecord[], own: number, count: number): NodeId[] {
  others.sort((a, b) => distance(own, a.short) - distance(own, b.short))
  const chosen = new Set<NodeId>([others[0]!.nodeId])
  // The last finger falls between neighbours, not below them: distances halve from half the ring to one step.
  const shrink = Math.min(0.5, (1 / others.length) ** (1 / count))
  for (let i = 1, reach = RING / 2; i < count; i++, reach *= Math.max(shrink, 1e-3)) {
    const finger = others.find((record) => distance(own, record.short) >= reach) ?? others[0]!
    chosen.add(finger.nodeId)
  }
  return [...chosen]
}

const distance = (from: number, to: number): number => (to - from + RING) % RING
