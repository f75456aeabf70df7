/** Which authorities bear a short name: of 32 bits, so that it is one, unless somebody looks for another. */
import type { Authority } from '../identity/node-id.ts'

const NOBODY: ReadonlySet<Authority> = new Set()

export class ShortNames {
  readonly #first = new Map<number, Authority>()
  /** Further bearers, in the order in which they were heard of. */
  readonly #others = new Map<number, Set<Authority>>()

  add(short: number, authority: Authority): void {
    const first = this.#first.get(short)
    if (first === undefined) this.#first.set(short, authority)
    else if (first !== authority) this.#othersOf(short).add(authority)
  }

  remove(short: number, authority: Authority): void {
    const others = this.#others.get(short)
    if (this.#first.get(short) !== authority) others?.delete(authority)
    else this.#replaceFirst(short, others)
    if (others?.size === 0) this.#others.delete(short)
  }

  /** Of those that `isThere`, the first that was heard of: nobody takes the name of a member that is there. */
  bearer(short: number, isThere: (authority: Authority) => boolean): Authority | undefined {
    const first = this.#first.get(short)
    if (first === undefined || isThere(first)) return first
    for (const other of this.#others.get(short) ?? NOBODY) if (isThere(other)) return other
    return undefined
  }

  #replaceFirst(short: number, others: Set<Authority> = new Set()): void {
    const [next] = others
    if (next === undefined) return void this.#first.delete(short)
    this.#first.set(short, next)
    others.delete(next)
  }

  #othersOf(short: number): Set<Authority> {
    const others = this.#others.get(short) ?? new Set()
    this.#others.set(short, others)
    return others
  }
}
