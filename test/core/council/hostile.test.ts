/** What no message can do to a council, whoever sent it. */
import { describe, expect, it } from 'vitest'
import { decodeCouncil, encodeCouncil } from '../../../src/core/council/council-codec.ts'
import type { CouncilMessage } from '../../../src/core/council/council-messages.ts'
import type { CouncilOptions } from '../../../src/core/council/council.ts'
import { Council } from '../../../src/core/council/council.ts'
import { encodeCommand } from '../../../src/core/council/map-codec.ts'
import type { Command } from '../../../src/core/council/partition-map.ts'
import { parseCouncil } from '../../../src/core/council/published-council.ts'
import { decodeRaft, encodeRaft, RaftLimits } from '../../../src/core/council/raft-codec.ts'
import type { Entry, RaftBody, RaftMessage, RaftOutput } from '../../../src/core/council/raft-messages.ts'
import { Raft } from '../../../src/core/council/raft.ts'
import { MAX_KINDS } from '../../../src/core/council/partition-map.ts'
import { place } from '../../../src/core/partition/placement.ts'
import { randomProcessId } from '../../../src/core/identity/node-id.ts'
import { SLOTS } from '../../../src/core/partition/partition.ts'
import { seededRandom } from '../../../src/testing/random.ts'

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

describe('entries that no leader commits', () => {
  const noOps = (count: number, term: number) =>
    Array.from({ length: count }, () => ({ kind: 'no-op', term }) as const)

  /** Follows B, which has said as much as is taken. */
  function overfull() {
    const outputs: RaftOutput[] = []
    const emit = (output: RaftOutput): void => void outputs.push(output)
    const raft = Raft.join({ group: 'g', self: A, random: () => 0, emit, isVoter: () => true })
    const append = (term: number, previousIndex: number, entries: readonly Entry[], commit = 0) => {
      const previousTerm = raft.log.termAt(previousIndex) ?? 0
      const body = { kind: 'append', stamp: ++stamp, previousIndex, previousTerm, commit, entries } as const
      return raft.receive(says(B, term, body), at(1))
    }
    let stamp = 0
    append(1, 0, [{ kind: 'voters', term: 1, voters: [A, B] }])
    for (let i = 0; i < 100; i++) append(1, raft.log.lastIndex, noOps(1_000, 1))
    const answers = () => outputs.flatMap((one) => (one.type === 'send' ? [one.message] : []))
    return { raft, append, answers }
  }

  it('are kept up to a limit, and answered as far as they were taken', () => {
    const { raft, append, answers } = overfull()
    expect(raft.log.uncommittedBytes).toBeLessThanOrEqual(RaftLimits.uncommittedBytes)
    expect(answers().at(-1)).toMatchObject({ kind: 'appended', match: raft.log.lastIndex })
    const { length } = answers()
    expect(append(1, raft.log.lastIndex, noOps(1, 1))).toBe('too-much-uncommitted')
    expect(answers(), 'so that it is sent again later').toHaveLength(length)
    append(1, raft.log.lastIndex, [], 1)
    expect(append(1, raft.log.lastIndex, noOps(1, 1)), 'once another is committed').toBeUndefined()
    expect(append(1, raft.log.lastIndex, noOps(1_000, 1), raft.log.lastIndex + 1_000)).toBeUndefined()
    expect(raft.log.uncommittedBytes).toBe(0)
  })

  it('leave room for the next leader, whoever that is', () => {
    const { raft, append } = overfull()
    const half = RaftLimits.uncommittedBytes / 2
    append(2, 1, [])
    expect(raft.log.uncommittedBytes).toBeLessThanOrEqual(half)
    expect(append(2, raft.log.lastIndex, noOps(1, 2))).toBeUndefined()
    const own = overfull().raft
    for (let t = 500; own.role !== 'candidate' && t < 20_000; t += 500) {
      own.tick(at(t))
      const granted = { kind: 'voted', pre: true, asked: 2, granted: true, waitMs: 0 } as const
      own.receive(says(B, 1, granted), at(t))
    }
    expect([own.role, own.log.uncommittedBytes <= half]).toEqual(['candidate', true])
  })
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

const GROUP = 'qrstuvwxyz234567.0'
const seatOf = (process: string) => ({ process, browser: process, standby: 0, upSince: 0 })

/** A council of one process, and all that it says; B is up, C is not. */
class Alone {
  readonly sent: [to: string, message: CouncilMessage][] = []
  readonly decided = new Map<number, boolean>()
  readonly council: Council
  time = 0

  constructor(options: Partial<CouncilOptions> = {}) {
    this.council = new Council({
      self: A,
      random: () => 0,
      seats: () => [seatOf(A), seatOf(B)],
      candidates: () => [{ ...seatOf(A), isHost: true }],
      hasEnded: () => false,
      lostFor: () => 0,
      published: () => new Map(),
      publish: () => undefined,
      send: (to, message) => this.sent.push([to, message]),
      onEntries: () => undefined,
      onDecided: (id, ok) => this.decided.set(id, ok),
      ...options,
    })
  }

  get now() {
    return at(this.time)
  }

  found(): void {
    this.council.want('counter', true, this.now)
    this.council.found(this.now)
    this.council.tick(this.now)
    expect(this.council.knows('counter')).toBe(true)
    this.sent.length = 0
  }

  pass(ms: number): void {
    this.time += ms
    this.council.tick(this.now)
  }

  /** What is answered at once. */
  hears(from: string, message: CouncilMessage): CouncilMessage[] {
    this.sent.length = 0
    this.council.receive(from, message, this.now)
    return this.sent.flatMap(([to, answer]) => (to === from && answer.kind !== 'raft' ? [answer] : []))
  }

  /** Whether it was decided, which need not change anything, or is for another leader, or another time. */
  proposes(from: string, command: Command): 'refused' | 'decided' | undefined {
    const group = this.council.group!
    const [answer] = this.hears(from, { kind: 'propose', group, id: 1, command })
    if (answer?.kind !== 'proposed') return undefined
    return answer.entries ? 'decided' : 'refused'
  }
}

describe('who proposes', () => {
  const given = { kind: 'counter', slots: [7], epochs: [1] } as const
  const takes = { ...given, type: 'change', add: B, owner: B } as const
  const lose = { ...given, type: 'lose', birth: { owner: B, inSync: [B] } } as const
  const entry = { epoch: 9, owner: B, inSync: [B], born: 1 }
  const adopt = { type: 'adopt', kind: 'counter', slots: [7], entries: [entry] } as const

  it.each<[string, string, Command, string]>([
    ['a change of what it does not hold', B, takes, 'decided'],
    ['that what is held begins anew', B, lose, 'refused'],
    ['what another group has decided, and is not up', C, adopt, 'refused'],
  ])('%s changes nothing', (_, from, command, answer) => {
    const alone = new Alone()
    alone.found()
    expect(alone.proposes(from, command)).toBe(answer)
    expect(alone.council.entry('counter', 7)).toMatchObject({ epoch: 1, owner: A })
  })

  it('what it holds is heard, whether it is up or not, and told what is so where that has changed', () => {
    const alone = new Alone({
      seats: () => [seatOf(A)],
      candidates: () => [{ ...seatOf(C), isHost: true }],
    })
    alone.found()
    const add: Command = { ...given, type: 'change', add: B }
    expect(alone.proposes(C, add)).toBe('decided')
    expect(alone.proposes(C, { ...add, remove: C, owner: B, epochs: [2] })).toBe('decided')
    expect(alone.proposes(C, { ...add, epochs: [2] }), 'comes again').toBe('decided')
    expect(alone.council.entry('counter', 7)).toMatchObject({ epoch: 3, owner: B, inSync: [B] })
  })

  it.each([
    ['goes to an heir once that has ended', true, {}, B],
    ['stays with one that has not', false, {}, C],
    ['goes to nobody who does not take its place', true, { remove: undefined }, C],
    ['goes to nobody for whom another asks', true, { add: A, owner: A }, C],
  ] as const)('what one alone has held %s', (_, hasEnded, more, owner) => {
    const alone = new Alone({
      seats: () => [seatOf(A)],
      candidates: () => [{ ...seatOf(C), isHost: true }],
      hasEnded: (process) => hasEnded && process === C,
    })
    alone.found()
    const takes = { ...given, type: 'change', add: B, owner: B, remove: C, ...more } as Command
    alone.proposes(B, takes)
    expect(alone.council.entry('counter', 7)).toMatchObject({ owner, born: 1 })
  })

  it('what two have held goes to an heir once both have ended', () => {
    const ended = new Set<string>()
    const alone = new Alone({
      seats: () => [seatOf(A)],
      candidates: () => [{ ...seatOf(C), isHost: true }],
      hasEnded: (process) => ended.has(process),
    })
    alone.found()
    expect(alone.proposes(C, { ...given, type: 'change', add: A } as Command)).toBe('decided')
    const takes = { ...given, epochs: [2], type: 'change', add: B, owner: B, remove: C } as Command
    ended.add(C)
    alone.proposes(B, takes)
    expect(alone.council.entry('counter', 7)).toMatchObject({ owner: C })
    ended.add(A)
    alone.proposes(B, takes)
    expect(alone.council.entry('counter', 7)).toMatchObject({ owner: B, inSync: [A, B] })
  })

  it('what one alone has held is taken from it when it is given up, and not before', () => {
    const ended: number[] = []
    let isGone = true
    const alone = new Alone({
      seats: () => [seatOf(A)],
      candidates: () => [{ ...seatOf(isGone ? A : C), isHost: true }],
      hasEnded: (process) => isGone && process === C,
      endSole: (_, slot) => ended.push(slot) > 0,
    })
    isGone = false
    alone.found()
    isGone = true
    for (let i = 0; i < 12; i++) alone.pass(100)
    expect(ended).toEqual([])
    // It was there all the time: what comes later begins anew.
    isGone = false
    alone.pass(2_000)
    isGone = true
    alone.pass(1_100)
    alone.pass(1_000)
    expect(ended).toEqual([])
    for (let i = 0; i < 5; i++) alone.pass(1_000)
    expect(ended.filter((slot) => slot === 7)).toHaveLength(1)
    expect(alone.council.entry('counter', 7)).toMatchObject({ owner: A, epoch: 2, born: 2 })
  })
})

it('a map that is adopted can be told', () => {
  const alone = new Alone()
  alone.found()
  const group = alone.council.group!
  for (const epoch of [2 ** 47, 2 ** 46, 2 ** 24]) {
    const entries = [[7, { epoch, owner: B, inSync: [B], born: 1 }]] as const
    alone.hears(B, { kind: 'adopt', group, grain: 'counter', entries })
    alone.pass(10)
  }
  const [told] = alone.hears(B, { kind: 'ask', group, grain: 'counter' })
  expect(decodeCouncil(encodeCouncil(told!))).toMatchObject({ kind: 'told' })
  expect(alone.council.entry('counter', 7)!.epoch).toBe(2 ** 24 + 1)
})

it('a council goes on from what it is told, however high its epochs are', () => {
  const council = { group: GROUP, index: 1, leads: 0, voters: [C] }
  const published = new Map([
    [A, council],
    [B, council],
  ])
  const alone = new Alone({
    published: () => published,
    lostFor: (process) => (process === C ? Infinity : 0),
  })
  alone.council.notice(alone.now)
  expect(alone.sent).toEqual([[B, { kind: 'survey', group: GROUP }]])
  const entry = { epoch: 2 ** 47, owner: B, inSync: [B], born: 1 }
  const entries = Array.from({ length: SLOTS }, (_, slot) => [slot, entry] as const)
  alone.hears(B, { kind: 'surveyed', group: GROUP, grains: [['counter', entries]] })
  const group = alone.council.group!
  expect(group).toMatch(/\.1$/)
  const [told] = alone.hears(B, { kind: 'ask', group, grain: 'counter' })
  expect(decodeCouncil(encodeCouncil(told!))).toMatchObject({ kind: 'told' })
})

it('a datagram ends no council', () => {
  const alone = new Alone()
  alone.found()
  const group = alone.council.group!
  for (const from of [B, C])
    alone.hears(from, { kind: 'raft', message: { ...says(from, 2 ** 20, vote), group } })
  for (let t = 0; t < 10_000; t += 100) alone.pass(100)
  expect(alone.council.hasLease(alone.now)).toBe(true)
  const voted = alone.sent.flatMap(([to, message]) => (message.kind === 'raft' ? [to] : []))
  expect(voted).not.toContain(C)
})

describe('a survey', () => {
  it('is answered to who is up, about the own group, and not as often as it comes', () => {
    const alone = new Alone()
    alone.found()
    const group = alone.council.group!
    expect(alone.hears(C, { kind: 'survey', group })).toEqual([])
    expect(alone.hears(B, { kind: 'survey', group })).toMatchObject([
      { kind: 'surveyed', grains: [['counter', {}]] },
    ])
    expect(alone.hears(B, { kind: 'survey', group })).toEqual([])
    alone.pass(500)
    expect(alone.hears(B, { kind: 'survey', group: GROUP })).toEqual([
      { kind: 'surveyed', group: GROUP, grains: [] },
    ])
  })
})

describe('kinds that are wanted and nobody knows', () => {
  const published = new Map([[B, parseCouncil(`${GROUP} 1 1 ${B}`)!]])
  const asksOf = ({ sent }: Alone): number => sent.filter(([, { kind }]) => kind === 'ask').length

  it('are asked for ever less often, and then no more', () => {
    const alone = new Alone({ published: () => published })
    alone.council.notice(alone.now)
    alone.council.want('nowhere', false, alone.now)
    for (let t = 0; t < 100_000; t += 100) alone.pass(100)
    expect(asksOf(alone)).toBe(5)
    expect(alone.council.nextDeadline()).toBe(Infinity)
    alone.council.want('nowhere', false, alone.now)
    expect(asksOf(alone), 'by who wants it still').toBe(6)
  })

  it('are no more than there may be, and those that are hosted here among them', () => {
    const alone = new Alone({ published: () => published })
    alone.council.notice(alone.now)
    for (let i = 0; i < 5_000; i++) alone.council.want(`k${i}`, false, alone.now)
    expect(asksOf(alone)).toBe(MAX_KINDS)
    alone.council.want('mine', true, alone.now)
    for (let t = 0; t < 20_000; t += 100) alone.pass(100)
    const mine = alone.sent.filter(([, message]) => message.kind === 'ask' && message.grain === 'mine')
    expect(mine.length).toBeGreaterThan(30)
  })
})

describe('a command', () => {
  const random = seededRandom(1, 'names')
  const many = Array.from({ length: 2_000 }, () => ({ ...seatOf(randomProcessId(random)), isHost: true }))

  it('bears a kind in a room of 2,000', () => {
    const births = Array.from({ length: SLOTS }, (_, slot) => place('counter', slot, many)!)
    expect(encodeCommand({ type: 'birth', kind: 'counter', births }).length).toBeGreaterThan(12 * 1_024)
    const alone = new Alone({ candidates: () => many })
    alone.found()
    expect(alone.council.entry('counter', 7)!.inSync).toHaveLength(3)
  })

  it('of the largest kind there may be fits into one message', () => {
    const inSync = Array.from({ length: 5 * SLOTS }, () => randomProcessId(random))
    const holders = Array.from({ length: SLOTS }, (_, slot) => inSync.slice(5 * slot, 5 * slot + 5))
    const entries = holders.map((all) => ({ epoch: 2 ** 47, owner: all[0]!, inSync: all, born: 1 }))
    const kind = 'k'.repeat(64)
    const command = encodeCommand({ type: 'adopt', kind, slots: entries.map((_, slot) => slot), entries })
    const logged = { ...heartbeat, entries: [{ kind: 'command', term: 2 ** 48, command }] } as const
    expect(decodeRaft(encodeRaft(says(B, 2 ** 48, logged)))).toMatchObject({ ok: true })
  })

  it('that is too large all the same is not proposed for ever', () => {
    const alone = new Alone({ tuning: { commandBytes: 10_000 } })
    alone.found()
    const births = Array.from({ length: SLOTS }, (_, slot) => place('other', slot, many)!)
    const id = alone.council.propose({ type: 'birth', kind: 'other', births }, alone.now)
    expect(alone.decided.get(id)).toBe(false)
    expect(alone.proposes(B, { type: 'birth', kind: 'other', births })).toBe('decided')
    expect(alone.council.knows('other')).toBe(false)
  })
})

it('an answer has entries or has none', () => {
  const told = encodeCouncil({ kind: 'told', group: GROUP, grain: 'counter', leader: B, entries: undefined })
  const wrong = told.with(told.length - 1, 2)
  expect(decodeCouncil(wrong)).toBe('whether there are entries is 2, neither 0 nor 1')
})

it('a council names each voter once, and an index that a log can have', () => {
  expect(parseCouncil(`${GROUP} ${2 ** 48} 0 ${A},${B}`)).toBeDefined()
  expect(parseCouncil(`${GROUP} 1 0 ${A},${B},${A}`)).toBeUndefined()
  expect(parseCouncil(`${GROUP} ${2 ** 48 + 1} 0 ${A},${B}`)).toBeUndefined()
  expect(parseCouncil(`${GROUP} 1 ${2 ** 48 + 1} ${A},${B}`)).toBeUndefined()
})
