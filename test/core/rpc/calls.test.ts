import { describe, expect, it } from 'vitest'
import type { KindVersions } from '../../../src/core/published-kinds.ts'
import type { CallRequest } from '../../../src/core/rpc/call.ts'
import { Calls, DEFAULT_CALL_TUNING } from '../../../src/core/rpc/calls.ts'
import type { CallEnd, CallTuning } from '../../../src/core/rpc/calls.ts'
import type {
  CallMessage,
  OwnerHint,
  Parent,
  ReplyMessage,
  RpcMessage,
} from '../../../src/core/rpc/messages.ts'
import type { Now } from '../../../src/core/time.ts'

const ME = 'meeeeeeeeeeeeeee'
const A = 'aaaaaaaaaaaaaaaa'
const B = 'bbbbbbbbbbbbbbbb'
const CHILD = '0123456789abcdef0123456789abcdef'
const ARGS = new Uint8Array([1])

class Caller {
  owner: OwnerHint | undefined = { owner: A, epoch: 1 }
  time = 1_000
  readonly dead = new Set<string>()
  readonly versions = new Map<string, KindVersions>()
  readonly sent: { to: string; message: RpcMessage }[] = []
  readonly ends = new Map<number, CallEnd>()
  asked = 0
  readonly searched: number[] = []
  readonly calls: Calls
  constructor(tuning: Partial<CallTuning> = {}) {
    this.calls = new Calls({
      self: ME,
      random: () => 0.5,
      tuning: { ...DEFAULT_CALL_TUNING, ...tuning },
      partitionOf: (kind) => `${kind}#0`,
      ownerOf: () => this.owner,
      askMap: () => this.asked++,
      search: (_, epoch) => this.searched.push(epoch),
      isLive: (process) => !this.dead.has(process),
      versionOf: (process) => this.versions.get(process),
      send: (to, message) => this.sent.push({ to, message }),
      ended: (id, end) => {
        expect(this.ends.has(id), `call ${id} ends once`).toBe(false)
        this.ends.set(id, end)
      },
    })
  }
  /** Time in which the monotonic clock stood still. */
  slept = 0

  get now(): Now {
    return { mono: this.time, wall: this.time + this.slept }
  }
  call(
    id: number,
    more: Partial<Pick<CallRequest, 'deadlineMs' | 'parent' | 'args' | 'key' | 'versions'>> = {},
  ): void {
    this.calls.call({ id, kind: 'counter', key: 'k', method: 'add', args: ARGS, ...more }, this.now)
  }
  pass(ms: number): void {
    this.time += ms
    this.calls.tick(this.now)
  }
  /** The calls that were sent since the last time. */
  take(): (CallMessage & { to: string })[] {
    return this.sent
      .splice(0)
      .flatMap(({ to, message }) => (message.type === 'call' ? [{ ...message, to }] : []))
  }
  reply(
    { caller, sequence, attempt }: CallMessage,
    outcome: ReplyMessage['outcome'],
    from = A,
    keeps = false,
  ): void {
    this.calls.onReply(
      from,
      { type: 'reply', caller, sequence, attempts: [attempt], outcome, keeps },
      this.now,
    )
  }
}

const RESULT = { type: 'result', bytes: ARGS } as const
const elsewhere = (hint?: OwnerHint, ran = false) =>
  ({ type: 'elsewhere', ran, ...(hint && { hint }) }) as const

