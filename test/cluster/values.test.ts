/** Values that members publish about themselves: peer state and meta. */
import { describe, expect, it } from 'vitest'
import { decodeValue } from '../../src/cluster/values.ts'
import { codeOf, createWorld } from './support.ts'

class Point {
  readonly x = 1
}

describe('peer state', () => {
  it('is seen by all, its publisher included; the newest value wins', async () => {
    const world = createWorld()
    const { clusters } = await world.room(3)
    const states = clusters.map((cluster) => cluster.peerState<number>('x'))
    for (let i = 0; i < 100; i++) states[0]!.set(i)
    expect(states[0]!.get().get(clusters[0]!.self.nodeId), 'at once here').toBe(99)
    await world.until('all have the newest', () =>
      states.every((state) => state.get().get(clusters[0]!.self.nodeId) === 99),
    )
    states[1]!.set(-1)
    await world.until('all have both', () => states.every((state) => state.get().size === 2))
    states[0]!.clear()
    await world.until('all have one', () => states.every((state) => state.get().size === 1))
    expect([...states[2]!.get()]).toEqual([[clusters[1]!.self.nodeId, -1]])
  })

  it('is gone with its member', async () => {
    const world = createWorld()
    const { clusters } = await world.room(2)
    clusters[0]!.peerState('x').set('here')
    const seen = clusters[1]!.peerState('x')
    await world.until('it is there', () => seen.get().size === 1)
    let told: ReadonlyMap<string, unknown> | undefined
    seen.subscribe((value) => (told = value))
    await world.settled(clusters[0]!.leave())
    await world.until('it is gone', () => seen.get().size === 0)
    expect(told?.size).toBe(0)
  })

  it('comes to who joins later', async () => {
    const world = createWorld()
    const { clusters } = await world.room(2)
    clusters[0]!.peerState('x').set('old')
    clusters[0]!.peerState('x').set('new')
    const late = await world.tab().join()
    await world.until('it is there', () => late.peerState('x').get().size === 1)
    expect([...late.peerState('x').get().values()]).toEqual(['new'])
  })

  it('is the same object for the same key, and another for another', async () => {
    const cluster = await createWorld().tab().join()
    expect(cluster.peerState('x')).toBe(cluster.peerState('x'))
    expect(cluster.peerState('x')).not.toBe(cluster.peerState('y'))
  })

  it('keeps its map while nothing under its key changes', async () => {
    const world = createWorld()
    const { clusters } = await world.room(2)
    const state = clusters[0]!.peerState('x')
    clusters[1]!.peerState('x').set({ deep: [1] })
    await world.until('it is there', () => state.get().size === 1)
    const before = state.get()
    let calls = 0
    state.subscribe(() => void calls++)
    clusters[1]!.peerState('y').set(1)
    const third = await world.tab().join()
    await world.settled(third.leave())
    await world.until('the third came and went', () => clusters[0]!.members.get().length === 2)
    expect(state.get()).toBe(before)
    expect(calls).toBe(0)
    clusters[1]!.peerState('x').set({ deep: [2] })
    await world.until('a change is told', () => calls === 1)
  })

  it.each(['', ' x', '$links', '__proto__', 'constructor', 'prototype', 'ümlaut', 'x'.repeat(65), 'a\nb'])(
    'refuses the key %j',
    async (key) => {
      const cluster = await createWorld().tab().join()
      expect(await codeOf(() => cluster.peerState(key))).toBe('invalid-value')
    },
  )

  it.each([undefined, null, 7, {}])('refuses the key %j, which is no text', async (key) => {
    const cluster = await createWorld().tab().join()
    expect(await codeOf(() => cluster.peerState(key as unknown as string))).toBe('invalid-value')
  })

  it('refuses what cannot be carried, and keeps what was there', async () => {
    const cluster = await createWorld().tab().join()
    const state = cluster.peerState<unknown>('x')
    state.set('fine')
    const circle: { self?: unknown } = {}
    circle.self = circle
    expect(await codeOf(() => state.set(circle))).toBe('invalid-value')
    expect(await codeOf(() => state.set(() => 1))).toBe('invalid-value')
    expect(await codeOf(() => state.set(1n))).toBe('invalid-value')
    expect(await codeOf(() => state.set('x'.repeat(1_023)))).toBe('too-large')
    expect(await codeOf(() => state.set('ü'.repeat(512))), 'bytes count, not characters').toBe('too-large')
    expect([...state.get().values()]).toEqual(['fine'])
    state.set('x'.repeat(1_022))
    expect([...state.get().values()]).toEqual(['x'.repeat(1_022)])
  })

  it.each<[string, unknown, RegExp]>([
    ['NaN', Number.NaN, /^peer state "x" is NaN, which JSON does not give back/],
    ['an infinite number', { at: [1, -Infinity] }, /"x"\.at\[1\] is -Infinity/],
    ['a date', { at: new Date(0) }, /"x"\.at is an instance of Date/],
    ['a map', new Map([[1, 1]]), /"x" is an instance of Map/],
    ['bytes', [new Uint8Array(1)], /"x"\[0\] is an instance of Uint8Array/],
    ['an instance of a class', new Point(), /"x" is an instance of Point/],
    ['what writes itself', { toJSON: () => 1 }, /"x" has a method toJSON/],
    ['a method', { a: { move: () => 1 } }, /"x"\.a\.move is a function/],
    ['nothing in a list', [1, undefined], /"x"\[1\] is undefined/],
    ['a hole', Object.assign([1], { length: 2 }), /"x"\[1\] is undefined/],
    [
      'a key that JSON.parse takes for a field',
      { a: JSON.parse('{"__proto__":1}') },
      /"x"\.a has a field named __proto__/,
    ],
    ['a field named by a symbol', [{ [Symbol('s')]: 1 }], /"x"\[0\] has a field named by a symbol/],
    ['a field of a list', Object.assign([1], { x: 1 }), /"x" is a list with fields beside its items/],
    ['undefined', undefined, /"x" is undefined: give a value, or use clear\(\)/],
  ])('refuses %s, which would be another value there', async (_what, value, message) => {
    const cluster = await createWorld().tab().join()
    const state = cluster.peerState<unknown>('x')
    state.set({ left: undefined, zero: -0 })
    expect(() => state.set(value)).toThrow(
      expect.objectContaining({ code: 'invalid-value', message: expect.stringMatching(message) }),
    )
    expect([...state.get().values()]).toEqual([{ zero: 0 }])
  })

  it('is read-only where it is read', async () => {
    const state = (await createWorld().tab().join()).peerState<{ at: { x: number } }>('x')
    state.set({ at: { x: 1 } })
    const [value] = state.get().values()
    expect(() => (value!.at.x = 2)).toThrow(TypeError)
    expect([...state.get().values()]).toEqual([{ at: { x: 1 } }])
  })

  it('names the size, the limit and what to do', async () => {
    const cluster = await createWorld()
      .tab()
      .join({ limits: { valueBytes: 10 } })
    expect(() => cluster.peerState('x').set('x'.repeat(10))).toThrow(
      /"x" has 12 bytes.*limit of 10.*publish less/,
    )
    expect(() => cluster.setMeta('x'.repeat(10))).toThrow(/meta has 12 bytes/)
  })

  it('has as many keys as the limit says', async () => {
    const world = createWorld()
    const other = await world.tab().join()
    const cluster = await world.tab().join({ limits: { peerStateKeys: 3 } })
    for (const key of ['a', 'b', 'c']) cluster.peerState(key).set(key)
    expect(await codeOf(() => cluster.peerState('d').set('d'))).toBe('too-large')
    cluster.peerState('a').set('again')
    cluster.peerState('b').clear()
    cluster.peerState('d').set('d')
    await world.until('all are there', () => other.peerState('d').get().size === 1)
    expect(['a', 'b', 'c', 'd'].map((key) => Array.from(other.peerState(key).get().values()))).toEqual([
      ['again'],
      [],
      ['c'],
      ['d'],
    ])
  })

  it('carries every kind of JSON', async () => {
    const world = createWorld()
    const { clusters } = await world.room(2)
    const seen = clusters[1]!.peerState('x')
    for (const value of [
      null,
      0,
      false,
      '',
      [],
      { a: [null, { b: '\u2028 \uD83D\uDE00' }] },
      'half \uD83D',
    ]) {
      clusters[0]!.peerState<unknown>('x').set(value)
      await world.until('it is there', () => {
        const values = [...seen.get().values()]
        return values.length === 1 && JSON.stringify(values[0]) === JSON.stringify(value)
      })
    }
  })

  it('cannot reach into prototypes', async () => {
    const world = createWorld()
    const { clusters } = await world.room(2)
    const text = '{"a":{"__proto__":{"evil":1}},"\\u005f_proto__":{"evil":2},"b":1}'
    const hostile = JSON.parse(text) as object
    expect(await codeOf(() => clusters[0]!.peerState('x').set(hostile))).toBe('invalid-value')
    expect(await codeOf(() => clusters[0]!.setMeta(hostile))).toBe('invalid-value')
    // whoever sends it all the same
    const asText = { toJSON: () => JSON.parse(text) as object }
    expect(await codeOf(() => clusters[0]!.setMeta(asText))).toBe('invalid-value')
    clusters[0]!.peerState('x').set({ a: {}, b: 1 })
    clusters[0]!.setMeta({ a: {}, b: 1 })
    const seen = clusters[1]!.peerState<{ a: object }>('x')
    await world.until('it is there', () => seen.get().size === 1)
    const [value] = seen.get().values()
    for (const object of [value, value!.a, clusters[1]!.members.get().find(({ self }) => !self)!.meta]) {
      expect(Object.getOwnPropertyNames(object)).not.toContain('__proto__')
      expect(Object.getPrototypeOf(object)).toBe(Object.prototype)
      expect((object as { evil?: number }).evil).toBeUndefined()
    }
    expect(({} as { evil?: number }).evil).toBeUndefined()
  })
})

