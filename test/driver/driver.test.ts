/** The driver with a core that says what the test wants, on ports that note what is asked of them. */
import { describe, expect, it } from 'vitest'
import type { ClusterEvent, Input, Output } from '../../src/core/events.ts'
import type { NodeCore } from '../../src/core/node.ts'
import { Driver, type DriverOptions } from '../../src/driver/driver.ts'
import type { LinkEnd, LinkHandlers, SignalingHandlers } from '../../src/ports.ts'
import { FakeClock } from '../../src/testing/fake-clock.ts'

const event: ClusterEvent = { type: 'signaling', at: 0, state: 'up', reason: 'connected' }

/** Everything a driver does goes into one list. */
function createRig(more: Partial<DriverOptions> = {}) {
  const clock = new FakeClock()
  const done: string[] = []
  const links: LinkHandlers[] = []
  const sessions: SignalingHandlers[] = []
  const refused: string[] = []
  /** What is in the buffer of each link, which keeps what is sent only if it `fills`. */
  const buffer = { fills: false, bytes: 0 }
  const core = {
    nodeId: 'life-1',
    deadline: undefined as number | undefined,
    inputs: [] as Input[],
    /** What the core answers to an input. */
    answer: (_input: Input): Output[] => [],
    nextDeadline: () => core.deadline,
    handle(input: Input): Output[] {
      core.inputs.push(input)
      done.push(`> ${input.type}`)
      if (input.type === 'reborn') core.nodeId = input.nodeId
      return core.answer(input)
    },
  }
  const options: DriverOptions = {
    core: core as unknown as NodeCore,
    room: 'room',
    clock,
    transport: {
      open(initiator, handlers) {
        const link = links.push(handlers)
        done.push(`open ${link} ${initiator}`)
        return {
          signal: (data) => void done.push(`signal ${link} ${data}`),
          send(bytes) {
            done.push(`send ${link} ${bytes.length}`)
            if (buffer.fills) buffer.bytes += bytes.length
          },
          close: () => void done.push(`close ${link}`),
          get bufferedBytes() {
            return buffer.bytes
          },
        }
      },
    },
    relay: false,
    signaling: {
      open(room, nodeId, handlers) {
        const session = sessions.push(handlers)
        done.push(`session ${session} ${room} ${nodeId}`)
        return {
          send: (to, data) => void done.push(`tell ${to} ${data}`),
          askContacts: () => void done.push('ask'),
          goodbye: () => void done.push(`goodbye ${session}`),
          close: () => void done.push(`end session ${session}`),
        }
      },
    },
    keys: { verify: () => Promise.resolve(true) },
    traffic: { messagesSent: 0, messagesReceived: 0, bytesSent: 0, bytesReceived: 0, messagesDropped: 0 },
    sign: () => Promise.resolve(new Uint8Array(0)),
    nextLife: () => Promise.resolve(nextLife),
    onEvent: (told) => void done.push(`event ${told.type}`),
    onTask: () => undefined,
    onTurn: () => void done.push('turn'),
    onRest: () => undefined,
    onMessages: ({ type }) => void done.push(type),
    onGrain: ({ type }) => void done.push(type),
    onPersist: (writes) => void done.push(`persist ${writes.length}`),
    onTraced: ({ id }) => void done.push(`traced ${id}`),
    onRefused: (reason) => void refused.push(reason),
    ...more,
  }
  const driver = new Driver(options)
  return { driver, clock, done, links, sessions, refused, core, buffer }
}

const nextLife = { nodeId: 'life-2', publicKey: new Uint8Array(0) }
const tick: Input = { type: 'tick' }
const open = (linkId: number): Output => ({
  type: 'link-open',
  relay: false,
  linkId,
  nodeId: 'other',
  initiator: true,
})
const send = (linkId: number, length: number): Output => ({
  type: 'link-send',
  lane: 'control',
  linkId,
  bytes: new Uint8Array(length),
})
const invoke: Output = {
  type: 'grain',
  output: {
    type: 'invoke',
    activation: 1,
    invocation: 1,
    method: 'm',
    args: new Uint8Array(0),
    chain: [],
    isReentrant: false,
  },
}
const answerTo =
  (type: Input['type'], ...outputs: Output[]) =>
  (input: Input): Output[] =>
    input.type === type ? outputs : []

/** Lets promises go on. */
const settle = async (): Promise<void> => {
  for (let i = 0; i < 5; i++) await undefined
}

