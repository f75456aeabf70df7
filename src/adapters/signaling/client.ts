/** The `Signaling` port over a WebSocket: admission to a room, kept through reconnects until it is closed. */
import { isNodeId, type NodeId } from '../../core/identity/node-id.ts'
import { ClusterError } from '../../errors.ts'
import type {
  CancelTimer,
  Clock,
  Random,
  Signaling,
  SignalingHandlers,
  SignalingSession,
} from '../../ports.ts'
import {
  CloseCode,
  encodeClientFrame,
  fitsUtf8,
  isPermanent,
  MAX_SIGNALING_FRAME,
  MAX_SIGNAL_DATA,
  parseServerFrame,
  SIGNALING_VERSION,
  type ServerFrame,
} from './protocol.ts'
import { SocketAhead, type TakenSocket } from './ahead.ts'
import { attach, platformSocket, type CreateSignalingSocket, type SignalingSocket } from './socket.ts'

export interface SignalingClientOptions {
  /** `ws:` or `wss:` URLs, tried in turn. All must lead to the same rooms. */
  readonly urls: string | readonly string[]
  /** Sent with every `hello`; a function is called for each connection. Default: none. */
  readonly token?: string | (() => string | Promise<string>)
  /** Makes a socket. Default: the platform's WebSocket. */
  readonly createSocket?: CreateSignalingSocket
  readonly clock: Clock
  readonly random: Random
  /**
   * First pause before a new attempt, in ms: doubles with every round through the URLs up to `backoffMaxMs`, and
   * each pause is a random part of it (full jitter). Default 250.
   */
  readonly backoffMinMs?: number
  /** Default 10,000. */
  readonly backoffMaxMs?: number
  /** An attempt is given up after this long without a welcome, a connection without an answer. Default 5,000. */
  readonly connectTimeoutMs?: number
  /**
   * Calls a listener whenever the platform's network is back: a pause before the next attempt ends then, and a
   * connection is asked for an answer. Returns the way to stop. Default: never.
   */
  readonly watchOnline?: (listener: () => void) => () => void
  /**
   * Told of everything that is ignored: a bad frame of the server, or a signal that is too large to send.
   * Default: nobody is.
   */
  readonly onProtocolError?: (reason: string) => void
}

export const DEFAULT_BACKOFF_MIN_MS = 250
export const DEFAULT_BACKOFF_MAX_MS = 10_000
export const DEFAULT_CONNECT_TIMEOUT_MS = 5_000

/**
 * Signaling over WebSocket. `onDown` is called once for each outage (also for one at the start), with the reason of
 * its first failed attempt; no handler is called during `open()`.
 *
 * @throws ClusterError `invalid-option` if a URL is wrong, or there is no WebSocket
 */
export function createSignalingClient(options: SignalingClientOptions): Signaling {
  const urls = typeof options.urls === 'string' ? [options.urls] : [...options.urls]
  const problems =
    urls.length === 0 ? ['urls: empty, give at least one WebSocket URL'] : urls.flatMap(urlProblem)
  if (problems.length > 0) throw new ClusterError('invalid-option', problems.join('; '), { problems })
  const settings: Settings = {
    urls,
    token: options.token,
    createSocket: options.createSocket ?? platformSocket(),
    clock: options.clock,
    random: options.random,
    backoffMinMs: options.backoffMinMs ?? DEFAULT_BACKOFF_MIN_MS,
    backoffMaxMs: options.backoffMaxMs ?? DEFAULT_BACKOFF_MAX_MS,
    connectTimeoutMs: options.connectTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS,
    watchOnline: options.watchOnline ?? (() => () => undefined),
    onProtocolError: (reason) => options.onProtocolError?.(reason),
  }
  let ahead: SocketAhead | undefined
  return {
    prepare() {
      const mine = new SocketAhead(settings.createSocket, urls[0]!)
      ahead?.close()
      ahead = mine
      return () => mine.close()
    },
    open(room, nodeId, handlers) {
      const mine = ahead
      ahead = undefined
      return new Session(settings, room, nodeId, handlers, mine)
    },
  }
}

