/**
 * Seeded randomness. Every purpose (one node, one link, the schedule) has a generator of its own, named by labels:
 * one more draw for a fault never shifts what another part of the run sees.
 */
import type { Random } from '../core/time.ts'

/**
 * A generator that depends on `seed` and `labels` alone: sfc32 (Doty-Humphrey, PractRand), its state filled by
 * splitmix32 from a hash of the labels.
 */
export function seededRandom(seed: number, ...labels: readonly (string | number)[]): Random {
  let state = hashText(
    labels.join('\u0000'),
    (seed >>> 0) ^ Math.imul(Math.floor(seed / 2 ** 32), 0x9e3779b1),
  )
  const split = (): number => {
    state = (state + 0x9e3779b9) | 0
    let z = state ^ (state >>> 16)
    z = Math.imul(z, 0x21f0aaad)
    z ^= z >>> 15
    z = Math.imul(z, 0x735a2d97)
    return z ^ (z >>> 15)
  }
  let a = split()
  let b = split()
  let c = split()
  let counter = 1
  const next = (): number => {
    const sum = (a + b + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = ((c << 21) | (c >>> 11)) + sum
    c |= 0
    return (sum >>> 0) / 0x1_0000_0000
  }
  for (let i = 0; i < 12; i++) next()
  return next
}

/** Uniform in [min, max). */
export const between = (random: Random, min: number, max: number): number => min + random() * (max - min)

/** Uniform among 0 … count - 1. */
export const below = (random: Random, count: number): number => Math.floor(random() * count)

/** One of `items`; throws on an empty list. */
export function pick<T>(random: Random, items: readonly T[]): T {
  if (items.length === 0) throw new RangeError('pick: the list is empty')
  return items[below(random, items.length)]!
}

/** Up to `count` different items, in random order. */
export function sample<T>(random: Random, items: readonly T[], count: number): T[] {
  const pool = [...items]
  const taken = Math.min(count, pool.length)
  for (let i = 0; i < taken; i++) {
    const j = i + below(random, pool.length - i)
    const swap = pool[i]!
    pool[i] = pool[j]!
    pool[j] = swap
  }
  pool.length = taken
  return pool
}

/** Exponential with this mean: the pause between two events of a Poisson process. */
export const exponential = (random: Random, mean: number): number => -Math.log(1 - random()) * mean

/** A key of `weights`, as often as its weight says. Keys of weight 0 never come. */
export function weighted<K extends string>(random: Random, weights: Readonly<Record<K, number>>): K {
  const entries = Object.entries(weights) as [K, number][]
  let rest = random() * entries.reduce((sum, [, weight]) => sum + weight, 0)
  for (const [key, weight] of entries) {
    rest -= weight
    if (rest < 0) return key
  }
  throw new RangeError('weighted: every weight is 0')
}

/** FNV-1a over UTF-16 units, with a final mix. */
function hashText(text: string, seed: number): number {
  let hash = seed ^ 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  hash ^= hash >>> 16
  hash = Math.imul(hash, 0x85ebca6b)
  return hash ^ (hash >>> 13)
}
