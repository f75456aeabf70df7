/** Compiled, never run: what the types of grains allow and what they do not. Each `@ts-expect-error` must find one. */
import { defineGrain, grainRef } from '../../src/grains/define.ts'
import type { MethodsOf } from '../../src/grains/define.ts'
import type {
  DeepReadonly,
  GrainContext,
  GrainKind,
  GrainOf,
  State,
  StandardSchema,
} from '../../src/grains/types.ts'

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
/** Compiles for `true` only. */
const same = <_Check extends true>(): void => {}

declare const cluster: { readonly grain: GrainOf }
declare function schema<T>(): StandardSchema<T>

interface Todo {
  title: string
  tags: string[]
  due?: Date
}
interface TodoList {
  items: Todo[]
  byName: Map<string, Todo>
  done: Set<string>
  thumb: Uint8Array
}

const Counter = defineGrain('counter', (self) => {
  const count = self.state(0)
  same<Equal<typeof self.key, string>>()
  return {
    add(by: number) {
      return (count.value += by)
    },
    read: () => count.value,
    slow: async (ms?: number) => `${self.key} waited ${ms}`,
    reset(): void {
      self.clear()
    },
  }
})

export const Todos = defineGrain('todos', (self) => {
  const list = self.state<TodoList>(() => ({
    items: [],
    byName: new Map(),
    done: new Set(),
    thumb: new Uint8Array(4),
  }))
  // @ts-expect-error a list is not pushed to where it is read
  list.value.items.push({ title: 'x', tags: [] })
  // @ts-expect-error nor is one of its items written
  list.value.items[0]!.title = 'x'
  // @ts-expect-error nor what that has
  list.value.items[0]!.tags.push('x')
  // @ts-expect-error nor a map
  list.value.byName.set('x', { title: 'x', tags: [] })
  // @ts-expect-error nor what is in one
  list.value.byName.get('x')!.title = 'y'
  // @ts-expect-error nor a set
  list.value.done.add('x')
  // @ts-expect-error nor bytes
  list.value.thumb[0] = 1
  // @ts-expect-error nor bytes by a method
  list.value.thumb.fill(0)
  // @ts-expect-error nor a field
  list.value.items = []
  // @ts-expect-error another type
  list.value = 5
  return {
    add(item: Todo) {
      list.update((draft) => {
        draft.items.push(item)
        draft.byName.set(item.title, item)
      })
      list.update((draft) => ({ ...draft, items: [] }))
      // what was read may be set again, in part too
      list.value = { ...list.value, items: [...list.value.items, item] }
      const due: Date | undefined = list.value.items[0]?.due
      return due ?? list.value.items.length
    },
    thumb: (): Uint8Array => list.value.thumb.slice(),
  }
})

/** Interfaces as methods, classes, generics. */
interface Cache {
  get(key: string): Promise<string | undefined>
  set(key: string, value: string): void
  pick<T>(items: readonly T[]): Promise<T>
  first<T>(items: readonly T[]): T
}
declare function makeCache(self: GrainContext): Cache
const CacheKind = defineGrain('cache', makeCache)

