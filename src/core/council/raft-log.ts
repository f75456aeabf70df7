/**
 * RaftLog: the entries of one process, the snapshot they follow, and which voters each part of it is counted by. Index
 * 1 is the first there ever was; the log holds those above `base`. The snapshot may reach further than `base`, so that
 * a follower that lags a little is sent entries (thesis 5.1).
 */
import type { ProcessId } from '../identity/node-id.ts'
import type { Entry, Snapshot } from './raft-messages.ts'

/** Voters, and the index of the entry that named them. */
export interface VoterSet {
  readonly index: number
  readonly voters: readonly ProcessId[]
}

/** What an entry counts for beyond its command. */
const ENTRY_BYTES = 16
const VOTER_BYTES = 17
const NOBODY: VoterSet = { index: 0, voters: [] }

export class RaftLog {
  #commit = 0
  #base = 0
  #baseTerm = 0
  #entries: Entry[] = []
  #bytes = 0
  #uncommittedBytes = 0
  #snapshot: Snapshot | undefined
  /** By index; the first is what `base` is counted by. */
  #voterSets: VoterSet[] = [NOBODY]

  /** Up to here all entries are known to be committed. */
  get commit(): number {
    return this.#commit
  }

  get base(): number {
    return this.#base
  }

  get lastIndex(): number {
    return this.#base + this.#entries.length
  }

  get lastTerm(): number {
    return this.#entries.at(-1)?.term ?? this.#baseTerm
  }

  /** Bytes of the entries, roughly. */
  get bytes(): number {
    return this.#bytes
  }

  /** Of those that are not known to be committed. */
  get uncommittedBytes(): number {
    return this.#uncommittedBytes
  }

  get snapshot(): Snapshot | undefined {
    return this.#snapshot
  }

  /** The voters of the newest entry that names them, committed or not. */
  get newest(): VoterSet {
    return this.#voterSets.at(-1)!
  }

  /** The voters of the newest entry that names them and is committed; nobody where none is known to be. */
  get decided(): VoterSet {
    return this.#voterSets.findLast(({ index }) => index <= this.commit) ?? NOBODY
  }

  /** Those before them, where the newest may still be taken back. */
  get previousVoters(): readonly ProcessId[] {
    if (this.newest.index <= this.commit) return []
    return this.#voterSets.at(-2)?.voters ?? []
  }

  /** The term of the entry there, as far as it is known. */
  termAt(index: number): number | undefined {
    return index === this.#base ? this.#baseTerm : this.entryAt(index)?.term
  }

  entryAt(index: number): Entry | undefined {
    return index > this.#base ? this.#entries[index - this.#base - 1] : undefined
  }

  /** Whether a log that ends so has all that this one has, as far as elections go (thesis 3.6.1). */
  isCoveredBy(lastIndex: number, lastTerm: number): boolean {
    return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex)
  }

  /** The first entry here of the term that `index` has. */
  firstOfTerm(index: number): number {
    const term = this.termAt(index)
    let first = index
    while (first - 1 > this.#base && this.termAt(first - 1) === term) first--
    return first
  }

  /** The last entry of that term; 0 where there is none. */
  lastOfTerm(term: number): number {
    let index = this.lastIndex
    while (index > this.#base && this.termAt(index)! > term) index--
    return this.termAt(index) === term ? index : 0
  }

  /** Entries from `from` on, within both limits, but at least one where there is one. */
  slice(from: number, maxEntries: number, maxBytes: number): Entry[] {
    const entries: Entry[] = []
    let bytes = 0
    for (let index = from; index <= this.lastIndex && entries.length < maxEntries; index++) {
      const entry = this.entryAt(index)!
      bytes += sizeOf(entry)
      if (bytes > maxBytes && entries.length > 0) break
      entries.push(entry)
    }
    return entries
  }

  /** Returns the index that the entry got. */
  append(entry: Entry): number {
    const bytes = sizeOf(entry)
    this.#entries.push(entry)
    this.#bytes += bytes
    this.#uncommittedBytes += bytes
    const index = this.lastIndex
    if (entry.kind === 'voters') this.#voterSets.push({ index, voters: entry.voters })
    return index
  }

  /** Up to there, as far as there are entries, all are known to be committed. */
  commitTo(index: number): void {
    while (this.#commit < Math.min(index, this.lastIndex))
      this.#uncommittedBytes -= sizeOf(this.entryAt(++this.#commit)!)
  }

  /** The first entry with which there are more than so many bytes that are not committed. */
  firstBeyond(bytes: number): number | undefined {
    if (this.#uncommittedBytes <= bytes) return undefined
    let sum = 0
    for (let index = this.#commit + 1; ; index++) {
      sum += sizeOf(this.entryAt(index)!)
      if (sum > bytes) return index
    }
  }

  /** Drops the entries from `index` on; what is committed stays. */
  truncate(index: number): void {
    if (index <= this.commit) return
    for (const entry of this.#entries.splice(index - this.#base - 1)) {
      this.#bytes -= sizeOf(entry)
      this.#uncommittedBytes -= sizeOf(entry)
    }
    while (this.#voterSets.length > 1 && this.newest.index >= index) this.#voterSets.pop()
  }

  /**
   * The owner's state as of `index` takes the place of the entries up to it, of which `kept` stay. Returns `false`
   * where there is nothing to do: that is not committed, or an equal or newer snapshot is here.
   */
  compact(index: number, bytes: Uint8Array, kept: number): boolean {
    const term = this.termAt(index)
    if (index > this.commit || index <= (this.#snapshot?.index ?? 0) || term === undefined) return false
    this.#snapshot = { index, term, voters: this.#votersAt(index), bytes }
    const base = Math.max(this.#base, index - kept)
    this.#baseTerm = this.termAt(base)!
    for (const entry of this.#entries.splice(0, base - this.#base)) this.#bytes -= sizeOf(entry)
    this.#base = base
    const isPast = (set: VoterSet | undefined): boolean => set !== undefined && set.index <= base
    while (isPast(this.#voterSets[1])) this.#voterSets.shift()
    return true
  }

  /** Begins anew with a snapshot; entries behind it stay where the log agrees with it. */
  restore(snapshot: Snapshot): void {
    const { index, term, voters } = snapshot
    const agrees = this.termAt(index) === term
    const rest = agrees ? this.#entries.slice(index - this.#base) : []
    this.#snapshot = snapshot
    this.#base = index
    this.#baseTerm = term
    const commit = Math.max(this.#commit, index)
    this.#commit = index
    this.#entries = []
    this.#bytes = 0
    this.#uncommittedBytes = 0
    this.#voterSets = [{ index, voters }]
    for (const entry of rest) this.append(entry)
    this.commitTo(commit)
  }

  #votersAt(index: number): readonly ProcessId[] {
    return this.#voterSets.findLast((set) => set.index <= index)?.voters ?? []
  }
}

/** How many of so many voters are a majority. */
export const quorumOf = (voters: readonly ProcessId[]): number => Math.floor(voters.length / 2) + 1

/** What an entry takes in a message, at most. */
export function sizeOf(entry: Entry): number {
  if (entry.kind === 'command') return ENTRY_BYTES + entry.command.length
  return entry.kind === 'voters' ? ENTRY_BYTES + VOTER_BYTES * entry.voters.length : ENTRY_BYTES
}
