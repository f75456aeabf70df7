/**
 * What one origin's range makes of its record. Pure: records never change, a newer one takes the place of an older one.
 * So nodes that share a process may share records, and what comes of the same range is worked out once for all.
 */
import type { NodeId, NodeIdParts } from '../identity/node-id.ts'
import type { Limits } from '../tuning.ts'
import { utf8Length } from '../utf8.ts'
import type { OriginRange, StateEntry } from '../wire/frames.ts'
import type { HashWords } from './content-hash.ts'
import { wordsOf } from './content-hash.ts'
import { shortOf } from './hash.ts'
import { decodeLinks, MAX_LINKS_BYTES, saysRelayOnly } from './published-links.ts'
import type { Accusation, NodeStatus, SelfRegister } from './record.ts'
import { effective, mergeAccusation, mergeSelf, statusOf } from './record.ts'
import { LINKS_KEY } from './state-key.ts'

/** What is known of one nodeId. */
export interface NodeRecord {
  readonly nodeId: NodeId
  readonly parts: NodeIdParts
  /** 32-bit hash of the authority: its bucket, and its name in published links. */
  readonly short: number
  /** The origin's version: everything up to it is known here. */
  readonly counter: number
  /** Tombstones of entries up to this version are forgotten. */
  readonly floor: number
  readonly self: SelfRegister | undefined
  readonly accusation: Accusation | undefined
  readonly status: NodeStatus | undefined
  readonly entries: ReadonlyMap<string, StateEntry>
  /** Short hashes of the members it says it is linked to. */
  readonly links: ReadonlySet<number>
  /** It says that it can have no direct links. */
  readonly relayOnly: boolean
  /** When it was removed here, on the monotonic clock. */
  readonly removedAt: number | undefined
  /** What it adds to the table's hashes. */
  readonly words: HashWords
}

/** A record without what follows from the rest of it. */
export type Draft = Omit<NodeRecord, 'status' | 'links' | 'relayOnly' | 'words'>

export interface Joined {
  readonly record: NodeRecord
  /** Keys of peer state that changed. */
  readonly keys: readonly string[]
}

/** More forgotten keys than this and the floor rises. */
export const MAX_TOMBSTONE_KEYS = 32
export const NO_KEYS: readonly string[] = []
const NO_ENTRIES: ReadonlyMap<string, StateEntry> = new Map()

/** A life of which nothing is known yet. */
export const newDraft = (nodeId: NodeId, parts: NodeIdParts): Draft => ({
  nodeId,
  parts,
  short: shortOf(nodeId),
  counter: 0,
  floor: 0,
  self: undefined,
  accusation: undefined,
  entries: NO_ENTRIES,
  removedAt: undefined,
})

/** Adds what follows from the rest; `before` saves reading links again where they are the same. */
export function finish(draft: Draft, before: NodeRecord | undefined): NodeRecord {
  const { nodeId, parts, short, counter, floor, self, accusation, entries, removedAt } = draft
  const status = statusOf(draft)
  const value = entries.get(LINKS_KEY)?.value
  const links = before?.entries === entries ? before.links : decodeLinks(value)
  const relayOnly = saysRelayOnly(value)
  const words = wordsOf({ nodeId, counter, self, accusation, status })
  return {
    nodeId,
    parts,
    short,
    counter,
    floor,
    self,
    accusation,
    status,
    entries,
    links,
    relayOnly,
    removedAt,
    words,
  }
}

/** Joins a range that brings news, of versions or of an accusation, with what is known. */
export function joinRange(
  known: NodeRecord | undefined,
  range: OriginRange,
  parts: NodeIdParts,
  limits: Limits,
): Joined {
  const before: Draft = known ?? newDraft(range.nodeId, parts)
  const isNewer = range.to > before.counter && range.from <= before.counter
  const mayTake = isNewer && (before.counter >= range.floor || range.from === 0)
  const draft = mayTake ? take(before, range, limits) : { draft: before, keys: NO_KEYS }
  const accusation = effective(draft.draft.self, mergeAccusation(before.accusation, range.accusation))
  return { record: finish({ ...draft.draft, accusation }, known), keys: draft.keys }
}

/** What of a range is over its limit. A record that everybody takes over must fit into one message of everybody's. */
export function oversize({ nodeId, self, entries }: OriginRange, limits: Limits): string | undefined {
  const max = Math.max(limits.valueBytes, MAX_LINKS_BYTES)
  const over = (what: string, text: string): string | undefined => {
    const bytes = text.length * 3 > max ? utf8Length(text) : 0
    return bytes > max ? `${what} of ${nodeId} has ${bytes} bytes, over its limit of ${max}` : undefined
  }
  for (const { key, value } of entries) {
    const problem = value === undefined ? undefined : over(`peer state "${key}"`, value)
    if (problem !== undefined) return problem
  }
  return self && over('meta', self.meta)
}

/** Takes over the newer part of a range. */
function take(
  before: Draft,
  range: OriginRange,
  limits: Limits,
): { readonly draft: Draft; readonly keys: readonly string[] } {
  const keys: string[] = []
  const entries = new Map(before.entries)
  if (range.from === 0 && entries.size > 0) {
    const listed = new Set(range.entries.map((entry) => entry.key))
    for (const key of before.entries.keys()) {
      if (listed.has(key)) continue
      entries.delete(key)
      keys.push(key)
    }
  }
  // One more than the limit, for the protocol's own key.
  let values = limits.peerStateKeys + 1
  for (const entry of entries.values()) if (entry.value !== undefined) values--
  for (const entry of range.entries) {
    const known = entries.get(entry.key)
    if (known && known.version >= entry.version) continue
    if (!known && entries.size >= limits.peerStateKeys + MAX_TOMBSTONE_KEYS + 1) continue
    const grows = (entry.value === undefined ? 0 : 1) - (known?.value === undefined ? 0 : 1)
    if (grows > values) continue
    values -= grows
    entries.set(entry.key, entry)
    keys.push(entry.key)
  }
  const floor = Math.max(before.floor, range.floor)
  let isSame = keys.length === 0
  for (const entry of entries.values()) {
    if (entry.value !== undefined || entry.version > floor) continue
    entries.delete(entry.key)
    isSame = false
  }
  const self = mergeSelf(before.self, range.self)
  const kept = isSame ? before.entries : entries
  return { draft: { ...before, self, counter: range.to, floor, entries: kept }, keys }
}
