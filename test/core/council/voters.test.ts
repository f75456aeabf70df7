/** Who sits on the council: step by step towards enough voters, of different browsers, that live. */
import { describe, expect, it } from 'vitest'
import type { Seat } from '../../../src/core/council/voters.ts'
import { nextVoterChange, votersFor } from '../../../src/core/council/voters.ts'

/** "a1" is a member of browser 1; those named first are up for longer. */
const room = (...names: string[]): Seat[] =>
  names.map((name, i) => ({ process: name, browser: name.slice(1), standby: 0, upSince: i }))

/** Takes steps until there is none to take. */
function settled(voters: readonly string[], live: readonly Seat[], leader = voters[0]!): string[] {
  let seated = [...voters]
  for (let step = 0; step < 20; step++) {
    const change = nextVoterChange(seated, live, leader)
    if (!change) return seated
    if (change.type === 'add') seated.push(change.process)
    else seated = seated.filter((process) => process !== change.process)
  }
  throw new Error(`it never rests: ${seated.join(' ')}`)
}

describe('voters', () => {
  it.each([
    [1, 1],
    [2, 2],
    [3, 3],
    [6, 3],
    [7, 5],
    [100, 5],
  ])('a room of %i has %i', (members, voters) => {
    expect(votersFor(members)).toBe(voters)
    const live = room(...Array.from({ length: members }, (_, i) => `${String.fromCharCode(97 + i)}${i}`))
    expect(settled(['a0'], live)).toHaveLength(voters)
  })

  it('are those that are up for longest', () => {
    expect(settled(['a1'], room('a1', 'b2', 'c3', 'd4', 'e5'))).toEqual(['a1', 'b2', 'c3'])
  })

  it('stay while they live, whoever else comes', () => {
    const live = room('a1', 'b2', 'c3', 'd4', 'e5')
    expect(nextVoterChange(['c3', 'd4', 'e5'], live, 'e5')).toBeUndefined()
  })

  it('that are lost go first, then another comes', () => {
    const live = room('a1', 'b2', 'd4', 'e5')
    expect(nextVoterChange(['a1', 'b2', 'c3'], live, 'a1')).toEqual({ type: 'remove', process: 'c3' })
    expect(settled(['a1', 'b2', 'c3'], live)).toEqual(['a1', 'b2', 'd4'])
  })

  it('shrink with the room, and the leader stays', () => {
    expect(settled(['c3', 'b2', 'a1'], room('a1', 'c3'), 'c3')).toEqual(['c3', 'a1'])
    expect(settled(['c3', 'b2', 'a1'], room('c3'), 'c3')).toEqual(['c3'])
  })

  it('are of different browsers where there are some', () => {
    expect(settled(['a1'], room('a1', 'b1', 'c1', 'd2', 'e3'))).toEqual(['a1', 'd2', 'e3'])
    // those of one window sat alone before others came
    expect(settled(['a1', 'b1', 'c1'], room('a1', 'b1', 'c1', 'd2', 'e3')).sort()).toEqual(['a1', 'd2', 'e3'])
    // and where there is one browser only, it is one
    expect(settled(['a1'], room('a1', 'b1', 'c1'))).toEqual(['a1', 'b1', 'c1'])
  })

  it('are not those that may be frozen soon, while there are others', () => {
    const live = room('a1', 'b2', 'c3', 'd4')
    live[1] = { ...live[1]!, standby: 2 }
    expect(settled(['a1'], live)).toEqual(['a1', 'c3', 'd4'])
  })
})
