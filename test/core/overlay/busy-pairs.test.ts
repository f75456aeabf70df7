/** Members that exchange many messages get links of their own, and the links of a room come to rest all the same. */
import { beforeEach, describe, expect, it } from 'vitest'
import type { NodeCore } from '../../../src/core/node.ts'
import { authorityOf } from '../../../src/core/identity/node-id.ts'
import { cluster, isLinked } from '../support/nodes.ts'
import type { Room } from '../support/room.ts'

const MAX_LINKS = 8
/** Of one pair, in ms: twice what is worth a link. */
const MESSAGE_EVERY_MS = 50
/** Links are made, refused and given up for so long at most once pairs have begun to talk. */
const SETTLED_MS = 20_000
/** Longer than a wish holds of which nothing is heard any more. */
const WATCHED_MS = 45_000

let room: Room
let cores: NodeCore[]
let ids = 0

beforeEach(() => {
  const made = cluster(12, { minLinks: 4, maxLinks: MAX_LINKS })
  room = made.room
  room.recording = false
  cores = made.cores
  for (const core of cores) answer(core)
  room.run(15_000)
})

/** Takes what is delivered, at once. */
function answer(core: NodeCore): void {
  const handle = core.handle.bind(core)
  core.handle = (input, now) => {
    const outputs = handle(input, now)
    for (const output of outputs) {
      if (output.type !== 'deliver') continue
      const { nodeId, lane, messages } = output
      room.later(0, core, { type: 'taken', nodeId, lane, count: messages.length, refused: [] })
    }
    return outputs
  }
}

/** Each of `pairs` exchanges messages for so long. */
function talk(pairs: readonly (readonly [NodeCore, NodeCore])[], forMs: number): void {
  const bytes = new Uint8Array(4)
  for (const end = room.now + forMs; room.now < end; room.run(MESSAGE_EVERY_MS)) {
    for (const [from, to] of pairs) {
      const message = {
        to: authorityOf(to.nodeId),
        mailbox: 'talk',
        lane: 'call',
        bytes,
        text: false,
      } as const
      room.feed(from, { type: 'send', messages: [{ id: ++ids, ...message }] })
    }
  }
}

const changesOf = (core: NodeCore): number =>
  room.events(core, 'link-opened').length + room.events(core, 'link-closed').length
const changes = (): number => cores.reduce((sum, core) => sum + changesOf(core), 0)

describe('a busy pair', () => {
  it('gets a link, which stays while it is busy', () => {
    const from = cores[0]!
    const to = cores.find((core) => core !== from && !isLinked(from, core))!
    talk([[from, to]], SETTLED_MS)
    expect(isLinked(from, to)).toBe(true)
    const before = changes()
    talk([[from, to]], WATCHED_MS)
    expect(changes()).toBe(before)
  })
})

describe('a member that all others talk to', () => {
  it('does not give up a link for the sake of one that is wished no less', () => {
    const [hub, ...others] = cores as [NodeCore, ...NodeCore[]]
    const pairs = others.map((core) => [core, hub] as const)
    talk(pairs, SETTLED_MS)
    const before = changes()
    talk(pairs, WATCHED_MS)
    expect(changes()).toBe(before)
    expect(hub.linkCount).toBeLessThanOrEqual(MAX_LINKS)
  })
})
