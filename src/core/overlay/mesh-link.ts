/** One link of this member, or an attempt at one, as the mesh sees it. */
import type { LinkId } from '../events.ts'
import type { NodeId } from '../identity/node-id.ts'

/** `connecting`: the transport is at work. `open`: the channel is, the handshake runs. `established`: both accepted. */
export type LinkPhase = 'connecting' | 'open' | 'established'

export interface MeshLink {
  readonly linkId: LinkId
  readonly nodeId: NodeId
  readonly initiator: boolean
  /** By way of the signaling server: slow and limited, where no direct one can be had. */
  readonly relay: boolean
  /** Its offer and answer travel through the mesh. */
  readonly byMesh: boolean
  /** The neighbour that brought its offer, where that came through the mesh. */
  readonly broughtBy?: NodeId | undefined
  /** Its initiator could do without it. */
  readonly wish: boolean
  readonly session: string
  readonly startedAt: number
  /** When the other end was first heard of it. */
  heardAt: number | undefined
  /** When this end had its offer to send. */
  offeredAt: number | undefined
  /** When the channel opened: the handshake has as much time as the channel had. */
  openedAt: number | undefined
  /** The other end offered a link as well, and was left waiting for the answer to this offer. */
  contested: boolean
  /** Given up, or refused, by an end that has links enough: that tells nothing of its member. */
  released: boolean
  phase: LinkPhase
  /** The other side was let in: its record is in the table. */
  introduced: boolean
  sent: number
  readonly seen: Set<number>
}

/** What is decided about a link when it is begun. */
export type LinkBegin = Pick<
  MeshLink,
  'linkId' | 'nodeId' | 'session' | 'initiator' | 'relay' | 'byMesh' | 'broughtBy' | 'wish'
>

export const newLink = (begin: LinkBegin, now: number): MeshLink => ({
  ...begin,
  startedAt: now,
  heardAt: begin.initiator ? undefined : now,
  offeredAt: undefined,
  openedAt: undefined,
  contested: false,
  released: false,
  phase: 'connecting',
  introduced: false,
  sent: 0,
  seen: new Set(),
})
