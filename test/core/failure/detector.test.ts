/** Who is accused, when and by whom; who is not; and what a member does that is more likely lost itself. */
import { describe, expect, it } from 'vitest'
import { Suspicions } from '../../../src/core/failure/suspicions.ts'
import type { NodeId } from '../../../src/core/identity/node-id.ts'
import type { NodeCore } from '../../../src/core/node.ts'
import { encodeSignOfLife } from '../../../src/core/overlay/signal-envelope.ts'
import { DEFAULT_TUNING } from '../../../src/core/tuning.ts'
import { nodeIdOf, tableOf, wholeOf } from '../support/names.ts'
import { agree, cluster, isLinked } from '../support/nodes.ts'
import { Puppet } from '../support/puppet.ts'
import type { Room } from '../support/room.ts'

const { probeTimeoutMs, suspicionMinMs, suspicionMaxMs } = DEFAULT_TUNING
/** A silent member is `unreachable` by then, also where its observers have to be patient. */
const FOUND_OUT_MS = 15_000
/** By then all links are published: members know whom they can ask. */
const PUBLISHED_MS = 5_000

/** Who was heard last when the cut comes, and who is then asked first, is chance: it is cut in every part of a second. */
const PHASES = Array.from({ length: 10 }, (_, i) => i * 100)

type Four = [NodeCore, NodeCore, NodeCore, NodeCore]

function four(): { room: Room; cores: Four } {
  const { room, cores } = cluster(4)
  room.run(PUBLISHED_MS)
  room.sent.length = 0
  return { room, cores: cores as Four }
}

/** Nothing of it is heard and nothing reaches it, and no link closes: as a tab that hangs. */
function silence(room: Room, { nodeId }: NodeCore): void {
  room.passes = (from, to) => from !== nodeId && to !== nodeId
  room.signals = (from, to) => from !== nodeId && to !== nodeId
}

/** It loses every link and finds no new one. */
function cutOff(room: Room, core: NodeCore, others: readonly NodeCore[]): void {
  room.connects = (from, to) => from !== core.nodeId && to !== core.nodeId
  for (const other of others) room.cut(core, other)
}

/** Whom it suspected before it knew that it is the one that is lost stays suspected; nobody else is, and nothing more. */
function expectNoVerdict(room: Room, lost: NodeCore, others: readonly NodeCore[]): NodeCore[] {
  const suspected = (): NodeCore[] => others.filter((other) => observed(lost, other).length > 0)
  room.until(() => lost.status === 'isolated', 'it knows', 5_000)
  const before = suspected()
  expect(before.length).toBeLessThan(others.length)
  for (let second = 0; second < 30; second++) {
    room.run(1_000)
    expect(lost.status).toBe('isolated')
    expect(others.map(({ nodeId }) => lost.table.status(nodeId))).toEqual(others.map(() => 'up'))
    expect(suspected()).toEqual(before)
  }
  return before
}

function heal(room: Room): void {
  room.passes = () => true
  room.signals = () => true
  room.connects = () => true
}

interface Seen {
  readonly at: number
  readonly by: NodeId
  readonly subject: NodeId
  readonly rank: string
  readonly observers: readonly NodeId[]
}

/** Accusations on the wire, by whoever spread them. */
const accusations = (room: Room): Seen[] =>
  room.frames('delta').flatMap(({ at, from: by, frame }) =>
    frame.ranges.flatMap(({ nodeId, accusation }) => {
      if (!accusation || accusation.rank === 'removed') return []
      const { rank, observers } = accusation
      return [{ at, by, subject: nodeId, rank, observers }]
    }),
  )

const observed = (core: NodeCore, subject: NodeCore): readonly NodeId[] =>
  core.table.get(subject.nodeId)?.accusation?.observers ?? []

const incarnations = (cores: readonly NodeCore[]): number[] =>
  cores.map(({ table, nodeId }) => table.get(nodeId)!.self!.incarnation)

