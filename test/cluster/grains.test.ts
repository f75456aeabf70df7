/** Grains of a cluster that is joined: what happens to calls before, during and after the membership. */
import { describe, expect, it } from 'vitest'
import { defineGrain } from '../../src/grains/define.ts'
import { codeOf, createWorld } from './support.ts'

const Counter = defineGrain('counter', (self) => {
  const count = self.state(0)
  return { add: (by: number) => (count.value += by) }
})

describe('a call', () => {
  it('that is made before the join waits for it, within its deadline', async () => {
    const world = createWorld()
    // a store that takes its time
    const identity = { claim: () => new Promise<never>(() => {}) }
    const cluster = world.tab({ identity }).open({ grains: [Counter] })
    const before = world.clock.now().mono
    const call = cluster.grain(Counter, 'likes', { deadlineMs: 500 }).add(1)
    expect(await codeOf(world.settled(call, 2_000))).toBe('deadline')
    expect(world.clock.now().mono - before).toBeLessThan(600)
    await world.settled(cluster.leave())
  })

  it('ends when the cluster is left, and none is made after that', async () => {
    const world = createWorld()
    const cluster = await world.tab().join({ grains: [Counter] })
    const counter = cluster.grain(Counter, 'likes')
    const open = codeOf(counter.add(1))
    const left = cluster.leave()
    const late = codeOf(counter.add(1))
    await world.settled(left)
    expect([await open, await late, await codeOf(counter.add(1))]).toEqual(['left', 'left', 'left'])
  })

  it('ends when the join fails', async () => {
    const world = createWorld()
    world.network.stopSignaling()
    const cluster = world.tab().open({ grains: [Counter], joinTimeoutMs: 1_000 })
    const call = codeOf(cluster.grain(Counter, 'likes').add(1))
    expect(await codeOf(world.settled(cluster.ready))).toBe('signaling-unreachable')
    expect(await call).toBe('left')
  })
})

it('a call of a page that is put away has ended when it comes back', async () => {
  const world = createWorld()
  const tab = world.tab()
  const cluster = await tab.join({ grains: [Counter] })
  const other = await world.tab().join()
  const open = codeOf(cluster.grain(Counter, 'likes', { deadlineMs: 60_000 }).add(1))
  await world.clock.advanceAsync(10)
  tab.page.handlers.onHide()
  await world.clock.advanceAsync(1_000)
  tab.page.handlers.onShow()
  await world.until('it is back', () => cluster.status.get() === 'up' && other.members.get().length === 2)
  expect(['aborted', 'left']).toContain(await open)
})
