/** Tabs come and go: how that looks from the tabs that stay, and what a page has left of it. */
import type { CDPSession, Page } from '@playwright/test'
import type { Held } from './pages/instruments.ts'
import { expect, test } from './support/fixtures.ts'
import type { Site } from './support/fixtures.ts'
import {
  authorityOf,
  clusterUrl,
  expectOneCluster,
  generationOf,
  joinEnd,
  leave,
  openInstrumented,
  openTabs,
  publish,
  published,
  viewOf,
} from './tabs.ts'

const ways: Readonly<Record<string, (tab: Page, site: Site) => Promise<unknown>>> = {
  'calls leave()': (tab) => leave(tab),
  'is closed': (tab) => tab.close({ runBeforeUnload: true }),
  'navigates away': (tab) => tab.goto('about:blank'),
  'is closed with its window': (tab) => tab.context().close(),
}

test.describe('a tab goes', () => {
  for (const [way, go] of Object.entries(ways)) {
    test(`and is removed everywhere at once: it ${way}`, async ({ openTab, site, room }) => {
      const tabs = await openTabs(openTab, clusterUrl(site, room), 4)
      await expectOneCluster(tabs)
      const [leaver, ...rest] = tabs
      const { self } = await viewOf(leaver!)
      const started = Date.now()
      await go(leaver!, site)
      await expectOneCluster(rest)
      const times = await Promise.all(rest.map((tab) => tab.evaluate(removalOf, self)))
      const slowest = Math.max(...times) - started
      console.log(`a tab that ${way} is removed everywhere after ${slowest} ms`)
      expect(slowest).toBeLessThan(2_000)
      for (const tab of rest) {
        const lists = await tab.evaluate(() => window.tab.lists)
        const lost = lists.flat().filter(({ status }) => status === 'unreachable')
        expect(lost, 'it said goodbye, and nobody had to miss it').toEqual([])
      }
    })
  }

  test('and comes back by a reload: same authority, next generation, never two lives', async ({
    openTab,
    site,
    room,
  }) => {
    const [one, two] = await openTabs(openTab, clusterUrl(site, room), 2)
    const watcher = two!
    await expectOneCluster([one!, watcher])
    for (let reload = 0; reload < 5; reload++) {
      const before = (await viewOf(one!)).self
      await one!.reload()
      await expectOneCluster([one!, watcher])
      const after = (await viewOf(one!)).self
      expect(authorityOf(after)).toBe(authorityOf(before))
      expect(generationOf(after)).toBe(generationOf(before) + 1)
      const lists = await watcher.evaluate(() => window.tab.lists)
      expect(lists.at(-1)?.map(({ nodeId }) => nodeId)).not.toContain(before)
      const doubled = lists.filter((list) => {
        const authorities = list.map(({ nodeId }) => authorityOf(nodeId))
        return new Set(authorities).size < authorities.length
      })
      expect(doubled, 'no moment had two lives of one authority').toEqual([])
    }
  })

  test('but stays, as the user takes it back: nobody has noticed', async ({ openTab, site, room }) => {
    const [tab, ...rest] = await openTabs(openTab, clusterUrl(site, room), 3)
    await expectOneCluster([tab!, ...rest])
    const { self } = await viewOf(tab!)
    const told = await rest[0]!.evaluate(() => window.tab.lists.length)
    await tab!.evaluate(() => addEventListener('beforeunload', (event) => event.preventDefault()))
    // Chromium asks only a user who has touched the page
    await tab!.mouse.click(1, 1)
    const ways = {
      closes: () => tab!.close({ runBeforeUnload: true }),
      reloads: () => tab!.evaluate(() => void setTimeout(() => location.reload())),
      navigates: () => tab!.evaluate(() => void setTimeout(() => location.assign('about:blank'))),
    }
    for (const [way, go] of Object.entries(ways)) {
      const [dialog] = await Promise.all([tab!.waitForEvent('dialog'), go()])
      expect(dialog.type(), way).toBe('beforeunload')
      await dialog.dismiss()
      await publish(tab!, 'after', way)
      for (const other of rest) {
        await expect.poll(() => published(other, 'after'), 'it is still in').toEqual({ [self]: way })
      }
    }
    expect((await viewOf(tab!)).self).toBe(self)
    await expectOneCluster([tab!, ...rest])
    const lists = await rest[0]!.evaluate((from) => window.tab.lists.slice(from), told)
    const sizes = lists.map((list) => list.filter(({ status }) => status === 'up').length)
    expect(new Set([3, ...sizes]), 'no list was without it').toEqual(new Set([3]))
  })

  test('while it joins, and comes back by a reload', async ({ openTab, site, room }) => {
    const url = clusterUrl(site, room)
    const one = await openTab(url)
    await expectOneCluster([one])
    const two = await openTab(url, { waitUntil: 'commit' })
    for (let i = 0; i < 4; i++) await two.goto(`${url.replace('#', `?${i}#`)}`, { waitUntil: 'commit' })
    await expect.poll(() => two.evaluate(() => window.tab?.ended)).toEqual({ up: true })
    await expectOneCluster([one, two])
  })

  test('and comes back by the history', async ({ openTab, site, room, playwright }) => {
    const { launchOptions } = test.info().project.use
    // Playwright switches the back/forward cache off otherwise
    const ignoreDefaultArgs = ['--disable-back-forward-cache']
    const browser = await playwright.chromium.launch({ ...launchOptions, ignoreDefaultArgs })
    const one = await openTab(clusterUrl(site, room))
    const two = await openTab(clusterUrl(site, room), { context: await browser.newContext() })
    await expectOneCluster([one, two])
    const { self } = await viewOf(two)
    await two.goto(site.pageUrl('adapters'))
    await expectOneCluster([one])
    await two.evaluate(() => void setTimeout(() => history.back()))
    await expect.poll(async () => (await viewOf(one)).members.length).toBe(2)
    await expectOneCluster([one, two])
    const back = (await viewOf(two)).self
    expect(authorityOf(back)).toBe(authorityOf(self))
    expect(generationOf(back)).toBeGreaterThan(generationOf(self))
    await browser.close()
  })

  test('into the back/forward cache and out of it: the next life has what the last one published', async ({
    openTab,
    site,
    room,
  }) => {
    const [one, two] = await openTabs(openTab, clusterUrl(site, room), 2)
    await expectOneCluster([one!, two!])
    const { self } = await viewOf(one!)
    await publish(one!, 'kept', 'still here')
    const dispatch = (type: 'pagehide' | 'pageshow') =>
      one!.evaluate((name) => void dispatchEvent(new PageTransitionEvent(name, { persisted: true })), type)
    await dispatch('pagehide')
    await expectOneCluster([two!])
    await dispatch('pageshow')
    await expectOneCluster([one!, two!])
    const back = (await viewOf(one!)).self
    expect(authorityOf(back)).toBe(authorityOf(self))
    expect(generationOf(back)).toBe(generationOf(self) + 1)
    await expect.poll(() => published(two!, 'kept')).toEqual({ [back]: 'still here' })
  })
})

test('a duplicated tab is somebody else', async ({ openTab, site, room }) => {
  const url = clusterUrl(site, room)
  const one = await openTab(url)
  await expectOneCluster([one])
  const opened = one.context().waitForEvent('page')
  // with an opener, so that the new tab starts with a copy of the sessionStorage
  await one.evaluate(() => void window.open(location.href))
  const two = await opened
  await expect.poll(() => two.evaluate(() => window.tab?.ended)).toEqual({ up: true })
  await expectOneCluster([one, two])
  expect(await two.evaluate(() => window.opener !== null)).toBe(true)
  expect(authorityOf((await viewOf(two)).self)).not.toBe(authorityOf((await viewOf(one)).self))

  // each goes on as itself
  const [a, b] = [(await viewOf(one)).self, (await viewOf(two)).self]
  await one.reload()
  await expectOneCluster([one, two])
  await two.reload()
  await expectOneCluster([one, two])
  expect(authorityOf((await viewOf(one)).self)).toBe(authorityOf(a))
  expect(authorityOf((await viewOf(two)).self)).toBe(authorityOf(b))
})

test.describe('in one page', () => {
  test('joining a room twice gives one membership, which lasts until both have left', async ({
    openTab,
    site,
    room,
  }) => {
    const other = await openTab(clusterUrl(site, room))
    const page = await openTab(site.pageUrl('cluster'))
    await page.evaluate(async (name) => {
      const { grainmesh, options } = window.tab
      const handles = await Promise.all([1, 2].map(() => grainmesh.joinCluster(name, options())))
      window.tab.handles = handles
      window.tab.cluster = handles[0]!
    }, room)
    await expectOneCluster([page, other])
    const ids = await page.evaluate(() => window.tab.handles.map(({ self }) => self.nodeId))
    expect(ids[0]).toBe(ids[1])
    const states = () => page.evaluate(() => window.tab.handles.map(({ status }) => status.get()))
    await page.evaluate(() => window.tab.handles[1]!.leave())
    expect(await states()).toEqual(['up', 'left'])
    await publish(page, 'x', 'still in')
    await expect.poll(() => published(other, 'x')).toEqual({ [ids[0]!]: 'still in' })
    await expectOneCluster([page, other])
    await page.evaluate(() => window.tab.handles[0]!.leave())
    expect(await states()).toEqual(['left', 'left'])
    await expectOneCluster([other])

    // joined anew by two while the last use of the two before is still ending
    const anew = await page.evaluate(async (name) => {
      const { grainmesh, options, handles } = window.tab
      const join = () => grainmesh.openCluster(name, options())
      handles.splice(0, 2, join(), join())
      const left = [handles[0]!.leave(), handles[1]!.leave()]
      const third = join()
      await Promise.all(left)
      const fourth = join()
      await Promise.all([third.ready, fourth.ready])
      handles.splice(0, 2, third, fourth)
      window.tab.cluster = third
      return handles.map(({ self }) => self.nodeId)
    }, room)
    expect(anew[0]).toBe(anew[1])
    await expectOneCluster([page, other])
  })

  test('aborting one of two joins keeps the other', async ({ openTab, site, room }) => {
    const page = await openTab(site.pageUrl('cluster'))
    const codes = await page.evaluate(async (name) => {
      const { open } = window.tab
      const aborts = [new AbortController(), new AbortController()]
      const [first, second] = aborts.map(({ signal }) => open(name, { signal }))
      aborts[0]!.abort()
      const end = await first!.ready.catch(({ code }: { code: string }) => code)
      await second!.ready
      return [end, first!.status.get(), second!.status.get()]
    }, room)
    expect(codes).toEqual(['aborted', 'left', 'up'])
    await expectOneCluster([page, await openTab(clusterUrl(site, room))])
  })

  test('leaving, then joining, works; so does joining, leaving and joining without a wait', async ({
    openTab,
    site,
    room,
  }) => {
    const other = await openTab(clusterUrl(site, room))
    const page = await openTab(clusterUrl(site, room))
    await expectOneCluster([page, other])
    const { self } = await viewOf(page)
    await leave(page)
    await page.evaluate((name) => void window.tab.open(name), room)
    expect(await joinEnd(page)).toEqual({ up: true })
    await expectOneCluster([page, other])
    const second = (await viewOf(page)).self
    expect(authorityOf(second)).toBe(authorityOf(self))
    expect(generationOf(second)).toBe(generationOf(self) + 1)

    // what React's StrictMode does to an effect, and once more
    const codes = await page.evaluate(async (name) => {
      void window.tab.cluster.leave()
      const [first, second] = [window.tab.open(name), window.tab.open(name)]
      void first.leave()
      void second.leave()
      const third = window.tab.open(name)
      void third.leave()
      const last = window.tab.open(name)
      const ends = await Promise.allSettled([first, second, third, last].map(({ ready }) => ready))
      return ends.map((end) => (end.status === 'fulfilled' ? 'up' : (end.reason as { code: string }).code))
    }, room)
    expect(codes).toEqual(['aborted', 'aborted', 'aborted', 'up'])
    await expectOneCluster([page, other])
    expect(authorityOf((await viewOf(page)).self), 'the same tab').toBe(authorityOf(self))
  })

  test('two clusters have nothing to do with each other', async ({ openTab, site, room }) => {
    const [one, two] = [`${room}-1`, `${room}-2`]
    const others = [await openTab(clusterUrl(site, one)), await openTab(clusterUrl(site, two))]
    const page = await openTab(site.pageUrl('cluster'))
    await page.evaluate(
      async (names) => {
        const { grainmesh, options } = window.tab
        const handles = await Promise.all(names.map((name) => grainmesh.joinCluster(name, options())))
        window.tab.handles = handles
      },
      [one, two],
    )
    for (const [i, other] of others.entries()) {
      await page.evaluate((index) => void (window.tab.cluster = window.tab.handles[index]!), i)
      await expectOneCluster([page, other])
    }
    await page.evaluate(() => window.tab.handles[1]!.leave())
    await expectOneCluster([others[1]!])
    await page.evaluate(() => void (window.tab.cluster = window.tab.handles[0]!))
    await expectOneCluster([page, others[0]!])
  })

  test('a hundred joins and leaves leave nothing behind', async ({ openTab, site, room, browser }) => {
    test.slow()
    const other = await openTab(clusterUrl(site, room))
    await expectOneCluster([other])
    const page = await openInstrumented(await browser.newContext(), openTab, site.pageUrl('cluster'))
    const before = await heldIn(page)
    // the code has settled by then: what is compiled later counts as heap, too
    await joinAndLeave(page, room, 30)
    const first = await atRest(page)
    await joinAndLeave(page, room, 100)
    expect(await page.evaluate(() => window.instruments.connections.length)).toBeGreaterThanOrEqual(100)
    await expect.poll(() => heldIn(page), { timeout: 20_000 }).toEqual(before)
    const locks = await page.evaluate(async () =>
      (await navigator.locks.query()).held?.map(({ name }) => name),
    )
    expect(locks).toEqual([])
    const last = await atRest(page)
    console.log(`100 joins and leaves: ${JSON.stringify({ first, last })}`)
    expect(first.listeners.length, 'the listeners are seen').toBeGreaterThan(0)
    // the clock of the page makes one port, at the first timer without a delay, which may come late
    expect(last.listeners.filter((name) => name === PORT).length).toBeLessThanOrEqual(1)
    const others = ({ listeners }: Rest): string[] => listeners.filter((name) => name !== PORT)
    expect(others(last), 'listeners of anything else').toEqual(others(first))
    expect(last.nodes).toBeLessThanOrEqual(first.nodes)
    expect(last.bytes - first.bytes, 'a join leaves less than 4 KB').toBeLessThan(400_000)
    await expectOneCluster([other])
    const size = await other.evaluate(() => window.tab.cluster.members.get().length)
    expect(size).toBe(1)
  })
})

/** Wall clock of when a tab learned that a member was removed. */
function removalOf(nodeId: string): number {
  const removal = window.tab.cluster.events
    .recent()
    .find((event) => event.type === 'member-status' && event.nodeId === nodeId && event.to === 'removed')
  return removal?.at ?? Number.NaN
}

async function joinAndLeave(page: Page, room: string, times: number): Promise<void> {
  await page.evaluate(
    async ([name, count]) => {
      const { grainmesh, options } = window.tab
      for (let i = 0; i < count; i++) {
        const cluster = await grainmesh.joinCluster(name, options())
        cluster.peerState('round').set(i)
        await cluster.leave()
      }
    },
    [room, times] as const,
  )
}

const heldIn = (page: Page): Promise<Held> => page.evaluate(() => window.instruments.held())

const PORT = 'MessagePort message'

interface Rest {
  /** Of every living event target of the page: its class and what it listens for. */
  readonly listeners: readonly string[]
  readonly bytes: number
  readonly nodes: number
}

/**
 * What is left once Chromium has collected what was closed: it keeps connections for a while. Listeners are counted on
 * the objects themselves, by name: a number alone does not say what is left.
 */
async function atRest(page: Page): Promise<Rest> {
  await page.evaluate(() => {
    const { connections, channels, sockets } = window.instruments
    for (const list of [connections, channels, sockets]) list.length = 0
  })
  const session = await page.context().newCDPSession(page)
  await session.send('Performance.enable')
  const listeners = async (): Promise<string[]> => {
    await session.send('HeapProfiler.collectGarbage')
    return listenersIn(session)
  }
  await expect
    .poll(async () => (await listeners()).length, { timeout: 40_000, intervals: [500] })
    .toBeLessThan(12)
  const rest = await listeners()
  const { metrics } = await session.send('Performance.getMetrics')
  await session.detach()
  const value = (name: string): number => metrics.find((metric) => metric.name === name)?.value ?? Number.NaN
  return { listeners: rest, bytes: value('JSHeapUsedSize'), nodes: value('Nodes') }
}

async function listenersIn(session: CDPSession): Promise<string[]> {
  const objectGroup = 'listeners'
  const { result } = await session.send('Runtime.evaluate', {
    expression: 'EventTarget.prototype',
    objectGroup,
  })
  const { objects } = await session.send('Runtime.queryObjects', {
    prototypeObjectId: result.objectId!,
    objectGroup,
  })
  const { result: targets } = await session.send('Runtime.getProperties', {
    objectId: objects.objectId!,
    ownProperties: true,
  })
  const found: string[] = []
  for (const { value } of targets) {
    if (!value?.objectId) continue
    const { listeners } = await session.send('DOMDebugger.getEventListeners', { objectId: value.objectId })
    found.push(...listeners.map(({ type }) => `${value.className} ${type}`))
  }
  // what was looked at would be kept, else
  await session.send('Runtime.releaseObjectGroup', { objectGroup })
  return found.toSorted()
}
