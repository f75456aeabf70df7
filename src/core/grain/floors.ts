/**
 * Floors: what callers have settled with grains that are not in memory now. A right may lapse and come back to the same
 * process, so nothing in the map tells what was sent before from what is sent after; a call that was passed on by a
 * former owner, and then held up, must not be new to a grain that has forgotten it meanwhile. The store knows this of
 * calls that left a record and are not settled; this is for the others, and it is kept for a time only.
 */
import type { CallerId } from '../rpc/messages.ts'

interface Floor {
  first: number
  expiresAt: number
}

const MIN_SWEEP = 256
/** Callers name what they have settled, and whether they called it nobody knows: the oldest give way. */
const MAX_FLOORS = 16_384

export class Floors {
  readonly #keepMs: number
  readonly #grains = new Map<string, Map<CallerId, Floor>>()
  #size = 0
  #sweepAt = MIN_SWEEP

  constructor(keepMs: number) {
    this.#keepMs = keepMs
  }

  get size(): number {
    return this.#size
  }

  /** All calls of this caller to this grain below `first` are settled. */
  raise(grain: string, caller: CallerId, first: number, now: number): void {
    let floors = this.#grains.get(grain)
    if (!floors) this.#grains.set(grain, (floors = new Map()))
    const known = floors.get(caller)
    if (known) {
      known.first = Math.max(known.first, first)
      known.expiresAt = now + this.#keepMs
      return
    }
    floors.set(caller, { first, expiresAt: now + this.#keepMs })
    this.#size++
    if (this.#size >= this.#sweepAt) this.#sweep(now)
    if (this.#size > MAX_FLOORS) this.take(this.#grains.keys().next().value!)
  }

  /** Of a grain that is loaded: it knows them itself from now on. */
  take(grain: string): [CallerId, number][] {
    const floors = this.#grains.get(grain)
    if (!floors) return []
    this.#grains.delete(grain)
    this.#size -= floors.size
    return Array.from(floors, ([caller, { first }]) => [caller, first])
  }

  #sweep(now: number): void {
    for (const [grain, floors] of this.#grains) {
      for (const [caller, { expiresAt }] of floors) {
        if (expiresAt > now) continue
        floors.delete(caller)
        this.#size--
      }
      if (floors.size === 0) this.#grains.delete(grain)
    }
    this.#sweepAt = Math.max(MIN_SWEEP, this.#size * 2)
  }
}
