/** simple-peer, with the backpressure that it documents: `write` and `drain`. */
import type { Bytes, Side, Wire } from './side.ts'

export interface SimplePeer {
  on(event: 'signal' | 'error' | 'data', listener: (data: never) => void): void
  once(event: 'connect' | 'drain', listener: () => void): void
  signal(data: unknown): void
  send(bytes: Bytes): void
  write(bytes: Bytes): boolean
}

export type SimplePeerClass = new (options: {
  readonly initiator: boolean
  readonly config?: RTCConfiguration
}) => SimplePeer

/** Its browser bundle, as most pages load it. */
export async function loadSimplePeer(): Promise<SimplePeerClass> {
  // @ts-expect-error it ships no declarations
  const module = (await import('simple-peer/simplepeer.min.js')) as { readonly default: SimplePeerClass }
  return module.default
}

export async function openSimplePeer(wire: Wire, isInitiator: boolean): Promise<Side> {
  const Peer = await loadSimplePeer()
  const peer = new Peer({ initiator: isInitiator, config: {} })
  peer.on('signal', (data) => wire.send(data))
  peer.on('error', (error: Error) => reportError(error))
  wire.onSignal = (data) => peer.signal(data)
  await new Promise<void>((resolve) => peer.once('connect', resolve))
  const side: Side = {
    send: (bytes) => void peer.write(bytes),
    async pump(next) {
      for (let bytes = next(); bytes; bytes = next())
        if (!peer.write(bytes)) await new Promise<void>((resolve) => peer.once('drain', resolve))
    },
    onMessage: () => undefined,
  }
  peer.on('data', (bytes: Uint8Array) => side.onMessage(bytes))
  return side
}
