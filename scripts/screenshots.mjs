/**
 * `node scripts/screenshots.mjs`: takes docs/demo-light.png and docs/demo-dark.png from the real demo, with five tabs
 * in it whose pointers are over the graph, and cards that have jumped from a sixth one, which was closed. Waits for what is to be seen, never for time to pass.
 */
import { once } from 'node:events'
import { statSync } from 'node:fs'
import http from 'node:http'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { chromium, expect } from '@playwright/test'
import { BROWSER_FLAGS, ensureBrowser } from './browser.mjs'
import { bundleForNode } from './bundle.mjs'
import { buildDemo } from './demo.mjs'
import { serveFolders } from './static-files.mjs'
import { UserError, fail, say } from './support/console.mjs'
import { demoFolder, root } from './support/paths.mjs'

const VIEWPORT = { width: 1280, height: 800 }
const MAX_BYTES = 400_000
/** Hosts the cards, and is closed. */
const CLOSED = /** @type {const} */ (['Alan', 'Sky'])
/** What one tab and another write on cards of their own. */
const CARDS = /** @type {const} */ (['Buy bread, and salt', 'Who brings the tent?'])

/** Name, colour, and where the pointer is, as shares of the graph's width and height. */
const TABS = /** @type {const} */ ([
  ['Ada', 'Green', 0.5, 0.5],
  ['Grace', 'Blue', 0.42, 0.3],
  ['Edsger', 'Amber', 0.66, 0.44],
  ['Barbara', 'Pink', 0.3, 0.56],
  ['Leslie', 'Violet', 0.55, 0.68],
])

try {
  await buildDemo()
  const site = await serve()
  const executablePath = await ensureBrowser()
  const browser = await chromium.launch({ executablePath, args: BROWSER_FLAGS })
  try {
    const url = `${site.url}#room=quiet-harbour`
    const closed = await openTab(browser, url, ...CLOSED)
    const tabs = await openTabs(browser, url)
    await addCards(tabs)
    await closed.close()
    await seeJump(tabs)
    await movePointers(tabs)
    for (const theme of /** @type {const} */ (['light', 'dark'])) await take(tabs, theme)
  } finally {
    await browser.close()
    await site.close()
  }
} catch (error) {
  fail(error)
}

/** The demo and the signaling server at one free port. */
async function serve() {
  /** @type {typeof import('../signaling-server/index.ts')} */
  const { createSignalingServer } = await import(
    pathToFileURL(await bundleForNode('signaling-server/index.ts')).href
  )
  const server = http.createServer(serveFolders({ '/': demoFolder }))
  const signaling = createSignalingServer({ server, fresh: true })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  return {
    url: `http://127.0.0.1:${port}/`,
    close: async () => {
      await signaling.close()
      server.closeAllConnections()
      server.close()
    },
  }
}

/**
 * One tab for each of `TABS`, all of which see each other.
 * @param {import('@playwright/test').Browser} browser
 * @param {string} url
 */
async function openTabs(browser, url) {
  /** @type {import('@playwright/test').Page[]} */
  const tabs = []
  for (const [name, colour] of TABS) tabs.push(await openTab(browser, url, name, colour))
  for (const tab of tabs) {
    for (const [name] of TABS) {
      const row = tab.locator('[data-testid="member-row"][data-status="up"]').filter({ hasText: name })
      await expect(row).toHaveCount(1)
    }
    await expect(tab.getByTestId('card')).toHaveCount(3)
  }
  return tabs
}

/**
 * @param {import('@playwright/test').Browser} browser
 * @param {string} url
 * @param {string} name
 * @param {string} colour
 */
async function openTab(browser, url, name, colour) {
  const context = await browser.newContext({ viewport: VIEWPORT, reducedMotion: 'reduce' })
  const tab = await context.newPage()
  await tab.goto(url)
  await expect(tab.getByTestId('status')).toHaveText('up')
  await tab.getByRole('textbox', { name: 'Name of this tab' }).fill(name)
  await tab.getByRole('radio', { name: colour }).check()
  return tab
}

/** @param {readonly import('@playwright/test').Page[]} tabs */
async function addCards(tabs) {
  for (const [i, text] of CARDS.entries()) {
    const tab = tabs[i + 1]
    await tab?.getByTestId('add-card').press('Enter')
    await tab?.keyboard.type(text)
    for (const other of tabs) {
      await expect(other.getByTestId('card')).toHaveCount(4 + i)
      await expect(other.getByTestId('card').last().getByRole('textbox')).toHaveValue(text)
    }
  }
}

/** @param {readonly import('@playwright/test').Page[]} tabs */
async function seeJump(tabs) {
  for (const tab of tabs) {
    await expect(tab.getByRole('img', { name: '5 members, 10 links' })).toBeVisible()
    await expect(tab.locator('.card-came:visible').first()).toHaveText(`from ${CLOSED[0]}`)
  }
}

/** @param {readonly import('@playwright/test').Page[]} tabs */
async function movePointers(tabs) {
  for (const [i, tab] of tabs.entries()) {
    // who has added a card has scrolled to it
    await tab.evaluate(() => window.scrollTo(0, 0))
    const box = await tab.locator('#canvas').boundingBox()
    const [, , x, y] = TABS[i] ?? []
    if (!box || x === undefined || y === undefined) throw new Error('The demo shows no graph.')
    await tab.mouse.move(box.x + box.width * x, box.y + box.height * y)
  }
}

/**
 * The first tab as it is once every pointer of the others is where it was moved to.
 * @param {readonly import('@playwright/test').Page[]} tabs
 * @param {'light' | 'dark'} theme
 */
async function take(tabs, theme) {
  const [tab] = tabs
  if (!tab) throw new Error('No tab was opened.')
  await tab.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' })
  await expect(tab.getByTestId('cursor')).toHaveCount(tabs.length - 1)
  await expect(tab.getByTestId('gossip-state')).toHaveText('confirmed')
  // own links carry their round trip once it was measured
  await expect(tab.locator('.rtts text')).toHaveCount(tabs.length - 1)
  await expect(tab.locator('.card-came:visible').first()).toBeVisible()
  const file = path.join(root, 'docs', `demo-${theme}.png`)
  const card = await tab.getByTestId('card').last().boundingBox()
  if (!card) throw new Error('The demo shows no card.')
  // the rest of the board is empty
  const clip = { x: 0, y: 0, width: VIEWPORT.width, height: Math.ceil(card.y + card.height + 30) }
  await tab.screenshot({ path: file, animations: 'disabled', caret: 'hide', fullPage: true, clip })
  const { size } = statSync(file)
  if (size > MAX_BYTES) throw new UserError(`${file} has ${size} bytes, over ${MAX_BYTES}.`)
  say(`${path.relative(root, file)}: ${size} bytes`)
}
