/** Which life speaks for a process. */
import { beforeEach, expect, it } from 'vitest'
import type { NodeId, ProcessId } from '../../src/core/identity/node-id.ts'
import type { MembershipTable } from '../../src/core/membership/table.ts'
import { Roster } from '../../src/core/roster.ts'
import { nodeIdOf, processOf, tableOf, wholeOf } from './support/names.ts'

const [OWN, P, OTHER] = [processOf(1), processOf(2), processOf(3)]
const VICTIM = nodeIdOf(2)
const HOSTILE = nodeIdOf(3, 2)
let table: MembershipTable
let roster: Roster

beforeEach(() => {
  table = tableOf(1)
  roster = new Roster(OWN, 600_000)
  tell(VICTIM, P)
  roster.attach(table, 0)
})

/** Others tell of a life and its process. */
function tell(nodeId: NodeId, process: ProcessId, counter = 1): void {
  table.apply(wholeOf(nodeId, { process, counter }), 0, 0, 'gossip')
  for (const change of table.takeChanges()) roster.notice(change, 0)
}

function remove(nodeId: NodeId): void {
  table.remove(nodeId, 0, 'left')
  for (const change of table.takeChanges()) roster.notice(change, 0)
}

it('is not one of another authority, while the first is there', () => {
  tell(HOSTILE, P)
  expect(roster.lifeOf(P)).toBe(VICTIM)
  expect(roster.authorityOf(P)).toBe(VICTIM.slice(0, 20))
  expect(roster.processOf(HOSTILE), 'it speaks for nobody').toBeUndefined()
})

it('is not one that says another process later', () => {
  tell(HOSTILE, OTHER)
  tell(HOSTILE, P, 2)
  expect(roster.processOf(HOSTILE)).toBe(OTHER)
  expect(roster.lifeOf(P)).toBe(VICTIM)
})

it('is not another one that says to be this very process', () => {
  tell(HOSTILE, OWN)
  expect(roster.lifeOf(OWN)).toBe(table.own)
  expect(roster.processOf(HOSTILE)).toBeUndefined()
})

it('is the next one of the same authority', () => {
  const next = nodeIdOf(2, 2)
  tell(next, P)
  expect(roster.lifeOf(P)).toBe(next)
})

it('is one of a new authority, once another page has the old one: whichever is heard of first', () => {
  const fresh = nodeIdOf(4)
  tell(fresh, P)
  expect(roster.lifeOf(P)).toBe(VICTIM)
  tell(nodeIdOf(2, 2), OTHER)
  expect(roster.lifeOf(P)).toBe(fresh)
  expect(roster.processOf(fresh)).toBe(P)
})

it('is any that says so, once the first is gone for good', () => {
  tell(HOSTILE, P)
  remove(VICTIM)
  expect(roster.lifeOf(P)).toBe(HOSTILE)
})

it('is no other one while the first may come back, which has not said goodbye', () => {
  tell(HOSTILE, P)
  table.accuse(VICTIM, 'unreachable', 'silent')
  for (const change of table.takeChanges()) roster.notice(change, 0)
  remove(VICTIM)
  expect(roster.lifeOf(P)).toBeUndefined()
  const next = nodeIdOf(2, 2)
  tell(next, P)
  expect(roster.lifeOf(P)).toBe(next)
})

it('is one of several that say so, and none of those that are gone', () => {
  const [second, third] = [nodeIdOf(4), nodeIdOf(5)]
  for (const nodeId of [HOSTILE, second, third]) tell(nodeId, P)
  remove(HOSTILE)
  remove(VICTIM)
  expect(roster.lifeOf(P)).toBe(second)
  remove(second)
  expect(roster.lifeOf(P)).toBe(third)
  remove(third)
  expect(roster.lifeOf(P)).toBeUndefined()
})
