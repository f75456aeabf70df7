import { describe, expect, it } from 'vitest'
import { Activations, DEFAULT_ACTIVATION_TUNING } from '../../../src/core/grain/activations.ts'
import type { ActivationTuning } from '../../../src/core/grain/activations.ts'
import { Floors } from '../../../src/core/grain/floors.ts'
import { DEFAULT_KIND_TUNING } from '../../../src/core/grain/grain-outputs.ts'
import type { CountedEvent } from '../../../src/core/grain/grain-news.ts'
import type { GrainOutput, Invoked, KindTuning } from '../../../src/core/grain/grain-outputs.ts'
import { applyChange } from '../../../src/core/grain/key-contents.ts'
import type { Kept } from '../../../src/core/grain/grain-store.ts'
import type { KeyChange } from '../../../src/core/grain/key-contents.ts'
import { childCallerOf } from '../../../src/core/rpc/call-id.ts'
import type { CallMessage, OwnerHint, ReplyMessage, RpcMessage } from '../../../src/core/rpc/messages.ts'
import type { Now } from '../../../src/core/time.ts'

const ME = 'meeeeeeeeeeeeeee'
const A = 'aaaaaaaaaaaaaaaa'
const B = 'bbbbbbbbbbbbbbbb'
const P = 'counter#0'
const BANK = 'bank#0'
const bytes = (n: number): Uint8Array => new Uint8Array([n])

class Owner {
  entry: OwnerHint | undefined = { owner: ME, epoch: 5 }
  /** What the map tells of the partition that nested calls come from. */
  bank: OwnerHint | undefined
  readonly hosted = new Set(['counter'])
  isRight = true
  refusal: 'state-limit' | 'not-owner' | undefined
  isLost = false
  time = 1_000
  number = 0
  stored = 0
  kind: KindTuning
  readonly kept = new Map<string, Kept>()
  readonly changes: KeyChange[] = []
  readonly sent: { to: string; message: RpcMessage }[] = []
  readonly outputs: GrainOutput[] = []
  readonly abandoned: string[] = []
  readonly settled: string[] = []
  readonly forgotten = new Set<string>()
  readonly rests: string[] = []
  readonly events: CountedEvent[] = []
  readonly conflicts: string[] = []
  /** What another side has changed, taken as soon as that can be. */
  readonly waiting: KeyChange[] = []
  wakes = 0
  machine: Activations
  readonly #tuning: Partial<ActivationTuning>

  constructor(kind: Partial<KindTuning> = {}, tuning: Partial<ActivationTuning> = {}) {
    this.kind = { ...DEFAULT_KIND_TUNING, ...kind }
    this.#tuning = tuning
    this.machine = this.#build()
  }
  /** The same store, and nothing in memory: a new owner that has every record. */
  restart(epoch: number): void {
    this.entry = { owner: ME, epoch }
    this.machine = this.#build()
    this.outputs.length = 0
  }
  #build(): Activations {
    return new Activations({
      self: ME,
      tuning: { ...DEFAULT_ACTIVATION_TUNING, ...this.#tuning },
      partitionOf: (kind) => `${kind}#0`,
      kindOf: (kind) => (this.hosted.has(kind) ? this.kind : undefined),
      isForgotten: (process) => this.forgotten.has(process),
      send: (to, message) => this.sent.push({ to, message }),
      output: (output) => this.outputs.push(output),
      abandon: (child) => this.abandoned.push(child),
      settleChildren: (child) => this.settled.push(child),
      onEvent: (event) => this.events.push(event),
      onConflict: (_, key, other) => this.conflicts.push(`${key} ${String(other)}`),
      store: {
        entryOf: (partition) => (partition === BANK ? this.bank : this.entry),
        mayRun: () => this.isRight,
        wake: () => this.wakes++,
        rest: (partition) => this.rests.push(partition),
        get: (_, key) => this.kept.get(key),
        wasLost: () => this.isLost,
        append: (_, key, change) => {
          if (this.refusal) return this.refusal
          this.changes.push(change)
          const contents = applyChange(this.kept.get(key)?.contents, change)
          const number = ++this.number
          if (contents) this.kept.set(key, { contents, number })
          return number
        },
        takeIn: (_, key) => this.takeIn(key),
        storedUpTo: () => this.stored,
      },
    })
  }
  get now(): Now {
    return { mono: this.time, wall: this.time }
  }
  /** As `Holdings` does it. */
  takeIn(key: string): void {
    for (const change of this.waiting.splice(0)) {
      const contents = applyChange(this.kept.get(key)?.contents, change)!
      this.kept.set(key, { contents, number: ++this.number })
      this.machine.onTaken('counter', key, this.now)
    }
  }
  /** Another side has changed it. */
  visit(change: KeyChange): void {
    this.waiting.push(change)
    this.machine.free('counter', 'k', this.now)
  }
  call(sequence: number, more: Partial<CallMessage> = {}, from = A): void {
    const message: CallMessage = {
      type: 'call',
      caller: from,
      sequence,
      first: 1,
      previous: 0,
      attempt: 1,
      kind: 'counter',
      key: 'k',
      method: `m${sequence}`,
      args: bytes(0),
      remainingMs: 10_000,
      epoch: 5,
      chain: [],
      keepMs: 0,
      hops: 0,
      ...more,
    }
    this.machine.onCall(from, message, this.now)
  }
  /** Answers `activate`. */
  activated(problem?: Uint8Array): void {
    this.machine.onActivated(this.last('activate').activation, problem, this.now)
  }
  last<T extends GrainOutput['type']>(type: T): Extract<GrainOutput, { type: T }> {
    const found = this.outputs.findLast((output) => output.type === type)
    expect(found, type).toBeDefined()
    return found as Extract<GrainOutput, { type: T }>
  }
  invocations(): string[] {
    return this.outputs.flatMap((output) => (output.type === 'invoke' ? [output.method] : []))
  }
  invoked(
    invoked: Invoked = { type: 'ok', bytes: bytes(1), state: bytes(1) },
    id = this.last('invoke').invocation,
  ): void {
    this.machine.onInvoked(id, invoked, this.now)
  }
  store(number = this.number): void {
    this.stored = number
    this.machine.onStored(P, number, this.now)
  }
  pass(ms: number): void {
    this.time += ms
    this.machine.tick(this.now)
  }
  endRight(entry = this.entry): void {
    this.isRight = false
    this.entry = entry
    this.machine.onRightEnded(P, this.now)
  }
  replies(): { to: string; reply: ReplyMessage }[] {
    return this.sent.flatMap(({ to, message }) => (message.type === 'reply' ? [{ to, reply: message }] : []))
  }
  /** How the calls ended, in order: the type of outcome, or the reason. */
  ends(): string[] {
    return this.replies().map(({ reply: { sequence, outcome } }) => {
      const what = outcome.type === 'refused' ? outcome.code : outcome.type
      return `${sequence} ${what}${'ran' in outcome && outcome.ran ? ' ran' : ''}`
    })
  }
  /** A nested call of the handler of `parent`. */
  nested(
    parent: CallMessage | string,
    sequence: number,
    epoch: number,
    more: Partial<CallMessage> = {},
    from = A,
  ): void {
    const caller =
      typeof parent === 'string'
        ? parent
        : childCallerOf(parent.caller, parent.kind, parent.key, parent.sequence)
    const fence = { partition: BANK, epoch }
    this.call(sequence, { caller, chain: [caller], fence, keepMs: 20_000, ...more }, from)
  }
}