describe('a call', () => {
  it('is answered by those only that it was sent to, each of them at any time', () => {
    const me = new Caller()
    me.call(1)
    const [first] = me.take()
    me.reply(first!, RESULT, B)
    expect(me.ends.size).toBe(0)
    me.owner = { owner: B, epoch: 2 }
    me.calls.onMap('counter#0', me.now)
    me.reply(first!, RESULT, A)
    expect(me.ends.get(1)).toMatchObject({ type: 'result' })
  })

  it('ends with its result, once, whatever comes after', () => {
    const it = new Caller()
    it.call(1)
    const [first] = it.take()
    it.reply(first!, RESULT)
    it.reply(first!, { type: 'failed', bytes: ARGS })
    it.pass(60_000)
    expect(it.ends.get(1)).toMatchObject({ type: 'result', attempts: 1 })
    expect(it.calls.size).toBe(0)
  })

  it.each([
    ['invalid-name', { key: '' }],
    ['too-large', { args: new Uint8Array(2 * 1024 * 1024) }],
    ['invalid-deadline', { deadlineMs: 700_000 }],
    ['invalid-deadline', { deadlineMs: Number.NaN }],
    ['deadline', { deadlineMs: 0 }],
  ] as const)('ends as %s before anything is sent', (code, more) => {
    const it = new Caller()
    it.call(1, more)
    expect(it.ends.get(1)).toMatchObject({ code, attempts: 0, mayHaveRun: false })
    expect(it.sent).toEqual([])
  })

  it('is refused where too many are open', () => {
    const it = new Caller({ outstanding: 1 })
    it.call(1)
    it.call(2)
    expect(it.ends.get(2)).toMatchObject({ code: 'too-many-calls', mayHaveRun: false })
  })

  it('is sent again under the same id after a while without an answer, and after a pause', () => {
    const it = new Caller()
    it.call(1)
    const [first] = it.take()
    it.pass(2_000)
    expect(it.take()).toEqual([])
    it.pass(25)
    const [second] = it.take()
    expect(second).toMatchObject({ sequence: first!.sequence, attempt: 2, remainingMs: 10_000 - 2_025 })
    expect(it.calls.counts.timeouts).toBe(1)
  })

  it('goes on at the new owner as soon as the map names it', () => {
    const it = new Caller()
    it.call(1)
    it.take()
    it.owner = { owner: B, epoch: 2 }
    it.calls.onMap('counter#0', it.now)
    expect(it.take()).toMatchObject([{ to: B, attempt: 2, epoch: 2 }])
  })

  it('goes on at once when its target is gone, or may not have heard it', () => {
    const it = new Caller()
    it.call(1)
    it.take()
    it.calls.onDoubt(A, it.now)
    expect(it.take()).toMatchObject([{ to: A, attempt: 2 }])
    it.dead.add(A)
    it.owner = { owner: B, epoch: 2 }
    it.calls.onLiveness(A, it.now)
    expect(it.take()).toMatchObject([{ to: B, attempt: 3 }])
  })

  it('waits for an owner, and asks for one', () => {
    const it = new Caller()
    it.owner = undefined
    it.call(1)
    expect([it.sent, it.asked]).toEqual([[], 1])
    it.pass(10_000)
    expect(it.ends.get(1)).toMatchObject({ code: 'deadline', attempts: 0, mayHaveRun: false })
  })

  it('asks who is the next owner where the one it knows is gone, and nobody tells', () => {
    const it = new Caller()
    it.call(1)
    it.dead.add(A)
    it.calls.onLiveness(A, it.now)
    for (let i = 0; i < 10; i++) it.pass(50)
    expect(it.asked).toBe(0)
    expect(it.searched).toContain(1)
    for (let i = 0; i < 70; i++) it.pass(50)
    expect(it.asked).toBeGreaterThan(2)
    expect(it.asked).toBeLessThan(8)
    it.owner = { owner: B, epoch: 2 }
    it.pass(1_000)
    expect(it.take().at(-1)).toMatchObject({ to: B })
  })

  it('follows a hint that is newer, and does not run in circles', () => {
    const it = new Caller()
    it.call(1)
    it.reply(it.take()[0]!, elsewhere({ owner: B, epoch: 2 }))
    const [second] = it.take()
    expect(second).toMatchObject({ to: B, epoch: 2 })
    it.reply(second!, elsewhere({ owner: A, epoch: 1 }), B)
    expect(it.take()).toEqual([])
    it.pass(1_000)
    expect(it.take()).toMatchObject([{ to: A }])
  })

  it('follows a hint that an earlier one was given, until the map knows more', () => {
    const it = new Caller()
    it.call(1)
    it.reply(it.take()[0]!, elsewhere({ owner: B, epoch: 2 }))
    it.reply(it.take()[0]!, RESULT, B)
    it.call(2, { key: 'another of the partition' })
    const [second] = it.take()
    expect(second).toMatchObject({ to: B, epoch: 2, attempt: 1 })
    it.reply(second!, RESULT, B)
    it.owner = { owner: A, epoch: 3 }
    it.call(3)
    expect(it.take()).toMatchObject([{ to: A, epoch: 3 }])
  })

  it('goes to an owner that it is told of', () => {
    const it = new Caller()
    it.call(1)
    it.call(2, { key: 'another of the partition' })
    it.dead.add(A)
    it.calls.onLiveness(A, it.now)
    it.take()
    it.calls.onMoved('counter#0', { owner: B, epoch: 1 }, it.now)
    expect(it.take(), 'it is told nothing new').toEqual([])
    it.calls.onMoved('counter#0', { owner: B, epoch: 2 }, it.now)
    expect(it.take()).toMatchObject([
      { to: B, epoch: 2, attempt: 2, key: 'k' },
      { to: B, epoch: 2, attempt: 2 },
    ])
    it.calls.onMoved('counter#0', { owner: B, epoch: 2 }, it.now)
    expect(it.take()).toEqual([])
  })

  it('forgets a hint when its owner is gone', () => {
    const it = new Caller()
    it.call(1)
    it.reply(it.take()[0]!, elsewhere({ owner: B, epoch: 2 }))
    it.reply(it.take()[0]!, RESULT, B)
    it.dead.add(B)
    it.call(2)
    expect(it.take()).toEqual([])
    it.pass(1_000)
    expect(it.take()).toMatchObject([{ to: A, epoch: 1 }])
  })

  it('gives up on a hint that leads nowhere', () => {
    const it = new Caller()
    it.call(1)
    it.reply(it.take()[0]!, elsewhere({ owner: B, epoch: 2 ** 40 }))
    it.reply(it.take()[0]!, elsewhere({ owner: A, epoch: 1 }), B)
    it.pass(1_000)
    expect(it.take()).toMatchObject([{ to: A, epoch: 1 }])
  })
})

