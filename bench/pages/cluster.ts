/**
 * The library in a bare page. `cluster.html#<room>` joins that room as it loads, and tells the bench what it sees as
 * it sees it, so that asking costs nothing.
 */
import { startedAt } from './started.ts'
import { openCluster } from '../../src/index.ts'
import type { Cluster, ClusterEvent, NodeStatus } from '../../src/index.ts'

/** What a tab shows at one moment. */
export interface View {
  readonly self: string
  readonly status: string
  readonly state: string
  readonly members: readonly { readonly nodeId: string; readonly status: NodeStatus }[]
  /** ms since 1970. */
  readonly at: number
}

export type Told =
  | { readonly type: 'view'; readonly view: View }
  | { readonly type: 'event'; readonly event: ClusterEvent }
  | { readonly type: 'failed'; readonly reason: string }

/** Events that the benches use; the others would only cost time. */
const TOLD = new Set<ClusterEvent['type']>([
  'member-status',
  'superseded',
  'authority-conflict',
  'reborn',
  'joined',
  'link-opened',
])

declare global {
  interface Window {
    bench: { cluster: Cluster; readonly startedAt: number; openedAt: number; open(room: string): void }
    /** The bench listens. */
    tell(told: Told): void
  }
}

function open(room: string): void {
  window.bench.openedAt = performance.now()
  const cluster = openCluster(room, { signaling: `ws://${location.host}/` })
  window.bench.cluster = cluster
  cluster.ready.catch((error: Error) => window.tell({ type: 'failed', reason: error.message }))
  let waiting = false
  // one view for all that changes in one turn
  const note = (): void => {
    if (waiting) return
    waiting = true
    queueMicrotask(() => {
      waiting = false
      window.tell({ type: 'view', view: viewOf(cluster) })
    })
  }
  for (const readable of [cluster.members, cluster.status, cluster.convergence]) readable.subscribe(note)
  cluster.events.subscribe((event) => {
    if (TOLD.has(event.type)) window.tell({ type: 'event', event })
  })
}

function viewOf(cluster: Cluster): View {
  return {
    self: cluster.self.nodeId,
    status: cluster.status.get(),
    state: cluster.convergence.get().state,
    members: cluster.members.get().map(({ nodeId, status }) => ({ nodeId, status })),
    at: performance.timeOrigin + performance.now(),
  }
}

// before the library's own listener
addEventListener('pagehide', () => sessionStorage.setItem('hidden-at', String(Date.now())))
window.bench = { startedAt, open } as Window['bench']
const room = location.hash.slice(1)
if (room !== '') open(room)
