/**
 * Who should sit on the council: the longest-up members that are seen, of as many browsers as possible, as many as the
 * size of the room allows to lose. Voters stay while they live: every change of them is an entry that a quorum must
 * hold.
 */
import type { ProcessId } from '../identity/node-id.ts'

export interface Seat {
  readonly process: ProcessId
  /** Members of one browser are lost together. */
  readonly browser: string
  /** 0 for one that is seen, 1 for one hidden for a while, 2 for one that may be frozen soon. */
  readonly standby: number
  /** When this member first saw it up, on its own monotonic clock. */
  readonly upSince: number
}

/** One step: single-server changes never leave two majorities that do not meet (Ongaro, 2014, 4.1). */
export interface VoterChange {
  readonly type: 'add' | 'remove'
  readonly process: ProcessId
}

/** How many voters a room of so many members has. Even numbers lose no more than the odd one below. */
export const votersFor = (members: number): number =>
  members >= 7 ? 5 : members >= 3 ? 3 : Math.max(1, members)

/**
 * The next step towards the voters that should be, or `undefined` where they are. `live` are all members that may
 * vote, the leader among them.
 */
export function nextVoterChange(
  voters: readonly ProcessId[],
  live: readonly Seat[],
  leader: ProcessId,
): VoterChange | undefined {
  const seats = new Map(live.map((seat) => [seat.process, seat]))
  const wanted = votersFor(live.length)
  // A voter that is lost is of no use to a quorum: without it the quorum is smaller at once.
  const gone = voters.find((process) => process !== leader && !seats.has(process))
  if (gone !== undefined) return { type: 'remove', process: gone }
  const sitting = voters.flatMap((process) => seats.get(process) ?? [])
  if (sitting.length > wanted) return { type: 'remove', process: leastWanted(sitting, leader).process }
  const next = best(live, sitting)
  if (!next) return undefined
  if (sitting.length < wanted) return { type: 'add', process: next.process }
  // One of many from a browser gives its place to one from a browser that has none: added first, then one too many.
  const isNew = !sitting.some(({ browser }) => browser === next.browser)
  const crowded = new Set(sitting.map(({ browser }) => browser)).size < sitting.length
  return isNew && crowded && next.standby < 2 ? { type: 'add', process: next.process } : undefined
}

/** Of those that do not sit: from a browser that has no seat, at hand, up for long. */
function best(live: readonly Seat[], sitting: readonly Seat[]): Seat | undefined {
  const seated = new Set(sitting.map(({ process }) => process))
  const browsers = new Set(sitting.map(({ browser }) => browser))
  const isTaken = ({ browser }: Seat): number => (browsers.has(browser) ? 1 : 0)
  return live
    .filter(({ process }) => !seated.has(process))
    .sort((a, b) => isFrozen(a) - isFrozen(b) || isTaken(a) - isTaken(b) || byWorth(a, b))[0]
}

/** Never the leader: it would have to pass on leadership first. */
function leastWanted(sitting: readonly Seat[], leader: ProcessId): Seat {
  const seats = new Map<string, number>()
  for (const { browser } of sitting) seats.set(browser, (seats.get(browser) ?? 0) + 1)
  const isSpare = ({ browser }: Seat): number => (seats.get(browser)! > 1 ? 1 : 0)
  return sitting
    .filter(({ process }) => process !== leader)
    .sort((a, b) => isFrozen(b) - isFrozen(a) || isSpare(b) - isSpare(a) || byWorth(b, a))[0]!
}

const isFrozen = ({ standby }: Seat): number => (standby >= 2 ? 1 : 0)

const byWorth = (a: Seat, b: Seat): number =>
  a.standby - b.standby || a.upSince - b.upSince || (a.process < b.process ? -1 : 1)
