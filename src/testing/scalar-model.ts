/**
 * The baseline: a membership with ONE scalar version per node, as many a cluster has it. A change makes version + 1
 * and sends `{from, to, changes}`; the receiver drops what is not above its own version, asks for what is missing,
 * else applies and takes over the version; on a new link, and every status period, versions are exchanged and the one
 * ahead sends what the other lacks. Run under the same seeds as the real core, it shows why the core does otherwise.
 *
 * It is given every chance: sound merging, eager forwarding, refutation, retries, a full mesh of links.
 */
import type { ClusterStatus, GossipState, Input, LinkId, Output } from '../core/events.ts'
import type { NodeId } from '../core/identity/node-id.ts'
import type { NodeStatus } from '../core/membership/record.ts'
import type { Now } from '../core/time.ts'
import { MeshLinks } from './scalar-links.ts'
import { ScalarTable, STATE_PREFIX } from './scalar-table.ts'
import type { ScalarChange, ScalarDelta, ScalarEntry } from './scalar-table.ts'
import type { NodeFactory, NodeSeed, NodeView, ShownMember, SimulatedNode } from './simulated-node.ts'

export const createScalarNode: NodeFactory = (seed) => new ScalarNode(seed)

/** How the tables of a room compare when all is over. */
export interface Divergence {
  readonly tablesDiffer: boolean
  /** Two members with the same version and different tables: no later exchange will ever repair it. */
  readonly withEqualVersions: boolean
}

export function divergence(nodes: readonly SimulatedNode[]): Divergence {
  const byVersion = new Map<number, string>()
  const contents = new Set<string>()
  let withEqualVersions = false
  for (const node of nodes) {
    if (!(node instanceof ScalarNode))
      throw new TypeError('divergence: these are no nodes of the scalar model')
    const content = node.table.content()
    contents.add(content)
    const other = byVersion.get(node.table.version)
    if (other !== undefined && other !== content) withEqualVersions = true
    byVersion.set(node.table.version, content)
  }
  return { tablesDiffer: contents.size > 1, withEqualVersions }
}

const Kind = {
  hello: 1,
  delta: 2,
  need: 3,
  status: 4,
} as const
type Kind = (typeof Kind)[keyof typeof Kind]

const HEADER = 17
const encoder = new TextEncoder()
const decoder = new TextDecoder()

export class ScalarNode implements SimulatedNode {
  readonly nodeId: NodeId
  readonly table = new ScalarTable()
  readonly view: NodeView
  readonly #seed: NodeSeed
  readonly #links: MeshLinks
  readonly #unreachableSince = new Map<NodeId, number>()
  /** Last version heard from each linked member. */
  readonly #heard = new Map<NodeId, number>()
  #status: ClusterStatus = 'joining'
  #statusAt = 0
  #now = 0
  #out: Output[] = []

  constructor(seed: NodeSeed) {
    this.#seed = seed
    this.nodeId = seed.nodeId
    this.#links = new MeshLinks(seed, (output) => this.#out.push(output))
    this.view = new ScalarView(this)
    const { nodeId } = this
    this.table.change([
      { nodeId, field: 'status', value: 'up', stamp: 0 },
      { nodeId, field: 'meta', value: seed.meta, stamp: 1 },
      { nodeId, field: 'visibility', value: seed.visibility, stamp: 1 },
    ])
  }

  memory(): Uint8Array {
    return new Uint8Array(0)
  }

  get status(): ClusterStatus {
    return this.#status
  }

