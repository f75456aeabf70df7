/** PIDs name something on a member: `grainmesh://<cluster>@<authority>/<kind>/<key>`, each part percent-encoded. */
import type { Authority } from '../identity/node-id.ts'
import { isAuthority } from '../identity/node-id.ts'

export interface Pid {
  readonly cluster: string
  readonly authority: Authority
  readonly kind: string
  readonly key: string
}

const SCHEME = 'grainmesh://'
/** Longest PID, in characters. */
export const MAX_PID = 2_048

/** The text for `cluster.resolve`. */
export const formatPid = ({ cluster, authority, kind, key }: Pid): string =>
  `${SCHEME}${encodeURIComponent(cluster)}@${authority}/${encodeURIComponent(kind)}/${encodeURIComponent(key)}`

/** Total: the parts of a PID, or why the text is none. */
export function parsePid(text: unknown): Pid | string {
  if (typeof text !== 'string') return `a PID is a text, not ${text === null ? 'null' : typeof text}`
  if (text.length > MAX_PID) return `a PID has at most ${MAX_PID} characters, this one ${text.length}`
  if (!text.startsWith(SCHEME)) return `a PID begins with "${SCHEME}"`
  const [head = '', ...path] = text.slice(SCHEME.length).split('/')
  const at = head.indexOf('@')
  if (at < 0) return 'there is no "@" between cluster and authority'
  const cluster = decoded(head.slice(0, at))
  const authority = head.slice(at + 1)
  if (!cluster) return cluster === '' ? 'the cluster is empty' : 'the cluster is not percent-encoded text'
  if (!isAuthority(authority))
    return `"${authority.slice(0, 40)}" is no authority: 20 characters of a-z and 2-7`
  if (path.length !== 2) return `after the authority come "/<kind>/<key>", not ${path.length} parts`
  const [kind, key] = path.map(decoded)
  if (!kind) return kind === '' ? 'the kind is empty' : 'the kind is not percent-encoded text'
  if (!key) return key === '' ? 'the key is empty' : 'the key is not percent-encoded text'
  return { cluster, authority, kind, key }
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}
