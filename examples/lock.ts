/**
 * A lock with a lease. Whoever holds it has it until the lease ends, so a tab that is closed or frozen locks nobody out
 * for longer than that. A frozen tab may wake up and believe that it still holds it: therefore each lease carries a
 * fencing token, which grows, and whatever the lock protects refuses smaller ones (`createFence`).
 *
 * The lease is measured by the clock of the tab that hosts the lock; when that tab is lost, by the clock of the next.
 * Where those differ a lease is longer or shorter by as much: the token is what makes it safe, not the time.
 */
import { defineGrain, type GrainProxy, type MethodsOf } from '../src/index.ts'

export interface Lease {
  /** Higher than that of every lease before it. */
  readonly token: number
  readonly holder: string
  /** When it ends, by the clock of the tab that hosts the lock, in ms since 1970. */
  readonly until: number
}

export const Lock = defineGrain('lock', (self) => {
  const lock = self.state<{ token: number; lease: Lease | null }>({ token: 0, lease: null })
  // nothing has to happen when a lease ends: it is enough that nobody counts it any more
  const current = (): Lease | null => {
    const { lease } = lock.value
    return lease && lease.until > Date.now() ? lease : null
  }
  return {
    /** A new lease, or `null` while somebody has one. */
    acquire(holder: string, leaseMs: number): Lease | null {
      if (current()) return null
      const lease: Lease = { token: lock.value.token + 1, holder, until: Date.now() + leaseMs }
      lock.value = { token: lease.token, lease }
      return lease
    },
    /** From now on for `leaseMs`; `false` where the lease has ended, whoever has the lock now. */
    renew(token: number, leaseMs: number): boolean {
      const lease = current()
      if (lease?.token !== token) return false
      lock.update((draft) => void (draft.lease = { ...lease, until: Date.now() + leaseMs }))
      return true
    },
    /** `false` where it had ended already. */
    release(token: number): boolean {
      if (current()?.token !== token) return false
      lock.update((draft) => void (draft.lease = null))
      return true
    },
    /** Who has it now. */
    read: current,
  }
})

export interface WithLockOptions {
  readonly holder: string
  /** Default 10,000 ms. */
  readonly leaseMs?: number
  /** How to wait; a test brings its own. */
  readonly pause?: (ms: number) => Promise<void>
}

/**
 * Waits for the lock, runs `run`, and keeps renewing the lease meanwhile. `signal` is aborted when the lease is lost:
 * stop then, for somebody else may have the lock already.
 *
 * ```ts
 * await withLock(cluster.grain(Lock, 'printer'), { holder: cluster.self.authority }, (token) => print(token))
 * ```
 */
export async function withLock<T>(
  lock: GrainProxy<MethodsOf<typeof Lock>>,
  { holder, leaseMs = 10_000, pause = sleep }: WithLockOptions,
  run: (token: number, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  let lease = await lock.acquire(holder, leaseMs)
  while (!lease) {
    await pause(leaseMs / 10)
    lease = await lock.acquire(holder, leaseMs)
  }
  const { token } = lease
  const controller = new AbortController()
  let isDone = false
  const keep = async (): Promise<void> => {
    for (;;) {
      await pause(leaseMs / 3)
      if (isDone) return
      if (!(await lock.renew(token, leaseMs).catch(() => false))) return controller.abort()
    }
  }
  void keep()
  try {
    return await run(token, controller.signal)
  } finally {
    isDone = true
    await lock.release(token).catch(() => false)
  }
}

/** For whatever the lock protects: tells whether to do what comes with this token. */
export function createFence(): (token: number) => boolean {
  let highest = 0
  return (token) => {
    if (token < highest) return false
    highest = token
    return true
  }
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms))