const OK_READ: Invoked = { type: 'ok', bytes: bytes(9) }
const CHILD = '0123456789abcdef0123456789abcdef'

/** With a first call that is running. */
function running(kind: Partial<KindTuning> = {}, tuning: Partial<ActivationTuning> = {}): Owner {
  const owner = new Owner(kind, tuning)
  owner.call(1)
  owner.activated()
  return owner
}

describe('a call at its owner', () => {
  it('is answered when its change is stored everywhere, and not before', () => {
    const owner = running()
    owner.invoked()
    expect(owner.ends()).toEqual([])
    owner.store()
    expect(owner.ends()).toEqual(['1 result'])
    expect(owner.changes[0]!.records).toMatchObject([{ caller: A, sequence: 1 }])
  })

  it('that only read waits for what it could have seen', () => {
    const owner = running()
    owner.invoked()
    owner.call(2, {}, B)
    owner.invoked(OK_READ)
    expect(owner.ends()).toEqual([])
    owner.store()
    expect(owner.ends()).toEqual(['1 result', '2 result'])
    expect(owner.changes).toHaveLength(1)
  })

  it('that throws is undone: the state is restored, and nothing is stored', () => {
    const owner = running()
    owner.invoked()
    owner.store()
    owner.call(2, { previous: 1 })
    owner.invoked({ type: 'error', bytes: bytes(7) })
    expect(owner.last('restore').state).toEqual(bytes(1))
    expect(owner.ends()).toEqual(['1 result', '2 failed'])
    expect(owner.changes).toHaveLength(1)
  })

  it('whose change is too large for the store is undone', () => {
    const owner = running()
    owner.refusal = 'state-limit'
    owner.invoked()
    expect(owner.ends()).toEqual(['1 state-limit ran'])
    expect(owner.last('restore').state).toBeUndefined()
  })

  it('whose result is too large is undone', () => {
    const owner = running({}, { resultBytes: 0 })
    owner.invoked()
    expect([owner.ends(), owner.changes]).toEqual([['1 too-large ran'], []])
  })

  it('of a kind that is not hosted goes back: it owns that until a host does', () => {
    const owner = new Owner()
    owner.call(1, { kind: 'other' })
    expect(owner.ends()).toEqual(['1 elsewhere'])
  })

  it('of a key whose state was lost is the setup to answer, each time anew', () => {
    const owner = new Owner()
    owner.isLost = true
    owner.call(1)
    expect(owner.last('activate')).toMatchObject({ state: undefined, lost: true })
    owner.activated(bytes(3))
    owner.call(2)
    owner.activated()
    owner.invoked()
    owner.store()
    expect(owner.ends()).toEqual(['1 activation-failed', '2 result'])
    expect(owner.changes).toHaveLength(1)
    owner.restart(6)
    owner.call(3, { epoch: 6 })
    expect(owner.last('activate')).toMatchObject({ state: bytes(1), lost: false })
  })

  it('of a key that was cleared is of a lost one, where its partition was lost once', () => {
    const owner = running()
    owner.invoked({ type: 'ok', bytes: bytes(1), state: null })
    owner.store()
    owner.restart(6)
    owner.call(2, { epoch: 6 })
    expect(owner.last('activate').lost).toBe(false)
    owner.isLost = true
    owner.restart(7)
    owner.call(3, { epoch: 7 })
    expect(owner.last('activate').lost).toBe(true)
  })

  it('whose setup throws is refused with what it threw, and the next one sets up anew', () => {
    const owner = new Owner()
    owner.call(1)
    owner.activated(bytes(3))
    expect(owner.replies()[0]!.reply.outcome).toEqual({
      type: 'refused',
      code: 'activation-failed',
      ran: false,
      bytes: bytes(3),
    })
    owner.call(2)
    owner.activated()
    expect(owner.invocations()).toEqual(['m2'])
  })

  it('from another than it says is ignored', () => {
    const owner = new Owner()
    owner.call(1, { caller: B })
    owner.nested(CHILD, 1, 1, { chain: ['f'.repeat(32)] })
    expect([owner.sent, owner.outputs]).toEqual([[], []])
  })
})

