/**
 * OutStream: what one life sends to another, in order. Cuts and packs messages into segments, keeps each until it has
 * arrived, and sends it again where it may have been lost: at once when the way has changed, and after a while without
 * an answer. A window of bytes, given by the receiver, bounds what is under way; over several links, where nobody else
 * slows a sender down, a congestion window does too (slow start and halving, as in RFC 5681).
 */
import type { Outcome } from '../events.ts'
import { WireLimits } from '../wire/decode.ts'
import { Slab } from '../wire/slab.ts'
import { Writer } from '../wire/writer.ts'
import type { Frame, Stream } from '../wire/frames.ts'
import type { BodyMemory } from './body-memory.ts'
import { dropFirst } from './drop-first.ts'
import { FIRST, headOf, LAST, TEXT, writePiece } from './pieces.ts'
import type { Letter } from './letter.ts'

/** So many bytes of bodies a receiver takes before it has said anything: both ends know it. */
export const INITIAL_WINDOW = 256 * 1024
/** Bytes of a body: a message of 16 KiB takes one segment, whatever its mailbox is called. */
export const MAX_BODY = 16 * 1024 + 128

const MIN_CONGESTION = 32 * 1024
const MAX_CONGESTION = 4 * 1024 * 1024
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
  /** When it was last sent. */
  sentAt: number
  /** How often: more than once, and what its receipt tells of the round trip is unclear (Karn). */
  times: number
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
const LARGE_BODY = 4 * 1024
/** Before a large body so much is left free for what goes before it in a message. */
const HEADROOM = 64
/** What the largest body takes in memory, in bytes, with what is left free before it and some room behind. */
export const BODY_MEMORY = HEADROOM + MAX_BODY + 64
const writer = new Writer(BODY_MEMORY)
/** Small bodies of a stream lie in slabs of this size: whoever acknowledges nothing keeps those of others in no memory. */
const SLAB_BYTES = 2 * 1024

export class OutStream {
  readonly name: Stream
  readonly #events: StreamEvents
  /** Begun or wholly sent, not settled; the oldest first. */
  readonly #letters: Letter[] = []
  /** Cut and not known to have arrived; the first `#onWay` of them were sent and are not written off. */
  #segments: Segment[] = []
  readonly #memory: BodyMemory
  readonly #slab = new Slab(SLAB_BYTES)
  #onWay = 0
  /** Letters of several segments among those that are begun. */
  #large = 0
  #sequence = 0
  #settled = 0
  #bodyBytes = 0
  #limit = INITIAL_WINDOW
  #way: Way | undefined
  #congestion = MIN_CONGESTION
  /** Up to here the congestion window doubles with every round trip, above it grows by a segment. */
  #threshold = Infinity
  /** Bytes of the segments on the way. */
  #underWay = 0
  #rttMs: number | undefined
  #resendAt = Infinity
  #patience = 0
  /** The receiver waits to hear that its refusals are known. */
  #owesSettled = false

  constructor(name: Stream, events: StreamEvents, memory: BodyMemory) {
    this.name = name
    this.#memory = memory
    this.#events = events
  }

  /** Nothing waits for an answer. */
  get isIdle(): boolean {
    return this.#segments.length === 0 && this.#letters.length === 0
  }

  /** All that was cut is on its way by a link to the receiver, whose end nobody overlooks: no `pump` would do anything. */
  get isAtRest(): boolean {
    return (
      this.#way?.isDirect === true &&
      this.#onWay === this.#segments.length &&
      !this.#owesSettled &&
      this.#begun() === undefined
    )
  }

