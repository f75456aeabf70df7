/** What others ask of a member about a third one leaves the questions alone that it asks itself. */
import { describe, expect, it } from 'vitest'
import type { NodeCore } from '../../../src/core/node.ts'
import { encodeFrame, encodeMessage } from '../../../src/core/wire/codec.ts'
import { cluster } from '../support/nodes.ts'

describe('a question of another', () => {
  it('about the member that this one asks about itself does not spoil the answer to its own', () => {
    const { room, cores } = cluster(4)
    const [a, b, c, d] = cores as [NodeCore, NodeCore, NodeCore, NodeCore]
    // All links are published by then.
    room.run(5_000)
    room.sent.length = 0
    // Nothing gets through between a and d; all others vouch for d.
    room.passes = (from, to) => ![from, to].every((id) => id === a.nodeId || id === d.nodeId)
    const asked = () =>
      room.frames('probe').filter(({ from, frame }) => from === a.nodeId && frame.subject === d.nodeId)
    const probe = encodeMessage([encodeFrame({ kind: 'probe', subject: d.nodeId, token: 77 })])
    let rounds = 0
    for (const end = room.now + 10_000; room.now < end; room.run(20)) {
      if (asked().length === 0) continue
      // It arrives after a has asked, and before a has an answer.
      room.execute(c, [
        { type: 'link-send', lane: 'control', linkId: room.openLinks(c, a)[0]!, bytes: probe },
      ])
      rounds += 1
      room.sent.length = 0
    }
    expect(rounds).toBeGreaterThan(1)
    expect([b, c, d].map(({ table }) => table.get(d.nodeId)!.self!.incarnation)).toEqual([0, 0, 0])
    for (const core of cores) expect(core.table.get(d.nodeId)!.accusation).toBeUndefined()
  })
})