describe('what a grain tells', () => {
  const told = ({ events }: Owner): string[] =>
    events.map((event) => `${event.type} ${event.type === 'grain-deactivated' ? event.reason : ''}`.trim())

  it('is when it is set up, and when it is not needed any more', () => {
    const owner = running({ idleMs: 1_000 })
    expect(owner.events).toEqual([{ type: 'grain-activated', kind: 'counter', key: 'k', count: 1 }])
    owner.invoked()
    owner.store()
    owner.pass(1_000)
    expect(told(owner)).toHaveLength(1)
    owner.machine.onPassivated(owner.last('passivate').activation, undefined, owner.now)
    expect(told(owner)).toEqual(['grain-activated', 'grain-deactivated idle'])
  })

  it('is that it could not be set up', () => {
    const owner = new Owner()
    owner.call(1)
    owner.activated(bytes(3))
    expect(told(owner)).toEqual(['grain-deactivated failed'])
  })

  it('is whether another has it, or its right has ended', () => {
    const [moved, left] = [running(), running()]
    moved.endRight({ owner: B, epoch: 6 })
    left.endRight()
    expect(told(moved)).toEqual(['grain-activated', 'grain-deactivated moved'])
    expect(told(left)).toEqual(['grain-activated', 'grain-deactivated right-lost'])
  })

  it('is that a handler does not end, once, though its caller has long given up', () => {
    const owner = running()
    owner.pass(29_999)
    expect(told(owner)).toEqual(['grain-activated'])
    expect(owner.machine.nextDeadline()).toBeLessThanOrEqual(owner.time + 1)
    owner.pass(1)
    owner.pass(60_000)
    expect(owner.events.slice(1)).toEqual([
      { type: 'grain-stuck', kind: 'counter', key: 'k', method: 'm1', ms: 30_000, count: 1 },
    ])
    owner.invoked()
    owner.pass(10_000)
    expect(told(owner)).toHaveLength(2)
  })
})

describe('what another side of a partition has', () => {
  const other = { group: 'b', epoch: 4, number: 9 }
  const conflict = { records: [], drops: [], others: [{ ...other, state: bytes(8) }] }
  const record = { caller: B, sequence: 2, outcome: { type: 'result', bytes: bytes(5) }, keepMs: 0 } as const
  const passivated = (owner: Owner): void =>
    owner.machine.onPassivated(owner.last('passivate').activation, undefined, owner.now)

  it('goes to the next activation, and what that makes of it is stored before anything is answered', () => {
    const owner = new Owner()
    owner.waiting.push({ ...conflict, state: bytes(1) })
    owner.takeIn('k')
    owner.store()
    owner.call(1)
    const { others, state, activation } = owner.last('activate')
    expect([state, others]).toEqual([bytes(1), [bytes(8)]])
    owner.machine.onActivated(activation, undefined, owner.now, { state: bytes(9), isMerged: true })
    expect(owner.changes).toEqual([{ state: bytes(9), records: [], drops: [], others: [other] }])
    owner.invoked(OK_READ)
    expect(owner.ends()).toEqual([])
    owner.store()
    expect(owner.ends()).toEqual(['1 result'])
    expect(owner.conflicts).toEqual([])
    owner.restart(6)
    owner.call(2, { epoch: 6 })
    expect(owner.last('activate')).toEqual({
      type: 'activate',
      activation: 1,
      kind: 'counter',
      key: 'k',
      state: bytes(9),
      lost: false,
    })
  })

  it('is told and given up where the kind merges nothing', () => {
    const owner = new Owner()
    owner.waiting.push({ ...conflict, state: bytes(1) })
    owner.takeIn('k')
    owner.call(1)
    const { activation } = owner.last('activate')
    owner.machine.onActivated(activation, undefined, owner.now, { isMerged: false })
    expect(owner.conflicts).toEqual(['k 8'])
    expect(owner.kept.get('k')!.contents).toMatchObject({ state: bytes(1), others: [other] })
  })

  it('waits for another activation where this one fails, or its change cannot be stored', () => {
    const owner = new Owner()
    owner.waiting.push({ ...conflict, state: bytes(1) })
    owner.takeIn('k')
    owner.call(1)
    owner.activated(bytes(3))
    owner.call(2)
    owner.refusal = 'state-limit'
    owner.machine.onActivated(owner.last('activate').activation, undefined, owner.now, { isMerged: true })
    expect(owner.ends()).toEqual(['1 activation-failed', '2 activation-failed'])
    owner.call(3)
    expect(owner.last('activate').others).toEqual([bytes(8)])
    expect(owner.conflicts).toEqual([])
  })

  it('ends an activation when its handler has ended, and that begins again with it at once', () => {
    const owner = running()
    owner.call(2, { previous: 1 })
    owner.visit({ state: bytes(7), records: [], drops: [] })
    expect(owner.machine.isBusy('counter', 'k')).toBe(true)
    owner.invoked()
    expect(owner.invocations()).toEqual(['m1'])
    owner.call(3, { previous: 2 })
    passivated(owner)
    expect(owner.events.at(-1)).toMatchObject({ type: 'grain-deactivated', reason: 'renewed' })
    expect(owner.last('activate').state).toEqual(bytes(7))
    owner.activated()
    owner.invoked()
    owner.invoked()
    owner.store()
    expect(owner.ends()).toEqual(['1 result', '2 result', '3 result'])
  })

  it('comes to a grain that nobody calls as well, which may have timers', () => {
    const owner = running()
    owner.invoked()
    owner.visit({ state: bytes(7), records: [], drops: [] })
    passivated(owner)
    expect(owner.last('activate').state).toEqual(bytes(7))
  })

  it('answers calls that were run there: one that comes again, and one that waits here for its turn', () => {
    const owner = running()
    owner.call(2, {}, B)
    owner.visit({ state: bytes(7), records: [record], drops: [] })
    owner.invoked()
    passivated(owner)
    owner.store()
    expect(owner.ends()).toEqual(['1 result', '2 result'])
    owner.call(2, {}, B)
    owner.activated()
    expect(owner.ends()).toEqual(['1 result', '2 result', '2 result'])
    expect(owner.invocations()).toEqual(['m1'])
  })

  it('is there where a call comes for the first time, or its setup has failed', () => {
    const owner = new Owner()
    owner.call(1)
    owner.visit({ state: bytes(7), records: [], drops: [] })
    owner.activated(bytes(3))
    owner.visit({ state: bytes(6), records: [], drops: [] })
    owner.call(2)
    expect(owner.last('activate').state).toEqual(bytes(6))
    expect(owner.machine.isBusy('counter', 'other')).toBe(false)
    owner.machine.free('counter', 'other', owner.now)
  })
})

