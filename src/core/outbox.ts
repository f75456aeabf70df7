/**
 * Gathers what one `handle` gives: outputs in order, and the frames of each link joined into few messages, lane by
 * lane.
 */
import type { EventBody, LinkId, Output } from './events.ts'
import { encodeAlone, joinMessages, MAX_FRAME } from './wire/codec.ts'
import type { Frame, Lane } from './wire/frames.ts'
import { LANES } from './wire/frames.ts'

type Waiting = Map<LinkId, Uint8Array[]>

export class Outbox {
  #outputs: Output[] = []
  readonly #messages: Readonly<Record<Lane, Waiting>> = {
    control: new Map(),
    call: new Map(),
    bulk: new Map(),
  }
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
    this.bytes(linkId, encodeAlone(frame), 'control')
  }

  /** A message of one frame that is encoded already, for example for several links. */
  bytes(linkId: LinkId, message: Uint8Array, lane: Lane): void {
    if (this.#ended.has(linkId)) return
    const messages = this.#messages[lane]
    const waiting = messages.get(linkId)
    if (waiting) waiting.push(message)
    else messages.set(linkId, [message])
  }

  /** Sends what waits for the link, then closes it. */
  close(linkId: LinkId, reason: string): void {
    for (const lane of LANES) this.#flush(linkId, lane, this.#messages[lane].get(linkId))
    this.drop(linkId)
    this.#outputs.push({ type: 'link-close', linkId, reason })
  }

  /** The link is gone: what waits for it can no longer be sent. */
  drop(linkId: LinkId): void {
    this.#ended.add(linkId)
    for (const lane of LANES) this.#messages[lane].delete(linkId)
  }

  take(): Output[] {
    for (const lane of LANES) {
      const waiting = this.#messages[lane]
      // Asked first: most turns send nothing or little, and emptying a map makes a new table, even of an empty one.
      if (waiting.size === 0) continue
      for (const [linkId, messages] of waiting) this.#flush(linkId, lane, messages)
      waiting.clear()
    }
    if (this.#ended.size > 0) this.#ended.clear()
    const outputs = this.#outputs
    this.#outputs = []
    return outputs
  }

  #flush(linkId: LinkId, lane: Lane, messages: readonly Uint8Array[] | undefined): void {
    if (!messages) return
    if (messages.length === 1) return this.#send(linkId, lane, messages)
    let [from, size] = [0, 0]
    for (const [i, { length }] of messages.entries()) {
      if (size > 0 && size + length > MAX_FRAME) {
        this.#send(linkId, lane, messages.slice(from, i))
        from = i
        size = 0
      }
      size += length
    }
    this.#send(linkId, lane, messages.slice(from))
  }

  #send(linkId: LinkId, lane: Lane, messages: readonly Uint8Array[]): void {
    const bytes = messages.length === 1 ? messages[0]! : joinMessages(messages)
    this.#outputs.push({ type: 'link-send', linkId, lane, bytes })
  }
}