describe('a driver', () => {
  it('opens signaling under the nodeId of the core, then starts it', () => {
    const { driver, done } = createRig()
    driver.start()
    expect(done).toEqual(['session 1 room life-1', '> start', 'turn'])
  })

  it('executes outputs in order, each on its port; links last, what waits for one before its close', () => {
    const { driver, done, core } = createRig()
    driver.start()
    done.length = 0
    core.answer = answerTo(
      'tick',
      open(1),
      { type: 'signaling-send', to: 'other', data: 'offer' },
      { type: 'event', event },
      { type: 'grain', output: { type: 'passivate', activation: 1 } },
      { type: 'grain-ended', id: 1, end: { type: 'result', bytes: new Uint8Array(0), attempts: 1, ms: 1 } },
      { type: 'link-signal', linkId: 1, data: 'answer' },
      send(1, 3),
      { type: 'signaling-contacts' },
      { type: 'link-close', linkId: 1, reason: 'over' },
      send(1, 4),
      { type: 'signaling-goodbye' },
      { type: 'signaling-send', to: 'other', data: 'late' },
    )
    driver.feed(tick)
    expect(done).toEqual([
      '> tick',
      'open 1 true',
      'tell other offer',
      'event signaling',
      'grain',
      'grain-ended',
      'signal 1 answer',
      'ask',
      'goodbye 1',
      'turn',
      'send 1 3',
      'close 1',
    ])
  })

  it('feeds the core whatever the ports report', () => {
    const { driver, links, sessions, core } = createRig()
    core.answer = answerTo('start', open(7))
    driver.start()
    sessions[0]!.onUp(['c'])
    sessions[0]!.onContacts(['d'])
    sessions[0]!.onUp([], { bytesPerSecond: 1, burst: 1 }, 7)
    sessions[0]!.onContacts([], 8)
    sessions[0]!.onMessage('other', 'text')
    sessions[0]!.onGone('other')
    sessions[0]!.onDown('lost')
    links[0]!.onSignal('offer')
    links[0]!.onOpen()
    links[0]!.onMessage(new Uint8Array(2))
    links[0]!.onClose('gone')
    expect(core.inputs).toEqual([
      { type: 'start' },
      { type: 'signaling-up', contacts: ['c'], relays: false, quietMs: 0 },
      { type: 'signaling-contacts', contacts: ['d'], quietMs: 0 },
      { type: 'signaling-up', contacts: [], relays: true, quietMs: 7 },
      { type: 'signaling-contacts', contacts: [], quietMs: 8 },
      { type: 'signaling-message', from: 'other', data: 'text' },
      { type: 'signaling-gone', nodeId: 'other' },
      { type: 'signaling-down', reason: 'lost' },
      { type: 'link-signal', linkId: 7, data: 'offer' },
      { type: 'link-opened', linkId: 7 },
      { type: 'link-message', linkId: 7, bytes: new Uint8Array(2) },
      { type: 'link-closed', linkId: 7, reason: 'gone' },
    ])
  })

  it('lets what is reported during a turn wait for its end', () => {
    const rig = createRig({
      onEvent: () => {
        rig.done.push('event')
        rig.driver.feed({ type: 'signaling-down', reason: 'within' })
      },
    })
    const { driver, done, core } = rig
    core.answer = answerTo('tick', { type: 'event', event }, open(1), send(1, 1))
    driver.feed(tick)
    expect(done).toEqual(['> tick', 'event', 'open 1 true', 'turn', '> signaling-down', 'turn', 'send 1 1'])
  })

  it('sends what all turns of one go gave before anybody looks at what has changed, and once', () => {
    let answers = 1
    const rig = createRig({
      onTurn: () => {
        if (answers-- > 0) rig.driver.feed({ type: 'start' })
      },
      onRest: () => {
        rig.done.push('rest')
        if (rig.core.inputs.length === 2) rig.driver.feed({ type: 'leave' })
      },
    })
    rig.core.answer = (input) =>
      input.type === 'tick' ? [open(1), send(1, 2)] : input.type === 'start' ? [send(1, 3)] : [send(1, 4)]
    rig.driver.feed(tick)
    expect(rig.done).toEqual([
      '> tick',
      'open 1 true',
      '> start',
      'send 1 5',
      'rest',
      '> leave',
      'send 1 4',
      'rest',
    ])
  })

  describe('that begins user code', () => {
    const invoked = { type: 'grain-invoked', invocation: 1, invoked: { type: 'refused' } } as const

    /** Each tick and each result lead to a message of 3 bytes, and all but the last one to another run. */
    function createQueue(length: number) {
      const rig = createRig()
      rig.driver.start()
      rig.core.answer = answerTo('start', open(1))
      rig.driver.feed({ type: 'start' })
      let left = length
      rig.core.answer = () => (left-- > 1 ? [send(1, 3), invoke] : [send(1, 3)])
      rig.done.length = 0
      return rig
    }
    const sent = (done: readonly string[]): string[] => done.filter((what) => what.startsWith('send'))

    it('sends what that comes to within the task along with what it had to send', async () => {
      const { driver, done } = createQueue(3)
      driver.feed(tick)
      expect(sent(done)).toEqual([])
      for (let i = 0; i < 2; i++) {
        await settle()
        driver.feed(invoked)
      }
      expect(sent(done)).toEqual(['send 1 9'])
    })

    it('sends what it has once nothing more comes of that', async () => {
      const { driver, done } = createQueue(3)
      driver.feed(tick)
      for (let i = 0; i < 4; i++) await settle()
      expect(sent(done)).toEqual(['send 1 3'])
      driver.feed(invoked)
      driver.stop()
      expect(sent(done)).toEqual(['send 1 3', 'send 1 3'])
    })

    it('does not let the other end wait for many of them', () => {
      const { driver, done } = createQueue(40)
      driver.feed(tick)
      for (let i = 1; i < 40; i++) driver.feed(invoked)
      expect(sent(done)).toEqual(['send 1 48', 'send 1 48', 'send 1 24'])
    })

    it('does not let it wait while they compute', () => {
      const { driver, done, clock } = createQueue(5)
      driver.feed(tick)
      for (let i = 1; i < 5; i++) {
        clock.advance(1)
        driver.feed(invoked)
      }
      expect(sent(done)).toEqual(['send 1 9', 'send 1 3', 'send 1 3'])
    })
  })

  it('says that a link is closed which the transport refuses to open', () => {
    const { driver, core, done } = createRig({
      transport: {
        open() {
          throw new Error('too many connections')
        },
      },
    })
    core.answer = answerTo('tick', open(3), send(3, 1))
    driver.feed(tick)
    expect(core.inputs.at(-1)).toEqual({ type: 'link-closed', linkId: 3, reason: 'too many connections' })
    expect(done).toEqual(['> tick', 'turn', '> link-closed', 'turn'])
  })

  it('goes on after a turn in which a listener of its owner threw', () => {
    let fails = true
    const { driver, done } = createRig({
      onTurn: () => {
        if (fails) throw new Error('owner')
      },
    })
    expect(() => driver.feed(tick)).toThrow('owner')
    fails = false
    driver.feed(tick)
    expect(done).toEqual(['> tick', '> tick'])
  })

  it('counts what links carry, on top of what was counted before', async () => {
    const traffic = {
      messagesSent: 10,
      messagesReceived: 20,
      bytesSent: 30,
      bytesReceived: 40,
      messagesDropped: 50,
    }
    const { driver, links, core } = createRig({ traffic })
    core.answer = answerTo('start', open(1), send(1, 5), send(2, 9))
    driver.start()
    links[0]!.onMessage(new Uint8Array(7))
    await settle()
    expect(traffic).toEqual({
      messagesSent: 11,
      bytesSent: 35,
      messagesReceived: 21,
      bytesReceived: 47,
      messagesDropped: 50,
    })
  })

  it('tells its owner and the core of a refusal', () => {
    const { driver, sessions, refused, core } = createRig()
    driver.start()
    sessions[0]!.onRefused('room full')
    expect(refused).toEqual(['room full'])
    expect(core.inputs.at(-1)).toEqual({ type: 'signaling-down', reason: 'room full' })
  })
})

