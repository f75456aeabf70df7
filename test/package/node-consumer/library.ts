/** Server-side code that imports the library: without a DOM, and without any package of types. */
import { ClusterError, joinCluster } from 'grainmesh'
import type { ClusterErrorCode, ClusterOptions } from 'grainmesh'
import { nodePlatform } from 'grainmesh/node'
import type { NodePlatformOptions } from 'grainmesh/node'
import { createCoreNode, simulate } from 'grainmesh/testing'
import type { SimulationResult, Violation } from 'grainmesh/testing'

export async function refusal(options: ClusterOptions): Promise<ClusterErrorCode | undefined> {
  try {
    const cluster = await joinCluster('consumer', options)
    await cluster.leave()
    return undefined
  } catch (error) {
    if (error instanceof ClusterError) return error.code
    throw error
  }
}

/** Joins a cluster that nobody else is in, as a process of Node. */
export async function joined(signaling: string): Promise<readonly unknown[]> {
  const options: NodePlatformOptions = {}
  const cluster = await joinCluster('consumer', { signaling, platform: nodePlatform(options) })
  const members = cluster.members.get().map(({ self, status, path }) => ({ self, status, path }))
  await cluster.leave()
  return members
}

export function simulated(seed: number): readonly (Violation | string)[] {
  const { violations, differences }: SimulationResult = simulate({ seed, nodes: 4, create: createCoreNode })
  return [...violations, ...differences]
}
