/**
 * RaftProgress: what a leader knows of one other process: how far its log agrees, what is under way to it, and when
 * it was last heard. One batch or one part of a snapshot is under way at a time; heartbeats go beside it.
 */
import type { Now } from '../time.ts'
import type { Snapshot } from './raft-messages.ts'

interface Sent {
  readonly stamp: number
  /** By the leader's `AgeClock`. */
  readonly at: number
}

/** Messages whose answer still tells when they were sent. Ten seconds of heartbeats and a batch beside each. */
const REMEMBERED = 40

export class RaftProgress {
  /** The first entry to send. */
  next: number
  /** Up to here its log is known to agree. */
  match = 0
  /** When it last answered, on the monotonic clock; attended time. */
  heardAt: number
  /** When the newest message that it answered was sent: what the lease is made of. */
  acknowledged: number | undefined
  /** What it is sent in place of entries that are no longer in the log. */
  snapshot: Snapshot | undefined
  offset = 0
  #outstanding = 0
  #resendAt = -Infinity
  #sent: Sent[] = []

  constructor(next: number, now: Now) {
    this.next = next
    this.heardAt = now.mono
  }

  /** Whether nothing is under way, or too long. */
  isFree(now: Now): boolean {
    if (now.mono >= this.#resendAt) this.#outstanding = 0
    return this.#outstanding === 0
  }

  get resendAt(): number {
    return this.#outstanding === 0 ? Infinity : this.#resendAt
  }

  /** What is under way is not waited for. */
  release(): void {
    this.#outstanding = 0
  }

  /** Something is sent; where it is more than a heartbeat, nothing else is until it was answered or `resendAt`. */
  sent(stamp: number, at: number, resendAt?: number): void {
    this.#sent.push({ stamp, at })
    if (this.#sent.length > REMEMBERED) this.#sent.shift()
    if (resendAt === undefined) return
    this.#outstanding = stamp
    this.#resendAt = resendAt
  }

  /** Any answer, of this term, to the message with that stamp. */
  answered(stamp: number, now: Now): void {
    this.heardAt = now.mono
    if (stamp === this.#outstanding) this.#outstanding = 0
    const at = this.#sent.findIndex((sent) => sent.stamp === stamp)
    if (at < 0) return
    this.acknowledged = this.#sent[at]!.at
    // Older ones would only make the lease shorter.
    this.#sent.splice(0, at + 1)
  }

  /** Its log agrees up to there. */
  matched(index: number): void {
    this.match = Math.max(this.match, index)
    this.next = Math.max(this.next, this.match + 1)
    if (this.snapshot && this.match >= this.snapshot.index) this.snapshot = undefined
  }

  /** Its log does not have the entry before `next`; it may agree before `hint`. */
  backtrack(hint: number): void {
    this.next = Math.max(this.match + 1, Math.min(hint, this.next - 1))
    this.#outstanding = 0
  }
}
