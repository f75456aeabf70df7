/**
 * Driver: the only impure loop. Feeds inputs to the core, executes its outputs on the platform's ports, and owns one
 * timer. It knows no protocol. Whatever a port reports while outputs are executed waits its turn.
 */
import type { ClusterEvent, Input, LinkId, Output } from '../core/events.ts'
import type { NodeId } from '../core/identity/node-id.ts'
import type { NodeCore } from '../core/node.ts'
import { Refill } from '../core/refill.ts'
import type {
  CancelTimer,
  Clock,
  Keys,
  LinkHandlers,
  LinkTransport,
  Now,
  RelayTransport,
  Signaling,
  SignalingSession,
} from '../ports.ts'
import { soon } from './soon.ts'
import { Intake } from './intake.ts'
import { LinkQueue } from './link-queue.ts'
import type { Traffic } from './link-queue.ts'
import { RelayLinks } from './relay-links.ts'

export type { Traffic }

export interface DriverOptions {
  readonly core: NodeCore
  readonly room: string
  readonly clock: Clock
  /** `false`: this process has none, and links by relay alone. */
  readonly transport: LinkTransport | false
  readonly relay: RelayTransport | false
  readonly signaling: Signaling
  readonly keys: Keys
  /** Where bytes are counted: the counts go on where an earlier driver of the same process left them. */
  readonly traffic: Traffic
  /** Signs with the key of the present life. */
  readonly sign: (bytes: Uint8Array) => Promise<Uint8Array>
  /** Commits the next life of this process and names it; with `fresh`, one of another authority. */
  readonly nextLife: (fresh: boolean) => Promise<NextLife>
  readonly onEvent: (event: ClusterEvent) => void
  /** A message comes, in a task of its own. */
  readonly onTask: () => void
  /** After each turn: what was said in it may go to the core at once, and leave with what the turn itself gave. */
  readonly onTurn: () => void
  /** Nothing more is to be done: whatever can be read of the core may have changed. */
  readonly onRest: () => void
  /** Messages of users that have come, or news of those that were sent. */
  readonly onMessages: (output: Extract<Output, { type: 'deliver' | 'outcome' | 'progress' }>) => void
  /** User code is to be run or stopped, or a call of this process has ended. */
  readonly onGrain: (output: Extract<Output, { type: 'grain' | 'grain-ended' }>) => void
  /** Copies of grains are to be stored; answered by the input `grain-persisted`. */
  readonly onPersist: (writes: Extract<Output, { type: 'persist' }>['writes']) => void
  /** The answer to the input `trace`. */
  readonly onTraced: (traced: Extract<Output, { type: 'traced' }>) => void
  /** The signaling server said no for good. */
  readonly onRefused: (reason: string) => void
}

export interface NextLife {
  readonly nodeId: NodeId
  readonly publicKey: Uint8Array
}

/** Whoever is removed again within this time, in ms, is being removed by somebody who is wrong or hostile. */
const REBIRTH_CALM_MS = 10_000
const REBIRTH_MIN_MS = 500
const REBIRTH_MAX_MS = 30_000
/** What leads to this many inputs is not waited for any longer: the other end waits for the first reply. */
const MAX_HELD = 16
/** The same in time, in ms: handlers may compute. */
const MAX_HOLD_MS = 2
/** As many as the continuation of a few promises takes. */
const MICROTASK_ROUNDS = 8
/** A next life that could not be committed is asked for again after this long, in ms. */
const NEXT_LIFE_RETRY_MS = 1_000

export class Driver {
  readonly #options: DriverOptions
  readonly #links = new Map<LinkId, LinkQueue>()
  /** Those that were given something since they were last flushed. */
  #filled = new Refill<LinkQueue>()
  #spare = new Refill<LinkQueue>()
  /** Those that are to be closed once others have been given what is for them: a browser takes its time to close one. */
  readonly #closing: LinkQueue[] = []
  /** User code was begun in this turn. */
  #hasBegun = false
  /** Inputs since something has waited for what user code comes to. */
  #held = 0
  #isHolding = false
  #heldSince = 0
  readonly #inputs: (Input | readonly Input[])[] = []
  /** When the last turn began. */
  #turnedAt = 0
  readonly #relayed: RelayLinks
  readonly #intake: Intake
  #session: SignalingSession | undefined
  /** This life is to end at the signaling server once its relayed links have. */
  #owesGoodbye = false
  #running = false
  #stopped = false
  #lastRebirth = -Infinity
  #rebirthPause = 0
  #timer: { readonly due: number; readonly cancel: CancelTimer } | undefined
  /** A tick in the next task. */
  #isSoon = false
  #roundsLeft = 0
  #cancelSoon: CancelTimer | undefined
  /** The pause before the next life is asked for again. */
  #cancelRetry: CancelTimer | undefined

