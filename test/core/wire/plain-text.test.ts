import { describe, expect, it } from 'vitest'
import { plainText } from '../../../src/core/wire/plain-text.ts'

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)

describe('plainText', () => {
  it('tells apart more texts than it remembers, whichever came last', () => {
    const texts = Array.from({ length: 20_000 }, (_, i) => `text ${i * 7919}`)
    for (const text of [...texts, ...texts.toReversed()]) {
      const bytes = bytesOf(`<${text}>`)
      expect(plainText(bytes, 1, bytes.length - 1)).toBe(text)
    }
  })

  it('reads texts of every length it takes', () => {
    for (const length of [0, 1, 255, 256, 257, 1_024]) {
      const text = 'x'.repeat(length)
      expect(plainText(bytesOf(text), 0, length)).toBe(text)
    }
    expect(plainText(bytesOf('x'.repeat(1_025)), 0, 1_025)).toBeUndefined()
  })

  it('takes nothing but ASCII', () => {
    expect(plainText(bytesOf('plain \u007f'), 0, 7)).toBe('plain \u007f')
    expect(plainText(Uint8Array.of(65, 0x80), 0, 2)).toBeUndefined()
  })
})
