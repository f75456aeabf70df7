/** Keys from WebCrypto, as Node has it: what an authority is derived from, and what a signature is worth. */
import { createHash, createPublicKey, generateKeyPairSync, verify as verifyWithNode } from 'node:crypto'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { createIdentityStore } from '../../src/adapters/indexeddb/identity.ts'
import { authorityOf, base32 } from '../../src/adapters/webcrypto/authority.ts'
import { createKeyPair, isKeyPairOf, signWith } from '../../src/adapters/webcrypto/key-pair.ts'
import type { KeyPair } from '../../src/adapters/webcrypto/key-pair.ts'
import { createWebCryptoKeys } from '../../src/adapters/webcrypto/keys.ts'
import { createStandInKeys, standInPublicKey } from '../../src/adapters/memory/stand-in-keys.ts'
import { isAuthority } from '../../src/core/identity/node-id.ts'
import { seededRandom } from '../../src/testing/random.ts'

const { subtle } = crypto
const { verify } = createWebCryptoKeys()
const message = new TextEncoder().encode('what was said')

afterEach(() => vi.restoreAllMocks())

/** As on a platform that does not know Ed25519. */
function withoutEd25519(): SubtleCrypto {
  const generateKey = (algorithm: AlgorithmIdentifier, ...rest: [boolean, KeyUsage[]]) => {
    const { name } = algorithm as Algorithm
    if (name === 'Ed25519') return Promise.reject(new DOMException('unknown', 'NotSupportedError'))
    return subtle.generateKey(algorithm as EcKeyGenParams, ...rest)
  }
  return {
    generateKey,
    exportKey: subtle.exportKey.bind(subtle),
    digest: subtle.digest.bind(subtle),
  } as SubtleCrypto
}

const kinds: [string, () => Promise<KeyPair>, bytes: number][] = [
  ['Ed25519', () => createKeyPair(subtle), 44],
  ['P-256', () => createKeyPair(withoutEd25519()), 91],
]

describe('base32', () => {
  it.each([
    ['', ''],
    ['f', 'my'],
    ['fo', 'mzxq'],
    ['foo', 'mzxw6'],
    ['foob', 'mzxw6yq'],
    ['fooba', 'mzxw6ytb'],
    ['foobar', 'mzxw6ytboi'],
  ])('of "%s" is what RFC 4648 says', (text, encoded) => {
    expect(base32(new TextEncoder().encode(text))).toBe(encoded)
  })
})

describe('an authority', () => {
  it.each([
    ['302a300506032b6570032100d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a', 'RFC8032'],
    ['', 'EMPTY'],
  ])('is the beginning of the hash of its key, %s', async (hex, name) => {
    const key = Uint8Array.from(Buffer.from(hex, 'hex'))
    expect(await authorityOf(subtle, key)).toBe(VECTORS[name])
    expect(await authorityOf(subtle, key)).toBe(
      base32(createHash('sha256').update(key).digest()).slice(0, 20),
    )
  })
})

describe.each(kinds)('%s', (_, create, publicKeyBytes) => {
  it('makes keys that cannot be read, and that other software understands', async () => {
    const { authority, publicKey, privateKey } = await create()
    expect(publicKey).toHaveLength(publicKeyBytes)
    expect(isAuthority(authority)).toBe(true)
    expect(privateKey.extractable).toBe(false)
    await expect(subtle.exportKey('pkcs8', privateKey)).rejects.toThrow(/extractable/)
    await expect(subtle.exportKey('jwk', privateKey)).rejects.toThrow(/extractable/)
    const inNode = createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'spki' })
    expect(inNode.export({ format: 'der', type: 'spki' })).toEqual(Buffer.from(publicKey))
  })

  it('signs what it then verifies, and nothing else', async () => {
    const [keys, others] = [await create(), await create()]
    const { authority, publicKey } = keys
    const signature = await signWith(subtle, keys, message)
    expect(signature).toHaveLength(64)
    expect(await verify(publicKey, authority, message, signature)).toBe(true)
    const changed = (bytes: Uint8Array, at: number) => bytes.with(at, bytes[at]! ^ 1)
    expect(await verify(publicKey, authority, changed(message, 3), signature)).toBe(false)
    expect(await verify(publicKey, authority, message, changed(signature, 40))).toBe(false)
    expect(await verify(publicKey, others.authority, message, signature), 'another name').toBe(false)
    expect(await verify(others.publicKey, others.authority, message, signature)).toBe(false)
    expect(await verify(others.publicKey, authority, message, await signWith(subtle, others, message))).toBe(
      false,
    )
  })

  it('is taken back from storage only whole', async () => {
    const [keys, others] = [await create(), await create()]
    const stored = structuredClone({ authority: keys.authority, publicKey: keys.publicKey })
    const back = { ...stored, privateKey: keys.privateKey }
    expect(await isKeyPairOf(subtle, keys.authority, back)).toBe(true)
    expect(await isKeyPairOf(subtle, others.authority, back)).toBe(false)
    expect(await isKeyPairOf(subtle, keys.authority, { ...back, publicKey: others.publicKey })).toBe(false)
    expect(await isKeyPairOf(subtle, keys.authority, { ...back, publicKey: new Uint8Array(3) })).toBe(false)
  })
})

