/** What goes over several links may have been made by any member on its way: nobody pays for it but with an event. */
import { expect, it, vi } from 'vitest'
import type { NodeCore } from '../../../src/core/node.ts'
import { decodeMessage, encodeFrame, encodeMessage } from '../../../src/core/wire/codec.ts'
import type { Frame } from '../../../src/core/wire/frames.ts'
import { LinkQueue } from '../../../src/driver/link-queue.ts'
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

it('receipts in the name of a member do not spoil what waits before the link to it', () => {
  const { room, cores } = cluster(3)
  const [a, , c] = cores as [NodeCore, NodeCore, NodeCore]
  const puppet = new Puppet(room)
  room.join(puppet)
  puppet.enter(a.nodeId)
  room.run(500)
  const linkId = room.openLinks(a, c)[0]!
  // what a has for c waits before a link that is slow for now
  const wire: Uint8Array[] = []
  const end = {
    bufferedBytes: 0,
    signal: () => undefined,
    close: () => undefined,
    send: (bytes: Uint8Array) => {
      wire.push(bytes.slice())
      end.bufferedBytes += bytes.length
    },
  }
  const traffic = {
    messagesSent: 0,
    messagesReceived: 0,
    bytesSent: 0,
    bytesReceived: 0,
    messagesDropped: 0,
  }
  const queue = new LinkQueue(end, traffic, () => undefined)
  const handle = a.handle.bind(a)
  vi.spyOn(a, 'handle').mockImplementation((input, now) =>
    handle(input, now).filter((output) => {
      if (output.type !== 'link-send' || output.linkId !== linkId) return true
      queue.push(output.lane, output.bytes)
      queue.flush()
      return false
    }),
  )
  const send = (from: number): void =>
    room.feed(a, {
      type: 'send',
      messages: Array.from({ length: 16 }, (_, i) => ({
        id: from + i,
        to: c.nodeId,
        mailbox: 'm',
        lane: 'bulk' as const,
        bytes: new Uint8Array(5_000 + 900 * (i % 11)).fill(from + i),
        text: false,
      })),
    })

  send(1)
  for (let received = 1; received <= 20; received++) {
    const receipt = {
      kind: 'receipt',
      stream: 'bulk',
      received,
      taken: 0,
      limit: 1_000_000,
      refused: [],
    } as const
    const header = { origin: c.nodeId, destination: a.nodeId, ttl: 9, trail: [1] }
    puppet.sayBytes(encodeMessage([encodeFrame(receipt, header)]))
  }
  room.run(20)
  send(17)
  for (let i = 0; i < 200; i++) {
    end.bufferedBytes = 0
    queue.flush()
  }
  const sequences: number[] = []
  for (const bytes of wire) {
    const decoded = decodeMessage(bytes)
    if (!decoded.ok) throw new Error(decoded.reason)
    for (const { frame } of decoded.envelopes) if (frame.kind === 'segment') sequences.push(frame.sequence)
  }
  expect(sequences.length).toBeGreaterThan(10)
  expect(sequences).toEqual(sequences.map((_, i) => i + 1))
})

/** One piece, a whole message in the mailbox of grains, of two bytes that are none. */
const grains = Uint8Array.of(3, 1, 0x24, 2, 2, 9, 9)
