import { ClusterError } from '../../errors.ts'
import type { IceServer } from '../../options.ts'
import type { LinkEnd, LinkHandlers, LinkTransport } from '../../ports.ts'
import { WebRtcLink } from './link.ts'
import { importSimplePeer, type PeerClass } from './simple-peer.ts'

export interface WebRtcOptions {
  /** STUN and TURN servers. Default none: only the addresses of this machine are offered. */
  readonly iceServers?: readonly IceServer[]
}

/** Links over WebRTC data channels, with counts for tests and for whoever watches the browser's limit. */
export interface WebRtcTransport extends LinkTransport {
  /** RTCPeerConnections made so far. Chromium refuses more than 500 at once, closed ones counted until collected. */
  readonly constructed: number
  /** RTCPeerConnections not yet closed. */
  readonly openConnections: number
}

/**
 * Makes links over simple-peer. Starts loading it at once; links opened before it is there wait for it.
 * @throws ClusterError `webrtc-unavailable`
 */
export function createWebRtcTransport(options: WebRtcOptions = {}): WebRtcTransport {
  requireWebRtc()
  const connections = new Set<RTCPeerConnection>()
  let constructed = 0
  const config: RTCConfiguration = {
    // always given: without it simple-peer asks public STUN servers that nobody agreed to
    iceServers: [...(options.iceServers ?? [])],
  }
  // a failure is reported by the links that needed it
  loadWebRtc().catch(() => undefined)
  return {
    get constructed() {
      return constructed
    },
    get openConnections() {
      return connections.size
    },
    open(initiator: boolean, handlers: LinkHandlers): LinkEnd {
      return new WebRtcLink(initiator, handlers, {
        config,
        load: loadWebRtc,
        loaded,
        onConstructed: (connection) => {
          constructed++
          connections.add(connection)
        },
        onReleased: (connection) => connections.delete(connection),
      })
    },
  }
}

let loading: Promise<PeerClass> | undefined
let loaded: PeerClass | undefined

/**
 * Loads simple-peer, once for a page; a failed load is tried again at the next call. It is imported only here, so
 * that importing Grainmesh touches no `window`.
 * Rejects with ClusterError `webrtc-unavailable` where there is no WebRTC or the module cannot be loaded.
 */
export function loadWebRtc(): Promise<PeerClass> {
  loading ??= importPeer().catch((error: unknown) => {
    loading = undefined
    throw error
  })
  return loading
}

async function importPeer(): Promise<PeerClass> {
  requireWebRtc()
  try {
    loaded = await importSimplePeer()
    return loaded
  } catch (cause) {
    throw new ClusterError(
      'webrtc-unavailable',
      'The module simple-peer could not be loaded. Check the network, the bundle and the Content-Security-Policy.',
      { cause },
    )
  }
}

function requireWebRtc(): void {
  if (typeof RTCPeerConnection === 'function') return
  throw new ClusterError(
    'webrtc-unavailable',
    'This platform has no RTCPeerConnection. Enable WebRTC in the browser; in Node pass ' +
      '`platform: nodePlatform()` of grainmesh/node.',
  )
}