describe('a retry', () => {
  it('of a queued or running call joins it, and the newest to ask is answered', () => {
    const owner = running()
    owner.call(1, { attempt: 2 })
    owner.call(2, { previous: 1 })
    owner.call(2, { previous: 1, attempt: 2 })
    owner.invoked()
    owner.invoked()
    owner.store()
    expect(owner.invocations()).toEqual(['m1', 'm2'])
    expect(owner.replies().map(({ reply }) => reply.attempts)).toEqual([
      [1, 2],
      [1, 2],
    ])
  })

  it('of a call that waits for the store waits with it, once', () => {
    const owner = running()
    owner.invoked()
    owner.call(1, { attempt: 2 })
    expect(owner.ends()).toEqual([])
    owner.store()
    expect(owner.replies().map(({ reply }) => reply.attempts)).toEqual([[1, 2]])
  })

  it('of a call whose reply was lost has the same answer, changed or not', () => {
    const owner = running()
    owner.invoked()
    owner.call(2, { previous: 1 })
    owner.invoked(OK_READ)
    owner.store()
    owner.call(1, { attempt: 2 })
    owner.call(2, { attempt: 2, previous: 1 })
    expect(owner.ends()).toEqual(['1 result', '2 result', '1 result', '2 result'])
    expect(owner.invocations()).toEqual(['m1', 'm2'])
  })

  it('at a new owner that has the record is answered, as soon as it is stored', () => {
    const owner = running()
    owner.invoked()
    owner.restart(6)
    owner.call(1, { attempt: 2, epoch: 6 })
    expect([owner.outputs, owner.ends()]).toEqual([[], []])
    owner.store()
    expect(owner.ends()).toEqual(['1 result'])
  })

  it('at a new owner that has no record runs', () => {
    const owner = running()
    owner.restart(6)
    owner.call(1, { attempt: 2, epoch: 6 })
    owner.activated()
    expect(owner.invocations()).toEqual(['m1'])
  })

  it('of a call that changed nothing does not come after a later change of its caller, at whatever owner', () => {
    const owner = running()
    owner.invoked(OK_READ)
    owner.call(2, { previous: 1 })
    owner.invoked()
    owner.store()
    owner.restart(6)
    owner.call(1, { attempt: 2, epoch: 6 })
    expect(owner.outputs).toEqual([])
    expect(owner.replies().at(-1)!.reply.outcome).toEqual({ type: 'result', bytes: bytes(9) })
  })

  it('of a call that was settled is too old, also at a new owner', () => {
    const owner = running()
    owner.invoked()
    owner.call(2, { first: 2 })
    owner.invoked()
    owner.store()
    owner.call(1, { attempt: 2 })
    owner.restart(6)
    owner.call(1, { attempt: 3, epoch: 6 })
    expect(owner.ends()).toEqual(['1 result', '2 result', '1 call-too-old ran', '1 call-too-old ran'])
    expect(owner.kept.get('k')!.contents.callers.get(A)!.outcomes.size).toBe(1)
  })

  it('of a call whose outcome took too much room is told so, and does not run again', () => {
    const owner = running({}, { outcomeBytes: 1 })
    owner.invoked(OK_READ)
    owner.call(2, { previous: 1 })
    owner.invoked(OK_READ)
    owner.call(1, { attempt: 2 })
    expect(owner.ends().at(-1)).toBe('1 outcome-lost ran')
  })
})

