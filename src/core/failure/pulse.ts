/** Measures the round trip of each link by ping and ack. The failure detector will judge by the same frames. */
import type { LinkId } from '../events.ts'
import type { Outbox } from '../outbox.ts'

interface Pulse {
  token: number
  sentAt: number
  nextAt: number
  rttMs: number | undefined
}

/** Weight of a new sample (RFC 6298, section 2). */
const ALPHA = 1 / 8

export class Pulses {
  readonly #outbox: Outbox
  readonly #intervalMs: number
  readonly #links = new Map<LinkId, Pulse>()
  #tokens = 0
  #revision = 0
  #next = Infinity

  constructor(outbox: Outbox, intervalMs: number) {
    this.#outbox = outbox
    this.#intervalMs = intervalMs
  }

  begin(linkId: LinkId, now: number): void {
    const pulse = { token: 0, sentAt: 0, nextAt: now, rttMs: undefined }
    this.#links.set(linkId, pulse)
    this.#ping(linkId, pulse, now)
  }

  end(linkId: LinkId): void {
    this.#links.delete(linkId)
  }

  /** Grows with every measurement. */
  get revision(): number {
    return this.#revision
  }

  rtt(linkId: LinkId): number | undefined {
    return this.#links.get(linkId)?.rttMs
  }

  /** Answers a ping. */
  onPing(linkId: LinkId, token: number): void {
    this.#outbox.frame(linkId, { kind: 'ack', token })
  }

  /** Returns whether the ack was awaited. */
  onAck(linkId: LinkId, token: number, now: number): boolean {
    const pulse = this.#links.get(linkId)
    if (!pulse || pulse.token !== token || token === 0) return false
    pulse.token = 0
    this.#revision++
    const sample = now - pulse.sentAt
    pulse.rttMs = pulse.rttMs === undefined ? sample : pulse.rttMs + ALPHA * (sample - pulse.rttMs)
    return true
  }

  tick(now: number): void {
    if (now < this.#next) return
    this.#next = Infinity
    for (const [linkId, pulse] of this.#links) {
      if (now >= pulse.nextAt) this.#ping(linkId, pulse, now)
      this.#next = Math.min(this.#next, pulse.nextAt)
    }
  }

  nextDeadline(): number | undefined {
    return this.#next === Infinity ? undefined : this.#next
  }

  #ping(linkId: LinkId, pulse: Pulse, now: number): void {
    pulse.token = ++this.#tokens
    pulse.sentAt = now
    pulse.nextAt = now + this.#intervalMs
    this.#next = Math.min(this.#next, pulse.nextAt)
    this.#outbox.frame(linkId, { kind: 'ping', token: pulse.token })
  }
}
