/**
 * The keys of one relayed link, from an ephemeral ECDH on P-256: both ends make the same of it, and whoever carries
 * their messages does not. That no other key was slipped in between is proven by the handshake of the members, which
 * signs the fingerprints.
 */
import { PUBLIC_KEY_BYTES } from './signal.ts'

const CURVE = { name: 'ECDH', namedCurve: 'P-256' } as const
const LABEL = 'grainmesh relay 1'
const KEY_BYTES = 32
/** Names the link on each of its pieces. Whole groups of three bytes, which base64 writes the same whatever follows. */
export const TAG_BYTES = 9
/** What an end sends when it closes, so that nobody else can. */
export const FAREWELL_BYTES = 16

/** One end's key for one link. */
export interface Ephemeral {
  readonly privateKey: CryptoKey
  readonly publicKey: Uint8Array
  readonly fingerprint: string
}

/** What one end sends with. */
export interface Direction {
  readonly key: CryptoKey
  readonly farewell: Uint8Array
}

export interface Secrets {
  readonly tag: Uint8Array
  readonly send: Direction
  readonly receive: Direction
  readonly remoteFingerprint: string
}

export async function createEphemeral(subtle: SubtleCrypto): Promise<Ephemeral> {
  const pair = (await subtle.generateKey(CURVE, false, ['deriveBits'])) as CryptoKeyPair
  const publicKey = new Uint8Array(await subtle.exportKey('raw', pair.publicKey))
  return { privateKey: pair.privateKey, publicKey, fingerprint: await fingerprintOf(subtle, publicKey) }
}

/** Rejects where `remote` is no point of the curve. */
export async function deriveSecrets(
  subtle: SubtleCrypto,
  own: Ephemeral,
  remote: Uint8Array,
  initiator: boolean,
): Promise<Secrets> {
  const remoteKey = await subtle.importKey('raw', remote.slice(), CURVE, false, [])
  const shared = await subtle.deriveBits({ name: 'ECDH', public: remoteKey }, own.privateKey, 256)
  const root = await subtle.importKey('raw', shared, 'HKDF', false, ['deriveBits'])
  const salt = new Uint8Array(2 * PUBLIC_KEY_BYTES)
  salt.set(initiator ? own.publicKey : remote, 0)
  salt.set(initiator ? remote : own.publicKey, PUBLIC_KEY_BYTES)
  const expand = async (purpose: string, bytes: number): Promise<Uint8Array> => {
    const info = new TextEncoder().encode(`${LABEL} ${purpose}`)
    const bits = await subtle.deriveBits({ name: 'HKDF', hash: 'SHA-256', salt, info }, root, bytes * 8)
    return new Uint8Array(bits)
  }
  const direction = async (from: 'initiator' | 'answerer', usage: KeyUsage): Promise<Direction> => {
    const bytes = await expand(from, KEY_BYTES + FAREWELL_BYTES)
    const key = await subtle.importKey('raw', bytes.slice(0, KEY_BYTES), 'AES-GCM', false, [usage])
    return { key, farewell: bytes.slice(KEY_BYTES) }
  }
  return {
    tag: await expand('link', TAG_BYTES),
    send: await direction(initiator ? 'initiator' : 'answerer', 'encrypt'),
    receive: await direction(initiator ? 'answerer' : 'initiator', 'decrypt'),
    remoteFingerprint: await fingerprintOf(subtle, remote),
  }
}

async function fingerprintOf(subtle: SubtleCrypto, publicKey: Uint8Array): Promise<string> {
  const hash = new Uint8Array(await subtle.digest('SHA-256', publicKey.slice()))
  return `relay sha-256 ${Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('')}`
}
