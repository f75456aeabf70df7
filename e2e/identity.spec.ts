/** Who a tab is, proven by its key: across reloads, duplicates, what a browser may lack, and a lock that fails. */
import type { BrowserContext, Page } from '@playwright/test'
import { expect, test } from './support/fixtures.ts'
import type { OpenTab } from './support/fixtures.ts'
import {
  authorityOf,
  clusterUrl,
  eventsOf,
  expectOneCluster,
  generationOf,
  joinEnd,
  openTabs,
  publish,
  published,
  viewOf,
} from './tabs.ts'

test('a reload keeps the authority and its key, which nobody can read', async ({ openTab, site, room }) => {
  const url = clusterUrl(site, room)
  const [other, tab] = (await openTabs(openTab, url, 2)) as [Page, Page]
  await expectOneCluster([other, tab])
  const before = (await viewOf(tab)).self
  const key = await keyOf(tab, room, authorityOf(before))
  expect(key.exports).toEqual([
    expect.stringMatching(/^InvalidAccessError/),
    expect.stringMatching(/^InvalidAccessError/),
  ])
  expect(key.extractable).toBe(false)
  expect(key.derived, 'the authority is the hash of the key').toBe(authorityOf(before))
  await tab.reload()
  await expectOneCluster([other, tab])
  const after = (await viewOf(tab)).self
  expect(authorityOf(after)).toBe(authorityOf(before))
  expect(generationOf(after)).toBe(generationOf(before) + 1)
  expect(await keyOf(tab, room, authorityOf(after))).toEqual({ ...key, generation: key.generation + 1 })
  expect(await eventsOf(other, 'handshake-refused')).toEqual([])
  expect(await eventsOf(other, 'authority-conflict')).toEqual([])
})

test('a duplicated tab is a member of its own', async ({ openTab, site, room }) => {
  const tab = await openTab(clusterUrl(site, room))
  await expectOneCluster([tab])
  const { self } = await viewOf(tab)
  const copy = await duplicate(tab)
  await expectOneCluster([tab, copy])
  expect((await viewOf(tab)).self).toBe(self)
  expect(authorityOf((await viewOf(copy)).self)).not.toBe(authorityOf(self))
  expect(await eventsOf(copy, 'authority-conflict')).toEqual([])
})

test('a duplicated tab of six is a seventh, and nothing changes for the six', async ({
  openTab,
  site,
  room,
}) => {
  const six = await openTabs(openTab, clusterUrl(site, room), 6)
  await expectOneCluster(six)
  const selves = async () => (await Promise.all(six.map(viewOf))).map(({ self }) => self)
  const before = await selves()
  const started = Date.now()
  const copy = await duplicate(six[0]!)
  expect(await copy.evaluate(() => window.opener !== null)).toBe(true)
  await expectOneCluster([...six, copy])
  console.log(`duplicated, until one cluster of seven: ${Date.now() - started} ms`)
  expect(await selves()).toEqual(before)
  expect(before.map(authorityOf)).not.toContain(authorityOf((await viewOf(copy)).self))
  for (const tab of [...six, copy]) {
    expect(await eventsOf(tab, 'authority-conflict')).toEqual([])
    expect(await eventsOf(tab, 'superseded')).toEqual([])
    expect(await eventsOf(tab, 'reborn')).toEqual([])
    const changes = await eventsOf(tab, 'member-status')
    expect(
      changes.filter(({ to }) => to === 'unreachable' || to === 'removed'),
      'nobody was taken for lost',
    ).toEqual([])
  }
})

