/** The signaling server: rooms behind WebSockets, attached to an HTTP server or listening by itself. */
import { randomBytes } from 'node:crypto'
import {
  createServer,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type Server,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { WebSocketServer, type WebSocket } from 'ws'
import {
  CloseCode,
  encodeServerFrame,
  MAX_CONTACTS,
  MAX_RETRY_MS,
  type RelayRate,
  type ServerFrame,
} from '../src/adapters/signaling/protocol.ts'
import { Addresses, type AddressShare } from './addresses.ts'
import type { Authenticate } from './authenticate.ts'
import { Connection, CourteousWebSocket } from './connection.ts'
import { createCounts, exposition, type Counts } from './counts.ts'
import { resolveLimits, type Rate, type SignalingLimits } from './limits.ts'
import { DEFAULT_CONTACTS, Rooms, type ConnectionId, type RoomsInput, type RoomsOutput } from './rooms.ts'

export interface SignalingServerOptions {
  /**
   * An HTTP server to attach to: its requests, and upgrades on other paths, are left alone. Without it the server
   * makes its own at `listen()`, which also answers `/healthz`, `/readyz` and `/metrics`.
   */
  readonly server?: Server
  /** Path that WebSockets connect to. Default `/`. */
  readonly path?: string
  /** Random members a newcomer is told of, and each later request for contacts; 0 to 16. Default 3. */
  readonly contacts?: number
  /**
   * Origins of pages that may connect, such as `https://app.example.com`. Default: all. With a list, a client that
   * sends no Origin (one that is no browser) is refused too.
   */
  readonly origins?: readonly string[]
  /** Decides who may enter, by the token of the `hello`. Default: everybody. */
  readonly authenticate?: Authenticate
  /**
   * Whether members that cannot connect to each other may have their links go through this server, which cannot read
   * them. The rate is `limits.relayBytesPerConnection`. Default `true`.
   */
  readonly relay?: boolean
  readonly limits?: Partial<SignalingLimits>
  /** Time after which a draining server asks its clients to come back, 0 to 60,000 ms. Default 1,000. */
  readonly retryMs?: number
  /**
   * Nobody can be coming back from before this start, as in a test or where no page was ever open: a tab that is alone
   * need not wait for others. Wrong for a restart. Default `false`.
   */
  readonly fresh?: boolean
  /** The address that limits count by; behind a proxy, what the proxy says. Default: the socket's. */
  readonly address?: (request: IncomingMessage) => string
  /** Gets one line for each connection that was refused or ended by force. Default: nothing is logged. */
  readonly log?: (line: string) => void
}

/** What `/healthz` answers. */
export interface SignalingHealth {
  /** `false` while the server drains. */
  readonly ok: boolean
  readonly rooms: number
  readonly members: number
  /** Seconds since the server was created. */
  readonly uptime: number
}

export interface SignalingServer {
  /**
   * Listens on a server of its own. Port 0 is any free one; the default host is 127.0.0.1.
   * Rejects with Node's error (`EADDRINUSE`, `EACCES`), and where the server is attached, closed or listening.
   */
  listen(port: number, host?: string): Promise<{ readonly port: number; readonly url: string }>
  health(): SignalingHealth
  /** What `/metrics` shows, as numbers: a copy. */
  counts(): Readonly<Counts>
  /**
   * Stops. With `drain` every member is asked to come back later (`goaway`) and has that many ms to close; whoever
   * has not by then, and everybody without `drain`, is cut off. An attached HTTP server goes on. Idempotent.
   */
  close(options?: { readonly drain?: number }): Promise<void>
}

/** @throws TypeError naming every option that is wrong. Nothing was started then. */
export function createSignalingServer(options: SignalingServerOptions = {}): SignalingServer {
  return new NodeSignalingServer(options)
}

class NodeSignalingServer implements SignalingServer {
  private readonly options: SignalingServerOptions
  private readonly limits: SignalingLimits
  private readonly path: string
  private readonly origins: ReadonlySet<string> | undefined
  private readonly rooms: Rooms
  private readonly addresses: Addresses
  private readonly webSockets: WebSocketServer
  private readonly connections = new Map<ConnectionId, Connection>()
  private readonly tally = createCounts()
  private readonly startedAt = performance.now()
  private readonly probing: NodeJS.Timeout
  private own: Server | undefined
  private lastId = 0
  private draining = false
  private closing: Promise<void> | undefined

  constructor(options: SignalingServerOptions) {
    const { limits, problems } = resolveLimits(options.limits ?? {})
    const wrong = [...optionProblems(options), ...problems]
    if (wrong.length > 0) throw new TypeError(`createSignalingServer: ${wrong.join('; ')}`)
    this.options = options
    this.limits = limits
    this.path = options.path ?? '/'
    this.origins = options.origins && new Set(options.origins.map((origin) => origin.toLowerCase()))
    this.rooms = new Rooms({
      contacts: options.contacts ?? DEFAULT_CONTACTS,
      rooms: limits.rooms,
      membersPerRoom: limits.membersPerRoom,
      relay: options.relay === false ? undefined : announced(limits.relayBytesPerConnection),
      random: secureRandom,
      now: () => performance.now(),
      fresh: options.fresh ?? false,
    })
    this.addresses = new Addresses(limits)
    const webSocketOptions = {
      noServer: true,
      maxPayload: limits.payloadBytes,
      perMessageDeflate: false,
      closeTimeout: limits.closeMs,
      WebSocket: CourteousWebSocket,
    }
    this.webSockets = new WebSocketServer(webSocketOptions)
    this.probing = setInterval(() => this.probe(), limits.pingMs)
    this.probing.unref()
    options.server?.on('upgrade', this.onUpgrade)
    options.server?.on('listening', this.onListening)
  }

  async listen(port: number, host = '127.0.0.1'): Promise<{ port: number; url: string }> {
    if (this.options.server)
      throw new Error('listen: this server is attached to an HTTP server, which listens')
    if (this.closing) throw new Error('listen: this server was closed; create another one')
    if (this.own) throw new Error('listen: this server listens already')
    const own = createServer({ requestTimeout: 10_000, headersTimeout: 10_000 }, (request, response) =>
      this.answer(request, response),
    )
    this.own = own
    own.on('upgrade', this.onUpgrade)
    own.on('listening', this.onListening)
    try {
      await new Promise<void>((resolve, reject) => {
        own.once('error', reject)
        own.listen(port, host, () => {
          own.off('error', reject)
          resolve()
        })
      })
    } catch (error) {
      this.own = undefined
      throw error
    }
    // Out of file handles, for example: who is connected stays so.
    own.on('error', (error) => this.options.log?.(`http: ${error.message}`))
    const actual = (own.address() as AddressInfo).port
    const path = this.path === '/' ? '' : this.path
    return { port: actual, url: `ws://${host.includes(':') ? `[${host}]` : host}:${actual}${path}` }
  }

  health(): SignalingHealth {
    return {
      ok: !this.draining,
      rooms: this.rooms.roomCount,
      members: this.rooms.memberCount,
      uptime: Math.floor((performance.now() - this.startedAt) / 1_000),
    }
  }

  counts(): Readonly<Counts> {
    return { ...this.tally }
  }

  close({ drain = 0 }: { readonly drain?: number } = {}): Promise<void> {
    this.closing ??= this.stop(drain)
    return this.closing
  }

  private async stop(drainMs: number): Promise<void> {
    this.draining = true
    clearInterval(this.probing)
    this.options.server?.off('upgrade', this.onUpgrade)
    this.options.server?.off('listening', this.onListening)
    const ownClosed = this.own && closed(this.own)
    const { clients } = this.webSockets
    const goodbyes = this.rooms.handle({ type: 'drain', retryMs: this.options.retryMs ?? 1_000 })
    if (drainMs > 0) {
      this.carryOut(goodbyes)
      for (const connection of this.connections.values()) {
        connection.end(CloseCode.goingAway, 'the server is about to stop')
      }
      await allClosed(clients, drainMs)
    }
    for (const connection of this.connections.values()) connection.terminate()
    // Refused sockets that have not finished their closing handshake are known to ws only.
    for (const socket of clients) socket.terminate()
    this.webSockets.close()
    this.own?.closeAllConnections()
    await ownClosed
  }

  private readonly onListening = (): void => this.dispatch({ type: 'reachable' })

  private readonly onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    const { server } = this.options
    if (pathOf(request) !== this.path) {
      // Somebody else's, as long as there is somebody else: without an answer the socket would stay open for ever.
      if (!server || server.listenerCount('upgrade') === 1) reject(socket, 404, 'Not Found')
      return
    }
    const address = this.options.address?.(request) ?? request.socket.remoteAddress ?? 'unknown'
    const share = this.addresses.share(address, performance.now())
    // Up to twice the limit a client is worth being told why; beyond that it is cut short.
    if (share.connections >= this.limits.connectionsPerAddress * 2) {
      reject(socket, 429, 'Too Many Requests')
      return
    }
    share.connections++
    socket.once('close', () => share.connections--)
    this.webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      this.open(webSocket, request, address, share)
    })
  }

  private open(socket: WebSocket, request: IncomingMessage, address: string, share: AddressShare): void {
    const id = ++this.lastId
    const origin = request.headers.origin
    const connection = new Connection(socket, {
      id,
      limits: this.limits,
      share,
      address,
      origin,
      counts: this.tally,
      authenticate: this.options.authenticate,
      now: () => performance.now(),
      dispatch: (input) => this.dispatch(input),
      log: (line) => this.options.log?.(line),
    })
    this.connections.set(id, connection)
    if (this.origins && !this.origins.has(origin?.toLowerCase() ?? '')) {
      const reason = `origin: ${origin === undefined ? 'missing' : JSON.stringify(origin)}, not in the list`
      connection.end(CloseCode.forbiddenOrigin, reason)
    } else if (share.connections > this.limits.connectionsPerAddress) {
      const reason = `too many connections from one address: at most ${this.limits.connectionsPerAddress}`
      connection.end(CloseCode.rateLimited, reason)
    } else if (!share.connects.take(1, performance.now())) {
      connection.end(CloseCode.rateLimited, 'too many new connections from one address')
    }
  }

  private dispatch(input: RoomsInput): void {
    if (input.type === 'ended') this.connections.delete(input.connection)
    this.carryOut(this.rooms.handle(input))
  }

  private carryOut(outputs: readonly RoomsOutput[]): void {
    let encoded: { frame: ServerFrame; text: string } | undefined
    for (const output of outputs) {
      const connection = this.connections.get(output.connection)
      if (!connection) continue
      if (output.type === 'close') {
        connection.end(output.code, output.reason)
        continue
      }
      if (output.type === 'relay') {
        if (connection.isBehind) {
          this.connections.get(output.sender)?.refuseRelay(output.to, 'the addressee does not read')
          continue
        }
        this.tally.relayedFrames++
        this.tally.relayedBytes += output.frame.data.length
      } else if (output.frame.t === 'signal') {
        this.tally.signals++
      }
      // A frame to a whole room is one object: encoded once.
      if (encoded?.frame !== output.frame) {
        encoded = { frame: output.frame, text: encodeServerFrame(output.frame) }
      }
      connection.send(encoded.text)
    }
  }

  private probe(): void {
    for (const connection of this.connections.values()) connection.probe()
    this.addresses.sweep(performance.now())
    this.rooms.sweep()
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    const path = pathOf(request)
    const readOnly = request.method === 'GET' || request.method === 'HEAD'
    const answer = (status: number, type: string, body: string, more: OutgoingHttpHeaders = {}): void => {
      response.writeHead(status, { 'content-type': type, ...more })
      response.end(body)
    }
    if ((path === '/healthz' || path === '/readyz') && readOnly) {
      const health = this.health()
      answer(health.ok ? 200 : 503, 'application/json', JSON.stringify(health), NOT_STORED)
    } else if (path === '/metrics' && readOnly) {
      const { rooms, members } = this.health()
      answer(200, 'text/plain; version=0.0.4', exposition(this.tally, { rooms, members }), NOT_STORED)
    } else if (path === this.path && readOnly) {
      const text = 'This is a Grainmesh signaling server: connect to it with a WebSocket.\n'
      answer(426, 'text/plain', text, { upgrade: 'websocket', connection: 'upgrade' })
    } else {
      answer(404, 'text/plain', 'Not found\n')
    }
  }
}

