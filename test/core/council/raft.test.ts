/** What Raft has to get right, by name. Sections are those of Ongaro's thesis. */
import { describe, expect, it } from 'vitest'
import type { Entry, Loss, RaftBody, RaftMessage } from '../../../src/core/council/raft-messages.ts'
import { DEFAULT_RAFT_TUNING as DEFAULTS } from '../../../src/core/council/raft-tuning.ts'
import type { Host } from './support/council.ts'
import { bytesOf, Council, nameOf, textOf } from './support/council.ts'

const [A, B, C, D, E] = [0, 1, 2, 3, 4].map(nameOf) as [string, string, string, string, string]
const command = (term: number, text: string): Entry => ({ kind: 'command', term, command: bytesOf(text) })
const votersEntry = (term: number, voters: string[]): Entry => ({ kind: 'voters', term, voters })

/** One process, and a test that plays all others. */
class Alone {
  readonly council = new Council()
  readonly host: Host
  readonly sent: RaftMessage[] = []

  constructor() {
    this.host = this.council.join()
    this.council.filter = (message) => (this.sent.push(message), false)
  }

  get raft() {
    return this.host.raft
  }

  says(from: string, term: number, body: RaftBody): string | undefined {
    return this.council.receive(this.host, { group: 'council', from, to: A, term, ...body })
  }

  append(from: string, term: number, at: [index: number, term: number], entries: Entry[], commit: number) {
    const [previousIndex, previousTerm] = at
    return this.says(from, term, {
      kind: 'append',
      stamp: ++this.stamp,
      previousIndex,
      previousTerm,
      commit,
      entries,
    })
  }

  stamp = 0

  /** Waits for its election timeout, and is elected by these. */
  elect(voters: readonly string[], waitMs = 0): void {
    this.council.runUntil(() => this.raft.role === 'pre-candidate')
    for (const pre of [true, false]) {
      const asked = this.raft.term + (pre ? 1 : 0)
      for (const from of voters) {
        this.says(from, this.raft.term, { kind: 'voted', pre, asked, granted: true, waitMs })
      }
    }
    expect(this.raft.role).toBe('leader')
  }

  last<K extends RaftMessage['kind']>(kind: K): Extract<RaftMessage, { kind: K }> {
    return this.sent.findLast((message) => message.kind === kind) as Extract<RaftMessage, { kind: K }>
  }
}

const terms = (host: Host): number => host.raft.term
const five = [A, B, C, D, E]

