/**
 * Two tabs that are connected in four ways at once. `link.html#<id>`: the tab `b` is opened first; `a` then begins
 * every connection, and measures. What a way costs is asked of `window.link`.
 */
import { openCluster, type Authority, type Cluster } from '../../src/index.ts'
import { Exercise } from './exercise.ts'
import { openHub } from './hub.ts'
import { grainmeshSide } from './sides/grainmesh.ts'
import { announce, openPeerJs } from './sides/peerjs.ts'
import { openRaw } from './sides/raw.ts'
import type { Side, Wire } from './sides/side.ts'
import { openSimplePeer } from './sides/simple-peer.ts'
import { receiveSlowly, sendToSlow, type SlowReport } from './slow.ts'

export type SideName = 'raw' | 'simple-peer' | 'PeerJS' | 'Grainmesh'

declare global {
  interface Window {
    /** The other tab may begin. */
    isReachable: boolean
    /** There once all four ways are open. */
    link: {
      readonly cluster: Cluster
      readonly sides: Record<SideName, Exercise>
      /** Members that were suspected, or whose status changed for the worse. */
      readonly accused: string[]
      sendToSlow(messages: number, bytes: number): Promise<SlowReport>
    }
  }
}

const id = location.hash.slice(1)
const other = id === 'a' ? 'b' : 'a'
const isInitiator = id === 'a'

const hub = await openHub('link', id)
const wires = new Map<string, Wire>()
hub.onMessage = ({ topic, data }) => {
  if (topic !== 'newcomer') wireOf(topic).onSignal(data)
}

const cluster = openCluster('link', { signaling: `ws://${location.host}/` })
const accused: string[] = []
cluster.members.subscribe((members) => {
  for (const { nodeId, suspected, status } of members)
    if (suspected || status === 'unreachable') accused.push(`${nodeId} ${suspected ? 'suspected' : status}`)
})
const peer = await announce(id)
window.isReachable = true
const [raw, simplePeer, peerJs, grainmesh] = await Promise.all([
  openRaw(wireOf('raw'), isInitiator),
  openSimplePeer(wireOf('simple-peer'), isInitiator),
  openPeerJs(peer, other, isInitiator),
  openGrainmesh(),
])
receiveSlowly(cluster)
window.link = {
  cluster,
  sides: {
    raw: new Exercise(raw),
    'simple-peer': new Exercise(simplePeer),
    PeerJS: new Exercise(peerJs),
    Grainmesh: new Exercise(grainmesh),
  },
  accused,
  sendToSlow: (messages, bytes) => sendToSlow(cluster, peerOf(cluster)!, messages, bytes),
}

async function openGrainmesh(): Promise<Side> {
  await cluster.ready
  await new Promise<void>((resolve) => {
    const look = (): void => void (cluster.links.get().length > 0 && peerOf(cluster) && resolve())
    cluster.links.subscribe(look)
    cluster.members.subscribe(look)
    look()
  })
  return grainmeshSide(cluster, peerOf(cluster)!)
}

/** The other tab. */
function peerOf({ members }: Cluster): Authority | undefined {
  return members.get().find(({ self, status }) => !self && status === 'up')?.authority
}

/** What comes before the way is there waits for it. */
function wireOf(topic: string): Wire {
  const known = wires.get(topic)
  if (known) return known
  const early: unknown[] = []
  let listener = (data: unknown): void => void early.push(data)
  const wire: Wire = {
    send: (data) => hub.send({ to: other, topic, data }),
    get onSignal() {
      return listener
    },
    set onSignal(given) {
      listener = given
      for (const data of early.splice(0)) given(data)
    },
  }
  wires.set(topic, wire)
  return wire
}
