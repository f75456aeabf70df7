/**
 * `npm run bench -- snapshot [--writes 50] [--seconds 10]`: what keeping snapshots costs a page, in real Chromium.
 *
 * First the main thread's time for one snapshot, from the timer that asks for it, through packing the table, until it
 * is with IndexedDB, for tables of several sizes: the others of the room live in the same page, in memory and virtual
 * time. Then six real tabs, one of which changes its meta more or less often: how many snapshots another one writes,
 * and, from Chromium's trace, the longest task of its main thread and of those that hold a write.
 */
import { setTimeout as pause } from 'node:timers/promises'
import type { Browser, Page } from '@playwright/test'
import { readCounts } from './support/arguments.ts'
import { launch } from './support/browser.ts'
import { Room } from './support/room.ts'
import { startSite, type Site } from './support/site.ts'
import { machine, median, printTable, progress, progressDone, spread, SPREAD } from './support/table.ts'
import { trace, type TraceEvent } from './support/trace.ts'
import { noteWrites, WRITE_MARK } from './support/writes.ts'

const SIZES = [6, 50, 200]
/** Changes a second. */
const RATES = [0, 1, 10, 50]
const ROOM_SIZE = 6
/** The mark by which the watching tab is known in a trace. */
const WATCHING = 'watching'

const { writes, seconds } = readCounts({ writes: { default: 50 }, seconds: { default: 10 } })
const site = await startSite({ isolated: true })
const browser = await launch()
try {
  console.log(machine(browser.version()))
  await measureTables(browser, site)
  await measureStreams(browser, site)
} finally {
  await browser.close()
  await site.stop()
}

async function measureTables(browser: Browser, site: Site): Promise<void> {
  const rows: (string | number | undefined)[][] = []
  for (const members of SIZES) {
    progress(`a table of ${members}`)
    const context = await browser.newContext()
    await context.addInitScript(noteWrites)
    const page = await context.newPage()
    await page.goto(site.pageUrl('crowd'))
    const measured = await page.evaluate(([size, count]) => window.measureCrowd(size, count), [
      members,
      writes,
    ] as const)
    const bytes = Math.max(...measured.map((write) => write.bytes))
    const total = measured.map(({ packMs, handOverMs }) => packMs + handOverMs)
    const halves = [median(measured.map(({ packMs }) => packMs)), median(measured.map((w) => w.handOverMs))]
    rows.push([`${members} members`, bytes, ...spread(total), ...halves])
    await context.close()
  }
  progressDone()
  console.log('\nmain-thread time of one snapshot, ms')
  printTable(['table', 'bytes', ...SPREAD, 'packing p50', 'handing over p50'], rows, 2)
}

async function measureStreams(browser: Browser, site: Site): Promise<void> {
  const room = new Room(browser, `${site.pageUrl('cluster')}#room`, { init: noteWrites })
  const [changing, watching] = await room.gather(ROOM_SIZE)
  const rows: (string | number | undefined)[][] = []
  for (const rate of RATES) {
    progress(`${rate} changes a second`)
    // what came before is written
    await pause(1_000)
    const before = await writesOf(watching!.page)
    const events = await trace(browser, ['blink.user_timing', 'toplevel'], async () => {
      await watching!.page.evaluate((name) => void performance.mark(name), WATCHING)
      await change(changing!.page, rate, seconds * 1_000)
    })
    const written = (await writesOf(watching!.page)) - before
    const { writing, all } = mainTasks(events)
    const changes = rate * seconds
    const perChange = changes === 0 ? undefined : written / changes
    const [, ...times] = spread(writing)
    rows.push([`${rate} a second`, changes, written, perChange, ...times, Math.max(...all)])
  }
  progressDone()
  await room.close()
  console.log(
    `\nsnapshots of one of six real tabs while another changes its meta for ${seconds} s; tasks in ms`,
  )
  printTable(
    ['changes', 'n', 'writes', 'writes per change', 'task with a write, p50', 'p95', 'max', 'longest task'],
    rows,
    2,
  )
}

function writesOf(page: Page): Promise<number> {
  return page.evaluate(() => window.writes.length)
}

function change(page: Page, rate: number, ms: number): Promise<void> {
  return page.evaluate(
    async ([rate, ms]) => {
      const start = performance.now()
      for (let changes = 0; performance.now() - start < ms;) {
        // a timer may be late: what is due is made up for
        for (; changes < (rate * (performance.now() - start)) / 1_000; changes++)
          window.bench.cluster.setMeta(`change ${changes} of ${rate} a second`)
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    },
    [rate, ms] as const,
  )
}

/** How long the tasks of the watching tab's main thread took, in ms: those that hand over a snapshot, and all. */
function mainTasks(events: readonly TraceEvent[]): { writing: number[]; all: number[] } {
  const watching = events.find(({ name }) => name === WATCHING)
  if (!watching) throw new Error('The trace does not have the watching tab.')
  const own = events.filter(({ pid, tid }) => pid === watching.pid && tid === watching.tid)
  const tasks = own.filter(({ name, dur }) => name === 'ThreadControllerImpl::RunTask' && dur !== undefined)
  const holds = ({ ts, dur }: TraceEvent, at: number): boolean => ts <= at && at <= ts + dur!
  const marks = own.filter(({ name }) => name === WRITE_MARK)
  return {
    writing: marks.map(({ ts: at }) =>
      Math.max(...tasks.filter((task) => holds(task, at)).map(({ dur }) => dur! / 1_000)),
    ),
    all: tasks.map(({ dur }) => dur! / 1_000),
  }
}
