/**
 * What two members say to each other, by signaling, to set up one link: JSON text, opaque to whoever carries it.
 * `session` is chosen by the initiator, `sequence` counts each side's messages from 0.
 */
export interface SignalEnvelope {
  readonly session: string
  readonly sequence: number
  /** From transport to transport. */
  readonly data?: string
  /** The attempt is refused or given up, with the reason. */
  readonly ended?: string
  /** With an offer: the link is to be carried by the signaling server. */
  readonly relay?: boolean
  /** With an offer: whoever makes it could do without this link. */
  readonly wish?: boolean
}

/** Asked by a member that has lost every link: whoever answers lives. Answered at once, outside of any session. */
export type SignOfLife = 'ask' | 'answer'

const ASK = '{"l":"ask"}'
const ANSWER = '{"l":"answer"}'
const MAX_DATA = 48 * 1024
const MAX_SEQUENCE = 1_000

export const encodeSignal = ({ session, sequence, data, ended, relay, wish }: SignalEnvelope): string =>
  JSON.stringify({ s: session, q: sequence, r: flag(relay), w: flag(wish), d: data, x: ended })

const flag = (isSet = false): 1 | undefined => (isSet ? 1 : undefined)

export const encodeSignOfLife = (sign: SignOfLife): string => (sign === 'ask' ? ASK : ANSWER)

/** Total: `undefined` for whatever is no sign of life. */
export function decodeSignOfLife(text: string): SignOfLife | undefined {
  return text === ASK ? 'ask' : text === ANSWER ? 'answer' : undefined
}

/** Total: `undefined` for whatever is no envelope. */
export function decodeSignal(text: string): SignalEnvelope | undefined {
  if (text.length > MAX_DATA + 256) return undefined
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const { s: session, q: sequence, d: data, x: ended, r: relay, w: wish } = value as Record<string, unknown>
  if (typeof session !== 'string' || !/^[a-z2-7]{8}$/.test(session)) return undefined
  if (
    typeof sequence !== 'number' ||
    !Number.isInteger(sequence) ||
    sequence < 0 ||
    sequence > MAX_SEQUENCE
  ) {
    return undefined
  }
  if ((relay !== undefined && relay !== 1) || (wish !== undefined && wish !== 1)) return undefined
  if (typeof data === 'string' && ended === undefined)
    return { session, sequence, data, ...(relay && { relay: true }), ...(wish && { wish: true }) }
  if (typeof ended === 'string' && data === undefined)
    return { session, sequence, ended: ended.slice(0, 200) }
  return undefined
}