describe('order', () => {
  it('a later call waits for an earlier one that has not come', () => {
    const owner = new Owner()
    owner.call(2, { previous: 1 })
    expect(owner.outputs).toEqual([])
    owner.call(1)
    owner.activated()
    owner.invoked()
    owner.invoked()
    expect(owner.invocations()).toEqual(['m1', 'm2'])
  })

  it('a later call does not wait for what its caller has settled or given up', () => {
    const owner = new Owner()
    owner.call(2, { previous: 1 })
    owner.call(2, { previous: 1, first: 2, attempt: 2 })
    owner.activated()
    expect(owner.invocations()).toEqual(['m2'])
    owner.call(4, { previous: 3, first: 2 })
    owner.machine.onCancel(
      A,
      { type: 'cancel', kind: 'counter', key: 'k', caller: A, sequence: 3, first: 2, previous: 2 },
      owner.now,
    )
    owner.invoked()
    expect(owner.invocations()).toEqual(['m2', 'm4'])
  })

  it('what is given up hands its place on: its followers wait for what it waited for', () => {
    const owner = new Owner()
    owner.call(3, { previous: 2 })
    owner.call(2, { previous: 1 })
    owner.machine.onCancel(
      A,
      { type: 'cancel', kind: 'counter', key: 'k', caller: A, sequence: 2, first: 1, previous: 1 },
      owner.now,
    )
    expect(owner.outputs).toEqual([])
    owner.call(1)
    owner.activated()
    owner.invoked()
    expect(owner.invocations()).toEqual(['m1', 'm3'])
  })

  it('callers do not wait for each other', () => {
    const owner = new Owner()
    owner.call(2, { previous: 1 })
    owner.call(2, {}, B)
    owner.activated()
    expect(owner.invocations()).toEqual(['m2'])
  })
})

describe('the queue', () => {
  it('refuses new calls when it is full, for good', () => {
    const owner = running({ queueDepth: 1 })
    owner.call(2, { previous: 1 })
    owner.call(3, { previous: 2 })
    owner.invoked()
    owner.call(3, { previous: 2, attempt: 2 })
    expect(owner.ends()).toEqual(['3 queue-full', '3 queue-full'])
  })

  it('or the oldest', () => {
    const owner = running({ queueDepth: 1, queuePolicy: 'drop-oldest' })
    owner.call(2, { previous: 1 })
    owner.call(3, { previous: 2 })
    owner.invoked()
    expect(owner.ends()).toEqual(['2 queue-full'])
    expect(owner.invocations()).toEqual(['m1', 'm3'])
  })

  it('drops a call whose deadline passes, and those behind it go on', () => {
    const owner = running()
    owner.call(2, { previous: 1, remainingMs: 100 })
    owner.call(3, { previous: 2 })
    owner.pass(100)
    owner.invoked()
    expect(owner.ends()).toEqual(['2 deadline'])
    expect(owner.invocations()).toEqual(['m1', 'm3'])
  })

  it('first drops what is too late when a frozen process wakes', () => {
    const owner = running()
    owner.call(2, { previous: 1, remainingMs: 100 })
    owner.time += 5_000
    owner.invoked()
    expect(owner.invocations()).toEqual(['m1'])
  })

  it('does not give up a running call at its deadline: its change counts', () => {
    const owner = new Owner()
    owner.call(1, { remainingMs: 100 })
    owner.activated()
    owner.pass(200)
    owner.invoked()
    owner.store()
    expect(owner.ends()).toEqual(['1 result'])
  })

  it('starts no more than the kind allows at once', () => {
    const owner = running({ concurrency: 2 })
    owner.call(1, {}, B)
    owner.call(2, { previous: 1 }, B)
    expect(owner.invocations()).toEqual(['m1', 'm1'])
  })

  it('takes no calls of a key with too many records', () => {
    const owner = running({}, { records: 1 })
    owner.invoked()
    owner.call(2, { previous: 1 })
    expect(owner.ends()).toEqual(['2 records-full'])
    owner.call(3, { first: 3 })
    expect(owner.invocations()).toEqual(['m1', 'm3'])
  })
})

