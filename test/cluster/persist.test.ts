/** Kinds with `persist` where users stand: rooms that end and begin again, and disks that fail. */
import { describe, expect, it } from 'vitest'
import { createMemoryCopyStore } from '../../src/adapters/memory/stores.ts'
import type { Cluster } from '../../src/api.ts'
import { defineGrain } from '../../src/grains/define.ts'
import type { CopyStore } from '../../src/ports.ts'
import type { World } from './support.ts'
import { createWorld } from './support.ts'

const Counter = defineGrain(
  'counter',
  (self) => {
    const count = self.state(0)
    return { add: () => ++count.value, read: () => count.value }
  },
  { persist: true },
)

const join = (world: World, copies: CopyStore | false): Promise<Cluster> =>
  world.tab({ copies }).join({ grains: [Counter] })

const add = (world: World, cluster: Cluster): Promise<number> =>
  world.settled(cluster.grain(Counter, 'likes').add())

const reasonsOf = (cluster: Cluster): string[] =>
  cluster.events
    .recent()
    .flatMap((event) => (event.type === 'storage' && event.what === 'grains' ? [event.reason] : []))

describe('kinds with persist', () => {
  it('go on in the next room', async () => {
    const world = createWorld()
    const copies = createMemoryCopyStore()
    for (let life = 0; life < 3; life++) {
      const clusters = [await join(world, copies), await join(world, copies)]
      for (const [i, cluster] of clusters.entries()) expect(await add(world, cluster)).toBe(2 * life + i + 1)
      await world.settled(Promise.all(clusters.map((cluster) => cluster.leave())))
      for (const cluster of clusters) expect(reasonsOf(cluster)).toEqual([])
    }
  })

  it('keep rooms apart', async () => {
    const copies = createMemoryCopyStore()
    const entry = { process: 'p'.repeat(16), partition: 'counter#1', head: new Uint8Array(1) }
    await copies.save('one', [{ ...entry, puts: [['k', new Uint8Array([7])]], deletes: [] }])
    expect(await copies.load('two')).toEqual([])
    expect(await copies.load('one')).toEqual([{ ...entry, entries: [new Uint8Array([7])] }])
    const { process, partition } = entry
    await copies.save('one', [{ process, partition, puts: [], deletes: [] }])
    expect(await copies.load('one')).toEqual([])
  })

  it('wait two seconds for a disk that does not answer, and no longer', async () => {
    const world = createWorld()
    const never: CopyStore = { load: () => new Promise(() => undefined), save: () => Promise.resolve() }
    const cluster = await join(world, never)
    const before = world.clock.now().mono
    expect(await add(world, cluster)).toBe(1)
    expect(world.clock.now().mono - before).toBeGreaterThan(1_500)
    expect(world.clock.now().mono - before).toBeLessThan(3_000)
    expect(reasonsOf(cluster)).toEqual([
      'grains begin without what was stored of them: the disk has not answered in 2000 ms',
    ])
    await world.settled(cluster.leave())
  })

  it('run without a disk that is broken, and say so once', async () => {
    const world = createWorld()
    const broken = (): Promise<never> => Promise.reject(new Error('it is full'))
    const cluster = await join(world, { load: broken, save: broken })
    expect(await add(world, cluster)).toBe(1)
    await world.clock.advanceAsync(30_000)
    expect(await add(world, cluster)).toBe(2)
    await world.clock.advanceAsync(30_000)
    expect(reasonsOf(cluster)).toEqual([
      'grains begin without what was stored of them: it is full',
      'grains could not be stored: it is full',
    ])
    await world.settled(cluster.leave())
  })

  it('say where there is no disk at all', async () => {
    const world = createWorld()
    const cluster = await join(world, false)
    expect(await add(world, cluster)).toBe(1)
    expect(reasonsOf(cluster)).toEqual([
      'kinds with `persist` are kept in memory alone: this process has nothing to store them',
    ])
    await world.settled(cluster.leave())
  })
})
