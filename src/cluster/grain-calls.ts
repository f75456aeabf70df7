/**
 * The caller's side of grains: what users and handlers call goes to the core, and its end comes back as a result or as
 * the error that tells why. Calls that are made in one go of the event loop go to the core together.
 */
import type { Input } from '../core/events.ts'
import type { CallRequest } from '../core/rpc/call.ts'
import type { KindVersions } from '../core/published-kinds.ts'
import { getAlong } from '../core/published-kinds.ts'
import type { CallEnd } from '../core/rpc/calls.ts'
import { grainName } from '../core/rpc/call-id.ts'
import type { Parent } from '../core/rpc/messages.ts'
import { ClusterError } from '../errors.ts'
import type { ClusterErrorCode } from '../errors.ts'
import type { AbortSignalLike } from '../options.ts'
import type { CancelTimer, Clock, Now } from '../ports.ts'
import type { ValueCodec } from '../grains/codec.ts'
import { checkArguments } from '../grains/schema.ts'
import type { GrainKind, StandardSchema } from '../grains/types.ts'
import { soon } from '../driver/soon.ts'
import type { CallName } from './call-errors.ts'
import { callError, leftError, mismatchOf, unsent } from './call-errors.ts'

export interface GrainCallsOptions {
  readonly codec: ValueCodec
  readonly clock: Clock
  /** Hands inputs to the core, in one turn. `now`: if it was just looked at. Returns `false` while there is none. */
  readonly feed: (inputs: readonly Input[], now?: Now) => boolean
  /** Versions of a kind that live members publish; `undefined` while that is not known. */
  readonly versionsOf: (kind: string) => readonly KindVersions[] | undefined
  /** How often a call was sent so far. */
  readonly attemptsOf: (id: number) => number
  /** Each call once, when it has ended. */
  readonly onEnded?: ((call: EndedCall) => void) | undefined
}

/** What is measured of a call. */
export interface EndedCall {
  readonly kind: string
  readonly method: string
  readonly outcome: 'result' | ClusterErrorCode
  /** How often it was sent. */
  readonly attempts: number
  readonly ms: number
}

/** Who is called, and how. */
export interface CallTarget {
  readonly kind: string
  readonly key: string
  /** Where the caller has more than a name. */
  readonly definition: GrainKind | undefined
  readonly deadlineMs: number | undefined
  readonly signal: AbortSignalLike | undefined
}

/** On whose behalf a call is made, at the moment when it is. */
export type Origin = { readonly parent?: Parent } | 'left' | 'over'

/** A call that has not ended. */
interface Open extends CallName {
  readonly id: number
  readonly args: Uint8Array
  readonly deadlineMs: number | undefined
  /** Of the kind, where the caller has more than its name. */
  readonly versions: KindVersions | undefined
  readonly parent: Parent | undefined
  readonly startedAt: number
  readonly resolve: (result: unknown) => void
  readonly reject: (error: ClusterError) => void
  /** The core has it. */
  isSent: boolean
  stopWatching: (() => void) | undefined
  /** Its deadline, as long as the core does not see to it. */
  cancelTimer: CancelTimer | undefined
  /** The reason of its signal, once that was aborted. */
  abortedBy: unknown
  /** Called at its end. */
  onEnd: (() => void) | undefined
}

/** Of a kind that only its name is known of. As the core has it. */
const DEFAULT_DEADLINE_MS = 10_000
/** More kinds than a cluster has. */
const MAX_REMEMBERED = 1_024
/** Calls that go to the core in one task: with more, whoever calls thousands at once would stop the page. */
const MAX_TOGETHER = 128

export class GrainCalls {
  readonly #options: GrainCallsOptions
  readonly #open = new Map<number, Open>()
  /** Kinds that were called here while somebody hosted them. */
  readonly #hosted = new Set<string>()
  /** The last call of each line that is not ready to be sent: those behind it wait, for calls of a line keep order. */
  readonly #lines = new Map<string, Promise<void>>()
  #outgoing: Open[] = []
  #isFlushPlanned = false
  #isOver = false
  #ids = 0

  constructor(options: GrainCallsOptions) {
    this.#options = options
  }

  /** Calls that have not ended. */
  get size(): number {
    return this.#open.size
  }

