import { WebSocket } from 'ws'
import type { CreateSignalingSocket } from '../../ports.ts'

/** Sockets of the `ws` package: Node has a WebSocket of its own from version 22 on only. */
export const createNodeSocket: CreateSignalingSocket = (url) =>
  new WebSocket(url, { perMessageDeflate: false })
