/**
 * Where this browser profile keeps things for Grainmesh: one IndexedDB database with keys `[kind, cluster,
 * authority]`, and the two DOM storages. Any of them may be missing, full, or forbidden (private windows, sandboxed
 * frames, old browsers), and each of them says so by throwing at a different moment.
 */
import { createStore, type UseStore } from 'idb-keyval'

/** Names everything that Grainmesh keeps: the database, lock names, keys of the DOM storages. */
export const PREFIX = 'grainmesh'

/** IndexedDB that does not answer (a known fault of some browsers) must not hold up a join. */
export const ANSWER_MS = 3_000

export type RecordKey = [kind: 'identity' | 'snapshot' | 'saved-at', cluster: string, authority: string]

let store: UseStore | undefined

/** Runs `work` on the database. Rejects with a reason that a user can read. */
export async function withDatabase<T>(work: (store: UseStore) => Promise<T>): Promise<T> {
  let timeout: ReturnType<typeof setTimeout> | undefined
  try {
    if (typeof indexedDB === 'undefined') throw new Error('it is not available')
    store ??= openStore(PREFIX, 'records')
    return await Promise.race([
      work(store),
      new Promise<never>((_, reject) => {
        timeout = setTimeout(() => reject(new Error(`no answer in ${ANSWER_MS} ms`)), ANSWER_MS)
      }),
    ])
  } catch (error) {
    throw new Error(`IndexedDB failed: ${messageOf(error)}`, { cause: error })
  } finally {
    clearTimeout(timeout)
  }
}

/**
 * A store whose database may be deleted while it is open, as applications do that forget everything at a logout: they
 * would wait for the last tab otherwise. Whatever is done after that opens a new one.
 */
export function openStore(database: string, name: string): UseStore {
  const store = createStore(database, name)
  return (mode, work) =>
    store(mode, (records) => {
      const { db } = records.transaction
      db.onversionchange = () => {
        db.close()
        // idb-keyval waits for this before it opens another one; who closes a connection itself is not told
        db.onclose?.(new Event('close'))
      }
      return work(records)
    })
}

export function isRecordKey(key: unknown, kind: RecordKey[0]): key is RecordKey {
  return (
    Array.isArray(key) && key.length === 3 && key[0] === kind && key.every((part) => typeof part === 'string')
  )
}

/** The DOM storage, or `undefined` where reading and writing it does not work. */
export function domStorage(name: 'sessionStorage' | 'localStorage'): Storage | undefined {
  try {
    const storage = globalThis[name]
    const probe = `${PREFIX}:probe`
    storage.setItem(probe, '1')
    storage.removeItem(probe)
    return storage
  } catch {
    return undefined
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message || error.name : String(error)
}
