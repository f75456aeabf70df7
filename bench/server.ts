/**
 * `npm run bench -- server [--small 10] [--large 200] [--joins 10]`: what one join costs the signaling server, in a small
 * room and in a large one.
 *
 * The real signaling server and the real client over sockets; members are the real library in this process, in real
 * time, and their links are in memory, whose signals are shorter than those of WebRTC, and without candidates. Once the
 * room is one cluster and quiet, newcomers join one after the other. Counted is all that passes the server, for
 * whomever, from the moment one asks to join until it is up, confirmed with all, and the room has had time to arrange
 * its links anew. What passes in the same time without a join is told beside it.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { WebSocket } from 'ws'
import { createSignalingServer, type SignalingServer } from '../signaling-server/index.ts'
import { openCluster, type Cluster, type OpeningCluster } from '../src/index.ts'
import { createMemoryNetwork, seededRandom } from '../src/testing/index.ts'
import { readCounts } from './support/arguments.ts'
import { STAND_IN_KEYS, standInIdentity } from './support/memory-room.ts'
import { machine, median, printTable, progress, progressDone } from './support/table.ts'

/** What is asked of the product: a join in the large room costs the server no more, but for what chance does. */
const GROWTH_GOAL = 1.25
/** After a join, members end and begin links for a while. */
const SETTLE_MS = 2_000
const LOOK_MS = 10
const PATIENCE_MS = 120_000

interface Traffic {
  readonly frames: number
  readonly bytes: number
}

interface Measured {
  readonly size: number
  readonly joins: readonly Traffic[]
  /** What passed in as long as a join was counted for, while nobody joined. */
  readonly quiet: Traffic
}

const { small, large, joins } = readCounts({
  small: { default: 10, min: 2 },
  large: { default: 200, min: 2 },
  joins: { default: 10 },
})
const measured = [await measure(small), await measure(large)]
progressDone()
print(measured)

async function measure(size: number): Promise<Measured> {
  const plenty = { burst: 1e9, perSecond: 1e9 }
  // all come from one address here
  const server = createSignalingServer({
    limits: {
      connectionsPerAddress: size + joins + 1,
      connectsPerAddress: plenty,
      framesPerAddress: plenty,
      bytesPerAddress: plenty,
    },
  })
  const { url } = await server.listen(0)
  const network = createMemoryNetwork({ random: seededRandom(size, 'network') })
  const clusters: Cluster[] = []
  const open = (): OpeningCluster => {
    const random = seededRandom(size, 'member', clusters.length)
    const cluster = openCluster('room', {
      signaling: url,
      snapshot: false,
      relay: false,
      platform: {
        random,
        transport: network.transport(),
        socket: (address) => new WebSocket(address, { perMessageDeflate: false }),
        identity: standInIdentity(random),
        keys: STAND_IN_KEYS,
      },
    })
    clusters.push(cluster)
    return cluster
  }
  try {
    while (clusters.length < size) {
      await joined(open(), clusters.length)
      progress(`a room of ${size}: ${clusters.length}`)
    }
    await together(clusters)
    await pause(SETTLE_MS)
    const taken: Traffic[] = []
    let longest = 0
    for (let join = 1; join <= joins; join++) {
      progress(`a room of ${size}: join ${join} of ${joins}`)
      const began = performance.now()
      taken.push(
        await trafficOf(server, async () => {
          open()
          await together(clusters)
          await pause(SETTLE_MS)
        }),
      )
      longest = Math.max(longest, performance.now() - began)
      const last = clusters.pop()!
      await last.leave()
      await together(clusters)
      await pause(SETTLE_MS)
    }
    return { size, joins: taken, quiet: await trafficOf(server, () => pause(longest)) }
  } finally {
    for (const cluster of clusters) void cluster.leave()
    await server.close()
  }
}

async function trafficOf(server: SignalingServer, run: () => Promise<unknown>): Promise<Traffic> {
  const before = server.counts()
  await run()
  const after = server.counts()
  return {
    frames: after.framesReceived + after.framesSent - before.framesReceived - before.framesSent,
    bytes: after.bytesReceived + after.bytesSent - before.bytesReceived - before.bytesSent,
  }
}

/** It is up and has the others. */
async function joined(cluster: OpeningCluster, size: number): Promise<void> {
  await cluster.ready
  await until('a newcomer sees all', () => liveCount(cluster) === size)
}

function together(clusters: readonly Cluster[]): Promise<void> {
  return until(`${clusters.length} members are one cluster`, () =>
    clusters.every(
      (cluster) =>
        cluster.status.get() === 'up' &&
        cluster.convergence.get().state === 'confirmed' &&
        liveCount(cluster) === clusters.length,
    ),
  )
}

function liveCount(cluster: Cluster): number {
  return cluster.members.get().filter(({ status }) => status === 'up').length
}

async function until(what: string, isSo: () => boolean): Promise<void> {
  const end = performance.now() + PATIENCE_MS
  while (!isSo()) {
    if (performance.now() > end) throw new Error(`not within ${PATIENCE_MS} ms: ${what}`)
    await pause(LOOK_MS)
  }
}

function print(rooms: readonly Measured[]): void {
  console.log(`${joins} joins in each room; ${machine()}`)
  const framesOf = ({ joins: taken }: Measured): number => median(taken.map(({ frames }) => frames))
  const bytesOf = ({ joins: taken }: Measured): number => median(taken.map(({ bytes }) => bytes))
  printTable(
    ['room of', 'frames of a join, p50', 'max', 'bytes, p50', 'max', 'frames without a join', 'bytes'],
    rooms.map((room) => [
      `${room.size}`,
      framesOf(room),
      Math.max(...room.joins.map(({ frames }) => frames)),
      bytesOf(room),
      Math.max(...room.joins.map(({ bytes }) => bytes)),
      room.quiet.frames,
      room.quiet.bytes,
    ]),
  )
  const [near, far] = [rooms[0]!, rooms.at(-1)!]
  const growth = { frames: framesOf(far) / framesOf(near), bytes: bytesOf(far) / bytesOf(near) }
  const holds = Math.max(growth.frames, growth.bytes) <= GROWTH_GOAL
  console.log(
    `${holds ? 'holds ' : 'MISSED'}  a room of ${far.size} over one of ${near.size}: frames ` +
      `${growth.frames.toFixed(2)}, bytes ${growth.bytes.toFixed(2)}; asked: at most ${GROWTH_GOAL}`,
  )
  if (!holds) process.exitCode = 1
}
