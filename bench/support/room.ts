/**
 * Real tabs in one room, each in a browser context and so a renderer of its own. What a tab sees it tells at once;
 * nothing here asks, so that waiting takes no time from the tabs.
 */
import type { Browser, Page } from '@playwright/test'
import type { ClusterEvent } from '../../src/index.ts'
import type { Told, View } from '../pages/cluster.ts'

const PATIENCE_MS = 30_000

export interface Tab {
  readonly page: Page
  /** What it showed last. */
  readonly view: View | undefined
  /** What it was told, through all its lives. */
  readonly events: readonly ClusterEvent[]
  /** Authorities of which it once listed two live members. */
  readonly doubles: readonly string[]
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }
interface OwnTab extends Mutable<Tab> {
  events: ClusterEvent[]
  doubles: string[]
}

export interface RoomOptions {
  /** Runs in each page before everything else. */
  readonly init?: () => void
}

export class Room {
  readonly url: string
  readonly #browser: Browser
  readonly #options: RoomOptions
  readonly #waiting = new Set<() => void>()
  readonly #tabs: OwnTab[] = []
  readonly #everOpened: OwnTab[] = []
  /** Why a join of one of them failed. */
  #failed: string | undefined

  constructor(browser: Browser, url: string, options: RoomOptions = {}) {
    this.#browser = browser
    this.url = url
    this.#options = options
  }

  /** Those that were opened and neither closed nor dropped. */
  get tabs(): readonly Tab[] {
    return this.#tabs
  }

  get everOpened(): readonly Tab[] {
    return this.#everOpened
  }

  /** Opens that many tabs, one after the other, and waits until they are one cluster. */
  async gather(count: number): Promise<readonly Tab[]> {
    for (let i = 0; i < count; i++) await this.open()
    await this.together()
    return [...this.#tabs]
  }

  async open(): Promise<Tab> {
    const tab = await this.openEmpty()
    await tab.page.goto(this.url)
    return tab
  }

  /** A tab that has not gone to `url` yet. */
  async openEmpty(): Promise<Tab> {
    const context = await this.#browser.newContext()
    const tab: OwnTab = { page: await context.newPage(), view: undefined, events: [], doubles: [] }
    await context.exposeBinding('tell', (_source, told: Told) => {
      if (told.type === 'event') tab.events.push(told.event)
      else if (told.type === 'failed') this.#failed = told.reason
      else {
        tab.view = told.view
        tab.doubles.push(...doubledIn(told.view))
      }
      // one that is done takes itself out of the set
      for (const look of this.#waiting) look()
    })
    if (this.#options.init) await context.addInitScript(this.#options.init)
    this.#tabs.push(tab)
    this.#everOpened.push(tab)
    return tab
  }

  /** Counts the tab no more, and closes its window. */
  async drop(tab: Tab): Promise<void> {
    this.#tabs.splice(this.#tabs.indexOf(tab as OwnTab), 1)
    await tab.page.context().close()
  }

  async close(): Promise<void> {
    await Promise.all(this.#tabs.map(({ page }) => page.context().close()))
    this.#tabs.length = 0
  }

  /** All tabs are up, see exactly each other as live, and know that all do. */
  together(): Promise<void> {
    return this.until(`${this.#tabs.length} tabs are one cluster`, () => {
      const own = this.#tabs.map(({ view }) => view?.self ?? '')
      return this.#tabs.every(({ view }) => {
        if (view?.status !== 'up' || view.state !== 'confirmed') return false
        const live = liveMembers(view)
        return live.length === own.length && own.every((self) => live.includes(self))
      })
    })
  }

  /** Looks again whenever a tab has told something. */
  until(what: string, isSo: () => boolean, withinMs = PATIENCE_MS): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (settle: () => void): void => {
        clearTimeout(timeout)
        this.#waiting.delete(look)
        settle()
      }
      const look = (): void => {
        if (isSo()) end(resolve)
        else if (this.#failed !== undefined) {
          const reason = `a tab could not join: ${this.#failed}`
          end(() => reject(new Error(reason)))
        }
      }
      const timeout = setTimeout(
        () => end(() => reject(new Error(`not within ${withinMs} ms: ${what}\n${this.#describe()}`))),
        withinMs,
      )
      this.#waiting.add(look)
      look()
    })
  }

  #describe(): string {
    return this.#tabs
      .map(({ view }, i) => {
        const members = view?.members.map(({ nodeId, status }) => `${nodeId} ${status}`).join(', ')
        return `tab ${i}: ${view?.self} ${view?.status} ${view?.state}: ${members}`
      })
      .join('\n')
  }
}

export const authorityOf = (nodeId: string): string => nodeId.split('.')[0]!

function liveMembers({ members }: View): string[] {
  return members.filter(({ status }) => status === 'up').map(({ nodeId }) => nodeId)
}

function doubledIn(view: View): string[] {
  const live = view.members.filter(({ status }) => status !== 'removed' && status !== 'unreachable')
  const authorities = live.map(({ nodeId }) => authorityOf(nodeId))
  return authorities.filter((authority, i) => authorities.indexOf(authority) < i)
}