describe('the log', () => {
  it('figure 8: entries of earlier terms are not committed by counting', () => {
    const alone = new Alone()
    alone.append(B, 2, [0, 0], [votersEntry(1, five), command(2, 'x')], 1)
    alone.elect([B, C])
    for (const from of [B, C, D]) alone.says(from, alone.raft.term, { kind: 'appended', stamp: 1, match: 2 })
    expect(alone.raft.log.commit).toBe(1)
    for (const from of [B, C]) alone.says(from, alone.raft.term, { kind: 'appended', stamp: 1, match: 3 })
    expect(alone.raft.log.commit).toBe(3)
    expect(alone.host.history).toEqual([[2, 'x']])
  })

  it('backtracks by whole terms where logs conflict', () => {
    const alone = new Alone()
    const old = Array.from({ length: 20 }, (_, i) => command(2, `lost${i}`))
    alone.append(B, 2, [0, 0], [votersEntry(1, five), ...old], 1)
    // the next leader has another history from 2 on
    alone.append(C, 4, [30, 4], [], 1)
    expect(alone.last('conflict')).toMatchObject({ conflictIndex: 22, conflictTerm: 0 })
    alone.append(C, 4, [21, 3], [], 1)
    expect(alone.last('conflict')).toMatchObject({ previousIndex: 21, conflictIndex: 2, conflictTerm: 2 })
    alone.append(C, 4, [1, 1], [command(3, 'kept'), command(4, 'new')], 3)
    expect(alone.last('appended')).toMatchObject({ match: 3 })
    expect(alone.raft.log.lastIndex).toBe(3)
    expect(alone.host.history.map(([, text]) => text)).toEqual(['kept', 'new'])
  })

  it('voters whose entry is taken back do not count any more', () => {
    const alone = new Alone()
    alone.append(B, 2, [0, 0], [votersEntry(1, [A, B]), votersEntry(2, [A, B, C])], 1)
    expect(alone.raft.voters).toEqual([A, B, C])
    alone.append(B, 3, [1, 1], [command(3, 'x')], 1)
    expect(alone.raft.voters).toEqual([A, B])
  })

  it('a leader skips a term that conflicts at once', () => {
    const alone = new Alone()
    const mine = Array.from({ length: 9 }, (_, i) => command(3, `mine${i}`))
    alone.append(B, 3, [0, 0], [votersEntry(1, five), command(1, 'both'), ...mine], 1)
    alone.elect([B, C])
    const conflict = {
      kind: 'conflict',
      stamp: 1,
      previousIndex: 11,
      conflictIndex: 3,
      conflictTerm: 2,
    } as const
    const { stamp } = alone.sent.findLast(({ kind, to }) => kind === 'append' && to === D) as {
      stamp: number
    } & RaftMessage
    alone.says(D, alone.raft.term, { ...conflict, stamp })
    const next = alone.sent.findLast(({ kind, to }) => kind === 'append' && to === D)
    expect(next).toMatchObject({ previousIndex: 2, previousTerm: 1 })
  })

  it('an older message neither takes back entries nor adds them twice', () => {
    const alone = new Alone()
    alone.append(B, 2, [0, 0], [votersEntry(1, five), command(2, 'x'), command(2, 'y')], 1)
    alone.append(B, 2, [0, 0], [votersEntry(1, five), command(2, 'x')], 1)
    alone.append(B, 2, [0, 0], [], 1)
    expect(alone.raft.log.lastIndex).toBe(3)
    expect(alone.append(B, 2, [0, 0], [command(2, 'other')], 1)).toBe('impossible')
  })

  it('a follower commits only what the message shows to agree', () => {
    const alone = new Alone()
    alone.append(B, 2, [0, 0], [votersEntry(1, five), command(2, 'x'), command(2, 'y')], 1)
    alone.append(C, 3, [1, 1], [], 3)
    expect(alone.raft.log.commit).toBe(1)
  })
})

