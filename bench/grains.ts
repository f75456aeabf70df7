/**
 * `npm run bench -- grains [--blocks 20] [--crowd 10000] [--seconds 20] [--quick] [--profile]`: what a call of a grain
 * costs between two real tabs, beside a raw data channel, PeerJS and Trystero in the same two tabs; and what thousands
 * of grains cost that nobody calls.
 *
 * Each tab has a browser context of its own. A block puts every way through the same, one after the other, in an order
 * that turns; a figure is the median of the ratios within blocks, so that a machine that is slow for a while is slow for
 * all. First in a room of two, where a change goes to the caller's own tab before it is answered, then in a room of
 * three, where it goes to a third one as well.
 */
import { setTimeout as pause } from 'node:timers/promises'
import type { Page } from '@playwright/test'
import type { Briefs, CrowdKind, Traffic, Way } from './pages/grains.ts'
import { readArguments } from './support/arguments.ts'
import { inBlocks, judge, mapValues, percentileOf, ratios } from './support/blocks.ts'
import { launch } from './support/browser.ts'
import { attachHubs } from './support/hub.ts'
import { profile } from './support/profile.ts'
import { startSite } from './support/site.ts'
import { expect, machine, median, printTable, progress, progressDone } from './support/table.ts'

const BLOCK_MS = 300
/** See `bench/link.ts`: what is hot is compiled after some thousand calls. */
const WARM_UP_BLOCKS = 10
const MANY_KEYS = 64
/** Questions under way at once. One key takes 64 that wait, by default. */
const UNDER_WAY = 64
/** What is asked of the product. */
const READ_GOAL = 1.25
const CHANGE_GOAL = 3
const TRYSTERO_GOAL = 3
const PAUSE_GOAL_MS = 50
/** Traffic of a room is never the same twice: gossip has its own. */
const SAME = 1.1
const PATIENCE_MS = 60_000

const { counts, flags } = readArguments(
  { blocks: { default: 20 }, crowd: { default: 10_000 }, seconds: { default: 20 } },
  ['quick', 'profile'],
)
const blocks = flags.quick ? 3 : counts.blocks
const run = { blocks, warmUps: flags.quick ? 1 : WARM_UP_BLOCKS }
const seconds = flags.quick ? 3 : counts.seconds
const site = await startSite({ isolated: true, readable: flags.profile, attach: attachHubs })
const browser = await launch()
try {
  console.log(machine(browser.version()))
  const b = await open('b')
  await b.waitForFunction(() => window.isReachable)
  const a = await open('a')
  await together([a, b])
  if (flags.profile) await profileCalls(await pairOf(a, b))
  else {
    await measureCalls(await pairOf(a, b), 'a room of 2')
    const c = await open('c')
    const room = [a, b, c]
    await together(room)
    const pair = await pairOf(a, b)
    await measureCalls(pair, 'a room of 3', c)
    await measureIdle(pair.caller, room)
    await measurePauses(pair.caller, room)
  }
} finally {
  progressDone()
  await browser.close()
  await site.stop()
}

async function open(id: string): Promise<Page> {
  const page = await (await browser.newContext()).newPage()
  page.on('pageerror', (error) => console.error(`tab ${id}: ${error.message}`))
  await page.goto(`${site.pageUrl('grains')}#${id}`)
  return page
}

/** All know each other, and what one of them hosts is held by the others as well. */
async function together(room: readonly Page[]): Promise<void> {
  for (const page of room) {
    await page.waitForFunction(() => window.grainBench !== undefined)
    await page.waitForFunction(
      (size) =>
        window.grainBench.cluster.members.get().filter(({ status }) => status === 'up').length === size,
      room.length,
    )
  }
  // owners take in who has been up for 2 s, and copy to it
  await pause(6_000)
}

interface Pair {
  readonly caller: Page
  readonly host: Page
  /** Of grains that `host` hosts. */
  readonly keys: readonly string[]
}

