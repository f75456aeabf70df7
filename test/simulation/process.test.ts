/** A process that is frozen, asleep, slow, throttled or jumps in time: what its node gets to see of it. */
import { describe, expect, it } from 'vitest'
import type { Input, Output } from '../../src/core/events.ts'
import type { Now } from '../../src/core/time.ts'
import { DEFAULT_FAULTS, withoutFaults } from '../../src/testing/faults.ts'
import { SimulatedLinks } from '../../src/testing/links.ts'
import { SimulatedProcess, WALL_AT_START } from '../../src/testing/process.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { SignalingRoom } from '../../src/testing/signaling-room.ts'
import type { SimulatedNode } from '../../src/testing/simulated-node.ts'
import { Timeline } from '../../src/testing/timeline.ts'
import { BrokenNode } from './broken-node.ts'

/** Wants a tick every 100 ms of its own time, and writes down when it got what. */
class Diary implements SimulatedNode {
  readonly nodeId = 'diary'
  readonly view = new BrokenNode('diary')
  readonly pages: {
    readonly type: string
    readonly at: number
    readonly mono: number
    readonly wall: number
  }[] = []
  readonly #timeline: Timeline
  #due = 0

  constructor(timeline: Timeline) {
    this.#timeline = timeline
  }

  handle({ type }: Input, { mono, wall }: Now): readonly Output[] {
    this.pages.push({ type, at: this.#timeline.now, mono, wall: wall - WALL_AT_START })
    this.#due = mono + 100
    return []
  }

  nextDeadline(): number {
    return this.#due
  }

  memory(): Uint8Array {
    return new Uint8Array(0)
  }
}

function setUp() {
  const timeline = new Timeline()
  const weather = withoutFaults(DEFAULT_FAULTS)
  const node = new Diary(timeline)
  const ignore = (): void => {}
  const observer = { before: ignore, sent: ignore, event: ignore, after: ignore, failed: ignore }
  const process = new SimulatedProcess(
    {
      slot: 0,
      load: 0,
      authority: 'a',
      node,
      wallSkewMs: 0,
      random: seededRandom(1, 'process'),
      claim: () => ({ authority: 'a', generation: 1 }),
    },
    {
      timeline,
      links: new SimulatedLinks(timeline, weather, 1),
      signaling: new SignalingRoom(timeline, weather, 1),
      observer,
    },
  )
  const pass = (ms: number): void => timeline.runUntil(timeline.now + ms)
  /** Something that comes from outside. */
  const deliver = (): void => {
    const run = () => process.input({ type: 'set-meta', meta: '' })
    if (!process.hold(run)) run()
  }
  process.start()
  pass(1_000)
  const since = (time: number) => node.pages.filter(({ at }) => at > time)
  return { timeline, process, node, pass, deliver, since }
}

describe('SimulatedProcess', () => {
  it('frozen: runs nothing, then gets what waited, and both clocks have gone on', () => {
    const { process, pass, deliver, since } = setUp()
    process.freeze()
    pass(500)
    deliver()
    pass(4_500)
    expect(since(1_000)).toEqual([])
    process.thaw()
    expect(since(1_000)).toEqual([{ type: 'set-meta', at: 6_000, mono: 6_000, wall: 6_000 }])
  })

  it('asleep: the monotonic clock has stood still, the wall clock has not; and so it goes on', () => {
    const { process, pass, deliver, since } = setUp()
    process.sleep()
    pass(60_000)
    deliver()
    process.thaw()
    expect(since(1_000)).toEqual([{ type: 'set-meta', at: 61_000, mono: 1_000, wall: 61_000 }])
    pass(1_000)
    expect(since(61_000).map(({ at, mono }) => at - mono)).toEqual(Array.from({ length: 10 }, () => 60_000))
  })

  it('a jump of the monotonic clock is a late wake-up at once', () => {
    const { process, pass, since } = setUp()
    process.jump(30_000)
    pass(50)
    const [first, second] = since(1_000)
    expect(first).toMatchObject({ type: 'tick' })
    expect(first!.mono - first!.at).toBe(30_000)
    expect(first!.at).toBeLessThan(1_001)
    expect(second).toBeUndefined()
  })

  it('throttled: timers come once a second, messages when they come', () => {
    const { process, pass, deliver, since } = setUp()
    process.throttle(1_000)
    pass(300)
    deliver()
    pass(10_000)
    const messages = since(1_000).filter(({ type }) => type === 'set-meta')
    const ticks = since(1_200).filter(({ type }) => type === 'tick')
    expect(messages.map(({ at }) => at)).toEqual([1_300])
    expect(ticks.length).toBeGreaterThanOrEqual(9)
    expect(ticks.length).toBeLessThanOrEqual(11)
    expect(new Set(ticks.map(({ at }) => at % 1_000)).size).toBe(1)
  })

  it('slow: messages too wait for the turn; and none waits any longer when that is over', () => {
    const { process, timeline, pass, deliver, since } = setUp()
    process.throttle(1_000, true)
    for (let i = 0; i < 20; i++) {
      pass(250)
      deliver()
    }
    const messages = since(1_000).filter(({ type }) => type === 'set-meta')
    expect(messages.length).toBeGreaterThanOrEqual(15)
    expect(new Set(messages.map(({ at }) => at % 1_000)).size).toBe(1)
    pass(10)
    deliver()
    process.throttle(0)
    expect(since(timeline.now - 1).filter(({ type }) => type === 'set-meta').length).toBeGreaterThan(0)
    expect(since(1_000).filter(({ type }) => type === 'set-meta')).toHaveLength(21)
  })

  it('asleep while it is slow: nothing runs before its thaw', () => {
    const { process, timeline, pass, deliver, since } = setUp()
    process.throttle(1_000, true)
    deliver()
    process.sleep()
    pass(5_000)
    expect(since(1_200)).toEqual([])
    process.thaw()
    expect(since(timeline.now - 1)[0]).toMatchObject({ type: 'set-meta', mono: 1_000 })
  })
})
