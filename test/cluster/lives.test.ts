/** One process through several lives: removal and rebirth, the back/forward cache, and what storage does meanwhile. */
import { describe, expect, it } from 'vitest'
import type { Cluster, ClusterEvent } from '../../src/api.ts'
import { createMemoryIdentityStore, createMemorySnapshotStore } from '../../src/adapters/memory/stores.ts'
import { unpackMemory } from '../../src/core/gossip/memory.ts'
import type { Identity, IdentityStore, Snapshot, SnapshotStore } from '../../src/ports.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { createWorld, upCount, type World } from './support.ts'

/** Removal after a second instead of a minute, so that a partition ends lives. */
const tuning = { removeAfterMs: 1_000 }

/** Two against one, until the one is removed and reborn. */
async function removeOne(world: World, identity?: IdentityStore) {
  const tabs = [world.tab(), world.tab(), world.tab(identity ? { identity } : {})]
  const clusters: Cluster[] = []
  for (const tab of tabs) clusters.push(await tab.join({ tuning, meta: 'the same' }))
  await world.until('three are up', () => clusters.every((cluster) => upCount(cluster) === 3))
  const [one, two, lost] = clusters
  lost!.peerState('x').set('kept')
  const before = lost!.self
  world.network.stopSignaling()
  for (const other of tabs.slice(0, 2)) world.network.breakLinks(other.transport, tabs[2]!.transport)
  await world.until('it is removed', () => [one, two].every((cluster) => cluster!.members.get().length === 2))
  world.network.startSignaling()
  return { one: one!, two: two!, lost: lost!, before }
}

interface IdentityFault {
  /** What asking for the next generation fails with. */
  error?: Error
  /** Why the identity is not kept. */
  lost?: string
  /** Why it is not kept from the next generation on. */
  losesNext?: string
}

/** An identity store whose identity the test can make fail. */
function fragileIdentity(): { store: IdentityStore; fault: IdentityFault } {
  const memory = createMemoryIdentityStore({ random: seededRandom(1, 'fragile') })
  const fault: IdentityFault = {}
  const store: IdentityStore = {
    async claim(cluster) {
      const identity = await memory.claim(cluster)
      const fragile: Identity = {
        authority: identity.authority,
        publicKey: identity.publicKey,
        generation: identity.generation,
        browser: identity.browser,
        get lost() {
          return fault.lost as string
        },
        nextGeneration() {
          if (fault.error) return Promise.reject(fault.error)
          if (fault.losesNext !== undefined) fault.lost = fault.losesNext
          return identity.nextGeneration()
        },
        sign: (bytes) => identity.sign(bytes),
        release: () => identity.release(),
        abandon: () => identity.abandon(),
      }
      return fragile
    },
  }
  return { store, fault }
}

const storageEvents = (events: readonly ClusterEvent[]) =>
  events.flatMap((event) => (event.type === 'storage' ? [`${event.what}: ${event.reason}`] : []))

