import { promisifyRequest, type UseStore } from 'idb-keyval'
import type { CopyStore, CopyWrite, StoredCopy } from '../../ports.ts'
import { messageOf, openStore, PREFIX } from './storage.ts'

/**
 * Copies of grains in this browser's IndexedDB, which all of its tabs share: each process has records of its own, so
 * that no tab writes what another one does. What is saved together is one transaction. `[room, process, partition]` is
 * a head; with a key behind it, that key.
 */
export function createCopyStore(): CopyStore {
  let store: UseStore | undefined
  const open = (): UseStore => {
    if (typeof indexedDB === 'undefined') throw new Error('IndexedDB is not available')
    return (store ??= openStore(`${PREFIX}-copies`, 'copies'))
  }
  return {
    async load(cluster) {
      const [keys, values] = await named(() =>
        open()('readonly', (records) => {
          const ofRoom = rangeBehind([cluster])
          return Promise.all([
            promisifyRequest(records.getAllKeys(ofRoom)),
            promisifyRequest<unknown[]>(records.getAll(ofRoom)),
          ])
        }),
      )
      return gather(keys, values)
    },
    save: (cluster, writes) =>
      named(() =>
        open()('readwrite', (records) => {
          const { transaction } = records
          for (const write of writes) put(records, cluster, write)
          // not only when its requests are answered: a page that is closed hears of none
          transaction.commit?.()
          return promisifyRequest(transaction)
        }),
      ),
  }
}

function put(records: IDBObjectStore, cluster: string, write: CopyWrite): void {
  const { process, partition, head, puts, deletes } = write
  const place = [cluster, process, partition]
  if (!head) {
    records.delete(place)
    records.delete(rangeBehind(place))
    return
  }
  records.put(head, place)
  for (const key of deletes) records.delete([...place, key])
  for (const [key, bytes] of puts) records.put(bytes, [...place, key])
}

/** Heads with their keys; whatever else is there is not read. Keys come in order: a head right before what is its. */
function gather(places: readonly IDBValidKey[], values: readonly unknown[]): StoredCopy[] {
  const copies: (StoredCopy & { readonly entries: Uint8Array[] })[] = []
  for (const [i, place] of places.entries()) {
    const value = values[i]
    if (!Array.isArray(place) || !(value instanceof Uint8Array)) continue
    const [, process, partition, key] = place as unknown[]
    if (typeof process !== 'string' || typeof partition !== 'string') continue
    const last = copies.at(-1)
    if (place.length === 3) copies.push({ process, partition, head: value, entries: [] })
    else if (typeof key === 'string' && last?.process === process && last.partition === partition)
      last.entries.push(value)
  }
  return copies
}

/** All keys that begin with these parts, and have more: lists sort behind texts. */
const rangeBehind = (parts: readonly string[]): IDBKeyRange =>
  IDBKeyRange.bound(parts, [...parts, []], true, true)

async function named<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw new Error(`IndexedDB failed: ${messageOf(error)}`, { cause: error })
  }
}
