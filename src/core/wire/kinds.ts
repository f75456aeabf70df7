/** The numbers that stand for names on the wire. Numbers are never reused. */
import type { RefusalCode } from '../events.ts'
import type { AccusationRank, SelfStatus, Visibility } from '../membership/record.ts'
import type { Frame } from './frames.ts'

export type FrameKind = Frame['kind']

export const KIND_OF: Readonly<Record<FrameKind, number>> = {
  hello: 1,
  accept: 2,
  refuse: 3,
  buckets: 4,
  digest: 5,
  delta: 6,
  missing: 7,
  status: 8,
  ping: 9,
  ack: 10,
  goodbye: 11,
  probe: 12,
  probed: 13,
  recall: 14,
  proof: 15,
  unlink: 16,
  segment: 17,
  receipt: 18,
  signal: 19,
  trace: 20,
  traced: 21,
  datagram: 22,
}

export const STATUSES: readonly SelfStatus[] = ['joining', 'up', 'leaving']
export const VISIBILITIES: readonly Visibility[] = ['visible', 'hidden', 'frozen-soon']
export const RANKS: readonly AccusationRank[] = ['suspect', 'unreachable', 'removed']
export const REFUSALS: readonly RefusalCode[] = [
  'cluster-mismatch',
  'schema-mismatch',
  'authority-conflict',
  'removed',
  'table-full',
  'unproven',
]

const NAMES: readonly (FrameKind | undefined)[] = Object.entries(KIND_OF).reduce<(FrameKind | undefined)[]>(
  (names, [name, number]) => {
    names[number] = name as FrameKind
    return names
  },
  [],
)

export const kindName = (number: number): FrameKind | undefined => NAMES[number]
