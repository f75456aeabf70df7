/**
 * grainmesh/node: a process of Node as a member. It has no WebRTC, so its links go through the signaling server, which
 * cannot read them: `joinCluster('room', { signaling, platform: nodePlatform() })`.
 */
import { createRandom } from './adapters/browser/random.ts'
import { createNodeIdentityStore } from './adapters/node/identity.ts'
import { createNodeSocket } from './adapters/node/socket.ts'
import { ClusterError } from './errors.ts'
import type { Platform } from './ports.ts'

export interface NodePlatformOptions {
  /**
   * A folder in which this process keeps its key and counts its lives, so that it has the same authority after a
   * restart. It is made where it is missing, and readable for this user alone. Default: a new authority at every start.
   */
  readonly folder?: string
}

/**
 * The parts of a platform that are different in Node. It keeps no snapshot and no copies of grains, is always `visible`,
 * and watches no signals: call `leave()` before the process ends, or the others find out by the end of its socket.
 * @throws ClusterError `invalid-option`
 */
export function nodePlatform(options: NodePlatformOptions = {}): Partial<Platform> {
  const problems = problemsOf(options)
  if (problems.length > 0) {
    const message = `The platform of Node was not made: ${problems.join('; ')}.`
    throw new ClusterError('invalid-option', message, { problems })
  }
  const { folder } = options
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

function problemsOf(options: unknown): string[] {
  if (typeof options !== 'object' || options === null) return ['options must be an object']
  const { folder, ...others } = options as Record<string, unknown>
  const problems = Object.keys(others).map((name) => `${name} is not an option`)
  if (folder !== undefined && (typeof folder !== 'string' || folder === ''))
    problems.push('folder must be the path of a folder')
  return problems
}
