/** One grain on its owner: its activation, the calls that wait, run, or wait for the store; and which is next. */
import type { ProcessId } from '../identity/node-id.ts'
import { childCallerOf } from '../rpc/call-id.ts'
import type { CallerId, CallMessage, CallOutcome } from '../rpc/messages.ts'
import type { PartitionId } from '../partition/partition.ts'
import type { CallRecords } from './call-records.ts'
import type { Other } from './key-contents.ts'

/** A call that has come here and has not ended. */
export interface Visit {
  /** As it was last asked. */
  message: CallMessage
  readonly caller: CallerId
  readonly sequence: number
  /** Caller of the nested calls that its handler makes, once somebody has asked for it: see `childOf`. */
  child: CallerId | undefined
  /** The newest one to ask waits for the reply. */
  replyTo: ProcessId
  /** Attempts that have come, the newest last. */
  attempts: number[]
  previous: number
  deadlineAt: number
  /** Until when it waits for the right to run. */
  holdUntil: number
  /** Nobody waits for the reply any more. */
  isGivenUp: boolean
  invocation: number
  /** When its handler was begun. */
  startedAt: number
  /** The user was told that its handler does not end. */
  isStuck: boolean
  /** Nested calls that its handler has made. */
  ordinals: number
}

/** Most handlers call nobody, and the name takes long to make. */
export function childOf(visit: Visit): CallerId {
  const { caller, sequence, message } = visit
  return (visit.child ??= childCallerOf(caller, message.kind, message.key, sequence))
}

/** A reply that leaves when the store has what it could have seen. */
export interface Due {
  readonly grain: Grain
  readonly caller: CallerId
  readonly sequence: number
  readonly outcome: CallOutcome
  readonly number: number
  readonly keeps: boolean
  replyTo: ProcessId
  attempts: number[]
}

/**
 * `cold`: the right to run it is not there (yet), nothing is loaded. `loaded`: records are, an activation is not.
 */
export type Phase = 'cold' | 'loaded' | 'activating' | 'active' | 'passivating'

export class Grain {
  readonly kind: string
  readonly key: string
  readonly name: string
  readonly partition: PartitionId
  phase: Phase = 'cold'
  /** Of the present activation. */
  activation = 0
  /** As of the newest entry. */
  state: Uint8Array | undefined
  /** Of the newest entry of this key: nothing that was seen here is newer. */
  number = 0
  records: CallRecords | undefined
  /** Of other sides of a partition, as of the newest entry. */
  others: readonly Other[] = []
  /** Its activation is to end as soon as nothing runs: what another side had of it is to be taken. */
  mustEnd = false
  /** Since when nothing is to be done; or when the present phase has to be over. */
  since = 0
  readonly held: Visit[] = []
  readonly queue: Visit[] = []
  readonly running = new Map<number, Visit>()
  /** Of queue and running. */
  readonly #visits = new Map<string, Visit>()

  constructor(kind: string, key: string, name: string, partition: PartitionId) {
    this.kind = kind
    this.key = key
    this.name = name
    this.partition = partition
  }

  /** Nothing is left to do. */
  get isIdle(): boolean {
    return this.queue.length === 0 && this.running.size === 0 && this.held.length === 0
  }

  visit(caller: CallerId, sequence: number): Visit | undefined {
    return this.#visits.get(`${caller}:${sequence}`)
  }

  enqueue(visit: Visit): void {
    this.queue.push(visit)
    this.#visits.set(`${visit.caller}:${visit.sequence}`, visit)
  }

  leaveQueue(visit: Visit): void {
    const at = this.queue.indexOf(visit)
    if (at >= 0) this.queue.splice(at, 1)
    this.#forget(visit)
  }

  begin(visit: Visit, invocation: number): void {
    this.queue.splice(this.queue.indexOf(visit), 1)
    visit.invocation = invocation
    this.running.set(invocation, visit)
  }

  finish(visit: Visit): void {
    this.running.delete(visit.invocation)
    this.#forget(visit)
  }

  /** Takes one away that is held, and puts those behind it behind what it waited for. */
  unhold(caller: CallerId, sequence: number, previous: number): void {
    for (const [at, visit] of [...this.held.entries()].reverse()) {
      if (visit.caller !== caller) continue
      if (visit.sequence === sequence) this.held.splice(at, 1)
      else if (visit.previous === sequence) visit.previous = previous
    }
  }

  /** Takes away all that waits; what runs stays. */
  takeQueue(): Visit[] {
    const queue = this.queue.splice(0)
    for (const visit of queue) this.#forget(visit)
    return queue
  }

  /** Whether the handler of a running call waits for this one. */
  isWithin(visit: Visit): boolean {
    const { chain } = visit.message
    if (chain.length === 0) return false
    for (const running of this.running.values()) if (chain.includes(childOf(running))) return true
    return false
  }

  /** The first that may start: calls of one caller start when those before them are over, whatever became of them. */
  next(): Visit | undefined {
    return this.queue.find((visit) => this.isTurnOf(visit))
  }

  isTurnOf({ caller, previous }: Visit): boolean {
    return !this.visit(caller, previous) && this.records?.awaited(caller, previous) === 0
  }

  #forget({ caller, sequence }: Visit): void {
    this.#visits.delete(`${caller}:${sequence}`)
  }
}
