import { describe, expect, it } from 'vitest'
import { FakeClock } from '../../src/testing/fake-clock.ts'

describe('FakeClock', () => {
  it('fires timers at their own times, in order, also those set on the way', () => {
    const clock = new FakeClock({ mono: 100, wall: 5_000 })
    const fired: [string, number][] = []
    const note = (name: string) => () => fired.push([name, clock.now().mono])
    clock.timer(30, note('late'))
    clock.timer(10, () => {
      note('early')()
      clock.timer(5, note('between'))
    })
    expect(clock.nextDeadline).toBe(110)
    clock.advance(30)
    expect(fired).toEqual([
      ['early', 110],
      ['between', 115],
      ['late', 130],
    ])
    expect(clock.now()).toEqual({ mono: 130, wall: 5_030 })
    expect(clock.pending).toBe(0)
  })

  it('forgets cancelled timers, and cancelling twice is harmless', () => {
    const clock = new FakeClock()
    const fired: string[] = []
    const cancel = clock.timer(10, () => fired.push('cancelled'))
    clock.timer(10, () => fired.push('kept'))
    cancel()
    cancel()
    expect(clock.pending).toBe(1)
    clock.advance(20)
    expect(fired).toEqual(['kept'])
  })

  it('moves the wall clock alone when it is stepped', () => {
    const clock = new FakeClock({ wall: 1_000 })
    clock.stepWall(-400)
    clock.sleep(100)
    expect(clock.now()).toEqual({ mono: 0, wall: 700 })
  })

  it('lets promises run between timers when asked to', async () => {
    const clock = new FakeClock()
    const order: string[] = []
    clock.timer(1, () => void Promise.resolve().then(() => order.push('reaction of the first')))
    clock.timer(2, () => order.push('second'))
    await clock.advanceAsync(5)
    expect(order).toEqual(['reaction of the first', 'second'])
  })

  it('never goes back', () => {
    expect(() => new FakeClock().advance(-1)).toThrow(RangeError)
    expect(() => new FakeClock().advance(Number.NaN)).toThrow(RangeError)
  })
})
