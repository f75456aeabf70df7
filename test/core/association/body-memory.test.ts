/** Memory of bodies: used again within a stream, never for another one, and bounded. */
import { describe, expect, it } from 'vitest'
import { BodyMemory } from '../../../src/core/association/body-memory.ts'
import { Writer } from '../../../src/core/wire/writer.ts'

const BYTES = 16 * 1024
const HEAD = 64

const writerOf = (fill: number, size = 8_192): Writer =>
  new Writer(BYTES).skip(HEAD).raw(new Uint8Array(size).fill(fill))

describe('memory of bodies', () => {
  it('serves the next body of its stream, whatever that is', () => {
    const memory = new BodyMemory(BYTES)
    const stream = {}
    const first = memory.copyOf(writerOf(1), HEAD, stream)
    memory.release(first, stream)
    const second = memory.copyOf(writerOf(2, 5_000), HEAD, stream)
    expect(second.buffer).toBe(first.buffer)
    expect(second).toEqual(new Uint8Array(5_000).fill(2))
    expect(second.byteOffset).toBe(HEAD)
    expect(memory.copyOf(writerOf(3), HEAD, stream).buffer, 'it is in use').not.toBe(first.buffer)
  })

  it('is of one stream alone, and gone with it', () => {
    const memory = new BodyMemory(BYTES)
    const [one, other] = [{}, {}]
    const body = memory.copyOf(writerOf(1), HEAD, one)
    memory.release(body, one)
    expect(memory.copyOf(writerOf(2), HEAD, other).buffer).not.toBe(body.buffer)
    memory.drop(one)
    expect(memory.copyOf(writerOf(3), HEAD, one).buffer).not.toBe(body.buffer)
  })

  it('is bounded: the stream that has given nothing back for longest loses its own', () => {
    const memory = new BodyMemory(BYTES)
    const most = (2 * 1024 * 1024) / BYTES
    const [old, young] = [{}, {}]
    const bodiesOf = (stream: object, count: number): Uint8Array[] =>
      Array.from({ length: count }, () => memory.copyOf(writerOf(1), HEAD, stream))
    const spareOf = (stream: object, known: readonly Uint8Array[]): number => {
      const buffers = new Set(known.map(({ buffer }) => buffer))
      return bodiesOf(stream, most + 1).filter(({ buffer }) => buffers.has(buffer)).length
    }
    const [olds, youngs] = [bodiesOf(old, 8), bodiesOf(young, most + 5)]
    for (const body of olds) memory.release(body, old)
    for (const body of youngs) memory.release(body, young)
    expect([spareOf(old, olds), spareOf(young, youngs)]).toEqual([0, most])
  })
})
