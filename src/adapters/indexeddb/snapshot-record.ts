/** The stored form of a snapshot. What is read back may be anything and is checked like a frame. */
import { MAX_GENERATION, isAuthority, type Authority } from '../../core/identity/node-id.ts'
import type { Snapshot } from '../../ports.ts'

/** Largest packed table, in bytes. */
export const MAX_TABLE_BYTES = 1024 * 1024
const MAX_URL_LENGTH = 2_048

export type ReadSnapshot =
  { readonly ok: true; readonly snapshot: Snapshot } | { readonly ok: false; readonly reason: string }

/** @throws Error if the snapshot is larger than what would be read back */
export function writeSnapshot(snapshot: Snapshot): Snapshot {
  const { length } = snapshot.table
  if (length > MAX_TABLE_BYTES) throw new Error(`the table has ${length} bytes; ${MAX_TABLE_BYTES} are kept`)
  return snapshot
}

/** The snapshot in `record`, or why it cannot be used. Never throws; copies known fields only. */
export function readSnapshot(record: unknown, cluster: string, authority: Authority): ReadSnapshot {
  if (!isObject(record)) return no('it is corrupt: not an object')
  const { version, generation, table, signalingUrl, at } = record
  if (typeof version === 'number' && version > 2) return no(`a newer Grainmesh wrote it (version ${version})`)
  if (version !== 2) return no('it is corrupt: no version that is read here')
  if (record['cluster'] !== cluster) return no('it is of another cluster')
  if (record['authority'] !== authority || !isAuthority(authority)) return no('it is of another authority')
  if (!isCount(generation) || generation < 1 || generation > MAX_GENERATION) return no(corrupt('generation'))
  if (typeof at !== 'number' || !Number.isFinite(at)) return no(corrupt('at'))
  const url = signalingUrl === undefined ? undefined : readUrl(signalingUrl)
  if (signalingUrl !== undefined && url === undefined) return no(corrupt('signalingUrl'))
  if (!(table instanceof Uint8Array)) return no(corrupt('table'))
  if (table.length > MAX_TABLE_BYTES) {
    return no(`it is oversized: ${table.length} bytes, ${MAX_TABLE_BYTES} are allowed`)
  }
  const snapshot: Snapshot = { version: 2, cluster, authority, generation, table, at }
  return { ok: true, snapshot: url === undefined ? snapshot : { ...snapshot, signalingUrl: url } }
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