describe('verify', () => {
  it('takes a signature that Node made', async () => {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519')
    const spki = new Uint8Array(publicKey.export({ format: 'der', type: 'spki' }))
    const { sign } = await import('node:crypto')
    const signature = new Uint8Array(sign(null, message, privateKey))
    expect(verifyWithNode(null, message, publicKey, signature)).toBe(true)
    expect(await verify(spki, await authorityOf(subtle, spki), message, signature)).toBe(true)
  })

  it('says no to garbage of every kind, and never throws', async () => {
    const random = seededRandom(1, 'garbage')
    const keys = await createKeyPair(subtle)
    const signature = await signWith(subtle, keys, message)
    const bytes = (length: number) => Uint8Array.from({ length }, () => Math.floor(random() * 256))
    const p256 = await createKeyPair(withoutEd25519())
    const offCurve = p256.publicKey.map((byte, i) => (i > 60 ? byte ^ 0x55 : byte))
    const publicKeys = [
      ...Array.from({ length: 130 }, (_, length) => bytes(length)),
      keys.publicKey.subarray(1),
      offCurve,
      new Uint8Array(44).fill(0).map((_, i) => keys.publicKey[i < 12 ? i : 44] ?? 0),
    ]
    for (const publicKey of publicKeys) {
      const authority = await authorityOf(subtle, publicKey)
      expect(await verify(publicKey, authority, message, signature)).toBe(false)
    }
    for (let length = 0; length < 130; length++) {
      expect(await verify(keys.publicKey, keys.authority, message, bytes(length))).toBe(false)
    }
    for (const authority of ['', 'x', keys.authority.toUpperCase(), `${keys.authority}a`]) {
      expect(await verify(keys.publicKey, authority, message, signature)).toBe(false)
    }
    const hostile = [undefined, null, 'text', 7, {}] as unknown as Uint8Array[]
    for (const value of hostile) {
      expect(await verify(value, keys.authority, message, signature)).toBe(false)
      expect(await verify(keys.publicKey, keys.authority, value, signature)).toBe(false)
      expect(await verify(keys.publicKey, keys.authority, message, value)).toBe(false)
    }
  })

  it('says no where there is no SubtleCrypto', async () => {
    const keys = await createKeyPair(subtle)
    const signature = await signWith(subtle, keys, message)
    vi.spyOn(crypto, 'subtle', 'get').mockReturnValue(undefined as unknown as SubtleCrypto)
    expect(await verify(keys.publicKey, keys.authority, message, signature)).toBe(false)
  })
})

describe('an identity', () => {
  it('in Node has a key in memory, and says that it is lost with the process', async () => {
    const identity = await createIdentityStore({ random: Math.random }).claim('x')
    expect(await authorityOf(subtle, identity.publicKey)).toBe(identity.authority)
    expect(identity.lost).toMatch(/somebody new after a reload: sessionStorage is not available/)
    const signature = await identity.sign(message)
    expect(await verify(identity.publicKey, identity.authority, message, signature)).toBe(true)
  })

  it('that is not to be kept has a key as well, and has lost nothing', async () => {
    const identity = await createIdentityStore({ random: Math.random, persist: false }).claim('x')
    expect(identity.lost).toBe(undefined)
    expect(await authorityOf(subtle, identity.publicKey)).toBe(identity.authority)
  })

  it('has no key where no key can be made, and says what that costs', async () => {
    vi.spyOn(subtle, 'generateKey').mockRejectedValue(new Error('no entropy'))
    const noKeys = await createIdentityStore({ random: Math.random, persist: false }).claim('x')
    vi.spyOn(crypto, 'subtle', 'get').mockReturnValue(undefined as unknown as SubtleCrypto)
    const noSubtle = await createIdentityStore({ random: Math.random }).claim('x')
    for (const identity of [noKeys, noSubtle]) {
      expect(identity.publicKey).toHaveLength(0)
      expect(isAuthority(identity.authority)).toBe(true)
      expect(identity.lost).toMatch(/cannot prove who it is.*link only to tabs that cannot either/)
      await expect(identity.sign(message)).rejects.toThrow('no key')
    }
    expect([noKeys.lost, noSubtle.lost]).toEqual([
      expect.stringContaining('no entropy'),
      expect.stringContaining('SubtleCrypto'),
    ])
  })
})

it('stand-in keys are no match for real ones', async () => {
  const keys = await createKeyPair(subtle)
  const standIn = createStandInKeys()
  expect(
    await standIn.verify(keys.publicKey, keys.authority, message, await signWith(subtle, keys, message)),
  ).toBe(false)
  const publicKey = standInPublicKey(keys.authority)
  expect(await verify(publicKey, keys.authority, message, new Uint8Array(64))).toBe(false)
})

/** Computed once with `openssl dgst -sha256 -binary | base32`. */
const VECTORS: Record<string, string> = { RFC8032: 'a3r73d62fg5wbk2zkv66', EMPTY: '4oymiquy7qobjgx36tej' }
