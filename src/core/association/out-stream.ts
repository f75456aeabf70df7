/**
 * OutStream: what one life sends to another in one lane. Cuts and packs messages into segments, keeps each until it has
 * arrived, and sends it again where it may have been lost: at once when the way has changed, and after a while without
 * an answer. A window of bytes, given by the receiver, bounds what is under way; over several links, where nobody else
 * slows a sender down, a congestion window does too (slow start and halving, as in RFC 5681).
 */
import type { Outcome } from '../events.ts'
import { WireLimits } from '../wire/decode.ts'
import { Writer } from '../wire/writer.ts'
import type { Frame, Lane } from '../wire/frames.ts'
import { FIRST, headOf, LAST, TEXT, writePiece } from './pieces.ts'
import type { Letter } from './letter.ts'

/** So many bytes of bodies a receiver takes before it has said anything: both ends know it. */
export const INITIAL_WINDOW = 256 * 1024
/** Bytes of a body: with all headers a segment stays below 16 KiB. */
export const MAX_BODY = 16 * 1024 - 512

const MIN_CONGESTION = 32 * 1024
/** Without an answer for this long, in ms, what is under way over several links is sent again; doubled each time. */
const RESEND_MIN_MS = 1_000
const RESEND_MAX_MS = 15_000
/** On a link of its own nothing is lost but where the platform had to drop it. */
const RESEND_DIRECT_MS = 10_000

type SegmentFrame = Extract<Frame, { kind: 'segment' }>
type ReceiptFrame = Extract<Frame, { kind: 'receipt' }>

interface Segment {
  readonly sequence: number
  readonly body: Uint8Array
  sentAt: number
  /** Sent more than once: what its receipt tells of the round trip is unclear (Karn). */
  isResent: boolean
}

export interface StreamEvents {
  readonly outcome: (letter: Letter, outcome: Outcome) => void
  readonly progress: (letter: Letter) => void
}

/** The way that segments take. */
export interface Way {
  /** Names the first link; another number is another way. */
  readonly id: number
  /** Whether that link leads to the receiver itself. */
  readonly isDirect: boolean
}

const NOTHING = new Uint8Array(0)
const writer = new Writer(MAX_BODY + 64)

export class OutStream {
  readonly lane: Lane
  readonly #events: StreamEvents
  /** Begun or wholly sent, not settled; the oldest first. */
  readonly #letters: Letter[] = []
  /** Sent and not known to have arrived. */
  #segments: Segment[] = []
  #sequence = 0
  #settled = 0
  #bodyBytes = 0
  #limit = INITIAL_WINDOW
  #way: Way | undefined
  #congestion = MIN_CONGESTION
  #underWay = 0
  #rttMs: number | undefined
  #resendAt = Infinity
  #patience = 0
  /** The receiver waits to hear that its refusals are known. */
  #owesSettled = false

  constructor(lane: Lane, events: StreamEvents) {
    this.lane = lane
    this.#events = events
  }

  /** Nothing waits for an answer. */
  get isIdle(): boolean {
    return this.#segments.length === 0 && this.#letters.length === 0
  }

  get letters(): readonly Letter[] {
    return this.#letters
  }

  get resendAt(): number {
    return this.#resendAt
  }

