/** Publishes which links this member has, for routes, for the pictures that users draw, and to save gossip. */
import { encodeLinks } from '../membership/published-links.ts'
import { LINKS_KEY } from '../membership/state-key.ts'
import type { MembershipTable } from '../membership/table.ts'
import type { Mesh } from './mesh.ts'

/** Links are published this long after they changed, so that a crowd of them is published once. */
const GATHER_MS = 3_000

export class LinkPublication {
  readonly #table: MembershipTable
  readonly #mesh: Mesh
  #publishAt: number | undefined
  #seen = 0
  readonly #relayOnly: boolean

  constructor(table: MembershipTable, mesh: Mesh, relayOnly: boolean) {
    this.#table = table
    this.#mesh = mesh
    this.#relayOnly = relayOnly
    // Nobody shall try in vain meanwhile.
    if (relayOnly) table.writeOwnEntry(LINKS_KEY, encodeLinks([], true))
  }

  /** To be called at the end of every turn. */
  settle(now: number): void {
    if (this.#mesh.revision === this.#seen) return
    this.#seen = this.#mesh.revision
    this.#publishAt ??= now + GATHER_MS
  }

  tick(now: number): void {
    if (this.#publishAt === undefined || now < this.#publishAt) return
    this.#publishAt = undefined
    const shorts: number[] = []
    for (const { nodeId, phase } of this.#mesh.links()) {
      const record = phase === 'established' ? this.#table.get(nodeId) : undefined
      if (record) shorts.push(record.short)
    }
    this.#table.writeOwnEntry(LINKS_KEY, encodeLinks(shorts, this.#relayOnly))
  }

  nextDeadline(): number | undefined {
    return this.#publishAt
  }
}
