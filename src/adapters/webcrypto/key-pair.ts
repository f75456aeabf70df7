import type { Authority } from '../../core/identity/node-id.ts'
import { ALGORITHMS, algorithmOf } from './algorithms.ts'
import { authorityOf } from './authority.ts'

/** What a process is known by. The private key of a page cannot be read, only used, and is stored as it is. */
export interface KeyPair {
  readonly authority: Authority
  /** SubjectPublicKeyInfo. */
  readonly publicKey: Uint8Array
  readonly privateKey: CryptoKey
}

/** SubtleCrypto, or `undefined` where there is none: pages over plain http, other than localhost, have none. */
export function subtleCrypto(): SubtleCrypto | undefined {
  return typeof crypto === 'undefined' ? undefined : (crypto.subtle as SubtleCrypto | undefined)
}

/**
 * Makes a key of the best kind that the platform knows; nobody can read its private half unless it is `extractable`.
 * Rejects with the reason where the platform knows none.
 */
export async function createKeyPair(subtle: SubtleCrypto, extractable = false): Promise<KeyPair> {
  let failure: unknown
  for (const { key } of ALGORITHMS) {
    try {
      const pair = (await subtle.generateKey(key, extractable, ['sign', 'verify'])) as CryptoKeyPair
      const publicKey = new Uint8Array(await subtle.exportKey('spki', pair.publicKey))
      return { authority: await authorityOf(subtle, publicKey), publicKey, privateKey: pair.privateKey }
    } catch (error) {
      failure = error
    }
  }
  throw failure
}

export async function signWith(
  subtle: SubtleCrypto,
  { publicKey, privateKey }: KeyPair,
  bytes: Uint8Array,
): Promise<Uint8Array> {
  const { signature } = algorithmOf(publicKey)!
  return new Uint8Array(await subtle.sign(signature, privateKey, bytes.slice()))
}

/** Whether a key pair that storage gave back is this authority's. */
export async function isKeyPairOf(
  subtle: SubtleCrypto,
  authority: Authority,
  keys: KeyPair,
): Promise<boolean> {
  if (keys.authority !== authority || !algorithmOf(keys.publicKey)) return false
  return (await authorityOf(subtle, keys.publicKey)) === authority
}

/** Whether what storage gave back looks like a key pair. */
export function isKeyPair(value: unknown): value is KeyPair {
  if (typeof value !== 'object' || value === null) return false
  const { authority, publicKey, privateKey } = value as Partial<Record<keyof KeyPair, unknown>>
  return (
    typeof authority === 'string' &&
    publicKey instanceof Uint8Array &&
    privateKey instanceof CryptoKey &&
    privateKey.type === 'private' &&
    privateKey.usages.includes('sign')
  )
}
