/**
 * Tabs that go without a word, or seem to: when do the others know, and is anybody accused who lives?
 *
 * Every tab has a renderer process of its own.
 */
import { expect, test } from './support/fixtures.ts'
import type { OpenTab, Site } from './support/fixtures.ts'
import { startChromium } from './support/own-chromium.ts'
import { renderersOf } from './support/renderers.ts'
import { authorityOf, clusterUrl, expectOneCluster, generationOf, viewOf } from './tabs.ts'
import type { GatherOptions, Witness } from './witnesses.ts'
import {
  changesOf,
  expectAccusedOnly,
  expectNoDoubles,
  gather,
  hasDouble,
  percentileOf,
  report,
  untilAll,
} from './witnesses.ts'

/** A tab in a room that can be taken out. */
interface Node extends Witness {
  readonly pid: number
}

/** A killed tab is known to be lost after this long. */
const DETECTED_MS = 4_000
/** A tab that says goodbye is gone for the others after this long. */
const GOODBYE_MS = 250
const STOPPED_MS = 10_000
/** A tab that was stopped is up again everywhere this long after it was continued. */
const RESUMED_MS = 2_000
const HIDDEN_MS = 60_000
/** How long the second of two timers of 10 ms takes; the first one may find a wake-up at hand. */
const TIMER = `new Promise((resolve) => setTimeout(() => {
  const from = performance.now()
  setTimeout(() => resolve(performance.now() - from), 10)
}, 10))`
const KILL_ROUNDS = process.env['GRAINMESH_FULL'] === '1' ? 10 : 3

test.describe('a killed renderer', () => {
  test('is unreachable on all others in time, and nobody else is', async ({
    openTab,
    site,
    room,
    allowErrors,
  }) => {
    test.setTimeout(KILL_ROUNDS * 30_000)
    allowErrors(/the renderer crashed/)
    const times: number[] = []
    for (let round = 0; round < KILL_ROUNDS; round++) {
      const [victim, ...rest] = await gatherNodes(openTab, site, `${room}-${round}`)
      const killed = await kill([victim!])
      times.push(...(await untilAll(rest, victim!.nodeId, 'unreachable', killed)))
      await expectAccusedOnly(rest, [victim!])
      await Promise.all([victim!, ...rest].map(({ tab }) => tab.context().close()))
    }
    report('killed renderer, until unreachable', times)
    expect(Math.max(...times)).toBeLessThan(DETECTED_MS)
  })

  test('in a room of two is unreachable for the other', async ({ openTab, site, room, allowErrors }) => {
    allowErrors(/the renderer crashed/)
    const [victim, survivor] = await gatherNodes(openTab, site, room, { size: 2 })
    const killed = await kill([victim!])
    const times = await untilAll([survivor!], victim!.nodeId, 'unreachable', killed)
    report('one of two killed, until unreachable', times)
    expect(Math.max(...times)).toBeLessThan(DETECTED_MS)
    await expectStays(survivor!)
    await expectAccusedOnly([survivor!], [victim!])
  })

  test('times five at once: the one that is left learns each loss, and stays', async ({
    openTab,
    site,
    room,
    allowErrors,
  }) => {
    allowErrors(/the renderer crashed/)
    const [survivor, ...victims] = await gatherNodes(openTab, site, room)
    const killed = await kill(victims)
    const times: number[] = []
    for (const { nodeId } of victims) {
      times.push(...(await untilAll([survivor!], nodeId, 'unreachable', killed)))
    }
    report('all others killed, until unreachable', times)
    expect(Math.max(...times)).toBeLessThan(DETECTED_MS)
    await expectStays(survivor!)
    await expectAccusedOnly([survivor!], victims)
  })
})

test.describe('a stopped renderer', () => {
  test('that goes on after ten seconds is up again everywhere, as the same life', async ({
    openTab,
    site,
    room,
  }) => {
    test.setTimeout(90_000)
    const nodes = await gatherNodes(openTab, site, room)
    const [stopped, ...rest] = nodes
    process.kill(stopped!.pid, 'SIGSTOP')
    // the fault itself: there is no state to wait for
    await new Promise((resolve) => setTimeout(resolve, STOPPED_MS))
    const continued = Date.now()
    process.kill(stopped!.pid, 'SIGCONT')
    await expectOneCluster(nodes.map(({ tab }) => tab))
    const times = await untilAll(rest, stopped!.nodeId, 'up', continued)
    report('stopped for 10 s, from going on until up', times)
    expect(Math.max(...times)).toBeLessThan(RESUMED_MS)
    expect((await viewOf(stopped!.tab)).self).toBe(stopped!.nodeId)
    for (const node of rest) {
      const missed = (await changesOf(node)).filter(({ to }) => to === 'unreachable')
      expect(missed, 'it was missed meanwhile').toHaveLength(1)
    }
    await expectAccusedOnly(rest, [stopped!])
    await expectAccusedOnly([stopped!], [])
  })

  test('that was removed meanwhile comes back by itself as the next generation', async ({
    openTab,
    site,
    room,
  }) => {
    test.setTimeout(90_000)
    const nodes = await gatherNodes(openTab, site, room, { tuning: { removeAfterMs: 2_000 } })
    const [stopped, ...rest] = nodes
    const halted = Date.now()
    process.kill(stopped!.pid, 'SIGSTOP')
    try {
      await untilAll(rest, stopped!.nodeId, 'removed', halted, 20_000)
    } finally {
      process.kill(stopped!.pid, 'SIGCONT')
    }
    const continued = Date.now()
    await expectOneCluster(nodes.map(({ tab }) => tab))
    const { self } = await viewOf(stopped!.tab)
    expect(authorityOf(self)).toBe(authorityOf(stopped!.nodeId))
    expect(generationOf(self)).toBe(generationOf(stopped!.nodeId) + 1)
    report('removed while stopped, from going on until up', await untilAll(rest, self, 'up', continued))
    await expectAccusedOnly(rest, [stopped!])
    await expectNoDoubles(nodes.map(({ tab }) => tab))
  })
})