describe('elections', () => {
  it('one vote a term, and only for a log that covers the own (3.4, 3.6.1)', () => {
    const alone = new Alone()
    alone.append(B, 2, [0, 0], [votersEntry(1, five), command(2, 'x')], 1)
    alone.council.run(DEFAULTS.electionMinMs)
    const vote = { kind: 'vote', pre: false, transfer: false, lastIndex: 2, lastTerm: 2 } as const
    alone.says(C, 3, { ...vote, lastIndex: 9, lastTerm: 1 })
    expect(alone.last('voted').granted).toBe(false)
    alone.says(D, 3, { ...vote, lastIndex: 1 })
    expect(alone.last('voted').granted).toBe(false)
    alone.says(D, 3, vote)
    expect(alone.last('voted')).toMatchObject({ to: D, asked: 3, granted: true, waitMs: 0 })
    alone.says(E, 3, vote)
    expect(alone.last('voted')).toMatchObject({ to: E, granted: false })
  })

  it('pre-vote: who comes back from a partition disturbs nobody (9.6)', () => {
    const council = new Council()
    const [first, , third] = council.grow(3)
    const before = terms(first!)
    council.isolate([third!])
    council.run(60_000)
    expect(third!.raft.term).toBe(before)
    council.cuts.clear()
    council.run(10_000)
    expect(first!.raft.role).toBe('leader')
    expect(council.hosts.map(terms)).toEqual([before, before, before])
  })

  it('voters stand by the leader that they hear, whatever term is asked for (4.2.3)', () => {
    const council = new Council()
    const [first, second] = council.grow(3)
    const vote = { kind: 'vote', pre: false, transfer: false, lastIndex: 99, lastTerm: 99 } as const
    const from = nameOf(9)
    for (const host of [first!, second!]) {
      expect(council.receive(host, { group: 'council', from, to: host.id, term: 99, ...vote })).toBe(
        'has-leader',
      )
    }
    expect(terms(second!)).toBeLessThan(99)
  })

  it('a removed server does not disturb the others', () => {
    const council = new Council()
    const [first, , third] = council.grow(3)
    const before = terms(first!)
    // it never learns of its dismissal
    council.isolate([third!])
    expect(council.change(first!, { remove: third!.id })).toBeUndefined()
    council.run(1_000)
    council.cuts.clear()
    council.run(60_000)
    expect(first!.raft.role).toBe('leader')
    expect(terms(first!)).toBe(before)
    expect(third!.raft.voters).toHaveLength(3)
  })

  it('check-quorum: a leader that hears from no quorum steps down (6.2)', () => {
    const council = new Council()
    const [first] = council.grow(3)
    const id = council.propose(first!)
    council.isolate([first!])
    council.propose(first!)
    council.run(DEFAULTS.electionMaxMs + 2 * DEFAULTS.heartbeatMs)
    expect(first!.raft.role).not.toBe('leader')
    expect(council.of('dropped')).toHaveLength(2)
    expect(council.of('dropped')[0]).toEqual({ type: 'dropped', id, reason: 'unknown' })
  })

  it('quorum of two: neither goes on alone', () => {
    const council = new Council()
    const [first, second] = council.grow(2)
    council.kill(second!)
    council.propose(first!)
    council.run(20_000)
    expect(first!.raft.role).not.toBe('leader')
    expect(council.of('applied', first!)).toEqual([])
    expect(council.of('dropped', first!)).toHaveLength(1)
  })

  it('a lost leader is followed at once, not after a timeout', () => {
    const council = new Council()
    const hosts = council.grow(3)
    council.run(200)
    council.kill(hosts[0]!)
    const since = council.t
    for (const host of hosts.slice(1)) council.lost(host, hosts[0]!.id, 'ended')
    council.runUntil(() => council.leader !== undefined)
    council.propose(council.leader!)
    council.runUntil(() => hosts[1]!.history.length > 0 && hosts[2]!.history.length > 0)
    expect(council.t - since).toBeLessThan(DEFAULTS.electionMinMs / 4)
  })

  it('who was not told that the leader is lost stands by it', () => {
    const council = new Council()
    const hosts = council.grow(3)
    council.lost(hosts[1]!, hosts[0]!.id)
    council.run(10_000)
    expect(hosts[0]!.raft.role).toBe('leader')
    expect(hosts.map(terms)).toEqual([2, 2, 2])
  })

  it('elected while an older lease may run, a leader commits nothing until that has ended', () => {
    const council = new Council()
    const hosts = council.grow(3)
    // wrongly said to be lost, it still reaches one of them
    council.run(500)
    const since = council.t
    for (const host of hosts.slice(1)) council.lost(host, hosts[0]!.id)
    council.filter = ({ from, to }) => from !== hosts[0]!.id && to !== hosts[0]!.id
    council.runUntil(() => hosts.slice(1).some(({ raft }) => raft.role === 'leader'))
    expect(council.t - since).toBeLessThan(1_000)
    const next = hosts.slice(1).find(({ raft }) => raft.role === 'leader')!
    council.propose(next)
    const committed = next.raft.log.commit
    council.runUntil(() => !hosts[0]!.raft.hasLease(council.clock(hosts[0]!)))
    expect(next.raft.log.commit).toBe(committed)
    expect(next.raft.hasLease(council.clock(next))).toBe(false)
    council.runUntil(() => next.raft.hasLease(council.clock(next)))
    council.runUntil(() => next.history.length > 0)
    expect(council.t - since).toBeLessThan(4_000)
  })

  it.each<[string, number, Loss | undefined, boolean]>([
    ['a voter', 1_500, undefined, true],
    ['its own account', 0, 'unreachable', true],
    ['nobody, since that leader has ended', 0, 'ended', false],
    ['nobody, after a whole election timeout', 0, undefined, false],
  ])('an older lease is waited for on account of %s', (_, waitMs, loss, waits) => {
    const alone = new Alone()
    alone.append(B, 2, [0, 0], [votersEntry(1, [A, B, C])], 1)
    if (loss) alone.council.lost(alone.host, B, loss)
    alone.elect([C], waitMs)
    const { stamp } = alone.last('append')
    alone.says(C, 3, { kind: 'appended', stamp, match: 2 })
    expect(alone.raft.log.commit).toBe(waits ? 1 : 2)
    expect(alone.raft.hasLease(alone.council.clock(alone.host))).toBe(!waits)
    alone.council.run(2_000)
    expect(alone.raft.log.commit).toBe(2)
  })

  it('a lease that may run is not forgotten because a later leader has ended', () => {
    const alone = new Alone()
    alone.append(B, 2, [0, 0], [votersEntry(1, [A, B, C])], 1)
    alone.append(C, 3, [1, 1], [], 1)
    alone.council.lost(alone.host, C, 'ended')
    alone.elect([B], 0)
    alone.says(B, 4, { kind: 'appended', stamp: alone.last('append').stamp, match: 2 })
    expect(alone.raft.log.commit).toBe(1)
  })

  it('a late wake-up gives the leader a fresh election timeout', () => {
    const council = new Council()
    const hosts = council.grow(3)
    council.freeze(hosts[2]!, false)
    council.run(60_000)
    hosts[2]!.inbox.length = 0
    council.thaw(hosts[2]!)
    expect(hosts[2]!.raft.role).toBe('follower')
    council.run(DEFAULTS.electionMinMs - 100)
    expect(council.of('role', hosts[2]!).some(({ role }) => role === 'pre-candidate')).toBe(false)
  })
})