describe('what it sends on a link', () => {
  it('goes lane by lane as the link has room, and is seen until it is gone', async () => {
    const rig = createRig()
    const { driver, done, core, links, buffer } = rig
    const bulk = (length: number): Output => ({ ...send(1, length), lane: 'bulk' }) as Output
    core.answer = answerTo('tick', open(1), ...Array.from({ length: 5 }, () => bulk(16_000)), send(1, 20))
    buffer.fills = true
    driver.feed(tick)
    expect([driver.bufferedBytesOf(1), driver.bufferedBytesOf(2)]).toEqual([80_020, 0])
    await settle()
    const full = ['send 1 16020', 'send 1 16000', 'send 1 16000', 'send 1 16000']
    expect(done.slice(3), 'what the buffer is to hold').toEqual(full)
    expect(driver.bufferedBytesOf(1)).toBe(80_020)
    buffer.bytes = 0
    links[0]!.onDrain()
    expect(done.slice(7)).toEqual(['send 1 16000'])
  })

  it('is gone with the link', () => {
    const rig = createRig()
    rig.buffer.bytes = 1_000_000
    rig.core.answer = answerTo('tick', open(1), { ...send(1, 20), lane: 'call' } as Output)
    rig.driver.feed(tick)
    expect(rig.driver.bufferedBytesOf(1)).toBe(1_000_020)
    rig.links[0]!.onClose('gone')
    expect(rig.done).not.toContain('send 1 20')
    expect(rig.driver.bufferedBytesOf(1)).toBe(0)
  })
})