const NOT_STORED = { 'cache-control': 'no-store' }

function optionProblems(options: SignalingServerOptions): string[] {
  const problems: string[] = []
  const { path, contacts, origins, retryMs } = options
  if (path !== undefined && !/^\/[^?#]*$/.test(path)) {
    problems.push(`path must begin with / and have no ? or #, not ${JSON.stringify(path)}`)
  }
  if (contacts !== undefined && !(Number.isInteger(contacts) && contacts >= 0 && contacts <= MAX_CONTACTS)) {
    problems.push(`contacts must be an integer from 0 to ${MAX_CONTACTS}`)
  }
  if (retryMs !== undefined && !(Number.isInteger(retryMs) && retryMs >= 0 && retryMs <= MAX_RETRY_MS)) {
    problems.push(`retryMs must be an integer from 0 to ${MAX_RETRY_MS}`)
  }
  for (const origin of origins ?? []) {
    if (!URL.canParse(origin) || new URL(origin).origin !== origin.toLowerCase()) {
      problems.push(`origins: ${JSON.stringify(origin)} is no origin such as https://app.example.com`)
    }
  }
  return problems
}

const announced = ({ burst, perSecond }: Rate): RelayRate => ({ bytesPerSecond: perSecond, burst })

const pathOf = (request: IncomingMessage): string => (request.url ?? '/').split('?', 1)[0] ?? '/'

function reject(socket: Duplex, status: number, text: string): void {
  socket.on('error', () => socket.destroy())
  socket.end(`HTTP/1.1 ${status} ${text}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`, () =>
    socket.destroy(),
  )
}

const closed = (server: Server): Promise<void> =>
  new Promise((resolve) => {
    server.close(() => resolve())
  })

/** Resolves when every socket is closed, or after `timeoutMs`. */
function allClosed(sockets: ReadonlySet<WebSocket>, timeoutMs: number): Promise<void> {
  return new Promise((resolve) => {
    let open = sockets.size
    if (open === 0) return resolve()
    const timer = setTimeout(resolve, timeoutMs)
    for (const socket of sockets) {
      socket.once('close', () => {
        if (--open > 0) return
        clearTimeout(timer)
        resolve()
      })
    }
  })
}

/** 48 random bits as a number in [0, 1). */
const secureRandom = (): number => randomBytes(6).readUIntBE(0, 6) / 2 ** 48