describe('leases and confirmations', () => {
  it.each([true, false])(
    'the lease of a leader that thaws after 60 s is over before anything else (mono stops: %s)',
    (stops) => {
      const council = new Council()
      const hosts = council.grow(3)
      council.run(1_000)
      expect(hosts[0]!.raft.hasLease(council.clock(hosts[0]!))).toBe(true)
      council.freeze(hosts[0]!, stops)
      council.run(60_000)
      expect(council.leader).not.toBe(hosts[0])
      expect(council.leader!.raft.hasLease(council.clock(council.leader!))).toBe(true)
      const { raft } = hosts[0]!
      const { monoShift } = hosts[0]!
      const now = { mono: council.t + monoShift - (stops ? 60_000 : 0), wall: council.t }
      expect(raft.hasLease(now)).toBe(false)
      expect(raft.role).toBe('leader')
      council.thaw(hosts[0]!)
      council.run(1_000)
      expect(hosts[0]!.raft.role).toBe('follower')
    },
  )

  it('a sleep of the whole room with a stopped clock deposes nobody, and ends the lease until it is renewed', () => {
    const council = new Council()
    const hosts = council.grow(3)
    for (const host of hosts) council.freeze(host, true)
    council.run(600_000)
    for (const host of hosts) host.frozen = undefined
    for (const host of hosts) host.monoShift -= 600_000
    const leader = hosts[0]!
    expect(leader.raft.hasLease(council.clock(leader))).toBe(false)
    for (const host of hosts) council.tick(host)
    council.run(2_000)
    expect(leader.raft.role).toBe('leader')
    expect(leader.raft.hasLease(council.clock(leader))).toBe(true)
  })

  it('is not saved from a sleep by a wall clock that was set back before', () => {
    const council = new Council()
    const [leader] = council.grow(2)
    council.run(2_000)
    const { raft } = leader!
    const { mono, wall } = council.clock(leader!)
    expect(raft.hasLease({ mono: mono + 10, wall: wall + 10 })).toBe(true)
    raft.tick({ mono: mono + 10, wall: wall - 60_000 })
    expect(raft.hasLease({ mono: mono + 20, wall: wall - 59_990 })).toBe(true)
    expect(raft.hasLease({ mono: mono + 20, wall: wall - 30_000 })).toBe(false)
  })

  it('counts from when the heartbeat was sent, not from when it was acknowledged', () => {
    const council = new Council()
    const hosts = council.grow(2)
    council.run(2_000)
    council.faults = { ...council.faults, minDelayMs: 900, maxDelayMs: 901 }
    council.run(10_000)
    // 1,800 ms there and back is more than the 1,600 of a lease
    expect(hosts[0]!.raft.role).toBe('leader')
    for (let i = 0; i < 20; i++) {
      council.run(97)
      expect(hosts[0]!.raft.hasLease(council.clock(hosts[0]!))).toBe(false)
    }
  })

  it('ages by the clock that says more, whatever the other says', () => {
    const council = new Council()
    const [first] = council.grow(3)
    council.run(1_000)
    const { mono, wall } = council.clock(first!)
    const { raft } = first!
    expect(raft.hasLease({ mono, wall })).toBe(true)
    expect(raft.hasLease({ mono: mono + 2_000, wall: wall - 1_000_000 })).toBe(false)
    expect(raft.hasLease({ mono, wall: wall + 2_000 })).toBe(false)
    expect(raft.hasLease({ mono: mono + 10, wall: wall - 1_000_000 })).toBe(true)
  })

  it('confirms once the lease holds, and unconfirms when leadership is lost', () => {
    const council = new Council()
    const hosts = council.grow(3)
    const id = council.confirm(hosts[0]!)
    council.run(200)
    expect(council.of('confirmed')).toEqual([{ type: 'confirmed', id }])
    council.isolate([hosts[0]!])
    council.run(2_000)
    const other = council.confirm(hosts[0]!)
    council.run(10_000)
    expect(council.of('unconfirmed')).toEqual([{ type: 'unconfirmed', id: other }])
    expect(council.confirm(hosts[0]!)).toMatchObject({ reason: 'not-leader' })
  })

  it('confirms nothing before an entry of the own term is committed (6.4)', () => {
    const alone = new Alone()
    alone.append(B, 2, [0, 0], [votersEntry(1, [A, B, C]), command(2, 'x')], 1)
    alone.elect([B])
    alone.raft.confirm(7, alone.council.clock(alone.host))
    const { stamp } = alone.last('append')
    alone.says(C, 3, { kind: 'appended', stamp, match: 0 })
    expect(alone.raft.hasLease(alone.council.clock(alone.host))).toBe(true)
    expect(alone.council.of('confirmed')).toEqual([])
  })
})

