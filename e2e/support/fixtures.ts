/**
 * What every spec imports instead of '@playwright/test': tabs in browser contexts of their own, a site with a
 * signaling server that can be stopped, and the rule that no tab may log an error unseen.
 *
 * ```ts
 * import { expect, test } from './support/fixtures.ts'
 *
 * test('two tabs meet', async ({ openTab, site, room }) => {
 *   const one = await openTab(`${site.url}#${room}`)
 *   const two = await openTab(`${site.url}#${room}`)
 *   await expect.poll(() => one.evaluate(() => window.cluster.members.get().length)).toBe(2)
 * })
 * ```
 */
import { test as base, expect } from '@playwright/test'
import type { BrowserContext, Page } from '@playwright/test'
import { startSite } from './site.ts'
import type { Site } from './site.ts'

export { expect }
export type { Site }

export interface OpenTabOptions {
  /** Opens the tab in this context, as one more tab of the same window. Default: a new context for each tab. */
  readonly context?: BrowserContext
  /** Resolves once this has happened. Default `load`. */
  readonly waitUntil?: 'load' | 'domcontentloaded' | 'commit'
}

/** Opens a tab and goes to `url`. Tabs that are still open at the end of the test are closed. */
export type OpenTab = (url: string, options?: OpenTabOptions) => Promise<Page>

interface TestFixtures {
  readonly openTab: OpenTab
  /** A room name that no other test uses. */
  readonly room: string
  /** Says that console or page errors whose text matches are part of the test. Holds until the test's end. */
  readonly allowErrors: (pattern: RegExp) => void
  /** Errors that tabs of this test logged or threw so far, one line each. */
  readonly tabErrors: readonly string[]
  /** The site, with a signaling server that knows nobody yet at the start of each test. */
  readonly site: Site
}

interface WorkerFixtures {
  readonly sharedSite: Site
}

export const test = base.extend<TestFixtures & { errorRecord: ErrorRecord }, WorkerFixtures>({
  sharedSite: [
    async ({}, use) => {
      const folder = process.env['GRAINMESH_E2E_SITE']
      if (folder === undefined)
        throw new Error('The global setup has not run: start specs with playwright test.')
      const site = await startSite(folder)
      await use(site)
      await site.close()
    },
    { scope: 'worker' },
  ],

  site: async ({ sharedSite }, use) => {
    await sharedSite.signaling.stop()
    await sharedSite.signaling.start({ fresh: true })
    await use(sharedSite)
  },

  room: async ({}, use, testInfo) => {
    await use(`room-${testInfo.testId}-${testInfo.repeatEachIndex}`)
  },

  errorRecord: [
    async ({}, use) => {
      const record: ErrorRecord = { errors: [], allowed: [] }
      await use(record)
      const unexpected = record.errors.filter((text) => !record.allowed.some((pattern) => pattern.test(text)))
      expect(unexpected, 'no tab logs or throws an error').toEqual([])
    },
    { auto: true },
  ],

  tabErrors: async ({ errorRecord }, use) => use(errorRecord.errors),

  allowErrors: async ({ errorRecord }, use) => use((pattern) => void errorRecord.allowed.push(pattern)),

  openTab: async ({ browser, errorRecord }, use) => {
    const contexts = new Set<BrowserContext>()
    const watched = new WeakSet<BrowserContext>()
    let opened = 0
    await use(async (url, options = {}) => {
      const context = options.context ?? (await browser.newContext())
      contexts.add(context)
      if (!watched.has(context)) {
        watched.add(context)
        // also hears of tabs that a page opens itself
        context.on('page', (page) => watchTab(page, `tab ${String(++opened)}`, errorRecord))
      }
      const page = await context.newPage()
      await page.goto(url, { waitUntil: options.waitUntil ?? 'load' })
      return page
    })
    await Promise.all([...contexts].map((context) => context.close()))
  },
})

interface ErrorRecord {
  readonly errors: string[]
  readonly allowed: RegExp[]
}

function watchTab(page: Page, name: string, record: ErrorRecord): void {
  page.on('console', (message) => {
    if (message.type() !== 'error') return
    record.errors.push(`${name}: console.error: ${message.text()} (${message.location().url})`)
  })
  page.on('pageerror', (error) => {
    record.errors.push(`${name}: uncaught ${error.stack ?? error.message}`)
  })
  page.on('crash', () => {
    record.errors.push(`${name}: the renderer crashed`)
  })
}
