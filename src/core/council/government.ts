/**
 * Government: what the council's leader does of itself. It keeps the right voters, one change at a time, and gives
 * partitions whose last holder is gone for good to another host, where they begin anew.
 */
import type { Candidate } from '../partition/placement.ts'
import { SLOTS } from '../partition/partition.ts'
import { place } from '../partition/placement.ts'
import type { ProcessId } from '../identity/node-id.ts'
import type { Now } from '../time.ts'
import type { Birth, Command, PartitionMap } from './partition-map.ts'
import type { Refusal, VoterChange } from './raft-messages.ts'
import type { Seat } from './voters.ts'
import { nextVoterChange } from './voters.ts'

export interface GovernmentOptions {
  readonly self: ProcessId
  readonly seats: () => readonly Seat[]
  readonly candidates: (kind: string) => readonly Candidate[]
  readonly hasEnded: (process: ProcessId) => boolean
  /** Default: `hasEnded`. */
  readonly mayGiveUp?: ((process: ProcessId) => boolean) | undefined
  readonly endSole?: (kind: string, slot: number, owner: ProcessId, epoch: number, now: Now) => boolean
  readonly map: () => PartitionMap
  readonly voters: () => readonly ProcessId[]
  readonly change: (id: number, change: VoterChange, now: Now) => Refusal | undefined
  readonly propose: (command: Command, now: Now) => void
}

/** What was refused, or failed, is tried again after this long, in ms. */
const RETRY_MS = 1_000
/** Who could not be taken in, since it does not answer for example, is passed over for so long, in ms. */
const PASSED_OVER_MS = 15_000
/**
 * A partition whose last holder is gone is given up this long after, in ms: one that has left hands its copies on, and
 * whoever is to have them must get them first, and then ask to own the partition.
 */
const HEIR_MS = 1_500

export class Government {
  readonly #options: GovernmentOptions
  #changes = 0
  #isChanging = false
  /** Who is being taken in. */
  #adding: ProcessId | undefined
  readonly #passedOver = new Map<ProcessId, number>()
  #isResting = false
  #lookAt = -Infinity
  /** Slots whose last holder is gone, by kind, until the map says something else of them. */
  readonly #lost = new Map<string, Map<number, Lost>>()

  constructor(options: GovernmentOptions) {
    this.#options = options
  }

  /** Something may have to be done. */
  notice(): void {
    this.#lookAt = -Infinity
  }

  /** Nothing is changed any more. */
  rest(): void {
    this.#isResting = true
  }

  /** Another council is served from now on. */
  reset(): void {
    this.#isChanging = false
    this.#lookAt = -Infinity
    this.#lost.clear()
  }

  /** A change of voters has ended. */
  changed(id: number, ok: boolean, now: Now): void {
    if (id !== this.#changes) return
    this.#isChanging = false
    if (!ok && this.#adding !== undefined) this.#passedOver.set(this.#adding, now.mono + PASSED_OVER_MS)
    this.#lookAt = ok ? -Infinity : now.mono + RETRY_MS
  }

  /** Where the partitions of a kind should go at its birth. */
  births(kind: string): readonly Birth[] | undefined {
    const candidates = this.#options.candidates(kind)
    const births: Birth[] = []
    for (let slot = 0; slot < SLOTS; slot++) {
      const placed = place(kind, slot, candidates)
      if (!placed) return undefined
      births.push(placed)
    }
    return births
  }

  /** To be called at the end of every turn in which this process leads. */
  settle(now: Now): void {
    if (this.#isResting || now.mono < this.#lookAt) return
    this.#lookAt = now.mono + RETRY_MS
    this.#changeVoters(now)
    this.#giveUpLost(now)
  }

  nextDeadline(): number {
    return this.#isResting ? Infinity : this.#lookAt
  }

  #changeVoters(now: Now): void {
    const { seats, voters, self, change } = this.#options
    if (this.#isChanging) return
    for (const [process, until] of this.#passedOver) if (now.mono >= until) this.#passedOver.delete(process)
    const sitting = voters()
    const able = seats().filter(({ process }) => sitting.includes(process) || !this.#passedOver.has(process))
    const next = nextVoterChange(sitting, able, self)
    if (!next) return
    const id = ++this.#changes
    this.#isChanging = true
    this.#adding = next.type === 'add' ? next.process : undefined
    const step: VoterChange = next.type === 'add' ? { add: next.process } : { remove: next.process }
    if (change(id, step, now)) this.#isChanging = false
  }

  #giveUpLost(now: Now): void {
    const { map, hasEnded, mayGiveUp = hasEnded, endSole, candidates, propose } = this.#options
    for (const [kind, entries] of map().kinds()) {
      const heirs = new Map<ProcessId, number[]>()
      for (const [slot, { epoch, inSync, owner: former }] of entries.entries()) {
        if (!inSync.every(mayGiveUp)) {
          this.#lost.get(kind)?.delete(slot)
          continue
        }
        const owner = place(kind, slot, candidates(kind))?.owner
        const lost = this.#lostSince(kind, slot, epoch, now)
        if (owner === undefined || now.mono < lost.giveUpAt) continue
        // Not before: it gives that owner the partition no more, and the owner might be back.
        if (endSole?.(kind, slot, former, epoch, now) === false) continue
        lost.giveUpAt = Infinity
        heirs.set(owner, [...(heirs.get(owner) ?? []), slot])
      }
      for (const [owner, slots] of heirs) {
        const epochs = slots.map((slot) => entries[slot]!.epoch)
        propose({ type: 'lose', kind, slots, epochs, birth: { owner, inSync: [owner] } }, now)
      }
    }
  }

  /** When it is to be given up: that is proposed once. */
  #lostSince(kind: string, slot: number, epoch: number, now: Now): Lost {
    const slots = this.#lost.get(kind) ?? new Map<number, Lost>()
    this.#lost.set(kind, slots)
    const known = slots.get(slot)
    const lost = known?.epoch === epoch ? known : { epoch, giveUpAt: now.mono + HEIR_MS }
    slots.set(slot, lost)
    return lost
  }
}

interface Lost {
  readonly epoch: number
  giveUpAt: number
}