describe('voters', () => {
  it('no change before an entry of the own term is committed (correction of 2015)', () => {
    const alone = new Alone()
    alone.append(B, 2, [0, 0], [votersEntry(1, [A, B, C, D])], 1)
    alone.elect([B, C])
    const now = alone.council.clock(alone.host)
    expect(alone.raft.change(1, { remove: D }, now)).toEqual({ reason: 'term-not-committed', leader: A })
    for (const from of [B, C]) alone.says(from, 3, { kind: 'appended', stamp: 1, match: 2 })
    expect(alone.raft.change(1, { remove: D }, now)).toBeUndefined()
    expect(alone.raft.voters).toEqual([A, B, C])
    expect(alone.raft.change(2, { remove: C }, now)).toEqual({ reason: 'change-pending', leader: A })
  })

  it('a new voter counts as soon as its entry is in the log, and not before it has caught up (4.1, 4.2.1)', () => {
    const council = new Council()
    const first = council.found()
    council.tick(first)
    const second = council.join()
    council.filter = ({ to, kind }) => to !== second.id || kind !== 'install'
    council.change(first, { add: second.id })
    council.propose(first)
    council.run(5_000)
    expect(first.raft.voters).toEqual([A])
    expect(first.history).toHaveLength(1)
    council.filter = undefined
    council.runUntil(() => first.raft.voters.length === 2)
    council.kill(second)
    council.propose(first)
    council.run(1_000)
    expect(first.history).toHaveLength(1)
  })

  it('a learner that never catches up is given up, with the reason', () => {
    const council = new Council()
    const [first] = council.grow(1)
    expect(council.change(first!, { add: nameOf(9) })).toBeUndefined()
    council.run(DEFAULTS.catchUpPatienceMs + 1_000)
    expect(council.of('change-failed')).toMatchObject([{ reason: 'no-progress' }])
    council.change(first!, { add: nameOf(9) })
    council.lost(first!, nameOf(9))
    expect(council.of('change-failed')).toMatchObject([{ reason: 'no-progress' }, { reason: 'lost' }])
  })

  it('a learner that is always behind is given up after ten rounds', () => {
    const council = new Council(1, { batchEntries: 1 })
    const [first] = council.grow(1)
    const slow = council.join()
    council.faults = { ...council.faults, minDelayMs: 1_100, maxDelayMs: 1_100 }
    council.change(first!, { add: slow.id })
    council.runUntil(() => {
      if (first!.raft.log.lastIndex - slow.raft.log.lastIndex < 3) council.propose(first!)
      return council.of('change-failed').length > 0
    }, 600_000)
    expect(council.of('change-failed')).toMatchObject([{ reason: 'too-slow' }])
    expect(first!.raft.voters).toEqual([A])
  })

  it('a leader that removes itself does not count itself, steps down when that is committed, and passes on (4.2.2)', () => {
    const council = new Council()
    const [first, second, third] = council.grow(3)
    council.filter = ({ to }) => to !== second!.id
    council.change(first!, { remove: first!.id })
    council.run(1_000)
    // one of the two that remain is no quorum, though with the leader it would be one
    expect(third!.raft.log.newest.index).toBeGreaterThan(first!.raft.log.commit)
    expect(first!.raft.role).toBe('leader')
    council.filter = undefined
    const since = council.t
    council.runUntil(() => council.leader !== undefined && council.leader !== first)
    expect(first!.raft.role).toBe('follower')
    expect(council.t - since).toBeLessThan(2_000)
    council.run(20_000)
    expect(first!.raft.term).toBeLessThanOrEqual(council.leader!.raft.term)
    expect(council.leader!.raft.voters).toEqual([B, C])
  })

  it('a voter whose dismissal is not committed may have to lead once more, to commit it (4.2.2)', () => {
    const council = new Council()
    const [first, second] = council.grow(2)
    council.isolate([first!])
    council.change(first!, { remove: first!.id })
    council.run(10_000)
    expect(council.leader).toBeUndefined()
    council.cuts.clear()
    council.runUntil(
      () => council.leader === second && second!.raft.log.commit === second!.raft.log.lastIndex,
    )
    expect(second!.raft.voters).toEqual([B])
    expect(first!.raft.nextDeadline()).toBe(Infinity)
  })

  it('a removed voter is told so', () => {
    const council = new Council()
    const [first, , third] = council.grow(3)
    council.change(first!, { remove: third!.id })
    council.run(300)
    expect(third!.raft.voters).toEqual([A, B])
    expect(third!.raft.log.commit).toBe(first!.raft.log.commit)
    expect(third!.raft.nextDeadline()).toBe(Infinity)
  })

  it('refuses what makes no sense', () => {
    const council = new Council(1, { maxVoters: 2 })
    const [first, second] = council.grow(2)
    expect(council.change(first!, { add: second!.id })).toMatchObject({ reason: 'is-voter' })
    expect(council.change(first!, { add: C })).toMatchObject({ reason: 'too-many-voters' })
    expect(council.change(first!, { remove: C })).toMatchObject({ reason: 'not-a-voter' })
    council.change(first!, { remove: second!.id })
    council.run(100)
    expect(council.change(first!, { remove: first!.id })).toMatchObject({ reason: 'last-voter' })
  })
})

