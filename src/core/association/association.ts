/** What is kept of one authority that messages go to: its state, what waits for it, and the streams of its life. */
import type { Authority, NodeId } from '../identity/node-id.ts'
import type { Stream } from '../wire/frames.ts'
import type { InStream } from './in-stream.ts'
import type { Letter } from './letter.ts'
import type { OutStream } from './out-stream.ts'

/**
 * `connected`: messages are delivered in order. `disconnected`: there is no way to it, they wait. `quarantined`: it
 * has broken the rules; nothing is sent to it or taken from it for a while.
 */
export type AssociationState = 'connected' | 'disconnected' | 'quarantined'

export interface Association {
  readonly authority: Authority
  state: AssociationState
  /** Why it is quarantined, and until when. */
  reason: string
  until: number
  /** The life that the streams belong to. */
  nodeId: NodeId | undefined
  /** What was not begun, by stream; the oldest first. */
  readonly queues: Readonly<Record<Stream, Letter[]>>
  readonly out: Partial<Record<Stream, OutStream>>
  readonly in: Partial<Record<Stream, InStream>>
  /** Letters without an outcome. */
  letters: number
  /** Bytes of those of users, and of those of grains. */
  bytes: number
  grainBytes: number
  /** So many letters waited when it was connected again; 0 once that was told. */
  draining: number
  /** Times of the newest faults, the oldest first. */
  readonly faults: number[]
  /** Something may be sent to it in this turn. */
  isDirty: boolean
}

export const newAssociation = (authority: Authority): Association => ({
  authority,
  state: 'disconnected',
  reason: '',
  until: 0,
  nodeId: undefined,
  queues: { control: [], call: [], bulk: [], grain: [], copy: [] },
  out: {},
  in: {},
  letters: 0,
  bytes: 0,
  grainBytes: 0,
  draining: 0,
  faults: [],
  isDirty: false,
})

/** Messages of users that wait. */
export const waiting = ({ queues }: Association): number =>
  queues.control.length + queues.call.length + queues.bulk.length
