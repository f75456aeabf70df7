import { createNodeId, randomAuthority } from '../../src/core/identity/node-id.ts'
import { decodeSignal, encodeSignal } from '../../src/core/overlay/signal-envelope.ts'
import type { RefusalCode } from '../../src/core/events.ts'
import { encodeFrame, encodeMessage } from '../../src/core/wire/codec.ts'
import type { LinkEnd } from '../../src/ports.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { ROOM, type World } from './support.ts'

/** Puts a member into the room that takes every offer and refuses every hello. */
export async function createRefusingMember(
  world: World,
  refusal: { readonly code: RefusalCode; readonly reason: string },
): Promise<void> {
  const random = seededRandom(1, 'refusing')
  const transport = world.network.transport()
  const links = new Map<string, LinkEnd>()
  let isUp = false
  const answer = (from: string, name: string): LinkEnd => {
    let sequence = 0
    const end = transport.open(false, {
      onSignal: (data) => session.send(from, encodeSignal({ session: name, sequence: sequence++, data })),
      onOpen: () => undefined,
      onMessage: () => end.send(encodeMessage([encodeFrame({ kind: 'refuse', ...refusal })])),
      onDrain: () => undefined,
      onClose: () => undefined,
    })
    links.set(name, end)
    return end
  }
  const session = world.network.signaling().open(ROOM, createNodeId(randomAuthority(random), 1, random), {
    onUp: () => void (isUp = true),
    onContacts: () => undefined,
    onMessage: (from, text) => {
      const envelope = decodeSignal(text)
      if (envelope?.data === undefined) return
      const end = links.get(envelope.session) ?? answer(from, envelope.session)
      end.signal(envelope.data)
    },
    onRelay: () => undefined,
    onRelayRefused: () => undefined,
    onGone: () => undefined,
    onDown: () => undefined,
    onRefused: () => undefined,
  })
  await world.until('the refusing member is in the room', () => isUp)
}
