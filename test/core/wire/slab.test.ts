import { describe, expect, it } from 'vitest'
import { adjoin, Slab, SLAB_BYTES } from '../../../src/core/wire/slab.ts'
import { Writer } from '../../../src/core/wire/writer.ts'

const writer = new Writer()
const written = (...bytes: number[]): Writer => writer.reset().raw(Uint8Array.from(bytes))
const many = (size: number): number[] => Array.from({ length: size }, (_, i) => i % 251)

describe('a slab', () => {
  it('keeps what was written, whatever is written afterwards', () => {
    const slab = new Slab()
    const kept = [
      slab.keep(written(1, 2, 3)),
      slab.keep(written(9, 4, 5), 1),
      slab.keep(written(...many(200))),
    ]
    written(7, 7, 7, 7)
    expect(kept.map((bytes) => Array.from(bytes))).toEqual([[1, 2, 3], [4, 5], many(200)])
  })

  it('puts small messages one behind the other, so that they are joined where they lie', () => {
    const slab = new Slab()
    const [first, second, third] = [slab.keep(written(1, 2)), slab.keep(written(3)), slab.keep(written(4))]
    const both = adjoin(first, second)!
    expect([...both]).toEqual([1, 2, 3])
    expect(both.buffer).toBe(first.buffer)
    expect([...adjoin(both, third)!]).toEqual([1, 2, 3, 4])
    expect(adjoin(first, third)).toBeUndefined()
    expect(adjoin(second, first)).toBeUndefined()
    expect(adjoin(first, Uint8Array.of(3))).toBeUndefined()
  })

  it('goes on in new memory where a message does not fit, and gives large ones their own', () => {
    const slab = new Slab()
    const small = many(1_000)
    const kept = Array.from({ length: 20 }, () => slab.keep(written(...small)))
    for (const bytes of kept) expect([...bytes]).toEqual(small)
    expect(new Set(kept.map(({ buffer }) => buffer)).size).toBe(3)
    for (const { buffer } of kept) expect(buffer.byteLength).toBe(SLAB_BYTES)
    const large = slab.keep(written(...many(5_000)), 1_000)
    expect([...large]).toEqual(many(5_000).slice(1_000))
    expect(large.buffer.byteLength).toBe(4_000)
  })
})
