/** Signaling for what benches compare the library with: a room that passes on, and as much of a PeerServer as PeerJS needs. */
import type http from 'node:http'
import { WebSocketServer, type WebSocket } from 'ws'

/**
 * Attaches to `server`:
 * - `/hub?room=R&id=I`: all others are told of a newcomer, and what a client sends is passed to the client that its
 *   field `to` names, as simple-peer's users write it.
 * - `/peerjs?id=I`: what the client of PeerJS 1.5 asks of a PeerServer while two clients connect.
 */
export function attachHubs(server: http.Server): () => void {
  const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false })
  const rooms = new Map<string, Map<string, WebSocket>>()
  server.on('upgrade', (request, socket, head) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://hub')
    if (pathname !== '/hub' && pathname !== '/peerjs') return
    const name = `${pathname} ${searchParams.get('room') ?? ''}`
    const id = searchParams.get('id') ?? ''
    sockets.handleUpgrade(request, socket, head, (webSocket) => {
      const room = rooms.get(name) ?? new Map<string, WebSocket>()
      rooms.set(name, room.set(id, webSocket))
      webSocket.on('close', () => room.get(id) === webSocket && room.delete(id))
      if (pathname === '/hub') serveRoom(room, webSocket, id)
      else servePeer(room, webSocket, id)
    })
  })
  return () => {
    for (const client of sockets.clients) client.terminate()
  }
}

function serveRoom(room: ReadonlyMap<string, WebSocket>, from: WebSocket, id: string): void {
  const newcomer = JSON.stringify({ topic: 'newcomer', from: id })
  for (const other of room.values()) if (other !== from) other.send(newcomer)
  from.on('message', (data) => {
    const text = textOf(data)
    const { to } = JSON.parse(text) as { to: string }
    room.get(to)?.send(text)
  })
}

function servePeer(room: ReadonlyMap<string, WebSocket>, from: WebSocket, id: string): void {
  from.send(JSON.stringify({ type: 'OPEN' }))
  from.on('message', (data) => {
    const message = JSON.parse(textOf(data)) as { type: string; dst?: string }
    if (message.dst !== undefined) room.get(message.dst)?.send(JSON.stringify({ ...message, src: id }))
  })
}

// text comes as one Buffer, since `binaryType` is left as it is
const textOf = (data: unknown): string => (data as Buffer).toString('utf8')
