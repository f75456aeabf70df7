import type { ClusterEvent } from '../api.ts'
import type { RefusalCode } from '../core/events.ts'
import { ClusterError } from '../errors.ts'
import type { ClusterErrorCode } from '../errors.ts'

/** Refusals that no other contact would answer differently. */
const FINAL: Readonly<Partial<Record<RefusalCode, ClusterErrorCode>>> = {
  'schema-mismatch': 'schema-mismatch',
  unproven: 'refused',
}

/** Follows a join through the event stream, and words its end. */
export class JoinAttempt {
  readonly timeoutMs: number
  /** This process has no key: whoever has one can neither let it in nor be believed. */
  keyless = false
  /** The port that must answer before the signaling server is asked; `undefined` once it is. */
  waitsFor: 'identity' | 'snapshot' | undefined
  /** Settles once. */
  readonly done: Promise<void>
  #resolve!: () => void
  #reject!: (error: unknown) => void
  #settled = false
  #signalingWasUp = false
  /** The newest thing that went wrong. */
  #trouble: string | undefined

  constructor(timeoutMs: number) {
    this.timeoutMs = timeoutMs
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  get settled(): boolean {
    return this.#settled
  }

  notice(event: ClusterEvent): void {
    if (this.#settled) return
    switch (event.type) {
      case 'status':
        if (event.to === 'up') this.#succeed()
        else if (event.to === 'left')
          this.fail(new ClusterError('refused', `The cluster ended this life: ${event.reason}.`))
        return
      case 'signaling':
        if (event.state === 'up') this.#signalingWasUp = true
        else this.#trouble = event.reason
        return
      case 'link-failed':
        this.#trouble = event.reason
        return
      case 'handshake-refused': {
        const isTheirs = event.by === 'us' && event.code === 'unproven' && !this.keyless
        const code = isTheirs ? undefined : FINAL[event.code]
        // Both ends see such a fault, and whoever sees it first ends the link.
        if (event.by === 'us' && !code && !isTheirs) return
        this.#trouble = event.reason
        const who =
          event.by === 'us' ? `This process cannot join ${event.nodeId}` : 'A member refused this process'
        if (code) this.fail(new ClusterError(code, `${who}: ${event.reason}.`))
      }
    }
  }

  /** The signaling server said no for good. */
  refused(reason: string): void {
    this.fail(new ClusterError('refused', `The signaling server refused this process: ${reason}.`))
  }

  expire(): void {
    const trouble = this.#trouble ? ` Last trouble: ${this.#trouble}.` : ''
    const within = `within ${this.timeoutMs} ms`
    if (this.waitsFor !== undefined) {
      const advice = 'In a browser that is IndexedDB: close other tabs of this site, and try again.'
      const message = `\`platform.${this.waitsFor}\` has not answered ${within}. ${advice}`
      return this.fail(new ClusterError('join-timeout', message))
    }
    this.fail(
      this.#signalingWasUp
        ? new ClusterError(
            'join-timeout',
            `No member accepted this process ${within}.${trouble} If networks differ, configure \`iceServers\`.`,
          )
        : new ClusterError(
            'signaling-unreachable',
            `No signaling server answered ${within}.${trouble} Check that it runs and that the URL is right.`,
          ),
    )
  }

  fail(error: unknown): void {
    if (this.#settled) return
    this.#settled = true
    this.#reject(error)
  }

  #succeed(): void {
    this.#settled = true
    this.#resolve()
  }
}
