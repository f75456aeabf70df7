/**
 * PartitionMap: what the council agrees on. For each partition of each kind that was ever used: who owns it, and who
 * holds every acknowledged change of it.
 *
 * A state machine in the sense of Raft: the same commands in the same order give the same map, everywhere. A change
 * names the epoch that its proposer knows, and takes effect only where that is still the present one: PacificA's
 * reconfiguration by a configuration manager (Lin et al., 2008). So a command that comes late, or twice, does nothing.
 */
import type { ProcessId } from '../identity/node-id.ts'
import type { MapEntry } from '../partition/partition.ts'
import { MAX_HOLDERS, SLOTS } from '../partition/partition.ts'

/** Where a partition goes at its birth. */
export type Birth = Pick<MapEntry, 'owner' | 'inSync'>

export type Command =
  /** The kind is used for the first time: one birth for each slot. Without effect if the map has the kind. */
  | { readonly type: 'birth'; readonly kind: string; readonly births: readonly Birth[] }
  /** Slots of one kind that change in the same way, each where its epoch is the present one. */
  | {
      readonly type: 'change'
      readonly kind: string
      readonly slots: readonly number[]
      /** What the proposer knows, one for each slot. */
      readonly epochs: readonly number[]
      /** It holds everything now. */
      readonly add?: ProcessId | undefined
      /** It does not any more. Not the owner, unless another is named. */
      readonly remove?: ProcessId | undefined
      /** It owns them from here on. Where it did so before, its epoch grows all the same: it begins anew. */
      readonly owner?: ProcessId | undefined
    }
  /**
   * What a group that is given up for this one has decided. Of a kind that this one does not know, it counts; else the
   * epochs of these slots rise above it, so that whoever followed that group takes over what this one says.
   */
  | {
      readonly type: 'adopt'
      readonly kind: string
      readonly slots: readonly number[]
      readonly entries: readonly MapEntry[]
    }
  /** Slots whose last holder is lost: they begin anew. */
  | {
      readonly type: 'lose'
      readonly kind: string
      readonly slots: readonly number[]
      readonly epochs: readonly number[]
      readonly birth: Birth
    }

/** Kinds of grain in one cluster. */
export const MAX_KINDS = 256
/** Far beyond any use; a partition that gets there stays as it is, so that whatever is in a map can be told. */
export const MAX_EPOCH = 2 ** 47
/**
 * What another group is believed to have been ahead by: a partition that changes each second gets there in half a
 * year. So no group makes another one's epochs end.
 */
const MAX_EPOCHS_AHEAD = 2 ** 24

export class PartitionMap {
  readonly #kinds = new Map<string, MapEntry[]>()

  /** Kinds that were born, with one entry for each slot. */
  kinds(): IterableIterator<[string, readonly MapEntry[]]> {
    return this.#kinds.entries()
  }

  has(kind: string): boolean {
    return this.#kinds.has(kind)
  }

  get(kind: string, slot: number): MapEntry | undefined {
    return this.#kinds.get(kind)?.[slot]
  }

  /** Puts in what a snapshot holds. */
  set(kind: string, entries: readonly MapEntry[]): void {
    this.#kinds.set(kind, [...entries])
  }

  /** Returns the slots whose entry has changed; none where nothing of the command fits. */
  apply(command: Command): readonly number[] {
    if (command.type === 'birth') return this.#bear(command.kind, command.births)
    if (command.type === 'adopt') return this.#adopt(command)
    const entries = this.#kinds.get(command.kind)
    if (!entries) return NONE
    const changed: number[] = []
    for (const [i, slot] of command.slots.entries()) {
      const before = entries[slot]
      if (!before || before.epoch !== command.epochs[i]) continue
      const after = command.type === 'lose' ? bornAnew(before, command.birth) : changeOf(before, command)
      if (!after) continue
      entries[slot] = after
      changed.push(slot)
    }
    return changed
  }

  #adopt({ kind, slots, entries: theirs }: Extract<Command, { type: 'adopt' }>): readonly number[] {
    const entries = this.#kinds.get(kind)
    if (!entries) {
      const isWhole = slots.length === SLOTS && slots.every((slot, i) => slot === i)
      if (!isWhole || this.#kinds.size >= MAX_KINDS || !theirs.every(mayBeTaken)) return NONE
      this.#kinds.set(kind, [...theirs])
      return ALL
    }
    const changed: number[] = []
    for (const [i, slot] of slots.entries()) {
      const [ours, other] = [entries[slot]!, theirs[i]!]
      if (ours.epoch > other.epoch || other.epoch > ours.epoch + MAX_EPOCHS_AHEAD) continue
      if (other.epoch >= MAX_EPOCH) continue
      entries[slot] = { ...ours, epoch: other.epoch + 1 }
      changed.push(slot)
    }
    return changed
  }

  #bear(kind: string, births: readonly Birth[]): readonly number[] {
    if (this.#kinds.has(kind) || this.#kinds.size >= MAX_KINDS) return NONE
    if (births.length !== SLOTS || !births.every(isSound)) return NONE
    this.#kinds.set(
      kind,
      births.map(({ owner, inSync }) => ({ epoch: 1, owner, inSync, born: 1 })),
    )
    return ALL
  }
}

/** What an entry is after a change, or `undefined` where the change is none, or would leave it unsound. */
function changeOf(before: MapEntry, command: Extract<Command, { type: 'change' }>): MapEntry | undefined {
  const { add, remove, owner = before.owner } = command
  let { inSync } = before
  if (remove !== undefined) inSync = inSync.filter((process) => process !== remove)
  if (add !== undefined && !inSync.includes(add)) inSync = [...inSync, add]
  const isSame = inSync.length === before.inSync.length && !isSwapped(before, inSync)
  if ((isSame && command.owner === undefined) || !isSound({ owner, inSync })) return undefined
  if (before.epoch >= MAX_EPOCH) return undefined
  return { epoch: before.epoch + 1, owner, inSync, born: before.born }
}

const isSwapped = (before: MapEntry, inSync: readonly ProcessId[]): boolean =>
  inSync.some((process) => !before.inSync.includes(process))

function bornAnew(before: MapEntry, birth: Birth): MapEntry | undefined {
  const epoch = before.epoch + 1
  return isSound(birth) && epoch <= MAX_EPOCH
    ? { epoch, owner: birth.owner, inSync: birth.inSync, born: epoch }
    : undefined
}

const isSound = ({ owner, inSync }: Birth): boolean =>
  inSync.length <= MAX_HOLDERS && new Set(inSync).size === inSync.length && inSync.includes(owner)

const mayBeTaken = (entry: MapEntry): boolean => isSound(entry) && entry.epoch <= MAX_EPOCHS_AHEAD

const NONE: readonly number[] = []
const ALL: readonly number[] = Array.from({ length: SLOTS }, (_, slot) => slot)
