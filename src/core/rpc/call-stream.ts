/** The calls of one caller to one key that have not ended, in their order. */
import type { ProcessId } from '../identity/node-id.ts'
import type { Call } from './call.ts'
import type { CallerId, Parent } from './messages.ts'
import type { PartitionId } from '../partition/partition.ts'

export class CallStream {
  readonly name: string
  readonly caller: CallerId
  readonly kind: string
  readonly key: string
  readonly partition: PartitionId
  /** Of the calls of a handler; of any of them: only its ordinal differs. */
  readonly parent: Parent | undefined
  /** When its owner is told that all is settled. */
  settleAt = Infinity
  /** The owner keeps something of it. */
  isKept = false
  /** The handler's own call is settled: as soon as no call of this stream is open, neither is needed again. */
  isParentSettled = false
  isAbandoned = false
  lastTarget: ProcessId | undefined
  #head: Call | undefined
  #tail: Call | undefined

  constructor(
    name: string,
    caller: CallerId,
    kind: string,
    key: string,
    partition: PartitionId,
    parent: Parent | undefined,
  ) {
    this.name = name
    this.caller = caller
    this.kind = kind
    this.key = key
    this.partition = partition
    this.parent = parent
  }

  get isEmpty(): boolean {
    return this.#head === undefined
  }

  /**
   * The first sequence that is not settled. A handler's calls stay open until its own call is settled: it may be run
   * again, and then asks for all of them.
   */
  first(): number {
    return this.parent ? 1 : (this.#head?.sequence ?? 1)
  }

  add(call: Call): void {
    call.before = this.#tail
    if (this.#tail) this.#tail.after = call
    else this.#head = call
    this.#tail = call
  }

  remove({ before, after }: Call): void {
    if (before) before.after = after
    else this.#head = after
    if (after) after.before = before
    else this.#tail = before
  }

  /** The oldest first. Those that end meanwhile are left out. */
  calls(): Call[] {
    const calls: Call[] = []
    for (let call = this.#head; call; call = call.after) calls.push(call)
    return calls
  }
}