describe('a right', () => {
  it('that has ended aborts what runs, tells its callers, and takes nothing of it', () => {
    const owner = running()
    owner.endRight({ owner: B, epoch: 6 })
    expect(owner.last('abort').activation).toBe(owner.last('activate').activation)
    expect(owner.ends()).toEqual(['1 elsewhere ran'])
    owner.isRight = true
    owner.invoked()
    expect(owner.changes).toEqual([])
    expect(owner.machine.size).toBe(0)
  })

  it('that has ended before anybody said so counts all the same', () => {
    const owner = running()
    owner.isRight = false
    owner.invoked()
    expect(owner.changes).toEqual([])
    expect(owner.machine.parentOf(owner.last('invoke').invocation, owner.now)).toBeUndefined()
  })

  it('that has ended starts nothing, whatever makes it the turn of a call', () => {
    const owner = running()
    owner.invoked(OK_READ)
    owner.call(3, { previous: 2 })
    owner.isRight = false
    owner.machine.onSettled(A, { type: 'settled', kind: 'counter', key: 'k', caller: A, first: 3 }, owner.now)
    expect(owner.invocations()).toEqual(['m1'])
  })

  it('that has ended lets no reply go that waited for the store', () => {
    const owner = running()
    owner.invoked()
    owner.endRight({ owner: B, epoch: 6 })
    owner.store()
    expect(owner.ends()).toEqual(['1 elsewhere ran'])
  })

  it('that ends during setup starts nothing', () => {
    const owner = new Owner()
    owner.call(1)
    owner.isRight = false
    owner.activated()
    expect(owner.invocations()).toEqual([])
  })

  it('of another sends back what has not begun: its caller knows whether it is still wanted', () => {
    const owner = running()
    owner.call(2, { previous: 1 })
    owner.endRight({ owner: B, epoch: 6 })
    expect(owner.ends()).toEqual(['1 elsewhere ran', '2 elsewhere'])
  })

  it('of another sends what has not begun on, in order, with its hops and who waits for it, where that is asked for', () => {
    const owner = running({}, { hops: 2 })
    owner.call(2, { previous: 1 })
    owner.call(3, { previous: 2 })
    owner.endRight({ owner: B, epoch: 6 })
    const passed = owner.sent.filter(({ message }) => message.type === 'call')
    expect(passed).toMatchObject([
      { to: B, message: { sequence: 2, hops: 1, origin: A, epoch: 6, previous: 1 } },
      { to: B, message: { sequence: 3, hops: 1, origin: A } },
    ])
  })

  it('of another, and what has been passed on twice goes back to its caller', () => {
    const owner = running({}, { hops: 2 })
    owner.call(2, { hops: 2, origin: B, caller: B })
    owner.endRight({ owner: B, epoch: 6 })
    expect(owner.replies().map(({ to, reply }) => [to, reply.outcome])).toEqual([
      [A, { type: 'elsewhere', ran: true, hint: { owner: B, epoch: 6 } }],
      [B, { type: 'elsewhere', ran: false, hint: { owner: B, epoch: 6 } }],
    ])
  })

  it('that comes back soon runs what was held, with what was appended before', () => {
    const owner = running()
    owner.invoked()
    owner.call(2, { previous: 1 })
    owner.endRight()
    owner.call(1, { attempt: 2 })
    owner.call(2, { attempt: 2, previous: 1 })
    owner.isRight = true
    owner.machine.onRightBegan(P, owner.now)
    expect(owner.last('activate').state).toEqual(bytes(1))
    owner.activated()
    expect(owner.invocations()).toEqual(['m1', 'm2', 'm2'])
    owner.invoked(OK_READ)
    expect(owner.ends().sort()).toEqual(['1 elsewhere ran', '2 elsewhere ran'])
    owner.store()
    expect(owner.ends().slice(2)).toEqual(['1 result', '2 result'])
  })

  it('that does not come is waited for no longer than a moment', () => {
    const owner = new Owner()
    owner.isRight = false
    owner.call(1)
    expect([owner.wakes, owner.machine.nextDeadline()]).toEqual([1, 1_500])
    owner.pass(500)
    expect(owner.ends()).toEqual(['1 elsewhere'])
    expect([owner.machine.size, owner.rests]).toEqual([0, [P]])
  })

  it('of an earlier time does not count: a call that was sent for it goes back', () => {
    const owner = new Owner()
    owner.call(1, { epoch: 4 })
    expect([owner.ends(), owner.outputs]).toEqual([['1 elsewhere'], []])
    owner.isRight = false
    owner.call(2, { epoch: 4 })
    owner.isRight = true
    owner.machine.onRightBegan(P, owner.now)
    expect([owner.ends(), owner.outputs]).toEqual([['1 elsewhere', '2 elsewhere'], []])
  })

  it('is another’s: the call goes back with the owner’s name', () => {
    const owner = new Owner()
    owner.entry = { owner: B, epoch: 6 }
    owner.call(1)
    expect(owner.replies()[0]!.reply.outcome).toEqual({
      type: 'elsewhere',
      ran: false,
      hint: { owner: B, epoch: 6 },
    })
  })
})

it('what one caller gives up or has refused is remembered of its newest calls', () => {
  const owner = running({ queueDepth: 0 })
  const cancelled = { type: 'cancel', kind: 'counter', key: 'k', caller: B, first: 1, previous: 0 } as const
  for (let sequence = 1; sequence <= 5_000; sequence++) {
    owner.machine.onCancel(B, { ...cancelled, sequence }, owner.now)
    owner.call(sequence + 1)
  }
  owner.sent.length = 0
  owner.call(1, {}, B)
  owner.call(2)
  owner.call(5_000, {}, B)
  owner.call(5_001)
  expect(owner.ends()).toEqual([
    '1 call-too-old ran',
    '2 call-too-old ran',
    '5000 aborted',
    '5001 queue-full',
  ])
})

describe('what callers have settled', () => {
  const settle = (owner: Owner, kind: string): void =>
    owner.machine.onSettled(A, { type: 'settled', kind, key: 'k', caller: A, first: 9 }, owner.now)

  it('is remembered of a grain that is not in memory', () => {
    const owner = new Owner()
    settle(owner, 'counter')
    owner.call(8)
    expect(owner.ends()).toEqual(['8 call-too-old ran'])
  })

  it('is not remembered of a kind that is not hosted', () => {
    const owner = new Owner()
    settle(owner, 'other')
    owner.hosted.add('other')
    owner.call(8, { kind: 'other' })
    expect(owner.ends()).toEqual([])
  })

  it('is remembered of the newest grains', () => {
    const floors = new Floors(120_000)
    for (let i = 0; i < 20_000; i++) floors.raise(`counter/${i}`, A, 9, 0)
    expect(floors.size).toBe(16_384)
    expect(floors.take('counter/0')).toEqual([])
    expect(floors.take('counter/19999')).toEqual([[A, 9]])
    for (let i = 0; i < 20_000; i++) floors.raise('counter/k', `${i}`, 9, 0)
    expect(floors.size).toBeLessThanOrEqual(16_384)
  })
})

