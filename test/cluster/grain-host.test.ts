/** Grains from end to end, but for links: users' code, the typed proxies that call it, and a real core between. */
import { describe, expect, it } from 'vitest'
import { HeldPartition } from '../../src/core/grain/held-partition.ts'
import { parsePartition, partitionOf } from '../../src/core/partition/partition.ts'
import type { ClusterError } from '../../src/errors.ts'
import { valueCodec } from '../../src/grains/codec.ts'
import { defineGrain, grainRef } from '../../src/grains/define.ts'
import type { GrainKind, StandardSchema } from '../../src/grains/types.ts'
import type { HostOptions, Tab } from './host-room.ts'
import { HostRoom, errorOf } from './host-room.ts'

/** Tabs that all host these kinds, and know of each other. */
async function roomOf(
  size: number,
  kinds: readonly GrainKind[],
  options?: HostOptions,
  seed = 1,
): Promise<{ room: HostRoom; tabs: readonly Tab[]; tab: Tab }> {
  const room = new HostRoom(seed)
  const tabs = Array.from({ length: size }, () => room.join(kinds, options))
  await room.until('known to all', () =>
    tabs.every(({ process }) => kinds.every(({ name }) => process.grains.council.knows(name))),
  )
  return { room, tabs, tab: tabs[0]! }
}

const Counter = defineGrain('counter', (self) => {
  const count = self.state(0)
  return {
    add: (by: number) => (count.value += by),
    read: () => count.value,
    clear: () => self.clear(),
    fail(by: number): void {
      count.value += by
      throw Object.assign(new RangeError('no'), { data: { by } })
    },
  }
})

describe('a call', () => {
  it('gives what its method gives, from any tab', async () => {
    const { room, tabs } = await roomOf(3, [Counter])
    const [a, b, c] = tabs.map(({ host }) => host.grain(Counter, 'likes'))
    expect(await room.settled(a!.add(2))).toBe(2)
    expect(await room.settled(b!.add(3))).toBe(5)
    const counter = c!
    expect(await room.settled(counter.read())).toBe(5)
    expect(counter.read).toBe(counter.read)
  })
})

describe('what another side of a partition has', () => {
  const Log = defineGrain('log', (self) => {
    const log = self.state<readonly string[]>([], {
      merge(kept, other) {
        if (other.includes('broken')) throw new TypeError('cannot merge')
        return [...new Set([...kept, ...other])]
      },
    })
    return { add: (text: string) => void (log.value = [...log.value, text]), read: () => log.value }
  })
  const Plain = defineGrain('plain', (self) => {
    const text = self.state('')
    return { set: (to: string) => void (text.value = to), read: () => text.value }
  })

  /** As of a council that was founded apart. */
  function comes(room: HostRoom, { process }: Tab, kind: GrainKind, key: string, state: unknown): void {
    const copy = new HeldPartition(1)
    const bytes = valueCodec.encode(state, 'state')
    copy.apply(1, key, { state: bytes, records: [], drops: [] })
    process.grains.holdings.strays.keep(partitionOf(kind.name, key), copy, undefined, room.room.now())
    room.room.input(process, () => process.grains.tick(room.room.now()))
  }

  it('is merged into the state, before any call sees that', async () => {
    const { room, tabs, tab } = await roomOf(3, [Log])
    const log = tab.host.grain(Log, 'k')
    await room.settled(log.add('a'))
    comes(room, tabs[1]!, Log, 'k', ['b'])
    comes(room, tabs[1]!, Log, 'new', ['c'])
    await room.run(1_000)
    expect(await room.settled(log.read())).toEqual(['a', 'b'])
    await room.settled(log.add('d'))
    expect(await room.settled(tabs[2]!.host.grain(Log, 'new').read())).toEqual(['c'])
    // and is stored
    await room.run(8_000)
    const { slot } = parsePartition(partitionOf('log', 'k'))!
    const { owner } = tab.process.grains.council.entry('log', slot)!
    room.room.end(tabs.find(({ process }) => process.id === owner)!.process, true)
    const left = tabs.find(({ process }) => process.isAlive)!
    expect(await room.settled(left.host.grain(Log, 'k').read())).toEqual(['a', 'b', 'd'])
  })

  it('is kept where `merge` throws: calls fail, as with a setup that does', async () => {
    const { room, tab } = await roomOf(1, [Log])
    const log = tab.host.grain(Log, 'k')
    await room.settled(log.add('a'))
    comes(room, tab, Log, 'k', ['broken'])
    await room.run(1_000)
    for (const _ of [1, 2]) {
      const error = await errorOf(room.settled(log.read()))
      expect(error).toMatchObject({ code: 'activation-failed', cause: { message: 'cannot merge' } })
    }
    const kept = tab.process.grains.holdings.copyOf(partitionOf('log', 'k'))!.contentsOf('k')!
    expect(valueCodec.decode(kept.others![0]!.state!, 'state')).toEqual(['broken'])
  })

  it('is given up where nothing merges it, and users are told its value', async () => {
    const { room, tab } = await roomOf(1, [Plain])
    const plain = tab.host.grain(Plain, 'k')
    await room.settled(plain.set('mine'))
    comes(room, tab, Plain, 'k', 'yours')
    await room.run(1_000)
    expect(await room.settled(plain.read())).toBe('mine')
    const { others } = tab.process.grains.holdings.copyOf(partitionOf('plain', 'k'))!.contentsOf('k')!
    expect(others).toHaveLength(1)
    expect(others![0]).not.toHaveProperty('state')
    const event = { type: 'state-conflict', at: 0, kind: 'plain', key: 'k' } as const
    const other = valueCodec.encode('yours', 'state')
    expect(tab.host.readable({ ...event, other })).toEqual({ ...event, other: 'yours' })
    const unreadable = { ...event, other: Uint8Array.of(9, 9) }
    expect(tab.host.readable(unreadable)).toBe(unreadable)
  })
})

