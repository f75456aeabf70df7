/** The stored form of a snapshot: JSON text. What is read back may be anything and is checked like a frame. */
import {
  MAX_GENERATION,
  isAuthority,
  isNodeId,
  isProcessId,
  type Authority,
} from '../../core/identity/node-id.ts'
import type { Snapshot, SnapshotMember } from '../../ports.ts'

/** Longest record, in characters. 4,096 members take about 450,000. */
export const MAX_RECORD_LENGTH = 1024 * 1024
export const MAX_MEMBERS = 8_192
const MAX_URL_LENGTH = 2_048

export type ReadSnapshot =
  { readonly ok: true; readonly snapshot: Snapshot } | { readonly ok: false; readonly reason: string }

/** @throws Error if the snapshot is larger than what would be read back */
export function writeSnapshot(snapshot: Snapshot): string {
  const text = JSON.stringify(snapshot)
  if (text.length > MAX_RECORD_LENGTH || snapshot.members.length > MAX_MEMBERS) {
    throw new Error(
      `the snapshot has ${snapshot.members.length} members and ${text.length} characters; ` +
        `${MAX_MEMBERS} and ${MAX_RECORD_LENGTH} are kept`,
    )
  }
  return text
}

/** The snapshot in `record`, or why it cannot be used. Never throws; copies known fields only. */
export function readSnapshot(record: unknown, cluster: string, authority: Authority): ReadSnapshot {
  if (typeof record !== 'string') return no(`it is not text but ${typeof record}`)
  if (record.length > MAX_RECORD_LENGTH) {
    return no(`it is oversized: ${record.length} characters, ${MAX_RECORD_LENGTH} are allowed`)
  }
  let value: unknown
  try {
    value = JSON.parse(record)
  } catch {
    return no('it is corrupt: not JSON')
  }
  if (!isObject(value)) return no('it is corrupt: not an object')
  const { version, generation, members, signalingUrl, at } = value
  if (typeof version === 'number' && version > 1) return no(`a newer Grainmesh wrote it (version ${version})`)
  if (version !== 1) return no('it is corrupt: no version')
  if (value['cluster'] !== cluster) return no('it is of another cluster')
  if (value['authority'] !== authority || !isAuthority(authority)) return no('it is of another authority')
  if (!isCount(generation) || generation < 1 || generation > MAX_GENERATION) return no(corrupt('generation'))
  if (typeof at !== 'number' || !Number.isFinite(at)) return no(corrupt('at'))
  const url = signalingUrl === undefined ? undefined : readUrl(signalingUrl)
  if (signalingUrl !== undefined && url === undefined) return no(corrupt('signalingUrl'))
  if (!Array.isArray(members)) return no(corrupt('members'))
  if (members.length > MAX_MEMBERS) {
    return no(`it is oversized: ${members.length} members, ${MAX_MEMBERS} are allowed`)
  }
  const known: SnapshotMember[] = []
  for (const [index, item] of members.entries()) {
    const member = readMember(item)
    if (!member) return no(corrupt(`members[${index}]`))
    known.push(member)
  }
  const snapshot: Snapshot = { version: 1, cluster, authority, generation, members: known, at }
  return { ok: true, snapshot: url === undefined ? snapshot : { ...snapshot, signalingUrl: url } }
}

function readMember(value: unknown): SnapshotMember | undefined {
  if (!isObject(value)) return undefined
  const { nodeId, process, counter } = value
  if (typeof nodeId !== 'string' || !isNodeId(nodeId)) return undefined
  if (typeof process !== 'string' || !isProcessId(process)) return undefined
  return isCount(counter) ? { nodeId, process, counter } : undefined
}

function readUrl(value: unknown): string | undefined {
  const fits = typeof value === 'string' && value.length <= MAX_URL_LENGTH && /^wss?:\/\//.test(value)
  return fits ? value : undefined
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

const corrupt = (field: string): string => `it is corrupt: ${field}`
const no = (reason: string): ReadSnapshot => ({ ok: false, reason })
