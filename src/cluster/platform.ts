import { createBrowserClock } from '../adapters/browser/clock.ts'
import { createLifecycle } from '../adapters/browser/lifecycle.ts'
import { watchOnline } from '../adapters/browser/online.ts'
import { createRandom } from '../adapters/browser/random.ts'
import { createCopyStore } from '../adapters/indexeddb/copies.ts'
import { createIdentityStore } from '../adapters/indexeddb/identity.ts'
import { createSnapshotStore } from '../adapters/indexeddb/snapshot.ts'
import { createRelayTransport } from '../adapters/relay/transport.ts'
import { createSignalingClient } from '../adapters/signaling/client.ts'
import { createWebRtcTransport } from '../adapters/webrtc/transport.ts'
import { subtleCrypto } from '../adapters/webcrypto/key-pair.ts'
import { createWebCryptoKeys } from '../adapters/webcrypto/keys.ts'
import type { ClusterOptions } from '../options.ts'
import type { Clock, Platform, RelayTransport } from '../ports.ts'

/** Without SubtleCrypto none: nothing is relayed in clear. */
const usualRelay = (clock: Clock): RelayTransport | false =>
  subtleCrypto() ? createRelayTransport({ clock }) : false

/**
 * The browser's adapters, with those that the options replace.
 * @throws ClusterError `webrtc-unavailable`, `invalid-option`
 */
export function createPlatform(options: ClusterOptions): Platform {
  const given = options.platform ?? {}
  const clock = given.clock ?? createBrowserClock()
  const random = given.random ?? createRandom()
  const { token, iceServers, signaling, snapshot } = options
  return {
    clock,
    random,
    transport: given.transport ?? createWebRtcTransport(iceServers ? { iceServers } : {}),
    relay: options.relay === false ? false : (given.relay ?? usualRelay(clock)),
    signaling:
      given.signaling ??
      createSignalingClient({
        urls: signaling,
        clock,
        random,
        watchOnline,
        ...(token === undefined ? {} : { token }),
        ...(given.socket ? { createSocket: given.socket } : {}),
      }),
    identity: given.identity ?? createIdentityStore({ random, persist: snapshot !== false }),
    keys: given.keys ?? createWebCryptoKeys(),
    snapshot: snapshot === false ? false : (given.snapshot ?? createSnapshotStore()),
    copies: given.copies ?? (snapshot === false ? false : createCopyStore()),
    lifecycle: given.lifecycle ?? createLifecycle(),
  }
}