describe('what a handler does', () => {
  it('is undone where it throws, and its error is the cause', async () => {
    const { room, tab } = await roomOf(1, [Counter])
    const counter = tab.host.grain(Counter, 'likes')
    await room.settled(counter.add(1))
    const error = await errorOf(room.settled(counter.fail(5)))
    expect(error).toMatchObject({
      name: 'ClusterError',
      code: 'grain-threw',
      kind: 'counter',
      key: 'likes',
      method: 'fail',
      attempts: 1,
      mayHaveRun: true,
      cause: { name: 'RangeError', message: 'no', data: { by: 5 } },
    })
    expect(await room.settled(counter.read())).toBe(1)
  })

  it('outlives its host, by hand-over and by loss', async () => {
    const { room, tabs } = await roomOf(4, [Counter])
    await room.run(8_000)
    const caller = tabs[0]!
    const counter = caller.host.grain(Counter, 'likes')
    for (const by of [1, 2]) {
      await room.settled(counter.add(by))
      const host = room.hostsOf('counter', 'likes')[0]!
      if (host === caller) break
      room.room.end(host.process, by === 2)
      await room.run(100)
    }
    expect(await room.settled(counter.read())).toBeGreaterThan(0)
    expect(await room.settled(counter.add(10))).toBeGreaterThan(10)
  })

  it('is lost with its last holders: then its grain fails, unless it may start anew', async () => {
    const Anew = defineGrain('anew', (self) => {
      const count = self.state(5, { onLost: 'initial' })
      return { add: (by: number) => (count.value += by) }
    })
    const Stateless = defineGrain('stateless', () => ({ run: () => 1 }))
    const { room, tabs } = await roomOf(5, [Counter, Anew, Stateless])
    const tab = tabs[4]!
    await room.run(8_000)
    const isHeldHere = (kind: string, key: string): boolean => {
      const { slot } = parsePartition(partitionOf(kind, key))!
      return tab.process.grains.council.entry(kind, slot)!.inSync.includes(tab.process.id)
    }
    const lostKeyOf = (kind: string): string =>
      Array.from({ length: 100 }, (_, i) => `k${i}`).find((key) => !isHeldHere(kind, key))!
    const counter = tab.host.grain(Counter, lostKeyOf('counter'), { deadlineMs: 60_000 })
    const anew = tab.host.grain(Anew, lostKeyOf('anew'), { deadlineMs: 60_000 })
    const stateless = tab.host.grain(Stateless, lostKeyOf('stateless'), { deadlineMs: 60_000 })
    await room.settled(Promise.all([counter.add(1), anew.add(1), stateless.run()]))
    for (const { process } of tabs.slice(0, 4)) room.room.end(process, true)
    for (const _ of [1, 2]) {
      const error = await errorOf(room.settled(counter.add(1), 60_000))
      expect(error.code).toBe('state-missing')
      expect(error.message).toMatch(/^counter\/k\d+\.add: All holders/)
    }
    expect(await room.settled(anew.add(1))).toBe(6)
    expect(await room.settled(stateless.run())).toBe(1)
  })

  it('deletes its state by clear()', async () => {
    const { room, tab } = await roomOf(1, [Counter])
    const counter = tab.host.grain(Counter, 'likes')
    await room.settled(counter.add(3))
    await room.settled(counter.clear())
    expect(await room.settled(counter.read())).toBe(0)
    const states = tab.fed.flatMap((input) =>
      input.type === 'grain-invoked' && input.invoked.type === 'ok' ? [input.invoked.state] : [],
    )
    expect(states).toEqual([valueCodec.encode(3, 'x'), null, undefined])
  })

  it.each<[string, () => unknown, RegExp]>([
    ['nothing of use', () => Promise.reject(), /undefined/],
    ['a text', () => Promise.reject('out'), /out/],
    [
      'what cannot be read',
      () => {
        throw Object.defineProperty(new Error(), 'message', {
          get: () => Reflect.get(undefined as unknown as object, 'x'),
        })
      },
      /cannot be read/,
    ],
    ['a function as result', () => () => 1, /result is a function/],
  ])('may fail with %s', async (_name, run, message) => {
    const Bad = defineGrain('bad', () => ({ run }))
    const { room, tab } = await roomOf(1, [Bad])
    const error = await errorOf(room.settled(tab.host.grain(Bad, 'k').run()))
    expect(['grain-threw', 'invalid-result']).toContain(error.code)
    expect(error.message).toMatch(message)
  })

  it('goes with the first result where onActivate did it, and with none that fails', async () => {
    const Born = defineGrain('born', (self) => {
      const born = self.state({ times: 0 })
      self.onActivate(() => born.update((draft) => void draft.times++))
      return {
        fail(): void {
          throw new Error('no')
        },
        read: () => born.value.times,
      }
    })
    const { room, tab } = await roomOf(1, [Born])
    const grain = tab.host.grain(Born, 'k')
    await errorOf(room.settled(grain.fail()))
    expect(await room.settled(grain.read())).toBe(1)
    const told = tab.fed.filter(({ type }) => type === 'grain-invoked')
    expect(told).toMatchObject([{ invoked: { type: 'error' } }, { invoked: { type: 'ok' } }])
    expect(told[1]).toMatchObject({ invoked: { state: valueCodec.encode({ times: 1 }, 'x') } })
  })

  it('fails the call where the setup throws, and is tried again at the next', async () => {
    let isBroken = true
    const Fragile = defineGrain('fragile', () => {
      if (isBroken) throw new TypeError('not yet')
      return { run: () => 1 }
    })
    const { room, tab } = await roomOf(1, [Fragile])
    const grain = tab.host.grain(Fragile, 'k')
    const error = await errorOf(room.settled(grain.run()))
    expect(error).toMatchObject({
      code: 'activation-failed',
      cause: { name: 'TypeError', message: 'not yet' },
    })
    expect(tab.host.activations).toBe(0)
    isBroken = false
    expect(await room.settled(grain.run())).toBe(1)
  })
})