  /** As far as this model can know: every linked member spoke of the same version. */
  get gossipState(): GossipState {
    for (const version of this.#heard.values()) if (version !== this.table.version) return 'diffusing'
    return 'confirmed'
  }

  handle(input: Input, now: Now): readonly Output[] {
    this.#now = now.mono
    this.#out = []
    if (this.#status !== 'left') {
      this.#runDue()
      this.#take(input)
      this.#links.dialMissing(this.#wanted(), this.#now)
    }
    return this.#out
  }

  nextDeadline(): number | undefined {
    return this.#status === 'left' ? undefined : Math.min(this.#statusAt, this.#links.nextDeadline())
  }

  #take(input: Input): void {
    switch (input.type) {
      case 'signaling-up':
      case 'signaling-contacts':
        this.#links.know(input.contacts)
        if (this.#status === 'joining' && input.contacts.length === 0) this.#status = 'up'
        return
      case 'signaling-gone':
        return this.#links.gone(input.nodeId)
      case 'signaling-message':
        return this.#links.message(input.from, input.data, this.#now)
      case 'link-signal':
        return this.#links.signal(input.linkId, input.data)
      case 'link-opened':
        return this.#send(input.linkId, Kind.hello, this.table.version, 0, this.table.about(this.nodeId))
      case 'link-closed':
        return this.#lost(this.#links.closed(input.linkId, this.#now))
      case 'link-message':
        return this.#message(input.linkId, input.bytes)
      case 'set-meta':
        return this.#changeOwn('meta', input.meta)
      case 'set-visibility':
        return this.#changeOwn('visibility', input.visibility)
      case 'set-peer-state':
        return this.#changeOwn(STATE_PREFIX + input.key, input.value ?? null)
      case 'leave':
        this.#judge(this.#own(), 'removed', 0)
        this.#out.push({ type: 'signaling-goodbye' })
        this.#status = 'left'
    }
  }

  #message(linkId: LinkId, bytes: Uint8Array): void {
    const header = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const kind = header.getUint8(0)
    const a = header.getFloat64(1)
    const b = header.getFloat64(9)
    const peer = this.#links.peerOf(linkId)
    if (peer === undefined) return
    if (kind === Kind.delta) {
      const verdict = this.table.gate(a, b)
      if (verdict === 'missing') this.#send(linkId, Kind.need, this.table.version, 0)
      if (verdict === 'applied') this.#apply({ from: a, to: b, changes: read(bytes) }, linkId)
      this.#heard.set(peer, b)
      return
    }
    if (kind === Kind.hello) {
      this.#links.ready(linkId)
      this.#status = 'up'
      this.#welcome(peer, read(bytes))
    }
    this.#heard.set(peer, a)
    if (a < this.table.version) this.#sendDelta(linkId, this.table.since(a))
  }

