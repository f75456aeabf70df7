/** The state of a grain: read-only where it is read, changed only through itself. */
import { describe, expect, it } from 'vitest'
import { ClusterError } from '../../src/errors.ts'
import { valueCodec } from '../../src/grains/codec.ts'
import { StateCell } from '../../src/grains/state.ts'

const cell = <T>(initial: T | (() => T), maxBytes = 1_000, stored?: Uint8Array): StateCell<T> =>
  new StateCell(initial, { codec: valueCodec, maxBytes, stored, mayChange: () => {} })

/** What a careless program does. */
type Loose = Record<string, any> // oxlint-disable-line no-explicit-any

/** Code and message of the refusal. */
function refusal(use: () => unknown): string {
  try {
    use()
  } catch (error) {
    expect(error).toBeInstanceOf(ClusterError)
    return `${(error as ClusterError).code}: ${(error as ClusterError).message}`
  }
  throw new Error('It was accepted.')
}

describe('reading', () => {
  const make = () =>
    cell(() => ({
      list: [{ tags: ['a'] }, { tags: [] }],
      map: new Map([['k', { n: 1 }]]),
      set: new Set([1]),
      at: new Date(0),
    }))

  it.each<[string, (value: Loose) => unknown]>([
    ['a field', (value) => (value['list'] = [])],
    ['a new field', (value) => (value['other'] = 1)],
    ['a push', (value) => value['list'].push(1)],
    ['a nested push', (value) => value['list'][0].tags.push('b')],
    ['a sort', (value) => value['list'].sort()],
    ['a delete', (value) => delete value['list']],
    ['a map', (value) => value['map'].set('x', 1)],
    ['what is in a map', (value) => (value['map'].get('k').n = 2)],
    ['a set', (value) => value['set'].add(2)],
    ['a cleared set', (value) => value['set'].clear()],
    ['a date', (value) => value['at'].setFullYear(2000)],
  ])('gives what cannot be changed: %s', (_name, change) => {
    const state = make()
    expect(() => change(state.value)).toThrow(TypeError)
    expect(state.value).toEqual(make().value)
    expect(state.kept).toBeUndefined()
  })

  it('gives the same reference until it changes', () => {
    const state = make()
    const before = state.value
    expect(state.value).toBe(before)
    state.update((draft) => void draft.list.push({ tags: [] }))
    expect(state.value).not.toBe(before)
    expect(before.list).toHaveLength(2)
    expect([...state.value.map.keys()]).toEqual(['k'])
    // what was read may be carried again
    state.value = { ...state.value, set: new Set([2]) }
    expect(state.value.set.has(2)).toBe(true)
    expect(state.value.at.getTime()).toBe(0)
  })

  it('notices writes into typed arrays, and undoes them', () => {
    const state = cell(() => ({ bytes: new Uint8Array([1, 2]) }))
    void state.value
    state.checkBytes()
    ;(state.value.bytes as Uint8Array)[0] = 9
    expect(refusal(() => state.checkBytes())).toMatch(/^invalid-state: A typed array/)
    expect(state.value.bytes[0]).toBe(1)
    const back = state.mark()
    ;(state.value.bytes as Uint8Array)[0] = 9
    state.value = { bytes: new Uint8Array(3) }
    back()
    expect(state.value.bytes[0]).toBe(1)
  })
})

describe('changing', () => {
  it('takes copies', () => {
    const state = cell<{ list: number[] }>({ list: [] })
    const given = { list: [1] }
    state.value = given
    given.list.push(2)
    expect(state.value.list).toEqual([1])
    let kept: { list: number[] } | undefined
    state.update((draft) => {
      draft.list.push(3)
      kept = draft
    })
    kept!.list.push(4)
    expect(state.value.list).toEqual([1, 3])
    expect(given).toEqual({ list: [1, 2] })
  })

  it('takes what update returns, and nothing if it throws', () => {
    const state = cell<number[]>([])
    state.update(() => [1])
    expect(() =>
      state.update((draft) => {
        draft.push(2)
        throw new Error('no')
      }),
    ).toThrow('no')
    expect(state.value).toEqual([1])
    const late = (async () => {
      throw new Error('nobody is told twice')
    }) as never
    expect(refusal(() => state.update(late))).toMatch(/^invalid-state: update takes a function/)
    const tree = cell<{ left?: object; name?: string }>({ name: 'root' })
    expect(refusal(() => tree.update((draft) => (draft.left = { name: 'x' })))).toMatch(
      /^invalid-state: update has both changed the draft and returned another value/,
    )
    expect(tree.value).toEqual({ name: 'root' })
    tree.update((draft) => {
      draft.left = {}
      return draft
    })
    tree.update((draft) => ({ ...draft, name: 'new' }))
    expect(tree.value).toEqual({ name: 'new', left: {} })
    const number = cell(1)
    number.update((n) => n + 1)
    expect(number.value).toBe(2)
  })

  it('refuses what cannot be carried, and what is too large', () => {
    const state = cell<unknown>(0)
    expect(refusal(() => (state.value = { a: { save: () => {} } }))).toMatch(
      /^invalid-state: state\.a\.save is a function\. Give plain data: .* arrays\.$/,
    )
    expect(refusal(() => state.update(() => new WeakMap()))).toContain(
      'invalid-state: state is an instance of WeakMap.',
    )
    expect(refusal(() => (state.value = 'x'.repeat(2_000)))).toMatch(
      /^state-limit: The state has 2003 bytes, over its limit of 1000/,
    )
    expect(refusal(() => cell(() => Symbol('x')))).toContain('invalid-state: state is a symbol.')
    expect(state.value).toBe(0)
    expect(state.kept).toBeUndefined()
  })

  it('goes back, and forgets', () => {
    const state = cell<string[]>(() => ['first'])
    const back = state.mark()
    state.value = []
    expect(state.kept).toBeDefined()
    back()
    expect(state.kept).toBeUndefined()
    expect(state.value).toEqual(['first'])
    state.value = ['x']
    state.clear()
    expect(state.value).toEqual(['first'])
    expect(state.kept).toBeUndefined()
  })

  it('keeps circles frozen without end', () => {
    const circle: { self?: unknown } = {}
    circle.self = circle
    const state = cell(circle)
    expect(state.value.self).toBe(state.value)
    expect(Object.isFrozen(state.value)).toBe(true)
  })
})
