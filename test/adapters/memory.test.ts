import { describe, expect, it } from 'vitest'
import { createBrowserClock } from '../../src/adapters/browser/clock.ts'
import { createMemoryNetwork, type MemoryNetwork } from '../../src/adapters/memory/network.ts'
import { createMemoryIdentityStore, createMemorySnapshotStore } from '../../src/adapters/memory/stores.ts'
import type { SignalingSession, Snapshot } from '../../src/ports.ts'
import { openPair } from '../../src/testing/contract-pair.ts'

const clock = createBrowserClock()
const settle = () => new Promise<void>((resolve) => void clock.timer(1, resolve))

interface Member {
  readonly session: SignalingSession
  readonly told: string[]
  /** What every `onUp` and `onContacts` said of it. */
  readonly quiet: (number | undefined)[]
}

function enter(network: MemoryNetwork, room: string, nodeId: string): Member {
  const told: string[] = []
  const quiet: (number | undefined)[] = []
  const session = network.signaling().open(room, nodeId, {
    onUp: (contacts, _relay, quietMs) => {
      told.push(`up ${contacts.toSorted().join()}`)
      quiet.push(quietMs)
    },
    onContacts: (contacts, quietMs) => {
      told.push(`contacts ${contacts.toSorted().join()}`)
      quiet.push(quietMs)
    },
    onMessage: (from, data) => told.push(`${from}: ${data}`),
    onRelay: (from, data) => told.push(`relayed ${from}: ${data}`),
    onRelayRefused: (to, reason) => told.push(`refused to ${to}: ${reason}`),
    onGone: (gone) => told.push(`gone ${gone}`),
    onDown: (reason) => told.push(`down ${reason}`),
    onRefused: (reason) => told.push(`refused ${reason}`),
  })
  return { session, told, quiet }
}

describe('signaling in memory', () => {
  it('gives contacts of the same room and relays between them', async () => {
    const network = createMemoryNetwork()
    const [a, b, c] = [enter(network, 'x', 'a'), enter(network, 'x', 'b'), enter(network, 'y', 'c')]
    expect(a.told).toEqual([])
    await settle()
    a.session.send('b', 'one')
    a.session.send('b', 'two')
    a.session.send('c', 'not your room')
    a.session.askContacts()
    await settle()
    expect(a.told).toEqual(['up ', 'gone c', 'contacts b'])
    expect(b.told).toEqual(['up a', 'a: one', 'a: two'])
    expect(c.told).toEqual(['up '])
  })

  it('gives a few contacts, not the room', async () => {
    const network = createMemoryNetwork({ contacts: 3 })
    for (let i = 0; i < 20; i++) enter(network, 'x', `n${i}`)
    const last = enter(network, 'x', 'last')
    await settle()
    expect(last.told[0]!.split(',')).toHaveLength(3)
  })

  it('tells the room of a socket that ended, but not of a goodbye', async () => {
    const network = createMemoryNetwork()
    const [a, b, c] = [enter(network, 'x', 'a'), enter(network, 'x', 'b'), enter(network, 'x', 'c')]
    await settle()
    b.session.goodbye()
    c.session.close()
    c.session.send('a', 'late')
    await settle()
    expect(a.told).toEqual(['up ', 'gone c'])
    expect(b.told).toEqual(['up a'])
    expect(network.sessions).toBe(1)
  })

  it('refuses a nodeId that is in the room', async () => {
    const network = createMemoryNetwork()
    enter(network, 'x', 'a')
    const again = enter(network, 'x', 'a')
    await settle()
    expect(again.told).toEqual(['refused a is already in the room'])
  })

  it('goes down and comes back for everybody', async () => {
    const network = createMemoryNetwork()
    const a = enter(network, 'x', 'a')
    await settle()
    network.stopSignaling('maintenance')
    const b = enter(network, 'x', 'b')
    a.session.send('b', 'dropped')
    await settle()
    expect([a.told.at(-1), b.told]).toEqual(['down maintenance', ['down the signaling server is stopped']])
    network.startSignaling()
    await settle()
    expect([a.told.at(-1), b.told.at(-1)]).toEqual(['up ', 'up a'])
  })
})