describe('values', () => {
  it('of all kinds arrive as they are', async () => {
    const Echo = defineGrain('echo', (self) => {
      const kept = self.state<unknown>(null)
      return {
        keep: (value: unknown) => void (kept.value = value),
        read: () => kept.value,
        back: (...values: unknown[]) => values,
      }
    })
    const { room, tab } = await roomOf(1, [Echo])
    const echo = tab.host.grain(Echo, 'k')
    const value = {
      date: new Date(5),
      map: new Map<unknown, unknown>([[{ a: 1 }, new Set([1, undefined])]]),
      bytes: new Float64Array([1, 2]),
      big: 2n ** 70n,
      nothing: undefined,
    }
    expect(await room.settled(echo.back(value, undefined))).toEqual([value, undefined])
    await room.settled(echo.keep(value))
    expect(await room.settled(echo.read())).toEqual(value)
  })

  it('that cannot be carried are refused here, with their place', async () => {
    const { room, tab } = await roomOf(1, [Counter])
    const counter = tab.host.grain(Counter, 'k')
    const fn = { deep: [() => 1] } as unknown as number
    const error = await errorOf(room.settled(counter.add(fn)))
    expect(error).toMatchObject({ code: 'invalid-arguments', attempts: 0, mayHaveRun: false })
    expect(error.message).toContain('args[0].deep[0] is a function')
    expect(tab.fed).toEqual([])
  })

  it('are taken as they were when the call was made', async () => {
    const Lists = defineGrain('lists', () => ({ size: (list: number[]) => list.length }))
    const { room, tab } = await roomOf(1, [Lists])
    const list = [1]
    const size = tab.host.grain(Lists, 'k').size(list)
    list.push(2)
    expect(await room.settled(size)).toBe(1)
  })

  it('have limits', async () => {
    const Large = defineGrain('large', (self) => {
      const text = self.state('')
      return {
        take: (given: string) => given.length,
        give: (length: number) => {
          text.value = 'given'
          return 'x'.repeat(length)
        },
        keep: (length: number) => void (text.value = 'x'.repeat(length)),
        read: () => text.value,
      }
    })
    const { room, tab } = await roomOf(1, [Large], { limits: { stateBytes: 100, resultBytes: 200 } })
    const large = tab.host.grain(Large, 'k')
    const tooMuch = await errorOf(room.settled(large.take('x'.repeat(1_100_000))))
    expect(tooMuch).toMatchObject({ code: 'too-large', attempts: 0, mayHaveRun: false })
    expect(tooMuch.message).toContain('1100005 bytes')
    expect((await errorOf(room.settled(large.give(1_000)))).code).toBe('too-large')
    expect((await errorOf(room.settled(large.keep(1_000)))).code).toBe('state-limit')
    expect(await room.settled(large.read())).toBe('')
  })

  it('over the limit of the core are undone', async () => {
    const Large = defineGrain('large', (self) => {
      const count = self.state(0)
      return {
        give: () => {
          count.value++
          return 'x'.repeat(1_500_000)
        },
        read: () => count.value,
      }
    })
    const limits = { stateBytes: 1e9, resultBytes: 1e9 }
    const { room, tab } = await roomOf(1, [Large], { limits })
    const large = tab.host.grain(Large, 'k')
    expect(await room.settled(large.read())).toBe(0)
    const error = await errorOf(room.settled(large.give()))
    expect(error).toMatchObject({ code: 'too-large', mayHaveRun: true })
    expect(error.message).toContain('the result')
    expect(await room.settled(large.read())).toBe(0)
  })
})

