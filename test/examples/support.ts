/** Rooms for examples: tabs that host a kind, virtual time for their clocks and pauses, and the loss of a host. */
import { vi } from 'vitest'
import type { GrainKind } from '../../src/grains/types.ts'
import { HostRoom } from '../cluster/host-room.ts'
import type { Tab } from '../cluster/host-room.ts'

export interface ExampleRoom {
  readonly room: HostRoom
  readonly tabs: readonly Tab[]
  /** A pause in the time of the room. */
  readonly pause: (ms: number) => Promise<void>
  /** The tab that hosts the only grain of the test. */
  host(): Tab
  /** Ends that tab without a word; gives the tabs that are left. */
  loseHost(): readonly Tab[]
}

/**
 * @param kinds of each tab; a function where every tab has its own
 * @param isSafe waits until what is stored is stored in several tabs: only then one may be lost
 */
export async function exampleRoom(
  size: number,
  kinds: readonly GrainKind[] | ((tab: number) => readonly GrainKind[]),
  isSafe = false,
): Promise<ExampleRoom> {
  const room = new HostRoom()
  vi.spyOn(Date, 'now').mockImplementation(() => room.room.now().wall)
  const kindsOf = typeof kinds === 'function' ? kinds : () => kinds
  const tabs = Array.from({ length: size }, (_, i) => room.join(kindsOf(i)))
  await room.until('the kinds are known to all', () =>
    tabs.every(({ process }) => kindsOf(0).every(({ name }) => process.grains.council.knows(name))),
  )
  if (isSafe) await room.run(8_000)
  const hostNow = (): Tab => {
    const hosts = tabs.filter(({ process, host }) => process.isAlive && host.activations > 0)
    if (hosts.length !== 1) throw new Error(`${hosts.length} tabs host a grain`)
    return hosts[0]!
  }
  return {
    room,
    tabs,
    pause: (ms) => new Promise((resolve) => void room.room.at(ms, resolve)),
    host: hostNow,
    loseHost() {
      const lost = hostNow()
      room.room.end(lost.process, false)
      lost.host.end()
      return tabs.filter((tab) => tab !== lost)
    },
  }
}
