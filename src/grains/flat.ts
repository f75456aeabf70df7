/**
 * The flat form in which devalue writes values that JSON cannot carry: a list of entries that refer to each other by
 * their place. Whatever arrives is checked here, total, before devalue builds anything of it: kinds of entries, depth,
 * lengths. `__proto__`, and references to nowhere, devalue refuses itself.
 */
import { MAX_BIGINT_DIGITS, MAX_DEPTH, MAX_SPARSE_LENGTH } from './survey.ts'

/** The kind of entry that stands for bytes which travel beside the text. */
export const ATTACHMENT = 'B'

const SPARSE = -7
const BIGINT = new RegExp(String.raw`^-?\d{1,${MAX_BIGINT_DIGITS}}$`)

/** What is wrong with a flat form; `undefined` if nothing is that devalue does not see. */
export function flatProblem(flat: unknown): string | undefined {
  if (typeof flat === 'number') return undefined
  if (!Array.isArray(flat) || flat.length === 0) return 'it is no list of entries'
  return new Check(flat).visit(0, 0)
}

class Check {
  readonly #entries: readonly unknown[]
  readonly #seen = new Set<number>()
  /** Of all arrays with holes together. */
  #sparseLength = 0

  constructor(entries: readonly unknown[]) {
    this.#entries = entries
  }

  /** Goes the way that devalue will go, so that what is not too deep here is not too deep there. */
  visit(at: unknown, depth: number): string | undefined {
    if (typeof at !== 'number') return 'a reference is no number'
    if (at < 0 || this.#seen.has(at)) return undefined
    this.#seen.add(at)
    if (depth > MAX_DEPTH + 1) return `it is nested deeper than ${MAX_DEPTH} levels`
    const entry = this.#entries[at]
    if (typeof entry !== 'object' || entry === null) return undefined
    if (!Array.isArray(entry)) return this.#all(Object.values(entry as object), depth)
    const list: readonly unknown[] = entry
    if (typeof list[0] === 'string') return this.#tagged(list[0], list, depth)
    return list[0] === SPARSE ? this.#sparse(list, depth) : this.#all(list, depth)
  }

  #tagged(tag: string, list: readonly unknown[], depth: number): string | undefined {
    switch (tag) {
      case 'Date':
        return typeof list[1] === 'string' && list[1].length <= 32 ? undefined : 'a date is no text'
      case 'BigInt':
        return typeof list[1] === 'string' && BIGINT.test(list[1]) ? undefined : 'a bigint is malformed'
      case 'Set':
      case 'Map':
        return this.#all(list.slice(1), depth)
      case 'null':
        return this.#all(
          list.filter((_, i) => i > 0 && i % 2 === 0),
          depth,
        )
      case ATTACHMENT: {
        const at = list[1]
        return typeof at === 'number' && typeof this.#entries[at] === 'number'
          ? undefined
          : 'an attachment is malformed'
      }
      default:
        return `entries of kind "${tag.slice(0, 20)}" are not allowed`
    }
  }

  #sparse(list: readonly unknown[], depth: number): string | undefined {
    const length = list[1]
    if (typeof length !== 'number' || length < 0) return 'an array with holes has no length'
    this.#sparseLength += length
    if (this.#sparseLength > MAX_SPARSE_LENGTH) return 'arrays with holes are too long'
    return this.#all(
      list.filter((_, i) => i > 2 && i % 2 === 1),
      depth,
    )
  }

  #all(references: readonly unknown[], depth: number): string | undefined {
    for (const at of references) {
      const problem = this.visit(at, depth + 1)
      if (problem !== undefined) return problem
    }
    return undefined
  }
}
