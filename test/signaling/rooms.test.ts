import { beforeEach, describe, expect, test } from 'vitest'
import { Rooms, type RoomsOptions, type RoomsOutput } from '../../signaling-server/rooms.ts'
import { CloseCode, type ClientFrame } from '../../src/adapters/signaling/protocol.ts'
import { hello, node, seeded } from './support.ts'

let rooms: Rooms
let now = 0

const make = (options: Partial<RoomsOptions> = {}): Rooms =>
  new Rooms({ rooms: 10, membersPerRoom: 100, random: seeded(1), now: () => now, ...options })

beforeEach(() => {
  now = 1_000_000
  rooms = make()
})

const frame = (connection: number, body: ClientFrame): RoomsOutput[] =>
  rooms.handle({ type: 'frame', connection, frame: body })

/** Lets members 1 to `count` in, each on the connection of its number. */
function admit(count: number): void {
  for (let index = 1; index <= count; index++) frame(index, hello(index))
}

function welcomeOf(outputs: readonly RoomsOutput[]) {
  for (const output of outputs) {
    if (output.type === 'send' && output.frame.t === 'welcome') return output.frame
  }
  throw new Error(`no welcome in ${JSON.stringify(outputs)}`)
}

const close = (connection: number, code: number, reason: string) => ({
  type: 'close',
  connection,
  code,
  reason,
})
const gone = (connection: number, index: number) => ({
  type: 'send',
  connection,
  frame: { t: 'gone', node: node(index) },
})

describe('admission', () => {
  test('the first one is welcome and told of nobody', () => {
    const outputs = frame(1, hello(1))
    expect(outputs).toHaveLength(1)
    expect(welcomeOf(outputs)).toMatchObject({ v: 1, contacts: [] })
    expect(welcomeOf(outputs).resume).toMatch(/^[a-z2-7]{26}$/)
    expect([rooms.roomCount, rooms.memberCount]).toEqual([1, 1])
  })

  test('a newcomer gets a few others, never itself, never one twice', () => {
    admit(50)
    const { contacts } = welcomeOf(frame(51, hello(51)))
    expect(new Set(contacts).size).toBe(3)
    expect(contacts).not.toContain(node(51))
  })

  test('whom it gets is random over the whole room', () => {
    admit(20)
    const seen = new Map<string, number>()
    for (let i = 0; i < 2_000; i++) {
      const [answer] = frame(7, { t: 'contacts' })
      if (answer?.type !== 'send' || answer.frame.t !== 'contacts') throw new Error('no answer')
      for (const contact of answer.frame.contacts) seen.set(contact, (seen.get(contact) ?? 0) + 1)
    }
    expect(seen.has(node(7))).toBe(false)
    expect(seen.size).toBe(19)
    // 6,000 picks over 19 members are 316 each; 60 is more than three standard deviations.
    for (const count of seen.values()) expect(Math.abs(count - 316)).toBeLessThan(60)
  })

  test.each([0, 1, 16])('%i contacts if asked for', (contacts) => {
    rooms = make({ contacts })
    admit(30)
    expect(welcomeOf(frame(31, hello(31))).contacts).toHaveLength(contacts)
  })

  test('another version is refused with the one that is spoken', () => {
    expect(frame(1, hello(1, { v: 2 }))).toEqual([
      close(1, CloseCode.versionUnsupported, 'v: this server speaks version 1, not 2'),
    ])
  })

  test('a full room refuses newcomers but lets its members resume', () => {
    rooms = make({ membersPerRoom: 2 })
    const { resume } = welcomeOf(frame(1, hello(1)))
    frame(2, hello(2))
    expect(frame(3, hello(3))).toEqual([close(3, CloseCode.roomFull, 'the room is full: it has 2 members')])
    expect(welcomeOf(frame(4, hello(1, { resume }))).contacts).toEqual([node(2)])
  })

  test('a full server refuses new rooms, and has a place again when one is empty', () => {
    rooms = make({ rooms: 1 })
    frame(1, hello(1))
    expect(frame(2, hello(2, { room: 'other' }))).toEqual([
      close(2, CloseCode.unavailable, 'the server is full: it keeps at most 1 rooms'),
    ])
    frame(1, { t: 'bye' })
    expect(welcomeOf(frame(2, hello(2, { room: 'other' }))).contacts).toEqual([])
  })

  test('rooms named like properties of objects are rooms like others', () => {
    for (const room of ['__proto__', 'constructor', 'toString']) {
      expect(welcomeOf(frame(rooms.memberCount + 1, hello(1, { room }))).contacts).toEqual([])
    }
    expect(rooms.roomCount).toBe(3)
  })
})

describe('signals', () => {
  test('the sender is who the connection belongs to', () => {
    admit(2)
    expect(frame(1, { t: 'signal', to: node(2), data: 'offer' })).toEqual([
      { type: 'send', connection: 2, frame: { t: 'signal', from: node(1), data: 'offer' } },
    ])
  })

  test('an addressee who is not here is gone', () => {
    admit(1)
    expect(frame(1, { t: 'signal', to: node(9), data: 'x' })).toEqual([gone(1, 9)])
  })

  test('another room is out of reach', () => {
    frame(1, hello(1))
    frame(2, hello(2, { room: 'other' }))
    expect(frame(1, { t: 'signal', to: node(2), data: 'x' })).toEqual([gone(1, 2)])
    expect(frame(1, { t: 'contacts' })).toEqual([
      { type: 'send', connection: 1, frame: { t: 'contacts', contacts: [], quietMs: 0 } },
    ])
  })

  test('one nodeId may be in two rooms at once', () => {
    frame(1, hello(1))
    frame(2, hello(1, { room: 'other' }))
    frame(3, hello(3, { room: 'other' }))
    expect(frame(3, { t: 'signal', to: node(1), data: 'x' })).toMatchObject([{ connection: 2 }])
  })
})

