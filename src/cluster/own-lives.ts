import type { NodeId } from '../core/identity/node-id.ts'
import { createNodeId } from '../core/identity/node-id.ts'
import { ClusterError } from '../errors.ts'
import type { Identity, IdentityStore, Random } from '../ports.ts'

/** One life of this process, named and committed. */
export interface OwnLife {
  readonly identity: Identity
  readonly nodeId: NodeId
  readonly publicKey: Uint8Array
}

export interface OwnLivesOptions {
  readonly cluster: string
  readonly store: IdentityStore
  readonly random: Random
  /** An identity lacks something. */
  readonly onLoss: (reason: string) => void
}

/**
 * Names the lives of this process, one after the other: as a rule of one authority, with growing generations. Where
 * another process goes by that authority as well, this one becomes somebody else.
 */
export class OwnLives {
  readonly #options: OwnLivesOptions
  #identity: Identity | undefined
  #released = false

  constructor(options: OwnLivesOptions) {
    this.#options = options
  }

  /** The identity of the newest life. */
  get identity(): Identity | undefined {
    return this.#identity
  }

  /** The first life of this process. */
  async first(): Promise<OwnLife> {
    const identity = await this.#claim()
    return this.#life(identity, identity.generation)
  }

  /**
   * The next life: the next generation, or with `fresh` one of another authority.
   * @throws ClusterError `authority-conflict` where the platform has no other authority to give
   */
  async next(fresh: boolean): Promise<OwnLife> {
    const identity = this.#identity!
    if (!fresh) {
      const lostBefore = identity.lost
      const generation = await identity.nextGeneration()
      if (identity.lost !== undefined && identity.lost !== lostBefore) this.#options.onLoss(identity.lost)
      if (generation !== undefined) return this.#life(identity, generation)
    }
    identity.abandon()
    const other = await this.#claim()
    if (other.authority !== identity.authority) return this.#life(other, other.generation)
    throw new ClusterError(
      'authority-conflict',
      `Another process goes by the authority of this one, ${identity.authority}, and the platform gives no other.`,
    )
  }

  sign(bytes: Uint8Array): Promise<Uint8Array> {
    return this.#identity!.sign(bytes)
  }

  /** Gives the identity back, also one that is only on its way. Idempotent. */
  release(): void {
    if (this.#released) return
    this.#released = true
    this.#identity?.release()
  }

  async #claim(): Promise<Identity> {
    const identity = await this.#options.store.claim(this.#options.cluster)
    this.#identity = identity
    if (this.#released) identity.release()
    else if (identity.lost !== undefined) this.#options.onLoss(identity.lost)
    return identity
  }

  #life(identity: Identity, generation: number): OwnLife {
    const nodeId = createNodeId(identity.authority, generation, this.#options.random)
    return { identity, nodeId, publicKey: identity.publicKey }
  }
}