describe('versions', () => {
  it('that do not get along end a call before it is sent', () => {
    const one = new Caller()
    one.versions.set(A, { version: 1, accepts: [1] })
    one.call(1, { versions: { version: 2, accepts: [2] } })
    expect(one.take()).toEqual([])
    const refused = { type: 'error', code: 'version-mismatch', hosted: 1, attempts: 0, mayHaveRun: false }
    expect(one.ends.get(1)).toMatchObject(refused)
    expect(one.calls.size).toBe(0)
  })

  it.each<[string, number[], number[]]>([
    ['the caller', [2, 1], [1]],
    ['the host', [2], [1, 2]],
  ])('get along where %s accepts the other', (_name, accepts, accepted) => {
    const one = new Caller()
    one.versions.set(A, { version: 1, accepts: accepted })
    one.call(1, { versions: { version: 2, accepts } })
    expect(one.take()).toHaveLength(1)
  })

  it('that were not heard of yet, or are not named, hold up nothing', () => {
    const one = new Caller()
    one.call(1, { versions: { version: 2, accepts: [2] } })
    one.versions.set(A, { version: 1, accepts: [1] })
    one.call(2)
    expect(one.take()).toHaveLength(2)
  })

  it('are looked at anew where another has become the owner', () => {
    const one = new Caller()
    one.versions.set(A, { version: 2, accepts: [2] })
    one.versions.set(B, { version: 1, accepts: [1] })
    one.call(1, { versions: { version: 2, accepts: [2] } })
    expect(one.take()).toHaveLength(1)
    one.owner = { owner: B, epoch: 2 }
    one.calls.onMap('counter#0', one.now)
    expect(one.take()).toEqual([])
    // what went to the first may have run there
    expect(one.ends.get(1)).toMatchObject({ code: 'version-mismatch', attempts: 1, mayHaveRun: true })
  })
})

describe('mayHaveRun', () => {
  it('is false where every attempt was refused by one who says that it did not run', () => {
    const it = new Caller()
    it.call(1)
    it.reply(it.take()[0]!, elsewhere({ owner: B, epoch: 2 }))
    it.reply(it.take()[0]!, { type: 'refused', code: 'queue-full', ran: false }, B)
    expect(it.ends.get(1)).toMatchObject({ code: 'queue-full', attempts: 2, mayHaveRun: false })
  })

  it('is true where one attempt has no answer', () => {
    const it = new Caller()
    it.call(1)
    it.take()
    it.pass(2_000)
    it.pass(25)
    it.reply(it.take()[0]!, { type: 'refused', code: 'queue-full', ran: false })
    expect(it.ends.get(1)).toMatchObject({ mayHaveRun: true })
  })

  it('is true where a handler was begun, whoever refuses it afterwards', () => {
    const it = new Caller()
    it.call(1)
    it.reply(it.take()[0]!, elsewhere({ owner: B, epoch: 2 }, true))
    it.reply(it.take()[0]!, { type: 'refused', code: 'queue-full', ran: false }, B)
    expect(it.ends.get(1)).toMatchObject({ mayHaveRun: true })
  })
})

describe('giving up', () => {
  it('tells the owner, and the reply that crosses it changes nothing', () => {
    const it = new Caller()
    it.call(1)
    const [first] = it.take()
    it.calls.abort(1, it.now)
    expect(it.sent.map(({ message }) => message.type)).toEqual(['cancel'])
    it.reply(first!, RESULT)
    expect(it.ends.get(1)).toMatchObject({ code: 'aborted', mayHaveRun: true })
  })

  it('comes where the clock that it goes by stood still in a long sleep: its records may be gone elsewhere', () => {
    const it = new Caller()
    it.call(1)
    it.take()
    it.slept += 69_000
    it.calls.onDoubt(A, it.now)
    expect(it.take()).toHaveLength(1)
    it.slept += 2_000
    it.calls.onDoubt(A, it.now)
    expect(it.take()).toEqual([])
    expect(it.ends.get(1)).toMatchObject({ code: 'deadline', mayHaveRun: true })
  })

  it('comes before the reply that wakes a frozen process after the deadline', () => {
    const it = new Caller()
    it.call(1)
    const [first] = it.take()
    it.time += 30_000
    it.reply(first!, RESULT)
    expect(it.ends.get(1)).toMatchObject({ code: 'deadline', mayHaveRun: true })
  })
})