describe('leadership transfer', () => {
  it('timeout-now: the target leads within a few round trips, and nothing is lost (3.10)', () => {
    const council = new Council()
    const [first, second] = council.grow(3)
    council.propose(first!)
    const since = council.t
    expect(council.transfer(first!, second!)).toBeUndefined()
    expect(council.propose(first!)).toMatchObject({ reason: 'transferring' })
    council.runUntil(() => council.leader === second)
    expect(council.t - since).toBeLessThan(400)
    council.run(1_000)
    expect(council.of('applied', first!)).toHaveLength(1)
    expect(second!.raft.hasLease(council.clock(second!))).toBe(true)
  })

  it('gives up after an election timeout, and has no lease until the target cannot follow any more', () => {
    const council = new Council()
    const [first, second] = council.grow(3)
    council.run(1_000)
    const late: RaftMessage[] = []
    council.filter = (message) => message.kind !== 'timeout-now' || (late.push(message), false)
    council.transfer(first!, second!)
    council.run(100)
    expect(late).not.toEqual([])
    expect(first!.raft.hasLease(council.clock(first!))).toBe(false)
    council.run(DEFAULTS.electionMaxMs)
    expect(council.of('transfer-failed')).toEqual([{ type: 'transfer-failed', target: B, reason: 'timeout' }])
    council.run(1_000)
    expect(first!.raft.hasLease(council.clock(first!))).toBe(true)
    // what was delayed comes now, and is void
    for (const message of late) expect(council.receive(second!, message)).toBe('not-asked')
    expect(council.leader).toBe(first)
  })

  it('a leader whose target has vanished begins a new term to have its lease back', () => {
    const council = new Council()
    const [first, second] = council.grow(3)
    council.filter = ({ kind }) => kind !== 'timeout-now'
    council.transfer(first!, second!)
    council.run(100)
    council.kill(second!)
    council.run(2 * DEFAULTS.electionMaxMs + 4_000)
    expect(first!.raft.role).toBe('leader')
    expect(first!.raft.term).toBe(3)
    expect(first!.raft.hasLease(council.clock(first!))).toBe(true)
  })
})

