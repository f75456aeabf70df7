/**
 * Stand-ins for keys, for tests and the simulator: as large as real ones, deterministic and cheap, and NO protection
 * whatsoever. Whoever knows a public key can sign with it. No platform uses them by default.
 */
import type { Authority } from '../../core/identity/node-id.ts'
import { isAuthority } from '../../core/identity/node-id.ts'
import type { Keys } from '../../ports.ts'

const MARK = 'grainmesh stand-in key: '
/** As Ed25519. */
const SIGNATURE_BYTES = 64

/** Verifies what `standInSignature` made. */
export function createStandInKeys(): Keys {
  return {
    verify: (publicKey, authority, bytes, signature) =>
      Promise.resolve(isStandInSignature(publicKey, authority, bytes, signature)),
  }
}

/** 44 bytes: a mark, and the authority itself. */
export const standInPublicKey = (authority: Authority): Uint8Array =>
  Uint8Array.from(MARK + authority, (character) => character.charCodeAt(0))

export function standInSignature(publicKey: Uint8Array, bytes: Uint8Array): Uint8Array {
  let hash = fnv1a(bytes, fnv1a(publicKey, 0x811c9dc5))
  const signature = new Uint8Array(SIGNATURE_BYTES)
  for (let i = 0; i < SIGNATURE_BYTES; i++) {
    hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d) + i
    signature[i] = hash >>> 24
  }
  return signature
}

export function isStandInSignature(
  publicKey: Uint8Array,
  authority: Authority,
  bytes: Uint8Array,
  signature: Uint8Array,
): boolean {
  return (
    isAuthority(authority) &&
    sameBytes(publicKey, standInPublicKey(authority)) &&
    sameBytes(signature, standInSignature(publicKey, bytes))
  )
}

function fnv1a(bytes: Uint8Array, seed: number): number {
  let hash = seed
  for (let i = 0; i < bytes.length; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193)
  return hash
}

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, i) => byte === b[i])
