/**
 * For how long nobody can have been on the way back to a room: what a signaling server, a real one or one that is
 * played, remembers of sockets that ended without goodbye. A tab that is alone wants to know it before it founds what
 * there may be only one of. It is never told more than is true: of a room that was forgotten, the worst is assumed.
 */
import { MAX_QUIET_MS } from './protocol.ts'

export interface QuietOptions {
  /** A clock in ms that never goes back. */
  now(): number
  /** Rooms with nobody in them that are remembered at once. */
  readonly rooms: number
  /** Nobody can be coming back from before this start. */
  readonly fresh: boolean
}

export class Quiet {
  private readonly options: QuietOptions
  private readonly gone = new Map<string, RoomEnds>()
  private startedAt: number
  /** The last end in any room that was dropped before its time: it may have been in the one that is asked for. */
  private droppedAt = -Infinity

  constructor(options: QuietOptions) {
    this.options = options
    this.startedAt = options.fresh ? -Infinity : options.now()
  }

  /** Until now nobody could reach the server: whoever lost it before can come back only from here on. */
  restarted(): void {
    this.startedAt = this.options.now()
  }

  /** What is known of a room that somebody enters as the first one. */
  enter(room: string): RoomEnds {
    this.sweep()
    const known = this.gone.get(room)
    this.gone.delete(room)
    return known ?? new RoomEnds(this.droppedAt)
  }

  /** Nobody is in the room any more. Its ends are kept as long as they make a difference, and there is room. */
  leave(room: string, ends: RoomEnds): void {
    this.sweep()
    if (!this.matters(ends)) return
    this.gone.set(room, ends)
    for (const [name, { latest }] of this.gone) {
      if (this.gone.size <= this.options.rooms) break
      this.gone.delete(name)
      this.droppedAt = Math.max(this.droppedAt, latest)
    }
  }

  /** What `node` is told. Of those who are there, its contacts tell it. */
  quietMs(ends: RoomEnds, node: string): number {
    const since = Math.max(this.startedAt, ends.lastBut(node))
    return Math.min(MAX_QUIET_MS, Math.floor(this.options.now() - since))
  }

  /** Forgets what makes no difference any more. A server without visitors is to call it now and then. */
  sweep(): void {
    // They left in this order: what is behind one that matters waits for it, a minute at most.
    for (const [name, ends] of this.gone) {
      if (this.matters(ends)) return
      this.gone.delete(name)
    }
  }

  get remembered(): number {
    return this.gone.size
  }

  private matters({ latest }: RoomEnds): boolean {
    return this.options.now() - latest < MAX_QUIET_MS
  }
}

/**
 * When sockets of one room ended without goodbye: the last time, and the last time of another node than that one, so
 * that each node's own can be left out.
 */
export class RoomEnds {
  private node = ''
  private at: number
  private atOfOthers: number

  constructor(at: number) {
    this.at = at
    this.atOfOthers = at
  }

  get latest(): number {
    return this.at
  }

  ended(node: string, at: number): void {
    if (node !== this.node) this.atOfOthers = this.at
    this.node = node
    this.at = at
  }

  lastBut(node: string): number {
    return node === this.node ? this.atOfOthers : this.at
  }
}
