/** A tab whose network goes, and comes back: it loses everybody at once, and everybody loses it. */
import { expect, test } from './support/fixtures.ts'
import type { Site } from './support/fixtures.ts'
import type { Loss } from './support/cable.ts'
import { layCable } from './support/cable.ts'
import { authorityOf, expectOneCluster, generationOf, viewOf } from './tabs.ts'
import {
  changesOf,
  expectAccusedOnly,
  expectNoDoubles,
  gather,
  report,
  untilAll,
  untilIs,
} from './witnesses.ts'

/** Everybody knows after this long that a tab has no network. */
const DETECTED_MS = 4_000
const OUTAGE_MS = 15_000
/** All agree again this long after the network is back. */
const BACK_MS = 20_000

const LOSSES: Readonly<Record<Loss, string>> = {
  silent: 'without anybody being told',
  noticed: 'and its browser ends its sockets',
}

for (const [loss, what] of Object.entries(LOSSES) as [Loss, string][]) {
  test(`a network that goes for 15 s, ${what}: missed by all, accuses nobody, and is back`, async ({
    openTab,
    site,
    room,
    allowErrors,
  }) => {
    test.setTimeout(120_000)
    allowErrors(/WebSocket connection to/)
    const cable = await layCable(site.signaling.url)
    try {
      await nameAll(site)
      const nodes = await gather(openTab, site, room, { firstSignaling: cable.signalingUrl })
      const [cut, ...rest] = nodes
      expect(cable.packets.carried, 'its links go over the cable').toBeGreaterThan(0)

      cable.pull(loss)
      const pulled = Date.now()
      const missed = await untilAll(rest, cut!.nodeId, 'unreachable', pulled)
      report(`network gone (${loss}), until unreachable`, missed)
      expect(Math.max(...missed)).toBeLessThan(DETECTED_MS)
      report(`network gone (${loss}), until isolated`, [await untilIs(cut!, 'isolated', pulled)])
      await expect
        .poll(() => Date.now() - pulled, { message: 'the outage is over', timeout: OUTAGE_MS + 5_000 })
        .toBeGreaterThan(OUTAGE_MS)
      expect((await viewOf(cut!.tab)).status, 'and still is').toBe('isolated')
      await expectAccusedOnly([cut!], [])
      expect(cable.packets.dropped).toBeGreaterThan(0)

      cable.plugIn()
      const back = Date.now()
      await expectOneCluster(
        nodes.map(({ tab }) => tab),
        BACK_MS,
      )
      report(`network back (${loss}), until one cluster`, [Date.now() - back])
      report(`network back (${loss}), until up`, await untilAll(rest, cut!.nodeId, 'up', back))
      expect((await viewOf(cut!.tab)).self, 'the same life').toBe(cut!.nodeId)
      await expectAccusedOnly(rest, [cut!])
      await expectAccusedOnly([cut!], [])
      for (const node of rest) {
        const losses = (await changesOf(node)).filter(({ to }) => to === 'unreachable')
        expect(losses, 'it was missed once').toHaveLength(1)
      }
    } finally {
      await cable.close()
    }
  })
}

test('a network that is gone for so long that the tab is removed: it comes back as the next generation', async ({
  openTab,
  site,
  room,
  allowErrors,
}) => {
  test.setTimeout(120_000)
  allowErrors(/WebSocket connection to/)
  const cable = await layCable(site.signaling.url)
  try {
    const tuning = { removeAfterMs: 2_000 }
    await nameAll(site)
    const nodes = await gather(openTab, site, room, { tuning, firstSignaling: cable.signalingUrl })
    const tabs = nodes.map(({ tab }) => tab)
    const [cut, ...rest] = nodes
    cable.pull('noticed')
    const pulled = Date.now()
    report('network gone, until removed', await untilAll(rest, cut!.nodeId, 'removed', pulled))
    await untilIs(cut!, 'isolated', pulled)

    cable.plugIn()
    const back = Date.now()
    await expectOneCluster(tabs, BACK_MS)
    report('network back after the removal, until one cluster', [Date.now() - back])
    const { self } = await viewOf(cut!.tab)
    expect(authorityOf(self)).toBe(authorityOf(cut!.nodeId))
    expect(generationOf(self)).toBe(generationOf(cut!.nodeId) + 1)
    await expectAccusedOnly(rest, [cut!])
    await expectAccusedOnly([cut!], [])
    await expectNoDoubles(tabs)
  } finally {
    await cable.close()
  }
})

/** Every link of a newcomer is offered by way of the server, and so of the cable: offers through the mesh pass it by. */
async function nameAll(site: Site): Promise<void> {
  await site.signaling.stop()
  await site.signaling.start({ relay: false, contacts: 16 })
}
