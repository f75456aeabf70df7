/**
 * What two members sign on a new link, each with the key that its authority is derived from. Both nonces make it good
 * for this link alone; the fingerprints of the channel's two ends make it worthless to whoever sits between them; the
 * signer's role keeps either from getting its own signature back.
 */
import type { Fingerprints } from '../events.ts'
import type { NodeId } from '../identity/node-id.ts'
import { compareNodeIds } from '../identity/node-id.ts'
import type { Random } from '../time.ts'
import { NONCE_BYTES } from '../wire/frames.ts'
import { Writer } from '../wire/writer.ts'

const LABEL = 'grainmesh link 1'

/** One end of a link, as both ends know it. */
export interface Party {
  readonly nodeId: NodeId
  readonly nonce: Uint8Array
  readonly publicKey: Uint8Array
}

/** The link, as the end `own` sees it. */
export interface Encounter {
  readonly cluster: string
  readonly own: Party
  readonly other: Party
  /** Absent where the transport knows none. */
  readonly fingerprints: Fingerprints | undefined
}

/** A nonce is as good as `random`: the platform's comes from its cryptographic generator. */
export const createNonce = (random: Random): Uint8Array =>
  Uint8Array.from({ length: NONCE_BYTES }, () => Math.floor(random() * 256))

/** A hello of a version that is not spoken here has none, which is the same as no other. */
export const isSameNonce = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === NONCE_BYTES && b.length === NONCE_BYTES && a.every((byte, i) => byte === b[i])

/** What `signer` signs. Both ends compute the same: parties stand in the order of their nodeIds, which differ. */
export function proofBytes(
  { cluster, own, other, fingerprints }: Encounter,
  signer: 'own' | 'other',
): Uint8Array {
  const mine = { ...own, fingerprint: fingerprints?.local ?? '' }
  const theirs = { ...other, fingerprint: fingerprints?.remote ?? '' }
  const parties = compareNodeIds(own.nodeId, other.nodeId) < 0 ? [mine, theirs] : [theirs, mine]
  const w = new Writer(512).text(LABEL).text(cluster)
  w.byte(parties.indexOf(signer === 'own' ? mine : theirs))
  for (const { nodeId, nonce, publicKey, fingerprint } of parties) {
    w.text(nodeId).blob(nonce).blob(publicKey).text(fingerprint)
  }
  return w.take()
}
