/** Who a tab is, what it remembers, and how it keeps time, in real tabs. See pages/adapters.ts. */
import type { Page } from '@playwright/test'
import type { Snapshot } from '../src/ports.ts'
import { expect, test } from './support/fixtures.ts'

interface Claimed {
  readonly authority: string
  readonly generation: number
  readonly browser: string
  readonly lost: string | undefined
}

test.describe('identity', () => {
  test('a reload keeps the authority, with a higher generation', async ({ openTab, site }) => {
    const page = await openTab(site.pageUrl('adapters'))
    const first = await claim(page)
    await page.reload()
    const second = await claim(page)
    expect(first).toMatchObject({ generation: 1, lost: undefined })
    expect(second).toEqual({ ...first, generation: 2 })
    const next = await page.evaluate(async () => {
      const { createIdentityStore, createRandom } = window.adapters
      const identity = await createIdentityStore({ random: createRandom() }).claim('other')
      return [identity.generation, await identity.nextGeneration(), await identity.nextGeneration()]
    })
    expect(next).toEqual([1, 2, 3])
  })

  test('a duplicated tab becomes somebody else, and stays so', async ({ openTab, site }) => {
    const page = await openTab(site.pageUrl('adapters'))
    const original = await claim(page)
    const [copy] = await Promise.all([
      page.context().waitForEvent('page'),
      page.evaluate(() => void window.open(location.href)),
    ])
    await copy.waitForFunction(() => 'adapters' in window)
    const cloned = await copy.evaluate(() => Object.keys(sessionStorage))
    expect(cloned, 'the copy starts with the original’s sessionStorage').toContain('grainmesh:identity:room')
    const duplicate = await claim(copy)
    expect(duplicate.authority).not.toBe(original.authority)
    expect(duplicate).toMatchObject({ generation: 1, browser: original.browser, lost: undefined })
    await copy.reload()
    expect(await claim(copy)).toEqual({ ...duplicate, generation: 2 })
    await page.reload()
    expect(await claim(page)).toEqual({ ...original, generation: 2 })
  })

  test('twenty rapid reloads never use a generation twice', async ({ openTab, site }) => {
    const page = await openTab('about:blank')
    const lives: string[] = []
    let newest: { authority: string; generation: number } | undefined
    await page.exposeFunction('claimed', (life: { authority: string; generation: number }) => {
      lives.push(`${life.authority}.${life.generation}`)
      newest = life
    })
    const url = `${site.pageUrl('adapters')}?claim=room`
    await page.goto(url)
    await expect.poll(() => lives.length).toBe(1)
    for (let i = 0; i < 20; i++) {
      const before = lives.length
      // some pages are left while they claim, some right after;
      // not page.reload(), which Chromium refuses while it swaps one page for the other
      await page.goto(url, { waitUntil: i % 2 === 0 ? 'commit' : 'load' })
      if (i % 4 === 1) await expect.poll(() => lives.length).toBeGreaterThan(before)
    }
    const before = lives.length
    await page.reload()
    await expect.poll(() => lives.length).toBeGreaterThan(before)
    expect(new Set(lives).size).toBe(lives.length)
    expect(newest!.authority).toBe(lives[0]!.split('.')[0])
    expect(newest!.generation).toBeGreaterThanOrEqual(lives.length)
  })

  test('clusters are apart, and a released identity can be claimed again', async ({ openTab, site }) => {
    const page = await openTab(site.pageUrl('adapters'))
    const result = await page.evaluate(async () => {
      const { createIdentityStore, createRandom } = window.adapters
      const store = createIdentityStore({ random: createRandom() })
      const heldNow = async () => ((await navigator.locks.query()).held ?? []).map(({ name }) => name)
      const [red, blue] = await Promise.all([store.claim('red'), store.claim('blue')])
      const heldFirst = await heldNow()
      red.release()
      red.release()
      const again = await store.claim('red')
      for (let i = 0; i < 100; i++) (await store.claim('many')).release()
      const many = await store.claim('many')
      many.release()
      blue.release()
      again.release()
      // a lock is freed a moment after it is released
      let held = await heldNow()
      for (let i = 0; i < 1_000 && held.length > 0; i++) held = await heldNow()
      return { red: { ...red }, blue: { ...blue }, again: { ...again }, many: { ...many }, heldFirst, held }
    })
    expect(result.blue.authority).not.toBe(result.red.authority)
    expect(result.again).toMatchObject({ authority: result.red.authority, generation: 2 })
    expect(result.many).toMatchObject({ generation: 101 })
    expect(result.heldFirst.toSorted()).toEqual([
      `grainmesh:identity:blue:${result.blue.authority}`,
      `grainmesh:identity:red:${result.red.authority}`,
    ])
    expect(result.held).toEqual([])
  })

  test('nothing is kept with persist: false but the name of the browser', async ({ openTab, site }) => {
    const page = await openTab(site.pageUrl('adapters'))
    const first = await claim(page, { persist: false })
    const second = await claim(page, { persist: false })
    expect(second.authority).not.toBe(first.authority)
    expect(second).toMatchObject({ generation: 1, browser: first.browser, lost: undefined })
    expect(await page.evaluate(() => Object.keys(sessionStorage))).toEqual([])
  })

  for (const [what, remove, says] of [
    ['IndexedDB', () => lack(window, 'indexedDB'), 'IndexedDB'],
    ['Web Locks', () => lack(navigator, 'locks'), 'Web Locks'],
    ['sessionStorage', () => lack(window, 'sessionStorage'), 'sessionStorage'],
    ['localStorage', () => lack(window, 'localStorage'), undefined],
  ] as const) {
    test(`works without ${what}`, async ({ openTab, site }) => {
      const page = await openTab('about:blank')
      await page.addInitScript(`${lack.toString()}; (${remove.toString()})()`)
      await page.goto(site.pageUrl('adapters'))
      const first = await claim(page)
      await page.reload()
      const second = await claim(page)
      expect(first.authority).toMatch(/^[a-z2-7]{20}$/)
      expect(first.browser).toMatch(/^[a-z2-7]{16}$/)
      if (says === undefined) {
        expect(second).toEqual({ ...first, generation: 2 })
        return
      }
      expect(first.lost).toContain(says)
      expect(second.authority).not.toBe(first.authority)
      expect(second).toMatchObject({ generation: 1, browser: first.browser })
    })
  }

  test('forgets a count that is spoilt rather than using a generation twice', async ({ openTab, site }) => {
    const page = await openTab(site.pageUrl('adapters'))
    const first = await claim(page)
    await putRecord(page, ['identity', 'room', first.authority], { generation: 'many', at: 1 })
    await page.reload()
    const second = await claim(page)
    expect(second.authority).not.toBe(first.authority)
    expect(second).toMatchObject({ generation: 1, lost: undefined })
  })
})

