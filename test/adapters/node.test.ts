/** The browser adapters where there is no browser: importing them is harmless, using them says what is missing. */
import { expect, it } from 'vitest'
import { createIdentityStore } from '../../src/adapters/indexeddb/identity.ts'
import { createSnapshotStore } from '../../src/adapters/indexeddb/snapshot.ts'
import { createWebRtcTransport, loadWebRtc } from '../../src/adapters/webrtc/transport.ts'

it('there is no WebRTC, and the error says so', async () => {
  expect(() => createWebRtcTransport()).toThrow(expect.objectContaining({ code: 'webrtc-unavailable' }))
  await expect(loadWebRtc()).rejects.toMatchObject({ code: 'webrtc-unavailable' })
})

it('an identity is for this process only, and says so', async () => {
  const store = createIdentityStore({ random: Math.random })
  const [one, two] = [await store.claim('x'), await store.claim('x')]
  expect(one.authority).not.toBe(two.authority)
  expect(one.lost).toContain('sessionStorage is not available')
  expect([one.generation, await one.nextGeneration(), await one.nextGeneration()]).toEqual([1, 2, 3])
  one.release()
})

it('no snapshot is kept, and the reason is given once', async () => {
  const store = createSnapshotStore()
  await expect(store.load('x', 'a')).rejects.toThrow(/IndexedDB failed: it is not available/)
  const table = new Uint8Array(0)
  const snapshot = { version: 2 as const, cluster: 'x', authority: 'a', generation: 1, table, at: 1 }
  await expect(store.save(snapshot)).rejects.toThrow(/No snapshot is kept/)
  await expect(store.save(snapshot)).resolves.toBe(undefined)
})
