/** How a join ends: each way out, in the words of its error. */
import { standInPublicKey, standInSignature } from '../../src/adapters/memory/stand-in-keys.ts'
import { describe, expect, it } from 'vitest'
import { joinCluster } from '../../src/cluster.ts'
import { ClusterError } from '../../src/errors.ts'
import type { Identity, IdentityStore, Signaling } from '../../src/ports.ts'
import { codeOf, createWorld, ROOM, upCount } from './support.ts'
import { createRefusingMember } from './refusing-member.ts'

/** A signaling server that says one thing to everybody. */
const signalingThat = (answer: 'refuses' | 'names a ghost'): Signaling => ({
  open: (_room, _nodeId, handlers) => {
    queueMicrotask(() => {
      if (answer === 'refuses') handlers.onRefused('no entry without a token')
      else handlers.onUp([`${'g'.repeat(20)}.1.${'h'.repeat(10)}`])
    })
    return { send: () => {}, askContacts: () => {}, goodbye: () => {}, close: () => {} }
  },
})

describe('a join', () => {
  it('is done when nobody else is there', async () => {
    const cluster = await createWorld().tab().join()
    expect(cluster.status.get()).toBe('up')
    expect(cluster.members.get()).toEqual([cluster.self])
    expect(cluster.self).toMatchObject({ status: 'up', self: true, path: 'self', generation: 1 })
  })

  it('is done when a member accepts it, and both see both', async () => {
    const world = createWorld()
    const { clusters } = await world.room(3)
    const [first, ...others] = clusters.map((cluster) => cluster.members.get().map(({ nodeId }) => nodeId))
    expect(first).toEqual(clusters.map(({ self }) => self.nodeId).sort())
    for (const seen of others) expect(seen).toEqual(first)
    expect(new Set(clusters.map(({ convergence }) => convergence.get().viewHash)).size).toBe(1)
  })

  it('fails with signaling-unreachable if no signaling server answers in time', async () => {
    const world = createWorld()
    world.network.stopSignaling()
    const cluster = world.tab().open({ joinTimeoutMs: 2_000 })
    const error = await world.settled(
      cluster.ready.catch((reason: unknown) => reason),
      2_010,
    )
    expect(error).toBeInstanceOf(ClusterError)
    expect(error).toMatchObject({ code: 'signaling-unreachable' })
    expect(String(error)).toMatch(/within 2000 ms.*the signaling server is stopped.*Check that it runs/)
    expect(cluster.status.get()).toBe('left')
    expect([world.network.sessions, world.network.openEnds]).toEqual([0, 0])
  })

  it('fails with join-timeout if contacts are named but none answers', async () => {
    const world = createWorld()
    const tab = world.tab({ signaling: signalingThat('names a ghost') })
    const error = await world.settled(
      tab.open({ joinTimeoutMs: 3_000 }).ready.catch((reason: unknown) => reason),
    )
    expect(error).toMatchObject({ code: 'join-timeout' })
    expect(String(error)).toMatch(/No member accepted this process within 3000 ms.*iceServers/)
  })

  it.each([
    ['identity', { identity: { claim: () => new Promise<never>(() => {}) } }],
    ['snapshot', { snapshot: { load: () => new Promise<never>(() => {}), save: () => Promise.resolve() } }],
  ])('says that it waits for the %s, where no store answers', async (port, ports) => {
    const world = createWorld()
    const { ready } = world.tab(ports).open({ joinTimeoutMs: 1_000 })
    const error = await world.settled(ready.catch((reason: unknown) => reason))
    expect(error).toMatchObject({ code: 'join-timeout' })
    expect(String(error)).toContain(
      `\`platform.${port}\` has not answered within 1000 ms. In a browser that is IndexedDB`,
    )
  })

  it('fails with refused, at once, if the signaling server says no', async () => {
    const world = createWorld()
    const started = world.clock.now().mono
    const tab = world.tab({ signaling: signalingThat('refuses') })
    const error = await world.settled(tab.open().ready.catch((reason: unknown) => reason))
    expect(error).toMatchObject({ code: 'refused' })
    expect(String(error)).toContain('no entry without a token')
    expect(world.clock.now().mono - started).toBeLessThan(100)
    expect(world.clock.pending, 'no timer is left').toBe(0)
  })

  it('fails with authority-conflict if its authority is taken and the platform gives no other', async () => {
    const world = createWorld()
    const publicKey = standInPublicKey('a'.repeat(20))
    const identity: IdentityStore = {
      claim: () =>
        Promise.resolve({
          authority: 'a'.repeat(20),
          publicKey,
          generation: 7,
          browser: 'b'.repeat(16),
          sign: (bytes) => Promise.resolve(standInSignature(publicKey, bytes)),
          nextGeneration: () => Promise.resolve(8),
          release: () => {},
          abandon: () => {},
        }),
    }
    const first = await world.tab({ identity }).join()
    const second = world.tab({ identity }).open()
    const error = await world.settled(second.ready.catch((reason: unknown) => reason))
    expect(error).toMatchObject({ code: 'authority-conflict' })
    expect(String(error)).toContain(first.self.authority)
    expect(first.members.get(), 'the first goes on alone').toEqual([first.self])
    expect(first.events.recent().map(({ type }) => type)).toContain('authority-conflict')
  })

  it('fails with schema-mismatch if a member shares no wire version', async () => {
    const world = createWorld()
    await createRefusingMember(world, { code: 'schema-mismatch', reason: 'only version 9 is spoken here' })
    const error = await world.settled(
      world
        .tab()
        .open()
        .ready.catch((reason: unknown) => reason),
    )
    expect(error).toMatchObject({ code: 'schema-mismatch' })
    expect(String(error)).toContain('only version 9 is spoken here')
  })

  it('goes on after a refusal that another contact may not share', async () => {
    const world = createWorld()
    await createRefusingMember(world, { code: 'table-full', reason: 'no room here' })
    const cluster = world.tab().open({ joinTimeoutMs: 4_000 })
    expect(await world.settled(codeOf(cluster.ready))).toBe('join-timeout')
  })

  it('fails with webrtc-unavailable where there is none, before anything starts', async () => {
    expect(await codeOf(joinCluster(ROOM, { signaling: 'ws://127.0.0.1:1' }))).toBe('webrtc-unavailable')
  })

  it('leaves no timer behind once it is done', async () => {
    const world = createWorld()
    const cluster = await world.tab().join({ joinTimeoutMs: 60_000 })
    // all that is left is the one timer of the driver
    expect(world.clock.pending).toBe(1)
    await world.settled(cluster.leave())
    expect(world.clock.pending).toBe(0)
  })
})