describe('snapshots', () => {
  const tuning = { chunkBytes: 32, keptEntries: 0 }

  it('an interrupted transfer goes on where it was', () => {
    const council = new Council(1, tuning)
    const [first] = council.grow(1)
    for (let i = 0; i < 20; i++) council.propose(first!)
    council.run(10)
    expect(council.compact(first!)).toBe(true)
    const offsets: number[] = []
    council.filter = (message) => {
      if (message.kind === 'install') offsets.push(message.offset)
      return !(message.kind === 'install' && message.offset === 96 && offsets.length < 8)
    }
    const second = council.join()
    council.change(first!, { add: second.id })
    council.runUntil(() => second.history.length === 20)
    expect(offsets.slice(0, 8)).toEqual([0, 32, 64, 96, 96, 96, 96, 96])
    expect(offsets.filter((offset) => offset === 0)).toHaveLength(1)
    expect(second.history).toEqual(first!.history)
    // given up and begun anew, by the same leader: the rest is enough
    expect(council.of('restored')).toHaveLength(1)
  })

  it('parts of two senders are not mixed', () => {
    const alone = new Alone()
    const part = (from: string, term: number, offset: number, text: string): void => {
      const voters = [A, B, C]
      const rest = { stamp: 1, index: 5, indexTerm: 1, voters, size: 4, offset, bytes: bytesOf(text) }
      alone.says(from, term, { kind: 'install', ...rest })
    }
    part(B, 2, 0, '[')
    expect(alone.last('installed').received).toBe(1)
    part(C, 3, 1, '  ]')
    expect(alone.last('installed').received).toBe(0)
    part(C, 3, 0, '[ ')
    part(C, 3, 2, ' ]')
    expect(alone.council.of('restored').map(({ snapshot }) => textOf(snapshot.bytes))).toEqual(['[  ]'])
    expect(alone.raft.log).toMatchObject({ base: 5, commit: 5, lastTerm: 1 })
    expect(alone.raft.voters).toEqual([A, B, C])
  })

  it('a snapshot names the voters as of its index, not those that came later', () => {
    const council = new Council(1, tuning)
    const [first] = council.grow(2)
    const { index } = first!.raft.log.newest
    expect(council.compact(first!, index - 1)).toBe(true)
    expect(first!.raft.log.snapshot!.voters).toEqual([A])
    expect(first!.raft.voters).toEqual([A, B])
  })

  it('entries that are kept behind a snapshot spare the followers that lag a little', () => {
    const council = new Council(1, { keptEntries: 4 })
    const [first, second] = council.grow(3)
    council.isolate([second!])
    for (let i = 0; i < 3; i++) council.propose(first!)
    council.run(500)
    expect(council.compact(first!)).toBe(true)
    expect(council.compact(first!)).toBe(false)
    expect(council.compact(first!, first!.raft.applied + 1)).toBe(false)
    const installs = council.of('restored').length
    council.cuts.clear()
    council.runUntil(() => second!.history.length === 3)
    expect(council.of('restored')).toHaveLength(installs)
  })
})

