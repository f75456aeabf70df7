/**
 * InStream: what one life has sent to this one, in order. Puts segments in order, messages together, and hands each
 * message out once. Bytes count as held from the arrival of a segment until every message that ends in it was handled;
 * what may be sent further is bounded by that, so a receiver that is slow slows the sender down.
 */
import type { Incoming } from '../events.ts'
import { WireLimits } from '../wire/decode.ts'
import type { Frame, Stream } from '../wire/frames.ts'
import { isGrainStream } from '../wire/frames.ts'
import { Assembly, toKeep } from './assembly.ts'
import { dropFirst } from './drop-first.ts'
import { NumberQueue } from './number-queue.ts'
import { INITIAL_WINDOW } from './out-stream.ts'
import type { Piece } from './pieces.ts'
import { MIN_MESSAGE, readPieces } from './pieces.ts'

/** Segments that may arrive before one that is missing. */
const MAX_AHEAD = 1_024
/** While the sender does not know of so many refusals, it is given no more room. More than a receipt names. */
const MANY_REFUSED = 1_024
/** Of the window, so much may have been freed before the sender is told. */
const TELL_SHARE = 4

type SegmentFrame = Extract<Frame, { kind: 'segment' }>
type ReceiptFrame = Extract<Frame, { kind: 'receipt' }>

export interface InStreamLimits {
  readonly windowBytes: number
  readonly messageBytes: number
}

/** A segment whose messages were not all handled. */
interface Held {
  /** So many messages of the stream are handled when this one is. */
  readonly until: number
  bytes: number
}

export class InStream {
  readonly name: Stream
  /** All of it came from the other end of a link. What others have brought they may have made. */
  isProven = true
  /** When it tells its sender at the latest, if it has something to tell; kept by whoever sends the receipts. */
  owedAt = Infinity
  readonly #limits: InStreamLimits
  /** Who keeps to the window comes to no more refusals that it does not know of. */
  readonly #mostRefused: number
  /** Bodies that have come before one that is missing, by sequence. */
  readonly #ahead = new Map<number, Uint8Array>()
  #aheadBytes = 0
  #received = 0
  #assembly: Assembly | undefined
  /** Messages that are complete, and so were handed out, or lost; those that were handled. */
  #complete = 0
  #taken = 0
  /** Handled ones that found no receiver, until the sender knows. */
  readonly #refused = new NumberQueue()
  /** Messages that were lost by a fault, until those before were handled: then they count as refused. */
  readonly #lost = new NumberQueue()
  /** The newest message was lost: what else comes of it, up to the next first piece, is passed over. */
  #isLosing = false
  readonly #held: Held[] = []
  #heldBytes = 0
  #freed = 0
  /** Of those, what the sender knows of. */
  #told = 0
  /** What the sender may have sent, as it was last told. */
  #limit = INITIAL_WINDOW
  #isStarved = false
  /** What was arrived, or handled, since the last receipt. */
  #owes = false
  #isUrgent = false
  #isContinued = false

  constructor(name: Stream, limits: InStreamLimits) {
    this.name = name
    this.#limits = { ...limits, windowBytes: Math.max(limits.windowBytes, INITIAL_WINDOW) }
    this.#mostRefused = MANY_REFUSED + (this.#limits.windowBytes + SLACK) / MIN_MESSAGE
  }

  /** Something is to be told. */
  get owesReceipt(): boolean {
    return this.#owes
  }

  /** It should not wait for an occasion. */
  get isUrgent(): boolean {
    return this.#isUrgent
  }

  /** More was announced, and a receipt may wait for it: it is then about both. */
  get isContinued(): boolean {
    return this.#isContinued
  }

  /** The last receipt gave no more room, because all streams together held too much. */
  get isStarved(): boolean {
    return this.#isStarved
  }

  /** Bytes of this stream in memory. */
  get bytes(): number {
    return this.#heldBytes + this.#aheadBytes + (this.#assembly?.size ?? 0)
  }