describe('an abort', () => {
  it('before the join starts nothing', async () => {
    const world = createWorld()
    const reason = new Error('changed my mind')
    const cluster = world.tab().open({ signal: AbortSignal.abort(reason) })
    const error = await world.settled(cluster.ready.catch((caught: unknown) => caught))
    expect(error).toMatchObject({ code: 'aborted', cause: reason })
    expect(world.network.sessions).toBe(0)
    expect(world.clock.pending).toBe(0)
  })

  it('during the join ends it, and the others never see a member', async () => {
    const world = createWorld()
    const other = await world.tab().join()
    const abort = new AbortController()
    const tab = world.tab()
    const cluster = tab.open({ signal: abort.signal })
    await world.until('it has asked the signaling server', () => world.network.sessions === 2)
    abort.abort()
    expect(await world.settled(codeOf(cluster.ready))).toBe('aborted')
    await world.until('it is gone', () => cluster.status.get() === 'left')
    expect([world.network.sessions, tab.page.watchers]).toEqual([1, 0])
    await world.until('the other is alone', () => other.members.get().length === 1)
  })

  it('after the join leaves the cluster', async () => {
    const world = createWorld()
    const { clusters } = await world.room(2)
    const abort = new AbortController()
    const third = await world.tab().join({ signal: abort.signal })
    await world.until('three are up', () => clusters.every((cluster) => upCount(cluster) === 3))
    abort.abort()
    await world.until('two are up', () => clusters.every((cluster) => cluster.members.get().length === 2))
    await world.until('it has left', () => third.status.get() === 'left')
  })

  it('listens to the signal no longer than the membership lasts', async () => {
    const world = createWorld()
    const abort = new AbortController()
    let listeners = 0
    const signal = {
      get aborted() {
        return abort.signal.aborted
      },
      addEventListener: () => void listeners++,
      removeEventListener: () => void listeners--,
    }
    const cluster = await world.tab().join({ signal })
    expect(listeners).toBe(1)
    await world.settled(cluster.leave())
    await world.until('nobody listens', () => listeners === 0)
  })
})

