/** A process of Node among tabs: it has no WebRTC, so its links go through the signaling server. */
import { joinCluster } from '../src/index.ts'
import { nodePlatform } from '../src/node.ts'
import { clusterUrl, openTabs, publish, published, viewOf } from './tabs.ts'
import { expect, test } from './support/fixtures.ts'

test('a process of Node joins three tabs by relay alone, and each hears of what the others publish', async ({
  openTab,
  site,
  room,
}) => {
  const tabs = await openTabs(openTab, clusterUrl(site, room), 3)
  const process = await joinCluster(room, {
    signaling: site.signaling.url,
    meta: { name: 'worker' },
    platform: nodePlatform(),
  })
  try {
    const paths = () => process.members.get().map(({ self, path }) => (self ? 'self' : path))
    const seen = () =>
      Promise.all(
        tabs.map(async (tab) => {
          const { members, state, viewHash } = await viewOf(tab)
          return { up: members.filter(({ status }) => status === 'up').length, state, viewHash }
        }),
      )
    await expect
      .poll(async () => {
        const views = await seen()
        const { state, viewHash } = process.convergence.get()
        return { up: views.map(({ up }) => up), ...agreed([{ state, viewHash }, ...views]) }
      })
      .toEqual({ up: [4, 4, 4], states: ['confirmed'], viewHashes: 1 })
    // two relayed links; the third tab is reached by way of another
    await expect.poll(() => paths().toSorted()).toEqual(['relayed', 'relayed', 'routed', 'self'])
    const pathsOfTabs = () =>
      Promise.all(
        tabs.map((tab) =>
          tab.evaluate(() =>
            window.tab.cluster.members
              .get()
              .map(({ path }) => path)
              .toSorted(),
          ),
        ),
      )
    const linked = ['direct', 'direct', 'relayed', 'self']
    await expect
      .poll(async () => (await pathsOfTabs()).map((each) => each.join()).toSorted())
      .toEqual([linked, linked, ['direct', 'direct', 'routed', 'self']].map((each) => each.join()))

    process.peerState('word').set('from Node')
    await publish(tabs[0]!, 'word', 'from a tab')
    const words = async () => (await Promise.all(tabs.map((tab) => published(tab, 'word')))).map(sorted)
    await expect.poll(words).toEqual(tabs.map(() => ['from Node', 'from a tab']))
    await expect
      .poll(() => [...process.peerState<string>('word').get().values()].toSorted())
      .toEqual(['from Node', 'from a tab'])

    await process.leave()
    await expect.poll(async () => (await seen()).map(({ up }) => up)).toEqual([3, 3, 3])
  } finally {
    await process.leave()
  }
})

const agreed = (views: readonly { state: string; viewHash: string }[]) => ({
  states: [...new Set(views.map(({ state }) => state))],
  viewHashes: new Set(views.map(({ viewHash }) => viewHash)).size,
})

const sorted = (values: Record<string, unknown>): unknown[] => Object.values(values).toSorted()
