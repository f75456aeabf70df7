/**
 * Copies of grains of one membership, between the core and the disk. Of what the disk does not do the user is told once,
 * and everything else goes on.
 */
import type { Input } from '../core/events.ts'
import type { Clock, CopyStore, CopyWrite, StoredCopy } from '../ports.ts'

/** A disk that has not answered by then holds grains up no longer, in ms. */
const ANSWER_MS = 2_000

export interface CopyKeeperOptions {
  readonly store: CopyStore
  readonly clock: Clock
  readonly cluster: string
  readonly feed: (input: Input) => void
  readonly onLoss: (reason: string) => void
}

export class CopyKeeper {
  readonly #options: CopyKeeperOptions
  #failed = false

  constructor(options: CopyKeeperOptions) {
    this.#options = options
  }

  /** Tells a core that has begun what is there. What comes late is told all the same. */
  async recall(): Promise<void> {
    const { store, clock, cluster, onLoss } = this.#options
    let isOver = false
    const goOn = (reason: string): void => {
      if (isOver) return
      isOver = true
      onLoss(`grains begin without what was stored of them: ${reason}`)
      this.#recalled([])
    }
    const cancel = clock.timer(ANSWER_MS, () => goOn(`the disk has not answered in ${ANSWER_MS} ms`))
    try {
      const copies = await store.load(cluster)
      isOver = true
      this.#recalled(copies)
    } catch (error) {
      goOn(messageOf(error))
    } finally {
      cancel()
    }
  }

  async persist(writes: readonly CopyWrite[]): Promise<void> {
    const { store, cluster, onLoss, feed } = this.#options
    let ok = true
    try {
      await store.save(cluster, writes)
    } catch (error) {
      ok = false
      if (!this.#failed) onLoss(`grains could not be stored: ${messageOf(error)}`)
    }
    this.#failed = !ok
    feed({ type: 'grain-persisted', ok })
  }

  #recalled(copies: readonly StoredCopy[]): void {
    this.#options.feed({ type: 'grain-recalled', copies })
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
