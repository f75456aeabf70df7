import type { ResolveResult } from '../api.ts'
import { parsePid } from '../core/association/pid.ts'
import type { NodeCore } from '../core/node.ts'
import type { Now } from '../core/time.ts'

/** What a PID leads to now. Total. */
export function resolvePid(
  text: string,
  cluster: string,
  core: NodeCore | undefined,
  now: Now,
): ResolveResult {
  const pid = parsePid(text)
  if (typeof pid === 'string') return Object.freeze({ status: 'invalid-format', reason: pid })
  const { authority } = pid
  const unreachable = (reason: string): ResolveResult =>
    Object.freeze({ status: 'unreachable', authority, reason })
  if (pid.cluster !== cluster) return unreachable(`it is of cluster "${pid.cluster}", this is "${cluster}"`)
  if (!core) return unreachable('this process has not joined yet')
  const quarantine = core.associations.quarantineOf(authority)
  if (quarantine) {
    const endsInMs = Math.max(0, quarantine.until - now.mono)
    return Object.freeze({ status: 'quarantined', authority, reason: quarantine.reason, endsInMs })
  }
  const nodeId = core.table.currentLife(authority)
  if (nodeId === undefined) return unreachable('nothing is known of this authority')
  const status = core.table.status(nodeId)
  const path = core.pathTo(nodeId, now)
  if (status === 'unreachable') return unreachable('its member is unreachable')
  if (path === 'none') return unreachable('there is no way to its member')
  return Object.freeze({ status: 'ready', authority, nodeId, path })
}