/** Signals kept until the first hello. */
const MAX_EARLY = 32
/** A connection that held this long was a good one: the next pause starts small again. */
const STABLE_MS = 5_000
/**
 * Refusals with `nodeTaken` that are not believed. Our own half-open socket may be what holds the nodeId, and the
 * welcome with its resume token may be what got lost. With default backoff they take 20 s, a server's ping period.
 */
const TAKEN_RETRIES = 8

interface Settings {
  readonly urls: readonly string[]
  readonly token: SignalingClientOptions['token']
  readonly createSocket: CreateSignalingSocket
  readonly clock: Clock
  readonly random: Random
  readonly backoffMinMs: number
  readonly backoffMaxMs: number
  readonly connectTimeoutMs: number
  readonly watchOnline: NonNullable<SignalingClientOptions['watchOnline']>
  onProtocolError(reason: string): void
}

class Session implements SignalingSession {
  private readonly settings: Settings
  private readonly room: string
  private readonly nodeId: NodeId
  private readonly handlers: SignalingHandlers
  /** For the first attempt. */
  private ahead: SocketAhead | undefined

  /** `up`: admitted. `closed`: by the owner, or refused for good; nothing happens any more. */
  private phase: 'connecting' | 'up' | 'waiting' | 'closed' = 'connecting'
  private socket: SignalingSocket | undefined
  private detach: (() => void) | undefined
  /** Counts attempts, so that a token that comes late is not used. */
  private attempt = 0
  private helloSent = false
  /** Whether an earlier connection of this session may still hold the nodeId at the server. */
  private heldBefore = false
  private resume: string | undefined
  private everUp = false
  private relays = false
  /** Signals that go out right behind the first hello. */
  private readonly early: string[] = []
  /** Why the server is about to close. */
  private lastError: { readonly code: number; readonly reason: string } | undefined
  private downTold = false
  private upSince = 0
  private failures = 0
  private takenRefusals = 0
  private urlIndex = 0
  /** The pause before the next attempt, or the patience of this one. */
  private cancelTimer: CancelTimer | undefined
  private cancelAnswerTimer: CancelTimer | undefined
  private readonly stopWatching: () => void

  constructor(
    settings: Settings,
    room: string,
    nodeId: NodeId,
    handlers: SignalingHandlers,
    ahead: SocketAhead | undefined,
  ) {
    this.settings = settings
    this.room = room
    this.nodeId = nodeId
    this.handlers = handlers
    this.ahead = ahead
    this.stopWatching = settings.watchOnline(() => this.online())
    this.connect()
  }

  send(to: NodeId, data: string): void {
    const early = !this.everUp && this.phase !== 'closed'
    if (this.phase !== 'up' && !early) return
    const text = encodeClientFrame({ t: 'signal', to, data })
    // The server would close a connection for this, and rightly so.
    if (!fitsUtf8(data, MAX_SIGNAL_DATA) || !fitsUtf8(text, MAX_SIGNALING_FRAME)) {
      this.settings.onProtocolError(`not sent: a signal of ${data.length} characters is too large`)
      return
    }
    // Offers to members known from an earlier life do not wait for the welcome: the server takes them in order.
    if (this.phase === 'up' || (this.phase === 'connecting' && this.helloSent)) this.socket?.send(text)
    else if (this.early.length < MAX_EARLY) this.early.push(text)
  }

  relay(to: NodeId, data: string): void {
    // A server that does not relay, or an older one, takes the frame amiss.
    if (this.phase !== 'up' || !this.relays) return
    if (data.length > MAX_SIGNAL_DATA) {
      this.settings.onProtocolError(`not relayed: ${data.length} characters are too many`)
      return
    }
    this.socket?.send(encodeClientFrame({ t: 'relay', to, data }))
  }

  askContacts(): void {
    if (this.phase !== 'up') return
    this.socket?.send(encodeClientFrame({ t: 'contacts' }))
    // A browser does not notice for minutes that a connection is dead; a question without any answer tells.
    this.cancelAnswerTimer ??= this.settings.clock.timer(this.settings.connectTimeoutMs, () => {
      this.lost('the signaling server does not answer')
    })
  }

