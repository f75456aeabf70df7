/**
 * The plan of one run: who joins when, what users change, what fails. A pure function of seed and sizes, made before
 * the run, so that the real core and the baseline go through exactly the same.
 */
import type { Visibility } from '../core/membership/record.ts'
import type { Random } from '../core/time.ts'
import type { Tuning } from '../core/tuning.ts'
import type { ActionKind, Faults } from './faults.ts'
import { below, between, exponential, pick, sample, seededRandom, weighted } from './random.ts'

/** Something that is done at `at` ms after its phase began. `slot` names a tab: it stays through reloads. */
export type Action = { readonly at: number } & (
  | { readonly type: 'join'; readonly slots: readonly number[] }
  | { readonly type: 'meta'; readonly slot: number; readonly value: string }
  | {
      readonly type: 'peer-state'
      readonly slot: number
      readonly key: string
      readonly value: string | undefined
    }
  | { readonly type: 'visibility'; readonly slot: number; readonly visibility: Visibility }
  | { readonly type: 'leave'; readonly slot: number }
  /** `quick`: the other ends of its links are told at once. */
  | { readonly type: 'crash'; readonly slots: readonly number[]; readonly quick: boolean }
  | { readonly type: 'reload'; readonly slot: number; readonly goodbye: boolean; readonly pauseMs: number }
  /** One of the slot's links, `choice` of the way through the list of them. */
  | { readonly type: 'cut'; readonly slot: number; readonly choice: number }
  | { readonly type: 'blackhole'; readonly slot: number; readonly choice: number; readonly ms: number }
  /** `signaling`: whether the tabs of `side` can reach the signaling server meanwhile. */
  | {
      readonly type: 'partition'
      readonly side: readonly number[]
      readonly ms: number
      readonly signaling: boolean
    }
  | { readonly type: 'outage'; readonly ms: number }
  /** The link to one neighbour is cut or silent every `everyMs`, for `ms`. */
  | {
      readonly type: 'flap'
      readonly slot: number
      readonly choice: number
      readonly ms: number
      readonly everyMs: number
    }
  /** `stopped`: the transport too, so that links die if it lasts; else it goes on and keeps what arrives. */
  | { readonly type: 'freeze'; readonly slot: number; readonly ms: number; readonly stopped: boolean }
  | { readonly type: 'sleep'; readonly slot: number; readonly ms: number }
  /** Timers come only every `everyMs`; with `slow` messages too. */
  | {
      readonly type: 'throttle'
      readonly slot: number
      readonly ms: number
      readonly everyMs: number
      readonly slow: boolean
    }
  | { readonly type: 'clock-jump'; readonly slot: number; readonly ms: number }
  | { readonly type: 'wall-step'; readonly slot: number; readonly ms: number }
)

export interface Plan {
  /** Everyone comes, at one instant or over a few seconds. */
  readonly forming: readonly Action[]
  /** Users change things, nothing fails: for figures. */
  readonly calm: readonly Action[]
  /** Changes and faults together. */
  readonly storm: readonly Action[]
  /** After this long in the storm everything is healed. No fault lasts longer. */
  readonly stormMs: number
}

export interface PlanOptions {
  readonly seed: number
  readonly nodes: number
  readonly faults: Faults
  readonly tuning: Tuning
  readonly calmMs: number
  readonly stormMs: number
}

export function planSchedule({ seed, nodes, faults, tuning, calmMs, stormMs }: PlanOptions): Plan {
  const random = seededRandom(seed, 'schedule')
  const forming = planForming(random, nodes)
  const calm: Action[] = []
  for (let at = 500; at < calmMs; at += exponential(random, 500)) {
    calm.push(planChange(random, at, below(random, nodes), calm.length))
  }
  const storm = new StormPlanner(random, nodes, faults, tuning, stormMs).plan()
  return { forming, calm, storm, stormMs }
}

