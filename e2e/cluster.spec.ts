/** Tabs become one cluster and stay one, whatever happens to the signaling server. */
import {
  authorityOf,
  clusterUrl,
  expectOneCluster,
  joinEnd,
  leave,
  openInstrumented,
  openTabs,
  publish,
  published,
  viewOf,
} from './tabs.ts'
import { expect, test } from './support/fixtures.ts'

test.describe('five tabs', () => {
  test('in contexts of their own show the same five members and the same view', async ({
    openTab,
    site,
    room,
  }) => {
    await expectOneCluster(await openTabs(openTab, clusterUrl(site, room), 5))
  })

  test('of one window do as well', async ({ openTab, site, room, browser }) => {
    const tabs = await openTabs(openTab, clusterUrl(site, room), 5, await browser.newContext())
    await expectOneCluster(tabs)
    const browsers = await tabs[0]!.evaluate(() => localStorage.getItem('grainmesh:browser'))
    expect(browsers, 'they know that they share a browser').toMatch(/^[a-z2-7]{16}$/)
  })

  test('opened at once find each other', async ({ openTab, site, room }) => {
    const url = clusterUrl(site, room)
    await expectOneCluster(await Promise.all(Array.from({ length: 5 }, () => openTab(url))))
  })

  test('see what one of them publishes, and that it is cleared', async ({ openTab, site, room }) => {
    const tabs = await openTabs(openTab, clusterUrl(site, room), 5)
    await expectOneCluster(tabs)
    const all = () => Promise.all(tabs.map((tab) => published(tab, 'cursor')))
    const [{ self: one }, { self: two }] = [await viewOf(tabs[0]!), await viewOf(tabs[1]!)]
    await publish(tabs[0]!, 'cursor', { x: 1, y: [2, 'drei'] })
    await publish(tabs[1]!, 'cursor', 'here')
    await expect.poll(all).toEqual(tabs.map(() => ({ [one]: { x: 1, y: [2, 'drei'] }, [two]: 'here' })))
    for (let i = 0; i <= 50; i++) await publish(tabs[0]!, 'cursor', i)
    await expect.poll(all, 'the newest wins').toEqual(tabs.map(() => ({ [one]: 50, [two]: 'here' })))
    await publish(tabs[0]!, 'cursor')
    await expect.poll(all).toEqual(tabs.map(() => ({ [two]: 'here' })))
    await leave(tabs[1]!)
    const rest = tabs.toSpliced(1, 1)
    await expect
      .poll(() => Promise.all(rest.map((tab) => published(tab, 'cursor'))), 'gone with its member')
      .toEqual(rest.map(() => ({})))
  })

  test('see the meta of one change', async ({ openTab, site, room }) => {
    const tabs = await openTabs(openTab, clusterUrl(site, room), 5)
    await expectOneCluster(tabs)
    const { self, viewHash } = await viewOf(tabs[2]!)
    await tabs[2]!.evaluate(() => window.tab.cluster.setMeta({ name: 'Ada' }))
    const meta = () =>
      Promise.all(
        tabs.map((tab) =>
          tab.evaluate(
            (nodeId) => window.tab.cluster.members.get().find((member) => member.nodeId === nodeId)?.meta,
            self,
          ),
        ),
      )
    await expect.poll(meta).toEqual(tabs.map(() => ({ name: 'Ada' })))
    await expectOneCluster(tabs)
    expect((await viewOf(tabs[0]!)).viewHash, 'meta is part of the view').not.toBe(viewHash)
  })
})

