/**
 * What two ends of a WebRTC link may tell each other before they are linked: one session description each, and ICE
 * candidates. simple-peer would take more (a request to renegotiate, a transceiver) and ends the link at what it does
 * not know, so nothing else is let through, and what is let through is a fresh object with known fields only.
 */

/** What may be handed to simple-peer's `signal()`. */
export type PeerSignal =
  | { readonly type: 'offer' | 'answer'; readonly sdp: string }
  | { readonly candidate: { readonly candidate: string; readonly sdpMLineIndex: 0 } }

/** Longest signal that is read, in characters. A description for one data channel has about 600. */
export const MAX_SIGNAL_LENGTH = 16 * 1024

/** Candidates taken for one link. A machine with many networks has about a dozen. */
export const MAX_CANDIDATES = 64

const CANDIDATE = /^candidate:[\x20-\x7e]{1,1000}$/

/** The signal in `text`, or `undefined` where it holds none. Never throws. */
export function parseSignal(text: unknown): PeerSignal | undefined {
  if (typeof text !== 'string' || text.length > MAX_SIGNAL_LENGTH) return undefined
  return toPeerSignal(parseJson(text))
}

/** The text to carry for a signal. */
export const formatSignal = (signal: PeerSignal): string => JSON.stringify(signal)

/** What simple-peer wants to tell, or `undefined` where it is none of our business. */
export function toPeerSignal(data: unknown): PeerSignal | undefined {
  const description = own(data, 'sdp')
  if (description !== undefined) return toDescription(own(data, 'type'), description)
  const text = own(own(data, 'candidate'), 'candidate')
  if (typeof text !== 'string' || !CANDIDATE.test(text)) return undefined
  // a link has one media section, so its index is known and what the other end says about it is not needed
  return { candidate: { candidate: text, sdpMLineIndex: 0 } }
}

function toDescription(type: unknown, sdp: unknown): PeerSignal | undefined {
  if (type !== 'offer' && type !== 'answer') return undefined
  if (typeof sdp !== 'string' || !sdp.startsWith('v=0')) return undefined
  // a section of audio or video would cost this page a transceiver each
  const sections = sdp.match(/^m=.*$/gm) ?? []
  if (sections.length !== 1 || !sections[0]!.startsWith('m=application ')) return undefined
  return { type, sdp }
}

function own(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
  return (value as Record<string, unknown>)[key]
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
