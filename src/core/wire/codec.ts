/**
 * Bytes of frames. One message on a link is a sequence of frames, each with its length before it:
 *
 *     message = { varint length, frame }+          at most MAX_MESSAGE bytes
 *     frame   = byte version, byte kind, byte flags, [ route ], body
 *     route   = text origin, text destination, byte ttl, byte count, { word short }*     present if flags & 1
 *
 * `decodeMessage` is total: it never throws, it names what is wrong, and gives nothing of a message with a fault.
 */
import { isNodeId } from '../identity/node-id.ts'
import { readBody, WireLimits } from './decode.ts'
import { writeBody } from './encode.ts'
import type { Envelope, Frame, RouteHeader } from './frames.ts'
import { WIRE_MAX, WIRE_MIN } from './frames.ts'
import { KIND_OF, kindName } from './kinds.ts'
import { Reader } from './reader.ts'
import { Slab } from './slab.ts'
import { Writer } from './writer.ts'

/** Largest message on a link, in bytes. */
export const MAX_MESSAGE = 64 * 1024
/** Machines cut what they send so that a frame stays below this: 16 KiB of a user's message, and its headers. */
export const MAX_FRAME = 17 * 1024
/** Highest number of links a routed frame may cross. */
export const MAX_TTL = WireLimits.hops

const ROUTED = 1

export type Decoded =
  | { readonly ok: true; readonly envelopes: readonly Envelope[] }
  | { readonly ok: false; readonly reason: string }

type SegmentFrame = Extract<Frame, { kind: 'segment' }>

const NO_BODY = new Uint8Array(0)
const scratch = new Writer(1024)
/** Where messages lie until their links have them. */
const slab = new Slab()
/** The length of a frame takes no more. */
const LENGTH_BYTES = 4
/** From here on a frame is written into memory of its own: copying it would take longer. */
const LARGE = 4 * 1024
/** More than all headers take. */
const HEADERS = 1024

/** The bytes of one frame. */
export function encodeFrame(frame: Frame, route?: RouteHeader): Uint8Array {
  writeFrame(scratch.reset(), frame, route)
  return scratch.take()
}

/**
 * The message of one frame. The same one for many links is encoded once; messages put one behind the other are a
 * message as well.
 */
export function encodeAlone(frame: Frame, route?: RouteHeader): Uint8Array {
  if (frame.kind === 'segment' && frame.headroom !== undefined) {
    const message = encodeAround(frame, frame.headroom, route)
    if (message) return message
  }
  const writer = writerFor(frame.kind === 'segment' ? frame.body.length : 0)
  writeFrame(writer.skip(LENGTH_BYTES), frame, route)
  return messageIn(writer)
}

/** The message of a large segment without a copy of its body: what goes before it is written into its headroom. */
function encodeAround(frame: SegmentFrame, headroom: number, route?: RouteHeader): Uint8Array | undefined {
  const { body } = frame
  writeFrame(scratch.reset().skip(LENGTH_BYTES), { ...frame, body: NO_BODY }, route)
  const head = scratch.shorten(1).varint(body.length)
  const start = head.lengthInto(LENGTH_BYTES, body.length)
  const size = head.length - start
  if (size > headroom) return undefined
  const message = new Uint8Array(body.buffer, body.byteOffset - size, size + body.length)
  head.copyTo(message, start)
  return message
}

/** The message of a routed frame on its next link: only its header is written anew. */
export function encodeForward({ frame, rest }: Envelope, route: RouteHeader): Uint8Array {
  const writer = writerFor(rest!.length).skip(LENGTH_BYTES)
  writer.byte(WIRE_MAX).byte(KIND_OF[frame.kind]).byte(ROUTED)
  writeRoute(writer, route)
  writer.raw(rest!)
  return messageIn(writer)
}

/** Puts messages one behind the other. */
export function joinMessages(messages: readonly Uint8Array[]): Uint8Array {
  if (messages.length === 1) return messages[0]!
  scratch.reset()
  for (const message of messages) scratch.raw(message)
  return slab.keep(scratch)
}