test.describe('the signaling server', () => {
  test('stops: the cluster goes on; starts again: a new tab joins it', async ({
    openTab,
    site,
    room,
    allowErrors,
  }) => {
    allowErrors(/WebSocket/)
    const url = clusterUrl(site, room)
    const tabs = await openTabs(openTab, url, 3)
    await expectOneCluster(tabs)
    await site.signaling.stop()
    for (const tab of tabs) {
      await expect
        .poll(() =>
          tab.evaluate(() => window.tab.cluster.events.recent().findLast(({ type }) => type === 'signaling')),
        )
        .toMatchObject({ state: 'down' })
    }
    const { self } = await viewOf(tabs[0]!)
    for (let round = 0; round < 20; round++) {
      await publish(tabs[0]!, 'round', round)
      for (const tab of tabs) await expect.poll(() => published(tab, 'round')).toEqual({ [self]: round })
    }
    await expectOneCluster(tabs)
    for (const tab of tabs) {
      const lists = await tab.evaluate(() => window.tab.lists)
      const lost = lists.flat().filter(({ status }) => status === 'unreachable')
      expect(lost, 'nobody was lost on the way').toEqual([])
    }
    await site.signaling.start()
    await expectOneCluster([...tabs, await openTab(url)])
  })

  test('is away when a tab is opened: that is said clearly, and a later try succeeds', async ({
    openTab,
    site,
    room,
    allowErrors,
  }) => {
    allowErrors(/WebSocket/)
    await site.signaling.stop()
    const tab = await openTab(site.pageUrl('cluster'))
    await tab.evaluate((name) => void window.tab.open(name, { joinTimeoutMs: 1_500 }), room)
    const end = await joinEnd(tab)
    expect(end).toMatchObject({ up: false, code: 'signaling-unreachable' })
    expect(end).toHaveProperty('message', expect.stringContaining(site.signaling.url))
    expect(end).toHaveProperty('message', expect.stringMatching(/within 1500 ms.*Check that it runs/))
    expect((await viewOf(tab)).status).toBe('left')
    await site.signaling.start()
    await tab.evaluate((name) => void window.tab.open(name), room)
    expect(await joinEnd(tab)).toEqual({ up: true })
    await expectOneCluster([tab, await openTab(clusterUrl(site, room))])
  })

  test('is restarted, and a newcomer comes before the old ones are back: one cluster', async ({
    openTab,
    site,
    room,
    browser,
    allowErrors,
  }) => {
    allowErrors(/WebSocket/)
    const url = clusterUrl(site, room)
    const old = [
      await openInstrumented(await browser.newContext(), openTab, url),
      await openInstrumented(await browser.newContext(), openTab, url),
    ]
    await expectOneCluster(old)
    for (const tab of old) await tab.evaluate(() => (window.instruments.noSockets = true))
    await site.signaling.stop()
    await site.signaling.start()
    const newcomer = await openTab(url)
    await expectOneCluster([newcomer])
    await expectOneCluster(old)
    for (const tab of old) await tab.evaluate(() => (window.instruments.noSockets = false))
    await expectOneCluster([...old, newcomer])
  })

  test('keeps two rooms apart', async ({ openTab, site, room }) => {
    const [one, two] = [`${room}-1`, `${room}-2`]
    const [a, b, c] = [
      await openTab(clusterUrl(site, one)),
      await openTab(clusterUrl(site, two)),
      await openTab(clusterUrl(site, one)),
    ]
    await expectOneCluster([a, c])
    await expectOneCluster([b])
    await publish(a, 'x', 'for room one')
    const { self } = await viewOf(a)
    await expect.poll(() => published(c, 'x')).toEqual({ [self]: 'for room one' })
    expect(await published(b, 'x')).toEqual({})
    // a healing round with the signaling server later they still know nothing of each other
    const measured = await b.evaluate(() => window.tab.cluster.metrics.prometheus())
    expect(measured, 'nobody to talk to').toContain('grainmesh_messages_sent_total 0\n')
    const seen = await b.evaluate(() => new Set(window.tab.lists.flat().map(({ nodeId }) => nodeId)).size)
    expect(seen, 'it never saw anybody but itself').toBe(1)
  })
})

