/** Messages as an attacker would make them: noise, and good ones with something wrong about them. */
import type { Random } from '../../../src/core/time.ts'
import { encodeFrame, encodeMessage } from '../../../src/core/wire/codec.ts'
import type { Frame, OriginRange } from '../../../src/core/wire/frames.ts'
import { KIND_OF } from '../../../src/core/wire/kinds.ts'
import { below, pick } from '../../../src/testing/random.ts'
import { nodeIdOf, selfOf } from '../support/names.ts'

/** Lives that an attacker makes up have authorities from here on. */
export const FAKE = 1_000
const FAKES = 400

export interface MessageSource {
  /** A message that decodes, about made-up members only. */
  good(): Uint8Array
  /** A good message with something wrong about it, or noise. */
  bad(): Uint8Array
}

export function messageSource(random: Random, seeds: readonly Uint8Array[]): MessageSource {
  const small = (): number => below(random, 12)
  const fake = (): string => nodeIdOf(FAKE + below(random, FAKES), 1 + below(random, 3))
  const anybody = (): string => (random() < 0.5 ? fake() : nodeIdOf(1 + below(random, 3)))
  const counter = (): number => pick(random, [small, small, () => below(random, 2 ** 30), () => 2 ** 48])()

  const range = (): OriginRange => {
    const from = below(random, 3) ? 0 : counter()
    const to = Math.max(from, counter())
    const isWhole = from === 0 && to > 0
    const self =
      isWhole || (to > from && random() < 0.5)
        ? selfOf(small(), { counter: to, incarnation: small() })
        : undefined
    const written = to > from ? small() % 4 : 0
    const entries = Array.from({ length: written }, (_, i) => {
      const value = random() < 0.2 ? undefined : 'v'.repeat(below(random, 60))
      return { key: `key${i}`, version: to, value }
    })
    const observers = [nodeIdOf(FAKE + small())]
    const rank = pick(random, ['suspect', 'unreachable', 'removed'] as const)
    const accusation =
      random() < 0.2
        ? { rank, incarnation: counter(), observers: rank === 'removed' ? [] : observers }
        : undefined
    return { nodeId: fake(), from, to, floor: below(random, 2) * from, self, entries, accusation }
  }
  const list = <T>(make: () => T): T[] => Array.from({ length: small() }, make)
  const word = (): number => Math.floor(random() * 2 ** 32)
  const buckets = (): Uint32Array => {
    const hashes = new Uint32Array(64)
    for (let i = below(random, 64); i < 64; i++) hashes[i] = word()
    return hashes
  }
  const frames: readonly (() => Frame)[] = [
    () => ({ kind: 'delta', ranges: list(range) }),
    () => ({ kind: 'delta', ranges: list(range) }),
    () => ({ kind: 'missing', ranges: list(() => ({ nodeId: fake(), from: counter() })) }),
    () => ({ kind: 'buckets', buckets: buckets() }),
    () => ({
      kind: 'digest',
      mask: { low: word(), high: word() },
      entries: list(() => ({ nodeId: fake(), counter: counter() })),
    }),
    () => ({
      kind: 'status',
      viewHi: word(),
      viewLo: word(),
      content: word(),
      published: new Uint8Array(below(random, 60)).fill(255),
    }),
    () => ({ kind: 'ping', token: counter() }),
    () => ({ kind: 'ack', token: counter() }),
    () => ({ kind: 'probe', subject: anybody(), token: counter() }),
    () => ({ kind: 'probed', subject: anybody(), token: counter(), alive: random() < 0.5 }),
    () => ({ kind: 'recall', confirmed: { low: word(), high: word() } }),
  ]
  const good = (): Uint8Array =>
    encodeMessage(Array.from({ length: 1 + below(random, 3) }, () => encodeFrame(pick(random, frames)())))

  const bytes = (length: number): Uint8Array => {
    const noise = new Uint8Array(length)
    for (let i = 0; i < length; i++) noise[i] = below(random, 256)
    return noise
  }
  const seed = (): Uint8Array => (random() < 0.5 ? good() : pick(random, seeds))
  const numbers = Object.values(KIND_OF)
  const mutations: readonly (() => Uint8Array)[] = [
    () => bytes(below(random, 300)),
    () => encodeMessage([joined(Uint8Array.of(1, pick(random, numbers), 0), bytes(below(random, 80)))]),
    () => seed().slice(0, -1 - below(random, 20)),
    () => {
      const copy = seed().slice()
      for (let i = below(random, 4); i >= 0; i--) copy[below(random, copy.length)]! ^= 1 << below(random, 8)
      return copy
    },
    () => {
      const [head, tail] = [seed(), seed()]
      return joined(head.subarray(0, below(random, head.length)), tail.subarray(below(random, tail.length)))
    },
    // A length that lies: somewhere a huge varint.
    () => {
      const copy = seed()
      const at = below(random, copy.length)
      return joined(copy.subarray(0, at), HUGE, copy.subarray(at))
    },
    () => {
      const copy = seed()
      return joined(copy, copy, copy.subarray(0, small()))
    },
  ]
  return { good, bad: () => pick(random, mutations)() }
}

const HUGE = Uint8Array.of(0xff, 0xff, 0x7f)

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}
