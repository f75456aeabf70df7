/**
 * M7: a live member that can refute is not unreachable for ever. Exactly: where two members run undisturbed and a
 * path of healthy links through members that run undisturbed leads from one to the other, without a break, for
 * longer than `boundMs`, then the one does not show the other `unreachable` all that time.
 *
 * Undisturbed is who runs, at its own pace: not frozen, asleep or throttled. A link is healthy while it is open at
 * both ends and nothing keeps what is sent on it from arriving.
 */
import type { NodeId } from '../core/identity/node-id.ts'
import type { NodeView } from './simulated-node.ts'

/** A process as this checker sees it. */
export interface Party {
  readonly label: string
  readonly nodeId: NodeId
  readonly node: { readonly view: NodeView }
  readonly undisturbed: boolean
  /** The other ends of its healthy links. */
  neighbours(): Iterable<Party>
}

export type Report = (viewer: Party, what: string) => void

/** What one party shows as unreachable. */
interface Shown {
  nodeId: NodeId
  revision: number
  unreachable: NodeId[]
  /** Since when each of them has been shown so while a path was there. */
  readonly since: Map<NodeId, number>
}

export class UnreachableWatch {
  readonly #boundMs: number
  readonly #shown = new Map<Party, Shown>()

  constructor(boundMs: number) {
    this.#boundMs = boundMs
  }

  /** Call regularly, with all that live. Cheap while nobody is shown as unreachable. */
  check(parties: Iterable<Party>, now: number, report: Report): void {
    const living = new Map<NodeId, Party>()
    for (const party of parties) if (isThere(party)) living.set(party.nodeId, party)
    for (const known of this.#shown.keys()) if (living.get(known.nodeId) !== known) this.#shown.delete(known)
    let components: ReadonlyMap<Party, number> | undefined
    for (const viewer of living.values()) {
      const shown = this.#read(viewer)
      for (const nodeId of shown.unreachable) {
        const subject = living.get(nodeId)
        components ??= componentsOf(living.values())
        if (subject && components.get(subject) === components.get(viewer)) {
          this.#hold(viewer, shown, subject, now, report)
        } else shown.since.delete(nodeId)
      }
    }
  }

  #hold(viewer: Party, shown: Shown, subject: Party, now: number, report: Report): void {
    const since = shown.since.get(subject.nodeId) ?? now
    shown.since.set(subject.nodeId, since)
    if (now - since <= this.#boundMs) return
    // Once is enough.
    shown.since.set(subject.nodeId, Infinity)
    const seconds = (this.#boundMs / 1_000).toFixed(0)
    report(
      viewer,
      `shows ${subject.label} as unreachable for more than ${seconds} s, though it runs and a path leads to it`,
    )
  }

  /** A table is read again only after it changed. */
  #read(party: Party): Shown {
    const { view } = party.node
    let shown = this.#shown.get(party)
    if (!shown || shown.nodeId !== party.nodeId) {
      shown = { nodeId: party.nodeId, revision: -1, unreachable: [], since: new Map() }
      this.#shown.set(party, shown)
    }
    if (shown.revision === view.revision) return shown
    shown.revision = view.revision
    shown.unreachable = []
    for (const { nodeId, status } of view.members())
      if (status === 'unreachable') shown.unreachable.push(nodeId)
    for (const nodeId of shown.since.keys()) {
      if (!shown.unreachable.includes(nodeId)) shown.since.delete(nodeId)
    }
    return shown
  }
}

/** A life that takes part: whoever is still joining, leaving or over has nothing to refute yet, or any more. */
function isThere({ undisturbed, node }: Party): boolean {
  const { status } = node.view
  return undisturbed && (status === 'up' || status === 'isolated')
}

/** Numbers the connected parts of the graph. */
function componentsOf(parties: Iterable<Party>): ReadonlyMap<Party, number> {
  const components = new Map<Party, number>()
  const all = new Set(parties)
  let count = 0
  for (const start of all) {
    if (components.has(start)) continue
    components.set(start, ++count)
    const queue = [start]
    for (let party = queue.pop(); party; party = queue.pop()) {
      for (const next of party.neighbours()) {
        if (!all.has(next) || components.has(next)) continue
        components.set(next, count)
        queue.push(next)
      }
    }
  }
  return components
}
