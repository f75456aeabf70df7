import { ClusterError } from '../../errors.ts'
import { MAX_LINK_MESSAGE, type Fingerprints, type LinkEnd, type LinkHandlers } from '../../ports.ts'
import { fingerprintsOf } from './fingerprints.ts'
import { MAX_CANDIDATES, formatSignal, parseSignal, type PeerSignal } from './signal.ts'
import type { Peer, PeerClass, PeerError } from './simple-peer.ts'

/** What a link needs from the transport that made it. */
export interface LinkContext {
  readonly config: RTCConfiguration
  /** simple-peer, once loaded; until then the link waits for `load()`. */
  readonly loaded: PeerClass | undefined
  load(): Promise<PeerClass>
  onConstructed(connection: RTCPeerConnection): void
  /** The connection is closed. */
  onReleased(connection: RTCPeerConnection): void
}

/** A link whose other end stopped reading is closed when this many bytes wait for it. */
export const MAX_BUFFERED = 16 * 1024 * 1024

/**
 * One end of a WebRTC link.
 *
 * Bytes go through simple-peer's stream `write()`, not `send()`: above 64 KiB in the channel the stream keeps the
 * rest and goes on at `bufferedamountlow`, in order and without a timer, while `send()` hands everything to the
 * channel, which throws at 16 MiB. The stream's own queue is unbounded, so the bound is here.
 *
 * simple-peer runs on `setTimeout` in two places that matter: its offer, and its stream's first read. A hidden
 * tab's timers take up to a second, so both are taken out of the timers' hands (`offerAtOnce`, `read(0)`).
 */
export class WebRtcLink implements LinkEnd {
  readonly #initiator: boolean
  readonly #handlers: LinkHandlers
  readonly #context: LinkContext
  #state: 'opening' | 'open' | 'closed' = 'opening'
  #peer: Peer | undefined
  #fingerprints: Fingerprints | undefined
  #early: PeerSignal[] = []
  #described = false
  #candidates = 0

