/** The benches' own pages and a signaling server at one address, with time put into signaling where it is asked for. */
import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import http from 'node:http'
import net, { type AddressInfo } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import type { Duplex } from 'node:stream'
import { createSignalingServer } from '../../signaling-server/index.ts'
import { load } from './project.ts'

const PAGES = 'bench/pages'

export interface Site {
  /** A page of bench/pages by its name without `.html`. */
  pageUrl(name: string): string
  stop(): Promise<void>
}

export interface SiteOptions {
  /**
   * Everything between a tab and the signaling server, the opening of its connection included, is held this long in
   * each direction, in ms. Pages are not. Default 0.
   */
  readonly signalingDelayMs?: number
  /** Pages are on their own in the world, which gives their clocks 5 instead of 100 microseconds. Default `false`. */
  readonly isolated?: boolean
  /** Names in the pages stay as they are written, for profiles. Default `false`. */
  readonly readable?: boolean
  /** Puts more behind the same address. Returns the way to end it. */
  readonly attach?: (server: http.Server) => () => void
}

interface StaticFiles {
  serveFolders(mounts: Readonly<Record<string, string>>): http.RequestListener
}

/** Builds the pages afresh, so that what others build meanwhile does not change what is measured. */
export async function startSite(options: SiteOptions = {}): Promise<Site> {
  const { signalingDelayMs = 0, isolated = false, readable = false, attach } = options
  const folder = await mkdtemp(path.join(os.tmpdir(), 'grainmesh-bench-'))
  await buildPages(folder, readable)
  const { serveFolders } = await load<StaticFiles>('scripts/static-files.mjs')
  const files = serveFolders({ '/': folder })
  const pages = http.createServer((request, response) => {
    if (isolated) {
      response.setHeader('cross-origin-opener-policy', 'same-origin')
      response.setHeader('cross-origin-embedder-policy', 'require-corp')
    }
    files(request, response)
  })
  const entrance = signalingDelayMs > 0 ? http.createServer() : pages
  const signaling = createSignalingServer({ server: entrance, fresh: true })
  if (entrance !== pages) {
    const behind = await listen(entrance)
    pages.on('upgrade', (request, socket) => forward(request, socket, behind, signalingDelayMs))
  }
  const detach = attach?.(pages)
  const port = await listen(pages)
  return {
    pageUrl: (name) => `http://127.0.0.1:${port}/${name}.html`,
    async stop() {
      detach?.()
      await signaling.close()
      for (const server of new Set([pages, entrance])) {
        server.closeAllConnections()
        server.close()
      }
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function buildPages(outDir: string, readable: boolean): Promise<void> {
  const { build } = await import('vite')
  const root = path.resolve(PAGES)
  const pages = (await readdir(root)).filter((name) => name.endsWith('.html'))
  await build({
    configFile: false,
    root,
    base: './',
    logLevel: 'warn',
    build: {
      outDir,
      emptyOutDir: true,
      target: 'esnext',
      minify: !readable,
      rolldownOptions: { input: pages.map((page) => path.join(root, page)) },
    },
  })
}

async function listen(server: http.Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

/** Carries a WebSocket, from its request on, to the server at `port` and back, late by `delayMs` each way. */
function forward(request: http.IncomingMessage, near: Duplex, port: number, delayMs: number): void {
  const far = net.connect({ port, host: '127.0.0.1', noDelay: true })
  const { method, url, rawHeaders } = request
  const fields = rawHeaders.flatMap((name, i) => (i % 2 === 0 ? [`${name}: ${rawHeaders[i + 1] ?? ''}`] : []))
  const head = [`${method ?? 'GET'} ${url ?? '/'} HTTP/1.1`, ...fields, '', ''].join('\r\n')
  setTimeout(() => far.write(head), delayMs)
  passLate(near, far, delayMs)
  passLate(far, near, delayMs)
}

function passLate(from: Duplex, to: Duplex, delayMs: number): void {
  // timers of one length fire in the order they were set in, so bytes keep theirs
  from.on('data', (bytes) => setTimeout(() => to.write(bytes), delayMs))
  from.on('close', () => setTimeout(() => to.destroy(), delayMs))
  // a close follows
  from.on('error', () => undefined)
}
