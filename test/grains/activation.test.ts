/** One activation, without any network: what runs, what it changes, what it takes back. */
import { describe, expect, it, vi } from 'vitest'
import { Activation } from '../../src/grains/activation.ts'
import { DEFAULT_ACTIVATION_LIMITS } from '../../src/grains/activation-host.ts'
import type { ActivationHost, ActivationStart, Outcome } from '../../src/grains/activation-host.ts'
import { valueCodec } from '../../src/grains/codec.ts'
import { defineGrain } from '../../src/grains/define.ts'
import { decodeFault } from '../../src/grains/faults.ts'
import type { Fault } from '../../src/grains/faults.ts'
import type { GrainContext, GrainKind, GrainProxy, StandardSchema, State } from '../../src/grains/types.ts'
import { FakeClock } from '../../src/testing/fake-clock.ts'

const encode = (value: unknown): Uint8Array => valueCodec.encode(value, 'value')
const decode = (bytes: Uint8Array | undefined): unknown => bytes && valueCodec.decode(bytes, 'value')

/** An activation with a host that remembers. */
function host(kind: GrainKind, start: Partial<ActivationStart> = {}, more: Partial<ActivationHost> = {}) {
  const clock = new FakeClock()
  const due: number[] = []
  const parents: unknown[] = []
  const activation = new Activation(
    kind,
    { key: 'k', ...start },
    {
      codec: valueCodec,
      clock,
      limits: DEFAULT_ACTIVATION_LIMITS,
      grain: <M>(_kind: unknown, key: string, _options: unknown, parent: () => unknown) =>
        ({ ask: async () => (parents.push(parent()), key) }) as unknown as GrainProxy<M>,
      onDue: (timer) => void due.push(timer),
      ...more,
    },
  )
  const call = async (method: string, ...args: unknown[]) =>
    seen(await activation.invoke(method, encode(args)))
  return { activation, clock, due, parents, call }
}

/** What an outcome says, decoded. */
function seen(outcome: Outcome): { result?: unknown; state?: unknown; changed?: boolean; fault?: Fault } {
  if (!outcome.ok) return { fault: decodeFault(outcome.error) }
  const { result, stateChanged, newState } = outcome
  return { result: decode(result), changed: stateChanged, ...(stateChanged && { state: decode(newState) }) }
}

async function active(kind: GrainKind, start?: Partial<ActivationStart>, more?: Partial<ActivationHost>) {
  const made = host(kind, start, more)
  expect(seen(await made.activation.activate()).fault).toBeUndefined()
  return made
}

/** A promise and the way to settle it. */
function gate(): { promise: Promise<void>; open: () => void } {
  let open = (): void => {}
  const promise = new Promise<void>((resolve) => (open = resolve))
  return { promise, open }
}

const Counter = defineGrain('counter', (self) => {
  const count = self.state(0)
  return {
    add(by: number) {
      return (count.value += by)
    },
    read: () => count.value,
    async fail(by: number) {
      count.value += by
      await Promise.resolve()
      count.value += by
      throw Object.assign(new RangeError('no'), { data: { by } })
    },
    clear: () => self.clear(),
    key: () => self.key,
  }
})

