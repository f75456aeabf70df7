import { createServer, get, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { WebSocketServer } from 'ws'
import { createSignalingServer } from '../../signaling-server/index.ts'
import { CloseCode } from '../../src/adapters/signaling/protocol.ts'
import { hello, member, node, rawClient, startServer, until } from './support.ts'

function httpGet(url: string): Promise<{ status: number; body: string; response: IncomingMessage }> {
  return new Promise((resolve, reject) => {
    get(url, (response) => {
      let body = ''
      response.on('data', (chunk: Buffer) => (body += chunk.toString()))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body, response }))
    }).on('error', reject)
  })
}

describe('a server of its own', () => {
  let running: Awaited<ReturnType<typeof startServer>>

  beforeEach(async () => {
    running = await startServer()
  })

  afterEach(() => running.server.close())

  test('a newcomer is told of those before it, who hear of it by its signal', async () => {
    const { url } = running
    const first = await member(url, 1)
    const second = await member(url, 2)
    expect(first.welcome.contacts).toEqual([])
    expect(second.welcome.contacts).toEqual([node(1)])
    second.send({ t: 'signal', to: node(1), data: 'offer ä😀' })
    expect(await first.take('signal')).toEqual([{ t: 'signal', from: node(2), data: 'offer ä😀' }])
    first.send({ t: 'contacts' })
    expect(await first.take('contacts')).toEqual([{ t: 'contacts', contacts: [node(2)], quietMs: 60_000 }])
  })

  test('the sender is overwritten', async () => {
    const first = await member(running.url, 1)
    const second = await member(running.url, 2)
    second.send(JSON.stringify({ t: 'signal', from: node(7), to: node(1), data: 'x' }))
    expect(await first.take('signal')).toEqual([{ t: 'signal', from: node(2), data: 'x' }])
  })

  test('nothing is compressed, whatever the client offers', async () => {
    const client = await member(running.url, 1)
    expect(client.socket.extensions).toBe('')
  })

  test('a signal of 48 KiB arrives whole', async () => {
    const first = await member(running.url, 1)
    const second = await member(running.url, 2)
    const data = 'x'.repeat(48 * 1024)
    second.send({ t: 'signal', to: node(1), data })
    expect((await first.take('signal'))[0]?.data).toBe(data)
  })

  test('rooms never see each other', async () => {
    const here = await member(running.url, 1)
    const there = await member(running.url, 2, { room: 'other' })
    expect(there.welcome.contacts).toEqual([])
    there.send({ t: 'signal', to: node(1), data: 'x' })
    expect(await there.take('gone')).toEqual([{ t: 'gone', node: node(1) }])
    expect(here.frames.map(({ t }) => t)).toEqual(['welcome'])
  })

  test('a socket that is cut off is gone for the others, a bye is not', async () => {
    const watcher = await member(running.url, 1)
    const polite = await member(running.url, 2)
    const cut = await member(running.url, 3)
    polite.send({ t: 'bye' })
    expect(await polite.closed).toEqual({ code: 1000, reason: 'bye' })
    cut.socket.terminate()
    expect(await watcher.take('gone')).toEqual([{ t: 'gone', node: node(3) }])
    expect(running.server.health().members).toBe(1)
  })

  test('a member resumes on a new socket; a stranger does not', async () => {
    const watcher = await member(running.url, 1)
    const before = await member(running.url, 2)
    const stranger = rawClient(running.url)
    await stranger.opened
    stranger.send(hello(2, { resume: 'guessed' }))
    expect(await stranger.closed).toMatchObject({ code: CloseCode.nodeTaken })
    const after = await member(running.url, 2, { resume: before.welcome.resume })
    expect(await before.closed).toMatchObject({ code: CloseCode.replaced })
    watcher.send({ t: 'signal', to: node(2), data: 'still there?' })
    expect(await after.take('signal')).toHaveLength(1)
    expect(watcher.frames.map(({ t }) => t)).toEqual(['welcome'])
  })

  test('/healthz tells rooms, members and uptime', async () => {
    await member(running.url, 1)
    await member(running.url, 2, { room: 'other' })
    const { status, body, response } = await httpGet(`${running.httpUrl}/healthz`)
    expect([status, response.headers['content-type']]).toEqual([200, 'application/json'])
    const { uptime, ...rest } = JSON.parse(body) as { uptime: number }
    expect(rest).toEqual({ ok: true, rooms: 2, members: 2 })
    expect(uptime).toBeGreaterThanOrEqual(0)
    expect((await httpGet(running.httpUrl)).status).toBe(426)
    expect((await httpGet(`${running.httpUrl}/other`)).status).toBe(404)
  })

  test('a WebSocket on another path is refused, a query is not', async () => {
    const lost = rawClient(`${running.url}/elsewhere`)
    expect(await lost.closed).toMatchObject({ code: 1006 })
    expect((await member(`${running.url}/?a=b`, 1)).welcome.v).toBe(1)
  })

  test('a drain asks all to come back, tells nobody of ends, and frees the port', async () => {
    const first = await member(running.url, 1)
    const second = await member(running.url, 2)
    await running.server.close({ drain: 2_000 })
    for (const client of [first, second]) {
      expect(await client.closed).toEqual({
        code: CloseCode.goingAway,
        reason: 'the server is about to stop',
      })
      expect(client.frames.map(({ t }) => t)).toEqual(['welcome', 'goaway'])
    }
    const again = await startServer({}, running.port)
    await again.server.close()
    await expect(running.server.listen(0)).rejects.toThrow('closed')
  })

  test('a close without drain cuts all off, and tells nobody who went first', async () => {
    const clients = [await member(running.url, 1), await member(running.url, 2), await member(running.url, 3)]
    await running.server.close()
    for (const client of clients) {
      expect((await client.closed).code).toBe(1006)
      expect(client.frames.map(({ t }) => t)).toEqual(['welcome'])
    }
  })

  test('a client that does not close is cut off when the drain is over', async () => {
    const stubborn = await member(running.url, 1)
    stubborn.socket.pause()
    await running.server.close({ drain: 50 })
    stubborn.socket.resume()
    expect(await stubborn.closed).toMatchObject({ code: CloseCode.goingAway })
  })

  test('a taken port is told, and the server can try another', async () => {
    const other = createSignalingServer()
    await expect(other.listen(running.port)).rejects.toMatchObject({ code: 'EADDRINUSE' })
    await expect(other.listen(0)).resolves.toMatchObject({ port: expect.any(Number) as number })
    await expect(other.listen(0)).rejects.toThrow('listens already')
    await other.close()
  })
})

