import { randomAuthority, randomName, type Authority } from '../../core/identity/node-id.ts'
import type {
  CopyStore,
  Identity,
  IdentityStore,
  Random,
  Snapshot,
  SnapshotStore,
  StoredCopy,
} from '../../ports.ts'
import { standInPublicKey, standInSignature } from './stand-in-keys.ts'

export interface MemoryIdentityOptions {
  readonly random: Random
  /** Name of the browser that the processes of this store count as living in. Default: a random one. */
  readonly browser?: string
}

/**
 * Identities kept in memory: one store stands for one tab through its reloads. A claim after `release()` is the same
 * authority in its next generation; a claim while another holds it is a new authority, like a duplicated tab. Their
 * keys are stand-ins: use them with `createStandInKeys()`.
 */
export function createMemoryIdentityStore(options: MemoryIdentityOptions): IdentityStore {
  const { random } = options
  const browser = options.browser ?? randomName(16, random)
  const generations = new Map<Authority, number>()
  const held = new Set<Authority>()
  /** Which authority a cluster's next claim would have. */
  const remembered = new Map<string, Authority>()

  const nextGeneration = (authority: Authority): number => {
    const generation = (generations.get(authority) ?? 0) + 1
    generations.set(authority, generation)
    return generation
  }

  return {
    claim(cluster) {
      const known = remembered.get(cluster)
      const authority = known === undefined || held.has(known) ? randomAuthority(random) : known
      remembered.set(cluster, authority)
      held.add(authority)
      const publicKey = standInPublicKey(authority)
      let released = false
      const release = (): void => {
        // a later holder is not this one's to release
        if (!released) held.delete(authority)
        released = true
      }
      const identity: Identity = {
        authority,
        publicKey,
        generation: nextGeneration(authority),
        browser,
        sign: (bytes) => Promise.resolve(standInSignature(publicKey, bytes)),
        nextGeneration: () => Promise.resolve(nextGeneration(authority)),
        release,
        abandon() {
          release()
          if (remembered.get(cluster) === authority) remembered.delete(cluster)
        },
      }
      return Promise.resolve(identity)
    },
  }
}

/** Snapshots kept in memory, as copies. */
export function createMemorySnapshotStore(): SnapshotStore {
  const snapshots = new Map<string, Snapshot>()
  const key = (cluster: string, authority: Authority) => JSON.stringify([cluster, authority])
  return {
    load(cluster, authority) {
      const snapshot = snapshots.get(key(cluster, authority))
      return Promise.resolve(snapshot && structuredClone(snapshot))
    },
    save(snapshot) {
      snapshots.set(key(snapshot.cluster, snapshot.authority), structuredClone(snapshot))
      return Promise.resolve()
    },
  }
}

/** Copies of grains kept in memory: one store stands for the disk of one browser. */
export function createMemoryCopyStore(): CopyStore {
  const rooms = new Map<string, Map<string, StoredCopy & { readonly keys: Map<string, Uint8Array> }>>()
  return {
    load(cluster) {
      const copies = [...(rooms.get(cluster)?.values() ?? [])]
      return Promise.resolve(
        copies.map(({ keys, process, partition, head }) => ({
          process,
          partition,
          head,
          entries: [...keys.values()],
        })),
      )
    },
    save(cluster, writes) {
      const copies = rooms.get(cluster) ?? new Map<string, never>()
      rooms.set(cluster, copies)
      for (const { process, partition, head, puts, deletes } of writes) {
        const place = JSON.stringify([process, partition])
        const keys = new Map(copies.get(place)?.keys)
        for (const key of deletes) keys.delete(key)
        for (const [key, bytes] of puts) keys.set(key, bytes.slice())
        if (head) copies.set(place, { process, partition, head: head.slice(), entries: [], keys })
        else copies.delete(place)
      }
      return Promise.resolve()
    },
  }
}
