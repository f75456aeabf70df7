/** Grains as types: what a definition gives, what its setup is given, and what callers hold. */
import type { AbortSignalLike } from '../options.ts'

/**
 * What a setup may return: methods, and nothing else. Interfaces fit. A method named `then` does not: awaiting the
 * grain would call it; nor one that every object has. Names that begin with `$` are Grainmesh's own.
 */
export type GrainMethods<M> = {
  [K in keyof M]-?: K extends 'then' | ObjectMethod | `$${string}` ? never : (...args: never[]) => unknown
}

type ObjectMethod =
  | 'constructor'
  | 'toJSON'
  | 'toString'
  | 'toLocaleString'
  | 'valueOf'
  | 'hasOwnProperty'
  | 'isPrototypeOf'
  | 'propertyIsEnumerable'

declare const METHODS: unique symbol

/** Names a kind and has its methods as a type: enough to call its grains. */
export interface GrainRef<out Name extends string = string, out M = unknown> {
  readonly name: Name
  /** Never there. */
  readonly [METHODS]?: M
}

/** A kind of grain, from `defineGrain`. Whoever joins with it in `grains` hosts grains of it. */
export interface GrainKind<out Name extends string = string, out M = unknown> extends GrainRef<Name, M> {
  readonly setup: (self: GrainContext) => M
  readonly options: KindSettings
}

/**
 * A grain, as callers see it: every method gives a promise. Arguments and results are copies. A method that gives a
 * promise already keeps its own type, generic ones included; a generic method that does not loses its type parameters:
 * make it `async`.
 */
export type GrainProxy<M> = {
  readonly [K in keyof M]: M[K] extends (...args: infer A) => infer R
    ? [R] extends [Promise<unknown>]
      ? M[K]
      : (...args: A) => Promise<Awaited<R>>
    : never
}

export interface GrainCallOptions {
  /** Aborting gives the call up; it may run all the same. */
  readonly signal?: AbortSignalLike
  /** The call fails after this long. Default: the kind's `deadlineMs`; 10,000 where only its name is known. */
  readonly deadlineMs?: number
}

/** Makes a proxy of a grain; it asks nobody before a method of it is called. */
export type GrainOf = <M>(kind: GrainRef<string, M>, key: string, options?: GrainCallOptions) => GrainProxy<M>

/** What a grain knows of itself: given to its setup, once for each activation. */
export interface GrainContext {
  /** The name of this grain among those of its kind. */
  readonly key: string
  /** Aborted when this activation ends: pass it to whatever takes long. What a handler does after that is not taken. */
  readonly signal: GrainSignal
  /**
   * The state of this grain, which outlives the tab that hosts it. Once for each grain, within setup. It is replicated
   * before the reply of the handler that changed it leaves. A stored value is given as it is: where newer code wants
   * another shape, `onActivate` may make it so.
   * @param initial the first value, or what makes it; made anew after `clear()`
   * @throws ClusterError `invalid-state` when called twice or later, or if `initial` cannot be carried; `state-missing`
   */
  state<T>(initial: T | (() => T), options?: StateOptions<T>): State<T>
  /** Another grain. A grain that calls itself needs `reentrant`, and annotates its results. */
  readonly grain: GrainOf
  /**
   * Calls `fn` each `ms` milliseconds, as a call of its own that may change the state, as long as this activation
   * lives. A turn that is not done when the next is due makes that one drop out. As its turns are calls, the grain does
   * not become idle. A turn that throws changes nothing, and is told by the event `grain-threw`. After its host is lost it
   * begins when the grain is next called. Returns the way to stop.
   * @throws ClusterError `invalid-value` for less than 1 ms, more than 24 days, or what is no function
   */
  every(ms: number, fn: () => unknown): () => void
  /**
   * Runs after setup and before the first call; in order, each awaited. It may change the state.
   * @throws ClusterError `invalid-value` for what is no function, and once the grain is activated: it would never run
   */
  onActivate(fn: () => unknown): void
  /**
   * Runs when the grain is idle or moves, after the last call; in reverse order, each awaited. Not when its tab leaves,
   * is closed or dies: then `signal` is aborted, as far as there is time. What all of them have changed is stored unless
   * one throws.
   * @throws ClusterError `invalid-value` for what is no function
   */
  onDeactivate(fn: () => unknown): void
  /** Deletes the state of this grain, so that no trace of it is kept. It is the initial one again. */
  clear(): void
}