describe('a removed life', () => {
  it('goes on as the next generation, with what it published', async () => {
    const world = createWorld()
    const { one, two, lost, before } = await removeOne(world)
    const reborn: ClusterEvent[] = []
    lost.on('reborn', (event) => void reborn.push(event))
    const seen = new Set<string>()
    one.members.subscribe((members) => {
      const lives = members.filter(({ authority }) => authority === before.authority)
      expect(lives.length).toBeLessThan(2)
      for (const { nodeId } of lives) seen.add(nodeId)
    })
    await world.until('all three are up again', () =>
      [one, two, lost].every((cluster) => upCount(cluster) === 3),
    )
    const after = lost.self
    expect(after).toMatchObject({
      authority: before.authority,
      generation: before.generation + 1,
      status: 'up',
      meta: 'the same',
    })
    expect(reborn).toMatchObject([{ old: before.nodeId, nodeId: after.nodeId }])
    expect([...seen], 'the old life never came back').toEqual([after.nodeId])
    await world.until('its value is there', () => two.peerState('x').get().size === 1)
    expect([...two.peerState('x').get()]).toEqual([[after.nodeId, 'kept']])
    expect([...lost.peerState('x').get()]).toEqual([[after.nodeId, 'kept']])
    await world.settled(lost.leave())
    await world.until('it leaves as any other', () => one.members.get().length === 2)
  })

  it('is asked for again where storage fails, and what is said meanwhile is kept', async () => {
    const world = createWorld()
    const { store, fault } = fragileIdentity()
    fault.error = new Error('disk full')
    const { one, two, lost, before } = await removeOne(world, store)
    await world.until('it has failed three times', () => storageEvents(lost.events.recent()).length >= 3)
    expect(storageEvents(lost.events.recent())[0]).toMatch(/^identity: .*disk full/)
    expect(lost.status.get()).toBe('joining')
    lost.setMeta('said meanwhile')
    lost.peerState('x').set('changed meanwhile')
    delete fault.error
    await world.until('all three are up again', () =>
      [one, two, lost].every((cluster) => upCount(cluster) === 3),
    )
    expect(lost.self.generation).toBe(before.generation + 1)
    const seen = one.members.get().find(({ nodeId }) => nodeId === lost.self.nodeId)
    expect(seen?.meta).toBe('said meanwhile')
    await world.until('its value is there', () => two.peerState('x').get().size === 1)
    expect([...two.peerState('x').get().values()]).toEqual(['changed meanwhile'])
  })

  it('can be left while storage fails, and nothing goes on', async () => {
    const world = createWorld()
    const { store, fault } = fragileIdentity()
    fault.error = new Error('disk full')
    const { one, two, lost } = await removeOne(world, store)
    await world.until('it has failed', () => storageEvents(lost.events.recent()).length > 0)
    await world.settled(lost.leave())
    expect(lost.status.get()).toBe('left')
    const told = lost.events.recent().length
    delete fault.error
    await world.settled(Promise.all([one.leave(), two.leave()]))
    expect([world.clock.pending, world.network.sessions, world.network.openEnds]).toEqual([0, 0, 0])
    expect(lost.events.recent()).toHaveLength(told)
  })

  it('tells if its next generation could not be kept', async () => {
    const world = createWorld()
    const { store, fault } = fragileIdentity()
    const { lost } = await removeOne(world, store)
    expect(storageEvents(lost.events.recent())).toEqual([])
    fault.losesNext = 'the record is gone'
    await world.until('it is up again', () => lost.self.generation === 2 && upCount(lost) === 3)
    expect(storageEvents(lost.events.recent())).toEqual(['identity: the record is gone'])
  })
})

describe('a superseded life', () => {
  it('goes on as somebody else, and does not fight the newer one', async () => {
    const world = createWorld()
    const random = seededRandom(1, 'authority')
    const memory = createMemoryIdentityStore({ random })
    // the lock that keeps two tabs from being one authority does not work here
    const identity: IdentityStore = {
      async claim(cluster) {
        const claimed = await memory.claim(cluster)
        claimed.release()
        return claimed
      },
    }
    const other = await world.tab().join()
    const old = await world.tab({ identity }).join()
    const { nodeId: before, authority } = old.self
    const newer = await world.tab({ identity }).join()
    expect(newer.self).toMatchObject({ authority, generation: 2 })
    const { nodeId } = newer.self
    const all = [other, newer, old]
    await world.until('three are up', () => all.every((cluster) => upCount(cluster) === 3))
    expect(old.self.authority).not.toBe(newer.self.authority)
    const conflicts = old.events.recent().filter(({ type }) => type === 'authority-conflict')
    expect(conflicts).toMatchObject([{ kept: nodeId, refused: before }])
    const rebirths = () =>
      all.map(({ events }) => events.recent().filter(({ type }) => type === 'reborn').length)
    expect(rebirths()).toEqual([0, 0, 1])
    await world.clock.advanceAsync(60_000)
    expect(newer.self).toMatchObject({ nodeId, status: 'up' })
    expect(rebirths(), 'nobody is reborn again').toEqual([0, 0, 1])
  })
})

