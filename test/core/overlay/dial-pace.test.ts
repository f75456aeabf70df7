/** How many links are begun at once, by how long they take; and when a newcomer seeks more than its first. */
import { describe, expect, it } from 'vitest'
import { DialPace } from '../../../src/core/overlay/dial-pace.ts'
import { newLink } from '../../../src/core/overlay/mesh-link.ts'
import { nodeIdOf } from '../support/names.ts'

const MAX_DIALS = 8

function paceOf(...tookMs: number[]): DialPace {
  const pace = new DialPace(MAX_DIALS)
  for (const ms of tookMs) pace.made(ms)
  return pace
}

describe('links that are begun at once', () => {
  it.each([
    [[], 1],
    [[0], MAX_DIALS],
    [[50], MAX_DIALS],
    [[250], MAX_DIALS],
    [[500], 4],
    [[1_000], 2],
    [[2_000], 1],
    [[60_000], 1],
  ])('where links took %j ms are %i', (tookMs, count) => {
    expect(paceOf(...tookMs).atOnce).toBe(count)
  })

  it('become fewer as links become slow, and more as they become fast again', () => {
    const pace = paceOf(50)
    for (let i = 0; i < 10; i++) pace.made(2_000)
    expect(pace.usualMs).toBeGreaterThan(1_500)
    expect(pace.atOnce).toBe(1)
    for (let i = 0; i < 20; i++) pace.made(50)
    expect(pace.atOnce).toBe(MAX_DIALS)
  })
})

describe('a newcomer', () => {
  it('whose first link was slow seeks others when it knows the room, or 5 s later', () => {
    const pace = paceOf(251)
    expect([pace.isNew, pace.opensAt(1_000)]).toEqual([true, 6_000])
    pace.joined(1_500)
    expect([pace.isNew, pace.opensAt(1_000), pace.opensAt(2_000)]).toEqual([false, 1_500, 2_000])
  })

  it('whose first link was fast seeks others at once', () => {
    expect(paceOf(250).opensAt(1_000)).toBe(1_000)
  })

  const begin = {
    linkId: 1,
    nodeId: nodeIdOf(2),
    session: 's',
    initiator: true,
    relay: false,
    byMesh: false,
    wish: false,
  }

  it('tries another contact after a second without a word, but not beside one that has answered', () => {
    const silent = { ...newLink(begin, 5_000), offeredAt: 5_000 }
    const answered = { ...newLink(begin, 5_000), offeredAt: 5_000 }
    answered.seen.add(0)
    expect([paceOf().hedgeAt(silent), paceOf().hedgeAt(answered)]).toEqual([6_000, Infinity])
    expect(paceOf(50).hedgeAt(silent), 'who has had a link knows what is under way').toBe(Infinity)
  })

  it('is patient where its own offer took long, and as patient with a handshake as the channel took', () => {
    const pace = paceOf()
    const link = newLink(begin, 5_000)
    expect(pace.hedgeAt(link), 'nothing was offered').toBe(10_000)
    expect(pace.hedgeAt({ ...link, offeredAt: 5_400 })).toBe(6_400)
    expect(pace.hedgeAt({ ...link, offeredAt: 6_000 })).toBe(8_000)
    expect(pace.hedgeAt({ ...link, offeredAt: 9_000 }), 'not without a limit').toBe(12_000)
    expect(pace.hedgeAt({ ...link, offeredAt: 5_100, openedAt: 5_500 }), 'as quick as ever').toBe(5_500)
    expect(pace.hedgeAt({ ...link, offeredAt: 5_100, openedAt: 5_600 })).toBe(6_600)
    expect(paceOf(50).hedgeAt({ ...link, openedAt: 5_600 }), 'also of a link after the first').toBe(6_600)
    expect(pace.hedgeAt({ ...link, offeredAt: 5_100, openedAt: 8_000 })).toBe(11_000)
  })

  it('is patient with one contact only', () => {
    const pace = paceOf()
    pace.hedged()
    expect(pace.hedgeAt(newLink(begin, 5_000))).toBe(6_000)
    expect(pace.hedgeAt({ ...newLink(begin, 5_000), offeredAt: 7_000 })).toBe(8_000)
  })

  it('of a crowd waits until nobody has come for as long as two links take, for 5 s at most', () => {
    const pace = paceOf(1_000)
    pace.joined(2_000)
    pace.changed(3_000)
    expect([pace.opensAt(1_000), pace.opensAt(4_500), pace.opensAt(6_000)]).toEqual([5_000, 5_000, 6_000])
    pace.changed(8_000)
    expect([pace.opensAt(1_000), pace.opensAt(6_000)]).toEqual([6_000, 10_000])
    pace.changed(20_000)
    expect(pace.opensAt(20_000), 'long after it joined').toBe(20_000)
    const other = new DialPace(MAX_DIALS, 1.5)
    other.made(1_000)
    other.joined(2_000)
    other.changed(3_000)
    expect(other.opensAt(2_000), 'not all at the same moment').toBe(6_000)
    const slow = paceOf(500)
    slow.joined(2_000)
    slow.changed(3_000)
    expect(slow.opensAt(1_000), 'links that are only slow').toBe(2_000)
  })
})
