import { ClusterError } from '../../errors.ts'
import type { Clock, RelayTransport } from '../../ports.ts'
import { subtleCrypto } from '../webcrypto/key-pair.ts'
import { MIN_BURST, RelayLink } from './link.ts'
import { Pacer } from './pacer.ts'

export interface RelayOptions {
  readonly clock: Clock
  /** Default: the platform's, if it has one. */
  readonly subtle?: SubtleCrypto | undefined
}

/**
 * Links that the signaling server carries and cannot read. Works wherever there is WebCrypto: in pages with a secure
 * context, and in Node.
 */
export function createRelayTransport({ clock, subtle = subtleCrypto() }: RelayOptions): RelayTransport {
  const pacer = new Pacer(clock)
  return {
    open(initiator, handlers, carry) {
      if (!subtle) {
        throw unavailable(
          'SubtleCrypto is not available (it needs https or localhost), and nothing is relayed in clear',
        )
      }
      const { rate } = pacer
      if (!rate) throw unavailable('the signaling server does not relay, or is away')
      if (rate.burst < MIN_BURST) throw unavailable('the signaling server relays too little')
      return new RelayLink(initiator, handlers, { subtle, clock, pacer, carry })
    },
    setRate: (rate) => pacer.setRate(rate),
  }
}

const unavailable = (reason: string): ClusterError =>
  new ClusterError('relay-unavailable', `No link can be relayed: ${reason}.`)