describe('grains that call grains', () => {
  const Chain = defineGrain('chain', (self) => {
    const seen = self.state<string[]>([])
    const next = (key: string) => self.grain(grainRef<typeof Chain>('chain'), key)
    return {
      note: (text: string): number => {
        seen.update((list) => void list.push(text))
        return seen.value.length
      },
      async forward(to: readonly string[]): Promise<string> {
        const [first, ...rest] = to
        if (first === undefined) return self.key
        return `${self.key}>${await next(first).forward(rest)}`
      },
      async noteTwice(to: string): Promise<number> {
        await next(to).note('one')
        return next(to).note('two')
      },
      async dirty(to: string): Promise<string> {
        seen.value = ['dirty']
        return next(to).forward([])
      },
      read: (): readonly string[] => seen.value,
    }
  })
  const Loop: GrainKind<'chain', ReturnType<(typeof Chain)['setup']>> = defineGrain('chain', Chain.setup, {
    reentrant: true,
  })

  it('get their results, each once and in order', async () => {
    const { room, tabs } = await roomOf(3, [Chain])
    const a = tabs[0]!.host.grain(Chain, 'a')
    expect(await room.settled(a.forward(['b', 'c', 'd']))).toBe('a>b>c>d')
    expect(await room.settled(a.noteTwice('b'))).toBe(2)
    expect(await room.settled(tabs[1]!.host.grain(Chain, 'b').read())).toEqual(['one', 'two'])
  })

  it('do not wait for themselves for ever', async () => {
    const { room, tab } = await roomOf(2, [Chain])
    const error = await errorOf(room.settled(tab.host.grain(Chain, 'a').forward(['b', 'a'])))
    // it passes through the handlers of b and a
    expect(error.code).toBe('grain-threw')
    expect(error.cause).toMatchObject({ name: 'ClusterError', data: { code: 'grain-threw' } })
    expect(error.message).toContain('comes from this grain itself')
  })

  it('may come back to a reentrant one, unless that has changed its state', async () => {
    const { room, tab } = await roomOf(2, [Loop])
    const a = tab.host.grain(Loop, 'a')
    expect(await room.settled(a.forward(['b', 'a', 'b']))).toBe('a>b>a>b')
    const error = await errorOf(room.settled(a.dirty('a')))
    expect(error.cause).toMatchObject({ data: { code: 'deadlock' } })
    expect(await room.settled(a.read())).toEqual([])
  })

  it('do not call once their right has ended', async () => {
    let go = (): void => {}
    const calls: Promise<unknown>[] = []
    const Slow = defineGrain('slow', (self) => ({
      async run(): Promise<void> {
        await new Promise<void>((resolve) => (go = resolve))
        const call = self.grain(grainRef<typeof Slow>('slow'), 'other').run()
        calls.push(call)
        await call
      },
    }))
    const { room, tab } = await roomOf(1, [Slow])
    const run = tab.host.grain(Slow, 'k').run()
    await room.until('it runs', () => tab.fed.some(({ type }) => type === 'grain-activated'))
    await room.run(20)
    tab.host.restart()
    go()
    expect(await errorOf(run)).toMatchObject({ code: 'aborted', mayHaveRun: true, attempts: 1 })
    await room.until('it calls', () => calls.length > 0)
    expect((await errorOf(calls[0]!)).code).toBe('aborted')
    expect(tab.host.calls).toBe(0)
  })
})

describe('timers', () => {
  it('run as calls of their own, whose changes are kept', async () => {
    const Clock = defineGrain('clock', (self) => {
      const ticks = self.state(0)
      let stop = (): void => {}
      return {
        start: (ms: number) => void (stop = self.every(ms, () => void ticks.value++)),
        stop: () => stop(),
        read: () => ticks.value,
      }
    })
    const { room, tab } = await roomOf(1, [Clock])
    const clock = tab.host.grain(Clock, 'k')
    await room.settled(clock.start(100))
    await room.run(1_050)
    const ticks = await room.settled(clock.read())
    expect(ticks).toBeGreaterThanOrEqual(9)
    expect(ticks).toBeLessThanOrEqual(11)
    expect(tab.fed).toContainEqual(
      expect.objectContaining({ invoked: expect.objectContaining({ state: valueCodec.encode(5, 'x') }) }),
    )
    await room.settled(clock.stop())
    const rest = await room.settled(clock.read())
    await room.run(500)
    expect(await room.settled(clock.read())).toBe(rest)
  })

  it('go on after a turn that threw, which is told', async () => {
    const Clock = defineGrain('clock', (self) => {
      const ticks = self.state(0)
      self.every(100, () => {
        ticks.value++
        if (ticks.value === 2) throw new Error('two')
      })
      return { read: () => ticks.value }
    })
    const { room, tab } = await roomOf(1, [Clock])
    const clock = tab.host.grain(Clock, 'k')
    expect(await room.settled(clock.read())).toBe(0)
    await room.run(1_000)
    expect(await room.settled(clock.read())).toBe(1)
    expect(tab.threw.length).toBeGreaterThan(5)
    expect(tab.threw[0]).toMatchObject({ kind: 'clock', key: 'k', method: 'every', count: 1 })
    expect((tab.threw[0]!.error as Error).stack).toMatch(/two[^]*grain-host\.test\.ts/)
  })

  it('of which a turn leaves too large a state are told of once', async () => {
    const Clock = defineGrain('clock', (self) => {
      const text = self.state('', {})
      self.every(100, () => {
        text.value = 'x'.repeat(2 * 1024 * 1024)
      })
      return { read: () => text.value.length }
    })
    const { room, tab } = await roomOf(1, [Clock])
    await room.settled(tab.host.grain(Clock, 'k').read())
    const turns = () => tab.fed.filter(({ type }) => type === 'grain-call').length - 1
    await room.until('it has turned', () => turns() >= 5)
    await room.run(50)
    expect(tab.threw.map(({ error }) => (error as ClusterError).code)).toEqual(
      Array.from({ length: turns() }, () => 'state-limit'),
    )
  })

  it('of others do nothing, nor do users call them', async () => {
    const { room, tab } = await roomOf(1, [Counter])
    const counter = tab.host.grain(Counter, 'k')
    await room.settled(counter.add(1))
    const ticking = tab.host.grain(
      grainRef<GrainKind<'counter', Record<'$tick', () => void>>>('counter'),
      'k',
    )
    expect((await errorOf(ticking.$tick())).code).toBe('unknown-method')
    for (const args of [[], [1, 1], ['x'], { no: 'list' }]) {
      const id = 1_000_000
      const ended = new Promise((resolve) => {
        tab.host.ended = (which, end) => void (which === id && resolve(end))
      })
      const request = {
        id,
        kind: 'counter',
        key: 'k',
        method: '$tick',
        args: valueCodec.encode(args, 'args'),
      }
      room.room.input(tab.process, () => tab.process.grains.call(request, room.room.now()))
      expect(await room.settled(ended)).toMatchObject({ type: 'result', bytes: Uint8Array.of(0) })
    }
  })
})

