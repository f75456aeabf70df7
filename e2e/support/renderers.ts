/** The operating system's process behind a tab, to be stopped or killed as a crash or a debugger would. */
import type { Page } from '@playwright/test'

/** The part of a trace event that is used; a mark of the User Timing API is named as the page named it. */
interface TraceEvent {
  readonly name: string
  readonly pid: number
}

/**
 * The pids of the renderers that run `tabs`, in their order. Chromium does not tell which process runs a page, but its
 * trace does: each page sets a mark of its own, and the trace has the process that set it.
 */
export async function renderersOf(tabs: readonly Page[]): Promise<number[]> {
  const browser = tabs[0]?.context().browser()
  if (!browser) throw new Error('Tabs must be open, and of a browser that was launched.')
  const session = await browser.newBrowserCDPSession()
  const pids = new Map<string, number>()
  session.on('Tracing.dataCollected', ({ value }) => {
    for (const { name, pid } of value as unknown as readonly TraceEvent[]) pids.set(name, pid)
  })
  const marks = tabs.map((_, i) => `which-renderer-${i}`)
  await session.send('Tracing.start', { traceConfig: { includedCategories: ['blink.user_timing'] } })
  await Promise.all(tabs.map((tab, i) => tab.evaluate((name) => void performance.mark(name), marks[i]!)))
  const complete = new Promise((resolve) => session.once('Tracing.tracingComplete', resolve))
  await session.send('Tracing.end')
  await complete
  await session.detach()
  return marks.map((mark, i) => {
    const pid = pids.get(mark)
    if (pid === undefined) throw new Error(`The trace has no mark of tab ${i}.`)
    return pid
  })
}
