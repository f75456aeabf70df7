/** The demo page with a real cluster behind it: what a visitor sees and can do. */
import { AxeBuilder } from '@axe-core/playwright'
import type { Locator, Page } from '@playwright/test'
import type { Cluster } from '../src/index.ts'
import { sever } from './pages/obstacles.ts'
import { expect, test } from './support/fixtures.ts'
import type { OpenTab } from './support/fixtures.ts'

test('three tabs see each other in the table and agree on the view', async ({ openTab, site, room }) => {
  const tabs = await Promise.all(['Ada', 'Grace', 'Edsger'].map(() => openTab(roomUrl(site.url, room))))
  await rename(tabs, ['Ada', 'Grace', 'Edsger'])
  for (const tab of tabs) {
    await expect(tab.getByTestId('status')).toHaveText('up')
    await expect(upRows(tab)).toHaveCount(3)
    for (const name of ['Ada', 'Grace', 'Edsger']) await expect(row(tab, name)).toBeVisible()
    await expect(tab.locator('tr.is-self')).toHaveCount(1)
    await expect(tab.getByTestId('gossip-state')).toHaveText('confirmed')
  }
  await expect.poll(async () => new Set(await Promise.all(tabs.map(viewHash))).size).toBe(1)
  expect(await viewHash(tabs[0]!)).toMatch(/^[0-9a-f]{16}$/)
  // every one of the three links has both its ends in the graph of every tab
  for (const tab of tabs) {
    await expect(tab.getByRole('img', { name: 'Graph of members' })).toHaveAccessibleName(
      /3 members, 3 links/,
    )
  }
})

test('the cursor of one tab moves in the other, under its name', async ({ openTab, site, room }) => {
  const [one, two] = [await openTab(roomUrl(site.url, room)), await openTab(roomUrl(site.url, room))]
  await rename([one, two], ['Ada', 'Grace'])
  await expect(row(two, 'Ada')).toBeVisible()
  await expect(upRows(one)).toHaveCount(2)

  await pointAt(one, 0.3, 0.4)
  const cursor = two.getByTestId('cursor')
  await expect(cursor).toHaveText('Ada')
  await expect.poll(() => offset(two, cursor)).toEqual({ x: 0.3, y: 0.4 })
  await pointAt(one, 0.7, 0.6)
  await expect.poll(() => offset(two, cursor)).toEqual({ x: 0.7, y: 0.6 })
  await expect(one.getByTestId('cursor'), 'a tab does not show its own cursor').toHaveCount(0)

  await one.mouse.move(2, 2)
  await expect(cursor).toHaveCount(0)
})

test('pressing a member shows the way to it, by names and in the graph, and how long it takes', async ({
  openTab,
  site,
  room,
  browser,
}) => {
  test.setTimeout(90_000)
  // without relay the two that have no direct way find each other by way of the third, and no other way
  await site.signaling.stop()
  await site.signaling.start({ relay: false })
  const [graces, edsgers] = [await browser.newContext(), await browser.newContext()]
  await graces.addInitScript(sever, { name: 'grace', from: 'edsger' })
  await edsgers.addInitScript(sever, { name: 'edsger', from: 'grace' })
  const url = roomUrl(site.url, room)
  const ada = await openTab(url)
  const grace = await openTab(url, { context: graces })
  const edsger = await openTab(url, { context: edsgers })
  await rename([ada, grace, edsger], ['Ada', 'Grace', 'Edsger'])
  await expect(row(grace, 'Ada')).toHaveAttribute('data-path', 'direct')
  await expect(row(grace, 'Edsger').getByRole('cell', { name: 'routed' })).toBeVisible()
  const layoutShift = await watchLayoutShift(grace)
  const before = await layoutShift()

  const hops = grace.getByRole('list', { name: 'Route' }).getByRole('listitem')
  const drawn = grace.locator('.link[data-route]')
  await expect(hops).toHaveCount(0)
  const button = row(grace, 'Edsger').getByRole('button')
  await button.press('Enter')
  await expect(button).toHaveAttribute('aria-pressed', 'true')
  await expect(hops).toHaveText(['this tab', 'Ada', 'Edsger'])
  await expect(grace.getByTestId('route-rtt')).toHaveText(/^[\d.]+ m?s$/)
  await expect(grace.getByTestId('route')).toContainText(
    'A message to Edsger is passed on by Ada, over 2 links.',
  )
  await expect(drawn).toHaveCount(2)
  for (const colorScheme of ['light', 'dark'] as const) {
    await grace.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
    expect(await violations(grace), colorScheme).toEqual([])
  }

  await row(grace, 'Ada').getByRole('button').click()
  await expect(button).toHaveAttribute('aria-pressed', 'false')
  await expect(hops).toHaveText(['this tab', 'Ada'])
  await expect(grace.getByTestId('route')).toContainText('A message to Ada goes over a direct link')
  await expect(drawn).toHaveCount(1)
  await row(grace, 'Ada').getByRole('button').click()
  await expect(hops).toHaveCount(0)
  await expect(drawn).toHaveCount(0)
  await expect(row(grace, 'Grace').getByRole('button'), 'there is no way to oneself').toBeDisabled()
  expect(await layoutShift()).toBeLessThan(before + 0.01)
})