describe('a page in the back/forward cache', () => {
  it('is gone for the others, and comes back as the next generation with what it published', async () => {
    const world = createWorld()
    const { tabs, clusters } = await world.room(2)
    const [one, two] = clusters
    const before = one!.self
    one!.peerState('x').set('kept')
    one!.setMeta('kept too')
    tabs[0]!.page.handlers.onHide()
    await world.until('it is gone', () => two!.members.get().length === 1)
    one!.peerState('y').set('said while hidden')
    tabs[0]!.page.handlers.onShow()
    await world.until('it is back', () => upCount(two!) === 2 && upCount(one!) === 2)
    expect(one!.self).toMatchObject({ authority: before.authority, generation: 2, meta: 'kept too' })
    await world.until('its values are there', () => two!.peerState('y').get().size === 1)
    expect(world.clock.pending, 'one timer for each driver').toBe(2)
    expect([...two!.peerState('x').get()]).toEqual([[one!.self.nodeId, 'kept']])
    expect([...two!.peerState('y').get()]).toEqual([[one!.self.nodeId, 'said while hidden']])
  })

  it('goes on with its join when it comes back', async () => {
    const world = createWorld()
    world.network.stopSignaling()
    const tab = world.tab()
    const cluster = tab.open({ joinTimeoutMs: 5_000 })
    await world.until('it waits', () => world.network.sessions === 1)
    tab.page.handlers.onHide()
    await world.clock.advanceAsync(10_000)
    world.network.startSignaling()
    tab.page.handlers.onShow()
    await world.settled(cluster.ready)
    expect(cluster.self.generation).toBe(2)
  })

  it('can be left, hidden or not, and then rests', async () => {
    const world = createWorld()
    const { tabs, clusters } = await world.room(2)
    tabs[0]!.page.handlers.onHide()
    await world.until('it is gone', () => clusters[1]!.members.get().length === 1)
    await world.settled(clusters[0]!.leave(), 1_000)
    expect(clusters[0]!.status.get()).toBe('left')
    expect(tabs[0]!.page.watchers).toBe(0)
    expect(world.network.sessions).toBe(1)
  })

  it('says goodbye also where it is left in the same turn', async () => {
    const world = createWorld()
    const { tabs, clusters } = await world.room(2)
    const steps: string[] = []
    clusters[1]!.on('member-status', ({ to }) => void steps.push(to))
    tabs[0]!.page.handlers.onHide()
    const left = clusters[0]!.leave()
    await world.settled(left, 1_000)
    await world.until('it is gone', () => clusters[1]!.members.get().length === 1)
    expect(steps).toEqual(['leaving', 'removed'])
  })
})

