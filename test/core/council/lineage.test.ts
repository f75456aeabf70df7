/** Which of several councils is followed, by what those who are there say. */
import { describe, expect, it } from 'vitest'
import type { KnownCouncil, Present } from '../../../src/core/council/lineage.ts'
import { hasQuorum, isBetter, whyBetter } from '../../../src/core/council/lineage.ts'

const council = (letter: string, forks: number, voters: string): KnownCouncil => ({
  group: `${letter.repeat(16)}.${forks}`,
  index: 1,
  voters: [...voters],
})

/** Who is there, and which of these has which council for its own. */
const present = (live: string, ...own: readonly (readonly [string, KnownCouncil])[]): Present => ({
  live: new Set(live),
  published: new Map(own.flatMap(([voters, { group }]) => [...voters].map((voter) => [voter, { group }]))),
})

describe('of two councils', () => {
  const old = council('x', 0, 'abcd')
  const forked = council('y', 1, 'bce')

  it('that is better which most voters vote in, by their own word', () => {
    // b and c have gone on with the other one, and a wakes.
    const woken = present('abce', ['a', old], ['bce', forked])
    expect(isBetter(forked, old, woken)).toBe(true)
    expect(isBetter(old, forked, woken)).toBe(false)
    expect(whyBetter(forked, old, woken)).toBe('most of its voters are here')
  })

  it('that is better which was continued less often, where most voters of both still vote in them', () => {
    const met = present('abcdefg', ['abd', old], ['ce', forked])
    expect(isBetter(old, forked, met)).toBe(true)
    expect(whyBetter(old, forked, met)).toBe('it was continued by force less often')
  })

  it('presence decides while word is under way, so that they become one', () => {
    const between = present('abce', ['a', old], ['e', forked])
    expect(isBetter(old, forked, between)).toBe(true)
    expect(hasQuorum(old, between) && hasQuorum(forked, between)).toBe(true)
    expect(hasQuorum(old, present('ab', ['ab', old]))).toBe(false)
  })
})
