/**
 * What is known of one life of one member: a join of two registers.
 *
 * `self` is written only by its owner, `accusation` only by others. Both are join-semilattices, so is their pair:
 * merging is commutative, associative and idempotent, and replicas that saw the same writes are equal whatever the
 * order (Shapiro et al., Conflict-free Replicated Data Types, 2011; suspicion and refutation after SWIM, Das et al.,
 * 2002).
 */
import type { NodeId, ProcessId } from '../identity/node-id.ts'

export type NodeStatus = 'joining' | 'up' | 'leaving' | 'removed' | 'unreachable'
/** What an owner may say of itself. */
export type SelfStatus = 'joining' | 'up' | 'leaving'
export type Visibility = 'visible' | 'hidden' | 'frozen-soon'
export type AccusationRank = 'suspect' | 'unreachable' | 'removed'

/** Written by its owner alone. */
export interface SelfRegister {
  /** Rises only to refute an accusation. */
  readonly incarnation: number
  /** The owner's version at which this register was last written. */
  readonly counter: number
  readonly status: SelfStatus
  readonly process: ProcessId
  readonly browser: string
  readonly visibility: Visibility
  /** JSON text, or empty for none. The core never looks into it. */
  readonly meta: string
}

/** Written by others. `removed` tops every incarnation and carries neither incarnation nor observers. */
export interface Accusation {
  readonly incarnation: number
  readonly rank: AccusationRank
  /** Who observed it: sorted, at most `MAX_OBSERVERS`, the lowest nodeIds of the union. */
  readonly observers: readonly NodeId[]
}

/**
 * Observers kept in one accusation. Keeping the lowest of a union is itself a join, so the bound costs no law; five
 * are more than any decision asks for.
 */
export const MAX_OBSERVERS = 5

export const REMOVED: Accusation = Object.freeze({
  incarnation: 0,
  rank: 'removed',
  observers: Object.freeze([]),
})

const RANK: Readonly<Record<AccusationRank, number>> = { suspect: 0, unreachable: 1, removed: 2 }

/** The two registers of a record; either may not be known yet. */
export interface Registers {
  readonly self?: SelfRegister | undefined
  readonly accusation?: Accusation | undefined
}

/** Status is a pure function of both registers; `undefined` while neither says anything. */
export function statusOf({ self, accusation }: Registers): NodeStatus | undefined {
  if (accusation?.rank === 'removed') return 'removed'
  if (!self) return undefined
  if (accusation?.rank === 'unreachable' && accusation.incarnation >= self.incarnation) return 'unreachable'
  return self.status
}

/** The join of two records of the same nodeId. */
export function mergeRegisters(a: Registers, b: Registers): Registers {
  const self = mergeSelf(a.self, b.self)
  const accusation = effective(self, mergeAccusation(a.accusation, b.accusation))
  return { self, accusation }
}

/** The newer of two. Equal versions with different content (a broken owner) are ordered by content. */
export function mergeSelf(
  a: SelfRegister | undefined,
  b: SelfRegister | undefined,
): SelfRegister | undefined {
  if (!a || !b) return a ?? b
  return compareSelf(a, b) >= 0 ? a : b
}

/** `removed` tops all; else the higher incarnation, then the higher rank, then the union of observers. */
export function mergeAccusation(
  a: Accusation | undefined,
  b: Accusation | undefined,
): Accusation | undefined {
  if (!a || !b) return a ?? b
  if (a.rank === 'removed' || b.rank === 'removed') return REMOVED
  if (a.incarnation !== b.incarnation) return a.incarnation > b.incarnation ? a : b
  if (a.rank !== b.rank) return RANK[a.rank] > RANK[b.rank] ? a : b
  if (sameObservers(a.observers, b.observers)) return a
  return { ...a, observers: unionObservers(a.observers, b.observers) }
}

/** Erases an accusation that the owner has refuted by a higher incarnation. */
export function effective(
  self: SelfRegister | undefined,
  accusation: Accusation | undefined,
): Accusation | undefined {
  if (!accusation) return undefined
  if (accusation.rank === 'removed') return REMOVED
  return self && accusation.incarnation < self.incarnation ? undefined : accusation
}

export function sameAccusation(a: Accusation | undefined, b: Accusation | undefined): boolean {
  if (a === b) return true
  if (!a || !b) return false
  return a.incarnation === b.incarnation && a.rank === b.rank && sameObservers(a.observers, b.observers)
}

function compareSelf(a: SelfRegister, b: SelfRegister): number {
  return a.incarnation - b.incarnation || a.counter - b.counter || compareText(selfContent(a), selfContent(b))
}

const selfContent = (r: SelfRegister): string =>
  JSON.stringify([r.status, r.process, r.browser, r.visibility, r.meta])

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

const sameObservers = (a: readonly NodeId[], b: readonly NodeId[]): boolean =>
  a.length === b.length && a.every((id, i) => id === b[i])

const unionObservers = (a: readonly NodeId[], b: readonly NodeId[]): readonly NodeId[] =>
  [...new Set([...a, ...b])].sort(compareText).slice(0, MAX_OBSERVERS)
