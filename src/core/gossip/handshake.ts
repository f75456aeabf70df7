/**
 * The mutual hello on a new link. Each side says who it is, which wire versions it speaks, its own record and hashes
 * of what it knows; each answers with `accept` or with a `refuse` that names the reason. A link counts once both
 * accepted. Nothing but these frames is read before.
 */
import type { LinkId, RefusalCode } from '../events.ts'
import type { NodeId } from '../identity/node-id.ts'
import { compareLives, parseNodeId } from '../identity/node-id.ts'
import { ALL_BUCKETS, digestOf, rangeOf } from '../membership/digest.ts'
import type { MembershipTable } from '../membership/table.ts'
import type { Limits } from '../tuning.ts'
import type { DigestEntry, Frame } from '../wire/frames.ts'
import { WIRE_MAX, WIRE_MIN } from '../wire/frames.ts'
import type { Greeting } from './gossip.ts'
import { SMALL_TABLE } from './gossip.ts'

export type HelloFrame = Extract<Frame, { kind: 'hello' }>
export type HandshakeFrame = Extract<Frame, { kind: 'hello' | 'accept' | 'refuse' }>

/** What a frame led to. */
export type HandshakeStep =
  /** Their hello is good: answer with `accept`, tell them what they lack. */
  | {
      readonly type: 'introduced'
      readonly hello: HelloFrame
      readonly greeted: Greeting
      readonly done: boolean
    }
  | { readonly type: 'accepted'; readonly done: boolean }
  /** Their hello is refused: answer with `refuse`, close. `kept` is the life that stays, in a conflict. */
  | { readonly type: 'refuse'; readonly code: RefusalCode; readonly reason: string; readonly kept?: NodeId }
  | { readonly type: 'refused'; readonly code: RefusalCode; readonly reason: string }
  | { readonly type: 'malformed'; readonly reason: string }

interface Progress {
  readonly nodeId: NodeId
  readonly greeted: Greeting
  introduced: boolean
  accepted: boolean
}

export interface HandshakeOptions {
  readonly cluster: string
  readonly table: MembershipTable
  readonly limits: Limits
}

export class Handshakes {
  readonly #cluster: string
  readonly #table: MembershipTable
  readonly #limits: Limits
  readonly #links = new Map<LinkId, Progress>()

  constructor({ cluster, table, limits }: HandshakeOptions) {
    this.#cluster = cluster
    this.#table = table
    this.#limits = limits
  }

  /** The channel to `nodeId` is open. Returns the hello to send. */
  begin(linkId: LinkId, nodeId: NodeId): HelloFrame {
    const table = this.#table
    const digest: DigestEntry[] | undefined =
      table.size <= SMALL_TABLE ? digestOf(table, ALL_BUCKETS) : undefined
    const greeted = { saidAll: digest !== undefined, revision: table.log.revision }
    this.#links.set(linkId, { nodeId, greeted, introduced: false, accepted: false })
    return {
      kind: 'hello',
      minVersion: WIRE_MIN,
      maxVersion: WIRE_MAX,
      cluster: this.#cluster,
      nodeId: table.own,
      own: rangeOf(table.get(table.own)!, 0),
      buckets: table.hash.buckets,
      digest,
    }
  }

  isDone(linkId: LinkId): boolean {
    const progress = this.#links.get(linkId)
    return progress !== undefined && progress.introduced && progress.accepted
  }

  end(linkId: LinkId): void {
    this.#links.delete(linkId)
  }

  receive(linkId: LinkId, frame: HandshakeFrame): HandshakeStep {
    const progress = this.#links.get(linkId)
    if (!progress) return { type: 'malformed', reason: `${frame.kind} on a link that is not open` }
    switch (frame.kind) {
      case 'hello':
        return this.#onHello(progress, frame)
      case 'accept':
        if (progress.accepted) return { type: 'malformed', reason: 'accept came twice' }
        if (frame.version < WIRE_MIN || frame.version > WIRE_MAX) {
          return { type: 'malformed', reason: `wire version ${frame.version} was accepted but never offered` }
        }
        progress.accepted = true
        return { type: 'accepted', done: progress.introduced }
      case 'refuse':
        if (progress.accepted) return { type: 'malformed', reason: 'refuse came after accept' }
        return { type: 'refused', code: frame.code, reason: frame.reason }
    }
  }

  #onHello(progress: Progress, hello: HelloFrame): HandshakeStep {
    if (progress.introduced) return { type: 'malformed', reason: 'hello came twice' }
    if (hello.nodeId !== progress.nodeId) {
      return { type: 'malformed', reason: `${hello.nodeId} answered on a link to ${progress.nodeId}` }
    }
    if (hello.cluster !== this.#cluster) {
      const reason = `this is cluster "${this.#cluster}", not "${hello.cluster}"`
      return { type: 'refuse', code: 'cluster-mismatch', reason }
    }
    if (!hello.own) {
      const spoken = (min: number, max: number) => (min === max ? `${min}` : `${min} to ${max}`)
      const here = spoken(WIRE_MIN, WIRE_MAX)
      const there = spoken(hello.minVersion, hello.maxVersion)
      const reason = `no wire version is shared: ${here} here, ${there} there; reload the older page`
      return { type: 'refuse', code: 'schema-mismatch', reason }
    }
    return this.#judge(hello.nodeId) ?? this.#introduce(progress, hello)
  }

  #introduce(progress: Progress, hello: HelloFrame): HandshakeStep {
    progress.introduced = true
    return { type: 'introduced', hello, greeted: progress.greeted, done: progress.accepted }
  }

  /** Whether this life may be in the cluster, as far as this member knows. */
  #judge(nodeId: NodeId): HandshakeStep | undefined {
    const parts = parseNodeId(nodeId)!
    const known = this.#table.get(nodeId)
    if (known?.status === 'removed' || !this.#table.admissible(parts)) {
      return {
        type: 'refuse',
        code: 'removed',
        reason: 'this life was removed; go on as the next generation',
      }
    }
    const current = this.#table.currentLife(parts.authority)
    if (current !== undefined && current !== nodeId) {
      const kept = this.#table.get(current)!
      if (parts.generation === kept.parts.generation || nodeId === this.#table.own) {
        const reason = `another life of ${parts.authority} with the same generation is here: ${current}`
        return { type: 'refuse', code: 'authority-conflict', reason, kept: current }
      }
      if (compareLives(parts, kept.parts) < 0) {
        const reason = `a newer life of ${parts.authority} is here: ${current}`
        return { type: 'refuse', code: 'removed', reason }
      }
    }
    const newest = this.#table.newestLife(parts.authority)
    if (newest !== undefined && compareLives(parts, parseNodeId(newest)!) < 0) {
      const reason = `a newer life of ${parts.authority} was here: ${newest}`
      return { type: 'refuse', code: 'removed', reason }
    }
    if (!known && this.#table.size >= this.#limits.members) {
      return {
        type: 'refuse',
        code: 'table-full',
        reason: `the table is full (${this.#limits.members} records)`,
      }
    }
    return undefined
  }
}
