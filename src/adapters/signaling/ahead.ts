import { attach, type CreateSignalingSocket, type SignalingSocket } from './socket.ts'

/** Whoever takes a socket watches it from then on. */
export interface TakenSocket {
  readonly socket: SignalingSocket
  readonly isOpen: boolean
}

/**
 * A socket that is opened before anybody knows what to say on it: the handshakes of TCP, TLS and HTTP take place while
 * the process still finds out who it is. One that ends meanwhile is forgotten, and counts as no attempt.
 */
export class SocketAhead {
  readonly #url: string
  #socket: SignalingSocket | undefined
  #isOpen = false
  #detach: ((close?: boolean) => void) | undefined

  constructor(createSocket: CreateSignalingSocket, url: string) {
    this.#url = url
    try {
      this.#socket = createSocket(url)
    } catch {
      // the attempt that counts meets the same fault, and tells it
      return
    }
    this.#detach = attach(this.#socket, {
      onOpen: () => void (this.#isOpen = true),
      // nothing was asked for yet: it is about to be closed
      onData: () => this.close(),
      onClose: () => this.close(),
    })
  }

  /** The socket, once, if it leads to this URL. */
  take(url: string): TakenSocket | undefined {
    const socket = this.#socket
    if (!socket || url !== this.#url) return undefined
    this.#detach?.(false)
    this.#socket = undefined
    return { socket, isOpen: this.#isOpen }
  }

  /** Closes it, unless it was taken. Idempotent. */
  close(): void {
    if (!this.#socket) return
    this.#socket = undefined
    this.#detach?.()
  }
}
