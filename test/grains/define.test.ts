/** Definitions: what is checked when a kind is made. */
import { describe, expect, it } from 'vitest'
import { ClusterError } from '../../src/errors.ts'
import { defineGrain, grainRef, keyProblem } from '../../src/grains/define.ts'
import { DEFAULT_KIND_SETTINGS } from '../../src/grains/kind-options.ts'

const setup = () => ({ run: () => 1 })

/** The problems that the call is refused with. */
function problems(use: () => unknown): readonly string[] {
  try {
    use()
  } catch (error) {
    expect(error).toBeInstanceOf(ClusterError)
    expect((error as ClusterError).code).toBe('invalid-option')
    return (error as ClusterError).problems
  }
  return []
}

const withOptions = (options: unknown): readonly string[] =>
  problems(() => defineGrain('kind', setup, options as {}))

describe('defineGrain', () => {
  it('gives defaults to what is not said', () => {
    const kind = defineGrain('kind', setup)
    expect(kind.name).toBe('kind')
    expect(kind.options).toEqual(DEFAULT_KIND_SETTINGS)
    expect(Object.isFrozen(kind)).toBe(true)
    expect(defineGrain('kind', setup, { version: 3 }).options.accepts).toEqual([3])
    expect(defineGrain('kind', setup, { idleMs: Infinity, queue: 'drop-oldest' }).options).toMatchObject({
      idleMs: Infinity,
      queue: 'drop-oldest',
      queueDepth: 64,
    })
  })

  it.each(['', 'Counter', '1st', 'a b', 'a/b', 'a#b', 'x'.repeat(65), 'ä', 5, undefined])(
    'refuses the name %s',
    (name) => {
      const [problem] = problems(() => defineGrain(name as string, setup))
      expect(problem).toMatch(/^a name must be a/)
      expect(problems(() => grainRef(name as string))).toEqual([problem])
    },
  )

  it.each(['a', 'chat.room-2_x', 'x'.repeat(64)])('takes the name %s', (name) => {
    expect(problems(() => defineGrain(name, setup))).toEqual([])
    expect(grainRef(name)).toEqual({ name })
  })

  it.each<[unknown, string]>([
    [5, 'options must be an object, not 5'],
    [{ idle: 1 }, 'idle is not an option of a kind'],
    [{ version: 0 }, 'version must be a whole number from 1 to 65535, not 0'],
    [{ version: 1.5 }, 'version must be a whole number from 1 to 65535, not 1.5'],
    [{ accepts: 1 }, 'accepts must be a list of versions, not 1'],
    [{ accepts: ['1', 1] }, 'accepts[0] must be a whole number from 1 to 65535, not "1"'],
    [{ version: 3, accepts: [2] }, "accepts must have the kind's own version, 3, among it"],
    [{ reentrant: 1 }, 'reentrant must be true or false, not 1'],
    [{ concurrency: 0 }, 'concurrency must be a whole number from 1 to 1024, not 0'],
    [{ queueDepth: -1 }, 'queueDepth must be a whole number from 0 to 65536, not -1'],
    [{ queue: 'drop' }, `queue must be 'reject-new' or 'drop-oldest', not "drop"`],
    [{ idleMs: 0 }, 'idleMs must be a whole number from 1 to 2147483647, not 0'],
    [{ deadlineMs: Infinity }, 'deadlineMs must be a whole number from 1 to 600000, not Infinity'],
    [{ persist: 'yes' }, 'persist must be true or false, not "yes"'],
    [{ schemas: [] }, 'schemas must be an object by method, not a list'],
    [{ schemas: { run: 1 } }, 'schemas.run must be an object of args and result, not 1'],
    [{ schemas: { run: { args: {} } } }, 'schemas.run.args must be a list of schemas, one for each argument'],
    [{ schemas: { run: { args: [{}] } } }, 'schemas.run.args[0] is no schema by Standard Schema, version 1'],
    [{ schemas: { run: { result: null } } }, 'schemas.run.result is no schema by Standard Schema, version 1'],
    [{ schemas: { run: { results: 1 } } }, 'schemas.run.results is neither args nor result'],
  ])('refuses the options %j', (options, problem) => {
    expect(withOptions(options)).toEqual([problem])
  })

  it('names all that is wrong at once', () => {
    const use = () => defineGrain('No', 5 as never, { version: 0, persist: 1 as never })
    expect(problems(use)).toHaveLength(4)
    expect(use).toThrow(
      /^The kind "No" was not defined: a name must be .*; setup must be a function, not 5; version/,
    )
  })
})

describe('keys', () => {
  it.each(['a', 'likes/5 #ä', '😀', 'x'.repeat(256), '__proto__'])('may be %s', (key) => {
    expect(keyProblem(key)).toBeUndefined()
  })

  it.each<[unknown, string]>([
    ['', 'empty'],
    [5, 'must be a text, not 5'],
    ['\uD800', 'surrogate'],
    ['ä'.repeat(129), '258 bytes'],
  ])('may not be %j', (key, problem) => {
    expect(keyProblem(key)).toContain(problem)
  })
})
