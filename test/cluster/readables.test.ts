/** What can be read of a cluster, and how it is watched. */
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Cluster, ClusterEvent, Readable } from '../../src/api.ts'
import type { LinkTransport } from '../../src/ports.ts'
import { codeOf, createWorld, upCount, type World } from './support.ts'

const readablesOf = (cluster: Cluster): Record<string, Readable<unknown>> => ({
  members: cluster.members,
  status: cluster.status,
  convergence: cluster.convergence,
  links: cluster.links,
  'peer state': cluster.peerState('x'),
})

/** Lets a third member come, publish, and go. */
async function busyWhile(world: World): Promise<void> {
  const third = await world.tab().join()
  third.peerState('x').set(1)
  await world.clock.advanceAsync(1_000)
  await world.settled(third.leave())
  await world.clock.advanceAsync(1_000)
}

describe('every readable', () => {
  it('has bound methods, and gives the same reference until it has changed', async () => {
    const world = createWorld()
    const { clusters } = await world.room(2)
    for (const [name, { get, subscribe }] of Object.entries(readablesOf(clusters[0]!))) {
      let told: unknown
      const stop = subscribe((value) => (told = value))
      expect(told, `${name}: not told at once`).toBeUndefined()
      expect(get(), name).toBe(get())
      stop()
    }
  })

  it('tells each change once, and what is told is what can be read', async () => {
    const world = createWorld()
    const { clusters } = await world.room(2)
    const told = new Map<string, unknown[]>()
    for (const [name, { get, subscribe }] of Object.entries(readablesOf(clusters[0]!))) {
      const values: unknown[] = [get()]
      told.set(name, values)
      subscribe((value) => {
        expect(value, name).toBe(get())
        values.push(value)
      })
    }
    await busyWhile(world)
    const leaving = clusters[0]!.leave()
    await world.settled(leaving)
    for (const [name, values] of told) {
      expect(values.length, name).toBeGreaterThan(2)
      for (const [i, value] of values.entries()) expect(value, `${name} ${i}`).not.toBe(values[i - 1])
    }
    expect(told.get('status')).toEqual(['up', 'leaving', 'left'])
  })

  it('stays silent for whoever has unsubscribed, once or twice, and for nobody else', async () => {
    const world = createWorld()
    const { clusters } = await world.room(1)
    const calls = { gone: 0, stays: 0 }
    const { subscribe } = clusters[0]!.members
    const listener = () => void calls.stays++
    const stop = subscribe(() => void calls.gone++)
    // the same function twice is two subscriptions
    const stopOne = subscribe(listener)
    subscribe(listener)
    stop()
    stop()
    stopOne()
    stopOne()
    await world.tab().join()
    await world.until('it is told', () => calls.stays > 0)
    const before = calls.stays
    await busyWhile(world)
    expect(calls.gone).toBe(0)
    expect(calls.stays).toBeGreaterThan(before)
  })

  it('is not harmed by a listener that subscribes or unsubscribes while it is told', async () => {
    const world = createWorld()
    const { clusters } = await world.room(1)
    const { subscribe } = clusters[0]!.members
    const calls: string[] = []
    const stopFirst = subscribe(() => {
      calls.push('first')
      stopFirst()
      stopSecond()
      subscribe(() => calls.push('late'))
    })
    const stopSecond = subscribe(() => calls.push('second'))
    await busyWhile(world)
    expect(calls.filter((call) => call === 'first')).toHaveLength(1)
    expect(calls).not.toContain('second')
    expect(calls).toContain('late')
  })
})

describe('a listener', () => {
  const wrong = [undefined, null, {}, 'f'] as unknown as (() => void)[]

  it.each(wrong)('that is %j is refused by every readable, by events and by on', async (listener) => {
    const cluster = await createWorld().tab().join()
    for (const [name, { subscribe }] of Object.entries({ ...readablesOf(cluster), events: cluster.events }))
      expect(await codeOf(() => subscribe(listener)), name).toBe('invalid-value')
    expect(() => cluster.on('status', listener)).toThrow(/^on takes a function, not /)
  })

  it('of a type of event that does not exist is refused', async () => {
    const cluster = await createWorld().tab().join()
    for (const type of ['nope', 'toString', undefined])
      expect(() => cluster.on(type as 'status', () => undefined)).toThrow(/is no type of event/)
  })
})

