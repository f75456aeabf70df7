/**
 * The one way of a tab to everybody else, as a cable that can be pulled: its links and its signaling go through this
 * process. Playwright's offline mode cannot do this: it leaves WebRTC alone.
 *
 * Signaling passes a WebSocket proxy. On its way every ICE candidate, of either side, is replaced by an alias: a UDP
 * socket here that stands for the one at the candidate's address. A packet that the alias of `to` receives from `from`
 * goes on to `to` from the alias of `from`, so each side knows the other only by its aliases, as behind a router, and
 * there is no way around.
 */
import dgram from 'node:dgram'
import { once } from 'node:events'
import http from 'node:http'
import { isIPv6, type AddressInfo } from 'node:net'
import { WebSocket, WebSocketServer } from 'ws'

/**
 * How a tab loses its network. `silent`: nothing gets through any more, but nobody is told; what sockets were given
 * arrives late, as TCP has it. `noticed`: the browser knows, ends its sockets and can open none; the signaling server
 * knows nothing.
 */
export type Loss = 'silent' | 'noticed'

export interface Cable {
  /** Where the tab finds the signaling server. */
  readonly signalingUrl: string
  /** Packets between this tab and others so far, both ways, and those of them that were lost. */
  readonly packets: { readonly carried: number; readonly dropped: number }
  pull(loss: Loss): void
  plugIn(): void
  close(): Promise<void>
}

/** @param signalingUrl of the signaling server at the cable's other end */
export async function layCable(signalingUrl: string): Promise<Cable> {
  const power = new Power()
  const packets = { carried: 0, dropped: 0 }
  const aliases = new Aliases(power, packets)
  const server = http.createServer()
  const entrance = new WebSocketServer({ noServer: true })
  server.on('upgrade', (request, socket, head) => {
    socket.on('error', ignore)
    if (power.loss === 'noticed') {
      socket.destroy()
      return
    }
    void power.on().then(() => {
      if (socket.destroyed) return
      entrance.handleUpgrade(request, socket, head, (near) => proxy(near, signalingUrl, power, aliases))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    signalingUrl: `ws://127.0.0.1:${port}/`,
    packets,
    pull(loss) {
      power.cut(loss)
      if (loss === 'noticed') for (const near of entrance.clients) near.terminate()
    },
    plugIn: () => power.restore(),
    async close() {
      power.restore()
      for (const near of entrance.clients) near.terminate()
      await aliases.close()
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

/** Whether anything gets through. */
class Power {
  #loss: Loss | undefined
  #on: Promise<void> = Promise.resolve()
  #restore: () => void = ignore

  get loss(): Loss | undefined {
    return this.#loss
  }

  /** Once something gets through. */
  on(): Promise<void> {
    return this.#on
  }

  cut(loss: Loss): void {
    this.restore()
    this.#loss = loss
    this.#on = new Promise((resolve) => (this.#restore = resolve))
  }

  restore(): void {
    this.#loss = undefined
    this.#restore()
  }
}

interface Address {
  readonly address: string
  readonly port: number
}

/** The sockets that stand for those of the tab and of its peers. */
class Aliases {
  readonly #power: Power
  readonly #packets: { carried: number; dropped: number }
  readonly #sockets = new Map<string, Promise<dgram.Socket | undefined>>()
  #closed = false

  constructor(power: Power, packets: { carried: number; dropped: number }) {
    this.#power = power
    this.#packets = packets
  }

  /** The same text with all its candidates replaced. */
  async replaceCandidates(text: string): Promise<string> {
    const ports: number[] = []
    for (const [, , address, port] of text.matchAll(UDP_CANDIDATE)) {
      const socket = await this.#aliasOf({ address: address!, port: Number(port) })
      ports.push(socket?.address().port ?? DISCARD_PORT)
    }
    return text.replaceAll(UDP_CANDIDATE, (_, head: string, address: string) => {
      return `${head}${address} ${ports.shift()} typ`
    })
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const socket of await Promise.all(this.#sockets.values())) socket?.close()
  }

  /** `undefined` where the address is not one of this machine. */
  #aliasOf(owner: Address): Promise<dgram.Socket | undefined> {
    const key = `${owner.address} ${owner.port}`
    const known = this.#sockets.get(key)
    if (known) return known
    const alias = this.#bind(owner)
    this.#sockets.set(key, alias)
    return alias
  }

  async #bind(owner: Address): Promise<dgram.Socket | undefined> {
    const socket = dgram.createSocket(isIPv6(owner.address) ? 'udp6' : 'udp4')
    socket.on('message', (packet, from) => void this.#carry(packet, from, owner))
    try {
      socket.bind(0, owner.address)
      await once(socket, 'listening')
    } catch {
      return undefined
    }
    socket.on('error', ignore)
    return socket
  }

  async #carry(packet: Buffer, from: Address, to: Address): Promise<void> {
    const alias = await this.#aliasOf(from)
    if (!alias || this.#closed) return
    if (this.#power.loss === undefined) {
      this.#packets.carried++
      alias.send(packet, to.port, to.address)
    } else {
      this.#packets.dropped++
    }
  }
}

/** Up to `typ` (RFC 8839, section 5.1). No character of it is escaped in JSON, however deep it lies in there. */
const UDP_CANDIDATE = /(candidate:\S+ \d+ udp \d+ )(\S+) (\d+) typ/gi
/** Nobody listens there. */
const DISCARD_PORT = 9

/** Joins a tab's socket with one of its own to the signaling server. */
function proxy(near: WebSocket, signalingUrl: string, power: Power, aliases: Aliases): void {
  // the tab's answer to a ping must not arrive while its cable is pulled
  const far = new WebSocket(signalingUrl, { autoPong: false })
  const outwards = inOrder(new Promise((resolve) => far.once('open', resolve)))
  const inwards = inOrder(Promise.resolve())
  const pass = (from: WebSocket, to: WebSocket, next: (task: Task) => void): void => {
    from.on('message', (data) => {
      next(async () => {
        const text = await aliases.replaceCandidates(String(data))
        await power.on()
        to.send(text)
      })
    })
    from.on('close', (code, reason) => {
      next(async () => {
        await power.on()
        if (code === 1000 || code >= 3000) to.close(code, reason)
        else to.terminate()
      })
    })
    from.on('error', ignore)
  }
  pass(near, far, outwards)
  pass(far, near, inwards)
  far.on('ping', (data) => {
    outwards(async () => {
      await power.on()
      far.pong(data)
    })
  })
}

type Task = () => Promise<void>

/** Runs tasks one after the other, the first one after `start`. */
function inOrder(start: Promise<unknown>): (task: Task) => void {
  let last = start
  return (task) => {
    last = last.then(task)
  }
}

const ignore = (): void => undefined
