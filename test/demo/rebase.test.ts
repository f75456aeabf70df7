import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { carry, rebase } from '../../demo/board/rebase.ts'

describe('two changes of one text', () => {
  test.each([
    ['behind each other', 'c1', 'c1a', 'c1b', 'c1ba'],
    ['in different places', 'hello world', 'hello big world', 'hello world!!', 'hello big world!!'],
    ['one deletes, the other adds', 'abc', 'ac', 'abcX', 'acX'],
    ['the other way round', 'abc', 'abcX', 'ac', 'acX'],
    ['of the same letter', 'abc', 'aXc', 'aYc', 'aYXc'],
    ['at both ends', 'abc', 'Zabc', 'abcQ', 'ZabcQ'],
    ['all deleted', 'abc', '', 'abcQ', 'Q'],
  ])('%s', (_, before, after, now, expected) => {
    expect(rebase(before, after, now)).toBe(expected)
  })

  const text = fc.string({ maxLength: 8, unit: fc.constantFrom('a', 'b', 'c') })

  test('one that nobody has met is what it was', () => {
    fc.assert(fc.property(text, text, (before, after) => rebase(before, after, before) === after))
  })

  test('what was put in on either side is there, whatever was there before', () => {
    fc.assert(
      fc.property(text, fc.nat(8), fc.nat(8), (before, x, y) => {
        const put = (at: number, piece: string) =>
          before.slice(0, Math.min(at, before.length)) + piece + before.slice(Math.min(at, before.length))
        const rebased = rebase(before, put(x, 'XXX'), put(y, 'YYY'))
        expect(rebased).toContain('XXX')
        expect(rebased).toContain('YYY')
        expect(rebased).toHaveLength(before.length + 6)
      }),
    )
  })
})

test('a caret stays between the letters that it was between', () => {
  expect(carry(1, 'abc', 'abcX')).toBe(1)
  expect(carry(3, 'abc', 'Xabc')).toBe(4)
  expect(carry(2, 'abcd', 'ad')).toBe(1)
})
