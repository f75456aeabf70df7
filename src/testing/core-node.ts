/** The real core, seen through the simulator's window. */
import type { Input, Output } from '../core/events.ts'
import type { NodeId } from '../core/identity/node-id.ts'
import type { NodeStatus, Visibility } from '../core/membership/record.ts'
import type { MembershipTable, NodeRecord } from '../core/membership/table.ts'
import { packMemory, unpackMemory } from '../core/gossip/memory.ts'
import { NodeCore } from '../core/node.ts'
import type { Now } from '../core/time.ts'
import { DEFAULT_MIN_LINKS } from '../options.ts'
import type { NodeFactory, NodeView, ShownMember, SimulatedNode } from './simulated-node.ts'

/** Makes nodes of the real core: the same that ships. */
export const createCoreNode: NodeFactory = (seed) => {
  const { authority: _, contacts: __, memory, ...options } = seed
  const unpacked = unpackMemory(memory)
  if (!unpacked.ok) throw new Error(`the simulator's own snapshot is refused: ${unpacked.reason}`)
  const minLinks = Math.min(DEFAULT_MIN_LINKS, options.maxLinks)
  return new CoreNode(new NodeCore({ ...options, minLinks, remembered: unpacked.ranges }))
}

/** The table of a node that `createCoreNode` made: whoever fills it does what gossip would have done. */
export function tableOf(node: SimulatedNode): MembershipTable {
  if (!(node instanceof CoreNode)) throw new TypeError('tableOf: not a node of the real core')
  return node.table
}

/** The core itself, of a node that `createCoreNode` made; for what only cores have. */
export const coreOf = (node: SimulatedNode): NodeCore | undefined =>
  node instanceof CoreNode ? node.core : undefined

class CoreNode implements SimulatedNode {
  readonly view: NodeView
  readonly #core: NodeCore

  constructor(core: NodeCore) {
    this.#core = core
    this.view = new CoreView(core)
  }

  get nodeId(): NodeId {
    return this.#core.nodeId
  }

  get core(): NodeCore {
    return this.#core
  }

  get table(): MembershipTable {
    return this.#core.table
  }

  handle(input: Input, now: Now): readonly Output[] {
    return this.#core.handle(input, now)
  }

  memory(): Uint8Array {
    return packMemory(this.#core.table)
  }

  nextDeadline(): number | undefined {
    return this.#core.nextDeadline()
  }
}

class CoreView implements NodeView {
  readonly #core: NodeCore

  constructor(core: NodeCore) {
    this.#core = core
  }

  get status() {
    return this.#core.status
  }

  get gossipState() {
    return this.#core.gossipState
  }

  get viewHash(): string {
    return this.#core.viewHash
  }

  get contentHash(): number {
    return this.#table.hash.content
  }

  get linkCount(): number {
    return this.#core.linkCount
  }

  get revision(): number {
    return this.#table.log.revision
  }

  *members(): Iterable<ShownMember> {
    const cursor = new RecordCursor()
    for (const record of this.#table.records()) yield cursor.at(record)
  }

  changedSince(revision: number): Iterable<ShownMember> | undefined {
    const changes = this.#table.log.since(revision)
    return changes && this.#records(changes)
  }

  version(origin: NodeId): number {
    return this.#table.get(origin)?.counter ?? 0
  }

  statusOf(nodeId: NodeId): NodeStatus | undefined {
    return this.#table.status(nodeId)
  }

  incarnationOf(nodeId: NodeId): number {
    return this.#table.get(nodeId)?.self?.incarnation ?? 0
  }

  *#records(changes: Iterable<{ readonly nodeId: NodeId }>): Iterable<ShownMember> {
    const cursor = new RecordCursor()
    for (const { nodeId } of changes) {
      const record = this.#table.get(nodeId)
      if (record) yield cursor.at(record)
    }
  }

  get #table(): MembershipTable {
    return this.#core.table
  }
}

/** Reads a record only as far as it is looked at. One cursor serves a whole table: checks run millions of times. */
class RecordCursor implements ShownMember {
  #record!: NodeRecord

  at(record: NodeRecord): this {
    this.#record = record
    return this
  }

  get nodeId(): NodeId {
    return this.#record.nodeId
  }

  get status(): NodeStatus | undefined {
    return this.#record.status
  }

  get version(): number {
    return this.#record.counter
  }

  get incarnation(): number {
    return this.#record.self?.incarnation ?? 0
  }

  get meta(): string {
    return this.#record.self?.meta ?? ''
  }

  get visibility(): Visibility | undefined {
    return this.#record.self?.visibility
  }

  get peerState(): ReadonlyMap<string, string> {
    const values = new Map<string, string>()
    for (const [key, { value }] of this.#record.entries) if (value !== undefined) values.set(key, value)
    return values
  }
}
