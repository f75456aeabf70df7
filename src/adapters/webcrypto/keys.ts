import type { Keys } from '../../ports.ts'
import { SIGNATURE_BYTES, algorithmOf } from './algorithms.ts'
import { authorityOf } from './authority.ts'
import { subtleCrypto } from './key-pair.ts'

/**
 * Checks signatures with WebCrypto, in browsers and Node 20. Where there is no SubtleCrypto everything is `false`; a
 * process there has no key itself and never asks.
 */
export function createWebCryptoKeys(): Keys {
  return {
    async verify(publicKey, authority, bytes, signature) {
      try {
        const subtle = subtleCrypto()
        const algorithm = algorithmOf(publicKey)
        if (!subtle || !algorithm || signature.length !== SIGNATURE_BYTES) return false
        if ((await authorityOf(subtle, publicKey)) !== authority) return false
        const key = await subtle.importKey('spki', publicKey.slice(), algorithm.key, false, ['verify'])
        return await subtle.verify(algorithm.signature, key, signature.slice(), bytes.slice())
      } catch {
        // a point that is not on its curve, a kind of key that this browser does not know yet
        return false
      }
    },
  }
}