  goodbye(): void {
    // What was sent before a close is transmitted first, so both can happen while a page goes away.
    if (this.phase !== 'closed' && this.helloSent) this.socket?.send(encodeClientFrame({ t: 'bye' }))
    this.close()
  }

  close(): void {
    this.phase = 'closed'
    this.ahead?.close()
    this.stopWatching()
    this.disconnect()
  }

  private get url(): string {
    return this.settings.urls[this.urlIndex % this.settings.urls.length] ?? ''
  }

  /** The network was away and is back: what waited need not wait, what looks alive may be dead. */
  private online(): void {
    if (this.phase === 'up') return this.askContacts()
    if (this.phase !== 'waiting') return
    this.cancelTimer?.()
    this.connect()
  }

  private connect(): void {
    const attempt = ++this.attempt
    this.phase = 'connecting'
    this.helloSent = false
    this.lastError = undefined
    this.cancelTimer = this.settings.clock.timer(this.settings.connectTimeoutMs, () => {
      this.lost(`${this.url} did not answer within ${this.settings.connectTimeoutMs} ms`)
    })
    const { token } = this.settings
    const isCurrent = (): boolean => this.phase === 'connecting' && this.attempt === attempt
    if (typeof token !== 'function') return this.dial(token)
    Promise.resolve()
      .then(() => token())
      .then(
        (value) => isCurrent() && this.dial(value),
        (error: unknown) => isCurrent() && this.lost(`the token function failed: ${messageOf(error)}`),
      )
  }

  private dial(token: string | undefined): void {
    let socket: SignalingSocket
    const taken = this.takeAhead()
    try {
      socket = taken?.socket ?? this.settings.createSocket(this.url)
    } catch (error) {
      const reason = `cannot connect to ${this.url}: ${messageOf(error)}`
      const { attempt } = this
      // Not at once: no handler may be called during `open()`.
      queueMicrotask(() => this.phase === 'connecting' && this.attempt === attempt && this.lost(reason))
      return
    }
    this.socket = socket
    this.detach = attach(socket, {
      onOpen: () => this.sayHello(socket, token),
      onData: (data) => this.receive(data),
      onClose: (code, reason) => this.closedByOther(code, reason),
    })
    if (taken?.isOpen) this.sayHello(socket, token)
  }

  private takeAhead(): TakenSocket | undefined {
    const taken = this.ahead?.take(this.url)
    this.ahead?.close()
    this.ahead = undefined
    return taken
  }

  private sayHello(socket: SignalingSocket, token: string | undefined): void {
    this.helloSent = true
    socket.send(
      encodeClientFrame({
        t: 'hello',
        v: SIGNALING_VERSION,
        room: this.room,
        node: this.nodeId,
        ...(this.resume === undefined ? {} : { resume: this.resume }),
        ...(token === undefined ? {} : { token }),
      }),
    )
    for (const text of this.early.splice(0)) socket.send(text)
  }

  private receive(data: unknown): void {
    this.cancelAnswerTimer?.()
    this.cancelAnswerTimer = undefined
    if (typeof data !== 'string') return this.settings.onProtocolError('ignored: a binary frame')
    const parsed = parseServerFrame(data)
    if (!parsed.ok) return this.settings.onProtocolError(`ignored: ${parsed.reason}`)
    const { frame } = parsed
    if (frame.t === 'error') {
      this.lastError = frame
    } else if (frame.t === 'goaway') {
      const pause =
        frame.retryMs + this.settings.random() * Math.max(frame.retryMs, this.settings.backoffMinMs)
      this.urlIndex++
      this.lost('the signaling server is about to stop', pause)
    } else if ((frame.t === 'welcome') === (this.phase === 'up')) {
      this.settings.onProtocolError(
        `ignored: ${frame.t} ${this.phase === 'up' ? 'a second time' : 'before welcome'}`,
      )
    } else {
      this.deliver(frame)
    }
  }

