/** Whose silence the signaling server's own words make a verdict. */
import { describe, expect, it } from 'vitest'
import { Inquiry } from '../../../src/core/failure/inquiry.ts'

function ready() {
  const asked: string[] = []
  const inquiry = new Inquiry({
    askMember: (nodeId) => asked.push(nodeId),
    askServer: () => asked.push('server'),
  })
  inquiry.connection(true)
  return { inquiry, asked }
}

describe('an inquiry', () => {
  it('asks each member once, and the server at most every two seconds', () => {
    const { inquiry, asked } = ready()
    for (const now of [0, 500, 1_999]) for (const nodeId of ['a', 'b']) inquiry.ask(nodeId, now)
    expect(asked).toEqual(['a', 'server', 'b'])
    inquiry.ask('a', 2_000)
    expect(asked).toEqual(['a', 'server', 'b', 'server'])
  })

  it('takes silence for an answer two seconds after the server spoke', () => {
    const { inquiry } = ready()
    inquiry.ask('a', 0)
    expect(inquiry.isLost('a', 60_000)).toBe(false)
    inquiry.heard(100)
    expect(inquiry.isLost('a', 2_099)).toBe(false)
    expect(inquiry.isLost('a', 2_100)).toBe(true)
    inquiry.forget('a')
    expect(inquiry.isLost('a', 2_100)).toBe(false)
  })

  it('asks again where the server was silent too, and is patient from then on', () => {
    const { inquiry, asked } = ready()
    inquiry.ask('a', 0)
    inquiry.heard(13_000)
    expect(asked).toEqual(['a', 'server', 'a'])
    expect(inquiry.isLost('a', 14_999)).toBe(false)
    expect(inquiry.isLost('a', 15_000)).toBe(true)
  })

  it('believes at once that a socket has ended, but only while the server can be asked', () => {
    const { inquiry } = ready()
    inquiry.gone('a')
    expect(inquiry.isLost('a', 0)).toBe(true)
    inquiry.connection(false)
    expect(inquiry.isLost('a', 0)).toBe(false)
  })

  it('forgets its questions with the connection, and does not count time that was not attended', () => {
    const { inquiry, asked } = ready()
    inquiry.ask('a', 0)
    inquiry.heard(10)
    inquiry.connection(true)
    expect(inquiry.isLost('a', 9_000)).toBe(false)
    inquiry.ask('a', 9_000)
    expect(asked).toEqual(['a', 'server', 'a', 'server'])
    inquiry.heard(9_010)
    inquiry.shift(60_000)
    expect(inquiry.isLost('a', 71_009)).toBe(false)
    expect(inquiry.isLost('a', 71_010)).toBe(true)
  })
})