  /**
   * Sends what may be sent of `queue`, which loses what was begun. Returns whether anything was.
   * @param send hands a segment to the way; `false` where it cannot
   */
  pump(queue: Letter[], way: Way, now: number, send: (frame: SegmentFrame) => boolean): boolean {
    let hasSent = false
    if (this.#way?.id !== way.id) hasSent = this.#changeWay(way, now, send)
    for (;;) {
      const begun = this.#begun()
      if (!begun && queue.length === 0) break
      const room = this.#room(way)
      if (room < MIN_ROOM) break
      const body = this.#pack(queue, Math.min(room, MAX_BODY))
      const segment = { sequence: ++this.#sequence, body, sentAt: now, isResent: false }
      this.#bodyBytes += body.length
      this.#underWay += body.length
      this.#segments.push(segment)
      hasSent = true
      if (!send(this.#frame(segment))) break
    }
    if (this.#owesSettled && !hasSent) {
      hasSent = true
      this.#probe(now, send)
    }
    if (hasSent) this.#owesSettled = false
    if (hasSent || this.#resendAt === Infinity) this.#armResend(now, queue.length > 0)
    return hasSent
  }

  /** Sends again what had no answer for too long. */
  resend(now: number, send: (frame: SegmentFrame) => boolean): void {
    if (now < this.#resendAt) return
    if (this.#segments.length === 0) {
      this.#patience++
      this.#probe(now, send)
      return this.#armResend(now)
    }
    this.#congestion = Math.max(MIN_CONGESTION, this.#congestion / 2)
    this.#patience++
    // The first alone tells whether the way works, and what else is lost.
    this.#sendAgain(this.#segments.slice(0, this.#way?.isDirect ? undefined : 4), now, send)
    this.#armResend(now)
  }

  /** Its way is gone: everything under way is sent again as soon as there is another. */
  loseWay(): void {
    this.#way = undefined
    this.#resendAt = Infinity
  }

  onReceipt({ received, taken, limit, refused }: ReceiptFrame, now: number): void {
    // Nobody can have received what was never sent.
    if (received > this.#sequence) return
    let arrived = 0
    for (const { sequence, body, sentAt, isResent } of this.#segments) {
      if (sequence > received) break
      arrived++
      this.#underWay -= body.length
      if (!isResent) this.#measure(now - sentAt)
    }
    if (arrived > 0 || taken > this.#settled || limit > this.#limit) {
      if (!this.#way?.isDirect) this.#congestion += Math.min(arrived * MAX_BODY, this.#congestion)
      if (arrived > 0) this.#segments.splice(0, arrived)
      this.#patience = 0
      if (arrived > 0) this.#tellProgress(received)
      if (limit > this.#limit) this.#limit = limit
      this.#settle(taken, refused)
      if (refused.length >= WireLimits.refused) this.#owesSettled = true
    }
    this.#armResend(now)
  }

  /** The receiving life is over. What was begun may have arrived in part; nobody will ever know. */
  end(outcome: Outcome): void {
    this.#segments = []
    this.#resendAt = Infinity
    for (const letter of this.#letters.splice(0)) this.#events.outcome(letter, outcome)
  }

  /** The letter that was begun and is not wholly sent: the newest, if any is. */
  #begun(): Letter | undefined {
    const last = this.#letters.at(-1)
    return last && last.sent < last.bytes.length ? last : undefined
  }

  #room({ isDirect }: Way): number {
    const window = this.#limit - this.#bodyBytes
    return isDirect ? window : Math.min(window, this.#congestion - this.#underWay)
  }

  #pack(queue: Letter[], max: number): Uint8Array {
    writer.reset()
    let taken = 0
    for (;;) {
      const begun = taken === 0 ? this.#begun() : undefined
      const letter = begun ?? queue[taken]
      if (!letter) break
      const head = headOf(begun ? undefined : letter.mailbox)
      const left = letter.bytes.length - letter.sent
      const room = max - writer.length - head
      // A message is begun in the next segment rather than cut for a few bytes.
      if (writer.length > 0 && (room <= 0 || (room < left && room < MIN_ROOM))) break
      if (!begun) {
        taken++
        this.#letters.push(letter)
      }
      const size = Math.min(left, Math.max(room, 1))
      const isLast = size === left
      const flags = (begun ? 0 : FIRST) | (isLast ? LAST : 0) | (letter.isText ? TEXT : 0)
      const whole = size === letter.bytes.length
      const bytes = whole ? letter.bytes : letter.bytes.subarray(letter.sent, letter.sent + size)
      writePiece(writer, flags, letter.mailbox, letter.bytes.length, bytes)
      letter.sent += size
      // What is empty is wholly sent, too.
      if (isLast) letter.lastSequence = this.#sequence + 1
      else break
    }
    if (taken > 0) queue.splice(0, taken)
    return writer.take()
  }

  #frame({ sequence, body }: Segment): SegmentFrame {
    return { kind: 'segment', lane: this.lane, sequence, settled: this.#settled, body }
  }

  #changeWay(way: Way, now: number, send: (frame: SegmentFrame) => boolean): boolean {
    const isFirst = this.#way === undefined && this.#segments.length === 0
    this.#way = way
    this.#patience = 0
    if (isFirst) return false
    this.#congestion = MIN_CONGESTION
    this.#sendAgain(this.#segments, now, send)
    return this.#segments.length > 0
  }

  /** An empty segment: its receipt tells what one that was lost has told. */
  #probe(now: number, send: (frame: SegmentFrame) => boolean): void {
    const probe = { sequence: ++this.#sequence, body: NOTHING, sentAt: now, isResent: true }
    this.#segments.push(probe)
    send(this.#frame(probe))
  }

  #sendAgain(segments: readonly Segment[], now: number, send: (frame: SegmentFrame) => boolean): void {
    for (const segment of segments) {
      segment.sentAt = now
      segment.isResent = true
      if (!send(this.#frame(segment))) return
    }
  }

  #armResend(now: number, hasMore = false): void {
    if (!this.#way || (this.isIdle && !hasMore)) {
      this.#resendAt = Infinity
      return
    }
    const usual = this.#way.isDirect
      ? RESEND_DIRECT_MS
      : Math.max(RESEND_MIN_MS, 4 * (this.#rttMs ?? RESEND_MIN_MS / 4))
    this.#resendAt = now + Math.min(RESEND_MAX_MS, usual * 2 ** Math.min(this.#patience, 5))
  }

  #measure(sample: number): void {
    this.#rttMs = this.#rttMs === undefined ? sample : this.#rttMs + (sample - this.#rttMs) / 8
  }

  #tellProgress(received: number): void {
    // Only what is larger than a segment is followed; of those, one at a time is under way.
    const letter = this.#letters.find(
      ({ bytes, lastSequence }) => bytes.length > MAX_BODY && lastSequence > received,
    )
    if (!letter) return
    let unconfirmed = 0
    for (const { body } of this.#segments) unconfirmed += body.length
    letter.confirmed = Math.max(letter.confirmed, letter.sent - Math.min(letter.sent, unconfirmed))
    this.#events.progress(letter)
  }

  #settle(taken: number, refused: readonly number[]): void {
    let count = 0
    while (this.#settled < taken && count < this.#letters.length) {
      const letter = this.#letters[count]!
      // Nobody can have taken what was not wholly sent.
      if (letter.sent < letter.bytes.length) break
      count++
      this.#settled++
      const isRefused = refused.length > 0 && refused.includes(this.#settled)
      this.#events.outcome(letter, isRefused ? 'no-receiver' : 'taken')
    }
    if (count > 0) this.#letters.splice(0, count)
  }
}

/** Not worth a segment of its own while more may be sent soon. */
const MIN_ROOM = 256
