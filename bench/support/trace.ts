/** Chromium's own record of what its processes do. */
import type { Browser } from '@playwright/test'

/** The part of a trace event that is used. Times are in microseconds. */
export interface TraceEvent {
  readonly name: string
  readonly pid: number
  readonly tid: number
  readonly ts: number
  /** Of events that last. */
  readonly dur?: number
}

/** What all processes of the browser noted while `run` ran. */
export async function trace(
  browser: Browser,
  includedCategories: string[],
  run: () => Promise<unknown>,
): Promise<TraceEvent[]> {
  const session = await browser.newBrowserCDPSession()
  const events: TraceEvent[] = []
  session.on('Tracing.dataCollected', ({ value }) => {
    // not spread into one call: there may be too many for that
    for (const event of value as unknown as readonly TraceEvent[]) events.push(event)
  })
  await session.send('Tracing.start', { traceConfig: { includedCategories } })
  await run()
  const complete = new Promise((resolve) => session.once('Tracing.tracingComplete', resolve))
  await session.send('Tracing.end')
  await complete
  await session.detach()
  return events
}
