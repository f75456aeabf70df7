/**
 * The signaling protocol, version 1: JSON text frames over one WebSocket. Shared by the client adapter and the
 * server; both check everything they read with the total parsers below.
 */

export const SIGNALING_VERSION = 1
/** Largest frame a server accepts, in bytes of UTF-8. */
export const MAX_SIGNALING_FRAME = 64 * 1024
/** Largest `data` of one `signal`, in bytes of UTF-8; the rest of the frame is room for JSON's escapes. */
export const MAX_SIGNAL_DATA = 48 * 1024
/** What a `relay` costs of the sender's rate, beside the length of its `data`: the rest of the frame, and the work. */
export const RELAY_FRAME_COST = 256
/** Largest number of contacts in one answer. */
export const MAX_CONTACTS = 16
/** Longest room name, in UTF-16 code units. */
export const MAX_ROOM_NAME = 128
/** Longest `token` of a `hello`, in UTF-16 code units. */
export const MAX_TOKEN = 8 * 1024
/** Largest number in a rate of the relay. */
export const MAX_RATE = 1_000_000_000
/** Longest pause that a `goaway` may ask for, in ms. */
export const MAX_RETRY_MS = 60_000
/** Longest quiet that is told of a room, in ms: so long or longer. A server remembers no end of a socket beyond it. */
export const MAX_QUIET_MS = 60_000

/** Close codes (RFC 6455 leaves 4000 to 4999 to applications). Codes under 4500 mean: do not try again as you are. */
export const CloseCode = {
  malformed: 4400,
  unauthorized: 4401,
  forbiddenOrigin: 4403,
  nodeTaken: 4409,
  roomFull: 4410,
  versionUnsupported: 4426,
  goingAway: 4503,
  /** Not under 4500: a tab that was frozen between connecting and `hello` may well try again. */
  helloTimeout: 4508,
  replaced: 4509,
  /** The server is full, or could not ask who this is: later may be better. */
  unavailable: 4513,
  rateLimited: 4529,
} as const

/** Whether a close code tells its receiver not to try again as it is. */
export const isPermanent = (code: number): boolean => code >= 4400 && code < 4500

export type ClientFrame =
  /** First frame of every connection. `resume` is what the last `welcome` gave, to take over a half-open socket. */
  | { t: 'hello'; v: number; room: string; node: string; resume?: string; token?: string }
  | { t: 'signal'; to: string; data: string }
  /** One piece of a relayed link, in base64. Only for a server whose `welcome` said that it relays. */
  | { t: 'relay'; to: string; data: string }
  | { t: 'contacts' }
  | { t: 'bye' }

export type ServerFrame =
  /** `relay` is what one connection may send of relayed links; absent where the server does not relay. */
  | { t: 'welcome'; v: number; contacts: string[]; quietMs: number; resume: string; relay?: RelayRate }
  /** For `quietMs` the server has known of nobody else whose socket may be coming back. Absent, as 0, if it is older. */
  | { t: 'contacts'; contacts: string[]; quietMs: number }
  | { t: 'signal'; from: string; data: string }
  | { t: 'relay'; from: string; data: string }
  /** What was to be relayed to `to` was not: too much of it, an addressee that does not read, or no relay here. */
  | { t: 'relay-refused'; to: string; reason: string }
  /** The addressee of a `signal` is not here, or a member's socket ended without `bye`. */
  | { t: 'gone'; node: string }
  /** The server is about to stop: come back after `retryMs`, spread by jitter of your own. */
  | { t: 'goaway'; retryMs: number }
  /** Sent just before a close, with the same reason. */
  | { t: 'error'; code: number; reason: string }

/** So much at once, and so much a second in the long run; each frame counts as `relayCost` of its `data`. */
export interface RelayRate {
  bytesPerSecond: number
  burst: number
}

/** What a `relay` counts for: `data` is ASCII. */
export const relayCost = (data: string): number => data.length + RELAY_FRAME_COST

