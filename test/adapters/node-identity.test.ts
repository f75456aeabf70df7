/** Who a process of Node is, and what its folder keeps of that. */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createNodeIdentityStore } from '../../src/adapters/node/identity.ts'
import { createWebCryptoKeys } from '../../src/adapters/webcrypto/keys.ts'
import type { Identity } from '../../src/ports.ts'

const keys = createWebCryptoKeys()
let folder = ''
let claimed: Identity[] = []

beforeEach(async () => {
  folder = path.join(await mkdtemp(path.join(os.tmpdir(), 'grainmesh-identity-')), 'kept')
  claimed = []
})

afterEach(async () => {
  for (const identity of claimed) identity.release()
  await rm(path.dirname(folder), { recursive: true, force: true })
})

/** As a process that starts: each call is a store of its own. */
async function claim(cluster = 'room', where: string | undefined = folder): Promise<Identity> {
  const identity = await createNodeIdentityStore({ random: Math.random, folder: where }).claim(cluster)
  claimed.push(identity)
  return identity
}

async function fileOf(ending: string): Promise<string> {
  const name = (await readdir(folder)).find((each) => each.endsWith(ending))
  if (name === undefined) throw new Error(`no file ends with ${ending}`)
  return path.join(folder, name)
}

async function signs(identity: Identity): Promise<boolean> {
  const bytes = Uint8Array.of(1, 2, 3)
  return keys.verify(identity.publicKey, identity.authority, bytes, await identity.sign(bytes))
}

describe('without a folder', () => {
  it('every claim is another authority, with a key, and counts its own lives', async () => {
    const store = createNodeIdentityStore({ random: Math.random })
    const [one, two] = [await store.claim('room'), await store.claim('room')]
    expect(one.authority).not.toBe(two.authority)
    expect([await signs(one), await signs(two)]).toEqual([true, true])
    expect([one.generation, await one.nextGeneration(), await one.nextGeneration()]).toEqual([1, 2, 3])
    expect([one.lost, two.lost]).toEqual([undefined, undefined])
    expect(one.browser).toMatch(/^[a-z2-7]{16}$/)
  })
})

describe('with a folder', () => {
  it('a process is who the one before it was, in its next life', async () => {
    const before = await claim()
    expect(before.generation).toBe(1)
    expect(await before.nextGeneration()).toBe(2)
    before.release()
    const after = await claim()
    expect([after.authority, after.generation, after.lost]).toEqual([before.authority, 3, undefined])
    expect(await signs(after)).toBe(true)
    expect((await claim('other room')).authority).not.toBe(before.authority)
  })

  it('keeps its key for this user alone', async () => {
    await claim()
    expect((await stat(folder)).mode & 0o077).toBe(0)
    expect((await stat(await fileOf('.json'))).mode & 0o077).toBe(0)
  })

  it('two at once are two, and the second is told', async () => {
    const [one, two] = [await claim(), await claim()]
    expect(two.authority).not.toBe(one.authority)
    expect(two.lost).toMatch(/somebody new after a restart: another process uses .*\.json/)
    expect(await signs(two)).toBe(true)
  })

  it('what a process left that is gone is taken over; what one holds that runs is not', async () => {
    const one = await claim()
    one.release()
    const { pid } = spawnSync(process.execPath, ['-e', ''])
    const lock = `${await fileOf('.json')}.lock`
    await writeFile(lock, String(pid))
    const two = await claim()
    expect([two.authority, two.generation]).toEqual([one.authority, 2])
    two.release()
    // the parent of this process runs as long as this test
    await writeFile(lock, String(process.ppid))
    const three = await claim()
    expect(three.authority).not.toBe(one.authority)
    expect(existsSync(lock)).toBe(true)
  })

  it.each([
    ['is no JSON', () => '{"authority":'],
    ['has another authority', (text: string) => text.replace(/"authority":"..../, '"authority":"aaaa')],
    ['has another key', (text: string) => text.replace(/"publicKey":"([^"]{60})..../, '"publicKey":"$1AAAA')],
    [
      'has used up its lives',
      (text: string) => text.replace(/"generation":\d+/, '"generation":9007199254740991'),
    ],
  ])('somebody new begins where the file %s', async (_, spoil) => {
    const before = await claim()
    before.release()
    const file = await fileOf('.json')
    await writeFile(file, spoil(await readFile(file, 'utf8')))
    const after = await claim()
    expect(after.authority).not.toBe(before.authority)
    expect([after.generation, after.lost, await signs(after)]).toEqual([1, undefined, true])
  })

  it('a claim after `abandon` is another authority', async () => {
    const before = await claim()
    before.abandon()
    expect(await readdir(folder)).toEqual([])
    const after = await claim()
    expect(after.authority).not.toBe(before.authority)
    expect([after.generation, after.lost]).toEqual([1, undefined])
  })

  it('a life that another process has counted on is nobody’s to go on with', async () => {
    const one = await claim()
    const file = await fileOf('.json')
    const text = await readFile(file, 'utf8')
    await writeFile(file, text.replace('"generation":1', '"generation":5'))
    expect(await one.nextGeneration()).toBe(undefined)
  })

  it('a folder that cannot be used costs the restart, not the start', async () => {
    await writeFile(path.join(path.dirname(folder), 'file'), '')
    const identity = await claim('room', path.join(path.dirname(folder), 'file', 'below'))
    expect(identity.lost).toMatch(/somebody new after a restart: .*(?:ENOTDIR|EEXIST)/)
    expect(await signs(identity)).toBe(true)
  })
})