test.describe('snapshots', () => {
  const authority = 'a'.repeat(20)
  const snapshot = {
    version: 2 as const,
    cluster: 'room',
    authority,
    generation: 3,
    signalingUrl: 'ws://127.0.0.1:1/',
    at: 1_700_000_000_000,
  }

  test('come back as they were saved, for their cluster and authority only', async ({ openTab, site }) => {
    const page = await openTab(site.pageUrl('adapters'))
    await save(page, snapshot)
    await page.reload()
    expect(await load(page, 'room', authority)).toEqual({ ...snapshot, table: [1, 2, 3] })
    expect(await load(page, 'other', authority)).toBe(undefined)
    expect(await load(page, 'room', 'e'.repeat(20))).toBe(undefined)
  })

  test('that cannot be used are refused with the reason and deleted', async ({ openTab, site }) => {
    const page = await openTab(site.pageUrl('adapters'))
    const records: [unknown, string][] = [
      ['{"version":2', 'corrupt'],
      [{ ...snapshot, table: 'abc' }, 'corrupt'],
      [{ ...snapshot, version: 3 }, 'newer'],
      [{ ...snapshot, cluster: 'elsewhere' }, 'another cluster'],
      [{ ...snapshot, authority: 'f'.repeat(20) }, 'another authority'],
    ]
    await load(page, 'room', authority)
    for (const [record, reason] of records) {
      await putRecord(page, ['snapshot', 'room', authority], record)
      expect(await load(page, 'room', authority)).toContain(reason)
      expect(await load(page, 'room', authority)).toBe(undefined)
    }
  })

  test('of tabs that are long gone are collected', async ({ openTab, site }) => {
    const page = await openTab(site.pageUrl('adapters'))
    await load(page, 'room', authority)
    const old = Date.now() - 31 * 24 * 3_600_000
    await putRecord(page, ['snapshot', 'elsewhere', 'old'], '{}')
    await putRecord(page, ['saved-at', 'elsewhere', 'old'], old)
    for (let i = 0; i < 70; i++) {
      await putRecord(page, ['snapshot', 'room', `tab-${i}`], '{}')
      await putRecord(page, ['saved-at', 'room', `tab-${i}`], Date.now() - 1_000 * i)
    }
    await save(page, snapshot)
    await expect.poll(async () => (await recordKeys(page, 'snapshot')).length).toBe(64)
    const kept = await recordKeys(page, 'snapshot')
    expect(kept).toContain(`room/${authority}`)
    expect(kept).toContain('room/tab-62')
    expect(kept).not.toContain('room/tab-63')
    expect((await recordKeys(page, 'saved-at')).length).toBe(64)
  })

  test('can be wiped by an application while they are in use, and are kept anew after that', async ({
    openTab,
    site,
  }) => {
    const page = await openTab(site.pageUrl('adapters'))
    await save(page, snapshot)
    const wiped = await page.evaluate(
      () =>
        new Promise<string>((resolve) => {
          const request = indexedDB.deleteDatabase('grainmesh')
          request.addEventListener('blocked', () => resolve('blocked'))
          request.addEventListener('success', () => resolve('deleted'))
          request.addEventListener('error', () => resolve(String(request.error)))
        }),
    )
    expect(wiped).toBe('deleted')
    expect(await load(page, 'room', authority)).toBe(undefined)
    await save(page, snapshot)
    expect(await load(page, 'room', authority)).toEqual({ ...snapshot, table: [1, 2, 3] })
  })

  test('without IndexedDB say so, once for saving', async ({ openTab, site }) => {
    const page = await openTab('about:blank')
    await page.addInitScript(() =>
      Object.assign(IDBFactory.prototype, {
        open: () => {
          throw new Error('private')
        },
      }),
    )
    await page.goto(site.pageUrl('adapters'))
    const saved = await page.evaluate(async (value) => {
      const store = window.adapters.createSnapshotStore()
      const tryOnce = () =>
        store.save({ ...value, table: new Uint8Array([1, 2, 3]) }).then(() => 'quiet', String)
      return [await tryOnce(), await tryOnce(), await tryOnce()]
    }, snapshot)
    expect(saved).toEqual([expect.stringContaining('private'), 'quiet', 'quiet'])
    expect(await load(page, 'room', authority)).toContain('private')
  })
})

