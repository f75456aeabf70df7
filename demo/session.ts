import { ClusterError, openCluster, type ClusterOptions, type OpeningCluster } from '../src/index.ts'

/**
 * Where this page stands with its room. `stopped`: it has not joined, since the page before it was stopped without
 * goodbye. `failed` keeps the error until the next attempt.
 */
export type Phase = 'stopped' | 'opening' | 'joined' | 'leaving' | 'left' | 'failed'

export interface SessionHandlers {
  /** What to join with; read anew at each join. */
  options(): ClusterOptions
  /** A membership begins: watch it. The returned function is called when it is over. */
  onOpen(cluster: OpeningCluster): () => void
  onChange(): void
}

/**
 * One membership at a time in the room that is wanted now. Every wish is honoured in order of arrival, the last one
 * wins: a page that is sent through three rooms while it says goodbye to the first ends in the third.
 */
export class Session {
  #room: string
  #wantsIn = true
  #phase: Phase = 'stopped'
  #error: ClusterError | undefined
  #cluster: OpeningCluster | undefined
  #stopWatching: () => void = () => {}
  #settling = false
  readonly #handlers: SessionHandlers

  constructor(room: string, handlers: SessionHandlers) {
    this.#room = room
    this.#handlers = handlers
  }

  get room(): string {
    return this.#room
  }

  get phase(): Phase {
    return this.#phase
  }

  /** Why the last attempt failed, while `phase` is `failed`. */
  get error(): ClusterError | undefined {
    return this.#error
  }

  /** The running membership; absent after leaving and after a failure. */
  get cluster(): OpeningCluster | undefined {
    return this.#cluster
  }

  /** Joins the room, or moves to it, or tries it again. */
  enter(room: string = this.#room): void {
    this.#room = room
    this.#wantsIn = true
    void this.#settle()
  }

  leave(): void {
    this.#wantsIn = false
    void this.#settle()
  }

  async #settle(): Promise<void> {
    if (this.#settling) return
    this.#settling = true
    while (!this.#isSettled()) {
      if (this.#cluster) await this.#close(this.#cluster)
      else this.#open()
    }
    this.#settling = false
  }

  #isSettled(): boolean {
    if (this.#wantsIn) return this.#cluster?.name === this.#room
    return this.#cluster === undefined
  }

  #open(): void {
    this.#error = undefined
    let cluster: OpeningCluster
    try {
      cluster = openCluster(this.#room, this.#handlers.options())
    } catch (error) {
      this.#fail(error)
      return
    }
    this.#cluster = cluster
    this.#stopWatching = this.#handlers.onOpen(cluster)
    this.#to('opening')
    cluster.ready.then(
      () => this.#cluster === cluster && this.#phase === 'opening' && this.#to('joined'),
      (error: unknown) => {
        // A membership that was given up on purpose fails with `aborted`; nobody waits for that.
        if (this.#cluster !== cluster || this.#phase !== 'opening') return
        this.#drop()
        this.#fail(error)
      },
    )
  }

  async #close(cluster: OpeningCluster): Promise<void> {
    this.#to('leaving')
    // A goodbye that could not be said ends the membership all the same.
    await cluster.leave().catch(() => {})
    this.#drop()
    this.#to('left')
  }

  #drop(): void {
    this.#stopWatching()
    this.#stopWatching = () => {}
    this.#cluster = undefined
  }

  #fail(error: unknown): void {
    this.#wantsIn = false
    this.#error =
      error instanceof ClusterError ? error : new ClusterError('refused', String(error), { cause: error })
    this.#to('failed')
  }

  #to(phase: Phase): void {
    this.#phase = phase
    this.#handlers.onChange()
  }
}
