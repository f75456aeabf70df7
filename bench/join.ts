/**
 * `npm run bench -- join [--rounds 15]`: how long tabs of the demo take to become a cluster, in real Chromium.
 *
 * The second tab, and five tabs opened one after the other in one window, against `npm start` on this machine. Each
 * round has a window, with an empty cache, and a room of its own. "Join" counts from the moment the page asks for it,
 * when the library is loaded, "navigation" from the start of the tab's navigation.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { Browser, BrowserContext, Page } from '@playwright/test'
import { percentile } from '../src/testing/index.ts'
import type { Cluster } from '../src/index.ts'
import { readCounts } from './support/arguments.ts'
import { launch } from './support/browser.ts'
import { machine, progress, progressDone } from './support/table.ts'

/** Times of one tab, in ms since 1970. */
interface Marks {
  navigation: number
  /** The library is loaded and the page has asked to join. */
  asked?: number
  up?: number
  /** When five members were first `up` here, and when that view was first `confirmed` here. */
  five?: number
  confirmed?: number
}

declare global {
  interface Window {
    marks: Marks
  }
}

/** What is asked of the product: five hand-opened tabs show each other this soon after the last one opens, in ms. */
const PROMISED_MS = 2_000
const TABS = 5

const { rounds } = readCounts({ rounds: { default: 15 } })
const site = await startSite()
const browser = await launch()
try {
  const table: Record<string, number[]> = {}
  const add = (name: string, value: number) => void (table[name] ??= []).push(value)
  for (let round = 0; round < rounds; round++) {
    await measureSecondTab(browser, `${site.url}#room=second-${round}`, add)
    await measureFiveTabs(browser, `${site.url}#room=five-${round}`, add)
    progress(`round ${round + 1} of ${rounds}`)
  }
  progressDone()
  print(table)
} finally {
  await browser.close()
  await site.stop()
}

type Add = (name: string, value: number) => void

async function measureSecondTab(browser: Browser, url: string, add: Add): Promise<void> {
  const context = await openWindow(browser)
  await until(await openTab(context, url), 'up')
  const second = await openTab(context, url)
  const { navigation, asked, up } = await until(second, 'up')
  add('second tab: join to up', up! - asked!)
  add('second tab: navigation to up', up! - navigation)
  await context.close()
}

async function measureFiveTabs(browser: Browser, url: string, add: Add): Promise<void> {
  const context = await openWindow(browser)
  const tabs: Page[] = []
  for (let i = 0; i < TABS; i++) tabs.push(await openTab(context, url))
  const marks = await Promise.all(tabs.map((tab) => until(tab, 'confirmed')))
  const last = marks.at(-1)!
  const five = Math.max(...marks.map((mark) => mark.five!))
  const confirmed = Math.max(...marks.map((mark) => mark.confirmed!))
  add('five tabs: last join to all up everywhere', five - last.asked!)
  add('five tabs: last join to confirmed everywhere', confirmed - last.asked!)
  add('five tabs: last navigation to all up everywhere', five - last.navigation)
  add('five tabs: last navigation to confirmed everywhere', confirmed - last.navigation)
  await context.close()
}

async function openWindow(browser: Browser): Promise<BrowserContext> {
  const context = await browser.newContext()
  await context.addInitScript(watch, TABS)
  return context
}

async function openTab(context: BrowserContext, url: string): Promise<Page> {
  const tab = await context.newPage()
  await tab.goto(url)
  return tab
}

/** Runs in the page before anything else: takes times as the cluster changes, so that asking costs nothing. */
function watch(count: number): void {
  const now = () => performance.timeOrigin + performance.now()
  const marks: Marks = { navigation: performance.timeOrigin }
  window.marks = marks
  let current: Cluster | undefined
  const note = (): void => {
    if (!current) return
    const up = current.members.get().filter(({ status }) => status === 'up').length
    if (current.status.get() === 'up') marks.up ??= now()
    if (up === count) marks.five ??= now()
    if (up === count && current.convergence.get().state === 'confirmed') marks.confirmed ??= now()
  }
  // the demo puts its cluster there as soon as it has one
  Object.defineProperty(window, 'cluster', {
    configurable: true,
    get: () => current,
    set(cluster: Cluster) {
      marks.asked ??= now()
      current = cluster
      for (const readable of [cluster.members, cluster.status, cluster.convergence]) readable.subscribe(note)
      note()
    },
  })
}

/** The times of a tab once it has the one that is waited for. */
async function until(tab: Page, mark: keyof Marks): Promise<Marks> {
  await tab.waitForFunction((name) => window.marks[name] !== undefined, mark, { timeout: 30_000 })
  return tab.evaluate(() => window.marks)
}

function print(table: Readonly<Record<string, readonly number[]>>): void {
  const width = Math.max(...Object.keys(table).map((name) => name.length))
  const cell = (value: number | string) =>
    String(typeof value === 'number' ? Math.round(value) : value).padStart(8)
  console.log(`${rounds} rounds; ${machine(browser.version())}; ms`)
  console.log(''.padEnd(width) + ['median', 'p95', 'max'].map(cell).join(''))
  for (const [name, unsorted] of Object.entries(table)) {
    const values = unsorted.toSorted((a, b) => a - b)
    const numbers = [percentile(values, 0.5), percentile(values, 0.95), Math.max(...values)]
    console.log(name.padEnd(width) + numbers.map(cell).join(''))
  }
  const late = table['five tabs: last navigation to all up everywhere']!.filter((ms) => ms > PROMISED_MS)
  console.log(
    `five hand-opened tabs show each other within ${PROMISED_MS} ms of the last one opening: ` +
      `${rounds - late.length} of ${rounds} rounds`,
  )
  if (late.length > 0) process.exitCode = 1
}

/** `npm start` at a free port. */
async function startSite(): Promise<{ url: string; stop(): Promise<void> }> {
  const child = spawn(process.execPath, ['scripts/start.mjs', '--port', '0'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NO_COLOR: '1' },
  })
  const url = await addressOf(child)
  return {
    url,
    async stop() {
      child.kill('SIGTERM')
      if (child.exitCode === null) await once(child, 'exit')
    },
  }
}

function addressOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let output = ''
    child.stdout!.on('data', (chunk) => {
      output += String(chunk)
      const url = /http:\/\/127\.0\.0\.1:\d+\//.exec(output)?.[0]
      if (url !== undefined) resolve(url)
    })
    child.on('exit', () => reject(new Error(`npm start ended without an address:\n${output}`)))
  })
}