describe('proposals and messages', () => {
  it('refuses with the reason, and names the leader', () => {
    const council = new Council(1, { commandBytes: 4, uncommittedBytes: 30 })
    const [first, second] = council.grow(2)
    expect(council.propose(first!, 'large')).toEqual({ reason: 'command-too-large', leader: A })
    expect(council.propose(second!, 'abcd')).toEqual({ reason: 'not-leader', leader: A })
    expect(council.propose(first!, 'abcd')).toBeTypeOf('number')
    expect(council.propose(first!, 'efgh')).toEqual({ reason: 'too-much-uncommitted', leader: A })
    council.run(200)
    expect(council.propose(first!, 'ijkl')).toBeTypeOf('number')
  })

  it('ignores other councils, other processes and old terms, and says so', () => {
    const alone = new Alone()
    const body: RaftBody = {
      kind: 'append',
      stamp: 1,
      previousIndex: 0,
      previousTerm: 0,
      commit: 0,
      entries: [],
    }
    const receive = (more: Partial<RaftMessage>): string | undefined =>
      alone.council.receive(alone.host, {
        group: 'council',
        from: B,
        to: A,
        term: 2,
        ...body,
        ...more,
      } as RaftMessage)
    expect(receive({ group: 'fork' })).toBe('other-group')
    expect(receive({ to: C })).toBe('other-process')
    expect(receive({ from: A })).toBe('other-process')
    expect(alone.raft.term).toBe(0)
    expect(receive({})).toBeUndefined()
    expect(receive({ from: C })).toBe('impossible')
    expect(receive({ term: 1 })).toBe('old-term')
    expect(alone.last('conflict').term).toBe(2)
  })

  it('a higher term in an answer of a stranger deposes nobody', () => {
    const council = new Council()
    const [first] = council.grow(2)
    const answer: RaftMessage = {
      group: 'council',
      from: E,
      to: A,
      term: 9,
      kind: 'appended',
      stamp: 1,
      match: 1,
    }
    expect(council.receive(first!, answer)).toBe('not-asked')
    expect(first!.raft.role).toBe('leader')
  })

  it('a leader on a page whose timers are aligned to a second keeps office and lease', () => {
    const council = new Council()
    const hosts = council.grow(3)
    for (const host of hosts) host.isHidden = true
    council.run(3_000)
    for (let i = 0; i < 300; i++) {
      council.run(101)
      expect(hosts[0]!.raft.hasLease(council.clock(hosts[0]!))).toBe(true)
    }
    expect(terms(hosts[0]!)).toBe(2)
  })

  it('asks for no call while there is nothing to wait for', () => {
    const alone = new Alone()
    expect(alone.raft.nextDeadline()).toBe(Infinity)
    expect(alone.raft.voters).toEqual([])
    expect(alone.raft.leader).toBeUndefined()
  })
})
