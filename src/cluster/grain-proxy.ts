/** What callers hold of a grain: an object on which every name is a method that calls. */
import type { GrainProxy } from '../grains/types.ts'

/** Asked for by `await` and `JSON.stringify`, of everything; neither means to call a grain. */
const NEVER = new Set<PropertyKey>(['then', 'toJSON'])

/**
 * Makes methods as they are asked for, each once. What every object has, as `toString`, stays what it is, so that a
 * grain in a message or a log calls nobody.
 */
export function grainProxy<M>(call: (method: string, args: unknown[]) => Promise<unknown>): GrainProxy<M> {
  const methods = new Map<string, (...args: unknown[]) => Promise<unknown>>()
  return new Proxy(TARGET, {
    get(target, name) {
      if (typeof name === 'symbol' || NEVER.has(name)) return undefined
      if (name in target) return Reflect.get(target, name)
      let method = methods.get(name)
      if (!method) {
        method = (...args) => call(name, args)
        methods.set(name, method)
      }
      return method
    },
  }) as GrainProxy<M>
}

const TARGET = Object.freeze({})
