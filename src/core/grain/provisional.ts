/**
 * Provisional: whether an owner that has taken up stored copies has heard of everybody who was in sync with them. While
 * it has not, what somebody else has on disk may be newer: that is told once, and holds nobody up.
 */
import type { PartitionId } from '../partition/partition.ts'
import type { Now } from '../time.ts'
import type { Holder, Origin, Source } from './messages.ts'
import { isKnownTo, isRelated } from './stored-copy.ts'

/** Told after this long, in ms: those who are there have offered what they have by then. */
export const PROVISIONAL_MS = 2_000

interface Restored {
  source: Source
  origins: readonly Origin[]
  back: readonly Holder[]
  readonly dueAt: number
}

export class Provisional {
  readonly #tell: (partition: PartitionId, missing: number) => void
  readonly #restored = new Map<PartitionId, Restored>()
  readonly #told = new Set<PartitionId>()
  #dueAt = Infinity

  constructor(tell: (partition: PartitionId, missing: number) => void) {
    this.#tell = tell
  }

  /** The owner has looked at a copy. `isNew`: it had something that was not known before. */
  onSource(
    partition: PartitionId,
    source: Source,
    origins: readonly Origin[],
    isNew: boolean,
    now: Now,
  ): void {
    const known = this.#restored.get(partition)
    if (!known) {
      if (!isNew || this.#told.has(partition)) return
      const dueAt = now.mono + PROVISIONAL_MS
      this.#restored.set(partition, { source, origins, back: source.back, dueAt })
      this.#dueAt = Math.min(this.#dueAt, dueAt)
      return
    }
    if (!isRelated(origins, known.origins)) return
    known.back = [...known.back, ...source.back]
    if (isKnownTo(known.origins, origins[0]!)) return
    known.source = source
    known.origins = origins
  }

  tick(now: Now): void {
    if (now.mono < this.#dueAt) return
    this.#dueAt = Infinity
    for (const [partition, { source, back, dueAt }] of this.#restored) {
      if (now.mono < dueAt) {
        this.#dueAt = Math.min(this.#dueAt, dueAt)
        continue
      }
      this.#restored.delete(partition)
      const missing = source.holders.filter((holder) => !back.some((one) => isOfOne(one, holder)))
      if (missing.length === 0) continue
      this.#told.add(partition)
      this.#tell(partition, missing.length)
    }
  }

  nextDeadline(): number {
    return this.#dueAt
  }
}

/** All of one browser share its disk. */
const isOfOne = (a: Holder, b: Holder): boolean =>
  a.process === b.process || (a.browser !== '' && a.browser === b.browser)