test('a tab that says goodbye is seen to go at once, and is never there twice', async ({
  openTab,
  site,
  room,
}) => {
  test.setTimeout(90_000)
  const staying = await gather(openTab, site, room, { size: 5 })
  const tab = await openTab(clusterUrl(site, room))
  const all = [...staying.map((node) => node.tab), tab]

  const reloads: number[] = []
  for (let reload = 0; reload < 5; reload++) {
    await expectOneCluster(all)
    const { self } = await viewOf(tab)
    const started = Date.now()
    await tab.reload({ waitUntil: 'commit' })
    reloads.push(...(await untilAll(staying, self, 'removed', started)))
    await expect.poll(() => tab.evaluate(() => window.tab?.ended)).toEqual({ up: true })
    expect(authorityOf((await viewOf(tab)).self)).toBe(authorityOf(self))
    const lists = await tab.evaluate(() => window.tab.lists)
    expect(lists.filter(hasDouble), 'nor does it see itself twice').toEqual([])
  }
  report('reloaded, until removed', reloads)

  await expectOneCluster(all)
  const { self } = await viewOf(tab)
  const navigating = Date.now()
  await tab.goto('about:blank')
  const navigation = await untilAll(staying, self, 'removed', navigating)
  report('navigated, until removed', navigation)

  const [closing, ...rest] = staying
  await expectOneCluster(staying.map((node) => node.tab))
  const closed = Date.now()
  await closing!.tab.close({ runBeforeUnload: true })
  const closure = await untilAll(rest, closing!.nodeId, 'removed', closed)
  report('closed, until removed', closure)

  expect(percentileOf([...reloads, ...navigation, ...closure], 0.95)).toBeLessThan(GOODBYE_MS)
  await expectOneCluster(rest.map((node) => node.tab))
  await expectNoDoubles(rest.map((node) => node.tab))
  await expectAccusedOnly(rest, [])
})

test('a hidden tab stays up for a minute, however slow its timers', async ({ openTab, site, room }) => {
  test.setTimeout(150_000)
  const { executablePath, args } = test.info().project.use.launchOptions!
  const chromium = await startChromium(executablePath!, args!)
  try {
    const watchers = await gather(openTab, site, room, { size: 2 })
    const hidden = await chromium.openTab(clusterUrl(site, room))
    const read = <T>(expression: string) => hidden.evaluate<T>(expression)
    await expect.poll(() => read('window.tab?.ended?.up')).toBe(true)
    const nodeId = await read<string>('tab.cluster.self.nodeId')
    expect(await read('document.visibilityState')).toBe('visible')
    await chromium.openTab('about:blank')
    await expect.poll(() => read('document.visibilityState')).toBe('hidden')
    const since = Date.now()
    await expect.poll(() => read<number>(TIMER), 'its timers are slowed down').toBeGreaterThan(900)

    const seen = (): Promise<(string | undefined)[]> =>
      Promise.all(
        watchers.map(async ({ tab }) => {
          const { members } = await viewOf(tab)
          return members.find((member) => member.nodeId === nodeId)?.status
        }),
      )
    await expect.poll(async () => (await seen()).join()).toBe('up,up')
    await expect
      .poll(() => Date.now() - since, { message: 'a minute is over', timeout: 70_000, intervals: [1_000] })
      .toBeGreaterThan(HIDDEN_MS)
    expect(await read('document.visibilityState')).toBe('hidden')
    expect(await read<number>(TIMER)).toBeGreaterThan(900)
    expect(await read('tab.cluster.self.nodeId')).toBe(nodeId)
    expect(await seen()).toEqual(['up', 'up'])
    await expectAccusedOnly(watchers, [])
    const accused = await read('tab.lists.flat().filter(({ status }) => status === "unreachable")')
    expect(accused, 'nor did it take the others for lost').toEqual([])
  } finally {
    await chromium.close()
  }
})

/** Witnesses that can be taken out. */
async function gatherNodes(
  openTab: OpenTab,
  site: Site,
  room: string,
  options: GatherOptions = {},
): Promise<Node[]> {
  const witnesses = await gather(openTab, site, room, options)
  const pids = await renderersOf(witnesses.map(({ tab }) => tab))
  expect(new Set(pids).size, 'each tab has a renderer of its own').toBe(witnesses.length)
  return witnesses.map(({ tab, nodeId }, i) => ({ tab, nodeId, pid: pids[i]! }))
}

/** Kills the renderers, makes sure that their tabs are gone by it, and returns when that was. */
async function kill(nodes: readonly Node[]): Promise<number> {
  const crashed = nodes.map(({ tab }) => tab.waitForEvent('crash'))
  const now = Date.now()
  for (const { pid } of nodes) process.kill(pid, 'SIGKILL')
  await Promise.all(crashed)
  return now
}

/** It is the same life as before, and has the signaling server's word that nobody else is there. */
async function expectStays({ tab, nodeId }: Node): Promise<void> {
  await expect
    .poll(async () => {
      const { self, status, members } = await viewOf(tab)
      const up = members.filter((member) => member.status === 'up')
      return { self, status, up: up.map((member) => member.nodeId) }
    })
    .toEqual({ self: nodeId, status: 'up', up: [nodeId] })
}
