/** What carries relayed links in tests, instead of a signaling server: everything to everybody, in order. */
import { createRelayTransport } from '../../src/adapters/relay/transport.ts'
import type { Clock, LinkTransport, RelayEnd, RelayRate } from '../../src/ports.ts'

export interface Carrier {
  readonly ends: Set<RelayEnd>
  /** Everything that was carried so far. */
  readonly carried: string[]
  /** What becomes of a piece on its way; by default it stays what it is. */
  onTheWay: (data: string) => readonly string[]
  carry(from: RelayEnd, data: string): void
}

export function createCarrier(): Carrier {
  const ends = new Set<RelayEnd>()
  const carried: string[] = []
  const carrier: Carrier = {
    ends,
    carried,
    onTheWay: (data) => [data],
    carry(from, data) {
      carried.push(data)
      for (const piece of carrier.onTheWay(data)) {
        queueMicrotask(() => {
          for (const end of ends) if (end !== from) end.receive(piece)
        })
      }
    },
  }
  return carrier
}

export const FAST: RelayRate = { bytesPerSecond: 1e9, burst: 1e9 }

/** Relayed links as the only links of a process: every piece goes to all ends of `carrier`, and each takes its own. */
export function relayAsTransport(
  carrier: Carrier,
  { clock, rate = FAST }: { readonly clock: Clock; readonly rate?: RelayRate },
): LinkTransport {
  const relay = createRelayTransport({ clock })
  relay.setRate(rate)
  return {
    open(initiator, handlers) {
      const end = relay.open(
        initiator,
        {
          ...handlers,
          onClose(reason) {
            carrier.ends.delete(end)
            handlers.onClose(reason)
          },
        },
        (data) => carrier.carry(end, data),
      )
      carrier.ends.add(end)
      return end
    },
  }
}
