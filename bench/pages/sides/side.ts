/** One way of sending between two tabs: the library's, or one that it is compared with. */
import type { Lane } from '../../../src/index.ts'

export type Bytes = Uint8Array<ArrayBuffer>

export interface Side {
  /** Sends one message now. Only the library has lanes. */
  send(bytes: Bytes, lane: Lane): void
  /**
   * Sends what `next` gives until it gives nothing more, as fast as the way takes it and no faster. On the lane `bulk`
   * a raw channel is kept at 32 kB. Resolves when all was handed over.
   */
  pump(next: () => Bytes | undefined, size: number, lane: Lane): Promise<void>
  onMessage: (bytes: Uint8Array) => void
}

/** Carries the offers, answers and candidates of one side to the other tab. */
export interface Wire {
  send(data: unknown): void
  onSignal: (data: unknown) => void
}

/** What a channel may hold, in bytes, and where it asks for more: throughput no longer grows above this. */
const FULL = { high: 256 * 1024, low: 64 * 1024 }
const CAREFUL = { high: 32 * 1024, low: 16 * 1024 }

/** Sends on a data channel, by its own backpressure. `send` sends one message on it, by whatever way. */
export function pumpChannel(
  channel: RTCDataChannel,
  send: (bytes: Bytes) => void,
  next: () => Bytes | undefined,
  size: number,
  lane: Lane,
): Promise<void> {
  const { high, low } = lane === 'bulk' ? CAREFUL : FULL
  channel.bufferedAmountLowThreshold = low
  return new Promise((resolve) => {
    const goOn = (): void => {
      while (channel.bufferedAmount + size <= high) {
        const bytes = next()
        if (!bytes) {
          channel.removeEventListener('bufferedamountlow', goOn)
          return resolve()
        }
        send(bytes)
      }
    }
    channel.addEventListener('bufferedamountlow', goOn)
    goOn()
  })
}