describe('a call that is not answered', () => {
  const Never = defineGrain('never', (self) => {
    const count = self.state(0)
    return {
      never: () => new Promise<void>(() => {}),
      add: () => (count.value += 1),
    }
  })

  it('ends at its deadline', async () => {
    const { room, tab } = await roomOf(1, [Never])
    const from = room.room.t
    const never = tab.host.grain(Never, 'k', { deadlineMs: 300 })
    const error = await errorOf(room.settled(never.never()))
    expect(error).toMatchObject({ code: 'deadline', attempts: 1, mayHaveRun: true })
    expect(room.room.t - from).toBeLessThan(350)
    const waiting = await errorOf(room.settled(never.add()))
    expect(waiting).toMatchObject({ code: 'deadline', method: 'add' })
  })

  it("ends at the kind's deadline", async () => {
    const Quick = defineGrain('never', Never.setup, { deadlineMs: 100 })
    const { room, tab } = await roomOf(1, [Quick])
    const from = room.room.t
    expect((await errorOf(room.settled(tab.host.grain(Quick, 'k').never()))).code).toBe('deadline')
    expect(room.room.t - from).toBeLessThan(150)
  })

  it('ends when its signal is aborted', async () => {
    const { room, tab } = await roomOf(1, [Never])
    const controller = new AbortController()
    const never = tab.host.grain(Never, 'k', { signal: controller.signal })
    const call = never.never()
    await room.run(50)
    controller.abort(new Error('enough'))
    expect(await errorOf(room.settled(call))).toMatchObject({
      code: 'aborted',
      mayHaveRun: true,
      cause: { message: 'enough' },
    })
    const fed = tab.fed.length
    expect(await errorOf(never.add())).toMatchObject({
      code: 'aborted',
      mayHaveRun: false,
      cause: { message: 'enough' },
    })
    expect(tab.fed.length).toBe(fed)
  })

  it('is not sent where its signal is aborted in the same go', async () => {
    const { tab } = await roomOf(1, [Never])
    const controller = new AbortController()
    const call = tab.host.grain(Never, 'k', { signal: controller.signal }).add()
    controller.abort()
    expect((await errorOf(call)).code).toBe('aborted')
    expect(tab.fed).toEqual([])
  })

  it('finds no place where too many wait', async () => {
    const Short = defineGrain('never', Never.setup, { queueDepth: 2, deadlineMs: 200 })
    const { room, tab } = await roomOf(1, [Short])
    const never = tab.host.grain(Short, 'k')
    await room.settled(never.add())
    const made: Promise<unknown>[] = [never.never(), never.add(), never.add(), never.add()]
    const calls = made.map((call) => errorOf(room.settled(call)))
    const codes = (await Promise.all(calls)).map(({ code }) => code)
    expect(codes).toEqual(['deadline', 'deadline', 'deadline', 'queue-full'])
  })

  it('ends with `left` when the cluster is left, as does every later one', async () => {
    const { room, tab } = await roomOf(1, [Never])
    const never = tab.host.grain(Never, 'k')
    const sent = never.never()
    await room.run(50)
    const unsent = never.add()
    tab.host.end()
    expect(await errorOf(sent)).toMatchObject({ code: 'left', mayHaveRun: true, attempts: 1 })
    expect(await errorOf(unsent)).toMatchObject({ code: 'left', mayHaveRun: false, attempts: 0 })
    expect((await errorOf(never.add())).code).toBe('left')
    expect(tab.host).toMatchObject({ calls: 0, activations: 0 })
  })
})