  /** The same, and this is still the way. */
  isAtRestOn(way: Way): boolean {
    return this.#way?.id === way.id && this.isAtRest && (this.#resendAt !== Infinity || this.isIdle)
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
    if (this.#way?.id !== way.id) this.#changeWay(way)
    let hasSent = this.#flush(queue, way, now, send)
    if (this.#owesSettled && !hasSent) {
      this.#probe()
      hasSent = this.#flush(queue, way, now, send)
    }
    this.#owesSettled = false
    if (hasSent || this.#resendAt === Infinity) this.#armResend(now, queue.length > 0)
    return hasSent
  }

  /** Whatever had no answer for too long is to be sent again, by the next `pump`. Returns whether anything is. */
  expire(now: number): boolean {
    if (now < this.#resendAt) return false
    this.#resendAt = Infinity
    this.#patience++
    if (this.#segments.length === 0) {
      this.#probe()
      return true
    }
    this.#threshold = Math.max(MIN_CONGESTION, this.#congestion / 2)
    this.#congestion = MIN_CONGESTION
    this.#writeOff()
    return true
  }

  /** Its way is gone: everything under way is sent again as soon as there is another. */
  loseWay(): void {
    this.#way = undefined
    this.#resendAt = Infinity
  }

  /** `isProven`: it came from the receiver itself, by a link. */
  onReceipt({ received, taken, limit, refused }: ReceiptFrame, isProven: boolean, now: number): void {
    // Nobody can have received what was never sent.
    if (received > this.#sequence) return
    let arrived = 0
    let bytes = 0
    for (const { sequence, body, sentAt, times } of this.#segments) {
      if (sequence > received) break
      const isOnWay = arrived++ < this.#onWay
      if (isOnWay) this.#underWay -= body.length
      bytes += body.length
      if (times !== 1) continue
      this.#measure(now - sentAt)
      // Sent once, by a link to its receiver, which says so itself: no queue before another link has it still.
      const isWritten = isProven && isOnWay && this.#way?.isDirect === true
      if (isWritten && body.length >= LARGE_BODY) this.#memory.release(body, this)
    }
    if (arrived > 0 || taken > this.#settled || limit > this.#limit) {
      this.#grow(bytes)
      dropFirst(this.#segments, arrived)
      this.#onWay = Math.max(0, this.#onWay - arrived)
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
    this.#memory.drop(this)
    this.#writeOff()
    this.#resendAt = Infinity
    this.#large = 0
    for (const letter of this.#letters.splice(0)) this.#events.outcome(letter, outcome)
  }

  /** The letter that was begun and is not wholly sent: the newest, if any is. */
  #begun(): Letter | undefined {
    const last = this.#letters.at(-1)
    return last && last.sent < last.size ? last : undefined
  }

  #flush(queue: Letter[], way: Way, now: number, send: (frame: SegmentFrame) => boolean): boolean {
    let hasSent = false
    let segment = this.#next(queue, way)
    while (segment) {
      this.#onWay++
      this.#underWay += segment.body.length
      const following = this.#next(queue, way)
      if (!send(this.#frame(segment, following !== undefined))) {
        this.#onWay--
        this.#underWay -= segment.body.length
        break
      }
      segment.sentAt = now
      segment.times++
      hasSent = true
      segment = following
    }
    return hasSent
  }

  /** The next one that may be on the way as well, if there is one. */
  #next(queue: Letter[], way: Way): Segment | undefined {
    if (this.#onWay === this.#segments.length && !this.#cut(queue, way)) return undefined
    const segment = this.#segments[this.#onWay]!
    const isFree = way.isDirect || this.#underWay === 0
    return isFree || this.#underWay + segment.body.length <= this.#congestion ? segment : undefined
  }

  /** Cuts the next segment of what is begun, or waits; returns whether there is one. */
  #cut(queue: Letter[], way: Way): boolean {
    if (queue.length === 0 && !this.#begun()) return false
    const room = this.#room(way)
    if (room < MIN_ROOM || this.#isWorthWaiting(queue, room)) return false
    const body = this.#pack(queue, Math.min(room, MAX_BODY))
    this.#bodyBytes += body.length
    this.#segments.push({ sequence: ++this.#sequence, body, sentAt: 0, times: 0 })
    return true
  }

  /**
   * A message that one segment holds is not cut because the window ends, as long as what is under way will make room:
   * two pieces cost a segment more, and the receiver puts them together.
   */
  #isWorthWaiting(queue: readonly Letter[], room: number): boolean {
    const [next] = queue
    if (!next || this.#letters.length === 0 || this.#begun()) return false
    const size = headOf(next.mailbox) + next.size
    return size > room && size <= MAX_BODY
  }

  #room({ isDirect }: Way): number {
    const window = this.#limit - this.#bodyBytes
    return isDirect ? window : Math.min(window, this.#congestion - this.#underWay)
  }

  #pack(queue: Letter[], most: number): Uint8Array {
    const max = HEADROOM + most
    writer.reset().skip(HEADROOM)
    let taken = 0
    for (;;) {
      const begun = taken === 0 ? this.#begun() : undefined
      const letter = begun ?? queue[taken]
      if (!letter) break
      const head = headOf(begun ? undefined : letter.mailbox)
      const left = letter.size - letter.sent
      const room = max - writer.length - head
      // A message is begun in the next segment rather than cut for a few bytes.
      if (writer.length > HEADROOM && (room <= 0 || (room < left && room < MIN_ROOM))) break
      if (!begun) {
        taken++
        this.#letters.push(letter)
        if (letter.size > MAX_BODY) this.#large++
      }
      const size = Math.min(left, Math.max(room, 1))
      const isLast = size === left
      const flags = (begun ? 0 : FIRST) | (isLast ? LAST : 0) | (letter.isText ? TEXT : 0)
      const whole = size === letter.size
      const bytes = whole ? letter.bytes : letter.bytes.subarray(letter.sent, letter.sent + size)
      writePiece(writer, flags, letter.mailbox, letter.size, bytes)
      letter.sent += size
      // What is empty is wholly sent, too.
      if (!isLast) break
      letter.lastSequence = this.#sequence + 1
      letter.bytes = NOTHING
    }
    dropFirst(queue, taken)
    return writer.length - HEADROOM < LARGE_BODY
      ? this.#slab.keep(writer, HEADROOM)
      : this.#memory.copyOf(writer, HEADROOM, this)
  }

  #frame({ sequence, body, times }: Segment, more: boolean): SegmentFrame {
    const frame = {
      kind: 'segment',
      stream: this.name,
      more,
      sequence,
      settled: this.#settled,
      body,
    } as const
    // Once: a link may still hold what was sent first.
    return times === 0 && body.length >= LARGE_BODY ? { ...frame, headroom: HEADROOM } : frame
  }

  #changeWay(way: Way): void {
    this.#way = way
    this.#patience = 0
    this.#congestion = MIN_CONGESTION
    this.#threshold = Infinity
    this.#writeOff()
  }

  /** What is on the way counts as lost. */
  #writeOff(): void {
    this.#onWay = 0
    this.#underWay = 0
  }

  /** An empty segment: its receipt tells what one that was lost has told. */
  #probe(): void {
    this.#segments.push({ sequence: ++this.#sequence, body: NOTHING, sentAt: 0, times: 0 })
  }

  #grow(bytes: number): void {
    const step = this.#congestion < this.#threshold ? bytes : (bytes * MAX_BODY) / this.#congestion
    this.#congestion = Math.min(MAX_CONGESTION, this.#congestion + step)
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
    if (this.#large === 0) return
    // Only what is larger than a segment is followed; of those, one at a time is under way.
    const letter = this.#letters.find(({ size, lastSequence }) => size > MAX_BODY && lastSequence > received)
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
      if (letter.sent < letter.size) break
      count++
      this.#settled++
      const isRefused = refused.length > 0 && refused.includes(this.#settled)
      if (letter.size > MAX_BODY) {
        this.#large--
        if (letter.confirmed < letter.size && !letter.isAbandoned) {
          letter.confirmed = letter.size
          this.#events.progress(letter)
        }
      }
      this.#events.outcome(letter, isRefused ? 'no-receiver' : 'taken')
    }
    dropFirst(this.#letters, count)
  }
}

/** Not worth a segment of its own while more may be sent soon. */
const MIN_ROOM = 256
