/**
 * `npm run bench -- mesh [--tabs 24] [--links 6] [--rounds 3]`: how long many real tabs take to become one cluster with
 * few links each, beside a full mesh of as many tabs that plain simple-peer makes.
 *
 * Each tab has a browser context of its own and has loaded its page before the clock starts; then all join at once. A
 * cluster is done when every tab has all as `up` and `confirmed` at the same time, a full mesh when the last pair is
 * connected. A round does both, in an order that turns. Then every tab sends a message to every other.
 */
import { readFile } from 'node:fs/promises'
import type { Browser, Page } from '@playwright/test'
import type { MeshReport } from './pages/mesh.ts'
import { readCounts } from './support/arguments.ts'
import { launch } from './support/browser.ts'
import { attachHubs } from './support/hub.ts'
import { renderersOf } from './support/renderers.ts'
import { startSite } from './support/site.ts'
import { expect, machine, median, printTable, progress, progressDone } from './support/table.ts'

/** A side that is not done by then counts as this long. */
const PATIENCE_MS = 60_000
const LOOK_MS = 100
/** What is asked of the product: this share of the full mesh's time, and so many links above `maxLinks`. */
const SHARE = 1 / 3
const MORE_LINKS = 2

type SideName = 'cluster' | 'simple-peer'

interface Round {
  readonly ms: number
  readonly isDone: boolean
  readonly mostLinks: number
  readonly constructed: number
  readonly rendererMb: number
  readonly messages?: { readonly ms: number; readonly pairs: number; readonly failed: readonly string[] }
}

const { tabs, links, rounds } = readCounts({
  tabs: { default: 24, min: 2 },
  links: { default: 6, min: 2 },
  rounds: { default: 3 },
})
const site = await startSite({ attach: attachHubs })
const results: Record<SideName, Round[]> = { cluster: [], 'simple-peer': [] }
let version = ''
try {
  for (let round = 0; round < rounds; round++) {
    const order: SideName[] = round % 2 === 0 ? ['cluster', 'simple-peer'] : ['simple-peer', 'cluster']
    for (const side of order) {
      progress(`round ${round + 1} of ${rounds}: ${side}`)
      // a browser of its own: nothing of the side before is left
      const browser = await launch()
      version = browser.version()
      try {
        results[side].push(await measure(browser, side, `${side}-${round}`))
      } finally {
        await browser.close()
      }
    }
  }
  progressDone()
  print()
} finally {
  await site.stop()
}

async function measure(browser: Browser, side: SideName, room: string): Promise<Round> {
  const pages: Page[] = []
  for (let i = 0; i < tabs; i++) {
    const page = await (await browser.newContext()).newPage()
    await page.goto(site.pageUrl('mesh'))
    pages.push(page)
  }
  const started = Date.now()
  await Promise.all(pages.map((page, i) => begin(page, side, room, i)))
  let reports: MeshReport[] = []
  while (Date.now() - started < PATIENCE_MS) {
    reports = await reportsOf(pages)
    if (reports.every(({ doneAt }) => doneAt !== undefined)) break
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
  }
  const isDone = reports.every(({ doneAt }) => doneAt !== undefined)
  const ms = isDone ? Math.max(...reports.map(({ doneAt }) => doneAt!)) - started : PATIENCE_MS
  const rendererMb = await memoryOf(pages)
  const messages = side === 'cluster' && isDone ? await exchange(pages) : undefined
  if (side === 'cluster') reports = await reportsOf(pages)
  return {
    ms,
    isDone,
    mostLinks: Math.max(...reports.map(({ mostLinks }) => mostLinks)),
    constructed: reports.reduce((sum, { constructed }) => sum + constructed, 0),
    rendererMb,
    ...(messages && { messages }),
  }
}

function begin(page: Page, side: SideName, room: string, i: number): Promise<void> {
  if (side === 'cluster') {
    return page.evaluate(([name, count, max]) => window.mesh.joinCluster(name, count, max), [
      room,
      tabs,
      links,
    ] as const)
  }
  return page.evaluate(([name, count, id]) => window.mesh.joinSimplePeers(name, count, id), [
    room,
    tabs,
    `tab-${i}`,
  ] as const)
}

function reportsOf(pages: readonly Page[]): Promise<MeshReport[]> {
  return Promise.all(pages.map((page) => page.evaluate(() => window.mesh.report())))
}

/** Every tab sends a message to every other; counted where they come. */
async function exchange(pages: readonly Page[]): Promise<NonNullable<Round['messages']>> {
  const started = Date.now()
  const sent = await Promise.all(pages.map((page) => page.evaluate(() => window.mesh.sendToAll())))
  const ms = Date.now() - started
  const reports = await reportsOf(pages)
  const received = await Promise.all(pages.map((page) => page.evaluate(() => window.mesh.heardFrom())))
  const nodeIds = reports.map(({ nodeId }) => nodeId!)
  const pairs = received.reduce(
    (sum, from) => sum + nodeIds.filter((nodeId) => from.includes(nodeId)).length,
    0,
  )
  return { ms, pairs, failed: sent.flatMap(({ failed }) => failed) }
}

/** Resident memory of the tabs' processes, in MB, each counted once. */
async function memoryOf(pages: readonly Page[]): Promise<number> {
  let kilobytes = 0
  for (const pid of new Set(await renderersOf(pages))) {
    const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
    kilobytes += Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? Number.NaN)
  }
  return kilobytes / 1_024
}

function print(): void {
  const pairs = tabs * (tabs - 1)
  console.log(`${tabs} tabs that join at once, ${rounds} rounds; ${machine(version)}`)
  printTable(
    [
      'round',
      'ms',
      'most links of a tab',
      'connections constructed',
      'renderers, MB',
      'pairs with a message',
      'in ms',
    ],
    (Object.keys(results) as SideName[]).flatMap((side) =>
      results[side].map(({ ms, isDone, mostLinks, constructed, rendererMb, messages }, i) => [
        `${side} ${i + 1}${isDone ? '' : ', not done'}`,
        ms,
        mostLinks,
        constructed,
        rendererMb,
        messages?.pairs,
        messages?.ms,
      ]),
    ),
  )
  const [ours, theirs] = [results.cluster, results['simple-peer']].map((of) => median(of.map(({ ms }) => ms)))
  const share = ours! / theirs!
  expect(
    `up everywhere and confirmed, of medians: ${Math.round(ours!)} ms / ${Math.round(theirs!)} ms = ` +
      `${share.toFixed(2)}; asked: less than ${SHARE.toFixed(2)}`,
    share < SHARE && results.cluster.every(({ isDone }) => isDone),
  )
  const most = Math.max(...results.cluster.map(({ mostLinks }) => mostLinks))
  expect(`most links of a tab: ${most}; asked: at most ${links + MORE_LINKS}`, most <= links + MORE_LINKS)
  const exchanged = results.cluster.map(({ messages }) => messages?.pairs ?? 0)
  const failed = results.cluster.flatMap(({ messages }) => messages?.failed ?? [])
  expect(
    `ordered pairs that exchanged a message: ${exchanged.join(', ')} of ${pairs}; sends that failed: ${failed.length}`,
    exchanged.every((count) => count === pairs) && failed.length === 0,
  )
  for (const reason of failed.slice(0, 10)) console.log(`  ${reason}`)
}
