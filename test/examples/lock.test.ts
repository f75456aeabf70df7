/** examples/lock.ts: a lock that nobody can take away with them. */
import { expect, it } from 'vitest'
import { Lock, createFence, withLock } from '../../examples/lock.ts'
import { exampleRoom } from './support.ts'

const LEASE_MS = 5_000

it('is had by one at a time, until it is released', async () => {
  const { room, tabs } = await exampleRoom(3, [Lock])
  const [ada, grace] = tabs.map(({ host }) => host.grain(Lock, 'printer'))
  const lease = await room.settled(ada!.acquire('ada', LEASE_MS))
  expect(lease).toMatchObject({ token: 1, holder: 'ada' })
  expect(await room.settled(grace!.acquire('grace', LEASE_MS))).toBeNull()
  expect(await room.settled(grace!.release(7)), 'of a lease that is none').toBe(false)
  expect(await room.settled(ada!.release(1))).toBe(true)
  expect(await room.settled(grace!.acquire('grace', LEASE_MS))).toMatchObject({ token: 2, holder: 'grace' })
})

it('ends by itself, unless it is renewed, and tells late ones from early ones', async () => {
  const { room, tabs } = await exampleRoom(3, [Lock])
  const [ada, grace] = tabs.map(({ host }) => host.grain(Lock, 'printer'))
  await room.settled(ada!.acquire('ada', LEASE_MS))
  await room.run(LEASE_MS - 1_000)
  expect(await room.settled(ada!.renew(1, LEASE_MS))).toBe(true)
  await room.run(LEASE_MS - 1_000)
  expect(await room.settled(grace!.acquire('grace', LEASE_MS)), 'it was renewed').toBeNull()
  await room.run(2_000)
  expect(await room.settled(grace!.acquire('grace', LEASE_MS))).toMatchObject({ token: 2 })
  expect(await room.settled(ada!.renew(1, LEASE_MS))).toBe(false)
  expect(await room.settled(ada!.release(1)), 'it is not hers any more').toBe(false)
  expect(await room.settled(grace!.read())).toMatchObject({ holder: 'grace' })

  const fence = createFence()
  expect([fence(1), fence(2), fence(1), fence(2)]).toEqual([true, true, false, true])
})

it('is the same lock after its host is lost', async () => {
  const { room, tabs, loseHost } = await exampleRoom(4, [Lock], true)
  await room.settled(tabs[0]!.host.grain(Lock, 'printer').acquire('ada', 30_000))
  const [left] = loseHost()
  const lock = left!.host.grain(Lock, 'printer')
  expect(await room.settled(lock.acquire('grace', 30_000))).toBeNull()
  expect(await room.settled(lock.read())).toMatchObject({ holder: 'ada', token: 1 })
  expect(await room.settled(lock.renew(1, 1_000))).toBe(true)
  await room.run(1_000)
  expect(await room.settled(lock.acquire('grace', 30_000))).toMatchObject({ token: 2 })
})

it('is held while the work goes on, by one after the other, over the loss of its host', async () => {
  const { room, tabs, pause, host, loseHost } = await exampleRoom(5, [Lock], true)
  await room.settled(tabs[4]!.host.grain(Lock, 'printer').read())
  const lockHost = host()
  const workers = tabs.filter((tab) => tab !== lockHost)
  const fence = createFence()
  let inside = 0
  let most = 0
  const tokens: number[] = []
  const runs = workers.map(({ host }, i) =>
    withLock(host.grain(Lock, 'printer'), { holder: `worker ${i}`, leaseMs: 9_000, pause }, async (token) => {
      most = Math.max(most, ++inside)
      tokens.push(token)
      expect(fence(token)).toBe(true)
      await pause(12_000)
      inside--
    }),
  )
  await room.run(5_000)
  loseHost()
  await room.settled(Promise.all(runs), 120_000)
  expect(most).toBe(1)
  expect(tokens).toEqual([1, 2, 3, 4])
})

it('tells its holder where the lease was lost', async () => {
  const { room, tabs, pause } = await exampleRoom(2, [Lock])
  const lock = tabs[1]!.host.grain(Lock, 'printer')
  const run = withLock(lock, { holder: 'ada', leaseMs: 6_000, pause }, async (token, signal) => {
    // somebody with the right to do so ends it
    await lock.release(token)
    while (!signal.aborted) await pause(100)
    return 'stopped'
  })
  expect(await room.settled(run)).toBe('stopped')
})
