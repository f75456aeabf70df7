import type { Cluster, PeerState } from '../../src/index.ts'

/**
 * What a tab publishes after it has changed something: how many changes it has made, and what the last of them were
 * about. It carries no content; who reads it asks the grain.
 */
interface Published {
  readonly n: number
  readonly recent: readonly string[]
}

const KEY = 'board'
const MAX_RECENT = 12
/** Changes within this time are told together, in ms. */
const GATHER_MS = 30

/** Tells the other tabs what this one has changed, and hears it of them. */
export class News {
  readonly #state: PeerState<Published>
  readonly #cluster: Cluster
  readonly #seen = new Map<string, number>()
  readonly #onChanged: (ids: readonly string[] | 'all') => void
  readonly #stop: () => void
  #n = 0
  #recent: readonly string[] = []
  #timer: number | undefined

  /** @param onChanged what another tab has changed; `all` where that cannot be told any more */
  constructor(cluster: Cluster, onChanged: (ids: readonly string[] | 'all') => void) {
    this.#cluster = cluster
    this.#onChanged = onChanged
    this.#state = cluster.peerState<Published>(KEY)
    for (const [nodeId, value] of this.#state.get()) this.#seen.set(nodeId, readPublished(value)?.n ?? 0)
    this.#stop = this.#state.subscribe((all) => this.#look(all))
  }

  tell(id: string): void {
    this.#n++
    this.#recent = [id, ...this.#recent].slice(0, MAX_RECENT)
    this.#timer ??= window.setTimeout(() => {
      this.#timer = undefined
      const status = this.#cluster.status.get()
      if (status === 'up' || status === 'isolated') this.#state.set({ n: this.#n, recent: this.#recent })
    }, GATHER_MS)
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#stop()
  }

  #look(all: ReadonlyMap<string, unknown>): void {
    for (const nodeId of this.#seen.keys()) if (!all.has(nodeId)) this.#seen.delete(nodeId)
    for (const [nodeId, value] of all) {
      if (nodeId === this.#cluster.self.nodeId) continue
      const published = readPublished(value)
      const missed = (published?.n ?? 0) - (this.#seen.get(nodeId) ?? 0)
      if (!published || missed <= 0) continue
      this.#seen.set(nodeId, published.n)
      this.#onChanged(
        missed > published.recent.length ? 'all' : [...new Set(published.recent.slice(0, missed))],
      )
    }
  }
}

function readPublished(value: unknown): Published | undefined {
  const { n, recent } = (value ?? {}) as { n?: unknown; recent?: unknown }
  if (!Number.isSafeInteger(n) || !Array.isArray(recent)) return undefined
  return {
    n: n as number,
    recent: recent.slice(0, MAX_RECENT).filter((id): id is string => typeof id === 'string'),
  }
}
