/** What can be said of a kind besides its methods: options, their defaults, and what is wrong with given ones. */
import { show } from './arguments.ts'
import type { KindSettings, MethodSchemas, StandardSchema } from './types.ts'

/** How grains of a kind run. */
export interface KindOptions<M = unknown> {
  /**
   * Version of the methods: raise it when a change of them breaks callers. Default 1.
   */
  readonly version?: number
  /**
   * Versions that this code can call and be called by: it is enough if one of two accepts the other. Members publish
   * them. Default: its own alone.
   */
  readonly accepts?: readonly number[]
  /**
   * Whether a call that comes from this grain, by way of others, runs while the first one waits. Default `false`: it is
   * refused with `deadlock`. So it is, too, where the first one has changed the state: call first, then change. What an
   * inner call has changed before it threw stays, if the first one ends well.
   */
  readonly reentrant?: boolean
  /**
   * Calls of one key that run at a time, each of another caller. Default 1: a handler sees no change of another between
   * two of its lines, and if it throws, its changes are undone. With more, handlers that overlap share one state, and
   * whichever ends first has the changes of all stored: a change is kept even if its handler throws later, and made
   * twice if its host is lost and it runs again. Make changes last, and those that belong together in one `update`.
   */
  readonly concurrency?: number
  /** Calls of one key that may wait. Default 64. */
  readonly queueDepth?: number
  /** What happens to one too many: `reject-new` or `drop-oldest`, with `queue-full`. Default `reject-new`. */
  readonly queue?: 'reject-new' | 'drop-oldest'
  /** A grain without calls for this long leaves memory; its state stays. Default 120,000 ms; `Infinity`: never. */
  readonly idleMs?: number
  /** A call fails with `deadline` after this long. Default 10,000 ms. */
  readonly deadlineMs?: number
  /**
   * Whether state is kept in IndexedDB too, by each tab that hosts the kind and holds it, so that a room whose tabs were
   * all closed finds it again. It is written within a second, not before a call is answered: a room that is closed loses
   * nothing, one that crashes as a whole may lose the last second. What was stored is taken up; where the new room has
   * another state of a key already, `merge` is asked, or an event `state-conflict` has it. An event `state-provisional` tells that tabs
   * are missing which may have stored something newer, an event `storage` that the disk cannot be used. Whoever can read
   * the storage of the page's origin can read what is kept. Default `false`.
   */
  readonly persist?: boolean
  /**
   * Checks what comes in and goes out, by method: for arguments one schema each, by Standard Schema. What a schema makes
   * of a value is what the handler, or the caller, gets. Arguments are checked before they are sent as well, where the
   * caller has the kind.
   */
  readonly schemas?: { readonly [K in keyof M]?: SchemasOf<M[K]> }
}

type SchemasOf<F> = F extends (...args: infer A) => infer R
  ? {
      readonly args?: { readonly [I in keyof A]: StandardSchema<A[I]> }
      readonly result?: StandardSchema<Awaited<R>>
    }
  : never

export const DEFAULT_KIND_SETTINGS: KindSettings = {
  version: 1,
  accepts: [1],
  reentrant: false,
  concurrency: 1,
  queueDepth: 64,
  queue: 'reject-new',
  idleMs: 120_000,
  deadlineMs: 10_000,
  persist: false,
  schemas: new Map(),
}

/** Given options with the defaults of the others. They must have no problems. */
export function settingsOf<M>(options: KindOptions<M>): KindSettings {
  const { schemas = {}, ...given } = options
  const version = given.version ?? DEFAULT_KIND_SETTINGS.version
  return Object.freeze({
    ...DEFAULT_KIND_SETTINGS,
    accepts: [version],
    ...given,
    schemas: new Map(Object.entries(schemas as Record<string, MethodSchemas>)),
  })
}

/** One sentence for each option that is wrong. */
export function optionProblems(options: unknown): string[] {
  if (typeof options !== 'object' || options === null)
    return [`options must be an object, not ${show(options)}`]
  const given = options as Record<string, unknown>
  return [
    ...Object.keys(given).flatMap((key) =>
      Object.hasOwn(DEFAULT_KIND_SETTINGS, key) ? [] : [`${key} is not an option of a kind`],
    ),
    ...within('version', given['version'], 1, 65_535),
    ...acceptsProblems(given['accepts'], given['version']),
    ...flag('reentrant', given['reentrant']),
    ...within('concurrency', given['concurrency'], 1, 1_024),
    ...within('queueDepth', given['queueDepth'], 0, 65_536),
    ...([undefined, 'reject-new', 'drop-oldest'].includes(given['queue'] as string)
      ? []
      : [`queue must be 'reject-new' or 'drop-oldest', not ${show(given['queue'])}`]),
    ...(given['idleMs'] === Infinity ? [] : within('idleMs', given['idleMs'], 1, 2_147_483_647)),
    ...within('deadlineMs', given['deadlineMs'], 1, 600_000),
    ...flag('persist', given['persist']),
    ...schemaProblems(given['schemas']),
  ]
}

function acceptsProblems(accepts: unknown, version: unknown): string[] {
  if (accepts === undefined) return []
  if (!Array.isArray(accepts)) return [`accepts must be a list of versions, not ${show(accepts)}`]
  const problems = accepts.flatMap((item: unknown, i) =>
    item === undefined ? [`accepts[${i}] is undefined`] : within(`accepts[${i}]`, item, 1, 65_535),
  )
  if (accepts.length > 64) problems.push(`accepts has ${accepts.length} versions, at most 64 are allowed`)
  const own = version ?? DEFAULT_KIND_SETTINGS.version
  if (!accepts.includes(own))
    problems.push(`accepts must have the kind's own version, ${show(own)}, among it`)
  return problems
}

function schemaProblems(schemas: unknown): string[] {
  if (schemas === undefined) return []
  if (typeof schemas !== 'object' || schemas === null || Array.isArray(schemas)) {
    return [`schemas must be an object by method, not ${show(schemas)}`]
  }
  return Object.entries(schemas).flatMap(([method, given]: [string, unknown]) => {
    const what = `schemas.${method}`
    if (typeof given !== 'object' || given === null) {
      return [`${what} must be an object of args and result, not ${show(given)}`]
    }
    const { args, result, ...others } = given as Record<string, unknown>
    const problems = Object.keys(others).map((key) => `${what}.${key} is neither args nor result`)
    if (args !== undefined && !Array.isArray(args)) {
      problems.push(`${what}.args must be a list of schemas, one for each argument`)
    }
    const lists: [string, unknown][] = Array.isArray(args)
      ? args.map((item: unknown, i) => [`${what}.args[${i}]`, item])
      : []
    if (result !== undefined) lists.push([`${what}.result`, result])
    for (const [where, schema] of lists) {
      if (!isSchema(schema)) problems.push(`${where} is no schema by Standard Schema, version 1`)
    }
    return problems
  })
}

function isSchema(schema: unknown): boolean {
  if ((typeof schema !== 'object' && typeof schema !== 'function') || schema === null) return false
  const standard = (schema as { '~standard'?: { version?: unknown; validate?: unknown } })['~standard']
  return standard?.version === 1 && typeof standard.validate === 'function'
}

function within(what: string, value: unknown, min: number, max: number): string[] {
  if (value === undefined) return []
  if (Number.isInteger(value) && (value as number) >= min && (value as number) <= max) return []
  return [`${what} must be a whole number from ${min} to ${max}, not ${show(value)}`]
}

function flag(what: string, value: unknown): string[] {
  return value === undefined || typeof value === 'boolean'
    ? []
    : [`${what} must be true or false, not ${show(value)}`]
}
