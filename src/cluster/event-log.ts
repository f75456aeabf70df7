import type { ClusterEvent, EventStream } from '../api.ts'
import { ClusterError } from '../errors.ts'
import { checkFunction, show } from '../grains/arguments.ts'
import { callSafely } from './store.ts'

/** Events that are kept. */
export const KEPT_EVENTS = 1_000

/** Every type of event there is. */
const TYPES: Readonly<Record<ClusterEvent['type'], true>> = {
  status: true,
  'member-status': true,
  'member-meta': true,
  'member-visibility': true,
  'peer-state': true,
  superseded: true,
  'authority-conflict': true,
  convergence: true,
  joined: true,
  'link-opened': true,
  'link-closed': true,
  'link-failed': true,
  'handshake-refused': true,
  gap: true,
  'frame-rejected': true,
  signaling: true,
  reborn: true,
  association: true,
  'dead-letter': true,
  drained: true,
  'send-aborted': true,
  'grain-activated': true,
  'grain-deactivated': true,
  'grain-threw': true,
  'grain-stuck': true,
  'grain-moved': true,
  council: true,
  'state-conflict': true,
  'state-dropped': true,
  'slow-calls': true,
  'state-provisional': true,
  storage: true,
}

type Listener = (event: ClusterEvent) => void

/** The newest events, in a ring, and those who listen to them. */
export class EventLog implements EventStream {
  readonly #ring: ClusterEvent[] = []
  readonly #listeners = new Set<{ readonly call: Listener }>()
  readonly #byType = new Map<ClusterEvent['type'], Set<{ readonly call: Listener }>>()
  #next = 0

  readonly recent = (): readonly ClusterEvent[] => [
    ...this.#ring.slice(this.#next),
    ...this.#ring.slice(0, this.#next),
  ]

  readonly subscribe = (listener: Listener): (() => void) => {
    checkFunction('subscribe', listener)
    const entry = { call: listener }
    this.#listeners.add(entry)
    return () => void this.#listeners.delete(entry)
  }

  readonly on = <K extends ClusterEvent['type']>(
    type: K,
    listener: (event: Extract<ClusterEvent, { type: K }>) => void,
  ): (() => void) => {
    checkFunction('on', listener)
    if (!Object.hasOwn(TYPES, type)) {
      throw new ClusterError('invalid-value', `${show(type)} is no type of event: see \`ClusterEvent\`.`)
    }
    const listeners = this.#byType.get(type) ?? new Set()
    this.#byType.set(type, listeners)
    const entry = { call: listener as Listener }
    listeners.add(entry)
    return () => void listeners.delete(entry)
  }

  add(event: ClusterEvent): void {
    Object.freeze(event)
    if (event.type !== 'peer-state') this.#keep(event)
    for (const { call } of this.#listeners) callSafely(call, event)
    for (const { call } of this.#byType.get(event.type) ?? []) callSafely(call, event)
  }

  #keep(event: ClusterEvent): void {
    if (this.#ring.length < KEPT_EVENTS) {
      this.#ring.push(event)
    } else {
      this.#ring[this.#next] = event
      this.#next = (this.#next + 1) % KEPT_EVENTS
    }
  }
}
