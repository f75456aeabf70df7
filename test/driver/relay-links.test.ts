/** Relayed links as the driver keeps them: whose pieces are whose, and what ends them. */
import { describe, expect, it } from 'vitest'
import type { Input, Output } from '../../src/core/events.ts'
import type { NodeCore } from '../../src/core/node.ts'
import { Driver } from '../../src/driver/driver.ts'
import { AWAY_MS } from '../../src/driver/relay-links.ts'
import type { LinkHandlers, RelayRate, SignalingHandlers } from '../../src/ports.ts'
import { FakeClock } from '../../src/testing/fake-clock.ts'

const RATE: RelayRate = { bytesPerSecond: 1, burst: 1 }

interface FakeEnd {
  readonly handlers: LinkHandlers
  carry(data: string): void
}

/** A driver whose relay and signaling note what is asked of them. */
function createRig({ relay = true, session: hasRelay = true } = {}) {
  const clock = new FakeClock()
  const done: string[] = []
  const inputs: Input[] = []
  const ends: FakeEnd[] = []
  const sessions: SignalingHandlers[] = []
  let answers: Output[] = []
  const core = {
    nodeId: 'me',
    nextDeadline: () => undefined,
    handle(input: Input): Output[] {
      inputs.push(input)
      return answers.splice(0)
    },
  }
  const driver = new Driver({
    core: core as unknown as NodeCore,
    room: 'room',
    clock,
    transport: false,
    relay: relay && {
      open(initiator, handlers, carry) {
        const end = ends.push({ handlers, carry })
        done.push(`open ${end} ${initiator}`)
        return {
          signal: (data) => void done.push(`signal ${end} ${data}`),
          send: (bytes) => void done.push(`send ${end} ${bytes.length}`),
          receive: (data) => void done.push(`receive ${end} ${data}`),
          close() {
            done.push(`close ${end}`)
            carry('farewell')
          },
          bufferedBytes: 7,
          fingerprints: { local: 'l', remote: 'r' },
        }
      },
      setRate: (rate) => void done.push(`rate ${rate?.burst}`),
    },
    signaling: {
      open(_room, nodeId, handlers) {
        const session = sessions.push(handlers)
        return {
          send: (to, data) => void done.push(`tell ${to} ${data}`),
          ...(hasRelay && { relay: (to: string, data: string) => void done.push(`relay ${to} ${data}`) }),
          askContacts: () => undefined,
          goodbye: () => void done.push(`goodbye ${session} ${nodeId}`),
          close: () => void done.push(`end ${session}`),
        }
      },
    },
    keys: { verify: () => Promise.resolve(true) },
    traffic: { messagesSent: 0, messagesReceived: 0, bytesSent: 0, bytesReceived: 0, messagesDropped: 0 },
    sign: () => Promise.resolve(new Uint8Array(0)),
    nextLife: () => new Promise(() => undefined),
    onEvent: () => undefined,
    onTask: () => undefined,
    onTurn: () => undefined,
    onRest: () => undefined,
    onGrain: () => undefined,
    onPersist: () => undefined,
    onTraced: () => undefined,
    onMessages: () => undefined,
    onRefused: () => undefined,
  })
  const execute = (...outputs: Output[]): void => {
    answers = outputs
    driver.feed({ type: 'tick' })
  }
  const answerNext = (...outputs: Output[]): void => void (answers = outputs)
  driver.start()
  sessions[0]!.onUp([], RATE)
  done.length = 0
  inputs.length = 0
  const reported = () => inputs.splice(0).filter(({ type }) => type !== 'tick')
  return { driver, clock, done, ends, session: sessions[0]!, execute, answerNext, reported }
}

const open = (linkId: number, nodeId: string, relay = true): Output => ({
  type: 'link-open',
  linkId,
  nodeId,
  initiator: true,
  relay,
})