describe('leaving', () => {
  it('during the join makes it fail with aborted', async () => {
    const world = createWorld()
    const cluster = world.tab().open()
    const left = cluster.leave()
    expect(await world.settled(codeOf(cluster.ready))).toBe('aborted')
    await world.settled(left)
    expect(cluster.status.get()).toBe('left')
    expect([world.network.sessions, world.clock.pending]).toEqual([0, 0])
  })

  it('while the identity is still being claimed gives that back, too', async () => {
    const world = createWorld()
    let claimed: (identity: Identity) => void = () => undefined
    let released = 0
    const identity: IdentityStore = { claim: () => new Promise((resolve) => (claimed = resolve)) }
    const cluster = world.tab({ identity }).open()
    await world.clock.advanceAsync(100)
    await world.settled(cluster.leave())
    claimed({
      authority: 'a'.repeat(20),
      generation: 1,
      browser: 'b'.repeat(16),
      publicKey: new Uint8Array(0),
      sign: () => Promise.resolve(new Uint8Array(0)),
      nextGeneration: () => Promise.resolve(2),
      release: () => void released++,
      abandon: () => void released++,
    })
    await world.until('it is released', () => released === 1)
    expect([world.network.sessions, world.clock.pending]).toEqual([0, 0])
  })

  it('tells the others, gives everything back, and may be said twice', async () => {
    const world = createWorld()
    const { tabs, clusters } = await world.room(3)
    const [leaver, ...others] = clusters
    const nodeId = leaver!.self.nodeId
    const steps: string[] = []
    others[0]!.on('member-status', (event) => {
      if (event.nodeId === nodeId) steps.push(event.to)
    })
    const left = leaver!.leave()
    expect(leaver!.status.get()).toBe('leaving')
    await world.settled(Promise.all([left, leaver!.leave(), leaver![Symbol.asyncDispose]()]))
    expect(leaver!.status.get()).toBe('left')
    await world.until('the others know', () => others.every((cluster) => cluster.members.get().length === 2))
    expect(steps).toEqual(['leaving', 'removed'])
    expect(world.network.sessions).toBe(2)
    expect(tabs[0]!.page.watchers).toBe(0)
    await world.settled(Promise.all(others.map((cluster) => cluster.leave())))
    expect([world.network.sessions, world.network.openEnds, world.clock.pending]).toEqual([0, 0, 0])
  })

  it('is what the end of an `await using` block does', async () => {
    const world = createWorld()
    const { clusters } = await world.room(2)
    const inBlock = async () => {
      await using third = await world.tab().join()
      await world.until('three are up', () => upCount(third) === 3)
    }
    await world.settled(inBlock())
    await world.until('two are left', () => clusters.every((cluster) => cluster.members.get().length === 2))
  })

  it('ends with left whatever is published after it', async () => {
    const world = createWorld()
    const cluster = await world.tab().join()
    const state = cluster.peerState('cursor')
    await world.settled(cluster.leave())
    expect(await codeOf(() => cluster.setMeta(1))).toBe('left')
    expect(await codeOf(() => state.set(1))).toBe('left')
    expect(await codeOf(() => state.clear()), 'there is nothing to clear').toBe('no error')
  })

  it('comes back as the next generation of the same authority', async () => {
    const world = createWorld()
    const { tabs, clusters } = await world.room(2)
    const before = clusters[0]!.self
    await world.settled(clusters[0]!.leave())
    const again = await tabs[0]!.join()
    expect(again.self).toMatchObject({ authority: before.authority, generation: before.generation + 1 })
    await world.until('both are up', () => upCount(clusters[1]!) === 2)
    expect(clusters[1]!.members.get().map(({ nodeId }) => nodeId)).not.toContain(before.nodeId)
  })
})