async function measureCalls({ caller, host, keys }: Pair, where: string, third?: Page): Promise<void> {
  const one = keys.slice(0, 1)
  const started = Date.now()
  const ways = {
    raw: { name: 'raw' },
    PeerJS: { name: 'PeerJS' },
    Trystero: { name: 'Trystero' },
    'Trystero by hand': { name: 'Trystero by hand' },
    'call without change': { name: 'grains', method: 'read', keys: one },
    'call with change': { name: 'grains', method: 'add', keys: one },
  } satisfies Record<string, Way>
  const times = await inBlocks(`${where}, one by one`, run, namesOf(ways), (name) =>
    caller.evaluate(([given, ms]) => window.grainBench.oneByOne(given, ms), [
      ways[name] as Way,
      BLOCK_MS,
    ] as const),
  )
  const flows = {
    PeerJS: { name: 'PeerJS' },
    Trystero: { name: 'Trystero' },
    'Trystero by hand': { name: 'Trystero by hand' },
    'calls without change, many keys': { name: 'grains', method: 'read', keys },
    'calls without change, one key': { name: 'grains', method: 'read', keys: one },
    'calls with change, many keys': { name: 'grains', method: 'add', keys },
    'calls with change, one key': { name: 'grains', method: 'add', keys: one },
    'local calls without change': { name: 'grains', method: 'read', keys },
    'local calls with change': { name: 'grains', method: 'add', keys },
  } satisfies Record<string, Way>
  const rates = await inBlocks(`${where}, ${UNDER_WAY} at once`, run, namesOf(flows), (name) => {
    const page = name.startsWith('local') ? host : caller
    const given = [flows[name] as Way, BLOCK_MS, UNDER_WAY] as const
    return page.evaluate(([asked, ms, underWay]) => window.grainBench.atOnce(asked, ms, underWay), given)
  })
  const copies = third && (await copiesOf(caller, third, one))
  progressDone()

  console.log(`\n${where}: ${blocks} blocks in ${Math.round((Date.now() - started) / 1_000)} s`)
  const medians = mapValues(times, (list) => median(list))
  printTable(
    ['one by one, medians of blocks', 'ms', 'p99 over all blocks', '/ raw'],
    [...medians].map(([name, list]) => [
      name,
      median(list),
      percentileOf(times.get(name)!.flat(), 0.99),
      median(ratios(medians, name, ['raw'])),
    ]),
    3,
  )
  console.log()
  printTable(
    [`${UNDER_WAY} at once, medians of blocks`, 'a second', '/ PeerJS', '/ Trystero'],
    [...rates].map(([name, list]) => [
      name,
      Math.round(median(list)),
      median(ratios(rates, name, ['PeerJS'])).toFixed(2),
      median(ratios(rates, name, ['Trystero'])).toFixed(2),
    ]),
  )
  console.log()
  judge('call without change / raw', ratios(medians, 'call without change', ['raw']), 'at most', READ_GOAL)
  judge('call with change / raw', ratios(medians, 'call with change', ['raw']), 'at most', CHANGE_GOAL)
  const many = 'calls without change, many keys'
  judge(
    `${many}, a second / requests of Trystero`,
    ratios(rates, many, ['Trystero']),
    'at least',
    TRYSTERO_GOAL,
  )
  const byHand = median(ratios(rates, many, ['Trystero', 'Trystero by hand'])).toFixed(2)
  console.log(
    `        the same / requests made by hand of Trystero's messages, where these are faster: ${byHand}`,
  )
  const hosts = await caller.evaluate((given) => window.grainBench.hostsOf(given), keys)
  const isSame = hosts.every((id) => id === idOf(host))
  expect('the grains stayed where they were', isSame)
  if (copies !== undefined) {
    expect(`a change is answered by the third tab too: ${copies.toFixed(2)} messages each`, copies >= 0.9)
  }
}