test('a tab leaves and joins again without a reload', async ({ openTab, site, room }) => {
  const [one, two] = [await openTab(roomUrl(site.url, room)), await openTab(roomUrl(site.url, room))]
  await rename([one, two], ['Ada', 'Grace'])
  await expect(row(two, 'Ada')).toBeVisible()
  const generation = Number(await row(two, 'Ada').locator('td').nth(1).textContent())

  await one.getByTestId('leave').click()
  await expect(one.getByTestId('status')).toHaveText('left')
  await expect(one.getByTestId('member-row')).toHaveCount(0)
  await expect(row(two, 'Ada')).toHaveCount(0)
  await expect(two.getByTestId('event-log')).toContainText('Ada has left')

  await expect(one.getByTestId('rejoin'), 'the focus goes to the way back').toBeFocused()
  await one.keyboard.press('Enter')
  await expect(one.getByTestId('status')).toHaveText('up')
  await expect(upRows(one)).toHaveCount(2)
  await expect(row(two, 'Ada')).toHaveAttribute('data-status', 'up')
  expect(Number(await row(two, 'Ada').locator('td').nth(1).textContent())).toBeGreaterThan(generation)
})

test('the link to one more tab has no opener and leads into the same room', async ({
  openTab,
  site,
  room,
}) => {
  const one = await openTab(roomUrl(site.url, room))
  await expect(one.getByTestId('status')).toHaveText('up')
  const link = one.getByTestId('open-tab')
  await expect(link).toHaveAttribute('target', '_blank')
  await expect(link).toHaveAttribute('rel', /\bnoopener\b/)
  await expect(link).toHaveAttribute('href', roomUrl(site.url, room))

  const opened = one.context().waitForEvent('page')
  await link.click()
  const two = await opened
  await expect(upRows(two)).toHaveCount(2)
  await expect(upRows(one)).toHaveCount(2)
  expect(await two.evaluate(() => window.opener)).toBeNull()
})

test('changing the fragment moves the tab to that room and out of this one', async ({
  openTab,
  site,
  room,
}) => {
  const [one, two] = [await openTab(roomUrl(site.url, room)), await openTab(roomUrl(site.url, room))]
  for (const tab of [one, two]) await expect(upRows(tab)).toHaveCount(2)

  await one.getByTestId('room').fill(`${room} elsewhere`)
  await one.keyboard.press('Enter')
  await expect(one).toHaveURL(roomUrl(site.url, `${room}-elsewhere`))
  await expect(one.getByTestId('room')).toHaveValue(`${room}-elsewhere`)
  await expect(one.getByTestId('status')).toHaveText('up')
  for (const tab of [one, two]) await expect(tab.getByTestId('member-row')).toHaveCount(1)

  await one.goBack()
  for (const tab of [one, two]) await expect(upRows(tab)).toHaveCount(2)
})

