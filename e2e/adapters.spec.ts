/** The WebRTC adapter in real tabs. `window.adapters` is put there by pages/adapters.ts. */
import type { Page } from '@playwright/test'
import { expect, test, type OpenTab, type Site } from './support/fixtures.ts'
import type { LinkUnderTest } from './pages/adapters.ts'

const open = (openTab: OpenTab, site: Site) => openTab(site.pageUrl('adapters'))

test('relayed links meet the contract of link transports', async ({ openTab, site }) => {
  const page = await open(openTab, site)
  const results = await page.evaluate(async () => {
    const { createBrowserClock, createRelayTransport, linkTransportContract } = window.adapters
    const clock = createBrowserClock()
    const relay = createRelayTransport({ clock })
    relay.setRate({ bytesPerSecond: 1e9, burst: 1e9 })
    // carries everything to everybody, and each end takes its own
    const ends = new Set<ReturnType<typeof relay.open>>()
    const transport = () => ({
      open(initiator: boolean, handlers: Parameters<typeof relay.open>[1]) {
        const end = relay.open(initiator, handlers, (data) => {
          queueMicrotask(() => ends.forEach((other) => other !== end && other.receive(data)))
        })
        ends.add(end)
        return end
      },
    })
    const found: Record<string, string> = {}
    for (const { name, run } of linkTransportContract({
      transport,
      clock,
    })) {
      found[name] = await run().then(() => 'ok', String)
      ends.clear()
    }
    return found
  })
  expect(Object.keys(results).length).toBeGreaterThan(10)
  expect(results).toEqual(Object.fromEntries(Object.keys(results).map((name) => [name, 'ok'])))
})

