/** Several joins of one room in one page: several handles on one membership. */
import { afterEach, describe, expect, it } from 'vitest'
import { openCluster } from '../../src/cluster.ts'
import { Membership } from '../../src/cluster/membership.ts'
import type { OpeningCluster } from '../../src/api.ts'
import { grainRef as refOf } from '../../src/grains/define.ts'
import type { GrainKind } from '../../src/grains/types.ts'
import { codeOf, createWorld, ROOM, upCount, type World } from './support.ts'

const grainRef = refOf<GrainKind<'counter', { read(): number }>>
const SIGNALING = 'ws://memory/'
const REGISTRY = Symbol.for('grainmesh.memberships.1')
const page = globalThis as { [REGISTRY]?: Map<string, { membership: Membership; users: number }> }

afterEach(() => {
  delete page[REGISTRY]
})

/**
 * Handles on one membership. The page has it from another copy of the library, as after a hot reload, which is how it
 * comes to be on a network in memory.
 */
function openShared(world: World, count: number): OpeningCluster[] {
  const { platform } = world.tab()
  const membership = new Membership(ROOM, { signaling: SIGNALING, snapshot: false, platform })
  page[REGISTRY] = new Map([[JSON.stringify([ROOM, [SIGNALING]]), { membership, users: 0 }]])
  return Array.from({ length: count }, (_, i) =>
    // one address and a list of one are the same, and so is one without the slash
    openCluster(ROOM, { signaling: [SIGNALING, [SIGNALING], 'ws://memory'][i % 3]! }),
  )
}

describe('handles on one membership', () => {
  it('are one member, until the last of them leaves', async () => {
    const world = createWorld()
    const other = await world.tab().join()
    const [a, b, c] = openShared(world, 3)
    await world.settled(Promise.all([a!.ready, b!.ready, c!.ready]))
    await world.until('two are up', () => upCount(other) === 2)
    expect(new Set([a, b, c].map((handle) => handle!.self.nodeId)).size).toBe(1)
    const statuses: string[] = []
    a!.status.subscribe((status) => void statuses.push(`a ${status}`))
    b!.status.subscribe((status) => void statuses.push(`b ${status}`))
    const told: string[] = []
    for (const [name, handle] of [
      ['a', a!],
      ['b', b!],
    ] as const) {
      handle.on('peer-state', () => void told.push(`${name} on`))
      handle.events.subscribe(({ type }) => void (type === 'peer-state' && told.push(`${name} events`)))
      handle.peerState('x').subscribe(() => void told.push(`${name} peer state`))
      handle.members.subscribe(
        () => void (handle.peerState('x').get().size > 0 && told.push(`${name} members`)),
      )
    }
    await world.settled(a!.leave())
    await world.settled(a!.leave())
    expect(statuses, 'only one has left, and only once').toEqual(['a left'])
    expect([a!.status.get(), b!.status.get(), c!.status.get()]).toEqual(['left', 'up', 'up'])
    expect(await codeOf(() => a!.setMeta(1))).toBe('left')
    expect(await codeOf(() => a!.peerState('x').set(1))).toBe('left')
    expect(await codeOf(a!.grain(grainRef('counter'), 'k').read())).toBe('left')
    a!.on('peer-state', () => void told.push('a on, after it has left'))
    a!.members.subscribe(() => void told.push('a members, after it has left'))
    b!.peerState('x').set('b')
    a!.peerState('x').clear()
    await world.until('it is there', () => other.peerState('x').get().size === 1)
    expect(new Set(told), 'a has left').toEqual(new Set(['b on', 'b events', 'b peer state']))
    await world.settled(b!.leave())
    expect(c!.status.get()).toBe('up')
    await world.settled(c!.leave())
    await world.until('the other is alone', () => other.members.get().length === 1)
    expect(statuses).toEqual(['a left', 'b left'])
  })

  it('fail with aborted if they leave during the join, and the others go on', async () => {
    const world = createWorld()
    const abort = new AbortController()
    const [a, b] = openShared(world, 2)
    const c = openCluster(ROOM, { signaling: SIGNALING, signal: abort.signal })
    const left = a!.leave()
    abort.abort()
    await left
    expect(await codeOf(a!.ready)).toBe('aborted')
    expect(await codeOf(c.ready)).toBe('aborted')
    expect([a!.status.get(), c.status.get()]).toEqual(['left', 'left'])
    await world.settled(b!.ready)
    expect(b!.status.get()).toBe('up')
  })

  it('are told of their end together where the cluster ends it', async () => {
    const world = createWorld()
    world.network.stopSignaling()
    const [a, b] = openShared(world, 2)
    expect(await world.settled(codeOf(a!.ready))).toBe('signaling-unreachable')
    expect(await codeOf(b!.ready)).toBe('signaling-unreachable')
    expect([a!.status.get(), b!.status.get()]).toEqual(['left', 'left'])
  })
})

it('a membership that waits for an earlier one is not over before it', async () => {
  const world = createWorld()
  let end: () => void = () => undefined
  const before = new Promise<void>((resolve) => (end = resolve))
  const { platform } = world.tab()
  const waiting = new Membership(ROOM, { signaling: SIGNALING, snapshot: false, platform }, before)
  let isOver = false
  void waiting.leave().then(() => (isOver = true))
  expect(await codeOf(waiting.ready)).toBe('aborted')
  await world.clock.advanceAsync(5_000)
  expect(isOver).toBe(false)
  end()
  await world.until('it is over', () => isOver)
})
