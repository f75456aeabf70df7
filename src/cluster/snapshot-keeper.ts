import type { NodeId } from '../api.ts'
import type { Authority } from '../core/identity/node-id.ts'
import { parseNodeId } from '../core/identity/node-id.ts'
import type { NodeCore } from '../core/node.ts'
import type { CancelTimer, Clock, Snapshot, SnapshotMember, SnapshotStore } from '../ports.ts'

/** A snapshot is written this long after a change, in ms, so that a crowd of changes costs one write. */
const DEBOUNCE_MS = 500

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

  /** Members that the last life of this authority knew. Empty where there is nothing usable. */
  async knownContacts(authority: Authority): Promise<readonly NodeId[]> {
    try {
      const snapshot = await this.#store.load(this.#cluster, authority)
      const others = snapshot?.members.filter(({ nodeId }) => parseNodeId(nodeId)?.authority !== authority)
      return others?.map(({ nodeId }) => nodeId) ?? []
    } catch (error) {
      this.#onLoss(`what an earlier life kept cannot be used: ${messageOf(error)}`)
      return []
    }
  }

  /** Writes soon if the membership has changed. */
  notice(core: NodeCore): void {
    const seen = `${core.nodeId} ${core.viewHash}`
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
  const members: SnapshotMember[] = []
  for (const { nodeId, counter, self, status } of core.table.records()) {
    if (self && status === 'up') members.push({ nodeId, counter, process: self.process })
  }
  return { version: 1, cluster, authority, generation, members, at }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
