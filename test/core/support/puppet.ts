/** A member played by a test: has real links to real cores and says on them whatever the test wants. */
import type { Input, LinkId, Output } from '../../../src/core/events.ts'
import { standInPublicKey, standInSignature } from '../../../src/adapters/memory/stand-in-keys.ts'
import type { Encounter } from '../../../src/core/gossip/proof.ts'
import { proofBytes } from '../../../src/core/gossip/proof.ts'
import type { NodeId } from '../../../src/core/identity/node-id.ts'
import { parseNodeId } from '../../../src/core/identity/node-id.ts'
import { decodeSignal, encodeSignal } from '../../../src/core/overlay/signal-envelope.ts'
import { BUCKETS } from '../../../src/core/membership/content-hash.ts'
import { decodeMessage, encodeFrame, encodeMessage } from '../../../src/core/wire/codec.ts'
import type { Frame, OriginRange } from '../../../src/core/wire/frames.ts'
import { NONCE_BYTES } from '../../../src/core/wire/frames.ts'
import { nodeIdOf, wholeOf } from './names.ts'
import type { Participant, Room } from './room.ts'
import { base32 } from './names.ts'

export type Hello = Extract<Frame, { kind: 'hello' }>

export class Puppet implements Participant {
  readonly nodeId: NodeId
  /** Frames that came in on the present link. */
  received: Frame[] = []
  receivedBytes = 0
  /** Why the present link ended; undefined while it is there. */
  ended: string | undefined
  isOpen = false
  keepsFrames = true
  readonly #room: Room
  #linkId: LinkId = 0
  /** Its newest hello. */
  #said: Hello | undefined
  #session = ''
  #sequence = 0
  #target: NodeId = ''
  #sessions = 0

  constructor(room: Room, nodeId: NodeId = nodeIdOf(900)) {
    this.#room = room
    this.nodeId = nodeId
  }

  /** Dials `target` and waits for the channel. */
  dial(target: NodeId): void {
    this.#sequence = 0
    this.#target = target
    this.#session = base32(++this.#sessions, 8)
    this.received = []
    this.ended = undefined
    this.isOpen = false
    this.#room.execute(this, [
      { type: 'link-open', relay: false, linkId: ++this.#linkId, nodeId: target, initiator: true },
    ])
    this.#room.until(() => this.isOpen || this.ended !== undefined, 'the puppet has a channel')
  }

  /** Dials `target` and has the handshake done. */
  enter(target: NodeId, hello: Partial<Hello> = {}): void {
    this.introduce(target, hello)
    this.say({ kind: 'accept', version: 1 })
    this.#room.until(
      () => this.heard('accept').length > 0 || this.ended !== undefined,
      'the puppet is let in',
    )
  }

  /** Dials `target`, says hello and proves who it is. */
  introduce(target: NodeId, hello: Partial<Hello> = {}): void {
    this.dial(target)
    this.say(this.hello(hello))
    this.#room.until(
      () => this.heard('hello').length > 0 || this.ended !== undefined,
      'the puppet hears a hello',
    )
    this.prove()
  }

  /** Says the right proof, or one for another link. */
  prove(patch: Partial<Encounter> = {}): void {
    const [hello] = this.heard('hello')
    if (!hello || !this.#said) return
    const fingerprints = this.#room.fingerprints(this.nodeId, hello.nodeId)
    const encounter = { cluster: 'test', own: this.#said, other: hello, fingerprints, ...patch }
    const signature = standInSignature(this.publicKey, proofBytes(encounter, 'own'))
    this.say({ kind: 'proof', signature })
  }

  get publicKey(): Uint8Array {
    return standInPublicKey(parseNodeId(this.nodeId)!.authority)
  }

  hello(patch: Partial<Hello> = {}): Hello {
    const hello: Hello = {
      kind: 'hello',
      minVersion: 1,
      maxVersion: 1,
      cluster: 'test',
      nodeId: this.nodeId,
      nonce: Uint8Array.from({ length: NONCE_BYTES }, () => this.#linkId % 256),
      publicKey: this.publicKey,
      own: this.own(),
      buckets: new Uint32Array(BUCKETS),
      ...patch,
    }
    this.#said = hello
    return hello
  }

  own(): OriginRange {
    return wholeOf(this.nodeId)
  }

  say(...frames: readonly Frame[]): void {
    this.sayBytes(encodeMessage(frames.map((frame) => encodeFrame(frame))))
  }

  sayBytes(bytes: Uint8Array): void {
    if (this.ended !== undefined) return
    this.#room.execute(this, [{ type: 'link-send', lane: 'control', linkId: this.#linkId, bytes }])
  }

  hangUp(): void {
    this.#room.execute(this, [{ type: 'link-close', linkId: this.#linkId, reason: 'hung up' }])
    this.ended = 'hung up'
  }

  heard<K extends Frame['kind']>(kind: K): Extract<Frame, { kind: K }>[] {
    return this.received.filter((frame): frame is Extract<Frame, { kind: K }> => frame.kind === kind)
  }

  handle(input: Input): Output[] {
    switch (input.type) {
      case 'link-signal': {
        const data = encodeSignal({ session: this.#session, sequence: this.#sequence++, data: input.data })
        return [{ type: 'signaling-send', to: this.#target, data }]
      }
      case 'signaling-message': {
        const envelope = decodeSignal(input.data)
        if (envelope?.session !== this.#session) return []
        if (envelope.ended !== undefined) this.ended = envelope.ended
        const { data } = envelope
        return data === undefined ? [] : [{ type: 'link-signal', linkId: this.#linkId, data }]
      }
      case 'link-opened':
        this.isOpen = true
        return []
      case 'link-closed':
        if (input.linkId === this.#linkId) this.ended = input.reason
        return []
      case 'link-message':
        this.#hear(input.bytes)
        return []
      default:
        return []
    }
  }

  nextDeadline(): undefined {
    return undefined
  }

  #hear(bytes: Uint8Array): void {
    this.receivedBytes += bytes.length
    if (!this.keepsFrames) return
    const decoded = decodeMessage(bytes)
    if (!decoded.ok) throw new Error(`the core sent a malformed message: ${decoded.reason}`)
    for (const { frame } of decoded.envelopes) this.received.push(frame)
  }
}
