/**
 * Copies that were handed over by an owner that goes, at an epoch of which the map has not told here yet. The owner
 * cannot be asked for them again once the map has: so they wait for it a while. Whether the sender owned the partition
 * only the map can tell; so nobody's copy takes the place of another's, and who fills the room loses first.
 */
import type { ProcessId } from '../identity/node-id.ts'
import type { Now } from '../time.ts'
import { weigh } from './held-partition.ts'
import type { CopyItem } from './messages.ts'
import type { Part, Workshop } from './part.ts'

interface Handing {
  readonly epoch: number
  readonly items: CopyItem[]
  readonly until: number
  bytes: number
}

interface Sender {
  readonly handings: Map<Part, Handing>
  bytes: number
}

/** So long, in ms: by then the council's leader has given the partition up, or nobody leads. */
const HANDING_MS = 10_000
/** Partitions from one sender: all that one process can own of some kinds. */
const MOST_OF_ONE = 4_096
/** The map is asked for partitions of which it has told nothing in rounds, in ms. */
const ROUND_MS = 100
/** A part takes something even where it has no entries, and a tenure takes this. */
const ITEM_BYTES = 64
const TENURE_BYTES = 80

export class Inheriting {
  readonly #shop: Workshop
  readonly #senders = new Map<ProcessId, Sender>()
  /** Of all that waits here, about. It has as much room as copies have, and none of theirs. */
  #bytes = 0

  constructor(shop: Workshop) {
    this.#shop = shop
  }

  /** Parts of a copy come in order, and at once. */
  setAside(from: ProcessId, part: Part, item: CopyItem, now: Now): void {
    const { tuning, touch } = this.#shop
    const { epoch, index } = item
    if (epoch <= (part.entry?.epoch ?? 0)) return
    if (index === 0) this.#begin(from, part, epoch, now)
    const sender = this.#senders.get(from)
    const handing = sender?.handings.get(part)
    if (!sender || handing?.epoch !== epoch || index !== handing.items.length || handing.items.at(-1)?.end)
      return
    const bytes = weighItem(item)
    handing.items.push(item)
    handing.bytes += bytes
    sender.bytes += bytes
    this.#bytes += bytes
    while (this.#bytes > tuning.stateBytes) this.#makeRoom(from, part)
    touch(part)
  }

  /** The map has told more of the partition: what waited for just that. */
  take(part: Part): readonly CopyItem[] {
    const { owner, epoch } = part.entry!
    let items: readonly CopyItem[] = []
    for (const [from, { handings }] of this.#senders) {
      const handing = handings.get(part)
      if (!handing || epoch < handing.epoch) continue
      if (from === owner && epoch === handing.epoch) ({ items } = handing)
      this.#drop(from, part)
    }
    return items
  }

  isWaiting(part: Part): boolean {
    for (const { handings } of this.#senders.values()) if (handings.has(part)) return true
    return false
  }

  /** Returns when to do so again. */
  look(part: Part, now: Now): number {
    let until = -Infinity
    for (const [from, { handings }] of this.#senders) {
      const handing = handings.get(part)
      if (handing && now.mono >= handing.until) this.#drop(from, part)
      else if (handing) until = Math.max(until, handing.until)
    }
    if (until === -Infinity) return Infinity
    this.#shop.askMap(part, now)
    const again = now.mono + this.#shop.tuning.askAgainMs
    return part.entry ? Math.min(again, until) : ROUND_MS * Math.ceil(Math.min(again, until) / ROUND_MS)
  }

  #begin(from: ProcessId, part: Part, epoch: number, now: Now): void {
    this.#drop(from, part)
    const sender = this.#senders.get(from) ?? { handings: new Map<Part, Handing>(), bytes: 0 }
    if (sender.handings.size >= MOST_OF_ONE) return
    this.#senders.set(from, sender)
    sender.handings.set(part, { epoch, items: [], until: now.mono + HANDING_MS, bytes: 0 })
  }

  /** At the cost of who takes the most. */
  #makeRoom(from: ProcessId, part: Part): void {
    const [most, { handings }] = [...this.#senders].reduce((a, b) => (b[1].bytes > a[1].bytes ? b : a))
    const [oldest] = handings.keys()
    this.#drop(most, most === from ? part : oldest!)
  }

  #drop(from: ProcessId, part: Part): void {
    const sender = this.#senders.get(from)
    const handing = sender?.handings.get(part)
    if (!sender || !handing) return
    sender.handings.delete(part)
    sender.bytes -= handing.bytes
    this.#bytes -= handing.bytes
    if (sender.handings.size === 0) this.#senders.delete(from)
  }
}

const weighItem = ({ entries, end }: CopyItem): number =>
  entries.reduce(
    (sum, { key, contents }) => sum + weigh(key, contents),
    ITEM_BYTES + TENURE_BYTES * (end?.tenures.length ?? 0),
  )
