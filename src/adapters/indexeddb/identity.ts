/**
 * Keeps who a tab is. Its sessionStorage names the authority, a Web Lock makes sure that no other tab uses it, and
 * IndexedDB counts its generations. A duplicated tab starts with a copy of the sessionStorage, fails to get the
 * lock, and becomes somebody else.
 */
import { delMany, getMany, keys, update } from 'idb-keyval'
import {
  MAX_GENERATION,
  isAuthority,
  isProcessId,
  randomAuthority,
  randomName,
  type Authority,
} from '../../core/identity/node-id.ts'
import type { Identity, IdentityStore, Random } from '../../ports.ts'
import { hold, webLocks, type Release } from './hold.ts'
import { PREFIX, domStorage, isRecordKey, messageOf, withDatabase, type RecordKey } from './storage.ts'

export interface IdentityOptions {
  readonly random: Random
  /** `false`: every claim is a new authority in its first generation, and nothing is kept. Default `true`. */
  readonly persist?: boolean
}

/** A reloaded page may ask for its identity before its old page has let go of it. */
export const LOCK_WAIT_MS = 300

/** Identities of tabs not seen this long are forgotten; such a tab would come back as somebody new. */
const KEEP_MS = 90 * 24 * 3_600_000
/** The longest unseen go first above this number. */
const KEEP_COUNT = 1_024

interface IdentityRecord {
  readonly generation: number
  /** Wall clock of the last claim, ms since 1970. */
  readonly at: number
}

/**
 * Identities kept in this browser. Where the platform lacks something, a claim still succeeds with an authority for
 * this load only, and `lost` says why. `claim` never rejects.
 */
export function createIdentityStore(options: IdentityOptions): IdentityStore {
  const { random } = options
  return {
    async claim(cluster) {
      const browser = await browserId(random)
      if (options.persist === false) return forThisLoad(browser, random)
      const session = domStorage('sessionStorage')
      if (!session) return forThisLoad(browser, random, 'sessionStorage is not available')
      const locks = webLocks()
      if (!locks) {
        return forThisLoad(browser, random, 'Web Locks are not available (they need https or localhost)')
      }
      try {
        const tab = new Tab(cluster, session, locks)
        return await claimKept(tab, browser, random)
      } catch (error) {
        return forThisLoad(browser, random, messageOf(error))
      }
    },
  }
}

/** What one tab keeps for one cluster. */
class Tab {
  readonly #cluster: string
  readonly #session: Storage
  readonly #locks: LockManager

  constructor(cluster: string, session: Storage, locks: LockManager) {
    this.#cluster = cluster
    this.#session = session
    this.#locks = locks
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
    return hold(this.#locks, `${PREFIX}:identity:${this.#cluster}:${authority}`, LOCK_WAIT_MS)
  }

  /**
   * Commits the next generation. `undefined` for a known authority whose count is gone or spoilt: nobody can tell
   * which generations it has used.
   */
  async commit(authority: Authority, known: boolean): Promise<number | undefined> {
    const key: RecordKey = ['identity', this.#cluster, authority]
    let generation: number | undefined
    await withDatabase((store) =>
      update<unknown>(
        key,
        (old) => {
          const used = isIdentityRecord(old) ? old.generation : known ? MAX_GENERATION : 0
          if (used < MAX_GENERATION) generation = used + 1
          // `at: 0` is collected with the next claim
          return { generation: generation ?? MAX_GENERATION, at: generation === undefined ? 0 : Date.now() }
        },
        store,
      ),
    )
    return generation
  }

  get #sessionKey(): string {
    return `${PREFIX}:identity:${this.#cluster}`
  }
}

async function claimKept(tab: Tab, browser: string, random: Random): Promise<Identity> {
  const known = tab.authority
  const identity =
    (known !== undefined && (await claimAuthority(tab, known, true, browser))) ||
    (await claimAuthority(tab, randomAuthority(random), false, browser))
  if (!identity) throw new Error('the Web Lock of a new identity could not be had')
  // a courtesy to the disk, not a part of the claim
  collectIdentities(identity.authority).catch(() => undefined)
  return identity
}

/** `undefined` where the authority is another tab's, or its generations are no longer known. */
async function claimAuthority(
  tab: Tab,
  authority: Authority,
  known: boolean,
  browser: string,
): Promise<Identity | undefined> {
  const release = await tab.hold(authority)
  if (!release) return undefined
  try {
    const generation = await tab.commit(authority, known)
    if (generation === undefined) {
      release()
      return undefined
    }
    tab.remember(authority)
    return kept(tab, authority, generation, browser, release)
  } catch (error) {
    release()
    throw error
  }
}

function kept(
  tab: Tab,
  authority: Authority,
  generation: number,
  browser: string,
  release: Release,
): Identity {
  let newest = generation
  const identity: { -readonly [K in keyof Identity]: Identity[K] } = {
    authority,
    generation,
    browser,
    release,
    async nextGeneration() {
      if (identity.lost !== undefined) return ++newest
      try {
        const next = await tab.commit(authority, true)
        if (next === undefined || next <= newest) throw new Error('its record in IndexedDB is gone')
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

/** An authority that nothing else can ever meet again. */
function forThisLoad(browser: string, random: Random, reason?: string): Identity {
  let generation = 1
  const identity: Identity = {
    authority: randomAuthority(random),
    generation,
    browser,
    nextGeneration: () => Promise.resolve(++generation),
    release: () => undefined,
  }
  return reason === undefined ? identity : { ...identity, lost: whyLost(reason) }
}

function whyLost(reason: string): string {
  return `This tab will be somebody new after a reload: ${reason}.`
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
  const { generation, at } = value as Partial<Record<keyof IdentityRecord, unknown>>
  return (
    Number.isSafeInteger(generation) &&
    (generation as number) >= 1 &&
    (generation as number) <= MAX_GENERATION &&
    typeof at === 'number'
  )
}
