/**
 * Forks: what becomes of a key that two sides of a partition of the network have each held for their own.
 *
 * A history of a partition goes on under one owner after another, perhaps of another council. A copy remembers these
 * tenures (`HeldPartition.tenures`, as the leader epochs of Kafka, KIP-101): a council gives an epoch to one owner, which
 * gives each number once, and begins at the number where its own copy stood. So two copies that know of the same
 * tenure have in common all that was before it, and after it what the first of them had that left it. A state was
 * changed since on a side if it was in a tenure that the other side has not gone through, or in the last common one
 * above the number where the other side left that.
 *
 * Where nothing is known to be common, as of copies of different births, stamps say nothing, and only equal states are
 * equal.
 */
import type { Stamp } from '../partition/partition.ts'
import type { HeldPartition, KeyContent } from './held-partition.ts'
import type { CallerContents, CallRecord, KeyChange, KeyContents, Other, RecordDrop } from './key-contents.ts'
import { MAX_CALLERS, MAX_OUTCOMES, outcomesOf } from './key-contents.ts'
import type { CallOutcome } from '../rpc/messages.ts'

/** Under this council an owner began at that epoch, with a copy that stood at that number. */
export interface TenureStart extends Stamp {
  readonly group: string
}

/** Tenures that a copy remembers, the newest. */
export const MAX_TENURES = 32
/** States of other sides that a key remembers: those that wait, and those that were taken. */
export const MAX_OTHERS = 8

/** The first tenures that only one of two histories went through, right after the last common one. */
export interface Relation {
  readonly ours: TenureStart | undefined
  readonly theirs: TenureStart | undefined
}

/** Both as `HeldPartition.tenures`. `undefined`: they are not known to have anything in common. */
export function relate(ours: readonly TenureStart[], theirs: readonly TenureStart[]): Relation | undefined {
  for (let i = ours.length - 1; i >= 0; i--) {
    const { group, epoch } = ours[i]!
    const j = theirs.findLastIndex((one) => one.epoch === epoch && one.group === group)
    if (j >= 0) return { ours: ours[i + 1], theirs: theirs[j + 1] }
  }
  return undefined
}

/** Up to which number a copy has the same changes as the history of these tenures. */
export function commonUpTo(
  copy: Pick<HeldPartition, 'number' | 'tenures'>,
  tenures: readonly TenureStart[],
): number {
  const relation = relate(copy.tenures, tenures)
  if (!relation) return 0
  return Math.min(copy.number, relation.ours?.number ?? Infinity, relation.theirs?.number ?? Infinity)
}

/** Whether it was changed since the two sides have nothing in common any more. */
export function isChanged(
  { epoch, number }: Stamp,
  own: TenureStart | undefined,
  other: TenureStart | undefined,
): boolean {
  if (own && epoch >= own.epoch) return true
  return other !== undefined && number > other.number
}

/**
 * Of two changes of one key: whether the history of `theirs` goes on from `ours`, or the other way round; `undefined`
 * where the histories have parted before.
 */
export function goesOn(theirs: Stamp, ours: Stamp, relation: Relation): boolean | undefined {
  const isOursKnown = !isChanged(ours, relation.ours, relation.theirs)
  if (isChanged(theirs, relation.theirs, relation.ours)) return isOursKnown ? true : undefined
  const isLater = theirs.epoch === ours.epoch ? theirs.number > ours.number : theirs.epoch > ours.epoch
  return isOursKnown && isLater
}

/** Nothing is this side's own: what the other has goes on from it. */
export const BEHIND: Relation = { ours: { group: '', epoch: Infinity, number: -1 }, theirs: undefined }

/**
 * In which tenure a change was made; `undefined` where the copy does not tell. What is older than all that are
 * remembered counts as of the council of the oldest, at its own epoch.
 */
export function tenureOf(
  tenures: readonly TenureStart[],
  { epoch }: Stamp,
): Pick<TenureStart, 'group' | 'epoch'> | undefined {
  const known = tenures.findLast((tenure) => tenure.epoch <= epoch)
  return known ?? (mayLackOldest(tenures) ? { group: tenures[0]!.group, epoch } : undefined)
}

/** Older ones may have been forgotten. */
export const mayLackOldest = ({ length }: readonly TenureStart[]): boolean => length >= MAX_TENURES

/**
 * What the owner has to change about a key, for what another side has of it; `undefined`: nothing.
 * @param tenure in which they have changed it last
 */
