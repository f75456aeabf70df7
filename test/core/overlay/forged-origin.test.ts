/** What goes over several links may have been made by any member on its way: nobody pays for it but with an event. */
import { expect, it, vi } from 'vitest'
import type { Outcome } from '../../../src/core/events.ts'
import type { NodeId } from '../../../src/core/identity/node-id.ts'
import type { NodeCore } from '../../../src/core/node.ts'
import { decodeMessage, encodeFrame, encodeMessage } from '../../../src/core/wire/codec.ts'
import type { Frame } from '../../../src/core/wire/frames.ts'
import { LinkQueue } from '../../../src/driver/link-queue.ts'
import { cluster, isLinked } from '../support/nodes.ts'
import { Puppet } from '../support/puppet.ts'
import type { Room } from '../support/room.ts'

const body = Uint8Array.of(0xff, 9)
const segment = { kind: 'segment', more: false, settled: 0, body } as const
/** Begins a message that does not go on. */
const endless = (sequence: number): Frame => ({
  ...segment,
  stream: 'call',
  sequence,
  body: Uint8Array.of(1, 1, 0x6d, 9, 1, 0),
})

it.each<[string, (i: number) => Frame]>([
  ['datagrams', () => ({ kind: 'datagram', body })],
  ['segments', (i) => ({ ...segment, stream: 'call', sequence: i + 1 })],
  ['messages of grains', (i) => ({ ...segment, stream: 'grain', sequence: i + 1, body: grains })],
])('malformed %s in the name of a member do not have it quarantined', (_, frame) => {
  // Of a member that is linked nothing is taken that comes by other ways.
  const { room, a, c, puppet } = roomOf('unlinked')
  for (let i = 0; i < 4; i++) {
    const header = { origin: c.nodeId, destination: a.nodeId, ttl: 9, trail: [1] }
    puppet.sayBytes(encodeMessage([encodeFrame(frame(i), header)]))
    room.run(20)
  }
  expect(room.events(a, 'frame-rejected').length).toBeGreaterThan(2)
  expect(room.events(a, 'association').filter(({ to }) => to === 'quarantined')).toEqual([])
})

it('a segment in the name of a member that is not linked costs it one message, and it is told', () => {
  const { room, a, c, puppet } = roomOf('unlinked')
  // until c knows of another way
  room.run(10_000)
  const [mail, sent] = [mailOf(room, a), mailOf(room, c)]
  sendText(room, c, a, 1)
  room.run(1_000)
  const header = { origin: c.nodeId, destination: a.nodeId, ttl: 9, trail: [1] }
  puppet.sayBytes(encodeMessage([encodeFrame(endless(2), header)]))
  room.run(20)
  for (let id = 2; id <= 5; id++) {
    sendText(room, c, a, id)
    room.run(3_000)
  }
  expect(isLinked(a, c)).toBe(false)
  expect(mail.texts).toEqual(['text 1', 'text 3', 'text 4', 'text 5'])
  expect(sent.outcomes).toEqual(['taken', 'no-receiver', 'taken', 'taken', 'taken'])
  expect(room.events(a, 'frame-rejected').map(({ reason }) => reason)).toEqual([
    'pieces of messages are mixed up',
  ])
})

it('stream frames in the name of a member that is linked change nothing', () => {
  const { room, a, c, puppet } = roomOf('linked')
  room.run(30_000)
  expect(isLinked(a, c)).toBe(true)
  const mail = mailOf(room, a)
  const header = { origin: c.nodeId, destination: a.nodeId, ttl: 9, trail: [1] }
  puppet.sayBytes(encodeMessage([encodeFrame(endless(1), header)]))
  room.run(20)
  for (let id = 1; id <= 3; id++) sendText(room, c, a, id)
  room.run(1_000)
  expect(mail.texts).toEqual(['text 1', 'text 2', 'text 3'])
  // and what nobody has handled
  room.passes = (from, to) => from !== a.nodeId || to !== c.nodeId
  sendText(room, a, c, 4)
  const receipt = {
    kind: 'receipt',
    stream: 'call',
    received: 1,
    taken: 1,
    limit: 300_000,
    refused: [],
  } as const
  puppet.sayBytes(encodeMessage([encodeFrame(receipt, header)]))
  room.run(20)
  expect(mail.outcomes).toEqual([])
  expect(room.events(a, 'frame-rejected')).toEqual([])
})

it('receipts in the name of a member do not spoil what waits before the link to it', () => {
  const { room, a, c, puppet } = roomOf('linked')
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
  // until c has not answered for so long that what comes by other ways is taken
  room.run(5_500)
  expect(room.openLinks(a, c)).toEqual([linkId])
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

/** Three members, of which `a` and `c` are linked or not, and a puppet that is linked to `a` and speaks for others. */
function roomOf(pair: 'linked' | 'unlinked'): { room: Room; a: NodeCore; c: NodeCore; puppet: Puppet } {
  const { room, cores } = cluster(3)
  const [a, , c] = cores as [NodeCore, NodeCore, NodeCore]
  if (pair === 'unlinked') unlink(room, a, c)
  const puppet = new Puppet(room)
  room.join(puppet)
  puppet.enter(a.nodeId)
  return { room, a, c, puppet }
}

/** What `core` is told of messages of others, which it handles at once, and of its own. */
function mailOf(room: Room, core: NodeCore): { texts: string[]; outcomes: Outcome[] } {
  const mail = { texts: [] as string[], outcomes: [] as Outcome[] }
  const handle = core.handle.bind(core)
  vi.spyOn(core, 'handle').mockImplementation((input, now) => {
    const outputs = handle(input, now)
    for (const output of outputs) {
      if (output.type === 'outcome') mail.outcomes.push(output.outcome)
      if (output.type !== 'deliver') continue
      const { nodeId, lane, messages } = output
      for (const { bytes } of messages) mail.texts.push(new TextDecoder().decode(bytes))
      room.later(1, core, { type: 'taken', nodeId, lane, count: messages.length, refused: [] })
    }
    return outputs
  })
  return mail
}

/** From now on messages between the two take other ways. */
function unlink(room: Room, a: NodeCore, b: NodeCore): void {
  const isOfPair = (nodeId: NodeId): boolean => nodeId === a.nodeId || nodeId === b.nodeId
  room.connects = (from, to) => !isOfPair(from) || !isOfPair(to)
  room.cut(a, b)
}

function sendText(room: Room, from: NodeCore, to: NodeCore, id: number): void {
  const bytes = new TextEncoder().encode(`text ${id}`)
  const message = { id, to: to.nodeId, mailbox: 'm', lane: 'call', bytes, text: true } as const
  room.feed(from, { type: 'send', messages: [message] })
}
