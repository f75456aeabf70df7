import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { serveFolders } from '../../scripts/static-files.mjs'
import { createSignalingServer } from '../../signaling-server/index.ts'
import type { SignalingServer } from '../../signaling-server/index.ts'

/** The signaling server of a test run: can be stopped and started again while the pages stay reachable. */
export interface SignalingControl {
  /** `ws://127.0.0.1:<port>/`; the same before and after a restart, and the same origin as the pages. */
  readonly url: string
  readonly running: boolean
  /**
   * Ends every signaling connection; new ones fail until `start()`. Nothing is kept. With `drainMs` clients are told
   * to come back later first; without it the server is gone as if it had crashed.
   */
  stop(options?: { readonly drainMs?: number }): Promise<void>
  /**
   * A new, empty signaling server at the same address. Default: one that relays, names 3 contacts, and thinks that tabs
   * may be coming back to it.
   */
  start(options?: {
    readonly relay?: boolean
    readonly contacts?: number
    readonly fresh?: boolean
  }): Promise<void>
}

/** What the tabs load, and the signaling server they meet at. */
export interface Site {
  /** The demo page, with a slash at its end. */
  readonly url: string
  /** A page of e2e/pages by its name without `.html`. */
  pageUrl(name: string): string
  readonly signaling: SignalingControl
}

export interface RunningSite extends Site {
  close(): Promise<void>
}

/** Serves the built demo, the built e2e pages under `/e2e/`, and the signaling server, all at one free port. */
export async function startSite(folder: string): Promise<RunningSite> {
  const pages = serveFolders({ '/': path.join(folder, 'demo'), '/e2e/': path.join(folder, 'e2e') })
  const server = http.createServer(pages)
  const signaling = controlSignaling(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await signaling.start({ fresh: true })
  const url = `http://127.0.0.1:${port}/`
  return {
    url,
    pageUrl: (name) => `${url}e2e/${name}.html`,
    signaling: {
      url: `ws://127.0.0.1:${port}/`,
      get running() {
        return signaling.running
      },
      stop: (options) => signaling.stop(options),
      start: (options) => signaling.start(options),
    },
    async close() {
      await signaling.stop()
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

/** Passes the page server's WebSocket upgrades to the signaling server that runs at the moment, if any does. */
function controlSignaling(server: http.Server): Pick<SignalingControl, 'running' | 'stop' | 'start'> {
  let current: { entrance: http.Server; server: SignalingServer } | undefined
  server.on('upgrade', (request, socket, head) => {
    // to a tab this is what a port without a listener looks like: the connection fails before it is open
    if (!current) socket.destroy()
    else current.entrance.emit('upgrade', request, socket, head)
  })
  return {
    get running() {
      return current !== undefined
    },
    async stop({ drainMs = 0 } = {}) {
      const stopping = current
      current = undefined
      await stopping?.server.close({ drain: drainMs })
    },
    async start({ relay = true, contacts = 3, fresh = false } = {}) {
      if (current) return
      // never listens; lets the signaling server be attached to something that can be thrown away
      const entrance = http.createServer()
      current = { entrance, server: createSignalingServer({ server: entrance, relay, contacts, fresh }) }
    },
  }
}
