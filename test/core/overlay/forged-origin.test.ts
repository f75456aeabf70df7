/** What goes over several links may have been made by any member on its way: nobody pays for it but with an event. */
import { expect, it } from 'vitest'
import type { NodeCore } from '../../../src/core/node.ts'
import { encodeFrame, encodeMessage } from '../../../src/core/wire/codec.ts'
import type { Frame } from '../../../src/core/wire/frames.ts'
import { cluster } from '../support/nodes.ts'
import { Puppet } from '../support/puppet.ts'

const body = Uint8Array.of(0xff, 9)
const segment = { kind: 'segment', more: false, settled: 0, body } as const

it.each<[string, (i: number) => Frame]>([
  ['datagrams', () => ({ kind: 'datagram', body })],
  ['segments', (i) => ({ ...segment, stream: 'call', sequence: i + 1 })],
  ['messages of grains', (i) => ({ ...segment, stream: 'grain', sequence: i + 1, body: grains })],
])('malformed %s in the name of a member do not have it quarantined', (_, frame) => {
  const { room, cores } = cluster(3)
  const [a, , c] = cores as [NodeCore, NodeCore, NodeCore]
  const puppet = new Puppet(room)
  room.join(puppet)
  puppet.enter(a.nodeId)
  for (let i = 0; i < 4; i++) {
    const header = { origin: c.nodeId, destination: a.nodeId, ttl: 9, trail: [1] }
    puppet.sayBytes(encodeMessage([encodeFrame(frame(i), header)]))
    room.run(20)
  }
  expect(room.events(a, 'frame-rejected').length).toBeGreaterThan(2)
  expect(room.events(a, 'association').filter(({ to }) => to === 'quarantined')).toEqual([])
})

/** One piece, a whole message in the mailbox of grains, of two bytes that are none. */
const grains = Uint8Array.of(3, 1, 0x24, 2, 2, 9, 9)
