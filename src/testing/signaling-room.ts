/** A simulated signaling server with one room: a few contacts, forwarding, hints about who is gone, outages. */
import { Quiet, type RoomEnds } from '../adapters/signaling/quiet.ts'
import type { Input } from '../core/events.ts'
import type { NodeId } from '../core/identity/node-id.ts'
import type { Random } from '../core/time.ts'
import type { Faults } from './faults.ts'
import { between, sample, seededRandom } from './random.ts'
import type { Timeline } from './timeline.ts'

/** Contacts in one answer. */
const CONTACTS = 3
/** A client that lost the server tries again after a pause between these. */
const RECONNECT_MIN_MS = 200
const RECONNECT_MAX_MS = 3_000

/** The process behind a session. */
export interface SignalingHost {
  readonly slot: number
  readonly alive: boolean
  input(input: Input): void
  hold(run: () => void): boolean
}

interface Session {
  readonly host: SignalingHost
  readonly nodeId: NodeId
  readonly random: Random
  /** Grows with every connection; what was on its way over an earlier one is lost. */
  connection: number
  connected: boolean
  /** Said before the first connection: sent right behind the hello. */
  early: { readonly to: NodeId; readonly data: string }[] | undefined
  ended: boolean
}

export class SignalingRoom {
  faults: Faults
  readonly #timeline: Timeline
  readonly #seed: number
  /** Who the server believes to be here; a crashed member may stay for a while. */
  readonly #room = new Map<NodeId, Session>()
  readonly #sessions = new Map<SignalingHost, Session>()
  readonly #quiet: Quiet
  readonly #ends: RoomEnds
  #up = true
  #blocked: ((host: SignalingHost) => boolean) | undefined

  constructor(timeline: Timeline, faults: Faults, seed: number) {
    this.#timeline = timeline
    this.faults = faults
    this.#seed = seed
    this.#quiet = new Quiet({ now: () => timeline.now, rooms: 0, fresh: true })
    this.#ends = this.#quiet.enter('')
  }

