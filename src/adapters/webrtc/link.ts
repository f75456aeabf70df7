import { ClusterError } from '../../errors.ts'
import {
  LINK_LOW_WATER,
  MAX_LINK_MESSAGE,
  type Fingerprints,
  type LinkEnd,
  type LinkHandlers,
} from '../../ports.ts'
import { FingerprintsSeen } from './fingerprints.ts'
import { MAX_CANDIDATES, formatSignal, parseSignal, toPeerSignal, type PeerSignal } from './signal.ts'
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

/** A link whose other end stopped reading is closed when this many bytes wait for it. Chromium takes no more. */
export const MAX_BUFFERED = 16 * 1024 * 1024
/** A link that is closed here has this long, in ms, to get rid of what was sent on it. */
export const CLOSING_MS = 3_000

/**
 * One end of a WebRTC link.
 *
 * simple-peer makes the connection and knows when it ends. Bytes do not go through it: its stream copies each message
 * into a Buffer and runs it through two state machines, which takes several times as long as the channel itself. So
 * the link puts itself before simple-peer on the one data channel of the connection that it constructs (`#use`), sends
 * there, and lets no `message` event go any further. Whoever sends keeps `bufferedBytes` low, see `onDrain`; the bound
 * here is for an end that stopped reading.
 *
 * Both ends make the same channel, with an id agreed on beforehand (`CHANNEL`). Of one that is opened in band, Chromium
 * loses what the answering end says first, about once in 14 links under load, though `open` was told at both ends.
 *
 * The link is open as soon as its channel is. simple-peer's `connect` comes later, after it has read statistics.
 *
 * simple-peer puts a `setTimeout` before its only offer. A hidden tab's timers take up to a second, so the offer is
 * taken out of their hands (`offerAtOnce`).
 */
export class WebRtcLink implements LinkEnd {
  readonly #initiator: boolean
  readonly #handlers: LinkHandlers
  readonly #context: LinkContext
  #state: 'opening' | 'open' | 'closed' = 'opening'
  #peer: Peer | undefined
  #channel: RTCDataChannel | undefined
  #closing: ReturnType<typeof setTimeout> | undefined
  readonly #fingerprints = new FingerprintsSeen()
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
    // an empty message would mean nothing to anybody
    if (this.#state !== 'open' || !this.#channel || bytes.length === 0) return
    try {
      if (this.#channel.bufferedAmount + bytes.length > MAX_BUFFERED) throw new Error(TOO_MUCH)
      // a view of shared memory is the one thing that a channel does not take, and the driver has none
      this.#channel.send(bytes as Uint8Array<ArrayBuffer>)
    } catch (error) {
      // not from inside `send`: the caller does not expect to be called back
      queueMicrotask(() => this.#end(describe(error)))
    }
  }

  /**
   * A channel that is closed sends what it has first, and only then tells the other end; a connection that is closed
   * drops it. So the channel is closed, and simple-peer ends the connection when that is done, or time is up.
   */
  close(): void {
    if (this.#state === 'closed') return
    const channel = this.#state === 'open' ? this.#channel : undefined
    this.#state = 'closed'
    if (!channel) return this.#release()
    this.#channel = undefined
    this.#closing = setTimeout(() => this.#release(), CLOSING_MS)
    channel.close()
  }

  get bufferedBytes(): number {
    return this.#channel?.bufferedAmount ?? 0
  }

  get fingerprints(): Fingerprints | undefined {
    return this.#fingerprints.both
  }

  #start(peerClass: PeerClass): void {
    if (this.#state === 'closed') return
    let connection: RTCPeerConnection | undefined
    const make = (config: RTCConfiguration): RTCPeerConnection => {
      connection = new RTCPeerConnection(config)
      this.#context.onConstructed(connection)
      this.#catchOwnChannel(connection)
      refuseOtherChannels(connection)
      return connection
    }
    const peer = new peerClass({
      initiator: this.#initiator,
      trickle: true,
      config: this.#context.config,
      channelConfig: CHANNEL,
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
    peer.on('error', (error) => this.#end(reasonOf(error)))
    peer.on('close', () => {
      clearTimeout(this.#closing)
      if (connection) this.#context.onReleased(connection)
      connection = undefined
      this.#end('closed by the other end')
    })
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
    this.#fingerprints.heard(signal)
    try {
      peer.signal(signal)
    } catch {
      // destroyed in this very turn, or a candidate that the browser cannot even construct: not a signal
    }
  }

  #tell(data: unknown): void {
    const signal = this.#state === 'closed' ? undefined : toPeerSignal(data)
    if (!signal) return
    this.#fingerprints.told(signal)
    this.#handlers.onSignal(formatSignal(signal))
  }

  /** The channel that simple-peer makes in its constructor. */
  #catchOwnChannel(connection: RTCPeerConnection): void {
    const create = connection.createDataChannel.bind(connection)
    connection.createDataChannel = (label, init) => {
      const channel = create(label, init)
      this.#use(channel)
      return channel
    }
  }

  /** Before simple-peer sets its own handlers, so that these come first. */
  #use(channel: RTCDataChannel): void {
    this.#channel = channel
    channel.addEventListener('open', () => this.#opened(channel))
    channel.addEventListener('message', (event) => {
      event.stopImmediatePropagation()
      // Chromium hands out messages before it says `open` where they came together
      if (this.#state === 'opening') this.#opened(channel)
      this.#received(event.data)
    })
    channel.addEventListener('bufferedamountlow', () => {
      if (this.#state === 'open') this.#handlers.onDrain()
    })
  }

  #opened(channel: RTCDataChannel): void {
    if (this.#state !== 'opening') return
    this.#state = 'open'
    // here, since simple-peer sets both for its own stream as it takes the channel
    channel.binaryType = 'arraybuffer'
    channel.bufferedAmountLowThreshold = LINK_LOW_WATER
    this.#handlers.onOpen()
  }

  #received(data: unknown): void {
    // `onOpen` may have closed the link
    if (this.#state !== 'open') return
    if (!(data instanceof ArrayBuffer)) return this.#end('the other end sent something that is not bytes')
    if (data.byteLength > MAX_LINK_MESSAGE) {
      this.#end(`the other end sent ${data.byteLength} bytes in one message; ${MAX_LINK_MESSAGE} are allowed`)
      return
    }
    if (data.byteLength > 0) this.#handlers.onMessage(new Uint8Array(data))
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
    this.#channel = undefined
  }
}

/** PROTOCOL.md, "Layers". Ordered and reliable, as is the default. */
const CHANNEL: RTCDataChannelInit = { negotiated: true, id: 0 }

const TOO_MUCH = `more than ${MAX_BUFFERED} bytes wait: the other end does not read`

/** What the other end opens in band is closed unseen: simple-peer would not take it either, and nobody would. */
function refuseOtherChannels(connection: RTCPeerConnection): void {
  connection.addEventListener('datachannel', ({ channel }) => channel.close())
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
