/**
 * What must hold in every run (DESIGN section 17), checked from outside, after every single input.
 *
 * M2 per-origin versions never fall. M3 nobody shows an incarnation that its owner never had. M4 a nodeId once removed
 * never returns. M6 `confirmed(h)` implies that every live member held h at an earlier moment. O1 nobody has more links
 * than it may. R1 to R3 are `mail.ts`. M5, equal views after
 * healing, is `differences()`: the runner demands it within its bound. M7 is `unreachable-watch.ts`.
 */
import type { NodeId } from '../core/identity/node-id.ts'
import type { ShownMember, SimulatedNode } from './simulated-node.ts'

export type InvariantName =
  | 'M2 versions never fall'
  | 'M3 only the owner raises its incarnation'
  | 'M4 a removed nodeId never returns'
  | 'M5 equal views after healing'
  | 'M6 confirmed means held by all'
  | 'M7 a live member is not unreachable for ever'
  | 'O1 links are bounded'
  | 'O1 one component, equal views'
  | 'a change reaches all'
  | 'R1 nothing is sent to whom is unreachable'
  | 'R2 messages come in order, once'
  | 'R3 every message has one outcome'
  | 'G1 a log is one log'
  | 'G2 nothing takes effect twice'
  | 'G4 every call ends once'
  | 'G5 what was acknowledged is there'
  | 'the node never throws'
  | 'every node comes up'
  | 'a life is reborn only now and then'

export interface Violation {
  readonly invariant: InvariantName
  /** Virtual ms since the run began. */
  readonly time: number
  /** Who showed it. */
  readonly node: string
  readonly what: string
}

/** A process as the checker sees it. */
export interface Observed {
  readonly label: string
  readonly alive: boolean
  readonly node: SimulatedNode
}

/** What one life of a node really did, against which the others' tables are held. */
interface Life {
  readonly owner: Observed
  incarnation: number
  readonly hashes: Set<string>
}

/** What was last seen in one process's table. */
interface Seen {
  nodeId: NodeId
  revision: number
  hash: string
  confirmed: boolean
  versions: Map<NodeId, number>
  removed: Set<NodeId>
  rebirths: number
}

/** A run has at most one partition at a time that is long enough for rebirths; more than this is a loop. */
const MAX_REBIRTHS = 6
/** A link more for a newcomer, and one for a new target while the old one ends. */
const LINK_SLACK = 2
/** One broken thing shows in thousands of places; the first few tell. */
const MAX_VIOLATIONS = 50

export class Invariants {
  readonly violations: Violation[] = []
  readonly #maxLinks: number
  readonly #lives = new Map<NodeId, Life>()
  readonly #seen = new Map<Observed, Seen>()

  constructor(maxLinks: number) {
    this.#maxLinks = maxLinks
  }

  /** Call after every input that a process handled. Cheap where its table stayed as it was. */
  observe(process: Observed, time: number): void {
    const { node } = process
    const { view } = node
    const seen = this.#seenBy(process, time)
    if (view.revision !== seen.revision) {
      const changed = seen.revision < 0 ? undefined : view.changedSince?.(seen.revision)
      seen.revision = view.revision
      this.#readTable(process, seen, changed ?? view.members(), time)
    }
    if (view.linkCount > this.#maxLinks + LINK_SLACK) {
      const what = `has ${view.linkCount} links, ${LINK_SLACK} more than ${this.#maxLinks} are allowed`
      this.report('O1 links are bounded', time, process.label, what)
    }
    const hash = view.viewHash
    const confirmed = view.gossipState === 'confirmed'
    if (hash !== seen.hash) this.#lives.get(seen.nodeId)!.hashes.add(hash)
    if (confirmed && (!seen.confirmed || hash !== seen.hash)) this.#checkConfirmed(process, hash, time)
    seen.hash = hash
    seen.confirmed = confirmed
  }

  report(invariant: InvariantName, time: number, node: string, what: string): void {
    if (this.violations.length < MAX_VIOLATIONS) this.violations.push({ invariant, time, node, what })
  }

  /** A readable name of a nodeId, for messages. */
  name(nodeId: NodeId): string {
    const life = this.#lives.get(nodeId)
    return life ? `${life.owner.label}(${nodeId.slice(0, 4)}.${nodeId.split('.')[1]})` : nodeId
  }

