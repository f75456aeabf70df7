import { describe, expect, it } from 'vitest'
import { Outbox } from '../../src/core/outbox.ts'
import { decodeMessage, encodeAlone, MAX_FRAME } from '../../src/core/wire/codec.ts'
import type { Lane } from '../../src/core/wire/frames.ts'

const ping = (token: number): Uint8Array => encodeAlone({ kind: 'ping', token })

/** What is sent, as the tokens in each message. */
function sentBy(outbox: Outbox): string[] {
  return outbox.take().map((output) => {
    if (output.type !== 'link-send') return output.type
    const decoded = decodeMessage(output.bytes)
    if (!decoded.ok) return decoded.reason
    const tokens = decoded.envelopes.map(({ frame }) => (frame.kind === 'ping' ? frame.token : frame.kind))
    return `${output.linkId} ${output.lane}: ${tokens.join(' ')}`
  })
}

describe('an outbox', () => {
  it('joins the frames of a turn for each link and lane, in their order', () => {
    const outbox = new Outbox()
    const put = (linkId: number, lane: Lane, token: number): void => outbox.bytes(linkId, ping(token), lane)
    put(1, 'call', 1)
    put(1, 'call', 2)
    put(2, 'call', 3)
    put(1, 'bulk', 4)
    put(1, 'call', 5)
    put(1, 'control', 6)
    put(2, 'call', 7)
    expect(sentBy(outbox)).toEqual(['1 control: 6', '1 call: 1 2 5', '2 call: 3 7', '1 bulk: 4'])
    put(2, 'call', 8)
    expect(sentBy(outbox)).toEqual(['2 call: 8'])
    expect(sentBy(outbox)).toEqual([])
  })

  it('sends one that is encoded once to many links, whatever else they get', () => {
    const outbox = new Outbox()
    const shared = ping(1)
    for (const linkId of [1, 2, 3]) {
      outbox.bytes(linkId, ping(10 + linkId), 'control')
      outbox.bytes(linkId, shared, 'control')
      outbox.bytes(linkId, ping(20 + linkId), 'control')
    }
    expect(sentBy(outbox)).toEqual(['1 control: 11 1 21', '2 control: 12 1 22', '3 control: 13 1 23'])
  })

  it('keeps messages below their limit', () => {
    const outbox = new Outbox()
    const tokens = Array.from({ length: 8_000 }, (_, i) => i)
    for (const token of tokens) outbox.bytes(1, ping(token), 'control')
    const outputs = outbox.take()
    const sizes = outputs.map((output) => (output.type === 'link-send' ? output.bytes.length : 0))
    expect(Math.max(...sizes)).toBeLessThanOrEqual(MAX_FRAME)
    expect(sizes.length).toBeLessThanOrEqual(Math.ceil(sizes.reduce((sum, size) => sum + size, 0) / 8_000))
    const seen = outputs.flatMap((output) => {
      const decoded = output.type === 'link-send' ? decodeMessage(output.bytes) : undefined
      return decoded?.ok
        ? decoded.envelopes.map(({ frame }) => (frame.kind === 'ping' ? frame.token : -1))
        : [-1]
    })
    expect(seen).toEqual(tokens)
  })

  it('sends what waits before a link is closed, and nothing to one that has ended', () => {
    const outbox = new Outbox()
    outbox.bytes(1, ping(1), 'call')
    outbox.bytes(2, ping(2), 'call')
    outbox.bytes(3, ping(3), 'call')
    outbox.close(1, 'over')
    outbox.drop(2)
    outbox.bytes(1, ping(4), 'call')
    outbox.bytes(2, ping(5), 'call')
    expect(sentBy(outbox)).toEqual(['1 call: 1', 'link-close', '3 call: 3'])
    // A link of the same number is another one.
    outbox.bytes(1, ping(6), 'call')
    expect(sentBy(outbox)).toEqual(['1 call: 6'])
  })
})
