import type { Fingerprints } from '../../ports.ts'
import type { PeerSignal } from './signal.ts'

const LINE = /^a=fingerprint:(\S+)[ \t]+([0-9a-f:]+)[ \t]*$/gim

/**
 * The fingerprints of the certificates that the two ends of a connection show each other, as the session descriptions
 * have them that its ends told each other. The browser makes sure that the other end has the one it announced.
 *
 * They are taken as they pass, and not from the connection when its channel opens: on a busy machine Chromium says that
 * a channel is open before it shows the description that made it possible.
 */
export class FingerprintsSeen {
  #local: string | undefined
  #remote: string | undefined

  /** This end tells the other one. */
  told(signal: PeerSignal): void {
    if ('sdp' in signal) this.#local = fingerprintIn(signal.sdp)
  }

  /** The other end's signal is handed to the connection. */
  heard(signal: PeerSignal): void {
    if ('sdp' in signal) this.#remote = fingerprintIn(signal.sdp)
  }

  /** `undefined` before both are known. */
  get both(): Fingerprints | undefined {
    const [local, remote] = [this.#local, this.#remote]
    return local === undefined || remote === undefined ? undefined : { local, remote }
  }
}

/**
 * All fingerprints of a description, in one writing and order. All: of several the browser may accept any, so one
 * that somebody on the way has added must show.
 */
export function fingerprintIn(sdp: string): string | undefined {
  const found = new Set<string>()
  for (const [, algorithm, digest] of sdp.matchAll(LINE)) {
    found.add(`${algorithm!.toLowerCase()} ${digest!.toUpperCase()}`)
  }
  return found.size > 0 ? [...found].sort().join(', ') : undefined
}