test.describe('what a browser may lack', () => {
  const KEPT_NOT = 'This tab will be somebody new after a reload'
  const UNPROVEN = 'This tab cannot prove who it is and will be somebody new after a reload'
  for (const [what, script, loss, why] of [
    ['IndexedDB', removing('window', 'indexedDB'), KEPT_NOT, 'IndexedDB failed: it is not available'],
    ['Web Locks', removing('navigator', 'locks'), KEPT_NOT, 'Web Locks are not available'],
    ['SubtleCrypto', removing('crypto', 'subtle'), UNPROVEN, 'SubtleCrypto is not available'],
  ] as const) {
    test(`${what}: two tabs form a cluster, and each says what is lost`, async ({
      openTab,
      site,
      room,
      browser,
    }) => {
      const url = clusterUrl(site, room)
      const tabs = [
        await openWith(await browser.newContext(), openTab, url, script),
        await openWith(await browser.newContext(), openTab, url, script),
      ]
      await expectOneCluster(tabs)
      for (const tab of tabs) {
        const [storage] = await eventsOf(tab, 'storage')
        expect(storage).toMatchObject({ what: 'identity', reason: expect.stringContaining(loss) })
        expect(storage!.reason).toContain(why)
      }
      const before = (await viewOf(tabs[0]!)).self
      await tabs[0]!.reload()
      await expectOneCluster(tabs)
      expect(authorityOf((await viewOf(tabs[0]!)).self)).not.toBe(authorityOf(before))
    })
  }

  test('a tab without a key is refused by those that have one, with the reason', async ({
    openTab,
    site,
    room,
    browser,
  }) => {
    const tabs = await openTabs(openTab, clusterUrl(site, room), 2)
    await expectOneCluster(tabs)
    const keyless = await openWith(
      await browser.newContext(),
      openTab,
      clusterUrl(site, room),
      removing('crypto', 'subtle'),
    )
    const end = await joinEnd(keyless)
    expect(end).toMatchObject({ up: false, code: 'refused' })
    expect(end).toHaveProperty('message', expect.stringContaining('has no key to prove who it is'))
    expect(end).toHaveProperty('message', expect.stringContaining('https'))
    await expectOneCluster(tabs)
  })
})

test('two live lives of one authority: one stays, the other becomes somebody else, once', async ({
  openTab,
  site,
  room,
  browser,
}) => {
  const url = clusterUrl(site, room)
  const observer = await openTab(url)
  const context = await browser.newContext()
  const old = await openWith(context, openTab, url, locksThatDoNotLock)
  await expectOneCluster([observer, old])
  const refused = (await viewOf(old)).self
  // has the same sessionStorage and the same IndexedDB, and nothing keeps the two apart
  const newer = await duplicate(old)
  await expectOneCluster([observer, old, newer])
  const kept = (await viewOf(newer)).self
  const authority = authorityOf(refused)
  expect([authorityOf(kept), generationOf(kept)]).toEqual([authority, generationOf(refused) + 1])
  expect(authorityOf((await viewOf(old)).self)).not.toBe(authority)
  expect(await eventsOf(old, 'authority-conflict')).toMatchObject([{ authority, kept, refused }])
  expect(await eventsOf(old, 'reborn')).toMatchObject([{ old: refused }])
  // life goes on for a while, and nobody changes any more
  const selves = await Promise.all([observer, old, newer].map(async (tab) => (await viewOf(tab)).self))
  for (let round = 0; round < 20; round++) {
    await publish(newer, 'round', round)
    for (const tab of [observer, old])
      await expect.poll(() => published(tab, 'round')).toEqual({ [kept]: round })
  }
  await expectOneCluster([observer, old, newer])
  expect(await Promise.all([observer, old, newer].map(async (tab) => (await viewOf(tab)).self))).toEqual(
    selves,
  )
  expect(
    (await Promise.all([observer, old, newer].map((tab) => eventsOf(tab, 'reborn')))).flat(),
  ).toHaveLength(1)
  for (const tab of [observer, newer]) {
    const lists = await tab.evaluate(() => window.tab.lists)
    const twice = lists.filter((list) => {
      const up = list.filter(({ status }) => status === 'up').map(({ nodeId }) => authorityOf(nodeId))
      return new Set(up).size < up.length
    })
    expect(twice, 'no list ever showed the authority twice').toEqual([])
  }
})

