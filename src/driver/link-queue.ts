/**
 * LinkQueue: what waits for one link, in three lanes, each in its order: control before call before bulk.
 *
 * Whatever the core hands over in one go of the driver leaves at its end (`flush`), in as few messages as possible: a
 * message on a link is a sequence of frames, so small ones are joined by putting them one behind the other. No timer
 * waits for more of them, and no microtask: the other end waits for the first.
 *
 * Control goes to the link at once. The other lanes go while little is in the link's own buffer, and go on when the
 * link says that it has drained, so that a probe never waits for more than what is in that buffer. A few fragments
 * there keep the network busy; where something of a higher lane keeps passing them, one at a time goes in.
 */
import type { Lane } from '../core/wire/frames.ts'
import { LANES } from '../core/wire/frames.ts'
import type { LinkEnd } from '../ports.ts'
import { LINK_LOW_WATER } from '../ports.ts'

/** Messages are joined up to this size, in bytes: one fragment. A larger one travels alone. */
export const JOINED_BYTES = 16 * 1024
/**
 * Call and bulk go to the link while at most this many bytes are in its buffer. Measured between two tabs, 16 KiB
 * messages: with one fragment in the buffer 0.7 of the rate of a channel that is always full, with this 0.97.
 */
export const FILL_BYTES = 48 * 1024
/**
 * After a message of a higher lane so many of a lower one go one at a time. Measured: an echo beside bulk takes half the
 * time it takes where 32 KiB are kept in the buffer.
 */
export const CALM_MESSAGES = 32
/** What comes to a call or bulk lane above this many bytes is dropped. Twice what a sender may have under way. */
export const LANE_BYTES = 4 * 1024 * 1024

/** Bytes are those handed to links, without what the links add. */
export interface Traffic {
  messagesSent: number
  messagesReceived: number
  bytesSent: number
  bytesReceived: number
  /** Messages that came to a full lane. */
  messagesDropped: number
}

