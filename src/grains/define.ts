/** How users make kinds of grains, and name them where they only call. */
import { ClusterError } from '../errors.ts'
import { show } from './arguments.ts'
import { optionProblems, settingsOf } from './kind-options.ts'
import type { KindOptions } from './kind-options.ts'
import type { GrainContext, GrainKind, GrainMethods, GrainRef } from './types.ts'

/** What kinds may be called. */
const KIND_NAME = /^[a-z][a-z0-9._-]{0,63}$/
/** Bytes of UTF-8 in a key. */
export const MAX_KEY_BYTES = 256

/**
 * Defines a kind of grain. `setup` runs once for each activation of a grain and returns its methods.
 *
 * ```ts
 * export const Counter = defineGrain('counter', (self) => {
 *   const count = self.state(0)
 *   return {
 *     add: (by: number) => (count.value += by),
 *     read: () => count.value,
 *   }
 * })
 * ```
 *
 * @param name a lower-case letter, then at most 63 lower-case letters, digits, dots, underscores and hyphens
 * @throws ClusterError `invalid-option`, with one sentence for each thing that is wrong
 */
export function defineGrain<const Name extends string, M extends GrainMethods<M>>(
  name: Name,
  setup: (self: GrainContext) => M,
  options: KindOptions<NoInfer<M>> = {},
): GrainKind<Name, M> {
  const problems = [...nameProblems(name)]
  if (typeof setup !== 'function') problems.push(`setup must be a function, not ${show(setup)}`)
  problems.push(...optionProblems(options))
  if (problems.length > 0) {
    const which = typeof name === 'string' ? `"${name.slice(0, 64)}"` : 'without a name'
    throw new ClusterError('invalid-option', `The kind ${which} was not defined: ${problems.join('; ')}.`, {
      problems,
    })
  }
  return Object.freeze({ name, setup, options: settingsOf(options) })
}

/**
 * Names a kind for callers that do not host it: only its type is imported, so none of its code is loaded.
 *
 * ```ts
 * import type { Counter } from './counter.ts'
 * const CounterRef = grainRef<typeof Counter>('counter')
 * ```
 *
 * @throws ClusterError `invalid-option` if no kind can have this name
 */
export function grainRef<K extends GrainRef>(name: K['name']): GrainRef<K['name'], MethodsOf<K>> {
  const problems = nameProblems(name)
  if (problems.length > 0) {
    throw new ClusterError('invalid-option', `The grain was not named: ${problems.join('; ')}.`, { problems })
  }
  return Object.freeze({ name })
}

/** The methods of a kind, as its setup returns them. */
export type MethodsOf<K> = K extends GrainRef<string, infer M> ? M : never

/** Whether it is what `defineGrain` gives: by its shape, since a page may have two copies of this library. */
export function isGrainKind(value: unknown): value is GrainKind {
  const { name, setup, options } = (isObject(value) ? value : {}) as Record<string, unknown>
  if (nameProblems(name).length > 0 || typeof setup !== 'function' || !isObject(options)) return false
  const { version, accepts, schemas } = options as Record<string, unknown>
  return Number.isInteger(version) && Array.isArray(accepts) && schemas instanceof Map
}

/** Whether it is what `grainRef` gives, or a kind. */
export function isGrainRef(value: unknown): value is GrainRef {
  return isObject(value) && nameProblems((value as { name?: unknown }).name).length === 0
}

/** What is wrong with a key; `undefined` if nothing is. */
export function keyProblem(key: unknown): string | undefined {
  if (typeof key !== 'string') return `a key must be a text, not ${show(key)}`
  if (key === '') return 'a key must not be empty'
  // a lone surrogate has no UTF-8 of its own: two keys would be one
  if (/\p{Surrogate}/u.test(key)) return 'a key must not have half a surrogate pair in it'
  const { length } = new TextEncoder().encode(key)
  return length > MAX_KEY_BYTES
    ? `a key has ${length} bytes of UTF-8, at most ${MAX_KEY_BYTES} are allowed`
    : undefined
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null

function nameProblems(name: unknown): string[] {
  if (typeof name !== 'string') return [`a name must be a text, not ${show(name)}`]
  if (KIND_NAME.test(name)) return []
  const rule = 'a lower-case letter, then at most 63 of a to z, 0 to 9, dot, underscore and hyphen'
  return [`a name must be ${rule}, not ${show(name)}`]
}