describe('quiet in memory', () => {
  const setUp = () => {
    let mono = 1_000
    const network = createMemoryNetwork({
      clock: { now: () => ({ mono, wall: 0 }), timer: () => () => undefined },
    })
    return { network, pass: (ms: number) => (mono += ms) }
  }

  it('is long where nobody was lost, and begins when a session closes', async () => {
    const { network, pass } = setUp()
    const a = enter(network, 'x', 'a')
    const b = enter(network, 'x', 'b')
    await settle()
    expect([a.quiet, b.quiet]).toEqual([[60_000], [60_000]])
    b.session.close()
    pass(300)
    a.session.askContacts()
    await settle()
    expect(a.quiet[1]).toBe(300)
    a.session.goodbye()
    pass(100)
    const [again, other] = [enter(network, 'x', 'b'), enter(network, 'y', 'b')]
    await settle()
    expect([again.quiet, other.quiet]).toEqual([[60_000], [60_000]])
    again.session.goodbye()
    const c = enter(network, 'x', 'c')
    await settle()
    expect(c.quiet).toEqual([400])
  })

  it('is not ended by a goodbye', async () => {
    const { network } = setUp()
    const [a, b] = [enter(network, 'x', 'a'), enter(network, 'x', 'b')]
    await settle()
    b.session.goodbye()
    a.session.askContacts()
    await settle()
    expect(a.quiet).toEqual([60_000, 60_000])
  })

  it('begins again when the server comes back', async () => {
    const { network, pass } = setUp()
    const a = enter(network, 'x', 'a')
    await settle()
    network.stopSignaling()
    pass(5_000)
    network.startSignaling()
    await settle()
    pass(70)
    a.session.askContacts()
    await settle()
    expect(a.quiet).toEqual([60_000, 0, 70])
  })
})

describe('links in memory', () => {
  const connect = async (latencyMs = 0) => {
    const network = createMemoryNetwork({ latencyMs, clock })
    const transports = [network.transport(), network.transport()] as const
    const queue = [...transports]
    const pair = openPair({ transport: () => queue.shift()!, clock })
    await Promise.all([pair.a.untilOpen(), pair.b.untilOpen()])
    return { network, transports, pair }
  }

  it('break at both ends with a reason, and lose what is under way', async () => {
    const { network, transports, pair } = await connect(5)
    pair.a.link.send(Uint8Array.of(1))
    network.breakLinks(...transports, 'broken')
    expect([pair.a.closed, pair.b.closed]).toEqual([['broken'], ['broken']])
    await new Promise<void>((resolve) => void clock.timer(20, resolve))
    expect(pair.b.messages).toEqual([])
    expect(network.openEnds).toBe(0)
  })

  it('are silent when cut, until mended, and nobody is told', async () => {
    const { network, transports, pair } = await connect()
    network.cut(...transports)
    pair.a.link.send(Uint8Array.of(1))
    await settle()
    network.mend(...transports)
    pair.a.link.send(Uint8Array.of(2))
    await pair.b.untilMessages(1)
    expect(pair.b.messages).toEqual([Uint8Array.of(2)])
    network.cut(...transports)
    pair.a.link.close()
    await settle()
    expect(pair.b.closed).toEqual([])
    expect(transports[0].openConnections).toBe(0)
    expect(transports[1].openConnections).toBe(1)
  })

  it('leave nothing behind', async () => {
    const network = createMemoryNetwork()
    const transport = network.transport()
    for (let i = 0; i < 100; i++) {
      const pair = openPair({ transport: () => transport, clock })
      await Promise.all([pair.a.untilOpen(), pair.b.untilOpen()])
      pair.a.link.close()
      await pair.b.untilClosed()
    }
    expect([transport.constructed, transport.openConnections, network.openEnds]).toEqual([200, 0, 0])
  })
})

describe('stores in memory', () => {
  it('keep an identity through releases, and make another while it is held', async () => {
    const store = createMemoryIdentityStore({ random: Math.random })
    const first = await store.claim('x')
    const other = await store.claim('y')
    expect(other.authority).not.toBe(first.authority)
    expect(await first.nextGeneration()).toBe(2)
    first.release()
    const second = await store.claim('x')
    expect(second).toMatchObject({ authority: first.authority, generation: 3, browser: first.browser })
    first.release()
    const duplicate = await store.claim('x')
    expect(duplicate.authority).not.toBe(first.authority)
    expect(duplicate.generation).toBe(1)
  })

  it('keep snapshots as copies, one for each cluster and authority', async () => {
    const store = createMemorySnapshotStore()
    const snapshot: Snapshot = {
      version: 2,
      cluster: 'x',
      authority: 'a',
      generation: 1,
      table: new Uint8Array([1, 2, 3]),
      at: 1,
    }
    await store.save(snapshot)
    expect(await store.load('x', 'a')).toEqual(snapshot)
    expect(await store.load('x', 'a')).not.toBe(snapshot)
    expect(await store.load('x', 'b')).toBe(undefined)
    expect(await store.load('y', 'a')).toBe(undefined)
  })
})