/** `AbortSignal` where the platform's types have one. */
export type GrainSignal = typeof globalThis extends {
  AbortSignal: { prototype: infer S extends AbortSignalLike }
}
  ? S
  : AbortSignalLike

export interface StateOptions<T> {
  /**
   * Makes one state of two, where two sides of a partition of the network have changed the same grain; gives a new
   * value. `kept` is the state of the side that is followed, `other` that of the other side; neither is told what both
   * had before. Called when the grain is next activated, before `onActivate`; the result is replicated before any call
   * of that activation is answered. If it throws, the activation fails, and the next one asks it again. Without it
   * `kept` stays, and the event `state-conflict` has the other. What one side alone has changed is taken without asking.
   */
  readonly merge?: (kept: DeepReadonly<T>, other: DeepReadonly<T>) => T | DeepReadonly<T>
  /** When all holders of the state are gone: `fail` with `state-missing`, or start from `initial`. Default `fail`. */
  readonly onLost?: 'fail' | 'initial'
}

/** A value that is replicated. It is never changed in place: what `value` gives is read-only, at run time too. */
export interface State<T> {
  /**
   * The value as it is now, frozen. To write into it, as `state.value.list.push(item)` does, throws a TypeError in the
   * engine's own words, such as "object is not extensible" or "read only property": use
   * `state.update((draft) => { draft.list.push(item) })`, or set `value`.
   */
  get value(): DeepReadonly<T>
  /**
   * Replaces the value by a copy of what is given; what is done to that later changes nothing.
   * @throws ClusterError `invalid-state` if it cannot be carried, or no handler runs; `state-limit`
   */
  set value(value: T | DeepReadonly<T>)
  /**
   * Changes a copy, which then replaces the value; what `change` returns does so instead, unless it is `undefined`.
   * Nothing is changed if it throws.
   * @throws ClusterError as setting `value` does, and if `change` returns a promise; `invalid-value` if it is no function
   */
  update(change: (draft: T) => T | DeepReadonly<T> | void): void
}

/**
 * `T`, read-only to its depth. A Date stays a Date, so that it can be given to whatever takes one; its setters throw.
 * To have a typed array for other code, take a `slice()`.
 */
export type DeepReadonly<T> = unknown extends T
  ? T
  : T extends Primitive | Date | ArrayBuffer | ((...args: never[]) => unknown)
    ? T
    : T extends TypedArray
      ? ReadonlyTyped<T>
      : T extends ReadonlyMap<infer K, infer V>
        ? ReadonlyMap<DeepReadonly<K>, DeepReadonly<V>>
        : T extends ReadonlySet<infer V>
          ? ReadonlySet<DeepReadonly<V>>
          : { readonly [K in keyof T]: DeepReadonly<T[K]> }

/** How a kind runs: every option with its value. */
export interface KindSettings {
  readonly version: number
  readonly accepts: readonly number[]
  readonly reentrant: boolean
  readonly concurrency: number
  readonly queueDepth: number
  readonly queue: 'reject-new' | 'drop-oldest'
  readonly idleMs: number
  readonly deadlineMs: number
  readonly persist: boolean
  readonly schemas: ReadonlyMap<string, MethodSchemas>
}

/** What checks the arguments and the result of a method. */
export interface MethodSchemas {
  readonly args?: readonly StandardSchema[]
  readonly result?: StandardSchema
}

/** The part of Standard Schema (standardschema.dev) that is used: Zod, Valibot, ArkType and others give this. */
export interface StandardSchema<out Output = unknown> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>
    readonly types?: { readonly input: unknown; readonly output: Output } | undefined
  }
}

export type SchemaResult<Output> =
  { readonly value: Output; readonly issues?: undefined } | { readonly issues: readonly SchemaIssue[] }

export interface SchemaIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

type Primitive = string | number | bigint | boolean | symbol | null | undefined

type TypedArray =
  | Int8Array
  | Uint8Array
  | Uint8ClampedArray
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array

type ReadonlyTyped<T extends TypedArray> = Omit<
  T,
  'buffer' | 'copyWithin' | 'fill' | 'reverse' | 'set' | 'sort' | 'subarray' | number
> & { readonly [index: number]: T[number] }