describe('its timer', () => {
  it('is one, for the next deadline, and moves only to an earlier one', () => {
    const { driver, clock, core } = createRig()
    const ticks = () => core.inputs.filter(({ type }) => type === 'tick').length
    core.deadline = 100
    driver.feed({ type: 'start' })
    expect([clock.pending, clock.nextDeadline]).toEqual([1, 100])
    core.deadline = 200
    driver.feed({ type: 'start' })
    expect([clock.pending, clock.nextDeadline], 'a later one waits').toEqual([1, 100])
    core.deadline = 50
    driver.feed({ type: 'start' })
    expect([clock.pending, clock.nextDeadline]).toEqual([1, 50])
    core.deadline = 120
    clock.advance(50)
    expect([ticks(), clock.pending, clock.nextDeadline]).toEqual([1, 1, 120])
    core.deadline = undefined
    driver.feed({ type: 'start' })
    expect(clock.pending).toBe(0)
    clock.advance(1_000)
    expect(ticks()).toBe(1)
  })

  it('is the next task for a deadline in the past, beside the one that is set', async () => {
    const { driver, clock, core } = createRig()
    core.deadline = 5_000
    driver.feed({ type: 'start' })
    clock.advance(1_000)
    core.deadline = 10
    driver.feed({ type: 'start' })
    await settle()
    await settle()
    expect([clock.pending, clock.nextDeadline]).toEqual([2, 1_000])
    core.deadline = 5_000
    clock.advance(0)
    expect(core.inputs.map(({ type }) => type)).toEqual(['start', 'start', 'tick'])
    expect([clock.pending, clock.nextDeadline]).toEqual([1, 5_000])
  })

  it('is not set for what has been done before the task is over', async () => {
    const { driver, clock, core } = createRig()
    core.deadline = 0
    driver.feed({ type: 'start' })
    // as where a promise of this task sends something, and what was owed goes along
    await Promise.resolve()
    core.deadline = 500
    driver.feed({ type: 'start' })
    await settle()
    await settle()
    expect([clock.pending, clock.nextDeadline]).toEqual([1, 500])
    core.deadline = 0
    driver.feed({ type: 'start' })
    driver.stop()
    await clock.advanceAsync(1_000)
    expect(core.inputs.map(({ type }) => type)).toEqual(['start', 'start', 'start'])
    expect(clock.pending).toBe(0)
  })
})

describe('stop()', () => {
  it('ends links, session and timer, and silences everything', () => {
    const { driver, clock, done, links, sessions, core } = createRig()
    core.deadline = 100
    core.answer = answerTo('start', open(1), open(2))
    driver.start()
    done.length = 0
    driver.stop()
    expect(done).toEqual(['close 1', 'close 2', 'end session 1'])
    expect(clock.pending).toBe(0)
    driver.stop()
    links[0]!.onMessage(new Uint8Array(1))
    links[1]!.onClose('late')
    sessions[0]!.onUp([])
    driver.feed(tick)
    clock.advance(1_000)
    expect(done).toHaveLength(3)
  })

  it('from within a turn lets nothing of that turn follow', () => {
    const rig = createRig({ onTurn: () => rig.driver.stop() })
    rig.core.answer = () => {
      // waits for the end of this turn, which is the last one
      rig.driver.feed({ type: 'start' })
      return [{ type: 'event', event }]
    }
    rig.core.deadline = 5
    rig.driver.feed(tick)
    rig.driver.feed(tick)
    expect(rig.done).toEqual(['> tick', 'event signaling'])
    expect(rig.clock.pending).toBe(0)
  })
})

