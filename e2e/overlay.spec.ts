/** Any member reaches any member: with few links, without a signaling server, without a direct way, and under load. */
import type { BrowserContext, Page } from '@playwright/test'
import type { ClusterOptions, NodeId, Path } from '../src/index.ts'
import { holdConnections, sever } from './pages/obstacles.ts'
import { expect, test } from './support/fixtures.ts'
import type { OpenTab, Site } from './support/fixtures.ts'
import { clusterUrl, eventsOf, expectOneCluster, openTabs, viewOf } from './tabs.ts'
import { percentileOf, report } from './witnesses.ts'

declare global {
  interface Window {
    seen: Seen
  }
}

/** What a tab has seen since it asked to join, and the mail it got. */
interface Seen {
  mostLinks: number
  /** Members that were suspected or lost at any time. */
  readonly accused: string[]
  readonly mail: { readonly from: string; readonly text: string }[]
}

/**
 * As many as the promise is about, or fewer of the same shape. Without relay: on a busy machine ICE can be so slow that
 * it seems to be blocked.
 */
const CROWD =
  process.env['GRAINMESH_FULL'] === '1'
    ? { size: 24, maxLinks: 6, timeout: 120_000 }
    : { size: 8, maxLinks: 3, timeout: 60_000 }
/** Beyond `maxLinks`, for a moment. */
const SLACK = 2
const LARGE = 8 * 1024 * 1024
/** A ping while a large message is under way; that one takes a second and more. Every probe waits for 500 ms. */
const PING_P50_MS = 100
const PING_P95_MS = 500
/** ICE that is blocked fails first, and then the tabs see each other's answers come to nothing. */
const RELAYED_MS = 40_000
test(`${CROWD.size} tabs with maxLinks ${CROWD.maxLinks}: one cluster, no tab with too many links, and each talks to each`, async ({
  openTab,
  site,
  room,
}) => {
  test.setTimeout(4 * CROWD.timeout)
  const { size, maxLinks, timeout } = CROWD
  const tabs = await Promise.all(Array.from({ length: size }, () => openTab(site.pageUrl('cluster'))))
  const began = Date.now()
  await Promise.all(tabs.map((tab) => enter(tab, room, { maxLinks, relay: false, joinTimeoutMs: timeout })))
  await expectOneCluster(tabs, timeout)
  report(`${size} tabs, from the first join until one cluster`, [Date.now() - began])

  const paths = async () => new Set((await Promise.all(tabs.map(pathsOf))).flat())
  await expect
    .poll(paths, { message: 'everybody is reached', timeout })
    .toEqual(new Set<Path>(['self', 'direct', 'routed']))
  const ids = await Promise.all(tabs.map(async (tab) => (await viewOf(tab)).self))
  const times = await Promise.all(tabs.map((tab, i) => sendToAll(tab, ids.toSpliced(i, 1))))
  report(`${size * (size - 1)} messages, each until it was handled`, times.flat())
  const seen = await Promise.all(tabs.map(seenBy))
  console.log(`most links of a tab at any moment: ${Math.max(...seen.map(({ mostLinks }) => mostLinks))}`)
  for (const [i, { mail, mostLinks }] of seen.entries()) {
    const expected = ids.toSpliced(i, 1).map((from) => ({ from, text: `${from} to ${ids[i]}` }))
    expect(mail.toSorted(bySender), 'one message of every other tab').toEqual(expected.toSorted(bySender))
    expect(mostLinks, 'at any moment').toBeLessThanOrEqual(maxLinks + SLACK)
  }
  expect(
    seen.flatMap(({ accused }) => accused),
    'suspected or lost',
  ).toEqual([])
})

test('a fourth tab that has one link gets the others without the signaling server; later ones use it again', async ({
  openTab,
  site,
  room,
  browser,
  allowErrors,
}) => {
  test.setTimeout(120_000)
  allowErrors(/WebSocket/)
  const url = clusterUrl(site, room)
  const tabs = await openTabs(openTab, url, 3)
  await expectOneCluster(tabs)
  const context = await browser.newContext()
  const first = (await viewOf(tabs[0]!)).self
  await introduceTo(context, (nodeId) => nodeId === first)
  await context.addInitScript(holdConnections)
  const fourth = await openTab(url, { context })
  await expect.poll(() => linksOf(fourth), 'the server leads to one of them').toHaveLength(1)

  await site.signaling.stop()
  for (const tab of [...tabs, fourth]) {
    await expect.poll(async () => (await eventsOf(tab, 'signaling')).at(-1)).toMatchObject({ state: 'down' })
  }
  expect(await linksOf(fourth), 'and to no more').toHaveLength(1)
  await fourth.evaluate(() => window.letConnect())
  const four = [...tabs, fourth]
  for (const tab of four) {
    await expect.poll(() => pathsOf(tab)).toEqual(['direct', 'direct', 'direct', 'self'])
  }
  await expectOneCluster(four)
  expect(site.signaling.running).toBe(false)

  await site.signaling.start()
  await expectOneCluster([...four, ...(await openTabs(openTab, url, 2))], 30_000)
})

