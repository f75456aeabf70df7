import { describe, expect, it } from 'vitest'
import type { Input } from '../../src/core/events.ts'
import { DEFAULT_FAULTS, withoutFaults } from '../../src/testing/faults.ts'
import { SignalingRoom, type SignalingHost } from '../../src/testing/signaling-room.ts'
import { Timeline } from '../../src/testing/timeline.ts'

function setUp() {
  const timeline = new Timeline()
  const room = new SignalingRoom(timeline, withoutFaults(DEFAULT_FAULTS), 1)
  const pass = (ms: number): void => timeline.runUntil(timeline.now + ms)
  /** A member of the room, and what it was told of quiet with the time when it heard so. */
  const join = (slot: number) => {
    const quiet: { ms: number | undefined; at: number }[] = []
    const host: SignalingHost = {
      slot,
      alive: true,
      hold: () => false,
      input(input: Input) {
        if ('quietMs' in input) quiet.push({ ms: input.quietMs, at: timeline.now })
      },
    }
    room.join(host, `node ${slot}`)
    pass(1_000)
    return { host, quiet }
  }
  const ask = ({ host, quiet }: ReturnType<typeof join>) => {
    room.askContacts(host)
    pass(1_000)
    return quiet.at(-1)!.ms
  }
  return { room, pass, join, ask }
}

describe('the quiet of a simulated room', () => {
  it('is long at the start, whoever is there', () => {
    const { join, ask } = setUp()
    const [one, two] = [join(1), join(2)]
    expect([one.quiet[0]?.ms, two.quiet[0]?.ms, ask(one)]).toEqual([60_000, 60_000, 60_000])
  })

  it('begins with an end without goodbye, not with a goodbye', () => {
    const { room, pass, join, ask } = setUp()
    const [one, polite, lost] = [join(1), join(2), join(3)]
    room.goodbye(polite.host)
    pass(1_000)
    room.processEnded(lost.host)
    pass(10_000)
    // the end was seen within 30 ms, the question took a while to the server
    expect(Math.abs(ask(one)! - 10_000)).toBeLessThan(1_000)
    pass(60_000)
    expect(ask(one)).toBe(60_000)
  })

  it('begins again with the end of an outage, for everybody', () => {
    const { room, pass, join } = setUp()
    const one = join(1)
    room.outage(5_000)
    pass(10_000)
    expect(one.quiet).toHaveLength(2)
    expect(one.quiet[1]!.ms).toBeLessThan(4_000)
  })
})
