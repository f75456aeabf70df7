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
  readonly counter: number
  readonly self: SelfRegister | undefined
  readonly accusation: Accusation | undefined
  readonly status: NodeStatus | undefined
}

/** What one record adds to the hashes; nothing once it is removed. Signed, since so small a number takes no room. */
export interface HashWords {
  readonly viewHi: number
  readonly viewLo: number
  readonly content: number
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

const NO_WORDS: HashWords = { viewHi: 0, viewLo: 0, content: 0 }

/** The words of a record. */
export function wordsOf(record: Hashed): HashWords {
  if (record.status === 'removed' || !record.self) return NO_WORDS
  mixView(record, record.self)
  const { hi, lo } = mixer
  return { viewHi: hi | 0, viewLo: lo | 0, content: contentOf(record) | 0 }
}

/** A record, as far as the hashes of a table go. */
export interface Weighed {
  readonly short: number
  readonly words: HashWords
}

export class ContentHash {
  readonly buckets: Uint32Array = new Uint32Array(BUCKETS)
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

  /** Takes `record` in, in place of what it was `before`. */
  update(record: Weighed, before?: Weighed): void {
    if (before) this.#toggle(before)
    this.#toggle(record)
  }

  #toggle({ short, words: { viewHi, viewLo, content } }: Weighed): void {
    this.#hi = (this.#hi ^ viewHi) >>> 0
    this.#lo = (this.#lo ^ viewLo) >>> 0
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
