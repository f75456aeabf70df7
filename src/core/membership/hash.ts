/**
 * Hashing of table content: two 32-bit lanes of multiply-xorshift with the finalizer of MurmurHash3 (Appleby, 2008).
 * Fast and well spread, not cryptographic: it finds honest differences and is no proof against a hostile member.
 */
import type { NodeId } from '../identity/node-id.ts'
import { authorityOf } from '../identity/node-id.ts'

export interface Hash64 {
  readonly hi: number
  readonly lo: number
}

/** Feeds texts and integers in, takes 64 bits out. One instance is reused to keep hashing free of allocation. */
export class Mixer {
  #a = 0
  #b = 0

  reset(): this {
    this.#a = 0x9e3779b9 | 0
    this.#b = 0x85ebca6b | 0
    return this
  }

  /** Length first, so that neighbouring texts cannot run into each other. */
  text(text: string): this {
    this.int(text.length)
    for (let i = 0; i < text.length; i++) this.#word(text.charCodeAt(i))
    return this
  }

  /** A non-negative integer up to 2^53. */
  int(value: number): this {
    this.#word(value >>> 0)
    this.#word(Math.floor(value / 0x1_0000_0000) >>> 0)
    return this
  }

  get hi(): number {
    return avalanche(this.#a ^ (this.#b >>> 7))
  }

  get lo(): number {
    return avalanche(this.#b ^ (this.#a << 5))
  }

  #word(word: number): void {
    this.#a = Math.imul(this.#a ^ word, 0x5bd1e995)
    this.#a ^= this.#a >>> 15
    this.#b = Math.imul(this.#b ^ word, 0x27d4eb2f)
    this.#b ^= this.#b >>> 13
  }
}

const shared = new Mixer()

/** 32 bits of a text. */
export const hash32 = (text: string): number => shared.reset().text(text).lo

/**
 * The short name of a member: its bucket, its place on the ring, its name in published links. Of the authority, not
 * of the life: a reload changes nobody else's links, and so nothing that anybody else publishes.
 */
export const shortOf = (nodeId: NodeId): number => hash32(authorityOf(nodeId))

/** 16 hex digits. */
export const formatHash = (hash: Hash64): string => hex8(hash.hi) + hex8(hash.lo)

export const hex8 = (word: number): string => (word >>> 0).toString(16).padStart(8, '0')

function avalanche(word: number): number {
  word ^= word >>> 16
  word = Math.imul(word, 0x85ebca6b)
  word ^= word >>> 13
  word = Math.imul(word, 0xc2b2ae35)
  return (word ^ (word >>> 16)) >>> 0
}
