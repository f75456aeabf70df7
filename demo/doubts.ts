import type { Member } from '../src/index.ts'

/** A member came under suspicion, or is out of it again. The cluster has no event for this: it is read off the list. */
export interface Doubt {
  readonly type: 'doubt'
  /** Wall clock, ms since 1970. */
  readonly at: number
  readonly nodeId: string
  readonly isSuspected: boolean
}

/** Tells from one member list to the next who came under suspicion, and who is out of it because it answered. */
export class Doubts {
  #suspects: ReadonlySet<string> = new Set()

  update(members: readonly Member[]): Doubt[] {
    const suspects = new Set(members.filter(({ suspected }) => suspected).map(({ nodeId }) => nodeId))
    const doubts: Doubt[] = []
    const at = Date.now()
    for (const { nodeId, status } of members) {
      const isSuspected = suspects.has(nodeId)
      if (isSuspected === this.#suspects.has(nodeId)) continue
      // That it was lost, or is leaving, is an event of its own.
      if (isSuspected || status === 'up' || status === 'joining')
        doubts.push({ type: 'doubt', at, nodeId, isSuspected })
    }
    this.#suspects = suspects
    return doubts
  }
}
