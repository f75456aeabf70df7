/** What a server has done since it was created, and how it tells. */

/** Plain numbers that only grow. Bytes are those of the JSON texts, without what WebSockets add. */
export interface Counts {
  framesReceived: number
  bytesReceived: number
  framesSent: number
  bytesSent: number
  /** Signals carried to their addressees. */
  signals: number
  /** Pieces of relayed links that were carried. */
  relayedFrames: number
  /** The length of their `data`. */
  relayedBytes: number
  /** Pieces that were not carried: over a rate, or the addressee does not read. */
  relayRefusals: number
}

export const createCounts = (): Counts => ({
  framesReceived: 0,
  bytesReceived: 0,
  framesSent: 0,
  bytesSent: 0,
  signals: 0,
  relayedFrames: 0,
  relayedBytes: 0,
  relayRefusals: 0,
})

/** The counts and what is there now, in version 0.0.4 of Prometheus' exposition format. */
export function exposition(counts: Readonly<Counts>, now: { rooms: number; members: number }): string {
  const lines: string[] = []
  const add = (name: string, kind: 'counter' | 'gauge', help: string, value: number): void => {
    const full = `grainmesh_signaling_${name}`
    lines.push(`# HELP ${full} ${help}`, `# TYPE ${full} ${kind}`, `${full} ${value}`)
  }
  add('rooms', 'gauge', 'Rooms with somebody in them.', now.rooms)
  add('members', 'gauge', 'Members of all rooms.', now.members)
  for (const [key, [name, help]] of Object.entries(METRICS)) {
    add(name, 'counter', help, counts[key as keyof Counts])
  }
  return `${lines.join('\n')}\n`
}

const METRICS: Readonly<Record<keyof Counts, readonly [name: string, help: string]>> = {
  framesReceived: ['received_frames_total', 'Frames received.'],
  bytesReceived: ['received_bytes_total', 'Bytes of the frames received.'],
  framesSent: ['sent_frames_total', 'Frames sent.'],
  bytesSent: ['sent_bytes_total', 'Bytes of the frames sent.'],
  signals: ['signals_total', 'Signals carried to their addressees.'],
  relayedFrames: ['relayed_frames_total', 'Pieces of relayed links carried to their addressees.'],
  relayedBytes: ['relayed_bytes_total', 'Bytes of data in these pieces.'],
  relayRefusals: ['relay_refusals_total', 'Pieces of relayed links that were not carried.'],
}
