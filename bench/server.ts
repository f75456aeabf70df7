/**
 * `npm run bench -- server [--small 10] [--large 200] [--joins 5]`: what one join costs the signaling server, in a small
 * room and in a large one.
 *
 * The real signaling server and the real client over sockets; members are the real library in one process, in virtual
 * time, which stands still while a frame is under way. Their links are in memory: their signals are shorter than those
 * of WebRTC, and have no candidates. Once the room is one cluster and quiet, newcomers join and leave one after the
 * other. Counted is all that passes the server, for whomever, from the moment one asks to join until it is up,
 * confirmed with all, and the room has had time to arrange its links anew. What passes in the same time without a join
 * is told beside it.
 */
import { WebSocket } from 'ws'
import { createSignalingServer, type SignalingServer } from '../signaling-server/index.ts'
import { readCounts } from './support/arguments.ts'
import { MemoryRoom, type RealSignaling } from './support/memory-room.ts'
import { machine, median, printTable, progress, progressDone } from './support/table.ts'

/** What is asked of the product: a join in the large room costs the server no more, but for what chance does. */
const GROWTH_GOAL = 1.25
/**
 * After a join, members end and begin links for a while, and the newcomer, which knew of nobody as it came, asks the
 * server for contacts once within this time. In ms of virtual time.
 */
const SETTLE_MS = 16_000
/** A frame to a socket that closes is counted at one end only: nobody waits longer than this for one, in ms. */
const PATIENCE_MS = 250

interface Traffic {
  readonly frames: number
  readonly bytes: number
}

interface Measured {
  readonly size: number
  readonly joins: readonly Traffic[]
  /** What passed in as long as the room is given after a join, while nobody joined. */
  readonly quiet: Traffic
}

const { small, large, joins } = readCounts({
  small: { default: 10, min: 2 },
  large: { default: 200, min: 2 },
  joins: { default: 5 },
})
const measured = [await measure(small), await measure(large)]
progressDone()
print(measured)

async function measure(size: number): Promise<Measured> {
  const plenty = { burst: 1e9, perSecond: 1e9 }
  // all come from one address here
  const server = createSignalingServer({
    fresh: true,
    limits: {
      connectionsPerAddress: size + joins + 1,
      connectsPerAddress: plenty,
      framesPerAddress: plenty,
      bytesPerAddress: plenty,
    },
  })
  const { url } = await server.listen(0)
  const room = new MemoryRoom(signalingOf(server, url))
  try {
    progress(`a room of ${size}`)
    const clusters = await room.gather(Array.from({ length: size }, () => room.tab()))
    await room.pass(SETTLE_MS)
    const taken: Traffic[] = []
    for (let join = 1; join <= joins; join++) {
      progress(`a room of ${size}: join ${join} of ${joins}`)
      const { newcomer, traffic } = await trafficOf(server, async () => {
        const cluster = room.tab().open()
        await room.together([...clusters, cluster])
        await room.pass(SETTLE_MS)
        return cluster
      })
      taken.push(traffic)
      void newcomer.leave()
      await room.together(clusters)
      await room.pass(SETTLE_MS)
    }
    const { traffic: quiet } = await trafficOf(server, () => room.pass(SETTLE_MS))
    return { size, joins: taken, quiet }
  } finally {
    await server.close()
  }
}

/** Counts frames at both ends of its sockets: what only one end has counted is under way. */
function signalingOf(server: SignalingServer, url: string): RealSignaling {
  let sent = 0
  let received = 0
  let unsettled = 0
  const isQuiet = (): boolean => {
    const { framesReceived, framesSent } = server.counts()
    return unsettled === 0 && framesReceived >= sent && received >= framesSent
  }
  return {
    url,
    socket(address) {
      const socket = new WebSocket(address, { perMessageDeflate: false })
      unsettled++
      let isSettled = false
      const settle = (): void => {
        if (!isSettled) unsettled--
        isSettled = true
      }
      socket.on('open', settle)
      socket.on('close', settle)
      socket.on('message', () => received++)
      const send = socket.send.bind(socket) as (data: string) => void
      socket.send = (data: string) => {
        sent++
        send(data)
      }
      return socket
    },
    async quiet() {
      const end = performance.now() + PATIENCE_MS
      while (!isQuiet() && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 0))
      const counts = server.counts()
      sent = counts.framesReceived
      received = counts.framesSent
    },
  }
}

async function trafficOf<T>(
  server: SignalingServer,
  run: () => Promise<T>,
): Promise<{ newcomer: T; traffic: Traffic }> {
  const before = server.counts()
  const newcomer = await run()
  const after = server.counts()
  const traffic = {
    frames: after.framesReceived + after.framesSent - before.framesReceived - before.framesSent,
    bytes: after.bytesReceived + after.bytesSent - before.bytesReceived - before.bytesSent,
  }
  return { newcomer, traffic }
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
