import type { Authority } from '../core/identity/node-id.ts'
import { parseNodeId } from '../core/identity/node-id.ts'
import { packMemory, unpackMemory } from '../core/gossip/memory.ts'
import type { NodeCore } from '../core/node.ts'
import type { OriginRange } from '../core/wire/frames.ts'
import type { CancelTimer, Clock, Snapshot, SnapshotStore } from '../ports.ts'

/** A snapshot is written this long after a change, in ms, so that a crowd of changes costs one write. */
const DEBOUNCE_MS = 500
/** What is older than a day says little about who is there now. */
const MAX_AGE_MS = 24 * 3_600_000

/** Writes snapshots while the cluster runs, not at unload: a page that is killed gets no chance to. */
export class SnapshotKeeper {
  readonly #store: SnapshotStore
  readonly #clock: Clock
  readonly #cluster: string
  readonly #onLoss: (reason: string) => void
  #seen = ''
  /** The newest life: an older one is not worth a write any more. */
  #core: NodeCore | undefined
  #cancel: CancelTimer | undefined
  #failed = false

  constructor(store: SnapshotStore, clock: Clock, cluster: string, onLoss: (reason: string) => void) {
    this.#store = store
    this.#clock = clock
    this.#cluster = cluster
    this.#onLoss = onLoss
  }

  /** What the last life of this authority knew. Empty where there is nothing usable. */
  async remembered(authority: Authority): Promise<readonly OriginRange[]> {
    try {
      const snapshot = await this.#store.load(this.#cluster, authority)
      if (!snapshot) return []
      const age = this.#clock.now().wall - snapshot.at
      if (age > MAX_AGE_MS || age < -MAX_AGE_MS) throw new Error('it is stale')
      const unpacked = unpackMemory(snapshot.table)
      if (!unpacked.ok) throw new Error(unpacked.reason)
      return unpacked.ranges
    } catch (error) {
      this.#onLoss(`what an earlier life kept cannot be used: ${messageOf(error)}`)
      return []
    }
  }

  /** Writes soon if anything in the table has changed. */
  notice(core: NodeCore): void {
    const seen = `${core.nodeId} ${core.table.log.revision}`
    if (seen === this.#seen || core.status === 'joining' || core.status === 'left') return
    this.#seen = seen
    this.#core = core
    this.#cancel ??= this.#clock.timer(DEBOUNCE_MS, () => {
      this.#cancel = undefined
      if (this.#core) void this.#write(this.#core)
    })
  }

  close(): void {
    this.#cancel?.()
    this.#cancel = undefined
  }

  async #write(core: NodeCore): Promise<void> {
    try {
      await this.#store.save(takeSnapshot(core, this.#cluster, this.#clock.now().wall))
      this.#failed = false
    } catch (error) {
      if (!this.#failed) this.#onLoss(`a snapshot could not be written: ${messageOf(error)}`)
      this.#failed = true
    }
  }
}

function takeSnapshot(core: NodeCore, cluster: string, at: number): Snapshot {
  const { authority, generation } = parseNodeId(core.nodeId)!
  return { version: 2, cluster, authority, generation, table: packMemory(core.table), at }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