describe('a listener that throws', () => {
  afterEach(() => {
    vi.unstubAllGlobals()
    vi.restoreAllMocks()
  })

  it('harms nobody, and its error is reported as browsers report uncaught ones', async () => {
    const reportError = vi.fn<(error: Error) => void>()
    vi.stubGlobal('reportError', reportError)
    const world = createWorld()
    const { clusters } = await world.room(2)
    const cluster = clusters[0]!
    const told: string[] = []
    for (const [name, { subscribe }] of Object.entries(readablesOf(cluster))) {
      subscribe(() => {
        throw new Error(`from ${name}`)
      })
      subscribe(() => void told.push(name))
    }
    cluster.events.subscribe(() => {
      throw new Error('from events')
    })
    cluster.on('member-status', () => {
      throw new Error('from on')
    })
    cluster.on('member-status', async () => {
      await Promise.reject(new Error('from an async one'))
    })
    cluster.on('member-status', () => void told.push('on'))
    await busyWhile(world)
    await world.until('both go on', () => clusters.every((one) => upCount(one) === 2))
    for (const name of ['members', 'links', 'convergence', 'peer state', 'on']) expect(told).toContain(name)
    const messages = reportError.mock.calls.map(([error]) => error.message)
    for (const name of ['members', 'links', 'events', 'on', 'an async one'])
      expect(messages).toContain(`from ${name}`)
  })

  it('ends no process of Node: its error is on the console', async () => {
    const print = vi.spyOn(console, 'error').mockReturnValue(undefined)
    const world = createWorld()
    const { clusters } = await world.room(1)
    const [cluster] = clusters
    const thrown = new Error('mine')
    const fail = (): never => {
      throw thrown
    }
    cluster!.status.subscribe(fail)
    cluster!.mailbox('chat').receive(fail)
    cluster!.mailbox('late').receive(() => Promise.reject(thrown))
    for (const name of ['chat', 'late'])
      await world.settled(cluster!.mailbox(name).send(cluster!.self.authority, 'x'))
    await world.settled(cluster!.leave())
    expect(print.mock.calls).toEqual([
      // the two receivers, then the status
      ['A listener threw:', thrown],
      ['A listener threw:', thrown],
      ['A listener threw:', thrown],
    ])
  })
})

