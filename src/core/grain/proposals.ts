/**
 * What this process has asked the council for. One proposal a partition at a time: until it is decided, whatever it may
 * have changed is counted as if it had. Proposals of one turn that ask the same for many slots of a kind are one.
 *
 * An answer can be yes, no, or that nobody knows (the leader went while it was under way). After an unknown one the same
 * is asked again: it fits the same epoch, so it takes effect once at most, and then its outcome is known.
 */
import type { Part } from './part.ts'
import type { PartitionChange } from '../partition/partition.ts'

export type Wish = Pick<PartitionChange, 'add' | 'remove' | 'owner'>

/** Gives the number under which `decided` is called. */
export type Propose = (change: PartitionChange) => number

/** Of a refusal: the proposal may still take effect, or have taken it. */
export const UNKNOWN = 'unknown'

interface Group {
  readonly kind: string
  readonly wish: Wish
  readonly parts: Set<Part>
}

export class Proposals {
  readonly #propose: Propose
  #wished = new Map<string, Group>()
  readonly #open = new Map<
    number,
    readonly { readonly part: Part; readonly epoch: number; readonly wish: Wish }[]
  >()

  constructor(propose: Propose) {
    this.#propose = propose
  }

  wish(part: Part, wish: Wish): void {
    part.proposal = { epoch: part.entry!.epoch, wish, isOpen: true }
    const name = `${part.kind} ${wish.add} ${wish.remove} ${wish.owner}`
    const group = this.#wished.get(name) ?? { kind: part.kind, wish, parts: new Set<Part>() }
    this.#wished.set(name, group)
    group.parts.add(part)
  }

  flush(): void {
    if (this.#wished.size === 0) return
    const groups = this.#wished
    this.#wished = new Map()
    for (const { kind, wish, parts } of groups.values()) {
      // Between the wish and now the map may have told otherwise.
      const fit = [...parts].filter(({ proposal }) => proposal?.isOpen && isSame(proposal.wish, wish))
      if (fit.length === 0) continue
      const epochs = fit.map(({ proposal }) => proposal!.epoch)
      const id = this.#propose({ kind, slots: fit.map(({ slot }) => slot), epochs, ...wish })
      this.#open.set(
        id,
        fit.map((part, i) => ({ part, epoch: epochs[i]!, wish: part.proposal!.wish })),
      )
    }
  }

  /** The partitions whose proposal was answered, and what is known of it. */
  decided(
    id: number,
    ok: boolean,
    reason: string | undefined,
  ): { readonly part: Part; readonly isKnown: boolean }[] {
    const parts = this.#open.get(id) ?? []
    this.#open.delete(id)
    const answered: { part: Part; isKnown: boolean }[] = []
    for (const { part, epoch, wish } of parts) {
      // The map has told more since, and with it what became of this.
      if (part.proposal?.epoch !== epoch || part.proposal.wish !== wish) continue
      answered.push({ part, isKnown: ok || reason !== UNKNOWN })
    }
    return answered
  }
}

const isSame = (a: Wish, b: Wish): boolean => a.add === b.add && a.remove === b.remove && a.owner === b.owner
