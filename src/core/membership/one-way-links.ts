/**
 * Published links that one end alone publishes: of a link that has just begun or ended, or whose other end is gone.
 * Together with a member's own word they tell who is linked to it, without going through all records.
 */
import type { NodeId } from '../identity/node-id.ts'

/** A record, as far as its links go. */
export interface Linked {
  readonly nodeId: NodeId
  readonly short: number
  readonly links: ReadonlySet<number>
}

const NOBODY: ReadonlySet<NodeId> = new Set()

export class OneWayLinks {
  /** By the short name of the member that does not say so itself. */
  readonly #sayers = new Map<number, Set<NodeId>>()
  readonly #bearer: (short: number) => Linked | undefined

  /** `bearer`: the record of the life that bears a short name now. */
  constructor(bearer: (short: number) => Linked | undefined) {
    this.#bearer = bearer
  }

  /** Who says that it is linked to the bearer of `short`, which does not say so. */
  to(short: number): ReadonlySet<NodeId> {
    return this.#sayers.get(short) ?? NOBODY
  }

  /** Takes in a record as it stands; to be called for each. */
  read({ nodeId, short, links }: Linked): void {
    for (const other of links) if (!this.#bearer(other)?.links.has(short)) this.#add(other, nodeId)
  }

  /** `record` publishes other links than `before`. */
  changed(record: Linked, before: ReadonlySet<number>): void {
    const { nodeId, short, links } = record
    for (const other of before) {
      if (links.has(other)) continue
      this.#remove(other, nodeId)
      const sayer = this.#bearer(other)
      if (sayer?.links.has(short)) this.#add(short, sayer.nodeId)
    }
    for (const other of links) {
      if (before.has(other)) continue
      const sayer = this.#bearer(other)
      if (sayer?.links.has(short)) this.#remove(short, sayer.nodeId)
      else this.#add(other, nodeId)
    }
  }

  #add(short: number, sayer: NodeId): void {
    const sayers = this.#sayers.get(short)
    if (sayers) sayers.add(sayer)
    else this.#sayers.set(short, new Set([sayer]))
  }

  #remove(short: number, sayer: NodeId): void {
    const sayers = this.#sayers.get(short)
    if (sayers?.delete(sayer) && sayers.size === 0) this.#sayers.delete(short)
  }
}
