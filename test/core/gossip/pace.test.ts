import { describe, expect, it } from 'vitest'
import { Pace } from '../../../src/core/gossip/pace.ts'

/** When batches go out between 0 and `ms`, if something new comes every `everyMs`. */
function batches(everyMs: number, ms: number): number[] {
  const pace = new Pace()
  const sent: number[] = []
  let due: number | undefined
  for (let now = 0; now < ms; now++) {
    if (due !== undefined && now >= due) {
      pace.took(now)
      sent.push(now)
      due = undefined
    }
    if (now % everyMs === 0) due ??= pace.next(now, 5)
  }
  return sent
}

describe('the pace of forwarding', () => {
  it('is the debounce alone for changes now and then', () => {
    expect(batches(100, 1_000)).toEqual([5, 105, 205, 305, 405, 505, 605, 705, 805, 905])
  })

  it('is twenty batches a second, after a few at once, where changes come all the time', () => {
    const sent = batches(1, 10_000)
    expect(sent[0]).toBe(5)
    expect(sent.filter((at) => at < 100).length).toBeGreaterThanOrEqual(9)
    expect(sent.filter((at) => at >= 1_000 && at < 9_000).length).toBeGreaterThanOrEqual(8 * 19)
    expect(sent.filter((at) => at >= 1_000 && at < 9_000).length).toBeLessThanOrEqual(8 * 20)
  })

  it('is quick again after a rest', () => {
    const pace = new Pace()
    for (let i = 0; i < 50; i++) pace.took(1_000)
    expect(pace.next(1_000, 5)).toBe(1_050)
    expect(pace.next(10_000, 5)).toBe(10_005)
  })
})
