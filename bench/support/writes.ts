/** One snapshot handed to IndexedDB; times by `performance.now()`. */
export interface Write {
  readonly at: number
  /** IndexedDB copies what it is given at once, and writes it later, elsewhere. */
  readonly handOverMs: number
  readonly bytes: number
}

declare global {
  interface Window {
    writes: Write[]
  }
}

/** The User Timing mark that each write leaves in a trace. */
export const WRITE_MARK = 'snapshot-write'

/**
 * Notes each snapshot that the library hands to IndexedDB. To be given to `addInitScript`: it stands alone, and runs
 * before everything else in the page.
 */
export function noteWrites(): void {
  window.writes = []
  const put = IDBObjectStore.prototype.put
  let startedAt = 0
  let bytes = 0
  IDBObjectStore.prototype.put = function (this: IDBObjectStore, value: unknown, key?: IDBValidKey) {
    const [kind] = Array.isArray(key) ? key : []
    if (kind === 'snapshot') {
      startedAt = performance.now()
      bytes = (value as { table: Uint8Array }).table.length
      // as WRITE_MARK, which a script that stands alone cannot see
      performance.mark('snapshot-write')
    }
    const request = put.call(this, value, key)
    // its second half: two records are written
    if (kind === 'saved-at') {
      window.writes.push({ at: startedAt, handOverMs: performance.now() - startedAt, bytes })
    }
    return request
  }
}