test('two tabs without a direct way talk by way of a third, and when it has gone by relay', async ({
  openTab,
  site,
  room,
  browser,
  allowErrors,
}) => {
  test.setTimeout(90_000)
  allowErrors(/WebSocket/)
  const page = site.pageUrl('cluster')
  await startSignaling(site, { relay: false })
  const third = await openTab(page)
  const one = await openSevered(await browser.newContext(), openTab, page, 'one', 'two')
  const two = await openSevered(await browser.newContext(), openTab, page, 'two', 'one')
  for (const tab of [third, one, two]) await enter(tab, room)
  await expectOneCluster([third, one, two])
  const { self: idOfThird } = await viewOf(third)
  const [{ self: idOfOne }, { self: idOfTwo }] = [await viewOf(one), await viewOf(two)]

  await expect.poll(() => pathsOf(one)).toEqual(['direct', 'routed', 'self'])
  await expect.poll(() => pathsOf(two)).toEqual(['direct', 'routed', 'self'])
  await expectTalk(one, two)
  const trace = await traceTo(one, idOfTwo)
  expect(trace.hops, 'the way that a question took').toEqual([idOfOne, idOfThird, idOfTwo])
  expect(trace.rttMs).toBeGreaterThan(0)
  // known once the third has published its links
  await expect.poll(() => routeTo(one, idOfTwo)).toEqual(trace.hops)

  await startSignaling(site, { relay: true })
  for (const tab of [one, two]) {
    await expect.poll(async () => (await eventsOf(tab, 'signaling')).at(-1)).toMatchObject({ state: 'up' })
    expect(await pathsOf(tab), 'nothing is relayed that need not be').toEqual(['direct', 'routed', 'self'])
  }
  await third.close()
  const closed = Date.now()
  for (const tab of [one, two]) {
    await expect.poll(() => pathsOf(tab), { timeout: RELAYED_MS }).toEqual(['relayed', 'self'])
  }
  report('the one between them closed, until relayed', [Date.now() - closed])
  expect(await linksOf(one)).toEqual([{ nodeId: idOfTwo, relay: true }])
  await expectTalk(one, two)
  await expectOneCluster([one, two])
  expect((await viewOf(two)).self, 'the same life').toBe(idOfTwo)
})

test('8 MiB on the bulk lane: pings stay timely, progress is told, and nobody is suspected', async ({
  openTab,
  site,
  room,
}) => {
  const tabs = await openTabs(openTab, site.pageUrl('cluster'), 3)
  for (const tab of tabs) await enter(tab, room)
  await expectOneCluster(tabs)
  const [from, to] = tabs as [Page, Page, Page]
  await to.evaluate(() => {
    const { cluster } = window.tab
    cluster.mailbox('ping').receive(() => undefined)
    cluster.mailbox('large').receive(async ({ data }) => {
      const hash = await crypto.subtle.digest('SHA-256', data as Uint8Array<ArrayBuffer>)
      window.seen.mail.push({ from: 'large', text: new Uint8Array(hash).join() })
    })
  })
  const sent = await from.evaluate(sendLarge, [(await viewOf(to)).self, LARGE] as const)
  expect((await seenBy(to)).mail, 'it arrives as it was sent').toEqual([{ from: 'large', text: sent.hash }])
  report(`${LARGE} bytes, until handled`, [sent.ms])
  report('pings meanwhile', sent.pings)
  expect(sent.pings.length, 'there was time to ping').toBeGreaterThan(5)
  expect(percentileOf(sent.pings, 0.5)).toBeLessThan(PING_P50_MS)
  expect(percentileOf(sent.pings, 0.95)).toBeLessThan(PING_P95_MS)
  expect(sent.progress.length).toBeGreaterThan(10)
  expect(sent.progress, 'never less than before').toEqual(sent.progress.toSorted((a, b) => a - b))
  expect(sent.progress.at(-1), 'the end is told by the promise').toBeGreaterThan(0.9 * LARGE)
  expect(sent.progress.at(-1)).toBeLessThanOrEqual(LARGE)
  for (const tab of tabs) {
    expect((await seenBy(tab)).accused).toEqual([])
    const lost = (await eventsOf(tab, 'member-status')).filter((change) => change.to === 'unreachable')
    expect(lost).toEqual([])
  }
})

