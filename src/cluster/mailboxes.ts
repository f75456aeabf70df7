/**
 * Mailboxes: what users send to each other and listen to. Everything that is sent and handled in one go of the event
 * loop goes to the core together, once; what comes is handed to listeners at once, and counts as handled when they are
 * done.
 */
import type { Lane, Message, MessageListener, ReceiveOptions, SendOptions } from '../api.ts'
import { isMailboxName } from '../core/association/pieces.ts'
import type {
  DeadLetterReason,
  EventBody,
  Incoming,
  Input,
  Outcome,
  Output,
  Outgoing,
} from '../core/events.ts'
import type { Authority, NodeId } from '../core/identity/node-id.ts'
import { authorityOf, isAuthority, isNodeId } from '../core/identity/node-id.ts'
import { LANES } from '../core/wire/frames.ts'
import { ClusterError } from '../errors.ts'
import { checkFunction, isSignal, show } from '../grains/arguments.ts'
import { soon } from '../driver/soon.ts'
import { callSafely, isPromise, report } from './store.ts'

export interface MailboxesOptions {
  /** Hands inputs to the core, in one turn. Returns `false` while there is none. */
  readonly feed: (inputs: readonly Input[]) => boolean
  readonly messageBytes: number
  readonly onEvent: (event: EventBody) => void
}

interface Pending {
  readonly mailbox: string
  readonly to: string
  readonly resolve: () => void
  readonly reject: (error: ClusterError) => void
  readonly onProgress: SendOptions['onProgress']
  readonly stopWatching: (() => void) | undefined
}

interface Listening {
  readonly listener: MessageListener
  /** It takes views of larger buffers. */
  readonly views: boolean
}

/** Messages of one stream that wait for a listener that is not done; those before `at` were handed out. */
interface Backlog {
  readonly nodeId: NodeId
  readonly lane: Lane
  readonly messages: Incoming[]
  at: number
}

/** Handled messages that a backlog may still hold, if they are not the lesser part of it. */
const MAX_HANDLED = 32

export class Mailboxes {
  readonly #options: MailboxesOptions
  readonly #encoder = new TextEncoder()
  readonly #decoder = new TextDecoder()
  readonly #pending = new Map<number, Pending>()
  readonly #listeners = new Map<string, Listening>()
  readonly #backlogs = new Map<string, Backlog>()
  #outgoing: Outgoing[] = []
  /** The last name that was looked at, and is one. */
  #knownName: string | undefined
  /** What was handled since the last flush. */
  #handled: Input[] = []
  #isFlushPlanned = false
  #isOver = false
  #ids = 0

  constructor(options: MailboxesOptions) {
    this.#options = options
  }

