import { ClusterError } from '../../errors.ts'
import {
  LINK_LOW_WATER,
  MAX_LINK_MESSAGE,
  type CancelTimer,
  type Clock,
  type Fingerprints,
  type LinkHandlers,
  type RelayEnd,
} from '../../ports.ts'
import { MAX_SIGNAL_DATA, RELAY_FRAME_COST } from '../signaling/protocol.ts'
import { base64Length, decodeBase64, encodeBase64 } from './base64.ts'
import type { PacedSender, Pacer } from './pacer.ts'
import {
  Assembly,
  Backlog,
  FAREWELL_PIECE_BYTES,
  HEAD_BYTES,
  MAX_PIECES,
  MAX_PIECE_BYTES,
  PieceType,
  SEAL_BYTES,
  pieceLength,
} from './pieces.ts'
import { TAG_BYTES, createEphemeral, deriveSecrets, type Ephemeral, type Secrets } from './secrets.ts'
import { formatSignal, parseSignal, type RelaySignal } from './signal.ts'

/** Bytes that may wait, as on a link over WebRTC. */
export const MAX_BUFFERED = 16 * 1024 * 1024
/** Bytes that are enciphered at a time. */
const MAX_SEALING = 4 * MAX_PIECE_BYTES
/** Bytes that came and are not deciphered yet. They wait for WebCrypto only, so more is a flood. */
const MAX_SEALED = 4 * 1024 * 1024

/** A link that is closed here has this long, in ms, to get rid of what was sent on it, as one over WebRTC has. */
const CLOSING_MS = 1_000

/** What the ends of one process share. */
export interface RelayLinkContext {
  readonly subtle: SubtleCrypto
  readonly clock: Clock
  readonly pacer: Pacer
  carry(data: string): void
}

/**
 * One end of a link that the signaling server carries. The initiator offers an ephemeral key, the other end answers
 * with its own; the initiator is open with the answer, and says so by a first piece, with which the other end is open.
 *
 * Nonces are the numbers of the pieces, each direction has a key of its own, and a piece that is missing, repeated,
 * moved or changed ends the link. So does what the carrier could not carry: nothing is sent twice.
 */
export class RelayLink implements RelayEnd, PacedSender {
  readonly #initiator: boolean
  readonly #handlers: LinkHandlers
  readonly #context: RelayLinkContext
  readonly #own: Promise<Ephemeral>
  readonly #backlog = new Backlog()
  readonly #assembly = new Assembly()
  /** `closing`: closed here, and not all that was sent has left. */
  #state: 'opening' | 'open' | 'closing' | 'closed' = 'opening'
  /** A key came; no other is taken. */
  #met = false
  #secrets: Secrets | undefined
  #tag = ''
  #fingerprints: Fingerprints | undefined
  /** The initiator's first piece goes out even if it carries nothing. */
  #owesFirst = false
  #sent = 0
  #received = 0
  /** Bytes of pieces that are being enciphered, and of those that are being deciphered. */
  #sealing = 0
  #sealed = 0
  #lastSealed: Promise<void> = Promise.resolve()
  #lastOpened: Promise<void> = Promise.resolve()
  #cancelClosing: CancelTimer | undefined