test('keys cost little', async ({ openTab, site }) => {
  const page = await openTab(site.pageUrl('adapters'))
  const cost = await page.evaluate(async () => {
    const { createKeyPair, createWebCryptoKeys, signWith } = window.adapters
    const { subtle } = crypto
    // the browser's clock is too coarse for one at a time
    const mean = async (run: () => Promise<unknown>, count = 200): Promise<number> => {
      const start = performance.now()
      for (let i = 0; i < count; i++) await run()
      return (performance.now() - start) / count
    }
    const keys = await createKeyPair(subtle)
    const bytes = new Uint8Array(400)
    const signature = await signWith(subtle, keys, bytes)
    const { verify } = createWebCryptoKeys()
    return {
      kind: keys.privateKey.algorithm.name,
      publicKeyBytes: keys.publicKey.length,
      good: await verify(keys.publicKey, keys.authority, bytes, signature),
      createMs: await mean(() => createKeyPair(subtle)),
      signMs: await mean(() => signWith(subtle, keys, bytes)),
      verifyMs: await mean(() => verify(keys.publicKey, keys.authority, bytes, signature)),
    }
  })
  console.log(`keys, means: ${JSON.stringify(cost)}`)
  expect(cost).toMatchObject({ kind: 'Ed25519', publicKeyBytes: 44, good: true })
  expect(cost.signMs + cost.verifyMs).toBeLessThan(50)
})

test('both ends of a WebRTC link know its certificates', async ({ openTab, site }) => {
  const page = await openTab(site.pageUrl('adapters'))
  const [a, b] = await page.evaluate(async () => {
    const { createBrowserClock, createWebRtcTransport, openPair } = window.adapters
    const pair = openPair({ transport: () => createWebRtcTransport(), clock: createBrowserClock() })
    await Promise.all([pair.a.untilOpen(), pair.b.untilOpen()])
    const fingerprints = [pair.a.link.fingerprints, pair.b.link.fingerprints]
    pair.close()
    return fingerprints
  })
  expect(a!.local).toMatch(/^sha-256 ([0-9A-F]{2}:){31}[0-9A-F]{2}$/)
  expect(b).toEqual({ local: a!.remote, remote: a!.local })
  expect(a!.local).not.toBe(a!.remote)
})

/** What IndexedDB keeps of an identity, and whether its key can be read. */
function keyOf(tab: Page, cluster: string, authority: string) {
  return tab.evaluate(
    async ([room, name]) => {
      const record = await new Promise<{
        generation: number
        keys: { publicKey: Uint8Array<ArrayBuffer>; privateKey: CryptoKey }
      }>((resolve, reject) => {
        const opening = indexedDB.open('grainmesh')
        opening.addEventListener('success', () => {
          const store = opening.result.transaction('records').objectStore('records')
          const request = store.get(['identity', room!, name!])
          request.addEventListener('success', () => {
            opening.result.close()
            resolve(request.result)
          })
          request.addEventListener('error', () => reject(request.error ?? new Error('not found')))
        })
      })
      const { publicKey, privateKey } = record.keys
      const tryExport = (format: 'pkcs8' | 'jwk') =>
        crypto.subtle.exportKey(format as 'pkcs8', privateKey).then(() => 'was read', String)
      const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', publicKey))
      const bits = [...hash].map((byte) => byte.toString(2).padStart(8, '0')).join('')
      const alphabet = 'abcdefghijklmnopqrstuvwxyz234567'
      const derived = Array.from(
        { length: 20 },
        (_, i) => alphabet[Number.parseInt(bits.slice(5 * i, 5 * i + 5), 2)],
      )
      return {
        generation: record.generation,
        extractable: privateKey.extractable,
        exports: [await tryExport('pkcs8'), await tryExport('jwk')],
        publicKey: [...publicKey].join(),
        derived: derived.join(''),
      }
    },
    [cluster, authority],
  )
}

/** As the browser's "duplicate tab": a copy of the sessionStorage. */
async function duplicate(tab: Page): Promise<Page> {
  const [copy] = await Promise.all([
    tab.context().waitForEvent('page'),
    tab.evaluate(() => void window.open(location.href)),
  ])
  await copy.waitForFunction(() => 'tab' in window)
  return copy
}

async function openWith(
  context: BrowserContext,
  openTab: OpenTab,
  url: string,
  script: string,
): Promise<Page> {
  await context.addInitScript(script)
  return openTab(url, { context })
}

function removing(owner: string, name: string): string {
  return `Object.defineProperty(${owner}, '${name}', { value: undefined, configurable: true })`
}

/** Web Locks that grant everything to everybody. */
const locksThatDoNotLock = `
  // about:blank has none
  if (navigator.locks) navigator.locks.request = (name, options, granted) => Promise.resolve(granted({ name }))
`