  private deliver(frame: Exclude<ServerFrame, { t: 'error' | 'goaway' }>): void {
    switch (frame.t) {
      case 'welcome':
        if (frame.v !== SIGNALING_VERSION) {
          this.refused(
            `${this.url} speaks version ${frame.v} of the signaling protocol, not ${SIGNALING_VERSION}`,
          )
          return
        }
        this.cancelTimer?.()
        this.phase = 'up'
        this.everUp = true
        this.resume = frame.resume
        this.downTold = false
        this.takenRefusals = 0
        this.upSince = this.settings.clock.now().mono
        this.relays = frame.relay !== undefined
        this.handlers.onUp(this.usable(frame.contacts), frame.relay, frame.quietMs)
        return
      case 'contacts':
        this.handlers.onContacts(this.usable(frame.contacts), frame.quietMs)
        return
      case 'signal':
        if (isNodeId(frame.from)) this.handlers.onMessage(frame.from, frame.data)
        else this.settings.onProtocolError('ignored: from: no nodeId')
        return
      case 'relay':
        if (isNodeId(frame.from)) this.handlers.onRelay(frame.from, frame.data)
        else this.settings.onProtocolError('ignored: from: no nodeId')
        return
      case 'relay-refused':
        if (isNodeId(frame.to)) this.handlers.onRelayRefused(frame.to, frame.reason)
        else this.settings.onProtocolError('ignored: to: no nodeId')
        return
      case 'gone':
        if (isNodeId(frame.node)) this.handlers.onGone(frame.node)
        else this.settings.onProtocolError('ignored: node: no nodeId')
    }
  }

  private usable(contacts: readonly string[]): NodeId[] {
    return contacts.filter((contact) => isNodeId(contact) && contact !== this.nodeId)
  }

  private closedByOther(closeCode: number, closeReason: string): void {
    const { code, reason } = this.lastError ?? { code: closeCode, reason: closeReason }
    const held = this.heldBefore && this.takenRefusals < TAKEN_RETRIES
    if (code === CloseCode.nodeTaken && held) this.takenRefusals++
    else if (isPermanent(code)) return this.refused(reason || `closed with ${code}`)
    const what = this.phase === 'up' ? 'closed the connection' : 'cannot be reached'
    this.lost(`${this.url} ${what}${reason ? `: ${reason}` : ''} (${code})`)
  }

  private refused(reason: string): void {
    this.close()
    this.handlers.onRefused(reason)
  }

  /** The attempt failed or the connection is gone: tries again after a pause. */
  private lost(reason: string, pauseMs?: number): void {
    if (this.phase === 'up') {
      if (this.settings.clock.now().mono - this.upSince >= STABLE_MS) this.failures = 0
    } else if (pauseMs === undefined) {
      this.urlIndex++
    }
    this.phase = 'waiting'
    this.disconnect()
    this.cancelTimer = this.settings.clock.timer(pauseMs ?? this.nextPause(), () => this.connect())
    if (this.downTold) return
    this.downTold = true
    this.handlers.onDown(reason)
  }

  private nextPause(): number {
    const { urls, backoffMinMs, backoffMaxMs, random } = this.settings
    const round = Math.floor(this.failures++ / urls.length)
    return random() * Math.min(backoffMaxMs, backoffMinMs * 2 ** Math.min(round, 30))
  }

  private disconnect(): void {
    this.heldBefore ||= this.helloSent
    this.cancelTimer?.()
    this.cancelTimer = undefined
    this.cancelAnswerTimer?.()
    this.cancelAnswerTimer = undefined
    this.detach?.()
    this.detach = undefined
    this.socket = undefined
  }
}

function urlProblem(url: string): string[] {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  if (parsed?.protocol === 'ws:' || parsed?.protocol === 'wss:') {
    return parsed.hash === '' ? [] : [`urls: ${JSON.stringify(url)} must have no fragment`]
  }
  return [`urls: ${JSON.stringify(url)} is no WebSocket URL, which begins with ws: or wss:`]
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