function planForming(random: Random, nodes: number): Action[] {
  const slots = Array.from({ length: nodes }, (_, slot) => slot)
  if (random() < 0.5) return [{ at: 0, type: 'join', slots }]
  const spread = between(random, 1_000, 5_000)
  return slots.map((slot): Action => ({ at: (slot * spread) / nodes, type: 'join', slots: [slot] }))
}

/** How long a process does not run. */
const SHORT = [200, 10_000] as const
const LONG = [10_000, 60_000] as const

const VISIBILITIES: readonly Visibility[] = ['visible', 'hidden', 'frozen-soon']

function planChange(random: Random, at: number, slot: number, number: number): Action {
  if (random() < 0.6) return { at, type: 'meta', slot, value: JSON.stringify({ note: number }) }
  return { at, type: 'peer-state', slot, key: pick(random, ['cursor', 'name']), value: String(number) }
}

/** Draws actions one after the other, and keeps track of who is there. */
class StormPlanner {
  readonly #random: Random
  readonly #nodes: number
  readonly #faults: Faults
  readonly #tuning: Tuning
  readonly #stormMs: number
  readonly #present: number[]
  readonly #actions: Action[] = []
  #nextSlot: number
  #at = 0
  #partitionedUntil = 0
  #outageUntil = 0

  constructor(random: Random, nodes: number, faults: Faults, tuning: Tuning, stormMs: number) {
    this.#random = random
    this.#nodes = nodes
    this.#faults = faults
    this.#tuning = tuning
    this.#stormMs = stormMs
    this.#present = Array.from({ length: nodes }, (_, slot) => slot)
    this.#nextSlot = nodes
  }

