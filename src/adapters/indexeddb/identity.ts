/**
 * Keeps who a tab is. Its sessionStorage names the authority, a Web Lock makes sure that no other tab uses it, and
 * IndexedDB holds the key it is derived from and counts its generations. A duplicated tab starts with a copy of the
 * sessionStorage, fails to get the lock, and becomes somebody else.
 */
import { delMany, get, getMany, keys, update } from 'idb-keyval'
import {
  MAX_GENERATION,
  isAuthority,
  isProcessId,
  randomAuthority,
  randomName,
  type Authority,
} from '../../core/identity/node-id.ts'
import type { Identity, IdentityStore, Random } from '../../ports.ts'
import { createKeyPair, isKeyPair, isKeyPairOf, signWith, subtleCrypto } from '../webcrypto/key-pair.ts'
import type { KeyPair } from '../webcrypto/key-pair.ts'
import { hold, webLocks, type Release } from './hold.ts'
import { PREFIX, domStorage, isRecordKey, messageOf, withDatabase, type RecordKey } from './storage.ts'

export interface IdentityOptions {
  readonly random: Random
  /** `false`: every claim is a new authority in its first generation, and nothing is kept. Default `true`. */
  readonly persist?: boolean
}

/** A reloaded page may ask for its identity before its old page has let go of it. */
export const LOCK_WAIT_MS = 300
/** A page that was reloaded knows that there is an old page; on a busy machine that takes its time. */
const RELOAD_WAIT_MS = 2_000

/** Identities of tabs not seen this long are forgotten; such a tab would come back as somebody new. */
const KEEP_MS = 90 * 24 * 3_600_000
/** The longest unseen go first above this number. */
const KEEP_COUNT = 1_024

interface IdentityRecord {
  readonly keys: KeyPair
  readonly generation: number
  /** Wall clock of the last claim, ms since 1970. */
  readonly at: number
}

/**
 * Identities kept in this browser. Where the platform lacks something, a claim still succeeds with a key in memory, and
 * so an authority for this load only; without SubtleCrypto it has no key at all. `lost` says so. `claim` never rejects.
 */
export function createIdentityStore(options: IdentityOptions): IdentityStore {
  const { random } = options
  return {
    async claim(cluster) {
      const browser = browserId(random)
      const subtle = subtleCrypto()
      const origin: Origin = { subtle, browser, random }
      if (!subtle) return withoutKey(origin, 'SubtleCrypto is not available (it needs https or localhost)')
      if (options.persist === false) return forThisLoad(origin)
      const session = domStorage('sessionStorage')
      if (!session) return forThisLoad(origin, 'sessionStorage is not available')
      const locks = webLocks()
      if (!locks) return forThisLoad(origin, 'Web Locks are not available (they need https or localhost)')
      try {
        return await claimKept(new Tab(cluster, session, locks, subtle), browser)
      } catch (error) {
        return forThisLoad(origin, messageOf(error))
      }
    },
  }
}

/** What identities are made from. */
interface Origin {
  readonly subtle: SubtleCrypto | undefined
  /** On its way while a key is made, or found. Never rejects. */
  readonly browser: Promise<string>
  readonly random: Random
}

interface Committed {
  readonly keys: KeyPair
  readonly generation: number
}

/** What one tab keeps for one cluster. */
class Tab {
  readonly subtle: SubtleCrypto
  readonly #cluster: string
  readonly #session: Storage
  readonly #locks: LockManager

  constructor(cluster: string, session: Storage, locks: LockManager, subtle: SubtleCrypto) {
    this.#cluster = cluster
    this.#session = session
    this.#locks = locks
    this.subtle = subtle
  }

  get authority(): Authority | undefined {
    const text = this.#session.getItem(this.#sessionKey)
    return text !== null && isAuthority(text) ? text : undefined
  }

  remember(authority: Authority): void {
    this.#session.setItem(this.#sessionKey, authority)
  }

