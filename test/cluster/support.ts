/** Whole clusters in this process: the real `joinCluster` on a network in memory and a clock driven by hand. */
import type { Cluster, OpeningCluster } from '../../src/api.ts'
import { createMemoryNetwork, type MemoryNetwork } from '../../src/adapters/memory/network.ts'
import { createStandInKeys } from '../../src/adapters/memory/stand-in-keys.ts'
import { createMemoryIdentityStore } from '../../src/adapters/memory/stores.ts'
import { openCluster } from '../../src/cluster.ts'
import type { ClusterOptions } from '../../src/options.ts'
import type { Lifecycle, LifecycleHandlers, LinkTransport, Platform } from '../../src/ports.ts'
import { FakeClock } from '../../src/testing/fake-clock.ts'
import { seededRandom } from '../../src/testing/random.ts'

/** A page whose visibility and comings and goings the test decides. */
export interface FakePage extends Lifecycle {
  readonly handlers: LifecycleHandlers
  readonly watchers: number
}

/** One tab: an identity that outlives its joins, a transport, a page. */
export interface Tab {
  readonly transport: LinkTransport
  readonly page: FakePage
  readonly platform: Partial<Platform>
  open(options?: Partial<ClusterOptions>): OpeningCluster
  /** Opens, and waits until it is `up`. */
  join(options?: Partial<ClusterOptions>): Promise<Cluster>
}

export interface World {
  readonly clock: FakeClock
  readonly network: MemoryNetwork
  /** No snapshots are kept unless a port for them is given. */
  tab(ports?: Partial<Platform>): Tab
  /** Tabs that have joined one after the other and see each other. */
  room(size: number): Promise<{ tabs: Tab[]; clusters: Cluster[] }>
  /** Lets time pass in small steps until it is so. Fails, with `what` it is, after `withinMs` of the clock. */
  until(what: string, isSo: () => boolean, withinMs?: number): Promise<void>
  /** Lets time pass until the promise has settled, and gives its result. */
  settled<T>(promise: Promise<T>, withinMs?: number): Promise<T>
}

export const ROOM = 'room'
const STEP_MS = 5

export function createWorld(seed = 1): World {
  const clock = new FakeClock()
  const network = createMemoryNetwork({ clock, random: seededRandom(seed, 'network') })
  let tabs = 0

  const until = async (what: string, isSo: () => boolean, withinMs = 30_000): Promise<void> => {
    const end = clock.now().mono + withinMs
    await clock.advanceAsync(0)
    while (!isSo()) {
      if (clock.now().mono >= end) throw new Error(`not within ${withinMs} ms: ${what}`)
      await clock.advanceAsync(STEP_MS)
    }
  }

  const settled = async <T>(promise: Promise<T>, withinMs?: number): Promise<T> => {
    let isSettled = false
    const note = () => void (isSettled = true)
    promise.then(note, note)
    await until('a promise is settled', () => isSettled, withinMs)
    return promise
  }

  const tab = (ports: Partial<Platform> = {}): Tab => {
    const random = seededRandom(seed, 'tab', tabs++)
    const page = createPage()
    const transport = ports.transport || network.transport()
    const platform = {
      clock,
      random,
      transport,
      signaling: network.signaling(),
      identity: createMemoryIdentityStore({ random }),
      keys: createStandInKeys(),
      lifecycle: page,
      ...ports,
    }
    const without = ports.snapshot ? {} : { snapshot: false as const }
    const open = (options: Partial<ClusterOptions> = {}): OpeningCluster =>
      openCluster(ROOM, { ...without, signaling: 'ws://memory', platform, ...options })
    const join = async (options?: Partial<ClusterOptions>): Promise<Cluster> => {
      const cluster = open(options)
      await settled(cluster.ready)
      return cluster
    }
    return { transport, page, platform, open, join }
  }

  return {
    clock,
    network,
    tab,
    until,
    settled,
    async room(size) {
      const all = Array.from({ length: size }, () => tab())
      const clusters: Cluster[] = []
      for (const one of all) clusters.push(await one.join())
      await until(`${size} members see each other`, () =>
        clusters.every(
          (cluster) => upCount(cluster) === size && cluster.convergence.get().state === 'confirmed',
        ),
      )
      return { tabs: all, clusters }
    },
  }
}

export const upCount = (cluster: Cluster): number =>
  cluster.members.get().filter(({ status }) => status === 'up').length

/** The code of the ClusterError that a call throws or a promise rejects with, else what happened instead. */
export async function codeOf(attempt: Promise<unknown> | (() => unknown)): Promise<string> {
  try {
    await (typeof attempt === 'function' ? attempt() : attempt)
    return 'no error'
  } catch (error) {
    return (error as { code?: string }).code ?? String(error)
  }
}

function createPage(): FakePage {
  const watching = new Set<LifecycleHandlers>()
  return {
    watch(handlers) {
      watching.add(handlers)
      handlers.onVisibility('visible')
      return () => void watching.delete(handlers)
    },
    get handlers() {
      const [handlers] = watching
      if (!handlers) throw new Error('nobody watches this page')
      return handlers
    },
    get watchers() {
      return watching.size
    },
  }
}