  #apply(delta: ScalarDelta, from: LinkId): void {
    this.table.apply(delta)
    this.#broadcast(delta, from)
    this.#refute()
    this.#noteUnreachable()
  }

  /**
   * The contact enters the newcomer: with one scalar, the newcomer's own version counts for nothing here. Of a member
   * that is known only the version is compared, as with everyone.
   */
  #welcome(nodeId: NodeId, said: readonly ScalarChange[]): void {
    const known = this.table.get(nodeId)
    if (known?.status === 'removed') return
    this.#unreachableSince.delete(nodeId)
    if (!known) this.#change(said)
    else if (known.status === 'unreachable') this.#judge(known, 'up', known.incarnation + 1)
  }

  #lost(peer: NodeId | undefined): void {
    if (peer === undefined) return
    this.#heard.delete(peer)
    const entry = this.table.get(peer)
    if (entry?.status === 'up') this.#judge(entry, 'unreachable', entry.incarnation)
    this.#noteUnreachable()
  }

  /** Others call this member unreachable: it says that it is not, in a higher incarnation. */
  #refute(): void {
    const own = this.#own()
    if (own.status === 'unreachable') this.#judge(own, 'up', own.incarnation + 1)
  }

  #noteUnreachable(): void {
    for (const { nodeId, status } of this.table.entries()) {
      if (status !== 'unreachable') this.#unreachableSince.delete(nodeId)
      else if (!this.#unreachableSince.has(nodeId)) this.#unreachableSince.set(nodeId, this.#now)
    }
  }

  #runDue(): void {
    if (this.#now < this.#statusAt) return
    const { statusIntervalMs, removeAfterMs, healIntervalMs } = this.#seed.tuning
    this.#statusAt = this.#now + statusIntervalMs * (0.75 + this.#seed.random() / 2)
    for (const linkId of this.#links.open()) this.#send(linkId, Kind.status, this.table.version, 0)
    for (const [nodeId, since] of this.#unreachableSince) {
      if (this.#now - since < removeAfterMs) continue
      this.#unreachableSince.delete(nodeId)
      const entry = this.table.get(nodeId)
      if (entry?.status === 'unreachable') this.#judge(entry, 'removed', 0)
    }
    const members = [...this.table.entries()].length
    if (this.#seed.random() < statusIntervalMs / (healIntervalMs * members))
      this.#out.push({ type: 'signaling-contacts' })
  }

  #wanted(): NodeId[] {
    const wanted: NodeId[] = []
    for (const { nodeId, status } of this.table.entries()) {
      if (status !== 'removed' && nodeId !== this.nodeId) wanted.push(nodeId)
    }
    return wanted
  }

  #own(): ScalarEntry {
    return this.table.get(this.nodeId)!
  }

  #changeOwn(field: string, value: string | null): void {
    const { status, counter } = this.#own()
    if (status !== 'removed') this.#change([{ nodeId: this.nodeId, field, value, stamp: counter + 1 }])
  }

  #judge({ nodeId }: ScalarEntry, status: NodeStatus, incarnation: number): void {
    this.#change([{ nodeId, field: 'status', value: status, stamp: incarnation }])
  }

  #change(changes: readonly ScalarChange[]): void {
    this.#broadcast(this.table.change(changes), 0)
  }

  #broadcast({ from, to, changes }: ScalarDelta, except: LinkId): void {
    const bytes = frame(Kind.delta, from, to, changes)
    for (const linkId of this.#links.open()) {
      if (linkId !== except) this.#out.push({ type: 'link-send', linkId, lane: 'control', bytes })
    }
  }

  #sendDelta(linkId: LinkId, { from, to, changes }: ScalarDelta): void {
    this.#send(linkId, Kind.delta, from, to, changes)
  }

  #send(linkId: LinkId, kind: Kind, a: number, b: number, changes?: readonly ScalarChange[]): void {
    this.#out.push({ type: 'link-send', linkId, lane: 'control', bytes: frame(kind, a, b, changes) })
  }
}

class ScalarView implements NodeView {
  readonly #node: ScalarNode

  constructor(node: ScalarNode) {
    this.#node = node
  }

  get status(): ClusterStatus {
    return this.#node.status
  }

  get gossipState(): GossipState {
    return this.#node.gossipState
  }

  /** All that this model has to compare by. */
  get viewHash(): string {
    return String(this.#node.table.version)
  }

  /** Its links are not bounded, and not what it is compared for. */
  readonly linkCount = 0

  get revision(): number {
    return this.#node.table.revision
  }

  *members(): Iterable<ShownMember> {
    for (const entry of this.#node.table.entries()) {
      yield { ...entry, version: entry.counter }
    }
  }

  version(origin: NodeId): number {
    return this.#node.table.get(origin)?.counter ?? 0
  }

  statusOf(nodeId: NodeId): NodeStatus | undefined {
    return this.#node.table.get(nodeId)?.status
  }

  incarnationOf(nodeId: NodeId): number {
    return this.#node.table.get(nodeId)?.incarnation ?? 0
  }
}

/** Kind and two numbers, then changes as JSON: what is dropped is dropped before anything is parsed. */
function frame(kind: Kind, a: number, b: number, changes?: readonly ScalarChange[]): Uint8Array {
  const body = changes ? encoder.encode(JSON.stringify(changes)) : undefined
  const bytes = new Uint8Array(HEADER + (body?.length ?? 0))
  const header = new DataView(bytes.buffer)
  header.setUint8(0, kind)
  header.setFloat64(1, a)
  header.setFloat64(9, b)
  if (body) bytes.set(body, HEADER)
  return bytes
}

const read = (bytes: Uint8Array): ScalarChange[] =>
  JSON.parse(decoder.decode(bytes.subarray(HEADER))) as ScalarChange[]
