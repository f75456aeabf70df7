/**
 * The tab that hosts a counter is lost, again and again, while all others add to it: what was acknowledged is there,
 * nothing is there twice, and it is served again soon.
 */
import type { LossKind } from './counting.ts'
import { CountingRoom, LOSSES } from './counting.ts'
import { countingTabs, countingTabsOf } from './support/counting-tabs.ts'
import { expect, test } from './support/fixtures.ts'
import { startChromium } from './support/own-chromium.ts'
import { percentileOf, report } from './witnesses.ts'

const isFull = process.env['GRAINMESH_FULL'] === '1'
/** p95 from the loss of a host (its goodbye, its death) until the counter is served again, in full runs. */
const GOODBYE_MS = 300
const KILLED_MS = 6_000
const LOSS_MS = 40_000

const rooms: { size: number; sample: readonly LossKind[]; rounds: number }[] = [
  { size: 6, sample: LOSSES, rounds: 6 },
  { size: 3, sample: ['killed', 'reloaded'], rounds: 2 },
  { size: 2, sample: ['killed', 'closed'], rounds: 2 },
]

for (const { size, sample, rounds } of rooms) {
  const plan = isFull ? Array.from({ length: rounds }, () => LOSSES) : [sample]
  test(`${size} tabs count on while their host is lost ${plan.flat().length} times`, async ({
    allowErrors,
    browser,
    openTab,
    room,
    site,
  }) => {
    test.setTimeout(60_000 + plan.flat().length * LOSS_MS)
    allowErrors(/the renderer crashed/)
    const tabs = countingTabs(browser, openTab, `${site.pageUrl('grains')}#${room}`)
    await countThrough(new CountingRoom(tabs, size), plan)
  })
}

test.describe('five tabs of one window', () => {
  const plan = isFull ? [LOSSES, LOSSES] : [['killed', 'closed'] as const]

  test(`count on while their host is lost ${plan.flat().length} times, four of them hidden`, async ({
    room,
    site,
  }) => {
    test.setTimeout(60_000 + plan.flat().length * LOSS_MS)
    const { executablePath, args } = test.info().project.use.launchOptions!
    const chromium = await startChromium(executablePath!, args!)
    try {
      const tabs = countingTabsOf(chromium, `${site.pageUrl('grains')}#${room}`)
      const window = new CountingRoom(tabs, 5)
      await window.fill()
      const hidden = async (): Promise<number> =>
        (await window.visibilities()).filter((state) => state === 'hidden').length
      await expect.poll(hidden).toBe(4)
      await countThrough(window, plan)
    } finally {
      await chromium.close()
    }
  })
})

/** A counter for each round, since it grows with every call. */
async function countThrough(room: CountingRoom, plan: readonly (readonly LossKind[])[]): Promise<void> {
  await room.fill()
  for (const [round, losses] of plan.entries()) {
    await room.countOn(`likes-${round}`)
    for (const loss of losses) await room.lose(loss)
  }
  await room.expectExact()
  for (const kind of LOSSES) {
    const losses = room.recoveries.filter((loss) => loss.kind === kind)
    if (losses.length === 0) continue
    report(
      `host ${kind}, until it is served again`,
      losses.map(({ ms }) => ms),
    )
    report(
      `the same, from when that was asked of the browser`,
      losses.map(({ ms, goneAt, askedAt }) => ms + goneAt - askedAt),
    )
  }
  if (room.failures.length > 0) console.log(JSON.stringify({ losses: room.losses, failures: room.failures }))
  expect(room.failures, 'no call of a tab that stays fails').toEqual([])
  if (!isFull) return
  const timesOf = (kinds: readonly LossKind[]): number[] =>
    room.recoveries.filter(({ kind }) => kinds.includes(kind)).map(({ ms }) => ms)
  expect(percentileOf(timesOf(['closed', 'reloaded', 'navigated']), 0.95)).toBeLessThanOrEqual(GOODBYE_MS)
  expect(percentileOf(timesOf(['killed']), 0.95)).toBeLessThanOrEqual(KILLED_MS)
}
