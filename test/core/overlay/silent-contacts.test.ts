/** A newcomer whose first contacts are half-open sockets: they say nothing, and nobody knows that they are gone. */
import { expect, it } from 'vitest'
import { cluster, coreOf } from '../support/nodes.ts'

/** The default of `joinTimeoutMs`. */
const JOIN_TIMEOUT_MS = 15_000

it.each([0, 250, 1_000, 2_000, 4_000])(
  'comes to the third one in time, where an offer takes %i ms to make',
  (offerMs) => {
    const { room, cores } = cluster(3)
    const newcomer = coreOf(9)
    const silent = new Set(cores.slice(0, 2).map(({ nodeId }) => nodeId))
    room.offerMs = offerMs
    room.signals = (from, to) => !silent.has(to) && !silent.has(from)
    room.contacts = () => cores.map(({ nodeId }) => nodeId)
    room.join(newcomer)
    room.until(() => newcomer.status === 'up', 'it is in', JOIN_TIMEOUT_MS)
    expect(newcomer.table.live().length).toBeGreaterThan(1)
  },
)
