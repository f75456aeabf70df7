/**
 * grainmesh/node: a process of Node as a member. It has no WebRTC, so its links go through the signaling server, which
 * cannot read them: `joinCluster('room', { signaling, platform: nodePlatform() })`.
 */
import { createRandom } from './adapters/browser/random.ts'
import { createNodeIdentityStore } from './adapters/node/identity.ts'
import { createNodeSocket } from './adapters/node/socket.ts'
import type { Platform } from './ports.ts'

export interface NodePlatformOptions {
  /**
   * A folder in which this process keeps its key and counts its lives, so that it has the same authority after a
   * restart. It is made where it is missing, and readable for this user alone. Default: a new authority at every start.
   */
  readonly folder?: string
}

/**
 * The parts of a platform that are different in Node. It keeps no snapshot and no copies of grains, is always `visible`, and watches no signals:
 * call `leave()` before the process ends, or the others find out by the end of its socket.
 */
export function nodePlatform({ folder }: NodePlatformOptions = {}): Partial<Platform> {
  const random = createRandom()
  return {
    random,
    transport: false,
    socket: createNodeSocket,
    identity: createNodeIdentityStore({ random, folder }),
    snapshot: false,
    copies: false,
  }
}
