/**
 * Forks: what becomes of a key that two sides of a partition of the network have each held for their own.
 *
 * A history of a partition goes on under one council after another: under another one it went on by force, or because
 * a better one was met. A copy remembers these turns (`HeldPartition.forks`), the council in which it began first. Of
 * two copies, what both have in common ends where their turns begin to differ; that is a fork of the one, of the other,
 * or of each. Up to a fork an owner had given each number of an epoch once, so a state was changed since on the side
 * that forked if its epoch is not below the fork's, and on the other side if its number is above the fork's, or again
 * its epoch is not below.
 *
 * Where nothing is known to be common, as of copies of different births, stamps say nothing, and only equal states are
 * equal.
 */
import type { Stamp } from '../partition/partition.ts'
import type { KeyContent } from './held-partition.ts'
import type { CallRecord, KeyChange, KeyContents, Other, RecordDrop } from './key-contents.ts'

/** A history went on under this council from there: its first epoch under it, and the last number before. */
export interface Fork extends Stamp {
  readonly group: string
}

/** Turns that a copy remembers, the newest. */
export const MAX_FORKS = 16
/** States of other sides that a key remembers: those that wait, and those that were taken. */
export const MAX_OTHERS = 8

/** Where two histories left what they have in common; a side that never did has none. */
export interface Relation {
  readonly ours: Fork | undefined
  readonly theirs: Fork | undefined
}

/** Both as `HeldPartition.forks`. `undefined`: they are not known to have anything in common. */
export function relate(ours: readonly Fork[], theirs: readonly Fork[]): Relation | undefined {
  let [i, j] = [ours.findIndex(({ group }) => group === theirs[0]?.group), 0]
  if (i < 0) [i, j] = [0, theirs.findIndex(({ group }) => group === ours[0]?.group)]
  if (j < 0) return undefined
  while (ours[i + 1] && ours[i + 1]!.group === theirs[j + 1]?.group) [i, j] = [i + 1, j + 1]
  return { ours: ours[i + 1], theirs: theirs[j + 1] }
}

/** Whether it was changed since the two sides have nothing in common any more. */
export function isChanged({ epoch, number }: Stamp, own: Fork | undefined, other: Fork | undefined): boolean {
  if (own && epoch >= own.epoch) return true
  return other !== undefined && (number > other.number || epoch >= other.epoch)
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

/** Under which council a change was made; `undefined` where the copy does not tell. */
export const groupOf = (forks: readonly Fork[], { epoch }: Stamp): string | undefined =>
  forks.findLast((fork) => fork.epoch <= epoch)?.group

/** What the owner has to change about a key, for what another side has of it; `undefined`: nothing. */
export function changeFor(
  ours: KeyContent,
  theirs: KeyContent,
  relation: Relation | undefined,
  group: string,
): KeyChange | undefined {
  const { epoch, number } = theirs
  const others = ours.contents?.others ?? []
  // It was taken, or something later of that side was.
  if (others.some((one) => one.group === group && one.number >= number)) return undefined
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

/** A change that brings what callers were answered there. What is known here counts. */
function callersFor(ours: KeyContents | undefined, theirs: KeyContents | undefined) {
  const records: CallRecord[] = []
  const drops: RecordDrop[] = []
  for (const [caller, { first, keepMs, outcomes }] of theirs?.callers ?? []) {
    const known = ours?.callers.get(caller)
    for (const [sequence, outcome] of outcomes) {
      if (sequence < (known?.first ?? 0) || known?.outcomes.has(sequence)) continue
      records.push({ caller, sequence, outcome, keepMs })
    }
    if (first > (known?.first ?? 0)) drops.push({ caller, first })
  }
  return { records, drops }
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