test.describe('links over WebRTC', () => {
  test('meet the contract of link transports', async ({ openTab, site }) => {
    const page = await open(openTab, site)
    const results = await page.evaluate(async () => {
      const { createBrowserClock, createWebRtcTransport, linkTransportContract } = window.adapters
      const clock = createBrowserClock()
      const found: Record<string, string> = {}
      for (const { name, run } of linkTransportContract({
        transport: () => createWebRtcTransport(),
        clock,
      })) {
        found[name] = await run().then(() => 'ok', String)
      }
      return found
    })
    expect(Object.keys(results).length).toBeGreaterThan(10)
    expect(results).toEqual(Object.fromEntries(Object.keys(results).map((name) => [name, 'ok'])))
  })

  test('leave no RTCPeerConnection after a hundred of them', async ({ openTab, site }) => {
    const page = await openTab('about:blank')
    await page.addInitScript(() => {
      const made: RTCPeerConnection[] = []
      const Native = RTCPeerConnection
      Object.assign(window, {
        made,
        RTCPeerConnection: function make(config: RTCConfiguration) {
          const connection = new Native(config)
          made.push(connection)
          return connection
        },
      })
    })
    await page.goto(site.pageUrl('adapters'))
    const counts = await page.evaluate(async () => {
      const { createBrowserClock, createWebRtcTransport, openPair } = window.adapters
      const clock = createBrowserClock()
      const transport = createWebRtcTransport()
      let mostOpen = 0
      for (let i = 0; i < 50; i++) {
        const pair = openPair({ transport: () => transport, clock })
        await Promise.all([pair.a.untilOpen(), pair.b.untilOpen()])
        mostOpen = Math.max(mostOpen, transport.openConnections)
        // every second link is left to notice by itself
        pair.a.link.close()
        if (i % 2 === 0) pair.b.link.close()
        else await pair.b.untilClosed()
      }
      // a closed link first gets rid of what was sent on it
      while (transport.openConnections > 0) await new Promise<void>((resolve) => void clock.timer(5, resolve))
      const { made } = window as unknown as { made: RTCPeerConnection[] }
      return {
        mostOpen,
        constructed: transport.constructed,
        counted: transport.openConnections,
        made: made.length,
        open: made.filter(({ signalingState }) => signalingState !== 'closed').length,
      }
    })
    expect(counts).toEqual({ mostOpen: 2, constructed: 100, counted: 0, made: 100, open: 0 })
  })

  test('open and deliver without a timer of the main thread', async ({ openTab, site }) => {
    const page = await openTab('about:blank')
    // what a hidden tab does to its timers
    await page.addInitScript(() => {
      const native = setTimeout
      window.setTimeout = ((run: () => void, delay = 0) => native(run, delay + 5_000)) as typeof setTimeout
    })
    await page.goto(site.pageUrl('adapters'))
    const duration = await page.evaluate(async () => {
      const { createBrowserClock, createWebRtcTransport, loadWebRtc, openPair } = window.adapters
      await loadWebRtc()
      const clock = createBrowserClock()
      const transport = createWebRtcTransport()
      const start = performance.now()
      const pair = openPair({ transport: () => transport, clock })
      await Promise.all([pair.a.untilOpen(), pair.b.untilOpen()])
      for (let i = 0; i < 200; i++) pair.a.link.send(new Uint8Array(16_384))
      await pair.b.untilMessages(200)
      pair.close()
      for (let i = 0; i < 200; i++) await new Promise<void>((resolve) => void clock.timer(0, resolve))
      return performance.now() - start
    })
    expect(duration).toBeLessThan(3_000)
  })

  test('carry what waits lane by lane, joined, and all of it before they close', async ({
    openTab,
    site,
  }) => {
    const page = await open(openTab, site)
    const seen = await page.evaluate(async () => {
      const { createBrowserClock, createWebRtcTransport, LinkQueue, openPair } = window.adapters
      const clock = createBrowserClock()
      const { a, b } = openPair({ transport: () => createWebRtcTransport(), clock })
      await Promise.all([a.untilOpen(), b.untilOpen()])
      const traffic = {
        messagesSent: 0,
        messagesReceived: 0,
        bytesSent: 0,
        bytesReceived: 0,
        messagesDropped: 0,
      }
      const queue = new LinkQueue(a.link, traffic, () => undefined)
      a.onDrain = () => queue.flush()
      const bytes = (length: number, first: number) => new Uint8Array(length).fill(first, 0, 1)
      const arrived = (from: number) => b.messages.slice(from).map((message) => message[0])

      for (let i = 0; i < 100; i++) queue.push('bulk', bytes(16_000, i))
      queue.flush()
      // the buffer is full now, and nobody has told yet that it is not
      const buffered = a.link.bufferedBytes
      queue.push('control', bytes(32, 200))
      queue.flush()
      await b.untilMessages(101)
      const overtaken = 100 - arrived(0).indexOf(200)
      const bulk = arrived(0).filter((first) => first !== 200)

      for (let i = 0; i < 1_000; i++) queue.push('call', bytes(64, i % 256))
      queue.flush()
      await b.untilMessages(105)
      const joined = b.messages.slice(101, 105).flatMap((message) => Array.from(message))
      const small = joined.filter((_, i) => i % 64 === 0)

      for (let i = 0; i < 50; i++) queue.push('bulk', bytes(16_000, i))
      queue.close()
      await b.untilClosed()
      return {
        buffered,
        overtaken,
        bulk,
        joined: joined.length,
        small,
        last: arrived(105),
        dropped: traffic.messagesDropped,
      }
    })
    const upTo = (count: number) => Array.from({ length: count }, (_, i) => i % 256)
    expect(seen.buffered, 'no more than the fill and one fragment').toBeLessThanOrEqual(64 * 1024)
    expect(seen.overtaken, 'all but what was in the buffer').toBe(100 - Math.ceil(seen.buffered / 16_000))
    expect(seen.bulk).toEqual(upTo(100))
    expect([seen.joined, seen.small]).toEqual([64_000, upTo(1_000)])
    expect(seen.last).toEqual(upTo(50))
    expect(seen.dropped).toBe(0)
  })

  test('open between two browser contexts; the time is reported', async ({ openTab, site }) => {
    const [one, two] = [await open(openTab, site), await open(openTab, site)]
    await Promise.all([carrySignals(one, two), carrySignals(two, one)])
    const times: number[] = []
    for (let i = 0; i < 10; i++) {
      await two.evaluate(openEnd, false)
      times.push(await one.evaluate(openEnd, true))
      await expect.poll(() => two.evaluate(() => window.linkUnderTest.opened)).toBe(true)
      await one.evaluate(() => window.linkUnderTest.end?.close())
      await expect.poll(() => two.evaluate(() => window.linkUnderTest.closed)).toBe('closed by the other end')
    }
    times.sort((a, b) => a - b)
    console.log(
      `link between two contexts: median ${times[5]!.toFixed(0)} ms, all ${times.map((t) => t.toFixed(0))}`,
    )
    expect(times[5]).toBeLessThan(2_000)
  })

  test('a tab that closes its links at pagehide is noticed at once', async ({ openTab, site }) => {
    for (const leave of [(page: Page) => page.close(), (page: Page) => page.reload()]) {
      const [one, two] = [await open(openTab, site), await open(openTab, site)]
      await Promise.all([carrySignals(one, two), carrySignals(two, one)])
      await two.evaluate(openEnd, false)
      await one.evaluate(openEnd, true)
      await expect.poll(() => two.evaluate(() => window.linkUnderTest.opened)).toBe(true)
      await one.evaluate(() => {
        window.adapters.createLifecycle().watch({
          onVisibility() {},
          onHide: () => window.linkUnderTest.end?.close(),
          onShow() {},
        })
      })
      const start = Date.now()
      await leave(one)
      await expect
        .poll(() => two.evaluate(() => window.linkUnderTest.closed), { intervals: [20] })
        .toBe('closed by the other end')
      console.log(`a page that was left is noticed after ${Date.now() - start} ms`)
    }
  })

  test('a page without WebRTC gets an error that says so', async ({ openTab, site }) => {
    const page = await openTab('about:blank')
    await page.addInitScript(() => Object.assign(window, { RTCPeerConnection: undefined }))
    await page.goto(site.pageUrl('adapters'))
    const errors = await page.evaluate(async () => {
      const { createWebRtcTransport, loadWebRtc } = window.adapters
      const codeOf = (error: unknown) => (error as { code?: string }).code
      const loading = await loadWebRtc().then(() => undefined, codeOf)
      try {
        createWebRtcTransport()
        return [loading, undefined]
      } catch (error) {
        return [loading, codeOf(error)]
      }
    })
    expect(errors).toEqual(['webrtc-unavailable', 'webrtc-unavailable'])
  })

  test('a hostile peer with other channels or too large a message costs nothing but its link', async ({
    openTab,
    site,
  }) => {
    const page = await open(openTab, site)
    const found = await page.evaluate(async () => {
      const { createWebRtcTransport } = window.adapters
      const attack = (others: RTCDataChannelInit[], bytes: number) =>
        new Promise<string>((resolve) => {
          const hostile = new RTCPeerConnection()
          const channel = hostile.createDataChannel('x', { negotiated: true, id: 0 })
          const closed = others.map((init) => {
            const other = hostile.createDataChannel('x', init)
            return new Promise((done) => other.addEventListener('close', done))
          })
          const link = createWebRtcTransport().open(false, {
            onSignal(data) {
              const signal = JSON.parse(data)
              if (signal.sdp) void hostile.setRemoteDescription(signal)
              else void hostile.addIceCandidate(signal.candidate)
            },
            onOpen() {},
            onMessage: (message) => {
              link.close()
              hostile.close()
              resolve(`received ${message.length}`)
            },
            onDrain() {},
            onClose: (reason) => {
              hostile.close()
              resolve(reason)
            },
          })
          hostile.addEventListener('icecandidate', ({ candidate }) => {
            if (candidate) link.signal(JSON.stringify({ candidate }))
          })
          const open = new Promise((done) => channel.addEventListener('open', done))
          // the others are refused first, then the one is used
          void Promise.all([open, ...closed]).then(() => channel.send(new Uint8Array(bytes)))
          void hostile.setLocalDescription().then(() => link.signal(JSON.stringify(hostile.localDescription)))
        })
      return {
        none: await attack([], 3),
        oversized: await attack([], 100_000),
        others: await attack([{}, { ordered: false }, { maxRetransmits: 0 }], 5),
      }
    })
    expect(found).toEqual({
      none: 'received 3',
      oversized: 'the other end sent 100000 bytes in one message; 65536 are allowed',
      others: 'received 5',
    })
  })
})

/** What one tab's link wants carried reaches the other tab's link. */
async function carrySignals(from: Page, to: Page): Promise<void> {
  await from.exposeFunction('carry', (data: string) =>
    to.evaluate((signal) => window.linkUnderTest.end?.signal(signal), data),
  )
}

/** Opens an end in a page; the initiator's resolves with the time it took. */
function openEnd(initiator: boolean): Promise<number> {
  return new Promise((resolve, reject) => {
    const start = performance.now()
    const state: LinkUnderTest = { opened: false, closed: '' }
    window.linkUnderTest = state
    state.end = window.adapters.createWebRtcTransport().open(initiator, {
      onSignal: (data) => void window.carry(data),
      onOpen() {
        state.opened = true
        resolve(performance.now() - start)
      },
      onMessage() {},
      onDrain() {},
      onClose(reason) {
        state.closed = reason
        reject(new Error(reason))
      },
    })
    if (!initiator) resolve(0)
  })
}