describe('schemas', () => {
  /** A schema that takes a number, and may take its time. */
  const number = (wait?: Promise<void>): StandardSchema<number> => ({
    '~standard': {
      version: 1,
      vendor: 'test',
      async validate(value) {
        await wait
        return typeof value === 'number' ? { value } : { issues: [{ message: 'no number', path: ['a', 0] }] }
      },
    },
  })
  const checked = (wait?: Promise<void>) =>
    defineGrain('counter', Counter.setup, { schemas: { add: { args: [number(wait)] } } })

  it('are asked before anything is sent', async () => {
    const Checked = checked()
    const { room, tab } = await roomOf(1, [Checked])
    const counter = tab.host.grain(Checked, 'k')
    const error = await errorOf(room.settled(counter.add('1' as unknown as number)))
    expect(error).toMatchObject({
      code: 'invalid-arguments',
      attempts: 0,
      issues: [{ path: 'args[0].a[0]', message: 'no number' }],
    })
    expect(tab.fed).toEqual([])
    expect(await room.settled(counter.add(1))).toBe(1)
  })

  it('are asked by the host where the caller has none', async () => {
    const Checked = checked()
    const { room, tab } = await roomOf(1, [Checked])
    const counter = tab.host.grain(grainRef<typeof Counter>('counter'), 'k')
    const error = await errorOf(room.settled(counter.add('1' as unknown as number)))
    expect(error).toMatchObject({
      code: 'invalid-arguments',
      attempts: 1,
      issues: [{ path: 'args[0].a[0]', message: 'no number' }],
    })
    expect(await room.settled(counter.read())).toBe(0)
  })

  it('that take their time keep the order of calls', async () => {
    let open = (): void => {}
    const Checked = checked(new Promise<void>((resolve) => (open = resolve)))
    const { room, tab } = await roomOf(1, [Checked])
    const counter = tab.host.grain(Checked, 'k')
    const calls = [counter.read(), counter.add(5), counter.read(), counter.add(1)]
    await room.run(100)
    expect(tab.fed.filter(({ type }) => type === 'grain-call')).toHaveLength(1)
    open()
    expect(await room.settled(Promise.all(calls))).toEqual([0, 5, 5, 6])
  })

  it('that never answer hold nobody up for longer than the deadline', async () => {
    const Checked = checked(new Promise<void>(() => {}))
    const { room, tab } = await roomOf(1, [Checked])
    const add = tab.host.grain(Checked, 'k', { deadlineMs: 100 }).add(1)
    const read = tab.host.grain(Checked, 'k').read()
    expect(await errorOf(room.settled(add))).toMatchObject({ code: 'deadline', mayHaveRun: false })
    expect(await room.settled(read)).toBe(0)
  })
})

describe('kinds and versions', () => {
  const versioned = (version: number, accepts?: readonly number[]) =>
    defineGrain('counter', Counter.setup, { version, ...(accepts && { accepts }) })

  it('that nobody hosts, or not in a version that is accepted, are told before anything is sent', async () => {
    const { tab } = await roomOf(1, [versioned(2)])
    const Other = defineGrain('other', () => ({ run: () => 1 }))
    expect((await errorOf(tab.host.grain(Other, 'k').run())).code).toBe('unknown-kind')
    const named = grainRef<typeof Other>('other')
    expect((await errorOf(tab.host.grain(named, 'k').run())).code).toBe('unknown-kind')
    const old = await errorOf(tab.host.grain(Counter, 'k').read())
    expect(old.code).toBe('version-mismatch')
    expect(old.message).toContain('version 2 is hosted')
    expect(tab.fed).toEqual([])
  })

  it('are called where one is accepted, or only the name is known', async () => {
    const { room, tab } = await roomOf(1, [versioned(2)])
    expect(await room.settled(tab.host.grain(versioned(1, [1, 2]), 'k').add(1))).toBe(1)
    expect(await room.settled(tab.host.grain(grainRef<typeof Counter>('counter'), 'k').add(1))).toBe(2)
  })

  it('are told from each other by who hosts the key', async () => {
    const room = new HostRoom(1)
    const [old, other] = [room.join([versioned(1)]), room.join([versioned(2)])]
    const isOwner = ({ process: { id, grains } }: Tab): boolean =>
      keys.some((key) => grains.holdings.entryOf(partitionOf('counter', key))?.owner === id)
    const keys = Array.from({ length: 40 }, (_, i) => `k${i}`)
    await room.until('both host some', () => isOwner(old) && isOwner(other))
    const ownerOf = async (key: string): Promise<number> => {
      await room.settled(old.host.grain(grainRef<typeof Counter>('counter'), key).add(1))
      return room.hostsOf('counter', key)[0] === old ? 1 : 2
    }
    const seen = new Set<string>()
    for (const key of keys) {
      const version = await ownerOf(key)
      for (const accepted of [1, 2]) {
        const call = room.settled(other.host.grain(versioned(accepted), key).read())
        const outcome = accepted === version ? await call : (await errorOf(call)).message
        seen.add(`${version} ${accepted} ${outcome}`.replace(key, 'k'))
      }
      expect(await room.settled(other.host.grain(versioned(2, [2, 1]), key).read())).toBe(1)
    }
    const mismatch = (hosted: number, accepted: number): string =>
      `counter/k.read: version ${hosted} is hosted, and ${accepted} is accepted here: reload the older tab, or widen \`accepts\`.`
    expect([...seen].toSorted()).toEqual(
      ['1 1 1', `1 2 ${mismatch(1, 2)}`, `2 1 ${mismatch(2, 1)}`, '2 2 1'].toSorted(),
    )
  })

  it('whose only host is away are waited for', async () => {
    const room = new HostRoom(1)
    const [host, viewer] = [room.join([Counter]), room.join([])]
    await room.until(
      'known to both',
      () => host.process.grains.council.knows('counter') && room.room.seenBy(viewer.process).length === 2,
    )
    const counter = viewer.host.grain(Counter, 'k', { deadlineMs: 2_000 })
    expect(await room.settled(counter.add(1))).toBe(1)
    room.room.close(host.process)
    await room.until('alone', () => room.room.seenBy(viewer.process).length === 1)
    const waits = await errorOf(room.settled(counter.read()))
    expect(waits).toMatchObject({ code: 'deadline', mayHaveRun: false })
    expect(waits.message).toContain('Nobody hosts this kind now.')
  })

  it('have methods, or have them not', async () => {
    const { room, tab } = await roomOf(1, [Counter])
    const other = grainRef<GrainKind<'counter', { more(): void }>>('counter')
    expect(await errorOf(room.settled(tab.host.grain(other, 'k').more()))).toMatchObject({
      code: 'unknown-method',
      mayHaveRun: false,
    })
  })
})