describe('a turn that throws', () => {
  it('leaves what waits behind it where it is: before what comes next', () => {
    const { driver, done, core } = createRig()
    core.answer = (input) => {
      if (input.type === 'tick') {
        driver.feed({ type: 'cancel', id: 1 })
        driver.feed({ type: 'set-meta', meta: '' })
        throw new Error('a port')
      }
      return []
    }
    expect(() => driver.feed(tick)).toThrow('a port')
    driver.feed({ type: 'leave' })
    expect(done.filter((what) => what.startsWith('>'))).toEqual([
      '> tick',
      '> cancel',
      '> set-meta',
      '> leave',
    ])
  })
})

describe('a clock that steps back', () => {
  it('holds up what is due, and nothing else', async () => {
    let mono = 100
    const timers: number[] = []
    const { driver, core } = createRig({
      clock: {
        now: () => ({ mono, wall: mono }),
        timer(delayMs) {
          timers.push(delayMs)
          return () => undefined
        },
      },
    })
    core.deadline = 100
    driver.feed(tick)
    mono = 50
    for (let i = 0; i < 50; i++) await undefined
    // In the next task, and not in microtasks without end.
    expect(timers).toEqual([0])
  })
})

describe('a link that cannot send', () => {
  it('is closed, and the core is told', async () => {
    const rig = createRig({
      transport: {
        open: () => ({
          signal: () => undefined,
          send: () => {
            throw new Error('too large')
          },
          close: () => void rig.done.push('close'),
          bufferedBytes: 0,
        }),
      },
    })
    rig.core.answer = answerTo('tick', open(1), send(1, 3), { type: 'event', event })
    rig.driver.feed(tick)
    await settle()
    expect(rig.done).toEqual(['> tick', 'event signaling', 'turn', 'close', '> link-closed', 'turn'])
  })

  it('does not keep back what others are given in the meantime', async () => {
    const sent: string[] = []
    let opened = 0
    let isBroken = false
    const rig = createRig({
      onRest: () => {
        if (!isBroken) return
        isBroken = false
        rig.driver.feed({ type: 'set-meta', meta: '' })
      },
      transport: {
        open: () => {
          const link = ++opened
          return {
            signal: () => undefined,
            send: (bytes) => {
              sent.push(`${link} ${bytes.length}`)
              if (link !== 1) return
              isBroken = true
              throw new Error('too large')
            },
            close: () => undefined,
            bufferedBytes: 0,
          }
        },
      },
    })
    rig.core.answer = (input) => {
      if (input.type === 'start') return [open(1), open(2)]
      // Held, since user code was begun.
      if (input.type === 'tick') return [invoke, send(1, 3)]
      // This goes at once, and what is begun when all rests is held anew.
      if (input.type === 'link-closed') return [send(2, 4)]
      if (input.type === 'set-meta') return [invoke, send(2, 5)]
      return []
    }
    rig.driver.start()
    rig.driver.feed(tick)
    for (let i = 0; i < 100; i++) await undefined
    expect(sent).toEqual(['1 3', '2 4', '2 5'])
  })
})

describe('keys', () => {
  const sign: Output = { type: 'sign', linkId: 1, bytes: new Uint8Array([1, 2]) }
  const verify: Output = {
    type: 'verify',
    linkId: 1,
    publicKey: new Uint8Array([3]),
    authority: 'name',
    bytes: new Uint8Array([4]),
    signature: new Uint8Array([5]),
  }
  const answers = (core: { inputs: Input[] }) =>
    core.inputs.filter(({ type }) => type === 'signed' || type === 'verified' || type === 'link-closed')

  it('sign and verify what the core asks for, and the core is told', async () => {
    const asked: unknown[] = []
    const { driver, core } = createRig({
      sign: (bytes) => Promise.resolve(bytes.toReversed()),
      keys: {
        verify(...all) {
          asked.push(all)
          return Promise.resolve(true)
        },
      },
    })
    core.answer = answerTo('tick', sign, verify)
    driver.feed(tick)
    await settle()
    expect(asked).toEqual([[verify.publicKey, 'name', verify.bytes, verify.signature]])
    expect(answers(core)).toEqual([
      { type: 'signed', linkId: 1, signature: new Uint8Array([2, 1]) },
      { type: 'verified', linkId: 1, ok: true },
    ])
  })

  it('that fail end the link, or count as a wrong proof', async () => {
    const failure = () => Promise.reject(new Error('no key'))
    const { driver, core, done } = createRig({ sign: failure, keys: { verify: failure } })
    core.answer = answerTo('tick', open(1), sign, verify)
    driver.feed(tick)
    await settle()
    expect(done).toContain('close 1')
    expect(answers(core)).toEqual([
      { type: 'link-closed', linkId: 1, reason: 'this process could not sign: Error: no key' },
      { type: 'verified', linkId: 1, ok: false },
    ])
  })

  it('are told what names the two ends of the channel', () => {
    const fingerprints = { local: 'mine', remote: 'theirs' }
    const nothing = () => undefined
    const end: LinkEnd = { signal: nothing, send: nothing, close: nothing, bufferedBytes: 0, fingerprints }
    const opened: LinkHandlers[] = []
    const transport = { open: (_: boolean, handlers: LinkHandlers) => (opened.push(handlers), end) }
    const { driver, core } = createRig({ transport })
    core.answer = answerTo('tick', open(1))
    driver.feed(tick)
    opened[0]!.onOpen()
    expect(core.inputs.at(-1)).toEqual({ type: 'link-opened', linkId: 1, fingerprints })
  })

  it('tell a stopped driver nothing', async () => {
    const { driver, core } = createRig()
    core.answer = answerTo('tick', sign, verify)
    driver.feed(tick)
    driver.stop()
    await settle()
    expect(answers(core)).toEqual([])
  })
})

