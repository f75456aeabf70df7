import type { Random } from '../../ports.ts'

const POOL_SIZE = 256

/** Uniform numbers in [0, 1) with 52 random bits each, from `crypto.getRandomValues`. */
export function createRandom(): Random {
  const pool = new Uint32Array(POOL_SIZE)
  let used = POOL_SIZE
  return () => {
    if (used === POOL_SIZE) {
      crypto.getRandomValues(pool)
      used = 0
    }
    const high = pool[used]! >>> 6
    const low = pool[used + 1]! >>> 6
    used += 2
    return (high * 2 ** 26 + low) / 2 ** 52
  }
}