  forget(authority: Authority): void {
    if (this.authority === authority) this.#session.removeItem(this.#sessionKey)
  }

  hold(authority: Authority): Promise<Release | undefined> {
    // The page before may take a while to let go: the database opens meanwhile. Its faults show in `commit`.
    withDatabase((store) => get<unknown>(this.#recordKey(authority), store)).catch(() => undefined)
    return hold(this.#locks, `${PREFIX}:identity:${this.#cluster}:${authority}`, lockWaitMs())
  }

  /**
   * Commits the next generation, the first one with `created`. `undefined` for a known authority whose record is gone
   * or spoilt: it has no key any more, and nobody can tell which generations it has used.
   */
  async commit(authority: Authority, created?: KeyPair): Promise<Committed | undefined> {
    const key = this.#recordKey(authority)
    let committed: Committed | undefined
    await withDatabase((store) =>
      update<unknown>(
        key,
        (old) => {
          const known = isIdentityRecord(old) ? old : undefined
          const keys = known?.keys ?? created
          const used = known?.generation ?? 0
          if (!keys || used >= MAX_GENERATION) {
            committed = undefined
            // `at: 0` is collected with the next claim
            return { generation: MAX_GENERATION, at: 0 }
          }
          committed = { keys, generation: used + 1 }
          return { ...committed, at: Date.now() } satisfies IdentityRecord
        },
        store,
      ),
    )
    const isWhole = committed !== undefined && (await isKeyPairOf(this.subtle, authority, committed.keys))
    return isWhole ? committed : undefined
  }

  #recordKey(authority: Authority): RecordKey {
    return ['identity', this.#cluster, authority]
  }

  get #sessionKey(): string {
    return `${PREFIX}:identity:${this.#cluster}`
  }
}

async function claimKept(tab: Tab, browser: Promise<string>): Promise<Identity> {
  const known = tab.authority
  let identity = known === undefined ? undefined : await claimAuthority(tab, known, browser)
  if (!identity) {
    const keys = await createKeyPair(tab.subtle)
    identity = await claimAuthority(tab, keys.authority, browser, keys)
  }
  if (!identity) throw new Error('the Web Lock of a new identity could not be had')
  // a courtesy to the disk, not a part of the claim
  collectIdentities(identity.authority).catch(() => undefined)
  return identity
}

/** `undefined` where the authority is another tab's, or its key or its generations are no longer known. */
async function claimAuthority(
  tab: Tab,
  authority: Authority,
  browser: Promise<string>,
  created?: KeyPair,
): Promise<Identity | undefined> {
  const release = await tab.hold(authority)
  if (!release) return undefined
  try {
    const committed = await tab.commit(authority, created)
    if (committed === undefined) {
      release()
      return undefined
    }
    tab.remember(authority)
    return kept(tab, committed, await browser, release)
  } catch (error) {
    release()
    throw error
  }
}

function kept(tab: Tab, { keys, generation }: Committed, browser: string, release: Release): Identity {
  const { authority, publicKey } = keys
  let newest = generation
  const identity: { -readonly [K in keyof Identity]: Identity[K] } = {
    authority,
    publicKey,
    generation,
    browser,
    sign: (bytes) => signWith(tab.subtle, keys, bytes),
    release,
    abandon() {
      tab.forget(authority)
      release()
    },
    async nextGeneration() {
      if (identity.lost !== undefined) return ++newest
      try {
        const next = (await tab.commit(authority))?.generation
        if (next === undefined || next <= newest) throw new Error('its record in IndexedDB is gone')
        if (next > newest + 1) return undefined
        newest = next
      } catch (error) {
        // what cannot be committed must not be found again by the next load
        tab.forget(authority)
        identity.lost = whyLost(messageOf(error))
        newest++
      }
      return newest
    },
  }
  return identity
}

/** An authority that nothing else can ever meet again: its key is in memory only. */
async function forThisLoad(origin: Origin, reason?: string): Promise<Identity> {
  try {
    const subtle = origin.subtle!
    const keys = await createKeyPair(subtle)
    const sign = (bytes: Uint8Array) => signWith(subtle, keys, bytes)
    return await inMemory(origin, keys.authority, keys.publicKey, sign, reason && whyLost(reason))
  } catch (error) {
    return withoutKey(origin, `no key could be made (${messageOf(error)})`)
  }
}

function withoutKey(origin: Origin, reason: string): Promise<Identity> {
  const sign = () => Promise.reject(new Error('this process has no key'))
  const authority = randomAuthority(origin.random)
  return inMemory(origin, authority, new Uint8Array(0), sign, whyUnproven(reason))
}

async function inMemory(
  origin: Origin,
  authority: Authority,
  publicKey: Uint8Array,
  sign: Identity['sign'],
  lost?: string,
): Promise<Identity> {
  let generation = 1
  const browser = await origin.browser
  const identity: Identity = {
    authority,
    publicKey,
    generation,
    browser,
    sign,
    nextGeneration: () => Promise.resolve(++generation),
    release: () => undefined,
    abandon: () => undefined,
  }
  return lost === undefined ? identity : { ...identity, lost }
}

function whyLost(reason: string): string {
  return `This tab will be somebody new after a reload: ${reason}.`
}

function whyUnproven(reason: string): string {
  const loss = 'This tab cannot prove who it is and will be somebody new after a reload'
  return `${loss}: ${reason}. It can link only to tabs that cannot either.`
}

/** A random name of this browser profile, kept in localStorage; of this load alone where there is none. */
async function browserId(random: Random): Promise<string> {
  const key = `${PREFIX}:browser`
  const local = domStorage('localStorage')
  const old = local?.getItem(key)
  if (typeof old === 'string' && isProcessId(old)) return old
  // tabs of one window that all start for the first time agree through IndexedDB, where updates do not interleave
  const id = await sharedName(randomName(16, random))
  try {
    local?.setItem(key, id)
  } catch {
    // full: the next load finds it in IndexedDB
  }
  return id
}

async function sharedName(proposal: string): Promise<string> {
  let name = proposal
  try {
    await withDatabase((store) =>
      update<unknown>(
        `${PREFIX}:browser`,
        (old) => (name = typeof old === 'string' && isProcessId(old) ? old : proposal),
        store,
      ),
    )
  } catch {
    return proposal
  }
  return name
}

/** Forgets the identities of tabs that are long gone. */
async function collectIdentities(own: Authority): Promise<void> {
  await withDatabase(async (store) => {
    const oldest = Date.now() - KEEP_MS
    const others = (await keys(store)).filter(
      (key): key is RecordKey => isRecordKey(key, 'identity') && key[2] !== own,
    )
    const records = await getMany<unknown>(others, store)
    const found = others
      .map((key, index) => ({ key, at: seenAt(records[index]) }))
      .sort((a, b) => b.at - a.at)
    const gone = found.filter(({ at }, index) => at < oldest || index >= KEEP_COUNT)
    if (gone.length > 0) {
      await delMany(
        gone.map(({ key }) => key),
        store,
      )
    }
  })
}

function seenAt(record: unknown): number {
  return isIdentityRecord(record) ? record.at : 0
}

function isIdentityRecord(value: unknown): value is IdentityRecord {
  if (typeof value !== 'object' || value === null) return false
  const { keys, generation, at } = value as Partial<Record<keyof IdentityRecord, unknown>>
  return (
    isKeyPair(keys) &&
    Number.isSafeInteger(generation) &&
    (generation as number) >= 1 &&
    (generation as number) <= MAX_GENERATION &&
    typeof at === 'number'
  )
}

function lockWaitMs(): number {
  const [navigation] = performance.getEntriesByType('navigation')
  const isReload = (navigation as { type?: string } | undefined)?.type === 'reload'
  return isReload ? RELOAD_WAIT_MS : LOCK_WAIT_MS
}
