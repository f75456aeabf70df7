/** The way into a cluster: the one place where core, driver and adapters meet users. */
import type { Cluster, ClusterEvent, Member, OpeningCluster, PeerState, Readable } from './api.ts'
import type { Membership } from './cluster/membership.ts'
import type { Lease } from './cluster/shared.ts'
import { shareMembership } from './cluster/shared.ts'
import type { Store } from './cluster/store.ts'
import { validate } from './cluster/validate.ts'
import { ClusterError } from './errors.ts'
import type { ClusterOptions } from './options.ts'

/**
 * Joins a cluster, or makes it if nobody is there. Resolves once this process is `up`: a member let it in, or the
 * signaling server knows of nobody. Joining one room twice in one page gives two handles on one membership; it ends
 * when both have left.
 *
 * @param name Name of the cluster, 1 to 128 characters: who uses the same name and signaling server meets here.
 * @throws ClusterError `invalid-option` `signaling-unreachable` `join-timeout` `refused` `authority-conflict`
 *   `schema-mismatch` `aborted` `webrtc-unavailable`
 */
export async function joinCluster(name: string, options: ClusterOptions): Promise<Cluster> {
  const cluster = openCluster(name, options)
  await cluster.ready
  return cluster
}

/**
 * The same, at once, for UI frameworks: the cluster can be read and watched while it joins, and what is published
 * before the join is done is kept. `ready` settles with the join; if it rejects, the cluster has ended.
 *
 * @throws ClusterError `invalid-option` `webrtc-unavailable`
 */
export function openCluster(name: string, options: ClusterOptions): OpeningCluster {
  validate(name, options)
  return new ClusterHandle(shareMembership(name, options))
}

/** One join's handle on a membership that several joins may share. */
class ClusterHandle implements OpeningCluster {
  readonly ready: Promise<void>
  readonly members: Cluster['members']
  readonly links: Cluster['links']
  readonly convergence: Cluster['convergence']
  readonly status: Cluster['status']
  readonly events: Cluster['events']
  readonly #lease: Lease
  readonly #peerStates = new Map<string, PeerState<unknown>>()
  #left = false

  constructor(lease: Lease) {
    const { membership } = lease
    this.#lease = lease
    this.ready = membership.ready
    this.members = readableOf(membership.members)
    this.links = readableOf(membership.links)
    this.convergence = readableOf(membership.convergence)
    this.events = membership.events
    this.status = {
      get: () => (this.#left && membership.status.get() === 'up' ? 'left' : membership.status.get()),
      subscribe: membership.status.subscribe,
    }
  }

  get name(): string {
    return this.#membership.name
  }

  get self(): Member {
    return this.#membership.self
  }

  get traffic() {
    return this.#membership.traffic
  }

  readonly on = <K extends ClusterEvent['type']>(
    type: K,
    listener: (event: Extract<ClusterEvent, { type: K }>) => void,
  ): (() => void) => this.#membership.events.on(type, listener)

  readonly setMeta = (meta: unknown): void => {
    this.#requireOpen()
    this.#membership.setMeta(meta)
  }

  readonly peerState = <T>(key: string): PeerState<T> => {
    const known = this.#peerStates.get(key)
    if (known) return known as PeerState<T>
    const { store } = this.#membership.peerState(key)
    const publish = (value: unknown) => {
      this.#requireOpen()
      this.#membership.setPeerState(key, value)
    }
    const state: PeerState<unknown> = { ...readableOf(store), set: publish, clear: () => publish(undefined) }
    this.#peerStates.set(key, state)
    return state as PeerState<T>
  }

  readonly leave = (): Promise<void> => {
    this.#left = true
    return this.#lease.release()
  };

  [Symbol.asyncDispose](): Promise<void> {
    return this.leave()
  }

  get #membership(): Membership {
    return this.#lease.membership
  }

  #requireOpen(): void {
    if (this.#left) throw new ClusterError('left', `This process has left cluster "${this.name}".`)
  }
}

const readableOf = <T>({ get, subscribe }: Store<T>): Readable<T> => ({ get, subscribe })
