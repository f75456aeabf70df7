/**
 * Order-free hashes of the table, kept up to date by XOR at every change of one record, so that a change costs O(1).
 *
 * The *view* covers membership alone: who is there, with which status, incarnation, process and meta. Removed lives,
 * suspicions, observers, visibility, peer state and links are not in it, so members agree on it as soon as they agree
 * on the member list. The *buckets* cover every version and accusation; they find where two tables differ.
 */
import type { NodeId } from '../identity/node-id.ts'
import { Mixer } from './hash.ts'
import type { Accusation, NodeStatus, SelfRegister } from './record.ts'

/** Digests and sync are cut into this many buckets by the hash of the nodeId. */
export const BUCKETS = 64

interface Hashed {
  readonly nodeId: NodeId
  readonly short: number
  readonly counter: number
  readonly self: SelfRegister | undefined
  readonly accusation: Accusation | undefined
  readonly status: NodeStatus | undefined
}

interface Contribution {
  hi: number
  lo: number
  content: number
}

const mixer = new Mixer()
const observersMixer = new Mixer()

export const bucketOf = (short: number): number => short % BUCKETS

/** What an accusation's observers are compared by. */
export function observersHash(accusation: Accusation): number {
  observersMixer.reset()
  for (const observer of accusation.observers) observersMixer.text(observer)
  return observersMixer.lo
}

export class ContentHash {
  readonly buckets = new Uint32Array(BUCKETS)
  readonly #contributions = new Map<NodeId, Contribution>()
  #hi = 0
  #lo = 0
  #content = 0

  get viewHi(): number {
    return this.#hi
  }

  get viewLo(): number {
    return this.#lo
  }

  /** All buckets in one word. */
  get content(): number {
    return this.#content
  }

  update(record: Hashed): void {
    const known = this.#contributions.get(record.nodeId)
    const old = known ?? { hi: 0, lo: 0, content: 0 }
    this.#toggle(record.short, old)
    if (record.status === 'removed' || !record.self) {
      this.#contributions.delete(record.nodeId)
      return
    }
    mixView(record, record.self)
    old.hi = mixer.hi
    old.lo = mixer.lo
    old.content = contentOf(record)
    this.#toggle(record.short, old)
    if (!known) this.#contributions.set(record.nodeId, old)
  }

  #toggle(short: number, { hi, lo, content }: Contribution): void {
    this.#hi = (this.#hi ^ hi) >>> 0
    this.#lo = (this.#lo ^ lo) >>> 0
    this.#content = (this.#content ^ content) >>> 0
    this.buckets[bucketOf(short)]! ^= content
  }
}

function mixView(record: Hashed, self: SelfRegister): void {
  mixer.reset().text(record.nodeId).text(self.status).int(self.incarnation).text(self.process).text(self.meta)
  if (record.status === 'unreachable') mixer.int(record.accusation?.incarnation ?? 0)
}

function contentOf({ nodeId, counter, accusation }: Hashed): number {
  mixer.reset().text(nodeId).int(counter)
  if (accusation) mixer.text(accusation.rank).int(accusation.incarnation).int(observersHash(accusation))
  return mixer.lo
}