/** Joins encoded frames into one message. */
export function encodeMessage(frames: readonly Uint8Array[]): Uint8Array {
  scratch.reset()
  for (const frame of frames) scratch.blob(frame)
  return scratch.take()
}

export function decodeMessage(bytes: Uint8Array): Decoded {
  return decodeFrames(bytes, MAX_MESSAGE)
}

/** Frames that did not come off a link, with a limit of their own. */
export function decodeFrames(bytes: Uint8Array, maxBytes: number): Decoded {
  if (bytes.length === 0) return { ok: false, reason: 'message is empty' }
  if (bytes.length > maxBytes) {
    return { ok: false, reason: `message has ${bytes.length} bytes, over its limit of ${maxBytes}` }
  }
  const reader = new Reader(bytes)
  let envelopes: Envelope[] | undefined
  while (!reader.done) {
    const length = reader.varint('frame length', MAX_MESSAGE)
    if (!reader.problem && length > reader.remaining) reader.fail('frame is cut short')
    if (reader.problem) return { ok: false, reason: reader.problem }
    const end = reader.narrow(length)
    const envelope = readFrame(reader, length)
    if (!envelope) return { ok: false, reason: reader.problem ?? 'frame is invalid' }
    reader.widen(end)
    // Most messages are one frame: an array that is made for it takes a tenth of the room of one that grows.
    if (envelopes) envelopes.push(envelope)
    else envelopes = [envelope]
  }
  return { ok: true, envelopes: envelopes ?? [] }
}

function readFrame(reader: Reader, size: number): Envelope | undefined {
  const version = reader.byte('wire version')
  const kind = kindName(reader.byte('frame kind'))
  const flags = reader.byte('frame flags')
  if (reader.problem) return undefined
  if (!kind) return (reader.fail('frame kind is unknown'), undefined)
  const speaksOther = version < WIRE_MIN || version > WIRE_MAX
  if (speaksOther && kind !== 'hello' && kind !== 'refuse') {
    return (
      reader.fail(`wire version ${version} is not spoken here (${WIRE_MIN} to ${WIRE_MAX} are)`),
      undefined
    )
  }
  if (flags > ROUTED) return (reader.fail(`frame flags ${flags} are unknown`), undefined)
  const route = flags & ROUTED ? readRoute(reader) : undefined
  const rest = route && reader.ahead()
  const frame = readBody(reader, kind)
  if (!reader.problem && !reader.done) reader.fail(`${kind} has ${reader.remaining} bytes too many`)
  return reader.problem || !frame ? undefined : route ? { route, rest, frame, size } : { frame, size }
}

function readRoute(reader: Reader): RouteHeader {
  const origin = reader.text('route origin', 64)
  const destination = reader.text('route destination', 64)
  const ttl = reader.byte('route ttl')
  if (!reader.problem && !(isNodeId(origin) && isNodeId(destination))) reader.fail('route names no nodeId')
  if (ttl > MAX_TTL) reader.fail(`route ttl is ${ttl}, over its limit of ${MAX_TTL}`)
  const count = reader.byte('route trail')
  if (count > MAX_TTL) reader.fail(`route trail has ${count} members, over its limit of ${MAX_TTL}`)
  const trail: number[] = []
  for (let i = 0; i < count && !reader.problem; i++) trail.push(reader.word('route trail'))
  return { origin, destination, ttl, trail }
}

const writerFor = (bytes: number): Writer => (bytes < LARGE ? scratch.reset() : new Writer(bytes + HEADERS))

function messageIn(writer: Writer): Uint8Array {
  const start = writer.lengthInto(LENGTH_BYTES)
  return writer === scratch ? slab.keep(writer, start) : writer.give(start)
}

function writeFrame(writer: Writer, frame: Frame, route: RouteHeader | undefined): void {
  writer
    .byte(WIRE_MAX)
    .byte(KIND_OF[frame.kind])
    .byte(route ? ROUTED : 0)
  if (route) writeRoute(writer, route)
  writeBody(writer, frame)
}

function writeRoute(writer: Writer, { origin, destination, ttl, trail }: RouteHeader): void {
  writer.text(origin).text(destination).byte(ttl).byte(trail.length)
  for (const short of trail) writer.word(short)
}
