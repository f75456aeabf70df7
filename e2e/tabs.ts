/** What the cluster specs say about tabs of pages/cluster.html. */
import type { BrowserContext, Page } from '@playwright/test'
import type { ClusterEvent } from '../src/index.ts'
import type { SeenList, Tab } from './pages/cluster.ts'
import { instrument } from './pages/instruments.ts'
import { expect } from './support/fixtures.ts'
import type { OpenTab, Site } from './support/fixtures.ts'

export const clusterUrl = (site: Site, room: string): string => `${site.pageUrl('cluster')}#${room}`

export interface View {
  readonly self: string
  readonly status: string
  readonly state: string
  readonly viewHash: string
  readonly members: SeenList
}

/** What a tab shows now. */
export const viewOf = (tab: Page): Promise<View> =>
  tab.evaluate(() => {
    const { cluster } = window.tab
    const { state, viewHash } = cluster.convergence.get()
    const members = cluster.members.get().map(({ nodeId, status }) => ({ nodeId, status }))
    return { self: cluster.self.nodeId, status: cluster.status.get(), state, viewHash, members }
  })

/**
 * Waits until the tabs see each other, as `up`, and nobody else; hold the same view; and know that all do.
 * @param timeout in ms. Default: that of every expectation
 */
export async function expectOneCluster(tabs: readonly Page[], timeout?: number): Promise<void> {
  await expect
    .poll(
      async () => {
        const views = await Promise.all(tabs.map(viewOf))
        const own = views.map(({ self }) => self).sort()
        return {
          status: [...new Set(views.map(({ status }) => status))],
          members: views.map(({ members }) => members.map(({ nodeId }) => own.indexOf(nodeId)).join()),
          statuses: [...new Set(views.flatMap(({ members }) => members.map(({ status }) => status)))],
          hashes: new Set(views.map(({ viewHash }) => viewHash)).size,
          states: [...new Set(views.map(({ state }) => state))],
        }
      },
      timeout === undefined ? {} : { timeout },
    )
    .toEqual({
      status: ['up'],
      members: tabs.map(() => tabs.map((_, i) => i).join()),
      statuses: ['up'],
      hashes: 1,
      states: ['confirmed'],
    })
}

/** Opens that many tabs, one after the other, each in a context of its own unless one is given. */
export async function openTabs(
  openTab: OpenTab,
  url: string,
  count: number,
  context?: BrowserContext,
): Promise<Page[]> {
  const tabs: Page[] = []
  for (let i = 0; i < count; i++) tabs.push(await openTab(url, context ? { context } : {}))
  return tabs
}

/** A tab in a context of its own whose page is instrumented from its start. */
export async function openInstrumented(
  context: BrowserContext,
  openTab: OpenTab,
  url: string,
): Promise<Page> {
  await context.addInitScript(instrument)
  return openTab(url, { context })
}

export const leave = (tab: Page): Promise<void> => tab.evaluate(() => window.tab.cluster.leave())

/** Publishes under `key`, or clears it. */
export const publish = (tab: Page, key: string, value?: unknown): Promise<void> =>
  tab.evaluate(
    ([name, given]) => {
      const state = window.tab.cluster.peerState(name)
      if (given === undefined) state.clear()
      else state.set(given)
    },
    [key, value] as const,
  )

/** What a tab sees under `key`, by nodeId. */
export const published = (tab: Page, key: string): Promise<Record<string, unknown>> =>
  tab.evaluate((name) => Object.fromEntries(window.tab.cluster.peerState(name).get()), key)

/** How the join of a tab ended, once it has. */
export async function joinEnd(tab: Page): Promise<NonNullable<Tab['ended']>> {
  await expect.poll(() => tab.evaluate(() => window.tab.ended !== undefined)).toBe(true)
  return tab.evaluate(() => window.tab.ended!)
}

export const authorityOf = (nodeId: string): string => nodeId.split('.')[0]!
export const generationOf = (nodeId: string): number => Number(nodeId.split('.')[1])

/** What a tab was told, of one type, oldest first. */
export function eventsOf<K extends ClusterEvent['type']>(
  tab: Page,
  type: K,
): Promise<Extract<ClusterEvent, { type: K }>[]> {
  return tab.evaluate(
    (wanted) => window.tab.cluster.events.recent().filter((event) => event.type === wanted),
    type,
  ) as Promise<Extract<ClusterEvent, { type: K }>[]>
}
