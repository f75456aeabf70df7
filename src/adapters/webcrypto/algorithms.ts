/** The two kinds of key that members have: Ed25519 where the platform knows it, else ECDSA over P-256. */

export interface KeyAlgorithm {
  readonly key: AlgorithmIdentifier | EcKeyGenParams
  readonly signature: AlgorithmIdentifier | EcdsaParams
  /** What its public keys begin with as SubjectPublicKeyInfo, and how long they are, in bytes. */
  readonly prefix: Uint8Array
  readonly publicKeyBytes: number
}

const ED25519: KeyAlgorithm = {
  key: { name: 'Ed25519' },
  signature: { name: 'Ed25519' },
  prefix: hex('302a300506032b6570032100'),
  publicKeyBytes: 44,
}

const P256: KeyAlgorithm = {
  key: { name: 'ECDSA', namedCurve: 'P-256' },
  signature: { name: 'ECDSA', hash: 'SHA-256' },
  // an uncompressed point follows
  prefix: hex('3059301306072a8648ce3d020106082a8648ce3d03010703420004'),
  publicKeyBytes: 91,
}

/** Preferred ones first. */
export const ALGORITHMS: readonly KeyAlgorithm[] = [ED25519, P256]

/** Signatures of both are this long. */
export const SIGNATURE_BYTES = 64

/** The kind of a public key, or `undefined` where it is of neither. */
export function algorithmOf(publicKey: Uint8Array): KeyAlgorithm | undefined {
  return ALGORITHMS.find(
    ({ prefix, publicKeyBytes }) =>
      publicKey.length === publicKeyBytes && prefix.every((byte, i) => publicKey[i] === byte),
  )
}

function hex(text: string): Uint8Array {
  return Uint8Array.from(text.match(/../g) ?? [], (digits) => Number.parseInt(digits, 16))
}
