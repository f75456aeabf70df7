/** What two ends of a relayed link tell each other first: one public key each. */
import { decodeBase64, encodeBase64 } from './base64.ts'

export interface RelaySignal {
  /** Whether it opens an attempt, or answers one. */
  readonly type: 'offer' | 'answer'
  /** An ephemeral key on P-256, as an uncompressed point. Whether it is on the curve is not checked here. */
  readonly publicKey: Uint8Array
}

export const PUBLIC_KEY_BYTES = 65
const MAX_LENGTH = 256
const UNCOMPRESSED = 4

export const formatSignal = ({ type, publicKey }: RelaySignal): string =>
  JSON.stringify({ relay: type, key: encodeBase64(publicKey) })

/** Total: `undefined` for whatever is no such signal. */
export function parseSignal(text: unknown): RelaySignal | undefined {
  if (typeof text !== 'string' || text.length > MAX_LENGTH) return undefined
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const { relay: type, key } = value as Record<string, unknown>
  if ((type !== 'offer' && type !== 'answer') || typeof key !== 'string') return undefined
  const publicKey = decodeBase64(key)
  if (publicKey?.length !== PUBLIC_KEY_BYTES || publicKey[0] !== UNCOMPRESSED) return undefined
  return { type, publicKey }
}
