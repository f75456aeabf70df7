/** Who could observe a member's silence, by the links that both ends publish. */
import type { NodeId } from '../identity/node-id.ts'
import type { MembershipTable, NodeRecord } from '../membership/table.ts'

/** A member with fewer links, by the word of those it is linked to, may be missed by others as well. */
const ENOUGH_WATCHERS = 2

/** Whether the others count this member among the observers of `subject`. */
export function isObserver(table: MembershipTable, subject: NodeId): boolean {
  const record = table.get(subject)
  return record !== undefined && areLinked(table.get(table.own)!, record)
}

/**
 * Other members that could observe `subject`: up, not accused, and linked to it by their own or its word. Counted up
 * to `most`, since nobody asks how many more there are; its own word first, which mostly is enough.
 */
export function otherObservers(table: MembershipTable, subject: NodeId, most: number): number {
  const record = table.get(subject)
  if (!record) return 0
  let found = 0
  for (const short of record.links) {
    if (found >= most) return found
    const nodeId = table.byShort(short)
    if (nodeId !== undefined && isWitness(table, record, nodeId)) found++
  }
  for (const nodeId of table.linkedOneWayTo(record.short)) {
    if (found >= most) return found
    if (isWitness(table, record, nodeId)) found++
  }
  return found
}

/**
 * Whether enough others say that they are linked to `subject`. Its own word may be old: it is what is in question, and
 * so is the word of members that do not answer this one either.
 */
export function isWatched(
  table: MembershipTable,
  subject: NodeId,
  isSilent: (nodeId: NodeId) => boolean,
): boolean {
  const record = table.get(subject)
  if (!record) return false
  let found = 0
  const count = (nodeId: NodeId | undefined): void => {
    if (nodeId === undefined || !isWitness(table, record, nodeId) || isSilent(nodeId)) return
    if (table.get(nodeId)!.links.has(record.short)) found++
  }
  for (const short of record.links) count(table.byShort(short))
  for (const nodeId of table.linkedOneWayTo(record.short)) count(nodeId)
  return found >= ENOUGH_WATCHERS
}

function isWitness(table: MembershipTable, subject: NodeRecord, nodeId: NodeId): boolean {
  if (nodeId === table.own || nodeId === subject.nodeId) return false
  const record = table.get(nodeId)
  return record?.status === 'up' && !record.accusation
}

const areLinked = (a: NodeRecord, b: NodeRecord): boolean => a.links.has(b.short) || b.links.has(a.short)