/** Whichever of the two hosts more is called by the other: who was there first hosts nearly all. */
async function pairOf(a: Page, b: Page): Promise<Pair> {
  const keys = Array.from({ length: 8 * MANY_KEYS }, (_, i) => `key ${i}`)
  const hosts: string[] = []
  while (hosts.length < keys.length) {
    const next = keys.slice(hosts.length, hosts.length + MANY_KEYS)
    hosts.push(...(await a.evaluate((given) => window.grainBench.hostsOf(given), next)))
    for (const [host, caller] of [[a, b] as const, [b, a] as const]) {
      const found = keys.filter((_, i) => hosts[i] === idOf(host))
      if (found.length >= MANY_KEYS) return { host, caller, keys: found.slice(0, MANY_KEYS) }
    }
  }
  throw new Error('neither of the two tabs hosts enough')
}

function idOf(page: Page): string {
  return new URL(page.url()).hash.slice(1)
}

/** Messages that the third tab sends for each change. */
async function copiesOf(caller: Page, third: Page, keys: readonly string[]): Promise<number> {
  const before = await sentBy([third])
  const way: Way = { name: 'grains', method: 'add', keys }
  const calls = await caller.evaluate(([given, ms]) => window.grainBench.oneByOne(given, ms), [
    way,
    BLOCK_MS,
  ] as const)
  return ((await sentBy([third])).messages - before.messages) / calls.length
}

async function measureIdle(caller: Page, room: readonly Page[]): Promise<void> {
  const rows: (string | number)[][] = []
  const measure = async (name: string): Promise<Traffic> => {
    progress(`traffic: ${name}`)
    const before = await sentBy(room)
    await pause(seconds * 1_000)
    const after = await sentBy(room)
    const messages = (after.messages - before.messages) / seconds
    const bytes = (after.bytes - before.bytes) / seconds
    rows.push([name, messages, bytes])
    return { messages, bytes }
  }
  await restOf(room)
  await measure('no idle grain')
  const few = await caller.evaluate((tabs) => window.grainBench.activateEverywhere(tabs), room.length)
  await restOf(room)
  const one = await measure(`${few} idle grains, one in each tab at least`)
  const ms = await caller.evaluate((count) => window.grainBench.activate('idle', count), counts.crowd)
  const restMs = await restOf(room)
  const many = await measure(`${counts.crowd} idle grains`)
  progressDone()
  console.log(
    `\n${counts.crowd} grains of one kind, each called once with a change in ${Math.round(ms)} ms; at rest ` +
      `${Math.round(restMs / 1_000)} s later; all ${room.length} tabs together, over ${seconds} s`,
  )
  printTable(['sent on links a second', 'messages', 'bytes'], rows, 1)
  expect(
    `idle grains cost no traffic: messages ${(many.messages / one.messages).toFixed(2)}, bytes ` +
      `${(many.bytes / one.bytes).toFixed(2)} of what one in each tab costs; asked: at most ${SAME}`,
    many.messages <= SAME * one.messages && many.bytes <= SAME * one.bytes,
  )
}

/**
 * Until what the tabs send in a second is the least of some seconds, twice. The sum of gossip and leases goes up and
 * down a little; what calls leave behind goes away.
 */
async function restOf(room: readonly Page[]): Promise<number> {
  const started = Date.now()
  const rates: number[] = []
  let last = await sentBy(room)
  let lastAt = started
  while (Date.now() - started < PATIENCE_MS) {
    await pause(1_000)
    const [sent, now] = [await sentBy(room), Date.now()]
    rates.push(((sent.bytes - last.bytes) * 1_000) / (now - lastAt))
    last = sent
    lastAt = now
    const recent = rates.slice(-4)
    if (recent.length === 4 && Math.max(...recent) <= 1.5 * Math.min(...rates)) return now - started - 4_000
  }
  throw new Error('the room does not come to rest')
}

