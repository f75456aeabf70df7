/**
 * The signaling protocol, version 1: JSON text frames over one WebSocket. Shared by the client adapter and the
 * server; both check everything they read with the total parsers below.
 */

export const SIGNALING_VERSION = 1
/** Largest frame either side accepts, in bytes of UTF-8. */
export const MAX_SIGNALING_FRAME = 64 * 1024
/** Largest number of contacts in one answer. */
export const MAX_CONTACTS = 16

/** Close codes (RFC 6455 leaves 4000 to 4999 to applications). Codes under 4500 mean: do not try again as you are. */
export const CloseCode = {
  malformed: 4400,
  unauthorized: 4401,
  forbiddenOrigin: 4403,
  helloTimeout: 4408,
  nodeTaken: 4409,
  roomFull: 4410,
  versionUnsupported: 4426,
  rateLimited: 4529,
  goingAway: 4503,
  replaced: 4509,
} as const

export type ClientFrame =
  /** First frame of every connection. `resume` is what the last `welcome` gave, to take over a half-open socket. */
  | { t: 'hello'; v: number; room: string; node: string; resume?: string; token?: string }
  | { t: 'signal'; to: string; data: string }
  | { t: 'contacts' }
  | { t: 'bye' }

export type ServerFrame =
  | { t: 'welcome'; v: number; contacts: string[]; resume: string }
  | { t: 'contacts'; contacts: string[] }
  | { t: 'signal'; from: string; data: string }
  /** The addressee of a `signal` is not here, or a member's socket ended without `bye`. */
  | { t: 'gone'; node: string }
  /** The server is about to stop: come back after `retryMs`, spread by jitter of your own. */
  | { t: 'goaway'; retryMs: number }
  /** Sent just before a close, with the same reason. */
  | { t: 'error'; code: number; reason: string }

/** A parsed frame, or the reason why the text is none. */
export type Parsed<F> = { readonly ok: true; readonly frame: F } | { readonly ok: false; readonly reason: string }
