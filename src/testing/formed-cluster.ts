/**
 * A cluster that has formed long ago, without the hours of its forming: every table is filled with the records of all,
 * as gossip would have filled it, before its node starts. Then nodes start and dial; the links, their handshakes and
 * what follows are simulated like any other. Nobody has anything to tell, so it costs what the links cost.
 */
import { compareNodeIds } from '../core/identity/node-id.ts'
import { LOCAL } from '../core/membership/change-log.ts'
import { rangeOf } from '../core/membership/digest.ts'
import { encodeLinks } from '../core/membership/published-links.ts'
import { LINKS_KEY } from '../core/membership/state-key.ts'
import type { MembershipTable, NodeRecord } from '../core/membership/table.ts'
import { linkTargets } from '../core/overlay/targets.ts'
import type { OriginRange } from '../core/wire/frames.ts'
import { tableOf } from './core-node.ts'
import type { SimulatedNode } from './simulated-node.ts'

const no = (): boolean => false

/** Fills the tables of nodes of the real core that were not started yet, each with what all will have published. */
export function fillTables(
  nodes: readonly SimulatedNode[],
  limits: { readonly minLinks: number; readonly maxLinks: number },
): void {
  const tables = nodes.map(tableOf).sort((a, b) => compareNodeIds(a.own, b.own))
  publishLinks(tables, limits)
  const ranges = tables.map(asItWillBe)
  for (const table of tables) {
    for (const range of ranges) if (range.nodeId !== table.own) table.apply(range, LOCAL, 0, 'gossip')
  }
}

/** Everybody publishes the links that it is going to have: those that it wants, and those that others want of it. */
function publishLinks(
  tables: readonly MembershipTable[],
  limits: { readonly minLinks: number; readonly maxLinks: number },
): void {
  const records = new Map<string, NodeRecord>()
  const links = new Map<string, Set<number>>()
  for (const table of tables) {
    records.set(table.own, table.get(table.own)!)
    links.set(table.own, new Set())
  }
  for (const { own } of tables) {
    const ground = { own, get: (nodeId: string) => records.get(nodeId), records: () => records.values() }
    for (const target of linkTargets(ground, { ...limits, isHardToReach: no, isRelayOnly: no }).live) {
      links.get(own)!.add(records.get(target)!.short)
      links.get(target)!.add(records.get(own)!.short)
    }
  }
  for (const table of tables) table.writeOwnEntry(LINKS_KEY, encodeLinks([...links.get(table.own)!]))
}

/** The record of a member once its first link has let it in: its next version says that it is `up`. */
function asItWillBe(table: MembershipTable): OriginRange {
  const range = rangeOf(table.get(table.own)!, 0)
  const counter = range.to + 1
  return { ...range, to: counter, self: { ...range.self!, counter, status: 'up' } }
}
