/** When an unreachable life is removed: by the side that sees most, or on the signaling server's fresh word. */
import { describe, expect, it } from 'vitest'
import { Removal } from '../../../src/core/failure/removal.ts'
import { nodeIdOf, tableOf, wholeOf } from '../support/names.ts'

const REMOVE_AFTER_MS = 60_000
const [OWN, LOST] = [2, nodeIdOf(1)]

/** What member `own` sees of a room whose others are `others`. */
function side(own: number, others: readonly number[]) {
  const table = tableOf(own)
  table.writeOwn({ status: 'up' }, 'test')
  const removal = new Removal(table, REMOVE_AFTER_MS)
  const settle = (now: number): void => {
    for (const change of table.takeChanges()) removal.notice(change, now)
    removal.settle()
  }
  for (const index of others) table.apply(wholeOf(nodeIdOf(index)), 1, 0, 'test')
  settle(0)
  const lose = (index: number, now: number): void => {
    table.accuse(nodeIdOf(index), 'suspect', 'test')
    settle(now)
    table.convict(nodeIdOf(index), 'test')
    settle(now)
  }
  return { table, removal, settle, lose }
}

/** A room of two whose other member, the one with the lower nodeId, is lost. */
function two() {
  const { table, removal, settle, lose } = side(OWN, [1])
  const statusAt = (now: number) => {
    removal.tick(now)
    return table.status(LOST)
  }
  return { table, removal, settle, lose: (now: number) => lose(1, now), statusAt }
}

describe('a minority', () => {
  it('does not remove whom it lost', () => {
    const { lose, statusAt } = two()
    lose(1_000)
    expect(statusAt(200_000)).toBe('unreachable')
  })

  it('removes whose socket ended just before the suspicion', () => {
    const { removal, lose, statusAt } = two()
    removal.gone(LOST, 990)
    lose(1_000)
    expect(statusAt(60_999)).toBe('unreachable')
    expect(statusAt(61_000)).toBe('removed')
  })

  it('removes whose socket ended while it was unreachable', () => {
    const { removal, lose, statusAt } = two()
    lose(1_000)
    removal.gone(LOST, 20_000)
    expect(statusAt(61_000)).toBe('removed')
  })

  it('does not take the end of a socket for a word on a loss long after it', () => {
    const { removal, lose, statusAt } = two()
    removal.gone(LOST, 1_000)
    lose(100_000)
    expect(statusAt(300_000)).toBe('unreachable')
  })

  it('forgets the word when the member comes back', () => {
    const { table, removal, settle, lose, statusAt } = two()
    removal.gone(LOST, 990)
    lose(1_000)
    table.apply(wholeOf(LOST, { incarnation: 1, counter: 2 }), 1, 2_000, 'test')
    settle(2_000)
    expect(statusAt(61_000)).toBe('up')
    table.accuse(LOST, 'suspect', 'test')
    table.convict(LOST, 'test')
    settle(70_000)
    expect(statusAt(300_000)).toBe('unreachable')
  })
})

describe('a majority', () => {
  it('counts whoever is reloaded meanwhile', () => {
    const { table, removal, settle, lose } = side(1, [2, 3, 4, 5])
    lose(4, 1_000)
    lose(5, 1_000)
    for (const index of [2, 3]) {
      table.remove(nodeIdOf(index), 2_000, 'left')
      table.apply(wholeOf(nodeIdOf(index, 2)), 1, 2_000, 'test')
    }
    settle(2_000)
    removal.tick(61_000)
    expect([4, 5].map((index) => table.status(nodeIdOf(index)))).toEqual(['removed', 'removed'])
  })

  it('is not made of those alone whom a newcomer has not heard to be lost', () => {
    const { table, removal, settle } = side(1, [2])
    const verdict = { rank: 'unreachable' as const, incarnation: 0, observers: [nodeIdOf(2)] }
    const lost = [3, 4, 5].map((index) => nodeIdOf(index))
    for (const nodeId of lost) table.apply({ ...wholeOf(nodeId), accusation: verdict }, 1, 1_000, 'test')
    settle(1_000)
    removal.tick(200_000)
    expect(lost.map((nodeId) => table.status(nodeId))).toEqual(Array(3).fill('unreachable'))
  })
})
