/** A message on its way out. */
import type { Outgoing } from '../events.ts'
import type { Authority, NodeId } from '../identity/node-id.ts'
import type { Stream } from '../wire/frames.ts'

export interface Letter {
  readonly id: number
  readonly authority: Authority
  /** The one life that it is for; any life of its authority if absent. */
  readonly nodeId: NodeId | undefined
  readonly mailbox: string
  readonly stream: Stream
  /** Of its content. */
  readonly size: number
  /** Its content, until that is in segments: then only those keep it. */
  bytes: Uint8Array
  readonly isText: boolean
  /** Bytes that are in segments. */
  sent: number
  /** Bytes that have arrived, of a message of several segments. */
  confirmed: number
  /** The segment that its last piece is in; above every other before that is sent. */
  lastSequence: number
  /** The user was told its outcome before it was known: aborted while under way. */
  isAbandoned: boolean
}

/** Messages of grains have no name, and nobody is told what becomes of them. */
export const grainLetterOf = (
  stream: 'grain' | 'copy',
  bytes: Uint8Array,
  authority: Authority,
  nodeId: NodeId,
): Letter => ({
  id: 0,
  authority,
  nodeId,
  mailbox: '$',
  stream,
  size: bytes.length,
  bytes,
  isText: false,
  sent: 0,
  confirmed: 0,
  lastSequence: Infinity,
  isAbandoned: false,
})

export const isOfGrains = ({ stream }: Letter): boolean => stream === 'grain' || stream === 'copy'

export const letterOf = (
  { id, mailbox, lane, bytes, text }: Outgoing,
  authority: Authority,
  nodeId: NodeId | undefined,
): Letter => ({
  id,
  authority,
  nodeId,
  mailbox,
  stream: lane,
  size: bytes.length,
  bytes,
  isText: text,
  sent: 0,
  confirmed: 0,
  lastSequence: Infinity,
  isAbandoned: false,
})