test.describe('the clock', () => {
  test('keeps time in one worker, which ends when nothing is left to wait for', async ({ openTab, site }) => {
    const page = await openTab(site.pageUrl('adapters'))
    const waited = await page.evaluate(async () => {
      const clocks = Array.from({ length: 100 }, () => window.adapters.createBrowserClock())
      const wait = (delayMs: number) =>
        new Promise<number>((resolve) => {
          const start = clocks[0]!.now().mono
          clocks[0]!.timer(delayMs, () => resolve(clocks[0]!.now().mono - start))
        })
      const early = await wait(50)
      for (const clock of clocks) clock.timer(10_000, () => undefined)()
      while (!clocks[0]!.worker) await wait(5)
      const cancel = clocks[0]!.timer(0, () => {
        throw new Error('cancelled')
      })
      cancel()
      cancel()
      return { early, late: await wait(50), pending: clocks[0]!.pending }
    })
    console.log(
      `a timer of 50 ms took ${waited.early.toFixed(1)} and, by the worker, ${waited.late.toFixed(1)} ms`,
    )
    expect(waited.early).toBeGreaterThanOrEqual(50)
    expect(waited.late).toBeGreaterThanOrEqual(50)
    expect(waited.late).toBeLessThan(500)
    expect(waited.pending).toBe(0)
    expect(page.workers().length).toBe(1)
    await expect.poll(() => page.workers().length).toBe(0)
  })

  test('keeps a worker’s time where the main thread’s timers are late', async ({ openTab, site }) => {
    const page = await openTab('about:blank')
    await page.addInitScript(() => {
      const native = setTimeout
      window.setTimeout = ((run: () => void, delay = 0) => native(run, delay + 5_000)) as typeof setTimeout
    })
    await page.goto(site.pageUrl('adapters'))
    const waited = await page.evaluate(async () => {
      const clock = window.adapters.createBrowserClock()
      const start = clock.now().mono
      for (let i = 0; i < 10; i++) await new Promise<void>((resolve) => void clock.timer(50, resolve))
      return clock.now().mono - start
    })
    expect(waited).toBeGreaterThanOrEqual(500)
    expect(waited).toBeLessThan(3_000)
  })

  test('falls back to the main thread where workers are forbidden', async ({
    openTab,
    site,
    allowErrors,
  }) => {
    allowErrors(/Content Security Policy/)
    const page = await openTab('about:blank')
    await page.route(site.pageUrl('adapters'), async (route) => {
      const response = await route.fetch()
      await route.fulfill({
        response,
        headers: { ...response.headers(), 'content-security-policy': "worker-src 'none'" },
      })
    })
    await page.goto(site.pageUrl('adapters'))
    const result = await page.evaluate(async () => {
      const clock = window.adapters.createBrowserClock()
      const start = clock.now().mono
      for (let i = 0; i < 4; i++) await new Promise<void>((resolve) => void clock.timer(50, resolve))
      return { waited: clock.now().mono - start, worker: clock.worker }
    })
    expect(result.waited).toBeGreaterThanOrEqual(200)
    expect(result.worker).toBe(false)
  })
})