describe('a proxy', () => {
  it.each<[string, unknown, unknown, unknown, string, RegExp]>([
    ['no kind', 'counter', 'k', undefined, 'invalid-value', /defineGrain or grainRef/],
    ['no name', { name: 'No Kind' }, 'k', undefined, 'invalid-value', /defineGrain or grainRef/],
    ['no key', Counter, '', undefined, 'invalid-value', /a key must not be empty/],
    ['a key that is no text', Counter, 5, undefined, 'invalid-value', /a key must be a text/],
    ['no time', Counter, 'k', { deadlineMs: 0 }, 'invalid-option', /deadlineMs must be/],
    ['too much time', Counter, 'k', { deadlineMs: 600_001 }, 'invalid-option', /at most 600000/],
    ['no signal', Counter, 'k', { signal: 5 }, 'invalid-option', /signal must be/],
    ['an option that is none', Counter, 'k', { deadline: 5 }, 'invalid-option', /deadline is not an option/],
  ])('is refused for %s', (_name, kind, key, options, code, message) => {
    const { host } = new HostRoom().join([Counter])
    const make = (): unknown => host.grain(kind as typeof Counter, key as string, options as object)
    expect(make).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }))
  })

  it('that is refused tells its kind and key', () => {
    const { host } = new HostRoom().join([Counter])
    expect(() => host.grain(Counter, 'k', { deadlineMs: Number.NaN })).toThrow(
      expect.objectContaining({
        kind: 'counter',
        key: 'k',
        message: expect.stringMatching(/^counter\/k cannot be called with these options: .*, not NaN\.$/),
      }),
    )
    expect(() => host.grain(Counter, '')).toThrow(
      expect.objectContaining({
        kind: 'counter',
        key: '',
        message: 'No grain of kind "counter" can be called by this key: a key must not be empty.',
      }),
    )
  })

  it('refuses a method whose name is too short or too long, and says which it is', async () => {
    const { room, tab } = await roomOf(1, [Counter])
    const counter = tab.host.grain(Counter, 'k') as unknown as Record<string, () => Promise<unknown>>
    for (const [name, bytes] of [
      ['', 0],
      ['ü'.repeat(250), 500],
    ] as const) {
      const error = await errorOf(room.settled(counter[name]!()))
      expect(error).toMatchObject({ code: 'invalid-value', kind: 'counter', key: 'k', method: name })
      expect(error.message).toContain(`the name of a method has 1 to 128 bytes of UTF-8, this one ${bytes}.`)
      expect(error.message.length).toBeLessThan(300)
    }
  })

  it('calls nobody when it is awaited, printed, compared or written', async () => {
    const { host, fed } = new HostRoom().join([Counter])
    const counter = host.grain(Counter, 'k')
    expect(await counter).toBe(counter)
    expect(`${String(counter)} ${JSON.stringify({ counter })}`).toBe('[object Object] {"counter":{}}')
    expect(() => ((counter as { add: unknown }).add = 1)).toThrow(TypeError)
    await Promise.resolve()
    expect(host.calls).toBe(0)
    expect(fed).toEqual([])
  })
})

describe('what is kept', () => {
  it('of 1,000 keys that were made and cleared is nothing', async () => {
    const Brief = defineGrain('counter', Counter.setup, { idleMs: 100 })
    const { room, tab } = await roomOf(1, [Brief])
    const keys = Array.from({ length: 1_000 }, (_, i) => `key ${i}`)
    for (let at = 0; at < keys.length; at += 100) {
      const counters = keys.slice(at, at + 100).map((key) => tab.host.grain(Brief, key))
      await room.settled(Promise.all(counters.map((counter) => counter.add(1))))
      await room.settled(Promise.all(counters.map((counter) => counter.clear())))
    }
    await room.until('nothing is active', () => tab.host.activations === 0, 10_000)
    expect(tab.host.calls).toBe(0)
  }, 60_000)
})

