/** The operating system's process behind a tab, to be stopped or killed as a crash or a debugger would. */
import type { Page } from '@playwright/test'
import { trace } from './trace.ts'

/**
 * The pids of the renderers that run `tabs`, in their order. Chromium does not tell which process runs a page, but its
 * trace has each mark of the User Timing API with the process that set it.
 */
export async function renderersOf(tabs: readonly Page[]): Promise<number[]> {
  const browser = tabs[0]?.context().browser()
  if (!browser) throw new Error('Tabs must be open, and of a browser that was launched.')
  const marks = tabs.map((_, i) => `which-renderer-${i}`)
  const events = await trace(browser, ['blink.user_timing'], () =>
    Promise.all(tabs.map((tab, i) => tab.evaluate((name) => void performance.mark(name), marks[i]!))),
  )
  return marks.map((mark, i) => {
    const event = events.find(({ name }) => name === mark)
    if (!event) throw new Error(`The trace has no mark of tab ${i}.`)
    return event.pid
  })
}
