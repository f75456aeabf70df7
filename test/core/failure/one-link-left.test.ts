/** A member that only one other still reaches lives: the others hear so from that one before they have a verdict. */
import { describe, expect, it } from 'vitest'
import { agree, cluster } from '../support/nodes.ts'

const MEMBERS = 6
/** By then all links are published: each member takes all others to be linked to each other. */
const PUBLISHED_MS = 5_000
const OUTAGE_MS = 12_000

/** Who was heard last when the links fall silent, and who is then asked first, is chance. */
const PHASES = [0, 130, 270, 410, 560, 700, 850]

describe('a member all of whose links but one fall silent', () => {
  it.each([0, 2, 5])('is never called unreachable by anybody, nor calls anybody so (%i)', (index) => {
    for (const phase of PHASES) {
      const { room, cores } = cluster(MEMBERS)
      room.run(PUBLISHED_MS + phase)
      const half = cores[index]!
      const friend = cores[(index + 1) % MEMBERS]!
      const ends = new Set([half.nodeId, friend.nodeId])
      room.disconnectSignaling(half)
      room.signals = (from, to) => from !== half.nodeId && to !== half.nodeId
      room.passes = (from, to) => {
        const concerns = from === half.nodeId || to === half.nodeId
        return !concerns || (ends.has(from) && ends.has(to))
      }
      room.run(OUTAGE_MS)
      const verdicts = cores.flatMap((core) =>
        room.events(core, 'member-status').filter(({ to }) => to === 'unreachable' || to === 'removed'),
      )
      expect(verdicts, `after ${phase} ms`).toEqual([])
      expect(cores.map(({ status }) => status)).toEqual(cores.map(() => 'up'))
      room.passes = () => true
      room.until(() => agree(cores), 'all agree', 20_000)
    }
  })
})
