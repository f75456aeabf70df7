/**
 * Who is known to hold the view that this member holds.
 *
 * Each member publishes, with its view hash, a bitmap over that view's sorted live members: who is known to have
 * published the same. Equal hashes mean equal views and so equal positions; their bitmaps are joined by OR. *All* is
 * known without every member hearing every other.
 */
import type { GossipState } from '../events.ts'
import type { NodeId } from '../identity/node-id.ts'
import { formatHash } from '../membership/hash.ts'
import type { MembershipTable } from '../membership/table.ts'
import type { Bitmap } from './bitmap.ts'
import { createBitmap, hasBit, isFull, orInto, setBit, trim } from './bitmap.ts'

/** What a neighbour last published. */
export interface Published {
  readonly viewHi: number
  readonly viewLo: number
  readonly bits: Bitmap
  /** This member's own epoch when it arrived. */
  readonly epoch: number
}

/** A neighbour, as far as this is about it. */
export interface Publisher {
  readonly nodeId: NodeId
  readonly published: Published | undefined
}

export class Convergence {
  readonly #table: MembershipTable
  /** Grows with every change of the own view. */
  #epoch = 0
  #hi = -1
  #lo = -1
  #bits: Bitmap = createBitmap(0)
  #changedAt = 0
  #state: GossipState = 'diffusing'
  #durationMs: number | undefined
  #confirmedEpoch = -1
  /** The hash as text is asked for far more often than it changes. */
  #text: string | undefined
  #textHi = 0
  #textLo = 0

  constructor(table: MembershipTable) {
    this.#table = table
  }

  get epoch(): number {
    return this.#epoch
  }

  get bits(): Bitmap {
    return this.#bits
  }

  /** The view that `bits` are about: the table's as of the end of the last turn. */
  get viewHi(): number {
    return this.#hi
  }

  get viewLo(): number {
    return this.#lo
  }

  get state(): GossipState {
    return this.#state
  }

  /** Time from the newest change of the own view to `confirmed`, once it is. */
  get durationMs(): number | undefined {
    return this.#durationMs
  }

  get viewHash(): string {
    const { viewHi, viewLo } = this.#table.hash
    if (this.#text === undefined || viewHi !== this.#textHi || viewLo !== this.#textLo) {
      this.#text = formatHash({ hi: viewHi, lo: viewLo })
      this.#textHi = viewHi
      this.#textLo = viewLo
    }
    return this.#text
  }

  /** Starts anew if the own view changed. Returns whether it did. */
  notice(now: number, neighbours: Iterable<Publisher>): boolean {
    const { viewHi, viewLo } = this.#table.hash
    if (viewHi === this.#hi && viewLo === this.#lo) return false
    this.#hi = viewHi
    this.#lo = viewLo
    this.#epoch++
    this.#changedAt = now
    this.#durationMs = undefined
    this.#bits = createBitmap(this.#table.live().length)
    const own = this.#table.liveIndex(this.#table.own)
    if (own >= 0) setBit(this.#bits, own)
    for (const { published } of neighbours) if (published) this.join(published)
    return true
  }

  /** Whether a published hash is that of the own view. */
  matches({ viewHi, viewLo }: { readonly viewHi: number; readonly viewLo: number }): boolean {
    return viewHi === this.#hi && viewLo === this.#lo
  }

  /** Takes over who published the same view. Returns whether that was news. */
  join(published: Published): boolean {
    if (!this.matches(published) || published.bits.length !== this.#bits.length) return false
    return orInto(this.#bits, trim(published.bits, this.#table.live().length))
  }

  /** Works out the state; `true` if it changed, or another view is confirmed now. */
  settle(now: number, reconciling: boolean, neighbours: Iterable<Publisher>): boolean {
    const before = this.#state
    this.#state = reconciling ? 'reconciling' : this.#isConfirmed(neighbours) ? 'confirmed' : 'diffusing'
    if (this.#state !== 'confirmed') return before !== this.#state
    this.#durationMs ??= now - this.#changedAt
    const isNews = before !== 'confirmed' || this.#confirmedEpoch !== this.#epoch
    this.#confirmedEpoch = this.#epoch
    return isNews
  }

  /** Whatever was confirmed no longer is; `true` if that changed the state. */
  lapse(): boolean {
    const before = this.#state
    this.#state = 'diffusing'
    return before !== this.#state
  }

  #isConfirmed(neighbours: Iterable<Publisher>): boolean {
    const live = this.#table.live().length
    if (live === 0 || !isFull(this.#bits, live)) return false
    for (const { nodeId, published } of neighbours) {
      if (!published || published.epoch !== this.#epoch || this.matches(published)) continue
      const at = this.#table.liveIndex(nodeId)
      if (at >= 0 && hasBit(this.#bits, at)) return false
    }
    return true
  }
}