  send(
    mailbox: string,
    to: string,
    data: Uint8Array | string,
    options: SendOptions = NO_OPTIONS,
  ): Promise<void> {
    const wrong = options === NO_OPTIONS ? undefined : problemOfOptions('send', options, OF_SEND)
    if (wrong) return this.#refuse(mailbox, to, wrong)
    const { lane = 'call', signal, onProgress } = options
    if (signal?.aborted) return Promise.reject(aborted())
    if (this.#isOver) return Promise.reject(errorOf('left', undefined, { mailbox, to }))
    const bytes = typeof data === 'string' ? this.#encoder.encode(data) : data
    const problem = this.#problemOf(to, data, bytes, lane)
    if (problem) return this.#refuse(mailbox, to, problem)
    const id = ++this.#ids
    this.#outgoing.push({ id, to, mailbox, lane, bytes, text: typeof data === 'string' })
    this.#planFlush()
    return new Promise((resolve, reject) => {
      const stopWatching = signal && this.#watch(signal, id)
      this.#pending.set(id, { mailbox, to, resolve, reject, onProgress, stopWatching })
    })
  }

  /** @throws ClusterError `invalid-value` where the mailbox has a listener, this one is no function, or an option none */
  receive(mailbox: string, listener: MessageListener, options: ReceiveOptions = {}): () => void {
    checkFunction('receive', listener)
    const wrong = problemOfOptions('receive', options, OF_RECEIVE)
    if (wrong) throw wrong
    if (this.#listeners.has(mailbox)) {
      const advice = 'stop the one that is there first, or use another mailbox'
      throw new ClusterError('invalid-value', `Mailbox "${mailbox}" has a listener already: ${advice}.`)
    }
    const listening = { listener, views: options.views ?? false }
    this.#listeners.set(mailbox, listening)
    return () => {
      if (this.#listeners.get(mailbox) === listening) this.#listeners.delete(mailbox)
    }
  }

  /** What was handled and sent in this go goes to the core, and what was sent before there was one. */
  flush(): void {
    this.#isFlushPlanned = false
    const inputs = this.#handled
    this.#handled = []
    const messages = this.#outgoing
    // before they are fed: listeners may send more within that turn
    this.#outgoing = []
    if (messages.length > 0) inputs.push({ type: 'send', messages })
    if (inputs.length > 0 && !this.#options.feed(inputs)) this.#outgoing = messages
  }

  /** What listeners said while they were called goes at once: the other side waits for it. */
  answer(): void {
    if (this.#outgoing.length > 0) this.flush()
  }

  deliver({ nodeId, lane, messages }: Extract<Output, { type: 'deliver' }>): void {
    // most listeners are done at once, and then nothing waits for anybody
    const backlog = this.#backlogs.size > 0 ? this.#backlogs.get(nameOf(nodeId, lane)) : undefined
    if (backlog) for (const message of messages) backlog.messages.push(message)
    else this.#handOut({ nodeId, lane, messages: messages as Incoming[], at: 0 }, 0)
  }

  settled({ id, outcome, reason }: Extract<Output, { type: 'outcome' }>): void {
    const pending = this.#pending.get(id)
    if (!pending) return
    this.#pending.delete(id)
    pending.stopWatching?.()
    if (outcome === 'taken') pending.resolve()
    else pending.reject(errorOf(outcome, reason, pending))
  }

  progress({ id, sent, total }: Extract<Output, { type: 'progress' }>): void {
    const onProgress = this.#pending.get(id)?.onProgress
    if (onProgress) callSafely(() => onProgress(sent, total), undefined)
  }

  /** Nothing is sent or received any more. */
  end(): void {
    this.#isOver = true
    this.#outgoing = []
    this.#handled = []
    this.#backlogs.clear()
    this.#listeners.clear()
    for (const id of this.#pending.keys()) this.settled({ type: 'outcome', id, outcome: 'left' })
  }

  #refuse(mailbox: string, to: string, problem: ClusterError): Promise<never> {
    const { message: reason } = problem
    this.#options.onEvent({
      type: 'send-aborted',
      to: typeof to === 'string' ? to.slice(0, 64) : show(to),
      mailbox,
      reason,
    })
    return Promise.reject(problem)
  }

  #problemOf(to: string, data: unknown, bytes: unknown, lane: Lane): ClusterError | undefined {
    if (to !== this.#knownName && !(typeof to === 'string' && (isAuthority(to) || isNodeId(to)))) {
      return new ClusterError('invalid-value', `${show(to, 60)} is neither an authority nor a nodeId.`)
    }
    this.#knownName = to
    if (!LANES.includes(lane)) {
      return new ClusterError('invalid-value', `${show(lane)} is no lane: use ${LANES.join(', ')}.`)
    }
    if (!(bytes instanceof Uint8Array)) {
      return new ClusterError(
        'invalid-value',
        'A message is a string or a Uint8Array; use JSON.stringify for values.',
      )
    }
    if (typeof data === 'string' && !isWellFormed(data)) {
      const advice = 'UTF-8 cannot carry it; JSON.stringify escapes it'
      return new ClusterError('invalid-value', `The text has half a surrogate pair in it: ${advice}.`)
    }
    const { messageBytes } = this.#options
    if (bytes.length <= messageBytes) return undefined
    const advice = 'send it in parts'
    return new ClusterError(
      'too-large',
      `A message has at most ${messageBytes} bytes, this one ${bytes.length}: ${advice}.`,
    )
  }

  #planFlush(): void {
    if (this.#isFlushPlanned) return
    this.#isFlushPlanned = true
    soon(() => this.flush())
  }

  #watch(signal: NonNullable<SendOptions['signal']>, id: number): () => void {
    const onAbort = (): void => {
      // One that the core has not seen yet is simply not sent.
      const at = this.#outgoing.findIndex((message) => message.id === id)
      if (at >= 0) {
        this.#outgoing.splice(at, 1)
        this.settled({ type: 'outcome', id, outcome: 'aborted' })
      } else this.#options.feed([{ type: 'cancel', id }])
    }
    signal.addEventListener('abort', onAbort)
    return () => signal.removeEventListener('abort', onAbort)
  }

  /** Hands out messages until a listener is not done at once; it goes on from there. */
  #handOut(backlog: Backlog, handled: number): void {
    const { nodeId, lane, messages } = backlog
    const authority = authorityOf(nodeId)
    let refused: number[] | undefined
    let count = handled
    while (backlog.at < messages.length) {
      const message = messages[backlog.at++]!
      const listener = this.#listeners.get(message.mailbox)
      const done = listener && this.#call(listener, nodeId, authority, lane, message)
      if (done) {
        this.#backlogs.set(nameOf(nodeId, lane), forgetHandled(backlog))
        this.#await(done, backlog)
        return this.#taken(nodeId, lane, count, refused)
      }
      if (!listener) (refused ??= []).push(count)
      count++
    }
    if (this.#backlogs.size > 0) this.#backlogs.delete(nameOf(nodeId, lane))
    this.#taken(nodeId, lane, count, refused)
  }

  #await(done: PromiseLike<unknown>, backlog: Backlog): void {
    const name = nameOf(backlog.nodeId, backlog.lane)
    const goOn = (): void => {
      if (this.#backlogs.get(name) === backlog) this.#handOut(backlog, 1)
    }
    done.then(goOn, (error: unknown) => {
      report(error)
      goOn()
    })
  }

