/** The part of a WebSocket that the client uses: a browser's, Node's own, or one of the `ws` package. */
import { ClusterError } from '../../errors.ts'
import type { CreateSignalingSocket, SignalingSocket } from '../../ports.ts'

export type { CreateSignalingSocket, SignalingSocket }

/** What is called for a socket; nothing after `detach()`. */
export interface SocketHandlers {
  onOpen(): void
  onData(data: unknown): void
  onClose(code: number, reason: string): void
}

/** Watches a socket. Returns the way to stop watching it and, if not told otherwise, close it in whatever state it is. */
export function attach(socket: SignalingSocket, handlers: SocketHandlers): (close?: boolean) => void {
  const onOpen = (): void => handlers.onOpen()
  const onMessage = (event: { data: unknown }): void => handlers.onData(event.data)
  const onClose = (event: { code: number; reason: string }): void =>
    handlers.onClose(event.code, event.reason)
  socket.addEventListener('open', onOpen)
  socket.addEventListener('message', onMessage)
  socket.addEventListener('close', onClose)
  // An error says nothing in a browser, and a close follows it. This listener stays: `ws` throws what nobody hears,
  // such as that a connection was closed before it was open.
  socket.addEventListener('error', ignore)
  return (close = true) => {
    socket.removeEventListener('open', onOpen)
    socket.removeEventListener('message', onMessage)
    socket.removeEventListener('close', onClose)
    if (close) socket.close(1000)
  }
}

/**
 * The platform's own WebSocket.
 * @throws ClusterError `invalid-option` where there is none
 */
export function platformSocket(): CreateSignalingSocket {
  const { WebSocket } = globalThis as { WebSocket?: new (url: string) => SignalingSocket }
  if (!WebSocket) {
    throw new ClusterError(
      'invalid-option',
      'This platform has no WebSocket: pass `createSocket`, for example ' +
        "`(url) => new WebSocket(url)` with `import { WebSocket } from 'ws'`.",
      { problems: ['createSocket: missing, and this platform has no WebSocket of its own'] },
    )
  }
  return (url) => new WebSocket(url)
}

const ignore = (): void => undefined
