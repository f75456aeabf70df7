/**
 * Gathers what one `handle` gives: outputs in order, and the frames of each link joined into few messages, lane by
 * lane.
 */
import type { EventBody, LinkId, Output } from './events.ts'
import { encodeFrame, encodeMessage, MAX_FRAME } from './wire/codec.ts'
import type { Frame, Lane } from './wire/frames.ts'
import { LANES } from './wire/frames.ts'

type Waiting = Map<LinkId, Uint8Array[]>

export class Outbox {
  #outputs: Output[] = []
  readonly #frames: Readonly<Record<Lane, Waiting>> = { control: new Map(), call: new Map(), bulk: new Map() }
  /** The newest message of one frame, and the frame: it may go to the next link as well. */
  #lastFrame: Uint8Array | undefined
  #lastMessage: Uint8Array | undefined
  /** Links that ended in this turn: nothing is sent on them any more. */
  readonly #ended = new Set<LinkId>()
  #wall = 0

  /** Events of this turn carry this time. */
  begin(wall: number): void {
    this.#wall = wall
  }

  push(output: Output): void {
    this.#outputs.push(output)
  }

  event(body: EventBody): void {
    this.#outputs.push({ type: 'event', event: { at: this.#wall, ...body } })
  }

  frame(linkId: LinkId, frame: Frame): void {
    this.bytes(linkId, encodeFrame(frame), 'control')
  }

  /** A frame that is encoded already, for example for several links. */
  bytes(linkId: LinkId, encoded: Uint8Array, lane: Lane): void {
    if (this.#ended.has(linkId)) return
    const frames = this.#frames[lane]
    const waiting = frames.get(linkId)
    if (waiting) waiting.push(encoded)
    else frames.set(linkId, [encoded])
  }

  /** Sends what waits for the link, then closes it. */
  close(linkId: LinkId, reason: string): void {
    for (const lane of LANES) this.#flush(linkId, lane, this.#frames[lane].get(linkId))
    this.drop(linkId)
    this.#outputs.push({ type: 'link-close', linkId, reason })
  }

  /** The link is gone: what waits for it can no longer be sent. */
  drop(linkId: LinkId): void {
    this.#ended.add(linkId)
    for (const lane of LANES) this.#frames[lane].delete(linkId)
  }

  take(): Output[] {
    for (const lane of LANES) {
      const waiting = this.#frames[lane]
      // Asked first: most turns send nothing or little, and emptying a map makes a new table, even of an empty one.
      if (waiting.size === 0) continue
      for (const [linkId, frames] of waiting) this.#flush(linkId, lane, frames)
      waiting.clear()
      this.#lastFrame = this.#lastMessage = undefined
    }
    if (this.#ended.size > 0) this.#ended.clear()
    const outputs = this.#outputs
    this.#outputs = []
    return outputs
  }

  #flush(linkId: LinkId, lane: Lane, frames: readonly Uint8Array[] | undefined): void {
    if (!frames) return
    if (frames.length === 1) {
      this.#outputs.push({ type: 'link-send', linkId, lane, bytes: this.#messageOf(frames) })
      return
    }
    let message: Uint8Array[] = []
    let size = 0
    for (const frame of frames) {
      if (size > 0 && size + frame.length > MAX_FRAME) {
        this.#outputs.push({ type: 'link-send', linkId, lane, bytes: encodeMessage(message) })
        message = []
        size = 0
      }
      message.push(frame)
      size += frame.length + 3
    }
    if (message.length > 0) {
      this.#outputs.push({ type: 'link-send', linkId, lane, bytes: encodeMessage(message) })
    }
  }

  /** Neighbours are mostly told the same, one after the other: they share one message. */
  #messageOf(frames: readonly Uint8Array[]): Uint8Array {
    if (this.#lastMessage === undefined || this.#lastFrame !== frames[0]) {
      this.#lastFrame = frames[0]
      this.#lastMessage = encodeMessage(frames)
    }
    return this.#lastMessage
  }
}