  constructor(initiator: boolean, handlers: LinkHandlers, context: LinkContext) {
    this.#initiator = initiator
    this.#handlers = handlers
    this.#context = context
    if (context.loaded) {
      this.#start(context.loaded)
      return
    }
    context
      .load()
      .then((peerClass) => this.#start(peerClass))
      .catch((error: unknown) => this.#end(describe(error)))
  }

  signal(data: string): void {
    if (this.#state === 'closed') return
    const signal = parseSignal(data)
    if (!signal || !this.#admits(signal)) return
    if (this.#peer) this.#pass(this.#peer, signal)
    else this.#early.push(signal)
  }

  send(bytes: Uint8Array): void {
    if (bytes.length > MAX_LINK_MESSAGE) {
      throw new ClusterError(
        'too-large',
        `A link carries messages of at most ${MAX_LINK_MESSAGE} bytes; this one has ${bytes.length}. Split it.`,
      )
    }
    // the stream below cannot carry an empty message, and it would mean nothing to anybody
    if (this.#state !== 'open' || !this.#peer || bytes.length === 0) return
    this.#peer.write(bytes)
    // not from inside `send`: the caller does not expect to be called back
    if (this.bufferedBytes > MAX_BUFFERED) {
      queueMicrotask(() => this.#end(`more than ${MAX_BUFFERED} bytes wait: the other end does not read`))
    }
  }

  close(): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#release()
  }

  /** Over-estimates by at most one message: the one that filled the channel is still counted as queued. */
  get bufferedBytes(): number {
    return this.#peer ? this.#peer.bufferSize + this.#peer.writableLength : 0
  }

  get fingerprints(): Fingerprints | undefined {
    return this.#fingerprints
  }

  #start(peerClass: PeerClass): void {
    if (this.#state === 'closed') return
    let connection: RTCPeerConnection | undefined
    const open = () => this.#opened(connection)
    const make = (config: RTCConfiguration): RTCPeerConnection => {
      connection = new RTCPeerConnection(config)
      this.#context.onConstructed(connection)
      this.#admitOneChannel(connection)
      return connection
    }
    const peer = new peerClass({
      initiator: this.#initiator,
      trickle: true,
      config: this.#context.config,
      channelConfig: { ordered: true },
      wrtc: {
        // `new` on a function that returns an object gives that object; an arrow function knows no `new`
        RTCPeerConnection: function construct(config: RTCConfiguration) {
          return make(config)
        },
        RTCSessionDescription,
        RTCIceCandidate,
      },
    })
    this.#peer = peer
    if (this.#initiator) offerAtOnce(peer)
    peer.on('signal', (data) => this.#tell(data))
    peer.on('connect', open)
    peer.on('data', (bytes) => {
      // simple-peer reads statistics before it says `connect`; the other end may have been faster
      open()
      this.#received(bytes)
    })
    peer.on('error', (error) => this.#end(reasonOf(error)))
    peer.on('close', () => {
      if (connection) this.#context.onReleased(connection)
      connection = undefined
      this.#end('closed by the other end')
    })
    // the stream is flowing from now on, and not one timer later
    peer.read(0)
    for (const signal of this.#early.splice(0)) this.#pass(peer, signal)
  }

  /** One description each, and a bounded number of candidates: a second description would end the link. */
  #admits(signal: PeerSignal): boolean {
    if ('candidate' in signal) return this.#candidates++ < MAX_CANDIDATES
    if (this.#described || signal.type !== (this.#initiator ? 'answer' : 'offer')) return false
    this.#described = true
    return true
  }

  #pass(peer: Peer, signal: PeerSignal): void {
    try {
      peer.signal(signal)
    } catch {
      // destroyed in this very turn, or a candidate that the browser cannot even construct: not a signal
    }
  }

  #tell(data: unknown): void {
    const text = this.#state === 'closed' ? undefined : formatSignal(data)
    if (text !== undefined) this.#handlers.onSignal(text)
  }

  #opened(connection: RTCPeerConnection | undefined): void {
    if (this.#state !== 'opening') return
    this.#state = 'open'
    this.#fingerprints = connection && fingerprintsOf(connection)
    this.#handlers.onOpen()
  }

  #received(bytes: Uint8Array): void {
    if (this.#state === 'closed') return
    if (bytes.length > MAX_LINK_MESSAGE) {
      this.#end(`the other end sent ${bytes.length} bytes in one message; ${MAX_LINK_MESSAGE} are allowed`)
      return
    }
    // a plain view instead of the Buffer that simple-peer brings along; the memory is this message's own.
    // `onOpen` may have closed the link
    if (this.#isOpen()) {
      this.#handlers.onMessage(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength))
    }
  }

  #isOpen(): boolean {
    return this.#state === 'open'
  }

  /** The answering end takes the first channel it is offered, if that is ordered and reliable, and no other. */
  #admitOneChannel(connection: RTCPeerConnection): void {
    let admitted = false
    // runs before simple-peer's own handler, which would replace its channel by each new one
    connection.addEventListener('datachannel', (event) => {
      const { channel } = event
      const reliable =
        channel.ordered && channel.maxRetransmits === null && channel.maxPacketLifeTime === null
      if (!admitted && reliable) {
        admitted = true
        return
      }
      event.stopImmediatePropagation()
      channel.close()
      if (!admitted) this.#end('the other end opened a channel that is not ordered and reliable')
    })
  }

  #end(reason: string): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#release()
    this.#handlers.onClose(reason)
  }

  #release(): void {
    this.#early.length = 0
    // simple-peer closes the connection in a microtask and says `close`; dropped here, so that it can be collected
    this.#peer?.destroy()
    this.#peer = undefined
  }
}

/**
 * simple-peer puts a `setTimeout` before its only offer, against a crash of old Chrome versions. Another version of
 * it that lacks `_createOffer` goes the slow way.
 */
function offerAtOnce(peer: Peer): void {
  if (typeof peer._createOffer !== 'function') return
  peer.negotiate = () => peer._createOffer?.()
}

/** simple-peer's error codes in words. */
const REASONS: Readonly<Record<string, string>> = {
  ERR_CONNECTION_FAILURE: 'the connection failed',
  ERR_ICE_CONNECTION_FAILURE: 'the connection failed',
  ERR_ICE_CONNECTION_CLOSED: 'the connection was closed',
  ERR_SET_REMOTE_DESCRIPTION: 'the other end sent a session description that the browser refuses',
  ERR_ADD_ICE_CANDIDATE: 'the other end sent an ICE candidate that the browser refuses',
  ERR_PC_CONSTRUCTOR: 'the browser refused to make an RTCPeerConnection',
}

function reasonOf(error: PeerError): string {
  // how a normal close by the other end looks from here
  if (/user-initiated abort/i.test(error.message)) return 'closed by the other end'
  const words = error.code === undefined ? undefined : REASONS[error.code]
  return words === undefined ? describe(error) : `${words} (${error.message})`
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
