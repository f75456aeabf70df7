/**
 * PeerJS with the serialization `raw`: the others only add work to bytes that are to arrive as they are. Backpressure
 * as on any channel: it lets one see the channel, and by itself only stops at 8 MiB.
 */
import { Peer, type DataConnection } from 'peerjs'
import { requestsOver, type Ask } from './requests.ts'
import { pumpChannel, type Side } from './side.ts'

/** Others can connect to it as soon as this resolves. */
export async function announce(id: string): Promise<Peer> {
  const options = {
    host: location.hostname,
    port: Number(location.port),
    path: '/',
    config: { iceServers: [] },
  }
  const peer = new Peer(id, options)
  await new Promise((resolve) => peer.on('open', resolve))
  return peer
}

export async function openPeerJs(peer: Peer, to: string, isInitiator: boolean): Promise<Side> {
  const connection = await connect(peer, to, isInitiator, 'raw')
  const channel = connection.dataChannel
  const side: Side = {
    send: (bytes) => void connection.send(bytes),
    pump: (next, size, lane) =>
      pumpChannel(channel, (bytes) => void connection.send(bytes), next, size, lane),
    onMessage: () => undefined,
  }
  connection.on('data', (data) => side.onMessage(new Uint8Array(data as ArrayBuffer)))
  return side
}

/** Requests over it, with the serialization `json`: the faster of those that carry objects. */
export async function openPeerJsRequests(peer: Peer, to: string, isInitiator: boolean): Promise<Ask> {
  const connection = await connect(peer, to, isInitiator, 'json')
  return requestsOver(
    (message) => void connection.send(message),
    (onMessage) => connection.on('data', onMessage),
  )
}

async function connect(
  peer: Peer,
  to: string,
  isInitiator: boolean,
  serialization: string,
): Promise<DataConnection> {
  const connection = isInitiator
    ? peer.connect(to, { reliable: true, serialization })
    : await new Promise<DataConnection>((resolve) => peer.on('connection', resolve))
  if (!connection.open) await new Promise<void>((resolve) => connection.on('open', resolve))
  return connection
}
