/**
 * How arguments, results and states become bytes. Plain values go as JSON; whatever JSON cannot carry goes through
 * devalue, with the bytes of buffers and typed arrays beside its text. Neither makes code of data, so a page may forbid
 * `eval`. Bytes that arrive are hostile until they are read: they never crash the reader and never reach a prototype.
 *
 * First byte: 0 nothing, 1 JSON, 2 devalue, 3 devalue with attachments: length of the text, the text, then for each
 * attachment its type, its length, its bytes. Lengths are LEB128.
 */
import { stringify, unflatten } from 'devalue'
import { ClusterError } from '../errors.ts'
import { asciiBytes, asciiText } from './ascii.ts'
import { ATTACHMENT, flatProblem } from './flat.ts'
import { MAX_DEPTH, Refusal, VIEWS, isPlain, viewType } from './survey.ts'

/**
 * Turns values into bytes and back. All members of a cluster must use the same one. Replace it to carry values of your
 * own classes, or to share a format with other programs.
 */
export interface ValueCodec {
  /**
   * @param what the name of the value, for the error
   * @throws ClusterError `invalid-value` if it cannot be carried, with the path of what cannot
   */
  encode(value: unknown, what: string): Uint8Array
  /**
   * A new value each time, which shares nothing with `bytes`.
   * @throws ClusterError `invalid-value` for bytes that `encode` did not make; never anything else, whatever they are
   */
  decode(bytes: Uint8Array, what: string): unknown
}

const NOTHING = 0
const JSON_TEXT = 1
const FLAT_TEXT = 2
const FLAT_WITH_BYTES = 3
/** In `VIEWS`' numbering, an ArrayBuffer itself. */
const BUFFER = 255

/** What to do about a value that is refused: the same words for arguments, results and states. */
const CARRIED =
  'Give plain data: objects, arrays, texts, numbers, booleans, null, undefined, bigints, dates, maps, sets, buffers and typed arrays.'

/**
 * The usual codec. Carries plain objects and arrays, texts, numbers (NaN, -0 and infinities too), booleans, null,
 * undefined, bigint, Date, Map, Set, ArrayBuffer and typed arrays; what is met twice is met twice at the other side too,
 * circles included. A typed array brings its own bytes, not the rest of its buffer. Functions, symbols, promises, DOM
 * nodes and instances of classes are refused.
 */
export const valueCodec: ValueCodec = {
  encode(value, what) {
    if (value === undefined) return Uint8Array.of(NOTHING)
    try {
      if (isPlain(value, what)) return tagged(JSON_TEXT, JSON.stringify(value))
      return encodeFlat(value)
    } catch (cause) {
      if (cause instanceof Refusal) throw new ClusterError('invalid-value', `${cause.message}. ${CARRIED}`)
      // a getter or a proxy that throws
      throw new ClusterError('invalid-value', `${what} cannot be read: ${messageOf(cause)}`, { cause })
    }
  },
  decode(bytes, what) {
    try {
      return decodeTagged(bytes)
    } catch (cause) {
      throw new ClusterError('invalid-value', `${what} cannot be decoded: ${messageOf(cause)}`, { cause })
    }
  },
}

function decodeTagged(bytes: Uint8Array): unknown {
  switch (bytes[0]) {
    case NOTHING:
      if (bytes.length > 1) throw new Error('there are bytes behind nothing')
      return undefined
    case JSON_TEXT:
      return decodeJson(asciiText(bytes, 1) ?? utf8.decode(bytes.subarray(1)))
    case FLAT_TEXT:
      return decodeFlat(utf8.decode(bytes.subarray(1)), [])
    case FLAT_WITH_BYTES: {
      const reader = new Reader(bytes.subarray(1))
      const text = utf8.decode(reader.take(reader.length()))
      const attachments: unknown[] = []
      while (!reader.done) attachments.push(readAttachment(reader))
      return decodeFlat(text, attachments)
    }
    default:
      throw new Error('its first byte is unknown')
  }
}

function decodeJson(text: string): unknown {
  const value: unknown =
    text.includes('__proto__') || text.includes('\\u') ? JSON.parse(text, refuseProto) : JSON.parse(text)
  // each level takes two characters at least
  if (text.length >= 2 * MAX_DEPTH) checkDepth(value, 0)
  return value
}

