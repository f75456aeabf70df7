/** Puts the browser adapters on `window`, so that the adapters specs can drive them in real tabs. */
import { createBrowserClock } from '../../src/adapters/browser/clock.ts'
import { createLifecycle } from '../../src/adapters/browser/lifecycle.ts'
import { createRandom } from '../../src/adapters/browser/random.ts'
import { createIdentityStore } from '../../src/adapters/indexeddb/identity.ts'
import { createSnapshotStore } from '../../src/adapters/indexeddb/snapshot.ts'
import { createRelayTransport } from '../../src/adapters/relay/transport.ts'
import { createKeyPair, signWith } from '../../src/adapters/webcrypto/key-pair.ts'
import { createWebCryptoKeys } from '../../src/adapters/webcrypto/keys.ts'
import { createWebRtcTransport, loadWebRtc } from '../../src/adapters/webrtc/transport.ts'
import { LinkQueue } from '../../src/driver/link-queue.ts'
import type { LinkEnd } from '../../src/ports.ts'
import { openPair } from '../../src/testing/contract-pair.ts'
import { linkTransportContract } from '../../src/testing/contract.ts'

const adapters = {
  createBrowserClock,
  createIdentityStore,
  createKeyPair,
  createLifecycle,
  createRandom,
  createRelayTransport,
  createSnapshotStore,
  createWebCryptoKeys,
  createWebRtcTransport,
  LinkQueue,
  linkTransportContract,
  loadWebRtc,
  openPair,
  signWith,
}

/** A link that the spec opened in this tab. */
export interface LinkUnderTest {
  end?: LinkEnd
  opened: boolean
  closed: string
}

declare global {
  interface Window {
    adapters: typeof adapters
    linkUnderTest: LinkUnderTest
    /** Put there by the spec: takes a signal to the other tab. */
    carry(data: string): Promise<void>
    /** Put there by the spec: told of the identity that a page with `?claim=<cluster>` has as it loads. */
    claimed?(identity: { authority: string; generation: number; lost: string | undefined }): Promise<void>
  }
}

window.adapters = adapters

const cluster = new URLSearchParams(location.search).get('claim')
if (cluster !== null) {
  const { authority, generation, lost } = await createIdentityStore({ random: createRandom() }).claim(cluster)
  await window.claimed?.({ authority, generation, lost })
}
