/**
 * One member as every tab runs it, with its snapshots in this browser's IndexedDB, in a crowd that runs in the same
 * page on a network in memory and in virtual time: a table of any size, written as it would be in a real room.
 */
import { createStore, setMany } from 'idb-keyval'
import type { Clock, SnapshotStore } from '../../src/index.ts'
import { MemoryRoom } from '../support/memory-room.ts'

/** What one snapshot cost the page's main thread, in ms. */
export interface CrowdWrite {
  /** From the timer that asks for it until the table is packed. */
  readonly packMs: number
  /** IndexedDB copies what it is given at once, and writes it later, elsewhere. */
  readonly handOverMs: number
  readonly bytes: number
}

declare global {
  interface Window {
    /** What each of `count` snapshots of a table of `members` cost, each after another member has changed. */
    measureCrowd(members: number, count: number): Promise<CrowdWrite[]>
  }
}

/** Longer than a change takes to arrive and the snapshot to be asked for. */
const BETWEEN_MS = 1_000

window.measureCrowd = async (members, count) => {
  const room = new MemoryRoom()
  const packed: number[] = []
  let timerAt = 0
  const clock: Clock = {
    now: () => room.clock.now(),
    timer: (delayMs, callback) =>
      room.clock.timer(delayMs, () => {
        timerAt = performance.now()
        callback()
      }),
  }
  // as the library's own, which only the library can make; called within the timer's callback
  const store = createStore('bench', 'records')
  const snapshot: SnapshotStore = {
    load: () => Promise.resolve(undefined),
    save(given) {
      packed.push(performance.now() - timerAt)
      const { cluster, authority } = given
      return setMany(
        [
          [['snapshot', cluster, authority], given],
          [['saved-at', cluster, authority], Date.now()],
        ],
        store,
      )
    },
  }
  const measured = room.tab({ clock, snapshot })
  const [, ...others] = await room.gather([
    measured,
    ...Array.from({ length: members - 1 }, () => room.tab()),
  ])
  const change = async (n: number): Promise<void> => {
    others[n % others.length]!.setMeta(`change ${n}`)
    await room.pass(BETWEEN_MS)
  }
  // what was written while the room came together is of smaller tables
  const before = packed.length
  for (let n = 0; packed.length < before + count; n++) {
    if (n > count * 2)
      throw new Error(`Only ${packed.length - before} snapshots were written after ${n} changes.`)
    await change(n)
  }
  await new Promise<void>((resolve) => {
    const look = (): void => void (window.writes.length === packed.length ? resolve() : setTimeout(look, 10))
    look()
  })
  return packed
    .map((packMs, i) => ({
      packMs,
      handOverMs: window.writes[i]!.handOverMs,
      bytes: window.writes[i]!.bytes,
    }))
    .slice(before)
}
