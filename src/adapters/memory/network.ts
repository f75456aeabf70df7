import type { Clock, LinkTransport, Random, Signaling } from '../../ports.ts'
import { createDelivery } from './delivery.ts'
import {
  createMemoryTransport,
  type LinkRegistry,
  type MemoryLinkEnd,
  type MemoryTransport,
} from './links.ts'
import { createMemorySignalingServer } from './signaling.ts'

export interface MemoryNetworkOptions {
  /** Time from one process to another, for links and signaling alike. Default 0: a microtask. */
  readonly latencyMs?: number
  /** Keeps the latency, and how long rooms are quiet. Default: clock and timers of the platform. */
  readonly clock?: Clock
  /** Chooses contacts. Default `Math.random`. */
  readonly random?: Random
  /** Contacts that a newcomer is given. Default 4. */
  readonly contacts?: number
}

/** A network in this process: real ports, no sockets. For tests, and for several members in one Node process. */
export interface MemoryNetwork {
  /** One for each process of the network. */
  transport(): MemoryTransport
  /** One for each process of the network; all meet at the same server. */
  signaling(): Signaling
  /** Closes every link between the two, as a lost connection does: both are told, what is under way is lost. */
  breakLinks(a: LinkTransport, b: LinkTransport, reason?: string): void
  /** From now on nothing passes between the two and neither is told: a cable that was cut. */
  cut(a: LinkTransport, b: LinkTransport): void
  /** Undoes `cut` for what is sent from now on. */
  mend(a: LinkTransport, b: LinkTransport): void
  stopSignaling(reason?: string): void
  startSignaling(): void
  /** Link ends of all processes not yet closed. */
  readonly openEnds: number
  /** Signaling sessions of all processes not yet closed. */
  readonly sessions: number
}

export function createMemoryNetwork(options: MemoryNetworkOptions = {}): MemoryNetwork {
  const latencyMs = options.latencyMs ?? 0
  const delivery = () => createDelivery(latencyMs, options.clock)
  const registry: LinkRegistry = new Map<number, MemoryLinkEnd>()
  const cuts = new Map<LinkTransport, Set<LinkTransport>>()
  let number = 0
  const network = {
    registry,
    nextNumber: () => ++number,
    delivery,
    silenced: (a: LinkTransport, b: LinkTransport) => cuts.get(a)?.has(b) ?? false,
  }
  const server = createMemorySignalingServer({
    random: options.random ?? Math.random,
    delivery,
    now: () => options.clock?.now().mono ?? performance.now(),
    ...(options.contacts === undefined ? {} : { contacts: options.contacts }),
  })

  return {
    transport: () => createMemoryTransport(network),
    signaling: () => server.signaling(),
    breakLinks(a, b, reason = 'the connection failed') {
      for (const end of linkedEnds(registry, a, b)) end.end(reason)
    },
    cut(a, b) {
      setOf(cuts, a).add(b)
      setOf(cuts, b).add(a)
    },
    mend(a, b) {
      cuts.get(a)?.delete(b)
      cuts.get(b)?.delete(a)
    },
    stopSignaling: (reason) => server.stop(reason),
    startSignaling: () => server.start(),
    get openEnds() {
      return registry.size
    },
    get sessions() {
      return server.sessions
    },
  }
}

function linkedEnds(registry: LinkRegistry, a: LinkTransport, b: LinkTransport): MemoryLinkEnd[] {
  return [...registry.values()].filter(
    ({ transport, other }) =>
      (transport === a && other?.transport === b) || (transport === b && other?.transport === a),
  )
}

function setOf<K, V>(map: Map<K, Set<V>>, key: K): Set<V> {
  const found = map.get(key) ?? new Set<V>()
  map.set(key, found)
  return found
}
