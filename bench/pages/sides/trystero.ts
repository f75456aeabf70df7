/**
 * Trystero's core, with a strategy as its README has it: a WebSocket to a relay of topics (`bench/support/hub.ts`), for
 * its own strategies meet at servers elsewhere. Once two peers have met, what they say takes the same way with any.
 */
import { createTopicStrategy, type Room } from '@trystero-p2p/core'
import { requestsOver, type Ask } from './requests.ts'

export interface TrysteroSides {
  /** Requests as it has them built in. */
  readonly builtIn: Ask
  /** Ids of one's own over its messages. */
  readonly byHand: Ask
}

const joinRoom = createTopicStrategy<WebSocket>({
  init: async () => {
    const socket = new WebSocket(`ws://${location.host}/topics`)
    await new Promise((resolve) => socket.addEventListener('open', resolve))
    return socket
  },
  subscribeTopic(socket, topic, onMessage) {
    const listener = ({ data }: MessageEvent): void => {
      const message = JSON.parse(String(data)) as { readonly topic: string; readonly payload: string }
      if (message.topic === topic) void onMessage(topic, message.payload)
    }
    socket.addEventListener('message', listener)
    socket.send(JSON.stringify({ type: 'subscribe', topic }))
    return () => socket.removeEventListener('message', listener)
  },
  publishTopic: (socket, topic, payload) => socket.send(JSON.stringify({ type: 'publish', topic, payload })),
})

export async function openTrystero(): Promise<TrysteroSides> {
  const config = { appId: 'grainmesh-bench', rtcConfig: { iceServers: [] } }
  const room: Room = joinRoom(config, 'link')
  const asked = room.makeAction<string, string>('ask', { kind: 'request', onRequest: (text) => text })
  const said = room.makeAction<{ [key: string]: string | number }>('say')
  const target = await new Promise<string>((resolve) => (room.onPeerJoin = resolve))
  return {
    builtIn: (text) => asked.request(text, { target }),
    byHand: requestsOver(
      (message) => void said.send({ ...message }, { target }).catch(reportError),
      (onMessage) => (said.onMessage = onMessage),
    ),
  }
}