describe('a silent member', () => {
  it('is suspected, then unreachable, by two observers at least', () => {
    const { room, cores } = four()
    const [a, b, c, d] = cores
    silence(room, d)
    room.until(() => observed(a, d).length > 0, 'd is suspected', 5_000)
    expect(a.table.get(d.nodeId)!.accusation!.rank).toBe('suspect')
    expect(a.table.status(d.nodeId)).toBe('up')
    const since = room.now
    room.until(() => a.table.status(d.nodeId) === 'unreachable', 'd is unreachable', FOUND_OUT_MS)
    expect(observed(a, d).length).toBeGreaterThanOrEqual(2)
    expect(room.now - since).toBeGreaterThanOrEqual(suspicionMinMs)
    room.until(() => agree([a, b, c]), 'the others agree', 1_000)
    const said = accusations(room).filter(({ by }) => by !== d.nodeId)
    expect(said.every(({ subject }) => subject === d.nodeId)).toBe(true)
    const verdicts = said.filter(({ rank }) => rank === 'unreachable')
    expect(Math.min(...verdicts.map(({ observers }) => observers.length))).toBeGreaterThanOrEqual(2)
    expect(room.events(a, 'member-status').at(-1)).toMatchObject({
      nodeId: d.nodeId,
      to: 'unreachable',
      reason: 'no answer, and nobody who could reach it',
    })
  })

  it('is unreachable by one observer where only one exists', () => {
    const { room, cores } = cluster(2)
    const [hub, far] = cores as [NodeCore, NodeCore]
    const leaf = new Puppet(room)
    room.join(leaf)
    leaf.enter(hub.nodeId)
    // The leaf is linked to the hub alone and answers nothing; nor is it dialled by the other.
    room.connects = () => false
    room.run(PUBLISHED_MS)
    room.until(() => hub.table.status(leaf.nodeId) === 'unreachable', 'the leaf is unreachable', FOUND_OUT_MS)
    expect(hub.table.get(leaf.nodeId)!.accusation!.observers).toEqual([hub.nodeId])
    room.until(() => far.table.status(leaf.nodeId) === 'unreachable', 'the other knows', 1_000)
    expect(far.table.get(leaf.nodeId)!.accusation!.observers).toEqual([hub.nodeId])
  })

  it('is asked about through others first', () => {
    const { room, cores } = four()
    const [a, b, c, d] = cores
    silence(room, d)
    room.until(() => observed(a, d).includes(a.nodeId), 'a suspects d', 5_000)
    const asked = room.frames('probe').filter(({ from }) => from === a.nodeId)
    expect(new Set(asked.map(({ to }) => to))).toEqual(new Set([b.nodeId, c.nodeId]))
    expect(asked.every(({ frame }) => frame.subject === d.nodeId)).toBe(true)
    const first = Math.min(...accusations(room).map(({ at }) => at))
    const [probed] = room.frames('probe')
    expect(first - probed!.at).toBeGreaterThanOrEqual(probeTimeoutMs)
  })

  it('that was only suspected refutes, and was never unreachable', () => {
    const { room, cores } = four()
    const [a, b, c, d] = cores
    silence(room, d)
    room.until(() => observed(a, d).length > 0, 'd is suspected', 5_000)
    heal(room)
    room.until(() => d.table.get(d.nodeId)!.self!.incarnation > 0, 'd refutes', 3_000)
    room.until(() => agree(cores) && [a, b, c].every((core) => observed(core, d).length === 0), 'it is heard')
    room.run(FOUND_OUT_MS)
    expect(accusations(room).filter(({ rank }) => rank === 'unreachable')).toEqual([])
    for (const core of cores) expect(core.table.status(d.nodeId)).toBe('up')
  })
})

describe('the last of a room', () => {
  it('is isolated until signaling has told that the others are gone, then alone', () => {
    const { room, cores } = four()
    const [a, ...others] = cores
    for (const other of others) room.kill(other)
    room.until(() => a.status === 'isolated', 'it has lost everybody', 5_000)
    room.until(() => a.status === 'up', 'it knows that they are gone', 5_000)
    expect(others.map(({ nodeId }) => a.table.status(nodeId))).toEqual(Array(3).fill('unreachable'))
    room.disconnectSignaling(a)
    room.until(() => a.status === 'isolated', 'nobody can be asked any more', 1_000)
  })
})

