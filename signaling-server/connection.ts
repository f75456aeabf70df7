/** One WebSocket from its opening to its end: what it may send, how fast, and how it is told that it may not. */
import { WebSocket } from 'ws'
import {
  CloseCode,
  encodeServerFrame,
  parseClientFrame,
  relayCost,
  type ClientFrame,
  type Parsed,
} from '../src/adapters/signaling/protocol.ts'
import type { AddressShare } from './addresses.ts'
import type { Authenticate } from './authenticate.ts'
import type { Counts } from './counts.ts'
import type { SignalingLimits } from './limits.ts'
import { NORMAL_CLOSURE, type ConnectionId, type RoomsInput } from './rooms.ts'
import { TokenBucket } from './token-bucket.ts'

/** Signals that may wait for the verdict on a hello. */
const MAX_EARLY = 32

/** What a connection needs of the server around it. */
export interface ConnectionContext {
  readonly id: ConnectionId
  readonly limits: SignalingLimits
  readonly share: AddressShare
  readonly address: string
  readonly origin: string | undefined
  readonly authenticate: Authenticate | undefined
  now(): number
  readonly counts: Counts
  /** Hands an input to the rooms and does what they say. */
  dispatch(input: RoomsInput): void
  log(line: string): void
}

export class Connection {
  private readonly socket: WebSocket
  private readonly context: ConnectionContext
  private readonly frames: TokenBucket
  private readonly bytes: TokenBucket
  private readonly relayed: TokenBucket
  private readonly early: ClientFrame[] = []
  private state: 'hello' | 'authenticating' | 'admitted' | 'ended' = 'hello'
  private deadline: NodeJS.Timeout | undefined
  private answered = true

  constructor(socket: WebSocket, context: ConnectionContext) {
    this.socket = socket
    this.context = context
    const { limits } = context
    this.frames = new TokenBucket(limits.framesPerConnection, context.now())
    this.bytes = new TokenBucket(limits.bytesPerConnection, context.now())
    this.relayed = new TokenBucket(limits.relayBytesPerConnection, context.now())
    this.deadline = setTimeout(() => {
      this.end(CloseCode.helloTimeout, `no hello within ${limits.helloMs} ms`)
    }, limits.helloMs)
    socket.on('message', (data: Buffer, isBinary: boolean) => this.receive(data, isBinary))
    socket.on('ping', () => this.charge(0))
    socket.on('pong', () => (this.answered = true))
    socket.on('close', () => this.release())
    // What ws has to say about broken frames was already answered by CourteousWebSocket; a close always follows.
    socket.on('error', () => undefined)
  }

  /** Sends one encoded frame, unless the other side has stopped reading: then the connection is terminated. */
  send(text: string): void {
    if (this.state === 'ended') return
    if (this.socket.bufferedAmount > this.context.limits.bufferedBytes) {
      this.context.log(`${this.context.address}: does not read, terminated`)
      this.terminate()
      return
    }
    const { counts } = this.context
    counts.framesSent++
    counts.bytesSent += Buffer.byteLength(text)
    this.socket.send(text)
  }

  refuseRelay(to: string, reason: string): void {
    this.context.counts.relayRefusals++
    this.send(encodeServerFrame({ t: 'relay-refused', to, reason }))
  }

  /** Whether so much waits for the other side to read that nothing should be relayed to it. */
  get isBehind(): boolean {
    return this.socket.bufferedAmount > this.context.limits.bufferedBytes / 2
  }

  /** Tells the other side why, then closes. Whatever still arrives is ignored. */
  end(code: number, reason: string): void {
    if (this.state === 'ended') return
    if (code !== NORMAL_CLOSURE && code !== CloseCode.goingAway) {
      this.context.log(`${this.context.address}: closed with ${code}: ${reason}`)
      this.send(encodeServerFrame({ t: 'error', code, reason }))
    }
    this.socket.close(code, clipReason(reason))
    this.release()
  }

  /** Ends without a word, at once. */
  terminate(): void {
    this.release()
    this.socket.terminate()
  }

  /** Pings; a connection that has not answered the last ping is terminated instead. */
  probe(): void {
    if (this.state === 'ended') return
    if (!this.answered) {
      this.context.log(`${this.context.address}: no answer to a ping, terminated`)
      this.terminate()
      return
    }
    this.answered = false
    this.socket.ping()
  }

  private receive(data: Buffer, isBinary: boolean): void {
    if (this.state === 'ended') return
    const { counts } = this.context
    counts.framesReceived++
    counts.bytesReceived += data.length
    const parsed = isBinary ? BINARY : parseClientFrame(data.toString('utf8'))
    if (parsed.ok && parsed.frame.t === 'relay' && this.state === 'admitted') {
      return this.relay(parsed.frame, data.length)
    }
    if (!this.charge(data.length)) return
    if (parsed.ok) this.take(parsed.frame)
    else this.end(CloseCode.malformed, parsed.reason)
  }

  /** What is over the rate is refused and counts like any other frame: whoever goes on for all that is ended. */
  private relay(frame: Extract<ClientFrame, { t: 'relay' }>, bytes: number): void {
    const over = this.overRelayRate(frame.data)
    if (over === undefined) this.context.dispatch({ type: 'frame', connection: this.context.id, frame })
    else if (this.charge(bytes)) this.refuseRelay(frame.to, over)
  }

