/** The way into a cluster: the one place where core, driver and adapters meet users. */
import type { Cluster, OpeningCluster } from './api.ts'
import { ClusterHandle } from './cluster/handle.ts'
import { shareMembership } from './cluster/shared.ts'
import { validate } from './cluster/validate.ts'
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
  return new ClusterHandle(shareMembership(name, options), options.signal)
}