describe('relayed links of a driver', () => {
  it('open on the relay, carry to their member, and get what comes from it', () => {
    const { done, ends, session, execute, reported } = createRig()
    execute(open(1, 'ann'), open(2, 'bob'), open(3, 'bob'))
    ends[0]!.carry('x')
    ends[2]!.carry('y')
    session.onRelay('bob', 'z')
    session.onRelay('eve', 'z')
    expect(done).toEqual([
      'open 1 true',
      'open 2 true',
      'open 3 true',
      'relay ann x',
      'relay bob y',
      'receive 2 z',
      'receive 3 z',
    ])
    ends[0]!.handlers.onSignal('offer')
    ends[0]!.handlers.onOpen()
    ends[0]!.handlers.onMessage(new Uint8Array(2))
    ends[0]!.handlers.onClose('why')
    expect(reported()).toEqual([
      { type: 'link-signal', linkId: 1, data: 'offer' },
      { type: 'link-opened', linkId: 1, fingerprints: { local: 'l', remote: 'r' } },
      { type: 'link-message', linkId: 1, bytes: new Uint8Array(2) },
      { type: 'link-closed', linkId: 1, reason: 'why' },
    ])
    session.onRelay('ann', 'late')
    expect(done.at(-1)).toBe('receive 3 z')
  })

  it('are told what was refused, and who is gone; nothing more is said to those', () => {
    const { done, session, execute, reported } = createRig()
    execute(open(1, 'ann'), open(2, 'bob'), open(3, 'cid'))
    session.onRelayRefused('ann', 'too much')
    session.onGone('bob')
    session.onRelayRefused('eve', 'nobody’s')
    expect(reported()).toEqual([
      { type: 'link-closed', linkId: 1, reason: 'it was not relayed: too much' },
      {
        type: 'link-closed',
        linkId: 2,
        reason: 'the signaling server does not know the other end any more',
      },
      { type: 'signaling-gone', nodeId: 'bob' },
    ])
    expect(done).not.toContain('relay ann farewell')
    expect(done).not.toContain('relay bob farewell')
    execute({ type: 'link-close', linkId: 3, reason: 'over' })
    expect(done.at(-1)).toBe('relay cid farewell')
    expect(reported()).toEqual([])
  })

  it('may dial again at once when one has failed', () => {
    const { session, execute, answerNext, reported, done } = createRig()
    execute(open(1, 'ann'))
    answerNext(open(2, 'ann'))
    session.onRelayRefused('ann', 'too much')
    session.onRelay('ann', 'x')
    expect(done.at(-1)).toBe('receive 2 x')
    expect(reported()).toHaveLength(1)
  })

  it('outlive a short absence of signaling, in which nothing is carried, and not a long one', () => {
    const { clock, done, session, execute, reported } = createRig()
    execute(open(1, 'ann'))
    session.onDown('cut')
    clock.advance(AWAY_MS - 1)
    session.onUp([], RATE)
    clock.advance(AWAY_MS)
    expect(done).toEqual(['open 1 true', 'rate undefined', 'rate 1'])
    expect(reported().map(({ type }) => type)).toEqual(['signaling-down', 'signaling-up'])
    session.onDown('cut')
    session.onDown('still')
    clock.advance(AWAY_MS)
    expect(reported().slice(2)).toEqual([
      { type: 'link-closed', linkId: 1, reason: 'signaling is away: cut' },
    ])
  })

  it('end when the server does not relay any more', () => {
    const { session, execute, reported } = createRig()
    execute(open(1, 'ann'))
    session.onDown('cut')
    session.onUp([])
    expect(reported()[1]).toEqual({
      type: 'link-closed',
      linkId: 1,
      reason: 'the signaling server does not relay any more',
    })
  })

  it('say goodbye before their member does so at the server', () => {
    const { driver, done, execute, ends } = createRig()
    execute(
      open(1, 'ann'),
      { type: 'signaling-goodbye' },
      { type: 'signaling-send', to: 'ann', data: 'late' },
    )
    ends[0]!.carry('goodbye to ann')
    expect(done).toEqual(['open 1 true', 'relay ann goodbye to ann'])
    ends[0]!.handlers.onClose('closed by the other end')
    expect(done.at(-1)).toBe('goodbye 1 me')
    driver.stop()
    expect(done.at(-1)).toBe('rate undefined')
  })

  it('hold up no goodbye beyond the end of the driver', () => {
    const { driver, done, execute } = createRig()
    execute(open(1, 'ann'), { type: 'signaling-goodbye' })
    driver.stop()
    expect(done.slice(1)).toEqual(['close 1', 'relay ann farewell', 'goodbye 1 me', 'rate undefined'])
  })

  it('are none where the option is off, and only they are without WebRTC', () => {
    const off = createRig({ relay: false })
    off.execute(open(1, 'ann'))
    off.session.onDown('cut')
    off.session.onUp([], RATE)
    expect(off.reported()[0]).toMatchObject({
      type: 'link-closed',
      reason: expect.stringContaining('is off') as string,
    })
    const only = createRig()
    only.execute(open(1, 'ann', false))
    expect(only.reported()).toEqual([
      { type: 'link-closed', linkId: 1, reason: 'this process has no WebRTC' },
    ])
  })

  it('carry nothing where signaling has no relay', () => {
    const { done, ends, execute } = createRig({ session: false })
    execute(open(1, 'ann'))
    ends[0]!.carry('x')
    expect(done).toEqual(['open 1 true'])
  })
})
