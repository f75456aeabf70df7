/**
 * A room of tabs that all add to one counter, one call after the other, while the tab that hosts it is taken away. What
 * the calls were told is kept here, out of reach of what becomes of the pages.
 */
import type { MapEntry } from '../src/core/partition/partition.ts'
import type { GrainView } from './pages/grain-view.ts'
import type { Ended } from './pages/grains.ts'
import { expect } from './support/fixtures.ts'

/** A tab of pages/grains.html, in whichever browser. */
export interface CountingTab {
  /** The value of an expression, awaited. It must be JSON. */
  evaluate<T>(expression: string): Promise<T>
  /** Of its renderer. */
  pid(): Promise<number>
  /** Resolves once the renderer that was killed is seen to be gone. */
  crashed(): Promise<void>
  /** As a user closes it, with its goodbye. */
  close(): Promise<void>
  /** Resolves once the next page has loaded. */
  reload(): Promise<void>
  navigateAway(): Promise<void>
  /** Takes away what is left of it. */
  discard(): Promise<void>
}

/** Opens a tab whose page reports each call that has ended. */
export type OpenCountingTab = (report: (ended: Ended) => void) => Promise<CountingTab>

/** How a host is lost. The first two say nothing; the others say goodbye. */
export const LOSSES = ['killed', 'stopped', 'closed', 'reloaded', 'navigated'] as const
export type LossKind = (typeof LOSSES)[number]

export interface HostLoss {
  readonly kind: LossKind
  readonly page: string
  /** When it was asked for. */
  readonly askedAt: number
  /** When the host was gone: the browser takes its time until a page may say goodbye, and it serves until then. */
  readonly goneAt: number
}

export const STOPPED_MS = 10_000
const RECOVERY_TIMEOUT_MS = 30_000
/** Copies of a partition, and voters of the council, in rooms of up to six. */
const MOST_COPIES = 3
/** Between two calls of one tab, for each tab of the room: so many calls a second, however large the room. */
const PAUSE_MS = 20

export class CountingRoom {
  readonly #open: OpenCountingTab
  readonly #size: number
  #tabs: CountingTab[] = []
  readonly #ended: Ended[] = []
  readonly #losses: HostLoss[] = []
  readonly #keys: string[] = []

  constructor(open: OpenCountingTab, size: number) {
    this.#open = open
    this.#size = size
  }

