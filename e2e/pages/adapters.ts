/** Puts the browser adapters on `window`, so that adapters.spec.ts can drive them in real tabs. */
import { createBrowserClock } from '../../src/adapters/browser/clock.ts'
import { createLifecycle } from '../../src/adapters/browser/lifecycle.ts'
import { createRandom } from '../../src/adapters/browser/random.ts'
import { createIdentityStore } from '../../src/adapters/indexeddb/identity.ts'
import { createSnapshotStore } from '../../src/adapters/indexeddb/snapshot.ts'
import { createWebRtcTransport, loadWebRtc } from '../../src/adapters/webrtc/transport.ts'
import { openPair } from '../../src/testing/contract-pair.ts'
import { linkTransportContract } from '../../src/testing/contract.ts'

const adapters = {
  createBrowserClock,
  createIdentityStore,
  createLifecycle,
  createRandom,
  createSnapshotStore,
  createWebRtcTransport,
  linkTransportContract,
  loadWebRtc,
  openPair,
}

declare global {
  interface Window {
    adapters: typeof adapters
  }
}

window.adapters = adapters