function checkDepth(value: unknown, depth: number): void {
  if (typeof value !== 'object' || value === null) return
  if (depth >= MAX_DEPTH) throw new Error(`it is nested deeper than ${MAX_DEPTH} levels`)
  if (Array.isArray(value)) for (const item of value) checkDepth(item, depth + 1)
  else for (const item of Object.values(value)) checkDepth(item, depth + 1)
}

function refuseProto(key: string, value: unknown): unknown {
  if (key === '__proto__') throw new Error('it has the key __proto__')
  return value
}

function encodeFlat(value: unknown): Uint8Array {
  const attachments: (ArrayBuffer | ArrayBufferView)[] = []
  const attach = (item: unknown): number => {
    if (!(item instanceof ArrayBuffer) && !ArrayBuffer.isView(item)) return 0
    return attachments.push(item)
  }
  const text = stringify(value, { [ATTACHMENT]: attach })
  if (attachments.length === 0) return tagged(FLAT_TEXT, text)
  const textBytes = encoder.encode(text)
  const parts = [Uint8Array.of(FLAT_WITH_BYTES), leb128(textBytes.length), textBytes]
  for (const item of attachments) {
    const bytes = bytesOf(item)
    parts.push(Uint8Array.of(ArrayBuffer.isView(item) ? viewType(item) : BUFFER), leb128(bytes.length), bytes)
  }
  return concat(parts)
}

function decodeFlat(text: string, attachments: readonly unknown[]): unknown {
  const flat: unknown = JSON.parse(text)
  const problem = flatProblem(flat)
  if (problem !== undefined) throw new Error(problem)
  const detach = (place: unknown): unknown => {
    const item = typeof place === 'number' ? attachments[place - 1] : undefined
    if (item === undefined) throw new Error('an attachment is missing')
    return item
  }
  return unflatten(flat as number | unknown[], { [ATTACHMENT]: detach })
}

function readAttachment(reader: Reader): unknown {
  const type = reader.byte()
  const { buffer } = reader.take(reader.length()).slice()
  if (type === BUFFER) return buffer
  const View: (new (buffer: ArrayBuffer) => ArrayBufferView) | undefined = VIEWS[type]
  if (!View) throw new Error('a typed array is of an unknown type')
  // throws where the length is no multiple of an element's
  return new View(buffer)
}

/** Reads a message from its front. Throws where it ends too early. */
class Reader {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get done(): boolean {
    return this.#at === this.#bytes.length
  }

  byte(): number {
    return this.take(1)[0]!
  }

  take(length: number): Uint8Array {
    const end = this.#at + length
    if (end > this.#bytes.length) throw new Error('it ends too early')
    const taken = this.#bytes.subarray(this.#at, end)
    this.#at = end
    return taken
  }

  length(): number {
    let value = 0
    for (let scale = 1; scale < 2 ** 32; scale *= 128) {
      const byte = this.byte()
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return value
    }
    throw new Error('a length is too long')
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const encoder = new TextEncoder()

/** Short texts are written here first: making a view of the right length at once would take measuring them before. */
const scratch = new Uint8Array(3 * 1_024)

/** A text behind its first byte. */
function tagged(tag: number, text: string): Uint8Array {
  const plain = asciiBytes(text, 1)
  if (plain) {
    plain[0] = tag
    return plain
  }
  const isShort = 3 * text.length <= scratch.length
  const written = isShort
    ? scratch.subarray(0, encoder.encodeInto(text, scratch).written)
    : encoder.encode(text)
  const bytes = new Uint8Array(1 + written.length)
  bytes[0] = tag
  bytes.set(written, 1)
  return bytes
}

function bytesOf(item: ArrayBuffer | ArrayBufferView): Uint8Array {
  return ArrayBuffer.isView(item)
    ? new Uint8Array(item.buffer, item.byteOffset, item.byteLength)
    : new Uint8Array(item)
}

function leb128(value: number): Uint8Array {
  const bytes: number[] = []
  let rest = value
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80)
  bytes.push(rest)
  return Uint8Array.from(bytes)
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))