  constructor(initiator: boolean, handlers: LinkHandlers, context: RelayLinkContext) {
    this.#initiator = initiator
    this.#handlers = handlers
    this.#context = context
    this.#own = createEphemeral(context.subtle)
    this.#own.then(
      ({ publicKey }) => initiator && this.#tell({ type: 'offer', publicKey }),
      (error: unknown) => this.#end(`no key could be made: ${String(error)}`),
    )
  }

  signal(data: string): void {
    if (this.#state !== 'opening' || this.#met) return
    const signal = parseSignal(data)
    if (signal?.type !== (this.#initiator ? 'answer' : 'offer')) return
    this.#met = true
    this.#meet(signal.publicKey).catch(() => this.#end('the other end sent a key that is none'))
  }

  send(bytes: Uint8Array): void {
    if (bytes.length > MAX_LINK_MESSAGE) {
      throw new ClusterError(
        'too-large',
        `A link carries messages of at most ${MAX_LINK_MESSAGE} bytes; this one has ${bytes.length}. Split it.`,
      )
    }
    if (this.#state !== 'open' || bytes.length === 0) return
    const isFirst = this.#backlog.bytes === 0
    this.#backlog.add(bytes)
    // Not at once: what is sent in one turn shares its pieces.
    if (isFirst) queueMicrotask(() => this.#state === 'open' && this.#context.pacer.enter(this))
    if (this.bufferedBytes > MAX_BUFFERED) {
      queueMicrotask(() => this.#end(`more than ${MAX_BUFFERED} bytes wait to be relayed`))
    }
  }

  receive(data: string): void {
    const secrets = this.#secrets
    if (this.#state === 'closed' || !secrets || !this.#isOwn(data)) return
    const piece = decodeBase64(data)
    if (!piece) return
    const [type, body] = [piece[TAG_BYTES], piece.subarray(TAG_BYTES + 1)]
    if (type === PieceType.farewell) {
      if (sameBytes(body, secrets.receive.farewell)) this.#afterOpened(() => this.#end(CLOSED_THERE, false))
      return
    }
    if (this.#state === 'closing') return
    if (type !== PieceType.bytes || piece.length < HEAD_BYTES + SEAL_BYTES) return
    const number = new DataView(body.buffer, body.byteOffset).getUint32(0)
    if (number !== this.#received) {
      const what = number < this.#received ? 'came twice' : 'was lost'
      this.#end(`a relayed piece ${what}: number ${number} came, ${this.#received} was awaited`)
      return
    }
    this.#received++
    this.#sealed += piece.length
    if (this.#sealed > MAX_SEALED) return this.#end(`more than ${MAX_SEALED} bytes came at once`)
    const opened = this.#open(secrets, piece)
    this.#afterOpened(async () => this.#take(await opened, piece.length))
  }

  close(): void {
    if (this.#state === 'closed' || this.#state === 'closing') return
    if (this.#waiting === 0) return this.#release(true)
    this.#state = 'closing'
    this.#context.pacer.enter(this)
    this.#cancelClosing = this.#context.clock.timer(CLOSING_MS, () => this.#release(true))
  }

  get bufferedBytes(): number {
    return this.#state === 'open' ? this.#waiting : 0
  }

  get fingerprints(): Fingerprints | undefined {
    return this.#fingerprints
  }

  nextCost(largest: number): number {
    if (this.#state === 'closed' || (this.#backlog.bytes === 0 && !this.#owesFirst)) return 0
    // Asked again when that is done.
    if (this.#sealing >= MAX_SEALING) return 0
    return pieceLength(Math.min(this.#backlog.bytes, pieceSize(largest))) + RELAY_FRAME_COST
  }

  sendNext(largest: number): void {
    if (!this.#secrets) return
    this.#owesFirst = false
    if (this.#sent >= MAX_PIECES)
      return this.#end('this relayed link has carried all that its key is good for')
    const bytes = this.#backlog.take(pieceSize(largest))
    this.#sealing += bytes.length
    const sealed = this.#seal(this.#secrets, this.#sent++, bytes)
    this.#lastSealed = this.#lastSealed.then(async () => {
      const piece = await sealed
      if (this.#state === 'closed') return
      const before = this.#waiting
      this.#sealing -= bytes.length
      if (this.#backlog.bytes > 0) this.#context.pacer.enter(this)
      this.#context.carry(encodeBase64(piece))
      const hasDrained = before > LINK_LOW_WATER && this.#waiting <= LINK_LOW_WATER
      if (hasDrained && this.#state === 'open') this.#handlers.onDrain()
      if (this.#waiting === 0 && this.#isClosing()) this.#release(true)
    })
    this.#lastSealed.catch((error: unknown) => this.#end(`a piece could not be enciphered: ${String(error)}`))
  }

  get #waiting(): number {
    return this.#backlog.bytes + this.#sealing
  }

  /** A handler that was just called may have changed it. */
  #isClosing(): boolean {
    return this.#state === 'closing'
  }

  async #meet(remote: Uint8Array): Promise<void> {
    const own = await this.#own
    // Its own key back is somebody's echo.
    if (sameBytes(own.publicKey, remote)) throw new Error('the own key')
    const secrets = await deriveSecrets(this.#context.subtle, own, remote, this.#initiator)
    if (this.#state === 'closed') return
    this.#secrets = secrets
    this.#tag = encodeBase64(secrets.tag)
    this.#fingerprints = { local: own.fingerprint, remote: secrets.remoteFingerprint }
    if (!this.#initiator) return this.#tell({ type: 'answer', publicKey: own.publicKey })
    this.#owesFirst = true
    this.#opened()
    queueMicrotask(() => this.#context.pacer.enter(this))
  }

  #isOwn(data: string): boolean {
    return data.length <= MAX_SIGNAL_DATA && data.startsWith(this.#tag)
  }

  async #seal({ send }: Secrets, number: number, bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
    const head = this.#head(number)
    const sealed = await this.#context.subtle.encrypt(gcm(number, head), send.key, bytes)
    const piece = new Uint8Array(HEAD_BYTES + sealed.byteLength)
    piece.set(head)
    piece.set(new Uint8Array(sealed), HEAD_BYTES)
    return piece
  }

  /** `undefined` for what the other end has not made so. */
  async #open({ receive }: Secrets, piece: Uint8Array): Promise<Uint8Array | undefined> {
    const head = piece.slice(0, HEAD_BYTES)
    const number = new DataView(head.buffer).getUint32(TAG_BYTES + 1)
    try {
      const params = gcm(number, head)
      return new Uint8Array(await this.#context.subtle.decrypt(params, receive.key, piece.slice(HEAD_BYTES)))
    } catch {
      return undefined
    }
  }

  #head(number: number): Uint8Array<ArrayBuffer> {
    const head = new Uint8Array(HEAD_BYTES)
    head.set(this.#secrets!.tag)
    head[TAG_BYTES] = PieceType.bytes
    new DataView(head.buffer).setUint32(TAG_BYTES + 1, number)
    return head
  }

  /** Pieces are deciphered side by side, and read one after the other. */
  #afterOpened(step: () => void | Promise<void>): void {
    this.#lastOpened = this.#lastOpened.then(step)
    this.#lastOpened.catch((error: unknown) => this.#end(`a handler of the link failed: ${String(error)}`))
  }

  #take(bytes: Uint8Array | undefined, sealedBytes: number): void {
    this.#sealed -= sealedBytes
    if (this.#state === 'closed' || this.#state === 'closing') return
    if (!bytes) return this.#end('a piece of the relayed link cannot be deciphered')
    this.#opened()
    const problem = this.#assembly.add(bytes, (message) => {
      if (this.#state === 'open') this.#handlers.onMessage(message)
      return this.#state === 'open'
    })
    if (problem !== undefined) this.#end(problem)
  }

  #opened(): void {
    if (this.#state !== 'opening') return
    this.#state = 'open'
    this.#handlers.onOpen()
  }

  #tell(signal: RelaySignal): void {
    if (this.#state === 'opening') this.#handlers.onSignal(formatSignal(signal))
  }

  #end(reason: string, farewell = true): void {
    if (this.#state === 'closed') return
    const isTold = this.#state !== 'closing'
    this.#release(farewell)
    if (isTold) this.#handlers.onClose(reason)
  }

  /** Tells the other end, without waiting for anything: the page may be on its way out. */
  #release(farewell: boolean): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#cancelClosing?.()
    this.#backlog.clear()
    this.#context.pacer.leave(this)
    const secrets = this.#secrets
    this.#secrets = undefined
    if (!secrets || !farewell) return
    const piece = new Uint8Array(FAREWELL_PIECE_BYTES)
    piece.set(secrets.tag)
    piece[TAG_BYTES] = PieceType.farewell
    piece.set(secrets.send.farewell, TAG_BYTES + 1)
    this.#context.carry(encodeBase64(piece))
  }
}

const CLOSED_THERE = 'closed by the other end'

/** Most bytes in a piece that costs no more than `largest`. */
function pieceSize(largest: number): number {
  const fits = Math.floor((largest - RELAY_FRAME_COST) / 4) * 3 - HEAD_BYTES - SEAL_BYTES
  return Math.max(1, Math.min(MAX_PIECE_BYTES, fits))
}

/** The smallest burst with which a link gets anywhere. */
export const MIN_BURST = base64Length(HEAD_BYTES + SEAL_BYTES + 256) + RELAY_FRAME_COST

/** A number is used once with a key, since each direction has its own. */
function gcm(number: number, head: Uint8Array<ArrayBuffer>): AesGcmParams {
  const iv = new Uint8Array(12)
  new DataView(iv.buffer).setUint32(8, number)
  return { name: 'AES-GCM', iv, additionalData: head }
}

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, i) => byte === b[i])
