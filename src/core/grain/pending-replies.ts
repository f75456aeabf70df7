/** Replies that leave when the store has what they could have seen: every process in sync, up to some number. */
import type { PartitionId } from '../partition/partition.ts'
import type { CallerId } from '../rpc/messages.ts'
import type { Due, Grain } from './grain.ts'

export class PendingReplies {
  readonly #lists = new Map<PartitionId, Due[]>()

  get size(): number {
    let count = 0
    for (const list of this.#lists.values()) count += list.length
    return count
  }

  add(due: Due): void {
    const { partition } = due.grain
    const list = this.#lists.get(partition)
    if (list) list.push(due)
    else this.#lists.set(partition, [due])
  }

  find(grain: Grain, caller: CallerId, sequence: number): Due | undefined {
    return this.#lists
      .get(grain.partition)
      ?.find((one) => one.caller === caller && one.sequence === sequence && one.grain === grain)
  }

  /** Those that may leave, now that everybody has stored everything up to there. */
  takeStored(partition: PartitionId, number: number): readonly Due[] {
    return this.#take(partition, (due) => due.number <= number)
  }

  takeOf(grain: Grain): readonly Due[] {
    return this.#take(grain.partition, (due) => due.grain === grain)
  }

  drop(partition: PartitionId): void {
    this.#lists.delete(partition)
  }

  #take(partition: PartitionId, isTaken: (due: Due) => boolean): readonly Due[] {
    const list = this.#lists.get(partition)
    if (!list) return NONE
    const taken: Due[] = []
    const left: Due[] = []
    for (const due of list) (isTaken(due) ? taken : left).push(due)
    if (left.length === 0) this.#lists.delete(partition)
    else if (taken.length > 0) this.#lists.set(partition, left)
    return taken
  }
}

const NONE: readonly Due[] = []
