/** A member whose network was gone and returns: its links go on or are made anew, and nobody accuses it again. */
import { describe, expect, it } from 'vitest'
import type { NodeCore } from '../../../src/core/node.ts'
import { agree, cluster, isLinked } from '../support/nodes.ts'
import type { Room } from '../support/room.ts'

/** By then all links are published: members know whom they can ask. */
const PUBLISHED_MS = 5_000
/** Shorter than the time after which a transport gives a silent link up by itself. */
const OUTAGE_MS = 15_000
/** An offer that was lost is given up 2 s after it was made, where the other end has made one. */
const LINKED_MS = 2_100

interface Scene {
  readonly room: Room
  readonly away: NodeCore
  readonly others: readonly NodeCore[]
}

/** The member at `index` of four has no network any more, but its links stay open. All others miss it. */
function outage(index: number): Scene {
  const { room, cores } = cluster(4)
  room.run(PUBLISHED_MS)
  const away = cores[index]!
  const others = cores.filter((core) => core !== away)
  const isAway = (nodeId: string) => nodeId === away.nodeId
  room.disconnectSignaling(away)
  room.passes = (from, to) => !isAway(from) && !isAway(to)
  room.run(OUTAGE_MS)
  expect(others.map(({ table }) => table.status(away.nodeId))).toEqual(Array(3).fill('unreachable'))
  return { room, away, others }
}

const losses = ({ room, away, others }: Scene): number[] =>
  others.map(
    (other) =>
      room
        .events(other, 'member-status')
        .filter(({ nodeId, to }) => nodeId === away.nodeId && to === 'unreachable').length,
  )

describe('a member whose network returns', () => {
  it.each([0, 3])('before its signaling keeps the links that are still open (%i)', (index) => {
    const scene = outage(index)
    const { room, away, others } = scene
    room.passes = () => true
    room.until(() => agree([away, ...others]), 'all agree', 5_000)
    room.run(20_000)
    expectStillLinked(scene, others)
    expect([away, ...others].flatMap((core) => room.events(core, 'link-closed'))).toEqual([])
  })

  it.each([0, 1, 2])('and of whose links one, to %i, was half dead is not accused again', (index) => {
    const scene = outage(3)
    const { room, away, others } = scene
    room.passes = () => true
    const isUp = ({ table }: NodeCore) => table.status(away.nodeId) === 'up'
    room.until(() => others.every(isUp), 'all know that it lives', 5_000)
    room.run(500)
    room.cut(away, others[index]!)
    room.run(20_000)
    expectStillLinked(
      scene,
      others.filter((_, i) => i !== index),
    )
  })

  it.each([0, 3])(
    'is linked to all soon, whenever it returns, though offers to it were lost (%i)',
    (index) => {
      for (let outageMs = 8_000; outageMs <= 30_000; outageMs += 500) {
        const { room, cores } = cluster(4)
        room.run(PUBLISHED_MS)
        const away = cores[index]!
        const others = cores.filter((core) => core !== away)
        // To the signaling server its socket is still open: nobody is told that the member is gone.
        room.signals = (from, to) => from !== away.nodeId && to !== away.nodeId
        room.feed(away, { type: 'signaling-down', reason: 'test' })
        for (const other of others) room.cut(away, other)
        room.run(outageMs)
        room.signals = () => true
        room.feed(away, { type: 'signaling-up', contacts: [] })
        const isBack = () => agree(cores) && others.every((other) => isLinked(away, other))
        room.until(isBack, `linked again after ${outageMs} ms`, LINKED_MS)
        room.run(15_000)
        expect(isBack(), 'and stays so').toBe(true)
        expect(losses({ room, away, others }), 'missed once').toEqual([1, 1, 1])
      }
    },
  )
})

function expectStillLinked(scene: Scene, linked: readonly NodeCore[]): void {
  const { away, others } = scene
  expect(agree([away, ...others])).toBe(true)
  expect(linked.map((other) => isLinked(away, other))).toEqual(linked.map(() => true))
  expect(losses(scene), 'missed once').toEqual(others.map(() => 1))
}
