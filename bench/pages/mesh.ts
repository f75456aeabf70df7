/**
 * One of many tabs, as a member of a cluster or of a plain full mesh of simple-peer. The page is loaded and waits;
 * `window.mesh` begins, so that both sides start at the same point, with all code in memory.
 */
import { openCluster, type Cluster, type NodeId } from '../../src/index.ts'
import { openHub } from './hub.ts'
import { loadSimplePeer, type SimplePeer } from './sides/simple-peer.ts'

/** Times are in ms since 1970. */
export interface MeshReport {
  /** When the tab first was what is waited for, and it has been so since. */
  readonly doneAt: number | undefined
  readonly mostLinks: number
  readonly constructed: number
  /** Of a cluster. */
  readonly nodeId?: NodeId
  readonly up?: number
}

export interface MessagesReport {
  readonly sent: number
  readonly failed: readonly string[]
}

declare global {
  interface Window {
    mesh: {
      joinCluster(room: string, tabs: number, maxLinks: number): void
      joinSimplePeers(room: string, tabs: number, id: string): void
      report(): MeshReport
      /** One message to each other member; resolves when all were handled. */
      sendToAll(): Promise<MessagesReport>
      /** Members that this tab has a message from. */
      heardFrom(): readonly NodeId[]
    }
  }
}

const now = (): number => performance.timeOrigin + performance.now()

let constructed = 0
const Original = RTCPeerConnection
window.RTCPeerConnection = class extends Original {
  constructor(config?: RTCConfiguration) {
    super(config)
    constructed++
  }
}

let cluster: Cluster | undefined
let doneAt: number | undefined
let mostLinks = 0
const senders = new Set<NodeId>()
const peers = new Map<string, SimplePeer>()

window.mesh = {
  joinCluster(room, tabs, maxLinks) {
    const options = { signaling: `ws://${location.host}/`, minLinks: Math.min(4, maxLinks), maxLinks }
    const joined = openCluster(room, { ...options, snapshot: false as const, joinTimeoutMs: 60_000 })
    cluster = joined
    const look = (): void => {
      mostLinks = Math.max(mostLinks, joined.links.get().length)
      const isDone = upOf(joined) === tabs && joined.convergence.get().state === 'confirmed'
      doneAt = isDone ? (doneAt ?? now()) : undefined
    }
    for (const readable of [joined.members, joined.links, joined.status, joined.convergence])
      readable.subscribe(look)
    joined.mailbox('hello').receive(({ from }) => void senders.add(from))
  },
  joinSimplePeers: (room, tabs, id) => void joinSimplePeers(room, tabs, id),
  report: () => ({
    doneAt,
    mostLinks,
    constructed,
    ...(cluster && { nodeId: cluster.self.nodeId, up: upOf(cluster) }),
  }),
  async sendToAll() {
    const others = cluster!.members.get().filter(({ self }) => !self)
    const mailbox = cluster!.mailbox('hello')
    const failed: string[] = []
    const sent = others.map(({ nodeId }) =>
      mailbox.send(nodeId, 'hello').catch((error: Error) => void failed.push(`${nodeId}: ${error.message}`)),
    )
    await Promise.all(sent)
    return { sent: sent.length, failed }
  },
  heardFrom: () => [...senders],
}

function upOf({ members }: Cluster): number {
  return members.get().filter(({ status }) => status === 'up').length
}

/** As its users write it: the room tells who is there of each newcomer, they dial it, and it passes signals on. */
async function joinSimplePeers(room: string, tabs: number, id: string): Promise<void> {
  const Peer = await loadSimplePeer()
  const hub = await openHub(room, id)
  let connected = 0
  const connect = (other: string, initiator: boolean): SimplePeer => {
    const peer = new Peer({ initiator, config: {} })
    peers.set(other, peer)
    mostLinks = Math.max(mostLinks, peers.size)
    peer.on('signal', (data) => hub.send({ to: other, topic: 'signal', data }))
    peer.on('error', (error: Error) => reportError(error))
    peer.once('connect', () => {
      connected++
      if (connected === tabs - 1) doneAt = now()
    })
    return peer
  }
  hub.onMessage = ({ topic, from, data }) => {
    if (topic === 'newcomer') connect(from, true)
    else (peers.get(from) ?? connect(from, false)).signal(data)
  }
}
