import type { Authority } from '../core/identity/node-id.ts'
import { parseNodeId } from '../core/identity/node-id.ts'
import { packMemory, unpackMemory } from '../core/gossip/memory.ts'
import type { NodeCore } from '../core/node.ts'
import type { OriginRange } from '../core/wire/frames.ts'
import type { CancelTimer, Clock, Snapshot, SnapshotStore } from '../ports.ts'
import { Revision } from './store.ts'

/** A snapshot is written this long after a change, in ms, so that a crowd of changes costs one write. */
const DEBOUNCE_MS = 500
/** What is older than a day says little about who is there now. */
const MAX_AGE_MS = 24 * 3_600_000

export interface SnapshotKeeperOptions {
  readonly store: SnapshotStore
  readonly clock: Clock
  readonly cluster: string
  /** What was kept cannot be used, or nothing can be kept any more. */
  readonly onLoss: (reason: string) => void
  /** After each write; without a size where it failed. */
  readonly onWritten: (written: WrittenSnapshot | undefined) => void
}

export interface WrittenSnapshot {
  /** Size of the packed table. */
  readonly bytes: number
  /** From the first look at the table to the store's answer; most of it is not this thread's time. */
  readonly durationMs: number
}

/** Writes snapshots while the cluster runs, not at unload: a page that is killed gets no chance to. */
export class SnapshotKeeper {
  readonly #options: SnapshotKeeperOptions
  readonly #seen = new Revision()
  #noticed = 0
  /** The newest life: an older one is not worth a write any more. */
  #core: NodeCore | undefined
  #cancel: CancelTimer | undefined
  #failed = false

  constructor(options: SnapshotKeeperOptions) {
    this.#options = options
  }

  /** What the last life of this authority knew. Empty where there is nothing usable. */
  async remembered(authority: Authority): Promise<readonly OriginRange[]> {
    const { store, clock, cluster, onLoss } = this.#options
    try {
      const snapshot = await store.load(cluster, authority)
      if (!snapshot) return []
      const age = clock.now().wall - snapshot.at
      if (age > MAX_AGE_MS || age < -MAX_AGE_MS) throw new Error('it is stale')
      const unpacked = unpackMemory(snapshot.table)
      if (!unpacked.ok) throw new Error(unpacked.reason)
      return unpacked.ranges
    } catch (error) {
      onLoss(`what an earlier life kept cannot be used: ${messageOf(error)}`)
      return []
    }
  }

  /** Writes soon if anything in the table has changed. */
  notice(core: NodeCore): void {
    const seen = this.#seen.of(core.nodeId, core.table.log.revision)
    if (seen === this.#noticed || core.status === 'joining' || core.status === 'left') return
    this.#noticed = seen
    this.#core = core
    this.#cancel ??= this.#options.clock.timer(DEBOUNCE_MS, () => {
      this.#cancel = undefined
      if (this.#core) void this.#write(this.#core)
    })
  }

  close(): void {
    this.#cancel?.()
    this.#cancel = undefined
  }

  async #write(core: NodeCore): Promise<void> {
    const { store, clock, cluster, onLoss, onWritten } = this.#options
    const { mono, wall } = clock.now()
    let written: WrittenSnapshot | undefined
    try {
      const snapshot = takeSnapshot(core, cluster, wall)
      await store.save(snapshot)
      written = { bytes: snapshot.table.length, durationMs: clock.now().mono - mono }
    } catch (error) {
      if (!this.#failed) onLoss(`a snapshot could not be written: ${messageOf(error)}`)
    }
    this.#failed = written === undefined
    onWritten(written)
  }
}

function takeSnapshot(core: NodeCore, cluster: string, at: number): Snapshot {
  const { authority, generation } = parseNodeId(core.nodeId)!
  return { version: 2, cluster, authority, generation, table: packMemory(core.table), at }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
