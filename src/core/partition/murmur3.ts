/**
 * MurmurHash3, x86, 32 bits (Appleby, 2008; public domain algorithm): a standard that other languages have as well, so
 * that whoever joins a cluster from another runtime finds the same partitions. Not cryptographic.
 */

/** The hash of the first `length` bytes. */
export function murmur3(bytes: Uint8Array, seed = 0, length = bytes.length): number {
  let hash = seed | 0
  const whole = length & ~3
  for (let at = 0; at < whole; at += 4) {
    const block = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
    hash ^= scramble(block)
    hash = Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64
  }
  let tail = 0
  for (let at = length - 1; at >= whole; at--) tail = (tail << 8) | bytes[at]!
  // A tail of none scrambles to none.
  hash ^= scramble(tail)
  hash ^= length
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

function scramble(block: number): number {
  const mixed = Math.imul(block, 0xcc9e2d51)
  return Math.imul((mixed << 15) | (mixed >>> 17), 0x1b873593)
}