describe('a rebirth', () => {
  const rebirth: Output = { type: 'rebirth', reason: 'removed by the others', fresh: false }

  it('ends the session, commits the next life, and opens a session for it', async () => {
    const { driver, done, core } = createRig()
    driver.start()
    core.answer = answerTo('tick', rebirth)
    done.length = 0
    driver.feed(tick)
    await settle()
    expect(done).toEqual(['> tick', 'end session 1', 'turn', '> reborn', 'turn', 'session 2 room life-2'])
  })

  it('that follows hard on another waits longer and longer', async () => {
    const { driver, done, core, clock } = createRig()
    driver.start()
    core.answer = (input) => (input.type === 'reborn' || input.type === 'tick' ? [rebirth] : [])
    driver.feed(tick)
    await clock.advanceAsync(20_000)
    const lives = done.filter((what) => what === '> reborn').length
    expect(lives).toBeGreaterThanOrEqual(4)
    expect(lives, 'half a second, one, two, four, eight').toBeLessThanOrEqual(6)
  })

  it('is tried again a second after storage failed, and the failure is told', async () => {
    let failures = 2
    const rig = createRig({
      nextLife: () => (failures-- > 0 ? Promise.reject(new Error('disk full')) : Promise.resolve(nextLife)),
      onEvent: (told) => void rig.done.push(told.type === 'storage' ? `${told.what}: ${told.reason}` : ''),
    })
    const { driver, done, core, clock } = rig
    core.answer = answerTo('tick', rebirth)
    driver.feed(tick)
    await clock.advanceAsync(999)
    const told = 'identity: the next generation could not be kept, trying again: Error: disk full'
    expect(done).toEqual(['> tick', 'turn', told])
    await clock.advanceAsync(2_000)
    expect(done).toEqual(['> tick', 'turn', told, told, '> reborn', 'turn', 'session 1 room life-2'])
  })

  it('does not happen to a stopped driver, whatever storage says, and leaves no timer', async () => {
    for (const life of [() => Promise.resolve(nextLife), () => Promise.reject(new Error('disk full'))]) {
      const { driver, done, core, clock } = createRig({ nextLife: life })
      core.answer = answerTo('tick', rebirth)
      driver.feed(tick)
      driver.stop()
      await clock.advanceAsync(5_000)
      expect(done).toEqual(['> tick', 'turn'])
    }
    const { driver, done, core, clock } = createRig({
      nextLife: () => Promise.reject(new Error('disk full')),
    })
    core.answer = answerTo('tick', rebirth)
    driver.feed(tick)
    await clock.advanceAsync(10)
    expect(clock.pending).toBe(1)
    driver.stop()
    expect(clock.pending).toBe(0)
    await clock.advanceAsync(5_000)
    expect(done).toEqual(['> tick', 'turn', 'event storage'])
  })

  it('that the core did not wait for opens no session', async () => {
    const { driver, done, core } = createRig()
    core.answer = answerTo('tick', rebirth)
    driver.feed(tick)
    // it was left meanwhile
    core.handle = () => []
    await settle()
    expect(done).toEqual(['> tick', 'turn', 'turn'])
  })
})
