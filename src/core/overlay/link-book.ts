/** The links of this member and the attempts at them, by their ids, members and sessions. */
import type { LinkId } from '../events.ts'
import type { NodeId } from '../identity/node-id.ts'
import type { MeshLink } from './mesh-link.ts'

/** Ended sessions are remembered, because signaling may deliver twice. */
const REMEMBERED_SESSIONS = 256

export class LinkBook {
  readonly #links = new Map<LinkId, MeshLink>()
  readonly #byNode = new Map<NodeId, MeshLink>()
  /** Attempts beside links that are established: whichever is established takes the place of the one that was. */
  readonly #upgrades = new Map<NodeId, MeshLink>()
  readonly #bySession = new Map<string, MeshLink>()
  readonly #endedSessions = new Set<string>()

  get size(): number {
    return this.#links.size
  }

  links(): IterableIterator<MeshLink> {
    return this.#links.values()
  }

  get(linkId: LinkId): MeshLink | undefined {
    return this.#links.get(linkId)
  }

  /** The link to a member, or the attempt at it. */
  to(nodeId: NodeId): MeshLink | undefined {
    return this.#byNode.get(nodeId)
  }

  /** The newest attempt at a link to a member, beside the one that is there. */
  upgradeTo(nodeId: NodeId): MeshLink | undefined {
    return this.#upgrades.get(nodeId)
  }

  inSession(nodeId: NodeId, session: string): MeshLink | undefined {
    return this.#bySession.get(sessionKey(nodeId, session))
  }

  hasEnded(nodeId: NodeId, session: string): boolean {
    return this.#endedSessions.has(sessionKey(nodeId, session))
  }

  /** A link to a member that has one already stands beside it until it is established. */
  add(link: MeshLink): void {
    this.#links.set(link.linkId, link)
    this.#bySession.set(sessionKey(link.nodeId, link.session), link)
    if (this.#byNode.has(link.nodeId)) this.#upgrades.set(link.nodeId, link)
    else this.#byNode.set(link.nodeId, link)
  }

  /** From now on this is the link to its member. Returns the one that was. */
  promote(link: MeshLink): MeshLink | undefined {
    const before = this.#byNode.get(link.nodeId)
    if (before === link) return undefined
    this.#byNode.set(link.nodeId, link)
    if (this.#upgrades.get(link.nodeId) === link) this.#upgrades.delete(link.nodeId)
    return before
  }

  remove(link: MeshLink): void {
    const { linkId, nodeId, session } = link
    this.#links.delete(linkId)
    if (this.#upgrades.get(nodeId) === link) this.#upgrades.delete(nodeId)
    if (this.#byNode.get(nodeId) === link) {
      this.#byNode.delete(nodeId)
      const upgrade = this.#upgrades.get(nodeId)
      if (upgrade) this.promote(upgrade)
    }
    const key = sessionKey(nodeId, session)
    this.#bySession.delete(key)
    this.#endedSessions.add(key)
    if (this.#endedSessions.size > REMEMBERED_SESSIONS) {
      this.#endedSessions.delete(this.#endedSessions.values().next().value!)
    }
  }
}

const sessionKey = (nodeId: NodeId, session: string): string => `${nodeId}/${session}`
