import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { hold } from '../../src/adapters/indexeddb/hold.ts'
import { ANSWER_MS } from '../../src/adapters/indexeddb/storage.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

type Callback = (lock: Lock | null) => Promise<void> | undefined

/** Web Locks of one name that answer after `answerMs`, as those of a busy machine do. */
function slowLocks(answerMs: number) {
  let holder: Promise<void> | undefined
  const waiting: Callback[] = []
  const grant = async (callback: Callback): Promise<void> => {
    holder = Promise.resolve(callback({ name: 'x', mode: 'exclusive' }))
    await holder
    holder = undefined
    const next = waiting.shift()
    if (next) void grant(next)
  }
  const locks = {
    async request(_: string, { ifAvailable, signal }: LockOptions, callback: Callback): Promise<void> {
      await new Promise((resolve) => setTimeout(resolve, answerMs))
      if (!holder) return grant(callback)
      if (ifAvailable) return void callback(null)
      return new Promise((resolve, reject) => {
        const turn = (lock: Lock | null) => {
          const held = callback(lock)
          resolve(held)
          return held
        }
        waiting.push(turn)
        signal?.addEventListener('abort', () => {
          const place = waiting.indexOf(turn)
          if (place >= 0) waiting.splice(place, 1)
          reject(signal.reason)
        })
      })
    },
  }
  return { locks: locks as unknown as LockManager, isHeld: () => holder !== undefined, waiting }
}

it('has a free lock however slowly the browser says so', async () => {
  const { locks, isHeld } = slowLocks(ANSWER_MS - 1)
  const held = hold(locks, 'x', 300)
  await vi.advanceTimersByTimeAsync(ANSWER_MS)
  const release = await held
  expect(isHeld()).toBe(true)
  release!()
  release!()
  await vi.advanceTimersByTimeAsync(0)
  expect(isHeld()).toBe(false)
})

it('waits for who holds it as long as it was told', async () => {
  const { locks, waiting } = slowLocks(1)
  const first = hold(locks, 'x', 300)
  await vi.advanceTimersByTimeAsync(1)
  const second = hold(locks, 'x', 300)
  const third = hold(locks, 'x', 100)
  await vi.advanceTimersByTimeAsync(150)
  expect(await third).toBeUndefined()
  expect(waiting).toHaveLength(1)
  ;(await first)!()
  await vi.advanceTimersByTimeAsync(1)
  expect(await second).toBeTypeOf('function')
})

it('holds nothing where the answer comes too late, or none does', async () => {
  const { locks, isHeld } = slowLocks(ANSWER_MS + 500)
  const held = hold(locks, 'x', 300)
  await vi.advanceTimersByTimeAsync(ANSWER_MS)
  expect(await held).toBeUndefined()
  await vi.advanceTimersByTimeAsync(1_000)
  expect(isHeld()).toBe(false)
})

it('holds nothing where locks are forbidden', async () => {
  const locks = { request: () => Promise.reject(new DOMException('no', 'SecurityError')) }
  expect(await hold(locks as unknown as LockManager, 'x', 300)).toBeUndefined()
})
