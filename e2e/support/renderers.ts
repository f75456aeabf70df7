/** The operating system's process behind a tab, to be stopped or killed as a crash or a debugger would. */
import type { Page } from '@playwright/test'

/** The part of a trace event that is used; a mark of the User Timing API is named as the page named it. */
interface TraceEvent {
  readonly name: string
  readonly pid: number
}

/** Speaks with a whole browser over the Chrome DevTools Protocol. */
export interface Tracer {
  start(categories: readonly string[]): Promise<unknown>
  end(): Promise<unknown>
  onData(take: (events: readonly unknown[]) => void): void
  onComplete(done: () => void): void
}

/** The pids of the renderers that run `tabs`, in their order. */
export async function renderersOf(tabs: readonly Page[]): Promise<number[]> {
  const browser = tabs[0]?.context().browser()
  if (!browser) throw new Error('Tabs must be open, and of a browser that was launched.')
  const session = await browser.newBrowserCDPSession()
  const tracer: Tracer = {
    start: (includedCategories) =>
      session.send('Tracing.start', { traceConfig: { includedCategories: [...includedCategories] } }),
    end: () => session.send('Tracing.end'),
    onData: (take) => session.on('Tracing.dataCollected', ({ value }) => take(value)),
    onComplete: (done) => session.on('Tracing.tracingComplete', () => done()),
  }
  const pids = await tracedPids(
    tracer,
    tabs.map((tab) => (name) => tab.evaluate((mark) => void performance.mark(mark), name)),
  )
  await session.detach()
  return pids
}

/**
 * The pids of renderers, by what sets a mark in each. Chromium does not tell which process runs a page, but its trace
 * does: each page sets a mark of its own, and the trace has the process that set it.
 */
export async function tracedPids(
  tracer: Tracer,
  markers: readonly ((name: string) => Promise<unknown>)[],
): Promise<number[]> {
  const pids = new Map<string, number>()
  tracer.onData((events) => {
    for (const { name, pid } of events as readonly TraceEvent[]) pids.set(name, pid)
  })
  const nameOf = (i: number): string => `which-renderer-${i}`
  await tracer.start(['blink.user_timing'])
  await Promise.all(markers.map((mark, i) => mark(nameOf(i))))
  const complete = new Promise<void>((resolve) => tracer.onComplete(resolve))
  await tracer.end()
  await complete
  return markers.map((_, i) => {
    const pid = pids.get(nameOf(i))
    if (pid === undefined) throw new Error(`The trace has no mark of tab ${i}.`)
    return pid
  })
}