test.describe('links', () => {
  test('carry hostile bytes from one member without harm to the others', async ({
    openTab,
    site,
    room,
    browser,
  }) => {
    const url = clusterUrl(site, room)
    const [a, b] = await openTabs(openTab, url, 2)
    const hostile = await openInstrumented(await browser.newContext(), openTab, url)
    const others = [a!, b!]
    await expectOneCluster([...others, hostile])
    const { self: hostileId } = await viewOf(hostile)
    // one cluster may be there a moment before the last of its links
    const open = () =>
      hostile.evaluate(
        () => window.instruments.channels.filter(({ readyState }) => readyState === 'open').length,
      )
    await expect.poll(open).toBe(2)
    const sent = await hostile.evaluate(() => {
      let seed = 1
      const byte = () => (seed = (seed * 48_271) % 2_147_483_647) & 255
      let count = 0
      for (const channel of window.instruments.channels) {
        for (const length of [1, 2, 3, 7, 64, 1_000, 16_384, 65_536]) {
          if (channel.readyState !== 'open') continue
          channel.send(Uint8Array.from({ length }, byte))
          count++
        }
        if (channel.readyState === 'open') channel.send('text is no frame')
      }
      return count
    })
    expect(sent).toBeGreaterThan(8)
    for (const tab of others) {
      await expect
        .poll(() => tab.evaluate(() => window.tab.cluster.events.recent().map(({ type }) => type)))
        .toContain('frame-rejected')
      await expect.poll(() => tab.evaluate(stateOf, authorityOf(hostileId))).toBe('quarantined')
    }
    await publish(a!, 'x', 1)
    const { self } = await viewOf(a!)
    await expect.poll(() => published(b!, 'x')).toEqual({ [self]: 1 })
    // the hostile tab is shut out; once it is let in again, its honest library makes everybody one cluster
    for (const tab of others) {
      await tab.evaluate((authority) => window.tab.cluster.release(authority), authorityOf(hostileId))
    }
    await expectOneCluster([...others, hostile])
    for (const tab of others) {
      const other = (await viewOf(tab === a ? b! : a!)).self
      const lost = await tab.evaluate(
        (nodeId) =>
          window.tab.cluster.events
            .recent()
            .filter((event) => event.type === 'link-closed' && event.nodeId === nodeId),
        other,
      )
      expect(lost, 'the others never lost their link').toEqual([])
    }
  })

  test('that die without notice are made again, and nobody is accused for it', async ({
    openTab,
    site,
    room,
    browser,
  }) => {
    const url = clusterUrl(site, room)
    const one = await openInstrumented(await browser.newContext(), openTab, url)
    const two = await openTab(url)
    await expectOneCluster([one, two])
    const { self } = await viewOf(one)
    const incarnation = () =>
      two.evaluate(
        (nodeId) => window.tab.cluster.members.get().find((member) => member.nodeId === nodeId)?.incarnation,
        self,
      )
    const before = (await incarnation())!
    await one.evaluate(() => {
      for (const connection of window.instruments.connections) connection.close()
    })
    const closed = () =>
      two.evaluate(
        () => window.tab.cluster.events.recent().filter(({ type }) => type === 'link-closed').length,
      )
    await expect.poll(closed, 'its silence is noticed').toBe(1)
    await expectOneCluster([one, two])
    expect((await viewOf(one)).self, 'it is the same life').toBe(self)
    expect(await incarnation(), 'which nobody has accused').toBe(before)
    const lost = await two.evaluate(() =>
      window.tab.lists.flat().filter(({ status }) => status === 'unreachable'),
    )
    expect(lost, 'a sign of life came by the signaling server').toEqual([])
    await expect
      .poll(() => two.evaluate(() => window.tab.cluster.links.get().map(({ nodeId }) => nodeId)))
      .toEqual([self])
  })
})

/** How messages to an authority fare; runs in a tab. */
function stateOf(authority: string): string | undefined {
  return window.tab.cluster.associations.get().find((association) => association.authority === authority)
    ?.state
}
