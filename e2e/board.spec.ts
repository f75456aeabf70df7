/** The board of the demo: cards that live in tabs, and go on in another when theirs is gone. */
import { AxeBuilder } from '@axe-core/playwright'
import type { Locator, Page } from '@playwright/test'
import { expect, test } from './support/fixtures.ts'
import type { OpenTab } from './support/fixtures.ts'

test('a card added in one tab is seen in the other, with its text and its host', async ({
  openTab,
  site,
  room,
}) => {
  const [one, two] = await twoTabs(openTab, `${site.url}#room=${room}`)
  const card = await addCard(one, 'buy bread')
  const seen = cardOf(two, await idOf(card))
  await expect(textOf(seen)).toHaveValue('buy bread')
  await expect(seen).toHaveAttribute('data-host', (await card.getAttribute('data-host'))!)

  await textOf(seen).fill('buy bread and salt')
  await expect(textOf(card)).toHaveValue('buy bread and salt')

  const place = () => card.evaluate((element) => getComputedStyle(element).transform)
  const before = await place()
  await seen.getByRole('button', { name: 'Move' }).press('Shift+ArrowLeft')
  await expect.poll(place).not.toBe(before)

  const moved = await place()
  await drag(seen.getByRole('button', { name: 'Move' }), 120, 60)
  await expect.poll(place).not.toBe(moved)
  const placeThere = () => seen.evaluate((element) => getComputedStyle(element).transform)
  await expect.poll(async () => (await place()) === (await placeThere())).toBe(true)

  await seen.getByRole('button', { name: 'Delete' }).press('Enter')
  for (const gone of [card, seen]) await expect(gone).toHaveCount(0)
})

test('two who write on one card at once both keep what they wrote, and their place in it', async ({
  openTab,
  site,
  room,
}) => {
  const [one, two] = await twoTabs(openTab, `${site.url}#room=${room}`)
  const card = await addCard(one, 'begin end')
  const seen = cardOf(two, await idOf(card))
  await expect(textOf(seen)).toHaveValue('begin end')
  // one writes in the middle, the other behind
  await textOf(card).evaluate((field: HTMLTextAreaElement) => field.setSelectionRange(5, 5))
  await textOf(seen).press('End')
  for (const [mine, theirs] of ['aA', 'bB', 'cC', 'dD', 'eE', 'fF'].map(([x, y]) => [x!, y!] as const)) {
    await Promise.all([textOf(card).press(mine), textOf(seen).press(theirs)])
  }
  for (const text of [textOf(card), textOf(seen)]) await expect(text).toHaveValue('beginabcdef endABCDEF')
})

for (const [how, end] of [
  ['is closed', (tab: Page) => tab.close()],
  ['stops without goodbye', stopWithoutGoodbye],
] as const) {
  test(`a card outlives the tab that hosts it, which ${how}, and says where it came from`, async ({
    openTab,
    site,
    room,
  }) => {
    const url = `${site.url}#room=${room}`
    const tabs = [...(await twoTabs(openTab, url)), await openTab(url)]
    for (const tab of tabs) await expect(tab.getByTestId('card')).toHaveCount(3)
    const id = await idOf(await addCard(tabs[0]!, 'not a word is lost'))
    for (const tab of tabs) await expect(textOf(cardOf(tab, id))).toHaveValue('not a word is lost')

    const hostId = (await cardOf(tabs[0]!, id).getAttribute('data-host'))!
    const ids = await Promise.all(tabs.map(nodeIdOf))
    expect(ids).toContain(hostId)
    await end(tabs[ids.indexOf(hostId)]!)
    const left = tabs.filter((_, i) => ids[i] !== hostId)
    for (const tab of left) {
      const card = cardOf(tab, id)
      await expect(card).not.toHaveAttribute('data-host', hostId, { timeout: 30_000 })
      await expect(card).not.toHaveAttribute('data-lost')
      await expect(textOf(card)).toHaveValue('not a word is lost')
      await expect(card.getByText(/^from /)).toBeVisible()
    }
    const [there, alsoThere] = await Promise.all(left.map((tab) => cardOf(tab, id).getAttribute('data-host')))
    expect(there).toBe(alsoThere)
    expect(ids).toContain(there)
    await textOf(cardOf(left[0]!, id)).fill('and it goes on')
    await expect(textOf(cardOf(left[1]!, id))).toHaveValue('and it goes on')
  })
}

test('calls are counted and timed while they are made', async ({ openTab, site, room }) => {
  const tab = await openTab(`${site.url}#room=${room}`)
  await expect(tab.getByTestId('card')).toHaveCount(3)
  const load = tab.getByTestId('load')
  await load.press('Enter')
  await expect(load).toHaveAttribute('aria-pressed', 'true')
  await expect.poll(async () => Number(await tab.getByTestId('call-rate').innerText())).toBeGreaterThan(20)
  await expect(tab.getByTestId('call-p95')).toHaveText(/^[\d.]+ m?s$/)
  await load.press('Enter')
  await expect(load).toHaveAttribute('aria-pressed', 'false')
})

test('axe finds nothing on a board with cards, light or dark', async ({ openTab, site, room }) => {
  const tab = await openTab(`${site.url}#room=${room}`)
  await expect(tab.getByTestId('card')).toHaveCount(3)
  await addCard(tab, 'a card of this tab')
  for (const colorScheme of ['light', 'dark'] as const) {
    await tab.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
    const { violations } = await new AxeBuilder({ page: tab }).include('.board').analyze()
    expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join()}`)).toEqual([])
  }
})

const cardOf = (tab: Page, id: string): Locator => tab.locator(`[data-testid="card"][data-id="${id}"]`)
const textOf = (card: Locator): Locator => card.getByRole('textbox', { name: 'Text of the card' })
const idOf = async (card: Locator): Promise<string> => (await card.getAttribute('data-id'))!

const nodeIdOf = (tab: Page): Promise<string> =>
  tab.evaluate(() => (window as unknown as { cluster: { self: { nodeId: string } } }).cluster.self.nodeId)

async function stopWithoutGoodbye(tab: Page): Promise<void> {
  await tab.getByTestId('failing').press('Enter')
  await tab.getByRole('button', { name: 'Stop without goodbye' }).press('Enter')
}

async function drag(handle: Locator, x: number, y: number): Promise<void> {
  await handle.scrollIntoViewIfNeeded()
  const box = (await handle.boundingBox())!
  const { mouse } = handle.page()
  await mouse.move(box.x + box.width / 2, box.y + box.height / 2)
  await mouse.down()
  await mouse.move(box.x + x, box.y + y, { steps: 5 })
  await mouse.up()
}

/** Tabs that show the first cards. */
async function twoTabs(openTab: OpenTab, url: string): Promise<[Page, Page]> {
  const tabs: [Page, Page] = [await openTab(url), await openTab(url)]
  for (const tab of tabs) await expect(tab.getByTestId('card')).toHaveCount(3)
  return tabs
}

/** Adds a card by keyboard, which has the focus then, and writes on it. */
async function addCard(tab: Page, text: string): Promise<Locator> {
  const before = await tab.getByTestId('card').count()
  await tab.getByTestId('add-card').press('Enter')
  await expect(tab.getByTestId('card')).toHaveCount(before + 1)
  const card = tab.getByTestId('card').last()
  await expect(textOf(card)).toBeFocused()
  await tab.keyboard.type(text)
  const id = await idOf(card)
  return cardOf(tab, id)
}