  #seenBy(process: Observed, time: number): Seen {
    const { nodeId } = process.node
    let seen = this.#seen.get(process)
    if (!seen) {
      const fresh = { revision: -1, hash: '', confirmed: false, rebirths: 0 }
      seen = { nodeId: '', ...fresh, versions: new Map(), removed: new Set() }
      this.#seen.set(process, seen)
    }
    if (seen.nodeId !== nodeId) {
      if (seen.nodeId !== '' && ++seen.rebirths === MAX_REBIRTHS) {
        this.report(
          'a life is reborn only now and then',
          time,
          process.label,
          `reborn ${seen.rebirths} times`,
        )
      }
      seen.nodeId = nodeId
      seen.revision = -1
      seen.hash = ''
      seen.versions = new Map()
      seen.removed = new Set()
      this.#lives.set(nodeId, { owner: process, incarnation: 0, hashes: new Set() })
    }
    return seen
  }

  #readTable(process: Observed, seen: Seen, members: Iterable<ShownMember>, time: number): void {
    const own = this.#lives.get(seen.nodeId)!
    for (const { nodeId, status, version, incarnation } of members) {
      if (nodeId === seen.nodeId) own.incarnation = Math.max(own.incarnation, incarnation)
      const last = seen.versions.get(nodeId)
      if (last === undefined || version > last) seen.versions.set(nodeId, version)
      else if (version < last && status !== 'removed') {
        const what = `version of ${this.name(nodeId)} fell from ${last} to ${version}`
        this.report('M2 versions never fall', time, process.label, what)
      }
      const life = this.#lives.get(nodeId)
      if (incarnation > (life?.incarnation ?? 0)) {
        const what = `shows incarnation ${incarnation} of ${this.name(nodeId)}, which never had more than ${life?.incarnation}`
        this.report('M3 only the owner raises its incarnation', time, process.label, what)
      }
      if (status === 'removed') seen.removed.add(nodeId)
      else if (seen.removed.has(nodeId)) {
        const what = `${this.name(nodeId)} was removed and is ${status} again`
        this.report('M4 a removed nodeId never returns', time, process.label, what)
      }
    }
  }

  #checkConfirmed(process: Observed, hash: string, time: number): void {
    for (const { nodeId, status } of process.node.view.members()) {
      if (status !== 'up' || nodeId === process.node.nodeId) continue
      if (this.#lives.get(nodeId)?.hashes.has(hash)) continue
      const what = `confirmed ${hash}, which ${this.name(nodeId)} never held`
      this.report('M6 confirmed means held by all', time, process.label, what)
      return
    }
  }
}

/**
 * What is not yet as it must be after healing: every living process is `up` and `confirmed`, and shows exactly the
 * living processes, all `up`, with the same view hash, meta, visibility and peer state as their owners have. Empty
 * when all is well. `limit` differences are enough.
 */
export function differences(processes: readonly Observed[], limit: number): string[] {
  const found: string[] = []
  const hash = processes[0]?.node.view.viewHash
  for (const { node, label } of processes) {
    if (found.length >= limit) break
    const { view } = node
    if (view.status !== 'up') found.push(`${label} is ${view.status}`)
    else if (view.gossipState !== 'confirmed') found.push(`${label} is ${view.gossipState}`)
    else if (view.viewHash !== hash) found.push(`${label} has view hash ${view.viewHash}, others ${hash}`)
  }
  if (found.length >= limit) return found
  const truth = new Map<NodeId, Content | undefined>()
  for (const process of processes) truth.set(process.node.nodeId, ownContent(process.node))
  for (const process of processes) {
    if (found.length >= limit) break
    compareTable(process, truth, found)
  }
  return found.slice(0, limit)
}

function compareTable({ node, label }: Observed, truth: Truth, found: string[]): void {
  let shown = 0
  for (const member of node.view.members()) {
    if (member.status === 'removed') continue
    const { nodeId, status } = member
    if (!truth.has(nodeId)) found.push(`${label} shows ${nodeId}, which is gone, as ${status}`)
    else if (status !== 'up') found.push(`${label} shows ${nodeId} as ${status}`)
    else if (!isSame(member, truth.get(nodeId))) {
      const expected = contentText(truth.get(nodeId))
      found.push(`${label} shows ${nodeId} as ${contentText(member)}, which itself is ${expected}`)
    } else shown++
  }
  if (shown < truth.size) found.push(`${label} shows ${shown} of ${truth.size} members rightly`)
}

type Content = Pick<ShownMember, 'meta' | 'visibility' | 'peerState' | 'incarnation'>
/** What every living process says of itself; `undefined` for one that does not show itself. */
type Truth = ReadonlyMap<NodeId, Content | undefined>

function ownContent(node: SimulatedNode): Content | undefined {
  for (const member of node.view.members()) {
    if (member.nodeId !== node.nodeId) continue
    const { meta, visibility, peerState, incarnation } = member
    return { meta, visibility, peerState, incarnation }
  }
  return undefined
}

/** Field by field: while a room waits for agreement, every table is compared with every other again and again. */
function isSame(a: Content, b: Content | undefined): boolean {
  if (!b || a.incarnation !== b.incarnation || a.meta !== b.meta || a.visibility !== b.visibility)
    return false
  const { peerState } = a
  if (peerState.size !== b.peerState.size) return false
  for (const [key, value] of peerState) if (b.peerState.get(key) !== value) return false
  return true
}

function contentText(content: Content | undefined): string {
  if (!content) return 'it does not show itself'
  const { meta, visibility, peerState, incarnation } = content
  return JSON.stringify([incarnation, meta, visibility, [...peerState].sort(([a], [b]) => (a < b ? -1 : 1))])
}
