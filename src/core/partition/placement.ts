/**
 * Placement: who should own and hold a partition.
 *
 * Rendezvous hashing (Thaler and Ravishankar, 1998): every candidate has a score for every partition, the highest win.
 * Whoever joins takes only what it now scores highest for, and what a candidate leaves goes to many others. It says who
 * *should* hold a partition when it is born, and whom to take in; who does hold it, the council's map says, since that
 * must not change with every newcomer.
 *
 * Hashed are texts and numbers with their length before them, see PROTOCOL.md for the bytes and test vectors.
 */
import type { ProcessId } from '../identity/node-id.ts'
import { Writer } from '../wire/writer.ts'
import { murmur3 } from './murmur3.ts'
import type { PartitionId } from './partition.ts'
import { parsePartition } from './partition.ts'

/** Copies of a partition, the owner's included, where there are so many processes. */
export const REPLICAS = 3

/** A process that may hold partitions. */
export interface Candidate {
  readonly process: ProcessId
  /** Members of one browser are lost together. */
  readonly browser: string
  /** It can run grains of the kind: without that it holds copies only. */
  readonly isHost: boolean
  /** 0 for one that is seen, 1 for one hidden for a while, 2 for one that may be frozen soon. */
  readonly standby: number
}

/** Who should hold a partition; the owner is the first of `inSync`. */
export interface Placed {
  readonly owner: ProcessId
  readonly inSync: readonly ProcessId[]
}

/** How much a process is wanted for a partition: 53 bits, the higher the more. */
export function scoreOf(kind: string, slot: number, process: ProcessId): number {
  writer.reset().text(kind).varint(slot).text(process)
  const bytes = writer.take()
  return (murmur3(bytes, HIGH_SEED) & 0x1fffff) * 0x1_0000_0000 + murmur3(bytes, LOW_SEED)
}

/** The candidates, most wanted first: those at hand before those on standby, then by score. */
export function rank(kind: string, slot: number, candidates: readonly Candidate[]): Candidate[] {
  return candidates
    .map((candidate) => ({ candidate, score: scoreOf(kind, slot, candidate.process) }))
    .sort(
      (a, b) =>
        a.candidate.standby - b.candidate.standby ||
        b.score - a.score ||
        (a.candidate.process < b.candidate.process ? -1 : 1),
    )
    .map(({ candidate }) => candidate)
}

/**
 * Where a partition should be: its owner is the most wanted host, or `owner` where it has one that is to stay; the
 * others are hosts first, who could own it in turn, and spread over browsers. `undefined` where nobody can host the kind.
 */
export function place(
  kind: string,
  slot: number,
  candidates: readonly Candidate[],
  owner?: ProcessId,
): Placed | undefined {
  const ranked = rank(kind, slot, candidates)
  const first = ranked.find(({ process, isHost }) => (owner === undefined ? isHost : process === owner))
  if (!first) return undefined
  const chosen = [first]
  const browsers = new Set([first.browser])
  for (const { hosts, spread } of PASSES) {
    for (const candidate of ranked) {
      if (chosen.length >= REPLICAS) break
      if (chosen.includes(candidate) || (spread && browsers.has(candidate.browser))) continue
      if (hosts && !candidate.isHost) continue
      chosen.push(candidate)
      browsers.add(candidate.browser)
    }
  }
  return { owner: first.process, inSync: chosen.map(({ process }) => process) }
}

/** How many of these are wanted more for the partition than `process` is. */
export function rankAmong(partition: PartitionId, process: ProcessId, others: readonly ProcessId[]): number {
  const { kind, slot } = parsePartition(partition)!
  const own = scoreOf(kind, slot, process)
  let rank = 0
  for (const other of others) {
    const score = scoreOf(kind, slot, other)
    if (score > own || (score === own && other < process)) rank++
  }
  return rank
}

/** Without another host among those that hold it, nobody could take over: that comes before another browser. */
const PASSES = [
  { hosts: true, spread: true },
  { hosts: true, spread: false },
  { hosts: false, spread: true },
  { hosts: false, spread: false },
]

/** Two hashes that know nothing of one another, nor of that of a key. */
const HIGH_SEED = 1
const LOW_SEED = 2

const writer = new Writer()
