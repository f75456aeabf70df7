/**
 * Signaling for what benches compare the library with: a room that passes on, as much of a PeerServer as PeerJS needs,
 * and topics for Trystero.
 */
import type http from 'node:http'
import { WebSocketServer, type WebSocket } from 'ws'

/**
 * Attaches to `server`:
 * - `/hub?room=R&id=I`: all others are told of a newcomer, and what a client sends is passed to the client that its
 *   field `to` names, as simple-peer's users write it.
 * - `/peerjs?id=I`: what the client of PeerJS 1.5 asks of a PeerServer while two clients connect.
 * - `/topics`: what is published under a topic is passed to whoever has subscribed to it, as Trystero's README has it.
 */
export function attachHubs(server: http.Server): () => void {
  const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false })
  const rooms = new Map<string, Map<string, WebSocket>>()
  const topics = new Map<string, Set<WebSocket>>()
  server.on('upgrade', (request, socket, head) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://hub')
    if (pathname === '/topics') {
      sockets.handleUpgrade(request, socket, head, (webSocket) => serveTopics(topics, webSocket))
      return
    }
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

function serveTopics(topics: Map<string, Set<WebSocket>>, from: WebSocket): void {
  from.on('message', (data) => {
    const { type, topic, payload } = JSON.parse(textOf(data)) as Record<string, string>
    const listeners = topics.get(topic!) ?? new Set<WebSocket>()
    topics.set(topic!, listeners)
    if (type === 'subscribe') listeners.add(from)
    else for (const to of listeners) if (to !== from) to.send(JSON.stringify({ topic, payload }))
  })
  from.on('close', () => {
    for (const listeners of topics.values()) listeners.delete(from)
  })
}

// text comes as one Buffer, since `binaryType` is left as it is
const textOf = (data: unknown): string => (data as Buffer).toString('utf8')