describe('order', () => {
  it('names the call before, and all that are settled', () => {
    const it = new Caller()
    for (const id of [1, 2, 3]) it.call(id)
    const calls = it.take()
    expect(calls.map(({ sequence, previous, first }) => [sequence, previous, first])).toEqual([
      [1, 0, 1],
      [2, 1, 1],
      [3, 2, 1],
    ])
    it.reply(calls[1]!, RESULT)
    it.calls.onDoubt(A, it.now)
    expect(it.take().map(({ sequence, previous, first }) => [sequence, previous, first])).toEqual([
      [1, 0, 1],
      [3, 1, 1],
    ])
  })

  it('says when all is settled that the owner keeps', () => {
    const it = new Caller()
    it.call(1)
    it.reply(it.take()[0]!, RESULT, A, true)
    it.pass(1_000)
    expect(it.sent).toMatchObject([{ to: A, message: { type: 'settled', first: 2 } }])
    expect(it.calls.streams).toBe(0)
    it.call(2)
    expect(it.sent[1]).toMatchObject({ message: { sequence: 2, first: 2, previous: 0 } })
  })
})

describe('nested calls', () => {
  const parent = (ordinal: number): Parent => ({
    caller: CHILD,
    chain: [CHILD],
    ordinal,
    deadlineAt: 3_000,
    fence: { partition: 'bank#0', epoch: 7 },
  })

  it('have names that follow from their parent, and its deadline', () => {
    const it = new Caller()
    it.call(1, { parent: parent(1) })
    it.call(2, { parent: parent(2) })
    expect(it.take()).toMatchObject([
      { caller: CHILD, sequence: 1, first: 1, previous: 0, remainingMs: 2_000, keepMs: 122_000 },
      { caller: CHILD, sequence: 2, first: 1, previous: 1, fence: { epoch: 7 } },
    ])
  })

  it('stay open while their parent is: it may be run again, and then asks for all of them', () => {
    const it = new Caller()
    it.call(1, { parent: parent(1) })
    it.reply(it.take()[0]!, RESULT, A, true)
    it.call(2, { parent: parent(2) })
    expect(it.take()).toMatchObject([{ sequence: 2, first: 1, previous: 0 }])
    it.pass(1_500)
    expect(it.sent).toEqual([])
  })

  it('end without a word to anybody when their handler has no right any more', () => {
    const it = new Caller()
    it.call(1, { parent: parent(1) })
    it.take()
    it.calls.abandon(CHILD, it.now)
    it.pass(10_000)
    expect(it.ends.get(1)).toMatchObject({ code: 'aborted' })
    expect(it.sent).toEqual([])
  })

  it('are settled when their parent is, and the last of them has ended', () => {
    const it = new Caller()
    it.call(1, { parent: parent(1) })
    it.calls.settleChildren(CHILD, it.now)
    const [call] = it.take()
    it.reply(call!, RESULT, A, true)
    expect(it.sent).toMatchObject([{ message: { type: 'settled', caller: CHILD, fence: { epoch: 7 } } }])
    expect(it.calls.streams).toBe(0)
  })

  it('are not settled while one of them is open, which may be sent again', () => {
    const it = new Caller()
    it.call(1, { parent: parent(1) })
    it.call(2, { parent: parent(2) })
    const [first, second] = it.take()
    it.reply(first!, RESULT, A, true)
    it.calls.settleChildren(CHILD, it.now)
    expect(it.sent).toEqual([])
    it.reply(second!, RESULT)
    expect(it.sent).toMatchObject([{ message: { type: 'settled', caller: CHILD } }])
  })

  it('are refused in a chain that is too long, and after their parent', () => {
    const it = new Caller()
    it.call(1, { parent: { ...parent(1), chain: Array.from({ length: 17 }, () => CHILD) } })
    it.call(2, { parent: { ...parent(1), deadlineAt: 1_000 } })
    expect([...it.ends.values()]).toMatchObject([{ code: 'chain-too-long' }, { code: 'deadline' }])
  })
})

it('counts every call that it accepted', () => {
  const it = new Caller()
  for (const id of [1, 2, 3]) it.call(id)
  it.reply(it.take()[0]!, RESULT)
  it.calls.abort(2, it.now)
  const { counts } = it.calls
  expect([counts.accepted, counts.of('result'), counts.of('aborted'), counts.open]).toEqual([3, 1, 1, 1])
})
