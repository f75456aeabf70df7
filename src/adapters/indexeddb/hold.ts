import { ANSWER_MS } from './storage.ts'

/** Frees a held name; idempotent. */
export type Release = () => void

/**
 * Holds `name` for this page alone by a Web Lock, which ends with the page however that ends. Whoever else holds it has
 * `waitMs` to let go; `undefined` where they did not. A lock that is free is not refused because the browser is slow to
 * say so: for that it has `ANSWER_MS`.
 */
export async function hold(locks: LockManager, name: string, waitMs: number): Promise<Release | undefined> {
  const answer = await ask(locks, name, ANSWER_MS, { ifAvailable: true })
  if (answer !== 'taken') return answer
  const giveUp = new AbortController()
  const given = await ask(locks, name, waitMs, { signal: giveUp.signal })
  giveUp.abort()
  return given === 'taken' ? undefined : given
}

/** Web Locks, or `undefined` where the page may not use them. */
export function webLocks(): LockManager | undefined {
  // plain http, except on localhost, has none
  return typeof navigator === 'undefined' ? undefined : (navigator.locks as LockManager | undefined)
}

/** `undefined` where there is no answer in `waitMs`, or locks are forbidden here. */
function ask(
  locks: LockManager,
  name: string,
  waitMs: number,
  options: LockOptions,
): Promise<Release | 'taken' | undefined> {
  return new Promise((resolve) => {
    let isLate = false
    const timeout = setTimeout(() => {
      isLate = true
      resolve(undefined)
    }, waitMs)
    const answered = (lock: Lock | null): Promise<void> | undefined => {
      clearTimeout(timeout)
      if (lock === null) resolve('taken')
      // Nobody waits for it any more: it is given back at once.
      if (lock === null || isLate) return undefined
      return new Promise((release) => resolve(release))
    }
    locks
      .request(name, options, answered)
      // aborted, or the platform forbids locks here: not ours either way
      .catch(() => resolve(undefined))
      .finally(() => clearTimeout(timeout))
  })
}
