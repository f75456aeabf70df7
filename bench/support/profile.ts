/** Where a tab's main thread spends its time, as Chromium's profiler samples it. */
import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { Page } from '@playwright/test'
import { printTable } from './table.ts'

const FOLDER = 'test-results'
const SAMPLE_US = 200
const SHOWN = 30

/** Profiles the tabs while `run` runs; prints the functions that took most, and keeps the whole for DevTools. */
export async function profile(
  tabs: Readonly<Record<string, Page>>,
  name: string,
  run: () => Promise<unknown>,
): Promise<void> {
  const sessions = await Promise.all(
    Object.entries(tabs).map(async ([tab, page]) => {
      const session = await page.context().newCDPSession(page)
      await session.send('Profiler.enable')
      await session.send('Profiler.setSamplingInterval', { interval: SAMPLE_US })
      await session.send('Profiler.start')
      return [tab, session] as const
    }),
  )
  await run()
  await mkdir(FOLDER, { recursive: true })
  for (const [tab, session] of sessions) {
    const { profile: taken } = await session.send('Profiler.stop')
    await session.detach()
    const file = path.join(FOLDER, `${name}-${tab}.cpuprofile`)
    await writeFile(file, JSON.stringify(taken))
    console.log(`\n${name}, ${tab}: ${file}`)
    const own = new Map<string, number>()
    const names = new Map(
      taken.nodes.map(({ id, callFrame }) => [
        id,
        `${callFrame.functionName || '(anonymous)'}:${callFrame.lineNumber + 1}`,
      ]),
    )
    for (const [i, id] of (taken.samples ?? []).entries()) {
      const at = names.get(id) ?? '?'
      own.set(at, (own.get(at) ?? 0) + (taken.timeDeltas?.[i] ?? 0))
    }
    const total = [...own.values()].reduce((sum, time) => sum + time, 0)
    const rows = [...own].toSorted(([, a], [, b]) => b - a).slice(0, SHOWN)
    printTable(
      ['own time', 'ms', '%'],
      rows.map(([at, us]) => [at, us / 1_000, (100 * us) / total]),
      1,
    )
  }
}
