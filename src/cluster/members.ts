import type { Member, NodeId } from '../api.ts'
import { parseNodeId } from '../core/identity/node-id.ts'
import type { NodeRecord } from '../core/membership/table.ts'
import type { NodeCore } from '../core/node.ts'
import type { Now } from '../core/time.ts'
import type { OriginRange } from '../core/wire/frames.ts'
import { decodeValue } from './values.ts'

interface Shown {
  readonly member: Member
  /** What the member was made from: same sources, same object. */
  readonly sources: readonly unknown[]
}

/** Turns records into members, and gives the same object for a member that has not changed. */
export class MemberList {
  readonly #shown = new Map<NodeId, Shown>()

  /** Removed ones excluded, sorted by nodeId. The same array if nothing changed. */
  build(core: NodeCore, before: readonly Member[] | undefined, now: Now): readonly Member[] {
    const rtts = new Map(core.links().map(({ nodeId, rttMs }) => [nodeId, rttMs]))
    const members: Member[] = []
    for (const record of core.table.records()) {
      if (record.status === undefined || record.status === 'removed') continue
      members.push(this.#member(core, record, rtts, now))
    }
    for (const range of core.remembered) {
      if (core.table.currentLife(parseNodeId(range.nodeId)!.authority) === undefined)
        members.push(this.#remembered(range))
    }
    members.sort((a, b) => (a.nodeId < b.nodeId ? -1 : 1))
    if (before && before.length === members.length && members.every((m, i) => m === before[i])) return before
    const present = new Set(members.map(({ nodeId }) => nodeId))
    for (const nodeId of this.#shown.keys()) if (!present.has(nodeId)) this.#shown.delete(nodeId)
    return Object.freeze(members)
  }

  /** A member of an earlier life, shown until the cluster has told what is so now. */
  #remembered(range: OriginRange): Member {
    const { nodeId, self } = range
    const known = this.#shown.get(nodeId)
    if (known?.sources[0] === range) return known.member
    const { authority, generation } = parseNodeId(nodeId)!
    const member: Member = Object.freeze({
      nodeId,
      authority,
      generation,
      incarnation: self!.incarnation,
      status: 'unreachable',
      suspected: false,
      meta: decodeValue(self!.meta),
      self: false,
      visibility: self!.visibility,
      path: 'none',
      linkedTo: Object.freeze([]),
    })
    this.#shown.set(nodeId, { member, sources: [range] })
    return member
  }

  #member(
    core: NodeCore,
    record: NodeRecord,
    rtts: ReadonlyMap<NodeId, number | undefined>,
    now: Now,
  ): Member {
    const { nodeId, parts, self, status } = record
    const isSelf = nodeId === core.nodeId
    const path = core.pathTo(nodeId, now)
    const rttMs = rtts.get(nodeId)
    const suspected = record.accusation?.rank === 'suspect'
    const { incarnation, visibility, meta } = self ?? {}
    const sources = [status, incarnation, visibility, meta, record.links, path, rttMs, suspected]
    const known = this.#shown.get(nodeId)
    if (
      known &&
      sources.every((source, i) => source === known.sources[i]) &&
      linksAreNamed(core, known.member, record)
    ) {
      return known.member
    }
    const member: Member = Object.freeze({
      nodeId,
      authority: parts.authority,
      generation: parts.generation,
      incarnation: incarnation ?? 0,
      status: status!,
      suspected,
      meta: known && known.sources[3] === meta ? known.member.meta : decodeValue(meta),
      self: isSelf,
      visibility: visibility ?? 'visible',
      path,
      ...(rttMs === undefined ? {} : { rttMs }),
      linkedTo: Object.freeze(linkedTo(core, record)),
    })
    this.#shown.set(nodeId, { member, sources })
    return member
  }
}

function linkedTo(core: NodeCore, record: NodeRecord): NodeId[] {
  const linked: NodeId[] = []
  for (const short of record.links) {
    const nodeId = core.table.byShort(short)
    const status = nodeId === undefined ? undefined : core.table.status(nodeId)
    if (nodeId !== undefined && status !== undefined && status !== 'removed') linked.push(nodeId)
  }
  return linked
}

/** Published links may name members that became known, or were removed, only after them. */
function linksAreNamed(core: NodeCore, member: Member, record: NodeRecord): boolean {
  let named = 0
  for (const short of record.links) {
    const nodeId = core.table.byShort(short)
    const status = nodeId === undefined ? undefined : core.table.status(nodeId)
    if (status !== undefined && status !== 'removed') named++
  }
  return named === member.linkedTo.length
}
