import { describe, expect, it } from 'vitest'
import { SlicedRunner } from '../../src/cluster/sliced-runner.ts'
import type { Clock } from '../../src/ports.ts'

/** Each thing that is run takes its time, and a task goes on until nothing is left for it. */
function createPage(itemMs: number) {
  const tasks: (() => void)[] = []
  let mono = 0
  let task = 0
  const clock: Clock = {
    now: () => ({ mono, wall: mono }),
    timer: (_, callback) => {
      tasks.push(callback)
      return () => undefined
    },
  }
  const runs: { readonly item: number; readonly task: number }[] = []
  const runner = new SlicedRunner<number>(clock, (item) => {
    mono += itemMs
    runs.push({ item, task })
  })
  return {
    runner,
    runs,
    async microtasks(): Promise<void> {
      for (let i = 0; i < 1_000; i++) await undefined
    },
    async nextTask(): Promise<boolean> {
      const next = tasks.shift()
      if (!next) return false
      task++
      next()
      await this.microtasks()
      return true
    },
    async untilDone(): Promise<void> {
      await this.microtasks()
      while (await this.nextTask());
    },
  }
}

describe('a sliced runner', () => {
  it('runs at once what is little', () => {
    const { runner, runs } = createPage(1)
    for (let i = 0; i < 20; i++) runner.push(i)
    expect(runs.map(({ item }) => item)).toEqual(Array.from({ length: 20 }, (_, i) => i))
  })

  it('runs much that takes no time in the task that it came in', async () => {
    const page = createPage(0)
    for (let i = 0; i < 200; i++) page.runner.push(i)
    expect(page.runs.length).toBeLessThan(200)
    await page.microtasks()
    expect(page.runs.map(({ item }) => item)).toEqual(Array.from({ length: 200 }, (_, i) => i))
  })

  it('gives other tasks their turn in what takes long, and keeps the order', async () => {
    const page = createPage(0.5)
    for (let i = 0; i < 400; i++) page.runner.push(i)
    await page.untilDone()
    expect(page.runs.map(({ item }) => item)).toEqual(Array.from({ length: 400 }, (_, i) => i))
    const perTask = new Map<number, number>()
    for (const { task } of page.runs) perTask.set(task, (perTask.get(task) ?? 0) + 1)
    expect(Math.max(...perTask.values())).toBeLessThanOrEqual(32)
  })

  it('does so too where each thing is asked for when the one before it is done', async () => {
    const page = createPage(0.5)
    const loop = async (): Promise<void> => {
      for (let i = 0; i < 200; i++) {
        page.runner.push(i)
        while (page.runs.length <= i) await undefined
      }
    }
    const done = loop()
    await page.untilDone()
    await done
    expect(new Set(page.runs.map(({ task }) => task)).size).toBeGreaterThan(5)
  })

  it('keeps what comes meanwhile behind what waits', async () => {
    const page = createPage(1)
    for (let i = 0; i < 100; i++) page.runner.push(i)
    await page.nextTask()
    for (let i = 100; i < 200; i++) page.runner.push(i)
    await page.untilDone()
    expect(page.runs.map(({ item }) => item)).toEqual(Array.from({ length: 200 }, (_, i) => i))
  })

  it('runs nothing of what was cleared, and what comes after that', async () => {
    const page = createPage(1)
    for (let i = 0; i < 100; i++) page.runner.push(i)
    const before = page.runs.length
    page.runner.clear()
    await page.untilDone()
    expect(page.runs).toHaveLength(before)
    page.runner.push(1_000)
    expect(page.runs.at(-1)!.item).toBe(1_000)
  })

  it('runs at once again, however often a little came', async () => {
    const page = createPage(0)
    for (let i = 0; i < 500; i++) {
      page.runner.push(i)
      expect(page.runs).toHaveLength(i + 1)
      if (i % 4 === 3) await page.nextTask()
    }
  })

  it('makes no task where each thing comes in one of its own', async () => {
    const page = createPage(1)
    for (let i = 0; i < 100; i++) {
      page.runner.newTask()
      page.runner.push(i)
      await page.microtasks()
    }
    expect(page.runs).toHaveLength(100)
    expect(await page.nextTask()).toBe(false)
  })

  it('still gives other tasks their turn where much comes in each', async () => {
    const page = createPage(0.5)
    for (let i = 0; i < 400; i++) {
      if (i % 100 === 0) page.runner.newTask()
      page.runner.push(i)
    }
    await page.untilDone()
    expect(page.runs.map(({ item }) => item)).toEqual(Array.from({ length: 400 }, (_, i) => i))
    expect(new Set(page.runs.map(({ task }) => task)).size).toBeGreaterThan(10)
  })
})
