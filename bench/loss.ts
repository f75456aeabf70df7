/**
 * `npm run bench -- loss [--rounds 10]`: when do the others know that a tab went, with and without a word, in real
 * Chromium? And is anybody taken for lost who was there all the time?
 *
 * Six tabs, each with a renderer process of its own. A round is a room in which each way to say goodbye happens twice
 * and then one renderer is killed; every second round one is stopped for 10 s before that; then rooms of six, three
 * and two tabs in which all but one, or one, are killed. Times are those of the events on the observers, by the wall
 * clock that all tabs of a machine share, from just before the fault.
 */
import { setTimeout as pause } from 'node:timers/promises'
import type { Browser } from '@playwright/test'
import type { ClusterEvent, NodeStatus } from '../src/index.ts'
import { readCounts } from './support/arguments.ts'
import { launch } from './support/browser.ts'
import { renderersOf } from './support/renderers.ts'
import { Room, type Tab } from './support/room.ts'
import { startSite, type Site } from './support/site.ts'
import { machine, median, printTable, progress, progressDone, spread, SPREAD } from './support/table.ts'

const ROOM_SIZE = 6
const STOPPED_MS = 10_000
/** What is asked of the product, in ms. */
const GOODBYE_MS = 250
const DETECTED_MS = 4_000
const RESUMED_MS = 2_000

const GOALS = {
  'leave()': GOODBYE_MS,
  'tab closed': GOODBYE_MS,
  reloaded: GOODBYE_MS,
  '  from pagehide of the old page': undefined,
  // what passes before is the other site's time, and that of the process that Chromium starts for it
  'navigated away': undefined,
  '  from pagehide of the page': GOODBYE_MS,
  'killed, one of six': DETECTED_MS,
  'killed, all but one of six': DETECTED_MS,
  'killed, one of three': DETECTED_MS,
  'killed, one of two': DETECTED_MS,
  'stopped 10 s: until up again': RESUMED_MS,
} as const
type Fault = keyof typeof GOALS
type StatusChange = Extract<ClusterEvent, { type: 'member-status' }>

/** How long each observer took to know of one fault. */
const measured = new Map<Fault, (readonly number[])[]>()
const accused: string[] = []
const doubles: string[] = []
const reborn: string[] = []
/** Faults that took too long, with the reason that observers were given. */
const late: string[] = []
let rooms = 0
let observedMs = 0
let turn = 0

const { rounds } = readCounts({ rounds: { default: 10 } })
const started = Date.now()
const site = await startSite()
const browser = await launch()
try {
  for (let round = 1; round <= rounds; round++) {
    const step = (what: string): void => {
      const seconds = Math.round((Date.now() - started) / 1_000)
      progress(`${seconds} s: round ${round} of ${rounds}: ${what}`)
    }
    await inRoom(browser, site, ROOM_SIZE, async (room, lost) => {
      step('goodbyes')
      for (const sayGoodbye of [leave, reload, navigate, close, leave, reload, navigate, close])
        await sayGoodbye(room)
      if (round % 2 === 1) {
        step('stopping one for 10 s')
        await stop(room, lost)
      }
      step('killing one of six')
      await killOne(room, 'killed, one of six', lost)
    })
    step('killing all but one')
    await inRoom(browser, site, ROOM_SIZE, async (room, lost) => {
      const [survivor, ...victims] = await settled(room)
      await kill(room, 'killed, all but one of six', victims, [survivor], lost)
    })
    step('killing one of three, then one of two')
    await inRoom(browser, site, 3, (room, lost) => killOne(room, 'killed, one of three', lost))
    await inRoom(browser, site, 2, (room, lost) => killOne(room, 'killed, one of two', lost))
  }
  progressDone()
  print()
} finally {
  await browser.close()
  await site.stop()
}

/** NodeIds whose renderer was killed or stopped: only these may be taken for lost. */
type Lost = Set<string>

async function inRoom(
  browser: Browser,
  site: Site,
  size: number,
  run: (room: Room, lost: Lost) => Promise<void>,
): Promise<void> {
  const room = new Room(browser, `${site.pageUrl('cluster')}#room-${++rooms}`)
  const lost: Lost = new Set()
  const opened = Date.now()
  try {
    await room.gather(size)
    await run(room, lost)
  } finally {
    observedMs += (Date.now() - opened) * size
    for (const tab of room.everOpened) judge(tab, lost)
    await room.close()
  }
}

function judge(tab: Tab, lost: Lost): void {
  for (const event of tab.events) {
    if (event.type === 'member-status' && event.to === 'unreachable' && !lost.has(event.nodeId))
      accused.push(`room ${rooms}: ${event.nodeId}: ${event.reason}`)
  }
  doubles.push(...tab.doubles)
}

async function leave(room: Room): Promise<void> {
  const [tab, ...others] = await settled(room)
  const since = await tab.page.evaluate(() => {
    const now = Date.now()
    void window.bench.cluster.leave()
    return now
  })
  await note('leave()', room, others, selfOf(tab), 'removed', since)
  await tab.page.goto('about:blank')
  await tab.page.goto(room.url)
}

async function reload(room: Room): Promise<void> {
  const [tab, ...others] = await settled(room)
  const old = selfOf(tab)
  const since = Date.now()
  const reloaded = tab.page.reload()
  await note('reloaded', room, others, old, 'removed', since)
  await reloaded
  await note('  from pagehide of the old page', room, others, old, 'removed', await hiddenAt(tab))
}

