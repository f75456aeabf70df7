/**
 * Tabs that count. In Playwright's browser each has a context of its own, as one more browser would be, and is visible;
 * in a Chromium as a user runs it all are in one window, and all but one hidden.
 */
import type { Browser, Page } from '@playwright/test'
import type { CountingTab, OpenCountingTab } from '../counting.ts'
import type { Ended } from '../pages/grains.ts'
import { expect } from './fixtures.ts'
import type { OpenTab } from './fixtures.ts'
import type { OwnChromium } from './own-chromium.ts'
import { renderersOf } from './renderers.ts'

/** @param url of pages/grains.html, with the room */
export function countingTabs(browser: Browser, openTab: OpenTab, url: string): OpenCountingTab {
  return async (report) => {
    const context = await browser.newContext()
    await context.exposeFunction('keepEnded', (ended: string) => report(JSON.parse(ended) as Ended))
    return countingTab(await openTab(url, { context }))
  }
}

export function countingTabsOf(chromium: OwnChromium, url: string): OpenCountingTab {
  return async (report) => {
    const keepEnded = (ended: string): void => report(JSON.parse(ended) as Ended)
    const tab = await chromium.openTab(url, { keepEnded })
    await expect.poll(() => tab.evaluate('document.readyState')).toBe('complete')
    return { ...tab, navigateAway: () => tab.goTo('about:blank'), discard: () => tab.close() }
  }
}

function countingTab(tab: Page): CountingTab {
  const crash = new Promise<void>((resolve) => tab.once('crash', () => resolve()))
  return {
    evaluate: <T>(expression: string) => tab.evaluate(expression) as Promise<T>,
    pid: async () => (await renderersOf([tab]))[0]!,
    crashed: () => crash,
    async close() {
      const closed = tab.waitForEvent('close')
      await tab.close({ runBeforeUnload: true })
      await closed
    },
    reload: async () => void (await tab.reload()),
    navigateAway: async () => void (await tab.goto('about:blank')),
    discard: () => tab.context().close(),
  }
}