describe('ends', () => {
  test('a socket that ends without bye is told to the others, once', () => {
    admit(3)
    expect(rooms.handle({ type: 'ended', connection: 2 })).toEqual([gone(1, 2), gone(3, 2)])
    expect(rooms.handle({ type: 'ended', connection: 2 })).toEqual([])
  })

  test('a bye is told to nobody, nor is the end of its socket', () => {
    admit(2)
    expect(frame(2, { t: 'bye' })).toEqual([close(2, 1000, 'bye')])
    expect(rooms.handle({ type: 'ended', connection: 2 })).toEqual([])
    expect(frame(1, { t: 'signal', to: node(2), data: 'x' })).toEqual([gone(1, 2)])
  })

  test.each<ClientFrame>([{ t: 'signal', to: node(1), data: '' }, { t: 'contacts' }, { t: 'bye' }])(
    '$t before hello ends its sender alone',
    (body) => {
      admit(1)
      expect(frame(2, body)).toEqual([close(2, CloseCode.malformed, 't: the first frame must be a hello')])
      expect(rooms.memberCount).toBe(1)
    },
  )

  test('a second hello ends its sender, whatever room it names', () => {
    admit(2)
    expect(frame(2, hello(3, { room: 'other' }))).toEqual([
      close(2, CloseCode.malformed, 't: a second hello on one connection'),
      gone(1, 2),
    ])
    expect([rooms.roomCount, rooms.memberCount]).toEqual([1, 1])
  })

  test('places in a room stay right through many joins and ends', () => {
    const random = seeded(7)
    const present = new Set<number>()
    for (let step = 0; step < 3_000; step++) {
      const index = Math.floor(random() * 40) + 1
      if (present.delete(index)) rooms.handle({ type: 'ended', connection: index })
      else {
        present.add(index)
        const { contacts } = welcomeOf(frame(index, hello(index)))
        const others = new Set([...present].filter((other) => other !== index).map((other) => node(other)))
        expect(contacts).toHaveLength(Math.min(3, others.size))
        for (const contact of contacts) expect(others).toContain(contact)
      }
      expect(rooms.memberCount).toBe(present.size)
    }
    for (const index of present) rooms.handle({ type: 'ended', connection: index })
    expect([rooms.roomCount, rooms.memberCount]).toEqual([0, 0])
  })
})

describe('resume', () => {
  test('a member takes over its own half-open socket, unnoticed by the others', () => {
    admit(1)
    const { resume } = welcomeOf(frame(2, hello(2)))
    const outputs = frame(3, hello(2, { resume }))
    expect(outputs[0]).toEqual(close(2, CloseCode.replaced, 'resumed on another connection'))
    expect(welcomeOf(outputs)).toMatchObject({ contacts: [node(1)], resume })
    expect(outputs).toHaveLength(2)
    expect(rooms.handle({ type: 'ended', connection: 2 })).toEqual([])
    expect(frame(1, { t: 'signal', to: node(2), data: 'x' })).toMatchObject([{ connection: 3 }])
    expect(rooms.handle({ type: 'ended', connection: 3 })).toEqual([gone(1, 2)])
  })

  test.each([undefined, 'guess'])('a stranger with the same nodeId is refused (token %s)', (resume) => {
    admit(2)
    const refused = frame(3, hello(2, resume === undefined ? {} : { resume }))
    expect(refused).toMatchObject([{ type: 'close', connection: 3, code: CloseCode.nodeTaken }])
    expect(frame(1, { t: 'signal', to: node(2), data: 'x' })).toMatchObject([{ connection: 2 }])
  })

  test('the token of one member is worth nothing for another', () => {
    const { resume } = welcomeOf(frame(1, hello(1)))
    frame(2, hello(2))
    expect(frame(3, hello(2, { resume }))).toMatchObject([{ code: CloseCode.nodeTaken }])
  })

  test('a token of a life that ended is no obstacle', () => {
    const { resume } = welcomeOf(frame(1, hello(1)))
    rooms.handle({ type: 'ended', connection: 1 })
    const again = welcomeOf(frame(2, hello(1, { resume })))
    expect(again.resume).not.toBe(resume)
  })
})

test('a draining server asks everybody to come back, and ends are no news any more', () => {
  admit(2)
  expect(rooms.handle({ type: 'drain', retryMs: 500 })).toEqual([
    { type: 'send', connection: 1, frame: { t: 'goaway', retryMs: 500 } },
    { type: 'send', connection: 2, frame: { t: 'goaway', retryMs: 500 } },
  ])
  expect(frame(3, hello(3))).toEqual([close(3, CloseCode.goingAway, 'the server is about to stop')])
  expect(rooms.handle({ type: 'ended', connection: 1 })).toEqual([])
  expect(frame(2, hello(2))).toEqual([close(2, CloseCode.malformed, 't: a second hello on one connection')])
})
