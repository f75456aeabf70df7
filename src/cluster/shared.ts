/**
 * One membership for one room in one page, however often it is joined: two components, a StrictMode double mount, two
 * copies of this module after a hot reload. Kept on `globalThis`, since module state does not outlive a hot reload.
 */
import type { ClusterOptions } from '../options.ts'
import { Membership } from './membership.ts'

interface Entry {
  readonly membership: Membership
  users: number
}

export interface Lease {
  readonly membership: Membership
  /** Others use it, too. */
  readonly isShared: boolean
  /** Ends this use; the last one leaves the cluster. Resolves when that is done. Idempotent. */
  release(): Promise<void>
}

const REGISTRY = Symbol.for('grainmesh.memberships.1')

/** The membership for a room: the one that is there, or a new one. Options of a second join are not looked at. */
export function shareMembership(name: string, options: ClusterOptions): Lease {
  // Members on a platform of their own, as in tests, are never meant to be the same.
  if (options.platform) return lease({ membership: new Membership(name, options), users: 0 })
  const registry = registryOf(globalThis)
  const key = JSON.stringify([name, [options.signaling].flat().map(normal)])
  const present = registry.get(key)
  if (present && !present.membership.isOver) return lease(present)
  const entry: Entry = { membership: new Membership(name, options, present?.membership.over), users: 0 }
  registry.set(key, entry)
  // However it ends; by then a later join may have taken its place.
  void entry.membership.over.then(() => {
    if (registry.get(key) === entry) registry.delete(key)
  })
  return lease(entry)
}

function lease(entry: Entry): Lease {
  entry.users++
  let released: Promise<void> | undefined
  const release = async (): Promise<void> => {
    if (--entry.users === 0) await entry.membership.leave()
  }
  return {
    membership: entry.membership,
    get isShared() {
      return entry.users > 1
    },
    release: () => (released ??= release()),
  }
}

/** One server may be written in several ways: with a slash behind it, or the port that its protocol has anyway. */
function normal(url: string): string {
  try {
    return new URL(url).href
  } catch {
    return url
  }
}

function registryOf(host: object): Map<string, Entry> {
  const holder = host as { [REGISTRY]?: Map<string, Entry> }
  return (holder[REGISTRY] ??= new Map())
}