  plan(): Action[] {
    const pause = (this.#faults.actionEveryMs * 50) / Math.max(10, this.#nodes)
    for (;;) {
      this.#at += exponential(this.#random, pause)
      if (this.#at >= this.#stormMs) return this.#actions
      const action = this.#action(weighted(this.#random, this.#faults.weights))
      if (action) this.#actions.push(action)
    }
  }

  /** `undefined` where the kind makes no sense just now. */
  #action(kind: ActionKind): Action | undefined {
    const random = this.#random
    const at = this.#at
    const slot = pick(random, this.#present)
    switch (kind) {
      case 'meta':
        return { at, type: kind, slot, value: JSON.stringify({ note: this.#actions.length }) }
      case 'peer-state': {
        const value = random() < 0.15 ? undefined : String(this.#actions.length)
        return { at, type: kind, slot, key: pick(random, ['cursor', 'name']), value }
      }
      case 'visibility':
        return { at, type: kind, slot, visibility: pick(random, VISIBILITIES) }
      case 'join':
        return this.#join(1)
      case 'mass-join':
        return this.#join(Math.ceil(this.#nodes / 5))
      case 'leave':
        return this.#take(1) && { at, type: kind, slot: this.#remove(slot) }
      case 'crash':
        return this.#take(1) && { at, type: kind, slots: [this.#remove(slot)], quick: random() < 0.5 }
      case 'window-crash': {
        const count = Math.ceil(this.#nodes * between(random, 0.1, 0.4))
        if (!this.#take(count)) return undefined
        const slots = sample(random, this.#present, count)
        for (const gone of slots) this.#remove(gone)
        return { at, type: 'crash', slots, quick: random() < 0.7 }
      }
      case 'mass-crash': {
        const present = this.#present.length
        // Once in a while: a room that was halved has to grow again first.
        if (present < Math.max(4, this.#nodes * 0.8)) return undefined
        const slots = sample(random, this.#present, Math.floor(present / 2))
        for (const gone of slots) this.#remove(gone)
        return { at, type: 'crash', slots, quick: random() < 0.5 }
      }
      case 'reload-storm':
        return this.#reloadStorm()
      case 'reload':
        return { at, type: kind, slot, goodbye: random() < 0.7, pauseMs: between(random, 20, 1_500) }
      case 'cut':
        return { at, type: kind, slot, choice: random() }
      case 'blackhole':
        return { at, type: kind, slot, choice: random(), ms: this.#lasting(500, 20_000) }
      case 'flap': {
        const everyMs = pick(random, [300, 1_500, 4_000])
        return { at, type: kind, slot, choice: random(), ms: this.#lasting(5_000, 30_000), everyMs }
      }
      case 'partition':
        return this.#partition()
      case 'outage': {
        if (at < this.#outageUntil) return undefined
        const ms = this.#lasting(1_000, 15_000)
        this.#outageUntil = at + ms
        return { at, type: kind, ms }
      }
      case 'freeze': {
        const [min, max] = pick(random, [SHORT, SHORT, LONG])
        return { at, type: kind, slot, ms: this.#lasting(min, max), stopped: random() < 0.5 }
      }
      case 'sleep': {
        const [min, max] = pick(random, [SHORT, LONG, this.#beyondRemoval()])
        return { at, type: kind, slot, ms: this.#lasting(min, max) }
      }
      case 'throttle':
        return this.#throttle(slot, 1_000, 20_000, false)
      case 'throttle-minute':
        return this.#throttle(slot, 60_000, 150_000, false)
      case 'slow':
        return this.#throttle(slot, 1_000, 20_000, true)
      case 'clock-jump':
        return { at, type: kind, slot, ms: between(random, 100, 60_000) }
      case 'wall-step':
        return { at, type: kind, slot, ms: between(random, -3_600_000, 3_600_000) }
    }
  }

  #join(count: number): Action | undefined {
    const room = Math.ceil(this.#nodes * 1.2) - this.#present.length
    if (room < count) return undefined
    const slots = Array.from({ length: count }, () => this.#nextSlot++)
    this.#present.push(...slots)
    return { at: this.#at, type: 'join', slots }
  }

  /** Whether so many may go: some must stay. */
  #take(count: number): true | undefined {
    return this.#present.length - count >= Math.max(2, Math.floor(this.#nodes * 0.5)) || undefined
  }

  #remove(slot: number): number {
    this.#present.splice(this.#present.indexOf(slot), 1)
    return slot
  }

  /** Short, middling, or so long that the removal time passes in it. */
  #partition(): Action | undefined {
    if (this.#at < this.#partitionedUntil || this.#present.length < 2) return undefined
    const random = this.#random
    const [min, max] = pick(random, [[500, 5_000], [5_000, 20_000], this.#beyondRemoval()] as const)
    const ms = this.#lasting(min, max)
    this.#partitionedUntil = this.#at + ms
    const size = Math.max(1, Math.floor(this.#present.length * between(random, 0.05, 0.5)))
    const side = sample(random, this.#present, size)
    return { at: this.#at, type: 'partition', side, ms, signaling: random() < 0.4 }
  }

  /** Long enough for whoever is away to be removed. */
  #beyondRemoval(): readonly [number, number] {
    const long = this.#tuning.removeAfterMs * 1.3 + this.#faults.silenceMaxMs
    return [long, long * 1.3]
  }

  #throttle(slot: number, everyMs: number, maxMs: number, slow: boolean): Action {
    return { at: this.#at, type: 'throttle', slot, ms: this.#lasting(2_000, maxMs), everyMs, slow }
  }

  /** Adds its reloads to the plan itself: they are many. */
  #reloadStorm(): undefined {
    const random = this.#random
    const slots = sample(random, this.#present, Math.ceil(this.#present.length * between(random, 0.2, 0.6)))
    const rounds = pick(random, [2, 3, 5])
    const everyMs = between(random, 300, 5_000)
    for (let round = 0; round < rounds; round++) {
      const at = this.#at + round * everyMs
      if (at >= this.#stormMs) return
      for (const slot of slots) {
        const pauseMs = between(random, 20, 1_500)
        this.#actions.push({ at, type: 'reload', slot, goodbye: random() < 0.7, pauseMs })
      }
    }
  }

  /** Nothing outlasts the storm. */
  #lasting(min: number, max: number): number {
    return Math.min(between(this.#random, min, max), this.#stormMs - this.#at)
  }
}