  /** Adds the messages that are complete now to `messages`; returns what is wrong with what has come, if anything is. */
  receive(frame: SegmentFrame, messages: Incoming[]): string | undefined {
    this.#owes = true
    const { sequence, body, settled, more } = frame
    this.#isContinued = more
    if (settled > this.#taken) return 'settled messages that were not handled'
    if (this.#refused.forgetTo(settled)) this.#isUrgent = true
    if (sequence <= this.#received || this.#ahead.has(sequence)) {
      // What was told has been lost.
      this.#isUrgent = true
      return undefined
    }
    if (this.#heldBytes + this.#aheadBytes + body.length > this.#limits.windowBytes + SLACK) {
      return 'more bytes than the window has'
    }
    if (this.#refused.size > this.#mostRefused) return 'more messages without a receiver than the window has'
    if (sequence > this.#received + 1) {
      // It comes again: a sender of many small ones may be that far ahead of one that was lost.
      if (sequence > this.#received + MAX_AHEAD) return undefined
      this.#ahead.set(sequence, toKeep(body))
      this.#aheadBytes += body.length
      return undefined
    }
    let problem: string | undefined
    for (let next: Uint8Array | undefined = body; next; next = this.#takeAhead()) {
      this.#received++
      problem = this.#read(next, messages) ?? problem
    }
    return problem
  }

  /** Further messages were handled; `refused` are those of them, from 0, that found no receiver, ascending. */
  take(count: number, refused: readonly number[]): void {
    let next = 0
    for (let index = 0; index < count && this.#taken < this.#complete; index++) {
      this.#taken++
      if (refused[next] === index) {
        next++
        this.#refused.add(this.#taken)
      }
      this.#passLost()
    }
    this.#letGo()
    this.#owes = true
  }

  /** Says how things are; `mayGrow` is false while all streams together hold too much. */
  receipt(mayGrow: boolean): ReceiptFrame {
    this.#owes = this.#isUrgent = false
    this.#isStarved = !mayGrow
    // Who sends on and on to nobody goes on once it knows of these.
    if (mayGrow && this.#refused.size <= MANY_REFUSED) {
      this.#told = this.#freed
      this.#limit = this.#freed + this.#limits.windowBytes
    }
    // What the next one is about, is told once these are known.
    const taken = (this.#refused.at(WireLimits.refused) ?? this.#taken + 1) - 1
    const refused = this.#refused.first(WireLimits.refused)
    return {
      kind: 'receipt',
      stream: this.name,
      received: this.#received,
      taken,
      limit: this.#limit,
      refused,
    }
  }

  #takeAhead(): Uint8Array | undefined {
    if (this.#ahead.size === 0) return undefined
    const body = this.#ahead.get(this.#received + 1)
    if (!body) return undefined
    this.#ahead.delete(this.#received + 1)
    this.#aheadBytes -= body.length
    return body
  }

  #read(body: Uint8Array, messages: Incoming[]): string | undefined {
    const problem = this.#readPieces(body, messages)
    this.#passLost()
    // Also of a body with a fault: what came before that is handed out, and the sender may use its room again.
    if (this.#complete > this.#taken) this.#hold(body.length)
    else this.#free(body.length)
    return problem
  }

  #readPieces(body: Uint8Array, messages: Incoming[]): string | undefined {
    const pieces = readPieces(body, this.#limits.messageBytes)
    if (typeof pieces === 'string') return this.#lose(pieces)
    let problem: string | undefined
    for (const piece of pieces) {
      if (piece.isFirst && this.#assembly) problem = this.#lose(MIXED_UP)
      problem = this.#add(piece, messages) ?? problem
    }
    return problem
  }

  #add(piece: Piece, messages: Incoming[]): string | undefined {
    const { isFirst, isLast, isText, mailbox, total, bytes } = piece
    if (isFirst) this.#isLosing = false
    else if (this.#isLosing) return undefined
    if (isFirst && isLast) {
      if (bytes.length !== total) return this.#lose(OTHER_SIZE)
      this.#complete++
      // It may wait for its listener. Grains read theirs at once, and keep copies.
      messages.push({ mailbox, bytes: isGrainStream(this.name) ? bytes : toKeep(bytes), text: isText })
      return undefined
    }
    if (isFirst) this.#assembly = new Assembly(mailbox, total, isText)
    const assembly = this.#assembly
    if (!assembly) return this.#lose(MIXED_UP)
    assembly.add(bytes)
    if (assembly.size > assembly.total) return this.#lose('a message is larger than it says')
    if (!isLast) return undefined
    if (assembly.size !== assembly.total) return this.#lose(OTHER_SIZE)
    this.#assembly = undefined
    this.#complete++
    messages.push({ mailbox: assembly.mailbox, bytes: assembly.join(), text: assembly.isText })
    return undefined
  }

  /**
   * The message under way, or that was to come next, is lost by a fault, which is returned. Somebody else may have made
   * what it is in: so the stream goes on with the next message, and this one counts as refused.
   */
  #lose(problem: string): string {
    if (!this.#isLosing) this.#lost.add(++this.#complete)
    this.#isLosing = true
    this.#assembly = undefined
    return problem
  }

  /** Nobody handles a lost message: its turn is over once it has come. */
  #passLost(): void {
    while (this.#lost.at(0) === this.#taken + 1) {
      this.#taken++
      this.#lost.forgetTo(this.#taken)
      this.#refused.add(this.#taken)
    }
  }

  /** One entry for all segments that end in the same message: segments may be empty, and many. */
  #hold(bytes: number): void {
    this.#heldBytes += bytes
    const last = this.#held.at(-1)
    if (last?.until === this.#complete) last.bytes += bytes
    else this.#held.push({ until: this.#complete, bytes })
  }

  /** In one go: there may be many, and whoever handled nothing for a while handles them at once. */
  #letGo(): void {
    let count = 0
    for (const { until, bytes } of this.#held) {
      if (until > this.#taken) break
      count++
      this.#heldBytes -= bytes
      this.#free(bytes)
    }
    dropFirst(this.#held, count)
  }

  #free(bytes: number): void {
    this.#freed += bytes
    if (this.#freed - this.#told >= this.#limits.windowBytes / TELL_SHARE) this.#isUrgent = true
  }
}

const MIXED_UP = 'pieces of messages are mixed up'
const OTHER_SIZE = 'a message has another size than it says'
/** A sender that was told less room than there was, because all streams held much, is not at fault. */
const SLACK = 64 * 1024
