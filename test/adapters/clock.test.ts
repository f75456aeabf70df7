import { expect, it, vi } from 'vitest'
import { createBrowserClock } from '../../src/adapters/browser/clock.ts'
import { createLifecycle } from '../../src/adapters/browser/lifecycle.ts'
import { createRandom } from '../../src/adapters/browser/random.ts'

const clock = createBrowserClock()
const wait = (delayMs: number) => new Promise<void>((resolve) => void clock.timer(delayMs, resolve))

it('fires in the order of deadlines and never early', async () => {
  const fired: string[] = []
  const start = clock.now().mono
  const at = (name: string, delayMs: number) =>
    clock.timer(delayMs, () => {
      expect(clock.now().mono - start).toBeGreaterThanOrEqual(delayMs || 0)
      fired.push(name)
    })
  at('thirty', 30)
  at('ten', 10)
  at('zero', 0)
  at('nonsense', Number.NaN)
  at('never', Infinity)()
  await wait(40)
  expect(fired).toEqual(['zero', 'nonsense', 'ten', 'thirty'])
  expect(clock.pending).toBe(0)
})

it('fires nothing that was cancelled, also by a callback of the same turn', async () => {
  const fired: string[] = []
  const cancelSecond = { run: () => undefined as void }
  clock.timer(5, () => {
    fired.push('first')
    cancelSecond.run()
  })
  cancelSecond.run = clock.timer(5, () => fired.push('second'))
  clock.timer(1, () => fired.push('cancelled'))()
  await wait(20)
  expect(fired).toEqual(['first'])
})

it('keeps a deadline when earlier and later ones are cancelled', async () => {
  const fired: number[] = []
  const start = clock.now().mono
  clock.timer(10_000, () => undefined)()
  clock.timer(5, () => undefined)()
  clock.timer(20, () => fired.push(clock.now().mono - start))
  await wait(30)
  expect(fired).toHaveLength(1)
  expect(fired[0]).toBeGreaterThanOrEqual(20)
})

it('takes no delay for the next task: after all microtasks, before any timer, and on no timer', async () => {
  const setTimer = vi.spyOn(globalThis, 'setTimeout')
  const fired: string[] = []
  clock.timer(0, () => {
    fired.push('first')
    clock.timer(0, () => fired.push('of the task after'))
    void Promise.resolve().then(() => fired.push('its microtask'))
  })
  clock.timer(0, () => fired.push('cancelled'))()
  clock.timer(-5, () => fired.push('second'))
  expect(clock.pending).toBe(2)
  queueMicrotask(() => fired.push('microtask'))
  expect(fired).toEqual([])
  await new Promise((resolve) => void setImmediate(() => setImmediate(() => setImmediate(resolve))))
  expect(fired).toEqual(['microtask', 'first', 'second', 'its microtask', 'of the task after'])
  expect(setTimer).not.toHaveBeenCalled()
  expect(clock.pending).toBe(0)
})

it('reads both clocks', () => {
  vi.spyOn(Date, 'now').mockReturnValue(7)
  vi.spyOn(performance, 'now').mockReturnValue(3)
  expect(clock.now()).toEqual({ mono: 3, wall: 7 })
})

it('keeps no Node process alive once nothing is pending', async () => {
  const before = process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
  const cancels = Array.from({ length: 100 }, () => createBrowserClock().timer(60_000, () => undefined))
  for (const cancel of cancels) cancel()
  await Promise.resolve()
  const after = process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
  expect(after).toBeLessThanOrEqual(before)
})

it('a process without a page is visible and is never hidden', () => {
  const told: string[] = []
  const stop = createLifecycle().watch({
    onVisibility: (visibility) => told.push(visibility),
    onHide: () => told.push('hide'),
    onShow: () => told.push('show'),
  })
  stop()
  expect(told).toEqual(['visible'])
})

it('random numbers are uniform in [0, 1) and differ', () => {
  const random = createRandom()
  const buckets = Array.from({ length: 10 }, () => 0)
  const seen = new Set<number>()
  for (let i = 0; i < 10_000; i++) {
    const value = random()
    seen.add(value)
    buckets[Math.floor(value * 10)]!++
  }
  expect(seen.size).toBe(10_000)
  // ten standard deviations
  for (const count of buckets) expect(Math.abs(count - 1_000)).toBeLessThan(300)
})