describe('a slow member', () => {
  const TURN_MS = 1_000

  /** It gets one turn a second, and finds all that came meanwhile waiting. */
  function slowDown(room: Room, core: NodeCore, forMs: number): void {
    for (let ms = 0; ms < forMs; ms += TURN_MS) {
      room.sleep(core, TURN_MS)
      room.run(TURN_MS)
    }
  }

  it('is not accused once its round trips are known, and accuses nobody', () => {
    const { room, cores } = four()
    const [, , , d] = cores
    slowDown(room, d, 10_000)
    room.sent.length = 0
    slowDown(room, d, 60_000)
    expect(accusations(room)).toEqual([])
    expect(agree(cores)).toBe(true)
  })

  it('is never unreachable, and is not isolated', () => {
    const { room, cores } = four()
    const [a, , , d] = cores
    slowDown(room, d, 60_000)
    expect(accusations(room).filter(({ rank }) => rank === 'unreachable')).toEqual([])
    expect(room.events(d, 'status').filter(({ to }) => to === 'isolated')).toEqual([])
    expect(a.table.status(d.nodeId)).toBe('up')
  })

  it('finds a silent one all the same', () => {
    const { room, cores } = cluster(2)
    const [slow, lost] = cores as [NodeCore, NodeCore]
    room.run(PUBLISHED_MS)
    room.kill(lost, false)
    for (let ms = 0; ms < FOUND_OUT_MS; ms += TURN_MS) {
      room.sleep(slow, TURN_MS)
      room.run(TURN_MS)
    }
    expect(slow.table.status(lost.nodeId)).toBe('unreachable')
  })
})

describe('a suspicion', () => {
  const subject = nodeIdOf(9)
  const accused = (...observers: NodeId[]) => ({
    ...wholeOf(subject),
    accusation: { rank: 'suspect' as const, incarnation: 0, observers },
  })

  function open(observersOf: number, mayConvict: () => boolean = () => true, rttMs = 0) {
    const table = tableOf(1)
    const judge = { observersOf: () => observersOf, rttOf: () => rttMs, mayConvict }
    const suspicions = new Suspicions(table, DEFAULT_TUNING, () => 1, judge)
    const settle = (now: number): void => {
      for (const change of table.takeChanges()) suspicions.notice(change, now)
    }
    table.apply(wholeOf(subject), 1, 0, 'test')
    settle(0)
    /** When it ends as a verdict, looked at every 50 ms. */
    const verdict = (from: number, to: number): number | undefined => {
      for (let now = from; now <= to; now += 50) {
        suspicions.tick(now)
        settle(now)
        if (table.status(subject) === 'unreachable') return now
      }
      return undefined
    }
    return { table, suspicions, settle, verdict }
  }

  it('of one observer waits long, and for ever where two exist', () => {
    const alone = open(1)
    alone.table.accuse(subject, 'suspect', 'test')
    alone.settle(0)
    expect(alone.suspicions.nextDeadline()).toBe(suspicionMaxMs)
    expect(alone.verdict(0, 60_000)).toBe(suspicionMaxMs)
    const of = open(2)
    of.table.accuse(subject, 'suspect', 'test')
    of.settle(0)
    expect(of.verdict(0, 60_000)).toBeUndefined()
    of.table.apply(accused(nodeIdOf(2)), 1, 60_000, 'test')
    of.settle(60_000)
    expect(of.verdict(60_000, 61_000)).toBe(60_000)
  })

  it('is the shorter the more observe it', () => {
    const dues = [1, 2, 3, 4].map((count) => {
      const { table, settle, suspicions } = open(4)
      table.accuse(subject, 'suspect', 'test')
      if (count > 1) {
        const others = Array.from({ length: count - 1 }, (_, i) => nodeIdOf(2 + i))
        table.apply(accused(...others), 1, 0, 'test')
      }
      settle(0)
      return suspicions.nextDeadline()
    })
    expect(dues[0]).toBe(suspicionMaxMs)
    expect(dues[3]).toBe(suspicionMinMs)
    expect(dues).toEqual([...dues].sort((x, y) => y - x))
    expect(new Set(dues).size).toBe(4)
  })

  it('is as short as it gets where all that could observe it do', () => {
    const { table, settle, suspicions } = open(2)
    table.apply(accused(nodeIdOf(2)), 1, 0, 'test')
    table.accuse(subject, 'suspect', 'test')
    settle(0)
    expect(suspicions.nextDeadline()).toBe(suspicionMinMs)
  })

  it('lasts three round trips at least', () => {
    const { table, settle, suspicions } = open(2, () => true, 500)
    table.apply(accused(nodeIdOf(2)), 1, 0, 'test')
    table.accuse(subject, 'suspect', 'test')
    settle(0)
    expect(suspicions.nextDeadline()).toBe(1_500)
  })

  it('that this member does not share is left to those who do for a while', () => {
    const { table, settle, suspicions } = open(4)
    table.apply(accused(nodeIdOf(2), nodeIdOf(3), nodeIdOf(4), nodeIdOf(5)), 1, 0, 'test')
    settle(0)
    expect(suspicions.nextDeadline()).toBe(suspicionMinMs + 5_000)
  })

  it('gives no verdict while this member may be lost itself, nor one that was refuted', () => {
    let mayConvict = false
    const { table, settle, verdict, suspicions } = open(1, () => mayConvict)
    table.accuse(subject, 'suspect', 'test')
    settle(0)
    expect(verdict(0, 30_000)).toBeUndefined()
    expect(suspicions.has(subject)).toBe(true)
    table.apply(wholeOf(subject, { incarnation: 1, counter: 2 }), 1, 30_000, 'test')
    settle(30_000)
    expect(suspicions.has(subject)).toBe(false)
    mayConvict = true
    expect(verdict(30_000, 60_000)).toBeUndefined()
  })
})

