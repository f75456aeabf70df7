/** examples/work-queue.ts: all tasks are done, whoever falters. */
import { expect, it } from 'vitest'
import { workOnce, workQueue } from '../../examples/work-queue.ts'
import { exampleRoom } from './support.ts'

const Queue = workQueue({
  visibilityMs: 10_000,
  maxAttempts: 3,
  retryMs: 1_000,
  rate: { tasks: 5, perMs: 1_000 },
})

it('hands each task to one worker, first come first served', async () => {
  const { room, tabs } = await exampleRoom(3, [Queue])
  const [one, two] = tabs.map(({ host }) => host.grain(Queue, 'mail'))
  expect(await room.settled(one!.add('a', 'to Ada'))).toBe(true)
  expect(await room.settled(two!.add('a', 'to Ada')), 'once is enough').toBe(false)
  await room.settled(one!.add('b', 'to Grace'))
  const first = (await room.settled(two!.take()))!
  expect(first).toEqual({ id: 'a', payload: 'to Ada', attempt: 1 })
  expect(await room.settled(one!.take())).toMatchObject({ id: 'b' })
  expect(await room.settled(one!.take())).toBeNull()
  expect(await room.settled(two!.done(first))).toBe(true)
  expect(await room.settled(one!.size())).toBe(1)
})

it('gives a task to another where its worker is silent, and not where it asks for more time', async () => {
  const { room, tabs } = await exampleRoom(2, [Queue])
  const queue = tabs[0]!.host.grain(Queue, 'mail')
  await room.settled(queue.add('a', 'x'))
  const first = (await room.settled(queue.take()))!
  await room.run(8_000)
  expect(await room.settled(queue.extend(first))).toBe(true)
  await room.run(8_000)
  expect(await room.settled(queue.take())).toBeNull()
  await room.run(3_000)
  const second = (await room.settled(queue.take()))!
  expect(second.attempt).toBe(2)
  expect(await room.settled(queue.done(first)), 'it is not the first one’s any more').toBe(false)
  expect(await room.settled(queue.extend(first))).toBe(false)
  expect(await room.settled(queue.done(second))).toBe(true)
})

it('tries what fails again, later each time, and puts it aside in the end', async () => {
  const { room, tabs } = await exampleRoom(2, [Queue])
  const queue = tabs[0]!.host.grain(Queue, 'mail')
  await room.settled(queue.add('bad', 'x'))
  let attempts = 0
  const work = () =>
    room.settled(
      workOnce(queue, async () => {
        attempts++
        throw new Error('no')
      }),
    )
  expect(await work()).toBe(true)
  expect(await work(), 'not at once').toBe(false)
  await room.run(1_000)
  expect(await work()).toBe(true)
  await room.run(1_000)
  expect(await work(), 'the second pause is longer').toBe(false)
  await room.run(1_000)
  expect(await work()).toBe(true)
  expect(attempts).toBe(3)
  expect(await room.settled(queue.aside())).toEqual([{ id: 'bad', payload: 'x', attempt: 3 }])
  expect(await room.settled(queue.size())).toBe(0)
})

it('puts aside what no worker has ever answered for', async () => {
  const { room, tabs } = await exampleRoom(2, [Queue])
  const queue = tabs[0]!.host.grain(Queue, 'mail')
  await room.settled(queue.add('deadly', 'x'))
  for (let attempt = 1; attempt <= 3; attempt++) {
    expect(await room.settled(queue.take())).toMatchObject({ attempt })
    await room.run(10_000)
  }
  await room.settled(queue.add('good', 'y'))
  expect(await room.settled(queue.take())).toMatchObject({ id: 'good' })
  expect(await room.settled(queue.aside())).toMatchObject([{ id: 'deadly', attempt: 3 }])
})

it('hands out no more than it may', async () => {
  const { room, tabs } = await exampleRoom(3, [Queue])
  const queues = tabs.map(({ host }) => host.grain(Queue, 'mail'))
  for (let n = 0; n < 12; n++) await room.settled(queues[0]!.add(`task ${n}`, ''))
  const at: number[] = []
  while (at.length < 12) {
    for (const queue of queues) if (await room.settled(queue.take())) at.push(Date.now())
    await room.run(20)
  }
  for (const [i, time] of at.entries()) {
    // the time is taken in the grain, and noted here when the answer is there
    if (i >= 5) expect(time - at[i - 5]!).toBeGreaterThan(900)
  }
})

it('has every task done once its host is lost in the middle', async () => {
  const { room, tabs, pause, loseHost } = await exampleRoom(5, [Queue], true)
  const first = tabs[4]!.host.grain(Queue, 'mail')
  for (let n = 0; n < 20; n++) await room.settled(first.add(`task ${n}`, String(n)))
  const finished: string[] = []
  const workers = tabs.map(async ({ process, host }) => {
    const queue = host.grain(Queue, 'mail')
    while (process.isAlive) {
      const wasWork = await workOnce(queue, async (_payload, { id }) => {
        await pause(700)
        if (process.isAlive) finished.push(id)
      }).catch(() => false)
      await pause(wasWork ? 10 : 500)
    }
  })
  expect(workers).toHaveLength(5)
  await room.run(2_000)
  const [left] = loseHost()
  const queue = left!.host.grain(Queue, 'mail')
  await room.until('all is finished', () => new Set(finished).size === 20, 120_000)
  await room.run(2_000)
  expect(await room.settled(queue.size())).toBe(0)
  expect(await room.settled(queue.aside())).toEqual([])
})