  constructor(options: DriverOptions) {
    this.#options = options
    this.#intake = new Intake(options.clock, (inputs, now) => this.feed(inputs, now))
    this.#relayed = new RelayLinks({
      transport: options.relay,
      clock: options.clock,
      carry: (to, data) => this.#session?.relay?.(to, data),
      onNone: () => this.#owesGoodbye && this.#goodbye(),
    })
  }

  start(): void {
    this.#openSignaling()
    this.feed({ type: 'start' })
  }

  /**
   * Runs the input, or several in one turn, and everything that leads to, before it returns; from within a turn, after
   * that turn. What all of that has to say on a link leaves together, before anybody looks at what has changed: the
   * other end waits for it. Where user code was begun, what that comes to within this task may go along. `now`: if it
   * was just looked at.
   */
  feed(inputs: Input | readonly Input[], now?: Now): void {
    if (this.#stopped) return
    // Some are left where something threw in an earlier go.
    const isNext = !this.#running && this.#inputs.length === 0
    if (!isNext) this.#inputs.push(inputs)
    if (!this.#running) this.#go(isNext ? inputs : this.#inputs.shift(), now)
  }

  /** Bytes that wait for a link, here and in the link itself. */
  bufferedBytesOf(linkId: LinkId): number {
    return this.#links.get(linkId)?.bufferedBytes ?? 0
  }

  /** Of each link. */
  get bufferedBytes(): readonly number[] {
    return [...this.#links.values()].map(({ bufferedBytes }) => bufferedBytes)
  }

  /** Ends every link, the signaling session and the timer, at once. Nothing is called any more. */
  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
    this.#timer = undefined
    this.#cancelSoon?.()
    this.#cancelRetry?.()
    this.#intake.stop()
    this.#closeLinks()
    for (const queue of this.#links.values()) queue.close()
    this.#links.clear()
    this.#relayed.stop()
    this.#session?.close()
    this.#session = undefined
  }

  #go(first: Input | readonly Input[] | undefined, now: Now | undefined): void {
    this.#running = true
    try {
      for (let next = first; next && !this.#stopped; next = this.#inputs.shift()) {
        for (; next && !this.#stopped; next = this.#inputs.shift()) {
          this.#turn(next, now ?? this.#options.clock.now())
          now = undefined
        }
        this.#sendOff()
        this.#closeLinks()
        this.#options.onRest()
      }
    } finally {
      this.#running = false
    }
    this.#setTimer()
  }

  #turn(inputs: Input | readonly Input[], now: Now): void {
    const { core, onTurn } = this.#options
    this.#held += Array.isArray(inputs) ? inputs.length : 1
    this.#turnedAt = now.mono
    for (const output of core.handle(inputs, now)) this.#execute(output)
    onTurn()
  }

  #execute(output: Output): void {
    switch (output.type) {
      case 'link-open':
        return this.#openLink(output)
      case 'link-signal':
        return this.#links.get(output.linkId)?.end.signal(output.data)
      case 'link-send':
        return this.#send(output)
      case 'link-close':
        return this.#closeLink(output.linkId)
      case 'sign':
        return this.#sign(output.linkId, output.bytes)
      case 'verify':
        return this.#verify(output)
      case 'signaling-send':
        return this.#owesGoodbye ? undefined : this.#session?.send(output.to, output.data)
      case 'signaling-contacts':
        return this.#session?.askContacts()
      case 'signaling-goodbye':
        // The goodbye on relayed links goes by this session.
        this.#owesGoodbye = !this.#relayed.isEmpty
        return this.#owesGoodbye ? undefined : this.#goodbye()
      case 'traced':
        return this.#options.onTraced(output)
      case 'deliver':
      case 'outcome':
      case 'progress':
        return this.#options.onMessages(output)
      case 'grain':
        this.#hasBegun ||= output.output.type === 'invoke'
        return this.#options.onGrain(output)
      case 'grain-ended':
        return this.#options.onGrain(output)
      case 'persist':
        return this.#options.onPersist(output.writes)
      case 'rebirth':
        return this.#rebirth(output.fresh)
      case 'event':
        return this.#options.onEvent(output.event)
    }
  }

  #send({ linkId, lane, bytes }: Extract<Output, { type: 'link-send' }>): void {
    const queue = this.#links.get(linkId)
    if (queue?.push(lane, bytes)) this.#filled.add(queue)
  }

  /**
   * Calls that queue for one grain are run one after the other, and most handlers end within a few microtasks: a message
   * for each reply would cost both ends more than the call does.
   */
  #sendOff(): void {
    const mayHold = this.#hasBegun && this.#filled.size > 0 && this.#held < MAX_HELD
    this.#hasBegun = false
    if (!mayHold) return this.#flushLinks()
    const { mono } = this.#options.clock.now()
    if (!this.#isHolding) {
      this.#heldSince = mono
      void this.#hold()
    } else if (mono >= this.#heldSince + MAX_HOLD_MS) this.#flushLinks()
  }

  async #hold(): Promise<void> {
    this.#isHolding = true
    for (let before = 0; this.#filled.size > 0 && before !== this.#held;) {
      before = this.#held
      for (let round = 0; round < MICROTASK_ROUNDS; round++) await undefined
    }
    this.#isHolding = false
    this.#flushLinks()
  }

  #flushLinks(): void {
    this.#held = 0
    const filled = this.#filled
    // Where a link breaks as it is flushed, others may be given something meanwhile.
    this.#filled = this.#spare
    this.#spare = filled
    for (let i = 0; i < filled.size; i++) filled.at(i).flush()
    filled.clear()
  }

  #goodbye(): void {
    this.#session?.goodbye()
    this.#session = undefined
  }

  #openLink({ linkId, nodeId, initiator, relay }: Extract<Output, { type: 'link-open' }>): void {
    const { transport, traffic, onTask } = this.#options
    const closed = (reason: string) => {
      this.#links.get(linkId)?.drop()
      this.#links.delete(linkId)
      // After what has come before.
      this.#intake.take({ type: 'link-closed', linkId, reason })
    }
    const handlers: LinkHandlers = {
      onSignal: (data) => this.feed({ type: 'link-signal', linkId, data }),
      onOpen: () => {
        const fingerprints = this.#links.get(linkId)?.end.fingerprints
        this.feed({ type: 'link-opened', linkId, fingerprints })
      },
      onMessage: (bytes) => {
        onTask()
        traffic.messagesReceived++
        traffic.bytesReceived += bytes.length
        this.#intake.take({ type: 'link-message', linkId, bytes })
      },
      onDrain: () => this.#links.get(linkId)?.flush(),
      onClose: closed,
    }
    if (!relay && !transport) return closed('this process has no WebRTC')
    try {
      const end =
        relay || !transport
          ? this.#relayed.open(nodeId, initiator, handlers)
          : transport.open(initiator, handlers)
      const broken = (reason: string) => {
        end.close()
        closed(reason)
      }
      this.#links.set(linkId, new LinkQueue(end, traffic, broken))
    } catch (error) {
      closed(error instanceof Error ? error.message : String(error))
    }
  }

  /** At the end of this go; what waits for the link is handed to it first. */
  #closeLink(linkId: LinkId): void {
    const queue = this.#links.get(linkId)
    if (queue) this.#closing.push(queue)
    this.#links.delete(linkId)
  }

  #closeLinks(): void {
    if (this.#closing.length > 0) for (const queue of this.#closing.splice(0)) queue.close()
  }

  #sign(linkId: LinkId, bytes: Uint8Array): void {
    this.#options.sign(bytes).then(
      (signature) => this.feed({ type: 'signed', linkId, signature }),
      (error: unknown) => {
        this.#closeLink(linkId)
        this.feed({ type: 'link-closed', linkId, reason: `this process could not sign: ${String(error)}` })
      },
    )
  }

  #verify({ linkId, publicKey, authority, bytes, signature }: Extract<Output, { type: 'verify' }>): void {
    const tell = (ok: boolean) => this.feed({ type: 'verified', linkId, ok })
    this.#options.keys.verify(publicKey, authority, bytes, signature).then(tell, () => tell(false))
  }

  #openSignaling(): void {
    const { signaling, room, core } = this.#options
    this.#session = signaling.open(room, core.nodeId, {
      onUp: (contacts, relay, quietMs = 0) => {
        this.#relayed.up(relay)
        this.feed({ type: 'signaling-up', contacts, relays: relay !== undefined, quietMs })
      },
      onContacts: (contacts, quietMs = 0) => this.feed({ type: 'signaling-contacts', contacts, quietMs }),
      onMessage: (from, data) => this.feed({ type: 'signaling-message', from, data }),
      onRelay: (from, data) => this.#relayed.receive(from, data),
      onRelayRefused: (to, reason) => this.#relayed.fail(to, `it was not relayed: ${reason}`),
      onGone: (nodeId) => {
        this.#relayed.fail(nodeId, 'the signaling server does not know the other end any more')
        this.feed({ type: 'signaling-gone', nodeId })
      },
      onDown: (reason) => {
        this.#relayed.down(reason)
        this.feed({ type: 'signaling-down', reason })
      },
      onRefused: (reason) => {
        this.#relayed.down(reason)
        this.feed({ type: 'signaling-down', reason })
        this.#options.onRefused(reason)
      },
    })
  }

  /** A first rebirth is immediate; those that follow hard on it wait longer and longer. */
  #rebirth(fresh: boolean): void {
    this.#relayed.down('this life is over')
    this.#session?.close()
    this.#session = undefined
    const { mono } = this.#options.clock.now()
    const isCalm = mono - this.#lastRebirth > REBIRTH_CALM_MS
    this.#rebirthPause = isCalm
      ? 0
      : Math.min(REBIRTH_MAX_MS, Math.max(REBIRTH_MIN_MS, this.#rebirthPause * 2))
    this.#lastRebirth = mono + this.#rebirthPause
    if (isCalm) this.#beReborn(fresh)
    else this.#cancelRetry = this.#options.clock.timer(this.#rebirthPause, () => this.#beReborn(fresh))
  }

  #beReborn(fresh: boolean): void {
    this.#options.nextLife(fresh).then(
      (life) => {
        if (this.#stopped) return
        this.feed({ type: 'reborn', ...life })
        // A core that was left meanwhile stays what it was.
        if (this.#options.core.nodeId === life.nodeId) this.#openSignaling()
      },
      (error: unknown) => {
        if (this.#stopped) return
        const reason = `the next generation could not be kept, trying again: ${String(error)}`
        this.#options.onEvent({
          type: 'storage',
          at: this.#options.clock.now().wall,
          what: 'identity',
          reason,
        })
        this.#cancelRetry = this.#options.clock.timer(NEXT_LIFE_RETRY_MS, () => this.#beReborn(fresh))
      },
    )
  }

  /**
   * A timer that fires too early costs one empty turn; one that is moved at every message costs more, since it is kept
   * by a worker. So what is due now, as after most messages of users, has the next task beside the timer that is set.
   */
  #setTimer(): void {
    if (this.#stopped) return
    const due = this.#options.core.nextDeadline()
    if (due === undefined) {
      this.#timer?.cancel()
      this.#timer = undefined
      return
    }
    if (this.#timer && this.#timer.due <= due) return
    if (due <= this.#turnedAt) return this.#tickSoon()
    const delay = due - this.#options.clock.now().mono
    if (delay <= 0) return this.#tickSoon()
    this.#timer?.cancel()
    const cancel = this.#options.clock.timer(delay, () => {
      this.#timer = undefined
      this.feed({ type: 'tick' })
    })
    this.#timer = { due, cancel }
  }

  /**
   * A tick in the next task, unless what is due has been done by then: who answers a message in the same task takes
   * along what is owed for it. A task costs more than a turn, so the microtasks of this one are let through first.
   */
  #tickSoon(): void {
    if (this.#isSoon) return
    this.#isSoon = true
    this.#roundsLeft = MICROTASK_ROUNDS
    soon(this.#nextRound)
  }

  /** Kept, and not by `await`, which makes a promise and two functions each time. */
  readonly #nextRound = (): void => {
    if (--this.#roundsLeft > 0) return soon(this.#nextRound)
    this.#isSoon = false
    if (!this.#isDue()) return this.#setTimer()
    this.#isSoon = true
    this.#cancelSoon = this.#options.clock.timer(0, () => {
      this.#isSoon = false
      this.feed({ type: 'tick' })
    })
  }

  #isDue(): boolean {
    const due = this.#stopped ? undefined : this.#options.core.nextDeadline()
    // As `#setTimer` does, also where a clock steps back: the two would ask each other for ever.
    return due !== undefined && (due <= this.#turnedAt || due <= this.#options.clock.now().mono)
  }
}