class Door {
  #open = false
  toggle(): boolean {
    return (this.#open = !this.#open)
  }
}
const DoorKind = defineGrain('door', () => new Door())

export async function calls(): Promise<void> {
  const likes = cluster.grain(Counter, 'likes')
  same<Equal<ReturnType<typeof likes.add>, Promise<number>>>()
  same<Equal<ReturnType<typeof likes.read>, Promise<number>>>()
  same<Equal<ReturnType<typeof likes.slow>, Promise<string>>>()
  same<Equal<ReturnType<typeof likes.reset>, Promise<void>>>()
  const total: number = await likes.add(1)
  await likes.slow()
  // @ts-expect-error no such method
  await likes.subtract(total)
  // @ts-expect-error not of that type
  await likes.add('1')
  // @ts-expect-error an argument is missing
  await likes.add()
  // @ts-expect-error one too many
  await likes.add(1, 2)
  // @ts-expect-error the result is a number
  const text: string = await likes.add(1)
  // @ts-expect-error a method is not to be replaced
  likes.add = async () => 1
  // @ts-expect-error a key is a text
  cluster.grain(Counter, 5)
  // @ts-expect-error a name alone has no methods
  cluster.grain('counter', 'likes')
  void text

  const cache = cluster.grain(CacheKind, 'c', { deadlineMs: 100, signal: new AbortController().signal })
  same<Equal<Awaited<ReturnType<typeof cache.get>>, string | undefined>>()
  same<Equal<ReturnType<typeof cache.set>, Promise<void>>>()
  const picked: number = await cache.pick([1, 2])
  void picked
  // a generic method that is not async loses its type parameter
  same<Equal<ReturnType<typeof cache.first>, Promise<unknown>>>()
  same<Equal<ReturnType<ReturnType<typeof door>['toggle']>, Promise<boolean>>>()
  function door() {
    return cluster.grain(DoorKind, 'd')
  }
}

export async function typeOnlyCallers(): Promise<void> {
  const CounterRef = grainRef<typeof Counter>('counter')
  same<Equal<typeof CounterRef.name, 'counter'>>()
  await cluster.grain(CounterRef, 'likes').add(1)
  // @ts-expect-error not of that type
  await cluster.grain(CounterRef, 'likes').add('1')
  // @ts-expect-error another name
  grainRef<typeof Counter>('conter')
  // @ts-expect-error a reference hosts nothing
  const hosted: GrainKind = CounterRef
  void hosted
  same<Equal<keyof MethodsOf<typeof Counter>, 'add' | 'read' | 'slow' | 'reset'>>()
  const kinds: readonly GrainKind[] = [Counter, Todos, CacheKind, DoorKind]
  void kinds
}

export function definitions(): void {
  // oxlint-disable-next-line no-thenable
  const thenable = () => ({ then: () => 1 })
  // @ts-expect-error `then` would be called by await
  defineGrain('thenable', thenable)
  // @ts-expect-error every object has it, also a proxy
  defineGrain('texts', () => ({ toString: () => 'me' }))
  // @ts-expect-error a name of Grainmesh's own
  defineGrain('dollar', () => ({ $tick: () => 1 }))
  // @ts-expect-error methods only
  defineGrain('field', () => ({ count: 1 }))
  // @ts-expect-error not even an optional one
  defineGrain('optional', (): { run?: () => void } => ({}))
  // @ts-expect-error setup is not async
  defineGrain('async', async () => ({ run: () => 1 }))
  // @ts-expect-error setup is missing
  defineGrain('nothing')
  // @ts-expect-error no such option
  defineGrain('option', () => ({ run: () => 1 }), { idle: 5 })
  // @ts-expect-error one of two
  defineGrain('queue', () => ({ run: () => 1 }), { queue: 'drop-newest' })
  defineGrain('checked', () => ({ add: async (_a: number, _b?: string) => true }), {
    version: 2,
    accepts: [1, 2],
    schemas: { add: { args: [schema<number>(), schema<string | undefined>()], result: schema<boolean>() } },
  })
  defineGrain('checked', () => ({ add: (by: number) => by }), {
    // @ts-expect-error no such method
    schemas: { subtract: {} },
  })
  defineGrain('checked', () => ({ add: (by: number) => by }), {
    // @ts-expect-error what the schema gives is not what the method takes
    schemas: { add: { args: [schema<string>()] } },
  })
}

/** A grain that calls itself annotates its results. */
export const Tree = defineGrain(
  'tree',
  (self) => ({
    depth: async (): Promise<number> =>
      1 + (await self.grain(grainRef<typeof Tree>('tree'), 'child').depth()),
  }),
  { reentrant: true },
)

export function contexts(self: GrainContext): void {
  const stop = self.every(1_000, () => {})
  stop()
  void fetch('https://example.com', { signal: self.signal })
  self.onActivate(async () => {})
  const name = self.state('', { onLost: 'initial', merge: (kept, other) => (kept > other ? kept : other) })
  same<Equal<typeof name, State<string>>>()
  // @ts-expect-error the key stays
  self.key = 'other'
  // @ts-expect-error one of two
  self.state(0, { onLost: 'forget' })
}

same<Equal<DeepReadonly<unknown>, unknown>>()
same<Equal<DeepReadonly<[number, string[]]>, readonly [number, readonly string[]]>>()
same<
  Equal<DeepReadonly<{ a: string & { readonly brand: 1 } }>, { readonly a: string & { readonly brand: 1 } }>
>()
