/** Who could observe a member's silence, by the links that both ends publish. */
import type { NodeId } from '../identity/node-id.ts'
import type { MembershipTable, NodeRecord } from '../membership/table.ts'

/** Whether the others count this member among the observers of `subject`. */
export function isObserver(table: MembershipTable, subject: NodeId): boolean {
  const record = table.get(subject)
  return record !== undefined && areLinked(table.get(table.own)!, record)
}

/** Other members that could observe `subject`: up, not accused, and linked to it by their own or its word. */
export function otherObservers(table: MembershipTable, subject: NodeId): number {
  const record = table.get(subject)
  if (!record) return 0
  let count = 0
  for (const nodeId of table.live()) {
    if (nodeId === subject || nodeId === table.own) continue
    const other = table.get(nodeId)!
    if (!other.accusation && areLinked(other, record)) count++
  }
  return count
}

const areLinked = (a: NodeRecord, b: NodeRecord): boolean => a.links.has(b.short) || b.links.has(a.short)