/** A parsed frame, or the reason why the text is none. */
export type Parsed<F> =
  { readonly ok: true; readonly frame: F } | { readonly ok: false; readonly reason: string }

/**
 * What a client sent. Total: never throws, and `reason` names the field that is wrong. A `hello` of another
 * version parses as long as its fields do, so that it can be answered. Fields that are not known are left out.
 */
export function parseClientFrame(text: string): Parsed<ClientFrame> {
  return parseFrame<ClientFrame>(text, MAX_SIGNALING_FRAME, (t, fields) => {
    switch (t) {
      case 'hello': {
        const v = fields.integer('v', 0, 1_000_000)
        const room = fields.text('room', 1, MAX_ROOM_NAME)
        const node = fields.node('node')
        const resume = fields.optionalText('resume', 1, 128)
        const token = fields.optionalText('token', 0, MAX_TOKEN)
        return {
          t,
          v,
          room,
          node,
          ...(resume === undefined ? {} : { resume }),
          ...(token === undefined ? {} : { token }),
        }
      }
      case 'signal':
        return { t, to: fields.node('to'), data: fields.data('data') }
      case 'relay':
        return { t, to: fields.node('to'), data: fields.base64('data') }
      case 'contacts':
      case 'bye':
        return { t }
      default:
        return undefined
    }
  })
}

/** What a server sent. Total like `parseClientFrame`. */
export function parseServerFrame(text: string): Parsed<ServerFrame> {
  return parseFrame<ServerFrame>(text, MAX_SIGNALING_FRAME + FORWARDING_GROWTH, (t, fields) => {
    switch (t) {
      case 'welcome': {
        const relay = fields.optionalRate('relay')
        return {
          t,
          v: fields.integer('v', 0, 1_000_000),
          contacts: fields.nodes('contacts'),
          quietMs: fields.integer('quietMs', 0, MAX_QUIET_MS, 0),
          resume: fields.text('resume', 1, 128),
          ...(relay === undefined ? {} : { relay }),
        }
      }
      case 'contacts':
        return {
          t,
          contacts: fields.nodes('contacts'),
          quietMs: fields.integer('quietMs', 0, MAX_QUIET_MS, 0),
        }
      case 'signal':
        return { t, from: fields.node('from'), data: fields.data('data') }
      case 'relay':
        return { t, from: fields.node('from'), data: fields.base64('data') }
      case 'relay-refused':
        return { t, to: fields.node('to'), reason: fields.text('reason', 0, 1_024) }
      case 'gone':
        return { t, node: fields.node('node') }
      case 'goaway':
        return { t, retryMs: fields.integer('retryMs', 0, MAX_RETRY_MS) }
      case 'error':
        return { t, code: fields.integer('code', 1_000, 4_999), reason: fields.text('reason', 0, 1_024) }
      default:
        return undefined
    }
  })
}

export const encodeClientFrame = (frame: ClientFrame): string => JSON.stringify(frame)
export const encodeServerFrame = (frame: ServerFrame): string => JSON.stringify(frame)

/** Whether the text is at most `max` bytes of UTF-8. */
export function fitsUtf8(text: string, max: number): boolean {
  if (text.length * 3 <= max) return true
  if (text.length > max) return false
  let bytes = 0
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    // Each half of a surrogate pair stands for two of its four bytes.
    bytes += unit < 0x80 ? 1 : unit < 0x800 || (unit >= 0xd800 && unit < 0xe000) ? 2 : 3
  }
  return bytes <= max
}

/** A forwarded signal says `from` where its sender said `to`. */
const FORWARDING_GROWTH = 16
const NODE = /^[a-z2-7]{20}\.[1-9][0-9]{0,12}\.[a-z2-7]{10}$/
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/
const FORBIDDEN_KEYS = ['__proto__', 'constructor', 'prototype']

