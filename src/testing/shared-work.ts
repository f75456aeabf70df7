/**
 * The commons of simulated nodes: a message is decoded once for all who receive it, equal ranges are one object, and
 * what a range makes of a record is one record for all who held the same before. A thousand tables of a thousand
 * records each fit into memory so, since most records are the same everywhere.
 */
import type { Commons } from '../core/commons.ts'
import type { NodeId } from '../core/identity/node-id.ts'
import type { Joined, NodeRecord } from '../core/membership/join.ts'
import { joinRange } from '../core/membership/join.ts'
import { sameAccusation } from '../core/membership/record.ts'
import type { SelfRegister } from '../core/membership/record.ts'
import { decodeMessage } from '../core/wire/codec.ts'
import type { Decoded } from '../core/wire/codec.ts'
import type { Envelope, OriginRange, StateEntry } from '../core/wire/frames.ts'

/** Ranges of one origin among which an equal one is looked for, and records that one range is remembered to join. */
const KEPT_RANGES = 8
const KEPT_JOINS = 3

/** What is remembered of a range lives as long as the range: it is kept on it. */
const JOINS = Symbol('joins')
const DECODED = Symbol('decoded')

interface Remembering {
  [JOINS]?: { readonly known: NodeRecord | undefined; readonly joined: Joined }[]
}

interface Read {
  [DECODED]?: Decoded
}

/** Work to be shared by the nodes of one run: they have the same limits. */
export function shareWork(): Commons {
  const ranges = new Map<NodeId, OriginRange[]>()

  const sharedRange = (range: OriginRange): OriginRange => {
    const known = ranges.get(range.nodeId)
    if (!known) {
      ranges.set(range.nodeId, [range])
      return range
    }
    const same = known.find((other) => isSame(other, range))
    if (same) return same
    if (known.length >= KEPT_RANGES) known.shift()
    known.push(range)
    return range
  }

  const shared = (envelope: Envelope): Envelope => {
    const { frame } = envelope
    return frame.kind === 'delta'
      ? { ...envelope, frame: { kind: 'delta', ranges: frame.ranges.map(sharedRange) } }
      : envelope
  }

  return {
    decode(bytes) {
      const read = bytes as Read
      if (read[DECODED]) return read[DECODED]
      const decoded = decodeMessage(bytes)
      return (read[DECODED] = decoded.ok ? { ok: true, envelopes: decoded.envelopes.map(shared) } : decoded)
    },
    join(known, range, parts, limits) {
      const joins = ((range as Remembering)[JOINS] ??= [])
      for (const join of joins) if (join.known === known) return join.joined
      const joined = joinRange(known, range, parts, limits)
      if (joins.length >= KEPT_JOINS) joins.shift()
      joins.push({ known, joined })
      return joined
    },
  }
}

function isSame(a: OriginRange, b: OriginRange): boolean {
  return (
    a.from === b.from &&
    a.to === b.to &&
    a.floor === b.floor &&
    sameAccusation(a.accusation, b.accusation) &&
    isSameSelf(a.self, b.self) &&
    a.entries.length === b.entries.length &&
    a.entries.every((entry, i) => isSameEntry(entry, b.entries[i]!))
  )
}

function isSameSelf(a: SelfRegister | undefined, b: SelfRegister | undefined): boolean {
  if (!a || !b) return a === b
  return (
    a.counter === b.counter &&
    a.incarnation === b.incarnation &&
    a.status === b.status &&
    a.visibility === b.visibility &&
    a.meta === b.meta &&
    a.process === b.process &&
    a.browser === b.browser
  )
}

const isSameEntry = (a: StateEntry, b: StateEntry): boolean =>
  a.key === b.key && a.version === b.version && a.value === b.value
