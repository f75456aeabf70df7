/** Proposals find the leader, whoever that is by now. */
import { describe, expect, it } from 'vitest'
import { Proposals } from '../../../src/core/council/proposals.ts'

const COMMAND = { type: 'birth', kind: 'counter', births: [] } as const

function proposing() {
  const sent: string[] = []
  const at = { mono: 1_000, wall: 1e12 }
  const council = { leader: 'a' as string | undefined }
  const proposals = new Proposals({
    random: () => 0.5,
    target: () => council.leader ?? 'someone',
    leader: () => council.leader,
    decideHere: () => false,
    send: (to) => void sent.push(to),
    holds: () => true,
    onDecided: () => undefined,
  })
  const id = proposals.add(COMMAND, at)
  proposals.tick(at)
  return { proposals, id, sent, at, council }
}

describe('a proposal', () => {
  it('goes to a new leader at once', () => {
    const { proposals, sent, at, council } = proposing()
    council.leader = 'b'
    proposals.hurry(at)
    expect(proposals.nextDeadline()).toBe(at.mono)
    proposals.tick(at)
    expect(sent).toEqual(['a', 'b'])
  })

  it('goes on to the leader that another names', () => {
    const { proposals, id, sent, at } = proposing()
    proposals.refused(id, 'a', 'c', at)
    proposals.tick(at)
    expect(sent).toEqual(['a', 'c'])
  })

  it('goes at once to a leader that somebody names who was asked something else, and no more for its old name', () => {
    const { proposals, sent, at } = proposing()
    at.mono += 10
    proposals.named('a', at)
    proposals.tick(at)
    proposals.named('c', at)
    proposals.tick(at)
    proposals.named('c', at)
    proposals.tick(at)
    expect(sent).toEqual(['a', 'c'])
  })

  it('is not sent in a circle by two that name each other', () => {
    const { proposals, id, sent, at } = proposing()
    for (let i = 0; i < 20; i++) {
      proposals.refused(id, sent.at(-1)!, sent.at(-1) === 'a' ? 'b' : 'a', at)
      proposals.tick(at)
    }
    expect(sent).toEqual(['a', 'b'])
    at.mono += 150
    proposals.tick(at)
    expect(sent).toHaveLength(3)
  })

  it('waits a little where nobody is known to lead', () => {
    const { proposals, sent, at, council } = proposing()
    council.leader = undefined
    proposals.hurry(at)
    proposals.tick(at)
    expect(sent).toEqual(['a'])
    expect(proposals.nextDeadline()).toBe(at.mono + 125)
  })
})
