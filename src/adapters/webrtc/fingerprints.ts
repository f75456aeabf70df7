import type { Fingerprints } from '../../ports.ts'

const LINE = /^a=fingerprint:(\S+)[ \t]+([0-9a-f:]+)[ \t]*$/gim

/**
 * The fingerprints of the certificates that the two ends of a connection show each other, as its session descriptions
 * have them. The browser makes sure that the other end has the one it announced. `undefined` before both are set.
 */
export function fingerprintsOf(
  connection: Pick<RTCPeerConnection, 'localDescription' | 'remoteDescription'>,
): Fingerprints | undefined {
  const local = fingerprintIn(connection.localDescription?.sdp)
  const remote = fingerprintIn(connection.remoteDescription?.sdp)
  return local === undefined || remote === undefined ? undefined : { local, remote }
}

/**
 * All fingerprints of a description, in one writing and order. All: of several the browser may accept any, so one
 * that somebody on the way has added must show.
 */
export function fingerprintIn(sdp: string | undefined): string | undefined {
  const found = new Set<string>()
  for (const [, algorithm, digest] of (sdp ?? '').matchAll(LINE)) {
    found.add(`${algorithm!.toLowerCase()} ${digest!.toUpperCase()}`)
  }
  return found.size > 0 ? [...found].sort().join(', ') : undefined
}