test('the lifecycle tells visibility at once, and of a page that is left', async ({ openTab, site }) => {
  const page = await openTab(site.pageUrl('adapters'))
  const told: string[] = []
  await page.exposeFunction('tell', (what: string) => told.push(what))
  await page.evaluate(() => {
    const { tell } = window as unknown as { tell(what: string): Promise<void> }
    const stop = window.adapters.createLifecycle().watch({
      onVisibility: (visibility) => void tell(visibility),
      onHide: () => void tell('hide'),
      onShow: () => void tell('show'),
    })
    document.dispatchEvent(new Event('freeze'))
    dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))
    dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))
    dispatchEvent(new PageTransitionEvent('pageshow', { persisted: false }))
    stop()
    document.dispatchEvent(new Event('visibilitychange'))
    void tell('end')
  })
  await expect.poll(() => told).toEqual(['visible', 'frozen-soon', 'hide', 'show', 'end'])
})

/** Claims an identity that the page holds until it is left. */
function claim(page: Page, options: { persist?: boolean } = {}): Promise<Claimed> {
  return page.evaluate(async (given) => {
    const { createIdentityStore, createRandom } = window.adapters
    const { authority, generation, browser, lost } = await createIdentityStore({
      random: createRandom(),
      ...given,
    }).claim('room')
    return { authority, generation, browser, lost }
  }, options)
}

/** Saves a snapshot with a table of three bytes; bytes do not cross into a page as they are. */
function save(page: Page, snapshot: Omit<Snapshot, 'table'>): Promise<void> {
  return page.evaluate(
    (value) => window.adapters.createSnapshotStore().save({ ...value, table: new Uint8Array([1, 2, 3]) }),
    snapshot,
  )
}

/** What the store gives back, its table as a list, or the text of its refusal. */
function load(page: Page, cluster: string, authority: string): Promise<unknown> {
  return page.evaluate(
    ([room, name]) =>
      window.adapters
        .createSnapshotStore()
        .load(room!, name!)
        .then((snapshot) => snapshot && { ...snapshot, table: [...snapshot.table] }, String),
    [cluster, authority],
  )
}

function putRecord(page: Page, key: string[], value: unknown): Promise<void> {
  return page.evaluate(
    ([name, record]) =>
      new Promise<void>((resolve, reject) => {
        const opening = indexedDB.open('grainmesh')
        opening.addEventListener('success', () => {
          const transaction = opening.result.transaction('records', 'readwrite')
          transaction.objectStore('records').put(record, name as string[])
          transaction.addEventListener('complete', () => {
            opening.result.close()
            resolve()
          })
          transaction.addEventListener('abort', () => reject(transaction.error ?? new Error('aborted')))
        })
      }),
    [key, value] as const,
  )
}

function recordKeys(page: Page, kind: string): Promise<string[]> {
  return page.evaluate(
    (wanted) =>
      new Promise<string[]>((resolve) => {
        const opening = indexedDB.open('grainmesh')
        opening.addEventListener('success', () => {
          const request = opening.result.transaction('records').objectStore('records').getAllKeys()
          request.addEventListener('success', () => {
            opening.result.close()
            const keys = request.result.filter(
              (key): key is string[] => Array.isArray(key) && key[0] === wanted,
            )
            resolve(keys.map(([, cluster, authority]) => `${cluster}/${authority}`))
          })
        })
      }),
    kind,
  )
}

/** Runs in the page: takes something away from it. */
function lack(owner: object, name: string): void {
  Object.defineProperty(owner, name, { value: undefined, configurable: true })
}
