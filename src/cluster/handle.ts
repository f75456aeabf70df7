import type {
  Authority,
  Cluster,
  ClusterEvent,
  ClusterStatus,
  Mailbox,
  Member,
  MessageListener,
  NodeId,
  OpeningCluster,
  PeerState,
  Readable,
  ReceiveOptions,
  ResolveResult,
  SendOptions,
  Trace,
} from '../api.ts'
import { ClusterError } from '../errors.ts'
import type { GrainCallOptions, GrainProxy, GrainRef } from '../grains/types.ts'
import type { AbortSignalLike } from '../options.ts'
import { checkMailboxName } from './mailboxes.ts'
import type { Membership } from './membership.ts'
import type { Lease } from './shared.ts'
import { Store } from './store.ts'

/**
 * One join's handle on a membership that several joins may share. Leaving it, or aborting its signal, ends this use
 * alone: the others go on.
 */
export class ClusterHandle implements OpeningCluster {
  readonly ready: Promise<void>
  readonly members: Cluster['members']
  readonly links: Cluster['links']
  readonly convergence: Cluster['convergence']
  readonly status: Cluster['status']
  readonly events: Cluster['events']
  readonly metrics: Cluster['metrics']
  readonly associations: Cluster['associations']
  readonly #mailboxes = new Map<string, Mailbox>()
  /** Listeners that end with this handle. */
  readonly #listening = new Set<() => void>()
  /** Those that are told of its leaving, too, unless others go on. */
  readonly #watching = new Set<() => void>()
  readonly #lease: Lease
  readonly #peerStates = new Map<string, PeerState<unknown>>()
  readonly #status: Store<ClusterStatus>
  readonly #stopStatus: () => void
  #giveUp!: (error: ClusterError) => void
  #left = false
  /** It has left, and others of its page have not. */
  #othersGoOn = false

  constructor(lease: Lease, signal?: AbortSignalLike) {
    const { membership } = lease
    this.#lease = lease
    this.ready = new Promise((resolve, reject) => {
      this.#giveUp = reject
      membership.ready.then(resolve, reject)
    })
    // Whoever only watches `status` has not forgotten to handle anything.
    this.ready.catch(() => undefined)
    this.#status = new Store(
      () => this.#statusNow(),
      () => this.#statusNow(),
    )
    this.#stopStatus = membership.status.subscribe(() => this.#status.announce())
    this.status = readableOf(this.#status)
    this.members = this.#readable(membership.members)
    this.links = this.#readable(membership.links)
    this.convergence = this.#readable(membership.convergence)
    this.associations = this.#readable(membership.associations)
    const { events } = membership
    this.events = {
      recent: events.recent,
      subscribe: (listener) => this.#watch(events.subscribe(listener)),
    }
    this.metrics = membership.metrics
    if (signal) this.#watchAbort(signal)
  }

  get name(): string {
    return this.#membership.name
  }

  get self(): Member {
    return this.#membership.self
  }

  readonly on = <K extends ClusterEvent['type']>(
    type: K,
    listener: (event: Extract<ClusterEvent, { type: K }>) => void,
  ): (() => void) => this.#watch(this.#membership.events.on(type, listener))

  readonly setMeta = (meta: unknown): void => {
    this.#requireOpen()
    this.#membership.setMeta(meta)
  }

  readonly mailbox = (name: string): Mailbox => {
    checkMailboxName(name)
    const known = this.#mailboxes.get(name)
    if (known) return known
    const { mailboxes } = this.#membership
    const mailbox: Mailbox = Object.freeze({
      name,
      send: (to: string, data: Uint8Array | string, options?: SendOptions) =>
        this.#left ? Promise.reject(leftError(this.name)) : mailboxes.send(name, to, data, options),
      receive: (listener: MessageListener, options?: ReceiveOptions) => {
        this.#requireOpen()
        const stop = mailboxes.receive(name, listener, options)
        this.#listening.add(stop)
        return () => {
          this.#listening.delete(stop)
          stop()
        }
      },
    })
    this.#mailboxes.set(name, mailbox)
    return mailbox
  }

  readonly grain = <M>(kind: GrainRef<string, M>, key: string, options?: GrainCallOptions): GrainProxy<M> =>
    this.#membership.grains.grain(kind, key, options, () =>
      this.#left || this.#membership.isOver ? 'left' : {},
    )

  readonly resolve = (pid: string): ResolveResult => this.#membership.resolve(pid)

  readonly release = (authority: Authority): void => this.#membership.release(authority)

  readonly route = (nodeId: NodeId): readonly NodeId[] | undefined => this.#membership.route(nodeId)

  readonly trace = async (nodeId: NodeId): Promise<Trace> => {
    this.#requireOpen()
    return this.#membership.trace(nodeId)
  }

  readonly peerState = <T>(key: string): PeerState<T> => {
    const known = this.#peerStates.get(key)
    if (known) return known as PeerState<T>
    const { store } = this.#membership.peerState(key)
    const state: PeerState<unknown> = {
      ...this.#readable(store),
      set: (value) => {
        this.#requireOpen()
        this.#membership.setPeerState(key, value)
      },
      // What has left publishes nothing, so there is nothing to clear.
      clear: () => {
        if (!this.#left && !this.#membership.isOver) this.#membership.clearPeerState(key)
      },
    }
    this.#peerStates.set(key, state)
    return state as PeerState<T>
  }

  readonly leave = (): Promise<void> => {
    this.#left = true
    this.#giveUp(new ClusterError('aborted', 'The cluster was left before the join was done.'))
    for (const stop of this.#listening) stop()
    this.#listening.clear()
    // Whoever goes on is no business of those who listened here.
    this.#othersGoOn ||= this.#lease.isShared
    if (this.#othersGoOn) for (const stop of this.#watching) stop()
    const over = this.#lease.release()
    this.#status.announce()
    if (!this.#membership.isOver) this.#stopStatus()
    return over
  };

  [Symbol.asyncDispose](): Promise<void> {
    return this.leave()
  }

  get #membership(): Membership {
    return this.#lease.membership
  }

  #statusNow(): ClusterStatus {
    return this.#left && !this.#membership.isOver ? 'left' : this.#membership.status.get()
  }

  #readable<T>({ get, subscribe }: Store<T>): Readable<T> {
    return { get, subscribe: (listener) => this.#watch(subscribe(listener)) }
  }

  #watch(stop: () => void): () => void {
    if (this.#othersGoOn) {
      stop()
      return () => undefined
    }
    const end = (): void => {
      this.#watching.delete(end)
      stop()
    }
    this.#watching.add(end)
    return end
  }

  #requireOpen(): void {
    if (this.#left) throw leftError(this.name)
  }

  #watchAbort(signal: AbortSignalLike): void {
    const onAbort = () => {
      this.#giveUp(
        new ClusterError('aborted', 'The join was aborted by its signal.', { cause: signal.reason }),
      )
      void this.leave()
    }
    if (signal.aborted) return onAbort()
    signal.addEventListener('abort', onAbort)
    void this.#membership.over.then(() => signal.removeEventListener('abort', onAbort))
  }
}

const leftError = (name: string): ClusterError =>
  new ClusterError('left', `This process has left cluster "${name}".`)

const readableOf = <T>({ get, subscribe }: Store<T>): Readable<T> => ({ get, subscribe })