export class LinkQueue {
  readonly end: LinkEnd
  readonly #traffic: Traffic
  readonly #onBroken: (reason: string) => void
  readonly #lanes: Readonly<Record<Lane, Waiting>> = {
    control: new Waiting(),
    call: new Waiting(),
    bulk: new Waiting(),
  }
  #isOver = false
  readonly #aboveCall = new Sharing()
  readonly #aboveBulk = new Sharing()

  /** `onBroken` is told, once, that the link could not send. It is to be closed then. */
  constructor(end: LinkEnd, traffic: Traffic, onBroken: (reason: string) => void) {
    this.end = end
    this.#traffic = traffic
    this.#onBroken = onBroken
  }

  /** Bytes that wait here and in the link itself. */
  get bufferedBytes(): number {
    const { control, call, bulk } = this.#lanes
    return this.end.bufferedBytes + control.bytes + call.bytes + bulk.bytes
  }

  /**
   * Takes one message: a sequence of frames. The bytes must not change before the other end has them. Returns whether
   * there was room.
   */
  push(lane: Lane, bytes: Uint8Array): boolean {
    if (this.#isOver) return false
    const waiting = this.#lanes[lane]
    if (lane !== 'control' && waiting.bytes + bytes.length > LANE_BYTES) {
      this.#traffic.messagesDropped++
      return false
    }
    waiting.push(bytes)
    return true
  }

  /** Hands over what the link has room for. To be called after what was pushed, and when the link has room again. */
  flush(): void {
    for (let lane = this.#next(false); lane; lane = this.#next(false)) if (!this.#send(lane, false)) return
  }

  /** Hands over everything that waits, whatever is in the link's buffer, then closes the link. */
  close(): void {
    if (this.#isOver) return
    for (let lane = this.#next(true); lane; lane = this.#next(true)) if (!this.#send(lane, true)) return
    this.#isOver = true
    this.end.close()
  }

  /** The link has ended by itself. */
  drop(): void {
    this.#isOver = true
    for (const lane of LANES) this.#lanes[lane].clear()
  }

  /** The lane whose turn it is, if the link may have more of it now, or is to have all. */
  #next(all: boolean): Lane | undefined {
    if (this.#isOver) return undefined
    const { control, call, bulk } = this.#lanes
    if (control.length > 0) return 'control'
    if (call.length + bulk.length === 0) return undefined
    const lane = call.length > 0 ? 'call' : 'bulk'
    return all || this.end.bufferedBytes <= this.#fill(lane) ? lane : undefined
  }

  /** What may be in the link's buffer when more of this lane goes there. */
  #fill(lane: 'call' | 'bulk'): number {
    const isCalm = this.#aboveCall.isCalm || (lane === 'bulk' && this.#aboveBulk.isCalm)
    return isCalm ? LINK_LOW_WATER : FILL_BYTES
  }

  /** Only what goes past something that waits tells of two that share the link: most control goes when nothing does. */
  #note(lane: Lane): void {
    const { call, bulk } = this.#lanes
    if (lane !== 'control') this.#aboveCall.lower()
    else if (call.length + bulk.length > 0) this.#aboveCall.higher()
    if (lane === 'bulk') this.#aboveBulk.lower()
    else if (lane === 'call' && bulk.length > 0) this.#aboveBulk.higher()
  }

  /** One message to the link: the first of the lane, and as many behind it, of this lane and of lower ones, as fit. */
  #send(lane: Lane, all: boolean): boolean {
    this.#note(lane)
    const first = this.#lanes[lane].shift()!
    const bytes = first.length < JOINED_BYTES ? this.#join(first, all) : first
    this.#traffic.messagesSent++
    this.#traffic.bytesSent += bytes.length
    try {
      this.end.send(bytes)
      return true
    } catch (error) {
      // What cannot be sent is lost, and a link that has lost something is no link any more.
      this.drop()
      this.#onBroken(error instanceof Error ? error.message : String(error))
      return false
    }
  }

  #join(first: Uint8Array, all: boolean): Uint8Array {
    let size = first.length
    for (let lane = this.#next(all); lane; lane = this.#next(all)) {
      const next = this.#lanes[lane].peek()!
      if (size + next.length > JOINED_BYTES) break
      if (size === first.length) joined.set(first)
      joined.set(next, size)
      size += next.length
      this.#lanes[lane].shift()
    }
    return size > first.length ? joined.subarray(0, size) : first
  }
}

/** Shared by all links: whoever sends a message copies it before `send` returns. */
const joined = new Uint8Array(JOINED_BYTES)

/** Whether messages of a higher lane keep coming between those of lower ones: a single one, such as a probe, is none. */
class Sharing {
  #since = CALM_MESSAGES
  #isRepeated = false

  get isCalm(): boolean {
    return this.#isRepeated && this.#since < CALM_MESSAGES
  }

  higher(): void {
    this.#isRepeated = this.#since < CALM_MESSAGES
    this.#since = 0
  }

  lower(): void {
    this.#since++
  }
}

/** One lane: first in, first out, without moving what waits at every step, in memory that it keeps. */
class Waiting {
  #messages: (Uint8Array | undefined)[] = []
  #head = 0
  #end = 0
  bytes = 0

  get length(): number {
    return this.#end - this.#head
  }

  push(message: Uint8Array): void {
    this.#messages[this.#end++] = message
    this.bytes += message.length
  }

  peek(): Uint8Array | undefined {
    return this.#head < this.#end ? this.#messages[this.#head] : undefined
  }

  shift(): Uint8Array | undefined {
    const message = this.peek()
    if (!message) return undefined
    this.#messages[this.#head++] = undefined
    this.bytes -= message.length
    if (this.#head === this.#end) this.clear()
    else if (this.#head > MOVE_AFTER && this.#head * 2 > this.#end) {
      this.#messages = this.#messages.slice(this.#head, this.#end)
      this.#end -= this.#head
      this.#head = 0
    }
    return message
  }

  clear(): void {
    if (this.#end > MOVE_AFTER) this.#messages = []
    else for (let at = this.#head; at < this.#end; at++) this.#messages[at] = undefined
    this.#head = this.#end = 0
    this.bytes = 0
  }
}

/** Places of a lane that are worth giving back. */
const MOVE_AFTER = 1_024
