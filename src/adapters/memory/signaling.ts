import type { NodeId } from '../../core/identity/node-id.ts'
import { MAX_SIGNALING_FRAME } from '../signaling/protocol.ts'
import { Quiet, type RoomEnds } from '../signaling/quiet.ts'
import type { Random, RelayRate, Signaling, SignalingHandlers, SignalingSession } from '../../ports.ts'
import type { Deliver } from './delivery.ts'

/** A signaling server in memory, with rooms that never see each other. */
export interface MemorySignalingServer {
  readonly running: boolean
  signaling(): Signaling
  /** Every session is told that it is down and stays so until `start()`. */
  stop(reason?: string): void
  /** Admits the sessions that wait, in the order in which they were opened. No room is quiet then: they come back. */
  start(): void
  /** Sessions not yet closed. */
  readonly sessions: number
}

export interface MemorySignalingOptions {
  readonly random: Random
  /** Contacts in one answer. Default 4. */
  readonly contacts?: number
  delivery(): Deliver
  /** A clock in ms that never goes back. */
  now(): number
}

export function createMemorySignalingServer(options: MemorySignalingOptions): MemorySignalingServer {
  const { random } = options
  const limit = options.contacts ?? 4
  const sessions = new Set<Session>()
  const rooms = new Map<string, Room>()
  // what begins with this process has nobody to wait for
  const quiet = new Quiet({ now: options.now, rooms: MAX_REMEMBERED, fresh: true })
  let running = true

  const contactsFor = (session: Session): NodeId[] => {
    const others = [...(rooms.get(session.room)?.members.keys() ?? [])].filter(
      (nodeId) => nodeId !== session.nodeId,
    )
    const chosen: NodeId[] = []
    while (chosen.length < limit && others.length > 0) {
      chosen.push(...others.splice(Math.floor(random() * others.length), 1))
    }
    return chosen
  }

  const quietFor = ({ room, nodeId }: Session): number => {
    const here = rooms.get(room)
    return here ? quiet.quietMs(here.ends, nodeId) : 0
  }

  const admit = (session: Session): void => {
    const room = rooms.get(session.room) ?? { members: new Map(), ends: quiet.enter(session.room) }
    if (room.members.has(session.nodeId)) {
      sessions.delete(session)
      session.refuse(`${session.nodeId} is already in the room`)
      return
    }
    const contacts = contactsFor(session)
    rooms.set(session.room, room)
    room.members.set(session.nodeId, session)
    session.up = true
    const { early = [] } = session
    session.early = undefined
    for (const { to, data } of early) session.send(to, data)
    session.handlers.onUp(contacts, RELAY_RATE, quietFor(session))
  }

  const remove = (session: Session, farewell: boolean): void => {
    session.up = false
    const room = rooms.get(session.room)
    if (room?.members.get(session.nodeId) !== session) return
    room.members.delete(session.nodeId)
    if (!farewell) room.ends.ended(session.nodeId, options.now())
    if (room.members.size > 0) return
    rooms.delete(session.room)
    quiet.leave(session.room, room.ends)
  }

  const open = (room: string, nodeId: NodeId, handlers: SignalingHandlers): SignalingSession => {
    const session = new Session(room, nodeId, handlers, options.delivery())
    sessions.add(session)
    session.later(() => {
      if (running) admit(session)
      else handlers.onDown('the signaling server is stopped')
    })
    const end = (farewell: boolean) => {
      if (session.closed) return
      const wasUp = session.up
      session.closed = true
      sessions.delete(session)
      remove(session, farewell)
      if (!wasUp || farewell) return
      for (const other of rooms.get(room)?.members.values() ?? []) {
        other.later(() => other.handlers.onGone(nodeId))
      }
    }
    session.send = (to, data) => {
      if (data.length > MAX_SIGNALING_FRAME) return
      if (!session.up && session.early && session.early.length < MAX_EARLY) session.early.push({ to, data })
      if (!session.up) return
      const target = rooms.get(room)?.members.get(to)
      if (target) target.later(() => target.handlers.onMessage(nodeId, data))
      else session.later(() => handlers.onGone(to))
    }
    return {
      send: session.send,
      relay(to, data) {
        if (!session.up) return
        const target = rooms.get(room)?.members.get(to)
        if (target) target.later(() => target.handlers.onRelay(nodeId, data))
        else session.later(() => handlers.onGone(to))
      },
      askContacts() {
        if (!session.up) return
        session.later(() => {
          if (session.up) handlers.onContacts(contactsFor(session), quietFor(session))
        })
      },
      goodbye: () => end(true),
      close: () => end(false),
    }
  }

  return {
    get running() {
      return running
    },
    get sessions() {
      return sessions.size
    },
    signaling: () => ({ open }),
    stop(reason = 'the signaling server was stopped') {
      if (!running) return
      running = false
      for (const session of sessions) {
        if (!session.up) continue
        remove(session, false)
        session.later(() => session.handlers.onDown(reason))
      }
    },
    start() {
      if (running) return
      running = true
      quiet.restarted()
      for (const session of sessions) {
        session.later(() => {
          if (running && !session.up) admit(session)
        })
      }
    },
  }
}

/** Memory has no bandwidth to share out. */
const RELAY_RATE: RelayRate = { bytesPerSecond: 1e9, burst: 1e9 }
/** Messages that wait for the first admission. */
const MAX_EARLY = 32
/** Rooms with nobody in them whose last lost session is remembered. */
const MAX_REMEMBERED = 1_000

interface Room {
  readonly members: Map<NodeId, Session>
  readonly ends: RoomEnds
}

class Session {
  readonly room: string
  readonly nodeId: NodeId
  readonly handlers: SignalingHandlers
  readonly #deliver: Deliver
  /** Said before the first admission: delivered with it. */
  early: { readonly to: NodeId; readonly data: string }[] | undefined = []
  send: SignalingSession['send'] = () => undefined
  /** Admitted to the room. */
  up = false
  closed = false

  constructor(room: string, nodeId: NodeId, handlers: SignalingHandlers, deliver: Deliver) {
    this.room = room
    this.nodeId = nodeId
    this.handlers = handlers
    this.#deliver = deliver
  }

  /** Calls a handler later, unless the session is closed by then. */
  later(run: () => void): void {
    this.#deliver(() => {
      if (!this.closed) run()
    })
  }

  refuse(reason: string): void {
    this.closed = true
    this.handlers.onRefused(reason)
  }
}
