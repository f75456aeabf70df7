/** What the detector keeps of each member that it watches. */
import type { LinkId } from '../events.ts'
import type { NodeId } from '../identity/node-id.ts'

/**
 * `calm`: evidence is fresh. `pinged`: an ack is awaited. `asked`: others try as well. `silent`: nobody got through.
 * The link may be gone while others are asked about its member.
 */
export type Phase = 'calm' | 'pinged' | 'asked' | 'silent'

export interface Watch {
  readonly nodeId: NodeId
  linkId: LinkId | undefined
  phase: Phase
  /** When it last acknowledged something of ours, or its link was made. */
  evidenceAt: number
  /** Token of the newest question to others. */
  asked: number
  /** Pings without an ack, oldest first. */
  readonly probes: { readonly token: number; readonly sentAt: number }[]
  due: number
  /** The present step was given more time already. */
  reprieved: boolean
  rttMs: number | undefined
  challengedAt: number
  /** The incarnation that was accused from here; a higher one refutes. */
  accused: number
  /** Others are known to reach it: it is not accused from here until then. */
  vouchedUntil: number
  /** When others first reached it since it last gave evidence here. */
  reachedAt: number | undefined
}

export const newWatch = (nodeId: NodeId, now: number): Watch => ({
  nodeId,
  linkId: undefined,
  phase: 'calm',
  evidenceAt: now,
  asked: 0,
  probes: [],
  due: now,
  reprieved: false,
  rttMs: undefined,
  challengedAt: -Infinity,
  accused: Infinity,
  vouchedUntil: 0,
  reachedAt: undefined,
})
