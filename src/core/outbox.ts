/**
 * Gathers what one `handle` gives: outputs in order, and the frames of each link joined into few messages, lane by
 * lane.
 */
import type { EventBody, LinkId, Output } from './events.ts'
import { Refill } from './refill.ts'
import { encodeAlone, joinMessages, MAX_FRAME } from './wire/codec.ts'
import { adjoin } from './wire/slab.ts'
import type { Frame, Lane } from './wire/frames.ts'
import { LANES } from './wire/frames.ts'

/** What waits for one link in one lane. It stays when nothing does: a busy link would have a new one each turn. */
interface Waiting {
  readonly linkId: LinkId
  /** Messages that came before the last one, and lie elsewhere in memory; most turns have none. */
  before: Uint8Array[] | undefined
  last: Uint8Array | undefined
}

export class Outbox {
  #outputs: Output[] = []
  readonly #waiting: Readonly<Record<Lane, Map<LinkId, Waiting>>> = {
    control: new Map(),
    call: new Map(),
    bulk: new Map(),
  }
  /** In the order in which they were given something in this turn. */
  readonly #filled: Readonly<Record<Lane, Refill<Waiting>>> = {
    control: new Refill(),
    call: new Refill(),
    bulk: new Refill(),
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
    let waiting = this.#waiting[lane].get(linkId)
    if (!waiting) this.#waiting[lane].set(linkId, (waiting = { linkId, before: undefined, last: undefined }))
    const { last } = waiting
    if (!last) this.#filled[lane].add(waiting)
    const joined = last && last.length + message.length <= MAX_FRAME ? adjoin(last, message) : undefined
    if (last && !joined) (waiting.before ??= []).push(last)
    waiting.last = joined ?? message
  }

  /** Sends what waits for the link, then closes it. */
  close(linkId: LinkId, reason: string): void {
    for (const lane of LANES) {
      const waiting = this.#waiting[lane].get(linkId)
      if (waiting) this.#flush(waiting, lane)
    }
    this.drop(linkId)
    this.#outputs.push({ type: 'link-close', linkId, reason })
  }

  /** The link is gone: what waits for it can no longer be sent. */
  drop(linkId: LinkId): void {
    this.#ended.add(linkId)
    for (const lane of LANES) {
      const waiting = this.#waiting[lane].get(linkId)
      if (!waiting) continue
      waiting.before = waiting.last = undefined
      this.#waiting[lane].delete(linkId)
    }
  }

  take(): Output[] {
    for (const lane of LANES) {
      const filled = this.#filled[lane]
      for (let i = 0; i < filled.size; i++) this.#flush(filled.at(i), lane)
      filled.clear()
    }
    if (this.#ended.size > 0) this.#ended.clear()
    const outputs = this.#outputs
    this.#outputs = []
    return outputs
  }

  #flush(waiting: Waiting, lane: Lane): void {
    const { linkId, before, last } = waiting
    if (!last) return
    waiting.before = waiting.last = undefined
    if (!before) return this.#send(linkId, lane, last)
    before.push(last)
    let [from, size] = [0, 0]
    for (const [i, { length }] of before.entries()) {
      if (size > 0 && size + length > MAX_FRAME) {
        this.#send(linkId, lane, joinMessages(before.slice(from, i)))
        from = i
        size = 0
      }
      size += length
    }
    this.#send(linkId, lane, joinMessages(before.slice(from)))
  }

  #send(linkId: LinkId, lane: Lane, bytes: Uint8Array): void {
    this.#outputs.push({ type: 'link-send', linkId, lane, bytes })
  }
}