describe('several at once', () => {
  it('lose their changes together where one of them could not be stored', async () => {
    let open = (): void => {}
    const Wide = defineGrain(
      'wide',
      (self) => {
        const count = self.state(0)
        return {
          async slow(): Promise<number> {
            count.value += 1
            await new Promise<void>((resolve) => (open = resolve))
            return count.value
          },
          add: () => (count.value += 10),
          large(): string {
            count.value += 100
            return 'x'.repeat(1_500_000)
          },
          fail(): void {
            throw new Error('no')
          },
          read: () => count.value,
        }
      },
      { concurrency: 4 },
    )
    const { room, tabs } = await roomOf(2, [Wide], { limits: { resultBytes: 1e9 } })
    // calls of one process to one key go one after the other
    const [other, wide] = [tabs[0]!.host.grain(Wide, 'k'), tabs[1]!.host.grain(Wide, 'k')]
    await room.settled(wide.add())
    const slow = errorOf(other.slow())
    await room.run(50)
    // what another has changed meanwhile stays where one only throws
    await errorOf(room.settled(wide.fail()))
    expect(await room.settled(wide.read())).toBe(11)
    expect((await errorOf(room.settled(wide.large()))).code).toBe('too-large')
    // stored with the result of the read above
    expect(await room.settled(wide.read())).toBe(11)
    open()
    expect(await room.settled(slow)).toMatchObject({ code: 'aborted', mayHaveRun: true })
    expect(await room.settled(wide.add())).toBe(21)
  })

  it('may be none that wait', async () => {
    const Lone = defineGrain('lone', () => ({ run: () => 1 }), { queueDepth: 0 })
    const { room, tab } = await roomOf(1, [Lone])
    expect(await room.settled(tab.host.grain(Lone, 'k').run())).toBe(1)
  })
})

describe('a desk that calls two counters', () => {
  const Names = defineGrain('names', (self) => {
    const names = self.state<string[]>([])
    return {
      add: (name: string) => names.update((list) => void list.push(name)),
      read: (): readonly string[] => names.value,
    }
  })
  const Desk = defineGrain('desk', (self) => {
    const done = self.state<string[]>([])
    return {
      async both(name: string): Promise<void> {
        await self.grain(Names, 'x').add(name)
        done.update((list) => void list.push(name))
        await self.grain(Names, 'y').add(name)
      },
      read: (): readonly string[] => done.value,
    }
  })

  it.each([1, 3])(
    'has done all that it acknowledged, once, whoever is lost (seed %i)',
    async (seed) => {
      const { room, tabs } = await roomOf(6, [Names, Desk], {}, seed)
      await room.run(8_000)
      const acknowledged: string[] = []
      const calls: Promise<void>[] = []
      for (let round = 0; round < 30; round++) {
        for (const { process, host } of tabs) {
          if (!process.isAlive) continue
          const name = `${process.id} ${round}`
          const call = host.grain(Desk, `desk ${round % 3}`, { deadlineMs: 20_000 }).both(name)
          calls.push(
            call.then(
              () => void acknowledged.push(name),
              () => undefined,
            ),
          )
        }
        await room.run(200)
        if (round === 8) room.room.end(tabs[seed]!.process, true)
        if (round === 16) room.room.end(tabs[seed + 1]!.process, false)
        if (round === 20) room.room.freeze(tabs[seed + 2]!.process, 6_000)
      }
      for (const { process, host } of tabs) if (!process.isAlive) host.end()
      await room.settled(Promise.all(calls), 60_000)
      const { host } = tabs.find(({ process }) => process.isAlive)!
      const lists = [
        await room.settled(host.grain(Names, 'x').read()),
        await room.settled(host.grain(Names, 'y').read()),
        (
          await room.settled(
            Promise.all(['0', '1', '2'].map((key) => host.grain(Desk, `desk ${key}`).read())),
          )
        ).flat(),
      ]
      expect(acknowledged.length).toBeGreaterThan(100)
      for (const list of lists) {
        expect(new Set(list).size).toBe(list.length)
        expect(acknowledged.filter((name) => !list.includes(name))).toEqual([])
      }
    },
    60_000,
  )
})

it('a nested call that nobody awaits, and whose arguments are still looked at, leaves nothing behind', async () => {
  const slowly: StandardSchema<number> = {
    '~standard': {
      version: 1,
      vendor: 'test',
      async validate(value) {
        await new Promise((resolve) => void setImmediate(resolve))
        return { value: value as number }
      },
    },
  }
  const Target = defineGrain('target', Counter.setup, { schemas: { add: { args: [slowly] } } })
  const Careless = defineGrain('careless', (self) => ({
    run: (): void => void self.grain(Target, 'k').add(1),
  }))
  const { room, tab } = await roomOf(1, [Target, Careless])
  await room.settled(tab.host.grain(Careless, 'k').run())
  await room.run(5_000)
  expect(await room.settled(tab.host.grain(Target, 'k').read())).toBe(1)
  await room.run(130_000)
  expect(tab.process.grains.calls.streams).toBe(0)
})