describe('members', () => {
  it('are sorted by nodeId, with oneself and without the removed', async () => {
    const world = createWorld(3)
    const { clusters } = await world.room(5)
    const [first, ...others] = clusters
    const ids = () => first!.members.get().map(({ nodeId }) => nodeId)
    expect(ids()).toEqual(clusters.map(({ self }) => self.nodeId).sort())
    expect(first!.members.get().filter(({ self }) => self)).toEqual([first!.self])
    const gone = others[1]!.self.nodeId
    await world.settled(others[1]!.leave())
    await world.until('it is removed', () => ids().length === 4)
    expect(ids()).not.toContain(gone)
  })

  it('that have not changed are the same objects, frozen', async () => {
    const world = createWorld()
    const { clusters } = await world.room(3)
    const [one, two, three] = clusters
    await world.clock.advanceAsync(4_000)
    const before = new Map(one!.members.get().map((member) => [member.nodeId, member]))
    two!.setMeta({ name: 'Ada' })
    await world.until('the meta is there', () =>
      one!.members.get().some(({ meta }) => (meta as { name?: string } | undefined)?.name === 'Ada'),
    )
    for (const member of one!.members.get()) {
      expect(Object.isFrozen(member)).toBe(true)
      if (member.nodeId === two!.self.nodeId) expect(member).not.toBe(before.get(member.nodeId))
      else expect(member).toBe(before.get(member.nodeId))
    }
    expect(one!.self).toBe(before.get(one!.self.nodeId))
    expect(Object.isFrozen(one!.members.get())).toBe(true)
    expect(three!.members.get().find(({ nodeId }) => nodeId === two!.self.nodeId)?.meta).toEqual({
      name: 'Ada',
    })
  })

  it('tell how they are reached, how fast, and whom they are linked to', async () => {
    const world = createWorld()
    const { clusters } = await world.room(3)
    const [one, two, three] = clusters
    const seen = () => one!.members.get().find(({ nodeId }) => nodeId === two!.self.nodeId)
    await world.until('links are published', () => seen()?.linkedTo.length === 2)
    expect(seen()).toMatchObject({ path: 'direct', rttMs: expect.any(Number) })
    expect(seen()!.linkedTo.toSorted()).toEqual([one!.self.nodeId, three!.self.nodeId].sort())
    expect(
      one!.links
        .get()
        .map(({ nodeId }) => nodeId)
        .sort(),
    ).toEqual([two!.self.nodeId, three!.self.nodeId].sort())
  })

  it('have links that tell what waits for them, anew with each probe', async () => {
    const world = createWorld()
    const inner = world.network.transport()
    let waiting = 0
    const transport: LinkTransport = {
      open(initiator, handlers) {
        const end = inner.open(initiator, handlers)
        Object.defineProperty(end, 'bufferedBytes', { get: () => waiting })
        return end
      },
    }
    const one = await world.tab({ transport }).join()
    await world.tab().join()
    const buffered = () => one.links.get().map(({ bufferedBytes }) => bufferedBytes)
    await world.until('they are linked', () => buffered()[0] === 0)
    const before = one.links.get()
    expect(one.links.get()).toBe(before)
    waiting = 777
    await world.until('it is seen', () => buffered()[0] === 777, 5_000)
    expect(before[0]!.bufferedBytes, 'what was given does not change').toBe(0)
    expect(Object.isFrozen(one.links.get()[0])).toBe(true)
  })

  it('are linked to nobody who is removed, without a word from them', async () => {
    const world = createWorld()
    const { clusters } = await world.room(3)
    const [one, two, three] = clusters
    const seen = () => one!.members.get().find(({ nodeId }) => nodeId === two!.self.nodeId)
    await world.until('links are published', () => seen()?.linkedTo.length === 2)
    const gone = three!.self.nodeId
    const linked: (boolean | undefined)[] = []
    one!.on('member-status', ({ nodeId, to }) => {
      if (nodeId === gone && to === 'removed') linked.push(seen()?.linkedTo.includes(gone))
    })
    await world.settled(three!.leave())
    await world.until('it is removed', () => linked.length > 0)
    expect(linked).toEqual([false])
  })

  it('stay up where only their link is lost: a sign of life comes by the signaling server', async () => {
    const world = createWorld()
    const { tabs, clusters } = await world.room(2)
    const [one, two] = clusters
    const steps: string[] = []
    one!.on('member-status', ({ nodeId, to }) => {
      if (nodeId === two!.self.nodeId) steps.push(to)
    })
    const statuses: string[] = []
    one!.status.subscribe((status) => void statuses.push(status))
    world.network.breakLinks(tabs[0]!.transport, tabs[1]!.transport)
    await world.until('the path is gone', () => one!.links.get().length === 0)
    expect(one!.members.get().find(({ self }) => !self)).toMatchObject({ status: 'up', path: 'none' })
    await world.until('it is back', () => one!.links.get().length === 1 && two!.links.get().length === 1)
    await world.clock.advanceAsync(10_000)
    expect(steps, 'nobody was accused').toEqual([])
    expect(statuses).toEqual(['isolated', 'up'])
  })

  it('show their visibility', async () => {
    const world = createWorld()
    const { tabs, clusters } = await world.room(2)
    const seen = () => clusters[1]!.members.get().find(({ self }) => !self)?.visibility
    expect(seen()).toBe('visible')
    tabs[0]!.page.handlers.onVisibility('hidden')
    await world.until('it is hidden', () => seen() === 'hidden')
    expect(upCount(clusters[1]!), 'which changes nothing else').toBe(2)
  })
})

