/** A receiver that takes its time, and a sender that does not care: what does the sender keep meanwhile? */
import { ClusterError, type Authority, type Cluster } from '../../src/index.ts'

const MAILBOX = 'slow'
/** The listener takes this long for each message. */
const LISTENER_MS = 50
const LOOK_MS = 25

export interface SlowReport {
  readonly seconds: number
  readonly sent: number
  /** Times that the library would take no more, and the sender waited for an earlier message. */
  readonly full: number
  /** Most that the library had taken and not yet seen handled, and most that waited for the link, in bytes. */
  readonly mostQueued: number
  readonly mostBuffered: number
  /** Messages that were handled at the other end, in their order or not. */
  readonly handled: number
  readonly disordered: number
}

export function receiveSlowly(cluster: Cluster): void {
  const numbers: number[] = []
  cluster.mailbox(MAILBOX).receive(async ({ data }) => {
    numbers.push(new DataView((data as Uint8Array<ArrayBuffer>).slice(0, 4).buffer).getUint32(0))
    await new Promise((resolve) => setTimeout(resolve, LISTENER_MS))
  })
  cluster.mailbox(`${MAILBOX}-sum`).receive(async ({ authority }) => {
    const sum = { handled: numbers.length, disordered: numbers.filter((number, i) => number !== i).length }
    numbers.length = 0
    await cluster.mailbox(`${MAILBOX}-answer`).send(authority, JSON.stringify(sum))
  })
}

/** Sends as fast as the library takes messages, without waiting for any until it says that it is full. */
export async function sendToSlow(
  cluster: Cluster,
  to: Authority,
  messages: number,
  bytes: number,
): Promise<SlowReport> {
  const mailbox = cluster.mailbox(MAILBOX)
  const started = performance.now()
  let mostQueued = 0
  let mostBuffered = 0
  let full = 0
  let held = 0
  const look = (): void => {
    for (const { bufferedBytes } of cluster.links.get()) mostBuffered = Math.max(mostBuffered, bufferedBytes)
  }
  const timer = setInterval(look, LOOK_MS)
  const underWay: Promise<void>[] = []
  for (let i = 0; i < messages; i++) {
    const data = new Uint8Array(bytes)
    new DataView(data.buffer).setUint32(0, i)
    for (;;) {
      const sending = mailbox.send(to, data, { lane: 'bulk' })
      const outcome = await Promise.race([sending.then(isDone, reasonOf), turn()])
      if (outcome !== 'queue-full') {
        held += bytes
        mostQueued = Math.max(mostQueued, held)
        underWay.push(sending.finally(() => (held -= bytes)))
        break
      }
      full++
      await underWay.shift()
    }
    look()
  }
  await Promise.all(underWay)
  clearInterval(timer)
  const seconds = (performance.now() - started) / 1_000
  const answer = new Promise<string>((resolve) => {
    const stop = cluster.mailbox(`${MAILBOX}-answer`).receive(({ data }) => {
      stop()
      resolve(String(data))
    })
  })
  await cluster.mailbox(`${MAILBOX}-sum`).send(to, '')
  const sum = JSON.parse(await answer) as { handled: number; disordered: number }
  return { seconds, sent: messages, full, mostQueued, mostBuffered, ...sum }
}

const isDone = (): string => 'done'
const reasonOf = (error: unknown): string => (error instanceof ClusterError ? error.code : String(error))
/** What is refused is refused before the next task. */
const turn = (): Promise<string> => new Promise((resolve) => setTimeout(() => resolve('under way'), 0))