/** To another site, which Chromium runs in another process. */
async function navigate(room: Room): Promise<void> {
  const [tab, ...others] = await settled(room)
  const old = selfOf(tab)
  const away = room.url.replace('127.0.0.1', 'localhost').replace(/cluster\.html.*/, 'away.html')
  const since = Date.now()
  const gone = tab.page.goto(away)
  await note('navigated away', room, others, old, 'removed', since)
  await gone
  await tab.page.goto(room.url)
  await note('  from pagehide of the page', room, others, old, 'removed', await hiddenAt(tab))
}

/** When the page before this one of the tab went: what was before is the browser's time, not the library's. */
function hiddenAt({ page }: Tab): Promise<number> {
  return page.evaluate(() => Number(sessionStorage.getItem('hidden-at')))
}

async function close(room: Room): Promise<void> {
  const [tab, ...others] = await settled(room)
  const since = Date.now()
  // as a person closes it; without this it is torn down like a crash
  const closed = tab.page.close({ runBeforeUnload: true })
  await note('tab closed', room, others, selfOf(tab), 'removed', since)
  await closed
  await room.drop(tab)
  await room.open()
}

async function stop(room: Room, lost: Lost): Promise<void> {
  const [tab, ...others] = await settled(room)
  const nodeId = selfOf(tab)
  const [pid] = await renderersOf([tab.page])
  lost.add(nodeId)
  process.kill(pid!, 'SIGSTOP')
  await pause(STOPPED_MS)
  const since = Date.now()
  process.kill(pid!, 'SIGCONT')
  await note('stopped 10 s: until up again', room, others, nodeId, 'up', since)
  await room.together()
  if (selfOf(tab) !== nodeId) reborn.push(`${nodeId} came back as ${selfOf(tab)}`)
}

async function killOne(room: Room, fault: Fault, lost: Lost): Promise<void> {
  const [victim, ...others] = await settled(room)
  await kill(room, fault, [victim], others, lost)
}

async function kill(
  room: Room,
  fault: Fault,
  victims: readonly Tab[],
  others: readonly Tab[],
  lost: Lost,
): Promise<void> {
  const pids = await renderersOf(room.tabs.map(({ page }) => page))
  if (new Set(pids).size < pids.length) throw new Error('Two tabs share a renderer.')
  for (const victim of victims) lost.add(selfOf(victim))
  const crashed = victims.map(({ page }) => page.waitForEvent('crash'))
  const since = Date.now()
  for (const victim of victims) process.kill(pids[room.tabs.indexOf(victim)]!, 'SIGKILL')
  await Promise.all(victims.map((victim) => note(fault, room, others, selfOf(victim), 'unreachable', since)))
  await Promise.all(crashed)
}

/** The room's tabs, as one cluster, the one that was there longest first, so that the fault goes round. */
async function settled(room: Room): Promise<[Tab, ...Tab[]]> {
  await room.together()
  const [first, ...rest] = room.tabs
  turn = (turn + 1) % room.tabs.length
  const all = [first!, ...rest]
  return [...all.slice(turn), ...all.slice(0, turn)] as [Tab, ...Tab[]]
}

/** Waits until every observer was told `to` of a member after `since`, and keeps how long each of them took. */
async function note(
  fault: Fault,
  room: Room,
  observers: readonly Tab[],
  nodeId: string,
  to: NodeStatus,
  since: number,
): Promise<void> {
  const told = ({ events }: Tab): StatusChange | undefined =>
    events.find(
      (event): event is StatusChange =>
        event.type === 'member-status' && event.nodeId === nodeId && event.to === to && event.at >= since,
    )
  await room.until(`${nodeId} is ${to} for all others`, () => observers.every((tab) => told(tab)))
  const changes = observers.map((tab) => told(tab)!)
  const took = changes.map(({ at }) => at - since)
  measured.set(fault, [...(measured.get(fault) ?? []), took])
  const worst = Math.max(...took)
  if (worst <= (GOALS[fault] ?? Infinity)) return
  late.push(`${fault}: ${worst} ms, "${changes[took.indexOf(worst)]!.reason}"`)
}

function selfOf({ view }: Tab): string {
  if (!view) throw new Error('This tab has shown nothing yet.')
  return view.self
}

function print(): void {
  const seconds = Math.round((Date.now() - started) / 1_000)
  console.log(`${rounds} rounds in ${seconds} s; ${machine(browser.version())}; ms`)
  const rows = (Object.keys(GOALS) as Fault[]).map((fault) => {
    const events = measured.get(fault) ?? []
    const slowest = median(events.map((times) => Math.max(...times)))
    return [[fault, events.length], spread(events.flat()), [slowest, GOALS[fault]]].flat()
  })
  printTable(['event', 'events', ...SPREAD, 'slowest observer, p50', 'goal for p95'], rows)
  console.log(`n counts pairs of event and observer.`)
  const hours = (observedMs / 3_600_000).toFixed(2)
  verdict(`taken for lost, though neither killed nor stopped (${hours} tab-hours)`, accused)
  verdict('lists with two live members of one authority', doubles)
  verdict('stopped tabs that came back as another life', reborn)
  console.log([`events over their goal on some observer: ${late.length}`, ...late].join('\n  '))
  verdict(
    'goals missed',
    rows.flatMap(([fault, , , , p95, , , goal]) => (Number(p95) > Number(goal) ? [String(fault)] : [])),
  )
}

function verdict(what: string, found: readonly string[]): void {
  console.log([`${what}: ${found.length}`, ...found].join('\n  '))
  if (found.length > 0) process.exitCode = 1
}
