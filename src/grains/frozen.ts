/**
 * Makes a value read-only to its depth, in place, for values that nobody else holds. Freezing costs once what a proxy
 * would cost at each read, and what is read stays what it is: it can be compared, logged and cloned.
 */

/**
 * Freezes `value`: objects and arrays by the language; of maps, sets and dates the methods that change them throw. Bytes
 * of typed arrays and buffers cannot be frozen.
 * @returns whether there are such bytes in it
 */
export function deepFreeze(value: unknown): boolean {
  let hasBytes = false
  const done = new Set<object>()
  const waiting: unknown[] = [value]
  while (waiting.length > 0) {
    const item = waiting.pop()
    if (typeof item !== 'object' || item === null || done.has(item)) continue
    done.add(item)
    if (ArrayBuffer.isView(item) || item instanceof ArrayBuffer) {
      hasBytes = true
      continue
    }
    if (item instanceof Map) {
      for (const [key, inner] of item) waiting.push(key, inner)
      Object.defineProperties(item, MAP_LOCK)
    } else if (item instanceof Set) {
      for (const inner of item) waiting.push(inner)
      Object.defineProperties(item, SET_LOCK)
    } else if (item instanceof Date) {
      Object.defineProperties(item, DATE_LOCK)
    } else if (Array.isArray(item)) {
      for (const inner of item) waiting.push(inner)
    } else {
      for (const key of Object.keys(item)) waiting.push((item as Record<string, unknown>)[key])
    }
    Object.freeze(item)
  }
  return hasBytes
}

const MAP_LOCK = lock(['set', 'delete', 'clear'])
const SET_LOCK = lock(['add', 'delete', 'clear'])
const DATE_LOCK = lock(Object.getOwnPropertyNames(Date.prototype).filter((name) => name.startsWith('set')))

function lock(names: readonly string[]): PropertyDescriptorMap {
  return Object.fromEntries(
    names.map((name) => [
      name,
      {
        enumerable: false,
        value: () => {
          throw new TypeError(
            `${name}(): a state is read-only; change it by \`update\` or by setting \`value\``,
          )
        },
      },
    ]),
  )
}