function parseFrame<F>(
  text: string,
  maxBytes: number,
  read: (t: string, fields: Fields) => F | undefined,
): Parsed<F> {
  if (!fitsUtf8(text, maxBytes)) return wrong(`frame: over ${maxBytes} bytes`)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return wrong('frame: not JSON')
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return wrong('frame: not an object')
  for (const key of FORBIDDEN_KEYS) if (Object.hasOwn(value, key)) return wrong(`${key}: not allowed`)
  const fields = new Fields(value as Readonly<Record<string, unknown>>)
  const t = fields.text('t', 1, 32)
  if (fields.problem !== undefined) return wrong(fields.problem)
  const frame = read(t, fields)
  if (frame === undefined) return wrong(`t: unknown frame type ${JSON.stringify(t)}`)
  return fields.problem === undefined ? { ok: true, frame } : wrong(fields.problem)
}

const wrong = (reason: string): { readonly ok: false; readonly reason: string } => ({ ok: false, reason })

/** Reads the fields of one frame. Keeps the first problem and goes on with harmless values. */
class Fields {
  problem: string | undefined
  private readonly values: Readonly<Record<string, unknown>>

  constructor(values: Readonly<Record<string, unknown>>) {
    this.values = values
  }

  text(name: string, min: number, max: number): string {
    const value = this.own(name)
    if (typeof value !== 'string') return this.fail(name, 'must be a string', '')
    if (value.length < min || value.length > max)
      return this.fail(name, `must have ${min} to ${max} characters`, '')
    return value
  }

  optionalText(name: string, min: number, max: number): string | undefined {
    return this.own(name) === undefined ? undefined : this.text(name, min, max)
  }

  data(name: string): string {
    const value = this.own(name)
    if (typeof value !== 'string') return this.fail(name, 'must be a string', '')
    if (!fitsUtf8(value, MAX_SIGNAL_DATA)) return this.fail(name, `over ${MAX_SIGNAL_DATA} bytes`, '')
    return value
  }

  base64(name: string): string {
    const value = this.data(name)
    return BASE64.test(value) ? value : this.fail(name, 'must be base64', '')
  }

  optionalRate(name: string): RelayRate | undefined {
    const value = this.own(name)
    if (value === undefined) return undefined
    if (typeof value !== 'object' || value === null) return this.fail(name, 'must be a rate', undefined)
    const rate = new Fields(value as Readonly<Record<string, unknown>>)
    const [bytesPerSecond, burst] = [
      rate.integer('bytesPerSecond', 1, MAX_RATE),
      rate.integer('burst', 1, MAX_RATE),
    ]
    if (rate.problem !== undefined) return this.fail(name, rate.problem, undefined)
    return { bytesPerSecond, burst }
  }

  node(name: string): string {
    const value = this.own(name)
    return isNode(value) ? value : this.fail(name, 'must be a nodeId', '')
  }

  nodes(name: string): string[] {
    const value = this.own(name)
    if (!Array.isArray(value)) return this.fail(name, 'must be a list', [])
    if (value.length > MAX_CONTACTS) return this.fail(name, `must have at most ${MAX_CONTACTS} entries`, [])
    return value.every(isNode) ? value : this.fail(name, 'must hold nodeIds only', [])
  }

  /** `absent` is what a field that is not there stands for; without it the field must be there. */
  integer(name: string, min: number, max: number, absent?: number): number {
    const given = this.own(name)
    const value = given === undefined ? absent : given
    if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value
    return this.fail(name, `must be an integer from ${min} to ${max}`, 0)
  }

  private own(name: string): unknown {
    return Object.hasOwn(this.values, name) ? this.values[name] : undefined
  }

  private fail<T>(name: string, what: string, instead: T): T {
    this.problem ??= `${name}: ${what}`
    return instead
  }
}

const isNode = (value: unknown): value is string => typeof value === 'string' && NODE.test(value)
