/** When gossip wakes up: by its own deadlines, not only by what happens to come in. */
import { describe, expect, it } from 'vitest'
import { allConfirmed, cluster } from '../support/nodes.ts'

describe('deadlines of gossip', () => {
  it('confirm a new cluster of two without waiting for a status period', () => {
    const { room } = cluster(2)
    expect(room.now).toBeLessThan(200)
  })

  it('confirm a change within a few debounce times', () => {
    const { room, cores } = cluster(3)
    room.run(3_000)
    room.feed(cores[0]!, { type: 'set-meta', meta: '"changed"' })
    expect(cores[0]!.gossipState).toBe('diffusing')
    const began = room.now
    room.until(() => allConfirmed(cores), 'the change is confirmed')
    expect(room.now - began).toBeLessThan(200)
    expect(cores[0]!.convergenceMs).toBe(room.now - began)
  })
})
