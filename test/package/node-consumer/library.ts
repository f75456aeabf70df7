/** Server-side code that imports the library: without a DOM, and without any package of types. */
import { ClusterError, joinCluster } from 'grainmesh'
import type { ClusterErrorCode, ClusterOptions } from 'grainmesh'
import * as testing from 'grainmesh/testing'

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

export const testingExports: readonly string[] = Object.keys(testing)
