/** Small sets of positions, as bytes: the *published* bitmap of status frames. */
export type Bitmap = Uint8Array

export const createBitmap = (size: number): Bitmap => new Uint8Array((size + 7) >>> 3)

export function setBit(bits: Bitmap, at: number): void {
  bits[at >>> 3]! |= 1 << (at & 7)
}

export const hasBit = (bits: Bitmap, at: number): boolean => ((bits[at >>> 3]! >>> (at & 7)) & 1) === 1

/** Adds `other` to `bits`; tells whether anything was new. */
export function orInto(bits: Bitmap, other: Bitmap): boolean {
  let grew = false
  for (let i = 0; i < bits.length; i++) {
    const joined = bits[i]! | other[i]!
    if (joined !== bits[i]) grew = true
    bits[i] = joined
  }
  return grew
}

/** Whether the first `size` positions are all set. */
export function isFull(bits: Bitmap, size: number): boolean {
  for (let i = 0; i < size >>> 3; i++) if (bits[i] !== 0xff) return false
  const rest = size & 7
  return rest === 0 || (bits[size >>> 3]! & ((1 << rest) - 1)) === (1 << rest) - 1
}

/** Clears positions from `size` on, which a foreign bitmap may have set. */
export function trim(bits: Bitmap, size: number): Bitmap {
  const rest = size & 7
  if (rest !== 0) bits[bits.length - 1]! &= (1 << rest) - 1
  return bits
}

/** Whether everything in `bits` is in `a` or in `b`. */
export function coveredBy(bits: Bitmap, a: Bitmap | undefined, b: Bitmap | undefined): boolean {
  for (let i = 0; i < bits.length; i++) {
    if ((bits[i]! & ~((a?.[i] ?? 0) | (b?.[i] ?? 0))) !== 0) return false
  }
  return true
}
