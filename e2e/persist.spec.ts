/** Grains that persist: a room whose tabs were all closed, or lost, finds its state again. */
import type { BrowserContext, Page } from '@playwright/test'
import { expect, test } from './support/fixtures.ts'
import type { OpenTab } from './support/fixtures.ts'

const KEYS = Array.from({ length: 20 }, (_, i) => `key-${i}`)

test('two tabs count, both are closed, and two others go on', async ({ browser, openTab, room, site }) => {
  const context = await browser.newContext()
  const url = `${site.pageUrl('grains')}?persist#${room}`
  const before = await openBoth(openTab, url, context)
  await addTo(before)
  const names = await readAll(before[0])
  expect(names.map((list) => list.length)).toEqual(KEYS.map(() => 2))
  // of the last of them as well: what is not on disk yet is put there when a tab is closed
  await Promise.all(before.map((tab) => tab.close()))

  const after = await openBoth(openTab, url, context)
  expect(await readAll(after[0])).toEqual(names)
  expect(await readAll(after[1])).toEqual(names)
  await addTo(after)
  expect((await readAll(after[1])).map((list) => list.length)).toEqual(KEYS.map(() => 4))
  expect(await toldOf(after)).toEqual([])
  await expect.poll(() => processesOnDisk(after[0]), { timeout: 10_000 }).toBe(2)
})

test('what was counted is there after all renderers were lost', async ({
  allowErrors,
  browser,
  openTab,
  room,
  site,
}) => {
  allowErrors(/the renderer crashed/)
  const context = await browser.newContext()
  const url = `${site.pageUrl('grains')}?persist#${room}`
  const before = await openBoth(openTab, url, context)
  await addTo(before)
  const names = await readAll(before[0])
  // a change is on disk a second later
  await expect.poll(() => keysOnDisk(before[0]), { timeout: 10_000 }).toBe(2 * KEYS.length)
  for (const tab of before) {
    const crash = tab.waitForEvent('crash')
    tab.goto('chrome://crash').catch(() => undefined)
    await crash
    await tab.close()
  }
  // the signaling server waits for tabs without goodbye: see --fresh
  await site.signaling.stop()
  await site.signaling.start({ fresh: true })

  const after = await openBoth(openTab, url, context)
  expect(await readAll(after[1])).toEqual(names)
  expect(await toldOf(after)).toEqual([])
})

test('what was cleared leaves nothing on disk', async ({ browser, openTab, room, site }) => {
  const context = await browser.newContext()
  const url = `${site.pageUrl('grains')}?persist#${room}`
  const [tab] = await openBoth(openTab, url, context)
  await addTo([tab])
  await expect.poll(() => statesOnDisk(tab), { timeout: 10_000 }).toBe(2 * KEYS.length)
  await tab.evaluate(async (keys) => {
    const { cluster, Counter } = window.grains
    await Promise.all(keys.map((key) => cluster.grain(Counter, key).clear()))
  }, KEYS)
  await expect.poll(() => statesOnDisk(tab), { timeout: 10_000 }).toBe(0)
})

test('where IndexedDB is blocked counters are in memory, and an event says so', async ({
  browser,
  openTab,
  room,
  site,
}) => {
  const context = await browser.newContext()
  await context.addInitScript(() => Object.defineProperty(globalThis, 'indexedDB', { value: undefined }))
  const url = `${site.pageUrl('grains')}?persist#${room}`
  const tabs = await openBoth(openTab, url, context)
  await addTo(tabs)
  expect((await readAll(tabs[1])).map((list) => list.length)).toEqual(KEYS.map(() => 2))
  const told = await toldOf(tabs)
  expect(told).toContainEqual(expect.stringContaining('grains begin without what was stored of them'))
  await expect
    .poll(() => toldOf(tabs), { timeout: 10_000 })
    .toContainEqual(expect.stringContaining('grains could not be stored'))
})

async function openBoth(openTab: OpenTab, url: string, context: BrowserContext): Promise<[Page, Page]> {
  const tabs: [Page, Page] = [await openTab(url, { context }), await openTab(url, { context })]
  for (const tab of tabs) await tab.waitForFunction(() => window.grains.cluster.members.get().length === 2)
  // Until the second one holds copies.
  for (const tab of tabs)
    await tab.waitForFunction(
      (keys) => window.grains.look(keys)?.entries.every((entry) => entry?.inSync.length === 2),
      KEYS,
    )
  return tabs
}

/** Each tab adds to each key once. */
async function addTo(tabs: readonly Page[]): Promise<void> {
  for (const tab of tabs) {
    await tab.evaluate(
      (keys) => Promise.all(keys.map((key) => window.grains.add(key, `${window.grains.page} ${key}`))),
      KEYS,
    )
    const codes = await tab.evaluate(() => window.grains.ended.map(({ code }) => code))
    expect(codes.filter((code) => code !== undefined)).toEqual([])
  }
}

const readAll = (tab: Page): Promise<(readonly string[])[]> =>
  tab.evaluate((keys) => Promise.all(keys.map((key) => window.grains.read(key))), KEYS)

/** Whatever was said of storage, and of state that may be old. */
async function toldOf(tabs: readonly Page[]): Promise<string[]> {
  const told = await Promise.all(
    tabs.map((tab) =>
      tab.evaluate(() =>
        window.grains.cluster.events
          .recent()
          .filter(({ type }) => type === 'storage' || type === 'state-provisional')
          .map((event) => JSON.stringify(event)),
      ),
    ),
  )
  return told.flat().filter((event) => !event.includes('"what":"identity"') && !event.includes('"snapshot"'))
}

const placesOnDisk = (tab: Page): Promise<{ place: string[]; bytes: number }[]> =>
  tab.evaluate(
    () =>
      new Promise((resolve, reject) => {
        const opening = indexedDB.open('grainmesh-copies')
        opening.addEventListener('error', () => reject(opening.error!))
        opening.addEventListener('success', () => {
          const records = opening.result.transaction('copies').objectStore('copies')
          const keys = records.getAllKeys()
          const values = records.getAll()
          values.addEventListener('success', () => {
            opening.result.close()
            resolve(
              keys.result.map((place, i) => ({
                place: place as string[],
                bytes: (values.result[i] as Uint8Array).length,
              })),
            )
          })
        })
      }),
  )

async function keysOnDisk(tab: Page): Promise<number> {
  const places = await placesOnDisk(tab)
  return places.filter(({ place }) => place.length === 4 && !place[3]!.startsWith('$')).length
}

/** Those that are larger than the record of a call. */
async function statesOnDisk(tab: Page): Promise<number> {
  const places = await placesOnDisk(tab)
  return places.filter(({ place, bytes }) => place.length === 4 && bytes > 60).length
}

async function processesOnDisk(tab: Page): Promise<number> {
  return new Set((await placesOnDisk(tab)).map(({ place }) => place[1])).size
}
