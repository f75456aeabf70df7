import type { ClusterStatus, GossipState, Output } from '../../src/core/events.ts'
import type { NodeStatus } from '../../src/core/membership/record.ts'
import type { NodeView, ShownMember, SimulatedNode } from '../../src/testing/simulated-node.ts'

/** A node that does nothing and shows whatever a test wants it to show. */
export class BrokenNode implements SimulatedNode, NodeView {
  memory = (): Uint8Array => new Uint8Array(0)
  nodeId: string
  status: ClusterStatus = 'up'
  gossipState: GossipState = 'diffusing'
  hash = 'start'
  revision = 0
  linkCount = 0
  readonly #shown = new Map<string, ShownMember>()

  constructor(nodeId: string) {
    this.nodeId = nodeId
  }

  get view(): NodeView {
    return this
  }

  get viewHash(): string {
    return this.hash
  }

  show(nodeId: string, patch: Partial<ShownMember>): void {
    this.revision++
    const base: ShownMember = {
      nodeId,
      status: 'up',
      version: 1,
      incarnation: 0,
      meta: '',
      visibility: 'visible',
      peerState: new Map(),
    }
    this.#shown.set(nodeId, { ...base, ...this.#shown.get(nodeId), ...patch })
  }

  forget(nodeId: string): void {
    this.revision++
    this.#shown.delete(nodeId)
  }

  members(): Iterable<ShownMember> {
    return this.#shown.values()
  }

  version(origin: string): number {
    return this.#shown.get(origin)?.version ?? 0
  }

  statusOf(nodeId: string): NodeStatus | undefined {
    return this.#shown.get(nodeId)?.status
  }

  incarnationOf(nodeId: string): number {
    return this.#shown.get(nodeId)?.incarnation ?? 0
  }

  handle(): readonly Output[] {
    return []
  }

  nextDeadline(): number | undefined {
    return undefined
  }
}
