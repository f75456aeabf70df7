/** Real cores in a room, and what tests ask of them. */
import { DEFAULT_LIMITS, DEFAULT_TUNING } from '../../../src/core/tuning.ts'
import type { NodeOptions } from '../../../src/core/node.ts'
import { NodeCore } from '../../../src/core/node.ts'
import { packMemory, unpackMemory } from '../../../src/core/gossip/memory.ts'
import { seededRandom } from '../../../src/testing/random.ts'
import { standInPublicKey } from '../../../src/adapters/memory/stand-in-keys.ts'
import { authorityOf, nodeIdOf, processOf } from './names.ts'
import { Room } from './room.ts'

export type CoreOptions = Partial<NodeOptions>

/** A core whose authority is `index`; lower indices have lower nodeIds. */
export function coreOf(index: number, options: CoreOptions = {}): NodeCore {
  return new NodeCore({
    cluster: 'test',
    nodeId: nodeIdOf(index),
    publicKey: standInPublicKey(authorityOf(index)),
    process: processOf(index),
    browser: 'browser',
    meta: '',
    visibility: 'visible',
    random: seededRandom(7, 'core', index),
    minLinks: 4,
    maxLinks: 31,
    tuning: DEFAULT_TUNING,
    limits: DEFAULT_LIMITS,
    ...options,
  })
}

/** Every core has the others `up`, and all agree. */
export function agree(cores: readonly NodeCore[]): boolean {
  const hash = cores[0]?.viewHash
  return cores.every(
    (core) =>
      core.viewHash === hash &&
      core.table.live().length === cores.length &&
      cores.every(({ nodeId }) => core.table.status(nodeId) === 'up'),
  )
}

export const allConfirmed = (cores: readonly NodeCore[]): boolean =>
  agree(cores) && cores.every((core) => core.gossipState === 'confirmed')

/** A room with `count` cores that have become one cluster. */
export function cluster(count: number, options: CoreOptions = {}): { room: Room; cores: NodeCore[] } {
  const room = new Room()
  const cores = Array.from({ length: count }, (_, i) => coreOf(i + 1, options))
  for (const core of cores) room.join(core)
  room.until(() => allConfirmed(cores), `${count} cores become one cluster`)
  return { room, cores }
}

/** A tab that is reloaded: leaves, and is back a moment later as the second life of `index`, with what it remembers. */
export function reload(room: Room, core: NodeCore, index: number): NodeCore {
  const memory = unpackMemory(packMemory(core.table))
  if (!memory.ok) throw new Error(memory.reason)
  room.feed(core, { type: 'leave' })
  room.run(30)
  const next = coreOf(index, { nodeId: nodeIdOf(index, 2), remembered: memory.ranges })
  room.join(next)
  return next
}

export const isLinked = (core: NodeCore, other: { readonly nodeId: string }): boolean =>
  core.links().some(({ nodeId }) => nodeId === other.nodeId)
