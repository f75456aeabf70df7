/**
 * One change of voters, from when it is asked for to when it is committed. A new server first catches up without a
 * vote, in rounds: each brings what was in the log when it began. Once a round takes less than an election timeout the
 * change is ready to be appended (thesis 4.2.1). One that takes nothing for long, or never gets faster, is given up.
 */
import type { ProcessId } from '../identity/node-id.ts'
import type { ChangeFailure, VoterChange } from './raft-messages.ts'
import type { RaftProgress } from './raft-progress.ts'
import type { RaftTuning } from './raft-tuning.ts'

export class RaftChange {
  readonly id: number
  /** The server that catches up, while it does. */
  learner: ProcessId | undefined
  /** Where it is in the log, once it is. */
  index = 0
  readonly #change: VoterChange
  readonly #tuning: RaftTuning
  #rounds = 1
  #goal: number
  #roundAt: number
  #progressAt: number
  #taken = -1

  constructor(id: number, change: VoterChange, goal: number, now: number, tuning: RaftTuning) {
    this.id = id
    this.#change = change
    this.learner = 'add' in change ? change.add : undefined
    this.#goal = goal
    this.#roundAt = now
    this.#progressAt = now
    this.#tuning = tuning
  }

  /** The voters that it leads to. */
  appliedTo(voters: readonly ProcessId[]): ProcessId[] {
    const change = this.#change
    return 'add' in change ? [...voters, change.add] : voters.filter((voter) => voter !== change.remove)
  }

  /** Looks at the learner. `true`: it has caught up with a log that ends at `last`. */
  follow(progress: RaftProgress, last: number, now: number): boolean | ChangeFailure {
    const { match, offset, snapshot } = progress
    const taken = snapshot ? match + offset / (offset + 1) : match
    if (taken !== this.#taken) {
      this.#taken = taken
      this.#progressAt = now
    } else if (now >= this.#givenUpAt) return 'no-progress'
    if (match < this.#goal) return false
    if (now - this.#roundAt < this.#tuning.electionMinMs) return true
    if (++this.#rounds > this.#tuning.catchUpRounds) return 'too-slow'
    this.#goal = last
    this.#roundAt = now
    return match >= last
  }

  /** So much time was not attended. */
  shift(ms: number): void {
    this.#roundAt += ms
    this.#progressAt += ms
  }

  nextDeadline(): number {
    return this.learner === undefined ? Infinity : this.#givenUpAt
  }

  get #givenUpAt(): number {
    return this.#progressAt + this.#tuning.catchUpPatienceMs
  }
}