describe('nested calls', () => {
  it('get their name, chain, deadline and fence from the call that makes them', () => {
    const owner = running()
    const { invocation } = owner.last('invoke')
    const child = childCallerOf(A, 'counter', 'k', 1)
    expect(owner.machine.parentOf(invocation, owner.now)).toEqual({
      caller: child,
      chain: [child],
      ordinal: 1,
      deadlineAt: 11_000,
      fence: { partition: P, epoch: 5 },
    })
    expect(owner.machine.parentOf(invocation, owner.now)?.ordinal).toBe(2)
  })

  it('are abandoned when their right ends', () => {
    const owner = running()
    owner.machine.parentOf(owner.last('invoke').invocation, owner.now)
    owner.endRight()
    expect(owner.abandoned).toEqual([childCallerOf(A, 'counter', 'k', 1)])
  })

  it('are settled when their parent is, and not before', () => {
    const owner = running()
    owner.machine.parentOf(owner.last('invoke').invocation, owner.now)
    owner.invoked(OK_READ)
    expect([owner.settled, owner.replies()[0]!.reply.keeps]).toEqual([[], true])
    owner.machine.onSettled(A, { type: 'settled', kind: 'counter', key: 'k', caller: A, first: 2 }, owner.now)
    expect(owner.settled).toEqual([childCallerOf(A, 'counter', 'k', 1)])
  })

  it('are settled late where the parent is settled while it runs', () => {
    const owner = running()
    owner.machine.parentOf(owner.last('invoke').invocation, owner.now)
    owner.machine.onSettled(A, { type: 'settled', kind: 'counter', key: 'k', caller: A, first: 2 }, owner.now)
    expect(owner.settled).toEqual([])
    owner.invoked()
    expect(owner.settled).toHaveLength(1)
  })

  it('of a run that was repeated elsewhere have the same effect once', () => {
    const owner = new Owner()
    owner.nested(CHILD, 1, 3, {}, A)
    owner.activated()
    owner.invoked()
    owner.store()
    owner.nested(CHILD, 1, 4, {}, B)
    expect(owner.replies().map(({ to }) => to)).toEqual([A, B])
    expect(owner.changes).toHaveLength(1)
  })

  it('of a right that has a successor are refused', () => {
    const owner = new Owner()
    owner.nested(CHILD, 1, 4, {}, B)
    owner.nested('f'.repeat(32), 1, 3, {}, A)
    expect(owner.ends()).toEqual(['1 superseded'])
  })

  it('of a right that has a successor are refused for good where the map has told of that', () => {
    const owner = new Owner()
    owner.bank = { owner: B, epoch: 4 }
    owner.nested(CHILD, 1, 4, {}, B)
    owner.pass(600_000)
    owner.nested('f'.repeat(32), 1, 3, {}, A)
    expect(owner.ends().at(-1)).toBe('1 superseded')
  })

  it('of a right that is said to have a successor, and has none, are refused for a time, once', () => {
    const owner = new Owner()
    const refused = (n: number): boolean => {
      owner.nested(n.toString(16).padStart(32, '0'), 1, 3, {}, A)
      return owner.ends().at(-1) === '1 superseded'
    }
    owner.nested(CHILD, 1, 4, { remainingMs: 0 }, B)
    expect(refused(1)).toBe(true)
    owner.pass(59_000)
    expect(refused(2)).toBe(true)
    owner.nested(CHILD, 1, 2 ** 48, { remainingMs: 0 }, B)
    owner.pass(1_000)
    owner.sent.length = 0
    expect(refused(3)).toBe(false)
    owner.nested(CHILD, 1, 2 ** 48, { remainingMs: 0 }, B)
    owner.sent.length = 0
    expect(refused(4)).toBe(false)
  })

  it('are refused for no right that the map tells is of another than who names it', () => {
    const owner = new Owner()
    owner.bank = { owner: A, epoch: 5 }
    owner.nested(CHILD, 1, 5, {}, B)
    owner.nested('f'.repeat(32), 1, 3, {}, A)
    expect(owner.ends()).not.toContain('1 superseded')
  })

  it('have the rights of so many partitions remembered', () => {
    const owner = new Owner()
    owner.nested(CHILD, 1, 4, {}, B)
    for (let i = 0; i < 16_384; i++) {
      const fence = { partition: `k${i >> 8}#${i % 256}`, epoch: 9 }
      const settled = { type: 'settled', kind: 'counter', key: 'k', caller: CHILD, first: 1 } as const
      owner.machine.onSettled(B, { ...settled, fence }, owner.now)
    }
    owner.nested('f'.repeat(32), 1, 3, {}, A)
    expect(owner.ends()).not.toContain('1 superseded')
  })

  it('that come late do nothing, also where the right has lapsed and come back since', () => {
    const owner = new Owner()
    owner.nested(CHILD, 1, 4)
    owner.activated()
    owner.invoked()
    const fence = { partition: BANK, epoch: 4 }
    owner.machine.onSettled(
      A,
      { type: 'settled', kind: 'counter', key: 'k', caller: CHILD, first: 2 ** 48, fence },
      owner.now,
    )
    owner.call(1)
    owner.invoked()
    owner.endRight()
    owner.isRight = true
    owner.machine.onRightBegan(P, owner.now)
    owner.nested(CHILD, 1, 4, { hops: 1, origin: A }, B)
    expect(owner.ends().at(-1)).toBe('1 call-too-old ran')
    expect(owner.changes).toHaveLength(2)
  })

  it('that come late do nothing after all was settled, and their records go', () => {
    const owner = new Owner()
    owner.nested(CHILD, 1, 4)
    owner.activated()
    owner.invoked()
    const fence = { partition: BANK, epoch: 4 }
    owner.machine.onSettled(
      A,
      { type: 'settled', kind: 'counter', key: 'k', caller: CHILD, first: 2 ** 48, fence },
      owner.now,
    )
    owner.nested(CHILD, 1, 4, { hops: 1, origin: A }, B)
    owner.call(1)
    owner.invoked()
    expect(owner.ends()).toEqual(['1 call-too-old ran'])
    expect(owner.kept.get('k')!.contents.callers.has(CHILD)).toBe(false)
  })

  it('whose caller was never heard of again are kept for a time only', () => {
    const owner = new Owner({ idleMs: 1_000 })
    owner.nested(CHILD, 1, 4)
    owner.activated()
    owner.invoked()
    owner.store()
    owner.pass(1_000)
    owner.machine.onPassivated(owner.last('passivate').activation, undefined, owner.now)
    expect(owner.kept.get('k')!.contents.callers.size).toBe(1)
    owner.pass(19_000)
    expect([owner.kept.get('k')!.contents.callers.size, owner.machine.size]).toEqual([0, 0])
  })

  it('back into their own chain are refused, or run at once where the kind is reentrant', () => {
    for (const reentrant of [false, true]) {
      const owner = running({ reentrant })
      const outer = owner.last('invoke')
      const parent = owner.machine.parentOf(outer.invocation, owner.now)!
      owner.nested(parent.caller, 1, 5, { fence: parent.fence })
      expect(owner.invocations()).toHaveLength(reentrant ? 2 : 1)
      expect(owner.ends()).toEqual(reentrant ? [] : ['1 deadlock'])
      if (!reentrant) continue
      expect(owner.last('invoke').isReentrant).toBe(true)
      owner.invoked({ type: 'refused' })
      expect(owner.ends()).toEqual(['1 deadlock'])
    }
  })

  it('back into a call that starts only later are found then', () => {
    const owner = running()
    owner.call(2, { previous: 1 })
    owner.nested(childCallerOf(A, 'counter', 'k', 2), 1, 5, {}, B)
    owner.invoked()
    expect(owner.ends()).toEqual(['1 deadlock'])
  })

  it('that their caller gave up here may be asked for by whoever runs it again', () => {
    const owner = running()
    owner.nested(CHILD, 1, 3, {}, A)
    owner.nested(CHILD, 1, 4, {}, B)
    owner.machine.onCancel(
      A,
      { type: 'cancel', kind: 'counter', key: 'k', caller: CHILD, sequence: 1, first: 1, previous: 0 },
      owner.now,
    )
    owner.invoked()
    expect(owner.invocations()).toEqual(['m1', 'm1'])
  })
})

