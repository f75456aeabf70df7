/**
 * Proposals of this process that are not decided. Each goes to the leader, and again, to whoever leads then, until an
 * answer comes: a command names the epochs that it is about, so that it takes effect once however often it comes.
 */
import type { ProcessId } from '../identity/node-id.ts'
import type { Now, Random } from '../time.ts'
import type { Command } from './partition-map.ts'

export interface ProposalsOptions {
  readonly random: Random
  /** Whom to ask now; this process itself where it leads, `undefined` where nobody is known. */
  readonly target: () => ProcessId | undefined
  /** Who leads, as far as is known; this process itself where it does. */
  readonly leader: () => ProcessId | undefined
  /** Has it decided by this process. Returns whether it leads. */
  readonly decideHere: (id: number, command: Command, now: Now) => boolean
  readonly send: (to: ProcessId, id: number, command: Command) => void
  /** Whether what the command asks for is so. */
  readonly holds: (command: Command) => boolean
  readonly onDecided: (id: number, ok: boolean, now: Now) => void
}

interface Proposal {
  readonly command: Command
  askAt: number
  /** Whom a process that does not lead has named. */
  hint: ProcessId | undefined
  /** Since the last pause. Nobody is asked twice without one, or two that name each other would be in a circle. */
  readonly asked: Set<ProcessId>
  isPaused: boolean
}

/** Without an answer it is asked for again after this long, in ms: an election takes about as long. */
const RETRY_MS = 1_000
/** Where no other leader is known, somebody is asked again this soon, a random half of it more. */
const SOON_MS = 100
/** Those that are asked again at about the same time are asked together: there may be hundreds, without a leader. */
const TOGETHER_MS = 25

export class Proposals {
  readonly #options: ProposalsOptions
  readonly #all = new Map<number, Proposal>()
  #ids = 0

  constructor(options: ProposalsOptions) {
    this.#options = options
  }

  /** Sent with the next `tick`. */
  add(command: Command, now: Now): number {
    const id = ++this.#ids
    this.#all.set(id, { command, askAt: now.mono, hint: undefined, asked: new Set(), isPaused: true })
    return id
  }

  decided(id: number, now: Now): void {
    const proposal = this.#all.get(id)
    if (!proposal) return
    this.#all.delete(id)
    this.#options.onDecided(id, this.#options.holds(proposal.command), now)
  }

  /** Whoever was asked does not lead. */
  refused(id: number, from: ProcessId, leader: ProcessId | undefined, now: Now): void {
    const proposal = this.#all.get(id)
    if (!proposal) return
    proposal.hint = leader === from ? undefined : leader
    this.#hurry(proposal, proposal.hint, now)
  }

  /** Somebody else may lead now. */
  hurry(now: Now): void {
    const leader = this.#options.leader()
    for (const proposal of this.#all.values()) this.#hurry(proposal, leader, now)
  }

  /** Somebody who was asked something else has named the leader: sooner than that one's own word gets here. */
  named(leader: ProcessId, now: Now): void {
    for (const proposal of this.#all.values()) {
      if (proposal.asked.has(leader)) continue
      proposal.hint = leader
      this.#hurry(proposal, leader, now)
    }
  }

  tick(now: Now): void {
    for (const [id, proposal] of this.#all) {
      if (now.mono < proposal.askAt) continue
      proposal.askAt = now.mono + RETRY_MS
      if (proposal.isPaused) proposal.asked.clear()
      proposal.isPaused = true
      if (this.#options.decideHere(id, proposal.command, now)) continue
      const to = proposal.hint ?? this.#options.target()
      proposal.hint = undefined
      if (to === undefined) continue
      proposal.asked.add(to)
      this.#options.send(to, id, proposal.command)
    }
  }

  nextDeadline(): number {
    let next = Infinity
    for (const { askAt } of this.#all.values()) next = Math.min(next, askAt)
    return next
  }

  #hurry(proposal: Proposal, leader: ProcessId | undefined, now: Now): void {
    if (leader !== undefined && !proposal.asked.has(leader)) {
      proposal.askAt = now.mono
      proposal.isPaused = false
    } else if (proposal.isPaused) {
      const soon = now.mono + SOON_MS * (1 + this.#options.random() / 2)
      proposal.askAt = Math.min(proposal.askAt, Math.ceil(soon / TOGETHER_MS) * TOGETHER_MS)
    }
  }
}
