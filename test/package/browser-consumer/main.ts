/** A page of somebody who installed Grainmesh, with the strictest settings that they may have. */
import { ClusterError, defineGrain, grainRef, joinCluster } from 'grainmesh'
import type { Cluster, ClusterOptions, Member, NodeId } from 'grainmesh'

interface Cursor {
  readonly x: number
  readonly y: number
}

const Counter = defineGrain('counter', (self) => {
  const count = self.state(0)
  return {
    add: (by: number) => (count.value += by),
    load: (url: string) => fetch(url, { signal: self.signal }).then(({ status }) => status),
  }
})
const CounterRef = grainRef<typeof Counter>('counter')

const options: ClusterOptions = {
  signaling: 'ws://localhost:5173/',
  grains: [Counter],
  meta: { name: 'Ada' },
  iceServers: [{ urls: 'stun:stun.example.com' } satisfies RTCIceServer],
  signal: new AbortController().signal,
}

export async function start(): Promise<Cluster | undefined> {
  try {
    const cluster = await joinCluster('consumer', options)
    const stop = cluster.members.subscribe((members) => show(members, cluster.self.nodeId))
    cluster.status.subscribe((status) => {
      if (status === 'left') stop()
    })
    const cursors = cluster.peerState<Cursor>('cursor')
    addEventListener('pointermove', ({ clientX, clientY }) => cursors.set({ x: clientX, y: clientY }))
    cursors.subscribe((all) => {
      const entries: [NodeId, Cursor][] = [...all]
      document.title = `${entries.length} cursors, ${cluster.convergence.get().viewHash}`
    })
    const total: number = await cluster.grain(CounterRef, 'visits', { deadlineMs: 1_000 }).add(1)
    document.title = `visit ${total}`
    return cluster
  } catch (error) {
    if (error instanceof ClusterError && error.code === 'signaling-unreachable') return undefined
    throw error
  }
}

function show(members: readonly Member[], self: NodeId): void {
  document.body.textContent = members
    .map(({ nodeId, status, path }) => `${nodeId === self ? 'this tab' : nodeId}: ${status}, ${path}`)
    .join('\n')
}

void start()