  private take(frame: ClientFrame): void {
    if (this.state === 'authenticating') {
      if (frame.t === 'bye') return this.end(NORMAL_CLOSURE, 'bye')
      // Offers that ride with the hello wait for the verdict with it.
      // What is too much is lost, as anything may be that goes by signaling.
      if (frame.t === 'signal') {
        if (this.early.length < MAX_EARLY) this.early.push(frame)
        return
      }
      return this.end(CloseCode.malformed, `t: ${frame.t} before welcome`)
    }
    if (this.state === 'hello' && frame.t === 'hello') {
      clearTimeout(this.deadline)
      if (this.context.authenticate) {
        this.state = 'authenticating'
        void this.admitAfter(this.context.authenticate, frame)
        return
      }
      this.state = 'admitted'
    }
    this.context.dispatch({ type: 'frame', connection: this.context.id, frame })
  }

  private async admitAfter(
    authenticate: Authenticate,
    frame: Extract<ClientFrame, { t: 'hello' }>,
  ): Promise<void> {
    const { address, origin, limits, id } = this.context
    // The hook gets as long as the hello did; a hook that hangs must not keep sockets open.
    this.deadline = setTimeout(() => {
      this.end(CloseCode.unavailable, 'authentication took too long')
    }, limits.helloMs)
    let verdict: true | string
    try {
      verdict = await authenticate({
        token: frame.token,
        room: frame.room,
        node: frame.node,
        origin,
        address,
      })
    } catch (error) {
      this.context.log(`authenticate failed: ${error instanceof Error ? error.message : String(error)}`)
      this.end(CloseCode.unavailable, 'authentication is not available')
      return
    }
    if (this.state !== 'authenticating') return
    clearTimeout(this.deadline)
    if (verdict !== true) {
      const reason = String(verdict || 'not accepted').slice(0, MAX_HOOK_REASON)
      this.end(CloseCode.unauthorized, `token: ${reason}`)
      return
    }
    this.state = 'admitted'
    for (const each of [frame, ...this.early.splice(0)]) {
      this.context.dispatch({ type: 'frame', connection: id, frame: each })
    }
  }

  /** Pays for a piece of a relayed link. Otherwise the reason why not. */
  private overRelayRate(data: string): string | undefined {
    const { share, limits } = this.context
    const [cost, now] = [relayCost(data), this.context.now()]
    if (!this.relayed.take(cost, now)) {
      return `too many bytes: ${rateText(limits.relayBytesPerConnection)} relayed of one connection`
    }
    if (share.relayed.take(cost, now)) return undefined
    return `too many bytes: ${rateText(limits.relayBytesPerAddress)} relayed of one address`
  }

  /** Pays for one frame of `bytes` bytes, or ends the connection. The address pays only for what was allowed here. */
  private charge(bytes: number): boolean {
    if (this.state === 'ended') return false
    const { share, limits } = this.context
    const now = this.context.now()
    const over = !this.frames.take(1, now)
      ? `frames: ${rateText(limits.framesPerConnection)} on one connection`
      : !this.bytes.take(bytes, now)
        ? `bytes: ${rateText(limits.bytesPerConnection)} on one connection`
        : !share.frames.take(1, now)
          ? `frames: ${rateText(limits.framesPerAddress)} from one address`
          : !share.bytes.take(bytes, now)
            ? `bytes: ${rateText(limits.bytesPerAddress)} from one address`
            : undefined
    if (over === undefined) return true
    this.end(CloseCode.rateLimited, `too many ${over}`)
    return false
  }

  private release(): void {
    clearTimeout(this.deadline)
    if (this.state === 'ended') return
    this.state = 'ended'
    this.context.dispatch({ type: 'ended', connection: this.context.id })
  }
}

/**
 * ws closes by itself, with a bare code and before anybody is asked, on frames that are too large, not UTF-8 or no
 * WebSocket frames at all. This says first what is wrong, and closes with the code that the protocol has for it.
 */
export class CourteousWebSocket extends WebSocket {
  override close(code?: number, data?: string | Buffer): void {
    const reason = data === undefined && code !== undefined ? BROKEN_FRAME[code] : undefined
    if (reason === undefined || this.readyState !== WebSocket.OPEN) return super.close(code, data)
    this.send(encodeServerFrame({ t: 'error', code: CloseCode.malformed, reason }))
    super.close(CloseCode.malformed, reason)
  }
}

const BINARY: Parsed<ClientFrame> = { ok: false, reason: 'frame: binary, must be JSON text' }

/** What is told of a hook's reason, in characters; the protocol's own limit is higher. */
const MAX_HOOK_REASON = 500

const BROKEN_FRAME: Readonly<Record<number, string>> = {
  1002: 'frame: not a WebSocket frame',
  1007: 'frame: text is not UTF-8',
  1008: 'frame: too many fragments',
  1009: 'frame: too large',
}

const rateText = ({ burst, perSecond }: { burst: number; perSecond: number }): string =>
  `over ${burst} at once or ${perSecond} a second`

/** A close frame has room for 123 bytes of reason. */
function clipReason(reason: string): string {
  const bytes = Buffer.from(reason)
  if (bytes.length <= 123) return reason
  // A character cut in two decodes to U+FFFD.
  return `${bytes
    .subarray(0, 120)
    .toString('utf8')
    .replace(/\uFFFD+$/, '')}...`
}
