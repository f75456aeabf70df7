/**
 * Copies that were handed over by an owner that goes, at an epoch of which the map has not told here yet. The owner
 * cannot be asked for them again once the map has: so they wait for it a while. Whether the sender owned the partition
 * only the map can tell.
 */
import type { ProcessId } from '../identity/node-id.ts'
import type { Now } from '../time.ts'
import { weigh } from './held-partition.ts'
import type { CopyItem } from './messages.ts'
import type { Part, Workshop } from './part.ts'

/** So long, in ms: by then the council's leader has given the partition up, or nobody leads. */
const HANDING_MS = 10_000

export class Inheriting {
  readonly #shop: Workshop
  /** Of all that waits here, about. It has as much room as copies have, and none of theirs. */
  #bytes = 0

  constructor(shop: Workshop) {
    this.#shop = shop
  }

  /** Parts of a copy come in order, and at once. */
  setAside(from: ProcessId, part: Part, item: CopyItem, now: Now): void {
    const { tuning, touch } = this.#shop
    const { epoch, index, entries } = item
    if (epoch <= (part.entry?.epoch ?? 0)) return
    if (part.handing && part.handing.from !== from && part.entry?.owner !== from) return
    if (index === 0) {
      this.drop(part)
      part.handing = { from, epoch, items: [], until: now.mono + HANDING_MS, bytes: 0 }
    }
    const { handing } = part
    if (handing?.from !== from || handing.epoch !== epoch || index !== handing.items.length) return
    const bytes = entries.reduce((sum, { key, contents }) => sum + weigh(key, contents), ITEM_BYTES)
    if (this.#bytes + bytes > tuning.stateBytes) return this.drop(part)
    handing.items.push(item)
    handing.bytes += bytes
    this.#bytes += bytes
    touch(part)
  }

  /** The map has told more of the partition: what waited for just that. */
  take(part: Part): readonly CopyItem[] {
    const { handing, entry } = part
    if (!handing || entry!.epoch < handing.epoch) return []
    this.drop(part)
    return entry!.owner === handing.from && entry!.epoch === handing.epoch ? handing.items : []
  }

  /** Returns when to do so again. */
  look(part: Part, now: Now): number {
    const { askMap, tuning } = this.#shop
    const { handing } = part
    if (!handing) return Infinity
    if (now.mono >= handing.until) {
      this.drop(part)
      return Infinity
    }
    askMap(part, now)
    return Math.min(now.mono + tuning.askAgainMs, handing.until)
  }

  drop(part: Part): void {
    this.#bytes -= part.handing?.bytes ?? 0
    part.handing = undefined
  }
}

/** A part takes something even where it has no entries. */
const ITEM_BYTES = 64