  #call(
    { listener, views }: Listening,
    from: NodeId,
    authority: Authority,
    lane: Lane,
    { bytes, text }: Incoming,
  ): PromiseLike<unknown> | undefined {
    const data = text ? this.#decoder.decode(bytes) : views ? bytes : inOwnMemory(bytes)
    const message: Message = { from, authority, data, lane }
    try {
      const result: unknown = listener(message)
      return isPromise(result) ? result : undefined
    } catch (error) {
      report(error)
      return undefined
    }
  }

  /** Told together with what listeners send in this go, so that an answer takes the receipt along. */
  #taken(nodeId: NodeId, lane: Lane, count: number, refused: readonly number[] = NONE): void {
    if (count === 0) return
    this.#handled.push({ type: 'taken', nodeId, lane, count, refused })
    this.#planFlush()
  }
}

const NO_OPTIONS: SendOptions = {}

/** A listener may give the memory of a message away. */
const inOwnMemory = (bytes: Uint8Array): Uint8Array =>
  bytes.length === bytes.buffer.byteLength ? bytes : bytes.slice()

/** Of each option that a call takes: what is wrong with what was given as it. */
type Checks = Readonly<Record<string, (value: unknown) => string | undefined>>

const OF_SEND: Checks = {
  // looked at with the message: it has a default
  lane: () => undefined,
  signal: (value) => (isSignal(value) ? undefined : 'signal must be an AbortSignal'),
  onProgress: (value) => (typeof value === 'function' ? undefined : 'onProgress must be a function'),
}

const OF_RECEIVE: Checks = {
  views: (value) => (typeof value === 'boolean' ? undefined : 'views must be true or false'),
}

function problemOfOptions(call: string, options: unknown, checks: Checks): ClusterError | undefined {
  const wrong = (what: string) => new ClusterError('invalid-value', `Of what \`${call}\` was given, ${what}.`)
  if (typeof options !== 'object' || options === null) return wrong('the options must be an object')
  for (const name of Object.keys(options)) {
    if (!Object.hasOwn(checks, name)) return wrong(`${name} is not an option`)
  }
  for (const [name, check] of Object.entries(checks)) {
    const value = (options as Record<string, unknown>)[name]
    const problem = value === undefined ? undefined : check(value)
    if (problem !== undefined) return wrong(problem)
  }
  return undefined
}

/** @throws ClusterError `invalid-value` */
export function checkMailboxName(name: unknown): asserts name is string {
  if (typeof name === 'string' && isMailboxName(name)) return
  const rule = 'use 1 to 64 printable ASCII characters, not beginning with a space'
  throw new ClusterError('invalid-value', `${show(name, 80)} cannot be a mailbox: ${rule}.`)
}

/** A stream that never rests would keep all that it ever brought. */
function forgetHandled(backlog: Backlog): Backlog {
  if (backlog.at < MAX_HANDLED || 2 * backlog.at < backlog.messages.length) return backlog
  backlog.messages.splice(0, backlog.at)
  backlog.at = 0
  return backlog
}

/** Whether UTF-8 carries a text as it is. Old browsers lack the method, which is many times as fast. */
const isWellFormed = (text: string & { isWellFormed?: () => boolean }): boolean =>
  text.isWellFormed?.() ?? !/\p{Surrogate}/u.test(text)

/** Of the stream that a backlog is of. */
const nameOf = (nodeId: NodeId, lane: Lane): string => `${nodeId} ${lane}`
const NONE: readonly number[] = []

const aborted = (): ClusterError =>
  new ClusterError('aborted', 'Sending was aborted; what is under way may arrive.')

const DEAD: Readonly<Partial<Record<DeadLetterReason, string>>> = {
  'life-ended': 'the process it was sent to is gone; part of it may have arrived',
  forgotten: 'nothing is known of its addressee any more',
  dropped: 'it made place in the queue for a newer one',
}

function errorOf(
  outcome: Exclude<Outcome, 'taken'>,
  reason: string | undefined,
  { mailbox, to }: { readonly mailbox: string; readonly to: string },
): ClusterError {
  switch (outcome) {
    case 'aborted':
      return aborted()
    case 'left':
      return new ClusterError('left', 'This process left before the message was handled.')
    case 'no-receiver':
      return new ClusterError('no-receiver', `${to} has no listener for the mailbox "${mailbox}".`)
    case 'queue-full': {
      const advice = 'wait for earlier ones, or raise the limits'
      return new ClusterError('queue-full', `Too many messages wait for ${to}: ${advice}.`)
    }
    case 'quarantined':
      return new ClusterError(
        'quarantined',
        `${to} is shut out for a while: ${reason ?? 'it broke the rules'}.`,
      )
    case 'unknown-member':
      return new ClusterError(
        'unknown-member',
        `Nothing is known of ${to}: take the authority from \`cluster.members\`.`,
      )
    default:
      return new ClusterError(
        'dead-letter',
        `The message for ${to} in the mailbox "${mailbox}" did not arrive: ${DEAD[outcome] ?? outcome}.`,
      )
  }
}
