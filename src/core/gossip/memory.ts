/**
 * What an earlier life of this authority knew: a hint, never truth. It is packed as frames, so that what comes back
 * from storage goes through the same total parser as what comes off the wire.
 *
 * A newcomer offers the bucket hashes of its memory in its hello. The contact learns nothing from them; it answers
 * which buckets are still exactly what it holds itself, and sends the content of the others. Only then, and only
 * those buckets, memory becomes knowledge. So a rejoin costs what has changed, whatever the size of the room.
 */
import type { LinkId } from '../events.ts'
import type { NodeId } from '../identity/node-id.ts'
import { parseNodeId } from '../identity/node-id.ts'
import { decodeFrames, encodeFrame, encodeMessage } from '../wire/codec.ts'
import type { BucketMask, OriginRange } from '../wire/frames.ts'
import { bucketOf, BUCKETS, ContentHash, wordsOf } from '../membership/content-hash.ts'
import { chunkRanges, inMask, rangeOf } from '../membership/digest.ts'
import { shortOf } from '../membership/hash.ts'
import { statusOf } from '../membership/record.ts'
import type { MembershipTable } from '../membership/table.ts'

/** So many contacts are offered it at once: one may be slow, and more would all send the same. */
const MAX_OFFERS = 2
/** Largest memory that is kept, in bytes; members beyond it are not remembered. */
export const MAX_MEMORY = 1024 * 1024
const CHUNK_BYTES = 12 * 1024

export type Unpacked =
  | { readonly ok: true; readonly ranges: readonly OriginRange[] }
  | { readonly ok: false; readonly reason: string }

/** The members that are up, other than this one, whole. */
export function packMemory(table: MembershipTable): Uint8Array {
  const ranges: OriginRange[] = []
  for (const record of table.records()) {
    if (record.nodeId !== table.own && record.status === 'up' && !record.accusation)
      ranges.push(rangeOf(record, 0))
  }
  const frames: Uint8Array[] = []
  let size = 0
  for (const chunk of chunkRanges(ranges, CHUNK_BYTES)) {
    const frame = encodeFrame({ kind: 'delta', ranges: chunk })
    size += frame.length + 4
    if (size > MAX_MEMORY) break
    frames.push(frame)
  }
  return encodeMessage(frames)
}

/** Total: whatever is no memory is refused with a reason. */
export function unpackMemory(bytes: Uint8Array): Unpacked {
  if (bytes.length === 0) return { ok: true, ranges: [] }
  const decoded = decodeFrames(bytes, MAX_MEMORY)
  if (!decoded.ok) return decoded
  const ranges: OriginRange[] = []
  for (const { frame } of decoded.envelopes) {
    if (frame.kind !== 'delta') return { ok: false, reason: `${frame.kind} is no part of a memory` }
    for (const range of frame.ranges) {
      if (range.from !== 0 || !range.self || range.accusation)
        return { ok: false, reason: 'a record is not whole' }
      ranges.push(range)
    }
  }
  return { ok: true, ranges }
}

export class Memory {
  readonly #hash = new ContentHash()
  #ranges: readonly OriginRange[]
  /** Links over which it is offered, without an answer so far. */
  readonly #offers = new Set<LinkId>()

  /** Earlier lives of the own authority are no members to remember. */
  constructor(ranges: readonly OriginRange[], own: NodeId) {
    const { authority } = parseNodeId(own)!
    this.#ranges = ranges.filter(({ nodeId }) => parseNodeId(nodeId)?.authority !== authority)
    for (const { nodeId, to, self } of this.#ranges) {
      const status = statusOf({ self })
      const words = wordsOf({ nodeId, counter: to, self, accusation: undefined, status })
      this.#hash.update({ short: shortOf(nodeId), words })
    }
  }

  get isEmpty(): boolean {
    return this.#ranges.length === 0
  }

  /** Whether somebody who was offered it has not answered yet. */
  get isAwaited(): boolean {
    return !this.isEmpty && this.#offers.size > 0
  }

  /** Members as last known. */
  get ranges(): readonly OriginRange[] {
    return this.#ranges
  }

  /** Hashes of what the table would hold if all of this were still so. */
  buckets(table: MembershipTable): Uint32Array {
    const buckets = new Uint32Array(BUCKETS)
    for (let i = 0; i < BUCKETS; i++) buckets[i] = table.hash.buckets[i]! ^ this.#hash.buckets[i]!
    return buckets
  }

  /** Whether it is to be offered over this link. */
  offerOver(linkId: LinkId): boolean {
    if (this.isEmpty || this.#offers.size >= MAX_OFFERS) return false
    this.#offers.add(linkId)
    return true
  }

  /**
   * A link has ended. Where nobody is left to answer an offer, everything is forgotten, and `true` says that what it
   * stood for has to be found out in another way.
   */
  withdraw(linkId: LinkId): boolean {
    if (!this.#offers.delete(linkId) || this.isEmpty || this.#offers.size > 0) return false
    this.forget()
    return true
  }

  /** Gives what a contact confirmed that it was offered to, and forgets everything: memory is used once. */
  recall(linkId: LinkId, confirmed: BucketMask, byNewcomer: boolean): OriginRange[] {
    if (!this.#offers.delete(linkId)) return []
    // A newcomer knows hardly anybody: where another was asked as well, that one's word is waited for.
    if (byNewcomer && this.#offers.size > 0) return []
    const ranges = this.#ranges.filter(({ nodeId }) => inMask(confirmed, bucketOf(shortOf(nodeId))))
    this.forget()
    return ranges
  }

  forget(): void {
    this.#ranges = []
  }
}