async function sentBy(room: readonly Page[]): Promise<Traffic> {
  const all = await Promise.all(room.map((page) => page.evaluate(() => window.grainBench.sent())))
  return {
    messages: all.reduce((sum, { messages }) => sum + messages, 0),
    bytes: all.reduce((sum, { bytes }) => sum + bytes, 0),
  }
}

async function measurePauses(caller: Page, room: readonly Page[]): Promise<void> {
  const rows: (string | number)[][] = []
  const during = async (name: string, run: () => Promise<unknown>): Promise<number> => {
    progress(`pauses: ${name}`)
    for (const page of room) await page.evaluate(() => window.grainBench.ticker.start())
    const started = Date.now()
    await run()
    const ms = Date.now() - started
    const gaps = await Promise.all(room.map((page) => page.evaluate(() => window.grainBench.ticker.stop())))
    rows.push([name, ms, ...gaps])
    return Math.max(...gaps)
  }
  await during('nothing', () => pause(3_000))
  const kind: CrowdKind = 'brief'
  const activating = await during(`activating ${counts.crowd}`, () =>
    caller.evaluate(([name, count]) => window.grainBench.activate(name, count), [
      kind,
      counts.crowd,
    ] as const),
  )
  const passivating = await during(`passivating ${counts.crowd}`, () => passivated(room))
  progressDone()
  console.log(`\nlongest time in which a tab's main thread did not come to a next task, ms`)
  const { activated, gone, passivated: told } = await briefsOf(room)
  console.log(`came into memory: ${activated}, left it: ${gone}, ${told} of them told before`)
  printTable(['', 'took', ...room.map((_, i) => `tab ${'abc'[i]}`)], rows, 1)
  expect(
    `activating: ${activating.toFixed(1)} ms; asked: at most ${PAUSE_GOAL_MS}`,
    activating <= PAUSE_GOAL_MS,
  )
  expect(
    `passivating: ${passivating.toFixed(1)} ms; asked: at most ${PAUSE_GOAL_MS}`,
    passivating <= PAUSE_GOAL_MS,
  )
}

async function passivated(room: readonly Page[]): Promise<void> {
  const started = Date.now()
  while (Date.now() - started < PATIENCE_MS) {
    const { activated, gone } = await briefsOf(room)
    if (gone >= activated) return
    await pause(500)
  }
  throw new Error('the grains do not leave memory')
}

async function briefsOf(room: readonly Page[]): Promise<Briefs> {
  const all = await Promise.all(room.map((page) => page.evaluate(() => window.grainBench.briefs())))
  const sum = (key: keyof Briefs): number => all.reduce((total, one) => total + one[key], 0)
  return { activated: sum('activated'), gone: sum('gone'), passivated: sum('passivated') }
}

function namesOf<Name extends string>(ways: Readonly<Record<Name, Way>>): Name[] {
  return Object.keys(ways) as Name[]
}

async function profileCalls({ caller, host, keys }: Pair): Promise<void> {
  const tabs = { caller, host }
  const repeat = async (run: () => Promise<unknown>): Promise<void> => {
    for (let i = 0; i < 8; i++) await run()
  }
  for (const method of ['read', 'add'] as const) {
    const one: Way = { name: 'grains', method, keys: keys.slice(0, 1) }
    const many: Way = { name: 'grains', method, keys }
    const runs = {
      'one by one': () =>
        caller.evaluate(([way, ms]) => window.grainBench.oneByOne(way, ms), [one, BLOCK_MS] as const),
      'at once': () =>
        caller.evaluate(([way, ms, underWay]) => window.grainBench.atOnce(way, ms, underWay), [
          many,
          BLOCK_MS,
          UNDER_WAY,
        ] as const),
    }
    for (const [name, run] of Object.entries(runs)) {
      await repeat(run)
      await profile(tabs, `${method} ${name}`, () => repeat(run))
    }
  }
}