describe('a cancelled call', () => {
  const cancel = (owner: Owner, sequence: number): void =>
    owner.machine.onCancel(
      A,
      { type: 'cancel', kind: 'counter', key: 'k', caller: A, sequence, first: 1, previous: 0 },
      owner.now,
    )

  it('does not run if it waits', () => {
    const owner = running()
    owner.call(2, { previous: 1 })
    cancel(owner, 2)
    owner.invoked()
    expect(owner.invocations()).toEqual(['m1'])
  })

  it('is not answered if it runs, but its change counts', () => {
    const owner = running()
    cancel(owner, 1)
    owner.invoked()
    owner.store()
    expect([owner.replies(), owner.changes.length]).toEqual([[], 1])
  })

  it('is forgotten if it waits for the right to run', () => {
    const owner = new Owner()
    owner.isRight = false
    owner.call(1)
    owner.call(2, { previous: 1 })
    cancel(owner, 1)
    owner.isRight = true
    owner.machine.onRightBegan(P, owner.now)
    owner.activated()
    expect(owner.invocations()).toEqual(['m2'])
  })
})

describe('passivation', () => {
  function idle(): Owner {
    const owner = running({ idleMs: 1_000 })
    owner.invoked()
    owner.store()
    owner.pass(1_000)
    return owner
  }

  it('comes when nobody has called for a while, and leaves nothing behind', () => {
    const owner = idle()
    const { activation } = owner.last('passivate')
    owner.machine.onPassivated(activation, undefined, owner.now)
    expect([owner.machine.size, owner.rests]).toEqual([0, [P]])
    owner.pass(60_000)
    expect(owner.machine.nextDeadline()).toBe(Infinity)
  })

  it('is not before the last call has ended', () => {
    const owner = running({ idleMs: 1_000 })
    owner.pass(5_000)
    expect(owner.outputs.some(({ type }) => type === 'passivate')).toBe(false)
  })

  it('and a call that comes meanwhile waits, and sets it up again', () => {
    const owner = idle()
    owner.call(2, { first: 2 })
    expect(owner.invocations()).toEqual(['m1'])
    owner.machine.onPassivated(owner.last('passivate').activation, bytes(5), owner.now)
    expect(owner.last('activate').state).toEqual(bytes(5))
    owner.activated()
    expect(owner.invocations()).toEqual(['m1', 'm2'])
  })

  it('that takes too long is cut short, and told', () => {
    const owner = idle()
    owner.pass(8_000)
    expect(owner.events.find(({ type }) => type === 'grain-stuck')).toMatchObject({ method: 'onDeactivate' })
    expect(owner.last('abort').activation).toBe(owner.last('passivate').activation)
    expect(owner.machine.size).toBe(0)
  })

  it('of a setup that never ends refuses who waits for it', () => {
    const owner = new Owner()
    // what callers wait by default
    owner.call(1, { remainingMs: 10_000 })
    owner.pass(7_999)
    expect(owner.ends()).toEqual([])
    owner.pass(1)
    expect(owner.ends()).toEqual(['1 activation-failed'])
    expect(owner.last('abort').activation).toBe(owner.last('activate').activation)
    expect(owner.events[0]).toEqual({
      type: 'grain-stuck',
      kind: 'counter',
      key: 'k',
      method: 'onActivate',
      ms: 8_000,
      count: 1,
    })
  })
})

it('records of callers that are forgotten go with the first change a second later', () => {
  const owner = running()
  owner.invoked()
  owner.forgotten.add(A)
  owner.pass(1_000)
  owner.call(1, {}, B)
  owner.invoked()
  expect([...owner.kept.get('k')!.contents.callers.keys()]).toEqual([B])
})