describe('a text that came from another member', () => {
  it.each([
    ['', undefined],
    [undefined, undefined],
    ['{', undefined],
    ['NaN', undefined],
    ['"\\u005f"', '_'],
    ['{"\\u005f_proto__":1,"a":2}', { a: 2 }],
    ['[{"__proto__":null}]', [{}]],
  ])('%j is read as %j', (text, value) => {
    expect(decodeValue(text)).toEqual(value)
    const read = decodeValue(text)
    if (typeof read === 'object') expect(Object.keys(read as object)).not.toContain('__proto__')
  })
})

describe('meta', () => {
  it('is replaced as a whole, may be taken back, and what is refused changes nothing', async () => {
    const world = createWorld()
    const other = await world.tab().join()
    const cluster = await world.tab().join({ meta: { name: 'Ada', age: 36 } })
    const seen = () => other.members.get().find(({ self }) => !self)?.meta
    await world.until('it is there', () => seen() !== undefined)
    expect(seen()).toEqual({ name: 'Ada', age: 36 })
    for (const meta of [seen(), cluster.self.meta]) {
      expect(() => Object.assign(meta as object, { name: 'Eve' })).toThrow(TypeError)
    }
    cluster.setMeta({ name: 'Grace' })
    expect(cluster.self.meta).toEqual({ name: 'Grace' })
    expect(await codeOf(() => cluster.setMeta('x'.repeat(2_000)))).toBe('too-large')
    expect(await codeOf(() => cluster.setMeta(Symbol('x')))).toBe('invalid-value')
    await world.until('it is replaced', () => JSON.stringify(seen()) === '{"name":"Grace"}')
    cluster.setMeta(undefined)
    await world.until('it is taken back', () => seen() === undefined)
    expect(cluster.self.meta).toBeUndefined()
  })
})
