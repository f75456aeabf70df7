/**
 * The library in a bare page, without a demo around it. `cluster.html#<room>` joins that room as it loads; without a
 * fragment nothing starts until the spec says so.
 */
import * as grainmesh from '../../src/index.ts'
import type { Cluster, ClusterOptions, NodeStatus, OpeningCluster } from '../../src/index.ts'

/** One state of the member list. */
export type SeenList = readonly { readonly nodeId: string; readonly status: NodeStatus }[]

export interface Tab {
  readonly grainmesh: typeof grainmesh
  /** The membership that `open` began last. */
  cluster: Cluster
  /** Further memberships, or further handles on one, that the spec keeps here. */
  handles: Cluster[]
  /** Every list of members that this cluster has shown, oldest first. */
  lists: SeenList[]
  /** How the last join ended; absent while it goes on. */
  ended?: { readonly up: true } | { readonly up: false; readonly code: string; readonly message: string }
  /** `performance.now()` when this script ran, and when the last join was done. */
  readonly startedAt: number
  upAt?: number
  /** Options that lead to the signaling server of this page's own address. */
  options(more?: Partial<ClusterOptions>): ClusterOptions
  open(room: string, more?: Partial<ClusterOptions>): OpeningCluster
}

declare global {
  interface Window {
    tab: Tab
    /** Put there by a spec that wants the lists of pages that are gone: given each list as it is shown. */
    keepList?(list: SeenList): void
  }
}

const tab: Omit<Tab, 'cluster'> & { cluster?: Cluster } = {
  grainmesh,
  handles: [],
  lists: [],
  startedAt: performance.now(),
  options: (more) => ({ signaling: `ws://${location.host}/`, ...more }),
  open(room, more) {
    delete tab.ended
    const cluster = grainmesh.openCluster(room, tab.options(more))
    tab.cluster = cluster
    tab.lists = []
    cluster.members.subscribe((members) => {
      const list = members.map(({ nodeId, status }) => ({ nodeId, status }))
      tab.lists.push(list)
      window.keepList?.(list)
    })
    cluster.ready.then(
      () => {
        tab.upAt = performance.now()
        tab.ended = { up: true }
      },
      (error: grainmesh.ClusterError) => {
        tab.ended = { up: false, code: error.code, message: error.message }
      },
    )
    return cluster
  },
}
window.tab = tab as Tab

const room = location.hash.slice(1)
if (room !== '') tab.open(room)