export function changeFor(
  ours: KeyContent,
  theirs: KeyContent,
  relation: Relation | undefined,
  { group, epoch }: Pick<TenureStart, 'group' | 'epoch'>,
): KeyChange | undefined {
  const { number } = theirs
  const others = ours.contents?.others ?? []
  // It was taken, or something later of that side was.
  if (others.some((one) => one.group === group && one.epoch === epoch && one.number >= number))
    return undefined
  const verdict = judge(ours, theirs, relation)
  if (verdict === 'nothing') return undefined
  const change = callersFor(ours.contents, theirs.contents)
  if (verdict === 'records') return change.records.length + change.drops.length > 0 ? change : undefined
  const state = theirs.contents?.state
  // What waited there, in a room that nobody is left of, waits here.
  const waiting = relation ? [] : (theirs.contents?.others ?? []).filter((other) => other.state)
  const remembered = (one: Other) => [...remember(others, one), ...waiting]
  if (verdict === 'take')
    return { ...change, state: state ?? null, others: remembered({ group, epoch, number }) }
  return { ...change, others: remembered({ group, epoch, number, state: state! }) }
}

/** A key that is missing on a side that has all that is common was deleted there. */
export const isDeletedThere = (ours: KeyContent, relation: Relation | undefined): boolean =>
  relation !== undefined &&
  (relation.ours ?? relation.theirs) !== undefined &&
  ours.contents?.state !== undefined &&
  !isChanged(ours, relation.ours, relation.theirs)

type Verdict = 'nothing' | 'records' | 'take' | 'conflict'

function judge(ours: KeyContent, theirs: KeyContent, relation: Relation | undefined): Verdict {
  const [kept, other] = [ours.contents?.state, theirs.contents?.state]
  if (relation) {
    if (!isChanged(theirs, relation.theirs, relation.ours)) return 'nothing'
    if (!isChanged(stateStampOf(theirs), relation.theirs, relation.ours)) return 'records'
  }
  if (isSame(kept, other)) return 'records'
  if (relation && !isChanged(stateStampOf(ours), relation.ours, relation.theirs)) return 'take'
  // Where one has deleted what the other has changed, the change stays.
  if (other === undefined) return 'records'
  return kept === undefined ? 'take' : 'conflict'
}

/**
 * A change that brings what callers were answered there. What is known here counts. Half of the room that a key has for
 * that is left to its calls: of what is too much, the older calls of a caller are too old from then on.
 */
function callersFor(ours: KeyContents | undefined, theirs: KeyContents | undefined) {
  const records: CallRecord[] = []
  const drops: RecordDrop[] = []
  let seats = MAX_CALLERS / 2 - (ours?.callers.size ?? 0)
  let places = Math.max(0, MAX_OUTCOMES / 2 - outcomesOf(ours))
  for (const [caller, contents] of theirs?.callers ?? []) {
    const known = ours?.callers.get(caller)
    if (!known && seats-- <= 0) continue
    const news = newsOf(contents, known)
    const taken = news.slice(Math.max(0, news.length - places))
    places -= taken.length
    records.push(
      ...taken.map(([sequence, outcome]) => ({ caller, sequence, outcome, keepMs: contents.keepMs })),
    )
    const oldest = taken.length < news.length ? (taken[0]?.[0] ?? 0) : 0
    const first = Math.max(contents.first, oldest)
    if (first > (known?.first ?? 0)) drops.push({ caller, first })
  }
  return { records, drops }
}

/** Outcomes of a caller that are not known here, the newest last. */
function newsOf(theirs: CallerContents, ours: CallerContents | undefined): [number, CallOutcome][] {
  const isNew = (sequence: number): boolean =>
    sequence >= (ours?.first ?? 0) && ours?.outcomes.has(sequence) !== true
  return [...theirs.outcomes].filter(([sequence]) => isNew(sequence)).sort(([a], [b]) => a - b)
}

/** What waits stays, even if it is too much; of what was taken the oldest is forgotten. */
function remember(others: readonly Other[], one: Other): readonly Other[] {
  const oldest = others.findIndex(({ state }) => state === undefined)
  const isFull = others.length >= MAX_OTHERS && oldest >= 0
  return [...(isFull ? others.toSpliced(oldest, 1) : others), one]
}

export const stateStampOf = ({ epoch, number, contents }: KeyContent): Stamp =>
  contents?.stated ?? { epoch, number }

function isSame(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  if (a === b) return true
  return a !== undefined && a.length === b?.length && a.every((byte, i) => byte === b[i])
}
