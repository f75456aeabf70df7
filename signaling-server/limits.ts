/**
 * What the server accepts from its clients. Every limit is an option; the defaults let a room of 32 tabs behind one
 * address join all at once, where each tab sends each other one an offer or answer and ten ICE candidates
 * (32 x 31 x 10 = 9,920 frames and 4 MB in half a minute), and still end a flood within a second.
 */
import { MAX_RATE, MAX_SIGNALING_FRAME } from '../src/adapters/signaling/protocol.ts'

/** A token bucket: `burst` at once, refilled by `perSecond`. */
export interface Rate {
  readonly burst: number
  readonly perSecond: number
}

export interface SignalingLimits {
  /** Largest frame, in bytes; at most 64 KiB, which is what the protocol allows. Default 64 KiB. */
  readonly payloadBytes: number
  /** Frames of one connection, WebSocket pings included. Default 1,000 at once, then 50 a second. */
  readonly framesPerConnection: Rate
  /**
   * Bytes of one connection. Default 512 KiB at once, then 64 KiB a second: half of `bufferedBytes`, so that one
   * sender alone cannot fill the buffer of a receiver that reads.
   */
  readonly bytesPerConnection: Rate
  /** Frames of all connections of one address. Default 20,000 at once, then 1,000 a second. */
  readonly framesPerAddress: Rate
  /** Bytes of all connections of one address. Default 16 MiB at once, then 1 MiB a second. */
  readonly bytesPerAddress: Rate
  /**
   * Bytes that one connection may have relayed, not counted among the others: every relayed frame counts as the length
   * of its `data` and 256 more. Told to the clients, which keep below it. What is over it is refused, and counts among
   * the others instead. Default 256 KiB at once, then 64 KiB a second.
   */
  readonly relayBytesPerConnection: Rate
  /** The same for all connections of one address. Default 4 MiB at once, then 1 MiB a second. */
  readonly relayBytesPerAddress: Rate
  /** New connections of one address. Default 256 at once, then 10 a second. */
  readonly connectsPerAddress: Rate
  /** Open connections of one address (an IPv6 address counts by its /64). Default 256. */
  readonly connectionsPerAddress: number
  /** A connection must have said `hello` this long after it was opened, whatever else it does. Default 5,000 ms. */
  readonly helloMs: number
  /** Every connection is pinged this often; one that did not answer the last ping is ended. Default 20,000 ms. */
  readonly pingMs: number
  /** Rooms on this server. Default 10,000. */
  readonly rooms: number
  /** Members of one room. Default 1,000. */
  readonly membersPerRoom: number
  /** A receiver with more unread bytes than this is ended: it does not read. Default 1 MiB. */
  readonly bufferedBytes: number
  /** An ended connection has this long to finish the closing handshake. Default 2,000 ms. */
  readonly closeMs: number
}

export const DEFAULT_SIGNALING_LIMITS: SignalingLimits = {
  payloadBytes: MAX_SIGNALING_FRAME,
  framesPerConnection: { burst: 1_000, perSecond: 50 },
  bytesPerConnection: { burst: 512 * 1024, perSecond: 64 * 1024 },
  framesPerAddress: { burst: 20_000, perSecond: 1_000 },
  bytesPerAddress: { burst: 16 * 1024 * 1024, perSecond: 1024 * 1024 },
  relayBytesPerConnection: { burst: 256 * 1024, perSecond: 64 * 1024 },
  relayBytesPerAddress: { burst: 4 * 1024 * 1024, perSecond: 1024 * 1024 },
  connectsPerAddress: { burst: 256, perSecond: 10 },
  connectionsPerAddress: 256,
  helloMs: 5_000,
  pingMs: 20_000,
  rooms: 10_000,
  membersPerRoom: 1_000,
  bufferedBytes: 1024 * 1024,
  closeMs: 2_000,
}

/** The defaults with `given` over them, and one sentence for each limit that is wrong. */
export function resolveLimits(given: Partial<SignalingLimits>): {
  readonly limits: SignalingLimits
  readonly problems: readonly string[]
} {
  const problems: string[] = []
  for (const [name, value] of Object.entries(given) as [string, unknown][]) {
    if (value === undefined) continue
    if (!Object.hasOwn(DEFAULT_SIGNALING_LIMITS, name)) {
      const known = Object.keys(DEFAULT_SIGNALING_LIMITS).join(', ')
      problems.push(`limits.${name} is not a limit; the limits are ${known}`)
    } else if (typeof DEFAULT_SIGNALING_LIMITS[name as keyof SignalingLimits] === 'object') {
      if (!isRate(value)) problems.push(`limits.${name} must be { burst, perSecond }, both above 0`)
      else if (name === 'relayBytesPerConnection' && !isAnnouncable(value)) {
        problems.push(`limits.${name} must be whole numbers of at most ${MAX_RATE}: clients are told them`)
      }
    } else if (!isPositive(value)) {
      problems.push(`limits.${name} must be a number above 0`)
    } else if (name === 'payloadBytes' && value > MAX_SIGNALING_FRAME) {
      problems.push(`limits.payloadBytes must be at most ${MAX_SIGNALING_FRAME}, which the protocol allows`)
    } else if (name.endsWith('Ms') && value > MAX_TIMER_MS) {
      problems.push(`limits.${name} must be at most ${MAX_TIMER_MS} ms`)
    }
  }
  const chosen = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
  return { limits: { ...DEFAULT_SIGNALING_LIMITS, ...chosen }, problems }
}

/** Node's timers fire at once when asked for more than this. */
const MAX_TIMER_MS = 2 ** 31 - 1

const isPositive = (value: unknown): value is number =>
  typeof value === 'number' && Number.isFinite(value) && value > 0

const isAnnouncable = ({ burst, perSecond }: Rate): boolean =>
  [burst, perSecond].every((value) => Number.isInteger(value) && value <= MAX_RATE)

function isRate(value: unknown): value is Rate {
  if (typeof value !== 'object' || value === null) return false
  const { burst, perSecond } = value as Partial<Rate>
  return isPositive(burst) && isPositive(perSecond)
}