describe('a living member behind a dead link', () => {
  it('is vouched for by whom both are linked to, and never accused', () => {
    const { room, cores } = four()
    const [a, b] = cores
    room.connects = (from, to) => !pair(a, b, from, to)
    expect(room.cut(a, b)).toBe(true)
    room.run(60_000)
    const answers = room.frames('probed').filter(({ to }) => to === a.nodeId || to === b.nodeId)
    expect(answers.some(({ frame }) => frame.alive)).toBe(true)
    expect(accusations(room)).toEqual([])
    expect(incarnations(cores)).toEqual([0, 0, 0, 0])
    expect(agree(cores)).toBe(true)
  })

  it.each([
    ['both ways', true],
    ['one way', false],
  ])('that stays open but carries nothing (%s) is accused a handful of times at most', (_, both) => {
    const { room, cores } = four()
    const [a, b] = cores
    room.passes = (from, to) => !(from === a.nodeId && to === b.nodeId) && !(both && pair(a, b, from, to))
    room.run(60_000)
    const total = incarnations(cores).reduce((sum, incarnation) => sum + incarnation, 0)
    expect(total).toBeLessThanOrEqual(4)
    for (const core of cores) for (const { nodeId } of cores) expect(core.table.status(nodeId)).toBe('up')
    expect(accusations(room).filter(({ rank }) => rank === 'unreachable')).toEqual([])
    expect(cores.flatMap((core) => room.lives(core))).toHaveLength(4)
  })
})

const pair = (a: NodeCore, b: NodeCore, from: NodeId, to: NodeId): boolean =>
  (from === a.nodeId && to === b.nodeId) || (from === b.nodeId && to === a.nodeId)

