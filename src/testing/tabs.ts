/** The tabs of a run: who each one is through its reloads, and how a page load in it is made. */
import { standInPublicKey } from '../adapters/memory/stand-in-keys.ts'
import type { Commons } from '../core/commons.ts'
import type { HostedKind } from '../core/grain/grain-outputs.ts'
import { createNodeId, randomAuthority, randomName, randomProcessId } from '../core/identity/node-id.ts'
import type { Authority, NodeId } from '../core/identity/node-id.ts'
import type { Random } from '../core/time.ts'
import type { Limits, Tuning } from '../core/tuning.ts'
import { SimulatedProcess } from './process.ts'
import type { World } from './process.ts'
import { between, seededRandom } from './random.ts'
import type { NodeFactory } from './simulated-node.ts'

export interface TabsOptions {
  readonly seed: number
  readonly create: NodeFactory
  readonly maxLinks: number
  /** Share of the tabs that have no WebRTC. Default 0. */
  readonly relayOnlyShare?: number | undefined
  readonly tuning: Tuning
  readonly limits: Limits
  /** Kinds of grain that all host; by default none. */
  readonly kinds?: ReadonlyMap<string, HostedKind> | undefined
  readonly partition?: 'available' | 'majority' | undefined
  /** Work that all nodes share; by default each works for itself. */
  readonly commons?: Commons
}

/** What a tab keeps through reloads. */
interface Identity {
  authority: Authority
  readonly browser: string
  readonly meta: string
  generation: number
  loads: number
  contacts: readonly NodeId[]
  /** What its last life knew, as a snapshot has it. */
  memory: Uint8Array
}

/** Wall clocks differ by up to so much. */
const HOUR_MS = 3_600_000
/** Contacts that a tab keeps from its last life. */
const CONTACTS_KEPT = 3

export class Tabs {
  readonly #options: TabsOptions
  readonly #identities = new Map<number, Identity>()

  constructor(options: TabsOptions) {
    this.#options = options
  }

  /** A page load in the tab `slot`: the next life of whoever the tab is. It is not started yet. */
  load(slot: number, world: World): SimulatedProcess {
    const { seed, maxLinks, create, tuning, limits, relayOnlyShare = 0 } = this.#options
    const identity = this.#identity(slot)
    const load = identity.loads++
    const random = seededRandom(seed, 'process', slot, load)
    const nodeId = createNodeId(identity.authority, ++identity.generation, random)
    const node = create({
      cluster: 'simulated',
      nodeId,
      publicKey: standInPublicKey(identity.authority),
      authority: identity.authority,
      process: randomProcessId(random),
      browser: identity.browser,
      meta: identity.meta,
      visibility: 'visible',
      random: seededRandom(seed, 'node', slot, load),
      maxLinks,
      canLink: seededRandom(seed, 'webrtc', slot)() >= relayOnlyShare,
      canRelay: true,
      tuning,
      limits,
      kinds: this.#options.kinds,
      partition: this.#options.partition,
      contacts: identity.contacts,
      memory: identity.memory,
      commons: this.#options.commons,
    })
    const claim = (fresh: boolean) => {
      if (fresh) Object.assign(identity, { authority: randomAuthority(random), generation: 0 })
      return { authority: identity.authority, generation: ++identity.generation }
    }
    const wallSkewMs = between(random, -HOUR_MS, HOUR_MS)
    const { authority } = identity
    return new SimulatedProcess({ slot, load, authority, node, wallSkewMs, random, claim }, world)
  }

  /** The page goes away: what it knows is there for the next one in its tab. */
  unload({ slot, node, nodeId }: SimulatedProcess): void {
    const identity = this.#identity(slot)
    const known: NodeId[] = []
    for (const { nodeId: other, status } of node.view.members()) {
      if (status === 'up' && other !== nodeId && known.length < CONTACTS_KEPT) known.push(other)
    }
    identity.contacts = known
    const memory = node.memory()
    if (memory.length > 0) identity.memory = memory
  }

  #identity(slot: number): Identity {
    let identity = this.#identities.get(slot)
    if (!identity) {
      identity = newIdentity(seededRandom(this.#options.seed, 'identity', slot), slot)
      this.#identities.set(slot, identity)
    }
    return identity
  }
}

/** About four tabs to a browser. */
function newIdentity(random: Random, slot: number): Identity {
  const authority = randomAuthority(random)
  const browser = `browser${Math.floor(slot / 4)}${randomName(4, random)}`
  return {
    authority,
    browser,
    meta: JSON.stringify({ slot }),
    generation: 0,
    loads: 0,
    contacts: [],
    memory: new Uint8Array(0),
  }
}
