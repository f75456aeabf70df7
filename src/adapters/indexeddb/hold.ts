/** Frees a held name; idempotent. */
export type Release = () => void

/**
 * Holds `name` for this page alone by a Web Lock, which ends with the page however that ends. Waits at most `waitMs`
 * and gives `undefined` where somebody else still holds it then.
 */
export function hold(locks: LockManager, name: string, waitMs: number): Promise<Release | undefined> {
  return new Promise((resolve) => {
    const giveUp = new AbortController()
    const timeout = setTimeout(() => giveUp.abort(), waitMs)
    const granted = () => {
      clearTimeout(timeout)
      return new Promise<void>((release) => resolve(release))
    }
    locks
      .request(name, { signal: giveUp.signal }, granted)
      // aborted, or the platform forbids locks here: not ours either way
      .catch(() => resolve(undefined))
      .finally(() => clearTimeout(timeout))
  })
}

/** Web Locks, or `undefined` where the page may not use them. */
export function webLocks(): LockManager | undefined {
  // plain http, except on localhost, has none
  return typeof navigator === 'undefined' ? undefined : (navigator.locks as LockManager | undefined)
}
