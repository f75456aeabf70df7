/**
 * What is kept of a key, by its owner and by every replica: its state, and the outcomes of calls that have taken effect
 * on it, so that a retry is answered and not run again (RIFL, Lee et al., 2015). A change brings both at once.
 */
import type { Stamp } from '../partition/partition.ts'
import type { CallerId, CallOutcome } from '../rpc/messages.ts'

/**
 * Callers of a key, and outcomes of all of them together, that may be kept: each change takes time for all of them. An
 * owner takes no calls long before (`RecordLimits`), but a change brings along what its caller has read: see
 * `CallRecords`.
 */
export const MAX_CALLERS = 8_192
export const MAX_OUTCOMES = 8_192

/** A call that has taken effect, so that it never does again. */
export interface CallRecord {
  readonly caller: CallerId
  readonly sequence: number
  readonly outcome: CallOutcome
  /** Of nested calls: how long it is kept without word of its caller, in ms, from when an owner first reads it. */
  readonly keepMs: number
}

/** Records that nobody needs any more. */
export interface RecordDrop {
  readonly caller: CallerId
  /** All below go. What comes below later is too old. `Infinity`: everything about this caller goes. */
  readonly first: number
}

/** One entry of a partition. */
export interface KeyChange {
  /** The whole new state; `null`: deleted; absent: as before. */
  readonly state?: Uint8Array | null
  readonly records: readonly CallRecord[]
  readonly drops: readonly RecordDrop[]
  /** All that is kept of other sides from now on; absent: as before. */
  readonly others?: readonly Other[]
}

/** What another side of a partition of the network had of the key: the number of its last change there. */
export interface Other extends Stamp {
  /** With the epoch: in which tenure that was. */
  readonly group: string
  /** Both sides have changed it, and this waits for the next activation. Absent once it is settled, so that it stays so. */
  readonly state?: Uint8Array
}

/** What is kept of one caller of a key. */
export interface CallerContents {
  readonly first: number
  readonly keepMs: number
  readonly outcomes: ReadonlyMap<number, CallOutcome>
}

/** Everything that is kept of a key. */
export interface KeyContents {
  readonly state: Uint8Array | undefined
  readonly callers: ReadonlyMap<CallerId, CallerContents>
  readonly others?: readonly Other[]
  /** Of the last change of the state, where a later one changed other things only. */
  readonly stated?: Stamp
}

export function outcomesOf(contents: KeyContents | undefined): number {
  let count = 0
  for (const { outcomes } of contents?.callers.values() ?? []) count += outcomes.size
  return count
}

/** The contents of a key after a change; `undefined` when nothing is left to keep. */
export function applyChange(before: KeyContents | undefined, change: KeyChange): KeyContents | undefined {
  const { state, records, drops } = change
  const callers = new Map(before?.callers)
  // Copied once for all records of a caller: they may be thousands.
  const copies = new Map<CallerId, Map<number, CallOutcome>>()
  for (const { caller, sequence, outcome, keepMs } of records) {
    const known = callers.get(caller)
    // Settled while it ran: nobody will ask for it.
    if (known && sequence < known.first) continue
    const outcomes = copies.get(caller) ?? new Map(known?.outcomes)
    copies.set(caller, outcomes.set(sequence, outcome))
    callers.set(caller, { first: known?.first ?? 0, keepMs: Math.max(keepMs, known?.keepMs ?? 0), outcomes })
  }
  for (const { caller, first } of drops) {
    if (first === Infinity) {
      callers.delete(caller)
      continue
    }
    const known = callers.get(caller)
    if (known && known.first >= first) continue
    const outcomes = new Map<number, CallOutcome>()
    for (const [sequence, outcome] of known?.outcomes ?? [])
      if (sequence >= first) outcomes.set(sequence, outcome)
    callers.set(caller, { first, keepMs: known?.keepMs ?? 0, outcomes })
  }
  const now = state === undefined ? before?.state : (state ?? undefined)
  const others = change.others ?? before?.others ?? []
  const waits = others.some((other) => other.state !== undefined)
  if (now === undefined && callers.size === 0 && !waits) return undefined
  return others.length > 0 ? { state: now, callers, others } : { state: now, callers }
}
