import { delMany, get, getMany, keys, setMany } from 'idb-keyval'
import type { Authority } from '../../core/identity/node-id.ts'
import type { Snapshot, SnapshotStore } from '../../ports.ts'
import { readSnapshot, writeSnapshot } from './snapshot-record.ts'
import { isRecordKey, messageOf, withDatabase, type RecordKey } from './storage.ts'

/** Snapshots of tabs not seen this long are forgotten. */
export const KEEP_MS = 30 * 24 * 3_600_000
/** Snapshots kept for one cluster; those saved longest ago go first. */
export const KEEP_COUNT = 64

/**
 * Snapshots in this browser's IndexedDB, one for each authority and cluster.
 *
 * `load` rejects with the reason where a record cannot be used, and has deleted that record by then; it also rejects
 * where IndexedDB cannot be used. `save` rejects once for each new reason why nothing can be saved and then stays
 * quiet, since it is called twice a second; it goes on trying.
 */
export function createSnapshotStore(): SnapshotStore {
  let complaint: string | undefined
  let collected = false
  return {
    async load(cluster, authority) {
      const record = await withDatabase((store) => get<unknown>(recordKey(cluster, authority), store))
      if (record === undefined) return undefined
      const result = readSnapshot(record, cluster, authority)
      if (result.ok) return result.snapshot
      await drop([[cluster, authority]])
      throw new Error(`The snapshot of this tab was dropped: ${result.reason}.`)
    },
    async save(snapshot) {
      try {
        await write(snapshot)
        complaint = undefined
      } catch (error) {
        const reason = messageOf(error)
        if (reason === complaint) return
        complaint = reason
        throw new Error(`No snapshot is kept: ${reason}.`, { cause: error })
      }
      if (collected) return
      collected = true
      // a courtesy to the disk, not a part of the saving
      collect(snapshot.authority).catch(() => undefined)
    },
  }
}

const recordKey = (cluster: string, authority: Authority): RecordKey => ['snapshot', cluster, authority]
/** Kept beside the record, so that collecting reads no records. */
const savedAtKey = (cluster: string, authority: Authority): RecordKey => ['saved-at', cluster, authority]

async function write(snapshot: Snapshot): Promise<void> {
  const { cluster, authority } = snapshot
  const text = writeSnapshot(snapshot)
  await withDatabase((store) =>
    setMany(
      [
        [recordKey(cluster, authority), text],
        [savedAtKey(cluster, authority), Date.now()],
      ],
      store,
    ),
  )
}

function drop(tabs: readonly (readonly [cluster: string, authority: Authority])[]): Promise<void> {
  const gone = tabs.flatMap(([cluster, authority]) => [
    recordKey(cluster, authority),
    savedAtKey(cluster, authority),
  ])
  return withDatabase((store) => delMany(gone, store))
}

/** Forgets what tabs left behind that are long gone, in every cluster. */
async function collect(own: Authority): Promise<void> {
  const oldest = Date.now() - KEEP_MS
  const kept = new Map<string, number>()
  const gone = (await savedTabs())
    .filter(({ authority }) => authority !== own)
    .sort((a, b) => b.at - a.at)
    .filter(({ cluster, at }) => {
      const count = (kept.get(cluster) ?? 0) + 1
      kept.set(cluster, count)
      // one place is this tab's own
      return !(at >= oldest) || count >= KEEP_COUNT
    })
  if (gone.length > 0) await drop(gone.map(({ cluster, authority }) => [cluster, authority]))
}

/** Every tab with a record, and when that was saved; 0 where nobody knows. */
function savedTabs(): Promise<{ cluster: string; authority: Authority; at: number }[]> {
  return withDatabase(async (store) => {
    const found = (await keys(store)).filter((key): key is RecordKey => isRecordKey(key, 'snapshot'))
    const times = await getMany<unknown>(
      found.map(([, cluster, authority]) => savedAtKey(cluster, authority)),
      store,
    )
    return found.map(([, cluster, authority], index) => {
      const at = times[index]
      return { cluster, authority, at: typeof at === 'number' ? at : 0 }
    })
  })
}
