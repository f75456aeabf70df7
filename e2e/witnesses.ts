/**
 * Tabs of pages/cluster.html that keep a record of what they are told, and what specs read from it: when does each of
 * them know of a loss, and was anybody accused who lives? Times are the wall clock that all tabs of a machine share.
 */
import type { Page } from '@playwright/test'
import type { ClusterEvent, ClusterStatus, Tuning } from '../src/index.ts'
import { percentile } from '../src/testing/index.ts'
import type { SeenList } from './pages/cluster.ts'
import { expect } from './support/fixtures.ts'
import type { OpenTab, Site } from './support/fixtures.ts'
import { authorityOf, expectOneCluster, viewOf } from './tabs.ts'

type StatusChange = Extract<ClusterEvent, { type: 'member-status' }>

declare global {
  interface Window {
    /** Every change of a member's status that this tab was told since it asked to join. */
    statusChanges: StatusChange[]
  }
}

/** A tab with a record, in its first life. */
export interface Witness {
  readonly tab: Page
  readonly nodeId: string
}

export interface GatherOptions {
  /** Default 6. */
  readonly size?: number
  readonly tuning?: Partial<Tuning>
  /** Where the first tab finds the signaling server. Default: where all do. */
  readonly firstSignaling?: string
}

/** Tabs in contexts of their own that are one cluster. */
export async function gather(
  openTab: OpenTab,
  site: Site,
  room: string,
  { size = 6, tuning = {}, firstSignaling }: GatherOptions = {},
): Promise<Witness[]> {
  const tabs: Page[] = []
  for (let i = 0; i < size; i++) {
    const tab = await openTab(site.pageUrl('cluster'))
    tabs.push(tab)
    const signaling = i === 0 && firstSignaling !== undefined ? { signaling: firstSignaling } : {}
    await tab.evaluate(
      ([name, options]) => {
        window.statusChanges = []
        const cluster = window.tab.open(name, options)
        cluster.on('member-status', (event) => window.statusChanges.push(event))
      },
      [room, { tuning, ...signaling }] as const,
    )
  }
  await expectOneCluster(tabs)
  const views = await Promise.all(tabs.map(viewOf))
  return tabs.map((tab, i) => ({ tab, nodeId: views[i]!.self }))
}

/** Events of a tab that are shown where it is not as expected. */
const MOST_TOLD = 200

export const changesOf = ({ tab }: Witness): Promise<StatusChange[]> =>
  tab.evaluate(() => window.statusChanges)

/** Waits until every witness was told `to` of a member after `since`; returns how long each of them took, in ms. */
export function untilAll(
  witnesses: readonly Witness[],
  nodeId: string,
  to: StatusChange['to'],
  since: number,
  timeout?: number,
): Promise<number[]> {
  const times = async (): Promise<(number | undefined)[]> => {
    const changes = await Promise.all(witnesses.map(changesOf))
    return changes.map((list) => {
      const told = list.find((change) => change.nodeId === nodeId && change.to === to && change.at >= since)
      return told && told.at - since
    })
  }
  return untilKnown(times, `everybody knows that ${nodeId} is ${to}`, timeout)
}

/** Waits until a tab was itself `to` after `since`; returns how long that took, in ms. */
export async function untilIs(
  { tab }: Witness,
  to: ClusterStatus,
  since: number,
  timeout?: number,
): Promise<number> {
  const time = async (): Promise<(number | undefined)[]> => {
    const events = await tab.evaluate(() => [...window.tab.cluster.events.recent()])
    const own = events.find((event) => event.type === 'status' && event.to === to && event.at >= since)
    return [own && own.at - since]
  }
  try {
    const [known] = await untilKnown(time, `the tab is ${to}`, timeout)
    return known!
  } catch (error) {
    const events = await tab.evaluate(() => [...window.tab.cluster.events.recent()])
    const told = events.slice(-MOST_TOLD).map((event) => `${event.at - since} ${JSON.stringify(event)}`)
    throw new Error(
      `the tab is not ${to}; its ${events.length} events, the newest of them, each with its ms since then:\n${told.join('\n')}`,
      { cause: error },
    )
  }
}

/** Nobody but these was taken for lost by any witness, at any time. */
export async function expectAccusedOnly(
  witnesses: readonly Witness[],
  lost: readonly Witness[],
): Promise<void> {
  const known = new Set<string>(lost.map(({ nodeId }) => nodeId))
  for (const witness of witnesses) {
    const changes = await changesOf(witness)
    const wrong = changes.filter(({ to, nodeId }) => to === 'unreachable' && !known.has(nodeId))
    expect(wrong, `${witness.nodeId} took a living tab for lost`).toEqual([])
  }
}

/** No list that any of them ever showed had two lives of one authority. */
export async function expectNoDoubles(tabs: readonly Page[]): Promise<void> {
  for (const tab of tabs) {
    const lists = await tab.evaluate(() => window.tab.lists)
    expect(lists.filter(hasDouble), 'no moment had two lives of one authority').toEqual([])
  }
}

export const hasDouble = (list: SeenList): boolean =>
  new Set(list.map(({ nodeId }) => authorityOf(nodeId))).size < list.length

/** Of times in any order. */
export const percentileOf = (times: readonly number[], p: number): number =>
  percentile(
    times.toSorted((a, b) => a - b),
    p,
  )

/** Prints what was measured, in ms. */
export function report(what: string, times: readonly number[]): void {
  const [p50, p95] = [percentileOf(times, 0.5), percentileOf(times, 0.95)]
  console.log(`${what}: p50 ${p50} ms, p95 ${p95} ms, max ${Math.max(...times)} ms, n ${times.length}`)
}

async function untilKnown(
  read: () => Promise<(number | undefined)[]>,
  message: string,
  timeout = 15_000,
): Promise<number[]> {
  let latest: (number | undefined)[] = []
  await expect
    .poll(async () => (latest = await read()).filter((time) => time === undefined).length, {
      message,
      timeout,
    })
    .toBe(0)
  return latest.filter((time) => time !== undefined)
}
