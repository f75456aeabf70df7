/** What no message can do to a council, whoever sent it. */
import { describe, expect, it } from 'vitest'
import { decodeRaft, encodeRaft, RaftLimits } from '../../../src/core/council/raft-codec.ts'
import type { RaftBody, RaftMessage, RaftOutput } from '../../../src/core/council/raft-messages.ts'
import { Raft } from '../../../src/core/council/raft.ts'

const [A, B, C] = ['a', 'b', 'c'].map((letter) => letter.repeat(16)) as [string, string, string]
const at = (mono: number) => ({ mono, wall: mono })
const says = (from: string, term: number, body: RaftBody): RaftMessage => ({
  group: 'g',
  from,
  to: A,
  term,
  ...body,
})
const vote = { kind: 'vote', pre: false, transfer: true, lastIndex: 2 ** 48, lastTerm: 2 ** 48 } as const
const heartbeat = { kind: 'append', stamp: 1, previousIndex: 0, previousTerm: 0, commit: 0 } as const

function leaderOfOne(voters: readonly string[] = []) {
  const outputs: RaftOutput[] = []
  const emit = (output: RaftOutput): void => void outputs.push(output)
  const isVoter = (process: string): boolean => voters.includes(process)
  const raft = Raft.found(
    { group: 'g', self: A, random: () => 0, emit, isVoter, snapshot: Uint8Array.of() },
    at(0),
  )
  raft.tick(at(0))
  return { raft, outputs }
}

describe('a leader', () => {
  it('is not deposed by a stranger, whatever that one says', () => {
    const { raft } = leaderOfOne()
    for (const body of [vote, { ...heartbeat, entries: [] }, { kind: 'timeout-now', stamp: 9 } as const])
      expect(raft.receive(says(C, 9, body), at(1)), body.kind).toBe('no-voter')
    expect([raft.role, raft.term]).toEqual(['leader', 2])
  })

  it('yields to one that is a voter by what others say: its own log may be older', () => {
    const { raft } = leaderOfOne([C])
    expect(raft.receive(says(C, 9, vote), at(1))).toBeUndefined()
    expect(raft.term).toBe(9)
  })

  it('takes no term after which there would be none left', () => {
    const { raft, outputs } = leaderOfOne([C])
    for (const term of [2 ** 48, 2 ** 47, 2 ** 21])
      expect(raft.receive(says(C, term, vote), at(1))).toBe('impossible')
    for (let i = 1; i <= 100; i++) raft.receive(says(C, 2 + i * 2 ** 20, vote), at(i))
    for (let t = 500; t < 20_000; t += 500) raft.tick(at(t))
    expect(raft.role, 'elected again').toBe('leader')
    for (const output of outputs)
      if (output.type === 'send') expect(decodeRaft(encodeRaft(output.message)).ok).toBe(true)
  })
})

it('whoever knows of no term believes none that leaves no room', () => {
  const raft = Raft.join({ group: 'g', self: A, random: () => 0, emit: () => undefined })
  expect(raft.receive(says(B, 2 ** 48, { ...heartbeat, entries: [] }), at(0))).toBe('impossible')
  expect(raft.receive(says(B, 3, { ...heartbeat, entries: [] }), at(0))).toBeUndefined()
})

it('entries end where indexes do', () => {
  const body = {
    ...heartbeat,
    previousIndex: RaftLimits.counter,
    entries: [{ kind: 'no-op', term: 1 }],
  } as const
  expect(decodeRaft(encodeRaft(says(B, 1, body)))).toEqual({
    ok: false,
    reason: 'entries are past the last index',
  })
})