/** Begins to join, and keeps what the tab sees. */
async function enter(tab: Page, room: string, options: Partial<ClusterOptions> = {}): Promise<void> {
  await tab.evaluate(
    ([name, more]) => {
      const seen: Seen = (window.seen = { mostLinks: 0, accused: [], mail: [] })
      const cluster = window.tab.open(name, more)
      cluster.links.subscribe((links) => (seen.mostLinks = Math.max(seen.mostLinks, links.length)))
      cluster.members.subscribe((members) => {
        for (const { nodeId, suspected, status } of members) {
          if (suspected || status === 'unreachable') seen.accused.push(nodeId)
        }
      })
      cluster.mailbox('mail').receive(({ from, data }) => void seen.mail.push({ from, text: String(data) }))
    },
    [room, options] as const,
  )
}

const seenBy = (tab: Page): Promise<Seen> => tab.evaluate(() => window.seen)

/** How a tab reaches each member, sorted. */
const pathsOf = (tab: Page): Promise<Path[]> =>
  tab.evaluate(() =>
    window.tab.cluster.members
      .get()
      .map(({ path }) => path)
      .toSorted(),
  )

const linksOf = (tab: Page): Promise<{ nodeId: string; relay: boolean }[]> =>
  tab.evaluate(() => window.tab.cluster.links.get().map(({ nodeId, relay }) => ({ nodeId, relay })))

/** Sends each of them a message; returns how long it took until each was handled, in ms. */
function sendToAll(tab: Page, to: readonly string[]): Promise<number[]> {
  return tab.evaluate((others) => {
    const { cluster } = window.tab
    const own = cluster.self.nodeId
    const mailbox = cluster.mailbox('mail')
    const send = async (other: string): Promise<number> => {
      const began = performance.now()
      await mailbox.send(other as typeof own, `${own} to ${other}`)
      return Math.round(performance.now() - began)
    }
    return Promise.all(others.map(send))
  }, to)
}

/** A message each way arrives. */
async function expectTalk(one: Page, two: Page): Promise<void> {
  for (const [from, to] of [
    [one, two],
    [two, one],
  ] as const) {
    const { length } = (await seenBy(to)).mail
    const [{ self: sender }, { self: receiver }] = [await viewOf(from), await viewOf(to)]
    await sendToAll(from, [receiver])
    const news = (await seenBy(to)).mail.slice(length)
    expect(news).toEqual([{ from: sender, text: `${sender} to ${receiver}` }])
  }
}

const routeTo = (tab: Page, nodeId: string) =>
  tab.evaluate((id) => window.tab.cluster.route(id as NodeId), nodeId)

const traceTo = (tab: Page, nodeId: string) =>
  tab.evaluate((id) => window.tab.cluster.trace(id as NodeId), nodeId)

async function startSignaling({ signaling }: Site, options: { readonly relay: boolean }): Promise<void> {
  await signaling.stop()
  await signaling.start(options)
}

async function openSevered(
  context: BrowserContext,
  openTab: OpenTab,
  page: string,
  name: string,
  from: string,
): Promise<Page> {
  await context.addInitScript(sever, { name, from })
  return openTab(page, { context })
}

/** The signaling server tells the tabs of this context only of members for which `isTold` says so. */
async function introduceTo(context: BrowserContext, isTold: (nodeId: string) => boolean): Promise<void> {
  await context.routeWebSocket(/./, (socket) => {
    socket.connectToServer().onMessage((message) => {
      const frame = JSON.parse(String(message)) as { contacts?: string[] }
      socket.send(
        frame.contacts ? JSON.stringify({ ...frame, contacts: frame.contacts.filter(isTold) }) : message,
      )
    })
  })
}

const bySender = (a: { from: string }, b: { from: string }): number => (a.from < b.from ? -1 : 1)

/** Runs in the page: sends random bytes to a member, and pings it until they have arrived. */
async function sendLarge([to, length]: readonly [string, number]) {
  const { cluster } = window.tab
  const nodeId = to as NodeId
  const data = new Uint8Array(length)
  for (let at = 0; at < length; at += 65_536) crypto.getRandomValues(data.subarray(at, at + 65_536))
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', data)).join()
  const progress: number[] = []
  const pings: number[] = []
  const large = { isOver: false }
  const began = performance.now()
  const sending = cluster
    .mailbox('large')
    .send(nodeId, data, { lane: 'bulk', onProgress: (sent) => progress.push(sent) })
    .finally(() => (large.isOver = true))
  while (!large.isOver) {
    const at = performance.now()
    await cluster.mailbox('ping').send(nodeId, 'ping', { lane: 'control' })
    pings.push(Math.round(performance.now() - at))
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  await sending
  return { hash, progress, pings, ms: Math.round(performance.now() - began) }
}
