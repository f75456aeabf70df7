/** The library, as its users write it: a mailbox, and a number of messages that wait to be handled. */
import type { Authority, Cluster } from '../../../src/index.ts'
import type { Bytes, Side } from './side.ts'

/** Messages under way: a window of 1 MiB of them, and no more of small ones than are useful. */
const inFlightOf = (size: number): number => Math.max(4, Math.min(8_192, Math.floor((1024 * 1024) / size)))
/** More are sent when this share of them is still under way. */
const REFILL_SHARE = 0.75

export function grainmeshSide(cluster: Cluster, to: Authority): Side {
  const mailbox = cluster.mailbox('bench')
  const side: Side = {
    send: (bytes, lane) => void mailbox.send(to, bytes, { lane }).catch(reportError),
    pump: (next, size, lane) => pump((bytes) => mailbox.send(to, bytes, { lane }), next, inFlightOf(size)),
    onMessage: () => undefined,
  }
  mailbox.receive(({ data }) => side.onMessage(data as Uint8Array), { views: true })
  return side
}

function pump(
  send: (bytes: Bytes) => Promise<void>,
  next: () => Bytes | undefined,
  inFlight: number,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let waiting = 0
    let isOver = false
    const handled = (): void => {
      if (--waiting <= inFlight * REFILL_SHARE) goOn()
    }
    const goOn = (): void => {
      while (!isOver && waiting < inFlight) {
        const bytes = next()
        if (!bytes) {
          isOver = true
          return resolve()
        }
        waiting++
        send(bytes).then(handled, reject)
      }
    }
    goOn()
  })
}
