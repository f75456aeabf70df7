/**
 * Who is in which room, and what every frame leads to. Pure: no socket, no timer, and clock and randomness are given.
 * A connection is a number; the server around it keeps the socket and does what `handle` returns, in order.
 */
import {
  CloseCode,
  MAX_CONTACTS,
  SIGNALING_VERSION,
  type ClientFrame,
  type RelayRate,
  type ServerFrame,
} from '../src/adapters/signaling/protocol.ts'
import { Quiet, type RoomEnds } from '../src/adapters/signaling/quiet.ts'

/** Names one socket. Never used twice by one server. */
export type ConnectionId = number

export type RoomsInput =
  | { readonly type: 'frame'; readonly connection: ConnectionId; readonly frame: ClientFrame }
  /** The socket ended, for whatever reason and with or without `bye`. May be told more than once. */
  | { readonly type: 'ended'; readonly connection: ConnectionId }
  /** From now on nobody is admitted, and sockets that end are no news: everybody is about to lose theirs. */
  | { readonly type: 'drain'; readonly retryMs: number }
  /** From now on clients can connect, and could not before. The rooms begin as if they could. */
  | { readonly type: 'reachable' }

export type RoomsOutput =
  | { readonly type: 'send'; readonly connection: ConnectionId; readonly frame: ServerFrame }
  /** The same, unless this connection has too much to read: then `sender` is to be told that it was refused. */
  | {
      readonly type: 'relay'
      readonly connection: ConnectionId
      readonly frame: ServerFrame & { readonly t: 'relay' }
      readonly sender: ConnectionId
      /** The addressee, for the refusal. */
      readonly to: string
    }
  /** Close this socket. It is no member any more. */
  | {
      readonly type: 'close'
      readonly connection: ConnectionId
      readonly code: number
      readonly reason: string
    }

export interface RoomsOptions {
  /** Contacts a newcomer is given, and each answer to `contacts` holds; 0 to 16. Default 3. */
  readonly contacts?: number
  readonly rooms: number
  readonly membersPerRoom: number
  /** What clients are told that they may have relayed. Default: nothing is relayed. */
  readonly relay?: RelayRate | undefined
  /** Uniform in [0, 1). From a cryptographic source where strangers connect: resume tokens are made of it. */
  readonly random: () => number
  /** A clock in ms that never goes back. */
  readonly now: () => number
  /** Nobody can be coming back from before the start. Default `false`. */
  readonly fresh?: boolean
}

export const DEFAULT_CONTACTS = 3
/** Close code of RFC 6455 for an end on purpose. */
export const NORMAL_CLOSURE = 1000

export class Rooms {
  private readonly options: RoomsOptions
  private readonly contacts: number
  private readonly rooms = new Map<string, Room>()
  private readonly members = new Map<ConnectionId, Member>()
  private readonly quiet: Quiet
  private draining = false

  constructor(options: RoomsOptions) {
    this.options = options
    this.contacts = Math.min(options.contacts ?? DEFAULT_CONTACTS, MAX_CONTACTS)
    const { now, rooms, fresh = false } = options
    this.quiet = new Quiet({ now, rooms, fresh })
  }

  get roomCount(): number {
    return this.rooms.size
  }

  get memberCount(): number {
    return this.members.size
  }

  /** Rooms with nobody in them of which something is remembered. */
  get rememberedCount(): number {
    return this.quiet.remembered
  }

  /** Forgets what makes no difference any more. To be called now and then. */
  sweep(): void {
    this.quiet.sweep()
  }

  handle(input: RoomsInput): RoomsOutput[] {
    switch (input.type) {
      case 'frame':
        return this.handleFrame(input.connection, input.frame)
      case 'ended':
        return this.remove(input.connection, 'lost')
      case 'drain':
        this.draining = true
        return [...this.members.keys()].map((connection) =>
          send(connection, { t: 'goaway', retryMs: input.retryMs }),
        )
      case 'reachable':
        if (!this.options.fresh) this.quiet.restarted()
        return []
    }
  }

  private handleFrame(connection: ConnectionId, frame: ClientFrame): RoomsOutput[] {
    const member = this.members.get(connection)
    if (frame.t === 'hello') {
      if (!member) return this.admit(connection, frame)
      return this.refuse(connection, CloseCode.malformed, 't: a second hello on one connection')
    }
    if (!member) return this.refuse(connection, CloseCode.malformed, 't: the first frame must be a hello')
    switch (frame.t) {
      case 'signal': {
        const addressee = member.room.byNode.get(frame.to)
        if (!addressee) return [send(connection, { t: 'gone', node: frame.to })]
        return [send(addressee.connection, { t: 'signal', from: member.node, data: frame.data })]
      }
      case 'relay':
        return this.relay(member, frame)
      case 'contacts':
        return [send(connection, { t: 'contacts', ...this.outlook(member) })]
      case 'bye':
        this.remove(connection, 'bye')
        return [{ type: 'close', connection, code: NORMAL_CLOSURE, reason: 'bye' }]
    }
  }

  private relay(sender: Member, { to, data }: Extract<ClientFrame, { t: 'relay' }>): RoomsOutput[] {
    const { connection } = sender
    if (!this.options.relay) {
      return [send(connection, { t: 'relay-refused', to, reason: 'this server does not relay' })]
    }
    const addressee = sender.room.byNode.get(to)
    if (!addressee) return [send(connection, { t: 'gone', node: to })]
    const frame = { t: 'relay', from: sender.node, data } as const
    return [{ type: 'relay', connection: addressee.connection, frame, sender: connection, to }]
  }