test('the skip link leads to the members, and the tab stays in its room', async ({ openTab, site, room }) => {
  const tab = await openTab(roomUrl(site.url, room))
  await expect(tab.getByTestId('status')).toHaveText('up')
  const address = tab.url()
  await tab.keyboard.press('Tab')
  await tab.keyboard.press('Enter')
  await expect(tab.locator('#members-title')).toBeFocused()
  expect(tab.url()).toBe(address)
  await expect(tab.getByTestId('status')).toHaveText('up')
})

test('a visitor without a room gets one with a readable name', async ({ openTab, site }) => {
  const tab = await openTab(site.url)
  await expect(tab).toHaveURL(/#room=[a-z]+-[a-z]+-\d{3}$/)
  await expect(tab.getByTestId('room')).toHaveValue(/^[a-z]+-[a-z]+-\d{3}$/)
  await expect(tab.getByRole('heading', { name: 'You are alone here' })).toBeVisible()
})

test('what other members send is shown as text and nothing else', async ({ openTab, site, room }) => {
  const [one, two] = [await openTab(roomUrl(site.url, room)), await openTab(roomUrl(site.url, room))]
  await expect(upRows(two)).toHaveCount(2)
  await setMeta(one, {
    name: '<b id=evil>\u202Ebold</b> and much, much too long',
    color: 'url(//example.invalid)',
  })
  await expect(row(two, '<b id=evil>bold</b> and')).toBeVisible()
  await expect(two.locator('#evil')).toHaveCount(0)
  const color = await row(two, '<b')
    .locator('.swatch')
    .evaluate((swatch) => swatch.style.cssText)
  expect(color).toMatch(/^--color: #[0-9a-f]{6};$/)

  await setMeta(one, ['not', 'a', 'persona'])
  await expect(row(two, '<b')).toHaveCount(0)
  await expect(upRows(two)).toHaveCount(2)
})

test('a tab tells how it came in, and shows who was there last time until it is', async ({
  openTab,
  site,
  room,
}) => {
  const one = await openTab(roomUrl(site.url, room))
  await expect(one.getByTestId('arrival')).toHaveText(ARRIVAL.none)
  const two = await openTab(roomUrl(site.url, room))
  await expect(two.getByTestId('arrival')).toHaveText(ARRIVAL.full)
  for (const tab of [one, two]) await expect(upRows(tab)).toHaveCount(2)

  await expect.poll(() => snapshotCount(two), { message: 'what it knows is kept' }).toBe(1)
  const release = await holdSignaling(two)
  await two.reload()
  await expect(two.getByTestId('status')).toHaveText('joining')
  await expect(two.locator('[data-testid="member-row"][data-remembered] .member-status')).toHaveText(
    'remembered',
  )
  await expect(two.getByTestId('arrival')).toBeEmpty()
  release()
  await expect(two.getByTestId('arrival')).not.toBeEmpty()
  await expect(two.locator('[data-remembered]')).toHaveCount(0)
  for (const tab of [one, two]) await expect(upRows(tab)).toHaveCount(2)
  // whether the other member has changed since is the cluster's to say, and the page's to repeat
  const how = await joinedBy(two)
  expect(how).not.toBe('none')
  await expect(two.getByTestId('arrival')).toHaveText(ARRIVAL[how])
  await expect(two.getByTestId('event-log')).toContainText(await two.getByTestId('arrival').innerText())
})

test('a frozen tab is suspected, and is the same member when it is back', async ({ openTab, site, room }) => {
  const [ada, ...others] = await threeTabs(openTab, roomUrl(site.url, room))
  const nodeId = await row(others[0]!, 'Ada').getAttribute('data-node-id')
  // both watch from before on: it passes
  const noticed = others.map((tab) =>
    expect(row(tab, 'Ada').locator('.member-status')).toHaveText(/suspected|unreachable/),
  )
  await Promise.all([pressInFailing(ada!, 'Freeze this tab for 10 s'), ...noticed])
  for (const tab of others) {
    await expect(tab.getByTestId('event-log')).toContainText('Ada is suspected')
  }
  await expect(ada!.getByRole('heading', { name: 'Frozen for 10 s' })).toBeHidden()
  for (const tab of others) {
    await expect(row(tab, 'Ada')).toHaveAttribute('data-status', 'up')
    await expect(row(tab, 'Ada')).not.toHaveAttribute('data-suspected')
    await expect(row(tab, 'Ada')).toHaveAttribute('data-node-id', nodeId!)
  }
})

test('a tab stopped without goodbye is lost, not left, until it joins again', async ({
  openTab,
  site,
  room,
}) => {
  const [ada, ...others] = await threeTabs(openTab, roomUrl(site.url, room))
  const generation = Number(await row(others[0]!, 'Ada').locator('td').nth(1).textContent())
  await pressInFailing(ada!, 'Stop without goodbye')
  await expect(ada!.getByRole('heading', { name: 'Stopped without goodbye' })).toBeVisible()
  await expect(ada!.getByTestId('member-row')).toHaveCount(0)
  for (const tab of others) {
    await expect(row(tab, 'Ada')).toHaveAttribute('data-status', 'unreachable')
    await expect(tab.getByTestId('event-log')).toContainText('Ada is lost')
    await expect(tab.getByTestId('event-log')).not.toContainText('Ada has left')
  }
  expect(await violations(others[0]!), 'while a member is lost').toEqual([])
  expect(await violations(ada!), 'after it was stopped').toEqual([])

  await ada!.getByTestId('rejoin').press('Enter')
  await expect(ada!.getByTestId('status')).toHaveText('up')
  for (const tab of others) {
    await expect(upRows(tab)).toHaveCount(3)
    await expect(row(tab, 'Ada').locator('td').nth(1)).toHaveText(String(generation + 1))
  }
})

test('the ways to fail open and close by keyboard, move nothing, and are gone outside the cluster', async ({
  openTab,
  site,
  room,
}) => {
  const tab = await openTab(roomUrl(site.url, room))
  await expect(tab.getByTestId('status')).toHaveText('up')
  const layoutShift = await watchLayoutShift(tab)
  const before = await layoutShift()
  const summary = tab.getByTestId('failing')
  const freeze = tab.getByRole('button', { name: 'Freeze this tab for 10 s' })
  const stop = tab.getByRole('button', { name: 'Stop without goodbye' })
  await expect(freeze).toBeHidden()
  await summary.press('Enter')
  await expect(freeze).toHaveAccessibleDescription(/this tab will not react/)
  await expect(stop).toHaveAccessibleDescription(/swallows its goodbye/)
  await tab.keyboard.press('Tab')
  await expect(freeze).toBeFocused()
  await tab.keyboard.press('Tab')
  await expect(stop).toBeFocused()
  for (const colorScheme of ['light', 'dark'] as const) {
    await tab.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
    expect(await violations(tab), colorScheme).toEqual([])
  }
  await tab.keyboard.press('Escape')
  await expect(freeze).toBeHidden()
  await expect(summary).toBeFocused()
  expect(await layoutShift()).toBe(before)

  await tab.getByTestId('leave').click()
  await expect(summary).toBeHidden()
})

test('an address that cannot work is explained, with a way to try again', async ({ openTab, site, room }) => {
  const tab = await openTab(`${site.url}?signaling=nonsense#room=${room}`)
  const panel = tab.getByRole('alert')
  await expect(panel).toContainText('Could not join')
  await expect(panel).toContainText('invalid-option')
  await expect(tab.getByTestId('status')).toHaveText('failed')
  await panel.getByRole('button', { name: 'Try again' }).click()
  await expect(panel).toContainText('invalid-option')
})

test('a lost signaling server is a banner, not the end', async ({ openTab, site, room, allowErrors }) => {
  allowErrors(/WebSocket/)
  const [one, two] = [await openTab(roomUrl(site.url, room)), await openTab(roomUrl(site.url, room))]
  for (const tab of [one, two]) await expect(upRows(tab)).toHaveCount(2)
  const banner = one.getByText('The cluster goes on without it')
  await expect(banner).toBeHidden()
  await site.signaling.stop()
  await expect(banner).toBeVisible()
  await rename([two], ['Still here'])
  await expect(row(one, 'Still here')).toBeVisible()
  await site.signaling.start()
  await expect(banner).toBeHidden()
})

test('axe finds nothing, light or dark, in or out of the cluster', async ({ openTab, site, room }) => {
  const [one, two] = [await openTab(roomUrl(site.url, room)), await openTab(roomUrl(site.url, room))]
  for (const tab of [one, two]) await expect(upRows(tab)).toHaveCount(2)
  await expect(one.getByTestId('gossip-state')).toHaveText('confirmed')
  for (const colorScheme of ['light', 'dark'] as const) {
    // without motion nothing is half faded in while its contrast is measured
    await one.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
    expect(await violations(one), colorScheme).toEqual([])
  }
  await one.getByTestId('leave').click()
  await expect(one.getByTestId('status')).toHaveText('left')
  expect(await violations(one), 'after leaving').toEqual([])
})

test('the theme can be chosen, and the choice outlives a reload', async ({ openTab, site, room }) => {
  const tab = await openTab(roomUrl(site.url, room))
  const background = () => tab.evaluate(() => getComputedStyle(document.body).backgroundColor)
  const button = tab.getByRole('button', { name: 'Dark theme' })
  await expect(button).toHaveAttribute('aria-pressed', 'false')
  const light = await background()
  await button.click()
  await expect(button).toHaveAttribute('aria-pressed', 'true')
  const dark = await background()
  expect(dark).not.toBe(light)
  await tab.reload()
  await expect(button).toHaveAttribute('aria-pressed', 'true')
  expect(await background()).toBe(dark)
})

test('the layout does not shift while members come and go', async ({ openTab, site, room }) => {
  const tab = await openTab(roomUrl(site.url, room))
  const layoutShift = await watchLayoutShift(tab)
  await expect(tab.getByTestId('status')).toHaveText('up')
  const two = await openTab(roomUrl(site.url, room))
  const three = await openTab(roomUrl(site.url, room))
  await expect(upRows(tab)).toHaveCount(3)
  await expect(tab.getByTestId('gossip-state')).toHaveText('confirmed')
  await two.getByTestId('leave').click()
  await three.close()
  await expect(tab.getByTestId('event-log')).toContainText('has left')
  expect(await layoutShift()).toBeLessThan(0.02)

  // the scale is not stuck: a real jump moves it
  await tab.locator('.top').evaluate((top) => (top.style.height = '300px'))
  await expect.poll(layoutShift).toBeGreaterThan(0.02)
})

const roomUrl = (site: string, room: string): string => `${site}#room=${room}`

const upRows = (tab: Page): Locator => tab.locator('[data-testid="member-row"][data-status="up"]')

const row = (tab: Page, name: string): Locator => tab.getByTestId('member-row').filter({ hasText: name })

const viewHash = (tab: Page): Promise<string | null> =>
  tab.getByTestId('view-hash').getAttribute('data-view-hash')

async function rename(tabs: readonly Page[], names: readonly string[]): Promise<void> {
  for (const [i, tab] of tabs.entries()) {
    await expect(tab.getByTestId('status')).toHaveText('up')
    await tab.getByRole('textbox', { name: 'Name of this tab' }).fill(names[i]!)
  }
}

/** Ada, Grace and Edsger, who see each other and agree. */
async function threeTabs(openTab: OpenTab, url: string): Promise<Page[]> {
  const names = ['Ada', 'Grace', 'Edsger']
  const tabs = await Promise.all(names.map(() => openTab(url)))
  await rename(tabs, names)
  for (const tab of tabs) {
    for (const name of names) await expect(row(tab, name)).toHaveAttribute('data-status', 'up')
    await expect(tab.getByTestId('gossip-state')).toHaveText('confirmed')
  }
  return tabs
}

async function pressInFailing(tab: Page, name: string): Promise<void> {
  await tab.getByTestId('failing').press('Enter')
  await tab.getByRole('button', { name }).press('Enter')
}

/** What the page says for each way in that the event `joined` tells apart. */
const ARRIVAL = {
  none: /^Joined in [\d.]+ m?s: nobody was here to learn from$/,
  full: /^Joined in [\d.]+ m?s: the whole table \([\d.]+ (bytes|kB)\)$/,
  delta:
    /^Back in [\d.]+ m?s: (nothing had changed|only what had changed was transferred \([\d.]+ (bytes|kB)\))$/,
} as const

function joinedBy(tab: Page): Promise<keyof typeof ARRIVAL> {
  return tab.evaluate(() => {
    const { cluster } = window as unknown as { cluster: Cluster }
    const joined = cluster.events.recent().find((event) => event.type === 'joined')
    if (!joined) throw new Error('not joined')
    return joined.table
  })
}

/** From the next load of the tab on, nothing of the signaling server reaches it before the returned function is called. */
async function holdSignaling(tab: Page): Promise<() => void> {
  let held: (() => void)[] | undefined = []
  await tab.routeWebSocket(/./, (socket) => {
    socket.connectToServer().onMessage((message) => {
      if (held) held.push(() => socket.send(message))
      else socket.send(message)
    })
  })
  return () => {
    const waiting = held ?? []
    held = undefined
    for (const send of waiting) send()
  }
}

/** Snapshots that the browser of a tab keeps. The tab must be up: before that the database may not exist. */
function snapshotCount(tab: Page): Promise<number> {
  return tab.evaluate(
    () =>
      new Promise<number>((resolve) => {
        const opening = indexedDB.open('grainmesh')
        opening.addEventListener('success', () => {
          const request = opening.result.transaction('records').objectStore('records').getAllKeys()
          request.addEventListener('success', () => {
            opening.result.close()
            resolve(request.result.filter((key) => Array.isArray(key) && key[0] === 'snapshot').length)
          })
        })
      }),
  )
}

/** Moves the pointer to a share of the graph's width and height. */
async function pointAt(tab: Page, x: number, y: number): Promise<void> {
  const box = (await tab.locator('#canvas').boundingBox())!
  await tab.mouse.move(box.x + box.width * x, box.y + box.height * y)
}

/** Where the tip of a cursor is, as shares of the graph's width and height, to a hundredth. */
async function offset(tab: Page, cursor: Locator): Promise<{ x: number; y: number } | undefined> {
  const [stage, tip] = [await tab.locator('#canvas').boundingBox(), await cursor.boundingBox()]
  if (!stage || !tip) return undefined
  const share = (part: number, whole: number): number => Math.round((part / whole) * 100) / 100
  return { x: share(tip.x - stage.x, stage.width), y: share(tip.y - stage.y, stage.height) }
}

function setMeta(tab: Page, meta: unknown): Promise<void> {
  return tab.evaluate((value) => {
    const { cluster } = window as unknown as { cluster: { setMeta(meta: unknown): void } }
    cluster.setMeta(value)
  }, meta)
}

async function violations(tab: Page): Promise<string[]> {
  // What is half faded in has half its contrast, and more may come while it is looked at: what is wrong is so
  // at the second look as well. What pulses for ever is not waited for.
  const faded = () =>
    tab.evaluate(async () => {
      const ending = document
        .getAnimations()
        .filter(({ effect }) => effect?.getComputedTiming().iterations !== Infinity)
      await Promise.allSettled(ending.map(({ finished }) => finished))
    })
  await faded()
  const look = () => new AxeBuilder({ page: tab }).analyze()
  let { violations: found } = await look()
  if (found.length > 0) {
    await faded()
    found = (await look()).violations
  }
  return found.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => String(target)).join(', ')}`)
}

/** Adds up all shifts since the page began to load, those after input included. */
async function watchLayoutShift(tab: Page): Promise<() => Promise<number>> {
  const watch = await tab.evaluateHandle(() => {
    let sum = 0
    const add = (entries: PerformanceEntryList): void => {
      for (const entry of entries) sum += (entry as PerformanceEntry & { value: number }).value
    }
    const observer = new PerformanceObserver((list) => add(list.getEntries()))
    observer.observe({ type: 'layout-shift', buffered: true })
    return {
      read(): number {
        add(observer.takeRecords())
        return sum
      },
    }
  })
  return () => watch.evaluate(({ read }) => read())
}