  /** Connects under this nodeId, and again under another one after a rebirth. */
  join(host: SignalingHost, nodeId: NodeId): void {
    this.goodbye(host)
    const random = seededRandom(this.#seed, 'signaling', nodeId)
    const session: Session = {
      host,
      nodeId,
      random,
      connection: 0,
      connected: false,
      early: [],
      ended: false,
    }
    this.#sessions.set(host, session)
    this.#connect(session, this.#delay(session))
  }

  send(host: SignalingHost, to: NodeId, data: string): void {
    const session = this.#sessions.get(host)
    session?.early?.push({ to, data })
    if (!session?.connected) return
    const { signalingDropRate, signalingDuplicateRate } = this.faults
    if (session.random() < signalingDropRate) return
    const copies = session.random() < signalingDuplicateRate ? 2 : 1
    for (let copy = 0; copy < copies; copy++) {
      this.#atServer(session, () => {
        const addressee = this.#room.get(to)
        if (addressee) this.#tell(addressee, { type: 'signaling-message', from: session.nodeId, data })
        else this.#tell(session, { type: 'signaling-gone', nodeId: to })
      })
    }
  }

  /** Whether a piece of a relayed link gets from one to the other now. */
  carries(from: SignalingHost, to: SignalingHost): boolean {
    const [sender, addressee] = [this.#connected(from), this.#connected(to)]
    return this.#up && sender !== undefined && addressee !== undefined && this.#isHere(addressee)
  }

  askContacts(host: SignalingHost): void {
    const session = this.#connected(host)
    if (!session) return
    this.#atServer(session, () => {
      const contacts = this.#contacts(session)
      this.#tell(session, { type: 'signaling-contacts', contacts, quietMs: this.#quietMs(session) })
    })
  }

  /** This life ends on purpose: it leaves the room, and nobody is told. */
  goodbye(host: SignalingHost): void {
    const session = this.#sessions.get(host)
    if (!session) return
    this.#sessions.delete(host)
    session.ended = true
    const { nodeId } = session
    this.#timeline.after(this.#delay(session), () => {
      if (this.#room.get(nodeId) === session) this.#room.delete(nodeId)
    })
  }

  /** The process is gone without goodbye: its socket ends, at once or when the server's ping fails. */
  processEnded(host: SignalingHost): void {
    const session = this.#sessions.get(host)
    if (!session) return
    this.#sessions.delete(host)
    session.ended = true
    this.#socketEnds(session)
  }

  /** For `ms` nobody answers for this process: the server's pings fail, and it ends the socket. */
  stopped(host: SignalingHost, ms: number): void {
    const session = this.#connected(host)
    if (!session || ms < this.faults.halfOpenMs) return
    const { connection } = session
    this.#timeline.after(this.faults.halfOpenMs, () => {
      if (session.ended || session.connection !== connection) return
      this.#disconnect(session)
      this.#socketEnds(session)
    })
  }

  /** The server is gone for `ms` and comes back empty; anybody may be coming back to it. */
  outage(ms: number): void {
    if (!this.#up) return
    this.#up = false
    this.#room.clear()
    for (const session of this.#sessions.values()) this.#disconnect(session)
    this.#timeline.after(ms, () => {
      this.#up = true
      this.#quiet.restarted()
    })
  }

  /** Until `unblock`, processes for which `blocked` says so cannot reach the server. */
  block(blocked: (host: SignalingHost) => boolean): void {
    this.#blocked = blocked
    for (const session of this.#sessions.values()) {
      if (!session.connected || !blocked(session.host)) continue
      this.#disconnect(session)
      this.#socketEnds(session)
    }
  }

  unblock(): void {
    this.#blocked = undefined
  }

  #isHere(session: Session): boolean {
    return this.#room.get(session.nodeId) === session
  }

  #connected(host: SignalingHost): Session | undefined {
    const session = this.#sessions.get(host)
    return session?.connected ? session : undefined
  }

  #connect(session: Session, delay: number): void {
    this.#timeline.after(delay, () => {
      if (session.ended || session.connected) return
      if (!this.#up || this.#blocked?.(session.host)) {
        this.#connect(session, between(session.random, RECONNECT_MIN_MS, RECONNECT_MAX_MS))
        return
      }
      session.connected = true
      const { early = [] } = session
      session.early = undefined
      for (const { to, data } of early) this.send(session.host, to, data)
      session.connection++
      const contacts = this.#contacts(session)
      this.#room.set(session.nodeId, session)
      this.#tell(session, { type: 'signaling-up', contacts, quietMs: this.#quietMs(session) })
    })
  }

  #disconnect(session: Session): void {
    if (!session.connected) return
    session.connected = false
    session.connection++
    const told = session.connection
    this.#timeline.after(this.#delay(session), () => {
      const tell = () => {
        if (!session.ended && session.connection === told) {
          session.host.input({
            type: 'signaling-down',
            reason: 'the connection to the signaling server was lost',
          })
          this.#connect(session, between(session.random, RECONNECT_MIN_MS, RECONNECT_MAX_MS))
        }
      }
      if (session.host.alive && !session.host.hold(tell)) tell()
    })
  }

  /** The server sees the end of a socket, now or by its ping, and tells the others, some of whom do not hear. */
  #socketEnds(session: Session): void {
    const { halfOpenRate, halfOpenMs } = this.faults
    const { random, connection } = session
    const seen = random() < halfOpenRate ? between(random, 1_000, halfOpenMs) : between(random, 5, 30)
    this.#timeline.after(seen, () => {
      if (
        this.#room.get(session.nodeId) !== session ||
        (session.connected && session.connection !== connection)
      )
        return
      this.#room.delete(session.nodeId)
      this.#ends.ended(session.nodeId, this.#timeline.now)
      for (const other of this.#room.values()) {
        if (other.random() < this.faults.goneDropRate) continue
        this.#tell(other, { type: 'signaling-gone', nodeId: session.nodeId })
      }
    })
  }

  #contacts(session: Session): NodeId[] {
    const others: NodeId[] = []
    for (const nodeId of this.#room.keys()) if (nodeId !== session.nodeId) others.push(nodeId)
    return sample(session.random, others, CONTACTS)
  }

  #quietMs({ nodeId }: Session): number {
    return this.#quiet.quietMs(this.#ends, nodeId)
  }

  /** Runs `run` when something that `session` sent now is at the server. */
  #atServer(session: Session, run: () => void): void {
    const { connection } = session
    this.#timeline.after(this.#delay(session) + this.#reorder(session), () => {
      if (this.#up && session.connection === connection) run()
    })
  }

  #tell(session: Session, input: Input): void {
    const { connection } = session
    this.#timeline.after(this.#delay(session), () => {
      const tell = () => {
        if (!session.ended && session.connection === connection) session.host.input(input)
      }
      if (session.host.alive && !session.host.hold(tell)) tell()
    })
  }

  #delay(session: Session): number {
    return between(session.random, this.faults.signalingMinMs, this.faults.signalingMaxMs)
  }

  #reorder(session: Session): number {
    const { signalingReorderRate, reorderMs } = this.faults
    return session.random() < signalingReorderRate ? session.random() * reorderMs : 0
  }
}
