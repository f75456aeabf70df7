/** A tab of six that is reloaded again and again: one cluster, no ghost, and at no moment two lives of one authority. */
import type { Browser, Page } from '@playwright/test'
import type { SeenList } from './pages/cluster.ts'
import { expect, test } from './support/fixtures.ts'
import type { OpenTab } from './support/fixtures.ts'
import { authorityOf, clusterUrl, eventsOf, expectOneCluster, generationOf, joinEnd, viewOf } from './tabs.ts'
import { hasDouble, report } from './witnesses.ts'

const RELOADS = process.env['GRAINMESH_FULL'] === '1' ? 20 : 5
const KEPT = 'seen list '

const PLAN = 'reload plan'

/** When a load gives way to the next one. */
type Stage = 'at its start' | 'once its script has run' | 'once its life has begun'
const STAGES: readonly Stage[] = ['at its start', 'once its script has run', 'once its life has begun']

test(`reloaded ${RELOADS} times, each time as soon as it is up: never there twice`, async ({
  openTab,
  site,
  room,
  browser,
}) => {
  test.setTimeout(RELOADS * 15_000 + 30_000)
  const [tab, ...rest] = await openKeeping(browser, openTab, clusterUrl(site, room), 6)
  const before = await viewOf(tab!)
  const rejoins: number[] = []
  for (let reload = 0; reload < RELOADS; reload++) {
    await tab!.reload()
    expect(await joinEnd(tab!)).toEqual({ up: true })
    rejoins.push(await tab!.evaluate(() => Math.round(window.tab.upAt! - window.tab.startedAt)))
  }
  report('reloaded, from script start until up', rejoins)
  await expectOneCluster([tab!, ...rest])
  const after = await viewOf(tab!)
  expect(authorityOf(after.self)).toBe(authorityOf(before.self))
  expect(generationOf(after.self), 'one life for each load').toBe(generationOf(before.self) + RELOADS)
  await expectNoTrace(tab!, rest)
  for (const seenBy of [tab!, ...rest]) {
    const seen = (await keptLists(seenBy)).flat().map(({ nodeId }) => nodeId)
    const lives = new Set(seen.filter((nodeId) => authorityOf(nodeId) === authorityOf(after.self)))
    expect(lives.size, 'the lists are those of all loads').toBe(RELOADS + 1)
  }
})

test('reloaded seven times, faster than it joins: one cluster, and no ghost', async ({
  openTab,
  site,
  room,
  browser,
}) => {
  test.setTimeout(90_000)
  const [tab, ...rest] = await openKeeping(browser, openTab, clusterUrl(site, room), 6)
  const before = await viewOf(tab!)
  await tab!.evaluate(
    ([key, plan]) => {
      sessionStorage.setItem(key, plan)
      setTimeout(() => location.reload())
    },
    [PLAN, JSON.stringify([...STAGES, ...STAGES])] as const,
  )
  await tab!.waitForFunction((key) => sessionStorage.getItem(key) === '[]' && window.tab?.ended, PLAN)
  await expectOneCluster([tab!, ...rest])
  const loaded = await tab!.evaluate(() => Math.round(performance.timeOrigin))
  report('reloaded while it joins, from the last load until one cluster', [Date.now() - loaded])
  const after = await viewOf(tab!)
  expect(authorityOf(after.self)).toBe(authorityOf(before.self))
  const lives = generationOf(after.self) - generationOf(before.self)
  expect(lives, 'at least the last load, and two before it, began a life').toBeGreaterThanOrEqual(3)
  expect(lives, 'no load began two').toBeLessThanOrEqual(7)
  await expectNoTrace(tab!, rest)
})

/** One cluster of tabs that keep every list they show, whatever becomes of the page that showed it. */
async function openKeeping(browser: Browser, openTab: OpenTab, url: string, count: number): Promise<Page[]> {
  const tabs: Page[] = []
  for (let i = 0; i < count; i++) {
    const context = await browser.newContext()
    await context.addInitScript(keepLists, KEPT)
    await context.addInitScript(reloadAsPlanned, PLAN)
    tabs.push(await openTab(url, { context }))
  }
  await expectOneCluster(tabs)
  return tabs
}

/** Runs in the page, before all else. The sessionStorage outlives a reload. */
function keepLists(prefix: string): void {
  window.keepList = (list) => sessionStorage.setItem(`${prefix}${crypto.randomUUID()}`, JSON.stringify(list))
}

/** Runs in the page, before all else: the page reloads itself as a driver from outside could not, that soon. */
function reloadAsPlanned(key: string): void {
  // it has no sessionStorage
  if (location.href === 'about:blank') return
  const [stage, ...later] = JSON.parse(sessionStorage.getItem(key) ?? '[]') as Stage[]
  if (stage === undefined) return
  sessionStorage.setItem(key, JSON.stringify(later))
  const reload = (): void => location.reload()
  if (stage === 'at its start') {
    reload()
  } else if (stage === 'once its script has run') {
    addEventListener('load', reload)
  } else {
    const keep = window.keepList
    window.keepList = (list) => {
      keep?.(list)
      reload()
    }
  }
}

/** Nothing that any of them ever saw or was told was about a life that should not be. */
async function expectNoTrace(reloaded: Page, others: readonly Page[]): Promise<void> {
  for (const tab of [reloaded, ...others]) {
    const lists = await keptLists(tab)
    expect(lists.length).toBeGreaterThan(0)
    expect(lists.filter(hasDouble), 'no moment had two lives of one authority').toEqual([])
    expect(await eventsOf(tab, 'authority-conflict')).toEqual([])
  }
  for (const tab of others) {
    const changes = await eventsOf(tab, 'member-status')
    const lost = changes.filter(({ to }) => to === 'unreachable')
    expect(lost, 'each life said goodbye, and nobody had to miss it').toEqual([])
  }
}

async function keptLists(tab: Page): Promise<SeenList[]> {
  const texts = await tab.evaluate(
    (prefix) =>
      Object.entries(sessionStorage)
        .filter(([key]) => key.startsWith(prefix))
        .map(([, text]) => text as string),
    KEPT,
  )
  return texts.map((text) => JSON.parse(text) as SeenList)
}