describe('attached to an HTTP server', () => {
  async function host(path = '/signaling') {
    const http = createServer((request, response) => response.end(`page ${request.url ?? ''}`))
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
    const { port } = http.address() as AddressInfo
    const signaling = createSignalingServer({ server: http, path })
    const stop = async () => {
      await signaling.close()
      http.closeAllConnections()
      await new Promise((resolve) => http.close(resolve))
    }
    return { http, port, signaling, stop }
  }

  test('serves its path and leaves requests and other upgrades alone', async () => {
    const { http, port, signaling, stop } = await host()
    const echo = new WebSocketServer({ noServer: true })
    http.on('upgrade', (request, socket, head) => {
      if (request.url !== '/hmr') return
      echo.handleUpgrade(request, socket, head, (webSocket) => webSocket.send('{"t":"goaway","retryMs":7}'))
    })
    const tab = await member(`ws://127.0.0.1:${port}/signaling`, 1)
    const hmr = rawClient(`ws://127.0.0.1:${port}/hmr`)
    expect(await hmr.take('goaway')).toEqual([{ t: 'goaway', retryMs: 7 }])
    expect((await httpGet(`http://127.0.0.1:${port}/healthz`)).body).toBe('page /healthz')
    expect(signaling.health()).toMatchObject({ ok: true, rooms: 1, members: 1 })
    await expect(signaling.listen(0)).rejects.toThrow('attached')

    await signaling.close({ drain: 1_000 })
    expect((await tab.closed).code).toBe(CloseCode.goingAway)
    expect(hmr.socket.readyState).toBe(hmr.socket.OPEN)
    expect(http.listening).toBe(true)
    expect(http.listenerCount('upgrade')).toBe(1)
    hmr.socket.terminate()
    await stop()
  })

  test('answers an upgrade that nobody else would', async () => {
    const { port, stop } = await host()
    const lost = rawClient(`ws://127.0.0.1:${port}/hmr`)
    expect((await lost.closed).code).toBe(1006)
    await stop()
  })
})

test('thirty-two tabs of one address join at once and trickle, with the default limits', async () => {
  const { server, url } = await startServer({ contacts: 16 })
  const count = 32
  const tabs = await Promise.all(Array.from({ length: count }, (_, index) => member(url, index)))
  for (const tab of tabs) {
    for (let other = 0; other < count; other++) {
      if (node(other) === tab.node) continue
      for (let i = 0; i < 10; i++)
        tab.send({ t: 'signal', to: node(other), data: `candidate ${i}`.repeat(12) })
    }
  }
  await until(() => {
    for (const tab of tabs) expect(tab.frames).toHaveLength(1 + (count - 1) * 10)
  })
  expect(server.health()).toMatchObject({ rooms: 1, members: count })
  await server.close()
})