  /** Opens its tabs, one after the other. */
  async fill(): Promise<void> {
    while (this.#tabs.length < this.#size) this.#tabs.push(await this.#enter())
    await this.#untilWhole()
  }

  /** From now on all tabs add to this counter. */
  async countOn(key: string): Promise<void> {
    this.#keys.push(key)
    await Promise.all(this.#tabs.map((tab) => this.#keepAdding(tab)))
    await this.#untilWhole()
  }

  /** Takes the host of the counter away, waits until others go on, and makes the room whole again. */
  async lose(kind: LossKind): Promise<void> {
    const host = await this.#host()
    const page = await host.evaluate<string>('grains.page')
    const nodeId = await host.evaluate<string>('grains.cluster.self.nodeId')
    const pid = kind === 'killed' || kind === 'stopped' ? await this.#pidOf(host) : 0
    await expect.poll(() => this.#lastHost(), { message: 'whoever is lost hosts the counter' }).toBe(page)
    const askedAt = Date.now()
    const tabs = this.#tabs.filter((tab) => tab !== host)
    if (kind === 'killed') {
      process.kill(pid, 'SIGKILL')
      await host.crashed()
    } else if (kind === 'stopped') {
      process.kill(pid, 'SIGSTOP')
      // the fault itself: there is no state to wait for
      await new Promise((resolve) => setTimeout(resolve, STOPPED_MS))
      process.kill(pid, 'SIGCONT')
    } else if (kind === 'closed') await host.close()
    else if (kind === 'navigated') await host.navigateAway()
    else await host.reload()
    const saysGoodbye = kind === 'closed' || kind === 'navigated' || kind === 'reloaded'
    const goneAt = saysGoodbye ? await goodbyeOf(nodeId, tabs) : askedAt
    const loss = { kind, page, askedAt, goneAt }
    this.#losses.push(loss)
    await expect
      .poll(() => this.#recoveryOf(loss), {
        message: `others go on after a host was ${kind}`,
        timeout: RECOVERY_TIMEOUT_MS,
      })
      .toBeDefined()
    if (kind === 'killed' || kind === 'navigated') await host.discard()
    const isThere = kind === 'stopped' || kind === 'reloaded'
    const next = isThere ? host : await this.#enter()
    this.#tabs = [...tabs, next]
    await this.#keepAdding(next)
    await this.#untilWhole()
  }

  /** Ends all adding, and holds what was told against what is there. */
  async expectExact(): Promise<void> {
    await Promise.all(this.#tabs.map((tab) => tab.evaluate('grains.stopAdding()')))
    for (const key of this.#keys) {
      const [names, again] = await Promise.all(
        [this.#tabs[0]!, this.#tabs.at(-1)!].map((tab) =>
          tab.evaluate<string[]>(`grains.read(${JSON.stringify(key)})`),
        ),
      )
      expect(again, 'two tabs read the same').toEqual(names)
      const ended = this.#ended.filter((end) => end.key === key)
      const acknowledged = ended.filter(({ place }) => place !== undefined)
      const moved = acknowledged.filter(({ name, place }) => names![place! - 1] !== name)
      expect(moved, 'what was acknowledged is where it was told to be').toEqual([])
      const doubled = names!.filter((name, i) => names!.indexOf(name) !== i)
      expect(doubled, 'nothing was applied twice').toEqual([])
      const refused = ended.filter(({ name, mayHaveRun }) => mayHaveRun === false && names!.includes(name))
      expect(refused, 'what is said not to have run has not').toEqual([])
      const known = new Set(acknowledged.map(({ name }) => name))
      const lost = new Set(this.#losses.map(({ page }) => page))
      const failed = new Set(ended.filter(({ mayHaveRun }) => mayHaveRun).map(({ name }) => name))
      const rest = names!.filter((name) => !known.has(name))
      const unexplained = rest.filter((name) => !failed.has(name) && !lost.has(name.split('-')[0]!))
      expect(unexplained, 'whoever stays knows what became of its calls').toEqual([])
      console.log(`${key}: ${names!.length} names, ${known.size} acknowledged, ${rest.length} others`)
    }
  }

  /** Calls of tabs that were there all the time and failed all the same. */
  get failures(): readonly Ended[] {
    const lost = new Set(this.#losses.map(({ page }) => page))
    return this.#ended.filter(({ code, page }) => code !== undefined && !lost.has(page))
  }

  /** Each loss, to be held against the times of what failed. */
  get losses(): readonly HostLoss[] {
    return this.#losses
  }

  /** From each loss to the first answer that another host gave, in ms; it may be to a call that waited for that. */
  get recoveries(): readonly (HostLoss & { readonly ms: number })[] {
    return this.#losses.map((loss) => ({ ...loss, ms: this.#recoveryOf(loss)! - loss.goneAt }))
  }

  /** Whether each of its tabs is visible now. */
  visibilities(): Promise<string[]> {
    return Promise.all(this.#tabs.map((tab) => tab.evaluate<string>('document.visibilityState')))
  }

  get #key(): string {
    return this.#keys.at(-1)!
  }

  async #enter(): Promise<CountingTab> {
    return this.#open((ended) => this.#ended.push(ended))
  }

  #keepAdding(tab: CountingTab): Promise<void> {
    return tab.evaluate(`grains.keepAdding(${JSON.stringify(this.#key)}, ${PAUSE_MS * this.#size})`)
  }

  /** As the counter itself says, which is asked through a tab that stays. */
  async #host(): Promise<CountingTab> {
    const pages = await Promise.all(this.#tabs.map((tab) => tab.evaluate<string>('grains.page')))
    const where = `grains.where(${JSON.stringify(this.#key)})`
    const host = await this.#tabs[0]!.evaluate<string>(where)
    const found = this.#tabs[pages.indexOf(host)]
    if (!found) throw new Error(`No tab of the room is ${host}.`)
    return found
  }

  async #pidOf(tab: CountingTab): Promise<number> {
    const pids: number[] = []
    for (const each of this.#tabs) pids.push(await each.pid())
    expect(new Set(pids).size, 'each tab has a renderer of its own').toBe(this.#size)
    return pids[this.#tabs.indexOf(tab)]!
  }

  /** Who gave the newest answer. */
  #lastHost(): string | undefined {
    let newest: Ended | undefined
    for (const end of this.#ended) {
      const isAnswer = end.key === this.#key && end.host !== undefined
      if (isAnswer && end.endedAt > (newest?.endedAt ?? 0)) newest = end
    }
    return newest?.host
  }

  /** When it was served again. */
  #recoveryOf(loss: HostLoss): number | undefined {
    const times = this.#ended
      .filter(({ endedAt, page, host }) => {
        return endedAt >= loss.goneAt && page !== loss.page && host !== undefined && host !== loss.page
      })
      .map(({ endedAt }) => endedAt)
    return times.length === 0 ? undefined : Math.min(...times)
  }

  /**
   * Until all tabs are members, follow one council of the size that it should have, and copies are spread: of what
   * nobody has called yet too, since who loses the only holder of a partition is told that its keys may have had a state.
   */
  async #untilWhole(): Promise<void> {
    const copies = Math.min(MOST_COPIES, this.#size)
    const keys = JSON.stringify(this.#keys)
    const look = `({
      up: grains.cluster.members.get().filter(({ status }) => status === 'up').length,
      view: grains.look(${keys}),
    })`
    await expect
      .poll(
        async () => {
          const looks = await Promise.all(
            this.#tabs.map((tab) => tab.evaluate<{ up: number; view?: GrainView }>(look)),
          )
          const views = looks.map(({ view }) => view)
          return {
            up: [...new Set(looks.map(({ up }) => up))],
            groups: new Set(views.map((view) => view?.group)).size,
            leaders: new Set(views.map((view) => view?.leader)).size,
            isLed: views.every((view) => view?.leader !== undefined),
            voters: views.filter((view) => view?.isVoter).length,
            copies: this.#keys.map((_, i) => copiesOf(views.map((view) => view?.entries[i]))),
            fewest: [...new Set(views.map((view) => view?.fewestCopies))].filter((n) => n !== undefined),
          }
        },
        { message: 'the room is whole', timeout: RECOVERY_TIMEOUT_MS },
      )
      .toEqual({
        up: [this.#size],
        groups: 1,
        leaders: 1,
        isLed: true,
        voters: copies,
        copies: this.#keys.map(() => copies),
        fewest: [copies],
      })
  }
}

/** When the first of these tabs heard its goodbye. */
async function goodbyeOf(nodeId: string, tabs: readonly CountingTab[]): Promise<number> {
  const look = `grains.cluster.events.recent().find(
    ({ type, nodeId, to }) => type === 'member-status' && nodeId === ${JSON.stringify(nodeId)} && to === 'leaving',
  )?.at`
  const heard: number[] = []
  await expect
    .poll(
      async () => {
        const times = await Promise.all(tabs.map((tab) => tab.evaluate<number | undefined>(look)))
        heard.splice(0, Infinity, ...times.filter((at) => at !== undefined))
        return heard.length
      },
      { message: 'a goodbye is heard' },
    )
    .toBeGreaterThan(0)
  return Math.min(...heard)
}

/** As of the newest that anybody knows: who does not hold a partition is not told of each change. */
function copiesOf(entries: readonly (MapEntry | undefined)[]): number {
  let newest: MapEntry | undefined
  for (const entry of entries) if (entry && entry.epoch > (newest?.epoch ?? 0)) newest = entry
  return newest?.inSync.length ?? 0
}