describe('the way to a member', () => {
  it('is asked for by its nodeId; an authority, or what is neither, is refused', async () => {
    const { clusters } = await createWorld().room(2)
    const [one, two] = clusters as [Cluster, Cluster]
    expect(one.route(two.self.nodeId)).toEqual([one.self.nodeId, two.self.nodeId])
    for (const wrong of [two.self.authority, 'zz', undefined] as string[]) {
      expect(() => one.route(wrong)).toThrow(/is no nodeId: give a member's nodeId/)
      expect(await codeOf(one.trace(wrong))).toBe('invalid-value')
    }
  })

  it('is none before the join is done', () => {
    const cluster = createWorld().tab().open()
    expect(cluster.route(cluster.self.nodeId)).toBeUndefined()
  })
})

describe('events', () => {
  it('are kept up to a thousand, oldest first', async () => {
    const world = createWorld()
    const { clusters } = await world.room(2)
    const { events } = clusters[0]!
    const all: ClusterEvent[] = [...events.recent()]
    events.subscribe((event) => {
      if (event.type !== 'peer-state') all.push(event)
    })
    for (let i = 0; all.length < 1_300; i++) {
      clusters[1]!.setMeta(i)
      await world.clock.advanceAsync(20)
    }
    expect(events.recent()).toEqual(all.slice(-1_000))
    expect(Object.isFrozen(events.recent()[0])).toBe(true)
  })

  it('of one type come to who asked for them, until no longer', async () => {
    const world = createWorld()
    const { clusters } = await world.room(2)
    const [one, two] = clusters
    const values: string[] = []
    const stop = one!.on(
      'peer-state',
      ({ type, nodeId, key }) => void values.push(`${type} ${nodeId} ${key}`),
    )
    const state = two!.peerState('x')
    state.set(1)
    await world.until('it is told', () => values.length === 1)
    expect(values).toEqual([`peer-state ${two!.self.nodeId} x`])
    expect(
      one!.events.recent().map(({ type }) => type),
      'but are not kept',
    ).not.toContain('peer-state')
    stop()
    stop()
    state.set(2)
    await world.until('it is there', () => one!.peerState('x').get().get(two!.self.nodeId) === 2)
    expect(values).toHaveLength(1)
  })

  it('show the new state to who reads it in the listener', async () => {
    const world = createWorld()
    const { clusters } = await world.room(1)
    const seen: (string | undefined)[] = []
    clusters[0]!.on('member-status', ({ nodeId, to }) => {
      seen.push(`${to} ${clusters[0]!.members.get().find((member) => member.nodeId === nodeId)?.status}`)
    })
    await busyWhile(world)
    // its last two steps come in one message, and so in one turn
    expect(seen).toEqual(['joining joining', 'up up', 'leaving undefined', 'removed undefined'])
  })
})

describe('openCluster', () => {
  it('can be read before the join has begun, with stable references', () => {
    const cluster = createWorld()
      .tab()
      .open({ meta: { name: 'Ada' } })
    expect(cluster.status.get()).toBe('joining')
    expect(cluster.members.get()).toEqual([])
    expect(cluster.members.get()).toBe(cluster.members.get())
    expect(cluster.self).toMatchObject({ self: true, status: 'joining', meta: { name: 'Ada' }, path: 'self' })
    expect(cluster.self).toBe(cluster.self)
    expect(cluster.convergence.get()).toEqual({ state: 'diffusing', viewHash: '0000000000000000' })
    expect(cluster.metrics.prometheus()).toContain('grainmesh_messages_sent_total 0\n')
    cluster.setMeta({ name: 'Grace' })
    expect(cluster.self.meta).toEqual({ name: 'Grace' })
  })

  it('keeps what is published before the join is done', async () => {
    const world = createWorld()
    const other = await world.tab().join()
    const cluster = world.tab().open({ meta: 'first' })
    cluster.setMeta('second')
    cluster.peerState('x').set('early')
    cluster.peerState('gone').set('early')
    cluster.peerState('gone').clear()
    await world.settled(cluster.ready)
    await world.until('all is there', () => other.peerState('x').get().size === 1)
    expect(other.members.get().find(({ self }) => !self)?.meta).toBe('second')
    expect([...other.peerState('x').get()]).toEqual([[cluster.self.nodeId, 'early']])
    expect(other.peerState('gone').get().size).toBe(0)
  })

  it('tells of the end of a join that nobody waits for by its status, not as an unhandled rejection', async () => {
    const world = createWorld()
    world.network.stopSignaling()
    const cluster = world.tab().open({ joinTimeoutMs: 100 })
    await world.until('it has ended', () => cluster.status.get() === 'left')
    await new Promise(setImmediate)
  })
})
