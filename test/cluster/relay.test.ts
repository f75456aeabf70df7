/** Members whose links are all relayed, with real keys; and a server that sits in the middle of them. */
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Cluster, ClusterEvent } from '../../src/api.ts'
import { createBrowserClock } from '../../src/adapters/browser/clock.ts'
import { createMemoryNetwork } from '../../src/adapters/memory/network.ts'
import { openCluster } from '../../src/cluster.ts'
import { decodeSignal, encodeSignal } from '../../src/core/overlay/signal-envelope.ts'
import type { LinkEnd, LinkTransport, Signaling, SignalingHandlers } from '../../src/ports.ts'
import { createCarrier, relayAsTransport } from '../adapters/relay-carrier.ts'
import { upCount } from './support.ts'

const clock = createBrowserClock()
const clusters: Cluster[] = []

afterEach(async () => {
  await Promise.all(clusters.splice(0).map((cluster) => cluster.leave()))
})

/** Makes members of one room whose signals go through `signalingOf`. */
function createRoom(through: (signaling: Signaling, transport: () => LinkTransport) => Signaling) {
  const network = createMemoryNetwork()
  const carrier = createCarrier()
  const transport = () => relayAsTransport(carrier, { clock })
  const signaling = through(network.signaling(), transport)
  return () => {
    const events: ClusterEvent[] = []
    const cluster = openCluster('room', {
      signaling: 'ws://memory',
      snapshot: false,
      joinTimeoutMs: 2_000,
      platform: { transport: transport(), signaling },
    })
    cluster.events.subscribe((event) => events.push(event))
    clusters.push(cluster)
    return { cluster, events }
  }
}

/**
 * A signaling server that plays each of two members to the other: it answers an offer with a key of its own, offers its
 * own to the addressee, and hands on all that is said, once it has read it.
 */
function inTheMiddle(read: Uint8Array[]): Parameters<typeof createRoom>[0] {
  return (signaling, transport) => {
    const handlersOf = new Map<string, SignalingHandlers>()
    const spies = new Map<string, { readonly near: LinkEnd; readonly far: LinkEnd }>()
    const spyOn = (from: string, to: string, session: string) => {
      const tell = (whom: string, as: string) => {
        let sequence = 0
        return (data: string) =>
          handlersOf.get(whom)?.onMessage(as, encodeSignal({ session, sequence: sequence++, data }))
      }
      const unsent: Uint8Array[] = []
      let isThrough = false
      const near: LinkEnd = transport().open(false, {
        onSignal: tell(from, to),
        onOpen: () => undefined,
        onDrain: () => undefined,
        onMessage(bytes) {
          read.push(bytes)
          if (isThrough) far.send(bytes)
          else unsent.push(bytes)
        },
        onClose: () => far.close(),
      })
      const far: LinkEnd = transport().open(true, {
        onSignal: tell(to, from),
        onOpen() {
          isThrough = true
          queueMicrotask(() => {
            for (const bytes of unsent) far.send(bytes)
          })
        },
        onMessage(bytes) {
          read.push(bytes)
          near.send(bytes)
        },
        onDrain: () => undefined,
        onClose: () => near.close(),
      })
      return { near, far }
    }
    return {
      open(room, nodeId, handlers) {
        handlersOf.set(nodeId, handlers)
        const session = signaling.open(room, nodeId, handlers)
        return {
          ...session,
          send(to, text) {
            const envelope = decodeSignal(text)
            if (envelope?.data === undefined) return session.send(to, text)
            const known = spies.get(envelope.session)
            if (known) return known.far.signal(envelope.data)
            const spy = spyOn(nodeId, to, envelope.session)
            spies.set(envelope.session, spy)
            spy.near.signal(envelope.data)
          },
        }
      },
    }
  }
}

describe('members that are linked by relay alone', () => {
  it('form a cluster', async () => {
    const join = createRoom((signaling) => signaling)
    const [one, two, three] = [join(), join(), join()]
    await Promise.all([one, two, three].map(({ cluster }) => cluster.ready))
    await vi.waitFor(() => {
      for (const { cluster } of [one, two, three]) {
        expect(upCount(cluster)).toBe(3)
        expect(cluster.convergence.get().state).toBe('confirmed')
      }
    }, 8_000)
  }, 15_000)

  it('refuse each other as unproven where the server swaps their keys, however well it hands on what they say', async () => {
    const read: Uint8Array[] = []
    const join = createRoom(inTheMiddle(read))
    const one = join()
    await one.cluster.ready
    const two = join()
    await expect(two.cluster.ready).rejects.toThrow(/somebody sits between the two ends/)
    const refusals = [...one.events, ...two.events].filter(({ type }) => type === 'handshake-refused')
    expect(refusals.length).toBeGreaterThan(0)
    for (const refusal of refusals) expect(refusal).toMatchObject({ code: 'unproven' })
    // It did sit there, and read what they said until they noticed.
    expect(read.length).toBeGreaterThan(2)
    expect(upCount(one.cluster)).toBe(1)
  }, 15_000)
})
