/**
 * What many nodes in one process may share: pure work on the same bytes, done once for all of them. It saves time and
 * room where a thousand nodes are simulated, and changes nothing of what they do.
 */
import type { joinRange } from './membership/join.ts'
import type { decodeMessage } from './wire/codec.ts'

export interface Commons {
  readonly decode: typeof decodeMessage
  /** For nodes with the same limits only. */
  readonly join: typeof joinRange
}
