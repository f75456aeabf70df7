/**
 * Rooms too large for real tabs: the real library on a network in memory, in virtual time, in one process. Keys are
 * stand-ins without any protection; what goes over a link is as large as with real ones.
 */
import { openCluster } from '../../src/index.ts'
import type { Authority, Cluster, Identity, IdentityStore, Keys, Platform, Random } from '../../src/index.ts'
import type { CreateSignalingSocket, Snapshot, SnapshotStore } from '../../src/index.ts'
import { createMemoryNetwork, FakeClock, seededRandom } from '../../src/testing/index.ts'

const STEP_MS = 20
const LATENCY_MS = 5
/** Newcomers of a room that is set up come this far apart. */
const APART_MS = 40
const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567'
/** As Ed25519. */
const PUBLIC_KEY_BYTES = 44
const SIGNATURE_BYTES = 64

/** One tab through its reloads. */
export interface MemoryTab {
  open(): Cluster
}

/** A signaling server of its own, outside of the network in memory. */
export interface RealSignaling {
  readonly url: string
  readonly socket: CreateSignalingSocket
  /** Resolves once nothing is under way to or from it: virtual time stands still meanwhile. */
  quiet(): Promise<void>
}

export class MemoryRoom {
  readonly clock = new FakeClock()
  readonly #signaling: RealSignaling | undefined
  readonly #network = createMemoryNetwork({
    clock: this.clock,
    latencyMs: LATENCY_MS,
    random: seededRandom(1, 'network'),
  })
  #tabs = 0

  /** Without a `signaling`, that is in memory, too. */
  constructor(signaling?: RealSignaling) {
    this.#signaling = signaling
  }

  /** `ports` replace what the tab would use here. */
  tab(ports: Partial<Platform> = {}): MemoryTab {
    const random = seededRandom(1, 'tab', this.#tabs++)
    const shared: Omit<Platform, 'transport' | 'signaling'> = {
      clock: this.clock,
      random,
      relay: false,
      identity: standInIdentity(random),
      keys: STAND_IN_KEYS,
      snapshot: createStore(),
      copies: false,
      lifecycle: {
        watch(handlers) {
          handlers.onVisibility('visible')
          return () => undefined
        },
      },
    }
    return {
      open: () =>
        openCluster('room', {
          signaling: this.#signaling?.url ?? 'ws://memory',
          platform: {
            ...shared,
            transport: this.#network.transport(),
            ...(this.#signaling
              ? { socket: this.#signaling.socket }
              : { signaling: this.#network.signaling() }),
            ...ports,
          },
        }),
    }
  }

  /** Opens that many, and waits until they are one cluster. */
  async gather(tabs: readonly MemoryTab[]): Promise<Cluster[]> {
    const clusters: Cluster[] = []
    for (const tab of tabs) {
      clusters.push(tab.open())
      await this.pass(APART_MS)
    }
    await this.together(clusters)
    return clusters
  }

  /** They are up, see exactly each other as live, and know that all do. */
  together(clusters: readonly Cluster[]): Promise<void> {
    return this.until(`${clusters.length} members are one cluster`, () =>
      clusters.every((cluster) => {
        if (cluster.status.get() !== 'up' || cluster.convergence.get().state !== 'confirmed') return false
        const live = cluster.members.get().filter(({ status }) => status === 'up')
        return live.length === clusters.length
      }),
    )
  }

  async until(what: string, isSo: () => boolean, withinMs = 120_000): Promise<void> {
    const end = this.clock.now().mono + withinMs
    while (!isSo()) {
      if (this.clock.now().mono >= end) throw new Error(`not within ${withinMs} ms of virtual time: ${what}`)
      await this.pass(STEP_MS)
    }
  }

  async pass(ms: number): Promise<void> {
    // real sockets get their turn between short steps: nobody is to wait long for an answer in virtual time alone
    const step = this.#signaling ? STEP_MS : ms
    for (let left = ms; left > 0; left -= step) await this.#step(Math.min(step, left))
  }

  async #step(ms: number): Promise<void> {
    await this.clock.advanceAsync(ms)
    // what is not promises, such as storage, gets its turn too
    await new Promise((resolve) => setTimeout(resolve, 0))
    await this.#signaling?.quiet()
  }
}

/** Whoever says who it is, is. */
const STAND_IN_KEYS: Keys = {
  verify: (publicKey, authority) => Promise.resolve(String.fromCharCode(...publicKey).startsWith(authority)),
}

function standInIdentity(random: Random): IdentityStore {
  const name = (length: number): string =>
    Array.from({ length }, () => ALPHABET[Math.floor(random() * ALPHABET.length)]).join('')
  const authority: Authority = name(20)
  const browser = name(16)
  let generation = 0
  const publicKey = new Uint8Array(PUBLIC_KEY_BYTES)
  publicKey.set(Array.from(authority, (letter) => letter.charCodeAt(0)))
  const claim = (): Identity => ({
    authority,
    publicKey,
    generation: ++generation,
    browser,
    sign: () => Promise.resolve(new Uint8Array(SIGNATURE_BYTES)),
    nextGeneration: () => Promise.resolve(++generation),
    release: () => undefined,
    abandon: () => undefined,
  })
  return { claim: () => Promise.resolve(claim()) }
}

function createStore(): SnapshotStore {
  let kept: Snapshot | undefined
  return {
    load: () => Promise.resolve(kept),
    save(snapshot) {
      kept = structuredClone(snapshot)
      return Promise.resolve()
    },
  }
}
