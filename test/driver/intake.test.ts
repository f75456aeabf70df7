import { describe, expect, it } from 'vitest'
import type { Input } from '../../src/core/events.ts'
import { Intake } from '../../src/driver/intake.ts'
import type { Clock } from '../../src/ports.ts'

/** `costMs`: what a go takes. */
function createRig({ costMs = 0 } = {}) {
  const tasks: (() => void)[] = []
  let mono = 0
  const clock: Clock = {
    now: () => ({ mono, wall: mono }),
    timer(_, callback) {
      tasks.push(callback)
      return () => void tasks.splice(tasks.indexOf(callback), 1)
    },
  }
  const goes: string[] = []
  const intake = new Intake(clock, (inputs) => {
    const list = [inputs].flat() as Input[]
    goes.push(list.map((input) => (input.type === 'link-message' ? input.linkId : 'closed')).join(' '))
    mono += costMs
  })
  const take = (linkId: number, length = 100): void =>
    intake.take({ type: 'link-message', linkId, bytes: new Uint8Array(length) })
  /** The next task comes. */
  const task = (): void => tasks.shift()?.()
  const pause = (ms: number): void => void (mono += ms)
  return { goes, intake, take, task, pause }
}

describe('an intake', () => {
  it('hands over each message at once while they come one by one, or a few together', () => {
    const { goes, take, pause } = createRig({ costMs: 5 })
    for (let i = 0; i < 20; i++) {
      take(i)
      if (i % 4 === 3) pause(0.5)
    }
    expect(goes).toEqual(Array.from({ length: 20 }, (_, i) => `${i}`))
  })

  it('lets those that come right behind each other wait for the next task, and hands them over together', () => {
    const { goes, take, task, pause } = createRig()
    for (let i = 0; i < 9; i++) take(i)
    expect(goes).toEqual(['0', '1', '2', '3'])
    task()
    expect(goes.slice(4)).toEqual(['4 5 6 7 8'])
    // It goes on so until nothing comes for a while.
    take(9)
    expect(goes).toHaveLength(5)
    task()
    pause(0.3)
    take(10)
    expect(goes.slice(5)).toEqual(['9', '10'])
  })

  it('hands over no more than sixteen at once, or some kilobyte', () => {
    const { goes, take, task } = createRig()
    for (let i = 0; i < 40; i++) take(i, 10)
    task()
    expect(goes.slice(4).map((go) => go.split(' ').length)).toEqual([16, 16, 4])
    for (let i = 0; i < 6; i++) take(i, i === 2 ? 16_000 : 800)
    goes.length = 0
    task()
    expect(goes).toEqual(['0 1', '2', '3 4', '5'])
  })

  it('lets the page have its turn every four milliseconds', () => {
    const { goes, intake, take, task } = createRig({ costMs: 3 })
    for (let i = 0; i < 100; i++) take(i, 2_000)
    const before = goes.length
    task()
    expect(goes.length - before).toBe(2)
    task()
    expect(goes.length - before).toBe(4)
    intake.stop()
    task()
    expect(goes.length - before).toBe(4)
  })

  it('goes on after a go that threw', () => {
    const { goes, intake, take, task } = createRig()
    for (let i = 0; i < 5; i++) take(i)
    const broken: Input = { type: 'link-message', linkId: 9, bytes: new Uint8Array(2_000) }
    Object.defineProperty(broken, 'linkId', {
      get() {
        throw new Error('broken')
      },
    })
    intake.take(broken)
    take(6)
    expect(task).toThrow('broken')
    task()
    take(7)
    task()
    expect(goes.slice(4)).toEqual(['6', '7'])
  })

  it('says that a link is closed after what has come on it', () => {
    const { goes, intake, take, task } = createRig()
    for (let i = 0; i < 5; i++) take(i)
    intake.take({ type: 'link-closed', linkId: 1, reason: 'test' })
    expect(goes).toHaveLength(4)
    task()
    expect(goes.slice(4)).toEqual(['4 closed'])
  })
})
