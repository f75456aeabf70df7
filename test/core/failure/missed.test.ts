/** Members whose end could go unnoticed: nobody is linked to them, they still talk, or whoever looks is always late. */
import { describe, expect, it } from 'vitest'
import type { NodeCore } from '../../../src/core/node.ts'
import { DEFAULT_TUNING } from '../../../src/core/tuning.ts'
import { agree, cluster, reload } from '../support/nodes.ts'
import type { Room } from '../support/room.ts'

const { removeAfterMs } = DEFAULT_TUNING
/** By then all links are published: members know whom they can ask. */
const PUBLISHED_MS = 5_000
/** A silent member is `unreachable` by then, where those who look for it are in time. */
const FOUND_OUT_MS = 10_000
/** ... and by then where nothing is known of it that would ask for patience. */
const IN_TIME_MS = 4_000
/** Frozen this long: its links and its socket stay open, and nothing is ever answered. */
const FOR_EVER_MS = 1e9

function settled(count: number): { room: Room; cores: NodeCore[] } {
  const { room, cores } = cluster(count)
  room.run(PUBLISHED_MS)
  room.recording = false
  return { room, cores }
}

const statusOf = (subject: NodeCore, ...cores: NodeCore[]) =>
  cores.map(({ table }) => table.status(subject.nodeId))

describe('a frozen member', () => {
  it.each([1, 2])(
    'is accused by both others though one of them, %i, is reloaded and has no link to it',
    (index) => {
      const { room, cores } = settled(3)
      const [frozen, keeper] = [cores[2]!, cores[2 - index]!]
      room.sleep(frozen, FOR_EVER_MS)
      room.run(1_000)
      const reloaded = reload(room, cores[index - 1]!, index)
      room.until(() => agree([keeper, reloaded]), 'both miss it', FOUND_OUT_MS)
      expect(statusOf(frozen, keeper, reloaded)).toEqual(['unreachable', 'unreachable'])
      const observers = keeper.table.get(frozen.nodeId)!.accusation!.observers
      expect([...observers].sort()).toEqual([keeper.nodeId, reloaded.nodeId].sort())
    },
  )

  it('is missed, then removed, where nobody is linked to it any more since all others are reloaded', () => {
    const { room, cores } = settled(3)
    const frozen = cores[2]!
    room.sleep(frozen, FOR_EVER_MS)
    room.run(300)
    const a = reload(room, cores[0]!, 1)
    room.run(500)
    const b = reload(room, cores[1]!, 2)
    room.run(PUBLISHED_MS)
    expect(statusOf(frozen, a, b), 'remembered').toEqual(['up', 'up'])
    room.until(() => agree([a, b]), 'both miss it')
    expect(statusOf(frozen, a, b)).toEqual(['unreachable', 'unreachable'])
    room.run(removeAfterMs + 1_000)
    expect(statusOf(frozen, a, b)).toEqual(['removed', 'removed'])
  })

  it('is missed with others that are frozen too, and that all say they are linked to it', () => {
    const { room, cores } = settled(5)
    const frozen = cores.slice(2)
    for (const core of frozen) room.sleep(core, FOR_EVER_MS)
    room.run(300)
    const a = reload(room, cores[0]!, 1)
    room.run(300)
    const b = reload(room, cores[1]!, 2)
    room.until(() => frozen.every((core) => statusOf(core, a, b).every((s) => s === 'unreachable')), 'missed')
  })
})

describe('a member that is lost', () => {
  it('a moment after it refuted is missed all the same, though others vouched for it', () => {
    const { room, cores } = settled(4)
    const [lost, ...others] = [cores[3]!, ...cores.slice(0, 3)]
    // Nobody can ask the signaling server.
    for (const core of cores) room.disconnectSignaling(core)
    room.passes = (from, to) => from !== lost.nodeId && to !== lost.nodeId
    const accusation = (core: NodeCore) => core.table.get(lost.nodeId)!.accusation
    room.until(() => accusation(others[0]!)?.observers.length === 3, 'all accuse it', FOUND_OUT_MS)
    room.passes = () => true
    room.until(() => others.every((core) => accusation(core) === undefined), 'it refutes', 5_000)
    room.run(2_000)
    room.kill(lost)
    room.until(() => agree(others), 'all miss it, as soon as anybody', IN_TIME_MS)
    expect(statusOf(lost, ...others)).toEqual(Array(3).fill('unreachable'))
  })

  it('to all that is said to it, but still talks, is missed by the last other one', () => {
    const { room, cores } = settled(2)
    const [a, deaf] = cores as [NodeCore, NodeCore]
    room.passes = (_, to) => to !== deaf.nodeId
    room.signals = (from, to) => from !== deaf.nodeId && to !== deaf.nodeId
    room.until(() => a.table.status(deaf.nodeId) === 'unreachable', 'it is missed', FOUND_OUT_MS)
    room.run(30_000)
    expect(a.table.status(deaf.nodeId)).toBe('unreachable')
    expect(a.status, 'not isolated').toBe('up')
  })
})

describe('members whose timers are late every time', () => {
  /** Timers fire at whole multiples of `everyMs` only, as those of hidden tabs; messages arrive as ever. */
  function throttle(core: NodeCore, everyMs: number): void {
    const nextDeadline = core.nextDeadline.bind(core)
    core.nextDeadline = () => {
      const deadline = nextDeadline()
      return deadline === undefined ? undefined : Math.ceil(deadline / everyMs) * everyMs
    }
  }

  it.each([
    [2, 3_000, 30_000],
    [3, 3_000, 30_000],
    [2, 60_000, 900_000],
    [3, 60_000, 900_000],
  ])(
    '%i of them, every %i ms, miss nobody who is there, and a frozen one within %i ms',
    (count, everyMs, foundOutMs) => {
      const { room, cores } = settled(count)
      const [frozen, ...others] = [cores.at(-1)!, ...cores.slice(0, -1)]
      for (const core of cores) throttle(core, everyMs)
      room.run(120_000)
      const missed = cores
        .flatMap((core) => room.events(core, 'member-status'))
        .filter(({ to }) => to === 'unreachable')
      expect(missed, 'while all are there').toEqual([])
      expect(agree(cores)).toBe(true)
      room.sleep(frozen, FOR_EVER_MS)
      room.until(
        () => statusOf(frozen, ...others).every((status) => status !== 'up'),
        'it is missed',
        foundOutMs,
      )
    },
  )
})
