/**
 * Gathers what one turn has to say, so that many partitions share a message: of one type to one process, in the order
 * in which it was said. A message is closed when it has become large; what is larger by itself travels alone, and the
 * transport cuts it.
 */
import type { ProcessId } from '../identity/node-id.ts'
import type { HoldingLane, HoldingMessage, ItemsOf, ItemType, ListMessage } from './messages.ts'
import { LANE_OF } from './messages.ts'

export type Send = (to: ProcessId, message: HoldingMessage, lane: HoldingLane) => void

/** From here on a message is not filled further. */
const LARGE = 48 * 1024
const MAX_ITEMS = 1_024
/** What an item takes besides content. */
const ITEM_BYTES = 48

interface Open {
  readonly to: ProcessId
  readonly type: ItemType
  readonly items: ItemsOf[ItemType][]
  bytes: number
}

export class Mail {
  readonly #send: Send
  #open: Open[] = []
  /** The newest of each receiver and lane: only it may grow, so that order within a lane stays. */
  readonly #last = new Map<string, Open>()

  constructor(send: Send) {
    this.#send = send
  }

  /** `bytes`: of the content in the item, about. */
  put<T extends ItemType>(to: ProcessId, type: T, item: ItemsOf[T], bytes = 0): void {
    const place = `${to} ${LANE_OF[type]}`
    let open = this.#last.get(place)
    if (!open || open.type !== type || open.bytes > LARGE || open.items.length >= MAX_ITEMS) {
      open = { to, type, items: [], bytes: 0 }
      this.#open.push(open)
      this.#last.set(place, open)
    }
    open.items.push(item)
    open.bytes += bytes + ITEM_BYTES
  }

  flush(): void {
    const open = this.#open
    // Asked first: most turns say nothing, and emptying a map makes a new table, even of an empty one.
    if (open.length === 0) return
    this.#open = []
    this.#last.clear()
    for (const { to, type, items } of open)
      this.#send(to, { type, items } as unknown as ListMessage, LANE_OF[type])
  }
}