describe('a member that is cut off', () => {
  it('accuses nobody while signaling is down, and refutes when it is back', () => {
    const { room, cores } = four()
    const [a, b, c, d] = cores
    room.disconnectSignaling(a)
    cutOff(room, a, [b, c, d])
    expect(a.status).toBe('isolated')
    room.run(30_000)
    for (const { nodeId } of [b, c, d]) {
      expect(a.table.status(nodeId)).toBe('up')
      expect(a.table.get(nodeId)!.accusation).toBeUndefined()
    }
    expect(accusations(room).every(({ subject }) => subject === a.nodeId)).toBe(true)
    expect([b, c, d].map((core) => core.table.status(a.nodeId))).toEqual(Array(3).fill('unreachable'))
    heal(room)
    room.connectSignaling(a)
    room.until(() => agree(cores), 'all agree', 30_000)
    expect(incarnations([b, c, d])).toEqual([0, 0, 0])
    expect(a.status).toBe('up')
  })

  it('accuses nobody while signaling is down though every link stays open', () => {
    for (const offset of PHASES) {
      const { room, cores } = four()
      const [a, ...others] = cores
      room.run(offset)
      room.disconnectSignaling(a)
      room.passes = (from, to) => from !== a.nodeId && to !== a.nodeId
      expectNoVerdict(room, a, others)
    }
  })

  it('accuses nobody while the signaling server, though connected, says nothing', () => {
    for (const offset of PHASES) {
      const { room, cores } = four()
      const [a, ...others] = cores
      room.run(offset)
      silence(room, a)
      room.answers = (asker) => asker !== a.nodeId
      const suspects = expectNoVerdict(room, a, others)
      expect(others.map((core) => core.table.status(a.nodeId))).toEqual(Array(3).fill('unreachable'))
      heal(room)
      room.answers = () => true
      room.until(() => agree(cores), 'all agree', 30_000)
      const refuted = others.filter(({ table, nodeId }) => table.get(nodeId)!.self!.incarnation > 0)
      for (const other of refuted) expect(suspects).toContain(other)
    }
  })

  it('accuses nobody after it, whatever it suspected before it knew, and however old its questions are', () => {
    let suspectedBefore = 0
    for (const offset of PHASES) {
      const { room, cores } = four()
      const [a, ...others] = cores
      room.run(offset)
      silence(room, a)
      room.answers = (asker) => asker !== a.nodeId
      room.run(12_000)
      expect(a.status).toBe('isolated')
      suspectedBefore += others.filter((other) => observed(a, other).length > 0).length
      heal(room)
      room.answers = () => true
      const convicted = new Set<NodeId>()
      for (let step = 0; step < 300; step++) {
        room.run(10)
        for (const { nodeId } of others) if (a.table.status(nodeId) !== 'up') convicted.add(nodeId)
      }
      expect([...convicted], `cut off ${offset} ms later`).toEqual([])
      room.until(() => agree(cores), 'all agree', 30_000)
    }
    expect(suspectedBefore, 'some were suspected').toBeGreaterThan(0)
  })

  it('asks by signaling, and accuses alone whom the signaling server calls gone', () => {
    const { room, cores } = four()
    const [a, b, c, d] = cores
    const said: [NodeId, NodeId, string][] = []
    room.signals = (from, to, data) => {
      said.push([from, to, data])
      return true
    }
    cutOff(room, a, [b, c])
    room.kill(d)
    room.until(() => a.table.status(d.nodeId) === 'unreachable', 'd is accused', 5_000)
    const [ask, answer] = [encodeSignOfLife('ask'), encodeSignOfLife('answer')]
    for (const { nodeId } of [b, c]) {
      expect(said).toContainEqual([a.nodeId, nodeId, ask])
      expect(said).toContainEqual([nodeId, a.nodeId, answer])
    }
    room.run(30_000)
    for (const { nodeId } of [b, c]) {
      expect(a.table.status(nodeId)).toBe('up')
      expect(a.table.get(nodeId)!.accusation).toBeUndefined()
    }
    expect(observed(a, d)).toEqual([a.nodeId])
  })

  it('accuses whom neither links nor signaling bring an answer from', () => {
    const { room, cores } = cluster(2)
    const [a, b] = cores as [NodeCore, NodeCore]
    room.run(PUBLISHED_MS)
    silence(room, b)
    room.until(() => a.table.status(b.nodeId) === 'unreachable', 'b is accused', FOUND_OUT_MS)
    expect(room.events(a, 'member-status').at(-1)).toMatchObject({ reason: 'no answer on any way' })
  })

  it('gives a sign of life itself, to whoever asks', () => {
    const { room, cores } = cluster(2)
    const answers: NodeId[] = []
    room.signals = (from, _, data) => {
      if (data === encodeSignOfLife('answer')) answers.push(from)
      return true
    }
    const ask = encodeSignOfLife('ask')
    room.feed(cores[0]!, { type: 'signaling-message', from: cores[1]!.nodeId, data: ask })
    expect(answers).toEqual([cores[0]!.nodeId])
  })
})

describe('a late wake-up', () => {
  const SLEEP_MS = 10_000

  it('accuses nobody, where all others are there', () => {
    const { room, cores } = four()
    const [a, b, c, d] = cores
    room.sleep(a, SLEEP_MS)
    room.run(SLEEP_MS + 30_000)
    expect(accusations(room).filter(({ observers }) => observers.includes(a.nodeId))).toEqual([])
    expect(incarnations([b, c, d])).toEqual([0, 0, 0])
    expect(agree(cores)).toBe(true)
  })

  it('accuses who is silent after a whole round, not before', () => {
    const { room, cores } = four()
    const [a, b, c, d] = cores
    room.sleep(a, SLEEP_MS)
    const woke = room.now + SLEEP_MS
    // So late that the others have no verdict when it wakes.
    room.run(SLEEP_MS - 500)
    silence(room, b)
    room.run(500)
    const own = () => accusations(room).filter(({ observers }) => observers.includes(a.nodeId))
    room.until(() => own().length > 0, 'a accuses b', FOUND_OUT_MS)
    expect(own()[0]!.at - woke).toBeGreaterThan(2 * probeTimeoutMs)
    room.run(FOUND_OUT_MS)
    expect(own().every(({ subject }) => subject === b.nodeId)).toBe(true)
    expect(incarnations([c, d])).toEqual([0, 0])
    expect([c, d].every((core) => isLinked(a, core))).toBe(true)
  })
})