  private admit(connection: ConnectionId, hello: Extract<ClientFrame, { t: 'hello' }>): RoomsOutput[] {
    if (hello.v !== SIGNALING_VERSION) {
      const reason = `v: this server speaks version ${SIGNALING_VERSION}, not ${hello.v}`
      return this.refuse(connection, CloseCode.versionUnsupported, reason)
    }
    if (this.draining) return this.refuse(connection, CloseCode.goingAway, 'the server is about to stop')
    const before = this.rooms.get(hello.room)?.byNode.get(hello.node)
    if (before) return this.takeOver(connection, before, hello.resume)
    let room = this.rooms.get(hello.room)
    if (!room) {
      if (this.rooms.size >= this.options.rooms) {
        const reason = `the server is full: it keeps at most ${this.options.rooms} rooms`
        return this.refuse(connection, CloseCode.unavailable, reason)
      }
      room = { name: hello.room, byNode: new Map(), list: [], ends: this.quiet.enter(hello.room) }
      this.rooms.set(room.name, room)
    }
    if (room.list.length >= this.options.membersPerRoom) {
      const reason = `the room is full: it has ${this.options.membersPerRoom} members`
      return this.refuse(connection, CloseCode.roomFull, reason)
    }
    const member: Member = {
      connection,
      room,
      node: hello.node,
      resume: this.newResumeToken(),
      position: room.list.length,
    }
    room.list.push(member)
    room.byNode.set(member.node, member)
    this.members.set(connection, member)
    return [this.welcome(member)]
  }

  /** The same life on a new socket, if it knows what only it was told. The old socket is half open at best. */
  private takeOver(connection: ConnectionId, member: Member, resume: string | undefined): RoomsOutput[] {
    if (resume !== member.resume) {
      const reason = 'node: already connected, and the resume token is not its own'
      return this.refuse(connection, CloseCode.nodeTaken, reason)
    }
    const old = member.connection
    this.members.delete(old)
    member.connection = connection
    this.members.set(connection, member)
    // The token stays, so that a welcome that gets lost does not lock its member out.
    return [
      { type: 'close', connection: old, code: CloseCode.replaced, reason: 'resumed on another connection' },
      this.welcome(member),
    ]
  }

  private welcome(member: Member): RoomsOutput {
    const { relay } = this.options
    return send(member.connection, {
      t: 'welcome',
      v: SIGNALING_VERSION,
      ...this.outlook(member),
      resume: member.resume,
      ...(relay ? { relay } : {}),
    })
  }

  /** Whom a member may turn to, and for how long nobody else can have been coming back. */
  private outlook(member: Member): { contacts: string[]; quietMs: number } {
    const { ends } = member.room
    return {
      contacts: this.pickContacts(member),
      quietMs: this.quiet.quietMs(ends, member.node),
    }
  }

  private refuse(connection: ConnectionId, code: number, reason: string): RoomsOutput[] {
    const told = this.remove(connection, 'lost')
    return [{ type: 'close', connection, code, reason }, ...told]
  }

  private remove(connection: ConnectionId, end: 'bye' | 'lost'): RoomsOutput[] {
    const member = this.members.get(connection)
    if (!member) return []
    this.members.delete(connection)
    const { room } = member
    room.byNode.delete(member.node)
    // The last one takes the free place, so that leaving costs the same in a room of any size.
    const last = room.list.pop()
    if (last && last !== member) {
      room.list[member.position] = last
      last.position = member.position
    }
    if (end === 'lost') room.ends.ended(member.node, this.options.now())
    if (room.list.length === 0) {
      this.rooms.delete(room.name)
      this.quiet.leave(room.name, room.ends)
    }
    if (end === 'bye' || this.draining) return []
    const frame: ServerFrame = { t: 'gone', node: member.node }
    return room.list.map((other) => send(other.connection, frame))
  }

  /** Different members chosen uniformly, the asking one left out (Floyd's sampling). */
  private pickContacts(asking: Member): string[] {
    const { list } = asking.room
    const others = list.length - 1
    const wanted = Math.min(this.contacts, others)
    const chosen = new Set<number>()
    for (let top = others - wanted; top < others; top++) {
      const index = Math.floor(this.options.random() * (top + 1))
      chosen.add(chosen.has(index) ? top : index)
    }
    // Positions from the asking member's own on stand for the one after them.
    return [...chosen].flatMap((index) => list[index < asking.position ? index : index + 1]?.node ?? [])
  }

  private newResumeToken(): string {
    let token = ''
    for (let i = 0; i < RESUME_LENGTH; i++) token += BASE32[Math.floor(this.options.random() * 32)] ?? 'a'
    return token
  }
}

/** 26 characters of five bits each: 130 bits that nobody guesses. */
const RESUME_LENGTH = 26
const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567'

interface Room {
  readonly name: string
  readonly byNode: Map<string, Member>
  /** The same members in a list, to choose from. */
  readonly list: Member[]
  readonly ends: RoomEnds
}

interface Member {
  connection: ConnectionId
  readonly room: Room
  readonly node: string
  readonly resume: string
  /** Index in `room.list`. */
  position: number
}

const send = (connection: ConnectionId, frame: ServerFrame): RoomsOutput => ({
  type: 'send',
  connection,
  frame,
})
