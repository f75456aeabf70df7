/**
 * Whose turn it is: of a game, a round of talks, a retrospective. The order is that in which players came. Only the
 * player whose turn it is can end it, so pressing twice ends one turn; whoever leaves is skipped from then on.
 */
import { defineGrain, type Cluster, type GrainProxy, type MethodsOf } from '../src/index.ts'

export interface Table {
  /** In the order in which they play. */
  readonly players: readonly string[]
  /** Whose turn it is; `null` where nobody plays. */
  readonly turn: string | null
  /** Turns that have begun: whoever has seen this number has seen this turn. */
  readonly number: number
}

export const Turns = defineGrain('turns', (self) => {
  const table = self.state<Table>({ players: [], turn: null, number: 0 })
  return {
    /** Sits down as the last one; the first who comes begins. */
    join(player: string): Table {
      const { players, turn, number } = table.value
      if (!players.includes(player)) {
        const begins = turn === null
        table.value = {
          players: [...players, player],
          turn: turn ?? player,
          number: begins ? number + 1 : number,
        }
      }
      return table.value
    },
    /** Gets up. If it was this player's turn, it is the next one's. */
    leave(player: string): Table {
      const { players, turn, number } = table.value
      if (players.includes(player)) {
        const isTheirs = turn === player
        table.value = {
          players: players.filter((other) => other !== player),
          turn: isTheirs ? playerAfter(players, player) : turn,
          number: isTheirs ? number + 1 : number,
        }
      }
      return table.value
    },
    /** Ends the turn of this player, if it is theirs: what comes late, or twice, changes nothing. */
    next(player: string): Table {
      const { players, turn, number } = table.value
      if (turn === player) {
        table.value = { players, turn: playerAfter(players, player) ?? player, number: number + 1 }
      }
      return table.value
    },
    read: (): Table => table.value,
  }
})

/**
 * Takes the place of those who went without a word: where players are authorities, every tab says of a member that is
 * gone that it has left, and saying it twice does no harm. Returns the way to stop.
 *
 * ```ts
 * const turns = cluster.grain(Turns, 'game')
 * await turns.join(cluster.self.authority)
 * const stop = skipWhoIsGone(cluster, turns)
 * ```
 */
export function skipWhoIsGone(
  cluster: Pick<Cluster, 'on' | 'members'>,
  turns: GrainProxy<MethodsOf<typeof Turns>>,
): () => void {
  return cluster.on('member-status', ({ nodeId, to }) => {
    const authority = nodeId.split('.')[0]!
    // a reload is another life of the same member, which may be there already
    const isBack = cluster.members.get().some((member) => member.authority === authority)
    if (to === 'removed' && !isBack) turns.leave(authority).catch(() => {})
  })
}

/** `null` where there is no other. */
function playerAfter(players: readonly string[], player: string): string | null {
  if (players.length < 2) return null
  return players[(players.indexOf(player) + 1) % players.length]!
}
