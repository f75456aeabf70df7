/** The part of simple-peer 9.11 that is used, typed here because it has no types of its own. */

export interface PeerOptions {
  readonly initiator: boolean
  readonly trickle: boolean
  readonly config: RTCConfiguration
  readonly channelConfig: RTCDataChannelInit
  /** Constructors to use instead of the page's. */
  readonly wrtc: {
    readonly RTCPeerConnection: unknown
    readonly RTCSessionDescription: unknown
    readonly RTCIceCandidate: unknown
  }
}

export type PeerError = Error & { readonly code?: string }

interface PeerEvents {
  signal: (data: unknown) => void
  error: (error: PeerError) => void
  close: () => void
}

export interface Peer {
  on<K extends keyof PeerEvents>(event: K, listener: PeerEvents[K]): void
  signal(data: object): void
  /** Called by simple-peer itself when an offer is due. */
  negotiate(): void
  _createOffer?(): void
  destroy(): void
}

export type PeerClass = new (options: PeerOptions) => Peer

/** Its browser bundle: the main entry needs Node shims. */
export async function importSimplePeer(): Promise<PeerClass> {
  // @ts-expect-error it ships no declarations
  const module = (await import('simple-peer/simplepeer.min.js')) as { readonly default: PeerClass }
  return module.default
}