describe('snapshots', () => {
  const record = (): { store: SnapshotStore; saved: Snapshot[]; fault: { error?: Error } } => {
    const memory = createMemorySnapshotStore()
    const saved: Snapshot[] = []
    const fault: { error?: Error } = {}
    const store: SnapshotStore = {
      load: (cluster, authority) =>
        fault.error ? Promise.reject(fault.error) : memory.load(cluster, authority),
      save(snapshot) {
        if (fault.error) return Promise.reject(fault.error)
        saved.push(snapshot)
        return memory.save(snapshot)
      },
    }
    return { store, saved, fault }
  }

  it('are written half a second after a change, once for many', async () => {
    const world = createWorld()
    const { store, saved } = record()
    const cluster = world.tab({ snapshot: store }).open()
    await world.settled(cluster.ready)
    await world.clock.advanceAsync(490)
    expect(saved).toEqual([])
    await world.clock.advanceAsync(20)
    expect(saved).toMatchObject([{ version: 2, cluster: 'room', generation: 1 }])
    expect(membersIn(saved.at(-1)!), 'nobody else is here').toEqual([])
    const others = [await world.tab().join(), await world.tab().join(), await world.tab().join()]
    await world.until('all are up', () => upCount(cluster) === 4)
    await world.clock.advanceAsync(600)
    expect(saved.length).toBeLessThanOrEqual(3)
    const ids = others.map(({ self }) => self.nodeId).sort()
    // Links are published some seconds after they were made; that is a change as well.
    await world.clock.advanceAsync(5_000)
    expect(membersIn(saved.at(-1)!)).toEqual(ids)
    const count = saved.length
    await world.clock.advanceAsync(10_000)
    expect(saved.length, 'nothing changes, nothing is written').toBe(count)
    await world.settled(cluster.leave())
    await world.clock.advanceAsync(2_000)
    expect(saved.length, 'nor after leaving').toBe(count)
  })

  it('are written also while changes do not end', async () => {
    const world = createWorld()
    const { store, saved } = record()
    const cluster = world.tab({ snapshot: store }).open()
    await world.settled(cluster.ready)
    for (let i = 0; i < 30; i++) {
      cluster.setMeta(i)
      await world.clock.advanceAsync(100)
    }
    expect(saved.length).toBeGreaterThanOrEqual(4)
    expect(saved.length).toBeLessThanOrEqual(6)
  })

  it('belong to the newest life after a return from the back/forward cache', async () => {
    const world = createWorld()
    const { store, saved } = record()
    const tab = world.tab({ snapshot: store })
    const cluster = tab.open()
    await world.settled(cluster.ready)
    tab.page.handlers.onHide()
    tab.page.handlers.onShow()
    await world.until('it is back', () => cluster.status.get() === 'up' && cluster.self.generation === 2)
    await world.clock.advanceAsync(600)
    expect(saved.map(({ generation }) => generation)).toEqual([2])
  })

  it('name members to try when the signaling server names none', async () => {
    const world = createWorld()
    const { store } = record()
    const tab = world.tab({ snapshot: store })
    const other = await world.tab().join()
    const cluster = tab.open()
    await world.settled(cluster.ready)
    await world.clock.advanceAsync(600)
    await world.settled(cluster.leave())
    // from now on this tab's signaling server knows of nobody to recommend
    const quiet = world.network.signaling()
    const forgetful = {
      open: (...[room, nodeId, handlers]: Parameters<typeof quiet.open>) =>
        quiet.open(room, nodeId, { ...handlers, onUp: () => handlers.onUp([]), onContacts: () => undefined }),
    }
    const again = tab.open({ platform: { ...tab.platform, signaling: forgetful } })
    await world.settled(again.ready)
    await world.until('both are up', () => upCount(again) === 2 && upCount(other) === 2, 5_000)
  })

  it('that cannot be read or written are a loss that is told once, and nothing else', async () => {
    const world = createWorld()
    const { store, saved, fault } = record()
    fault.error = new Error('quota exceeded')
    const cluster = world.tab({ snapshot: store }).open()
    await world.settled(cluster.ready)
    for (let i = 0; i < 5; i++) {
      cluster.setMeta(i)
      await world.clock.advanceAsync(1_000)
    }
    expect(storageEvents(cluster.events.recent())).toEqual([
      'snapshot: what an earlier life kept cannot be used: quota exceeded',
      'snapshot: a snapshot could not be written: quota exceeded',
    ])
    delete fault.error
    cluster.setMeta('fine again')
    await world.clock.advanceAsync(600)
    expect(saved).toHaveLength(1)
  })

  it('are not kept at all where the option says so, and where the identity is lost that is told', async () => {
    const world = createWorld()
    const { store, saved } = record()
    const { store: identity, fault } = fragileIdentity()
    fault.lost = 'no storage in this window'
    const cluster = world.tab({ identity, snapshot: store }).open({ snapshot: false })
    await world.settled(cluster.ready)
    await world.clock.advanceAsync(2_000)
    expect(saved).toEqual([])
    expect(storageEvents(cluster.events.recent())).toEqual(['identity: no storage in this window'])
  })
})

/** Whom a snapshot remembers. */
function membersIn({ table }: Snapshot): string[] {
  const unpacked = unpackMemory(table)
  if (!unpacked.ok) throw new Error(unpacked.reason)
  return unpacked.ranges.map(({ nodeId }) => nodeId).toSorted()
}