  /** Never throws: whatever is wrong, the promise rejects. */
  call(target: CallTarget, method: string, args: readonly unknown[], origin: Origin): Promise<unknown> {
    const { kind, key, signal, definition } = target
    const name: CallName = { kind, key, method }
    if (this.#isOver || origin === 'left') return this.#refuse(name, leftError(name, false))
    if (origin === 'over') {
      return this.#refuse(name, unsent('aborted', name, 'the activation that makes this call is over.'))
    }
    if (signal?.aborted) {
      return this.#refuse(name, unsent('aborted', name, 'its signal was aborted.', { cause: signal.reason }))
    }
    const problem = this.#problemOf(name, definition)
    if (problem) return this.#refuse(name, problem)
    let bytes: Uint8Array
    try {
      bytes = this.#encode(args)
    } catch (error) {
      return this.#refuse(name, unsent('invalid-arguments', name, messageOf(error)))
    }
    const deadlineMs = target.deadlineMs ?? definition?.options.deadlineMs
    const schemas = definition?.options.schemas.get(method)?.args
    const more = { deadlineMs, versions: definition?.options, parent: origin.parent }
    return this.#accept(name, bytes, more, signal, schemas)
  }

  /** Calls a method of our own, whose name begins with `$`. */
  callOwn(name: CallName, args: readonly unknown[], deadlineMs: number): Promise<unknown> {
    if (this.#isOver) return this.#refuse(name, leftError(name, false))
    const more = { deadlineMs, versions: undefined, parent: undefined }
    return this.#accept(name, this.#encode(args), more)
  }

  /** The one end of a call that the core has. */
  ended(id: number, end: CallEnd): void {
    const call = this.#open.get(id)
    if (!call) return
    if (end.type === 'error') {
      const { kind, key, method, args, abortedBy, versions, deadlineMs = DEFAULT_DEADLINE_MS } = call
      const ms = this.#options.clock.now().mono - call.startedAt
      const isHosted = this.#options.versionsOf(kind)?.length !== 0
      const told = { kind, key, method, bytes: args.length, deadlineMs, ms, abortedBy, versions, isHosted }
      this.#fail(call, callError(end, told))
      return
    }
    this.#close(call)
    let result: unknown
    try {
      result = this.#options.codec.decode(end.bytes, 'result')
    } catch (cause) {
      this.#tell(call, 'invalid-result', end.attempts)
      const { kind, key, method } = call
      const message = `${kind}/${key}.${method}: the result cannot be read: ${messageOf(cause)} All members must use one codec.`
      const { attempts } = end
      call.reject(
        new ClusterError('invalid-result', message, { kind, key, method, attempts, mayHaveRun: true, cause }),
      )
      return
    }
    this.#tell(call, 'result', end.attempts)
    call.resolve(result)
  }

  /** What was called in this go goes to the core, and what was called before there was one. */
  flush(): void {
    this.#isFlushPlanned = false
    if (this.#outgoing.length === 0) return
    const isAll = this.#outgoing.length <= MAX_TOGETHER
    const calls = isAll ? this.#outgoing : this.#outgoing.slice(0, MAX_TOGETHER)
    // before they are fed: what they lead to may call more
    this.#outgoing = isAll ? [] : this.#outgoing.slice(MAX_TOGETHER)
    for (const call of calls) call.isSent = true
    const now = this.#options.clock.now()
    const inputs = calls.map((call): Input => ({ type: 'grain-call', request: requestOf(call, now.mono) }))
    if (this.#options.feed(inputs, now)) {
      for (const call of calls) call.cancelTimer?.()
      if (this.#outgoing.length > 0 && !this.#isFlushPlanned) {
        this.#isFlushPlanned = true
        this.#options.clock.timer(0, () => this.flush())
      }
      return
    }
    for (const call of calls) {
      call.isSent = false
      this.#setTimer(call)
    }
    this.#outgoing = [...calls, ...this.#outgoing]
  }

  /** The core that these were sent to is no more; what was not sent waits for the next one. */
  forget(): void {
    for (const call of this.#open.values()) {
      if (!call.isSent) continue
      const { kind, key, method } = call
      const message = `${kind}/${key}.${method}: the page was put away before the call had ended.`
      const attempts = this.#options.attemptsOf(call.id)
      const mayHaveRun = attempts > 0
      this.#fail(call, new ClusterError('aborted', message, { kind, key, method, attempts, mayHaveRun }))
    }
  }

  /** Nothing is called any more. */
  end(): void {
    this.#isOver = true
    for (const call of this.#open.values())
      this.#fail(call, leftError(call, call.isSent, this.#options.attemptsOf(call.id)))
    this.#outgoing = []
  }

  #problemOf(name: CallName, definition: GrainKind | undefined): ClusterError | undefined {
    if (name.method.startsWith('$')) {
      return unsent('unknown-method', name, "names that begin with $ are Grainmesh's own.")
    }
    const hosted = this.#options.versionsOf(name.kind)
    if (!hosted) return undefined
    if (hosted.length === 0) {
      // Its only host may be reloading: its calls wait for it.
      if (this.#hosted.has(name.kind)) return undefined
      const advice = 'give it to `grains` in some tab, or correct the name.'
      return unsent('unknown-kind', name, `nobody hosts this kind: ${advice}`)
    }
    this.#remember(name.kind)
    if (!definition || hosted.some((versions) => getAlong(definition.options, versions))) return undefined
    const there = [...new Set(hosted.map(({ version }) => version))].toSorted((a, b) => a - b)
    return unsent('version-mismatch', name, mismatchOf(there, definition.options))
  }

  #remember(kind: string): void {
    if (this.#hosted.size < MAX_REMEMBERED) this.#hosted.add(kind)
  }

  #encode(args: readonly unknown[]): Uint8Array {
    const bytes: unknown = this.#options.codec.encode(args, 'args')
    if (bytes instanceof Uint8Array) return bytes
    throw new TypeError('the codec gave no bytes.')
  }

  #accept(
    name: CallName,
    args: Uint8Array,
    { deadlineMs, versions, parent }: Pick<Open, 'deadlineMs' | 'versions' | 'parent'>,
    signal?: AbortSignalLike,
    schemas?: readonly StandardSchema[],
  ): Promise<unknown> {
    const id = ++this.#ids
    return new Promise((resolve, reject) => {
      const { kind, key, method } = name
      const call: Open = {
        kind,
        key,
        method,
        id,
        args,
        deadlineMs,
        versions,
        parent,
        startedAt: this.#options.clock.now().mono,
        resolve,
        reject,
        isSent: false,
        stopWatching: undefined,
        cancelTimer: undefined,
        onEnd: undefined,
        abortedBy: undefined,
      }
      this.#open.set(id, call)
      call.stopWatching = signal && this.#watch(signal, call)
      // Mostly nobody waits, and then the name of a line need not be made.
      if (!schemas && this.#lines.size === 0) return this.#send(call)
      const line = `${parent?.caller ?? ''}/${grainName(kind, key)}`
      const before = this.#lines.get(line)
      if (schemas || before) this.#sendInTurn(call, line, before, schemas)
      else this.#send(call)
    })
  }

  #send(call: Open): void {
    this.#outgoing.push(call)
    if (this.#isFlushPlanned) return
    this.#isFlushPlanned = true
    soon(() => this.flush())
  }

  /** Sends it when its arguments were found good and those before it are sent. */
  #sendInTurn(
    call: Open,
    line: string,
    before: Promise<void> | undefined,
    schemas: readonly StandardSchema[] | undefined,
  ): void {
    this.#setTimer(call)
    const ended = new Promise<void>((resolve) => (call.onEnd = resolve))
    const checked = schemas && this.#check(call, schemas)
    const turn = Promise.race([ended, Promise.all([checked, before])]).then(() => {
      if (this.#lines.get(line) === turn) this.#lines.delete(line)
      if (this.#open.has(call.id)) this.#send(call)
    })
    this.#lines.set(line, turn)
  }

  /** By a copy, as its host gets it: schemas may change what they are given, and are asked again there. */
  async #check(call: Open, schemas: readonly StandardSchema[]): Promise<void> {
    try {
      const args = this.#options.codec.decode(call.args, 'args')
      await checkArguments(schemas, args as readonly unknown[])
    } catch (error) {
      const issues = error instanceof ClusterError ? error.issues : []
      const more = issues.length > 0 ? { issues } : { cause: error }
      this.#fail(call, unsent('invalid-arguments', call, messageOf(error), more))
    }
  }

  #watch(signal: AbortSignalLike, call: Open): () => void {
    const onAbort = (): void => {
      call.abortedBy = signal.reason
      if (call.isSent) this.#options.feed([{ type: 'grain-abort', id: call.id }])
      else this.#fail(call, unsent('aborted', call, 'its signal was aborted.', { cause: signal.reason }))
    }
    signal.addEventListener('abort', onAbort)
    return () => signal.removeEventListener('abort', onAbort)
  }

  /** The core sees to deadlines of what it has; until then somebody must. */
  #setTimer(call: Open): void {
    const { deadlineMs = DEFAULT_DEADLINE_MS } = call
    call.cancelTimer ??= this.#options.clock.timer(deadlineMs, () => {
      const reason = `it could not be sent within ${deadlineMs} ms. It has not run: call again.`
      this.#fail(call, unsent('deadline', call, reason))
    })
  }

  #fail(call: Open, error: ClusterError): void {
    if (!this.#close(call)) return
    this.#tell(call, error.code, error.attempts)
    call.reject(error)
  }

  /** It was not accepted: nothing of it is kept. */
  #refuse({ kind, method }: CallName, error: ClusterError): Promise<never> {
    this.#options.onEnded?.({ kind, method, outcome: error.code, attempts: 0, ms: 0 })
    return Promise.reject(error)
  }

  #tell({ kind, method, startedAt }: Open, outcome: EndedCall['outcome'], attempts: number): void {
    const ms = this.#options.clock.now().mono - startedAt
    this.#options.onEnded?.({ kind, method, outcome, attempts, ms })
  }

  /** @returns whether it was open */
  #close(call: Open): boolean {
    if (!this.#open.delete(call.id)) return false
    call.stopWatching?.()
    call.cancelTimer?.()
    call.onEnd?.()
    const at = call.isSent ? -1 : this.#outgoing.indexOf(call)
    if (at >= 0) this.#outgoing.splice(at, 1)
    return true
  }
}

/** Its deadline is absolute: what it has waited here counts. */
function requestOf(
  { id, kind, key, method, args, deadlineMs = DEFAULT_DEADLINE_MS, versions, parent, startedAt }: Open,
  now: number,
): CallRequest {
  const left = Math.max(1, startedAt + deadlineMs - now)
  return {
    id,
    kind,
    key,
    method,
    args,
    deadlineMs: left,
    ...(versions && { versions }),
    ...(parent && { parent }),
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
