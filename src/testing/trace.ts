/** What happened in a run: as a running hash, to compare two runs; and as lines, to read one. */
import type { ClusterEvent, Input } from '../core/events.ts'

/** A hash of 32 bits, after FNV-1a, over everything that is added, in order. Equal traces have equal hashes. */
export class TraceHash {
  #hash = 0x811c9dc5 | 0
  #count = 0
  readonly #float = new Float64Array(1)
  readonly #words = new Uint32Array(this.#float.buffer)

  /** Inputs so far. */
  get count(): number {
    return this.#count
  }

  get hex(): string {
    return `${(this.#hash >>> 0).toString(16).padStart(8, '0')}-${this.#count}`
  }

  add(time: number, slot: number, input: Input): void {
    this.#count++
    this.#float[0] = time
    this.#word(this.#words[0]!)
    this.#word(this.#words[1]!)
    this.#word(slot)
    if (input.type === 'link-message') this.#bytes(input.linkId, input.bytes)
    else if (input.type === 'tick') this.#word(0)
    // Only grains look at it: without them a trace is the same as of a server that does not tell.
    else if ('quietMs' in input) this.#text(JSON.stringify({ ...input, quietMs: undefined }))
    else this.#text(JSON.stringify(input))
  }

  text(text: string): void {
    this.#text(text)
  }

  #bytes(linkId: number, bytes: Uint8Array): void {
    this.#word(linkId)
    let hash = this.#hash
    let i = 0
    // Four at a time: this is done for every message of a run.
    for (; i + 3 < bytes.length; i += 4) {
      const four = bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24)
      hash = Math.imul(hash ^ four, 0x01000193)
      hash ^= hash >>> 15
    }
    for (; i < bytes.length; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193)
    this.#hash = hash
  }

  #text(text: string): void {
    let hash = this.#hash
    for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
    this.#hash = hash
  }

  #word(word: number): void {
    let hash = Math.imul(this.#hash ^ (word & 0xffff), 0x01000193)
    hash = Math.imul(hash ^ (word >>> 16), 0x01000193)
    this.#hash = hash ^ (hash >>> 15)
  }
}

/** `   12.345 s  n7'1  text`: time, who, what. */
export const traceLine = (time: number, who: string, text: string): string =>
  `${(time / 1_000).toFixed(3).padStart(9)} s  ${who.padEnd(6)} ${text}`

/** An event in one line, nodeIds cut to what tells them apart. */
export function describeEvent(event: ClusterEvent, name: (nodeId: string) => string): string {
  const { type, at: _, ...rest } = event
  const parts = Object.entries(rest)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}=${typeof value === 'string' ? name(value) : JSON.stringify(value)}`)
  return `${type} ${parts.join(' ')}`
}

/** An input in one line, or `undefined` where it is too common to read. */
export function describeInput(input: Input, name: (nodeId: string) => string): string | undefined {
  switch (input.type) {
    case 'tick':
    case 'link-message':
    case 'link-signal':
      return undefined
    case 'signaling-message':
      return `< signaling message from ${name(input.from)} (${input.data.length} characters)`
    case 'signaling-up':
    case 'signaling-contacts':
      return `< ${input.type} ${input.contacts.map(name).join(' ')}`
    case 'signaling-gone':
    case 'reborn':
      return `< ${input.type} ${name(input.nodeId)}`
    default:
      return `< ${JSON.stringify(input)}`
  }
}
