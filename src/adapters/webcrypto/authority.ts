import type { Authority } from '../../core/identity/node-id.ts'

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567'
const AUTHORITY_LENGTH = 20

/**
 * The authority of a public key (SubjectPublicKeyInfo): the first 20 characters of its SHA-256 in base32 (RFC 4648,
 * lower case). 100 bits: finding another key for a given authority takes 2^100 tries.
 */
export async function authorityOf(subtle: SubtleCrypto, publicKey: Uint8Array): Promise<Authority> {
  const hash = new Uint8Array(await subtle.digest('SHA-256', publicKey.slice()))
  return base32(hash).slice(0, AUTHORITY_LENGTH)
}

/** RFC 4648 in lower case, without padding. */
export function base32(bytes: Uint8Array): string {
  let text = ''
  let bits = 0
  let value = 0
  for (const byte of bytes) {
    value = (value << 8) | byte
    for (bits += 8; bits >= 5; bits -= 5) text += ALPHABET[(value >>> (bits - 5)) & 31]!
    value &= (1 << bits) - 1
  }
  return bits > 0 ? text + ALPHABET[(value << (5 - bits)) & 31]! : text
}