describe('calls', () => {
  it('give result and change', async () => {
    const { call } = await active(Counter)
    expect(await call('add', 2)).toEqual({ result: 2, changed: true, state: 2 })
    expect(await call('read')).toEqual({ result: 2, changed: false })
    expect(await call('key')).toEqual({ result: 'k', changed: false })
  })

  it('start from the stored state, and delete it', async () => {
    const { call } = await active(Counter, { state: encode(7) })
    expect(await call('add', 1)).toEqual({ result: 8, changed: true, state: 8 })
    expect(await call('clear')).toEqual({ result: undefined, changed: true, state: undefined })
    expect(await call('read')).toEqual({ result: 0, changed: false })
    expect(await call('clear')).toEqual({ result: undefined, changed: false })
  })

  it('that throw change nothing', async () => {
    const { call } = await active(Counter, { state: encode(7) })
    const { fault } = await call('fail', 1)
    expect(fault).toEqual({ code: 'grain-threw', name: 'RangeError', message: 'no', data: { by: 1 } })
    expect(await call('read')).toEqual({ result: 7, changed: false })
    expect(await call('add', 1)).toMatchObject({ state: 8 })
  })

  it.each(['nothing', 'constructor', 'toString', '__proto__', 'hasOwnProperty', 'then'])(
    'of %s are unknown',
    async (method) => {
      const { call } = await active(Counter)
      expect((await call(method)).fault?.code).toBe('unknown-method')
    },
  )

  it('with bytes that are no arguments are refused', async () => {
    const { activation } = await active(Counter)
    for (const bytes of [encode(5), Uint8Array.of(77), new Uint8Array(0)]) {
      expect(seen(await activation.invoke('read', bytes)).fault?.code).toBe('invalid-arguments')
    }
  })

  it('whose result cannot be carried change nothing', async () => {
    const kind = defineGrain('bad', (self) => {
      const count = self.state(0)
      return {
        give: () => ((count.value = 1), { save: () => {} }),
        large: () => ((count.value = 1), 'x'.repeat(100)),
        read: () => count.value,
      }
    })
    const { call } = await active(kind, {}, { limits: { stateBytes: 100, resultBytes: 100 } })
    expect((await call('give')).fault).toEqual({
      code: 'invalid-result',
      message: expect.stringMatching(/^result\.save is a function\. Give plain data: .* arrays\.$/),
    })
    expect((await call('large')).fault?.code).toBe('too-large')
    expect(await call('read')).toEqual({ result: 0, changed: false })
  })

  it('run the methods of a class, with its `this`', async () => {
    class Door {
      #open = false
      toggle() {
        return (this.#open = !this.#open)
      }
    }
    const { call } = await active(defineGrain('door', () => new Door()))
    expect(await call('toggle')).toEqual({ result: true, changed: false })
    expect((await call('constructor')).fault?.code).toBe('unknown-method')
  })
})

describe('setup', () => {
  /* oxlint-disable no-thenable */
  it.each<[string, () => unknown]>([
    ['no object of methods', () => undefined],
    ['methods are all it may return', () => ({ count: 1 })],
    ['awaiting a grain would call', () => ({ ['then']: () => 1 })],
    ['a member named `then`', () => ({ ['then']: 1 })],
    ['setup is not async', async () => ({})],
  ])('is refused: %s', async (message, setup) => {
    const { activation, call } = host(defineGrain('bad', setup as () => object))
    const { fault } = seen(await activation.activate())
    expect(fault?.message).toContain(message)
    expect(activation.isOver).toBe(true)
    expect((await call('run')).fault?.code).toBe('aborted')
  })

  it.each<[string, (state: State<number>, self: Parameters<typeof Counter.setup>[0]) => unknown]>([
    ['a second state', (_state, self) => self.state(1)],
    ['a change', (state) => (state.value = 1)],
    ['a deletion', (_state, self) => self.clear()],
  ])('is refused %s', async (_name, use) => {
    const kind = defineGrain('bad', (self) => {
      use(self.state(0), self)
      return {}
    })
    expect(seen(await host(kind).activation.activate()).fault?.code).toBe('invalid-state')
  })

  it('is refused a method with a name of our own', async () => {
    const kind = defineGrain('bad', () => ({ ['$tick']: () => 1 }) as object)
    expect(seen(await host(kind).activation.activate()).fault?.message).toContain('$tick')
  })

  it.each([
    [
      'a method that every object has',
      () => ({ toString: () => 'me' }),
      {},
      /`toString`, which every object has/,
    ],
    ['a method that JSON asks for', () => ({ toJSON: () => 1 }), {}, /`toJSON`, which every object has/],
    ['a field', () => ({ count: 1 }), {}, /`count`, which is no function.*`#count`/],
    [
      'a schema for a method that it has not',
      () => ({ a: () => 1 }),
      { schemas: { aa: {} } },
      /no method `aa`/,
    ],
  ])('is refused %s', async (_, setup, options, message) => {
    const kind = defineGrain('bad', setup as () => object, options as object)
    expect(seen(await host(kind).activation.activate()).fault?.message).toMatch(message)
  })

  it('tells its host of all that was thrown, with the stack, and runs all of onDeactivate', async () => {
    const thrown: [string, unknown][] = []
    const ran: string[] = []
    const kind = defineGrain('hooks', (self) => {
      const count = self.state(0)
      self.onDeactivate(() => ran.push('first'))
      for (const name of ['b', 'c'])
        self.onDeactivate(() => {
          count.value++
          throw new Error(name)
        })
      return {
        fail: () => {
          throw new Error('a')
        },
      }
    })
    const { activation, call } = await active(kind, {}, { onThrew: (...one) => void thrown.push(one) })
    await call('fail')
    await call('none')
    expect(seen(await activation.deactivate()).fault?.message).toBe('c')
    expect(ran).toEqual(['first'])
    expect(thrown.map(([method, error]) => [method, (error as Error).message]).toSorted()).toEqual([
      ['fail', 'a'],
      ['onDeactivate', 'b'],
      ['onDeactivate', 'c'],
    ])
    expect((thrown[0]![1] as Error).stack).toContain('activation.test.ts')
  })

  it.each<[string, (self: GrainContext) => unknown, RegExp]>([
    ['every', (self) => self.every(10, undefined as never), /self\.every takes a function, not undefined/],
    [
      'the ms of every',
      (self) => self.every('10' as never, () => 1),
      /self\.every takes a number: .* not "10"/,
    ],
    ['onActivate', (self) => self.onActivate('x' as never), /self\.onActivate takes a function, not "x"/],
    ['onDeactivate', (self) => self.onDeactivate(5 as never), /self\.onDeactivate takes a function, not 5/],
    ['merge', (self) => self.state(0, { merge: {} as never }), /merge .* takes a function, not object/],
    ['update', (self) => self.state(0).update(null as never), /update takes a function, not null/],
  ])('says where what is no function was given: to %s', async (_what, use, message) => {
    const kind = defineGrain('wrong', (self) => {
      use(self)
      return {}
    })
    const { fault } = seen(await host(kind).activation.activate())
    expect(fault).toMatchObject({ code: 'grain-threw', data: { code: 'invalid-value' } })
    expect(fault?.message).toMatch(message)
  })

  it('refuses onActivate where nothing would run it any more, and takes it where it is activating', async () => {
    const ran: string[] = []
    const { call } = await active(
      defineGrain('late', (self) => {
        self.onActivate(() => self.onActivate(() => ran.push('second')))
        return { late: () => self.onActivate(() => ran.push('late')) }
      }),
    )
    expect(ran).toEqual(['second'])
    expect((await call('late')).fault?.message).toMatch(/call `self\.onActivate` in its setup/)
  })

  it('runs onActivate in order, and onDeactivate backwards, and may change the state in both', async () => {
    const order: string[] = []
    const kind = defineGrain('hooks', (self) => {
      const count = self.state(0)
      self.onActivate(async () => {
        await Promise.resolve()
        order.push('a')
        count.value += 1
      })
      self.onActivate(() => order.push('b'))
      self.onDeactivate(() => order.push('c'))
      self.onDeactivate(async () => {
        await Promise.resolve()
        order.push('d')
        count.value += 1
      })
      return {}
    })
    const { activation } = host(kind)
    expect(seen(await activation.activate())).toMatchObject({ changed: true, state: 1 })
    expect(seen(await activation.deactivate())).toMatchObject({ changed: true, state: 2 })
    expect(order).toEqual(['a', 'b', 'd', 'c'])
    expect(activation.isOver).toBe(true)
  })

  it('fails where the state is lost, unless the grain may start anew', async () => {
    expect(seen(await host(Counter, { lost: true }).activation.activate()).fault?.code).toBe('state-missing')
    const anew = defineGrain('anew', (self) => {
      const count = self.state(5, { onLost: 'initial' })
      return { read: () => count.value }
    })
    expect(await (await active(anew, { lost: true })).call('read')).toMatchObject({ result: 5 })
  })

  it('fails where the stored bytes are no state', async () => {
    const { activation } = host(Counter, { state: Uint8Array.of(9, 9) })
    expect(seen(await activation.activate()).fault?.code).toBe('invalid-state')
  })

  it('keeps both sides where merge gives nothing', async () => {
    const kind = defineGrain('merged', (self) => {
      const list = self.state<string[]>([], { merge: () => undefined as never })
      return { read: () => list.value }
    })
    const { activation } = host(kind, { state: encode(['a']), others: [encode(['b'])] })
    const outcome = await activation.activate()
    expect(outcome.ok).toBe(false)
    expect(activation.running).toBe(0)
  })

  it('merges what two sides made', async () => {
    const kind = defineGrain('merged', (self) => {
      const list = self.state<string[]>([], { merge: (kept, other) => [...kept, ...other] })
      return { read: () => list.value }
    })
    const { activation } = host(kind, { state: encode(['a']), others: [encode(['b']), encode(['c'])] })
    expect(seen(await activation.activate())).toMatchObject({ changed: true, state: ['a', 'b', 'c'] })
    expect(activation.hasMerge).toBe(true)
  })
})

describe('overlapping calls', () => {
  const gates = { outer: gate(), inner: gate() }
  const kind = defineGrain(
    'overlap',
    (self) => {
      const log = self.state<string[]>([])
      const add = (item: string) => log.update((draft) => void draft.push(item))
      return {
        async wait(name: 'outer' | 'inner', fails: boolean) {
          add(name)
          await gates[name].promise
          if (fails) throw new Error(name)
        },
        read: () => log.value,
      }
    },
    { concurrency: 2 },
  )

  it('put nothing back while another runs, and all when none does', async () => {
    Object.assign(gates, { outer: gate(), inner: gate() })
    const { call, activation } = await active(kind)
    const outer = call('wait', 'outer', true)
    const inner = call('wait', 'inner', true)
    expect(activation.running).toBe(2)
    gates.inner.open()
    expect((await inner).fault?.message).toBe('inner')
    gates.outer.open()
    await outer
    expect(await call('read')).toEqual({ result: [], changed: false })
  })

  it('take along what was changed until they end well', async () => {
    Object.assign(gates, { outer: gate(), inner: gate() })
    const { call } = await active(kind)
    const outer = call('wait', 'outer', true)
    const inner = call('wait', 'inner', false)
    gates.inner.open()
    expect(await inner).toMatchObject({ changed: true, state: ['outer', 'inner'] })
    gates.outer.open()
    expect((await outer).fault?.message).toBe('outer')
    expect(await call('read')).toEqual({ result: ['outer', 'inner'], changed: false })
  })
})

describe('schemas', () => {
  const number: StandardSchema<number> = {
    '~standard': {
      version: 1,
      vendor: 'test',
      validate: async (value) =>
        typeof value === 'number'
          ? { value: value + 0.5 }
          : { issues: [{ message: 'No number', path: ['x', 0, { key: 'y' }] }] },
    },
  }
  const handler = vi.fn((by: number) => by as unknown)
  const kind = defineGrain('checked', () => ({ add: (by: number) => handler(by) as number }), {
    schemas: { add: { args: [number], result: number } },
  })

  it('check what comes in and goes out, and may change it', async () => {
    const { call } = await active(kind)
    expect(await call('add', 1)).toMatchObject({ result: 2 })
    handler.mockClear()
    expect((await call('add', '1')).fault).toEqual({
      code: 'invalid-arguments',
      message: 'args[0].x[0].y: No number',
      issues: [{ path: 'args[0].x[0].y', message: 'No number' }],
    })
    expect((await call('add', 1, 2)).fault?.issues).toEqual([
      { path: 'args[1]', message: 'At most 1 arguments are taken' },
    ])
    expect(handler).not.toHaveBeenCalled()
    handler.mockReturnValueOnce('text')
    expect((await call('add', 1)).fault).toMatchObject({
      code: 'invalid-result',
      issues: [{ path: 'result.x[0].y' }],
    })
  })
})

describe('the end', () => {
  it('aborts what runs, and takes nothing of it', async () => {
    const opened = gate()
    let late: (() => void) | undefined
    const kind = defineGrain('long', (self) => {
      const count = self.state(0)
      return {
        async run() {
          await opened.promise
          late = () => (count.value = 5)
          late()
        },
        wait: () =>
          new Promise<string>((resolve) => {
            self.signal.addEventListener('abort', () => resolve('aborted'))
          }),
      }
    })
    const { activation, call } = await active(kind)
    const [run, wait] = [call('run'), call('wait')]
    activation.abort('its lease ended')
    opened.open()
    expect((await run).fault?.code).toBe('aborted')
    expect((await wait).fault?.code).toBe('aborted')
    expect(late).toThrow(/over/)
    expect((await call('run')).fault?.code).toBe('aborted')
  })

  it('has aborted the signal, whoever asks for it only then', async () => {
    let context: GrainContext | undefined
    const { activation } = await active(defineGrain('late', (self) => ((context = self), {})))
    activation.abort('its lease ended')
    expect(context!.signal.aborted).toBe(true)
    expect(String(context!.signal.reason)).toMatch(/its lease ended/)
  })

  it('knows of several that run at once which is the newest, in whatever order they end', async () => {
    const gates = [gate(), gate(), gate()]
    const Other = defineGrain('other', () => ({ ask: () => 'x' }))
    const kind = defineGrain(
      'three',
      (self) => ({
        async wait(which: number) {
          await gates[which]!.promise
          return self.grain(Other, 'x').ask()
        },
      }),
      { concurrency: 1, reentrant: true },
    )
    const { activation, parents } = await active(kind)
    const runs = [0, 1, 2].map((i) => activation.invoke('wait', encode([i]), `token ${i}`))
    for (const i of [1, 2, 0]) {
      gates[i]!.open()
      await runs[i]
    }
    expect(activation.running).toBe(0)
    expect(parents).toEqual(['token 2', 'token 2', 'token 0'])
  })

  it('refuses a change that no handler makes', async () => {
    let count: State<number> | undefined
    const { call } = await active(
      defineGrain('leaky', (self) => {
        count = self.state(0)
        return { read: () => count!.value }
      }),
    )
    expect(() => (count!.value = 1)).toThrow(/while no handler runs/)
    expect(() => count!.update(() => 1)).toThrow(/while no handler runs/)
    expect(await call('read')).toEqual({ result: 0, changed: false })
  })
})

describe('timers', () => {
  const kind = defineGrain('timed', (self) => {
    const count = self.state(0)
    const stop = self.every(100, () => {
      count.value += 1
      if (count.value === 3) throw new Error('three')
    })
    return { stop: () => stop(), bad: () => void self.every(0, () => {}) }
  })

  it('are due in time, wait for their turn, and end', async () => {
    const { activation, clock, due, call } = await active(kind)
    clock.advance(350)
    expect(due).toEqual([1])
    expect(seen(await activation.tick(1))).toMatchObject({ changed: true, state: 1 })
    clock.advance(50)
    expect(due).toEqual([1, 1])
    await activation.tick(1)
    clock.advance(100)
    expect(seen(await activation.tick(1)).fault?.message).toBe('three')
    clock.advance(100)
    expect(due).toHaveLength(4)
    expect((await call('bad')).fault?.message).toContain('1 ms at least')
    await call('stop')
    expect(clock.pending).toBe(0)
    expect(seen(await activation.tick(1))).toEqual({ result: undefined, changed: false })
  })

  it('ask again after a turn that does not come', async () => {
    const { activation, clock, due } = await active(kind)
    clock.advance(200)
    expect(due).toEqual([1])
    activation.skip(1)
    clock.advance(100)
    expect(due).toEqual([1, 1])
    activation.skip(7)
  })

  it('end with the activation', async () => {
    const { activation, clock } = await active(kind)
    expect(clock.pending).toBe(1)
    activation.abort('gone')
    expect(clock.pending).toBe(0)
  })
})

describe('calls of others', () => {
  it('tell the call that they belong to', async () => {
    const kind = defineGrain('asker', (self) => {
      const other = self.grain(Counter, 'x') as unknown as { ask(): Promise<string> }
      return {
        run: async () => {
          await Promise.resolve()
          return other.ask()
        },
      }
    })
    const { activation, parents } = await active(kind)
    const outcome = await activation.invoke('run', encode([]), 'call-1')
    expect(seen(outcome)).toMatchObject({ result: 'x' })
    expect(parents).toEqual(['call-1'])
  })
})

describe('what could not be stored', () => {
  it('is taken back', async () => {
    const { activation, call } = await active(Counter, { state: encode(7) })
    await call('add', 1)
    activation.restore(encode(7))
    expect(activation.isChanged).toBe(false)
    expect(await call('read')).toEqual({ result: 7, changed: false })
    expect(await call('add', 1)).toMatchObject({ state: 8 })
    activation.restore(undefined)
    expect(await call('read')).toEqual({ result: 0, changed: false })
    await call('fail', 1)
    expect(await call('read')).toEqual({ result: 0, changed: false })
    expect(await call('add', 1)).toMatchObject({ changed: true, state: 1 })
  })

  it('is taken back from those that still run', async () => {
    const waiting = gate()
    const kind = defineGrain(
      'slow',
      (self) => {
        const count = self.state(() => 0)
        return {
          add: () => (count.value += 1),
          async slow() {
            count.value += 10
            await waiting.promise
            return (count.value += 10)
          },
          read: () => count.value,
        }
      },
      { concurrency: 4 },
    )
    const { activation, call } = await active(kind)
    const slow = call('slow')
    expect(activation.isChanged).toBe(true)
    expect(await call('add')).toMatchObject({ state: 11 })
    activation.restore(undefined)
    waiting.open()
    expect((await slow).fault?.code).toBe('aborted')
    expect(await call('read')).toEqual({ result: 0, changed: false })
    expect(await call('add')).toMatchObject({ state: 1 })
  })

  it('runs nothing of the user: an initial state that cannot be made fails whoever reads it', async () => {
    let isBroken = false
    const kind = defineGrain('initial', (self) => {
      const count = self.state(() => {
        if (isBroken) throw new Error('no initial state')
        return 0
      })
      return { add: () => (count.value += 1), read: () => count.value }
    })
    const { activation, call } = await active(kind)
    await call('add')
    isBroken = true
    activation.restore(undefined)
    expect((await call('read')).fault?.message).toBe('no initial state')
    isBroken = false
    expect(await call('read')).toEqual({ result: 0, changed: false })
  })
})
